/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a process's CPU time goes: to what is active, else to the phase. Each event carries what the process has spent
 * so far; the difference to what was charged before belongs to who was active since.
 */
#include "profiler/invocations/engine.h"

static void charge_owner(struct process *process, uint64_t ns)
{
	struct fnp_row *row = process->owner->row;

	if (process->owner->process == process)
		row->cpu_ns += ns;
	else
		row->children_cpu_ns += ns;
}

static void charge_phase(struct process *process, uint64_t ns)
{
	struct phase *phase = fnp_engine_phase_at(process, UINT64_MAX);

	if (phase)
		phase->row->cpu_ns += ns;
	if (process->ended.len > 0 && phase && phase->row == process->idle)
		process->ended.items[process->ended.len - 1]->row->post_cpu_ns += ns;
}

void fnp_engine_charge(struct process *process, uint64_t process_ns)
{
	uint64_t ns;

	/* The kernel side may take back an estimate that was too high: it is made up for by the next stretch. */
	if (process_ns <= process->cpu_mark)
		return;
	ns = process_ns - process->cpu_mark;
	process->cpu_mark = process_ns;
	if (process->owner) {
		charge_owner(process, ns);
	} else if (process->active.len == 0) {
		charge_phase(process, ns);
	} else if (process->active.len == 1) {
		process->active.items[0]->row->cpu_ns += ns;
		process->active.items[0]->alone_ns += ns;
	} else {
		process->pool_ns += ns;
	}
}

/* Where CPU time goes now; NULL: nowhere. */
static uint64_t *charged_now(struct process *process)
{
	struct phase *phase = fnp_engine_phase_at(process, UINT64_MAX);

	if (process->owner)
		return process->owner->process == process ? &process->owner->row->cpu_ns
							  : &process->owner->row->children_cpu_ns;
	if (process->active.len == 1)
		return &process->active.items[0]->row->cpu_ns;
	if (process->active.len > 1)
		return &process->pool_ns;
	return phase ? &phase->row->cpu_ns : NULL;
}

void fnp_engine_settle(struct process *process, uint64_t final_ns)
{
	uint64_t *at = charged_now(process), back;

	fnp_engine_charge(process, final_ns);
	if (final_ns >= process->cpu_mark || !at)
		return;
	back = FNP_MIN(process->cpu_mark - final_ns, *at);
	*at -= back;
	process->cpu_mark -= back;
}
