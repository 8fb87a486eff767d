/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of one process in the order of their numbers. Two CPUs may take numbers 5 and 6, and put 6 into the ring
 * first; so an event that is early waits for the ones before it. A number that does not come within
 * FNP_ENGINE_LATE_NS was lost in a full ring: then what is in doubt is said to be (streams.c, active.c).
 */
#include <errno.h>

#include "profiler/invocations/engine.h"

static void apply(struct fnp_invocations *engine, struct process *process, const struct fnp_record *record)
{
	process->next_seq = record->seq + 1;
	fnp_engine_apply(engine, process, record);
}

/* Applies waiting events as long as the next number is there. */
static void drain(struct fnp_invocations *engine, struct process *process)
{
	while (process->queue.len > 0 && process->queue.items[0]->seq <= process->next_seq) {
		fnp_autofree struct fnp_record *record = process->queue.items[0];

		process->queue.len--;
		memmove(process->queue.items, process->queue.items + 1,
			process->queue.len * sizeof(process->queue.items[0]));
		if (record->seq == process->next_seq)
			apply(engine, process, record);
	}
}

static int enqueue(struct process *process, const struct fnp_record *record)
{
	fnp_autofree struct fnp_record *copy = malloc(record->size);
	size_t at;
	int r;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, record, record->size);
	r = fnp_vec_reserve(&process->queue, process->queue.len + 1);
	if (r < 0)
		return r;
	at = process->queue.len;
	while (at > 0 && process->queue.items[at - 1]->seq > record->seq)
		at--;
	memmove(process->queue.items + at + 1, process->queue.items + at,
		(process->queue.len - at) * sizeof(process->queue.items[0]));
	process->queue.items[at] = TAKE_PTR(copy);
	process->queue.len++;
	return 0;
}

/* The numbers before the first waiting event will not come. */
static void accept_gap(struct fnp_invocations *engine, struct process *process)
{
	uint64_t first = process->queue.items[0]->seq;

	if (first > process->next_seq) {
		engine->counters.events_missing += first - process->next_seq;
		for (size_t i = 0; i < process->active.len; i++)
			process->active.items[i]->doubtful = true;
		fnp_engine_streams_gap(engine, process);
		process->next_seq = first;
	}
	drain(engine, process);
}

int fnp_engine_take_event(struct fnp_invocations *engine, struct process *process,
			  const struct fnp_record *record)
{
	int r;

	/* Of one that nobody wanted, the kernel side may have begun to count anew. */
	if (process->next_seq == 0 || process->unwanted)
		process->next_seq = record->seq;
	if (record->seq < process->next_seq)
		return 0; /* it came after all, when it had been counted as lost */
	if (record->seq > process->next_seq) {
		r = enqueue(process, record);
		if (process->queue.len >= FNP_ENGINE_QUEUE_MAX)
			accept_gap(engine, process);
		return r;
	}
	apply(engine, process, record);
	drain(engine, process);
	return 0;
}

void fnp_engine_expire_gaps(struct fnp_invocations *engine, struct process *process, bool all)
{
	while (process->queue.len > 0 &&
	       (all || engine->now_ns > process->queue.items[0]->time_ns + FNP_ENGINE_LATE_NS))
		accept_gap(engine, process);
}

void fnp_engine_drop_queue(struct process *process)
{
	for (size_t i = 0; i < process->queue.len; i++)
		free(process->queue.items[i]);
	process->queue.len = 0;
}
