/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_code.h"

#include <errno.h>

#include "base/map.h"
#include "symbolizer/code_rules.h"
#include "symbolizer/dynamic.h"
#include "symbolizer/unwind_gaps.h"
#include "symbolizer/x86_code.h"

#define FUNCTION_ALIGN 16
#define MUCH (1U << 20)	      /* instructions that one round follows */
#define AROUND UINT64_C(4096) /* bytes before and behind what was left, into which it may jump */
#define PASSES 3
#define PASSED_MAX 32768
#define ROUNDS 5 /* each knows the functions that the one before saw called, and which of them return */

/* A symbol whose code may only be described in parts. */
struct function {
	uint64_t start, size;
	enum fnp_code_returns returns;
};

struct filler {
	const struct fnp_object *object;
	struct fnp_rows own;   /* what is found */
	struct fnp_rows first; /* what was found before what was left is looked at again */
	struct fnp_code_rules *rules;
	struct fnp_gaps gaps;
	FNP_VEC(struct function) functions; /* sorted, each start once */
	struct fnp_code_found found;
	/* Begins of what nobody names and yet returns as functions do, ascending: of this round, and of the one before. */
	fnp_code_starts understood, understood_before;
	size_t fuel; /* what there was before the last round */
	/*
	 * Where tables lie among the code something else is tried every few bytes, and none of it is a function, in no round:
	 * its address -> where to go on (low half) and what must be the same for that (high half), both from that address on:
	 * `passed`: so many bytes are followed; `passed_here`: just so many are, with as much around as now.
	 */
	struct fnp_map passed, passed_here;
	bool last;	 /* rows are written in this round */
	uint64_t around; /* of what is followed, bytes that are known already: what was left is looked at again */
};

static void filler_deinit(struct filler *f)
{
	fnp_rows_deinit(&f->own);
	fnp_rows_deinit(&f->first);
	fnp_code_rules_destroy(f->rules);
	fnp_gaps_deinit(&f->gaps);
	fnp_vec_deinit(&f->functions);
	fnp_vec_deinit(&f->found.calls);
	fnp_vec_deinit(&f->found.pointers);
	fnp_vec_deinit(&f->understood);
	fnp_vec_deinit(&f->understood_before);
	fnp_map_deinit(&f->passed);
	fnp_map_deinit(&f->passed_here);
}

/* ---- functions ---- */

static void merge(struct function *into, const struct function *other)
{
	into->size = FNP_MAX(into->size, other->size);
	into->returns = FNP_MAX(into->returns, other->returns);
}

/* Of the symbols between two gaps, the last (whose code may reach into the gap) and the first (where it ends). */
struct between {
	struct function first, last;
	bool any;
};

static int add_symbol(struct filler *f, struct between *between, const struct function *function)
{
	size_t i = fnp_gaps_up_to(&f->gaps, function->start);

	if (i > 0 && function->start < f->gaps.items.items[i - 1].end)
		return fnp_vec_push(&f->functions, *function);
	between += i;
	if (!between->any || function->start < between->first.start)
		between->first = *function;
	if (!between->any || function->start > between->last.start)
		between->last = *function;
	else if (function->start == between->last.start)
		merge(&between->last, function);
	between->any = true;
	return 0;
}

static int add_symbols(struct filler *f, const struct fnp_symbol_source *source, struct between *between)
{
	for (size_t i = 0; i < source->n_symbols; i++) {
		struct function function;
		Elf64_Sym symbol;
		uint8_t type;

		memcpy(&symbol, source->symbols + i * sizeof(symbol), sizeof(symbol));
		type = ELF64_ST_TYPE(symbol.st_info);
		function = (struct function){.start = symbol.st_value, .size = symbol.st_size};
		if (symbol.st_shndx == SHN_UNDEF || function.size > UINT64_MAX - function.start ||
		    !(type == STT_FUNC || type == STT_GNU_IFUNC ||
		      (type == STT_NOTYPE && ELF64_ST_BIND(symbol.st_info) == STB_GLOBAL)))
			continue;
		if (add_symbol(f, between, &function) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Sorted, each start once; of several sizes the largest. */
static void put_in_order(struct filler *f)
{
	size_t n = 0;

	if (f->functions.len > 0)
		qsort(f->functions.items, f->functions.len, sizeof(f->functions.items[0]), by_start);
	for (size_t i = 0; i < f->functions.len; i++) {
		struct function function = f->functions.items[i];

		if (n > 0 && f->functions.items[n - 1].start == function.start)
			merge(&f->functions.items[n - 1], &function);
		else
			f->functions.items[n++] = function;
	}
	f->functions.len = n;
}

/* Those in gaps and next to them: the others are described, and there may be very many. */
static int find_functions(struct filler *f)
{
	fnp_autofree struct between *between = calloc(f->gaps.items.len + 1, sizeof(*between));
	struct fnp_symbol_source source;
	int r = between ? 0 : -ENOMEM;

	if (r == 0 && fnp_symbol_source_symtab(f->object, &source) == 0)
		r = add_symbols(f, &source, between);
	if (r == 0 && fnp_symbol_source_dynsym(f->object, &source) == 0)
		r = add_symbols(f, &source, between);
	for (size_t i = 0; r == 0 && i <= f->gaps.items.len; i++) {
		if (between[i].any)
			r = fnp_vec_push(&f->functions, between[i].first);
		if (r == 0 && between[i].any)
			r = fnp_vec_push(&f->functions, between[i].last);
	}
	put_in_order(f);
	return r;
}

/* The number of functions that begin at or before an address. */
static size_t functions_up_to(const struct filler *f, uint64_t address)
{
	size_t low = 0, high = f->functions.len;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (f->functions.items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct function *function_at(const struct filler *f, uint64_t address)
{
	size_t i = functions_up_to(f, address);

	return i > 0 && f->functions.items[i - 1].start == address ? &f->functions.items[i - 1] : NULL;
}

static bool was_understood(const struct filler *f, uint64_t address)
{
	const fnp_code_starts *starts = &f->understood_before;
	size_t low = 0, high = starts->len;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (starts->items[middle] < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < starts->len && starts->items[low] == address;
}

/* In code that was followed, with the stack as it is at a function's begin: a call to there returns as that code does. */
static bool is_inside(const struct filler *f, uint64_t address)
{
	const struct fnp_rule *rule = f->around > 0 ? fnp_rows_rule_at(&f->first, address) : NULL;

	return rule && rule->cfa_kind == FNP_CFA_REG && rule->cfa_reg == FNP_REG_SP &&
	       rule->cfa_offset == 8 && rule->saved == (FNP_SAVED_SAME | FNP_SAVED_AT_CFA << 4);
}

static enum fnp_code_returns returns(void *self, uint64_t address)
{
	const struct function *function = function_at(self, address);

	if (function && function->returns != FNP_CODE_RETURNS_UNKNOWN)
		return function->returns;
	return was_understood(self, address) || is_inside(self, address) ? FNP_CODE_RETURNS
									 : FNP_CODE_RETURNS_UNKNOWN;
}

/* ---- following ---- */

/* The rows of what was followed last, from `from` on; ret_end is where they end. */
static int write_rows(struct filler *f, const struct fnp_code *code, uint64_t from, uint64_t end,
		      uint64_t *ret_end)
{
	size_t offset = 0, size, last = fnp_code_rules_end(f->rules);
	struct fnp_rule rule;
	int r = 0;

	/* What lies behind, to where the next function is known to begin, may be half of the program. */
	for (; r == 0 && offset < last && code->address + offset < end; offset += size) {
		uint64_t at = code->address + offset;
		bool known = fnp_code_rules_at(f->rules, offset, &rule, &size);

		if (at < from)
			continue;
		r = known ? fnp_rows_add(&f->own, at, &rule) : fnp_rows_end(&f->own, at);
		if (known)
			*ret_end = FNP_MIN(end, at + size);
	}
	return r ?: fnp_rows_end(&f->own, FNP_MIN(end, code->address + offset));
}

/* How many bytes of those before an address, or behind it, are there: near the end of a segment fewer than are asked for. */
static uint64_t readable(const struct filler *f, uint64_t address, bool before)
{
	uint64_t n = before ? FNP_MIN(f->around, address) : f->around;
	const uint8_t *code;

	while (n > 0 && fnp_object_read_address(f->object, before ? address - n : address, n, &code) < 0)
		n /= 2;
	return n;
}

/* The code of what begins at `start`, and as much around it as is asked for and there. */
static bool read_code(const struct filler *f, uint64_t start, uint64_t end, struct fnp_code *ret)
{
	uint64_t before = readable(f, start, true), behind = readable(f, end, false);

	*ret = (struct fnp_code){
		.address = start - before, .size = before + (end - start) + behind, .entry = before};
	return fnp_object_read_address(f->object, ret->address, ret->size, &ret->bytes) == 0;
}

/* Where something may begin behind what is no function. */
static uint64_t next_begin(const struct fnp_code *code)
{
	struct fnp_code own = {.bytes = code->bytes + code->entry,
			       .address = code->address + code->entry,
			       .size = code->size - code->entry};

	return own.address + fnp_code_rules_next(&own);
}

/* Remembers that what lies at `at` is no function, and that something may begin at `next`. */
static int remember(struct filler *f, uint64_t at, uint64_t next, uint64_t end, size_t looked_at)
{
	/* Of what is behind the end nothing is known: there the padding may go on, or an instruction. */
	uint64_t told = FNP_MAX(looked_at, next - at + FNP_X86_SIZE_MAX);
	bool always = told <= end - at;
	struct fnp_map *map = always ? &f->passed : &f->passed_here;

	if (end - at > UINT32_MAX || map->len >= PASSED_MAX)
		return 0;
	return fnp_map_set(map, at, (always ? told : end - at) << 32 | (next - at));
}

static bool was_passed(const struct filler *f, uint64_t at, uint64_t end, uint64_t *ret_next)
{
	const uint64_t *always = fnp_map_find(&f->passed, at), *here;

	if (always && *always >> 32 <= end - at) {
		*ret_next = at + (uint32_t)*always;
		return true;
	}
	here = fnp_map_find(&f->passed_here, at);
	if (!here || *here >> 32 != end - at)
		return false;
	*ret_next = at + (uint32_t)*here;
	return true;
}

/* Follows what begins at `start`; ret_end is where it ends, or where something else may begin, at most `end`. */
static int follow(struct filler *f, const struct fnp_gap *gap, uint64_t start, uint64_t end, bool sure,
		  uint64_t *ret_end)
{
	size_t calls = f->found.calls.len, pointers = f->found.pointers.len;
	struct function *function;
	struct fnp_code code;
	int r;

	*ret_end = end;
	if (!read_code(f, start, end, &code))
		return 0;
	r = fnp_code_rules_follow(f->rules, &code, sure, &f->found);
	if (r < 0) {
		f->found.calls.len = calls; /* it may be no function at all */
		f->found.pointers.len = pointers;
		*ret_end = next_begin(&code);
		return r == -ENOENT ? 0 : r;
	}
	*ret_end = code.address + fnp_code_rules_end(f->rules);
	if (!sure && fnp_vec_push(&f->understood, start) < 0)
		return -ENOMEM;
	function = function_at(f, start);
	if (function)
		function->returns = fnp_code_rules_returns(f->rules);
	if (!f->last)
		return 0;
	if (f->around > 0)
		*ret_end = next_begin(&code);
	return write_rows(f, &code, FNP_MAX(start, gap->start), gap->end, f->around > 0 ? ret_end : &end);
}

/* In a function of which only a part is described: what that part does to the stack counts. */
static int follow_rest(struct filler *f, const struct fnp_gap *gap, uint64_t *ret_end)
{
	size_t i = functions_up_to(f, gap->start);
	const struct function *before = i > 0 ? &f->functions.items[i - 1] : NULL;
	uint64_t end, behind;
	int r;

	if (!before || before->start >= gap->start || before->size <= gap->start - before->start)
		return 0;
	end = before->start + before->size;
	if (i < f->functions.len)
		end = FNP_MIN(end, f->functions.items[i].start);
	r = follow(f, gap, before->start, end, true, &behind);
	*ret_end = fnp_gaps_skip_padding(&f->gaps, end, gap->end);
	return r;
}

/* Follows what may begin at an address; ret_next is where the next one may. */
static int follow_at(struct filler *f, const struct fnp_gap *gap, uint64_t at, uint64_t end, bool sure,
		     uint64_t *ret_next)
{
	bool begins = f->around == 0 || at % FUNCTION_ALIGN == 0;
	size_t looked_at = SIZE_MAX;
	uint64_t behind = end;
	struct fnp_code code;
	int r = 0;

	if (begins)
		r = follow(f, gap, at, end, sure, &behind);
	else if (read_code(f, at, end, &code))
		behind = next_begin(&code);
	*ret_next = fnp_gaps_skip_padding(&f->gaps, FNP_MIN(behind, end), end);
	if (r < 0 || (begins && (sure || !fnp_code_rules_refused(f->rules, &looked_at))))
		return r;
	return remember(f, at, *ret_next, end, looked_at);
}

/* One function behind the other: those that are known, and what lies behind one that was understood. */
static int follow_gap(struct filler *f, const struct fnp_gap *gap)
{
	uint64_t at = gap->start, end, next;
	int r = f->around > 0 ? 0 : follow_rest(f, gap, &at);

	while (r == 0 && at < gap->end) {
		size_t i = functions_up_to(f, at);
		bool sure = i > 0 && f->functions.items[i - 1].start == at;

		end = i < f->functions.len ? FNP_MIN(gap->end, f->functions.items[i].start) : gap->end;
		if (sure || !was_passed(f, at, end, &next))
			r = follow_at(f, gap, at, end, sure, &next);
		at = next;
	}
	return r;
}

/* What a compiler lets a function begin with that calls others: endbr64, push, sub rsp. */
static bool is_prologue(const struct filler *f, uint64_t address)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	const uint8_t *code;

	if (fnp_object_read_address(f->object, address, 4, &code) < 0)
		return false;
	if (memcmp(code, endbr64, sizeof(endbr64)) == 0)
		return true;
	if (code[0] == 0x41)
		code++;
	return (code[0] & 0xf8) == 0x50 ||
	       (code[0] == 0x48 && (code[1] == 0x83 || code[1] == 0x81) && code[2] == 0xec);
}

/* Takes what was seen called, or to be pointed to, as functions; ret: how many are new. */
static int take_found(struct filler *f, size_t *ret)
{
	size_t before = f->functions.len;

	for (size_t i = 0; i < f->found.pointers.len; i++) {
		uint64_t address = f->found.pointers.items[i];

		if (fnp_gaps_have(&f->gaps, address) && address % 16 == 0 && is_prologue(f, address) &&
		    fnp_vec_push(&f->found.calls, address) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < f->found.calls.len; i++) {
		struct function function = {.start = f->found.calls.items[i]};

		if (fnp_gaps_have(&f->gaps, function.start) && fnp_vec_push(&f->functions, function) < 0)
			return -ENOMEM;
	}
	f->found.calls.len = f->found.pointers.len = 0;
	if (f->functions.len > before)
		put_in_order(f);
	*ret = f->functions.len - before;
	return 0;
}

static int follow_gaps(struct filler *f)
{
	__typeof__(f->understood) before = f->understood_before;
	int r = 0;

	f->understood_before = f->understood;
	f->understood = before;
	f->understood.len = 0;
	for (size_t i = 0; r == 0 && i < f->gaps.items.len; i++)
		r = follow_gap(f, &f->gaps.items.items[i]);
	return r;
}

/*
 * Another round before that in which rows are written? `new` is what the last one brought up. Each takes as long as the one
 * before, so of very much code the last few functions are not asked for, and the fuel is kept for the rows.
 */
static bool is_worth_it(const struct filler *f, int round, size_t new)
{
	size_t left = fnp_code_rules_fuel(f->rules), used = round > 0 ? f->fuel - left : 0;

	if (round >= ROUNDS || (round >= 3 && new == 0) || left / 5 < used / 2)
		return false;
	return used < MUCH || new > f->functions.len / 8;
}

/*
 * What has no rule although code before or behind it has: functions that share their tails by jumps to them. The way to a
 * return leads through code that is known, and it is followed together with that.
 */
static int follow_left(struct filler *f, struct fnp_rows *rows)
{
	int r = fnp_gaps_find_left(&f->gaps);

	if (f->around == 0)
		f->first = f->own;
	else
		fnp_rows_deinit(&f->own);
	f->own = (struct fnp_rows){0};
	if (f->around != AROUND)
		fnp_map_deinit(&f->passed_here);
	f->around = AROUND;
	r = r ?: fnp_rows_init(&f->own, rows->base);
	r = r ?: follow_gaps(f);
	return r ?: fnp_rows_fill(rows, &f->own);
}

int fnp_unwind_code_fill(const struct fnp_object *object, struct fnp_rows *rows)
{
	FNP_CLEANUP(filler_deinit)
	struct filler f = {.object = object, .gaps = {.object = object, .rows = rows}};
	size_t new = 1;
	int r;

	if (fnp_object_header(object)->e_machine != EM_X86_64)
		return 0;
	r = fnp_gaps_find(&f.gaps);
	if (r < 0 || f.gaps.items.len == 0)
		return r;
	r = find_functions(&f);
	r = r ?: fnp_rows_init(&f.own, rows->base);
	r = r ?: fnp_code_rules_create(returns, &f, &f.rules);
	for (int round = 0; r == 0 && is_worth_it(&f, round, new); round++) {
		f.fuel = fnp_code_rules_fuel(f.rules);
		r = follow_gaps(&f);
		r = r ?: take_found(&f, &new);
	}
	f.last = true;
	r = r ?: follow_gaps(&f);
	r = r ?: fnp_rows_fill(rows, &f.own);
	for (int pass = 0; r == 0 && pass < PASSES && f.own.rows.len > 0; pass++)
		r = follow_left(&f, rows);
	return r;
}
