/* SPDX-License-Identifier: Apache-2.0 */
/* The public face: the table of processes, and what is done in each round. See engine.h for the parts. */
#include "profiler/invocations/invocations.h"

#include <errno.h>

#include "profiler/invocations/engine.h"

int fnp_invocations_create(const struct fnp_invocations_options *options, struct fnp_invocations **ret)
{
	struct fnp_invocations *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return -ENOMEM;
	engine->options = *options;
	*ret = engine;
	return 0;
}

void fnp_invocations_destroy(struct fnp_invocations *engine)
{
	if (!engine)
		return;
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&engine->processes, slot));) {
		struct process *older;

		for (struct process *at = (void *)(uintptr_t)slot->value; at; at = older) {
			older = at->older;
			fnp_engine_free_process(engine, at);
		}
	}
	fnp_map_deinit(&engine->processes);
	fnp_map_deinit(&engine->serials);
	fnp_map_deinit(&engine->sockets);
	fnp_vec_deinit(&engine->held);
	fnp_engine_drop_events(engine);
	free(engine);
}

/* ---- processes ----------------------------------------------------------------------------------------------- */

struct process *fnp_engine_find(const struct fnp_invocations *engine, uint32_t pid, uint64_t process)
{
	struct process *at = fnp_map_find_ptr(&engine->processes, pid);

	for (; at; at = at->older) {
		if (process == 0 || at->process == process)
			return at;
		if (at->process == 0) {
			at->process = process; /* attached before its start was known */
			return at;
		}
	}
	return NULL;
}

struct process *fnp_engine_add(struct fnp_invocations *engine, uint32_t pid, uint64_t process)
{
	struct process *one;

	if (engine->counters.processes >= FNP_ENGINE_PROCESSES_MAX) {
		engine->counters.events_lost++;
		return NULL;
	}
	one = calloc(1, sizeof(*one));
	if (!one) {
		engine->counters.events_lost++;
		return NULL;
	}
	one->pid = pid;
	one->process = process;
	one->older = fnp_map_find_ptr(&engine->processes, pid);
	if (fnp_map_set_ptr(&engine->processes, pid, one) < 0) {
		engine->counters.events_lost++;
		free(one);
		return NULL;
	}
	engine->counters.processes++;
	return one;
}

static void drop(struct fnp_invocations *engine, struct process *process)
{
	struct process *newest = fnp_map_find_ptr(&engine->processes, process->pid);

	if (newest == process && !process->older) {
		fnp_map_remove(&engine->processes, process->pid);
	} else if (newest == process) {
		*fnp_map_find(&engine->processes, process->pid) = (uint64_t)(uintptr_t)process->older;
	} else {
		while (newest->older != process)
			newest = newest->older;
		newest->older = process->older;
	}
	if (process->owner && process->owner->process != process)
		process->owner->users--;
	engine->counters.processes--;
	fnp_engine_free_process(engine, process);
}

static bool is_wanted(const struct fnp_invocations *engine, const struct process *process)
{
	return engine->options.mode != FNP_MODE_HOST || process->claimed;
}

struct process *fnp_engine_adopt(struct fnp_invocations *engine, uint32_t pid, uint64_t process, uint64_t now_ns)
{
	const struct fnp_invocations_host *host = &engine->options.host;
	fnp_autobuffer struct fnp_buffer bytes = {0};
	struct fnp_environment environment = {0};
	struct process *one = fnp_engine_add(engine, pid, process);

	if (!one)
		return NULL;
	if (host->environment && host->environment(host->self, pid, process, &bytes) == 0)
		environment = (struct fnp_environment){.data = (const char *)bytes.data, .size = bytes.len};
	fnp_engine_claim(engine, one, &environment);
	one->has_image = is_wanted(engine, one);
	if (fnp_engine_note_unseen_call(one) < 0)
		engine->counters.events_lost++;
	if (!one->has_image) {
		one->unwanted = true;
		if (host->unwatch)
			host->unwatch(host->self, pid, process);
	} else if (fnp_engine_open_own(one, 0, now_ns) < 0) {
		engine->counters.events_lost++;
	}
	return one;
}

static char *program_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return path ? strdup(slash && slash[1] ? slash + 1 : path) : NULL;
}

int fnp_invocations_attach(struct fnp_invocations *engine, const struct fnp_invocations_process *process)
{
	const struct fnp_invocations_host *host = &engine->options.host;
	struct fnp_environment environment = {.data = process->environment, .size = process->environment_size};
	uint32_t flags = FNP_TARGET_SAMPLED;
	struct process *one;

	if (fnp_engine_find(engine, process->pid, process->process))
		return -EEXIST;
	if (engine->options.mode == FNP_MODE_HOST && !fnp_sources_wants_process(&environment))
		return -ENOENT;
	one = fnp_engine_add(engine, process->pid, process->process);
	if (!one)
		return -ENOMEM;
	one->next_seq = 1;
	one->program = program_name(process->program);
	one->waits_for_exec = process->waits_for_exec;
	one->has_image = !process->waits_for_exec;
	if (!one->waits_for_exec)
		fnp_engine_claim(engine, one, &environment);
	if (fnp_engine_note_unseen_call(one) < 0 || fnp_engine_open_own(one, 0, process->now_ns) < 0) {
		drop(engine, one);
		return -ENOMEM;
	}
	if (one->waits_for_exec)
		flags |= FNP_TARGET_WAIT_EXEC | FNP_TARGET_SOCKETS;
	else if (one->claimed && one->claim.kind == FNP_CLAIM_MESSAGES)
		flags |= FNP_TARGET_SOCKETS;
	if (host->set_filter)
		host->set_filter(host->self, one->pid, flags,
				 flags & FNP_TARGET_WAIT_EXEC || one->claim.role != FNP_HTTP_CLIENT
					 ? 0
					 : one->claim.port);
	return 0;
}

static bool is_any_alive(const struct fnp_invocations *engine, bool descendants)
{
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&engine->processes, slot));) {
		const struct process *newest = (const void *)(uintptr_t)slot->value;

		/* What a process spends while it is torn down is its own, too. */
		if (!newest->gone && !newest->unwanted && (descendants || !newest->descendant))
			return true;
	}
	return false;
}

bool fnp_invocations_any_alive(const struct fnp_invocations *engine)
{
	return is_any_alive(engine, true);
}

bool fnp_invocations_any_given_alive(const struct fnp_invocations *engine)
{
	return is_any_alive(engine, false);
}

/* ---- records ------------------------------------------------------------------------------------------------- */

int fnp_invocations_event(struct fnp_invocations *engine, const struct fnp_record *record)
{
	struct process *process = fnp_engine_find(engine, record->pid, record->process);

	if (!fnp_record_is_event(record))
		return -EINVAL;
	if (!process && record->type == FNP_RECORD_EXEC)
		process = fnp_engine_add(engine, record->pid, record->process);
	else if (!process)
		process = fnp_engine_adopt(engine, record->pid, record->process, record->time_ns);
	if (!process)
		return -ENOMEM;
	return fnp_engine_take_event(engine, process, record);
}

/* The row that is active now; NULL. */
static struct fnp_row *present_row(struct process *one)
{
	struct phase *phase = fnp_engine_phase_at(one, UINT64_MAX);

	if (one->owner)
		return one->owner->row;
	if (one->active.len == 1)
		return one->active.items[0]->row;
	if (one->active.len > 1 && one->shared)
		return one->shared;
	return phase ? phase->row : NULL;
}

void fnp_invocations_loss(struct fnp_invocations *engine, uint32_t pid, uint64_t process,
			  enum fnp_loss_cause cause, uint64_t n)
{
	struct process *one = fnp_engine_find(engine, pid, process);
	struct fnp_row *row;

	if (one && one->unwanted) {
		engine->counters.losses_unwanted += n;
		return;
	}
	engine->counters.losses[cause] += n;
	row = one ? present_row(one) : NULL;
	if (row)
		row->losses[cause] += n;
}

void fnp_invocations_row_events_lost(struct fnp_invocations *engine, uint32_t pid, uint64_t process, uint64_t n)
{
	struct process *one = fnp_engine_find(engine, pid, process);
	struct fnp_row *row = one && !one->unwanted ? present_row(one) : NULL;

	engine->counters.row_events_lost += n;
	if (row)
		row->events_lost += n;
}

void fnp_invocations_gone(struct fnp_invocations *engine, uint32_t pid, uint64_t process,
			  const struct fnp_target *final, uint64_t time_ns)
{
	struct process *one = fnp_engine_find(engine, pid, process);

	if (!one || one->gone)
		return;
	fnp_engine_expire_gaps(engine, one, true);
	if (one->unwanted) {
		one->dead = one->gone = true;
		one->exit_ns = time_ns;
		return;
	}
	fnp_engine_settle(one, final->cpu_ns);
	fnp_engine_release_process(engine, one);
	fnp_engine_end_process(engine, one, time_ns);
}

/* ---- rounds -------------------------------------------------------------------------------------------------- */

static char *dup_or_null(const char *text)
{
	return text ? strdup(text) : NULL;
}

static void name_row(struct fnp_invocations *engine, struct process *process, struct fnp_row *row)
{
	const struct fnp_identity *known = &process->claim.identity;
	bool serves = row->kind != FNP_ROW_PROCESS;

	if (!row->id)
		row->id = fnp_engine_row_id(engine, row->kind, row->pid);
	if (serves && !row->function)
		row->function = dup_or_null(known->function ? known->function : process->learned_function);
	if (serves && !row->version)
		row->version = dup_or_null(known->version ? known->version : process->learned_version);
	if (!row->function)
		row->function = strdup(process->program ? process->program : "unknown");
	if (serves && !row->source && process->claimed)
		row->source = strdup(process->claim.source->name);
	row->process = process->process;
}

void fnp_engine_close_row(struct fnp_invocations *engine, struct process *process, struct fnp_row *row,
			  bool current)
{
	enum fnp_row_kind kind = row->kind;

	if (current) {
		fnp_engine_name_runtime(engine, process);
		if (!row->runtime)
			row->runtime = dup_or_null(process->runtime);
	}
	name_row(engine, process, row);
	fnp_engine_make_phases(row);
	fnp_row_sort_events(row);
	fnp_engine_ledger_gc(process, row);
	fnp_ledger_count(&engine->counters.ledgers, &row->ledger);
	if (!row->id || !row->function) {
		engine->counters.rows_failed++;
		fnp_row_destroy(row);
		return;
	}
	engine->counters.rows++;
	if (kind == FNP_ROW_INVOCATION)
		engine->counters.invocations++;
	if (engine->options.sink.close_row(engine->options.sink.self, row) < 0)
		engine->counters.rows_failed++;
}

/* Entries of the table, old ones included; a copy, because some are dropped on the way. */
static int list_processes(const struct fnp_invocations *engine, struct process ***ret, size_t *ret_n)
{
	struct process **all = calloc(engine->counters.processes + 1, sizeof(struct process *));
	size_t n = 0;

	if (!all)
		return -ENOMEM;
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&engine->processes, slot));) {
		for (struct process *at = (void *)(uintptr_t)slot->value; at; at = at->older)
			all[n++] = at;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}

static void tend(struct fnp_invocations *engine, struct process *process)
{
	uint64_t since;

	/* Not since its exec: a starved agent reads of that seconds later, and of the last samples later still. */
	if (process->unwanted && !process->unwanted_ns)
		process->unwanted_ns = engine->now_ns;
	since = process->unwanted ? process->unwanted_ns : process->exit_ns;
	fnp_engine_expire_gaps(engine, process, false);
	if (process->dead && !process->gone && engine->now_ns > process->exit_ns + FNP_ENGINE_GONE_NS) {
		fnp_engine_charge(process, process->last.process_ns);
		fnp_engine_release_process(engine, process);
		fnp_engine_end_process(engine, process, process->exit_ns);
	}
	fnp_engine_close_due(engine, process, engine->now_ns);
	if (!process->gone && !process->unwanted)
		return;
	if (process->phases.len || process->ended.len || process->active.len || process->shared)
		return;
	/* Its late records are still known for a while. */
	if (engine->now_ns > since + (process->unwanted ? FNP_ENGINE_GONE_NS : FNP_ENGINE_GRACE_NS))
		drop(engine, process);
}

/* The recording ends while this process lives, or before it was said to be gone. */
static void finish_process(struct fnp_invocations *engine, struct process *process)
{
	const struct fnp_invocations_host *host = &engine->options.host;
	struct fnp_moment moment;
	uint64_t cpu_ns;

	if (process->unwanted || process->gone)
		return;
	fnp_engine_charge(process, process->last.process_ns);
	if (host->cpu_now && host->cpu_now(host->self, process->pid, process->process, &cpu_ns) == 0)
		fnp_engine_charge(process, cpu_ns);
	moment = (struct fnp_moment){
		.seq = UINT64_MAX, .time_ns = engine->now_ns, .process_ns = process->cpu_mark};
	while (!process->dead && process->active.len > 0)
		fnp_engine_end(engine, process->active.items[0], &moment, FNP_OUTCOME_UNFINISHED);
	fnp_engine_end_process(engine, process, moment.time_ns);
}

static void for_each_process(struct fnp_invocations *engine,
			     void (*step)(struct fnp_invocations *engine, struct process *process))
{
	fnp_autofree struct process **all = NULL;
	size_t n;

	if (list_processes(engine, &all, &n) < 0) {
		engine->counters.rows_failed++;
		return;
	}
	for (size_t i = 0; i < n; i++)
		step(engine, all[i]);
}

static void expire_all_gaps(struct fnp_invocations *engine, struct process *process)
{
	fnp_engine_expire_gaps(engine, process, true);
}

static void close_all(struct fnp_invocations *engine, struct process *process)
{
	fnp_engine_close_due(engine, process, engine->now_ns);
}

void fnp_invocations_advance(struct fnp_invocations *engine, uint64_t now_ns)
{
	engine->now_ns = now_ns;
	fnp_engine_release(engine, false);
	for_each_process(engine, tend);
}

void fnp_invocations_finish(struct fnp_invocations *engine, uint64_t now_ns)
{
	engine->now_ns = now_ns;
	/* Each step may bring processes that the one before did not know: late forks, samples without a process. */
	for_each_process(engine, expire_all_gaps);
	fnp_engine_release(engine, true);
	engine->finishing = true;
	for_each_process(engine, finish_process);
	for_each_process(engine, close_all);
}

void fnp_invocations_counters(const struct fnp_invocations *engine, struct fnp_invocations_counters *ret)
{
	*ret = engine->counters;
}
