/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which row a sample belongs to, by the number that it carries.
 *
 * One invocation holds the number: its own. None: the phase (init, idle, process). Several: the one whose thread it
 * was, from receive to send, or that created the thread meanwhile; whether a thread was an invocation's alone is known
 * when that is answered, so such a sample waits until then. What nothing tells apart is `shared`, undivided.
 *
 * A sample waits, too, while an event with its number has not arrived (two rings), while a begin or an end may still
 * be dated back before it (streams.c), and while its process is not known. Who waits too long is decided by what is
 * known then.
 */
#include "profiler/invocations/engine.h"

#define CREATORS_MAX 16 /* threads that create threads that create threads */

struct verdict {
	bool wait;
	struct fnp_row *row;
	enum fnp_attribution attribution;
	struct invocation *inferred; /* whose CPU time the sample's weight stands for */
};

static bool holds(const struct invocation *one, uint64_t seq)
{
	return one->begin.seq <= seq && seq < one->end_seq;
}

/* Calls `take` for each invocation that holds this number. */
static size_t find_holders(const struct process *process, uint64_t seq, struct invocation **ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < process->active.len && n < max; i++) {
		if (holds(process->active.items[i], seq))
			ret[n++] = process->active.items[i];
	}
	/* They stand in the order of their ends: the first that ended before ends the search. */
	for (size_t i = process->ended.len; i-- > 0 && n < max;) {
		if (holds(process->ended.items[i], seq))
			ret[n++] = process->ended.items[i];
		else if (process->ended.items[i]->end_seq <= seq)
			break;
	}
	return n;
}

const struct thread_origin *fnp_engine_origin_of(const struct process *process, uint32_t tid, uint64_t before)
{
	const struct thread_origin *newest = NULL;

	for (size_t i = 0; i < process->threads.len; i++) {
		const struct thread_origin *one = &process->threads.items[i];

		if (one->tid == tid && one->seq <= before && (!newest || one->seq > newest->seq))
			newest = one;
	}
	return newest;
}

/* True when the thread is the one that received this invocation, or descends from it, created since. */
static bool works_for(const struct process *process, const struct invocation *one, uint32_t tid, uint64_t seq)
{
	for (int i = 0; i < CREATORS_MAX; i++) {
		const struct thread_origin *origin;

		if (tid == one->begin.tid)
			return true;
		origin = fnp_engine_origin_of(process, tid, seq);
		if (!origin || origin->seq < one->begin.seq)
			return false;
		tid = origin->creator;
		seq = origin->seq;
	}
	return false;
}

static struct verdict among_several(const struct process *process, struct invocation **holders, size_t n,
				    const struct held *sample)
{
	struct verdict shared = {.row = process->shared, .attribution = FNP_ATTRIBUTION_SHARED};
	struct invocation *only = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!works_for(process, holders[i], sample->one.tid, sample->seq))
			continue;
		if (only)
			return shared;
		only = holders[i];
	}
	if (!only || only->disturbed)
		return shared;
	if (only->end_seq == UINT64_MAX && !process->gone)
		return (struct verdict){
			.wait = true, .row = process->shared, .attribution = FNP_ATTRIBUTION_SHARED};
	if (!only->certain)
		return shared;
	return (struct verdict){.row = only->row, .attribution = FNP_ATTRIBUTION_INFERRED, .inferred = only};
}

static struct verdict by_phase(struct process *process, uint64_t seq)
{
	struct phase *phase = fnp_engine_phase_at(process, seq);

	return (struct verdict){.row = phase ? phase->row : NULL, .attribution = FNP_ATTRIBUTION_NONE};
}

static struct verdict judge(const struct fnp_invocations *engine, struct process *process,
			    const struct held *sample)
{
	struct invocation *holders[64];
	uint64_t pending;
	struct verdict verdict;
	size_t n;

	if (process->owner) {
		if (process->owner->process == process && sample->seq < process->owner->begin.seq &&
		    process->phases.len > 0)
			return by_phase(process, sample->seq);
		return (struct verdict){.row = process->owner->row, .attribution = FNP_ATTRIBUTION_EXACT};
	}
	n = find_holders(process, sample->seq, holders, FNP_ARRAY_SIZE(holders));
	if (n == 0)
		verdict = by_phase(process, sample->seq);
	else if (n == 1)
		verdict = (struct verdict){.row = holders[0]->row, .attribution = FNP_ATTRIBUTION_EXACT};
	else
		verdict = among_several(process, holders, n, sample);
	pending = fnp_engine_pending(engine, process);
	verdict.wait = verdict.wait || sample->seq > process->last.seq || (pending && sample->seq >= pending);
	return verdict;
}

struct fnp_row *fnp_engine_row_at(const struct fnp_invocations *engine, struct process *process, uint32_t tid,
				  uint64_t seq, bool *ret_wait)
{
	const struct held moment = {.seq = seq, .one = {.tid = tid}};
	struct verdict verdict = judge(engine, process, &moment);

	*ret_wait = verdict.wait;
	return verdict.row;
}

static void lose(struct fnp_invocations *engine, struct fnp_row *row, enum fnp_loss_cause cause)
{
	engine->counters.losses[cause]++;
	if (row)
		row->losses[cause]++;
}

static void put(struct fnp_invocations *engine, const struct verdict *verdict, const struct held *sample)
{
	struct fnp_row *row = verdict->row;

	if (!row) {
		lose(engine, NULL, FNP_LOSS_UNKNOWN_PROCESS);
	} else if (row->epoch && row->epoch != sample->epoch) {
		lose(engine, row, FNP_LOSS_STACK_TABLE_FULL);
	} else if (fnp_row_add_sample(row, &sample->one, verdict->attribution, sample->truncation) < 0) {
		lose(engine, row, FNP_LOSS_NO_MEMORY);
	} else {
		row->epoch = sample->epoch;
		fnp_row_add_time(row, sample->time_ns);
		engine->counters.samples++;
		if (verdict->inferred)
			verdict->inferred->inferred_ns += sample->one.weight_ns;
	}
}

/* True when the sample is settled; without `force` it may have to wait. */
static bool settle(struct fnp_invocations *engine, const struct held *sample, bool force)
{
	struct process *process = fnp_engine_find(engine, sample->pid, sample->process);
	struct verdict verdict;

	if (!process && !force)
		return false;
	if (!process)
		process = fnp_engine_adopt(engine, sample->pid, sample->process, sample->time_ns);
	if (process && process->unwanted) {
		engine->counters.samples_unwanted++;
		return true;
	}
	if (!process) {
		lose(engine, NULL, FNP_LOSS_UNKNOWN_PROCESS);
		return true;
	}
	verdict = judge(engine, process, sample);
	if (verdict.wait && !force)
		return false;
	put(engine, &verdict, sample);
	return true;
}

void fnp_engine_release(struct fnp_invocations *engine, bool force)
{
	size_t kept = 0;

	for (size_t i = 0; i < engine->held.len; i++) {
		struct held sample = engine->held.items[i];
		struct process *process = fnp_engine_find(engine, sample.pid, sample.process);
		/* One that waits for an answer may wait; one whose event or process does not come may not. */
		bool late = engine->now_ns > sample.time_ns + FNP_ENGINE_LATE_NS &&
			    (!process || (process->n_pending == 0 && process->active.len < 2));

		if (!settle(engine, &sample, force || late))
			engine->held.items[kept++] = sample;
	}
	engine->held.len = kept;
	fnp_engine_release_events(engine, NULL, force);
}

void fnp_engine_release_process(struct fnp_invocations *engine, const struct process *process)
{
	size_t kept = 0;

	for (size_t i = 0; i < engine->held.len; i++) {
		struct held sample = engine->held.items[i];
		bool mine = fnp_engine_find(engine, sample.pid, sample.process) == process;

		if (!mine || !settle(engine, &sample, true))
			engine->held.items[kept++] = sample;
	}
	engine->held.len = kept;
	fnp_engine_release_events(engine, process, true);
}

/* Half of what waits is settled at once, the oldest first, so that this is rare. */
static void make_room(struct fnp_invocations *engine)
{
	size_t half = engine->held.len / 2;

	for (size_t i = 0; i < half; i++)
		settle(engine, &engine->held.items[i], true);
	memmove(engine->held.items, engine->held.items + half,
		(engine->held.len - half) * sizeof(engine->held.items[0]));
	engine->held.len -= half;
}

void fnp_invocations_sample(struct fnp_invocations *engine, const struct fnp_sample_record *record,
			    struct fnp_row_stack one, struct fnp_stack_epoch *epoch)
{
	struct held sample = {
		.pid = record->head.pid,
		.process = record->head.process,
		.seq = record->head.seq,
		.time_ns = record->head.time_ns,
		.one = one,
		.truncation = record->truncation < FNP_TRUNCATION_MAX ? record->truncation : FNP_TRUNCATION_NONE,
		.epoch = epoch,
	};

	sample.one.tid = record->head.tid;
	sample.one.count = 1;
	sample.one.weight_ns = record->weight_ns;
	if (settle(engine, &sample, false))
		return;
	if (engine->held.len >= FNP_ENGINE_HELD_MAX)
		make_room(engine);
	if (fnp_vec_push(&engine->held, sample) < 0)
		settle(engine, &sample, true);
}
