/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HotSpot JVM: recognised by the tables that it publishes for debuggers, in every build, also a stripped one.
 *
 * Its version stands in the text that `java -Xinternalversion` prints: "... for linux-amd64 JRE (21.0.4+7-LTS), ...".
 *
 * Attached early, while the library is being loaded, a JVM has neither code heaps nor an interpreter yet: refresh() looks
 * again until they are there. Frames are named once and remembered by their words, whose cookie makes them one thing.
 */
#include "symbolizer/hotspot.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

#define FRAMES_MAX 32768
#define FILLED_NS 1000000000 /* from something that is missing in the tables on */
#define CACHE_BYTES_MAX (8 << 20)
#define RANGES_MAX FNP_HOTSPOT_HEAPS_MAX
#define LOOKS_MAX 20			       /* at a JVM that starts, and for so long: */
#define SETTLED_NS FNP_NS_PER_S		       /* many samples that waited are looked at at once */
#define WORD_ADDRESS ((UINT64_C(1) << 57) - 1) /* of a frame's head word */

struct fnp_runtime {
	struct fnp_hotspot_view view;
	bool has_tables, has_whole_tables, has_symbols, was_starting, is_ready, is_refused;
	uint64_t missed_ns; /* when something was first missing in the tables; 0: never */
	unsigned n_looks;   /* for an archive */
	unsigned n_same;    /* looks in a row that found nothing new */
	uint64_t moved_ns;  /* the last one that did */
	struct fnp_runtime_range ranges[RANGES_MAX];
	size_t n_ranges;
	struct fnp_hotspot_cache cache;
	struct fnp_hotspot_stubs stubs;
	struct fnp_map frames;		/* key_of() to struct known */
	uint64_t n_named;		/* ever */
	struct fnp_hotspot_chain chain; /* too big for the stack */
};

/* One named frame; those whose keys are equal stand in one list. */
struct known {
	struct known *next;
	uint64_t words[FNP_HOTSPOT_WORDS];
	uint64_t address; /* a number: memory is used again for other code, and methods lie closer than their bytecodes */
	enum fnp_runtime_tier tier;
	const char *mapping;
	size_t n_lines;
	char *stub; /* the name of what is no method; owned */
	struct known_line {
		const struct fnp_hotspot_method *method; /* the cache's */
		uint32_t start_line, line;
	} lines[];
};

static int recognise(const struct fnp_object *object, struct fnp_runtime_id *ret)
{
	static const char *const names[] = {"gHotSpotVMStructs", "gHotSpotVMTypes", "JNI_CreateJavaVM"};
	struct fnp_object_symbol symbols[FNP_ARRAY_SIZE(names)];
	struct fnp_runtime_id id = {0};

	if (fnp_runtime_exports(object, names, FNP_ARRAY_SIZE(names), symbols) != FNP_ARRAY_SIZE(names))
		return -ENOENT;
	if (fnp_runtime_version_after(object, " JRE (", id.version, sizeof(id.version)) == 0)
		fnp_runtime_parse_version(id.version, &id.major, &id.minor);
	if (id.major == 1) /* "1.8.0_412-b08" */
		id.major = id.minor;
	if (id.major)
		snprintf(id.text, sizeof(id.text), "jvm%u", id.major);
	else
		snprintf(id.text, sizeof(id.text), "jvm");
	*ret = id;
	return 0;
}

/* ---- attaching ---------------------------------------------------------------------------------------------- */

static int attach(const struct fnp_runtime_process *process, const struct fnp_runtime_match *match,
		  struct fnp_runtime **ret)
{
	fnp_autofree struct fnp_runtime *runtime = calloc(1, sizeof(*runtime));

	if (!runtime)
		return -ENOMEM;
	runtime->view.place = (struct fnp_hotspot_place){
		.pid = process->pid, .bias = match->bias, .object = match->object};
	runtime->view.version = match->id.major;
	*ret = TAKE_PTR(runtime);
	return 0;
}

static void known_destroy(struct known *known)
{
	free(known->stub);
	free(known);
}
FNP_DEFINE_CLEANUP(known_destroyp, struct known *, known_destroy)

static void forget_all(struct fnp_runtime *runtime)
{
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&runtime->frames, slot));) {
		for (struct known *known = (struct known *)(uintptr_t)slot->value, *next; known; known = next) {
			next = known->next;
			known_destroy(known);
		}
	}
	fnp_map_deinit(&runtime->frames);
	runtime->frames = (struct fnp_map){0};
	fnp_hotspot_cache_clear(&runtime->cache);
}

static void detach(struct fnp_runtime *runtime)
{
	if (!runtime)
		return;
	forget_all(runtime);
	fnp_hotspot_stubs_clear(&runtime->stubs);
	fnp_hotspot_archive_close(&runtime->view.archive);
	free(runtime);
}

static int refuse(struct fnp_runtime *runtime)
{
	runtime->is_refused = true;
	fnp_warning_once("Java %u (%s) does not publish what is needed to walk its frames: its native frames "
			 "are shown",
			 runtime->view.version, fnp_object_name(runtime->view.place.object));
	return -EOPNOTSUPP;
}

/* A flag of the JVM, in a file that has its symbols. */
static bool is_on(const struct fnp_hotspot_view *view, enum fnp_hotspot_field flag)
{
	uint8_t value;

	return fnp_hotspot_has(&view->tables, flag) &&
	       fnp_runtime_read(view->place.pid, view->tables.values[flag], &value, sizeof(value)) == 0 &&
	       value;
}

/* Reads what was not read yet, and the places. What refresh returns for a failure. */
static int look(struct fnp_runtime *runtime)
{
	struct fnp_hotspot_view *view = &runtime->view;
	int r = 0;

	if (!runtime->has_tables) {
		r = fnp_hotspot_tables_read(&view->place, &view->tables);
		r = r ?: fnp_hotspot_layout_read(&view->tables, &view->layout);
		runtime->has_tables = r == 0;
	}
	/* A JVM that starts is not kept waiting for what it needs later. */
	if (r == 0 && !runtime->has_symbols && (!runtime->was_starting || runtime->n_same > 0)) {
		fnp_hotspot_symbols_read(&view->place, &view->tables);
		runtime->has_symbols = true;
	}
	return r ?: fnp_hotspot_layout_places(&view->place, &view->tables, &view->layout);
}

/*
 * Relocations and constructors fill the tables entry by entry, and who looks meanwhile takes what is there for all of it. So
 * they are read once more when the JVM has its heaps, which it makes later, and what is missing before that may come.
 */
static int look_carefully(struct fnp_runtime *runtime)
{
	int r = look(runtime);

	if (r == 0 && !runtime->has_whole_tables) {
		runtime->has_whole_tables = true;
		runtime->has_tables = runtime->has_symbols = false;
		r = look(runtime);
	}
	if (r != -EOPNOTSUPP)
		return r;
	runtime->has_tables = false;
	if (runtime->missed_ns == 0)
		runtime->missed_ns = fnp_clock_ns();
	return fnp_clock_ns() - runtime->missed_ns < FILLED_NS ? -EAGAIN : refuse(runtime);
}

/* It is mapped after the heaps were made, or never: looked for at the first, the second, the fourth, ... look. */
static void look_for_archive(struct fnp_runtime *runtime)
{
	struct fnp_hotspot_view *view = &runtime->view;

	runtime->n_looks++;
	if (view->archive.n_pieces == 0 && (runtime->n_looks & (runtime->n_looks - 1)) == 0)
		fnp_hotspot_archive_find(view->place.pid, &view->archive);
}

static int refresh(struct fnp_runtime *runtime)
{
	struct fnp_hotspot_view *view = &runtime->view;
	struct fnp_hotspot_layout before = view->layout;
	int r;

	if (runtime->is_ready)
		return 0;
	if (runtime->is_refused)
		return -EOPNOTSUPP;
	r = look_carefully(runtime);
	runtime->was_starting |= r == -EAGAIN;
	if (r < 0)
		return r;
	look_for_archive(runtime);
	view->is_detailed = is_on(view, FNP_HOTSPOT_DETAILED);
	runtime->n_ranges = 0;
	for (size_t i = 0; i < FNP_HOTSPOT_HEAPS_MAX && view->layout.heaps[i].end; i++)
		runtime->ranges[runtime->n_ranges++] = (struct fnp_runtime_range){
			.start = view->layout.heaps[i].start, .end = view->layout.heaps[i].end};
	/* The interpreter is complete when nothing moves any more. */
	runtime->n_same = memcmp(&before, &view->layout, sizeof(before)) == 0 ? runtime->n_same + 1 : 0;
	if (runtime->n_same == 0)
		runtime->moved_ns = fnp_clock_ns();
	runtime->is_ready = runtime->n_same >= LOOKS_MAX && fnp_clock_ns() - runtime->moved_ns >= SETTLED_NS;
	return runtime->n_same == 0;
}

static const void *layout(const struct fnp_runtime *runtime, size_t *ret_size)
{
	*ret_size = sizeof(runtime->view.layout);
	return &runtime->view.layout;
}

static size_t ranges(const struct fnp_runtime *runtime, const struct fnp_runtime_range **ret)
{
	*ret = runtime->ranges;
	return runtime->n_ranges;
}

/* ---- names -------------------------------------------------------------------------------------------------- */

static uint64_t key_of(const uint64_t *words)
{
	return words[0] * 0x9e3779b97f4a7c15ULL ^ words[1];
}

static struct known *find(const struct fnp_runtime *runtime, const uint64_t *words)
{
	struct known *known = fnp_map_find_ptr(&runtime->frames, key_of(words));

	while (known && (known->words[0] != words[0] || known->words[1] != words[1]))
		known = known->next;
	return known;
}

static struct known *create(const uint64_t *words, size_t n_lines)
{
	struct known *known = calloc(1, sizeof(*known) + n_lines * sizeof(known->lines[0]));

	if (known) {
		memcpy(known->words, words, sizeof(known->words));
		known->n_lines = n_lines;
	}
	return known;
}

static int name_interpreted(struct fnp_runtime *runtime, const uint64_t *words, struct known **ret)
{
	const struct fnp_hotspot_method *method;
	uint64_t address = words[0] & WORD_ADDRESS & ~UINT64_C(7);
	uint32_t bci = (uint32_t)words[1];
	int r = fnp_hotspot_cache_method(&runtime->cache, &runtime->view, address, (uint32_t)(words[1] >> 32),
					 &method);

	if (r < 0)
		return r;
	struct known *known = create(words, 1);
	if (!known)
		return -ENOMEM;
	known->tier = FNP_RUNTIME_TIER_INTERPRETED;
	known->mapping = "[jvm interpreter]";
	known->lines[0].method = method;
	known->lines[0].line = fnp_hotspot_method_line(&runtime->view, method, bci,
						       &known->lines[0].start_line);
	*ret = known;
	return 0;
}

static const char *mapping_of_level(int level)
{
	if (level == 4)
		return "[jvm c2]";
	return level >= 1 && level <= 3 ? "[jvm c1]" : "[jvm]";
}

static int name_compiled(struct fnp_runtime *runtime, const uint64_t *words, struct known **ret)
{
	struct fnp_hotspot_chain *chain = &runtime->chain;
	const struct fnp_hotspot_code *code;
	int r = fnp_hotspot_cache_code(&runtime->cache, &runtime->view, words[0] & WORD_ADDRESS & ~UINT64_C(7),
				       (uint32_t)(words[1] >> 32), &code);

	if (r < 0)
		return r;
	fnp_hotspot_code_at(code, (uint32_t)words[1], chain);
	struct known *known = create(words, chain->n);
	if (!known)
		return -ENOMEM;
	known->mapping = mapping_of_level(code->level);
	known->tier = code->level ? FNP_RUNTIME_TIER_JIT : FNP_RUNTIME_TIER_NONE;
	for (size_t i = 0; i < chain->n; i++) {
		const struct fnp_hotspot_scope *scope = &chain->scopes[i];
		struct known_line *line = &known->lines[i];

		*line = (struct known_line){.method = scope->method, .line = scope->line};
		fnp_hotspot_method_line(&runtime->view, scope->method, UINT32_MAX, &line->start_line);
	}
	*ret = known;
	return 0;
}

/* "RuntimeStub - _new_array_Java", "StubRoutines (1)" */
static int read_blob_name(const struct fnp_hotspot_view *view, const uint64_t *words,
			  char ret[FNP_HOTSPOT_STUB_NAME_MAX])
{
	uint64_t blob = words[0] & WORD_ADDRESS & ~UINT64_C(7), name;

	if (fnp_runtime_read(view->place.pid, blob + view->layout.blob_name, &name, sizeof(name)) < 0 ||
	    (uint32_t)name != (uint32_t)(words[1] >> 32) ||
	    fnp_runtime_read(view->place.pid, name, ret, FNP_HOTSPOT_STUB_NAME_MAX) < 0)
		return -ESRCH;
	ret[FNP_HOTSPOT_STUB_NAME_MAX - 1] = '\0';
	return 0;
}

/* The piece of code that it is, else the blob that it lies in. */
static int name_stub(struct fnp_runtime *runtime, const uint64_t *words, struct known **ret)
{
	uint64_t address = (words[0] & WORD_ADDRESS & ~UINT64_C(7)) + (uint32_t)words[1];
	char text[FNP_HOTSPOT_STUB_NAME_MAX];
	int r = read_blob_name(&runtime->view, words, text);
	const char *name;

	if (r < 0)
		return r;
	FNP_CLEANUP(known_destroyp) struct known *known = create(words, 1);
	if (!known)
		return -ENOMEM;
	name = fnp_hotspot_stub_name(&runtime->stubs, &runtime->view, address);
	known->mapping = "[jvm]";
	known->stub = strdup(name ? name : text);
	if (!known->stub)
		return -ENOMEM;
	*ret = TAKE_PTR(known);
	return 0;
}

static int remember(struct fnp_runtime *runtime, struct known *known)
{
	known->next = fnp_map_find_ptr(&runtime->frames, key_of(known->words));
	known->address = (uint64_t)runtime->view.place.pid << 40 | ++runtime->n_named;
	return fnp_map_set_ptr(&runtime->frames, key_of(known->words), known);
}

static int name_new(struct fnp_runtime *runtime, const uint64_t *words, struct known **ret)
{
	FNP_CLEANUP(known_destroyp) struct known *known = NULL;
	int r;

	if (runtime->frames.len >= FRAMES_MAX || runtime->cache.bytes >= CACHE_BYTES_MAX)
		forget_all(runtime);
	switch (words[0] & 7) {
	case FNP_HOTSPOT_INTERPRETED:
		r = name_interpreted(runtime, words, &known);
		break;
	case FNP_HOTSPOT_COMPILED:
		r = name_compiled(runtime, words, &known);
		break;
	case FNP_HOTSPOT_STUB:
		r = name_stub(runtime, words, &known);
		break;
	default:
		r = -EBADMSG;
	}
	r = r ?: remember(runtime, known);
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

static int name_frame(struct fnp_runtime *runtime, const uint64_t *words, size_t n_words,
		      struct fnp_runtime_frame *ret)
{
	struct known *known;

	if (n_words != FNP_HOTSPOT_WORDS)
		return -EBADMSG;
	known = find(runtime, words);
	if (!known) {
		int r = name_new(runtime, words, &known);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < known->n_lines; i++) {
		const struct known_line *line = &known->lines[i];
		const struct fnp_hotspot_method *method = line->method;
		ret->lines[i] = (struct fnp_runtime_line){.name = method ? method->name : known->stub,
							  .file = method && method->file ? method->file : "",
							  .start_line = line->start_line,
							  .line = line->line};
	}
	ret->n_lines = known->n_lines;
	ret->tier = known->tier;
	ret->mapping = known->mapping;
	ret->address = known->address;
	return 0;
}

static enum fnp_runtime_native native(const struct fnp_runtime *runtime, const struct fnp_object *object,
				      const char *name)
{
	(void)runtime;
	(void)object;
	(void)name;
	return FNP_RUNTIME_NATIVE_SHOWN;
}

const struct fnp_runtime_ops fnp_runtime_hotspot = {
	.name = "hotspot",
	.word_kind = 3, /* FNP_WORD_HOTSPOT */
	.code_kind = 3, /* FNP_CODE_HOTSPOT */
	.layouts = "fnp_hotspot_layouts",
	.of_process = true,
	.code_comes_first = true,
	.recognise = recognise,
	.attach = attach,
	.detach = detach,
	.refresh = refresh,
	.layout = layout,
	.ranges = ranges,
	.name_frame = name_frame,
	.native = native,
};
