// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sampler: on each tick of a CPU's timer, the stack of the watched thread that runs there.
 *
 * The timer runs on idle CPUs too, so that the time since the last tick is the time that a tick stands for. A tick is
 * counted before anything else is tried; what becomes of it is counted by others (a record by its reader, a loss by
 * cause), and the two sides must agree in the end.
 */
#include "bpf/sample.h"

char LICENSE[] SEC("license") = "GPL";

#define WEIGHT_PERIODS_MAX 4 /* asked ones: two drawn ones follow each other where the timer starts anew */
#define RESTART_NS 100000 /* a tick that was due within this before the timer started anew was lost by that */
#define SWITCH_NS 3000	  /* the kernel charges a thread with the switch to it */
#define CUT_REMEMBERED_NS 20000000 /* more than a scheduler tick */

struct tick_state {
	fnp_u64 last_ns; /* when the last one was due */
	fnp_u64 missed; /* ticks that never came: the host took the CPU, the timer was throttled, the kernel kept them */
	fnp_u64 due_ns;	   /* when the next one is due, at the latest, unless the timer starts anew */
	fnp_u64 period_ns; /* of which they are */
	fnp_u64 starts;	   /* of the timer: by which that was reckoned */
	fnp_u64 cut_ns;	   /* of intervals that were too long for a weight, since last_cut_ns */
	fnp_u64 last_cut_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, fnp_u32);
	__type(value, struct tick_state);
} tick_states SEC(".maps");

/* The asked period; user space sets it before the program is loaded. */
const volatile unsigned long long asked_period_ns = 1;

/* How each CPU's timer runs; user space writes it. (The context's sample_period is for ever the first one.) */
struct fnp_timer_state timers[FNP_CPUS_MAX];

FNP_WALK_MAP(fnp_cpu_walks);

int fnp_tick_continued(struct bpf_perf_event_data *ctx);

/* A deep stack is walked by several programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(fnp_u32));
	__array(values, int(void *));
} fnp_cpu_programs SEC(".maps") = {.values = {[0] = (void *)&fnp_tick_continued}};

/* Of the times at `due_ns` and each `period_ns` after it the last one up to `until_ns`; `before_ns` where all are later. */
static __always_inline fnp_u64 last_due(fnp_u64 due_ns, fnp_u64 period_ns, fnp_u64 until_ns, fnp_u64 before_ns)
{
	return until_ns < due_ns ? before_ns : until_ns - (until_ns - due_ns) % period_ns;
}

/* As user space has told it; no period while it is being changed. */
static __always_inline struct fnp_timer_state timer_here(void)
{
	struct fnp_timer_state timer = {0};
	fnp_u32 cpu = bpf_get_smp_processor_id();

	if (cpu < FNP_CPUS_MAX) {
		timer.starts = *(volatile fnp_u64 *)&timers[cpu].starts;
		timer.started_ns = *(volatile fnp_u64 *)&timers[cpu].started_ns;
		timer.period_ns = timer.starts & 1 ? 0 : *(volatile fnp_u64 *)&timers[cpu].period_ns;
	}
	return timer;
}

static __always_inline void tick_came(struct tick_state *state, const struct fnp_timer_state *timer,
				      fnp_u64 due_ns)
{
	if (state->last_ns && due_ns - state->last_ns > 2 * asked_period_ns)
		state->missed += (due_ns - state->last_ns) / asked_period_ns - 1;
	state->last_ns = due_ns;
	if (timer->period_ns) {
		state->period_ns = timer->period_ns;
		state->starts = timer->starts;
	}
	state->due_ns = due_ns + state->period_ns;
}

/*
 * The interval that a tick stands for: the period before the moment at which it was due, and those of ticks that were due
 * while its thread was there and never came. Ticks that were due before are another's, or idle's: kernels have been seen
 * that keep the ticks of an idle CPU, and a thread that woke was charged with all of them. 0: the tick itself is idle's. A
 * virtual CPU that sleeps gets its timer late, and often not before something else wakes it: the tick then meets the
 * thread that was woken. (Counted for those, it made a program that sleeps and wakes much 25 % too dear.)
 *
 * When ticks are due is known on two grids: the one of before, and since the timer started anew with another period.
 */
static __always_inline fnp_u64 interval_of_tick(struct tick_state *state, const struct on_cpu *slot,
						fnp_u64 now_ns)
{
	struct fnp_timer_state timer = timer_here();
	bool anew = timer.starts != state->starts;
	bool seen = slot->pid && slot->tid == (fnp_u32)bpf_get_current_pid_tgid();
	fnp_u64 first_ns = anew ? timer.started_ns + timer.period_ns : state->due_ns, due_ns, in_ns, from_ns;

	if (!timer.period_ns)
		first_ns = ~0ULL; /* nobody knows */
	due_ns = last_due(first_ns, timer.period_ns, now_ns, now_ns);
	in_ns = seen && slot->in_ns < due_ns ? slot->in_ns : due_ns - 1;
	if (in_ns >= first_ns) {
		from_ns = last_due(first_ns, timer.period_ns, in_ns, 0);
	} else {
		if (anew && timer.period_ns && timer.started_ns - RESTART_NS < in_ns)
			in_ns = timer.started_ns - RESTART_NS;
		from_ns = last_due(state->due_ns, state->period_ns, in_ns, state->last_ns);
	}
	if (!state->last_ns)
		from_ns = due_ns - asked_period_ns;
	tick_came(state, &timer, due_ns);
	return seen && slot->from_idle && slot->in_ns > due_ns + SWITCH_NS ? 0 : due_ns - from_ns;
}

/*
 * What the host took from watched threads is in the intervals, but nobody ran then. The kernel learns of it a few
 * milliseconds late; when the interval was cut meanwhile, it is gone already.
 */
static __always_inline fnp_u64 without_stolen(struct tick_state *state, struct on_cpu *slot, fnp_u64 interval,
					      fnp_u64 now_ns)
{
	struct queue queue;
	fnp_u64 taken;

	if (slot->pid) {
		fnp_queue_read(&queue);
		slot_note_stolen(slot, &queue);
	}
	if (now_ns - state->last_cut_ns > CUT_REMEMBERED_NS)
		state->cut_ns = 0;
	taken = slot->stolen_ns < state->cut_ns ? slot->stolen_ns : state->cut_ns;
	state->cut_ns -= taken;
	slot->stolen_ns -= taken;
	taken = slot->stolen_ns < interval - 1 ? slot->stolen_ns : interval - 1;
	slot->stolen_ns -= taken;
	return interval - taken;
}

/* What this tick stands for; 0: it is not one of the running thread's. */
static __always_inline fnp_u64 weight_of_tick(fnp_u64 now_ns)
{
	fnp_u32 zero = 0;
	struct tick_state *state = bpf_map_lookup_elem(&tick_states, &zero);
	struct on_cpu *slot = slot_of_cpu(bpf_get_smp_processor_id());
	fnp_u64 interval, bound = WEIGHT_PERIODS_MAX * asked_period_ns;

	if (!state || !slot)
		return asked_period_ns;
	interval = interval_of_tick(state, slot, now_ns);
	if (interval > bound) {
		state->cut_ns += interval - bound;
		state->last_cut_ns = now_ns;
		interval = bound;
	}
	return interval ? without_stolen(state, slot, interval, now_ns) : 0;
}

static __always_inline struct fnp_walk *current_walk(void)
{
	fnp_u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&fnp_cpu_walks, &cpu);
}

static __always_inline int finish(void *ctx, struct fnp_walk *walk, bool walked)
{
	fnp_u32 pid = ((struct sample_head *)walk->head)->record.head.pid;
	struct fnp_target *target;

	if (sample_finish(ctx, walk, walked) == 0)
		return 0;
	target = bpf_map_lookup_elem(&targets, &pid);
	if (target)
		__sync_fetch_and_add(&target->lost[FNP_LOSS_RING_FULL], 1);
	return 0;
}

/* The context's words are the verifier's, whole and in their old places, whatever struct pt_regs is by now. */
static __always_inline bool was_in_user_mode(struct bpf_perf_event_data *ctx)
{
	const volatile fnp_u64 *words = (void *)ctx;

#if defined(__TARGET_ARCH_x86)
	return words[17] & 3; /* cs */
#else
	return (words[33] & 0xf) == 0; /* pstate */
#endif
}

SEC("perf_event")
int fnp_tick(struct bpf_perf_event_data *ctx)
{
	fnp_u64 now_ns = bpf_ktime_get_ns();
	fnp_u64 weight_ns = weight_of_tick(now_ns);
	fnp_u32 pid = current_pid();
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	struct fnp_walk *walk;

	if (!target || !weight_ns || !(target->flags & FNP_TARGET_SAMPLED) ||
	    (target->flags & FNP_TARGET_WAIT_EXEC))
		return 0;
	__sync_fetch_and_add(&target->ticks, 1);
	walk = current_walk();
	if (!walk)
		return 0;
	sample_begin(walk, target, pid, now_ns);
	((struct sample_head *)walk->head)->record.weight_ns = weight_ns;
	if (has_user_stack()) {
		fnp_walk_begin(walk, pid, !was_in_user_mode(ctx));
		/* The walk itself stands in one program alone: the verifier's time with it is most of what our start takes. */
		bpf_tail_call(ctx, &fnp_cpu_programs, 0);
		/* Not reached where that program is there; a tick that was counted is a sample all the same. */
		fnp_walk_end(walk);
	} else {
		walk->n_words = walk->truncation = walk->resumable = 0;
	}
	return finish(ctx, walk, false);
}

SEC("perf_event")
int fnp_tick_continued(struct bpf_perf_event_data *ctx)
{
	struct fnp_walk *walk = current_walk();

	if (!walk)
		return 0;
	if (fnp_walk_run(walk))
		bpf_tail_call(ctx, &fnp_cpu_programs, 0);
	fnp_walk_end(walk);
	return finish(ctx, walk, true);
}
