/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two streams of messages, one a direction, and the queue of exchanges that ties them. A stream goes through a head
 * line by line (so that a head of a megabyte costs one line of memory), then through a body by counting. Bytes that
 * were moved and not captured come last in an event, and are walked through by `skip_missing`.
 */
#include "profiler/sources/http_head.h"

#include <ctype.h>
#include <errno.h>

#define EXCHANGES_MAX 16 /* requests under way on one connection; more pipelining than that is out of step */

enum stream_state {
	AT_START, /* before the first byte of a message */
	IN_HEAD,
	IN_LENGTH, /* `left` bytes of body to come */
	IN_CHUNK_SIZE,
	IN_CHUNK, /* `left` bytes of chunk and its line end to come */
	IN_TRAILERS,
	UNTIL_CLOSE, /* a response without length */
	BLIND,	     /* framing lost within a message: alternation tells its end */
	LOST,	     /* out of step: nothing is known until the direction changes */
};

struct stream {
	enum stream_state state;
	bool is_request, has_first_line, line_too_long, partial;
	uint64_t left;
	uint64_t head_bytes;
	struct fnp_http_framing framing;
	struct fnp_buffer line;	 /* of head, chunk size or trailers, so far */
	struct fnp_buffer first; /* the first line */
	struct fnp_buffer kept;	 /* fields, with a NUL after each */
	struct fnp_moment begin, last;
	uint64_t tag; /* of the message under way */
	bool no_body; /* of a response: it answers a HEAD request */
};

struct exchange {
	uint64_t tag;
	bool is_head;
};

struct fnp_http_connection {
	enum fnp_http_role role;
	struct stream request, response;
	struct exchange exchanges[EXCHANGES_MAX];
	unsigned int n_exchanges, first_exchange;
	unsigned int early; /* responses that were seen before their requests: another thread was quicker */
	bool any, last_was_request;
	bool paired;  /* a response had its request: from then on one without is early */
	bool interim; /* the last response was a 1xx: the same request goes on */
	uint64_t lost;
};

/* What the steps below work on: one event on its way through its stream. */
struct feed {
	struct fnp_http_connection *connection;
	struct stream *stream;
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

static void stream_deinit(struct stream *stream)
{
	fnp_buffer_deinit(&stream->line);
	fnp_buffer_deinit(&stream->first);
	fnp_buffer_deinit(&stream->kept);
}

void fnp_http_connection_destroy(struct fnp_http_connection *connection)
{
	if (!connection)
		return;
	stream_deinit(&connection->request);
	stream_deinit(&connection->response);
	free(connection);
}

uint64_t fnp_http_connection_lost(const struct fnp_http_connection *connection)
{
	return connection->lost;
}

static bool head_of(const struct stream *stream, struct fnp_http_head *ret)
{
	struct fnp_span line = {.data = (const char *)stream->first.data, .len = stream->first.len};

	*ret = (struct fnp_http_head){
		.partial = stream->partial,
		.fields = (const char *)stream->kept.data,
		.fields_size = stream->kept.len,
	};
	return stream->is_request ? fnp_http_parse_request_line(line, ret)
				  : fnp_http_parse_status_line(line, ret);
}

static void note_field(struct stream *stream, struct fnp_span line)
{
	struct fnp_span name, value;

	if (!fnp_http_split_field(line, &name, &value))
		return; /* a folded line, or nothing that we know */
	fnp_http_note_framing(&stream->framing, name, value);
	if (line.len + 1 > FNP_HTTP_KEPT_MAX - FNP_MIN(stream->kept.len, (size_t)FNP_HTTP_KEPT_MAX))
		return;
	if (fnp_buffer_room(&stream->kept, line.len + 1)) {
		fnp_buffer_append(&stream->kept, line.data, line.len);
		fnp_buffer_byte(&stream->kept, 0);
	}
}

static void forget_line(struct stream *stream)
{
	stream->line.len = 0;
	stream->line_too_long = false;
}

static void to_start(struct stream *stream)
{
	stream->state = AT_START;
	forget_line(stream);
	/* What a big head needed is given back; small ones keep their room for the next. */
	if (stream->kept.cap > 4096)
		fnp_buffer_deinit(&stream->kept);
	stream->line.error = stream->first.error = stream->kept.error = 0;
	stream->first.len = stream->kept.len = 0;
	stream->has_first_line = stream->partial = stream->no_body = false;
	stream->head_bytes = stream->left = stream->tag = 0;
	stream->framing = (struct fnp_http_framing){0};
}

/* Framing is lost within a message, of which at least one byte was seen. */
static void go_blind(struct stream *stream)
{
	stream->state = BLIND;
	forget_line(stream);
}

static void end_message(const struct feed *f, struct stream *stream, const struct fnp_moment *end)
{
	struct fnp_http_head trailers = {.fields = (const char *)stream->kept.data,
					 .fields_size = stream->kept.len};
	bool has = stream->state == IN_TRAILERS && stream->kept.len > 0;

	if (stream->is_request)
		f->observer->request_end(f->observer->self, stream->tag, end, has ? &trailers : NULL);
	else
		f->observer->response_end(f->observer->self, stream->tag, end, has ? &trailers : NULL);
	to_start(stream);
}

/* The final response has begun: a request whose end could not be seen had it with the last bytes before. */
static void end_blind_request(const struct feed *f)
{
	struct stream *request = &f->connection->request;
	struct fnp_moment end = request->last;

	if (request->state == BLIND)
		end_message(f, request, &end);
}

static void get_lost(const struct feed *f)
{
	struct fnp_http_connection *connection = f->connection;

	if (!f->stream->is_request)
		end_blind_request(f);
	else
		connection->n_exchanges = connection->early = 0;
	to_start(f->stream);
	f->stream->state = LOST;
	connection->lost++;
}

static void push_exchange(const struct feed *f, uint64_t tag, bool is_head)
{
	struct fnp_http_connection *connection = f->connection;
	unsigned int at = (connection->first_exchange + connection->n_exchanges) % EXCHANGES_MAX;

	if (connection->early > 0) {
		connection->early--;
	} else if (connection->n_exchanges == EXCHANGES_MAX) {
		get_lost(f);
	} else {
		connection->exchanges[at] = (struct exchange){.tag = tag, .is_head = is_head};
		connection->n_exchanges++;
	}
}

static struct exchange pop_exchange(struct fnp_http_connection *connection)
{
	struct exchange one = {0};

	if (connection->n_exchanges == 0) {
		connection->early += connection->paired;
		return one;
	}
	one = connection->exchanges[connection->first_exchange];
	connection->first_exchange = (connection->first_exchange + 1) % EXCHANGES_MAX;
	connection->n_exchanges--;
	connection->paired = true;
	return one;
}

/* `unread`: nothing of its head is known, but that it is a request. */
static void tell_request(const struct feed *f, bool unread)
{
	struct fnp_http_head head = {.partial = true};
	uint64_t tag = 0;

	if (!unread && !head_of(f->stream, &head))
		return;
	f->observer->request(f->observer->self, &head, &f->stream->begin, &tag);
	f->stream->tag = tag;
	push_exchange(f, tag, fnp_span_equals(head.method, "HEAD"));
}

static void tell_response(const struct feed *f)
{
	struct exchange exchange;
	struct fnp_http_head head;

	end_blind_request(f);
	exchange = pop_exchange(f->connection);
	f->connection->interim = false;
	f->stream->tag = exchange.tag;
	f->stream->no_body = exchange.is_head;
	if (head_of(f->stream, &head))
		f->observer->response(f->observer->self, &head, &f->stream->begin, &f->stream->tag);
}

/* Bytes that were not captured hide the rest of the head. */
static void head_is_cut(const struct feed *f)
{
	struct stream *stream = f->stream;
	struct fnp_http_head head;

	stream->partial = true;
	if (!stream->is_request && head_of(stream, &head) && head.status < 200)
		get_lost(f); /* whether a final one follows is not to be seen */
	else if (!stream->is_request)
		tell_response(f);
	else
		tell_request(f, !stream->has_first_line);
	if (stream->state != LOST)
		go_blind(stream);
}

static void body_follows(const struct feed *f, bool until_close)
{
	struct stream *stream = f->stream;

	stream->kept.len = 0;
	if (stream->framing.bad) {
		go_blind(stream);
	} else if (stream->framing.chunked) {
		stream->state = IN_CHUNK_SIZE;
	} else if (stream->framing.has_length && stream->framing.length > 0) {
		stream->left = stream->framing.length;
		stream->state = IN_LENGTH;
	} else if (!stream->framing.has_length && until_close) {
		stream->state = UNTIL_CLOSE;
	} else {
		end_message(f, stream, &f->bytes->moment);
	}
}

static void response_head_done(const struct feed *f)
{
	struct stream *stream = f->stream;
	struct fnp_http_head head;

	if (!head_of(stream, &head) || head.status == 101) {
		get_lost(f); /* another protocol from here on */
		return;
	}
	if (head.status < 200) {
		f->connection->interim = true;
		to_start(stream);
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
	if (f->stream->state != LOST)
		body_follows(f, false);
}

/* A line of a head is whole. */
static void head_line(const struct feed *f, struct fnp_span line)
{
	struct stream *stream = f->stream;
	struct fnp_http_head head;

	if (!stream->has_first_line) {
		if (line.len == 0)
			return; /* empty lines before a message are passed over (RFC 9112, 2.2) */
		fnp_buffer_append(&stream->first, line.data, line.len);
		stream->has_first_line = true;
		if (stream->first.error || !head_of(stream, &head))
			get_lost(f);
	} else if (stream->line_too_long) {
		return;
	} else if (line.len > 0) {
		note_field(stream, line);
	} else {
		head_done(f);
	}
}

/* Size in hexadecimal, then perhaps an extension. */
static void chunk_line(struct stream *stream, struct fnp_span line)
{
	uint64_t size = 0;
	size_t digits = 0;

	for (; digits < line.len && isxdigit((unsigned char)line.data[digits]); digits++) {
		unsigned int c = (unsigned int)tolower((unsigned char)line.data[digits]);

		if (size > (uint64_t)INT64_MAX >> 4) {
			go_blind(stream);
			return;
		}
		size = size << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
	}
	if (digits == 0) {
		go_blind(stream);
	} else if (size == 0) {
		stream->state = IN_TRAILERS;
		stream->kept.len = 0;
	} else {
		stream->left = size + 2; /* with the line end after it */
		stream->state = IN_CHUNK;
	}
}

static void line_is_whole(const struct feed *f)
{
	struct stream *stream = f->stream;
	struct fnp_span line = {.data = (const char *)stream->line.data, .len = stream->line.len};

	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	if (stream->state == IN_HEAD)
		head_line(f, line);
	else if (stream->state == IN_CHUNK_SIZE)
		chunk_line(stream, line);
	else if (line.len > 0)
		note_field(stream, line);
	else if (!stream->line_too_long)
		end_message(f, stream, &f->bytes->moment);
	forget_line(stream);
}

static bool is_text(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((data[i] < ' ' && data[i] != '\t' && data[i] != '\r') || data[i] == 0x7f)
			return false;
	}
	return true;
}

/* What a first line begins with is known from its first bytes: binary data is refused at once. */
static bool may_begin(const struct stream *stream)
{
	size_t len = FNP_MIN(stream->line.len, (size_t)7);

	if (stream->has_first_line || len == 0 || stream->line.data[0] == '\r')
		return true;
	if (stream->is_request)
		return isupper(stream->line.data[0]);
	return memcmp(stream->line.data, "HTTP/1.", len) == 0;
}

/* Takes bytes of a line, up to its end; how many were used. */
static size_t take_line(const struct feed *f, const uint8_t *data, size_t len)
{
	struct stream *stream = f->stream;
	const uint8_t *end = memchr(data, '\n', len);
	size_t n = end ? (size_t)(end - data) : len;

	stream->head_bytes += stream->state == IN_HEAD ? n + 1 : 0;
	if (n > FNP_HTTP_LINE_MAX - FNP_MIN(stream->line.len, (size_t)FNP_HTTP_LINE_MAX))
		stream->line_too_long = true;
	if (!stream->line_too_long)
		fnp_buffer_append(&stream->line, data, n);
	if (!is_text(data, n) || stream->head_bytes > FNP_HTTP_HEAD_MAX || stream->line.error ||
	    (stream->state == IN_HEAD && !may_begin(stream)) ||
	    (stream->line_too_long && !stream->has_first_line)) {
		/* Within a body the message's meaning is known, and alternation still tells its end. */
		if (stream->state == IN_HEAD)
			get_lost(f);
		else
			go_blind(stream);
		return len;
	}
	if (end)
		line_is_whole(f);
	return end ? n + 1 : len;
}

/* Takes bytes of a body; how many were used. */
static uint64_t take_counted(const struct feed *f, uint64_t len)
{
	struct stream *stream = f->stream;
	uint64_t n = FNP_MIN(len, stream->left);

	stream->left -= n;
	if (stream->left > 0)
		return n;
	if (stream->state == IN_CHUNK)
		stream->state = IN_CHUNK_SIZE;
	else
		end_message(f, stream, &f->bytes->moment);
	return n;
}

static void begin_message(const struct feed *f)
{
	to_start(f->stream);
	f->stream->begin = f->bytes->moment;
	f->stream->state = IN_HEAD;
}

static void take_captured(const struct feed *f)
{
	const uint8_t *data = f->bytes->data;
	size_t len = f->bytes->captured;

	while (len > 0) {
		size_t used = len;

		switch (f->stream->state) {
		case AT_START:
			begin_message(f);
			continue;
		case IN_HEAD:
		case IN_CHUNK_SIZE:
		case IN_TRAILERS:
			used = take_line(f, data, len);
			break;
		case IN_LENGTH:
		case IN_CHUNK:
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
	struct stream *stream = f->stream;
	uint64_t missing = f->bytes->length - f->bytes->captured;

	if (missing == 0)
		return;
	switch (stream->state) {
	case IN_LENGTH:
		if (missing > stream->left)
			get_lost(f); /* the next message hides in there */
		else
			take_counted(f, missing);
		break;
	case IN_CHUNK:
		if (missing > stream->left)
			go_blind(stream);
		else
			take_counted(f, missing);
		break;
	case AT_START:
		begin_message(f);
		head_is_cut(f);
		break;
	case IN_HEAD:
		head_is_cut(f);
		break;
	case IN_CHUNK_SIZE:
	case IN_TRAILERS:
		go_blind(stream);
		break;
	default:
		break;
	}
}

/* The other side speaks: a response without visible end is over, and who is out of step may begin anew. */
static void direction_changed(const struct feed *f)
{
	struct fnp_http_connection *connection = f->connection;
	struct stream *response = &connection->response;
	struct fnp_moment end = response->last;

	if (f->stream->is_request && (response->state == BLIND || response->state == UNTIL_CLOSE))
		end_message(f, response, &end);
	if (f->stream->state == LOST && !(f->stream->is_request && connection->interim))
		to_start(f->stream);
}

static void closed(const struct feed *f)
{
	struct fnp_http_connection *connection = f->connection;

	if (connection->response.state == UNTIL_CLOSE || connection->response.state == BLIND)
		end_message(f, &connection->response, &f->bytes->moment);
	to_start(&connection->request);
	to_start(&connection->response);
	connection->n_exchanges = connection->early = 0;
	connection->paired = connection->interim = false;
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

/* Heads may have lost lines and messages their begin: only what was known to be under way is kept. */
static void stream_gap(struct stream *stream)
{
	if (stream->state == AT_START || stream->state == IN_HEAD) {
		to_start(stream);
		stream->state = LOST;
	} else if (stream->state != LOST) {
		go_blind(stream);
	}
}

void fnp_http_connection_gap(struct fnp_http_connection *connection)
{
	stream_gap(&connection->request);
	stream_gap(&connection->response);
	connection->n_exchanges = connection->early = 0;
	connection->paired = connection->interim = false;
}

uint64_t fnp_http_connection_pending(const struct fnp_http_connection *connection)
{
	const struct stream *request = &connection->request, *response = &connection->response;
	uint64_t pending = 0;

	if (response->state == IN_HEAD)
		pending = response->begin.seq;
	if (request->state == IN_HEAD && (pending == 0 || request->begin.seq < pending))
		pending = request->begin.seq;
	if (request->state == BLIND && request->tag && (pending == 0 || request->last.seq < pending))
		pending = request->last.seq;
	return pending;
}
