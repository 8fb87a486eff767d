/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process: what it is for, and its rows outside of invocations.
 *
 * Rows outside of invocations are phases. A process begins with its `own` row, which is a `process` row unless the
 * process asks for work: then it is cut there and becomes the `init` row, and `idle` begins. Of a process that ran
 * already when we came the init was not seen, and the own row becomes `idle` itself. An exec ends the own row of the
 * image before; what a process spent between fork and its first exec belongs to the row of that exec.
 *
 * A process that works for an exec invocation has no rows of its own: `owner` has them.
 */
#include <errno.h>

#include "profiler/invocations/engine.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static void replace(char **at, const char *text)
{
	free(*at);
	*at = text ? strdup(text) : NULL;
}

char *fnp_engine_row_id(struct fnp_invocations *engine, enum fnp_row_kind kind, uint32_t pid)
{
	char *id = NULL;

	if (asprintf(&id, "%s-%u-%llu", fnp_row_kind_name(kind), pid,
		     (unsigned long long)++engine->next_id[kind]) < 0)
		return NULL;
	return id;
}

void fnp_engine_name_runtime(struct fnp_invocations *engine, struct process *process)
{
	const struct fnp_invocations_host *host = &engine->options.host;
	const char *name;

	if (process->runtime || !host->runtime_name)
		return;
	name = host->runtime_name(host->self, process->pid, process->process);
	if (name)
		process->runtime = strdup(name);
}

/* ---- phases -------------------------------------------------------------------------------------------------- */

struct phase *fnp_engine_phase_at(struct process *process, uint64_t seq)
{
	size_t at = process->phases.len;

	while (at > 1 && process->phases.items[at - 1].from_seq > seq)
		at--;
	return at > 0 ? &process->phases.items[at - 1] : NULL;
}

static int open_phase(struct process *process, enum fnp_row_kind kind, uint64_t from_seq, uint64_t start_ns)
{
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = fnp_row_create(kind);
	int r;

	if (!row)
		return -ENOMEM;
	row->pid = process->pid;
	row->process = process->process;
	row->start_ns = start_ns;
	r = fnp_vec_push(&process->phases, (struct phase){.from_seq = from_seq, .row = row});
	if (r == 0)
		TAKE_PTR(row);
	return r;
}

int fnp_engine_open_own(struct process *process, uint64_t from_seq, uint64_t start_ns)
{
	int r = open_phase(process, FNP_ROW_PROCESS, from_seq, start_ns);

	if (r == 0)
		process->own = process->phases.items[process->phases.len - 1].row;
	return r;
}

static int open_idle(struct process *process, uint64_t from_seq, uint64_t start_ns)
{
	int r = open_phase(process, FNP_ROW_IDLE, from_seq, start_ns);

	if (r == 0)
		process->idle = process->phases.items[process->phases.len - 1].row;
	return r;
}

/* The row is over; it is closed a grace later. */
static void end_row(struct process *process, const struct fnp_row *row, uint64_t time_ns)
{
	for (size_t i = 0; i < process->phases.len; i++) {
		struct phase *phase = &process->phases.items[i];

		if (phase->row != row || phase->due_ns)
			continue;
		phase->row->duration_ns = time_ns > row->start_ns ? time_ns - row->start_ns : 0;
		phase->due_ns = time_ns + FNP_ENGINE_GRACE_NS;
	}
	if (process->own == row)
		process->own = NULL;
	if (process->idle == row)
		process->idle = NULL;
}

static void remove_phase(struct process *process, size_t at)
{
	memmove(&process->phases.items[at], &process->phases.items[at + 1],
		(process->phases.len - at - 1) * sizeof(process->phases.items[0]));
	process->phases.len--;
}

/* Hands an ended row to the sink. */
static void close_phase(struct fnp_invocations *engine, struct process *process, size_t at)
{
	struct fnp_row *row = process->phases.items[at].row;
	bool past = process->phases.items[at].past;

	remove_phase(process, at);
	fnp_engine_close_row(engine, process, row, !past);
}

void fnp_engine_become_instance(struct fnp_invocations *engine, struct process *process,
				const struct fnp_moment *moment, enum fnp_outcome outcome)
{
	struct fnp_row *own = process->own;

	if (!own)
		return;
	fnp_engine_charge(process, moment->process_ns);
	fnp_engine_name_runtime(engine, process);
	if (!process->birth_seen) {
		/* Its init was not seen, or not from its begin. */
		own->kind = FNP_ROW_IDLE;
		process->own = NULL;
		process->idle = own;
		process->instance = true;
		return;
	}
	if (process->idle) /* of the image before: one idle row a process, at its end */
		end_row(process, process->idle, moment->time_ns);
	if (open_idle(process, moment->seq, moment->time_ns) < 0)
		return;
	own->kind = FNP_ROW_INIT;
	own->outcome = outcome;
	own->id = fnp_engine_row_id(engine, FNP_ROW_INIT, process->pid);
	replace(&process->init_id, own->id);
	end_row(process, own, moment->time_ns);
	if (process->image.seq)
		fnp_engine_make_ledger(process, &process->image, moment, own, false);
	process->instance = true;
}

/* ---- what it is for ------------------------------------------------------------------------------------------ */

static void set_filter(struct fnp_invocations *engine, struct process *process)
{
	const struct fnp_invocations_host *host = &engine->options.host;
	uint32_t flags = FNP_TARGET_SAMPLED;
	uint16_t port = 0;

	if (process->waits_for_exec)
		flags |= FNP_TARGET_WAIT_EXEC | FNP_TARGET_SOCKETS;
	if (process->claimed && process->claim.kind == FNP_CLAIM_MESSAGES) {
		flags |= FNP_TARGET_SOCKETS;
		port = process->claim.role == FNP_HTTP_CLIENT ? process->claim.port : 0;
	}
	if (host->set_filter)
		host->set_filter(host->self, process->pid, flags, port);
}

void fnp_engine_claim(struct fnp_invocations *engine, struct process *process,
		      const struct fnp_environment *environment)
{
	const struct fnp_invocations_host *host = &engine->options.host;
	fnp_autobuffer struct fnp_buffer whole = {0};
	struct fnp_environment again;

	fnp_claim_deinit(&process->claim);
	process->claimed = fnp_sources_claim(environment, &process->claim);
	if (process->claimed || !environment->truncated || !host->environment)
		return;
	if (host->environment(host->self, process->pid, process->process, &whole) < 0)
		return;
	again = (struct fnp_environment){.data = (const char *)whole.data, .size = whole.len};
	process->claimed = fnp_sources_claim(&again, &process->claim);
}

int fnp_engine_note_unseen_call(struct process *process)
{
	const char *id = process->claim.identity.id;

	if (!process->claimed || process->claim.kind != FNP_CLAIM_PROCESS)
		return 0;
	process->unseen_call = true;
	replace(&process->unseen_id, id);
	return id && !process->unseen_id ? -ENOMEM : 0;
}

/* True when the new image is a call whose begin is now. */
static bool is_new_call(const struct process *process)
{
	const char *id = process->claim.identity.id;

	if (!process->claimed || process->claim.kind != FNP_CLAIM_PROCESS)
		return false;
	if (!process->unseen_call)
		return true;
	return id && (!process->unseen_id || strcmp(id, process->unseen_id) != 0);
}

/* A fork has its parent's environment. */
static void inherit_claim(struct process *child, const struct process *parent)
{
	const struct fnp_identity *from = &parent->claim.identity;

	if (!parent->claimed || parent->claim.kind != FNP_CLAIM_MESSAGES)
		return;
	child->claim = parent->claim;
	child->claim.identity = (struct fnp_identity){0};
	child->claimed = true;
	replace(&child->claim.identity.function, from->function);
	replace(&child->claim.identity.version, from->version);
}

/* One that was wanted once stays: what it did before has rows, and what it does now may be for the same call. */
static bool is_unwanted(const struct fnp_invocations *engine, const struct process *process)
{
	return engine->options.mode == FNP_MODE_HOST && !process->claimed && !process->descendant &&
	       !process->owner && !process->has_image;
}

static void unwatch(struct fnp_invocations *engine, struct process *process)
{
	const struct fnp_invocations_host *host = &engine->options.host;

	process->unwanted = true;
	if (host->unwatch)
		host->unwatch(host->self, process->pid, process->process);
}

/* ---- events -------------------------------------------------------------------------------------------------- */

static void note_thread(struct process *process, const struct fnp_fork_record *fork)
{
	struct thread_origin one = {.tid = fork->child_tid, .creator = fork->head.tid, .seq = fork->head.seq};

	if (!process->claimed || process->claim.kind != FNP_CLAIM_MESSAGES)
		return;
	if (process->threads.len < FNP_ENGINE_THREADS_MAX) {
		if (fnp_vec_push(&process->threads, one) < 0)
			return;
	} else {
		process->threads.items[process->next_thread] = one;
	}
	process->next_thread = (process->next_thread + 1) % FNP_ENGINE_THREADS_MAX;
}

static uint64_t serial_for_child(const struct process *parent)
{
	if (parent->active.len == 1)
		return parent->active.items[0]->serial;
	return parent->active.len == 0 ? parent->for_serial : 0;
}

static void on_fork(struct fnp_invocations *engine, struct process *process, const struct fnp_fork_record *fork)
{
	struct process *child;

	if (fork->child_pid == process->pid) {
		note_thread(process, fork);
		return;
	}
	child = fnp_engine_add(engine, fork->child_pid, fork->child_process);
	if (!child)
		return;
	child->birth_seen = child->descendant = true;
	child->parent_pid = process->pid;
	child->parent = process->process;
	child->next_seq = 1;
	replace(&child->program, process->program);
	inherit_claim(child, process);
	child->unseen_call = process->unseen_call;
	replace(&child->unseen_id, process->unseen_id);
	child->owner = process->owner;
	if (child->owner) {
		child->owner->users++;
		return;
	}
	child->for_serial = serial_for_child(process);
	if (fnp_engine_open_own(child, 0, fork->head.time_ns) < 0)
		engine->counters.events_lost++;
}

static void set_program(struct process *process, const struct fnp_exec_record *exec)
{
	struct fnp_record_part name = fnp_record_section(&exec->head, FNP_SECTION_FILE_NAME);
	fnp_autofree char *path = fnp_span_dup((struct fnp_span){.data = name.data, .len = name.size});

	if (path && path[0])
		replace(&process->program, base_name(path));
}

static struct fnp_environment environment_of(const struct fnp_exec_record *exec)
{
	struct fnp_record_part part = fnp_record_section(&exec->head, FNP_SECTION_ENVIRONMENT);

	return (struct fnp_environment){.data = part.data,
					.size = part.size,
					.truncated = part.truncated || !part.data || part.size == 0};
}

/* True when the new image is a call of its own, not the one that its process works for. */
static bool is_other_call(const struct process *process)
{
	const char *id = process->claim.identity.id;

	return process->owner->process != process && process->claimed &&
	       process->claim.kind == FNP_CLAIM_PROCESS && id && strcmp(id, process->owner->row->id) != 0;
}

/* The image before is over: its row, and an instance's invocations with it. */
static void end_image(struct fnp_invocations *engine, struct process *process, const struct fnp_moment *moment)
{
	while (process->active.len > 0)
		fnp_engine_end(engine, process->active.items[0], moment, FNP_OUTCOME_KILLED);
	if (process->own) {
		/* Its name is the old program's. */
		process->own->function = process->program ? strdup(process->program) : NULL;
		process->own->runtime = process->runtime ? strdup(process->runtime) : NULL;
		end_row(process, process->own, moment->time_ns);
	}
	for (size_t i = 0; i < process->phases.len; i++)
		process->phases.items[i].past = true;
	fnp_engine_forget_streams(engine, process);
	process->instance = process->served = false;
	replace(&process->runtime, NULL);
	replace(&process->init_id, NULL);
}

/* The own row of the new image: that of the fork, when the process had no image of its own yet. */
static int own_of_image(struct fnp_invocations *engine, struct process *process, const struct fnp_moment *moment)
{
	if (process->has_image || !process->own) {
		end_image(engine, process, moment);
		if (process->phases.len >= FNP_ENGINE_PHASES_MAX)
			close_phase(engine, process, 0);
		return fnp_engine_open_own(process, moment->seq, moment->time_ns);
	}
	process->own->start_ns = moment->time_ns;
	return 0;
}

static void on_exec(struct fnp_invocations *engine, struct process *process, const struct fnp_exec_record *exec)
{
	struct fnp_moment moment = fnp_record_moment(&exec->head);
	struct fnp_environment environment = environment_of(exec);

	fnp_engine_charge(process, moment.process_ns);
	process->waits_for_exec = false;
	fnp_engine_claim(engine, process, &environment);
	if (is_unwanted(engine, process)) {
		unwatch(engine, process);
		return;
	}
	set_filter(engine, process);
	if (process->owner && !is_other_call(process))
		return;
	if (process->owner) {
		process->owner->users--;
		process->owner = NULL;
	}
	if (own_of_image(engine, process, &moment) < 0) {
		engine->counters.events_lost++;
		return;
	}
	set_program(process, exec);
	process->has_image = process->birth_seen = true;
	process->image = moment;
	process->handler_tid = 0;
	if (is_new_call(process))
		fnp_engine_begin_exec(engine, process, &moment);
}

/* `exit_code` as wait() gives it, -1: not known. */
static enum fnp_outcome outcome_of_exit(const struct fnp_invocations *engine,
					const struct invocation *invocation, uint64_t time_ns,
					int64_t exit_code)
{
	uint64_t utc_ns = time_ns + (uint64_t)engine->options.utc_offset_ns;

	if (invocation->process->owner != invocation) {
		uint64_t deadline = invocation->row->deadline_utc_ns;
		return deadline && utc_ns >= deadline ? FNP_OUTCOME_TIMEOUT : FNP_OUTCOME_KILLED;
	}
	if (exit_code < 0)
		return FNP_OUTCOME_UNKNOWN;
	if (exit_code & 0x7f)
		return FNP_OUTCOME_KILLED;
	return exit_code >> 8 & 0xff ? FNP_OUTCOME_ERROR : FNP_OUTCOME_OK;
}

/*
 * What a process that an invocation started had spent in the end is the invocation's children's. It is paid at the exit, too,
 * because a child that answers may be torn down when the invocation is closed already.
 */
static void pay_for_child(struct fnp_invocations *engine, struct process *process)
{
	struct invocation *payer = fnp_map_find_ptr(&engine->serials, process->for_serial);

	if (!process->for_serial || !payer)
		return;
	payer->row->children_cpu_ns += process->cpu_mark - FNP_MIN(process->cpu_mark, process->paid_ns);
	payer->row->has_children_cpu = true;
	process->paid_ns = FNP_MAX(process->cpu_mark, process->paid_ns);
}

/* Its last thread began to exit. What is active stays so until the process is gone: tearing down belongs to it. */
static void on_last_exit(struct fnp_invocations *engine, struct process *process,
			 const struct fnp_moment *moment, int64_t exit_code)
{
	process->dead = true;
	process->exit_ns = moment->time_ns;
	fnp_engine_name_runtime(engine, process);
	fnp_engine_charge(process, moment->process_ns);
	if (exit_code == 0 && !process->owner)
		fnp_engine_hand_over(engine, process);
	pay_for_child(engine, process);
	for (size_t i = 0; i < process->active.len; i++) {
		struct invocation *one = process->active.items[i];

		one->end = *moment;
		one->row->outcome = outcome_of_exit(engine, one, moment->time_ns, exit_code);
	}
}

void fnp_engine_apply(struct fnp_invocations *engine, struct process *process, const struct fnp_record *record)
{
	struct fnp_moment moment = fnp_record_moment(record);

	process->last = moment;
	if (process->unwanted && record->type != FNP_RECORD_EXEC)
		return;
	process->unwanted = false;
	process->unwanted_ns = 0;
	fnp_engine_end_answered(engine, process, &moment);
	switch (record->type) {
	case FNP_RECORD_FORK:
		on_fork(engine, process, (const void *)record);
		break;
	case FNP_RECORD_EXEC:
		on_exec(engine, process, (const void *)record);
		break;
	case FNP_RECORD_EXIT:
		fnp_engine_note_exit(process, &moment);
		if (((const struct fnp_exit_record *)(const void *)record)->last)
			on_last_exit(engine, process, &moment,
				     ((const struct fnp_exit_record *)(const void *)record)->exit_code & 0xffff);
		break;
	case FNP_RECORD_SOCKET:
		fnp_engine_socket_event(engine, process, (const void *)record);
		break;
	}
}

/* ---- the end ------------------------------------------------------------------------------------------------- */

void fnp_engine_end_process(struct fnp_invocations *engine, struct process *process, uint64_t time_ns)
{
	struct fnp_moment moment = {.seq = UINT64_MAX, .time_ns = time_ns, .process_ns = process->cpu_mark};

	if (process->gone)
		return;
	if (!process->dead)
		on_last_exit(engine, process, &moment, -1);
	process->gone = true;
	pay_for_child(engine, process);
	while (process->active.len > 0) {
		struct invocation *one = process->active.items[0];
		fnp_engine_end(engine, one, &one->end, one->row->outcome);
	}
	for (size_t i = 0; i < process->phases.len; i++)
		end_row(process, process->phases.items[i].row, process->exit_ns);
	if (process->shared)
		process->shared->duration_ns = process->exit_ns -
					       FNP_MIN(process->exit_ns, process->shared->start_ns);
	fnp_engine_forget_streams(engine, process);
}

static void close_shared(struct fnp_invocations *engine, struct process *process)
{
	struct fnp_row *row = TAKE_PTR(process->shared);

	row->cpu_ns += process->pool_ns;
	process->pool_ns = 0;
	fnp_engine_close_row(engine, process, row, true);
}

static bool invocation_is_due(const struct process *process, const struct invocation *one, uint64_t now_ns)
{
	bool last = one == process->ended.items[process->ended.len - 1];
	bool may_have_more = last && process->active.len == 0 && !process->gone && !process->owner;

	return now_ns >= one->end.time_ns + (may_have_more ? FNP_ENGINE_POST_NS : FNP_ENGINE_GRACE_NS);
}

void fnp_engine_close_due(struct fnp_invocations *engine, struct process *process, uint64_t now_ns)
{
	for (size_t i = 0; i < process->ended.len;) {
		if (engine->finishing || invocation_is_due(process, process->ended.items[i], now_ns))
			fnp_engine_close_invocation(engine, process->ended.items[i]);
		else
			i++;
	}
	if (process->off_done.len > 0)
		fnp_engine_prune_off_cpu(process);
	if (process->collections.len > 0)
		fnp_engine_prune_collections(process);
	for (size_t i = 0; i < process->phases.len;) {
		struct phase *phase = &process->phases.items[i];

		if (phase->due_ns && (engine->finishing || now_ns >= phase->due_ns))
			close_phase(engine, process, i);
		else
			i++;
	}
	if (process->gone && process->shared && process->ended.len == 0)
		close_shared(engine, process);
}

void fnp_engine_free_process(struct fnp_invocations *engine, struct process *process)
{
	fnp_engine_forget_streams(engine, process);
	fnp_engine_drop_queue(process);
	fnp_engine_drop_off_cpu(process);
	for (size_t i = 0; i < process->phases.len; i++)
		fnp_row_destroy(process->phases.items[i].row);
	fnp_row_destroy(process->shared);
	while (process->active.len > 0)
		fnp_engine_free_invocation(engine, process->active.items[process->active.len - 1]);
	while (process->ended.len > 0)
		fnp_engine_free_invocation(engine, process->ended.items[process->ended.len - 1]);
	fnp_vec_deinit(&process->phases);
	fnp_vec_deinit(&process->active);
	fnp_vec_deinit(&process->ended);
	fnp_vec_deinit(&process->collections);
	fnp_vec_deinit(&process->threads);
	fnp_vec_deinit(&process->queue);
	fnp_claim_deinit(&process->claim);
	free(process->program);
	free(process->runtime);
	free(process->learned_function);
	free(process->learned_version);
	free(process->init_id);
	free(process->unseen_id);
	free(process);
}
