/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line `gc` of ledgers. A collection is told once, and stands on the timeline of one row; but it stops every
 * invocation that is active in its process, so each of their ledgers has its part that lies between begin and end.
 *
 * A collection of Node.js is one of its thread's isolate: it stops what that thread handles, and nobody else.
 */
#include "profiler/invocations/engine.h"

void fnp_engine_note_collection(struct process *process, const struct fnp_row_event *event)
{
	const struct collection one = {.begin_ns = event->t_ns,
				       .duration_ns = event->duration_ns,
				       .tid = event->tid,
				       .spent = event->spent};

	if (strcmp(event->what, "gc") != 0)
		return;
	if (process->collections.len >= FNP_ENGINE_GCS_MAX)
		fnp_engine_prune_collections(process);
	if (process->collections.len < FNP_ENGINE_GCS_MAX)
		(void)!fnp_vec_push(&process->collections,
				    one); /* without it the time stands where it was spent */
}

static bool is_of_one_thread(const struct fnp_row *row)
{
	return row->runtime && strncmp(row->runtime, "node", 4) == 0;
}

/* What a part of a collection comes to: all of its times in proportion. */
static struct fnp_ledger_gc part_of(const struct collection *one, uint64_t ns)
{
	double share = one->duration_ns ? (double)ns / (double)one->duration_ns : 0;

	return (struct fnp_ledger_gc){
		.gc_ns = ns,
		.known = one->spent.known,
		.on_cpu_ns = (uint64_t)((double)one->spent.on_cpu_ns * share),
		.stolen_ns = (uint64_t)((double)one->spent.stolen_ns * share),
		.run_queue_ns = (uint64_t)((double)one->spent.run_queue_ns * share),
	};
}

void fnp_engine_ledger_gc(const struct process *process, struct fnp_row *row)
{
	uint64_t from_ns = row->start_ns, to_ns = row->start_ns + row->duration_ns;

	for (size_t i = 0; row->ledger.known && i < process->collections.len; i++) {
		const struct collection *one = &process->collections.items[i];
		uint64_t begin_ns = FNP_MAX(one->begin_ns, from_ns);
		uint64_t end_ns = FNP_MIN(one->begin_ns + one->duration_ns, to_ns);
		struct fnp_ledger_gc part;

		if (end_ns <= begin_ns || (is_of_one_thread(row) && one->tid != row->handler_tid))
			continue;
		part = part_of(one, end_ns - begin_ns);
		fnp_ledger_take_gc(&row->ledger, &part);
		from_ns = end_ns; /* two at once are one */
	}
}

void fnp_engine_prune_collections(struct process *process)
{
	uint64_t oldest_ns = fnp_engine_oldest_wanted(process);
	size_t kept = 0;

	for (size_t i = 0; i < process->phases.len; i++) {
		const struct fnp_row *row = process->phases.items[i].row;

		if (row == process->own || row->kind == FNP_ROW_INIT)
			oldest_ns = FNP_MIN(oldest_ns, row->start_ns);
	}
	for (size_t i = 0; i < process->collections.len; i++) {
		const struct collection *one = &process->collections.items[i];

		if (one->begin_ns + one->duration_ns > oldest_ns)
			process->collections.items[kept++] = *one;
	}
	process->collections.len = kept;
}
