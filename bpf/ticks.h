/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What ticks of a CPU's timer stand for. For the sampler, and for tests: it needs nothing of the kernel.
 *
 * Ticks are due on a grid: at each period since the timer started, and it starts anew whenever its period is changed
 * (struct fnp_timer_state). Each of them stands for the period before it, the first of a grid also for what was left of the
 * grid before. A thread has those that were due while it was on the CPU, whether they came or not.
 *
 * That is not who they meet. Timers are late: by some microseconds where the CPU is busy, by more where it is a virtual one
 * that sleeps, often until something else wakes it; then the thread that was due has left, or one is met that was not there.
 * Hosts take the CPU for many periods, of which one tick is left, and some kernels tell of no ticks that meet an idle CPU.
 * (Whom ticks meet was charged once: programs that sleep and wake much were 17 % too cheap, or 25 % too dear.) So a thread
 * takes what it is owed when a tick meets it, and what is left when it leaves.
 *
 * Where the grid lies is known to some microseconds, which does not matter: a grid that knows nothing of the program is as
 * good as another. Only a tick that comes before its time must find that it is due, so the grid is moved to meet it.
 */
#ifndef FNP_BPF_TICKS_H
#define FNP_BPF_TICKS_H

#include "bpf/walk/seam.h"
#include "bpf/wire.h"

#define FNP_TICK_EARLY_NS 100000 /* and no more than an eighth of a period */

/* Of one CPU. All zeros before the first tick. */
struct fnp_tick_state {
	/* The grid: */
	fnp_u64 first_ns;	/* when its first tick was due */
	fnp_u64 first_extra_ns; /* what that stands for beside its period */
	fnp_u64 period_ns;
	fnp_u64 starts; /* of the timer, as it says them */

	fnp_u64 next_ns; /* none is due before, if it does not start anew */
	fnp_u64 had_ns;	 /* up to when threads took what they were owed */
	fnp_u64 came_ns; /* when the last one came */
	fnp_u64 missed;	 /* that never came */
	fnp_u64 cut_ns;	 /* the sampler's: of intervals that were too long for a weight, since last_cut_ns */
	fnp_u64 last_cut_ns;
};

/* How many were due on the grid until then. */
FNP_INLINE fnp_u64 fnp_ticks_until(const struct fnp_tick_state *state, fnp_u64 until_ns)
{
	return !state->period_ns || until_ns < state->first_ns
		       ? 0
		       : (until_ns - state->first_ns) / state->period_ns + 1;
}

/* What those stand for that were due behind `from_ns`, up to `until_ns`. */
FNP_INLINE fnp_u64 fnp_ticks_between(const struct fnp_tick_state *state, fnp_u64 from_ns, fnp_u64 until_ns)
{
	fnp_u64 before = fnp_ticks_until(state, from_ns), n = fnp_ticks_until(state, until_ns);

	if (n <= before)
		return 0;
	return (n - before) * state->period_ns + (before ? 0 : state->first_extra_ns);
}

FNP_INLINE bool fnp_ticks_start_anew(const struct fnp_tick_state *state, const struct fnp_timer_state *timer)
{
	return timer->period_ns && timer->starts != state->starts;
}

/* From the grid that was to the one that is. */
FNP_INLINE void fnp_ticks_turn(struct fnp_tick_state *state, const struct fnp_timer_state *timer)
{
	fnp_u64 n = fnp_ticks_until(state, timer->started_ns);
	fnp_u64 left_ns = timer->started_ns - state->first_ns + state->period_ns - n * state->period_ns;

	if (n)
		state->first_extra_ns = left_ns;
	else if (state->period_ns)
		state->first_extra_ns += left_ns;
	state->first_ns = timer->started_ns + timer->period_ns;
	state->period_ns = timer->period_ns;
	state->starts = timer->starts;
	state->next_ns = state->first_ns;
}

/*
 * The interval in ns that the thread is owed which came to the CPU at `in_ns` and is there at `now_ns`. `timer`: its period
 * is 0 while it is being changed; then the old grid goes on.
 */
FNP_INLINE fnp_u64 fnp_ticks_owed(struct fnp_tick_state *state, const struct fnp_timer_state *timer,
				  fnp_u64 in_ns, fnp_u64 now_ns)
{
	fnp_u64 from_ns = in_ns > state->had_ns ? in_ns : state->had_ns, owed = 0;

	if (fnp_ticks_start_anew(state, timer) && now_ns >= timer->started_ns) {
		owed = fnp_ticks_between(state, from_ns, timer->started_ns);
		fnp_ticks_turn(state, timer);
	}
	if (now_ns < state->next_ns && !owed)
		return 0;
	owed += fnp_ticks_between(state, from_ns, now_ns);
	state->had_ns = now_ns;
	state->next_ns = state->first_ns + fnp_ticks_until(state, now_ns) * state->period_ns;
	return owed;
}

/* A tick comes, whomever it meets. To be told before anybody takes it. */
FNP_INLINE void fnp_tick_comes(struct fnp_tick_state *state, const struct fnp_timer_state *timer, fnp_u64 now_ns)
{
	fnp_u64 due, missed, early_ns;

	if (!fnp_ticks_start_anew(state, timer) && state->period_ns) {
		due = fnp_ticks_until(state, now_ns);
		early_ns = state->first_ns + due * state->period_ns - now_ns;
		if (early_ns <= FNP_TICK_EARLY_NS && early_ns <= state->period_ns / 8) {
			state->first_ns -= early_ns;
			state->next_ns -= early_ns;
			if (!due) /* mostly so, and then the interval is no longer for it */
				state->first_extra_ns -= early_ns < state->first_extra_ns
								 ? early_ns
								 : state->first_extra_ns;
		}
		missed = (now_ns - state->came_ns) / state->period_ns;
		if (state->came_ns >= state->first_ns && missed > 1)
			state->missed += missed - 1;
	}
	state->came_ns = now_ns;
}

#endif
