/* SPDX-License-Identifier: Apache-2.0 */
/* What comes out of the rings, one record at a time: checked, and given to whom it concerns. */
#include "profiler/watch_state.h"

#define HELD_MAX (4 << 20)
#define HELD_STRANGERS_MAX (32 << 20)
#define LATE_MAX (32 << 20)

/* ---- events ---- */

static int on_fork(struct fnp_watch *watch, const struct fnp_fork_record *record)
{
	struct fnp_process *parent = fnp_processes_find(watch->processes, record->head.pid), *child;

	if (record->child_pid == record->head.pid)
		return 0;				    /* a thread */
	fnp_watch_forget_process(watch, record->child_pid); /* one that had this pid before */
	/* The child has what its parent had mapped at this moment, which may be newer than what this round has read. */
	if (fnp_map_events_read(watch->map_events) < 0)
		fnp_warning_once("no memory for what processes map");
	fnp_map_events_deliver(watch->map_events, record->head.time_ns, fnp_processes_take_map_event,
			       watch->processes);
	if (!parent)
		return fnp_processes_add(watch->processes, record->child_pid, record->child_process, &child);
	fnp_spaces_fork(watch->spaces, record->head.pid, record->child_pid);
	return fnp_processes_fork(watch->processes, parent, record->child_pid, record->child_process, &child);
}

static int on_exec(struct fnp_watch *watch, const struct fnp_exec_record *record)
{
	struct fnp_record_part name = fnp_record_section(&record->head, FNP_SECTION_FILE_NAME);
	struct fnp_process *process = fnp_processes_find(watch->processes, record->head.pid);
	char path[1025];
	int r = 0;

	if (!process)
		r = fnp_processes_add(watch->processes, record->head.pid, record->head.process, &process);
	if (r < 0)
		return r;
	watch->newborn_ns = record->head.time_ns;
	process->process = record->head.process;
	if (process->program_object)
		return 0; /* its mappings came already, and say it better */
	snprintf(path, sizeof(path), "%.*s", (int)name.size, name.data ? (const char *)name.data : "");
	return fnp_processes_exec(process, path, record->head.time_ns);
}

int fnp_watch_begin_process(struct fnp_watch *watch, const struct fnp_record *head)
{
	if (head->type == FNP_RECORD_FORK)
		return on_fork(watch, (const struct fnp_fork_record *)head);
	if (head->type == FNP_RECORD_EXEC)
		return on_exec(watch, (const struct fnp_exec_record *)head);
	return 0;
}

void fnp_watch_attribute_event(struct fnp_watch *watch, const struct fnp_record *head)
{
	int r = fnp_invocations_event(watch->invocations, head);

	if (head->type == FNP_RECORD_EXIT && ((const struct fnp_exit_record *)head)->last)
		fnp_watch_remember_exit(watch, head);
	if (r == -ENOMEM)
		fnp_warning_once("no memory for an event");
}

void fnp_watch_take_event(void *self, const void *data, size_t size)
{
	struct fnp_watch *watch = self;
	const struct fnp_record *head;

	if (fnp_record_check(data, size, &head) < 0) {
		watch->totals.events_lost++;
		return;
	}
	if (fnp_watch_begin_process(watch, head) == -ENOMEM)
		fnp_warning_once("no memory for an event");
	fnp_watch_attribute_event(watch, head);
}

/* ---- samples ---- */

/* 0, or -EAGAIN: its stack waits for tables. */
static int give_sample(struct fnp_watch *watch, const struct fnp_sample_record *record, bool may_wait)
{
	struct fnp_process *process = fnp_processes_find(watch->processes, record->head.pid);
	struct fnp_sample_record head = *record; /* its fixed part: the stack is resolved now */
	enum fnp_loss_cause cause = FNP_LOSS_UNKNOWN_PROCESS;
	struct fnp_sample_stack stack;
	int r = process ? fnp_samples_take(watch->samples, record, process, may_wait, &stack) : -ESRCH;

	if (r == -EAGAIN)
		return r;
	if (r == 0) {
		head.truncation = stack.truncation;
		fnp_invocations_sample(watch->invocations, &head, stack.one, fnp_samples_epoch(watch->samples));
		return 0;
	}
	if (process)
		cause = r == -ENOSPC ? FNP_LOSS_STACK_TABLE_FULL : FNP_LOSS_NO_MEMORY;
	fnp_invocations_loss(watch->invocations, record->head.pid, record->head.process, cause, 1);
	return 0;
}

static int give_off_cpu(struct fnp_watch *watch, const struct fnp_sample_record *record, bool may_wait)
{
	struct fnp_process *process = fnp_processes_find(watch->processes, record->head.pid);
	struct fnp_sample_stack stack;

	int r = process ? fnp_samples_take(watch->samples, record, process, may_wait, &stack) : -ESRCH;

	if (r == 0)
		fnp_invocations_off_cpu(watch->invocations, record, stack.one,
					fnp_samples_epoch(watch->samples));
	return r == -EAGAIN ? r : 0;
}

static int try_stack(struct fnp_watch *watch, const struct fnp_record *head, bool may_wait)
{
	if (head->type == FNP_RECORD_OFF_CPU)
		return give_off_cpu(watch, (const struct fnp_sample_record *)head, may_wait);
	if (head->type == FNP_RECORD_SAMPLE)
		return give_sample(watch, (const struct fnp_sample_record *)head, may_wait);
	fnp_invocations_off_cpu_end(watch->invocations, (const struct fnp_off_cpu_end_record *)head);
	return 0;
}

static void give_stack(struct fnp_watch *watch, const struct fnp_record *head)
{
	/* The begin of a wait may be late, so its end must be, too. */
	bool may_wait = watch->may_wait || watch->late.len * 8 > LATE_MAX,
	     is_late = head->type == FNP_RECORD_OFF_CPU_END && watch->late.len;
	int r = is_late ? -EAGAIN : try_stack(watch, head, may_wait);

	if (r == -EAGAIN && fnp_vec_append(&watch->late, (const uint64_t *)head, head->size / 8) < 0)
		try_stack(watch, head, true);
}

/*
 * A stack through a file that was never met waits until that file's tables are made, which takes a second for a big one;
 * one through the code of a JVM that starts, until it can be seen what is where in it.
 * All that comes after it goes on meanwhile: a process that lives less has its frames named while it is there.
 */
void fnp_watch_give_late(struct fnp_watch *watch)
{
	uint64_t finished = fnp_tables_finished(fnp_spaces_tables(watch->spaces)) +
			    fnp_runtimes_tend(watch->runtimes);
	size_t kept = 0;

	if (!watch->may_wait && finished == watch->late_finished)
		return;
	watch->late_finished = finished;
	for (size_t i = 0, words; i < watch->late.len; i += words) {
		const struct fnp_record *head = (const struct fnp_record *)&watch->late.items[i];

		words = head->size / 8;
		bool must_stay = head->type == FNP_RECORD_OFF_CPU_END && kept;
		if (!must_stay && try_stack(watch, head, watch->may_wait) != -EAGAIN)
			continue;
		memmove(&watch->late.items[kept], head, words * 8);
		kept += words;
	}
	watch->late.len = kept;
	if (kept == 0 && watch->late.cap * 8 > (1 << 20))
		fnp_vec_deinit(&watch->late);
}

/*
 * Of after this round's time: its process may begin with an event that was not taken yet. When there are too many, those of
 * processes that are known do not wait. (A Go program's first samples bring 32 KiB of stack each, and the round in which it
 * begins takes 20 ms: they were 4 MiB, and those behind them were lost.)
 */
static bool is_to_be_held(struct fnp_watch *watch, const struct fnp_record *head)
{
	size_t bytes = watch->held.len * 8;

	if (head->time_ns <= watch->now_ns || bytes > HELD_STRANGERS_MAX)
		return false;
	return bytes <= HELD_MAX || !fnp_watch_find_process(watch, head->pid, head->process);
}

void fnp_watch_take_sample(void *self, const void *data, size_t size)
{
	struct fnp_watch *watch = self;
	const struct fnp_record *head;

	if (fnp_record_check(data, size, &head) < 0 ||
	    (head->type != FNP_RECORD_SAMPLE && head->type != FNP_RECORD_OFF_CPU &&
	     head->type != FNP_RECORD_OFF_CPU_END)) {
		watch->totals.losses[FNP_LOSS_BAD_RECORD]++;
		return;
	}
	if (!is_to_be_held(watch, head) ||
	    fnp_vec_append(&watch->held, (const uint64_t *)data, head->size / 8) < 0)
		give_stack(watch, head);
}

void fnp_watch_give_held(struct fnp_watch *watch)
{
	for (size_t i = 0; i < watch->held.len;) {
		const struct fnp_record *head = (const struct fnp_record *)&watch->held.items[i];

		give_stack(watch, head);
		i += head->size / 8;
	}
	watch->held.len = 0;
	if (watch->held.cap * 8 > (1 << 20))
		fnp_vec_deinit(&watch->held);
}

void fnp_watch_take_probe(void *self, const void *data, size_t size)
{
	struct fnp_watch *watch = self;
	const struct fnp_record *head;

	if (fnp_record_check(data, size, &head) < 0 || head->type != FNP_RECORD_PROBE)
		watch->totals.events_lost++;
	else
		fnp_probes_take(watch->probes, (const struct fnp_probe_record *)head);
}
