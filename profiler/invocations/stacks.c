/* SPDX-License-Identifier: Apache-2.0 */
/* All that refers to the stack table: open rows, and samples that wait for one. */
#include "profiler/invocations/engine.h"

struct walk {
	struct fnp_stack_epoch *next; /* NULL: rows keep theirs */
	fnp_row_stack_fn *visit;
	void *self;
};

/* A row is met by several ways; with a new epoch, once. */
static void visit_row(const struct walk *walk, struct fnp_row *row)
{
	if (!row || !row->epoch || row->epoch == walk->next)
		return;
	for (size_t i = 0; i < row->stacks.len; i++)
		walk->visit(walk->self, &row->stacks.items[i]);
	if (!walk->next)
		return;
	row->epoch = walk->next;
	fnp_row_reindex(row);
}

static void visit_process(const struct walk *walk, const struct process *process)
{
	for (size_t i = 0; i < process->phases.len; i++)
		visit_row(walk, process->phases.items[i].row);
	visit_row(walk, process->shared);
	for (size_t i = 0; i < process->active.len; i++)
		visit_row(walk, process->active.items[i]->row);
	for (size_t i = 0; i < process->ended.len; i++)
		visit_row(walk, process->ended.items[i]->row);
	if (process->owner)
		visit_row(walk, process->owner->row);
}

static void visit_off_time(const struct walk *walk, struct off_time *time)
{
	walk->visit(walk->self, &time->one);
	if (walk->next)
		time->epoch = walk->next;
}

static void visit_off_cpu(const struct walk *walk, struct process *process)
{
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&process->off_open, s));) {
		for (struct off_time *time = (struct off_time *)(uintptr_t)s->value; time; time = time->older)
			visit_off_time(walk, time);
	}
	for (size_t i = 0; i < process->off_done.len; i++)
		visit_off_time(walk, &process->off_done.items[i]);
}

void fnp_invocations_each_stack(struct fnp_invocations *engine, struct fnp_stack_epoch *next,
				fnp_row_stack_fn *visit, void *self)
{
	const struct walk walk = {.next = next, .visit = visit, .self = self};

	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&engine->processes, s));) {
		for (struct process *p = (struct process *)(uintptr_t)s->value; p; p = p->older) {
			visit_process(&walk, p);
			visit_off_cpu(&walk, p);
		}
	}
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&engine->serials, s));)
		visit_row(&walk, ((struct invocation *)(uintptr_t)s->value)->row);
	for (size_t i = 0; i < engine->held.len; i++) {
		visit(self, &engine->held.items[i].one);
		if (next)
			engine->held.items[i].epoch = next;
	}
}
