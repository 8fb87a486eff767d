/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units are known by their offset; a unit's state is made when an address, or a reference from another unit, needs it.
 * A split unit (.dwo) hangs on its skeleton's state. References may lead from unit to unit, and into the alternate
 * file; they are followed a few times, never in circles.
 */
#include "symbolizer/dwarf.h"

#include <limits.h>

#include <dwarf.h>

#include "symbolizer/dwarf_line.h"

#define STATE_BYTES_MAX ((size_t)40 << 20)
#define FUEL UINT64_C(30000000) /* steps a look-up may take: about half a second */
#define HOPS_MAX 16		 /* abstract_origin -> specification -> ... */

struct state {
	struct fnp_dwarf_unit unit;
	bool has_functions, has_rows;
	fnp_ranges functions;
	fnp_dwarf_rows rows;
	struct source *split; /* the .dwo file, NULL */
	struct state *split_unit;
	bool split_tried;
};

struct entry {
	uint64_t offset;
	struct state *state;
};

/* One file with units: the main one, the alternate one, a .dwo. */
struct source {
	struct fnp_dwarf_file file;
	FNP_VEC(struct entry) entries; /* sorted by offset */
};

struct fnp_dwarf {
	struct source main, alt;
	struct fnp_dwarf_code code;
	bool indexed;
	fnp_ranges units; /* addresses from code.start; value: number of the entry in main */
	size_t state_bytes;
	uint64_t fuel;
};

static void destroy_source(struct source *source);

static void destroy_state(struct state *state)
{
	if (!state)
		return;
	if (state->split) {
		destroy_source(state->split);
		free(state->split);
	}
	fnp_dwarf_unit_deinit(&state->unit);
	fnp_vec_deinit(&state->functions);
	fnp_vec_deinit(&state->rows);
	free(state);
}

static void destroy_statep(struct state **state)
{
	destroy_state(*state);
}

static void forget_states(struct source *source)
{
	for (size_t i = 0; i < source->entries.len; i++) {
		destroy_state(source->entries.items[i].state);
		source->entries.items[i].state = NULL;
	}
}

/* Split files have units that own no further sources, so this goes no deeper than one level. */
static void destroy_source(struct source *source)
{
	forget_states(source);
	fnp_vec_deinit(&source->entries);
	fnp_dwarf_file_deinit(&source->file);
}

/* Goes from header to header. What follows a broken one is not known. */
static int list_units(struct source *source)
{
	struct fnp_cursor info = fnp_dwarf_section(&source->file, FNP_DWARF_INFO);
	uint64_t offset = 0, size = fnp_cursor_left(&info);
	struct fnp_dwarf_unit unit;

	while (offset < size && fnp_dwarf_unit_read_header(&source->file, offset, &unit) == 0) {
		int r = fnp_vec_push(&source->entries, (struct entry){.offset = offset});
		if (r < 0)
			return r;
		offset = unit.end;
	}
	return 0;
}

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
	dwarf->code = code;
	dwarf->main.file.object = object;
	dwarf->main.file.fuel = &dwarf->fuel;
	dwarf->alt.file.fuel = &dwarf->fuel;
	if (fnp_debug_file_find_alt(object, roots, &dwarf->alt.file.object) == 0) {
		dwarf->main.file.alt = &dwarf->alt.file;
		int r = list_units(&dwarf->alt);
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
	destroy_source(&dwarf->main);
	destroy_source(&dwarf->alt);
	fnp_vec_deinit(&dwarf->units);
	free(dwarf);
}

/* The entry whose unit has an offset of .debug_info, as far as its start tells; NULL. */
static struct entry *entry_of(struct source *source, uint64_t offset)
{
	size_t low = 0, high = source->entries.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (source->entries.items[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &source->entries.items[low - 1] : NULL;
}

static size_t abbrev_bytes(const struct fnp_dwarf_unit *unit)
{
	return unit->abbrevs.by_code.cap * sizeof(struct fnp_dwarf_abbrev) +
	       unit->abbrevs.attributes.cap * sizeof(struct fnp_dwarf_attribute);
}

/* A unit with its root read. */
static int open_unit(struct fnp_dwarf *dwarf, struct source *source, struct entry *entry,
		     const struct fnp_dwarf_unit *skeleton, struct state **ret)
{
	FNP_CLEANUP(destroy_statep) struct state *state = NULL;
	int r;

	if (entry->state) {
		*ret = entry->state;
		return 0;
	}
	state = calloc(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	r = fnp_dwarf_unit_read_header(&source->file, entry->offset, &state->unit);
	state->unit.skeleton = skeleton;
	if (r == 0)
		r = fnp_dwarf_unit_read_root(&state->unit);
	if (r < 0)
		return r;
	dwarf->state_bytes += sizeof(*state) + abbrev_bytes(&state->unit);
	*ret = state;
	entry->state = TAKE_PTR(state);
	return 0;
}

/* Split units: DW_AT_dwo_name, from the folder where the compiler ran; it must have the same id. */
static int open_split(struct fnp_dwarf *dwarf, struct state *state)
{
	struct fnp_dwarf_unit *skeleton = &state->unit;
	struct fnp_dwarf_unit header;
	char path[PATH_MAX];

	if (state->split_tried || !skeleton->dwo_name[0])
		return 0;
	state->split_tried = true;
	int n = skeleton->dwo_name[0] == '/' ? snprintf(path, sizeof(path), "%s", skeleton->dwo_name)
					     : snprintf(path, sizeof(path), "%s/%s", skeleton->comp_dir,
							skeleton->dwo_name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return 0;
	state->split = calloc(1, sizeof(*state->split));
	if (!state->split)
		return -ENOMEM;
	state->split->file.fuel = &dwarf->fuel;
	state->split->file.split = true;
	if (fnp_object_open_path(path, &state->split->file.object) < 0)
		return 0;
	int r = list_units(state->split);
	for (size_t i = 0; r == 0 && i < state->split->entries.len; i++) {
		struct entry *entry = &state->split->entries.items[i];
		struct state *split_unit;
		if (fnp_dwarf_unit_read_header(&state->split->file, entry->offset, &header) < 0 ||
		    header.type == DW_UT_type || header.type == DW_UT_split_type ||
		    open_unit(dwarf, state->split, entry, skeleton, &split_unit) < 0 ||
		    split_unit->unit.dwo_id != skeleton->dwo_id)
			continue;
		state->split_unit = split_unit;
		break;
	}
	return r;
}

/* The unit that has the DIEs: itself, or its split half. */
static struct state *dies_of(struct state *state)
{
	return state->split_unit ? state->split_unit : state;
}

static struct source *source_of(struct fnp_dwarf *dwarf, struct state *state)
{
	return state->split ? state->split : &dwarf->main;
}

struct indexer {
	struct fnp_dwarf *dwarf;
	fnp_ranges intervals;
	uint32_t entry;
};

static int add_interval(void *context, uint64_t low, uint64_t high)
{
	struct indexer *indexer = context;
	struct fnp_dwarf_code code = indexer->dwarf->code;

	if (low < code.start || low >= code.end || high <= low)
		return 0;
	struct fnp_range range = {.start = (uint32_t)(low - code.start),
				  .end = (uint32_t)(FNP_MIN(high, code.end) - code.start),
				  .value = indexer->entry};
	return fnp_vec_push(&indexer->intervals, range);
}

/* One set of .debug_aranges (DWARF 5, 6.1.2): a header with its unit's offset, and {address, length} up to {0, 0}. */
static int read_aranges_set(struct indexer *indexer, struct fnp_cursor *all, uint8_t *covered)
{
	struct source *source = &indexer->dwarf->main;
	uint64_t start = fnp_cursor_offset(all), unit_offset, address, size;
	uint32_t length, offset32;
	uint8_t address_size, segment_size;
	struct fnp_cursor c;
	uint16_t version;

	if (fnp_cursor_u32(all, &length) < 0 || length == UINT32_MAX || fnp_cursor_sub(all, length, &c) < 0)
		return -EBADMSG;
	if (fnp_cursor_u16(&c, &version) < 0 || version != 2 || fnp_cursor_u32(&c, &offset32) < 0 ||
	    fnp_cursor_u8(&c, &address_size) < 0 || address_size != 8 || fnp_cursor_u8(&c, &segment_size) < 0 ||
	    segment_size != 0 || fnp_cursor_skip(&c, -(start + 4 + fnp_cursor_offset(&c)) & 15) < 0)
		return 0;
	unit_offset = offset32;
	const struct entry *entry = entry_of(source, unit_offset);
	if (!entry || entry->offset != unit_offset)
		return 0;
	indexer->entry = (uint32_t)(entry - source->entries.items);
	while (fnp_cursor_u64(&c, &address) == 0 && fnp_cursor_u64(&c, &size) == 0 && (address || size)) {
		int r = add_interval(indexer, address, address + size);
		if (r < 0)
			return r;
		covered[indexer->entry] = true;
	}
	return 0;
}

static int read_root_ranges(struct indexer *indexer, struct entry *entry)
{
	static const uint16_t names[] = {DW_AT_low_pc, DW_AT_high_pc, DW_AT_ranges};
	struct fnp_dwarf *dwarf = indexer->dwarf;
	struct fnp_cursor c = fnp_dwarf_section(&dwarf->main.file, FNP_DWARF_INFO);
	struct fnp_dwarf_value v[3];
	struct fnp_dwarf_die die;
	struct state *state;
	int r = open_unit(dwarf, &dwarf->main, entry, NULL, &state);

	if (r < 0 || fnp_cursor_seek(&c, state->unit.first_die) < 0 ||
	    fnp_dwarf_die_read(&state->unit, &c, &die) < 0 || !die.abbrev ||
	    fnp_dwarf_die_values(&state->unit, die.abbrev, &c, names, 3, v) < 0)
		return r == -ENOMEM ? r : 0;
	r = fnp_dwarf_ranges(&state->unit, &v[0], &v[1], &v[2], add_interval, indexer);
	return r == -EBADMSG ? 0 : r;
}

static int index_units(struct indexer *indexer)
{
	struct source *source = &indexer->dwarf->main;
	struct fnp_cursor aranges = fnp_dwarf_section(&source->file, FNP_DWARF_ARANGES);
	int r = list_units(source);
	fnp_autofree uint8_t *covered = calloc(source->entries.len + 1, 1);

	if (r < 0 || !covered)
		return r < 0 ? r : -ENOMEM;
	while (r == 0 && aranges.pos < aranges.end)
		r = read_aranges_set(indexer, &aranges, covered);
	r = r == -EBADMSG ? 0 : r;
	for (size_t i = 0; r == 0 && i < source->entries.len; i++) {
		indexer->entry = (uint32_t)i;
		if (!covered[i])
			r = read_root_ranges(indexer, &source->entries.items[i]);
		if (indexer->dwarf->state_bytes > STATE_BYTES_MAX) {
			forget_states(source);
			indexer->dwarf->state_bytes = 0;
		}
	}
	/* Without fuel the index stays as far as it came. */
	if (r < 0 && r != -ETIME)
		return r;
	if (indexer->intervals.len > 0)
		qsort(indexer->intervals.items, indexer->intervals.len, sizeof(struct fnp_range), fnp_ranges_compare);
	return fnp_ranges_paint(indexer->intervals.items, indexer->intervals.len, &indexer->dwarf->units);
}

static int make_index(struct fnp_dwarf *dwarf)
{
	struct indexer indexer = {.dwarf = dwarf};
	int r;

	dwarf->indexed = true;
	dwarf->fuel = 4 * FUEL;
	r = index_units(&indexer);
	fnp_vec_deinit(&indexer.intervals);
	return r;
}

static void load_functions(struct fnp_dwarf *dwarf, struct state *state)
{
	if (state->has_functions)
		return;
	state->has_functions = true;
	if (fnp_dwarf_functions_read(&state->unit, dwarf->code, &state->functions) < 0)
		return; /* then it has none */
	dwarf->state_bytes += state->functions.cap * sizeof(struct fnp_range);
}

static void load_rows(struct fnp_dwarf *dwarf, struct state *state)
{
	if (state->has_rows)
		return;
	state->has_rows = true;
	if (fnp_dwarf_rows_read(&state->unit, dwarf->code, &state->rows) < 0)
		return;
	dwarf->state_bytes += state->rows.cap * sizeof(struct fnp_dwarf_row);
}

enum {
	NAME_LINKAGE,
	NAME_MIPS_LINKAGE,
	NAME_PLAIN,
	NAME_DECL_LINE,
	NAME_ORIGIN,
	NAME_SPECIFICATION,
	NAME_VALUES,
};

static const uint16_t name_attributes[NAME_VALUES] = {
	[NAME_LINKAGE] = DW_AT_linkage_name, [NAME_MIPS_LINKAGE] = DW_AT_MIPS_linkage_name,
	[NAME_PLAIN] = DW_AT_name,	     [NAME_DECL_LINE] = DW_AT_decl_line,
	[NAME_ORIGIN] = DW_AT_abstract_origin, [NAME_SPECIFICATION] = DW_AT_specification,
};

/* A DIE that a reference may lead to. */
struct place {
	struct source *source;
	struct state *state;
	uint64_t die;
};

/* Follows a reference; -ENOENT where it leads nowhere. */
static int follow(struct fnp_dwarf *dwarf, const struct fnp_dwarf_value *reference, struct place *place)
{
	struct source *source = place->source;
	struct entry *entry;

	switch (reference->form) {
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_ref_sup4:
	case DW_FORM_ref_sup8:
		source = &dwarf->alt;
		break;
	case DW_FORM_ref_sig8:
	case 0:
		return -ENOENT;
	default:
		break;
	}
	entry = entry_of(source, reference->number);
	if (!entry)
		return -ENOENT;
	if (entry->offset != place->state->unit.offset || source != place->source) {
		if (open_unit(dwarf, source, entry, NULL, &place->state) < 0)
			return -ENOENT;
	}
	if (reference->number < place->state->unit.first_die || reference->number >= place->state->unit.end)
		return -ENOENT;
	place->source = source;
	place->die = reference->number;
	return 0;
}

static int read_name_values(const struct place *place, struct fnp_dwarf_value *ret)
{
	const struct fnp_dwarf_unit *unit = &place->state->unit;
	struct fnp_cursor c = fnp_dwarf_section(unit->file, FNP_DWARF_INFO);
	struct fnp_dwarf_die die;

	if (fnp_cursor_seek(&c, place->die) < 0 || fnp_dwarf_die_read(unit, &c, &die) < 0 || !die.abbrev)
		return -EBADMSG;
	return fnp_dwarf_die_values(unit, die.abbrev, &c, name_attributes, NAME_VALUES, ret);
}

/* Names stand at the DIE itself, at the abstract function that it is an instance of, or at its declaration. */
static void read_names(struct fnp_dwarf *dwarf, struct place place, struct fnp_dwarf_frame *ret)
{
	struct fnp_dwarf_value v[NAME_VALUES];

	for (int hop = 0; hop < HOPS_MAX; hop++) {
		if (read_name_values(&place, v) < 0)
			return;
		const struct fnp_dwarf_unit *unit = &place.state->unit;
		if (!ret->linkage_name)
			ret->linkage_name =
				fnp_dwarf_string(unit, &v[v[NAME_LINKAGE].form ? NAME_LINKAGE : NAME_MIPS_LINKAGE]);
		if (!ret->name)
			ret->name = fnp_dwarf_string(unit, &v[NAME_PLAIN]);
		if (!ret->start_line && v[NAME_DECL_LINE].form)
			ret->start_line = (uint32_t)v[NAME_DECL_LINE].number;
		if (ret->linkage_name && ret->start_line)
			return;
		if (follow(dwarf, &v[v[NAME_ORIGIN].form ? NAME_ORIGIN : NAME_SPECIFICATION], &place) < 0)
			return;
	}
}

/* Frames from the innermost inlined function to the function itself. */
static int read_frames(struct fnp_dwarf *dwarf, struct place place, uint64_t address, struct fnp_dwarf_location *ret)
{
	struct fnp_dwarf_inlined_chain chain;
	uint64_t file = ret->file;
	uint32_t line = ret->line;

	if (fnp_dwarf_inlined_at(&place.state->unit, place.die, address, &chain) < 0)
		chain.n = 0; /* the function is right all the same */
	for (size_t i = chain.n; i-- > 0;) {
		const struct fnp_dwarf_inlined *inlined = &chain.items[i];
		struct place at = {.source = place.source, .state = place.state, .die = inlined->die};
		ret->frames[ret->n] = (struct fnp_dwarf_frame){.file = file, .line = line};
		read_names(dwarf, at, &ret->frames[ret->n++]);
		file = inlined->call_file;
		line = (uint32_t)inlined->call_line;
	}
	ret->frames[ret->n] = (struct fnp_dwarf_frame){.file = file, .line = line};
	read_names(dwarf, place, &ret->frames[ret->n++]);
	return 0;
}

static int find_in_unit(struct fnp_dwarf *dwarf, struct state *state, uint64_t address,
			struct fnp_dwarf_location *ret)
{
	uint64_t offset = address - dwarf->code.start;
	int r = open_split(dwarf, state);

	if (r < 0)
		return r;
	struct state *dies = dies_of(state);
	load_functions(dwarf, dies);
	load_rows(dwarf, state);
	const struct fnp_dwarf_row *row = fnp_dwarf_row_find(state->rows.items, state->rows.len, offset);
	if (row) {
		ret->file = row->file;
		ret->line = row->line;
	}
	const struct fnp_range *function = fnp_ranges_find(dies->functions.items, dies->functions.len, offset);
	if (!function)
		return row ? 0 : -ENOENT;
	struct place place = {.source = dies == state ? &dwarf->main : source_of(dwarf, state),
			      .state = dies,
			      .die = dies->unit.offset + function->value};
	return read_frames(dwarf, place, address, ret);
}

int fnp_dwarf_find(struct fnp_dwarf *dwarf, uint64_t address, struct fnp_dwarf_location *ret)
{
	struct state *state;
	int r = dwarf->indexed ? 0 : make_index(dwarf);

	if (r < 0)
		return r;
	if (dwarf->state_bytes > STATE_BYTES_MAX) {
		forget_states(&dwarf->main);
		forget_states(&dwarf->alt);
		dwarf->state_bytes = 0;
	}
	if (address < dwarf->code.start)
		return -ENOENT;
	const struct fnp_range *range =
		fnp_ranges_find(dwarf->units.items, dwarf->units.len, address - dwarf->code.start);
	if (!range)
		return -ENOENT;
	dwarf->fuel = FUEL;
	struct entry *entry = &dwarf->main.entries.items[range->value];
	if (open_unit(dwarf, &dwarf->main, entry, NULL, &state) < 0)
		return -ENOENT;
	ret->n = 0;
	ret->file = ret->line = 0;
	ret->unit = entry->offset;
	return find_in_unit(dwarf, state, address, ret);
}

int fnp_dwarf_path(struct fnp_dwarf *dwarf, uint64_t unit, uint64_t file, struct fnp_buffer *ret)
{
	struct entry *entry = entry_of(&dwarf->main, unit);

	if (!entry || entry->offset != unit || !entry->state)
		return -ENOENT;
	return fnp_dwarf_file_path(&entry->state->unit, file, ret);
}
