/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/code_rules.h"

#include <errno.h>

#include "symbolizer/code_state.h"

#define FUEL 4			/* visits of an instruction of one function, on the average */
#define CLONE_MAX 32		/* bytes from a system call to where a new thread goes its own way */
#define FUEL_IN_ALL (32U << 20) /* instructions in the life of one fnp_code_rules: 0.6 s */

#define TABLE_DISTANCE_MAX 4096 /* bytes from what is known of a function to what a jump table leads to */

struct edge {
	uint32_t from, to;
};

struct place {
	uint32_t offset;
	struct fnp_code_state state;
	bool soft; /* behind a call that may not return */
};

struct fnp_code_rules {
	enum fnp_code_returns (*returns)(void *self, uint64_t address);
	void *self;
	struct fnp_code code;
	struct fnp_code_state *states; /* one a byte of the function, FNP_CODE_FUNCTION_MAX of them */
	FNP_VEC(struct place) work;
	FNP_VEC(struct edge) edges;
	FNP_VEC(uint32_t) journal;	/* offsets that were visited, in order */
	struct fnp_code_state indirect; /* before jumps to where nobody knows; visited 2: they differ */
	bool sure;
	bool confirmed; /* something returned, or met a way that was known */
	bool asked;	/* other answers could lead to something else */
	bool left;	/* so could more code around */
	size_t reach;	/* the offset behind all that was looked at */
	size_t fuel, fuel_in_all;
	struct fnp_code_found *found;
};

int fnp_code_rules_create(enum fnp_code_returns (*returns)(void *self, uint64_t address), void *self,
			  struct fnp_code_rules **ret)
{
	struct fnp_code_rules *rules = calloc(1, sizeof(*rules));

	if (!rules)
		return -ENOMEM;
	rules->states = calloc(FNP_CODE_FUNCTION_MAX, sizeof(*rules->states));
	if (!rules->states) {
		free(rules);
		return -ENOMEM;
	}
	rules->returns = returns;
	rules->self = self;
	rules->fuel_in_all = FUEL_IN_ALL;
	*ret = rules;
	return 0;
}

void fnp_code_rules_destroy(struct fnp_code_rules *rules)
{
	if (!rules)
		return;
	free(rules->states);
	fnp_vec_deinit(&rules->work);
	fnp_vec_deinit(&rules->edges);
	fnp_vec_deinit(&rules->journal);
	free(rules);
}

/* ---- ways ---- */

/* 1: follow it from here, 0: known already. */
static int arrive(struct fnp_code_rules *rules, const struct place *place, struct fnp_code_state *ret)
{
	struct fnp_code_state *here = &rules->states[place->offset], before = *here;

	if (!here->visited) {
		if (fnp_vec_push(&rules->journal, place->offset) < 0)
			return -ENOMEM;
		*here = place->state;
		here->visited = 1;
		here->returns = here->hidden = false;
		*ret = *here;
		return 1;
	}
	if (fnp_code_state_is(here, &place->state)) {
		rules->confirmed |= !place->soft;
		return 0;
	}
	if (fnp_code_state_join(here, &place->state) < 0) {
		*here = before;
		return place->soft ? 0 : -ENOENT;
	}
	if (fnp_code_state_is(here, &before))
		return 0;
	*ret = *here;
	return 1;
}

static int go(struct fnp_code_rules *rules, int64_t offset, const struct fnp_code_state *s, bool soft)
{
	struct place place = {.offset = (uint32_t)offset, .state = *s, .soft = soft};

	place.state.doubted |= soft;
	if (place.state.has_depth)
		place.state.copy_in = 0; /* of a copy that is not needed nothing is asked where ways meet */
	return fnp_vec_push(&rules->work, place);
}

static int add_edge(struct fnp_code_rules *rules, uint32_t from, int64_t to)
{
	struct edge edge = {.from = from, .to = (uint32_t)to};

	return fnp_vec_push(&rules->edges, edge);
}

/* A jump to a known place. */
static int jump(struct fnp_code_rules *rules, uint32_t from, int64_t offset, const struct fnp_code_state *s)
{
	rules->left |= offset < (int64_t)rules->code.entry;
	if (offset >= 0 && (uint64_t)offset < rules->code.size) {
		rules->reach = FNP_MAX(rules->reach, (size_t)offset + FNP_X86_SIZE_MAX);
		return add_edge(rules, from, offset) ?: go(rules, offset, s, false);
	}
	rules->left = true;
	/* Out of the function: to another one when nothing is left on the stack, else to a part of this one. */
	if (!rules->sure || !s->has_depth || s->depth != FNP_CODE_ENTRY_DEPTH)
		return 0;
	rules->confirmed = true;
	if (rules->returns(rules->self, rules->code.address + (uint64_t)offset) != FNP_CODE_NEVER_RETURNS)
		rules->states[from].returns = true;
	return fnp_vec_push(&rules->found->calls, rules->code.address + (uint64_t)offset);
}

static void jump_somewhere(struct fnp_code_rules *rules, uint32_t from, const struct fnp_code_state *s)
{
	rules->states[from].returns |= rules->sure;
	if (!rules->indirect.visited) {
		rules->indirect = *s;
		rules->indirect.visited = 1;
	} else if (!fnp_code_state_is(&rules->indirect, s)) {
		rules->indirect.visited = 2;
	}
}

enum { GOES_ON, ENDS, GOES_ON_SOFTLY };

/* Behind a call of a known address. */
static int call(struct fnp_code_rules *rules, int64_t offset)
{
	uint64_t address = rules->code.address + (uint64_t)offset;

	rules->asked = true;
	if (fnp_vec_push(&rules->found->calls, address) < 0)
		return -ENOMEM;
	switch (rules->returns(rules->self, address)) {
	case FNP_CODE_RETURNS:
		return GOES_ON;
	case FNP_CODE_NEVER_RETURNS:
		return ENDS;
	default:
		return GOES_ON_SOFTLY;
	}
}

/* Where control goes behind the instruction at `from`. */
static int leave(struct fnp_code_rules *rules, const struct fnp_x86 *x, uint32_t from,
		 const struct fnp_code_state *s)
{
	int64_t next = (int64_t)from + x->size;
	uint8_t op = x->opcode;

	if (x->vex || x->map > 1)
		return GOES_ON;
	if (x->map == 1) {
		if ((op & 0xf0) == 0x80)
			return jump(rules, from, next + x->immediate, s) ?: GOES_ON;
		return op == 0x0b || op == 0xff || op == 0xb9 ? ENDS : GOES_ON;
	}
	if ((op & 0xf0) == 0x70 || (op >= 0xe0 && op <= 0xe3))
		return jump(rules, from, next + x->immediate, s) ?: GOES_ON;
	switch (op) {
	case 0xe9:
	case 0xeb:
		return jump(rules, from, next + x->immediate, s) ?: ENDS;
	case 0xe8: /* to the next instruction: pushes its own address */
		return x->immediate == 0 ? -ENOENT : call(rules, next + x->immediate);
	case 0xc2:
	case 0xc3:
		if (!s->has_depth || s->depth != FNP_CODE_ENTRY_DEPTH)
			return -ENOENT;
		rules->confirmed = true;
		rules->states[from].returns = true;
		return ENDS;
	case 0xff:
		if (x->group == 4 || x->group == 5)
			jump_somewhere(rules, from, s);
		if (x->group == 4 || x->group == 5)
			return ENDS;
		/* What stands in the global offset table may be abort(); what a program chooses comes back. */
		return x->group == 2 && x->rip ? GOES_ON_SOFTLY : GOES_ON;
	case 0xcb:
	case 0xca:
	case 0xcf:
		return -ENOENT;
	case 0xf4:
	case 0xcc:
		return ENDS;
	}
	return GOES_ON;
}

/*
 * What is only taken for a function may be the end of another one: a call that does not come back, and behind it the next
 * function, whose return says nothing. Compilers call at multiples of 16 bytes of stack, so at a function's begin they do not.
 */
static bool is_last_call(const struct fnp_code_rules *rules, const struct fnp_code_state *s)
{
	return !rules->sure && (rules->code.entry > 0 || (s->has_depth && s->depth % 16 != 0));
}

static int follow_one(struct fnp_code_rules *rules, struct place place)
{
	struct fnp_code_state s;
	int r = arrive(rules, &place, &s);

	while (r == 1) {
		struct fnp_x86 x;
		int64_t next;

		rules->left |= rules->fuel == 0;
		rules->asked |= rules->fuel_in_all == 0;
		if (rules->fuel == 0 || rules->fuel_in_all == 0)
			return -ENOENT;
		rules->fuel--;
		rules->fuel_in_all--;
		rules->reach = FNP_MAX(rules->reach, (size_t)place.offset + FNP_X86_SIZE_MAX);
		if (fnp_x86_decode(rules->code.bytes + place.offset, rules->code.size - place.offset, &x) < 0)
			return place.soft
				       ? 0
				       : -ENOENT; /* behind a call that does not return there may be anything */
		next = (int64_t)place.offset + x.size;
		if (x.map == 0 && x.opcode == 0x8d && x.rip &&
		    fnp_vec_push(&rules->found->pointers,
				 rules->code.address + (uint64_t)(next + x.displacement)) < 0)
			return -ENOMEM;
		if (fnp_code_step(&x, &s) < 0) {
			/* The stack is another one from here on (longjmp, a switch of coroutines): no rules. */
			rules->states[place.offset].returns = true;
			return rules->sure ? 0 : -ENOENT;
		}
		r = leave(rules, &x, place.offset, &s);
		if (r < 0)
			return r;
		rules->left |= r == GOES_ON_SOFTLY;
		if (r == ENDS || (uint64_t)next >= rules->code.size)
			return 0;
		if (!(r == GOES_ON_SOFTLY && is_last_call(rules, &s)) && add_edge(rules, place.offset, next) < 0)
			return -ENOMEM;
		place = (struct place){.offset = (uint32_t)next, .state = s, .soft = r == GOES_ON_SOFTLY};
		if (place.soft)
			return go(rules, next, &s, true);
		r = arrive(rules, &place, &s);
	}
	return r;
}

/* All that is to be followed: what is certain first, what lies behind calls after it. */
static int follow_all(struct fnp_code_rules *rules)
{
	int r = 0;

	while (r == 0 && rules->work.len > 0) {
		size_t i = rules->work.len;
		struct place place;

		while (i > 1 && rules->work.items[i - 1].soft)
			i--;
		place = rules->work.items[i - 1];
		rules->work.items[i - 1] = rules->work.items[--rules->work.len];
		r = follow_one(rules, place);
	}
	rules->work.len = 0;
	return r;
}

static void undo(struct fnp_code_rules *rules, size_t journal)
{
	while (rules->journal.len > journal)
		rules->states[rules->journal.items[--rules->journal.len]].visited = 0;
}

static size_t length_at(const struct fnp_code_rules *rules, size_t offset)
{
	struct fnp_x86 x;

	return fnp_x86_decode(rules->code.bytes + offset, rules->code.size - offset, &x) < 0 ? 0 : x.size;
}

static bool is_padding(const struct fnp_code *code, size_t offset, size_t size)
{
	const uint8_t *p = code->bytes + offset;

	if (size > 1 && p[0] == 0x66)
		return is_padding(code, offset + 1, size - 1) || (size > 2 && p[1] == 0x2e);
	return p[0] == 0x90 || p[0] == 0xcc || (size > 2 && p[0] == 0x0f && p[1] == 0x1f) || p[0] == 0x2e;
}

/* Something may begin behind the instruction at an offset: control does not go on there, or may not (a call). */
static bool is_end(const struct fnp_code_rules *rules, size_t offset)
{
	const uint8_t *p = rules->code.bytes + offset;
	struct fnp_x86 x;

	if (fnp_x86_decode(p, rules->code.size - offset, &x) < 0)
		return true;
	if (x.vex || x.map > 1)
		return false;
	if (x.map == 1)
		return x.opcode == 0x0b;
	return x.opcode == 0xe9 || x.opcode == 0xeb || x.opcode == 0xe8 || x.opcode == 0xc3 ||
	       x.opcode == 0xc2 || x.opcode == 0xcc || x.opcode == 0xf4 ||
	       (x.opcode == 0xff && (x.group == 2 || x.group == 4 || x.group == 5));
}

/*
 * What only a jump table leads to begins behind a jump or return, with the stack as it was at the jump through the
 * table: taken as true where it then returns or meets a known way as it must.
 */
static int follow_tables(struct fnp_code_rules *rules)
{
	size_t end = rules->code.entry, seen = 0;
	bool may_begin = false;

	if (rules->indirect.visited != 1)
		return 0;
	rules->left = true;
	/* Where the function ends may not be known: other functions, which may be many, are not tried one after another. */
	for (size_t offset = end; offset < rules->code.size && offset <= end + TABLE_DISTANCE_MAX;) {
		size_t size = length_at(rules, offset), journal = rules->journal.len;
		bool confirmed = rules->confirmed;
		int r;

		if (size == 0)
			return 0;
		if (!rules->states[offset].visited && may_begin && !is_padding(&rules->code, offset, size)) {
			rules->confirmed = false;
			r = go(rules, (int64_t)offset, &rules->indirect, false);
			r = r < 0 ? r : follow_all(rules);
			if (r == -ENOMEM)
				return r;
			if (r < 0 || !rules->confirmed)
				undo(rules, journal);
			rules->confirmed |= confirmed;
		}
		for (; seen < rules->journal.len; seen++)
			end = FNP_MAX(end, rules->journal.items[seen]);
		seen = rules->journal.len;
		may_begin = is_padding(&rules->code, offset, size) ? may_begin : is_end(rules, offset);
		offset += size;
	}
	return 0;
}

/*
 * A thread's first frame, behind a system call that made the thread: the new one and its maker both go from there to
 * where their ways part, on different stacks.
 */
static void hide_clone(struct fnp_code_rules *rules, size_t first)
{
	size_t from = first > CLONE_MAX ? first - CLONE_MAX : 0, call = 0;

	for (size_t i = from; i + 1 < first; i++) {
		if (rules->states[i].visited && rules->code.bytes[i] == 0x0f && rules->code.bytes[i + 1] == 0x05)
			call = i + 2;
	}
	for (size_t i = call; call > 0 && i <= first; i++)
		rules->states[i].hidden = true;
}

static void hide_clones(struct fnp_code_rules *rules)
{
	for (size_t i = 0; i < rules->journal.len; i++) {
		size_t at = rules->journal.items[i];

		/* The state behind `xor ebp, ebp` is the first that has it. */
		if (rules->states[at].first && at >= 2 && rules->code.bytes[at - 2] == 0x31 &&
		    rules->code.bytes[at - 1] == 0xed)
			hide_clone(rules, at - 2);
	}
}

/* Backwards from what returns. Ways lead mostly forward, so that few rounds are enough. */
static void find_returns(struct fnp_code_rules *rules)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (size_t i = rules->edges.len; i-- > 0;) {
			struct fnp_code_state *from = &rules->states[rules->edges.items[i].from];

			if (!from->returns && rules->states[rules->edges.items[i].to].returns)
				from->returns = changed = true;
		}
	}
}

bool fnp_code_rules_refused(const struct fnp_code_rules *rules, size_t *ret_looked_at)
{
	if (rules->asked)
		return false;
	*ret_looked_at = rules->left ? SIZE_MAX : rules->reach - rules->code.entry;
	return true;
}

size_t fnp_code_rules_fuel(const struct fnp_code_rules *rules)
{
	return rules->fuel_in_all;
}

enum fnp_code_returns fnp_code_rules_returns(const struct fnp_code_rules *rules)
{
	if (rules->states[rules->code.entry].returns)
		return FNP_CODE_RETURNS;
	/* A call of what is not known may be the one that does not come back, or the one that does. */
	for (size_t i = 0; i < rules->journal.len; i++) {
		if (rules->states[rules->journal.items[i]].doubted)
			return FNP_CODE_RETURNS_UNKNOWN;
	}
	return FNP_CODE_NEVER_RETURNS;
}

int fnp_code_rules_follow(struct fnp_code_rules *rules, const struct fnp_code *function, bool sure,
			  struct fnp_code_found *found)
{
	struct fnp_code_state entry = FNP_CODE_ENTRY;
	int r;

	undo(rules, 0);
	rules->edges.len = 0;
	rules->code = *function;
	rules->code.size = FNP_MIN(function->size, FNP_CODE_FUNCTION_MAX);
	rules->indirect.visited = 0;
	rules->confirmed = false;
	rules->sure = sure;
	rules->fuel = FUEL * rules->code.size;
	rules->asked = rules->fuel_in_all == 0;
	rules->left = false;
	rules->reach = function->entry;
	if (rules->fuel_in_all == 0 || function->entry >= rules->code.size)
		return -ENOENT;
	rules->found = found;
	r = go(rules, (int64_t)function->entry, &entry, false);
	r = r < 0 ? r : follow_all(rules);
	if (r == 0)
		r = follow_tables(rules);
	if (r == 0)
		find_returns(rules);
	if (r == 0)
		hide_clones(rules);
	if (r == 0 && !sure && !rules->states[function->entry].returns)
		r = -ENOENT;
	if (r < 0)
		undo(rules, 0);
	rules->asked |= r != -ENOENT;
	return r;
}

size_t fnp_code_rules_next(const struct fnp_code *code)
{
	for (size_t offset = 0; offset < code->size;) {
		size_t plain = fnp_x86_plain_size(code->bytes + offset, code->size - offset);
		struct fnp_x86 x;
		bool ends;

		if (plain > 0) {
			offset += plain;
			continue;
		}
		/* A table among the code: functions begin at multiples of 16. */
		if (fnp_x86_decode(code->bytes + offset, code->size - offset, &x) < 0)
			return FNP_MIN(code->size, offset + 16 - ((code->address + offset) & 15));
		ends = x.map == 0 &&
		       (x.opcode == 0xc3 || x.opcode == 0xc2 || x.opcode == 0xe9 || x.opcode == 0xeb ||
			x.opcode == 0xf4 || (x.opcode == 0xff && (x.group == 4 || x.group == 5)));
		/* Of a call that does not come back padding tells, or that something else could begin there. */
		if (x.map == 0 && x.opcode == 0xe8 && offset + x.size < code->size)
			ends = (code->address + offset + x.size) % 16 == 0 ||
			       is_padding(code, offset + x.size, code->size - offset - x.size);
		offset += x.size;
		if (ends)
			return offset;
	}
	return code->size;
}

size_t fnp_code_rules_end(const struct fnp_code_rules *rules)
{
	size_t end = 0;

	for (size_t i = 0; i < rules->journal.len; i++)
		end = FNP_MAX(end, rules->journal.items[i]);
	return rules->journal.len ? end + FNP_MAX(length_at(rules, end), 1) : 0;
}

/* The frame's address, by the first of the ways to it that lasts. */
static void set_cfa(const struct fnp_code_state *s, struct fnp_rule *rule)
{
	/* From the numbers that instructions have to those of DWARF. */
	static const uint8_t dwarf[16] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};
	bool by_fp = s->by_fp_at != FNP_CODE_NOWHERE;

	rule->cfa_kind = FNP_CFA_REG;
	if (s->has_depth || s->has_frame) {
		rule->cfa_reg = s->has_depth ? 7 : 6;
		rule->cfa_offset = s->has_depth ? s->depth : s->frame;
	} else if (by_fp || s->by_sp_at != FNP_CODE_NOWHERE) {
		rule->cfa_kind = FNP_CFA_DEREF_PLUS;
		rule->cfa_reg = by_fp ? 6 : 7;
		rule->cfa_offset = FNP_CFA_OFFSETS(by_fp ? s->by_fp_at : s->by_sp_at, s->put);
	} else {
		rule->cfa_reg = dwarf[(s->copy_in - 1) & 15];
		rule->cfa_offset = s->copy;
	}
}

bool fnp_code_rules_at(const struct fnp_code_rules *rules, size_t offset, struct fnp_rule *ret, size_t *ret_size)
{
	const struct fnp_code_state *s;
	struct fnp_rule rule = {.ra_offset = -8, .flags = FNP_RULE_FOLLOWED};
	size_t size;

	*ret_size = 1;
	if (offset >= rules->code.size || !rules->states[offset].visited)
		return false;
	size = length_at(rules, offset);
	s = &rules->states[offset];
	*ret_size = FNP_MAX(size, 1);
	if (s->hidden || (s->doubted && !s->returns))
		return false;
	/* With the return address taken from the stack: a thread's first frame, or nothing that can be walked. */
	if (s->has_depth && s->depth < FNP_CODE_ENTRY_DEPTH && !s->first)
		return false;
	if (s->has_depth && s->depth < FNP_CODE_ENTRY_DEPTH) {
		*ret = (struct fnp_rule){.cfa_kind = FNP_CFA_REG,
					 .cfa_reg = 7,
					 .cfa_offset = 8,
					 .saved = FNP_SAVED_SAME | FNP_SAVED_UNDEFINED << 4};
		return true;
	}
	set_cfa(s, &rule);
	rule.fp_offset = s->fp == FNP_CODE_FP_SAVED ? -s->fp_at : 0;
	rule.saved = (uint8_t)((s->fp == FNP_CODE_FP_SAME    ? FNP_SAVED_SAME
				: s->fp == FNP_CODE_FP_SAVED ? FNP_SAVED_AT_CFA
							     : FNP_SAVED_EXPRESSION) |
			       FNP_SAVED_AT_CFA << 4);
	*ret = rule;
	return true;
}
