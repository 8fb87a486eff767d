/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/runtimes.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "profiler/jit_names.h"
#include "profiler/runtime_layouts.h"

#define MAPPINGS_MAX 1024
#define SPECIAL_MAX 128
#define STARTS_IN_NS FNP_NS_PER_S /* a runtime that was loaded; else it may never be started */
#define REFRESH_SHARE 20	  /* one part in so many of the time may go into looking again */

struct fnp_runtimes {
	struct fnp_runtimes_options options;
	struct fnp_map ids; /* struct fnp_object * -> struct fnp_runtime_id *, owned */
	struct fnp_runtime_layouts layouts;
	struct fnp_map starting; /* pid -> struct fnp_process *, with a runtime whose code waits for its first layout */
	uint64_t n_started;		/* that are not in `starting` any more */
	struct fnp_runtime_frame frame; /* the answer of fnp_runtimes_name */
};

/* The runtimes of one process; process->runtime. */
struct attached {
	uint64_t image_ns; /* of the image that they were found in */
	struct fnp_jit_names jit;
	uint64_t not_before_ns; /* refresh_at_times() */
	size_t n;
	struct one {
		const struct fnp_runtime_ops *ops;
		const struct fnp_object *object;
		struct fnp_runtime *runtime; /* NULL: it could not be attached, and is not tried again */
		uint64_t bias;
		bool stands_back;	  /* another one of its kind is what the process uses */
		uint32_t number;	  /* of its own layout; FNP_RUNTIME_LAYOUT_NONE */
		uint64_t starts_until_ns; /* it is starting until then; 0: it is not */
	} all[FNP_RUNTIME_MATCHES_MAX];
};

int fnp_runtimes_create(const struct fnp_runtimes_options *options, struct fnp_runtimes **ret)
{
	struct fnp_runtimes *runtimes = calloc(1, sizeof(*runtimes));

	if (!runtimes)
		return -ENOMEM;
	runtimes->options = *options;
	runtimes->layouts.fd = options->layouts_fd;
	runtimes->layouts.self = options->self;
	*ret = runtimes;
	return 0;
}

void fnp_runtimes_destroy(struct fnp_runtimes *runtimes)
{
	if (!runtimes)
		return;
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&runtimes->ids, s));)
		free((void *)(uintptr_t)s->value);
	fnp_map_deinit(&runtimes->ids);
	fnp_runtime_layouts_deinit(&runtimes->layouts);
	fnp_map_deinit(&runtimes->starting);
	free(runtimes);
}

/* ---- recognising -------------------------------------------------------------------------------------------- */

/* Recognising a file takes milliseconds; the answer is kept as long as the file. */
static const struct fnp_runtime_id *id_of(struct fnp_runtimes *runtimes, const struct fnp_object *object)
{
	uint64_t key = (uint64_t)(uintptr_t)object;
	struct fnp_runtime_id *id = fnp_map_find_ptr(&runtimes->ids, key);

	if (id)
		return id;
	id = calloc(1, sizeof(*id));
	if (!id)
		return NULL;
	fnp_runtime_recognise(object, id);
	if (fnp_map_set_ptr(&runtimes->ids, key, id) < 0) {
		free(id);
		return NULL;
	}
	return id;
}

const struct fnp_runtime_id *fnp_runtimes_id(struct fnp_runtimes *runtimes, const struct fnp_object *object)
{
	return id_of(runtimes, object);
}

bool fnp_runtimes_let_go(struct fnp_runtimes *runtimes, const struct fnp_object *object)
{
	uint64_t key = (uint64_t)(uintptr_t)object;
	struct fnp_runtime_id *id = fnp_map_find_ptr(&runtimes->ids, key);

	if (id && id->ops)
		return false;
	fnp_map_remove(&runtimes->ids, key);
	free(id);
	return true;
}

static void recognise(void *self, const struct fnp_object *object, struct fnp_runtime_id *ret)
{
	const struct fnp_runtime_id *id = id_of(self, object);

	if (id)
		*ret = *id;
}

static int by_start(const void *a, const void *b)
{
	uint64_t x = ((const struct fnp_runtime_mapping *)a)->start;
	uint64_t y = ((const struct fnp_runtime_mapping *)b)->start;

	return x < y ? -1 : x > y;
}

/* The mappings of the present image, as the symbolizer wants them. */
static size_t list_mappings(struct fnp_runtimes *runtimes, const struct fnp_process *process,
			    struct fnp_runtime_mapping ret[MAPPINGS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < process->mappings.len && n < MAPPINGS_MAX; i++) {
		const struct fnp_mapping *m = &process->mappings.items[i];
		const struct fnp_target_object *object = fnp_objects_get(runtimes->options.objects, m->object);

		if (m->from_ns < process->image_ns || !object || !object->elf)
			continue;
		ret[n++] = (struct fnp_runtime_mapping){.start = m->start,
							.limit = m->end,
							.offset = m->offset,
							.object = object->elf,
							.executable = true};
	}
	qsort(ret, n, sizeof(ret[0]), by_start);
	return n;
}

const char *fnp_runtimes_process_name(struct fnp_runtimes *runtimes, const struct fnp_process *process)
{
	struct fnp_runtime_mapping mappings[MAPPINGS_MAX];
	struct fnp_runtime_match matches[FNP_RUNTIME_MATCHES_MAX];
	struct fnp_runtime_process view = {.pid = (pid_t)process->pid, .mappings = mappings};

	view.n_mappings = list_mappings(runtimes, process, mappings);
	if (view.n_mappings == 0)
		return NULL;
	if (fnp_runtime_find(&view, recognise, runtimes, matches) == 0)
		return "native";
	return id_of(runtimes, matches[0].object)->text;
}

bool fnp_runtimes_code_comes_first(const struct fnp_process *process)
{
	const struct attached *attached = process->runtime;

	for (size_t i = 0; attached && i < attached->n; i++) {
		if (attached->all[i].runtime && attached->all[i].ops->code_comes_first)
			return true;
	}
	return false;
}

/* ---- telling the walker ------------------------------------------------------------------------------------- */

/* Says to the kernel side which code of the process stands for the runtime's frames. */
static int tell_walker(struct fnp_runtimes *runtimes, struct fnp_process *process, struct one *one)
{
	uint64_t words[FNP_SPACE_RUNTIME_WORDS] = {0, one->bias};
	uint64_t bias = one->ops->of_process ? 0 : one->bias;
	struct fnp_code_special special[SPECIAL_MAX];
	const struct fnp_runtime_range *ranges;
	size_t n;
	int r;

	if (!runtimes->options.spaces || !one->ops->layout)
		return 0;
	if (one->ops->of_process) {
		r = fnp_runtime_layouts_put_own(&runtimes->layouts, one->ops, one->runtime, &one->number);
		words[0] = one->number;
	} else {
		r = fnp_runtime_layouts_put(&runtimes->layouts, one->ops, one->runtime, one->object, &words[0]);
	}
	if (r < 0)
		return r;
	words[FNP_SPACE_RUNTIME_ANONYMOUS] = one->ops->makes_code && one->ops->makes_code(one->runtime);
	n = FNP_MIN(one->ops->ranges(one->runtime, &ranges), FNP_ARRAY_SIZE(special));
	for (size_t i = 0; i < n; i++)
		special[i] = (struct fnp_code_special){.start = ranges[i].start + bias,
						       .end = ranges[i].end + bias,
						       .kind = one->ops->code_kind,
						       .data = ranges[i].data};
	return fnp_spaces_set_runtime(runtimes->options.spaces, process, one->ops->code_kind, words, special,
				      n);
}

/*
 * A walker knows one interpreter of its kind in a process. Where there are more (an extension that is linked with a
 * library of Python's, loaded by a program that has Python in itself), it is the one that runs; the first, if none does.
 */
static struct one *other_of_kind(struct attached *attached, const struct one *one)
{
	for (size_t i = 0; i < attached->n; i++) {
		struct one *other = &attached->all[i];
		if (other != one && other->runtime && !other->stands_back && other->ops == one->ops)
			return other;
	}
	return NULL;
}

static bool is_in_use(const struct one *one)
{
	return !one->ops->in_use || one->ops->in_use(one->runtime);
}

static int choose_and_tell(struct fnp_runtimes *runtimes, struct fnp_process *process,
			   struct attached *attached, struct one *one)
{
	struct one *other = other_of_kind(attached, one);

	one->stands_back = other && (is_in_use(other) || !is_in_use(one));
	if (one->stands_back)
		return 0;
	if (other)
		other->stands_back = true;
	return tell_walker(runtimes, process, one);
}

static struct attached *attached_of(struct fnp_process *process)
{
	struct attached *attached = process->runtime;

	if (!attached) {
		attached = process->runtime = calloc(1, sizeof(*attached));
		if (attached)
			attached->image_ns = process->image_ns;
	}
	return attached;
}

static bool is_attached(const struct attached *attached, const struct fnp_object *object)
{
	for (size_t i = 0; i < attached->n; i++) {
		if (attached->all[i].object == object)
			return true;
	}
	return false;
}

/* ---- starting ----------------------------------------------------------------------------------------------- */

/* Stacks through code without a file wait from now on. */
static void begin_start(struct fnp_runtimes *runtimes, struct fnp_process *process, struct one *one)
{
	if (!runtimes->options.spaces || process->exited ||
	    fnp_map_set_ptr(&runtimes->starting, process->pid, process) < 0)
		return;
	one->starts_until_ns = fnp_clock_ns() + STARTS_IN_NS;
	fnp_spaces_expect_runtime(runtimes->options.spaces, process, true);
}

static void end_start(struct fnp_runtimes *runtimes, struct fnp_process *process, struct one *one)
{
	const struct attached *attached = process->runtime;

	if (one->starts_until_ns == 0)
		return;
	one->starts_until_ns = 0;
	runtimes->n_started++;
	for (size_t i = 0; attached && i < attached->n; i++) {
		if (attached->all[i].starts_until_ns)
			return;
	}
	fnp_map_remove(&runtimes->starting, process->pid);
	fnp_spaces_expect_runtime(runtimes->options.spaces, process, false);
}

static void refresh_one(struct fnp_runtimes *runtimes, struct fnp_process *process, struct one *one)
{
	int r;

	if (!one->runtime || !one->ops->refresh)
		return;
	r = one->ops->refresh(one->runtime);
	if (r > 0 && tell_walker(runtimes, process, one) < 0)
		fnp_warning_once("frames of %s are not shown: its walker could not be told", one->ops->name);
	if (one->starts_until_ns && (r != -EAGAIN || process->exited || fnp_clock_ns() > one->starts_until_ns))
		end_start(runtimes, process, one);
}

void fnp_runtimes_refresh(struct fnp_runtimes *runtimes, struct fnp_process *process)
{
	struct attached *attached = process->runtime;

	for (size_t i = 0; attached && i < attached->n; i++)
		refresh_one(runtimes, process, &attached->all[i]);
}

uint64_t fnp_runtimes_tend(struct fnp_runtimes *runtimes)
{
	uint64_t before;

	do { /* a start that ends changes the map */
		before = runtimes->n_started;
		for (struct fnp_map_slot *s = NULL;
		     before == runtimes->n_started && (s = fnp_map_next(&runtimes->starting, s));)
			fnp_runtimes_refresh(runtimes, (struct fnp_process *)(uintptr_t)s->value);
	} while (before != runtimes->n_started);
	return runtimes->n_started;
}

/* ---- attaching ---------------------------------------------------------------------------------------------- */

static void attach(struct fnp_runtimes *runtimes, struct fnp_process *process,
		   const struct fnp_runtime_process *view, const struct fnp_runtime_match *match)
{
	struct attached *attached = attached_of(process);
	struct one one = {.ops = match->id.ops,
			  .object = match->object,
			  .bias = match->bias,
			  .number = FNP_RUNTIME_LAYOUT_NONE};

	if (!attached || attached->n >= FNP_RUNTIME_MATCHES_MAX || is_attached(attached, match->object))
		return;
	if (!one.ops || !one.ops->attach || one.ops->attach(view, match, &one.runtime) < 0)
		one.runtime = NULL; /* said by the runtime; its native frames are shown */
	else if (!one.ops->refresh && choose_and_tell(runtimes, process, attached, &one) < 0)
		fnp_warning_once("frames of %s are not shown: its walker could not be told", match->id.text);
	if (one.runtime && one.ops->code_comes_first)
		begin_start(runtimes, process, &one);
	attached->all[attached->n++] = one;
	fnp_object_release_pages(match->object); /* its symbols were read from end to end */
}

static void find_jitdump(struct fnp_runtimes *runtimes, struct fnp_process *process)
{
	const struct fnp_mapping *dump = fnp_jit_names_dump_of(runtimes->options.objects, process);
	struct attached *attached = dump ? attached_of(process) : NULL;

	if (attached)
		fnp_jit_names_open_dump(&attached->jit, runtimes->options.objects, process, dump);
}

static bool is_last_anonymous(const struct fnp_process *process)
{
	size_t n = process->mappings.len;

	return n > 0 && process->mappings.items[n - 1].object == FNP_OBJECT_NONE;
}

/*
 * Some compilers change a page's protection for each function that they make, thousands of times a second. Who asks for
 * frames looks again by itself, so this may be left out; it is, when it would take more than a twentieth of the time.
 */
static void refresh_at_times(struct fnp_runtimes *runtimes, struct fnp_process *process)
{
	struct attached *attached = process->runtime;
	uint64_t now_ns = fnp_clock_ns();

	if (!attached || now_ns < attached->not_before_ns)
		return;
	fnp_runtimes_refresh(runtimes, process);
	attached->not_before_ns = now_ns + REFRESH_SHARE * (fnp_clock_ns() - now_ns);
}

void fnp_runtimes_update(struct fnp_runtimes *runtimes, struct fnp_process *process)
{
	struct fnp_runtime_mapping mappings[MAPPINGS_MAX];
	struct fnp_runtime_match matches[FNP_RUNTIME_MATCHES_MAX];
	struct fnp_runtime_process view = {.pid = (pid_t)process->pid,
					   .mappings = mappings,
					   .source_maps = runtimes->options.source_maps};
	struct attached *attached = process->runtime;
	size_t n;

	if (attached && attached->image_ns != process->image_ns) {
		fnp_runtimes_remove(runtimes, process);
		attached = NULL;
	}
	/* Code that is made moves no file. */
	if (!attached || !is_last_anonymous(process)) {
		view.n_mappings = list_mappings(runtimes, process, mappings);
		n = view.n_mappings ? fnp_runtime_find(&view, recognise, runtimes, matches) : 0;
		for (size_t i = 0; i < n; i++)
			attach(runtimes, process, &view, &matches[i]);
		find_jitdump(runtimes, process);
		attached = process->runtime;
	}
	for (size_t i = 0; attached && i < attached->n; i++) {
		struct one *one = &attached->all[i];
		if (one->runtime && one->ops->remapped)
			one->ops->remapped(one->runtime);
		if (one->stands_back && choose_and_tell(runtimes, process, attached, one) < 0)
			fnp_warning_once("frames of %s are not shown: its walker could not be told",
					 one->ops->name);
	}
	refresh_at_times(runtimes, process);
}

void fnp_runtimes_remove(struct fnp_runtimes *runtimes, struct fnp_process *process)
{
	struct attached *attached = process->runtime;

	for (size_t i = 0; attached && i < attached->n; i++) {
		const struct one *one = &attached->all[i];

		if (one->runtime)
			one->ops->detach(one->runtime);
		fnp_runtime_layouts_release(&runtimes->layouts, one->number);
	}
	if (fnp_map_remove(&runtimes->starting, process->pid))
		runtimes->n_started++;
	if (attached)
		fnp_jit_names_deinit(&attached->jit);
	free(attached);
	process->runtime = NULL;
}

/* ---- names -------------------------------------------------------------------------------------------------- */

void fnp_runtimes_learn(struct fnp_runtimes *runtimes, struct fnp_process *process, uint8_t word_kind,
			const void *data, size_t size)
{
	struct attached *attached;

	if (!process->runtime)
		fnp_runtimes_update(runtimes, process);
	attached = process->runtime;
	for (size_t i = 0; attached && i < attached->n; i++) {
		const struct one *one = &attached->all[i];
		if (one->runtime && !one->stands_back && one->ops->word_kind == word_kind &&
		    one->ops->learn && one->ops->learn(one->runtime, data, size) < 0)
			fnp_debug("process %u: names from the kernel side could not be read", process->pid);
	}
}

const void *fnp_runtimes_layout(struct fnp_runtimes *runtimes, struct fnp_process *process, uint8_t word_kind)
{
	const struct attached *attached;
	size_t size;

	if (!process->runtime)
		fnp_runtimes_update(runtimes, process);
	attached = process->runtime;
	for (size_t i = 0; attached && i < attached->n; i++) {
		const struct one *one = &attached->all[i];
		if (one->runtime && !one->stands_back && one->ops->word_kind == word_kind && one->ops->layout)
			return one->ops->layout(one->runtime, &size);
	}
	return NULL;
}

const struct fnp_runtime_frame *fnp_runtimes_name(struct fnp_runtimes *runtimes, struct fnp_process *process,
						  const uint64_t *words, size_t n_words)
{
	uint64_t kind = words[0] >> FNP_WORD_KIND_SHIFT;
	struct attached *attached;

	/* A child by fork was not looked at yet. */
	if (!process->runtime)
		fnp_runtimes_update(runtimes, process);
	attached = process->runtime;
	for (size_t i = 0; attached && i < attached->n; i++) {
		const struct one *one = &attached->all[i];
		if (one->runtime && !one->stands_back && one->ops->word_kind == kind &&
		    one->ops->name_frame(one->runtime, words, n_words, &runtimes->frame) == 0)
			return &runtimes->frame;
	}
	return NULL;
}

const struct fnp_runtime_frame *fnp_runtimes_name_jit(struct fnp_runtimes *runtimes,
						      struct fnp_process *process, uint64_t address,
						      uint64_t time_ns)
{
	struct fnp_jitdump_place place;
	struct attached *attached;

	/* A child by fork was not looked at yet. */
	if (!process->runtime)
		fnp_runtimes_update(runtimes, process);
	attached = attached_of(process);
	if (!attached || fnp_jit_names_find(&attached->jit, process->pid, address, time_ns, &place) < 0)
		return NULL;
	runtimes->frame = (struct fnp_runtime_frame){
		.n_lines = 1, .tier = FNP_RUNTIME_TIER_JIT, .mapping = "[jit]", .address = address};
	runtimes->frame.lines[0] = (struct fnp_runtime_line){
		.name = place.name, .file = place.file, .line = place.line};
	return &runtimes->frame;
}

uint64_t fnp_runtimes_original(const struct fnp_process *process, uint64_t address)
{
	const struct attached *attached = process->runtime;
	uint64_t original = 0;

	for (size_t i = 0; attached && i < attached->n && !original; i++) {
		const struct one *one = &attached->all[i];

		if (one->runtime && !one->stands_back && one->ops->original)
			original = one->ops->original(one->runtime, address);
	}
	return original;
}

enum fnp_runtime_native fnp_runtimes_native(const struct fnp_process *process, const struct fnp_object *object,
					    uint64_t address, const char *name)
{
	const struct attached *attached = process ? process->runtime : NULL;

	for (size_t i = 0; attached && i < attached->n; i++) {
		const struct one *one = &attached->all[i];
		enum fnp_runtime_native how = FNP_RUNTIME_NATIVE_SHOWN;

		if (!one->runtime || one->stands_back)
			continue;
		if (one->ops->collects && one->ops->collects(one->runtime, object, address))
			return FNP_RUNTIME_NATIVE_GC;
		if (one->ops->native)
			how = one->ops->native(one->runtime, object, name);
		if (how != FNP_RUNTIME_NATIVE_SHOWN)
			return how;
	}
	return FNP_RUNTIME_NATIVE_SHOWN;
}
