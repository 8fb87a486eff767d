/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_code.h"

#include <errno.h>

#include "symbolizer/code_rules.h"
#include "symbolizer/dynamic.h"
#include "symbolizer/x86_code.h"

#define FUNCTION_ALIGN 16
#define GAPS_BYTES_MAX ((uint64_t)16 << 20) /* of code that is followed in one object */
#define LARGE (4U << 20)		    /* bytes of code in a segment */
#define RELEASE_BYTES (4U << 20)
#define MUCH (1U << 20) /* instructions that one round follows */
#define ROUNDS 5 /* each knows the functions that the one before saw called, and which of them return */

struct gap {
	uint64_t start, end;
};

/* A symbol whose code may only be described in parts. */
struct function {
	uint64_t start, size;
	enum fnp_code_returns returns;
};

struct filler {
	const struct fnp_object *object;
	const struct fnp_rows *rows;
	struct fnp_rows own; /* what is found */
	struct fnp_code_rules *rules;
	FNP_VEC(struct gap) gaps;
	FNP_VEC(struct function) functions; /* sorted, each start once */
	struct fnp_code_found found;
	uint64_t bytes;
	uint64_t released; /* up to this address no code takes our memory */
	size_t fuel;	   /* what there was before the last round */
	bool last;	   /* rows are written in this round */
	bool is_large;
};

static void filler_deinit(struct filler *f)
{
	fnp_rows_deinit(&f->own);
	fnp_code_rules_destroy(f->rules);
	fnp_vec_deinit(&f->gaps);
	fnp_vec_deinit(&f->functions);
	fnp_vec_deinit(&f->found.calls);
	fnp_vec_deinit(&f->found.pointers);
}

/* ---- gaps ---- */

static bool is_padding(const struct fnp_x86 *x, const uint8_t *code)
{
	return (x->map == 0 && (x->opcode == 0x90 || x->opcode == 0xcc)) ||
	       (x->map == 1 && x->opcode == 0x1f) || (code[0] == 0 && code[1] == 0);
}

/* The size of what assemblers fill with most: 0f 1f under any number of prefixes 66 and 2e. 0: something else. */
static size_t long_nop(const uint8_t *code, uint64_t size)
{
	size_t at = 0;
	uint8_t modrm;

	while (at < 11 && at + 3 < size && (code[at] == 0x66 || code[at] == 0x2e))
		at++;
	if (at + 3 >= size || code[at] != 0x0f || code[at + 1] != 0x1f)
		return 0;
	modrm = code[at + 2];
	at += modrm >> 6 == 0 ? 3 : modrm >> 6 == 1 ? 4 : 7;
	at += (modrm & 7) == 4;
	return modrm >> 6 == 3 || (modrm & 0xc7) == 5 || at > size || at > 15 ? 0 : at;
}

/* The first address from `at` on that is no padding; `end` when all is. */
static uint64_t skip_padding(const struct filler *f, uint64_t at, uint64_t end)
{
	const uint8_t *code;
	struct fnp_x86 x;

	if (at >= end || fnp_object_read_address(f->object, at, end - at, &code) < 0)
		return end;
	for (size_t size; at < end; at += size, code += size) {
		size = code[0] == 0x90 || code[0] == 0xcc ? 1 : long_nop(code, end - at);
		if (size > 0)
			continue;
		size = fnp_x86_decode(code, end - at, &x) < 0 ? 0 : x.size;
		if (size < 2 ? code[0] != 0x90 && code[0] != 0xcc && code[0] != 0 : !is_padding(&x, code))
			break;
		size = FNP_MAX(size, 1);
	}
	return at;
}

/*
 * From the end of one function to the multiple of 16 at which the next one begins: padding, which is not looked at in a large
 * object, because there are a hundred thousand of these, and all its code would have to be brought in for them.
 */
static bool is_between_functions(const struct filler *f, uint64_t start, uint64_t end)
{
	return f->is_large && end - start < FUNCTION_ALIGN && start % FUNCTION_ALIGN != 0 &&
	       end % FUNCTION_ALIGN == 0;
}

static int add_gap(struct filler *f, uint64_t start, uint64_t end)
{
	struct gap gap = {.start = start, .end = end};

	if (is_between_functions(f, start, end))
		return 0;
	gap.start = skip_padding(f, start, end);
	/* Between functions there is padding nearly everywhere: all of a program's code is passed here. */
	if (start - f->released > RELEASE_BYTES) {
		fnp_object_release_pages(f->object);
		f->released = start;
	}
	if (gap.start >= end || f->bytes + (end - gap.start) > GAPS_BYTES_MAX)
		return 0;
	f->bytes += end - gap.start;
	return fnp_vec_push(&f->gaps, gap);
}

/* What no row says anything about between two addresses. */
static int add_gaps(struct filler *f, uint64_t start, uint64_t end)
{
	const struct fnp_rows *rows = f->rows;
	size_t low = 0, high = rows->rows.len;
	uint64_t from = start;
	bool covered;
	int r = 0;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (rows->base + rows->rows.items[middle].offset <= start)
			low = middle + 1;
		else
			high = middle;
	}
	covered = low > 0 && rows->rows.items[low - 1].rule != 0;
	for (size_t i = low; r == 0 && i < rows->rows.len; i++) {
		uint64_t at = rows->base + rows->rows.items[i].offset;

		if (at >= end)
			break;
		if (!covered)
			r = add_gap(f, from, at);
		covered = rows->rows.items[i].rule != 0;
		from = at;
	}
	return r == 0 && !covered ? add_gap(f, from, end) : r;
}

static bool is_stubs(const char *name)
{
	return strncmp(name, ".plt", 4) == 0 || strcmp(name, ".iplt") == 0;
}

static int by_start(const void *a, const void *b)
{
	const struct gap *x = a, *y = b; /* struct function begins alike */

	return x->start < y->start ? -1 : x->start > y->start;
}

/* In sections of code; without section headers in segments. */
static int find_gaps(struct filler *f)
{
	size_t n = fnp_object_section_count(f->object), n_segments;
	const struct fnp_segment *segments;
	struct fnp_section section;
	int r = 0;

	n_segments = fnp_object_segments(f->object, &segments);
	for (size_t i = 0; i < n_segments; i++)
		f->is_large |= (segments[i].flags & PF_X) && segments[i].file_size > LARGE;
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (fnp_object_section(f->object, i, &section) < 0 || !(section.flags & SHF_EXECINSTR) ||
		    !section.data || section.size > UINT64_MAX - section.address || is_stubs(section.name))
			continue;
		r = add_gaps(f, section.address, section.address + section.size);
	}
	for (size_t i = 0; r == 0 && n == 0 && i < n_segments; i++) {
		if ((segments[i].flags & PF_X) && segments[i].file_size <= UINT64_MAX - segments[i].address)
			r = add_gaps(f, segments[i].address, segments[i].address + segments[i].file_size);
	}
	if (f->gaps.len > 0)
		qsort(f->gaps.items, f->gaps.len, sizeof(f->gaps.items[0]), by_start);
	return r;
}

/* ---- functions ---- */

/* The number of gaps that begin at or before an address. */
static size_t gaps_up_to(const struct filler *f, uint64_t address)
{
	size_t low = 0, high = f->gaps.len;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (f->gaps.items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool in_gap(const struct filler *f, uint64_t address)
{
	size_t i = gaps_up_to(f, address);

	return i > 0 && address < f->gaps.items[i - 1].end;
}

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
	size_t i = gaps_up_to(f, function->start);

	if (i > 0 && function->start < f->gaps.items[i - 1].end)
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
	fnp_autofree struct between *between = calloc(f->gaps.len + 1, sizeof(*between));
	struct fnp_symbol_source source;
	int r = between ? 0 : -ENOMEM;

	if (r == 0 && fnp_symbol_source_symtab(f->object, &source) == 0)
		r = add_symbols(f, &source, between);
	if (r == 0 && fnp_symbol_source_dynsym(f->object, &source) == 0)
		r = add_symbols(f, &source, between);
	for (size_t i = 0; r == 0 && i <= f->gaps.len; i++) {
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

static enum fnp_code_returns returns(void *self, uint64_t address)
{
	const struct function *function = function_at(self, address);

	return function ? function->returns : FNP_CODE_RETURNS_UNKNOWN;
}

/* ---- following ---- */

/* The rows of what was followed last, from `from` on. */
static int write_rows(struct filler *f, const struct fnp_code *code, uint64_t from, uint64_t end)
{
	size_t offset = 0, size, last = fnp_code_rules_end(f->rules);
	struct fnp_rule rule;
	int r = 0;

	/* What lies behind, to where the next function is known to begin, may be half of the program. */
	for (; r == 0 && offset < last && code->address + offset < end; offset += size) {
		uint64_t at = code->address + offset;
		bool known = fnp_code_rules_at(f->rules, offset, &rule, &size);

		if (at >= from)
			r = known ? fnp_rows_add(&f->own, at, &rule) : fnp_rows_end(&f->own, at);
	}
	return r ?: fnp_rows_end(&f->own, FNP_MIN(end, code->address + offset));
}

/* Follows what begins at `start`; ret_end is where it ends, or where something else may begin, at most `end`. */
static int follow(struct filler *f, const struct gap *gap, uint64_t start, uint64_t end, bool sure,
		  uint64_t *ret_end)
{
	struct fnp_code code = {.address = start, .size = end - start};
	size_t calls = f->found.calls.len, pointers = f->found.pointers.len;
	struct function *function;
	int r;

	*ret_end = end;
	if (fnp_object_read_address(f->object, start, code.size, &code.bytes) < 0)
		return 0;
	r = fnp_code_rules_follow(f->rules, &code, sure, &f->found);
	if (r < 0) {
		f->found.calls.len = calls; /* it may be no function at all */
		f->found.pointers.len = pointers;
		*ret_end = start + fnp_code_rules_next(&code);
		return r == -ENOENT ? 0 : r;
	}
	*ret_end = start + fnp_code_rules_end(f->rules);
	function = function_at(f, start);
	if (function)
		function->returns = fnp_code_rules_returns(f->rules);
	return f->last ? write_rows(f, &code, FNP_MAX(start, gap->start), gap->end) : 0;
}

/* One function behind the other: those that are known, and what lies behind one that was understood. */
static int follow_gap(struct filler *f, const struct gap *gap)
{
	size_t i = functions_up_to(f, gap->start);
	const struct function *before = i > 0 ? &f->functions.items[i - 1] : NULL;
	uint64_t at = gap->start, end, behind;
	int r = 0;

	/* In a function of which only a part is described: what that part does to the stack counts. */
	if (before && before->start < at && before->size > at - before->start) {
		end = before->start + before->size;
		if (i < f->functions.len)
			end = FNP_MIN(end, f->functions.items[i].start);
		r = follow(f, gap, before->start, end, true, &behind);
		at = skip_padding(f, end, gap->end);
	}
	while (r == 0 && at < gap->end) {
		bool sure;

		i = functions_up_to(f, at);
		sure = i > 0 && f->functions.items[i - 1].start == at;
		end = i < f->functions.len ? FNP_MIN(gap->end, f->functions.items[i].start) : gap->end;
		r = follow(f, gap, at, end, sure, &behind);
		at = skip_padding(f, FNP_MIN(behind, end), end);
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

		if (in_gap(f, address) && address % 16 == 0 && is_prologue(f, address) &&
		    fnp_vec_push(&f->found.calls, address) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < f->found.calls.len; i++) {
		struct function function = {.start = f->found.calls.items[i]};

		if (in_gap(f, function.start) && fnp_vec_push(&f->functions, function) < 0)
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
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->gaps.len; i++)
		r = follow_gap(f, &f->gaps.items[i]);
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

int fnp_unwind_code_fill(const struct fnp_object *object, struct fnp_rows *rows)
{
	FNP_CLEANUP(filler_deinit) struct filler f = {.object = object, .rows = rows};
	size_t new = 1;
	int r;

	if (fnp_object_header(object)->e_machine != EM_X86_64)
		return 0;
	r = find_gaps(&f);
	if (r < 0 || f.gaps.len == 0)
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
	return r ?: fnp_rows_fill(rows, &f.own);
}
