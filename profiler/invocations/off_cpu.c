/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times that threads were off their CPU, with the stack that they left it with, put into rows.
 *
 * Two records make one time: the thread leaves, and it is back. A time that is over goes at once to the row of a program
 * that serves nothing, and to an exec invocation's. In an instance it waits until the rows of its invocations close,
 * because only then is it known which thread handled which: of that thread's times each row gets what lies between
 * its begin and its end, of other threads' those that lie there whole. So threads of a pool that wait for work
 * before and after are left out, and what they waited for in the midst of the work is in.
 *
 * A time that was taken by chance stands for more (wire.h). One that was expected to be short and became long would stand
 * for very much: that is bounded, so that no single one makes up a profile.
 */
#include <arpa/inet.h>
#include <errno.h>

#include "profiler/invocations/engine.h"

#define STANDS_FOR_MAX 8 /* periods, or times as much as it was when that is more */
#define OPEN_MAX 64	 /* times of a thread whose ends have not come */
#define EVENT_NS 1000000 /* from so long on a time is an event of its row's timeline, too */

const char *fnp_wait_name(uint32_t wait)
{
	static const char *const names[] = {
#define FNP_X_WAIT_NAME(n, name, text) [FNP_WAIT_##name] = (text),
		FNP_WAITS(FNP_X_WAIT_NAME)
#undef FNP_X_WAIT_NAME
	};

	return wait < FNP_WAIT_MAX ? names[wait] : "run_queue";
}

/* How many there were. */
static unsigned int free_times(struct off_time *time)
{
	unsigned int n = 0;

	for (struct off_time *older; time; time = older, n++) {
		older = time->older;
		free(time);
	}
	return n;
}

/*
 * A stack that waited for tables comes after later ones of its thread, so a thread can have several open times; ends come
 * in order. The number of older ones that were given up for it, -ENOSPC or -ENOMEM.
 */
static int open_time(struct process *process, const struct off_time *time)
{
	struct off_time *newest = fnp_map_find_ptr(&process->off_open, time->one.tid), **at = &newest;
	struct off_time *added;
	unsigned int n = 0;

	if (!newest && process->off_open.len >= FNP_ENGINE_OFF_MAX)
		return -ENOSPC;
	for (; *at && (*at)->begin_ns > time->begin_ns && n < OPEN_MAX; at = &(*at)->older)
		n++;
	added = malloc(sizeof(*added));
	if (!added)
		return -ENOMEM;
	*added = *time;
	added->older = *at;
	*at = added;
	if (newest == added && fnp_map_set_ptr(&process->off_open, time->one.tid, newest) < 0) {
		free(added);
		return -ENOMEM;
	}
	for (n = 0, at = &newest; *at && n < OPEN_MAX; at = &(*at)->older)
		n++;
	n = free_times(*at);
	*at = NULL;
	return (int)n;
}

/* Takes the time that began then out of those of its thread, and forgets older ones, which it counts: their ends were lost. */
static struct off_time *close_time(struct process *process, uint32_t tid, uint64_t begin_ns, uint64_t *lost)
{
	struct off_time *newest = fnp_map_find_ptr(&process->off_open, tid), **at = &newest;
	struct off_time *found;

	while (*at && (*at)->begin_ns > begin_ns)
		at = &(*at)->older;
	found = *at;
	*at = NULL;
	if (!newest)
		fnp_map_remove(&process->off_open, tid);
	if (!found)
		return NULL;
	*lost += free_times(found->older);
	found->older = NULL;
	if (found->begin_ns == begin_ns)
		return found;
	*lost += free_times(found);
	return NULL;
}

void fnp_invocations_off_cpu(struct fnp_invocations *engine, const struct fnp_sample_record *record,
			     struct fnp_row_stack one, struct fnp_stack_epoch *epoch)
{
	struct process *process = fnp_engine_find(engine, record->head.pid, record->head.process);
	struct off_time time = {.one = one,
				.epoch = epoch,
				.begin_ns = record->head.time_ns,
				.expected_us = record->expected_us,
				.period_us = record->period_us,
				.wait = record->cpu};
	struct fnp_record_part peer = fnp_record_section(&record->head, FNP_SECTION_PEER);
	int r;

	if (peer.size == sizeof(time.peer))
		memcpy(&time.peer, peer.data, sizeof(time.peer));
	time.one.tid = record->head.tid;
	time.one.count = 0;
	time.one.weight_ns = 0;
	if (!process || process->unwanted)
		return;
	r = open_time(process, &time);
	engine->counters.off_cpu_lost += r < 0 ? 1 : (unsigned int)r;
}

/*
 * What a time stands for; not less than it was. The others that it stands for had nobody who took their stacks: what that
 * cost is left out, down to what was expected.
 */
static uint64_t stands_for(const struct off_time *time)
{
	uint64_t ns = time->end_ns - time->begin_ns, period_ns = (uint64_t)time->period_us * 1000;
	uint64_t expected_ns = (uint64_t)time->expected_us * 1000;
	uint64_t alone_ns = FNP_MAX(ns - FNP_MIN(time->walk_ns, ns), FNP_MIN(ns, expected_ns));
	double bound = (double)FNP_MAX(ns, period_ns) * STANDS_FOR_MAX;

	if (time->expected_us == 0 || time->was_certain)
		return ns;
	return FNP_MAX(ns, (uint64_t)FNP_MIN((double)alone_ns * time->period_us / time->expected_us, bound));
}

static uint64_t overlap(uint64_t begin, uint64_t end, uint64_t from, uint64_t to)
{
	begin = FNP_MAX(begin, from);
	end = FNP_MIN(end, to);
	return end > begin ? end - begin : 0;
}

/* "10.0.0.7:5432", "[2001:db8::1]:443"; NULL: nobody is known. */
static char *peer_of(const struct off_time *time, char ret[64])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool is_v4 = memcmp(time->peer.address, mapped, sizeof(mapped)) == 0;
	char address[INET6_ADDRSTRLEN];

	if (!time->peer.port)
		return NULL;
	if (!inet_ntop(is_v4 ? AF_INET : AF_INET6, time->peer.address + (is_v4 ? sizeof(mapped) : 0), address,
		       sizeof(address)))
		return NULL;
	snprintf(ret, 64, is_v4 ? "%s:%u" : "[%s]:%u", address, time->peer.port);
	return ret;
}

static void add_event(struct fnp_row *row, const struct off_time *time, uint64_t begin_ns, uint64_t ns)
{
	char name[16], peer[64];
	struct fnp_row_event event = {.t_ns = begin_ns,
				      .duration_ns = ns,
				      .tid = time->one.tid,
				      .how = FNP_EVENT_SAMPLES,
				      .what = "off_cpu",
				      .name = name,
				      .cause = peer_of(time, peer)};

	snprintf(name, sizeof(name), "%s", fnp_wait_name(time->wait));
	fnp_row_add_event(row, &event); /* one that finds no room is counted there */
}

/* The part of a time that lies in [from_ns, to_ns) of the row. */
static void add_part(struct fnp_invocations *engine, struct fnp_row *row, const struct off_time *time,
		     uint64_t from_ns, uint64_t to_ns)
{
	uint64_t end_ns = time->end_ns ? time->end_ns : to_ns;
	uint64_t queued_from_ns = end_ns - FNP_MIN(time->queued_ns, end_ns - time->begin_ns);
	uint64_t off_ns = overlap(time->begin_ns, queued_from_ns, from_ns, to_ns);
	uint64_t queued_ns = overlap(queued_from_ns, end_ns, from_ns, to_ns);
	uint64_t whole_ns = end_ns - time->begin_ns;
	double factor = time->end_ns && whole_ns ? (double)stands_for(time) / (double)whole_ns : 1;
	struct fnp_row_stack one = time->one;

	if (off_ns + queued_ns == 0)
		return;
	one.off_cpu_ns = (uint64_t)((double)off_ns * factor);
	one.run_queue_ns = (uint64_t)((double)queued_ns * factor);
	if ((row->epoch && row->epoch != time->epoch) || fnp_row_add_off_cpu(row, &one) < 0) {
		engine->counters.off_cpu_lost++;
		return;
	}
	row->epoch = time->epoch;
	if (off_ns + queued_ns >= EVENT_NS)
		add_event(row, time, FNP_MAX(time->begin_ns, from_ns), off_ns + queued_ns);
}

/* The row to which all times of this process go, and since when; NULL: they wait. */
static struct fnp_row *row_at_once(const struct process *process)
{
	if (process->owner)
		return process->owner->process == process ? process->owner->row : NULL;
	return process->instance ? NULL : process->own;
}

void fnp_invocations_off_cpu_end(struct fnp_invocations *engine, const struct fnp_off_cpu_end_record *record)
{
	struct process *process = fnp_engine_find(engine, record->head.pid, record->head.process);
	fnp_autofree struct off_time *time = NULL;
	struct fnp_row *row;

	if (process)
		time = close_time(process, record->head.tid, record->begin_ns, &engine->counters.off_cpu_lost);
	if (!time || record->head.time_ns < time->begin_ns)
		return;
	time->end_ns = record->head.time_ns;
	time->queued_ns = record->queued_ns;
	time->walk_ns = record->walk_ns;
	time->was_certain = record->was_certain != 0;
	engine->counters.off_cpu_ns += stands_for(time);
	row = row_at_once(process);
	if (row)
		add_part(engine, row, time, row->start_ns, UINT64_MAX);
	else if (process->off_done.len >= FNP_ENGINE_OFF_MAX || fnp_vec_push(&process->off_done, *time) < 0)
		engine->counters.off_cpu_lost++;
}

void fnp_engine_take_off_cpu(struct fnp_invocations *engine, struct process *process, struct invocation *one)
{
	uint64_t from_ns = one->begin.time_ns, to_ns = one->end.time_ns;
	const struct off_time *open = fnp_map_find_ptr(&process->off_open, one->handler_tid);

	if (process->owner || to_ns <= from_ns)
		return;
	while (open && open->begin_ns >= to_ns)
		open = open->older;
	for (size_t i = 0; i < process->off_done.len; i++) {
		const struct off_time *time = &process->off_done.items[i];

		if (time->one.tid == one->handler_tid || (time->begin_ns >= from_ns && time->end_ns <= to_ns))
			add_part(engine, one->row, time, from_ns, to_ns);
	}
	if (open)
		add_part(engine, one->row, open, from_ns, to_ns);
}

uint64_t fnp_engine_oldest_wanted(const struct process *process)
{
	uint64_t oldest_ns = UINT64_MAX;

	for (size_t i = 0; i < process->active.len; i++)
		oldest_ns = FNP_MIN(oldest_ns, process->active.items[i]->begin.time_ns);
	for (size_t i = 0; i < process->ended.len; i++)
		oldest_ns = FNP_MIN(oldest_ns, process->ended.items[i]->begin.time_ns);
	/* The begin of an invocation may still be on its way. */
	return oldest_ns == UINT64_MAX ? process->last.time_ns : oldest_ns;
}

void fnp_engine_prune_off_cpu(struct process *process)
{
	uint64_t oldest_ns = fnp_engine_oldest_wanted(process);
	size_t kept = 0;

	for (size_t i = 0; i < process->off_done.len; i++) {
		if (process->off_done.items[i].end_ns > oldest_ns)
			process->off_done.items[kept++] = process->off_done.items[i];
	}
	process->off_done.len = kept;
}

void fnp_engine_drop_off_cpu(struct process *process)
{
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&process->off_open, slot));)
		free_times((struct off_time *)(uintptr_t)slot->value);
	fnp_map_deinit(&process->off_open);
	fnp_vec_deinit(&process->off_done);
}
