/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of offsets, looked through by halving it.
 */
#include "symbolizer/dwarf_units.h"

#include <limits.h>

#include <dwarf.h>

static void destroy_state(struct fnp_dwarf_state *state)
{
	if (!state)
		return;
	if (state->split) {
		fnp_dwarf_units_deinit(state->split);
		free(state->split);
	}
	fnp_dwarf_unit_deinit(&state->unit);
	fnp_vec_deinit(&state->functions);
	fnp_vec_deinit(&state->rows);
	free(state);
}

static void destroy_statep(struct fnp_dwarf_state **state)
{
	destroy_state(*state);
}

void fnp_dwarf_units_forget(struct fnp_dwarf_units *units)
{
	for (size_t i = 0; i < units->entries.len; i++) {
		destroy_state(units->entries.items[i].state);
		units->entries.items[i].state = NULL;
	}
}

/* Split files have units that own no further sources, so this goes no deeper than one level. */
void fnp_dwarf_units_deinit(struct fnp_dwarf_units *units)
{
	fnp_dwarf_units_forget(units);
	fnp_vec_deinit(&units->entries);
	fnp_dwarf_file_deinit(&units->file);
}

int fnp_dwarf_units_list(struct fnp_dwarf_units *units)
{
	struct fnp_cursor info = fnp_dwarf_section(&units->file, FNP_DWARF_INFO);
	uint64_t offset = 0, released = 0, size = FNP_MIN(fnp_cursor_left(&info), (size_t)UINT32_MAX);
	struct fnp_dwarf_unit unit;

	if (units->listed)
		return 0;
	units->listed = true;
	fnp_dwarf_units_forget(units);
	units->entries.len = 0;
	while (offset < size && fnp_dwarf_unit_read_header(&units->file, offset, &unit) == 0) {
		int r = fnp_vec_push(&units->entries, (struct fnp_dwarf_entry){.offset = offset});
		if (r < 0)
			return r;
		/* Hopping over a large file would map most of it: the kernel maps whole folios. */
		if (unit.end - released > FNP_DWARF_PAGES_MIN) {
			fnp_dwarf_file_release_pages(&units->file);
			released = unit.end;
		}
		offset = unit.end;
	}
	return 0;
}

struct fnp_dwarf_entry *fnp_dwarf_units_find(struct fnp_dwarf_units *units, uint64_t offset)
{
	size_t low = 0, high = units->entries.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (units->entries.items[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &units->entries.items[low - 1] : NULL;
}

static size_t abbrev_bytes(const struct fnp_dwarf_unit *unit)
{
	return unit->abbrevs.by_code.cap * sizeof(struct fnp_dwarf_abbrev) +
	       unit->abbrevs.attributes.cap * sizeof(struct fnp_dwarf_attribute);
}

int fnp_dwarf_units_open(struct fnp_dwarf_units *units, struct fnp_dwarf_entry *entry,
			 const struct fnp_dwarf_unit *skeleton, struct fnp_dwarf_state **ret)
{
	FNP_CLEANUP(destroy_statep) struct fnp_dwarf_state *state = NULL;
	int r;

	if (entry->state) {
		*ret = entry->state;
		return 0;
	}
	if (entry->broken)
		return -EBADMSG;
	state = calloc(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	r = fnp_dwarf_unit_read_header(&units->file, entry->offset, &state->unit);
	state->unit.skeleton = skeleton;
	if (r == 0)
		r = fnp_dwarf_unit_read_root(&state->unit);
	entry->broken = r < 0 && r != -ENOMEM;
	if (r < 0)
		return r;
	units->cost->state_bytes += sizeof(*state) + abbrev_bytes(&state->unit);
	units->cost->read_bytes += 2 * FNP_DWARF_FAULT_BYTES;
	*ret = state;
	entry->state = TAKE_PTR(state);
	return 0;
}

int fnp_dwarf_units_open_split(struct fnp_dwarf_units *units, struct fnp_dwarf_state *state)
{
	struct fnp_dwarf_unit *skeleton = &state->unit;
	struct fnp_dwarf_unit header;
	char path[PATH_MAX];

	if (state->split_tried || !skeleton->dwo_name[0])
		return 0;
	state->split_tried = true;
	int n = skeleton->dwo_name[0] == '/'
			? snprintf(path, sizeof(path), "%s", skeleton->dwo_name)
			: snprintf(path, sizeof(path), "%s/%s", skeleton->comp_dir, skeleton->dwo_name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return 0;
	state->split = calloc(1, sizeof(*state->split));
	if (!state->split)
		return -ENOMEM;
	state->split->cost = units->cost;
	state->split->file.fuel = &units->cost->fuel;
	state->split->file.split = true;
	if (fnp_object_open_path(path, &state->split->file.object) < 0)
		return 0;
	int r = fnp_dwarf_units_list(state->split);
	for (size_t i = 0; r == 0 && i < state->split->entries.len; i++) {
		struct fnp_dwarf_entry *entry = &state->split->entries.items[i];
		struct fnp_dwarf_state *split_unit;
		if (fnp_dwarf_unit_read_header(&state->split->file, entry->offset, &header) < 0 ||
		    header.type == DW_UT_type || header.type == DW_UT_split_type ||
		    fnp_dwarf_units_open(state->split, entry, skeleton, &split_unit) < 0 ||
		    split_unit->unit.dwo_id != skeleton->dwo_id)
			continue;
		state->split_unit = split_unit;
		break;
	}
	return r;
}
