/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/watch.h"

#include "base/clock.h"
#include "profiler/targets/resume.h"
#include "profiler/watch_state.h"
#include "symbolizer/debuginfod.h"

#define CACHE_BYTES_MAX ((uint64_t)256 << 20)
#define PATIENCE_MS 100
#define NEWBORN_NS 30000000 /* so long a new program maps its libraries; the kernel side counts on 20 ms */
#define NEWBORN_PATIENCE_MS 2
#define STARTING_NS 200000000 /* a JVM; a short one is over by then, and what its frames stand in is gone */
#define FETCH_ROW_NS FNP_NS_PER_S /* for debug data: a row, while others work */
#define FETCH_ALL_NS (5 * FNP_NS_PER_S)
#define FETCH_END_NS (30 * FNP_NS_PER_S)

/* ---- what attribution asks of us ---- */

static void host_set_filter(void *self, uint32_t pid, uint32_t flags, uint16_t port)
{
	struct fnp_watch *watch = self;
	struct fnp_process *process = fnp_processes_find(watch->processes, pid);

	fnp_kernel_set_filter(watch->options.kernel, pid, flags, port);
	if (process) {
		process->wanted = true;
		fnp_probes_update(watch->probes, process);
	}
}

void fnp_watch_forget_process(struct fnp_watch *watch, uint32_t pid)
{
	struct fnp_process *process = fnp_processes_find(watch->processes, pid);

	if (!process)
		return;
	fnp_runtimes_remove(watch->runtimes, process);
	fnp_spaces_remove(watch->spaces, pid);
	fnp_processes_remove(watch->processes, pid);
}

void fnp_watch_unwatch(struct fnp_watch *watch, uint32_t pid)
{
	fnp_kernel_unwatch(watch->options.kernel, pid);
	fnp_watch_forget_process(watch, pid);
}

static void host_unwatch(void *self, uint32_t pid, uint64_t process)
{
	struct fnp_watch *watch = self;

	(void)process;
	fnp_watch_unwatch(watch, pid);
}

struct fnp_process *fnp_watch_find_process(struct fnp_watch *watch, uint32_t pid, uint64_t process)
{
	struct fnp_process *p = fnp_processes_find(watch->processes, pid);

	return p && (!p->process || !process || p->process == process) ? p : NULL;
}

static const char *host_runtime_name(void *self, uint32_t pid, uint64_t process)
{
	struct fnp_watch *watch = self;
	struct fnp_process *p = fnp_watch_find_process(watch, pid, process);

	return p ? fnp_runtimes_process_name(watch->runtimes, p) : NULL;
}

static int host_cpu_now(void *self, uint32_t pid, uint64_t process, uint64_t *ret)
{
	struct fnp_watch *watch = self;
	struct fnp_target target;
	int r = fnp_kernel_read_target(watch->options.kernel, pid, &target);

	if (r == 0 && process && target.process && target.process != process)
		r = -ESRCH;
	if (r == 0)
		*ret = target.cpu_ns;
	return r;
}

static int host_environment(void *self, uint32_t pid, uint64_t process, struct fnp_buffer *ret)
{
	struct fnp_process *p = fnp_watch_find_process(self, pid, process);

	return p && p->exited ? -ESRCH : fnp_watch_read_environment(pid, ret);
}

/* Rings fill while a row waits for its debug data; once nobody works any more there is time. */
static uint64_t fetch_patience_ns(const struct fnp_watch *watch)
{
	return fnp_invocations_any_alive(watch->invocations) ? FNP_MIN(watch->fetch_wait_ns, FETCH_ROW_NS)
							     : FETCH_END_NS;
}

static int sink_close_row(void *self, struct fnp_row *taken)
{
	struct fnp_watch *watch = self;
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = taken;
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;
	struct fnp_process *p = fnp_watch_find_process(watch, row->pid, row->process);
	uint64_t start_ns = fnp_clock_ns();
	int r;

	fnp_profiles_wait_until(watch->profiles, start_ns + fetch_patience_ns(watch));
	r = fnp_profiles_build(watch->profiles, row, p, &profile);
	watch->fetch_wait_ns -= FNP_MIN(fnp_clock_ns() - start_ns, watch->fetch_wait_ns);
	r = r ?: watch->options.write(watch->options.self, row, profile);
	fnp_watch_attend(watch);
	return r;
}

/* ---- life ---- */

static int open_rings(struct fnp_watch *watch)
{
	const int fds[FNP_RINGS] = {[FNP_RING_EVENTS] = fnp_kernel_map_fd(watch->options.kernel, "events"),
				    [FNP_RING_SAMPLES] = fnp_kernel_map_fd(watch->options.kernel, "samples"),
				    [FNP_RING_PROBES] = fnp_kernel_map_fd(watch->options.kernel, "probes")};

	return fnp_rings_create(fds, &watch->rings);
}

static int create_invocations(struct fnp_watch *watch)
{
	struct fnp_invocations_options options = {
		.mode = watch->options.mode,
		.sink = {.close_row = sink_close_row, .self = watch},
		.host = {.self = watch,
			 .set_filter = host_set_filter,
			 .unwatch = host_unwatch,
			 .runtime_name = host_runtime_name,
			 .cpu_now = host_cpu_now,
			 .environment = host_environment},
		.utc_offset_ns = watch->options.utc_offset_ns,
	};

	return fnp_invocations_create(&options, &watch->invocations);
}

static void on_mapping(void *self, struct fnp_process *process)
{
	struct fnp_watch *watch = self;

	fnp_spaces_update(watch->spaces, process);
	/*
	 * Probes first: the process runs on, and comes to them. Of the whole host's programs most are none of ours: their
	 * files stay as they are.
	 */
	if (watch->options.mode != FNP_MODE_HOST || process->wanted)
		fnp_probes_update(watch->probes, process);
	fnp_runtimes_update(watch->runtimes, process);
	if (fnp_runtimes_code_comes_first(process))
		watch->restless_until_ns = FNP_MAX(watch->restless_until_ns, process->image_ns + STARTING_NS);
	fnp_profiles_expect(watch->profiles);
}

static int layouts_fd(void *self, const char *name)
{
	return fnp_kernel_map_fd(((struct fnp_watch *)self)->options.kernel, name);
}

static int create_runtimes(struct fnp_watch *watch)
{
	struct fnp_runtimes_options options = {.objects = watch->objects,
					       .spaces = watch->spaces,
					       .layouts_fd = layouts_fd,
					       .self = watch,
					       .source_maps = watch->options.source_maps};

	return fnp_runtimes_create(&options, &watch->runtimes);
}

static void tell_event(void *self, const struct fnp_invocations_place *at, const struct fnp_row_event *event)
{
	struct fnp_watch *watch = self;

	fnp_invocations_row_event(watch->invocations, at, event);
}

static int create_probes(struct fnp_watch *watch)
{
	struct fnp_probes_options options = {.usdt = fnp_usdt_of(watch->options.kernel),
					     .objects = watch->objects,
					     .runtimes = watch->runtimes,
					     .asked = watch->options.probes,
					     .n_asked = watch->options.n_probes,
					     .tell = tell_event,
					     .self = watch};

	return fnp_probes_create(&options, &watch->probes);
}

/* Mappings are mirrored to where the walkers see them, on both sides. */
static int create_spaces(struct fnp_watch *watch)
{
	struct fnp_spaces_fds fds = {
		.fnp_pid_spaces = fnp_kernel_map_fd(watch->options.kernel, "fnp_pid_spaces"),
		.fnp_spaces = fnp_kernel_map_fd(watch->options.kernel, "fnp_spaces"),
		.fnp_code_ranges = fnp_kernel_map_fd(watch->options.kernel, "fnp_code_ranges"),
		.fnp_native_tables = fnp_kernel_map_fd(watch->options.kernel, "fnp_native_tables"),
		.fnp_arenas = fnp_kernel_map_fd(watch->options.kernel, "fnp_arenas"),
	};
	int r = fnp_spaces_create(&fds, watch->objects, &watch->spaces);

	if (r < 0)
		return r;
	fnp_processes_on_mapping(watch->processes, on_mapping, watch);
	return fnp_resumer_create(watch->spaces, &watch->resumer);
}

int fnp_watch_create(const struct fnp_watch_options *options, struct fnp_watch **ret)
{
	FNP_CLEANUP(fnp_watch_destroyp) struct fnp_watch *watch = calloc(1, sizeof(*watch));
	struct fnp_profiles_options profiles;
	int r;

	if (!watch)
		return -ENOMEM;
	watch->options = *options;
	(void)fnp_disk_cache_open(NULL, CACHE_BYTES_MAX, &watch->cache);
	r = fnp_objects_create(&watch->objects);
	r = r ?: fnp_processes_create(watch->objects, &watch->processes);
	r = r ?: create_spaces(watch);
	if (r == 0)
		fnp_tables_set_cache(fnp_spaces_tables(watch->spaces), watch->cache);
	r = r ?: fnp_map_events_create(&watch->map_events);
	r = r ?: create_runtimes(watch);
	r = r ?: create_probes(watch);
	r = r ?: fnp_samples_create(watch->objects, watch->resumer, watch->runtimes, &watch->samples);
	if (options->debuginfod)
		r = r ?: fnp_debuginfod_create(&watch->debuginfod);
	watch->fetch_wait_ns = FETCH_ALL_NS;
	profiles = (struct fnp_profiles_options){.objects = watch->objects,
						 .debuginfod = watch->debuginfod,
						 .runtimes = watch->runtimes,
						 .cache = watch->cache,
						 .utc_offset_ns = options->utc_offset_ns,
						 .period_ns = options->period_ns,
						 .pause = fnp_watch_attend,
						 .self = watch};
	r = r ?: fnp_profiles_create(&profiles, &watch->profiles);
	r = r ?: create_invocations(watch);
	r = r ?: open_rings(watch);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(watch);
	return 0;
}

static void remove_runtime(void *self, struct fnp_process *process)
{
	fnp_runtimes_remove(((struct fnp_watch *)self)->runtimes, process);
}

void fnp_watch_destroy(struct fnp_watch *watch)
{
	if (!watch)
		return;
	if (watch->processes)
		fnp_processes_each(watch->processes, remove_runtime, watch);
	fnp_rings_destroy(watch->rings);
	fnp_invocations_destroy(watch->invocations);
	fnp_probes_destroy(watch->probes);
	fnp_profiles_destroy(watch->profiles);
	fnp_debuginfod_destroy(watch->debuginfod);
	fnp_samples_destroy(watch->samples);
	fnp_runtimes_destroy(watch->runtimes);
	fnp_resumer_destroy(watch->resumer);
	fnp_spaces_destroy(watch->spaces);
	fnp_map_events_destroy(watch->map_events);
	fnp_disk_cache_unref(watch->cache);
	fnp_processes_destroy(watch->processes);
	fnp_objects_destroy(watch->objects);
	fnp_vec_deinit(&watch->held);
	fnp_vec_deinit(&watch->late);
	fnp_vec_deinit(&watch->early);
	fnp_vec_deinit(&watch->exited);
	free(watch);
}

int fnp_watch_start(struct fnp_watch *watch)
{
	return fnp_map_events_enable(watch->map_events);
}

void fnp_watch_fds(const struct fnp_watch *watch, int ret[FNP_WATCH_FDS])
{
	ret[0] = fnp_rings_fd(watch->rings, FNP_RING_EVENTS);
	ret[1] = fnp_rings_fd(watch->rings, FNP_RING_SAMPLES);
	ret[2] = fnp_map_events_fd(watch->map_events);
	ret[3] = fnp_rings_fd(watch->rings, FNP_RING_PROBES);
}

/* ---- rounds ---- */

static void reread_maps(void *self, struct fnp_process *process)
{
	struct fnp_watch *watch = self;

	if (!process->exited && fnp_processes_read_maps(watch->processes, process) < 0)
		watch->totals.events_lost++; /* it is gone, and what it mapped may not be known */
}

/* The kernel had no room for some mapping events; whose they were is not said, so we look ourselves. */
static void make_up_for_lost_maps(struct fnp_watch *watch)
{
	uint64_t lost = fnp_map_events_lost(watch->map_events);

	if (lost == watch->maps_lost)
		return;
	watch->maps_lost = lost;
	fnp_processes_each(watch->processes, reread_maps, watch);
}

int fnp_watch_round(struct fnp_watch *watch, uint64_t now_ns)
{
	int r = fnp_map_events_read(watch->map_events);

	watch->now_ns = now_ns;
	fnp_rings_begin_round(watch->rings);
	make_up_for_lost_maps(watch);
	fnp_watch_give_early(watch);
	fnp_rings_take(watch->rings, FNP_RING_EVENTS, fnp_watch_take_event, watch);
	fnp_map_events_deliver(watch->map_events, now_ns, fnp_processes_take_map_event, watch->processes);
	fnp_spaces_catch_up(watch->spaces, watch->processes);
	fnp_watch_give_late(watch);
	fnp_watch_give_held(watch);
	fnp_rings_take(watch->rings, FNP_RING_SAMPLES, fnp_watch_take_sample, watch);
	watch->samples_seen = 0;
	fnp_rings_take(watch->rings, FNP_RING_PROBES, fnp_watch_take_probe, watch);
	/* Nothing is closed while samples are under way that it may own. */
	if (watch->late.len == 0) {
		fnp_resumer_forget(watch->resumer);
		fnp_watch_visit_exited(watch);
		watch->may_attend = true;
		fnp_invocations_advance(watch->invocations, now_ns);
		watch->may_attend = false;
	}
	fnp_samples_tidy(watch->samples, watch->invocations);
	fnp_rings_end_round(watch->rings);
	return r;
}

int fnp_watch_patience_ms(const struct fnp_watch *watch, uint64_t now_ns)
{
	bool restless = now_ns < watch->newborn_ns + NEWBORN_NS || now_ns < watch->restless_until_ns;

	return restless ? NEWBORN_PATIENCE_MS : PATIENCE_MS;
}

void fnp_watch_tidy(struct fnp_watch *watch)
{
	fnp_watch_sweep_objects(watch);
	fnp_objects_release_pages(watch->objects);
	fnp_probes_tend(watch->probes, watch->now_ns);
}

bool fnp_watch_any_given_alive(const struct fnp_watch *watch)
{
	return fnp_invocations_any_given_alive(watch->invocations);
}

static void finish_process(void *self, struct fnp_process *process)
{
	struct fnp_watch *watch = self;
	struct fnp_target target;

	if (fnp_kernel_read_target(watch->options.kernel, process->pid, &target) < 0)
		return; /* settled */
	fnp_watch_settle_losses(watch, process->pid, &target);
	if (process->exited)
		fnp_invocations_gone(watch->invocations, process->pid, process->process, &target,
				     watch->now_ns);
	watch->options.add_process(watch->options.self, process->pid, target.process, target.cpu_ns);
}

int fnp_watch_finish(struct fnp_watch *watch, uint64_t now_ns, struct fnp_watch_totals *ret)
{
	struct fnp_invocations_counters counters;
	int r;

	watch->may_wait = true;
	r = fnp_watch_round(watch, now_ns);
	r = r ?: fnp_watch_round(watch, now_ns);
	fnp_probes_end_process(watch->probes, 0, 0, now_ns);
	fnp_probes_finish(watch->probes);
	fnp_processes_each(watch->processes, finish_process, watch);
	fnp_invocations_finish(watch->invocations, now_ns);
	fnp_invocations_counters(watch->invocations, &counters);
	for (int cause = 0; cause < FNP_LOSS_MAX; cause++)
		watch->totals.losses[cause] += counters.losses[cause];
	watch->totals.events_lost += counters.events_lost;
	watch->totals.off_cpu_lost = counters.off_cpu_lost;
	watch->totals.ledgers = counters.ledgers;
	watch->totals.probes_late = fnp_probes_late(watch->probes);
	*ret = watch->totals;
	return r;
}

void fnp_watch_counters(const struct fnp_watch *watch, struct fnp_invocations_counters *ret)
{
	fnp_invocations_counters(watch->invocations, ret);
}
