/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPython runtime as the seam sees it: one attached process, with the code objects that were named so far.
 *
 * A code object is known by its address and its cookie. What is known of one stays known for the process's life, or
 * until there are too many: then all are forgotten, and read again when they are met again.
 */
#include "symbolizer/python.h"

#include "base/log.h"
#include "base/map.h"

#define CODES_MAX 65536

struct fnp_runtime {
	struct fnp_python_place place;
	struct fnp_python_layout layout;
	struct fnp_python_loop loop, collector;
	uint16_t minor;
	const struct fnp_object *object; /* compared, never opened */
	bool is_whole;			 /* the object is the interpreter and nothing else */
	struct fnp_map codes;		 /* key_of() to struct known */
};

/* One code object; those whose keys are equal stand in one list. */
struct known {
	struct known *next;
	uint64_t code;
	uint32_t cookie;
	struct fnp_python_code_info info;
};

static uint64_t key_of(uint64_t code, uint32_t cookie)
{
	return code ^ (uint64_t)cookie << 32;
}

static void forget_all(struct fnp_runtime *runtime)
{
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&runtime->codes, slot));) {
		for (struct known *known = (struct known *)(uintptr_t)slot->value, *next; known; known = next) {
			next = known->next;
			fnp_python_code_info_deinit(&known->info);
			free(known);
		}
	}
	fnp_map_deinit(&runtime->codes);
	runtime->codes = (struct fnp_map){0};
}

static struct known *find(const struct fnp_runtime *runtime, uint64_t code, uint32_t cookie)
{
	struct known *known = fnp_map_find_ptr(&runtime->codes, key_of(code, cookie));

	while (known && (known->code != code || known->cookie != cookie))
		known = known->next;
	return known;
}

/* Takes `info`, replacing what was known; 0 or -ENOMEM. */
static int remember(struct fnp_runtime *runtime, uint64_t code, uint32_t cookie,
		    struct fnp_python_code_info *info)
{
	struct known *known = find(runtime, code, cookie);

	if (!known) {
		if (runtime->codes.len >= CODES_MAX)
			forget_all(runtime);
		fnp_autofree struct known *fresh = calloc(1, sizeof(*fresh));
		if (!fresh)
			return -ENOMEM;
		*fresh = (struct known){.next = fnp_map_find_ptr(&runtime->codes, key_of(code, cookie)),
					.code = code,
					.cookie = cookie};
		int r = fnp_map_set_ptr(&runtime->codes, key_of(code, cookie), fresh);
		if (r < 0)
			return r;
		known = TAKE_PTR(fresh);
	}
	fnp_python_code_info_deinit(&known->info);
	known->info = *info;
	*info = (struct fnp_python_code_info){0};
	return 0;
}

/* ---- the seam ----------------------------------------------------------------------------------------------- */

static int attach(const struct fnp_runtime_process *process, const struct fnp_runtime_match *match,
		  struct fnp_runtime **ret)
{
	fnp_autofree struct fnp_runtime *runtime = calloc(1, sizeof(*runtime));
	const char *name = fnp_object_base_name(match->object);
	Elf64_Phdr ph;

	if (!runtime)
		return -ENOMEM;
	runtime->place = (struct fnp_python_place){.pid = process->pid, .bias = match->bias};
	runtime->minor = match->id.minor;
	runtime->object = match->object;
	int r = fnp_python_layout_read(match->object, &match->id, &runtime->layout);
	r = r ?: fnp_python_find_loop(match->object, &runtime->loop);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && strcmp(match->id.text, "pypy") == 0) {
		fnp_warning_once("PyPy (%s) is not CPython: its native frames are shown",
				 fnp_object_name(match->object));
		return -EOPNOTSUPP;
	}
	if (r < 0) {
		fnp_warning_once("Python %s (%s) is not a version whose frames are understood: its native "
				 "frames are shown",
				 match->id.version[0] ? match->id.version : "of unknown version",
				 fnp_object_name(match->object));
		return -EOPNOTSUPP;
	}
	fnp_python_find_collector(match->object, &runtime->collector);
	/* A library of its own, or the program that has the interpreter's name; else one that embeds it. */
	runtime->is_whole = strncmp(name, "python", 6) == 0;
	bool is_program = fnp_object_header(match->object)->e_type == ET_EXEC;
	for (size_t i = 0; !is_program && fnp_object_program_header(match->object, i, &ph) == 0; i++)
		is_program = ph.p_type == PT_INTERP;
	runtime->is_whole |= !is_program;
	*ret = TAKE_PTR(runtime);
	return 0;
}

static void detach(struct fnp_runtime *runtime)
{
	if (!runtime)
		return;
	forget_all(runtime);
	free(runtime);
}

static const void *layout(const struct fnp_runtime *runtime, size_t *ret_size)
{
	*ret_size = sizeof(runtime->layout);
	return &runtime->layout;
}

static size_t ranges(const struct fnp_runtime *runtime, const struct fnp_runtime_range **ret)
{
	*ret = runtime->loop.parts;
	return runtime->loop.n;
}

static bool in_use(const struct fnp_runtime *runtime)
{
	uint64_t first = 0;

	/* Where it cannot be asked it may well be. */
	if (!runtime->layout.interpreters ||
	    fnp_runtime_read(runtime->place.pid, runtime->layout.interpreters + runtime->place.bias, &first,
			     sizeof(first)) < 0)
		return true;
	return first != 0;
}

/* Trampolines of `-X perf`, and traces of the JIT. */
static bool makes_code(const struct fnp_runtime *runtime)
{
	return runtime->minor >= 12;
}

static int learn(struct fnp_runtime *runtime, const void *data, size_t size)
{
	struct fnp_cursor c = fnp_cursor_of(data, size);

	while (fnp_cursor_left(&c) > 0) {
		FNP_CLEANUP(fnp_python_code_info_deinit) struct fnp_python_code_info info = {0};
		struct fnp_python_code head;
		int r = fnp_python_code_info_take(&c, &head, &info);
		if (r == -ENODATA) /* a text that the kernel side could not read: the memory may still tell */
			continue;
		r = r ?: remember(runtime, head.code, head.cookie, &info);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What the kernel side had no room for is read from the process while it lives. */
static const struct fnp_python_code_info *info_of(struct fnp_runtime *runtime, uint64_t code, uint32_t cookie)
{
	struct known *known = find(runtime, code, cookie);

	if (!known || (known->info.cut && !known->info.is_read)) {
		FNP_CLEANUP(fnp_python_code_info_deinit) struct fnp_python_code_info info = {0};
		int r = fnp_python_code_info_read(&runtime->place, &runtime->layout, code, cookie, &info);
		info.is_read = true;
		if (r == 0 && remember(runtime, code, cookie, &info) == 0)
			known = find(runtime, code, cookie);
		else if (known)
			known->info.is_read = true; /* what is cut stays cut */
	}
	return known ? &known->info : NULL;
}

static int name_frame(struct fnp_runtime *runtime, const uint64_t *words, size_t n_words,
		      struct fnp_runtime_frame *ret)
{
	if (n_words != FNP_PYTHON_WORDS)
		return -EBADMSG;
	uint64_t code = words[0] & FNP_PYTHON_ADDRESS_MASK;
	uint32_t cookie = (uint32_t)(words[1] >> 32);
	int32_t instruction = (int32_t)(uint32_t)words[1];
	const struct fnp_python_code_info *info = info_of(runtime, code, cookie);
	if (!info)
		return -ESRCH;
	ret->lines[0] = (struct fnp_runtime_line){.name = info->name,
						  .file = info->file,
						  .start_line = info->first_line,
						  .line = fnp_python_line(info, runtime->minor, instruction)};
	ret->n_lines = 1;
	bool awaiting = words[0] & FNP_PYTHON_AWAITING;
	ret->tier = awaiting ? FNP_RUNTIME_TIER_AWAITING : FNP_RUNTIME_TIER_NONE;
	ret->mapping = awaiting ? "[python awaiting]" : "[python]";
	ret->address = code + (instruction > 0 ? (uint32_t)instruction : 0);
	return 0;
}

static bool is_collector(const char *name)
{
	static const char *const names[] = {
		"gc_collect_main",     "gc_collect_full",  "gc_collect_increment", "gc_collect_young",
		"gc_collect_internal", "collect",	   "collect_generations",  "PyGC_Collect",
		"_PyGC_Collect",       "gc_collect_region"};

	for (size_t i = 0; i < FNP_ARRAY_SIZE(names); i++) {
		size_t len = strlen(names[i]);
		if (strncmp(name, names[i], len) == 0 && (name[len] == '\0' || name[len] == '.'))
			return true;
	}
	return false;
}

static enum fnp_runtime_native native(const struct fnp_runtime *runtime, const struct fnp_object *object,
				      const char *name)
{
	if (object != runtime->object)
		return FNP_RUNTIME_NATIVE_SHOWN;
	if (name && is_collector(name))
		return FNP_RUNTIME_NATIVE_GC;
	if (runtime->is_whole) /* but a stack's root is shown, whatever file it is in */
		return name && strcmp(name, "_start") == 0 ? FNP_RUNTIME_NATIVE_SHOWN
							   : FNP_RUNTIME_NATIVE_HIDDEN;
	return name && (strncmp(name, "Py", 2) == 0 || strncmp(name, "_Py", 3) == 0)
		       ? FNP_RUNTIME_NATIVE_HIDDEN
		       : FNP_RUNTIME_NATIVE_SHOWN;
}

static bool collects(const struct fnp_runtime *runtime, const struct fnp_object *object, uint64_t address)
{
	for (size_t i = 0; object == runtime->object && i < runtime->collector.n; i++) {
		const struct fnp_runtime_range *part = &runtime->collector.parts[i];
		if (address >= part->start && address < part->end)
			return true;
	}
	return false;
}

const struct fnp_runtime_ops fnp_runtime_python = {
	.name = "python",
	.word_kind = 2, /* FNP_WORD_PYTHON */
	.code_kind = 2, /* FNP_CODE_PYTHON */
	.layouts = "fnp_python_layouts",
	.recognise = fnp_python_recognise,
	.attach = attach,
	.detach = detach,
	.layout = layout,
	.ranges = ranges,
	.in_use = in_use,
	.makes_code = makes_code,
	.learn = learn,
	.name_frame = name_frame,
	.native = native,
	.collects = collects,
};
