/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which times off a CPU get a stack. A stack costs some microseconds, and how long a thread will be away is not known
 * when it leaves, which is when its stack can be read. So each thread remembers how long it was away, by what it waited
 * for, and what is expected to last long is taken for certain, the rest in proportion: the lost time itself is sampled,
 * each half to three halves of a period after the last one (in the mean a period, so that few stacks are enough for a good
 * sum, and nothing periodic keeps step), and each stands for what was lost since. After each window the period becomes
 * what would have spent the budget, and within one it doubles with each further budget that is spent, past FAST of them
 * faster; at its floor everything is taken. Behind BURST budgets nothing is, and what those would have stood for is
 * counted.
 *
 * A wait that was expected to be short and became long is the one that people ask about. Where the kernel lets us (see
 * returns.bpf.c) it is taken when it is over: its stack is still what it was. So there all long waits are taken, each stands
 * for itself, and chance is for the short ones alone.
 *
 * The budget of a window is time: a share of what watched threads ran in the window before, or a little of the processor when
 * they hardly ran. A stack of a native program costs 5 to 25 us, one of a managed runtime 40 to 120 us, as the last ones
 * were: so many stacks it is, and never more than a number of them. Who waits seldom has all of its long waits: the budget
 * is there again after each window, and behind it the period begins low.
 */
#ifndef FNP_BPF_OFF_CPU_H
#define FNP_BPF_OFF_CPU_H

#include "bpf/samples_ring.h"
#include "bpf/targets.h"

#define OFF_CPU_WINDOW_NS 100000000
#define OFF_CPU_PERIOD_MAX_US 1000000
#define OFF_CPU_PERIOD_FIRST_US 8 /* the first that is not 0 */
#define OFF_CPU_PERIOD_FEW_US 256 /* where FEW are allowed: else BURST is used up before a period counts */
#define OFF_CPU_FEW 8
#define OFF_CPU_BURST 8 /* budgets */
#define OFF_CPU_FAST 2
#define OFF_CPU_DUE_SHIFT 16
#define OFF_CPU_SHARE_SHIFT 20
#define OFF_CPU_COST_FIRST_NS 20000
#define OFF_CPU_OUTLIER 4 /* times what one usually costs */
/*
 * From here on one is taken always, beside the budget: a stack costs a thousandth of it. (Runtimes have threads that look after
 * the house each 50 ms.)
 */
#define OFF_CPU_ALWAYS_US 80000
#define OFF_CPU_ALWAYS_MAX 4 /* in a window */
#define OFF_CPU_US_MAX 0xffffffffU
#define OFF_CPU_FORGOTTEN 12 /* quiet windows, and nothing is left of a period */
#define OFF_CPU_LONG_US 1000 /* from here on a wait may be taken when it is over */

struct off_cpu_budget {
	fnp_u64 window_ns; /* since when */
	fnp_u32 taken;	   /* in this window */
	fnp_u32 period_us; /* 0: everything is taken */
	fnp_u32 chosen_us; /* what the last one stands for, as it was expected; 0: for itself */
	fnp_u32 allowed;   /* in this window */
	fnp_u64 ran_ns;	   /* in this window, by watched threads */
	fnp_u32 cost_ns;   /* of a stack, in the mean of the last ones; 0: none was taken yet */
	fnp_u32 due; /* the next short one is taken when so much was lost: of a period, in 2^-DUE_SHIFT */
	fnp_u64 passed_us; /* lost since, as it was expected */
	fnp_u64 always;	   /* taken in this window because they were so long */
	/* Since the beginning: */
	fnp_u64 times;	    /* that a watched thread left its CPU */
	fnp_u64 stacks;	    /* taken */
	fnp_u64 refused;    /* chosen, but BURST budgets were used up, or the ring was full */
	fnp_u64 refused_us; /* what those would have stood for, as it was expected */
};

/* Set before loading: see struct fnp_off_cpu_budget in profiler/collectors/offcpu.h. */
const volatile unsigned int off_cpu_budget = 0; /* stacks a CPU and window; 0: none at all */
const volatile unsigned int off_cpu_least_ns = 0;
const volatile unsigned int off_cpu_share = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, fnp_u32);
	__type(value, struct off_cpu_budget);
} off_cpu_budgets SEC(".maps");

/* Not 0: long waits that were not taken are taken when they are over (returns.bpf.c). User space sets it once it attached. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, fnp_u32);
	__type(value, fnp_u32);
} off_cpu_looks_back SEC(".maps");

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

/* How many stacks a window may have, after one of `passed_ns` in which watched threads ran for ran_ns. */
static __always_inline fnp_u32 off_cpu_allow(const struct off_cpu_budget *budget, fnp_u64 passed_ns)
{
	fnp_u64 ns = budget->ran_ns * OFF_CPU_WINDOW_NS / passed_ns * off_cpu_share >> OFF_CPU_SHARE_SHIFT;
	fnp_u64 allowed;

	if (ns < off_cpu_least_ns)
		ns = off_cpu_least_ns;
	allowed = ns / (budget->cost_ns ? budget->cost_ns : OFF_CPU_COST_FIRST_NS);
	if (allowed > off_cpu_budget)
		return off_cpu_budget;
	return allowed ? allowed : 1;
}

/* True when the window is over. The time may be a little before the last one: a CPU's clock is adjusted to its run queue's. */
static __always_inline bool off_cpu_is_over(const struct off_cpu_budget *budget, fnp_u64 now_ns)
{
	return (fnp_s64)(now_ns - budget->window_ns) > OFF_CPU_WINDOW_NS;
}

static __always_inline fnp_u32 off_cpu_first(fnp_u32 allowed)
{
	return allowed < OFF_CPU_FEW ? OFF_CPU_PERIOD_FEW_US : OFF_CPU_PERIOD_FIRST_US;
}

/* A window is over: the period for the next one, by what this one came to. */
__attribute__((unused)) static __noinline int off_cpu_turn(struct off_cpu_budget *budget, fnp_u64 now_ns)
{
	fnp_u32 allowed = budget->allowed ? budget->allowed : 1;
	fnp_u64 before = budget->period_us, period = before, least;
	fnp_u64 windows = (now_ns - budget->window_ns) / OFF_CPU_WINDOW_NS;

	/* Where there were too many it has risen already. */
	if (2 * budget->taken < allowed)
		period = before * budget->taken / allowed;
	/* One quiet window says little, many of them much. */
	least = before >> (windows < OFF_CPU_FORGOTTEN ? 2 * windows : 2 * OFF_CPU_FORGOTTEN);
	if (period < least)
		period = least;
	if (period > OFF_CPU_PERIOD_MAX_US)
		period = OFF_CPU_PERIOD_MAX_US;
	budget->period_us = period < off_cpu_first(allowed) ? 0 : period;
	budget->allowed = off_cpu_allow(budget, now_ns - budget->window_ns);
	budget->taken = 0;
	budget->always = 0;
	budget->ran_ns = 0;
	budget->window_ns = now_ns;
	return 0;
}

/* One more is taken. */
static __always_inline void off_cpu_spend(struct off_cpu_budget *budget)
{
	fnp_u32 allowed = budget->allowed ? budget->allowed : 1;
	fnp_u32 period = budget->period_us ? 2 * budget->period_us : off_cpu_first(allowed);

	budget->taken++;
	if (budget->taken <= allowed || budget->taken % allowed)
		return;
	if (budget->taken > OFF_CPU_FAST * allowed)
		period *= 4;
	budget->period_us = period < OFF_CPU_PERIOD_MAX_US ? period : OFF_CPU_PERIOD_MAX_US;
}

/* A stack was taken, which took so long. What the host or an interrupt adds now and then must not count for many windows. */
static __always_inline void off_cpu_paid(struct off_cpu_budget *budget, fnp_u64 ns)
{
	fnp_u64 before = budget->cost_ns ? budget->cost_ns : OFF_CPU_COST_FIRST_NS;

	if (ns > OFF_CPU_OUTLIER * before)
		ns = OFF_CPU_OUTLIER * before;
	budget->cost_ns = (7 * before + ns) / 8;
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

/* True when so short a wait is taken for certain. (Where two may be due within one, less would be taken than is due.) */
static __always_inline bool off_cpu_is_certain(fnp_u64 expected_us, fnp_u32 period_us)
{
	return 2 * expected_us >= period_us;
}

/*
 * True when the short wait that begins is the one in which the next is due. It stands for all that was lost since the last one:
 * whatever became of the period meanwhile, what they stand for is what was lost.
 */
static __always_inline bool off_cpu_falls_due(struct off_cpu_budget *budget, fnp_u32 expected_us)
{
	fnp_u64 due_us = (fnp_u64)budget->period_us * budget->due >> OFF_CPU_DUE_SHIFT;

	budget->passed_us += expected_us;
	if (budget->passed_us < due_us)
		return false;
	budget->chosen_us = budget->passed_us < OFF_CPU_US_MAX ? budget->passed_us : OFF_CPU_US_MAX;
	budget->passed_us = 0;
	budget->due = (1 << (OFF_CPU_DUE_SHIFT - 1)) + (bpf_get_prandom_u32() >> (32 - OFF_CPU_DUE_SHIFT));
	return true;
}

/* A stack that was chosen is not taken. */
static __always_inline void off_cpu_refuse(struct off_cpu_budget *budget, fnp_u32 expected_us)
{
	budget->refused++;
	budget->refused_us += off_cpu_is_certain(expected_us, budget->period_us) ? expected_us
										 : budget->period_us;
}

/* True when the thread that leaves after it ran for `ran_ns` is to have its stack taken. */
static __always_inline bool off_cpu_choose(const struct thread *thread, fnp_u64 ran_ns, fnp_u64 now_ns)
{
	struct off_cpu_budget *budget = off_cpu_budget ? off_cpu_budget_here() : NULL;
	fnp_u32 expected;

	if (!budget)
		return false;
	budget->times++;
	if ((fnp_s64)ran_ns > 0)
		budget->ran_ns += ran_ns;
	if (off_cpu_is_over(budget, now_ns))
		off_cpu_turn(budget, now_ns);
	expected = off_cpu_expected(thread);
	if (off_cpu_is_certain(expected, budget->period_us))
		budget->chosen_us = 0;
	else if (!off_cpu_falls_due(budget, expected))
		return false;
	if (budget->taken >= OFF_CPU_BURST * budget->allowed) {
		off_cpu_refuse(budget, expected);
		return false;
	}
	off_cpu_spend(budget);
	return true;
}

static __always_inline bool off_cpu_is_looked_back(void)
{
	fnp_u32 zero = 0, *on = bpf_map_lookup_elem(&off_cpu_looks_back, &zero);

	return on && *on;
}

/* True when so long a wait, which is over, has a stack in any case. */
static __always_inline bool off_cpu_was_certain(const struct off_cpu_budget *budget, fnp_u64 us)
{
	return us >= OFF_CPU_ALWAYS_US || (us >= OFF_CPU_LONG_US && off_cpu_is_certain(us, budget->period_us));
}

/* A thread is back after `ns`, and nobody took its stack: true when that was so long that it is to be taken now. */
__attribute__((unused)) static __always_inline bool off_cpu_look_back(fnp_u64 ns, fnp_u64 now_ns)
{
	struct off_cpu_budget *budget = off_cpu_budget ? off_cpu_budget_here() : NULL;
	fnp_u64 us = ns / 1000;

	if (!budget || us < OFF_CPU_LONG_US || !off_cpu_is_looked_back())
		return false;
	if (off_cpu_is_over(budget, now_ns))
		off_cpu_turn(budget, now_ns);
	if (!off_cpu_was_certain(budget, us))
		return false;
	if (us >= OFF_CPU_ALWAYS_US && budget->always < OFF_CPU_ALWAYS_MAX) {
		budget->always++;
		return true;
	}
	if (budget->taken >= OFF_CPU_BURST * budget->allowed) {
		off_cpu_refuse(budget, us < OFF_CPU_US_MAX ? us : OFF_CPU_US_MAX);
		return false;
	}
	off_cpu_spend(budget);
	return true;
}

/*
 * The thread is back; its stack was taken when it left. Where all long waits are taken in the end, one that was taken by chance
 * stands for itself alone.
 */
__attribute__((unused)) static __noinline int off_cpu_end(struct fnp_target *target, struct thread *thread,
							  fnp_u32 pid, fnp_u32 tid)
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
	struct off_cpu_budget *budget = off_cpu_budget_here();

	record.was_certain = budget && off_cpu_is_looked_back() &&
			     off_cpu_was_certain(budget, (thread->since_ns - thread->taken_ns) / 1000);
	/* Then the next short one stands for the others that it was taken for. */
	if (record.was_certain)
		budget->passed_us += thread->taken_others_us;

	thread->taken_ns = 0;
	bpf_ringbuf_output(&samples, &record, sizeof(record), BPF_RB_NO_WAKEUP);
	return 0;
}

#endif
