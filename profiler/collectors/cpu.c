/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sampler: one cpu-clock event on each CPU.
 *
 * A fixed grid of ticks falls in step with periodic work, and no prime rate helps. So every CPU's period is drawn
 * anew, evenly from 50 % to 150 % of the asked one, after 16 to 20 ticks: a period that is in step by chance then
 * spoils few samples. The change also restarts the timer, which shifts its phase; it is the last thing we do before we
 * sleep, because no tick is due in the time that we then still run (others had that time, 0.5 % of theirs at 2,000 ticks a
 * second).
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "bpf/wire.h" /* of which the skeleton makes its variables */

#include "base/clock.h"
#include "base/file.h"
#include "base/vec.h"
#include "bpf/cpu.skel.h"
#include "bpf/ticks.h"
#include "profiler/collectors/attach.h"
#include "profiler/collectors/collector.h"

#include <fcntl.h>

#define REDRAW_TICKS 16

struct timer {
	int fd;
	uint32_t cpu;
	struct bpf_link *link;
	uint64_t period_ns; /* that it was opened with */
	uint64_t redraw_ns; /* when its period is drawn next */
};

struct cpu_state {
	struct fnp_kernel *kernel;
	struct fnp_bpf_cpu *skeleton;
	FNP_VEC(struct timer) timers;
	struct fnp_timer_state *told; /* one a CPU, mapped */
	uint64_t period_ns;
	uint64_t random;
};

static uint64_t next_random(struct cpu_state *state)
{
	/* xorshift64: quick, and nobody's secret depends on it. */
	state->random ^= state->random << 13;
	state->random ^= state->random >> 7;
	state->random ^= state->random << 17;
	return state->random;
}

static uint64_t draw_period(struct cpu_state *state)
{
	return state->period_ns / 2 + next_random(state) % (state->period_ns + 1);
}

/*
 * Starts a timer (PERF_EVENT_IOC_ENABLE), or gives it a new period, which starts it anew. The sampler is told how it runs from
 * now on, because its context says for ever the period that an event began with; what is refused changes nothing.
 */
static int start_timer(struct cpu_state *state, const struct timer *timer, unsigned long how, uint64_t period_ns)
{
	struct fnp_timer_state *told = &state->told[timer->cpu];
	int r;

	__atomic_fetch_add(&told->starts, 1, __ATOMIC_SEQ_CST);
	r = ioctl(timer->fd, how, how == PERF_EVENT_IOC_PERIOD ? &period_ns : NULL) < 0 ? -errno : 0;
	if (r == 0) {
		told->started_ns = fnp_clock_ns();
		told->period_ns = period_ns;
	}
	__atomic_fetch_add(&told->starts, 1, __ATOMIC_SEQ_CST);
	return r;
}

static int open_timer(uint64_t period_ns, uint32_t cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = period_ns,
		.disabled = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int add_timer(struct cpu_state *state, uint32_t cpu)
{
	struct timer timer = {.cpu = cpu, .period_ns = draw_period(state)};
	int r;

	timer.fd = open_timer(timer.period_ns, cpu);
	if (timer.fd == -ENODEV)
		return 0; /* the CPU is offline */
	if (timer.fd < 0)
		return fnp_error(
			timer.fd,
			"the kernel refuses a timer on CPU %u (perf_event_open: %s): run as root or with "
			"CAP_PERFMON",
			cpu, strerror(-timer.fd));
	/* The link owns the event's descriptor from here on. */
	timer.link = bpf_program__attach_perf_event(state->skeleton->progs.fnp_tick, timer.fd);
	if (!timer.link) {
		r = -errno;
		close(timer.fd);
		return fnp_error(r, "cannot attach the sampler to CPU %u: %s", cpu, strerror(-r));
	}
	r = fnp_vec_push(&state->timers, timer);
	if (r < 0)
		bpf_link__destroy(timer.link);
	return r;
}

static void cpu_detach(void *self)
{
	struct cpu_state *state = self;

	for (size_t i = 0; i < state->timers.len; i++)
		bpf_link__destroy(state->timers.items[i].link);
	state->timers.len = 0;
}

static size_t told_size(const struct cpu_state *state)
{
	return fnp_kernel_n_cpus(state->kernel) * sizeof(*state->told);
}

static void cpu_close(void *self)
{
	struct cpu_state *state = self;

	cpu_detach(state);
	fnp_vec_deinit(&state->timers);
	if (state->told)
		munmap(state->told, told_size(state));
	fnp_bpf_cpu__destroy(state->skeleton);
	free(state);
}

/* What we tell the sampler of its timers is memory that it reads. */
static int map_told(struct cpu_state *state)
{
	void *at = mmap(NULL, told_size(state), PROT_READ | PROT_WRITE, MAP_SHARED,
			bpf_map__fd(state->skeleton->maps.timers), 0);

	if (at == MAP_FAILED)
		return fnp_error(-errno, "cannot map what the sampler knows of its timers: %s",
				 strerror(errno));
	state->told = at;
	return 0;
}

static int cpu_load(struct fnp_kernel *kernel, void **ret)
{
	struct cpu_state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		return -ENOMEM;
	state->kernel = kernel;
	state->period_ns = FNP_NS_PER_S / fnp_kernel_options(kernel)->rate_hz;
	if (getrandom(&state->random, sizeof(state->random), 0) < 0 || !state->random)
		state->random = fnp_clock_ns() | 1;
	state->skeleton = fnp_bpf_cpu__open_opts(fnp_kernel_open_opts(kernel));
	r = state->skeleton ? 0 : -errno;
	if (r == 0) {
		fnp_collector_configure(kernel, state->skeleton);
		fnp_collector_configure_walks(state->skeleton);
		state->skeleton->rodata->asked_period_ns = state->period_ns;
		r = fnp_collector_load(kernel, state->skeleton->skeleton, "cpu");
	}
	if (r == 0)
		r = map_told(state);
	if (r < 0)
		cpu_close(state);
	else
		*ret = state;
	return r;
}

static void redraw(struct cpu_state *state, struct timer *timer, uint64_t now_ns)
{
	int r = start_timer(state, timer, PERF_EVENT_IOC_PERIOD, draw_period(state));

	if (r < 0)
		fnp_warning_once("cannot change the sampling period (%s): periodic work may be seen in step",
				 strerror(-r));
	/* The session's polls are not exact. */
	timer->redraw_ns = now_ns + REDRAW_TICKS * state->period_ns * 3 / 4;
}

static int cpu_attach(void *self)
{
	struct cpu_state *state = self;

	for (uint32_t cpu = 0; cpu < fnp_kernel_n_cpus(state->kernel); cpu++) {
		int r = add_timer(state, cpu);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < state->timers.len; i++) {
		struct timer *timer = &state->timers.items[i];
		int r = start_timer(state, timer, PERF_EVENT_IOC_ENABLE, timer->period_ns);

		if (r < 0)
			return fnp_error(r, "cannot start the sampler on CPU %u: %s", timer->cpu, strerror(-r));
		redraw(state, timer, fnp_clock_ns());
	}
	return 0;
}

/* Our own CPU's timer is the last: the others' take a call to theirs each. */
static void cpu_poll(void *self, uint64_t now_ns)
{
	struct cpu_state *state = self;
	uint32_t own = (uint32_t)sched_getcpu();

	for (int last = 0; last < 2; last++) {
		for (size_t i = 0; i < state->timers.len; i++) {
			struct timer *timer = &state->timers.items[i];

			if ((timer->cpu == own) == last && now_ns >= timer->redraw_ns)
				redraw(state, timer, now_ns);
		}
	}
}

static unsigned int cpu_poll_ms(void *self)
{
	struct cpu_state *state = self;

	return (unsigned int)(REDRAW_TICKS * state->period_ns / 1000000);
}

static uint64_t cpu_ticks_missed(void *self)
{
	struct cpu_state *state = self;
	struct fnp_tick_state one;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < fnp_kernel_n_cpus(state->kernel); i++) {
		if (bpf_map_lookup_elem(bpf_map__fd(state->skeleton->maps.tick_states), &i, &one) == 0)
			sum += one.missed;
	}
	return sum;
}

const struct fnp_collector_ops fnp_collector_cpu = {
	.name = "cpu",
	.description = "stacks on CPU, by a timer",
	.required = true,
	.load = cpu_load,
	.attach = cpu_attach,
	.poll = cpu_poll,
	.poll_ms = cpu_poll_ms,
	.detach = cpu_detach,
	.close = cpu_close,
	.ticks_missed = cpu_ticks_missed,
};
