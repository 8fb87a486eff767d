/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose waits an invocation's ledger shows: those of the thread that handled it, which is the one that answered. Often it
 * received the work, too. Else (a pool thread fetched it, a thread is made for each fetch) it is the process's first
 * thread, or descends from one of the two since; the kernel side's clocks know both. Work that another thread answered has
 * wandered, and no thread's waits are its own.
 */
#include "profiler/invocations/engine.h"

#define CREATORS_MAX 16

/* The thread that `tid` descends from and that was there at `begin`. */
static uint32_t ancestor_at(const struct process *process, uint32_t tid, uint64_t seq, uint64_t begin_seq)
{
	for (int i = 0; i < CREATORS_MAX; i++) {
		const struct thread_origin *origin = fnp_engine_origin_of(process, tid, seq);

		if (!origin || origin->seq < begin_seq)
			break;
		tid = origin->creator;
		seq = origin->seq;
	}
	return tid;
}

/* Nobody answered: the thread that would have, as it stood when it exited. */
static void choose_of_dead(const struct process *process, const struct fnp_moment *begin,
			   struct fnp_ledger_span *span)
{
	uint32_t tid = process->handler_tid ? process->handler_tid : begin->tid;

	span->rest_is_unknown = true;
	if (process->handler_exit.tid != tid || !process->handler_exit.has_clocks)
		return;
	span->waits_end = process->handler_exit.clocks.own;
	if (tid == begin->tid)
		span->waits_begin = begin->clocks.own;
	else if (tid == process->pid && begin->clocks.has_first)
		span->waits_begin = begin->clocks.first;
}

static void choose(const struct process *process, const struct fnp_moment *begin,
		   const struct fnp_moment *end, struct fnp_ledger_span *span)
{
	uint32_t tid = end->tid;

	if (process->dead) {
		choose_of_dead(process, begin, span);
		return;
	}
	if (tid != begin->tid && tid != process->pid)
		tid = ancestor_at(process, tid, end->seq, begin->seq);
	span->waits_end = end->clocks.own;
	if (tid == begin->tid)
		span->waits_begin = begin->clocks.own;
	else if (tid == process->pid && begin->clocks.has_first)
		span->waits_begin = begin->clocks.first;
}

static bool runs_event_loop(const struct process *process)
{
	return process->runtime && strncmp(process->runtime, "node", 4) == 0;
}

void fnp_engine_make_ledger(const struct process *process, const struct fnp_moment *begin,
			    const struct fnp_moment *end, struct fnp_row *row, bool shares_thread)
{
	struct fnp_ledger_span span = {.begin = &begin->clocks,
				       .end = &end->clocks,
				       .duration_ns = row->duration_ns,
				       .poll_is_async = shares_thread || runs_event_loop(process)};

	if (!begin->has_clocks || !end->has_clocks)
		return;
	choose(process, begin, end, &span);
	row->handler_tid = end->tid;
	fnp_ledger_between(&span, &row->ledger);
}

void fnp_engine_note_handler(struct process *process, uint32_t tid)
{
	process->handler_tid = tid;
}

void fnp_engine_note_exit(struct process *process, const struct fnp_moment *moment)
{
	uint32_t expected = process->handler_tid;

	if (!expected && process->active.len > 0)
		expected = process->active.items[0]->begin.tid;
	if (moment->tid == (expected ? expected : process->pid))
		process->handler_exit = *moment;
}
