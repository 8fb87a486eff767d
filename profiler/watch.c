/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "profiler/probes.h"
#include "profiler/records.h"
#include "profiler/rings.h"
#include "profiler/runtimes.h"
#include "profiler/targets/resume.h"
#include "profiler/targets/spaces.h"

#define ENVIRONMENT_MAX (4 << 20)
#define HELD_MAX (4 << 20)
#define CACHE_BYTES_MAX ((uint64_t)256 << 20)
#define PATIENCE_MS 100
#define NEWBORN_NS 30000000 /* so long a new program maps its libraries */
#define NEWBORN_PATIENCE_MS 2
#define KEEP_EXITED_NS 3000000000 /* rows of a process close in this time */
#define ALL_FLAGS (FNP_TARGET_SAMPLED | FNP_TARGET_SOCKETS)

struct fnp_watch {
	struct fnp_watch_options options;
	struct fnp_objects *objects;
	struct fnp_processes *processes;
	struct fnp_map_events *map_events;
	struct fnp_disk_cache *cache; /* NULL: none can be had */
	struct fnp_spaces *spaces;
	struct fnp_resumer *resumer;
	struct fnp_runtimes *runtimes;
	struct fnp_probes *probes;
	struct fnp_samples *samples;
	struct fnp_profiles *profiles;
	struct fnp_invocations *invocations;
	struct fnp_rings *rings;
	FNP_VEC(uint64_t) held; /* samples of after this round's time, whole records one after the other */
	FNP_VEC(struct exited) exited;
	struct fnp_watch_totals totals;
	uint64_t now_ns;     /* of this round */
	uint64_t maps_lost;  /* mapping events, as far as made up for */
	uint64_t newborn_ns; /* the last exec */
};

/* A process that ended and is not settled yet, or is kept for its rows' sake. */
struct exited {
	uint32_t pid;
	uint64_t process;
	uint64_t time_ns;
	bool over; /* its last thread has left its CPU; settled in the next round, when its samples are in */
	bool settled; /* given to everybody; its mappings are kept a while */
};

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

static void forget_process(struct fnp_watch *watch, uint32_t pid)
{
	struct fnp_process *process = fnp_processes_find(watch->processes, pid);

	if (!process)
		return;
	fnp_runtimes_remove(watch->runtimes, process);
	fnp_spaces_remove(watch->spaces, pid);
	fnp_processes_remove(watch->processes, pid);
}

static void host_unwatch(void *self, uint32_t pid, uint64_t process)
{
	struct fnp_watch *watch = self;

	(void)process;
	fnp_kernel_unwatch(watch->options.kernel, pid);
	forget_process(watch, pid);
}

static struct fnp_process *find_process(struct fnp_watch *watch, uint32_t pid, uint64_t process)
{
	struct fnp_process *p = fnp_processes_find(watch->processes, pid);

	return p && (!p->process || !process || p->process == process) ? p : NULL;
}

static const char *host_runtime_name(void *self, uint32_t pid, uint64_t process)
{
	struct fnp_watch *watch = self;
	struct fnp_process *p = find_process(watch, pid, process);

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

static int sink_close_row(void *self, struct fnp_row *taken)
{
	struct fnp_watch *watch = self;
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = taken;
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;
	struct fnp_process *p = find_process(watch, row->pid, row->process);
	int r = fnp_profiles_build(watch->profiles, row, p, &profile);

	return r ?: watch->options.write(watch->options.self, row, profile);
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
			 .cpu_now = host_cpu_now},
		.utc_offset_ns = watch->options.utc_offset_ns,
	};

	return fnp_invocations_create(&options, &watch->invocations);
}

static void on_mapping(void *self, struct fnp_process *process)
{
	struct fnp_watch *watch = self;

	fnp_spaces_update(watch->spaces, process);
	fnp_runtimes_update(watch->runtimes, process);
	/* Of the whole host's programs most are none of ours: their files stay as they are. */
	if (watch->options.mode != FNP_MODE_HOST || process->wanted)
		fnp_probes_update(watch->probes, process);
}

static int layouts_fd(void *self, const char *name)
{
	return fnp_kernel_map_fd(((struct fnp_watch *)self)->options.kernel, name);
}

static int create_runtimes(struct fnp_watch *watch)
{
	struct fnp_runtimes_options options = {
		.objects = watch->objects, .spaces = watch->spaces, .layouts_fd = layouts_fd, .self = watch};

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
	profiles = (struct fnp_profiles_options){.objects = watch->objects,
						 .runtimes = watch->runtimes,
						 .cache = watch->cache,
						 .utc_offset_ns = options->utc_offset_ns,
						 .period_ns = options->period_ns};
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
	fnp_samples_destroy(watch->samples);
	fnp_runtimes_destroy(watch->runtimes);
	fnp_resumer_destroy(watch->resumer);
	fnp_spaces_destroy(watch->spaces);
	fnp_map_events_destroy(watch->map_events);
	fnp_disk_cache_unref(watch->cache);
	fnp_processes_destroy(watch->processes);
	fnp_objects_destroy(watch->objects);
	fnp_vec_deinit(&watch->held);
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

/* ---- who is watched from the beginning ---- */

static int read_environment(uint32_t pid, struct fnp_buffer *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/environ", pid);
	return fnp_file_read_at(AT_FDCWD, path, ENVIRONMENT_MAX, ret);
}

/* In host-wide recording attribution says whether the process is wanted at all. */
static int add_running(struct fnp_watch *watch, uint32_t pid)
{
	fnp_autobuffer struct fnp_buffer environment = {0};
	char exe_link[64], exe[4096];
	struct fnp_invocations_process view = {.pid = pid, .now_ns = fnp_clock_ns()};
	struct fnp_process *process;
	ssize_t n;
	int r = read_environment(pid, &environment);

	if (r < 0)
		return r;
	snprintf(exe_link, sizeof(exe_link), "/proc/%u/exe", pid);
	n = readlink(exe_link, exe, sizeof(exe) - 1);
	if (n < 0)
		return -errno; /* a kernel thread, or a process that is ending */
	exe[n] = '\0';
	view.program = exe;
	view.environment = (const char *)environment.data;
	view.environment_size = environment.len;
	/* Watched first: attribution may narrow the filter at once. */
	r = fnp_processes_add(watch->processes, pid, 0, &process);
	r = r ?: fnp_kernel_watch(watch->options.kernel, pid, ALL_FLAGS, 0);
	r = r ?: fnp_invocations_attach(watch->invocations, &view);
	if (r < 0) {
		host_unwatch(watch, pid, 0);
		return r;
	}
	return fnp_processes_read_maps(watch->processes, process);
}

int fnp_watch_add_pid(struct fnp_watch *watch, uint32_t pid)
{
	int r = add_running(watch, pid);

	if (r == -ENOENT || r == -ESRCH)
		return fnp_error(-ESRCH, "process %u ended before it could be watched", pid);
	if (r < 0)
		return fnp_error(r, "cannot watch process %u: %s", pid, strerror(-r));
	return 0;
}

int fnp_watch_add_command(struct fnp_watch *watch, uint32_t pid, const char *program)
{
	struct fnp_invocations_process view = {
		.pid = pid, .now_ns = fnp_clock_ns(), .program = program, .waits_for_exec = true};
	struct fnp_process *process;
	int r = fnp_invocations_attach(watch->invocations, &view);

	fnp_probes_expect_program(watch->probes, program);

	r = r ?: fnp_processes_add(watch->processes, pid, 0, &process);
	return r ?: fnp_kernel_watch(watch->options.kernel, pid, ALL_FLAGS | FNP_TARGET_WAIT_EXEC, 0);
}

int fnp_watch_scan_host(struct fnp_watch *watch)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		return fnp_error(-errno, "cannot read /proc: %s", strerror(errno));
	while ((entry = readdir(proc))) {
		uint64_t pid;
		/* Processes come and go while we look; those that matter announce themselves again by their work. */
		if (fnp_text_parse_u64(entry->d_name, UINT32_MAX, &pid) == 0 && (pid_t)pid != getpid() &&
		    add_running(watch, (uint32_t)pid) == -ENOMEM)
			break;
	}
	closedir(proc);
	return 0;
}

/* ---- events ---- */

static void remember_exit(struct fnp_watch *watch, const struct fnp_record *head)
{
	struct exited exited = {.pid = head->pid, .process = head->process, .time_ns = head->time_ns};
	struct fnp_process *p = find_process(watch, head->pid, head->process);

	if (p)
		p->exited = true;
	if (fnp_vec_push(&watch->exited, exited) < 0)
		fnp_warning_once("no memory to follow processes that end");
}

static int on_fork(struct fnp_watch *watch, const struct fnp_fork_record *record)
{
	struct fnp_process *parent = fnp_processes_find(watch->processes, record->head.pid), *child;

	if (record->child_pid == record->head.pid)
		return 0;			  /* a thread */
	forget_process(watch, record->child_pid); /* one that had this pid before */
	/* The child has what its parent had mapped at this moment, which may be newer than what this round has read. */
	if (fnp_map_events_read(watch->map_events) < 0)
		fnp_warning_once("no memory for what processes map");
	fnp_map_events_deliver(watch->map_events, record->head.time_ns, fnp_processes_take_map_event,
			       watch->processes);
	if (!parent)
		return fnp_processes_add(watch->processes, record->child_pid, record->child_process, &child);
	fnp_spaces_fork(watch->spaces, record->head.pid, record->child_pid);
	return fnp_processes_fork(watch->processes, parent, record->child_pid, record->child_process, &child);
}

static int on_exec(struct fnp_watch *watch, const struct fnp_exec_record *record)
{
	struct fnp_record_part name = fnp_record_section(&record->head, FNP_SECTION_FILE_NAME);
	struct fnp_process *process = fnp_processes_find(watch->processes, record->head.pid);
	char path[1025];
	int r = 0;

	if (!process)
		r = fnp_processes_add(watch->processes, record->head.pid, record->head.process, &process);
	if (r < 0)
		return r;
	watch->newborn_ns = record->head.time_ns;
	process->process = record->head.process;
	if (process->program_object)
		return 0; /* its mappings came already, and say it better */
	snprintf(path, sizeof(path), "%.*s", (int)name.size, name.data ? (const char *)name.data : "");
	return fnp_processes_exec(process, path, record->head.time_ns);
}

static void take_event(void *self, const void *data, size_t size)
{
	struct fnp_watch *watch = self;
	const struct fnp_record *head;
	int r = 0;

	if (fnp_record_check(data, size, &head) < 0) {
		watch->totals.events_lost++;
		return;
	}
	if (head->type == FNP_RECORD_FORK)
		r = on_fork(watch, (const struct fnp_fork_record *)head);
	else if (head->type == FNP_RECORD_EXEC)
		r = on_exec(watch, (const struct fnp_exec_record *)head);
	r = r ?: fnp_invocations_event(watch->invocations, head);
	if (head->type == FNP_RECORD_EXIT && ((const struct fnp_exit_record *)head)->last)
		remember_exit(watch, head);
	if (r == -ENOMEM)
		fnp_warning_once("no memory for an event");
}

/* ---- samples ---- */

static void give_sample(struct fnp_watch *watch, const struct fnp_sample_record *record)
{
	struct fnp_process *process = fnp_processes_find(watch->processes, record->head.pid);
	struct fnp_sample_record head = *record; /* its fixed part: the stack is resolved now */
	enum fnp_loss_cause cause = FNP_LOSS_UNKNOWN_PROCESS;
	struct fnp_sample_stack stack;
	int r = process ? fnp_samples_take(watch->samples, record, process, &stack) : -ESRCH;

	if (r == 0) {
		head.truncation = stack.truncation;
		fnp_invocations_sample(watch->invocations, &head, stack.one, fnp_samples_epoch(watch->samples));
		return;
	}
	if (process)
		cause = r == -ENOSPC ? FNP_LOSS_STACK_TABLE_FULL : FNP_LOSS_NO_MEMORY;
	fnp_invocations_loss(watch->invocations, record->head.pid, record->head.process, cause, 1);
}

static void give_off_cpu(struct fnp_watch *watch, const struct fnp_sample_record *record)
{
	struct fnp_process *process = fnp_processes_find(watch->processes, record->head.pid);
	struct fnp_sample_stack stack;

	if (process && fnp_samples_take(watch->samples, record, process, &stack) == 0)
		fnp_invocations_off_cpu(watch->invocations, record, stack.one,
					fnp_samples_epoch(watch->samples));
}

static void give_stack(struct fnp_watch *watch, const struct fnp_record *head)
{
	if (head->type == FNP_RECORD_OFF_CPU_END)
		fnp_invocations_off_cpu_end(watch->invocations, (const struct fnp_off_cpu_end_record *)head);
	else if (head->type == FNP_RECORD_OFF_CPU)
		give_off_cpu(watch, (const struct fnp_sample_record *)head);
	else
		give_sample(watch, (const struct fnp_sample_record *)head);
}

static void take_sample(void *self, const void *data, size_t size)
{
	struct fnp_watch *watch = self;
	const struct fnp_record *head;

	if (fnp_record_check(data, size, &head) < 0 ||
	    (head->type != FNP_RECORD_SAMPLE && head->type != FNP_RECORD_OFF_CPU &&
	     head->type != FNP_RECORD_OFF_CPU_END)) {
		watch->totals.losses[FNP_LOSS_BAD_RECORD]++;
		return;
	}
	if (head->time_ns <= watch->now_ns || watch->held.len * 8 > HELD_MAX ||
	    fnp_vec_append(&watch->held, (const uint64_t *)data, head->size / 8) < 0)
		give_stack(watch, head);
}

static void give_held(struct fnp_watch *watch)
{
	for (size_t i = 0; i < watch->held.len;) {
		const struct fnp_record *head = (const struct fnp_record *)&watch->held.items[i];

		give_stack(watch, head);
		i += head->size / 8;
	}
	watch->held.len = 0;
}

static void take_probe(void *self, const void *data, size_t size)
{
	struct fnp_watch *watch = self;
	const struct fnp_record *head;

	if (fnp_record_check(data, size, &head) == 0 && head->type == FNP_RECORD_PROBE)
		fnp_probes_take(watch->probes, (const struct fnp_probe_record *)head);
}

/* ---- processes that end ---- */

static void settle_losses(struct fnp_watch *watch, uint32_t pid, const struct fnp_target *target)
{
	for (int cause = 0; cause < FNP_LOSS_MAX; cause++) {
		if (target->lost[cause])
			fnp_invocations_loss(watch->invocations, pid, target->process, cause,
					     target->lost[cause]);
	}
	if (target->probes_lost)
		fnp_invocations_row_events_lost(watch->invocations, pid, target->process, target->probes_lost);
	watch->totals.ticks += target->ticks;
	watch->totals.events_lost += target->events_lost;
}

static void settle(struct fnp_watch *watch, struct exited *exited, const struct fnp_target *target)
{
	settle_losses(watch, exited->pid, target);
	fnp_probes_end_process(watch->probes, exited->pid, exited->process, exited->time_ns);
	fnp_invocations_gone(watch->invocations, exited->pid, exited->process, target, exited->time_ns);
	watch->options.add_process(watch->options.self, exited->pid, exited->process, target->cpu_ns);
	fnp_kernel_unwatch(watch->options.kernel, exited->pid);
	exited->settled = true;
}

/*
 * Of many threads that die at once some may not have begun to exit when the last one is counted: /proc lists them
 * until they are gone.
 */
static bool threads_are_gone(uint32_t pid, const struct fnp_target *target)
{
	char path[64];
	struct stat st;

	if (target->running != 0 || target->deads < target->exits)
		return false;
	if (target->exits <= 1)
		return true;
	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	return stat(path, &st) < 0 ||
	       st.st_nlink <= 3; /* itself, its parent, and a leader that waits to be reaped */
}

/* True when this entry is done with. */
static bool visit_exited(struct fnp_watch *watch, struct exited *exited)
{
	struct fnp_process *p;
	struct fnp_target target;

	if (exited->settled) {
		if (watch->now_ns < exited->time_ns + KEEP_EXITED_NS)
			return false;
		p = find_process(watch, exited->pid, exited->process);
		if (p && p->exited)
			forget_process(watch, exited->pid);
		return true;
	}
	if (fnp_kernel_read_target(watch->options.kernel, exited->pid, &target) < 0 ||
	    (target.process && target.process != exited->process)) {
		exited->settled = true; /* unwatched, or its pid serves another already */
		return false;
	}
	if (exited->over)
		settle(watch, exited, &target);
	else
		exited->over = threads_are_gone(exited->pid, &target);
	return false;
}

static void visit_all_exited(struct fnp_watch *watch)
{
	size_t kept = 0;

	for (size_t i = 0; i < watch->exited.len; i++) {
		if (!visit_exited(watch, &watch->exited.items[i]))
			watch->exited.items[kept++] = watch->exited.items[i];
	}
	watch->exited.len = kept;
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
	fnp_rings_take(watch->rings, FNP_RING_EVENTS, take_event, watch);
	fnp_map_events_deliver(watch->map_events, now_ns, fnp_processes_take_map_event, watch->processes);
	give_held(watch);
	fnp_rings_take(watch->rings, FNP_RING_SAMPLES, take_sample, watch);
	fnp_rings_take(watch->rings, FNP_RING_PROBES, take_probe, watch);
	visit_all_exited(watch);
	fnp_invocations_advance(watch->invocations, now_ns);
	fnp_samples_tidy(watch->samples, watch->invocations);
	fnp_rings_end_round(watch->rings);
	return r;
}

int fnp_watch_patience_ms(const struct fnp_watch *watch, uint64_t now_ns)
{
	return now_ns < watch->newborn_ns + NEWBORN_NS ? NEWBORN_PATIENCE_MS : PATIENCE_MS;
}

void fnp_watch_tidy(struct fnp_watch *watch)
{
	fnp_objects_release_pages(watch->objects);
	fnp_probes_tend(watch->probes, watch->now_ns);
}

bool fnp_watch_any_alive(const struct fnp_watch *watch)
{
	return fnp_invocations_any_alive(watch->invocations);
}

static void finish_process(void *self, struct fnp_process *process)
{
	struct fnp_watch *watch = self;
	struct fnp_target target;

	if (fnp_kernel_read_target(watch->options.kernel, process->pid, &target) < 0)
		return; /* settled */
	settle_losses(watch, process->pid, &target);
	if (process->exited)
		fnp_invocations_gone(watch->invocations, process->pid, process->process, &target,
				     watch->now_ns);
	watch->options.add_process(watch->options.self, process->pid, target.process, target.cpu_ns);
}

int fnp_watch_finish(struct fnp_watch *watch, uint64_t now_ns, struct fnp_watch_totals *ret)
{
	struct fnp_invocations_counters counters;
	int r = fnp_watch_round(watch, now_ns);

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
	*ret = watch->totals;
	return r;
}

void fnp_watch_counters(const struct fnp_watch *watch, struct fnp_invocations_counters *ret)
{
	fnp_invocations_counters(watch->invocations, ret);
}
