/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units are known by their offset; a unit's state is made when an address, or a reference from another unit, needs it.
 * A split unit (.dwo) hangs on its skeleton's state. References may lead from unit to unit, and into the alternate
 * file; they are followed a few times, never in circles.
 */
#include "symbolizer/dwarf.h"

#include <limits.h>

#include <dwarf.h>

#include "base/log.h"
#include "symbolizer/dwarf_line.h"

#define STATE_BYTES_DEFAULT ((size_t)64 << 20) /* all of libjvm's 1,100 units take 50 */
#define PAGES_MIN (UINT64_C(4) << 20)	       /* kept mapped; counted low: the kernel maps whole folios */
#define FAULT_BYTES 65536	/* the kernel maps up to 16 pages around the one that is touched */
#define FUEL UINT64_C(30000000) /* steps a look-up may take: about half a second */
#define HOPS_MAX 16		/* abstract_origin -> specification -> ... */

struct state {
	struct fnp_dwarf_unit unit;
	bool has_functions, has_deep_functions, has_rows;
	fnp_ranges functions;
	fnp_dwarf_rows rows;
	struct source *split; /* the .dwo file, NULL */
	struct state *split_unit;
	bool split_tried;
};

struct entry {
	uint64_t offset;
	struct state *state;
	bool broken; /* cannot be read: not tried again for every address */
};

/* One file with units: the main one, the alternate one, a .dwo. */
struct source {
	struct fnp_dwarf_file file;
	FNP_VEC(struct entry) entries; /* sorted by offset */
	bool listed;		       /* entries has them all, not only those of .debug_aranges */
};

struct fnp_dwarf {
	struct source main, alt;
	struct fnp_dwarf_code code;
	bool indexed_aranges;
	fnp_ranges units;   /* addresses from code.start; value: offset of the unit in .debug_info */
	bool indexed_roots; /* `units` has also those that .debug_aranges leaves out */
	bool exhausted;	    /* a look-up took too many steps: nothing is read any more */
	size_t state_bytes, state_bytes_max;
	bool wants_list;     /* a reference left its unit before all were listed */
	uint64_t read_bytes; /* of the file, since its pages were given back; estimated */
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

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/*
 * Lists all units, going from header to header; what follows a broken one is not known. States are forgotten: the
 * caller holds none.
 */
static int list_units(struct source *source)
{
	struct fnp_cursor info = fnp_dwarf_section(&source->file, FNP_DWARF_INFO);
	uint64_t offset = 0, released = 0, size = FNP_MIN(fnp_cursor_left(&info), (size_t)UINT32_MAX);
	struct fnp_dwarf_unit unit;

	if (source->listed)
		return 0;
	source->listed = true;
	forget_states(source);
	source->entries.len = 0;
	while (offset < size && fnp_dwarf_unit_read_header(&source->file, offset, &unit) == 0) {
		int r = fnp_vec_push(&source->entries, (struct entry){.offset = offset});
		if (r < 0)
			return r;
		/* Hopping over a large file would map most of it: the kernel maps whole folios. */
		if (unit.end - released > PAGES_MIN) {
			fnp_dwarf_file_release_pages(&source->file);
			released = unit.end;
		}
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
	dwarf->state_bytes_max = STATE_BYTES_DEFAULT;
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

void fnp_dwarf_set_budget(struct fnp_dwarf *dwarf, size_t bytes)
{
	dwarf->state_bytes_max = bytes;
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
	if (entry->broken)
		return -EBADMSG;
	state = calloc(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	r = fnp_dwarf_unit_read_header(&source->file, entry->offset, &state->unit);
	state->unit.skeleton = skeleton;
	if (r == 0)
		r = fnp_dwarf_unit_read_root(&state->unit);
	entry->broken = r < 0 && r != -ENOMEM;
	if (r < 0)
		return r;
	dwarf->state_bytes += sizeof(*state) + abbrev_bytes(&state->unit);
	dwarf->read_bytes += 2 * FAULT_BYTES;
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
	int n = skeleton->dwo_name[0] == '/'
			? snprintf(path, sizeof(path), "%s", skeleton->dwo_name)
			: snprintf(path, sizeof(path), "%s/%s", skeleton->comp_dir, skeleton->dwo_name);
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
	uint32_t unit; /* offset */
};

static int add_interval(void *context, uint64_t low, uint64_t high)
{
	struct indexer *indexer = context;
	struct fnp_dwarf_code code = indexer->dwarf->code;

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
	indexer->dwarf->units.len = 0;
	return fnp_ranges_paint(intervals->items, intervals->len, &indexer->dwarf->units);
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
	return fnp_vec_push(&indexer->dwarf->main.entries, (struct entry){.offset = indexer->unit});
}

/* The quick half of the index: no unit is touched. */
static int index_aranges(struct fnp_dwarf *dwarf)
{
	struct fnp_cursor aranges = fnp_dwarf_section(&dwarf->main.file, FNP_DWARF_ARANGES);
	struct indexer indexer = {.dwarf = dwarf};
	struct source *source = &dwarf->main;
	size_t kept = 0;
	int r = 0;

	dwarf->indexed_aranges = true;
	while (r == 0 && aranges.pos < aranges.end)
		r = read_aranges_set(&indexer, &aranges);
	r = r == -EBADMSG ? 0 : r;
	if (r == 0)
		r = finish_index(&indexer);
	fnp_vec_deinit(&indexer.intervals);
	if (source->entries.len > 0)
		qsort(source->entries.items, source->entries.len, sizeof(struct entry), compare_entries);
	for (size_t i = 0; i < source->entries.len; i++) {
		if (kept == 0 || source->entries.items[kept - 1].offset != source->entries.items[i].offset)
			source->entries.items[kept++] = source->entries.items[i];
	}
	source->entries.len = kept;
	return r;
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

static int compare_offsets(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The slow half: the root DIEs of units that .debug_aranges does not have; as a rule it has all, or there is none. */
static int add_roots(struct indexer *indexer, const uint32_t *covered, size_t n_covered)
{
	struct source *source = &indexer->dwarf->main;
	int r = 0;

	for (size_t i = 0; r == 0 && i < source->entries.len; i++) {
		indexer->unit = (uint32_t)source->entries.items[i].offset;
		if (n_covered > 0 &&
		    bsearch(&indexer->unit, covered, n_covered, sizeof(*covered), compare_offsets))
			continue;
		r = read_root_ranges(indexer, &source->entries.items[i]);
		if (indexer->dwarf->state_bytes > indexer->dwarf->state_bytes_max) {
			forget_states(source);
			indexer->dwarf->state_bytes = 0;
		}
	}
	return r == -ETIME ? 0 : r; /* without fuel the index stays as far as it came */
}

static int index_roots(struct fnp_dwarf *dwarf)
{
	struct indexer indexer = {.dwarf = dwarf};
	size_t n = dwarf->main.entries.len;
	fnp_autofree uint32_t *covered = malloc((n + 1) * sizeof(*covered));
	int r = covered ? 0 : -ENOMEM;

	dwarf->indexed_roots = true;
	for (size_t i = 0; r == 0 && i < n; i++)
		covered[i] = (uint32_t)dwarf->main.entries.items[i].offset;
	if (r == 0)
		r = list_units(&dwarf->main);
	dwarf->read_bytes += dwarf->main.entries.len * FAULT_BYTES;
	if (r == 0)
		r = fnp_vec_append(&indexer.intervals, dwarf->units.items, dwarf->units.len);
	if (r == 0)
		r = add_roots(&indexer, covered, n);
	if (r == 0)
		r = finish_index(&indexer);
	fnp_vec_deinit(&indexer.intervals);
	return r;
}

/* The unit that has an address; NULL. */
static int find_unit(struct fnp_dwarf *dwarf, uint64_t address, struct entry **ret)
{
	uint64_t offset = address - dwarf->code.start;
	const struct fnp_range *range;
	int r = 0;

	dwarf->fuel = 4 * FUEL;
	if (!dwarf->indexed_aranges)
		r = index_aranges(dwarf);
	if (r < 0)
		return r;
	range = fnp_ranges_find(dwarf->units.items, dwarf->units.len, offset);
	if (!range && !dwarf->indexed_roots) {
		r = index_roots(dwarf);
		if (r < 0)
			return r;
		range = fnp_ranges_find(dwarf->units.items, dwarf->units.len, offset);
	}
	if (!range)
		return -ENOENT;
	*ret = entry_of(&dwarf->main, range->value);
	return *ret && (*ret)->offset == range->value ? 0 : -ENOENT;
}

/* The function at an offset from code.start, NULL. */
static const struct fnp_range *find_function(struct fnp_dwarf *dwarf, struct state *state, uint64_t offset)
{
	const struct fnp_range *found = NULL;

	if (!state->has_functions) {
		state->has_functions = true;
		dwarf->read_bytes += state->unit.end - state->unit.offset;
		(void)fnp_dwarf_functions_read(&state->unit, dwarf->code, false, &state->functions);
		dwarf->state_bytes += state->functions.cap * sizeof(struct fnp_range);
	}
	found = fnp_ranges_find(state->functions.items, state->functions.len, offset);
	if (found || state->has_deep_functions)
		return found;
	state->has_deep_functions = true;
	state->functions.len = 0;
	(void)fnp_dwarf_functions_read(&state->unit, dwarf->code, true, &state->functions);
	dwarf->state_bytes += state->functions.cap * sizeof(struct fnp_range);
	return fnp_ranges_find(state->functions.items, state->functions.len, offset);
}

static void load_rows(struct fnp_dwarf *dwarf, struct state *state)
{
	if (state->has_rows)
		return;
	state->has_rows = true;
	if (fnp_dwarf_rows_read(&state->unit, dwarf->code, &state->rows) < 0)
		return;
	dwarf->state_bytes += state->rows.cap * sizeof(struct fnp_dwarf_row);
	dwarf->read_bytes += state->rows.cap * sizeof(struct fnp_dwarf_row);
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
	[NAME_LINKAGE] = DW_AT_linkage_name,
	[NAME_MIPS_LINKAGE] = DW_AT_MIPS_linkage_name,
	[NAME_PLAIN] = DW_AT_name,
	[NAME_DECL_LINE] = DW_AT_decl_line,
	[NAME_ORIGIN] = DW_AT_abstract_origin,
	[NAME_SPECIFICATION] = DW_AT_specification,
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
	if (source == place->source && reference->number >= place->state->unit.first_die &&
	    reference->number < place->state->unit.end) {
		place->die = reference->number;
		return 0;
	}
	if (!source->listed) {
		/* Listing forgets states, among them those in use: the look-up is done again after it. */
		dwarf->wants_list = true;
		return -EAGAIN;
	}
	entry = entry_of(source, reference->number);
	if (!entry || open_unit(dwarf, source, entry, NULL, &place->state) < 0)
		return -ENOENT;
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
			ret->linkage_name = fnp_dwarf_string(
				unit, &v[v[NAME_LINKAGE].form ? NAME_LINKAGE : NAME_MIPS_LINKAGE]);
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
static int read_frames(struct fnp_dwarf *dwarf, struct place place, uint64_t address,
		       struct fnp_dwarf_location *ret)
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
	load_rows(dwarf, state);
	const struct fnp_dwarf_row *row = fnp_dwarf_row_find(state->rows.items, state->rows.len, offset);
	if (row) {
		ret->file = row->file;
		ret->line = row->line;
	}
	const struct fnp_range *function = find_function(dwarf, dies, offset);
	if (!function)
		return row ? 0 : -ENOENT;
	struct place place = {.source = dies == state ? &dwarf->main : source_of(dwarf, state),
			      .state = dies,
			      .die = dies->unit.offset + function->value};
	return read_frames(dwarf, place, address, ret);
}

/* Keeps memory within bounds, between two look-ups, when nothing is in use. */
static void tidy(struct fnp_dwarf *dwarf)
{
	if (dwarf->state_bytes > dwarf->state_bytes_max) {
		forget_states(&dwarf->main);
		forget_states(&dwarf->alt);
		dwarf->state_bytes = 0;
	}
	if (dwarf->read_bytes > FNP_MAX(PAGES_MIN, dwarf->state_bytes_max / 10 * 3)) {
		fnp_dwarf_file_release_pages(&dwarf->main.file);
		if (dwarf->alt.file.object)
			fnp_dwarf_file_release_pages(&dwarf->alt.file);
		dwarf->read_bytes = 0;
	}
}

static int find_once(struct fnp_dwarf *dwarf, uint64_t address, struct fnp_dwarf_location *ret)
{
	struct state *state;
	struct entry *entry;
	int r = find_unit(dwarf, address, &entry);

	if (r < 0)
		return r;
	dwarf->fuel = FUEL;
	dwarf->read_bytes += FAULT_BYTES / 4; /* names; many lie where others do */
	if (open_unit(dwarf, &dwarf->main, entry, NULL, &state) < 0)
		return -ENOENT;
	ret->n = 0;
	ret->file = ret->line = 0;
	ret->unit = entry->offset;
	return find_in_unit(dwarf, state, address, ret);
}

int fnp_dwarf_find(struct fnp_dwarf *dwarf, uint64_t address, struct fnp_dwarf_location *ret)
{
	int r;

	if (address < dwarf->code.start || dwarf->exhausted)
		return -ENOENT;
	tidy(dwarf);
	r = find_once(dwarf, address, ret);
	if (dwarf->wants_list) {
		dwarf->wants_list = false;
		r = list_units(&dwarf->main);
		if (r == 0)
			r = find_once(dwarf, address, ret);
	}
	if (dwarf->fuel == 0) {
		dwarf->exhausted = true;
		fnp_warning(
			"%s: its debug data takes too long to read; names come from its symbol tables alone",
			fnp_object_name(dwarf->main.file.object));
	}
	return r;
}

int fnp_dwarf_path(struct fnp_dwarf *dwarf, uint64_t unit, uint64_t file, struct fnp_buffer *ret)
{
	struct entry *entry = entry_of(&dwarf->main, unit);

	if (!entry || entry->offset != unit || !entry->state)
		return -ENOENT;
	return fnp_dwarf_file_path(&entry->state->unit, file, ret);
}
