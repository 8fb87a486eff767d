/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of processes whose source goes by messages: which count, what their HTTP says, and what the source makes
 * of it. A connection is one stream whoever moves its bytes; what begins or ends there does so in the process whose
 * event told it.
 *
 * The tag of an exchange, which the HTTP reader keeps between a request and its response, is what the request meant in
 * the low bits, and above it the serial of the invocation that it began (for servers).
 */
#include "profiler/invocations/engine.h"

#define TAG_KIND 0x3fU
#define TAG_UNREAD 0x40U /* nothing of the request could be read */
#define TAG_KNOWN 0x80U	 /* the request was seen, even if it means nothing */
#define TAG_SERIAL_SHIFT 8

/* Handed through the HTTP reader to the callbacks below. */
struct scene {
	struct fnp_invocations *engine;
	struct process *process;
	struct connection *connection;
};

static void work_deinit(struct fnp_work *work)
{
	fnp_identity_deinit(&work->identity);
	work->kind = FNP_WORK_NONE;
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

static void unlink_connection(struct fnp_invocations *engine, struct connection *one)
{
	*(one->prev ? &one->prev->next : &engine->newest) = one->next;
	*(one->next ? &one->next->prev : &engine->oldest) = one->prev;
	one->next = one->prev = NULL;
}

static void link_newest(struct fnp_invocations *engine, struct connection *one)
{
	one->next = engine->newest;
	*(engine->newest ? &engine->newest->prev : &engine->oldest) = one;
	engine->newest = one;
}

static void set_pending(struct connection *one, struct process *process, bool pending)
{
	if (one->pending)
		one->process->n_pending--;
	if (pending)
		process->n_pending++;
	one->process = process;
	one->pending = pending;
}

static void forget(struct fnp_invocations *engine, struct connection *one)
{
	set_pending(one, one->process, false);
	unlink_connection(engine, one);
	fnp_map_remove(&engine->sockets, one->socket);
	fnp_http_connection_destroy(one->http);
	work_deinit(&one->request);
	free(one);
}

static struct connection *remember(struct fnp_invocations *engine, struct process *process,
				   const struct fnp_socket_record *record)
{
	FNP_CLEANUP(fnp_http_connection_destroyp) struct fnp_http_connection *http = NULL;
	fnp_autofree struct connection *one = calloc(1, sizeof(*one));

	if (!one || fnp_http_connection_create(process->claim.role, &http) < 0)
		return NULL;
	if (engine->sockets.len >= FNP_ENGINE_CONNECTIONS_MAX)
		forget(engine, engine->oldest);
	if (fnp_map_set_ptr(&engine->sockets, record->socket, one) < 0)
		return NULL;
	one->socket = record->socket;
	one->local_port = record->local_port;
	one->remote_port = record->remote_port;
	one->process = process;
	one->source = process->claim.source;
	one->http = TAKE_PTR(http);
	link_newest(engine, one);
	return TAKE_PTR(one);
}

static struct connection *connection_of(struct fnp_invocations *engine, struct process *process,
					const struct fnp_socket_record *record)
{
	struct connection *one = fnp_map_find_ptr(&engine->sockets, record->socket);

	/* Where the kernel side has no cookies, a number may come again for another connection. */
	if (one && (one->local_port != record->local_port || one->remote_port != record->remote_port)) {
		forget(engine, one);
		one = NULL;
	}
	if (!one)
		return record->length ? remember(engine, process, record) : NULL;
	unlink_connection(engine, one);
	link_newest(engine, one);
	return one;
}

void fnp_engine_forget_streams(struct fnp_invocations *engine, const struct process *process)
{
	for (struct connection *one = engine->newest, *next; one; one = next) {
		next = one->next;
		if (one->process == process)
			forget(engine, one);
	}
}

void fnp_engine_streams_gap(struct fnp_invocations *engine, struct process *process)
{
	for (struct connection *one = engine->newest; one; one = one->next) {
		if (one->process != process)
			continue;
		fnp_http_connection_gap(one->http);
		set_pending(one, process, fnp_http_connection_pending(one->http) != 0);
	}
}

uint64_t fnp_engine_pending(const struct fnp_invocations *engine, const struct process *process)
{
	uint64_t first = 0;

	if (process->n_pending == 0)
		return 0;
	for (const struct connection *one = engine->newest; one; one = one->next) {
		uint64_t seq = one->process == process ? fnp_http_connection_pending(one->http) : 0;

		if (seq && (first == 0 || seq < first))
			first = seq;
	}
	return first;
}

/* ---- what messages mean -------------------------------------------------------------------------------------- */

static void on_request(void *self, const struct fnp_http_head *head, const struct fnp_moment *begin,
		       uint64_t *tag)
{
	struct scene *scene = self;
	struct fnp_work work = {0};
	struct invocation *begun = NULL;

	work_deinit(&scene->connection->request);
	if (!head->method.data) {
		scene->connection->unread_end = (struct fnp_moment){0};
		*tag = TAG_UNREAD;
		return;
	}
	scene->connection->source->request(head, &work);
	if (work.kind == FNP_WORK_ASKS) {
		fnp_engine_end_doubtful(scene->engine, scene->process, begin);
		if (!scene->process->instance || scene->process->own)
			fnp_engine_become_instance(scene->engine, scene->process, begin, FNP_OUTCOME_OK);
	} else if (work.kind == FNP_WORK_BEGINS) {
		begun = fnp_engine_begin(scene->engine, scene->process, &work.identity, begin);
	}
	*tag = TAG_KNOWN | work.kind | (begun ? begun->serial << TAG_SERIAL_SHIFT : 0);
	scene->connection->request = work;
}

static void percent_decode(char *text)
{
	char *to = text;

	for (const char *at = text; *at; at++) {
		char hex[3] = {at[0] == '%' ? at[1] : '\0', at[0] == '%' && at[1] ? at[2] : '\0', '\0'};

		if (strlen(hex) == 2 && strspn(hex, "0123456789abcdefABCDEF") == 2 && strcmp(hex, "00") != 0) {
			*to++ = (char)strtoul(hex, NULL, 16);
			at += 2;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
}

/* An answer of its own, or the error after an answer that the server refused. */
static bool answer(struct scene *scene, const char *id, const struct fnp_moment *end, enum fnp_outcome outcome)
{
	struct invocation *one = fnp_engine_find_active(scene->process, id);

	if (one) {
		fnp_engine_end(scene->engine, one, end, outcome);
		return true;
	}
	one = fnp_engine_find_ended(scene->process, id);
	if (one && outcome == FNP_OUTCOME_ERROR)
		one->row->outcome = FNP_OUTCOME_ERROR;
	return one != NULL;
}

static void answer_any_spelling(struct scene *scene, char *id, const struct fnp_moment *end,
				enum fnp_outcome outcome)
{
	if (!id || answer(scene, id, end, outcome))
		return;
	if (fnp_engine_answer_elsewhere(scene->engine, scene->process, id, end, outcome))
		return;
	percent_decode(id);
	if (!answer(scene, id, end, outcome) &&
	    !fnp_engine_answer_elsewhere(scene->engine, scene->process, id, end, outcome))
		scene->engine->counters.answers_unknown++;
}

static void on_request_end(void *self, uint64_t tag, const struct fnp_moment *end,
			   const struct fnp_http_head *trailers)
{
	struct scene *scene = self;
	struct fnp_work *work = &scene->connection->request;
	const struct fnp_source_ops *source = scene->connection->source;
	bool err = trailers && source->trailers_err && source->trailers_err(trailers);

	if (tag & TAG_UNREAD)
		scene->connection->unread_end = *end;
	if ((tag & TAG_KIND) != work->kind)
		return;
	if (work->kind == FNP_WORK_INIT_ERRS) {
		if (!scene->process->instance || scene->process->own)
			fnp_engine_become_instance(scene->engine, scene->process, end, FNP_OUTCOME_ERROR);
	} else if (work->kind == FNP_WORK_ERRS || work->kind == FNP_WORK_ANSWERS) {
		err = err || work->kind == FNP_WORK_ERRS;
		answer_any_spelling(scene, work->identity.id, end, err ? FNP_OUTCOME_ERROR : FNP_OUTCOME_OK);
	}
	work_deinit(work);
}

/* The server took a request that could not be read for an answer: to the only work that there is. */
static void take_unread_answer(struct scene *scene)
{
	const struct fnp_moment *end = &scene->connection->unread_end;
	struct invocation *one = scene->process->active.len == 1 ? scene->process->active.items[0] : NULL;

	if (one && end->seq > one->begin.seq)
		fnp_engine_end(scene->engine, one, end, FNP_OUTCOME_UNKNOWN);
	else
		scene->engine->counters.answers_unknown++;
}

static void on_response(void *self, const struct fnp_http_head *head, const struct fnp_moment *begin,
			uint64_t *tag)
{
	struct scene *scene = self;
	enum fnp_work_kind request = (enum fnp_work_kind)(*tag & TAG_KIND);
	bool unknown = !(*tag & TAG_KNOWN);
	struct fnp_work work = {0};

	scene->connection->source->response(head, request, unknown, &work);
	if (work.kind == FNP_WORK_BEGINS &&
	    !(unknown && fnp_engine_find_active(scene->process, work.identity.id)))
		fnp_engine_begin(scene->engine, scene->process, &work.identity, begin);
	if (work.kind == FNP_WORK_ANSWERS && (*tag & TAG_UNREAD))
		take_unread_answer(scene);
	/* Of a server: the answer's end ends what its request began. */
	if (work.kind == FNP_WORK_ANSWERS || work.kind == FNP_WORK_ERRS)
		*tag = (*tag & ~(uint64_t)TAG_KIND) | work.kind;
	work_deinit(&work);
}

static void on_response_end(void *self, uint64_t tag, const struct fnp_moment *end,
			    const struct fnp_http_head *trailers)
{
	struct scene *scene = self;
	const struct fnp_source_ops *source = scene->connection->source;
	struct invocation *one = tag >> TAG_SERIAL_SHIFT
					 ? fnp_map_find_ptr(&scene->engine->serials, tag >> TAG_SERIAL_SHIFT)
					 : NULL;
	bool err = trailers && source->trailers_err && source->trailers_err(trailers);

	if (!one || one->end_seq != UINT64_MAX || one->process != scene->process)
		return;
	err = err || (tag & TAG_KIND) == FNP_WORK_ERRS;
	fnp_engine_end(scene->engine, one, end, err ? FNP_OUTCOME_ERROR : FNP_OUTCOME_OK);
}

static bool counts(const struct process *process, const struct fnp_socket_record *record)
{
	const struct fnp_claim *claim = &process->claim;

	if (!process->claimed || claim->kind != FNP_CLAIM_MESSAGES || process->dead || process->waits_for_exec)
		return false;
	if (claim->role == FNP_HTTP_SERVER)
		return claim->port == 0 || record->local_port == claim->port;
	if (claim->port && record->remote_port != claim->port)
		return false;
	return !claim->has_address || memcmp(record->remote_address, claim->address, 16) == 0;
}

void fnp_engine_socket_event(struct fnp_invocations *engine, struct process *process,
			     const struct fnp_socket_record *record)
{
	struct fnp_record_part data = fnp_record_section(&record->head, FNP_SECTION_DATA);
	struct fnp_http_bytes bytes = {
		.moment = fnp_record_moment(&record->head),
		.data = data.data,
		.captured = data.data ? (size_t)FNP_MIN((uint64_t)data.size, record->length) : 0,
		.length = record->length,
		.sent = record->direction == FNP_SOCKET_SENT,
	};
	struct scene scene = {.engine = engine, .process = process};
	struct fnp_http_observer observer = {.self = &scene,
					     .request = on_request,
					     .request_end = on_request_end,
					     .response = on_response,
					     .response_end = on_response_end};
	uint64_t lost;

	if (!counts(process, record))
		return;
	scene.connection = connection_of(engine, process, record);
	if (!scene.connection)
		return;
	lost = fnp_http_connection_lost(scene.connection->http);
	fnp_http_connection_feed(scene.connection->http, &bytes, &observer);
	engine->counters.streams_lost += fnp_http_connection_lost(scene.connection->http) - lost;
	set_pending(scene.connection, process, fnp_http_connection_pending(scene.connection->http) != 0);
	if (record->length == 0)
		forget(engine, scene.connection);
}
