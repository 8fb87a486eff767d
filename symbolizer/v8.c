/* SPDX-License-Identifier: Apache-2.0 */
/*
 * V8 as a runtime: attaches to a process, tells the walker where its code lies, and names frames.
 *
 * Isolates come and go with worker threads, and WebAssembly makes code of its own, so the places of code are looked for
 * whenever the process's mappings changed. Frames are named once and remembered by their words, whose cookies make them
 * one thing. Compiled code is looked up by its pc; what it says must fit the function that the frame itself holds, else
 * only that function is shown.
 */
#include "symbolizer/v8.h"

#include "base/log.h"
#include "base/map.h"

#define FRAMES_MAX 65536
#define ADDRESS_MASK ((UINT64_C(1) << FNP_V8_FRAME_SHIFT) - 1)
#define ANONYMOUS "(anonymous)"

struct fnp_runtime {
	struct fnp_v8_view view;
	const struct fnp_object *object;
	uint64_t bias;
	uint64_t stream_map; /* of the view */
	bool is_remapped, is_told;
	struct fnp_v8_places places;
	struct fnp_v8_scripts *scripts;
	struct fnp_map frames;	  /* key_of() to struct known */
	struct fnp_map functions; /* key_of_function() to one of these, whose last line is that function */
	struct fnp_v8_code code;  /* too big for the stack */
};

/* One named frame; those whose keys are equal stand in one list. */
struct known {
	struct known *next;
	uint64_t words[FNP_V8_WORDS];
	uint64_t address; /* made of what is shown: equal frames are one place */
	enum fnp_runtime_tier tier;
	const char *mapping;
	size_t n_lines;
	struct known_line {
		char *name, *file;
		uint32_t start_line, line;
	} lines[];
};

/* ---- attaching ---------------------------------------------------------------------------------------------- */

static void known_destroy(struct known *known)
{
	for (size_t i = 0; known && i < known->n_lines; i++) {
		free(known->lines[i].name);
		free(known->lines[i].file);
	}
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
	fnp_map_deinit(&runtime->functions);
	runtime->functions = (struct fnp_map){0};
}

static void detach(struct fnp_runtime *runtime)
{
	if (!runtime)
		return;
	forget_all(runtime);
	fnp_v8_scripts_destroy(runtime->scripts);
	free(runtime);
}
FNP_DEFINE_CLEANUP(detachp, struct fnp_runtime *, detach)

static int attach(const struct fnp_runtime_process *process, const struct fnp_runtime_match *match,
		  struct fnp_runtime **ret)
{
	FNP_CLEANUP(detachp) struct fnp_runtime *runtime = calloc(1, sizeof(*runtime));
	int r;

	if (!runtime)
		return -ENOMEM;
	runtime->view.pid = process->pid;
	runtime->view.stream_map = &runtime->stream_map;
	runtime->object = match->object;
	runtime->bias = match->bias;
	runtime->is_remapped = true;
	r = fnp_v8_tables_read(match->object, match->id.major, &runtime->view.tables);
	r = r ?: fnp_v8_layout_read(&runtime->view.tables, &runtime->view.layout);
	if (r == -EOPNOTSUPP)
		fnp_warning_once(
			"%s (%s) does not publish what is needed to walk its JavaScript frames: its native "
			"frames are shown",
			match->id.text, fnp_object_name(match->object));
	r = r ?: fnp_v8_scripts_create(process->source_maps, &runtime->scripts);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(runtime);
	return 0;
}

static void remapped(struct fnp_runtime *runtime)
{
	runtime->is_remapped = true;
}

static int refresh(struct fnp_runtime *runtime)
{
	struct fnp_v8_places places;
	bool is_same;
	int r;

	if (!runtime->is_remapped)
		return 0;
	r = fnp_v8_places_read(runtime->view.pid, &runtime->view.tables, runtime->bias, runtime->object,
			       &places);
	if (r < 0)
		return r;
	runtime->is_remapped = false;
	is_same = runtime->is_told && places.n_ranges == runtime->places.n_ranges &&
		  memcmp(places.ranges, runtime->places.ranges, places.n_ranges * sizeof(places.ranges[0])) ==
			  0;
	runtime->places = places;
	runtime->is_told = true;
	return !is_same;
}

static const void *layout(const struct fnp_runtime *runtime, size_t *ret_size)
{
	*ret_size = sizeof(runtime->view.layout);
	return &runtime->view.layout;
}

static size_t ranges(const struct fnp_runtime *runtime, const struct fnp_runtime_range **ret)
{
	*ret = runtime->places.ranges;
	return runtime->places.n_ranges;
}

/* ---- names -------------------------------------------------------------------------------------------------- */

static uint64_t key_of(const uint64_t *words)
{
	uint64_t key = words[0];

	for (size_t i = 1; i < FNP_V8_WORDS; i++)
		key = (key ^ key >> 32) * 0x9e3779b97f4a7c15ULL ^ words[i];
	return key;
}

static struct known *find(const struct fnp_runtime *runtime, const uint64_t *words)
{
	struct known *known = fnp_map_find_ptr(&runtime->frames, key_of(words));

	while (known && memcmp(known->words, words, sizeof(known->words)) != 0)
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

/* The rest of a line whose file and first line are those of the source. */
static int set_original(const struct fnp_v8_script *script, const struct fnp_v8_function *function,
			int32_t position, struct known_line *ret)
{
	fnp_autofree char *file = NULL;
	const char *name;
	uint32_t line;

	/* What a bundler took in from another file has no line of this one. */
	if (fnp_v8_script_original(script, position, &file, &line) == 0 && strcmp(file, ret->file) == 0)
		ret->line = line;
	name = function->name ? fnp_v8_script_original_name(script, function->start, function->name) : NULL;
	if (!name)
		return 0;
	free(ret->name);
	ret->name = strdup(name);
	return ret->name ? 0 : -ENOMEM;
}

/* One line of a frame: a function, at a position of its script's source. */
static int set_line(struct fnp_runtime *runtime, const struct fnp_v8_function *function, int32_t position,
		    struct known_line *ret)
{
	const struct fnp_v8_script *script;

	ret->name = strdup(function->name ?: ANONYMOUS);
	if (!ret->name)
		return -ENOMEM;
	if (fnp_v8_scripts_get(runtime->scripts, &runtime->view, function->script,
			       (uint32_t)(function->ids >> 32), &script) < 0)
		return 0;
	if (fnp_v8_script_original(script, function->start, &ret->file, &ret->start_line) == 0)
		return set_original(script, function, position, ret);
	ret->file = strdup(fnp_v8_script_file(script));
	ret->start_line = fnp_v8_script_line(script, function->start);
	ret->line = fnp_v8_script_line(script, position);
	return ret->file ? 0 : -ENOMEM;
}

static void set_tier(enum fnp_v8_tier tier, struct known *known)
{
	static const char *const mappings[] = {[FNP_V8_TIER_OTHER] = "[v8]",
					       [FNP_V8_TIER_REGEXP] = "[v8]",
					       [FNP_V8_TIER_SPARKPLUG] = "[v8 sparkplug]",
					       [FNP_V8_TIER_MAGLEV] = "[v8 maglev]",
					       [FNP_V8_TIER_TURBOFAN] = "[v8 turbofan]"};

	known->mapping = mappings[tier];
	known->tier = tier >= FNP_V8_TIER_SPARKPLUG ? FNP_RUNTIME_TIER_JIT : FNP_RUNTIME_TIER_NONE;
}

static void set_interpreted(bool awaits, struct known *known)
{
	known->tier = awaits ? FNP_RUNTIME_TIER_AWAITING : FNP_RUNTIME_TIER_INTERPRETED;
	known->mapping = awaits ? "[v8 awaiting]" : "[v8 ignition]";
}

/* The function of a frame's words, if it still is the one that was seen. */
static int read_function(struct fnp_runtime *runtime, const uint64_t *words, struct fnp_v8_function *ret)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
	int r = fnp_v8_function_read(&runtime->view, (words[0] & ADDRESS_MASK) + 1, &function);

	if (r < 0)
		return r;
	if (function.ids != words[1] || function.cookie != (uint32_t)words[3])
		return -ESRCH;
	*ret = function;
	function = (struct fnp_v8_function){0};
	return 0;
}

static int name_interpreted(struct fnp_runtime *runtime, const uint64_t *words, bool awaits, struct known **ret)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
	int r = read_function(runtime, words, &function);

	if (r < 0)
		return r;
	FNP_CLEANUP(known_destroyp) struct known *known = create(words, 1);
	if (!known)
		return -ENOMEM;
	set_interpreted(awaits, known);
	r = set_line(runtime, &function,
		     words[2] == FNP_V8_NO_OFFSET
			     ? -1
			     : fnp_v8_bytecode_position(&runtime->view, function.bytecode, (uint32_t)words[2]),
		     &known->lines[0]);
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

/* A function that is on the stack; `baseline` is its code, NULL: where in the function is not known. */
static int name_function(struct fnp_runtime *runtime, const uint64_t *words,
			 const struct fnp_v8_code *baseline, struct known **ret)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
	enum fnp_v8_tier tier = baseline ? baseline->tier : FNP_V8_TIER_OTHER;
	int32_t position = -1;
	int r = read_function(runtime, words, &function);

	if (r < 0)
		return r;
	/* What the code says is of use when it is this function's. */
	if (baseline && function.bytecode && function.bytecode == baseline->bytecode)
		position = baseline->position;
	FNP_CLEANUP(known_destroyp) struct known *known = create(words, 1);
	if (!known)
		return -ENOMEM;
	set_tier(tier, known);
	r = set_line(runtime, &function, position, &known->lines[0]);
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

/* All lines of optimized code; the outermost must be `own`, 0: any. */
static int name_scopes(struct fnp_runtime *runtime, const uint64_t *words, uint64_t own, struct known **ret)
{
	const struct fnp_v8_code *code = &runtime->code;
	FNP_CLEANUP(known_destroyp) struct known *known = create(words, code->n);
	int r = 0;

	if (!known)
		return -ENOMEM;
	set_tier(code->tier, known);
	for (size_t i = 0; r == 0 && i < code->n; i++) {
		FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
		int32_t position = code->scopes[i].position;

		r = fnp_v8_function_read(&runtime->view, code->scopes[i].shared, &function);
		if (r == 0 && own && i == code->n - 1 && function.ids != own)
			r = -ENOENT;
		/* Where Maglev inlined a call is told by the statement before, at times. */
		if (i > 0 && code->tier == FNP_V8_TIER_MAGLEV)
			position = -1;
		r = r ?: set_line(runtime, &function, position, &known->lines[i]);
	}
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

/*
 * A compiled frame whose function was read after its time. It is named by its code alone, and only when the function
 * agrees. -ESRCH.
 */
static int name_late(struct fnp_runtime *runtime, const uint64_t *words, struct known **ret)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
	const struct fnp_v8_code *code = &runtime->code;
	int r;

	if (code->n)
		return name_scopes(runtime, words, words[1], ret) < 0 ? -ESRCH : 0;
	r = read_function(runtime, words, &function);
	if (r < 0 || code->tier != FNP_V8_TIER_SPARKPLUG || !function.bytecode ||
	    function.bytecode != code->bytecode)
		return -ESRCH;
	return name_function(runtime, words, code, ret);
}

static int read_code(struct fnp_runtime *runtime, uint64_t pc, const uint64_t *words)
{
	uint64_t next = words[2] & FNP_V8_EXACT ? pc : pc + 1;

	return fnp_v8_code_read(&runtime->view, pc, next, (uint32_t)(words[3] >> 32), &runtime->code);
}

/* What was inlined there cannot be told any more. */
static int set_gone(const uint64_t *words, struct known_line *ret)
{
	if (asprintf(&ret->name, "[v8+0x%lx]", words[2] & ADDRESS_MASK) >= 0)
		return 0;
	ret->name = NULL;
	return -ENOMEM;
}

/* Compiled code that is gone: what was inlined there cannot be told any more, and that is said. */
static int name_gone(struct fnp_runtime *runtime, const uint64_t *words, struct known **ret)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
	int r = read_function(runtime, words, &function);

	if (r < 0)
		return r;
	FNP_CLEANUP(known_destroyp) struct known *known = create(words, 2);
	if (!known)
		return -ENOMEM;
	set_tier(FNP_V8_TIER_OTHER, known);
	r = set_gone(words, &known->lines[0]);
	r = r ?: set_line(runtime, &function, -1, &known->lines[1]);
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

static int name_compiled(struct fnp_runtime *runtime, const uint64_t *words, struct known **ret)
{
	const struct fnp_v8_code *code = &runtime->code;
	int r = read_code(runtime, words[2] & ADDRESS_MASK, words);

	if (r == -ENOMEM)
		return r;
	if (words[2] & FNP_V8_LATE)
		return r < 0 ? -ESRCH : name_late(runtime, words, ret);
	if (r < 0)
		return name_gone(runtime, words, ret);
	if (code->n == 0)
		return name_function(runtime, words, code, ret);
	r = name_scopes(runtime, words, words[1], ret);
	return r == -ENOENT ? name_function(runtime, words, NULL, ret) : r;
}

static int name_text(const uint64_t *words, const char *name, const char *mapping, enum fnp_runtime_tier tier,
		     struct known **ret)
{
	FNP_CLEANUP(known_destroyp) struct known *known = create(words, 1);

	if (!known)
		return -ENOMEM;
	known->mapping = mapping;
	known->tier = tier;
	known->lines[0].name = strdup(name);
	if (!known->lines[0].name)
		return -ENOMEM;
	*ret = TAKE_PTR(known);
	return 0;
}

/*
 * A function of WebAssembly, by where its code lies; `is_frame`: the frame says that it is one. -ESRCH when it does not, and
 * the code is none.
 */
static int name_wasm(struct fnp_runtime *runtime, const uint64_t *words, bool is_frame, struct known **ret)
{
	uint64_t pc = words[0] & ADDRESS_MASK, next = words[2] & FNP_V8_EXACT ? pc : pc + 1, around[2],
		 manager = 0;
	fnp_autofree char *name = NULL;
	struct fnp_v8_wasm wasm;
	int r = runtime->view.tables.wasm_manager ? 0 : -ESRCH;

	r = r
		    ?: fnp_runtime_read(runtime->view.pid, runtime->view.tables.wasm_manager + runtime->bias,
					&manager, sizeof(manager));
	r = r ?: fnp_v8_wasm_find(&runtime->view, manager, pc, &wasm);
	r = r ?: fnp_v8_wasm_read_name(&runtime->view, &wasm, &name);
	r = r ?: fnp_runtime_read(runtime->view.pid, next - 8, around, sizeof(around));
	if (r == 0 && !fnp_v8_code_is_same(fnp_v8_code_hash(around[0], around[1]), (uint32_t)(words[3] >> 32)))
		r = -ESRCH;
	if (r < 0 && r != -ENOENT && !is_frame)
		return -ESRCH;
	return name_text(words, r < 0 ? "(wasm)" : name, "[v8 wasm]", FNP_RUNTIME_TIER_JIT, ret);
}

/* Code that has no function in its frame, or not yet. */
static int name_code(struct fnp_runtime *runtime, const uint64_t *words, struct known **ret)
{
	const struct fnp_v8_code *code = &runtime->code;
	const int32_t *v = runtime->view.tables.values;
	int r;

	/* An absent constant is no type of a frame. */
	if (words[1] == (uint64_t)v[FNP_V8_FRAME_WASM])
		return name_wasm(runtime, words, true, ret);
	if (words[1] == (uint64_t)v[FNP_V8_FRAME_WASM_TO_JS])
		return name_text(words, "(wasm to js)", "[v8]", FNP_RUNTIME_TIER_NONE, ret);
	if (words[1] == (uint64_t)v[FNP_V8_FRAME_JS_TO_WASM])
		return name_text(words, "(js to wasm)", "[v8]", FNP_RUNTIME_TIER_NONE, ret);
	if (words[1] == (uint64_t)v[FNP_V8_FRAME_REGEXP])
		return name_text(words, "(regexp)", "[v8]", FNP_RUNTIME_TIER_NONE, ret);
	r = read_code(runtime, words[0] & ADDRESS_MASK, words);
	if (r < 0)
		return r == -ENOMEM ? r : name_wasm(runtime, words, false, ret);
	if (code->n)
		return name_scopes(runtime, words, 0, ret);
	return code->tier == FNP_V8_TIER_REGEXP
		       ? name_text(words, "(regexp)", "[v8]", FNP_RUNTIME_TIER_NONE, ret)
		       : -ESRCH;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; text && *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ULL;
	return (hash ^ 0xff) * 0x100000001b3ULL;
}

/* Equal for what is shown alike: objects move, and their words change, but the place is the same. */
static uint64_t address_of(const struct known *known)
{
	uint64_t hash = hash_text(0xcbf29ce484222325ULL, known->mapping);

	for (size_t i = 0; i < known->n_lines; i++) {
		const struct known_line *line = &known->lines[i];
		hash = hash_text(hash_text(hash, line->name), line->file);
		hash = (hash ^ line->line ^ (uint64_t)line->start_line << 32) * 0xff51afd7ed558ccdULL;
	}
	return hash >> 16;
}

static enum fnp_v8_frame frame_of(const uint64_t *words)
{
	return words[0] >> FNP_V8_FRAME_SHIFT & 7;
}

/* Does the frame say which function it is? What was read after its time does not. */
static bool has_function(const uint64_t *words)
{
	return frame_of(words) != FNP_V8_CODE && words[1] &&
	       !(frame_of(words) == FNP_V8_COMPILED && words[2] & FNP_V8_LATE);
}

static uint64_t key_of_function(const uint64_t *words)
{
	return (words[1] ^ words[1] >> 32) * 0x9e3779b97f4a7c15ULL ^ (uint32_t)words[3];
}

static int remember(struct fnp_runtime *runtime, struct known *known)
{
	int r = 0;

	if (runtime->frames.len >= FRAMES_MAX)
		forget_all(runtime);
	known->next = fnp_map_find_ptr(&runtime->frames, key_of(known->words));
	known->address = address_of(known);
	if (has_function(known->words) && !fnp_map_find(&runtime->functions, key_of_function(known->words)))
		r = fnp_map_set_ptr(&runtime->functions, key_of_function(known->words), known);
	if (r == 0)
		r = fnp_map_set_ptr(&runtime->frames, key_of(known->words), known);
	if (r < 0)
		fnp_map_remove(&runtime->functions, key_of_function(known->words));
	return r;
}

/* The function of a frame under other words: it was moved between the sample and now. */
static const struct known *find_function(const struct fnp_runtime *runtime, const uint64_t *words)
{
	const struct known *known = has_function(words)
					    ? fnp_map_find_ptr(&runtime->functions, key_of_function(words))
					    : NULL;

	return known && known->words[1] == words[1] && (uint32_t)known->words[3] == (uint32_t)words[3] ? known
												       : NULL;
}

static int copy_function(const struct known *from, struct known_line *ret)
{
	const struct known_line *line = &from->lines[from->n_lines - 1];

	ret->name = strdup(line->name);
	ret->file = line->file ? strdup(line->file) : NULL;
	ret->start_line = line->start_line;
	return ret->name && (ret->file || !line->file) ? 0 : -ENOMEM;
}

/* What is not where it was, and had its name before; where in the function is not known any more. -ESRCH. */
static int name_moved(struct fnp_runtime *runtime, const uint64_t *words, struct known **ret)
{
	const struct known *from = find_function(runtime, words);
	bool is_compiled = frame_of(words) == FNP_V8_COMPILED;
	int r = 0;

	if (!from)
		return -ESRCH;
	FNP_CLEANUP(known_destroyp) struct known *known = create(words, is_compiled ? 2 : 1);
	if (!known)
		return -ENOMEM;
	set_tier(FNP_V8_TIER_OTHER, known);
	if (frame_of(words) == FNP_V8_INTERPRETED || frame_of(words) == FNP_V8_AWAITING)
		set_interpreted(frame_of(words) == FNP_V8_AWAITING, known);
	if (is_compiled)
		r = set_gone(words, &known->lines[0]);
	r = r ?: copy_function(from, &known->lines[known->n_lines - 1]);
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

static int name_new(struct fnp_runtime *runtime, const uint64_t *words, struct known **ret)
{
	FNP_CLEANUP(known_destroyp) struct known *known = NULL;
	int r;

	switch (frame_of(words)) {
	case FNP_V8_INTERPRETED:
		r = name_interpreted(runtime, words, false, &known);
		break;
	case FNP_V8_AWAITING:
		r = name_interpreted(runtime, words, true, &known);
		break;
	case FNP_V8_COMPILED:
		r = name_compiled(runtime, words, &known);
		break;
	case FNP_V8_FUNCTION:
		r = name_function(runtime, words, NULL, &known);
		break;
	case FNP_V8_CODE:
		r = name_code(runtime, words, &known);
		break;
	default:
		r = -EBADMSG;
	}
	if (r == -ESRCH)
		r = name_moved(runtime, words, &known);
	r = r ?: remember(runtime, known);
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

static int name_frame(struct fnp_runtime *runtime, const uint64_t *words, size_t n_words,
		      struct fnp_runtime_frame *ret)
{
	struct known *known;

	if (n_words != FNP_V8_WORDS)
		return -EBADMSG;
	known = find(runtime, words);
	if (!known) {
		int r = name_new(runtime, words, &known);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < known->n_lines; i++) {
		const struct known_line *line = &known->lines[i];
		ret->lines[i] = (struct fnp_runtime_line){.name = line->name,
							  .file = line->file ?: "",
							  .start_line = line->start_line,
							  .line = line->line};
	}
	ret->n_lines = known->n_lines;
	ret->tier = known->tier;
	ret->mapping = known->mapping;
	ret->address = known->address;
	return 0;
}

/* The interpreter's parts stand for the JavaScript frame that they run, the entries for the call into it. */
static enum fnp_runtime_native native(const struct fnp_runtime *runtime, const struct fnp_object *object,
				      const char *name)
{
	static const char *const hidden[] = {"Builtins_InterpreterEntryTrampoline", "Builtins_JSEntry",
					     "Builtins_JSEntryTrampoline"};
	size_t len;

	if (object != runtime->object || !name || strncmp(name, "Builtins_", 9) != 0)
		return FNP_RUNTIME_NATIVE_SHOWN;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(hidden); i++) {
		if (strcmp(name, hidden[i]) == 0)
			return FNP_RUNTIME_NATIVE_HIDDEN;
	}
	len = strlen(name);
	return len > 16 && strcmp(name + len - 7, "Handler") == 0 ? FNP_RUNTIME_NATIVE_HIDDEN
								  : FNP_RUNTIME_NATIVE_SHOWN;
}

const struct fnp_runtime_ops fnp_runtime_v8 = {
	.name = "v8",
	.word_kind = 4, /* FNP_WORD_V8 */
	.code_kind = 4, /* FNP_CODE_V8 */
	.layouts = "fnp_v8_layouts",
	.of_process = true,
	.recognise = fnp_v8_recognise,
	.attach = attach,
	.detach = detach,
	.refresh = refresh,
	.remapped = remapped,
	.layout = layout,
	.ranges = ranges,
	.name_frame = name_frame,
	.native = native,
};
