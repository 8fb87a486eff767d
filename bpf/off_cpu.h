/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which times off a CPU get a stack. A stack costs some microseconds, and how long a thread will be away is not known
 * when it leaves, which is when its stack can be read. So each thread remembers how long it was away, by what it waited
 * for, and what is expected to last long is taken for certain, the rest with a probability in proportion: as if the lost
 * time itself were sampled with a period. After each window the period becomes what would have spent the budget, and within
 * one it doubles with each further budget that is spent; at its floor everything is taken. Behind BURST budgets nothing is,
 * which is counted.
 */
#ifndef FNP_BPF_OFF_CPU_H
#define FNP_BPF_OFF_CPU_H

#include "bpf/samples_ring.h"
#include "bpf/targets.h"

#define OFF_CPU_WINDOW_NS 100000000
#define OFF_CPU_PERIOD_MAX_US 1000000
#define OFF_CPU_PERIOD_FIRST_US 8
#define OFF_CPU_BURST 8 /* budgets */

struct off_cpu_budget {
	fnp_u64 window_ns; /* since when */
	fnp_u32 taken;	   /* in this window */
	fnp_u32 period_us; /* 0: everything is taken */
	fnp_u32 chosen_us; /* the period by which the last one was chosen */
	fnp_u32 pad;
	/* Since the beginning: */
	fnp_u64 times;	 /* that a watched thread left its CPU */
	fnp_u64 stacks;	 /* taken */
	fnp_u64 refused; /* chosen, but BURST budgets were used up, or the ring was full */
};

/* Stacks a CPU and window; 0: none at all. Set before loading. */
const volatile unsigned int off_cpu_budget = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, fnp_u32);
	__type(value, struct off_cpu_budget);
} off_cpu_budgets SEC(".maps");

/* The program that takes the stack; user space puts it in when it could be loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(fnp_u32));
	__uint(value_size, sizeof(fnp_u32));
} off_cpu_entry SEC(".maps");

static __always_inline struct off_cpu_budget *off_cpu_budget_here(void)
{
	fnp_u32 zero = 0;

	return bpf_map_lookup_elem(&off_cpu_budgets, &zero);
}

/* A window is over: the period for the next one, by what this one came to. */
static __always_inline void off_cpu_turn(struct off_cpu_budget *budget, fnp_u64 now_ns)
{
	fnp_u64 before = budget->period_us, period = before;

	if (budget->taken < off_cpu_budget / 2 || budget->taken > off_cpu_budget)
		period = before * budget->taken / off_cpu_budget;
	/* One quiet window says little. */
	if (period < before / 4)
		period = before / 4;
	if (period > OFF_CPU_PERIOD_MAX_US)
		period = OFF_CPU_PERIOD_MAX_US;
	budget->period_us = period < OFF_CPU_PERIOD_FIRST_US ? 0 : period;
	budget->taken = 0;
	budget->window_ns = now_ns;
}

/* One more is taken. */
static __always_inline void off_cpu_spend(struct off_cpu_budget *budget)
{
	fnp_u32 period = budget->period_us ? 2 * budget->period_us : OFF_CPU_PERIOD_FIRST_US;

	budget->chosen_us = budget->period_us;
	budget->taken++;
	if (budget->taken <= off_cpu_budget || budget->taken % off_cpu_budget)
		return;
	budget->period_us = period < OFF_CPU_PERIOD_MAX_US ? period : OFF_CPU_PERIOD_MAX_US;
}

/* How long the thread will be away, in us: as it was before, else as such waits often are. */
static __always_inline fnp_u32 off_cpu_expected(const struct thread *thread)
{
	fnp_u32 wait = thread->wait < FNP_WAIT_MAX ? thread->wait : FNP_WAIT_MAX;

	if (thread->expected_us[wait])
		return thread->expected_us[wait];
	switch (wait) {
	case FNP_WAIT_FROZEN:
	case FNP_WAIT_SLEEP:
	case FNP_WAIT_POLL:
	case FNP_WAIT_CHILD:
		return 20000;
	case FNP_WAIT_DISK:
	case FNP_WAIT_PAGE_FAULT:
	case FNP_WAIT_OTHER:
		return 200;
	}
	return 1000;
}

/* True when the thread that leaves is to have its stack taken. */
static __always_inline bool off_cpu_choose(const struct thread *thread, fnp_u64 now_ns)
{
	struct off_cpu_budget *budget = off_cpu_budget ? off_cpu_budget_here() : NULL;
	fnp_u32 expected;

	if (!budget)
		return false;
	budget->times++;
	if (now_ns - budget->window_ns > OFF_CPU_WINDOW_NS)
		off_cpu_turn(budget, now_ns);
	expected = off_cpu_expected(thread);
	if (expected < budget->period_us &&
	    (fnp_u64)bpf_get_prandom_u32() * budget->period_us > (fnp_u64)expected << 32)
		return false;
	if (budget->taken >= OFF_CPU_BURST * off_cpu_budget) {
		budget->refused++;
		return false;
	}
	off_cpu_spend(budget);
	return true;
}

/* The thread is back; its stack was taken when it left. */
static __always_inline void off_cpu_end(struct fnp_target *target, struct thread *thread, fnp_u32 pid,
					fnp_u32 tid)
{
	struct fnp_off_cpu_end_record record = {
		.head = {.type = FNP_RECORD_OFF_CPU_END,
			 .size = sizeof(record),
			 .time_ns = thread->since_ns,
			 .pid = pid,
			 .tid = tid,
			 .process = target->process,
			 .seq = target->seq},
		.begin_ns = thread->taken_ns,
		.queued_ns = thread->delay_at - thread->taken_delay,
		.walk_ns = thread->taken_walk_ns,
	};

	thread->taken_ns = 0;
	bpf_ringbuf_output(&samples, &record, sizeof(record), BPF_RB_NO_WAKEUP);
}

#endif
