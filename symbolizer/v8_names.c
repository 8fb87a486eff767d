/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame's words to lines: what it stands for is read from the process, which runs on meanwhile.
 *
 * Compiled code is looked up by its pc; what it says must fit the function that the frame itself holds, else only that
 * function is shown. What is not where it was, and had its name before, has that.
 */
#include "symbolizer/v8_frames.h"

#define ANONYMOUS "(anonymous)"

/* ---- lines -------------------------------------------------------------------------------------------------- */

/* The rest of a line whose file and first line are those of the source. */
static int set_original(const struct fnp_v8_script *script, const struct fnp_v8_function *function,
			int32_t position, struct fnp_v8_line *ret)
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

/* One line of a frame: a function, at a position of its script's source; the script may be NULL. */
static int set_line(const struct fnp_v8_function *function, const struct fnp_v8_script *script,
		    int32_t position, struct fnp_v8_line *ret)
{
	ret->name = strdup(function->name ?: ANONYMOUS);
	if (!ret->name)
		return -ENOMEM;
	if (!script)
		return 0;
	if (fnp_v8_script_original(script, function->start, &ret->file, &ret->start_line) == 0)
		return set_original(script, function, position, ret);
	ret->file = strdup(fnp_v8_script_file(script));
	ret->start_line = fnp_v8_script_line(script, function->start);
	ret->line = fnp_v8_script_line(script, position);
	return ret->file ? 0 : -ENOMEM;
}

/* The script of a function that was read now; NULL. */
static const struct fnp_v8_script *script_of(struct fnp_runtime *runtime, const struct fnp_v8_function *function)
{
	const struct fnp_v8_script *script;

	return fnp_v8_scripts_get(runtime->scripts, &runtime->view, function->script,
				  (uint32_t)(function->ids >> 32), &script) < 0
		       ? NULL
		       : script;
}

static void set_tier(enum fnp_v8_tier tier, struct fnp_v8_known *known)
{
	static const char *const mappings[] = {[FNP_V8_TIER_OTHER] = "[v8]",
					       [FNP_V8_TIER_REGEXP] = "[v8]",
					       [FNP_V8_TIER_SPARKPLUG] = "[v8 sparkplug]",
					       [FNP_V8_TIER_MAGLEV] = "[v8 maglev]",
					       [FNP_V8_TIER_TURBOFAN] = "[v8 turbofan]"};

	known->mapping = mappings[tier];
	known->tier = tier >= FNP_V8_TIER_SPARKPLUG ? FNP_RUNTIME_TIER_JIT : FNP_RUNTIME_TIER_NONE;
}

static void set_interpreted(bool awaits, struct fnp_v8_known *known)
{
	known->tier = awaits ? FNP_RUNTIME_TIER_AWAITING : FNP_RUNTIME_TIER_INTERPRETED;
	known->mapping = awaits ? "[v8 awaiting]" : "[v8 ignition]";
}

/* The function of a frame's words, if it still is the one that was seen. */
static int read_function(struct fnp_runtime *runtime, const uint64_t *words, struct fnp_v8_function *ret)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
	int r = fnp_v8_function_read(&runtime->view, (words[0] & FNP_V8_ADDRESS_MASK) + 1, &function);

	if (r < 0)
		return r;
	if (function.ids != words[1] || function.cookie != (uint32_t)words[3])
		return -ESRCH;
	*ret = function;
	function = (struct fnp_v8_function){0};
	return 0;
}

static int name_interpreted(struct fnp_runtime *runtime, const uint64_t *words, bool awaits,
			    struct fnp_v8_known **ret)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
	int r = read_function(runtime, words, &function);

	if (r < 0)
		return r;
	FNP_CLEANUP(fnp_v8_known_destroyp) struct fnp_v8_known *known = fnp_v8_known_create(words, 1);
	if (!known)
		return -ENOMEM;
	set_interpreted(awaits, known);
	r = set_line(&function, script_of(runtime, &function),
		     words[2] == FNP_V8_NO_OFFSET
			     ? -1
			     : fnp_v8_bytecode_position(&runtime->view, function.bytecode, (uint32_t)words[2]),
		     &known->lines[0]);
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

/* A function that is on the stack; `baseline` is code of it alone, NULL: where in the function is not known. */
static int name_function(struct fnp_runtime *runtime, const uint64_t *words,
			 const struct fnp_v8_code *baseline, struct fnp_v8_known **ret)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
	enum fnp_v8_tier tier = baseline ? baseline->tier : FNP_V8_TIER_OTHER;
	int32_t position = -1;
	int r = read_function(runtime, words, &function);

	if (r < 0)
		return r;
	/* What the code says is of use when it is this function's. */
	if (baseline && (baseline->is_own || (function.bytecode && function.bytecode == baseline->bytecode)))
		position = baseline->position;
	FNP_CLEANUP(fnp_v8_known_destroyp) struct fnp_v8_known *known = fnp_v8_known_create(words, 1);
	if (!known)
		return -ENOMEM;
	set_tier(tier, known);
	r = set_line(&function, script_of(runtime, &function), position, &known->lines[0]);
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

/* All lines of optimized code; the outermost must be `own`, 0: any. */
static int name_scopes(struct fnp_runtime *runtime, const uint64_t *words, uint64_t own,
		       struct fnp_v8_known **ret)
{
	const struct fnp_v8_code *code = &runtime->code;
	FNP_CLEANUP(fnp_v8_known_destroyp) struct fnp_v8_known *known = NULL;
	int r = 0;

	if (own && code->scopes[code->n - 1].member->function.ids != own)
		return -ENOENT;
	known = fnp_v8_known_create(words, code->n);
	if (!known)
		return -ENOMEM;
	set_tier(code->tier, known);
	for (size_t i = 0; r == 0 && i < code->n; i++) {
		const struct fnp_v8_member *member = code->scopes[i].member;
		const struct fnp_v8_script *script = member->script && member->age == fnp_v8_scripts_age(
											      runtime->scripts)
							     ? member->script
							     : script_of(runtime, &member->function);
		/* Where Maglev inlined a call is told by the statement before, at times. */
		bool is_told = i == 0 || code->tier != FNP_V8_TIER_MAGLEV;

		r = set_line(&member->function, script, is_told ? code->scopes[i].position : -1,
			     &known->lines[i]);
	}
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

/*
 * A compiled frame whose function was read after its time. It is named by its code alone, and only when the function
 * agrees. -ESRCH.
 */
static int name_late(struct fnp_runtime *runtime, const uint64_t *words, struct fnp_v8_known **ret)
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

static int read_code(struct fnp_runtime *runtime, uint64_t pc, const uint64_t *words, uint64_t own)
{
	struct fnp_v8_where where = {.pc = pc,
				     .next = words[2] & FNP_V8_EXACT ? pc : pc + 1,
				     .hash = (uint32_t)(words[3] >> 32),
				     .own = own,
				     .is_left = words[2] & FNP_V8_LEFT};

	return fnp_v8_units_read(runtime->units, &runtime->view, runtime->scripts, &where, &runtime->code);
}

/* What was inlined there cannot be told any more. */
static int set_gone(const uint64_t *words, struct fnp_v8_line *ret)
{
	if (asprintf(&ret->name, "[v8+0x%lx]", words[2] & FNP_V8_ADDRESS_MASK) >= 0)
		return 0;
	ret->name = NULL;
	return -ENOMEM;
}

/* Compiled code that is gone: what was inlined there cannot be told any more, and that is said. */
static int name_gone(struct fnp_runtime *runtime, const uint64_t *words, struct fnp_v8_known **ret)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
	int r = read_function(runtime, words, &function);

	if (r < 0)
		return r;
	FNP_CLEANUP(fnp_v8_known_destroyp) struct fnp_v8_known *known = fnp_v8_known_create(words, 2);
	if (!known)
		return -ENOMEM;
	set_tier(FNP_V8_TIER_OTHER, known);
	r = set_gone(words, &known->lines[0]);
	r = r ?: set_line(&function, script_of(runtime, &function), -1, &known->lines[1]);
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

static int copy_function(const struct fnp_v8_known *from, struct fnp_v8_line *ret)
{
	const struct fnp_v8_line *line = &from->lines[from->n_lines - 1];

	ret->name = strdup(line->name);
	ret->file = line->file ? strdup(line->file) : NULL;
	ret->start_line = line->start_line;
	return ret->name && (ret->file || !line->file) ? 0 : -ENOMEM;
}

/*
 * What is not where it was, and had its name before; where in the function is not known any more. `is_gone`: nor what was
 * inlined there. -ESRCH.
 */
static int name_moved(struct fnp_runtime *runtime, const uint64_t *words, bool is_gone,
		      struct fnp_v8_known **ret)
{
	const struct fnp_v8_known *from = fnp_v8_frames_find_function(&runtime->frames, words);
	enum fnp_v8_frame frame = fnp_v8_frame_of(words);
	int r = 0;

	if (!from)
		return -ESRCH;
	FNP_CLEANUP(fnp_v8_known_destroyp)
	struct fnp_v8_known *known = fnp_v8_known_create(words, is_gone ? 2 : 1);
	if (!known)
		return -ENOMEM;
	set_tier(FNP_V8_TIER_OTHER, known);
	if (frame == FNP_V8_INTERPRETED || frame == FNP_V8_AWAITING)
		set_interpreted(frame == FNP_V8_AWAITING, known);
	if (is_gone)
		r = set_gone(words, &known->lines[0]);
	r = r ?: copy_function(from, &known->lines[known->n_lines - 1]);
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}

/* Code of one function alone: what the function is called may be known when it is not there any more. */
static int name_baseline(struct fnp_runtime *runtime, const uint64_t *words, struct fnp_v8_known **ret)
{
	int r = name_function(runtime, words, &runtime->code, ret);

	if (r != -ESRCH)
		return r;
	r = name_moved(runtime, words, false, ret);
	if (r == 0)
		set_tier(runtime->code.tier, *ret);
	return r;
}

static int name_compiled(struct fnp_runtime *runtime, const uint64_t *words, struct fnp_v8_known **ret)
{
	bool is_late = words[2] & FNP_V8_LATE;
	const struct fnp_v8_code *code = &runtime->code;
	int r = read_code(runtime, words[2] & FNP_V8_ADDRESS_MASK, words, is_late ? 0 : words[1]);

	if (r == -ENOMEM)
		return r;
	if (is_late)
		return r < 0 ? -ESRCH : name_late(runtime, words, ret);
	if (r < 0)
		return name_gone(runtime, words, ret);
	if (code->n == 0)
		return name_baseline(runtime, words, ret);
	r = name_scopes(runtime, words, words[1], ret);
	return r == -ENOENT ? name_function(runtime, words, NULL, ret) : r;
}

/* ---- code without a function in its frame ------------------------------------------------------------------- */

static int name_text(const uint64_t *words, const char *name, const char *mapping, enum fnp_runtime_tier tier,
		     struct fnp_v8_known **ret)
{
	FNP_CLEANUP(fnp_v8_known_destroyp) struct fnp_v8_known *known = fnp_v8_known_create(words, 1);

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

static int name_wasm_functions(struct fnp_runtime *runtime, const uint64_t *words,
			       const struct fnp_v8_wasm *wasm, struct fnp_v8_known **ret)
{
	FNP_CLEANUP(fnp_v8_known_destroyp) struct fnp_v8_known *known = fnp_v8_known_create(words, wasm->n);
	int r = known ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < wasm->n; i++)
		r = fnp_v8_modules_name(runtime->modules, &runtime->view, wasm, wasm->functions[i],
					&known->lines[i].name);
	if (r < 0)
		return r;
	known->mapping = "[v8 wasm]";
	known->tier = FNP_RUNTIME_TIER_JIT;
	*ret = TAKE_PTR(known);
	return 0;
}

/*
 * Functions of WebAssembly, by where their code lies; `is_frame`: the frame says that it is of such. -ESRCH when it does
 * not, and the code is none.
 */
static int name_wasm(struct fnp_runtime *runtime, const uint64_t *words, bool is_frame,
		     struct fnp_v8_known **ret)
{
	uint64_t pc = words[0] & FNP_V8_ADDRESS_MASK, next = words[2] & FNP_V8_EXACT ? pc : pc + 1, around[2],
		 manager = 0, at = runtime->view.tables.wasm_manager;
	FNP_CLEANUP(fnp_v8_known_destroyp) struct fnp_v8_known *known = NULL;
	struct fnp_v8_wasm wasm = {.exact = words[2] & FNP_V8_EXACT};
	int r = at ? fnp_runtime_read(runtime->view.pid, at + runtime->bias, &manager, sizeof(manager))
		   : -ESRCH;

	r = r ?: fnp_v8_wasm_find(&runtime->view, manager, pc, &wasm);
	r = r ?: name_wasm_functions(runtime, words, &wasm, &known);
	if (r == -ENOMEM)
		return r;
	if (fnp_runtime_read(runtime->view.pid, next - 8, around, sizeof(around)) < 0 ||
	    !fnp_v8_code_is_same(fnp_v8_code_hash(around[0], around[1]), (uint32_t)(words[3] >> 32)))
		r = -ESRCH;
	if (r == 0) {
		*ret = TAKE_PTR(known);
		return 0;
	}
	return r == -ENOENT || is_frame ? name_text(words, "(wasm)", "[v8 wasm]", FNP_RUNTIME_TIER_JIT, ret)
					: -ESRCH;
}

/* Code that has no function in its frame, or not yet. */
static int name_code(struct fnp_runtime *runtime, const uint64_t *words, struct fnp_v8_known **ret)
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
	r = read_code(runtime, words[0] & FNP_V8_ADDRESS_MASK, words, 0);
	if (r < 0)
		return r == -ENOMEM ? r : name_wasm(runtime, words, false, ret);
	if (code->n)
		return name_scopes(runtime, words, 0, ret);
	return code->tier == FNP_V8_TIER_REGEXP
		       ? name_text(words, "(regexp)", "[v8]", FNP_RUNTIME_TIER_NONE, ret)
		       : -ESRCH;
}

int fnp_v8_name(struct fnp_runtime *runtime, const uint64_t *words, struct fnp_v8_known **ret)
{
	FNP_CLEANUP(fnp_v8_known_destroyp) struct fnp_v8_known *known = NULL;
	int r;

	switch (fnp_v8_frame_of(words)) {
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
		r = name_moved(runtime, words, fnp_v8_frame_of(words) == FNP_V8_COMPILED, &known);
	r = r ?: fnp_v8_frames_add(&runtime->frames, known);
	if (r == 0)
		*ret = TAKE_PTR(known);
	return r;
}
