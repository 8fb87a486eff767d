/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look-up: the unit of the address by the index, the line by the unit's rows, the function by its ranges, names by
 * their references. What it may cost is bounded by fuel, what is kept of it by a budget.
 */
#include "symbolizer/dwarf.h"

#include "base/log.h"
#include "symbolizer/dwarf_index.h"
#include "symbolizer/dwarf_names.h"

#define STATE_BYTES_DEFAULT ((size_t)64 << 20) /* all of libjvm's 1,100 units take 50 */
#define LOOK_UPS_UNASKED 8		       /* asking the kernel takes as long as half a look-up */
#define FUEL UINT64_C(30000000)		       /* steps a look-up may take: about half a second */

struct fnp_dwarf {
	struct fnp_dwarf_units main, alt; /* alt.file.object is NULL when there is no alternate file */
	struct fnp_dwarf_index index;	  /* of main's units */
	struct fnp_dwarf_cost cost;
	uint64_t resident; /* of all mapped files, when our pages were last given back */
	unsigned int look_ups;
	bool exhausted; /* a look-up took too many steps: nothing is read any more */
};

int fnp_dwarf_create(struct fnp_object *object, struct fnp_dwarf_code code, struct fnp_debug_roots roots,
		     struct fnp_dwarf **ret)
{
	FNP_CLEANUP(fnp_dwarf_destroyp) struct fnp_dwarf *dwarf = NULL;
	struct fnp_section section;

	if (fnp_object_find_section(object, ".debug_info", &section) < 0 &&
	    fnp_object_find_section(object, ".zdebug_info", &section) < 0)
		return -ENOENT;
	if (!section.data || code.end - code.start >= UINT32_MAX)
		return -ENOENT;
	dwarf = calloc(1, sizeof(*dwarf));
	if (!dwarf)
		return -ENOMEM;
	dwarf->index.code = code;
	dwarf->cost.state_bytes_max = STATE_BYTES_DEFAULT;
	dwarf->resident = fnp_mapped_files_resident();
	dwarf->main.cost = dwarf->alt.cost = &dwarf->cost;
	dwarf->main.file.fuel = dwarf->alt.file.fuel = &dwarf->cost.fuel;
	dwarf->main.file.object = object;
	if (fnp_debug_file_find_alt(object, roots, &dwarf->alt.file.object) == 0) {
		dwarf->main.file.alt = &dwarf->alt.file;
		int r = fnp_dwarf_units_list(&dwarf->alt);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(dwarf);
	return 0;
}

void fnp_dwarf_destroy(struct fnp_dwarf *dwarf)
{
	if (!dwarf)
		return;
	dwarf->main.file.object = NULL; /* not ours */
	fnp_dwarf_units_deinit(&dwarf->main);
	fnp_dwarf_units_deinit(&dwarf->alt);
	fnp_dwarf_index_deinit(&dwarf->index);
	free(dwarf);
}

void fnp_dwarf_set_budget(struct fnp_dwarf *dwarf, size_t bytes)
{
	dwarf->cost.state_bytes_max = bytes;
}

/* The unit that has the DIEs: itself, or its split half. */
static struct fnp_dwarf_state *dies_of(struct fnp_dwarf_state *state)
{
	return state->split_unit ? state->split_unit : state;
}

/* The function at an offset from code.start, NULL. */
static const struct fnp_range *find_function(struct fnp_dwarf *dwarf, struct fnp_dwarf_state *state,
					     uint64_t offset)
{
	const struct fnp_range *found = NULL;

	if (!state->has_functions) {
		state->has_functions = true;
		dwarf->cost.read_bytes += state->unit.end - state->unit.offset;
		(void)fnp_dwarf_functions_read(&state->unit, dwarf->index.code, false, &state->functions);
		dwarf->cost.state_bytes += state->functions.cap * sizeof(struct fnp_range);
	}
	found = fnp_ranges_find(state->functions.items, state->functions.len, offset);
	if (found || state->has_deep_functions)
		return found;
	state->has_deep_functions = true;
	state->functions.len = 0;
	(void)fnp_dwarf_functions_read(&state->unit, dwarf->index.code, true, &state->functions);
	dwarf->cost.state_bytes += state->functions.cap * sizeof(struct fnp_range);
	return fnp_ranges_find(state->functions.items, state->functions.len, offset);
}

static void load_rows(struct fnp_dwarf *dwarf, struct fnp_dwarf_state *state)
{
	if (state->has_rows)
		return;
	state->has_rows = true;
	if (fnp_dwarf_rows_read(&state->unit, dwarf->index.code, &state->rows) < 0)
		return;
	dwarf->cost.state_bytes += state->rows.cap * sizeof(struct fnp_dwarf_row);
	dwarf->cost.read_bytes += state->rows.cap * sizeof(struct fnp_dwarf_row);
}

static int add_frame(struct fnp_dwarf *dwarf, struct fnp_dwarf_place place, uint64_t file, uint32_t line,
		     struct fnp_dwarf_location *ret)
{
	struct fnp_dwarf_names names;
	int r = fnp_dwarf_names_read(place, &dwarf->alt, &names);

	if (r < 0)
		return r;
	ret->frames[ret->n++] = (struct fnp_dwarf_frame){.linkage_name = names.linkage_name,
							 .name = names.name,
							 .file = file,
							 .line = line,
							 .start_line = names.start_line};
	return 0;
}

/* Frames from the innermost inlined function to the function itself, whose DIE is at `place`. */
static int read_frames(struct fnp_dwarf *dwarf, struct fnp_dwarf_place place, uint64_t address,
		       struct fnp_dwarf_location *ret)
{
	struct fnp_dwarf_inlined_chain chain;
	uint64_t file = ret->file;
	uint32_t line = ret->line;

	if (fnp_dwarf_inlined_at(&place.state->unit, place.die, address, &chain) < 0)
		chain.n = 0; /* the function is right all the same */
	for (size_t i = chain.n; i-- > 0;) {
		struct fnp_dwarf_place at = {
			.units = place.units, .state = place.state, .die = chain.items[i].die};
		int r = add_frame(dwarf, at, file, line, ret);
		if (r < 0)
			return r;
		file = chain.items[i].call_file;
		line = (uint32_t)chain.items[i].call_line;
	}
	return add_frame(dwarf, place, file, line, ret);
}

static int find_in_unit(struct fnp_dwarf *dwarf, struct fnp_dwarf_state *state, uint64_t address,
			struct fnp_dwarf_location *ret)
{
	uint64_t offset = address - dwarf->index.code.start;
	int r = fnp_dwarf_units_open_split(&dwarf->main, state);

	if (r < 0)
		return r;
	struct fnp_dwarf_state *dies = dies_of(state);
	load_rows(dwarf, state);
	const struct fnp_dwarf_row *row = fnp_dwarf_row_find(state->rows.items, state->rows.len, offset);
	if (row) {
		ret->file = row->file;
		ret->line = row->line;
	}
	const struct fnp_range *function = find_function(dwarf, dies, offset);
	if (!function)
		return row ? 0 : -ENOENT;
	struct fnp_dwarf_place place = {.units = dies == state ? &dwarf->main : state->split,
					.state = dies,
					.die = dies->unit.offset + function->value};
	return read_frames(dwarf, place, address, ret);
}

/* The estimate alone does not hold where the page cache has large folios: each is mapped as a whole. */
static bool has_read_much(struct fnp_dwarf *dwarf)
{
	uint64_t max = FNP_MAX(FNP_DWARF_PAGES_MIN, dwarf->cost.state_bytes_max / 10 * 3);

	if (dwarf->cost.read_bytes > max)
		return true;
	return ++dwarf->look_ups % LOOK_UPS_UNASKED == 0 && fnp_mapped_files_resident() > dwarf->resident + max;
}

/* Keeps memory within bounds, between two look-ups, when nothing is in use. */
static void tidy(struct fnp_dwarf *dwarf)
{
	if (dwarf->cost.state_bytes > dwarf->cost.state_bytes_max) {
		fnp_dwarf_units_forget(&dwarf->main);
		fnp_dwarf_units_forget(&dwarf->alt);
		dwarf->cost.state_bytes = 0;
	}
	if (has_read_much(dwarf)) {
		fnp_dwarf_file_release_pages(&dwarf->main.file);
		if (dwarf->alt.file.object)
			fnp_dwarf_file_release_pages(&dwarf->alt.file);
		dwarf->cost.read_bytes = 0;
		dwarf->resident = fnp_mapped_files_resident();
	}
}

static int find_once(struct fnp_dwarf *dwarf, uint64_t address, struct fnp_dwarf_location *ret)
{
	struct fnp_dwarf_state *state;
	struct fnp_dwarf_entry *entry;
	int r;

	dwarf->cost.fuel = 4 * FUEL;
	r = fnp_dwarf_index_find(&dwarf->index, &dwarf->main, address, &entry);
	if (r < 0)
		return r;
	dwarf->cost.fuel = FUEL;
	dwarf->cost.read_bytes += FNP_DWARF_FAULT_BYTES / 4; /* names; many lie where others do */
	if (fnp_dwarf_units_open(&dwarf->main, entry, NULL, &state) < 0)
		return -ENOENT;
	ret->n = 0;
	ret->file = ret->line = 0;
	ret->unit = entry->offset;
	return find_in_unit(dwarf, state, address, ret);
}

int fnp_dwarf_find(struct fnp_dwarf *dwarf, uint64_t address, struct fnp_dwarf_location *ret)
{
	int r;

	if (address < dwarf->index.code.start || dwarf->exhausted)
		return -ENOENT;
	tidy(dwarf);
	r = find_once(dwarf, address, ret);
	if (r == -EAGAIN) {
		r = fnp_dwarf_units_list(&dwarf->main);
		if (r == 0)
			r = find_once(dwarf, address, ret);
	}
	if (dwarf->cost.fuel == 0) {
		dwarf->exhausted = true;
		fnp_warning(
			"%s: its debug data takes too long to read; names come from its symbol tables alone",
			fnp_object_name(dwarf->main.file.object));
	}
	return r;
}

int fnp_dwarf_path(struct fnp_dwarf *dwarf, uint64_t unit, uint64_t file, struct fnp_buffer *ret)
{
	struct fnp_dwarf_entry *entry = fnp_dwarf_units_find(&dwarf->main, unit);

	if (!entry || entry->offset != unit || !entry->state)
		return -ENOENT;
	return fnp_dwarf_file_path(&entry->state->unit, file, ret);
}
