/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invocations that more than one process serves: a bootstrap that starts an HTTP client for each of its calls, or forks for
 * each invocation.
 *
 * A client that fetched the work and exits in peace hands it to the process that started it, when it is a program of its own
 * that is no runtime: what works from then on is the parent, and the CPU time of the client is its child's. A worker of a
 * supervisor has its parent's program, or is a runtime, and dies with what it had.
 *
 * An answer may come from any process of the same server's. The invocation's own process tells of nothing at that moment,
 * so its next event ends it, with the time of the answer; its clocks have gone on by then, so it has no ledger.
 */
#include "profiler/invocations/engine.h"

static bool same_server(const struct process *a, const struct process *b)
{
	return a->claimed && b->claimed && a->claim.source == b->claim.source &&
	       a->claim.kind == FNP_CLAIM_MESSAGES && b->claim.kind == FNP_CLAIM_MESSAGES &&
	       a->claim.port == b->claim.port;
}

bool fnp_engine_answer_elsewhere(struct fnp_invocations *engine, const struct process *process,
				 const char *id, const struct fnp_moment *end, enum fnp_outcome outcome)
{
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&engine->processes, slot));) {
		struct process *other = (void *)(uintptr_t)slot->value;
		struct invocation *one;

		if (other == process || other->gone || !same_server(other, process))
			continue;
		one = fnp_engine_find_active(other, id);
		if (!one)
			continue;
		if (!one->answered_ns || outcome == FNP_OUTCOME_ERROR)
			one->answered_outcome = outcome;
		if (!one->answered_ns)
			one->answered_ns = end->time_ns;
		return true;
	}
	return false;
}

void fnp_engine_end_answered(struct fnp_invocations *engine, struct process *process,
			     const struct fnp_moment *moment)
{
	for (size_t i = 0; i < process->active.len;) {
		struct invocation *one = process->active.items[i];

		if (one->answered_ns)
			fnp_engine_end(engine, one, moment, one->answered_outcome);
		else
			i++;
	}
}

/* The process that started this one, while it lives; NULL. */
static struct process *parent_of(const struct fnp_invocations *engine, const struct process *process)
{
	struct process *parent = process->parent_pid
					 ? fnp_engine_find(engine, process->parent_pid, process->parent)
					 : NULL;

	return parent && !parent->dead && !parent->unwanted && same_server(parent, process) ? parent : NULL;
}

static bool is_messenger(const struct process *process, const struct invocation *one)
{
	bool is_runtime = process->runtime && strcmp(process->runtime, "native") != 0;

	return process->active.len == 1 && !one->answered_ns &&
	       (one->was_handed || (process->has_image && !is_runtime && process->ended.len == 0));
}

/* From now on the parent works for it, which waited until now. */
static void become_worker(struct fnp_invocations *engine, struct process *parent, struct process *process,
			  struct invocation *one)
{
	const struct fnp_invocations_host *host = &engine->options.host;
	struct fnp_moment moment = parent->last;
	uint64_t cpu_ns;

	moment.time_ns = process->idle ? process->idle->start_ns : one->begin.time_ns;
	moment.has_clocks = false;
	if (host->cpu_now && parent->queue.len == 0 &&
	    host->cpu_now(host->self, parent->pid, parent->process, &cpu_ns) == 0)
		moment.process_ns = FNP_MAX(moment.process_ns, cpu_ns);
	fnp_engine_become_instance(engine, parent, &moment, FNP_OUTCOME_OK);
	fnp_engine_charge(parent, moment.process_ns);
	one->begin.seq = moment.seq;
	one->begin.tid = parent->pid;
	one->begin.has_clocks = false;
}

static void rename_row(struct process *parent, struct fnp_row *row)
{
	row->pid = parent->pid;
	row->process = parent->process;
	row->cold = FNP_UNKNOWN;
	if (parent->served)
		row->cold = FNP_FALSE;
	else if (parent->birth_seen)
		row->cold = FNP_TRUE;
	fnp_freep(&row->init);
	if (!parent->served)
		row->init = TAKE_PTR(parent->init_id);
	parent->served = true;
}

bool fnp_engine_hand_over(struct fnp_invocations *engine, struct process *process)
{
	struct invocation *one = process->active.len ? process->active.items[0] : NULL;
	struct process *parent = parent_of(engine, process);

	if (!one || !parent || !is_messenger(process, one) || parent->active.len >= FNP_ENGINE_ACTIVE_MAX ||
	    fnp_vec_reserve(&parent->active, parent->active.len + 1) < 0)
		return false;
	become_worker(engine, parent, process, one);
	/* What the messenger spent stays in its own rows, and is paid as a child's when it is gone. */
	process->active.len = 0;
	if (process->idle) {
		process->idle->cpu_ns += one->row->cpu_ns;
		one->row->cpu_ns = 0;
	}
	process->for_serial = one->serial;
	rename_row(parent, one->row);
	one->process = parent;
	one->was_handed = true;
	parent->active.items[parent->active.len++] = one;
	return true;
}
