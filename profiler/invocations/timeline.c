/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What processes tell of themselves, put into rows: by the number that stood when it began, as a sample of that
 * moment would be. An event that cannot be settled yet waits with a copy of its texts; one whose row was closed
 * meanwhile goes to what the number belongs to then.
 */
#include <errno.h>

#include "profiler/invocations/engine.h"

static void forget_texts(struct fnp_row_event *event)
{
	fnp_freep(&event->name);
	fnp_freep(&event->cause);
	fnp_freep(&event->arguments);
}

static void lose(struct fnp_invocations *engine)
{
	engine->counters.row_events_lost++;
}

/* True when the event is settled; without `force` it may have to wait. */
static bool settle(struct fnp_invocations *engine, const struct held_event *one, bool force)
{
	struct process *process = fnp_engine_find(engine, one->at.pid, one->at.process);
	struct fnp_row *row;
	bool wait;

	if (!process && !force)
		return false;
	if (process && process->unwanted)
		return true;
	if (!process) {
		lose(engine);
		return true;
	}
	row = fnp_engine_row_at(engine, process, one->at.tid, one->at.seq, &wait);
	if (wait && !force)
		return false;
	if (!row || fnp_row_add_event(row, &one->event) < 0)
		lose(engine);
	else
		engine->counters.row_events++;
	return true;
}

void fnp_engine_release_events(struct fnp_invocations *engine, const struct process *of, bool force)
{
	size_t kept = 0;

	for (size_t i = 0; i < engine->held_events.len; i++) {
		struct held_event one = engine->held_events.items[i];
		struct process *process = fnp_engine_find(engine, one.at.pid, one.at.process);
		bool late = engine->now_ns > one.at.time_ns + FNP_ENGINE_LATE_NS &&
			    (!process || (process->n_pending == 0 && process->active.len < 2));

		if ((of && process != of) || !settle(engine, &one, force || late))
			engine->held_events.items[kept++] = one;
		else
			forget_texts(&one.event);
	}
	engine->held_events.len = kept;
}

static int hold(struct fnp_invocations *engine, const struct held_event *one)
{
	fnp_autofree char *name = one->event.name ? strdup(one->event.name) : NULL;
	fnp_autofree char *cause = one->event.cause ? strdup(one->event.cause) : NULL;
	fnp_autofree char *arguments = one->event.arguments ? strdup(one->event.arguments) : NULL;
	struct held_event copy = *one;
	int r;

	if ((one->event.name && !name) || (one->event.cause && !cause) || (one->event.arguments && !arguments))
		return -ENOMEM;
	r = fnp_vec_reserve(&engine->held_events, engine->held_events.len + 1);
	if (r < 0)
		return r;
	copy.event.name = TAKE_PTR(name);
	copy.event.cause = TAKE_PTR(cause);
	copy.event.arguments = TAKE_PTR(arguments);
	engine->held_events.items[engine->held_events.len++] = copy;
	return 0;
}

void fnp_invocations_row_event(struct fnp_invocations *engine, const struct fnp_invocations_place *at,
			       const struct fnp_row_event *event)
{
	const struct held_event one = {.at = *at, .event = *event};
	struct process *process = fnp_engine_find(engine, at->pid, at->process);

	if (process)
		fnp_engine_note_collection(process, event);
	if (settle(engine, &one, false))
		return;
	if (engine->held_events.len >= FNP_ENGINE_HELD_MAX)
		fnp_engine_release_events(engine, NULL, true);
	if (hold(engine, &one) < 0)
		lose(engine);
}

void fnp_engine_drop_events(struct fnp_invocations *engine)
{
	for (size_t i = 0; i < engine->held_events.len; i++)
		forget_texts(&engine->held_events.items[i].event);
	fnp_vec_deinit(&engine->held_events);
}
