/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about an object hangs on the object (its attachment), so that names live as long as it does and go
 * with it. Resolved chains are kept there by address, because samples meet the same addresses again and again.
 */
#include "symbolizer/symbolize.h"

#include <xxhash.h>

#include "base/buffer.h"
#include "base/intern.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"
#include "base/vec.h"
#include "symbolizer/demangle.h"
#include "symbolizer/dwarf.h"
#include "symbolizer/go_table.h"
#include "symbolizer/names_cache.h"
#include "symbolizer/symbol_table.h"

#define KEPT_BYTES_MAX (4U << 20) /* a folder outlives many programs; then it begins anew */
#define CACHE_FORMAT 1		  /* counts up with every change of what is resolved, or how it is laid out */
#define KEEP_NEW_MIN 64		  /* fewer new addresses are not worth a file */
#define STRINGS_MAX ((size_t)48 << 20)
#define CHAINS_MAX ((size_t)1 << 17) /* frames kept an object; past that they are forgotten and found again */

struct fnp_symbolizer {
	FNP_VEC(char *) roots;
	bool no_debug_data;
	struct fnp_debuginfod *debuginfod; /* NULL; not owned */
	uint64_t wait_until_ns;
	size_t unit_bytes_max; /* 0: as it comes */
	struct fnp_disk_cache *cache;
	struct fnp_buffer scratch;
};

/* What is known about one object. */
struct names {
	struct fnp_object *debug;	/* separate debug file, or NULL */
	bool awaited;			/* debuginfod was asked for `debug` */
	bool prepared;			/* `dwarf` and `go` were looked for */
	struct fnp_symbol_table *table; /* made when debug data alone does not answer; NULL after a failure, too */
	bool table_tried;
	struct fnp_dwarf *dwarf; /* NULL: no debug data */
	struct fnp_go_table *go; /* NULL: no Go program */
	struct fnp_intern *strings;
	FNP_VEC(uint32_t) shown; /* by a string's number: the number of its name for people, plus 1 */
	struct fnp_map paths;	 /* file of a unit -> number of its path */
	struct fnp_map chains;	 /* address -> first frame in `frames` << 16 | their number */
	fnp_symbol_vec frames;
	/* What the disk cache had, which holds strings of frames, and under which name. */
	struct fnp_disk_cache *cache; /* NULL: nothing is kept */
	struct fnp_buffer kept;
	char kept_name[FNP_DISK_CACHE_NAME_MAX];
	size_t kept_chains;
};

/* Keeps what was resolved, when there is more of it than before. */
static void keep_names(const struct names *names)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};

	if (!names->cache || names->chains.len < names->kept_chains + KEEP_NEW_MIN)
		return;
	if (fnp_names_pack(&names->chains, &names->frames, &bytes) == 0)
		(void)fnp_disk_cache_store(names->cache, names->kept_name, bytes.data, bytes.len);
}

static void destroy_names(void *attachment)
{
	struct names *names = attachment;

	keep_names(names);
	fnp_disk_cache_unref(names->cache);
	fnp_buffer_deinit(&names->kept);
	fnp_symbol_table_destroy(names->table);
	fnp_dwarf_destroy(names->dwarf);
	fnp_go_table_destroy(names->go);
	fnp_object_unref(names->debug);
	fnp_intern_destroy(names->strings);
	fnp_vec_deinit(&names->shown);
	fnp_map_deinit(&names->paths);
	fnp_map_deinit(&names->chains);
	fnp_vec_deinit(&names->frames);
	free(names);
}

static void destroy_namesp(struct names **names)
{
	if (*names)
		destroy_names(*names);
}

int fnp_symbolizer_create(const struct fnp_symbolizer_options *options, struct fnp_symbolizer **ret)
{
	static const struct fnp_symbolizer_options defaults;
	FNP_CLEANUP(fnp_symbolizer_destroyp)
	struct fnp_symbolizer *symbolizer = calloc(1, sizeof(*symbolizer));

	if (!symbolizer)
		return -ENOMEM;
	if (!options)
		options = &defaults;
	symbolizer->no_debug_data = options->no_debug_data;
	symbolizer->debuginfod = options->debuginfod;
	symbolizer->unit_bytes_max = options->unit_bytes_max;
	symbolizer->cache = fnp_disk_cache_ref(options->cache);
	for (size_t i = 0; i <= options->debug_roots.n; i++) {
		bool own = i == options->debug_roots.n;
		fnp_autofree char *path = strdup(own ? "/usr/lib/debug" : options->debug_roots.paths[i]);
		int r = path ? fnp_vec_push(&symbolizer->roots, path) : -ENOMEM;
		if (r < 0)
			return r;
		path = NULL;
	}
	*ret = TAKE_PTR(symbolizer);
	return 0;
}

void fnp_symbolizer_destroy(struct fnp_symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	for (size_t i = 0; i < symbolizer->roots.len; i++)
		free(symbolizer->roots.items[i]);
	fnp_vec_deinit(&symbolizer->roots);
	fnp_buffer_deinit(&symbolizer->scratch);
	fnp_disk_cache_unref(symbolizer->cache);
	free(symbolizer);
}

/* From the first to the last executable segment. */
static struct fnp_dwarf_code code_of(const struct fnp_object *object)
{
	struct fnp_dwarf_code code = {.start = UINT64_MAX};
	const struct fnp_segment *segments;
	size_t n = fnp_object_segments(object, &segments);

	for (size_t i = 0; i < n; i++) {
		if (!(segments[i].flags & PF_X) || segments[i].memory_size > UINT64_MAX - segments[i].address)
			continue;
		code.start = FNP_MIN(code.start, segments[i].address);
		code.end = FNP_MAX(code.end, segments[i].address + segments[i].memory_size);
	}
	code.end = FNP_MAX(code.start, code.end);
	return code;
}

/* What the names are made of: the object's own file, and its debug file's. */
static uint64_t hash_of(const struct fnp_symbolizer *symbolizer, const struct fnp_object *object,
			const struct fnp_object *debug)
{
	struct fnp_cursor own = fnp_object_bytes(object), other = debug ? fnp_object_bytes(debug) : own;
	uint64_t numbers[] = {fnp_cursor_left(&own), fnp_cursor_left(&other), debug != NULL,
			      symbolizer->no_debug_data};
	uint64_t hash = XXH3_64bits_withSeed(numbers, sizeof(numbers),
					     XXH3_64bits(fnp_object_header(object), sizeof(Elf64_Ehdr)));

	return debug ? XXH3_64bits_withSeed(fnp_object_header(debug), sizeof(Elf64_Ehdr), hash) : hash;
}

/* What was resolved the last time. */
static void load_names(const struct fnp_symbolizer *symbolizer, const struct fnp_object *object,
		       struct names *names)
{
	const char *build_id = fnp_object_build_id(object);

	if (!symbolizer->cache || strlen(build_id) < 16)
		return;
	snprintf(names->kept_name, sizeof(names->kept_name), "names-%d-%.64s-%016llx", CACHE_FORMAT, build_id,
		 (unsigned long long)hash_of(symbolizer, object, names->debug));
	names->cache = fnp_disk_cache_ref(symbolizer->cache);
	if (fnp_disk_cache_load(names->cache, names->kept_name, KEPT_BYTES_MAX, &names->kept) == 0 &&
	    fnp_names_unpack(names->kept.data, names->kept.len, &names->chains, &names->frames) == 0)
		names->kept_chains = names->chains.len;
}

static struct fnp_debug_roots roots_of(const struct fnp_symbolizer *symbolizer)
{
	return (struct fnp_debug_roots){
		.paths = (const char *const *)symbolizer->roots.items,
		.n = symbolizer->roots.len,
		.debuginfod = symbolizer->debuginfod ? fnp_debuginfod_folder(symbolizer->debuginfod) : NULL,
	};
}

/* Debug data and Go's tables, when something is asked that was not asked the last time. */
static void prepare(const struct fnp_symbolizer *symbolizer, struct fnp_object *object, struct names *names)
{
	if (names->prepared)
		return;
	names->prepared = true;
	(void)fnp_go_table_create(object, &names->go); /* most objects have none */
	if (!symbolizer->no_debug_data)
		(void)fnp_dwarf_create(names->debug ? names->debug : object, code_of(object),
				       roots_of(symbolizer), &names->dwarf);
	if (names->dwarf && symbolizer->unit_bytes_max)
		fnp_dwarf_set_budget(names->dwarf, symbolizer->unit_bytes_max);
}

/* What other files do not say, debuginfod may; the kernel's own objects are no files. */
static bool may_fetch(const struct fnp_symbolizer *symbolizer, const struct fnp_object *object)
{
	struct fnp_section section;

	return symbolizer->debuginfod && !symbolizer->no_debug_data && fnp_object_name(object)[0] != '[' &&
	       fnp_object_build_id(object)[0] && fnp_object_find_section(object, ".debug_info", &section) < 0;
}

/* The debug file came: what was resolved without it is forgotten, but for its texts, which others may have. */
static void take_fetched(const struct fnp_symbolizer *symbolizer, struct fnp_object *object, struct names *names)
{
	if (!fnp_debuginfod_wait(symbolizer->debuginfod, fnp_object_build_id(object), symbolizer->wait_until_ns))
		return;
	names->awaited = false;
	if (fnp_debug_file_find(object, roots_of(symbolizer), &names->debug) < 0)
		return;
	names->prepared = names->table_tried = false;
	fnp_symbol_table_destroy(TAKE_PTR(names->table));
	fnp_go_table_destroy(TAKE_PTR(names->go));
	fnp_map_deinit(&names->chains);
	names->frames.len = 0;
	fnp_disk_cache_unref(TAKE_PTR(names->cache));
}

static int names_of(const struct fnp_symbolizer *symbolizer, struct fnp_object *object, struct names **ret)
{
	FNP_CLEANUP(destroy_namesp) struct names *names = fnp_object_attachment(object);
	int r;

	if (names) {
		if (names->awaited)
			take_fetched(symbolizer, object, names);
		*ret = TAKE_PTR(names);
		return 0;
	}
	names = calloc(1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	names->awaited = fnp_debug_file_find(object, roots_of(symbolizer), &names->debug) < 0 &&
			 may_fetch(symbolizer, object); /* most objects have none */
	if (names->awaited) {
		fnp_debuginfod_ask(symbolizer->debuginfod, fnp_object_build_id(object));
		take_fetched(symbolizer, object, names);
	}
	r = fnp_intern_create(STRINGS_MAX, &names->strings);
	if (r < 0)
		return r;
	load_names(symbolizer, object, names);
	*ret = names;
	fnp_object_set_attachment(object, TAKE_PTR(names), destroy_names);
	return 0;
}

/* Demangles; the PLT's own names are not mangled as a whole: `_Zfoo@plt`. */
static int show(struct fnp_symbolizer *symbolizer, const char *system_name)
{
	size_t len = strlen(system_name);
	int r;

	symbolizer->scratch.len = 0;
	r = fnp_demangle(system_name, &symbolizer->scratch);
	if (r == 0 && len > 4 && strcmp(system_name + len - 4, "@plt") == 0) {
		symbolizer->scratch.len--;
		fnp_buffer_append(&symbolizer->scratch, "@plt", 5);
		r = symbolizer->scratch.error;
	}
	return r;
}

/* Both names of a function, interned; each is demangled once. */
static int take_names(struct fnp_symbolizer *symbolizer, struct names *names, const char *system_name,
		      struct fnp_symbol *ret)
{
	uint32_t system_id, shown_id;
	int r = fnp_intern_text(names->strings, system_name, &system_id);

	while (r == 0 && names->shown.len <= system_id)
		r = fnp_vec_push(&names->shown, 0);
	if (r < 0)
		return r;
	if (names->shown.items[system_id] == 0) {
		r = show(symbolizer, system_name);
		if (r == 0)
			r = fnp_intern_text(names->strings, (const char *)symbolizer->scratch.data, &shown_id);
		if (r < 0)
			return r;
		names->shown.items[system_id] = shown_id + 1;
	}
	ret->system_name = fnp_intern_get_text(names->strings, system_id);
	ret->name = fnp_intern_get_text(names->strings, names->shown.items[system_id] - 1);
	return 0;
}

static const char *take_path(struct fnp_symbolizer *symbolizer, struct names *names, uint64_t unit,
			     uint64_t file)
{
	/* Units lie at least 12 bytes apart, so this is one key for each file of each unit. */
	uint64_t key = unit << 20 ^ file, *known = file < 1 << 20 ? fnp_map_find(&names->paths, key) : NULL;
	uint32_t id = 0;

	if (known)
		return fnp_intern_get_text(names->strings, (uint32_t)*known);
	symbolizer->scratch.len = 0;
	if (fnp_dwarf_path(names->dwarf, unit, file, &symbolizer->scratch) < 0 ||
	    fnp_intern_text(names->strings, (const char *)symbolizer->scratch.data, &id) < 0)
		return "";
	if (file < 1 << 20)
		(void)fnp_map_set(&names->paths, key, id); /* it is only found again, then */
	return fnp_intern_get_text(names->strings, id);
}

/*
 * The linker's name of a function: its DWARF name; where that is only the plain name of something that is mangled, the
 * symbol's.
 */
static const char *system_name_of(const struct fnp_dwarf_frame *frame, const char *table_name)
{
	if (frame->linkage_name)
		return frame->linkage_name;
	if (table_name && (!frame->name || fnp_demangle_is_mangled(table_name)))
		return table_name;
	return frame->name;
}

/* In C a linkage name is what an alias was bound to (`__GI_memcpy`); people know the function by its plain name. */
static int take_frame_names(struct fnp_symbolizer *symbolizer, struct names *names,
			    const struct fnp_dwarf_frame *frame, const char *table_name, struct fnp_symbol *ret)
{
	const char *system_name = system_name_of(frame, table_name);
	uint32_t plain;
	int r;

	if (!system_name || !system_name[0])
		system_name = "(anonymous)"; /* inlined code of a function without a name */
	r = take_names(symbolizer, names, system_name, ret);
	if (r < 0 || !frame->name || !frame->name[0] || fnp_demangle_is_mangled(system_name))
		return r;
	r = fnp_intern_text(names->strings, frame->name, &plain);
	if (r == 0)
		ret->name = fnp_intern_get_text(names->strings, plain);
	return r;
}

/* The symbol at an address; -ENOENT. */
static int find_symbol(struct names *names, const struct fnp_object *object, uint64_t address,
		       struct fnp_table_symbol *ret)
{
	if (!names->table_tried) {
		int r = fnp_symbol_table_create(object, names->debug, &names->table);
		if (r < 0)
			fnp_warning("%s: its symbol tables cannot be read (%s); frames in it may stay "
				    "without names",
				    fnp_object_name(object), strerror(-r));
		names->table_tried = true;
	}
	return names->table ? fnp_symbol_table_find(names->table, address, ret) : -ENOENT;
}

static int add_dwarf_frames(struct fnp_symbolizer *symbolizer, struct names *names,
			    const struct fnp_dwarf_location *location, const char *table_name)
{
	for (size_t i = 0; i < location->n; i++) {
		const struct fnp_dwarf_frame *frame = &location->frames[i];
		const char *exists = i + 1 == location->n ? table_name : NULL;
		struct fnp_symbol symbol = {.file = "", .line = frame->line, .start_line = frame->start_line};
		int r = take_frame_names(symbolizer, names, frame, exists, &symbol);

		if (frame->line != 0)
			symbol.file = take_path(symbolizer, names, location->unit, frame->file);
		if (r == 0)
			r = fnp_vec_push(&names->frames, symbol);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Names of Go programs are no linker's names: nothing in them is mangled, and `@` is no version. */
static int add_go_frame(struct names *names, const struct fnp_go_function *function)
{
	struct fnp_symbol symbol = {.line = function->line, .start_line = function->start_line};
	uint32_t name, file;
	int r = fnp_intern_text(names->strings, function->name, &name);

	if (r == 0)
		r = fnp_intern_text(names->strings, function->file, &file);
	if (r < 0)
		return r;
	symbol.name = symbol.system_name = fnp_intern_get_text(names->strings, name);
	symbol.file = fnp_intern_get_text(names->strings, file);
	return fnp_vec_push(&names->frames, symbol);
}

static int look_up(struct fnp_symbolizer *symbolizer, struct names *names, const struct fnp_object *object,
		   uint64_t address)
{
	struct fnp_dwarf_location location = {.n = 0};
	struct fnp_table_symbol found = {0};
	struct fnp_symbol symbol = {.file = ""};
	struct fnp_go_function function;
	int r;

	if (names->dwarf && fnp_dwarf_find(names->dwarf, address, &location) < 0)
		location = (struct fnp_dwarf_location){.n = 0};
	if (location.n > 0 && location.frames[location.n - 1].linkage_name)
		return add_dwarf_frames(symbolizer, names, &location, NULL);
	if (location.n == 0 && names->go && fnp_go_table_find(names->go, address, &function) == 0)
		return add_go_frame(names, &function);
	r = find_symbol(names, object, address, &found);
	if (location.n > 0)
		return add_dwarf_frames(symbolizer, names, &location, found.name);
	if (r == 0)
		r = take_names(symbolizer, names, found.name, &symbol);
	if (r < 0)
		return r;
	if (location.line != 0) {
		symbol.line = location.line;
		symbol.file = take_path(symbolizer, names, location.unit, location.file);
	}
	return fnp_vec_push(&names->frames, symbol);
}

void fnp_symbolizer_expect(struct fnp_symbolizer *symbolizer, struct fnp_object *object)
{
	struct fnp_object *debug = NULL;

	if (fnp_object_attachment(object) || !may_fetch(symbolizer, object))
		return;
	if (fnp_debug_file_find(object, roots_of(symbolizer), &debug) < 0)
		fnp_debuginfod_ask(symbolizer->debuginfod, fnp_object_build_id(object));
	fnp_object_unref(debug);
}

void fnp_symbolizer_wait_until(struct fnp_symbolizer *symbolizer, uint64_t until_ns)
{
	symbolizer->wait_until_ns = until_ns;
}

static struct fnp_symbol_chain chain_at(const struct names *names, uint64_t packed)
{
	uint32_t n = (uint32_t)(packed & 0xffff);

	return (struct fnp_symbol_chain){.symbols = n ? &names->frames.items[packed >> 16] : NULL, .n = n};
}

int fnp_symbolizer_resolve(struct fnp_symbolizer *symbolizer, struct fnp_object *object, uint64_t address,
			   struct fnp_symbol_chain *ret)
{
	struct names *names;
	int r = names_of(symbolizer, object, &names);

	if (r < 0)
		return r;
	uint64_t *known = fnp_map_find(&names->chains, address);
	if (known) {
		*ret = chain_at(names, *known);
		return ret->n > 0 ? 0 : -ENOENT;
	}
	if (names->frames.len > CHAINS_MAX || names->chains.len > CHAINS_MAX) {
		fnp_map_deinit(&names->chains);
		names->frames.len = 0;
		names->kept_chains = 0;
	}
	prepare(symbolizer, object, names);
	uint64_t first = names->frames.len;
	r = look_up(symbolizer, names, object, address);
	if (r < 0 && r != -ENOENT) {
		names->frames.len = first;
		return r;
	}
	uint64_t packed = first << 16 | (names->frames.len - first);
	int set = fnp_map_set(&names->chains, address, packed);
	if (set < 0)
		return set;
	if (r == 0)
		*ret = chain_at(names, packed);
	return r;
}

static int compare_addresses(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void fnp_symbolizer_resolve_all(struct fnp_symbolizer *symbolizer, struct fnp_object *object,
				uint64_t *addresses, size_t n)
{
	struct fnp_symbol_chain chain;

	if (n > 1)
		qsort(addresses, n, sizeof(*addresses), compare_addresses);
	/* What fails here fails again when it is asked for. */
	for (size_t i = 0; i < n; i++)
		(void)fnp_symbolizer_resolve(symbolizer, object, addresses[i], &chain);
}

void fnp_symbolizer_fallback_name(const char *object_name, uint64_t address, char *ret, size_t size)
{
	const char *slash = strrchr(object_name, '/');
	char tail[32];
	int tail_len = snprintf(tail, sizeof(tail), "+0x%llx]", (unsigned long long)address);

	if (slash && slash[1])
		object_name = slash + 1;
	if (size < (size_t)tail_len + 2) {
		snprintf(ret, size, "[%s", tail + 1);
		return;
	}
	snprintf(ret, size, "[%.*s%s", (int)(size - (size_t)tail_len - 2), object_name, tail);
	fnp_text_make_printable(ret, strlen(ret));
}
