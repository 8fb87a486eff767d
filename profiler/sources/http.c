/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two streams of messages, one a direction, and the exchanges that tie them. Bytes that were moved and not captured come
 * last in an event, and are walked through by `skip_missing`.
 */
#include <errno.h>

#include "profiler/sources/http_exchanges.h"
#include "profiler/sources/http_stream.h"

struct fnp_http_connection {
	enum fnp_http_role role;
	struct fnp_http_stream request, response;
	struct fnp_http_exchanges exchanges;
	bool any, last_was_request;
	bool interim; /* the last response was a 1xx: the same request goes on */
	uint64_t lost;
};

/* What the steps below work on: one event on its way through its stream. */
struct feed {
	struct fnp_http_connection *connection;
	struct fnp_http_stream *stream;
	const struct fnp_http_bytes *bytes;
	const struct fnp_http_observer *observer;
};

int fnp_http_connection_create(enum fnp_http_role role, struct fnp_http_connection **ret)
{
	struct fnp_http_connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return -ENOMEM;
	connection->role = role;
	connection->request.is_request = true;
	*ret = connection;
	return 0;
}

void fnp_http_connection_destroy(struct fnp_http_connection *connection)
{
	if (!connection)
		return;
	fnp_http_stream_deinit(&connection->request);
	fnp_http_stream_deinit(&connection->response);
	free(connection);
}

uint64_t fnp_http_connection_lost(const struct fnp_http_connection *connection)
{
	return connection->lost;
}

static void end_message(const struct feed *f, struct fnp_http_stream *stream, const struct fnp_moment *end)
{
	struct fnp_http_head trailers = {.fields = (const char *)stream->kept.data,
					 .fields_size = stream->kept.len};
	bool has = stream->state == FNP_HTTP_IN_TRAILERS && stream->kept.len > 0;

	if (stream->is_request)
		f->observer->request_end(f->observer->self, stream->tag, end, has ? &trailers : NULL);
	else
		f->observer->response_end(f->observer->self, stream->tag, end, has ? &trailers : NULL);
	fnp_http_stream_restart(stream);
}

/* The final response has begun: a request whose end could not be seen had it with the last bytes before. */
static void end_blind_request(const struct feed *f)
{
	struct fnp_http_stream *request = &f->connection->request;
	struct fnp_moment end = request->last;

	if (request->state == FNP_HTTP_BLIND)
		end_message(f, request, &end);
}

static void get_lost(const struct feed *f)
{
	struct fnp_http_connection *connection = f->connection;

	if (!f->stream->is_request)
		end_blind_request(f);
	else
		fnp_http_exchanges_forget(&connection->exchanges);
	fnp_http_stream_restart(f->stream);
	f->stream->state = FNP_HTTP_LOST;
	connection->lost++;
}

/* `unread`: nothing of its head is known, but that it is a request. */
static void tell_request(const struct feed *f, bool unread)
{
	struct fnp_http_head head = {.partial = true};
	uint64_t tag = 0;

	if (!unread && !fnp_http_stream_head(f->stream, &head))
		return;
	f->observer->request(f->observer->self, &head, &f->stream->begin, &tag);
	f->stream->tag = tag;
	if (fnp_http_exchanges_push(&f->connection->exchanges,
				    (struct fnp_http_exchange){
					    .tag = tag, .is_head = fnp_span_equals(head.method, "HEAD")}) < 0)
		get_lost(f);
}

static void tell_response(const struct feed *f)
{
	struct fnp_http_exchange exchange;
	struct fnp_http_head head;

	end_blind_request(f);
	exchange = fnp_http_exchanges_pop(&f->connection->exchanges);
	f->connection->interim = false;
	f->stream->tag = exchange.tag;
	f->stream->no_body = exchange.is_head;
	if (fnp_http_stream_head(f->stream, &head))
		f->observer->response(f->observer->self, &head, &f->stream->begin, &f->stream->tag);
}

/* Bytes that were not captured hide the rest of the head. */
static void head_is_cut(const struct feed *f)
{
	struct fnp_http_stream *stream = f->stream;
	struct fnp_http_head head;

	stream->partial = true;
	if (!stream->is_request && fnp_http_stream_head(stream, &head) && head.status < 200)
		get_lost(f); /* whether a final one follows is not to be seen */
	else if (!stream->is_request)
		tell_response(f);
	else
		tell_request(f, !stream->has_first_line);
	if (stream->state != FNP_HTTP_LOST)
		fnp_http_stream_go_blind(stream);
}

static void body_follows(const struct feed *f, bool until_close)
{
	struct fnp_http_stream *stream = f->stream;

	stream->kept.len = 0;
	if (stream->framing.bad) {
		fnp_http_stream_go_blind(stream);
	} else if (stream->framing.chunked) {
		stream->state = FNP_HTTP_IN_CHUNK_SIZE;
	} else if (stream->framing.has_length && stream->framing.length > 0) {
		stream->left = stream->framing.length;
		stream->state = FNP_HTTP_IN_LENGTH;
	} else if (!stream->framing.has_length && until_close) {
		stream->state = FNP_HTTP_UNTIL_CLOSE;
	} else {
		end_message(f, stream, &f->bytes->moment);
	}
}

static void response_head_done(const struct feed *f)
{
	struct fnp_http_stream *stream = f->stream;
	struct fnp_http_head head;

	if (!fnp_http_stream_head(stream, &head) || head.status == 101) {
		get_lost(f); /* another protocol from here on */
		return;
	}
	if (head.status < 200) {
		f->connection->interim = true;
		fnp_http_stream_restart(stream);
		return;
	}
	tell_response(f);
	if (stream->no_body || head.status == 204 || head.status == 304)
		stream->framing = (struct fnp_http_framing){.has_length = true};
	body_follows(f, true);
}

static void head_done(const struct feed *f)
{
	if (!f->stream->is_request) {
		response_head_done(f);
		return;
	}
	tell_request(f, false);
	if (f->stream->state != FNP_HTTP_LOST)
		body_follows(f, false);
}

/* A line of a head is whole. */
static void head_line(const struct feed *f, struct fnp_span line)
{
	struct fnp_http_stream *stream = f->stream;
	struct fnp_http_head head;

	if (!stream->has_first_line) {
		if (line.len == 0)
			return; /* empty lines before a message are passed over (RFC 9112, 2.2) */
		fnp_buffer_append(&stream->first, line.data, line.len);
		stream->has_first_line = true;
		if (stream->first.error || !fnp_http_stream_head(stream, &head))
			get_lost(f);
	} else if (stream->line_too_long) {
		return;
	} else if (line.len > 0) {
		fnp_http_stream_note_field(stream, line);
	} else {
		head_done(f);
	}
}

static void line_is_whole(const struct feed *f)
{
	struct fnp_http_stream *stream = f->stream;
	struct fnp_span line = fnp_http_stream_line(stream);

	if (stream->state == FNP_HTTP_IN_HEAD)
		head_line(f, line);
	else if (stream->state == FNP_HTTP_IN_CHUNK_SIZE)
		fnp_http_stream_chunk_line(stream, line);
	else if (line.len > 0)
		fnp_http_stream_note_field(stream, line);
	else if (!stream->line_too_long)
		end_message(f, stream, &f->bytes->moment);
	fnp_http_stream_forget_line(stream);
}

/* Takes bytes of a line, up to its end; how many were used. */
static size_t take_line(const struct feed *f, const uint8_t *data, size_t len)
{
	size_t used = len;
	int r = fnp_http_stream_add_line(f->stream, data, len, &used);

	/* Within a body the message's meaning is known, and alternation still tells its end. */
	if (r < 0 && f->stream->state == FNP_HTTP_IN_HEAD)
		get_lost(f);
	else if (r < 0)
		fnp_http_stream_go_blind(f->stream);
	else if (r > 0)
		line_is_whole(f);
	return used;
}

/* Takes bytes of a body; how many were used. */
static uint64_t take_counted(const struct feed *f, uint64_t len)
{
	struct fnp_http_stream *stream = f->stream;
	uint64_t n = FNP_MIN(len, stream->left);

	stream->left -= n;
	if (stream->left > 0)
		return n;
	if (stream->state == FNP_HTTP_IN_CHUNK)
		stream->state = FNP_HTTP_IN_CHUNK_SIZE;
	else
		end_message(f, stream, &f->bytes->moment);
	return n;
}

static void begin_message(const struct feed *f)
{
	fnp_http_stream_restart(f->stream);
	f->stream->begin = f->bytes->moment;
	f->stream->state = FNP_HTTP_IN_HEAD;
}

static void take_captured(const struct feed *f)
{
	const uint8_t *data = f->bytes->data;
	size_t len = f->bytes->captured;

	while (len > 0) {
		size_t used = len;

		switch (f->stream->state) {
		case FNP_HTTP_AT_START:
			begin_message(f);
			continue;
		case FNP_HTTP_IN_HEAD:
		case FNP_HTTP_IN_CHUNK_SIZE:
		case FNP_HTTP_IN_TRAILERS:
			used = take_line(f, data, len);
			break;
		case FNP_HTTP_IN_LENGTH:
		case FNP_HTTP_IN_CHUNK:
			used = take_counted(f, len);
			break;
		default:
			break;
		}
		data += used;
		len -= used;
	}
}

/* Bytes that were moved after the captured ones: what can still be said of the message. */
static void skip_missing(const struct feed *f)
{
	struct fnp_http_stream *stream = f->stream;
	uint64_t missing = f->bytes->length - f->bytes->captured;

	if (missing == 0)
		return;
	switch (stream->state) {
	case FNP_HTTP_IN_LENGTH:
		if (missing > stream->left)
			get_lost(f); /* the next message hides in there */
		else
			take_counted(f, missing);
		break;
	case FNP_HTTP_IN_CHUNK:
		if (missing > stream->left)
			fnp_http_stream_go_blind(stream);
		else
			take_counted(f, missing);
		break;
	case FNP_HTTP_AT_START:
		begin_message(f);
		head_is_cut(f);
		break;
	case FNP_HTTP_IN_HEAD:
		head_is_cut(f);
		break;
	case FNP_HTTP_IN_CHUNK_SIZE:
	case FNP_HTTP_IN_TRAILERS:
		fnp_http_stream_go_blind(stream);
		break;
	default:
		break;
	}
}

/* The other side speaks: a response without visible end is over, and who is out of step may begin anew. */
static void direction_changed(const struct feed *f)
{
	struct fnp_http_connection *connection = f->connection;
	struct fnp_http_stream *response = &connection->response;
	struct fnp_moment end = response->last;

	if (f->stream->is_request &&
	    (response->state == FNP_HTTP_BLIND || response->state == FNP_HTTP_UNTIL_CLOSE))
		end_message(f, response, &end);
	if (f->stream->state == FNP_HTTP_LOST && !(f->stream->is_request && connection->interim))
		fnp_http_stream_restart(f->stream);
}

static void closed(const struct feed *f)
{
	struct fnp_http_connection *connection = f->connection;

	if (connection->response.state == FNP_HTTP_UNTIL_CLOSE || connection->response.state == FNP_HTTP_BLIND)
		end_message(f, &connection->response, &f->bytes->moment);
	fnp_http_stream_restart(&connection->request);
	fnp_http_stream_restart(&connection->response);
	connection->exchanges = (struct fnp_http_exchanges){0};
	connection->interim = false;
}

void fnp_http_connection_feed(struct fnp_http_connection *connection, const struct fnp_http_bytes *bytes,
			      const struct fnp_http_observer *observer)
{
	bool is_request = bytes->sent == (connection->role == FNP_HTTP_CLIENT);
	struct feed f = {
		.connection = connection,
		.stream = is_request ? &connection->request : &connection->response,
		.bytes = bytes,
		.observer = observer,
	};

	if (bytes->length == 0) {
		closed(&f);
		return;
	}
	if (bytes->captured > bytes->length)
		return;
	if (!connection->any || connection->last_was_request != is_request)
		direction_changed(&f);
	connection->any = true;
	connection->last_was_request = is_request;
	take_captured(&f);
	skip_missing(&f);
	f.stream->last = bytes->moment;
}

void fnp_http_connection_gap(struct fnp_http_connection *connection)
{
	fnp_http_stream_gap(&connection->request);
	fnp_http_stream_gap(&connection->response);
	connection->exchanges = (struct fnp_http_exchanges){0};
	connection->interim = false;
}

uint64_t fnp_http_connection_pending(const struct fnp_http_connection *connection)
{
	const struct fnp_http_stream *request = &connection->request, *response = &connection->response;
	uint64_t pending = 0;

	if (response->state == FNP_HTTP_IN_HEAD)
		pending = response->begin.seq;
	if (request->state == FNP_HTTP_IN_HEAD && (pending == 0 || request->begin.seq < pending))
		pending = request->begin.seq;
	if (request->state == FNP_HTTP_BLIND && request->tag && (pending == 0 || request->last.seq < pending))
		pending = request->last.seq;
	return pending;
}
