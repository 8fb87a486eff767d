/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intervals of addresses are gathered as they come, and painted once, so that each address has one unit.
 */
#include "symbolizer/dwarf_index.h"

#include <dwarf.h>

/* The index while a step of it is made. */
struct indexer {
	struct fnp_dwarf_index *index;
	struct fnp_dwarf_units *units;
	fnp_ranges intervals;
	uint32_t unit; /* offset of the one at work */
};

void fnp_dwarf_index_deinit(struct fnp_dwarf_index *index)
{
	fnp_vec_deinit(&index->units);
}

static int add_interval(void *context, uint64_t low, uint64_t high)
{
	struct indexer *indexer = context;
	struct fnp_dwarf_code code = indexer->index->code;

	if (low < code.start || low >= code.end || high <= low)
		return 0;
	struct fnp_range range = {.start = (uint32_t)(low - code.start),
				  .end = (uint32_t)(FNP_MIN(high, code.end) - code.start),
				  .value = indexer->unit};
	return fnp_vec_push(&indexer->intervals, range);
}

static int finish_index(struct indexer *indexer)
{
	fnp_ranges *intervals = &indexer->intervals;

	if (intervals->len > 0)
		qsort(intervals->items, intervals->len, sizeof(struct fnp_range), fnp_ranges_compare);
	indexer->index->units.len = 0;
	return fnp_ranges_paint(intervals->items, intervals->len, &indexer->index->units);
}

/* One set of .debug_aranges (DWARF 5, 6.1.2): a header with its unit's offset, and {address, length} up to {0, 0}. */
static int read_aranges_set(struct indexer *indexer, struct fnp_cursor *all)
{
	uint64_t start = fnp_cursor_offset(all), address, size;
	size_t before = indexer->intervals.len;
	uint32_t length;
	uint8_t address_size, segment_size;
	struct fnp_cursor c;
	uint16_t version;

	if (fnp_cursor_u32(all, &length) < 0 || length == UINT32_MAX || fnp_cursor_sub(all, length, &c) < 0)
		return -EBADMSG;
	if (fnp_cursor_u16(&c, &version) < 0 || version != 2 || fnp_cursor_u32(&c, &indexer->unit) < 0 ||
	    fnp_cursor_u8(&c, &address_size) < 0 || address_size != 8 || fnp_cursor_u8(&c, &segment_size) < 0 ||
	    segment_size != 0 || fnp_cursor_skip(&c, -(start + 4 + fnp_cursor_offset(&c)) & 15) < 0)
		return 0;
	while (fnp_cursor_u64(&c, &address) == 0 && fnp_cursor_u64(&c, &size) == 0 && (address || size)) {
		int r = add_interval(indexer, address, address + size);
		if (r < 0)
			return r;
	}
	if (indexer->intervals.len == before)
		return 0;
	return fnp_vec_push(&indexer->units->entries, (struct fnp_dwarf_entry){.offset = indexer->unit});
}

static int compare_entries(const void *a, const void *b)
{
	const struct fnp_dwarf_entry *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The quick half of the index: no unit is touched. */
static int index_aranges(struct fnp_dwarf_index *index, struct fnp_dwarf_units *units)
{
	struct fnp_cursor aranges = fnp_dwarf_section(&units->file, FNP_DWARF_ARANGES);
	struct indexer indexer = {.index = index, .units = units};
	size_t kept = 0;
	int r = 0;

	index->has_aranges = true;
	while (r == 0 && aranges.pos < aranges.end)
		r = read_aranges_set(&indexer, &aranges);
	r = r == -EBADMSG ? 0 : r;
	if (r == 0)
		r = finish_index(&indexer);
	fnp_vec_deinit(&indexer.intervals);
	if (units->entries.len > 0)
		qsort(units->entries.items, units->entries.len, sizeof(struct fnp_dwarf_entry),
		      compare_entries);
	for (size_t i = 0; i < units->entries.len; i++) {
		if (kept == 0 || units->entries.items[kept - 1].offset != units->entries.items[i].offset)
			units->entries.items[kept++] = units->entries.items[i];
	}
	units->entries.len = kept;
	return r;
}

static int read_root_ranges(struct indexer *indexer, struct fnp_dwarf_entry *entry)
{
	static const uint16_t names[] = {DW_AT_low_pc, DW_AT_high_pc, DW_AT_ranges};
	struct fnp_cursor c = fnp_dwarf_section(&indexer->units->file, FNP_DWARF_INFO);
	struct fnp_dwarf_value v[3];
	struct fnp_dwarf_die die;
	struct fnp_dwarf_state *state;
	int r = fnp_dwarf_units_open(indexer->units, entry, NULL, &state);

	if (r < 0 || fnp_cursor_seek(&c, state->unit.first_die) < 0 ||
	    fnp_dwarf_die_read(&state->unit, &c, &die) < 0 || !die.abbrev ||
	    fnp_dwarf_die_values(&state->unit, die.abbrev, &c, names, 3, v) < 0)
		return r == -ENOMEM ? r : 0;
	r = fnp_dwarf_ranges(&state->unit, &v[0], &v[1], &v[2], add_interval, indexer);
	return r == -EBADMSG ? 0 : r;
}

static int compare_offsets(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The slow half: the root DIEs of units that .debug_aranges does not have; as a rule it has all, or there is none. */
static int add_roots(struct indexer *indexer, const uint32_t *covered, size_t n_covered)
{
	struct fnp_dwarf_units *units = indexer->units;
	int r = 0;

	for (size_t i = 0; r == 0 && i < units->entries.len; i++) {
		indexer->unit = (uint32_t)units->entries.items[i].offset;
		if (n_covered > 0 &&
		    bsearch(&indexer->unit, covered, n_covered, sizeof(*covered), compare_offsets))
			continue;
		r = read_root_ranges(indexer, &units->entries.items[i]);
		if (units->cost->state_bytes > units->cost->state_bytes_max) {
			fnp_dwarf_units_forget(units);
			units->cost->state_bytes = 0;
		}
	}
	return r == -ETIME ? 0 : r; /* without fuel the index stays as far as it came */
}

static int index_roots(struct fnp_dwarf_index *index, struct fnp_dwarf_units *units)
{
	struct indexer indexer = {.index = index, .units = units};
	size_t n = units->entries.len;
	fnp_autofree uint32_t *covered = malloc((n + 1) * sizeof(*covered));
	int r = covered ? 0 : -ENOMEM;

	index->has_roots = true;
	for (size_t i = 0; r == 0 && i < n; i++)
		covered[i] = (uint32_t)units->entries.items[i].offset;
	if (r == 0)
		r = fnp_dwarf_units_list(units);
	units->cost->read_bytes += units->entries.len * FNP_DWARF_FAULT_BYTES;
	if (r == 0)
		r = fnp_vec_append(&indexer.intervals, index->units.items, index->units.len);
	if (r == 0)
		r = add_roots(&indexer, covered, n);
	if (r == 0)
		r = finish_index(&indexer);
	fnp_vec_deinit(&indexer.intervals);
	return r;
}

int fnp_dwarf_index_find(struct fnp_dwarf_index *index, struct fnp_dwarf_units *units, uint64_t address,
			 struct fnp_dwarf_entry **ret)
{
	uint64_t offset = address - index->code.start;
	struct fnp_dwarf_entry *entry;
	const struct fnp_range *range;
	int r = 0;

	if (!index->has_aranges)
		r = index_aranges(index, units);
	if (r < 0)
		return r;
	range = fnp_ranges_find(index->units.items, index->units.len, offset);
	if (!range && !index->has_roots) {
		r = index_roots(index, units);
		if (r < 0)
			return r;
		range = fnp_ranges_find(index->units.items, index->units.len, offset);
	}
	entry = range ? fnp_dwarf_units_find(units, range->value) : NULL;
	if (!entry || entry->offset != range->value)
		return -ENOENT;
	*ret = entry;
	return 0;
}
