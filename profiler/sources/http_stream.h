/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of a connection: where in a message it stands, and what is kept of the message.
 *
 * A stream knows lines and counts bytes; what a head or an end means for the other direction is its connection's matter
 * (http.c), which moves it from state to state.
 */
#ifndef FNP_PROFILER_SOURCES_HTTP_STREAM_H
#define FNP_PROFILER_SOURCES_HTTP_STREAM_H

#include "profiler/sources/http_head.h"

enum fnp_http_stream_state {
	FNP_HTTP_AT_START, /* before the first byte of a message */
	FNP_HTTP_IN_HEAD,
	FNP_HTTP_IN_LENGTH, /* `left` bytes of body to come */
	FNP_HTTP_IN_CHUNK_SIZE,
	FNP_HTTP_IN_CHUNK, /* `left` bytes of chunk and its line end to come */
	FNP_HTTP_IN_TRAILERS,
	FNP_HTTP_UNTIL_CLOSE, /* a response without length */
	FNP_HTTP_BLIND,	      /* framing lost within a message: alternation tells its end */
	FNP_HTTP_LOST,	      /* out of step: nothing is known until the direction changes */
};

/* All zero at first, but for `is_request`. */
struct fnp_http_stream {
	enum fnp_http_stream_state state;
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

void fnp_http_stream_deinit(struct fnp_http_stream *stream);

/* The message is over, or given up; `begin` and `last` stay. */
void fnp_http_stream_restart(struct fnp_http_stream *stream);

/* Framing is lost within a message, of which at least one byte was seen. */
void fnp_http_stream_go_blind(struct fnp_http_stream *stream);

/* Events are missing: heads may have lost lines and messages their begin. Only what was known to be under way is kept. */
void fnp_http_stream_gap(struct fnp_http_stream *stream);

/* What is known of the head so far; views into the stream. False when the first line is none of HTTP/1. */
bool fnp_http_stream_head(const struct fnp_http_stream *stream, struct fnp_http_head *ret);

/* A field's line, of a head or of trailers: noted for the framing, and kept as far as there is room. */
void fnp_http_stream_note_field(struct fnp_http_stream *stream, struct fnp_span line);

/* A chunk's first line: its size in hexadecimal, then perhaps an extension. The state says what follows. */
void fnp_http_stream_chunk_line(struct fnp_http_stream *stream, struct fnp_span line);

/*
 * Adds bytes to the line under way, up to its end; *ret_used is how many were taken. 1: the line is whole, 0: more is to
 * come, -EBADMSG: this is no line of HTTP.
 */
int fnp_http_stream_add_line(struct fnp_http_stream *stream, const uint8_t *data, size_t len, size_t *ret_used);

/* The line under way, without its end; a view into the stream until fnp_http_stream_forget_line(). */
struct fnp_span fnp_http_stream_line(const struct fnp_http_stream *stream);
void fnp_http_stream_forget_line(struct fnp_http_stream *stream);

#endif
