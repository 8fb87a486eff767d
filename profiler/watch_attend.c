/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Naming and writing a row takes up to a tenth of a second, more with debug data that is read for the first time. A
 * program that begins meanwhile would run as long without its mappings being known to the walkers: its native frames can
 * be made up for, those of its runtime not, for what they stand in is gone by then. So between the steps of that work
 * new processes and what they map are learnt of, and samples that came meanwhile are looked at for what must be read
 * now. What their events mean for invocations has time until the next round, because rows are closing now; the events
 * are kept, in their order.
 */
#include "base/clock.h"
#include "profiler/watch_state.h"

#define ATTEND_EVERY_NS 2000000
#define EARLY_MAX (1 << 20) /* bytes; what is more stays in its ring */

/* Of a fork whose pid another process had, the old one may still be needed: it waits, and all that comes after it. */
static bool may_begin(const struct fnp_watch *watch, const struct fnp_record *head)
{
	const struct fnp_fork_record *fork = (const struct fnp_fork_record *)head;

	if (watch->early_begun < watch->early.len)
		return false;
	return head->type != FNP_RECORD_FORK || fork->child_pid == head->pid ||
	       !fnp_processes_find(watch->processes, fork->child_pid);
}

static void take_early(void *self, const void *data, size_t size)
{
	struct fnp_watch *watch = self;
	const struct fnp_record *head;
	bool begins;

	if (fnp_record_check(data, size, &head) < 0) {
		watch->totals.events_lost++;
		return;
	}
	begins = may_begin(watch, head);
	if (fnp_vec_append(&watch->early, (const uint64_t *)head, head->size / 8) < 0) {
		watch->totals.events_lost++;
		return;
	}
	if (!begins)
		return;
	watch->early_begun = watch->early.len;
	if (fnp_watch_begin_process(watch, head) == -ENOMEM)
		fnp_warning_once("no memory for an event");
}

/* A sample's turn comes in the next round; by then its process may be gone, and with it what names its frames. */
static void read_ahead(void *self, const void *data, size_t size)
{
	struct fnp_watch *watch = self;
	const struct fnp_record *head;
	struct fnp_process *process;

	if (fnp_record_check(data, size, &head) < 0 ||
	    (head->type != FNP_RECORD_SAMPLE && head->type != FNP_RECORD_OFF_CPU))
		return;
	process = fnp_processes_find(watch->processes, head->pid);
	if (process && process->process == head->process)
		fnp_samples_read_ahead(watch->samples, (const struct fnp_sample_record *)head, process);
}

void fnp_watch_attend(void *self)
{
	struct fnp_watch *watch = self;
	uint64_t now_ns;

	if (!watch->may_attend || watch->early.len * 8 > EARLY_MAX)
		return;
	now_ns = fnp_clock_ns();
	if (now_ns < watch->attended_ns + ATTEND_EVERY_NS)
		return;
	if (fnp_map_events_read(watch->map_events) < 0)
		fnp_warning_once("no memory for what processes map");
	fnp_rings_take(watch->rings, FNP_RING_EVENTS, take_early, watch);
	if (watch->early_begun == watch->early.len)
		fnp_map_events_deliver(watch->map_events, now_ns, fnp_processes_take_map_event,
				       watch->processes);
	fnp_rings_peek(watch->rings, FNP_RING_SAMPLES, &watch->samples_seen, read_ahead, watch);
	watch->attended_ns = fnp_clock_ns();
}

void fnp_watch_give_early(struct fnp_watch *watch)
{
	for (size_t i = 0; i < watch->early.len;) {
		const struct fnp_record *head = (const struct fnp_record *)&watch->early.items[i];

		if (i >= watch->early_begun && fnp_watch_begin_process(watch, head) == -ENOMEM)
			fnp_warning_once("no memory for an event");
		fnp_watch_attribute_event(watch, head);
		i += head->size / 8;
	}
	watch->early.len = watch->early_begun = 0;
}
