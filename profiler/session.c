/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/session.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/priority.h"
#include "profiler/collectors/collector.h"
#include "profiler/launch.h"
#include "profiler/loading.h"
#include "profiler/output/directory.h"
#include "profiler/output/terminal.h"
#include "profiler/watch.h"

#define EVENTS_RING_BYTES (2 << 20)
#define SAMPLES_RING_BYTES (1 << 20)
#define SAMPLES_RING_BYTES_QUICK (4 << 20) /* for rates above QUICK_HZ */
#define QUICK_HZ 500
#define POLL_MS_MIN 8U
#define POLL_MS_MAX 100U
#define WAIT_MS 50
#define AFTER_INTERRUPT_NS (5 * FNP_NS_PER_S)
#define BIG_BLOCK_BYTES (512 << 10) /* blocks of this size go back to the kernel when they are freed */
#define HEAP_RESERVE_BYTES (2 << 20)
#define TRIM_AFTER_CPU_NS (FNP_NS_PER_S / 20)
#define EXIT_NOT_RECORDED 125
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127
#define STATUS_BYTES_MAX 65536
#define LATE_FOR_COMMAND_NS                                                                                  \
	400000000 /* a command that has ended by then is not kept waiting for what it did not need */

struct session {
	const struct fnp_session_options *options;
	struct fnp_directory *directory;
	struct fnp_kernel *kernel;
	void *collectors[FNP_COLLECTORS_MAX]; /* states, in the order of fnp_collectors; NULL: not loaded */
	struct fnp_loading *late;	      /* what is loaded while the recording runs; NULL: nothing now */
	uint64_t late_due_ns;		      /* when that begins; 0: it has */
	struct fnp_watch *watch;
	struct fnp_launch launch;
	struct fnp_terminal terminal;
	struct fnp_launch_signals old_signals;
	uint32_t rate_hz; /* that the kernel allows of what was asked for */
	int signal_fd;
	uint64_t start_ns, end_ns; /* end: 0 until it is known */
	uint64_t interrupted_ns;   /* 0: not */
	uint64_t synced_ns;
	uint64_t trimmed_cpu_ns; /* our CPU time when memory was given back last */
	bool stop;
};

static bool watches_host(const struct fnp_session_options *options)
{
	return !options->command && options->n_pids == 0;
}

/* ---- rows out ---- */

static int write_row(void *self, const struct fnp_row *row, const struct fnp_profile *profile)
{
	return fnp_directory_write(((struct session *)self)->directory, row, profile);
}

static int add_process(void *self, uint32_t pid, uint64_t process, uint64_t cpu_ns)
{
	return fnp_directory_add_process(((struct session *)self)->directory, pid, process, cpu_ns);
}

/* ---- collectors ---- */

/* A command's first moments are worth the wait for all. */
static bool is_late(const struct session *s, const struct fnp_collector_ops *ops)
{
	return ops->when == FNP_COLLECTOR_LATE ||
	       (ops->when == FNP_COLLECTOR_BEFORE_COMMAND && !s->options->command);
}

static int begin_loading(struct session *s, bool late, struct fnp_loading **ret)
{
	uint32_t chosen = 0;

	for (int i = 0; i < FNP_COLLECTORS_MAX && fnp_collectors[i]; i++) {
		if (is_late(s, fnp_collectors[i]) == late)
			chosen |= 1U << i;
	}
	return fnp_loading_begin(s->kernel, chosen, ret);
}

static int finish_loading(struct session *s, struct fnp_loading *loading)
{
	int r = fnp_loading_finish(loading, s->collectors);

	if (r == 0)
		fnp_kernel_loaded();
	return r;
}

static int load_collectors(struct session *s)
{
	struct fnp_loading *loading;
	int r = begin_loading(s, false, &loading);

	return r ?: finish_loading(s, loading);
}

static int attach_collectors(struct session *s, bool late)
{
	for (size_t i = 0; fnp_collectors[i] && i < FNP_COLLECTORS_MAX; i++) {
		int r = s->collectors[i] && is_late(s, fnp_collectors[i]) == late
				? fnp_collectors[i]->attach(s->collectors[i])
				: 0;

		if (r < 0 && fnp_collectors[i]->required)
			return r;
	}
	return 0;
}

/* In milliseconds; not so short that polling costs more than sampling. */
static int collectors_patience_ms(struct session *s)
{
	unsigned int ms = POLL_MS_MAX;

	for (size_t i = 0; fnp_collectors[i] && i < FNP_COLLECTORS_MAX; i++) {
		if (s->collectors[i] && fnp_collectors[i]->poll_ms)
			ms = FNP_MIN(ms, fnp_collectors[i]->poll_ms(s->collectors[i]));
	}
	return (int)FNP_MAX(ms, POLL_MS_MIN);
}

static void poll_collectors(struct session *s, uint64_t now_ns)
{
	for (size_t i = 0; fnp_collectors[i] && i < FNP_COLLECTORS_MAX; i++) {
		if (s->collectors[i] && fnp_collectors[i]->poll)
			fnp_collectors[i]->poll(s->collectors[i], now_ns);
	}
}

/* Backwards: the sampler ends first, what tells of processes last. */
static void detach_collectors(struct session *s)
{
	for (size_t i = FNP_COLLECTORS_MAX; i-- > 0;) {
		if (s->collectors[i])
			fnp_collectors[i]->detach(s->collectors[i]);
	}
}

static uint64_t ticks_missed(struct session *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; fnp_collectors[i] && i < FNP_COLLECTORS_MAX; i++) {
		if (s->collectors[i] && fnp_collectors[i]->ticks_missed)
			sum += fnp_collectors[i]->ticks_missed(s->collectors[i]);
	}
	return sum;
}

static struct fnp_off_cpu_counts off_cpu_counts(struct session *s)
{
	struct fnp_off_cpu_counts sum = {0};

	for (size_t i = 0; fnp_collectors[i] && i < FNP_COLLECTORS_MAX; i++) {
		if (s->collectors[i] && fnp_collectors[i]->off_cpu)
			fnp_collectors[i]->off_cpu(s->collectors[i], &sum);
	}
	return sum;
}

/* ---- life ---- */

/* What came after the last look at the signals must not kill us once they are let through again. */
static void forget_signals(void)
{
	static const int taken[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < FNP_ARRAY_SIZE(taken); i++) {
		struct sigaction before;
		/* To ignore a signal throws away those that wait. */
		sigaction(taken[i], &(struct sigaction){.sa_handler = SIG_IGN}, &before);
		sigaction(taken[i], &before, NULL);
	}
}

static void session_deinit(struct session *s)
{
	if (s->late)
		fnp_loading_finish(TAKE_PTR(s->late), s->collectors);
	for (size_t i = FNP_COLLECTORS_MAX; i-- > 0;) {
		if (s->collectors[i])
			fnp_collectors[i]->close(s->collectors[i]);
	}
	fnp_watch_destroy(s->watch);
	fnp_kernel_destroy(s->kernel);
	fnp_directory_destroy(s->directory);
	fnp_terminal_deinit(&s->terminal);
	fnp_launch_deinit(&s->launch);
	if (s->signal_fd >= 0)
		forget_signals();
	fnp_closep(&s->signal_fd);
	sigprocmask(SIG_SETMASK, &s->old_signals.mask, NULL);
	sigaction(SIGPIPE, &s->old_signals.pipe, NULL);
	sigaction(SIGXFSZ, &s->old_signals.file_size, NULL);
}

/* Under nohup the terminal may go away: what was ignored when we were started stays so. */
static bool is_ignored(int signum)
{
	struct sigaction action;

	return sigaction(signum, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static int take_signals(struct session *s)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	if (!is_ignored(SIGHUP))
		sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, &s->old_signals.mask);
	/* Who read our messages may go away (`2>&1 | head`): the recording goes on. */
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &s->old_signals.pipe);
	/* A file that may not grow (`ulimit -f`) is a disk that is full. */
	sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, &s->old_signals.file_size);
	s->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? fnp_error(-errno, "cannot take signals: %s", strerror(errno)) : 0;
}

static uint32_t allowed_rate(uint32_t wanted_hz)
{
	uint32_t rate_hz = fnp_rate_allowed(FNP_RATE_LIMIT_FILE, wanted_hz);

	if (rate_hz < wanted_hz)
		fnp_warning("the kernel allows %u samples a second, not %u: that rate is used (raise "
			    "/proc/sys/kernel/perf_event_max_sample_rate for more)",
			    rate_hz, wanted_hz);
	return rate_hz;
}

static int prepare(struct session *s)
{
	struct fnp_kernel_options kernel = {
		.rate_hz = s->rate_hz,
		.watch_every_exec = watches_host(s->options),
		.events_ring_bytes = EVENTS_RING_BYTES,
		.samples_ring_bytes = s->rate_hz > QUICK_HZ ? SAMPLES_RING_BYTES_QUICK : SAMPLES_RING_BYTES,
	};
	struct fnp_watch_options watch = {
		.mode = s->options->command  ? FNP_MODE_LAUNCHED
			: s->options->n_pids ? FNP_MODE_GIVEN
					     : FNP_MODE_HOST,
		.period_ns = (int64_t)(FNP_NS_PER_S / s->rate_hz),
		.write = write_row,
		.add_process = add_process,
		.probes = s->options->probes,
		.n_probes = s->options->n_probes,
		.debuginfod = s->options->debuginfod,
		.source_maps = s->options->source_maps,
		.self = s,
	};
	int r = take_signals(s);

	fnp_terminal_init(&s->terminal, s->options->always_summary);
	if (r == 0 && s->options->command)
		r = fnp_launch_prepare(&s->launch, s->options->command, &s->old_signals);
	r = r ?: fnp_directory_create(s->options->dir, &s->directory);
	r = r ?: fnp_kernel_create(&kernel, &s->kernel);
	r = r ?: load_collectors(s);
	if (r < 0)
		return r;
	watch.kernel = s->kernel;
	watch.utc_offset_ns = fnp_directory_utc_offset_ns(s->directory);
	return fnp_watch_create(&watch, &s->watch);
}

/* Everything live, then the processes that run already, then the moment that scripts wait for. */
static int start(struct session *s)
{
	int r = fnp_watch_start(s->watch);

	for (size_t i = 0; r == 0 && i < s->options->n_pids; i++)
		r = fnp_watch_add_pid(s->watch, s->options->pids[i]);
	if (r == 0 && s->launch.pid)
		r = fnp_watch_add_command(s->watch, (uint32_t)s->launch.pid, s->options->command[0]);
	r = r ?: attach_collectors(s, false);
	if (r == 0 && watches_host(s->options))
		r = fnp_watch_scan_host(s->watch);
	s->start_ns = fnp_clock_ns();
	fnp_kernel_tend_run_time(s->kernel, s->start_ns);
	if (s->options->duration_ns)
		s->end_ns = s->start_ns + s->options->duration_ns;
	return r ?: fnp_directory_begin(s->directory);
}

static int start_command(struct session *s, int *ret_exit_status)
{
	const char *name = s->options->command[0];
	int r = fnp_launch_go(&s->launch);

	if (r == 0)
		return 0;
	if (r == -ENOENT) {
		*ret_exit_status = EXIT_NOT_FOUND;
		fnp_error(r, "there is no command '%s': check its spelling and PATH", name);
	} else {
		*ret_exit_status = EXIT_NOT_EXECUTABLE;
		fnp_error(r, "cannot execute '%s': %s", name, strerror(-r));
	}
	return r;
}

/* ---- the loop ---- */

/* Left alone, the C library raises both bounds to the largest block that was ever freed, some 30 MB. */
static void bound_heap(void)
{
	mallopt(M_MMAP_THRESHOLD, BIG_BLOCK_BYTES);
	mallopt(M_TRIM_THRESHOLD, HEAP_RESERVE_BYTES);
}

/* What a burst of work (an object's rows, a row's names) has left, in the workers' heaps as well; not after idle seconds. */
static void give_back_memory(struct session *s)
{
	uint64_t cpu_ns = fnp_clock_own_cpu_ns();

	if (cpu_ns - s->trimmed_cpu_ns < TRIM_AFTER_CPU_NS)
		return;
	malloc_trim(0);
	s->trimmed_cpu_ns = fnp_clock_own_cpu_ns();
}

/* The command has been told, too: it gets time to end, and its last moments are recorded. A second signal ends us. */
static void on_end_signal(struct session *s, uint64_t now_ns)
{
	if (s->launch.pid && !s->launch.ended && !s->interrupted_ns) {
		s->interrupted_ns = now_ns;
		s->end_ns = now_ns + AFTER_INTERRUPT_NS;
	} else {
		s->stop = true;
	}
}

static void take_signal(struct session *s, uint64_t now_ns)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		/* Ctrl-C goes to the whole foreground group, the others to us alone. */
		if (info.ssi_signo != SIGINT && s->launch.pid && !s->launch.ended)
			kill(s->launch.pid, (int)info.ssi_signo);
		on_end_signal(s, now_ns);
	}
}

static bool goes_on(struct session *s, uint64_t now_ns)
{
	if (s->stop || (s->end_ns && now_ns >= s->end_ns))
		return false;
	if (s->launch.pid)
		return !fnp_launch_has_ended(&s->launch);
	return watches_host(s->options) || fnp_watch_any_given_alive(s->watch);
}

static void show_live(struct session *s, uint64_t now_ns)
{
	struct fnp_invocations_counters counters;
	struct fnp_live live = {.elapsed_ns = now_ns - s->start_ns};

	if (!s->terminal.is_terminal)
		return;
	live.own_cpu_ns = fnp_clock_own_cpu_ns();
	fnp_watch_counters(s->watch, &counters);
	live.invocations = counters.invocations;
	live.samples = counters.samples;
	for (int cause = 0; cause < FNP_LOSS_MAX; cause++)
		live.losses += counters.losses[cause];
	fnp_terminal_update(&s->terminal, &live);
}

/* What is loaded late, from its begin to its end. Only its feature is lost where that fails. */
static void tend_late(struct session *s, uint64_t now_ns)
{
	if (s->late_due_ns && now_ns >= s->late_due_ns) {
		s->late_due_ns = 0;
		begin_loading(s, true, &s->late);
	}
	if (s->late && fnp_loading_is_over(s->late) && finish_loading(s, TAKE_PTR(s->late)) == 0)
		attach_collectors(s, true);
}

static void loop(struct session *s)
{
	struct pollfd fds[FNP_WATCH_FDS + 1] = {[FNP_WATCH_FDS] = {.fd = s->signal_fd, .events = POLLIN}};
	int watch_fds[FNP_WATCH_FDS], poll_ms = collectors_patience_ms(s);

	fnp_priority_raise();
	tend_late(s, fnp_clock_ns());
	fnp_watch_fds(s->watch, watch_fds);
	for (int i = 0; i < FNP_WATCH_FDS; i++)
		fds[i] = (struct pollfd){.fd = watch_fds[i], .events = POLLIN};
	for (uint64_t now_ns = fnp_clock_ns(); goes_on(s, now_ns); now_ns = fnp_clock_ns()) {
		int wait_ms = fnp_watch_patience_ms(s->watch, now_ns);

		if (poll(fds, FNP_WATCH_FDS + 1, FNP_MIN(wait_ms, poll_ms)) < 0 && errno != EINTR)
			break;
		now_ns = fnp_clock_ns();
		if (fds[FNP_WATCH_FDS].revents)
			take_signal(s, now_ns);
		fnp_watch_round(s->watch, now_ns);
		fnp_kernel_tend_run_time(s->kernel, now_ns);
		tend_late(s, now_ns);
		show_live(s, now_ns);
		if (now_ns - s->synced_ns >= FNP_NS_PER_S) {
			fnp_directory_sync(s->directory);
			fnp_watch_tidy(s->watch);
			give_back_memory(s);
			s->synced_ns = now_ns;
		}
		poll_collectors(s, now_ns);
		if (fnp_directory_error(s->directory) && !s->launch.pid)
			break;
	}
}

/* Of this program alone: what getrusage() tells begins with the memory of who started it, as it was before our exec. */
static uint64_t peak_rss_bytes(void)
{
	fnp_autobuffer struct fnp_buffer status = {0};
	const char *line;

	if (fnp_file_read_at(AT_FDCWD, "/proc/self/status", STATUS_BYTES_MAX, &status) < 0)
		return 0;
	line = strstr((const char *)status.data, "\nVmHWM:");
	return line ? 1024 * strtoull(line + strlen("\nVmHWM:"), NULL, 10) : 0;
}

static void say_when_nothing_was_seen(const struct fnp_tally *tally)
{
	for (int kind = 0; kind < FNP_ROW_KINDS; kind++) {
		if (tally->rows[kind])
			return;
	}
	fnp_warning("no function was seen: nothing asked AWS Lambda's Runtime API for work, no program was "
		    "started for a request; record other programs with -p PID or -- CMD");
}

static int finish(struct session *s)
{
	struct fnp_summary summary = {.start_ns = s->start_ns, .rate_hz = s->rate_hz};
	struct fnp_off_cpu_counts off_cpu;
	struct fnp_watch_totals totals;
	uint64_t now_ns = fnp_clock_ns();
	int r;

	if (s->late)
		finish_loading(s, TAKE_PTR(s->late));
	detach_collectors(s);
	fnp_watch_finish(s->watch, now_ns, &totals);
	summary.duration_ns = now_ns - s->start_ns;
	summary.ticks = totals.ticks;
	memcpy(summary.losses, totals.losses, sizeof(summary.losses));
	summary.ticks_missed = ticks_missed(s);
	off_cpu = off_cpu_counts(s);
	summary.off_cpu_times = off_cpu.times;
	summary.off_cpu_stacks = off_cpu.stacks;
	summary.off_cpu_refused = off_cpu.refused + totals.off_cpu_lost;
	summary.off_cpu_refused_ns = off_cpu.refused_ns;
	summary.ledgers = totals.ledgers;
	summary.probes_late_processes = totals.probes_late.processes;
	summary.probes_late_max_ns = totals.probes_late.max_ns;
	summary.events_lost = totals.events_lost;
	summary.cost.agent_cpu_ns = fnp_clock_own_cpu_ns();
	summary.cost.rss_max_bytes = peak_rss_bytes();
	summary.cost.has_bpf_ns = fnp_kernel_run_time_ns(s->kernel, &summary.cost.bpf_ns);
	summary.cost.bpf_map_bytes = fnp_kernel_map_bytes(s->kernel);
	r = fnp_directory_finish(s->directory, &summary);
	struct fnp_report report = fnp_directory_report(s->directory, &summary);
	report.debuginfod = s->options->debuginfod;
	report.program = program_invocation_name;
	fnp_terminal_finish(&s->terminal, &report);
	if (r == 0 && watches_host(s->options))
		say_when_nothing_was_seen(report.tally);
	return r;
}

/* What could not be recorded goes on to its end, and has its signals; who ends us does not wait for that. */
static void wait_for_command(struct session *s)
{
	struct pollfd fd = {.fd = s->signal_fd, .events = POLLIN};

	while (!fnp_launch_has_ended(&s->launch) && !s->stop &&
	       (!s->interrupted_ns || fnp_clock_ns() < s->interrupted_ns + AFTER_INTERRUPT_NS)) {
		if (poll(&fd, 1, WAIT_MS) > 0)
			take_signal(s, fnp_clock_ns());
	}
}

/* The command runs on when we end first; its status is then not known, and ours is that of the recording. */
static int exit_status_of(struct session *s, int r)
{
	if (r < 0 || fnp_directory_error(s->directory)) {
		if (s->launch.pid)
			wait_for_command(s);
		return EXIT_NOT_RECORDED;
	}
	return fnp_launch_has_ended(&s->launch) ? fnp_launch_exit_status(&s->launch) : 0;
}

int fnp_session_run(const struct fnp_session_options *options, int *ret_exit_status)
{
	FNP_CLEANUP(session_deinit)
	struct session s = {.options = options, .launch = FNP_LAUNCH_NONE, .signal_fd = -1};
	int r;

	bound_heap();
	s.rate_hz = allowed_rate(options->rate_hz);
	r = prepare(&s);
	r = r ?: start(&s);
	if (r < 0)
		return r;
	if (s.launch.pid && start_command(&s, ret_exit_status) < 0) {
		fnp_directory_abandon(s.directory);
		return 0;
	}
	s.late_due_ns = fnp_clock_ns() + (s.launch.pid ? LATE_FOR_COMMAND_NS : 0);
	loop(&s);
	*ret_exit_status = exit_status_of(&s, finish(&s));
	return 0;
}
