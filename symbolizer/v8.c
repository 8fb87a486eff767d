/* SPDX-License-Identifier: Apache-2.0 */
/*
 * V8 as a runtime: attaches to a process, tells the walker where its code lies, and has frames named.
 *
 * What a file publishes is read once, however many processes run it: a program that starts others is gone before it would
 * be read for each of them. Isolates come and go with worker threads, and WebAssembly makes code of its own, so the places
 * of code are looked for whenever the process's mappings changed.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "symbolizer/v8_frames.h"

#define FILES_MAX 4
#define REFRESH_SHARE 4 /* one part in so many of the time */

/* ---- files -------------------------------------------------------------------------------------------------- */

/* What was read of the files met last; all of one thread. */
static struct file {
	const struct fnp_object *object;
	char build_id[64];
	struct fnp_v8_tables tables;
} * files[FILES_MAX];
static size_t next_file;

static struct file *find_file(const struct fnp_object *object)
{
	for (size_t i = 0; i < FILES_MAX; i++) {
		if (files[i] && files[i]->object == object &&
		    strncmp(files[i]->build_id, fnp_object_build_id(object), sizeof(files[i]->build_id) - 1) ==
			    0)
			return files[i];
	}
	return NULL;
}

static int read_tables(const struct fnp_runtime_match *match, struct fnp_v8_tables *ret)
{
	struct file *file = find_file(match->object), **place = &files[next_file % FILES_MAX];
	int r;

	if (file) {
		*ret = file->tables;
		return 0;
	}
	r = fnp_v8_tables_read(match->object, match->id.major, ret);
	if (r < 0)
		return r;
	if (!*place)
		*place = malloc(sizeof(**place));
	if (*place && fnp_object_build_id(match->object)[0]) {
		(*place)->object = match->object;
		snprintf((*place)->build_id, sizeof((*place)->build_id), "%s",
			 fnp_object_build_id(match->object));
		(*place)->tables = *ret;
		next_file++;
	}
	return 0;
}

/* ---- attaching ---------------------------------------------------------------------------------------------- */

static void detach(struct fnp_runtime *runtime)
{
	if (!runtime)
		return;
	fnp_v8_frames_deinit(&runtime->frames);
	fnp_v8_units_destroy(runtime->units);
	fnp_v8_modules_destroy(runtime->modules);
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
	r = read_tables(match, &runtime->view.tables);
	r = r ?: fnp_v8_layout_read(&runtime->view.tables, &runtime->view.layout);
	if (r == -EOPNOTSUPP)
		fnp_warning_once(
			"%s (%s) does not publish what is needed to walk its JavaScript frames: its native "
			"frames are shown",
			match->id.text, fnp_object_name(match->object));
	r = r ?: fnp_v8_scripts_create(process->source_maps, &runtime->scripts);
	r = r ?: fnp_v8_units_create(&runtime->units);
	r = r ?: fnp_v8_modules_create(&runtime->modules);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(runtime);
	return 0;
}

static void remapped(struct fnp_runtime *runtime)
{
	runtime->is_remapped = true;
}

/* Samples are on their way while isolates end: where copies of the builtins were is remembered. */
static void remember_copies(struct fnp_runtime *runtime)
{
	for (size_t i = 0; i < runtime->places.n_copies; i++) {
		uint64_t start = runtime->places.copies[i];
		size_t n = FNP_MIN(runtime->n_copies, (size_t)FNP_V8_COPIES_MAX), k = 0;

		while (k < n && runtime->copies[k] != start)
			k++;
		if (k == n)
			runtime->copies[runtime->n_copies++ % FNP_V8_COPIES_MAX] = start;
	}
}

/* Where the file has what lies at an address of a copy. */
static uint64_t original(const struct fnp_runtime *runtime, uint64_t address)
{
	size_t n = FNP_MIN(runtime->n_copies, (size_t)FNP_V8_COPIES_MAX);

	for (size_t i = 0; i < n; i++) {
		if (address >= runtime->copies[i] &&
		    address - runtime->copies[i] < runtime->places.builtins_size)
			return runtime->places.builtins + runtime->bias + (address - runtime->copies[i]);
	}
	return 0;
}

/*
 * Each sample asks; up to Node.js 18 mappings change with each function that is compiled, and where isolates come and go
 * they do so all the time. So to look for the places of code takes a part of the time alone.
 */
static int refresh(struct fnp_runtime *runtime)
{
	struct fnp_v8_places places;
	uint64_t now_ns = fnp_clock_ns();
	bool is_same;
	int r;

	if (!runtime->is_remapped || (runtime->is_told && now_ns < runtime->not_before_ns))
		return 0;
	r = fnp_v8_places_read(runtime->view.pid, &runtime->view.tables, runtime->bias, runtime->object,
			       &places);
	if (r < 0)
		return r;
	runtime->not_before_ns = now_ns + REFRESH_SHARE * (fnp_clock_ns() - now_ns);
	runtime->is_remapped = false;
	is_same = runtime->is_told && places.n_ranges == runtime->places.n_ranges &&
		  memcmp(places.ranges, runtime->places.ranges, places.n_ranges * sizeof(places.ranges[0])) ==
			  0;
	runtime->places = places;
	remember_copies(runtime);
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

static int name_frame(struct fnp_runtime *runtime, const uint64_t *words, size_t n_words,
		      struct fnp_runtime_frame *ret)
{
	struct fnp_v8_known *known;

	if (n_words != FNP_V8_WORDS)
		return -EBADMSG;
	known = fnp_v8_frames_find(&runtime->frames, words);
	if (!known) {
		int r = fnp_v8_name(runtime, words, &known);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < known->n_lines; i++) {
		const struct fnp_v8_line *line = &known->lines[i];
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
	.original = original,
};
