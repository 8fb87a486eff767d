/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/profiles.h"

#include <errno.h>

#include "base/map.h"
#include "formats/mapping_names.h"
#include "profiler/output/summary.h"
#include "profiler/places.h"
#include "profiler/samples.h"
#include "symbolizer/kallsyms.h"
#include "symbolizer/kernel_lines.h"
#include "symbolizer/symbolize.h"

#define NAME_BYTES_MAX 1024

struct fnp_profiles {
	struct fnp_profiles_options options;
	struct fnp_places *places;
	struct fnp_kallsyms *kallsyms;
	struct fnp_kernel_lines *kernel_lines;
	/* Of the profile that is being built: */
	struct fnp_profile *profile;
	const struct fnp_stack_epoch *epoch;
	const struct fnp_process *process; /* of the row; NULL: not known */
	struct fnp_map locations; /* hash of a frame -> location number, or one of enum special_location */
	FNP_VEC(uint32_t) stack;
	FNP_VEC(uint32_t) samples; /* of the profile, by the row's stacks */
};

/* Numbers that no location has. */
enum special_location {
	LOCATION_HIDDEN = -1,
	LOCATION_GC = -2,
};

int fnp_profiles_create(const struct fnp_profiles_options *options, struct fnp_profiles **ret)
{
	FNP_CLEANUP(fnp_profiles_destroyp) struct fnp_profiles *profiles = calloc(1, sizeof(*profiles));
	const struct fnp_places_options places = {.objects = options->objects,
						  .cache = options->cache,
						  .debuginfod = options->debuginfod,
						  .pause = options->pause,
						  .self = options->self};
	int r;

	if (!profiles)
		return -ENOMEM;
	profiles->options = *options;
	r = fnp_places_create(&places, &profiles->places);
	r = r ?: fnp_kallsyms_create(NULL, &profiles->kallsyms);
	r = r ?: fnp_kernel_lines_create(profiles->kallsyms, NULL, &profiles->kernel_lines);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(profiles);
	return 0;
}

void fnp_profiles_destroy(struct fnp_profiles *profiles)
{
	if (!profiles)
		return;
	fnp_places_destroy(profiles->places);
	fnp_kernel_lines_destroy(profiles->kernel_lines);
	fnp_kallsyms_destroy(profiles->kallsyms);
	fnp_map_deinit(&profiles->locations);
	fnp_vec_deinit(&profiles->stack);
	fnp_vec_deinit(&profiles->samples);
	free(profiles);
}

void fnp_profiles_expect(struct fnp_profiles *profiles)
{
	fnp_places_expect(profiles->places);
}

void fnp_profiles_forget_closed(struct fnp_profiles *profiles)
{
	fnp_places_forget_closed(profiles->places);
}

void fnp_profiles_wait_until(struct fnp_profiles *profiles, uint64_t until_ns)
{
	fnp_places_wait_until(profiles->places, until_ns);
}

static void pause_building(struct fnp_profiles *profiles)
{
	if (profiles->options.pause)
		profiles->options.pause(profiles->options.self);
}

/* Names all native places of a row that have none yet. */
static int find_places(struct fnp_profiles *profiles, const struct fnp_row *row)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < row->stacks.len; i++) {
		size_t bytes;
		const struct fnp_frame *frames = fnp_intern_get(row->epoch->stacks,
								row->stacks.items[i].stack, &bytes);

		for (size_t k = 0; r == 0 && k < bytes / sizeof(*frames); k++) {
			if (frames[k].kind == FNP_FRAME_NATIVE && frames[k].tier == FNP_TIER_NONE)
				r = fnp_places_want(profiles->places, frames[k].object, frames[k].address);
		}
	}
	return r ?: fnp_places_find_wanted(profiles->places);
}

/* A function and its line, from texts. */
static int add_line(struct fnp_profile *profile, const struct fnp_symbol *symbol, struct fnp_profile_line *ret)
{
	struct fnp_profile_function function = {.start_line = symbol->start_line};
	struct fnp_profile_line line = {.line = symbol->line};
	int r = fnp_profile_add_string(profile, symbol->name, &function.name);

	r = r ?: fnp_profile_add_string(profile, symbol->system_name, &function.system_name);
	r = r ?: fnp_profile_add_string(profile, symbol->file, &function.file);
	r = r ?: fnp_profile_add_function(profile, &function, &line.function);
	if (r == 0)
		*ret = line;
	return r;
}

static int add_mapping(struct fnp_profile *profile, const char *file, const char *build_id,
		       struct fnp_profile_mapping mapping, uint32_t *ret)
{
	int r = fnp_profile_add_string(profile, file, &mapping.file);

	r = r ?: fnp_profile_add_string(profile, build_id, &mapping.build_id);
	return r ?: fnp_profile_add_mapping(profile, &mapping, ret);
}

/* One function at one place of a pseudo mapping. */
static int add_function(struct fnp_profile *profile, const char *mapping_file,
			const struct fnp_symbol *symbol, struct fnp_profile_location location, uint32_t *ret)
{
	struct fnp_profile_mapping mapping = {.start = location.address, .limit = location.address + 1};
	struct fnp_profile_line line;
	int r = add_mapping(profile, mapping_file, "", mapping, &location.mapping);

	r = r ?: add_line(profile, symbol, &line);
	return r ?: fnp_profile_add_location(profile, &location, &line, 1, ret);
}

static int add_simple(struct fnp_profile *profile, const char *mapping_file, const char *name,
		      struct fnp_profile_location location, uint32_t *ret)
{
	struct fnp_symbol symbol = {.name = name, .system_name = name, .file = ""};

	return add_function(profile, mapping_file, &symbol, location, ret);
}

static int add_kernel(struct fnp_profiles *profiles, const struct fnp_frame *frame, uint32_t *ret)
{
	struct fnp_profile_location location = {.address = frame->address, .kind = FNP_FRAME_KERNEL};
	struct fnp_symbol line = {.file = ""};
	struct fnp_kernel_symbol symbol;
	char name[NAME_BYTES_MAX], mapping[128];

	if (fnp_kallsyms_find(profiles->kallsyms, frame->address, &symbol) < 0) {
		snprintf(name, sizeof(name), "[kernel+0x%lx]", frame->address);
		return add_simple(profiles->profile, FNP_MAPPING_KERNEL, name, location, ret);
	}
	if (!symbol.module[0]) {
		fnp_kernel_lines_find(profiles->kernel_lines, frame->address, &line);
		line.name = line.system_name = symbol.name;
		return add_function(profiles->profile, FNP_MAPPING_KERNEL, &line, location, ret);
	}
	snprintf(mapping, sizeof(mapping), FNP_MAPPING_KERNEL_MODULE_FORMAT, symbol.module);
	return add_simple(profiles->profile, mapping, symbol.name, location, ret);
}

/* The loadable segment that holds an address is what pprof calls a mapping. */
static struct fnp_profile_mapping mapping_of(const struct fnp_target_object *object, uint64_t address)
{
	const struct fnp_segment *segments;
	size_t n = object->elf ? fnp_object_segments(object->elf, &segments) : 0;

	for (size_t i = 0; i < n; i++) {
		if (address >= segments[i].address && address - segments[i].address < segments[i].memory_size)
			return (struct fnp_profile_mapping){.start = segments[i].address,
							    .limit = segments[i].address +
								     segments[i].memory_size,
							    .offset = segments[i].offset};
	}
	return (struct fnp_profile_mapping){.start = address, .limit = address + 1};
}

static int add_native_lines(struct fnp_profiles *profiles, const struct fnp_target_object *object,
			    uint64_t address, struct fnp_profile_line *lines, uint32_t *ret_n)
{
	const struct fnp_place *place = NULL;
	char name[NAME_BYTES_MAX];
	uint32_t n = 0;
	int r = fnp_places_find(profiles->places, object, address, &place);

	for (; r == 0 && n < FNP_MIN(place->n, 64U); n++)
		r = add_line(profiles->profile, &place->symbols[n], &lines[n]);
	if (r == 0 && n == 0) {
		struct fnp_symbol unknown = {.name = name, .system_name = name, .file = ""};
		fnp_symbolizer_fallback_name(object->name, address, name, sizeof(name));
		r = add_line(profiles->profile, &unknown, &lines[n++]);
	}
	if (r == 0)
		*ret_n = n;
	return r;
}

static int add_native(struct fnp_profiles *profiles, const struct fnp_frame *frame, uint32_t *ret)
{
	const struct fnp_target_object *object = fnp_objects_get(profiles->options.objects, frame->object);
	struct fnp_profile_location location = {.address = frame->address, .kind = FNP_FRAME_NATIVE};
	struct fnp_profile_line lines[64];
	char name[NAME_BYTES_MAX];
	uint32_t n;
	int r;

	if (!object) {
		fnp_symbolizer_fallback_name("anon", frame->address, name, sizeof(name));
		return add_simple(profiles->profile, "[anon]", name, location, ret);
	}
	r = add_mapping(profiles->profile, object->path, object->build_id, mapping_of(object, frame->address),
			&location.mapping);
	r = r ?: add_native_lines(profiles, object, frame->address, lines, &n);
	return r ?: fnp_profile_add_location(profiles->profile, &location, lines, n, ret);
}

static int add_managed(struct fnp_profiles *profiles, const struct fnp_frame *frame, uint32_t *ret)
{
	const struct fnp_intern *strings = profiles->epoch->strings;
	size_t size;
	const struct fnp_managed_frame *managed = fnp_intern_get(profiles->epoch->managed, frame->object,
								 &size);
	struct fnp_profile_location location = {
		.address = managed->address, .kind = frame->kind, .tier = frame->tier};
	struct fnp_profile_mapping mapping = {.start = managed->address, .limit = managed->address + 1};
	struct fnp_profile_line lines[64];
	int r = add_mapping(profiles->profile, fnp_intern_get_text(strings, managed->mapping), "", mapping,
			    &location.mapping);

	for (uint32_t i = 0; r == 0 && i < managed->n_lines; i++) {
		const struct fnp_managed_line *line = &managed->lines[i];
		const char *name = fnp_intern_get_text(strings, line->name);
		struct fnp_symbol symbol = {.name = name,
					    .system_name = name,
					    .file = fnp_intern_get_text(strings, line->file),
					    .line = line->line,
					    .start_line = line->start_line};
		r = add_line(profiles->profile, &symbol, &lines[i]);
	}
	return r ?: fnp_profile_add_location(profiles->profile, &location, lines, managed->n_lines, ret);
}

static int add_marker(struct fnp_profiles *profiles, const struct fnp_frame *frame, uint32_t *ret)
{
	struct fnp_profile_location location = {.address = frame->address + 1, .kind = FNP_FRAME_MARKER};
	char name[64];

	snprintf(name, sizeof(name), "[truncated: %s]", fnp_truncation_name(frame->address));
	return add_simple(profiles->profile, FNP_MAPPING_MARKER, name, location, ret);
}

static int add_frame(struct fnp_profiles *profiles, const struct fnp_frame *frame, uint32_t *ret)
{
	switch (frame->kind) {
	case FNP_FRAME_KERNEL:
		return add_kernel(profiles, frame, ret);
	case FNP_FRAME_NATIVE:
		return frame->tier == FNP_TIER_JIT ? add_managed(profiles, frame, ret)
						   : add_native(profiles, frame, ret);
	case FNP_FRAME_MARKER:
		return add_marker(profiles, frame, ret);
	default:
		return add_managed(profiles, frame, ret);
	}
}

/* How a native frame is shown in a stack that has frames of its runtime. */
static int show_native(struct fnp_profiles *profiles, const struct fnp_frame *frame,
		       enum fnp_runtime_native *ret)
{
	const struct fnp_target_object *object;
	const struct fnp_place *place;
	int r;

	*ret = FNP_RUNTIME_NATIVE_SHOWN;
	if (frame->kind != FNP_FRAME_NATIVE || frame->tier != FNP_TIER_NONE)
		return 0;
	object = fnp_objects_get(profiles->options.objects, frame->object);
	if (!object || !object->elf)
		return 0;
	r = fnp_places_find(profiles->places, object, frame->address, &place);
	if (r == 0)
		*ret = fnp_runtimes_native(profiles->process, object->elf, frame->address,
					   place->n ? place->symbols[place->n - 1].name : NULL);
	return r;
}

/* The location of a frame; each frame of a profile is named once. `managed`: its stack has frames of a runtime. */
static int find_location(struct fnp_profiles *profiles, const struct fnp_frame *frame, bool managed,
			 int64_t *ret)
{
	/* Into the upper half: numbers of objects and of managed frames fill the lower one. */
	uint64_t key = fnp_place_key(frame->object, frame->address) ^
		       (uint64_t)(frame->kind << 16 | frame->tier << 8 | managed) << 40;
	uint64_t *known = fnp_map_find(&profiles->locations, key);
	enum fnp_runtime_native how = FNP_RUNTIME_NATIVE_SHOWN;
	uint32_t location = 0;
	int r = 0;

	if (known) {
		*ret = (int64_t)*known;
		return 0;
	}
	if (managed)
		r = show_native(profiles, frame, &how);
	if (r == 0 && how == FNP_RUNTIME_NATIVE_SHOWN)
		r = add_frame(profiles, frame, &location);
	*ret = location;
	if (how == FNP_RUNTIME_NATIVE_GC)
		*ret = LOCATION_GC;
	else if (how == FNP_RUNTIME_NATIVE_HIDDEN)
		*ret = LOCATION_HIDDEN;
	return r ?: fnp_map_set(&profiles->locations, key, (uint64_t)*ret);
}

static bool has_managed(const struct fnp_frame *frames, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (frames[i].kind == FNP_FRAME_PYTHON || frames[i].kind == FNP_FRAME_JVM ||
		    frames[i].kind == FNP_FRAME_V8)
			return true;
	}
	return false;
}

/* The stack of locations, leaf first: hidden frames left out, a run of the collector's frames as one marker. */
static int list_locations(struct fnp_profiles *profiles, const struct fnp_frame *frames, size_t n)
{
	struct fnp_profile_location gc = {.address = UINT32_MAX, .kind = FNP_FRAME_MARKER};
	bool managed = has_managed(frames, n), in_gc = false;
	int r = fnp_vec_reserve(&profiles->stack, n);

	profiles->stack.len = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		int64_t location;

		if (frames[i].kind == FNP_FRAME_MARKER && frames[i].object)
			continue;
		r = find_location(profiles, &frames[i], managed, &location);
		if (r < 0 || location == LOCATION_HIDDEN)
			continue;
		if (location == LOCATION_GC && in_gc)
			continue;
		in_gc = location == LOCATION_GC;
		profiles->stack.items[profiles->stack.len] = (uint32_t)location;
		if (in_gc)
			r = add_simple(profiles->profile, FNP_MAPPING_MARKER, "[gc]", gc,
				       &profiles->stack.items[profiles->stack.len]);
		profiles->stack.len++;
	}
	return r;
}

#define SWITCH_FRAMES_MAX 8

/* The kernel's frames above schedule(), our own program's among them, say nothing of why a thread left its CPU. */
static size_t frames_of_switch(struct fnp_profiles *profiles, const struct fnp_frame *frames, size_t n)
{
	struct fnp_kernel_symbol symbol;

	for (size_t i = 0; i < FNP_MIN(n, (size_t)SWITCH_FRAMES_MAX) && frames[i].kind == FNP_FRAME_KERNEL;
	     i++) {
		if (fnp_kallsyms_find(profiles->kallsyms, frames[i].address, &symbol) == 0 &&
		    strcmp(symbol.name, "__schedule") == 0)
			return i + 1;
	}
	return 0;
}

/* The label that stands among the frames, if one does: one more in `labels`, of which there are *n. */
static int add_word_label(struct fnp_profiles *profiles, const struct fnp_frame *frames, size_t n_frames,
			  struct fnp_profile_label *labels, uint32_t *n)
{
	static const char *const texts[FNP_LABEL_MAX][2] = {
#define FNP_X_TEXT(number, name, key, text) [number] = {key, text},
		FNP_WORD_LABELS(FNP_X_TEXT)
#undef FNP_X_TEXT
	};
	struct fnp_profile_label label = {.unit = FNP_LABEL_TEXT};
	uint32_t which = 0;

	for (size_t i = 0; i < n_frames && !which; i++)
		which = frames[i].kind == FNP_FRAME_MARKER ? frames[i].object : 0;
	if (which == 0 || which >= FNP_LABEL_MAX)
		return 0;
	int r = fnp_profile_add_string(profiles->profile, texts[which][0], &label.key);
	r = r ?: fnp_profile_add_string(profiles->profile, texts[which][1], &label.text);
	if (r == 0)
		labels[(*n)++] = label;
	return r;
}

static int add_stack(struct fnp_profiles *profiles, const struct fnp_row_stack *one, uint32_t thread_key)
{
	struct fnp_profile_label labels[2] = {{.key = thread_key, .unit = FNP_LABEL_TEXT}};
	uint32_t n_labels = 1;
	const int64_t values[FNP_PROFILE_VALUES_MAX] = {one->count, (int64_t)one->weight_ns,
							(int64_t)one->off_cpu_ns, (int64_t)one->run_queue_ns};
	size_t bytes;
	const struct fnp_frame *frames = fnp_intern_get(profiles->epoch->stacks, one->stack, &bytes);
	size_t n = bytes / sizeof(*frames);
	size_t skip = one->off_cpu_ns + one->run_queue_ns ? frames_of_switch(profiles, frames, n) : 0;
	int r = list_locations(profiles, frames + skip, n - skip);

	r = r
		    ?: fnp_profile_add_string(profiles->profile,
					      fnp_intern_get_text(profiles->epoch->strings, one->comm),
					      &labels[0].text);
	r = r ?: add_word_label(profiles, frames, n, labels, &n_labels);
	r = r
		    ?: fnp_profile_add_sample(profiles->profile, profiles->stack.items,
					      (uint32_t)profiles->stack.len, labels, n_labels, values);
	return r ?: fnp_vec_push(&profiles->samples, profiles->profile->last_sample);
}

static int add_times(struct fnp_profiles *profiles, const struct fnp_row *row)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < row->times.len; i++) {
		const struct fnp_row_time *time = &row->times.items[i];
		const struct fnp_profile_time one = {
			.sample = profiles->samples.items[time->at],
			.tid = row->stacks.items[time->at].tid,
			.offset_ns = (int64_t)(time->t_ns - row->start_ns),
		};
		r = fnp_profile_add_time(profiles->profile, &one);
	}
	return r;
}

static int add_text_label(struct fnp_profile *profile, const char *key, const char *text)
{
	struct fnp_profile_label label = {.unit = FNP_LABEL_TEXT};
	int r = fnp_profile_add_string(profile, key, &label.key);

	r = r ?: fnp_profile_add_string(profile, text, &label.text);
	return r ?: fnp_profile_add_common_label(profile, &label);
}

static int add_labels(struct fnp_profile *profile, const struct fnp_row *row)
{
	struct fnp_profile_label duration = {.number = (int64_t)row->duration_ns};
	int r = add_text_label(profile, "function", row->function ? row->function : "");

	r = r ?: add_text_label(profile, "request_id", row->id ? row->id : "");
	r = r ?: fnp_profile_add_string(profile, "duration", &duration.key);
	r = r ?: fnp_profile_add_string(profile, "nanoseconds", &duration.unit);
	return r ?: fnp_profile_add_common_label(profile, &duration);
}

/* `fallback` names a program whose file was never seen: it was gone before we could look. */
static int add_program(struct fnp_profiles *profiles, uint32_t program, const char *fallback)
{
	const struct fnp_target_object *object = fnp_objects_get(profiles->options.objects, program);
	const struct fnp_segment *segments;
	struct fnp_profile_mapping mapping = {.start = 0, .limit = 1};
	size_t n = object && object->elf ? fnp_object_segments(object->elf, &segments) : 0;
	uint32_t id;

	for (size_t i = 0; i < n; i++) {
		if (segments[i].flags & PF_X) {
			mapping = mapping_of(object, segments[i].address);
			break;
		}
	}
	if (!object)
		return add_mapping(profiles->profile, fallback, "", mapping, &id);
	return add_mapping(profiles->profile, object->path, object->build_id, mapping, &id);
}

int fnp_profiles_build(struct fnp_profiles *profiles, const struct fnp_row *row,
		       const struct fnp_process *process, struct fnp_profile **ret)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;
	uint32_t thread_key, number;
	int r = fnp_profile_create(&profile);

	if (r < 0)
		return r;
	profiles->profile = profile;
	profiles->epoch = row->epoch;
	profiles->process = process;
	fnp_map_deinit(&profiles->locations);
	profile->time_ns = (int64_t)row->start_ns + profiles->options.utc_offset_ns;
	profile->duration_ns = (int64_t)FNP_MAX(row->duration_ns, UINT64_C(1)); /* readers take 0 for unknown */
	profile->period_ns = profiles->options.period_ns;
	r = add_program(profiles, process ? process->program_object : FNP_OBJECT_NONE,
			process && process->path[0] ? process->path
			: row->function		    ? row->function
						    : "program");
	r = r ?: add_labels(profile, row);
	r = r ?: fnp_profile_add_string(profile, "thread", &thread_key);
	r = r ?: fnp_profile_add_value_type(profile, "off_cpu", "nanoseconds", &number);
	r = r ?: fnp_profile_add_value_type(profile, "run_queue", "nanoseconds", &number);
	profiles->samples.len = 0;
	r = r ?: find_places(profiles, row);
	for (size_t i = 0; r == 0 && i < row->stacks.len; i++) {
		r = add_stack(profiles, &row->stacks.items[i], thread_key);
		pause_building(profiles);
	}
	r = r ?: add_times(profiles, row);
	profiles->profile = NULL;
	profiles->process = NULL;
	if (r < 0)
		return r;
	*ret = TAKE_PTR(profile);
	return 0;
}
