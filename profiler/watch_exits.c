/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that end. A process is over when its last thread has left its CPU, which is after its exit: tearing down
 * memory takes up to 60 ms. It is settled a round later, when its last samples are in, and its mappings are kept for
 * the rows that still close.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/watch_state.h"

#define KEEP_EXITED_NS 3000000000 /* rows of a process close in this time */
#define OVERDUE_NS 10000000000	  /* tearing down takes less */

void fnp_watch_remember_exit(struct fnp_watch *watch, const struct fnp_record *head)
{
	struct fnp_watch_exited exited = {.pid = head->pid, .process = head->process, .time_ns = head->time_ns};
	struct fnp_process *p = fnp_watch_find_process(watch, head->pid, head->process);

	if (p)
		p->exited = true;
	if (fnp_vec_push(&watch->exited, exited) < 0)
		fnp_warning_once("no memory to follow processes that end");
}

void fnp_watch_settle_losses(struct fnp_watch *watch, uint32_t pid, const struct fnp_target *target)
{
	for (int cause = 0; cause < FNP_LOSS_MAX; cause++) {
		if (target->lost[cause])
			fnp_invocations_loss(watch->invocations, pid, target->process, cause,
					     target->lost[cause]);
	}
	if (target->probes_lost)
		fnp_invocations_row_events_lost(watch->invocations, pid, target->process, target->probes_lost);
	watch->totals.ticks += target->ticks;
	watch->totals.events_lost += target->events_lost;
}

static void settle(struct fnp_watch *watch, struct fnp_watch_exited *exited, const struct fnp_target *target)
{
	fnp_watch_settle_losses(watch, exited->pid, target);
	fnp_probes_end_process(watch->probes, exited->pid, exited->process, exited->time_ns);
	fnp_invocations_gone(watch->invocations, exited->pid, exited->process, target, exited->time_ns);
	watch->options.add_process(watch->options.self, exited->pid, exited->process, target->cpu_ns);
	fnp_kernel_unwatch(watch->options.kernel, exited->pid);
	exited->settled = true;
}

/*
 * Of many threads that die at once some may not have begun to exit when the last one is counted: /proc lists them
 * until they are gone.
 */
static bool threads_are_gone(uint32_t pid, const struct fnp_target *target)
{
	char path[64];
	struct stat st;

	if (target->running != 0 || target->deads < target->exits)
		return false;
	if (target->exits <= 1)
		return true;
	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	return stat(path, &st) < 0 ||
	       st.st_nlink <= 3; /* itself, its parent, and a leader that waits to be reaped */
}

/*
 * Nobody of it is left but perhaps a leader that waits to be reaped, which has no program any more. Counts that say otherwise
 * long after its exit are wrong (a switch was not seen), and what is left of them will not come.
 */
static bool is_overdue(const struct fnp_watch *watch, const struct fnp_watch_exited *exited)
{
	char path[64], program[8];
	struct stat st;

	if (watch->now_ns < exited->time_ns + OVERDUE_NS)
		return false;
	snprintf(path, sizeof(path), "/proc/%u/task", exited->pid);
	if (stat(path, &st) == 0 && st.st_nlink > 3)
		return false;
	snprintf(path, sizeof(path), "/proc/%u/exe", exited->pid);
	return readlink(path, program, sizeof(program)) < 0 && (errno == ENOENT || errno == ESRCH);
}

/* True when this entry is done with. */
static bool visit_exited(struct fnp_watch *watch, struct fnp_watch_exited *exited)
{
	struct fnp_process *p;
	struct fnp_target target;

	if (exited->settled) {
		if (watch->now_ns < exited->time_ns + KEEP_EXITED_NS)
			return false;
		p = fnp_watch_find_process(watch, exited->pid, exited->process);
		if (p && p->exited)
			fnp_watch_forget_process(watch, exited->pid);
		return true;
	}
	if (fnp_kernel_read_target(watch->options.kernel, exited->pid, &target) < 0 ||
	    (target.process && target.process != exited->process)) {
		exited->settled = true; /* unwatched, or its pid serves another already */
		return false;
	}
	if (exited->over)
		settle(watch, exited, &target);
	else
		exited->over = threads_are_gone(exited->pid, &target) || is_overdue(watch, exited);
	return false;
}

void fnp_watch_visit_exited(struct fnp_watch *watch)
{
	size_t kept = 0;

	for (size_t i = 0; i < watch->exited.len; i++) {
		if (!visit_exited(watch, &watch->exited.items[i]))
			watch->exited.items[kept++] = watch->exited.items[i];
	}
	watch->exited.len = kept;
}
