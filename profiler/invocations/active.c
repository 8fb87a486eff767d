/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The begin and the end of invocations. The set of active ones of a process changes here alone, always after its CPU
 * time was charged up to the moment of the change.
 */
#include <errno.h>

#include "base/clock.h"
#include "profiler/invocations/engine.h"

static void remove_from(struct invocation **items, size_t *len, const struct invocation *one)
{
	for (size_t i = 0; i < *len; i++) {
		if (items[i] != one)
			continue;
		memmove(items + i, items + i + 1, (*len - i - 1) * sizeof(*items));
		(*len)--;
		return;
	}
}

static struct invocation *find_by_id(struct invocation **items, size_t len, const char *id)
{
	for (size_t i = 0; i < len; i++) {
		if (items[i]->row->id && strcmp(items[i]->row->id, id) == 0)
			return items[i];
	}
	return NULL;
}

struct invocation *fnp_engine_find_active(struct process *process, const char *id)
{
	return find_by_id(process->active.items, process->active.len, id);
}

struct invocation *fnp_engine_find_ended(struct process *process, const char *id)
{
	return find_by_id(process->ended.items, process->ended.len, id);
}

static void take_text(char **at, char **from)
{
	free(*at);
	*at = TAKE_PTR(*from);
}

/* Takes the texts of `identity`. The environment's function and version come before those of the message. */
static void fill_row(struct fnp_row *row, struct process *process, struct fnp_identity *identity)
{
	const struct fnp_identity *known = &process->claim.identity;

	row->id = TAKE_PTR(identity->id);
	row->trace_id = TAKE_PTR(identity->trace_id);
	row->parent_span_id = TAKE_PTR(identity->parent_span_id);
	row->deadline_utc_ns = identity->deadline_utc_ns;
	if (identity->function)
		take_text(&process->learned_function, &identity->function);
	if (identity->version)
		take_text(&process->learned_version, &identity->version);
	if (known->function || process->learned_function)
		row->function = strdup(known->function ? known->function : process->learned_function);
	if (known->version || process->learned_version)
		row->version = strdup(known->version ? known->version : process->learned_version);
}

static void set_cold(struct process *process, struct fnp_row *row)
{
	if (process->served)
		row->cold = FNP_FALSE;
	else if (process->birth_seen)
		row->cold = FNP_TRUE;
	if (!process->served)
		row->init = TAKE_PTR(process->init_id);
	process->served = true;
}

static struct invocation *create(struct process *process, struct fnp_row *row, const struct fnp_moment *begin)
{
	struct invocation *one = calloc(1, sizeof(*one));

	if (!one)
		return NULL;
	one->row = row;
	one->process = process;
	one->begin = *begin;
	one->end_seq = UINT64_MAX;
	return one;
}

/* The new one is the last of `active`; from here on it is known everywhere. */
static int publish(struct fnp_invocations *engine, struct process *process, struct invocation *one)
{
	int r;

	one->serial = engine->next_serial + 1;
	r = fnp_vec_reserve(&process->active, process->active.len + 1);
	if (r == 0)
		r = fnp_map_set_ptr(&engine->serials, one->serial, one);
	if (r < 0)
		return r;
	engine->next_serial++;
	process->active.items[process->active.len++] = one;
	engine->counters.active++;
	return 0;
}

static void open_shared(struct process *process, uint64_t start_ns)
{
	if (process->shared)
		return;
	process->shared = fnp_row_create(FNP_ROW_SHARED);
	if (!process->shared)
		return;
	process->shared->pid = process->pid;
	process->shared->process = process->process;
	process->shared->start_ns = start_ns;
}

/* Several are active: whose thread is in doubt, and where does go what nothing tells apart. */
static void note_overlap(struct process *process, struct invocation *one)
{
	if (process->active.len < 2)
		return;
	open_shared(process, one->begin.time_ns);
	for (size_t i = 0; i < process->active.len; i++) {
		struct invocation *other = process->active.items[i];

		other->overlapped = true;
		if (other != one && other->begin.tid == one->begin.tid)
			other->disturbed = one->disturbed = true;
	}
}

struct invocation *fnp_engine_begin(struct fnp_invocations *engine, struct process *process,
				    struct fnp_identity *identity, const struct fnp_moment *begin)
{
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = fnp_row_create(FNP_ROW_INVOCATION);
	fnp_autofree struct invocation *one = row ? create(process, row, begin) : NULL;

	fnp_engine_end_doubtful(engine, process, begin);
	fnp_engine_become_instance(engine, process, begin, FNP_OUTCOME_OK);
	fnp_engine_charge(process, begin->process_ns);
	if (!one || process->active.len >= FNP_ENGINE_ACTIVE_MAX || publish(engine, process, one) < 0) {
		engine->counters.events_lost++;
		return NULL;
	}
	row->pid = process->pid;
	row->process = process->process;
	row->start_ns = begin->time_ns;
	fill_row(row, process, identity);
	set_cold(process, row);
	note_overlap(process, one);
	fnp_engine_name_runtime(engine, process);
	TAKE_PTR(row);
	return TAKE_PTR(one);
}

static char *exec_id(const struct fnp_invocations *engine, const struct process *process, uint64_t start_ns)
{
	char start[FNP_CLOCK_TEXT_MAX], *id = NULL;

	fnp_clock_format_compact((int64_t)start_ns + engine->options.utc_offset_ns, start);
	if (asprintf(&id, "exec-%u-%s", process->pid, start) < 0)
		return NULL;
	return id;
}

void fnp_engine_begin_exec(struct fnp_invocations *engine, struct process *process,
			   const struct fnp_moment *begin)
{
	struct fnp_row *row = process->own;
	fnp_autofree struct invocation *one = row ? create(process, row, begin) : NULL;

	if (!one || publish(engine, process, one) < 0) {
		engine->counters.events_lost++;
		return;
	}
	/* The row of its fork or exec is the invocation's from now on, with what is in it. */
	process->phases.len--;
	process->own = NULL;
	row->kind = FNP_ROW_INVOCATION;
	row->start_ns = begin->time_ns;
	row->attribution[FNP_ATTRIBUTION_EXACT] += row->attribution[FNP_ATTRIBUTION_NONE];
	row->attribution[FNP_ATTRIBUTION_NONE] = 0;
	row->has_children_cpu = true;
	fill_row(row, process, &process->claim.identity);
	if (!row->id)
		row->id = exec_id(engine, process, begin->time_ns);
	if (!row->function && process->program)
		row->function = strdup(process->program);
	set_cold(process, row);
	one->users = 1;
	process->owner = TAKE_PTR(one);
}

static void move_to_ended(struct process *process, struct invocation *one)
{
	remove_from(process->active.items, &process->active.len, one);
	/* The room is there: what was active once had it in one of the two. */
	process->ended.items[process->ended.len++] = one;
}

void fnp_engine_end(struct fnp_invocations *engine, struct invocation *one, const struct fnp_moment *end,
		    enum fnp_outcome outcome)
{
	struct process *process = one->process;
	struct fnp_moment answered;

	if (one->answered_ns) {
		answered = *end;
		answered.time_ns = FNP_MIN(one->answered_ns, end->time_ns);
		answered.has_clocks = false;
		end = &answered;
		outcome = one->answered_outcome;
	}
	if (!process->gone) /* else the last word has been said */
		fnp_engine_charge(process, end->process_ns);
	if (fnp_vec_reserve(&process->ended, process->ended.len + 1) < 0) {
		engine->counters.events_lost++;
		fnp_engine_free_invocation(engine, one);
		return;
	}
	one->end = *end;
	one->end_seq = process->dead || engine->finishing ? UINT64_MAX : end->seq;
	one->certain = !one->disturbed && end->tid == one->begin.tid;
	one->row->outcome = outcome;
	one->row->duration_ns = end->time_ns > one->begin.time_ns ? end->time_ns - one->begin.time_ns : 0;
	one->row->has_post_cpu = one->end_seq != UINT64_MAX;
	fnp_engine_make_ledger(process, &one->begin, end, one->row, one->disturbed);
	one->handler_tid = process->dead || engine->finishing
				   ? (process->handler_tid ? process->handler_tid : one->begin.tid)
				   : end->tid;
	if (!process->dead && !engine->finishing)
		fnp_engine_note_handler(process, end->tid);
	move_to_ended(process, one);
	engine->counters.active--;
	for (size_t i = 0; i < process->active.len; i++) {
		if (process->active.items[i]->begin.tid == end->tid)
			process->active.items[i]->disturbed = true;
	}
}

void fnp_engine_end_doubtful(struct fnp_invocations *engine, struct process *process,
			     const struct fnp_moment *moment)
{
	if (process->claim.concurrent)
		return;
	for (size_t i = 0; i < process->active.len;) {
		if (process->active.items[i]->doubtful)
			fnp_engine_end(engine, process->active.items[i], moment, FNP_OUTCOME_UNFINISHED);
		else
			i++;
	}
}

/*
 * What the process spent while several were active: this one's share is known exactly when it was never alone and
 * its thread worked for it alone, else by its samples; never more than there is.
 */
static void take_from_pool(struct invocation *one)
{
	struct process *process = one->process;
	uint64_t share = one->inferred_ns;

	if (!one->overlapped)
		return;
	if (one->certain && one->alone_ns == 0 && one->end.thread_ns > one->begin.thread_ns)
		share = one->end.thread_ns - one->begin.thread_ns;
	share = FNP_MIN(share, process->pool_ns);
	process->pool_ns -= share;
	one->row->cpu_ns += share;
}

/* What still works for it has a row of its own from here on. */
static void release_users(struct fnp_invocations *engine, struct invocation *one)
{
	const struct fnp_invocations_host *host = &engine->options.host;

	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&engine->processes, slot));) {
		for (struct process *at = (void *)(uintptr_t)slot->value; at; at = at->older) {
			uint64_t cpu_ns;

			if (at->owner != one)
				continue;
			if (!at->gone && at != one->process && host->cpu_now &&
			    host->cpu_now(host->self, at->pid, at->process, &cpu_ns) == 0)
				fnp_engine_charge(at, cpu_ns);
			at->owner = NULL;
			if (!at->gone && fnp_engine_open_own(at, 0, one->end.time_ns) < 0)
				engine->counters.events_lost++;
		}
	}
}

/* The last one of an instance that lives: what was spent since its answer is known up to now. */
static void charge_until_now(struct fnp_invocations *engine, struct process *process)
{
	const struct fnp_invocations_host *host = &engine->options.host;
	uint64_t cpu_ns;

	if (process->dead || process->active.len > 0 || process->n_pending > 0)
		return;
	fnp_engine_charge(process, process->last.process_ns);
	if (host->cpu_now && process->queue.len == 0 &&
	    host->cpu_now(host->self, process->pid, process->process, &cpu_ns) == 0)
		fnp_engine_charge(process, cpu_ns);
}

void fnp_engine_close_invocation(struct fnp_invocations *engine, struct invocation *one)
{
	struct process *process = one->process;
	struct fnp_row *row;

	if (one == process->ended.items[process->ended.len - 1])
		charge_until_now(engine, process);
	take_from_pool(one);
	fnp_engine_take_off_cpu(engine, process, one);
	if (one->users > 0)
		release_users(engine, one);
	row = TAKE_PTR(one->row);
	fnp_engine_free_invocation(engine, one);
	fnp_engine_close_row(engine, process, row, true);
}

void fnp_engine_free_invocation(struct fnp_invocations *engine, struct invocation *one)
{
	struct process *process = one->process;
	size_t active = process->active.len;

	remove_from(process->active.items, &process->active.len, one);
	remove_from(process->ended.items, &process->ended.len, one);
	engine->counters.active -= active - process->active.len;
	fnp_map_remove(&engine->serials, one->serial);
	fnp_row_destroy(one->row);
	free(one);
}
