/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What a tick of a CPU's timer stands for. For the sampler, and for tests: it needs nothing of the kernel.
 *
 * A tick stands for the period before the moment at which it was due, and those of ticks that were due while its thread
 * was there and never came. Ticks that were due before are another's, or idle's: kernels have been seen that keep the
 * ticks of an idle CPU, and a thread that woke was charged with all of them.
 *
 * A virtual CPU that sleeps gets its timer late, and often not before something else wakes it: the tick then meets the
 * thread that was woken, although the CPU was idle when the tick was due. Such a tick is idle's. (Counted for the
 * threads that are woken, it made a program that sleeps and wakes much 25 % too dear.)
 *
 * When ticks are due is known on two grids: the one of before, and since the timer started anew with another period
 * (struct fnp_timer_state; a tick's context says for ever the period that its event began with).
 */
#ifndef FNP_BPF_TICKS_H
#define FNP_BPF_TICKS_H

#include "bpf/walk/seam.h"
#include "bpf/wire.h"

#define FNP_TICK_RESTART_NS 100000 /* what was due so shortly before a new start was lost by that */
#define FNP_TICK_SWITCH_NS 3000	   /* the kernel charges a thread with the switch to it */

/* Of one CPU. All zeros before the first tick. */
struct fnp_tick_state {
	fnp_u64 last_ns; /* when the last one was due */
	fnp_u64 missed; /* ticks that never came: the host took the CPU, the kernel throttled the timer or kept them */
	fnp_u64 due_ns;	   /* when the next one is due, at the latest, unless the timer starts anew */
	fnp_u64 period_ns; /* of which they are */
	fnp_u64 starts;	   /* of the timer: by which that was reckoned */
	fnp_u64 cut_ns; /* the sampler's: of intervals that were too long for a weight, since last_cut_ns */
	fnp_u64 last_cut_ns;
};

struct fnp_tick {
	fnp_u64 now_ns;
	fnp_u64 asked_period_ns; /* the mean of those that are drawn */
	fnp_u64 in_ns;		 /* when its thread came to the CPU; 0: nobody saw */
	fnp_u32 from_idle;	 /* which was idle before */
};

/* Of the times at `due_ns` and each `period_ns` after it the last one up to `until_ns`; `before_ns` where there is none. */
FNP_INLINE fnp_u64 fnp_tick_last_due(fnp_u64 due_ns, fnp_u64 period_ns, fnp_u64 until_ns, fnp_u64 before_ns)
{
	return !period_ns || until_ns < due_ns ? before_ns : until_ns - (until_ns - due_ns) % period_ns;
}

FNP_INLINE void fnp_tick_came(struct fnp_tick_state *state, const struct fnp_timer_state *timer,
			      const struct fnp_tick *tick, fnp_u64 due_ns)
{
	if (state->last_ns && due_ns - state->last_ns > 2 * tick->asked_period_ns)
		state->missed += (due_ns - state->last_ns) / tick->asked_period_ns - 1;
	state->last_ns = due_ns;
	if (timer->period_ns) {
		state->period_ns = timer->period_ns;
		state->starts = timer->starts;
	}
	state->due_ns = due_ns + state->period_ns;
}

/* The interval in ns that a tick stands for; 0: it is idle's. `timer`: its period is 0 while it is being changed. */
FNP_INLINE fnp_u64 fnp_tick_interval(struct fnp_tick_state *state, const struct fnp_timer_state *timer,
				     const struct fnp_tick *tick)
{
	bool anew = timer->starts != state->starts;
	fnp_u64 first_ns = anew ? timer->started_ns + timer->period_ns : state->due_ns, due_ns, in_ns, from_ns;

	if (!timer->period_ns)
		first_ns = ~0ULL; /* nobody knows */
	due_ns = fnp_tick_last_due(first_ns, timer->period_ns, tick->now_ns, tick->now_ns);
	in_ns = tick->in_ns && tick->in_ns < due_ns ? tick->in_ns : due_ns - 1;
	if (in_ns >= first_ns) {
		from_ns = fnp_tick_last_due(first_ns, timer->period_ns, in_ns, 0);
	} else {
		if (anew && timer->period_ns && timer->started_ns - FNP_TICK_RESTART_NS < in_ns)
			in_ns = timer->started_ns - FNP_TICK_RESTART_NS;
		from_ns = fnp_tick_last_due(state->due_ns, state->period_ns, in_ns, state->last_ns);
	}
	if (!state->last_ns)
		from_ns = due_ns - tick->asked_period_ns;
	fnp_tick_came(state, timer, tick, due_ns);
	return tick->from_idle && tick->in_ns > due_ns + FNP_TICK_SWITCH_NS ? 0 : due_ns - from_ns;
}

#endif
