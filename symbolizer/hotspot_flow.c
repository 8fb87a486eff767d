/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the instructions between described places of compiled Java code belong to.
 *
 * The compilers describe calls, polls and the slow ways out of the code (traps, throws, allocations), not what lies
 * between them. Where several methods were inlined, the next description is often that of another one than the
 * instruction's own. What is certain comes from the ways that lead through the code: an instruction from which every way
 * leads to places of one inlined method, and to which all ways come from such places, is that method's; where the two
 * differ, it is what both have in common: fewer frames perhaps, never a wrong one. A loop in which, or right behind which,
 * a poll stands belongs to the method of that poll, which the loop's own method has put there.
 *
 * Four answers for each instruction, all of them met over all ways, in one lattice: chains of scopes, of which a shorter
 * one is below a longer one that begins with it. `ahead`: the next places; `behind`: the last ones; `loop`; `exact`.
 */
#include "base/vec.h"
#include "symbolizer/hotspot.h"
#include "symbolizer/x86_code.h"

#define CODE_MAX (256 << 10)
#define PASSES_MAX 100
#define SIDE_INSTRUCTIONS_MAX 16	 /* of a slow way, up to its call */
#define POLL_INSTRUCTIONS_MAX 16	 /* behind a loop, up to its poll */
#define LOOPS_WORK_MAX ((size_t)4 << 20) /* instructions in all loops together */
#define ANY UINT32_MAX			 /* no way leads there */

/* An answer: the number of a scope << 1 | 1 when its line is not certain. */
typedef uint32_t answer;

struct instruction {
	uint32_t start;
	uint32_t target; /* the number of the one it may go to, NOWHERE */
	uint8_t size;
	bool falls; /* goes on to the next one */
	bool is_call, is_return;
	answer exact, ahead, behind, loop;
};

#define NOWHERE UINT32_MAX

/* A place where one method was inlined into another: equal for all scopes in it. */
struct place {
	uint32_t caller; /* its number; NOWHERE: the compiled method itself */
	uint32_t bci;	 /* of the call */
	const struct fnp_hotspot_method *method;
};

struct flow {
	const struct fnp_hotspot_code *code;
	uint32_t *places; /* of each scope, and of the one behind the last, which is the compiled method itself */
	uint8_t *depths; /* of each scope */
	FNP_VEC(struct place) known;
	struct instruction *items;
	size_t n;
	uint32_t *numbers; /* of the instruction that begins at a byte, NOWHERE */
	size_t size;
};

static void flow_deinit(struct flow *f)
{
	free(f->places);
	free(f->depths);
	free(f->items);
	free(f->numbers);
	fnp_vec_deinit(&f->known);
}

/* ---- chains -------------------------------------------------------------------------------------------------- */

static uint32_t caller_of(const struct flow *f, uint32_t scope)
{
	return scope < f->code->n_scopes ? f->code->scopes[scope].caller : FNP_HOTSPOT_NO_SCOPE;
}

static int find_place(struct flow *f, const struct place *place, struct fnp_map *map, uint32_t *ret)
{
	uint64_t key = ((uint64_t)place->caller << 32 | place->bci) * 0x9e3779b97f4a7c15ULL ^
		       (uintptr_t)place->method;
	uint64_t *known = fnp_map_find(map, key);
	int r;

	if (known) {
		*ret = (uint32_t)*known;
		return 0;
	}
	*ret = (uint32_t)f->known.len;
	r = fnp_vec_push(&f->known, *place);
	return r ?: fnp_map_set(map, key, *ret);
}

/* Numbers the places of a scope and of its callers. -ESRCH: they go round, or too deep. */
static int place_scope(struct flow *f, uint32_t scope, struct fnp_map *map)
{
	uint32_t chain[FNP_RUNTIME_LINES_MAX];
	size_t n = 0;

	while (scope < f->code->n_scopes && f->places[scope] == NOWHERE) {
		if (n == FNP_ARRAY_SIZE(chain))
			return -ESRCH;
		chain[n++] = scope;
		scope = caller_of(f, scope);
	}
	while (n > 0) {
		uint32_t inner = chain[--n], outer = caller_of(f, inner);
		struct place place = {.caller = NOWHERE, .method = f->code->scopes[inner].method};

		if (outer < f->code->n_scopes) {
			place.caller = f->places[outer];
			place.bci = f->code->scopes[outer].bci;
			if (f->depths[outer] + 1 >= FNP_RUNTIME_LINES_MAX)
				return -ESRCH;
			f->depths[inner] = (uint8_t)(f->depths[outer] + 1);
		}
		int r = find_place(f, &place, map, &f->places[inner]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int place_scopes(struct flow *f)
{
	FNP_CLEANUP(fnp_map_deinit) struct fnp_map map = {0};
	struct place whole = {.caller = NOWHERE, .method = f->code->method};
	size_t n = f->code->n_scopes;
	int r;

	f->places = malloc((n + 1) * sizeof(f->places[0]));
	f->depths = calloc(n + 1, sizeof(f->depths[0]));
	if (!f->places || !f->depths)
		return -ENOMEM;
	memset(f->places, 0xff, n * sizeof(f->places[0]));
	r = find_place(f, &whole, &map, &f->places[n]);
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = place_scope(f, i, &map);
	return r;
}

/* What two answers have in common. */
static answer meet(const struct flow *f, answer a, answer b)
{
	uint32_t x = a >> 1, y = b >> 1;
	bool vague = false;

	if (a == b || b == ANY)
		return a;
	if (a == ANY)
		return b;
	while (f->depths[x] > f->depths[y])
		x = caller_of(f, x), a = 0;
	while (f->depths[y] > f->depths[x])
		y = caller_of(f, y), b = 0;
	while (f->places[x] != f->places[y] && f->depths[x] > 0) {
		x = caller_of(f, x), a = 0;
		y = caller_of(f, y), b = 0;
	}
	vague = (a & 1) || (b & 1) || x >= f->code->n_scopes || y >= f->code->n_scopes ||
		f->code->scopes[x].line != f->code->scopes[y].line;
	return x << 1 | vague;
}

static size_t depth_of(const struct flow *f, answer a)
{
	return a == ANY ? 0 : f->depths[a >> 1] + 1U;
}

/* ---- instructions -------------------------------------------------------------------------------------------- */

/* Where an instruction goes. */
static void classify(const struct fnp_x86 *x, struct instruction *ret, int64_t *ret_target)
{
	uint64_t end = (uint64_t)ret->start + x->size;
	bool is_group5 = x->map == 0 && x->opcode == 0xff && x->has_modrm;

	ret->size = x->size;
	ret->falls = true;
	*ret_target = -1;
	if ((x->map == 0 && (x->opcode == 0xeb || x->opcode == 0xe9)) ||
	    (x->map == 0 && ((x->opcode & 0xf0) == 0x70 || (x->opcode & 0xfc) == 0xe0)) ||
	    (x->map == 1 && !x->vex && (x->opcode & 0xf0) == 0x80)) {
		*ret_target = (int64_t)end + x->immediate;
		ret->falls = x->map == 1 || (x->opcode != 0xeb && x->opcode != 0xe9);
	} else if ((x->map == 0 && (x->opcode == 0xc3 || x->opcode == 0xc2))) {
		ret->falls = false;
		ret->is_return = true;
	} else if ((x->map == 0 && (x->opcode == 0xf4 || x->opcode == 0xcc)) ||
		   (x->map == 1 && x->opcode == 0x0b && !x->vex) || (is_group5 && x->group == 4)) {
		ret->falls = false;
	} else if ((x->map == 0 && x->opcode == 0xe8) || (is_group5 && x->group == 2)) {
		ret->is_call = true;
	}
}

/* All instructions, one behind the other; bytes that are none stand for themselves. */
static int decode_all(struct flow *f, const uint8_t *bytes)
{
	int64_t *targets = NULL;

	f->numbers = malloc(f->size * sizeof(f->numbers[0]));
	f->items = malloc(f->size * sizeof(f->items[0]));
	targets = malloc(f->size * sizeof(targets[0]));
	if (!f->numbers || !f->items || !targets) {
		free(targets);
		return -ENOMEM;
	}
	memset(f->numbers, 0xff, f->size * sizeof(f->numbers[0]));
	for (uint32_t at = 0; at < f->size; f->n++) {
		struct instruction *i = &f->items[f->n];
		struct fnp_x86 x;

		*i = (struct instruction){.start = at, .exact = ANY, .ahead = ANY, .behind = ANY, .loop = ANY};
		f->numbers[at] = (uint32_t)f->n;
		targets[f->n] = -1;
		i->size = 1;
		if (fnp_x86_decode(bytes + at, f->size - at, &x) == 0)
			classify(&x, i, &targets[f->n]);
		at += i->size;
	}
	for (size_t i = 0; i < f->n; i++) {
		bool is_inside = targets[i] >= 0 && targets[i] < (int64_t)f->size;
		f->items[i].target = is_inside ? f->numbers[targets[i]] : NOWHERE;
	}
	free(targets);
	return 0;
}

/* ---- places ------------------------------------------------------------------------------------------------- */

/* Calls and polls are what their description says; a return is the compiled method's. */
static void set_described(struct flow *f)
{
	const struct fnp_hotspot_code *code = f->code;

	for (size_t i = 0, spot = 0; i < f->n; i++) {
		struct instruction *x = &f->items[i];
		uint32_t end = x->start + x->size;

		while (spot < code->n_spots && code->spots[spot].code < x->start)
			spot++;
		for (size_t s = spot; s < code->n_spots && code->spots[s].code <= end; s++) {
			bool is_at_start = code->spots[s].code == x->start;
			if (code->spots[s].scope >= code->n_scopes)
				continue;
			if (x->is_call ? code->spots[s].code == end
				       : is_at_start && (i == 0 || !f->items[i - 1].is_call))
				x->exact = code->spots[s].scope << 1;
		}
		if (x->is_return && x->exact == ANY)
			x->exact = (answer)code->n_scopes << 1 | 1;
	}
}

/* Behind the last return lie the slow ways: a conditional jump to one is of the same bytecode. */
static void set_side_ways(struct flow *f)
{
	size_t last_return = f->n;

	for (size_t i = 0; i < f->n; i++)
		last_return = f->items[i].is_return ? i : last_return;
	for (size_t i = 0; i < last_return && last_return < f->n; i++) {
		struct instruction *x = &f->items[i];

		if (!x->falls || x->target == NOWHERE || x->target <= last_return || x->exact != ANY)
			continue;
		for (size_t n = 0, at = x->target; n < SIDE_INSTRUCTIONS_MAX && at < f->n; n++, at++) {
			const struct instruction *side = &f->items[at];
			if (side->is_call)
				x->exact = side->exact;
			if (side->is_call || side->target != NOWHERE || !side->falls)
				break;
		}
	}
}

/* ---- ways ---------------------------------------------------------------------------------------------------- */

static bool lower(const struct flow *f, answer *to, answer by)
{
	answer met = meet(f, *to, by);
	bool is_new = met != *to;

	*to = met;
	return is_new;
}

/* From the end to the begin: what each way comes to next. */
static bool look_ahead(struct flow *f)
{
	bool is_new = false;

	for (size_t i = f->n; i-- > 0;) {
		struct instruction *x = &f->items[i];

		if (x->exact != ANY) {
			is_new |= lower(f, &x->ahead, x->exact);
			continue;
		}
		if (x->falls && i + 1 < f->n)
			is_new |= lower(f, &x->ahead, f->items[i + 1].ahead);
		if (x->target != NOWHERE)
			is_new |= lower(f, &x->ahead, f->items[x->target].ahead);
	}
	return is_new;
}

/* From the begin on: what each way came from. `behind` is that before the instruction. */
static bool look_behind(struct flow *f)
{
	bool is_new = false;

	for (size_t i = 0; i < f->n; i++) {
		struct instruction *x = &f->items[i];
		answer out = x->exact != ANY ? x->exact : x->behind;

		if (x->falls && i + 1 < f->n)
			is_new |= lower(f, &f->items[i + 1].behind, out);
		if (x->target != NOWHERE)
			is_new |= lower(f, &f->items[x->target].behind, out);
	}
	return is_new;
}

static bool is_poll(const struct instruction *x)
{
	return x->exact != ANY && !x->is_call && !x->is_return && x->target == NOWHERE;
}

/* The poll that C2 puts behind a counted loop, so that the loop itself needs none; or NULL. */
static const struct instruction *poll_behind(const struct flow *f, size_t last)
{
	for (size_t i = last + 1, n = 0; i < f->n && n < POLL_INSTRUCTIONS_MAX; i++, n++) {
		const struct instruction *x = &f->items[i];
		if (is_poll(x))
			return x;
		if (x->is_call || x->target != NOWHERE || !x->falls)
			break;
	}
	return NULL;
}

/* What the places between a jump back and its target have in common, and the loop's poll; ANY when it has none. */
static answer loop_of(const struct flow *f, size_t first, size_t last)
{
	const struct instruction *poll = NULL;
	answer all = ANY;

	for (size_t i = first; i <= last; i++) {
		if (is_poll(&f->items[i]))
			poll = &f->items[i];
		all = meet(f, all, f->items[i].exact);
	}
	if (!poll)
		poll = poll_behind(f, last);
	return poll ? meet(f, all, poll->exact) | 1 : ANY;
}

static void set_loops(struct flow *f)
{
	size_t work = 0;

	for (size_t i = 0; i < f->n; i++) {
		size_t first = f->items[i].target;
		if (first == NOWHERE || first > i)
			continue;
		work += i - first;
		if (work > LOOPS_WORK_MAX)
			return;
		answer all = loop_of(f, first, i);
		for (size_t k = first; k <= i && all != ANY; k++) {
			if (depth_of(f, all) > depth_of(f, f->items[k].loop))
				f->items[k].loop = all;
		}
	}
}

/* ---- all ---------------------------------------------------------------------------------------------------- */

static answer answer_of(const struct flow *f, const struct instruction *x)
{
	answer all = meet(f, x->ahead, x->behind);

	if (x->exact != ANY)
		return x->exact;
	if (depth_of(f, x->loop) > depth_of(f, all))
		all = x->loop;
	return all == ANY ? (answer)f->code->n_scopes << 1 | 1 : all;
}

static int collect(const struct flow *f, struct fnp_hotspot_code *code)
{
	FNP_VEC(struct fnp_hotspot_stretch) all = {0};
	int r = 0;

	for (size_t i = 0; i < f->n && r == 0; i++) {
		answer a = answer_of(f, &f->items[i]);
		struct fnp_hotspot_stretch s = {
			.end = f->items[i].start + f->items[i].size, .scope = a >> 1, .is_vague = a & 1};
		struct fnp_hotspot_stretch *last = all.len ? &all.items[all.len - 1] : NULL;

		if (last && last->scope == s.scope && last->is_vague == s.is_vague)
			last->end = s.end;
		else
			r = fnp_vec_push(&all, s);
	}
	if (r < 0) {
		fnp_vec_deinit(&all);
		return r;
	}
	fnp_vec_shrink(&all);
	code->n_stretches = all.len;
	code->stretches = all.items;
	return 0;
}

int fnp_hotspot_flow(struct fnp_hotspot_code *code, const uint8_t *bytes, size_t size)
{
	FNP_CLEANUP(flow_deinit) struct flow f = {.code = code, .size = size};
	unsigned passes = 0;
	int r;

	if (size == 0 || size > CODE_MAX)
		return -EOPNOTSUPP;
	r = place_scopes(&f);
	r = r ?: decode_all(&f, bytes);
	if (r < 0)
		return r;
	set_described(&f);
	set_side_ways(&f);
	f.items[0].behind = (answer)code->n_scopes << 1 | 1;
	while (look_ahead(&f)) {
		if (++passes > PASSES_MAX)
			return -EOPNOTSUPP;
	}
	while (look_behind(&f)) {
		if (++passes > 2 * PASSES_MAX)
			return -EOPNOTSUPP;
	}
	set_loops(&f);
	return collect(&f, code);
}
