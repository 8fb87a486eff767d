/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both readers go through DIEs in the order of the file, with a depth in place of recursion. Most of a C or C++ unit
 * describes types, which have no code, and the insides of functions; these subtrees are passed over by DW_AT_sibling.
 * (Methods of a class that is local to a function may have their code inside the function's subtree: reading deep
 * finds them.)
 */
#include "symbolizer/dwarf_function.h"

#include <dwarf.h>

struct scan {
	const struct fnp_dwarf_unit *unit;
	struct fnp_dwarf_code code;
	bool deep;
	fnp_ranges intervals;
	uint32_t die; /* the function's, from the unit's start */
};

static int add_interval(void *context, uint64_t low, uint64_t high)
{
	struct scan *scan = context;

	if (low < scan->code.start || low >= scan->code.end)
		return 0;
	struct fnp_range range = {.start = (uint32_t)(low - scan->code.start),
				  .end = (uint32_t)(FNP_MIN(high, scan->code.end) - scan->code.start),
				  .value = scan->die};
	return fnp_vec_push(&scan->intervals, range);
}

static int add_function(struct scan *scan, const struct fnp_dwarf_die *die, struct fnp_cursor *c)
{
	static const uint16_t names[] = {DW_AT_low_pc, DW_AT_high_pc, DW_AT_ranges};
	struct fnp_dwarf_value v[3];
	int r = fnp_dwarf_die_values(scan->unit, die->abbrev, c, names, 3, v);

	if (r < 0)
		return r;
	scan->die = (uint32_t)(die->offset - scan->unit->offset);
	r = fnp_dwarf_ranges(scan->unit, &v[0], &v[1], &v[2], add_interval, scan);
	return r == -EBADMSG ? 0 : r; /* one broken list costs one function */
}

/* Languages whose types have no code inside, outside of functions. */
static bool types_have_no_code(uint16_t language)
{
	switch (language) {
	case DW_LANG_C:
	case DW_LANG_C89:
	case DW_LANG_C99:
	case DW_LANG_C11:
	case 0x2c: /* C17 */
	case DW_LANG_C_plus_plus:
	case DW_LANG_C_plus_plus_03:
	case DW_LANG_C_plus_plus_11:
	case DW_LANG_C_plus_plus_14:
	case 0x2b: /* C++17 and 20 */
	case 0x2e:
		return true;
	default:
		return false;
	}
}

static bool is_type(uint16_t tag)
{
	return tag == DW_TAG_structure_type || tag == DW_TAG_class_type || tag == DW_TAG_union_type ||
	       tag == DW_TAG_enumeration_type || tag == DW_TAG_subroutine_type || tag == DW_TAG_array_type ||
	       tag == DW_TAG_variant_part;
}

static struct fnp_cursor unit_cursor(const struct fnp_dwarf_unit *unit)
{
	struct fnp_cursor c = fnp_dwarf_section(unit->file, FNP_DWARF_INFO);

	c.end = c.start + unit->end; /* checked when the header was read */
	return c;
}

/* Whether what is below a DIE outside of functions is passed over. */
static bool is_passed_over(const struct scan *scan, const struct fnp_dwarf_abbrev *abbrev)
{
	if (!abbrev->has_children)
		return false;
	if (abbrev->tag == DW_TAG_subprogram)
		return !scan->deep;
	return is_type(abbrev->tag) && types_have_no_code(scan->unit->language);
}

/* The DIE at the cursor; *passed when the cursor stands behind its subtree, else it stands behind its attributes. */
static int scan_die(struct scan *scan, const struct fnp_dwarf_die *die, bool in_function,
		    struct fnp_cursor *c, bool *passed)
{
	struct fnp_cursor first = *c;
	int r = 0;

	if (die->abbrev->tag == DW_TAG_subprogram && die->abbrev->has_pc)
		r = add_function(scan, die, c);
	*passed = r == 0 && !in_function && is_passed_over(scan, die->abbrev) &&
		  fnp_dwarf_die_to_sibling(scan->unit, die->abbrev, &first);
	if (*passed)
		*c = first;
	else if (r == 0 && !(die->abbrev->tag == DW_TAG_subprogram && die->abbrev->has_pc))
		r = fnp_dwarf_die_skip(scan->unit, die->abbrev, c);
	return r;
}

static int scan_unit(struct scan *scan)
{
	const struct fnp_dwarf_unit *unit = scan->unit;
	struct fnp_cursor c = unit_cursor(unit);
	uint32_t depth = 0, function_depth = 0; /* the outermost function around, 0: none */
	struct fnp_dwarf_die die;
	bool passed;
	int r = fnp_cursor_seek(&c, unit->first_die);

	while (r == 0 && (r = fnp_dwarf_die_read(unit, &c, &die)) == 0) {
		if (!die.abbrev) {
			if (depth <= 1)
				return 0;
			if (--depth == function_depth)
				function_depth = 0;
			continue;
		}
		r = scan_die(scan, &die, function_depth > 0, &c, &passed);
		if (passed)
			continue;
		if (!die.abbrev->has_children) {
			if (depth == 0)
				return r;
			continue;
		}
		if (die.abbrev->tag == DW_TAG_subprogram && function_depth == 0)
			function_depth = depth;
		depth++;
	}
	/* A unit may end without its last nulls. */
	return r == -EBADMSG && c.pos == c.end ? 0 : r;
}

int fnp_dwarf_functions_read(const struct fnp_dwarf_unit *unit, struct fnp_dwarf_code code, bool deep,
			     fnp_ranges *ret)
{
	struct scan scan = {.unit = unit, .code = code, .deep = deep};
	int r = unit->end - unit->offset > UINT32_MAX ? -EBADMSG : 0;

	/* A DIE takes a byte at least. */
	if (r == 0)
		r = fnp_dwarf_burn(unit->file, (unit->end - unit->offset) / 8);
	if (r == 0)
		r = scan_unit(&scan);
	/* What was read before a broken DIE is right. */
	if (r == 0 || r == -EBADMSG) {
		if (scan.intervals.len > 0)
			qsort(scan.intervals.items, scan.intervals.len, sizeof(struct fnp_range),
			      fnp_ranges_compare);
		r = fnp_ranges_paint(scan.intervals.items, scan.intervals.len, ret);
		fnp_vec_shrink(ret);
	}
	fnp_vec_deinit(&scan.intervals);
	return r;
}

struct inline_walk {
	const struct fnp_dwarf_unit *unit;
	uint64_t address;
	bool contains;
	struct fnp_dwarf_inlined path[FNP_DWARF_INLINE_MAX]; /* inlined functions around the cursor */
	uint32_t depths[FNP_DWARF_INLINE_MAX];
	size_t n_path;
};

static int note_containing(void *context, uint64_t low, uint64_t high)
{
	struct inline_walk *walk = context;

	walk->contains = walk->contains || (walk->address >= low && walk->address < high);
	return 0;
}

/* Reads an inlined function's DIE; when it has the address it is added to the path, and that is the best chain. */
static int enter_inlined(struct inline_walk *walk, const struct fnp_dwarf_die *die, struct fnp_cursor *c,
			 uint32_t depth, struct fnp_dwarf_inlined_chain *best)
{
	static const uint16_t names[] = {DW_AT_low_pc, DW_AT_high_pc, DW_AT_ranges, DW_AT_call_file,
					 DW_AT_call_line};
	struct fnp_dwarf_value v[5];
	int r = fnp_dwarf_die_values(walk->unit, die->abbrev, c, names, 5, v);

	if (r < 0)
		return r;
	walk->contains = false;
	r = fnp_dwarf_ranges(walk->unit, &v[0], &v[1], &v[2], note_containing, walk);
	if (r < 0 && r != -EBADMSG)
		return r;
	if (!walk->contains || walk->n_path == FNP_DWARF_INLINE_MAX)
		return 0;
	walk->depths[walk->n_path] = depth;
	walk->path[walk->n_path++] = (struct fnp_dwarf_inlined){
		.die = die->offset, .call_file = v[3].number, .call_line = v[4].number};
	memcpy(best->items, walk->path, walk->n_path * sizeof(walk->path[0]));
	best->n = walk->n_path;
	return 0;
}

/*
 * One DIE below the function. *blind is the depth of a DIE whose subtree does not matter and says not where it ends,
 * 0 when there is none.
 */
static int step(struct inline_walk *walk, const struct fnp_dwarf_die *die, struct fnp_cursor *c,
		uint32_t *depth, uint32_t *blind, struct fnp_dwarf_inlined_chain *best)
{
	const struct fnp_dwarf_abbrev *abbrev = die->abbrev;
	size_t n_path = walk->n_path;
	struct fnp_cursor first = *c;
	bool inlined = abbrev->tag == DW_TAG_inlined_subroutine && *blind == 0;
	int r = inlined ? enter_inlined(walk, die, c, *depth, best) : 0;

	if (r < 0)
		return r;
	bool matters = abbrev->tag == DW_TAG_lexical_block || walk->n_path > n_path;
	if (abbrev->has_children && !matters && fnp_dwarf_die_to_sibling(walk->unit, abbrev, &first)) {
		*c = first;
		return 0;
	}
	if (!inlined)
		r = fnp_dwarf_die_skip(walk->unit, abbrev, c);
	if (r < 0 || !abbrev->has_children)
		return r;
	if (!matters && *blind == 0)
		*blind = *depth;
	++*depth;
	return 0;
}

int fnp_dwarf_inlined_at(const struct fnp_dwarf_unit *unit, uint64_t die_offset, uint64_t address,
			 struct fnp_dwarf_inlined_chain *ret)
{
	struct inline_walk walk = {.unit = unit, .address = address};
	struct fnp_cursor c = unit_cursor(unit);
	uint32_t depth = 1, blind = 0;
	struct fnp_dwarf_die die;
	int r = fnp_cursor_seek(&c, die_offset);

	ret->n = 0;
	if (r < 0 || fnp_dwarf_die_read(unit, &c, &die) < 0 || !die.abbrev || !die.abbrev->has_children)
		return r;
	r = fnp_dwarf_die_skip(unit, die.abbrev, &c);
	while (r == 0 && (r = fnp_dwarf_die_read(unit, &c, &die)) == 0 &&
	       (r = fnp_dwarf_burn(unit->file, 1)) == 0) {
		/*
		 * Code was inlined from one place: behind an inlined function that has the address no other one has it. One without
		 * children is left at once.
		 */
		if (!die.abbrev && walk.n_path > 0 && walk.depths[walk.n_path - 1] >= depth - 1)
			return 0;
		if (die.abbrev) {
			r = step(&walk, &die, &c, &depth, &blind, ret);
			if (r == 0 && !die.abbrev->has_children && walk.n_path > 0 &&
			    walk.depths[walk.n_path - 1] >= depth)
				return 0;
			continue;
		}
		if (--depth == 0)
			return 0;
		if (depth == blind)
			blind = 0;
	}
	return r;
}
