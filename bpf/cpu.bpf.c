// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sampler: on each tick of a CPU's timer, the stack of the watched thread that runs there.
 *
 * The timer runs on idle CPUs too, so that the time since the last tick is the time that a tick stands for. A tick is
 * counted before anything else is tried; what becomes of it is counted by others (a record by its reader, a loss by
 * cause), and the two sides must agree in the end.
 */
#include "bpf/sample.h"
#include "bpf/ticks.h"

char LICENSE[] SEC("license") = "GPL";

#define WEIGHT_PERIODS_MAX 4 /* asked ones: two drawn ones follow each other where the timer starts anew */
#define CUT_REMEMBERED_NS 20000000 /* more than a scheduler tick */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, fnp_u32);
	__type(value, struct fnp_tick_state);
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

/* The interval that this tick stands for; 0: it is idle's. */
static __always_inline fnp_u64 interval_of_tick(struct fnp_tick_state *state, const struct on_cpu *slot,
						fnp_u64 now_ns)
{
	struct fnp_timer_state timer = timer_here();
	struct fnp_tick tick = {.now_ns = now_ns, .asked_period_ns = asked_period_ns};

	if (slot->pid && slot->tid == (fnp_u32)bpf_get_current_pid_tgid()) {
		tick.in_ns = slot->in_ns;
		tick.from_idle = slot->from_idle;
	}
	return fnp_tick_interval(state, &timer, &tick);
}

/*
 * What the host took from watched threads is in the intervals, but nobody ran then. The kernel learns of it a few
 * milliseconds late; when the interval was cut meanwhile, it is gone already.
 */
static __always_inline fnp_u64 without_stolen(struct fnp_tick_state *state, struct on_cpu *slot,
					      fnp_u64 interval, fnp_u64 now_ns)
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
	struct fnp_tick_state *state = bpf_map_lookup_elem(&tick_states, &zero);
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
