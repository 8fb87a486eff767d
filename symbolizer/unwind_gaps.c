/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_gaps.h"

#include "symbolizer/x86_code.h"

#define FUNCTION_ALIGN 16
#define GAPS_BYTES_MAX ((uint64_t)16 << 20) /* of code that is followed in one object */
#define RELEASE_BYTES (4U << 20)

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

uint64_t fnp_gaps_skip_padding(const struct fnp_gaps *gaps, uint64_t at, uint64_t end)
{
	const uint8_t *code;
	struct fnp_x86 x;

	if (at >= end || fnp_object_read_address(gaps->object, at, end - at, &code) < 0)
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
static bool is_between_functions(const struct fnp_gaps *gaps, uint64_t start, uint64_t end)
{
	return gaps->has_much_code && end - start < FUNCTION_ALIGN && start % FUNCTION_ALIGN != 0 &&
	       end % FUNCTION_ALIGN == 0;
}

static int add_gap(struct fnp_gaps *gaps, uint64_t start, uint64_t end)
{
	struct fnp_gap gap = {.start = start, .end = end};

	if (is_between_functions(gaps, start, end))
		return 0;
	gap.start = fnp_gaps_skip_padding(gaps, start, end);
	/* Between functions there is padding nearly everywhere: all of a program's code is passed here. */
	if (start - gaps->released > RELEASE_BYTES) {
		fnp_object_release_pages(gaps->object);
		gaps->released = start;
	}
	if (gap.start >= end || gaps->bytes + (end - gap.start) > GAPS_BYTES_MAX)
		return 0;
	gaps->bytes += end - gap.start;
	return fnp_vec_push(&gaps->items, gap);
}

/* What no row says anything about between two addresses. */
static int add_gaps(struct fnp_gaps *gaps, uint64_t start, uint64_t end)
{
	const struct fnp_rows *rows = gaps->rows;
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
			r = add_gap(gaps, from, at);
		covered = rows->rows.items[i].rule != 0;
		from = at;
	}
	return r == 0 && !covered ? add_gap(gaps, from, end) : r;
}

static bool is_stubs(const char *name)
{
	return strncmp(name, ".plt", 4) == 0 || strcmp(name, ".iplt") == 0;
}

static int by_start(const void *a, const void *b)
{
	const struct fnp_gap *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* In sections of code; without section headers in segments. */
int fnp_gaps_find(struct fnp_gaps *gaps)
{
	size_t n = fnp_object_section_count(gaps->object), n_segments;
	const struct fnp_segment *segments;
	struct fnp_section section;
	int r = 0;

	n_segments = fnp_object_segments(gaps->object, &segments);
	gaps->has_much_code = fnp_object_has_much_code(gaps->object);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (fnp_object_section(gaps->object, i, &section) < 0 || !(section.flags & SHF_EXECINSTR) ||
		    !section.data || section.size > UINT64_MAX - section.address || is_stubs(section.name))
			continue;
		r = add_gaps(gaps, section.address, section.address + section.size);
	}
	for (size_t i = 0; r == 0 && n == 0 && i < n_segments; i++) {
		if ((segments[i].flags & PF_X) && segments[i].file_size <= UINT64_MAX - segments[i].address)
			r = add_gaps(gaps, segments[i].address, segments[i].address + segments[i].file_size);
	}
	if (gaps->items.len > 0)
		qsort(gaps->items.items, gaps->items.len, sizeof(gaps->items.items[0]), by_start);
	return r;
}

size_t fnp_gaps_up_to(const struct fnp_gaps *gaps, uint64_t address)
{
	size_t low = 0, high = gaps->items.len;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (gaps->items.items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool fnp_gaps_have(const struct fnp_gaps *gaps, uint64_t address)
{
	size_t i = fnp_gaps_up_to(gaps, address);

	return i > 0 && address < gaps->items.items[i - 1].end;
}

int fnp_gaps_find_left(struct fnp_gaps *gaps)
{
	__typeof__(gaps->items) before = gaps->items;
	int r = 0;

	gaps->items = (__typeof__(gaps->items)){0};
	gaps->bytes = 0;
	gaps->released = before.len > 0 ? before.items[0].start : 0;
	for (size_t i = 0; r == 0 && i < before.len; i++)
		r = add_gaps(gaps, before.items[i].start, before.items[i].end);
	fnp_vec_deinit(&before);
	return r;
}

void fnp_gaps_deinit(struct fnp_gaps *gaps)
{
	fnp_vec_deinit(&gaps->items);
}
