/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_rows.h"

#include <errno.h>

#include "symbolizer/unwind_cfi.h"

#define RULES_MAX 65534 /* numbers have 16 bits; the last one stands for rules without a number */
#define PAGE_SHIFT_MIN 8
#define PAGE_SHIFT_MAX 16

static const struct fnp_rule no_rule = {.cfa_kind = FNP_CFA_NONE};
static const struct fnp_rule not_expressible = {.cfa_kind = FNP_CFA_EXPRESSION};

int fnp_rows_init(struct fnp_rows *rows, uint64_t base)
{
	*rows = (struct fnp_rows){.base = base, .n_slots = 1024};
	rows->slots = calloc(rows->n_slots, sizeof(*rows->slots));
	if (!rows->slots || fnp_vec_push(&rows->rules, no_rule) < 0) {
		fnp_rows_deinit(rows);
		return -ENOMEM;
	}
	return 0;
}

void fnp_rows_deinit(struct fnp_rows *rows)
{
	fnp_vec_deinit(&rows->rows);
	fnp_vec_deinit(&rows->rules);
	free(rows->slots);
	rows->slots = NULL;
	rows->n_slots = 0;
}

static uint64_t hash_of(const struct fnp_rule *rule)
{
	uint64_t words[2];

	memcpy(words, rule, sizeof(words));
	words[0] = (words[0] ^ words[1] * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xff51afd7ed558ccd);
	return words[0] ^ words[0] >> 32;
}

static uint32_t *slot_of(const struct fnp_rows *rows, const struct fnp_rule *rule)
{
	size_t at = hash_of(rule) & (rows->n_slots - 1);

	while (rows->slots[at] && !fnp_rule_is(&rows->rules.items[rows->slots[at] - 1], rule))
		at = (at + 1) & (rows->n_slots - 1);
	return &rows->slots[at];
}

static int grow_slots(struct fnp_rows *rows)
{
	fnp_autofree uint32_t *old = rows->slots;
	size_t n = rows->n_slots * 2;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots) {
		TAKE_PTR(old);
		return -ENOMEM;
	}
	rows->slots = slots;
	rows->n_slots = n;
	for (uint32_t i = 0; i < rows->rules.len; i++)
		*slot_of(rows, &rows->rules.items[i]) = i + 1;
	return 0;
}

static int rule_number(struct fnp_rows *rows, const struct fnp_rule *rule, uint32_t *ret)
{
	uint32_t *slot;

	if (fnp_rule_is(rule, &rows->rules.items[rows->last_rule])) {
		*ret = rows->last_rule;
		return 0;
	}
	if (rule->cfa_kind == FNP_CFA_NONE) {
		*ret = 0;
		return 0;
	}
	if (rows->rules.len * 2 > rows->n_slots && grow_slots(rows) < 0)
		return -ENOMEM;
	slot = slot_of(rows, rule);
	if (!*slot && rows->rules.len >= RULES_MAX && !fnp_rule_is(rule, &not_expressible)) {
		rows->degraded++;
		return rule_number(rows, &not_expressible, ret);
	}
	if (!*slot) {
		if (fnp_vec_push(&rows->rules, *rule) < 0)
			return -ENOMEM;
		*slot = (uint32_t)rows->rules.len;
	}
	rows->last_rule = *ret = *slot - 1;
	return 0;
}

int fnp_rows_add(struct fnp_rows *rows, uint64_t address, const struct fnp_rule *rule)
{
	struct fnp_row row = {0}, *last = rows->rows.len ? &rows->rows.items[rows->rows.len - 1] : NULL;
	int r;

	if (address < rows->base || address - rows->base > FNP_ROWS_SPAN_MAX) {
		rows->too_far++;
		return 0;
	}
	row.offset = (uint32_t)(address - rows->base);
	r = rule_number(rows, rule, &row.rule);
	if (r < 0)
		return r;
	/* Segments that overlap show the same code twice. */
	if (last && row.offset < last->offset)
		return 0;
	if (last && last->offset == row.offset) {
		/* The row before may now say the same. */
		rows->rows.len--;
		last = rows->rows.len ? last - 1 : NULL;
	}
	if (last ? last->rule == row.rule : row.rule == 0)
		return 0;
	return fnp_vec_push(&rows->rows, row);
}

int fnp_rows_end(struct fnp_rows *rows, uint64_t address)
{
	return fnp_rows_add(rows, address, &no_rule);
}

/* The first row that begins at or after an offset. */
static size_t row_from(const struct fnp_rows *rows, uint64_t offset)
{
	size_t low = 0, high = rows->rows.len;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (rows->rows.items[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct fnp_rule *fnp_rows_rule_at(const struct fnp_rows *rows, uint64_t address)
{
	size_t i;

	if (address < rows->base)
		return NULL;
	i = row_from(rows, address - rows->base + 1);
	return i == 0 || rows->rows.items[i - 1].rule == 0 ? NULL
							   : &rows->rules.items[rows->rows.items[i - 1].rule];
}

int fnp_rows_overlay(struct fnp_rows *rows, uint64_t start, uint64_t end, const struct fnp_rule *rule)
{
	struct fnp_row new[2];
	size_t first, behind;
	uint32_t number;
	int r;

	if (start < rows->base || end <= start || end - rows->base > FNP_ROWS_SPAN_MAX)
		return 0;
	r = rule_number(rows, rule, &number);
	r = r ?: fnp_vec_reserve(&rows->rows, rows->rows.len + 2);
	if (r < 0)
		return r;
	first = row_from(rows, start - rows->base);
	behind = row_from(rows, end - rows->base + 1);
	new[0] = (struct fnp_row){.offset = (uint32_t)(start - rows->base), .rule = number};
	new[1] = (struct fnp_row){.offset = (uint32_t)(end - rows->base),
				  .rule = behind > 0 ? rows->rows.items[behind - 1].rule : 0};
	memmove(&rows->rows.items[first + 2], &rows->rows.items[behind],
		(rows->rows.len - behind) * sizeof(new[0]));
	memcpy(&rows->rows.items[first], new, sizeof(new));
	rows->rows.len = rows->rows.len - (behind - first) + 2;
	return 0;
}

/* Adds a row behind the others, unless it says what the last one says. */
static int append_row(struct fnp_rows *rows, uint32_t offset, uint32_t rule)
{
	struct fnp_row row = {.offset = offset, .rule = rule};
	uint32_t last = rows->rows.len ? rows->rows.items[rows->rows.len - 1].rule : 0;

	return rule == last ? 0 : fnp_vec_push(&rows->rows, row);
}

/* The number of rows from `first` on that begin before an offset. */
static size_t rows_before(const struct fnp_row *first, size_t n, uint32_t offset)
{
	size_t i = 0;

	while (i < n && first[i].offset < offset)
		i++;
	return i;
}

int fnp_rows_fill(struct fnp_rows *rows, const struct fnp_rows *other)
{
	__typeof__(rows->rows) own = rows->rows;
	uint32_t here = 0, there = 0, offset;
	size_t i = 0, k = 0;
	int r = 0;

	if (other->rows.len == 0)
		return 0;
	rows->rows = (__typeof__(rows->rows)){0};
	r = fnp_vec_reserve(&rows->rows, own.len + 2 * other->rows.len);
	while (r == 0 && (i < own.len || k < other->rows.len)) {
		offset = FNP_MIN(i < own.len ? own.items[i].offset : UINT32_MAX,
				 k < other->rows.len ? other->rows.items[k].offset : UINT32_MAX);
		if (i < own.len && own.items[i].offset == offset)
			here = own.items[i++].rule;
		if (k < other->rows.len && other->rows.items[k].offset == offset) {
			r = rule_number(rows, &other->rules.items[other->rows.items[k].rule], &there);
			k++;
		}
		r = r ?: append_row(rows, offset, here ? here : there);
		if (r == 0 && there == 0 && i < own.len) {
			/* Where the other says nothing, these rows stand as they are: most of them. */
			size_t n = rows_before(own.items + i, own.len - i,
					       k < other->rows.len ? other->rows.items[k].offset : UINT32_MAX);

			if (n == 0)
				continue;
			r = fnp_vec_reserve(&rows->rows, rows->rows.len + n);
			if (r < 0)
				break;
			memcpy(rows->rows.items + rows->rows.len, own.items + i, n * sizeof(own.items[0]));
			rows->rows.len += n;
			i += n;
			here = own.items[i - 1].rule;
		}
	}
	fnp_vec_deinit(&own);
	return r;
}

struct used_rule {
	uint32_t count, old;
};

static int by_use(const void *a, const void *b)
{
	const struct used_rule *x = a, *y = b;

	if (x->old == 0 || y->old == 0) /* the missing rule keeps number 0 */
		return x->old == 0 ? -(y->old != 0) : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->old < y->old ? -1 : x->old > y->old;
}

/* Numbers rules by how often rows name them; rules that no row names are dropped. */
static int renumber(struct fnp_rows *rows)
{
	fnp_autofree struct used_rule *used = calloc(rows->rules.len, sizeof(*used));
	fnp_autofree uint32_t *number = calloc(rows->rules.len, sizeof(*number));
	fnp_autofree struct fnp_rule *rules = calloc(rows->rules.len, sizeof(*rules));
	size_t n;

	if (!used || !number || !rules)
		return -ENOMEM;
	for (uint32_t i = 0; i < rows->rules.len; i++)
		used[i].old = i;
	for (size_t i = 0; i < rows->rows.len; i++)
		used[rows->rows.items[i].rule].count++;
	qsort(used, rows->rules.len, sizeof(*used), by_use);
	for (n = 0; n < rows->rules.len && (n == 0 || used[n].count > 0); n++) {
		number[used[n].old] = (uint32_t)n;
		rules[n] = rows->rules.items[used[n].old];
	}
	for (size_t i = 0; i < rows->rows.len; i++)
		rows->rows.items[i].rule = number[rows->rows.items[i].rule];
	memcpy(rows->rules.items, rules, n * sizeof(*rules));
	rows->rules.len = n;
	return 0;
}

/* How many of the rows from `first` on one block takes, and in which form. */
static size_t block_rows(const struct fnp_row *rows, size_t n, bool *ret_wide)
{
	size_t narrow = 0, wide = 0;

	while (narrow < n && narrow < FNP_BLOCK_NARROW && rows[narrow].rule <= UINT8_MAX &&
	       rows[narrow].offset - rows[0].offset <= FNP_BLOCK_DISTANCE_MAX)
		narrow++;
	if (narrow == n || narrow >= FNP_BLOCK_WIDE) {
		*ret_wide = false;
		return narrow;
	}
	while (wide < n && wide < FNP_BLOCK_WIDE && rows[wide].offset - rows[0].offset <= FNP_BLOCK_DISTANCE_MAX)
		wide++;
	*ret_wide = wide > narrow;
	return FNP_MAX(wide, narrow);
}

static void fill_block(struct fnp_block *block, const struct fnp_row *rows, size_t n, bool wide)
{
	memset(block, 0, sizeof(*block));
	block->base = rows[0].offset | (wide ? FNP_BLOCK_IS_WIDE : 0);
	memset(wide ? block->wide.distance : block->narrow.distance, 0xff,
	       wide ? sizeof(block->wide.distance) : sizeof(block->narrow.distance));
	for (size_t i = 0; i < n; i++) {
		uint16_t distance = (uint16_t)(rows[i].offset - rows[0].offset);

		if (wide) {
			block->wide.distance[i] = distance;
			block->wide.rule[i] = (uint16_t)rows[i].rule;
		} else {
			block->narrow.distance[i] = distance;
			block->narrow.rule[i] = (uint8_t)rows[i].rule;
		}
	}
}

typedef FNP_VEC(struct fnp_block) block_vec;

static int make_blocks(const struct fnp_rows *rows, block_vec *ret)
{
	struct fnp_block block;

	for (size_t i = 0; i < rows->rows.len;) {
		bool wide;
		size_t n = block_rows(&rows->rows.items[i], rows->rows.len - i, &wide);

		fill_block(&block, &rows->rows.items[i], n, wide);
		if (fnp_vec_push(ret, block) < 0)
			return -ENOMEM;
		i += n;
	}
	return 0;
}

static uint16_t choose_page_shift(uint32_t span, size_t n_blocks)
{
	uint16_t shift = PAGE_SHIFT_MIN;

	while (shift < PAGE_SHIFT_MAX && span >> shift > n_blocks)
		shift++;
	return shift;
}

static void fill_index(const block_vec *blocks, const struct fnp_table *table, uint32_t *index)
{
	size_t block = 0;

	for (uint32_t page = 0; page <= table->pages; page++) {
		uint64_t offset = (uint64_t)page << table->page_shift;

		while (block + 1 < blocks->len && (blocks->items[block + 1].base & ~FNP_BLOCK_IS_WIDE) <= offset)
			block++;
		index[page] = (uint32_t)block;
	}
}

int fnp_rows_pack(struct fnp_rows *rows, struct fnp_table *ret_table, struct fnp_block **ret_lines,
		  size_t *ret_n_lines)
{
	FNP_CLEANUP(fnp_freep) struct fnp_block *lines = NULL;
	struct fnp_row none = {0};
	struct fnp_table table = {.base = rows->base};
	block_vec blocks = {0};
	uint32_t last;
	int r;

	r = rows->rows.len == 0 || rows->rows.items[0].offset != 0 ? fnp_vec_push(&rows->rows, none) : 0;
	if (r < 0)
		return r;
	if (rows->rows.len > 1 && rows->rows.items[0].offset != 0) {
		memmove(&rows->rows.items[1], &rows->rows.items[0], (rows->rows.len - 1) * sizeof(none));
		rows->rows.items[0] = none;
	}
	r = renumber(rows);
	if (r == 0)
		r = make_blocks(rows, &blocks);
	if (r == 0) {
		last = rows->rows.items[rows->rows.len - 1].offset;
		table.page_shift = choose_page_shift(last, blocks.len);
		table.pages = (last >> table.page_shift) + 1;
		table.n_rules = (uint16_t)rows->rules.len;
		table.blocks = (table.pages + 1 + 15) / 16;
		table.rules = table.blocks + (uint32_t)blocks.len;
		*ret_n_lines = table.rules + (rows->rules.len + 3) / 4;
		lines = aligned_alloc(FNP_BLOCK_BYTES, *ret_n_lines * FNP_BLOCK_BYTES);
		r = lines ? 0 : -ENOMEM;
	}
	if (r == 0) {
		memset(lines, 0, *ret_n_lines * FNP_BLOCK_BYTES);
		fill_index(&blocks, &table, (uint32_t *)lines);
		memcpy(lines + table.blocks, blocks.items, blocks.len * sizeof(*lines));
		memcpy(lines + table.rules, rows->rules.items, rows->rules.len * sizeof(struct fnp_rule));
		*ret_table = table;
		*ret_lines = TAKE_PTR(lines);
	}
	fnp_vec_deinit(&blocks);
	return r;
}
