/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The phases of a start: what a cold invocation's user waited for. Probes tell where one ends (probe_meanings.c); the row
 * of an init begins at its exec and ends where the process asked for work. So between them stand
 *
 *	exec and dynamic linking	up to the runtime's main
 *	runtime start			up to where it runs the program
 *	program start			imports, classes or modules, and the handler's own init
 *
 * Where a place was not met (the first process of a file gets its probes late), the phase before it has both names.
 */
#include "profiler/invocations/engine.h"

#define REST "program start"

/* The first event that ends the phase `name`; NULL: it was not told. */
static struct fnp_row_event *end_of(struct fnp_row *row, const char *name)
{
	struct fnp_row_event *first = NULL;

	for (size_t i = 0; i < row->events.len; i++) {
		struct fnp_row_event *event = &row->events.items[i];

		if (strcmp(event->what, FNP_PHASE) != 0 || !event->name || strcmp(event->name, name) != 0 ||
		    event->t_ns < row->start_ns)
			continue;
		if (!first || event->t_ns < first->t_ns)
			first = event;
	}
	return first;
}

/* An event that has become a phase, or is to go: it is taken from its place. */
struct phases {
	struct fnp_row_event found[3];
	size_t n;
};

static void add(struct phases *phases, const struct fnp_row *row, uint64_t from_ns, uint64_t to_ns,
		const struct fnp_row_event *like, const char *name)
{
	phases->found[phases->n++] = (struct fnp_row_event){.t_ns = from_ns,
							    .duration_ns = to_ns - from_ns,
							    .tid = row->pid,
							    .how = like->how,
							    .what = FNP_PHASE,
							    .name = (char *)(uintptr_t)name};
}

static void remove_marks(struct fnp_row *row)
{
	size_t kept = 0;

	for (size_t i = 0; i < row->events.len; i++) {
		struct fnp_row_event one = row->events.items[i];

		if (strcmp(one.what, FNP_PHASE) != 0) {
			row->events.items[kept++] = one;
			continue;
		}
		free(one.name);
		free(one.cause);
		free(one.arguments);
	}
	row->events.len = kept;
}

void fnp_engine_make_phases(struct fnp_row *row)
{
	const struct fnp_row_event *linked = end_of(row, FNP_PHASE_LINKED),
				   *started = end_of(row, FNP_PHASE_STARTED);
	uint64_t at_ns = row->start_ns, end_ns = row->start_ns + row->duration_ns;
	struct phases phases = {.n = 0};

	if (row->kind == FNP_ROW_INIT && linked && linked->t_ns <= end_ns) {
		add(&phases, row, at_ns, linked->t_ns, linked, FNP_PHASE_LINKED);
		at_ns = linked->t_ns;
	}
	if (row->kind == FNP_ROW_INIT && started && started->t_ns <= end_ns && started->t_ns >= at_ns) {
		add(&phases, row, at_ns, started->t_ns, started,
		    phases.n ? FNP_PHASE_STARTED : FNP_PHASE_LINKED ", " FNP_PHASE_STARTED);
		at_ns = started->t_ns;
		add(&phases, row, at_ns, end_ns, started, REST);
	}
	remove_marks(row);
	for (size_t i = 0; i < phases.n; i++)
		fnp_row_add_event(row, &phases.found[i]); /* one that finds no room is counted there */
}
