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

#define WEIGHT_PERIODS_MAX 4
#define CUT_REMEMBERED_NS 20000000 /* more than a scheduler tick */

struct tick_state {
	fnp_u64 last_ns;
	fnp_u64 missed;	   /* ticks that never came: the host took the CPU, or the timer was throttled */
	fnp_u64 due_ns;	   /* when the next one is due */
	fnp_u64 period_ns; /* by which that was reckoned */
	fnp_u64 cut_ns;	   /* of intervals that were too long for a weight, since last_cut_ns */
	fnp_u64 last_cut_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, fnp_u32);
	__type(value, struct tick_state);
} tick_states SEC(".maps");

FNP_WALK_MAP(fnp_cpu_walks);

int fnp_tick_continued(struct bpf_perf_event_data *ctx);

/* A deep stack is walked by several programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(fnp_u32));
	__array(values, int(void *));
} fnp_cpu_programs SEC(".maps") = {.values = {[0] = (void *)&fnp_tick_continued}};

/*
 * The time since the last tick; 0 when this one is not the running thread's. A virtual CPU that sleeps gets its timer
 * late, and often not before something else wakes it: the tick then meets the thread that was woken, although the CPU
 * was idle when the tick was due. Such a tick is idle's. (Counted for the threads that are woken, it made a program
 * that sleeps and wakes much 25 % too dear.)
 */
static __always_inline fnp_u64 interval_of_tick(struct tick_state *state, const struct on_cpu *slot,
						fnp_u64 now_ns, fnp_u64 period_ns)
{
	fnp_u64 interval = period_ns, at_ns = now_ns, late = 0;

	/* The timer starts anew when its period is changed, we do not know at what moment. */
	if (state->period_ns == period_ns && now_ns > state->due_ns)
		late = now_ns - state->due_ns;
	state->period_ns = period_ns;
	if (late && slot->pid && slot->from_idle && slot->in_ns > now_ns - late % period_ns) {
		at_ns = now_ns - late % period_ns;
		interval = 0;
	} else if (state->last_ns) {
		interval = now_ns - state->last_ns;
	}
	state->last_ns = at_ns;
	state->due_ns = at_ns + period_ns;
	return interval;
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
static __always_inline fnp_u64 weight_of_tick(fnp_u64 now_ns, fnp_u64 period_ns)
{
	fnp_u32 zero = 0;
	struct tick_state *state = bpf_map_lookup_elem(&tick_states, &zero);
	struct on_cpu *slot = slot_of_cpu(bpf_get_smp_processor_id());
	fnp_u64 interval;

	if (!state || !slot || !period_ns)
		return period_ns;
	interval = interval_of_tick(state, slot, now_ns, period_ns);
	if (interval > 2 * period_ns)
		state->missed += interval / period_ns - 1;
	if (interval > WEIGHT_PERIODS_MAX * period_ns) {
		state->cut_ns += interval - WEIGHT_PERIODS_MAX * period_ns;
		state->last_cut_ns = now_ns;
		interval = WEIGHT_PERIODS_MAX * period_ns;
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
	fnp_u64 weight_ns = weight_of_tick(now_ns, ctx->sample_period);
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
