/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What samples weigh: the ticks of this CPU's timer (ticks.h), less what the host took. The sampler asks at a tick, the
 * program of switches when a watched thread leaves: ticks that were due while it was there and did not come in time are
 * its own all the same, and become a sample of the stack with which it leaves.
 */
#ifndef FNP_BPF_WEIGHTS_H
#define FNP_BPF_WEIGHTS_H

#include "bpf/targets.h"
#include "bpf/ticks.h"

#define WEIGHT_PERIODS_MAX 4 /* asked ones: two drawn ones follow each other where the timer starts anew */
#define CUT_REMEMBERED_NS 20000000 /* more than a scheduler tick */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* user space: number of CPUs */
	__type(key, fnp_u32);
	__type(value, struct fnp_tick_state);
} tick_states SEC(".maps");

/* How each CPU's timer runs; user space writes it. (The context's sample_period is for ever the first one.) */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* user space: number of CPUs */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, fnp_u32);
	__type(value, struct fnp_timer_state);
} timers SEC(".maps");

/* The asked period; user space sets it before the programs are loaded. */
const volatile unsigned long long asked_period_ns = 1;

/* As user space has told it; no period while it is being changed. */
static __always_inline struct fnp_timer_state timer_of_cpu(fnp_u32 cpu)
{
	struct fnp_timer_state timer = {0}, *told = bpf_map_lookup_elem(&timers, &cpu);

	if (told) {
		timer.starts = *(volatile fnp_u64 *)&told->starts;
		timer.started_ns = *(volatile fnp_u64 *)&told->started_ns;
		timer.period_ns = timer.starts & 1 ? 0 : *(volatile fnp_u64 *)&told->period_ns;
	}
	return timer;
}

/*
 * What the host took from watched threads is in the intervals, but nobody ran then. The kernel learns of it a few
 * milliseconds late; when the interval was cut meanwhile, it is gone already.
 */
static __always_inline fnp_u64 without_stolen(struct fnp_tick_state *state, struct on_cpu *slot,
					      fnp_u64 interval, fnp_u64 now_ns)
{
	fnp_u64 taken;

	if (now_ns - state->last_cut_ns > CUT_REMEMBERED_NS)
		state->cut_ns = 0;
	taken = slot->stolen_ns < state->cut_ns ? slot->stolen_ns : state->cut_ns;
	state->cut_ns -= taken;
	slot->stolen_ns -= taken;
	taken = slot->stolen_ns < interval - 1 ? slot->stolen_ns : interval - 1;
	slot->stolen_ns -= taken;
	return interval - taken;
}

/* The weight of so long an interval; 0 of none. */
static __always_inline fnp_u64 weight_of_interval(struct fnp_tick_state *state, struct on_cpu *slot,
						  fnp_u64 interval, fnp_u64 now_ns)
{
	fnp_u64 bound = WEIGHT_PERIODS_MAX * asked_period_ns;

	if (interval > bound) {
		state->cut_ns += interval - bound;
		state->last_cut_ns = now_ns;
		interval = bound;
	}
	return interval ? without_stolen(state, slot, interval, now_ns) : 0;
}

/* What the running thread is owed at this tick; 0: nothing, it is another's. */
static __always_inline fnp_u64 weight_of_tick(struct on_cpu *slot, fnp_u64 now_ns)
{
	fnp_u32 cpu = bpf_get_smp_processor_id();
	struct fnp_tick_state *state = bpf_map_lookup_elem(&tick_states, &cpu);
	struct fnp_timer_state timer = timer_of_cpu(cpu);
	fnp_u64 in_ns = now_ns - asked_period_ns;
	struct queue queue;

	if (!state || !slot)
		return asked_period_ns;
	fnp_tick_comes(state, &timer, now_ns);
	if (slot->pid) {
		fnp_queue_read(&queue);
		slot_note_stolen(slot, &queue);
		if (slot->tid == (fnp_u32)bpf_get_current_pid_tgid())
			in_ns = slot->in_ns;
	}
	return weight_of_interval(state, slot, fnp_ticks_owed(state, &timer, in_ns, now_ns), now_ns);
}

/* What the leaving thread of this CPU is owed that no tick has told of; 0: nothing. */
static __always_inline fnp_u64 weight_of_departure(struct on_cpu *slot, fnp_u64 now_ns)
{
	fnp_u32 cpu = bpf_get_smp_processor_id();
	struct fnp_tick_state *state = bpf_map_lookup_elem(&tick_states, &cpu);
	struct fnp_timer_state timer = timer_of_cpu(cpu);

	if (!state)
		return 0;
	return weight_of_interval(state, slot, fnp_ticks_owed(state, &timer, slot->in_ns, now_ns), now_ns);
}

/* So much of the leaving thread's time is the next sample's of its process on this CPU. */
static __always_inline void weight_claim(struct on_cpu *slot, fnp_u32 pid, fnp_u64 weight_ns)
{
	if (slot->claimed_pid != pid)
		slot->claimed_ns = 0;
	slot->claimed_pid = pid;
	slot->claimed_ns += weight_ns;
}

static __always_inline fnp_u64 weight_claimed(struct on_cpu *slot, fnp_u32 pid)
{
	fnp_u64 ns = slot && slot->claimed_pid == pid ? slot->claimed_ns : 0;

	if (ns)
		slot->claimed_ns = 0;
	return ns;
}

#endif
