/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 on a connection that somebody else has: where messages begin and end, and what their heads say.
 *
 * What comes in are socket events: a direction, a length, and the first bytes, perhaps not all, perhaps none. What goes
 * out are four happenings, in order: a request's head, its end, a final response's head, its end. Each tells the moment
 * of the event that moved the first or the last byte.
 *
 * Bodies are followed by Content-Length and chunks (RFC 9112, 6 and 7) and never looked at: a body whose write begins
 * with what looks like a head is a body. Interim responses (1xx) are passed over.
 *
 * Where bytes were not captured, framing may be lost. Then what remains certain is used: HTTP/1.1 alternates, so the
 * last bytes sent before the first byte of the final response were the request's last. Such a stream is BLIND: its end
 * is known late, with the moment of its true last event. Until then fnp_http_connection_pending says from which event
 * number on things may still turn out otherwise.
 *
 * What is not HTTP puts its direction out of step (counted in `lost`) until the connection changes direction, when a
 * message must begin. Anything may come in; nothing is assumed but that the events of a connection are in order.
 */
#ifndef FNP_PROFILER_SOURCES_HTTP_H
#define FNP_PROFILER_SOURCES_HTTP_H

#include "base/buffer.h"
#include "profiler/records.h"
#include "profiler/sources/environment.h"

#define FNP_HTTP_LINE_MAX (8 << 10) /* longer fields are passed over, longer first lines are not HTTP */
#define FNP_HTTP_KEPT_MAX                                                                                    \
	(64 << 10) /* bytes of fields kept of one head; Content-Length counts also past that */
#define FNP_HTTP_HEAD_MAX (2 << 20) /* a longer head is not HTTP */

/* Which side of the connection the watched process is on. */
enum fnp_http_role {
	FNP_HTTP_CLIENT, /* it sends requests */
	FNP_HTTP_SERVER, /* it receives them */
};

/* The head of a message, or its trailers; valid during the callback. */
struct fnp_http_head {
	bool partial;		/* some of it was not captured: fields may be missing */
	struct fnp_span method; /* of a request; no data: its first line was not captured, nothing is known */
	struct fnp_span target; /* of a request, as sent */
	unsigned int status;	/* of a response */
	const char *fields;	/* "name:value" texts with a NUL after each */
	size_t fields_size;
};

/* The first field of this name (in any case), without blanks around the value. */
bool fnp_http_head_field(const struct fnp_http_head *head, const char *name, struct fnp_span *ret);

/*
 * What is told. `tag` is what `request` put in for this exchange, and 0 for a response whose request was not seen.
 * `trailers` are NULL when there are none. A message that is never whole has no end.
 */
struct fnp_http_observer {
	void *self;
	void (*request)(void *self, const struct fnp_http_head *head, const struct fnp_moment *begin,
			uint64_t *tag);
	void (*request_end)(void *self, uint64_t tag, const struct fnp_moment *end,
			    const struct fnp_http_head *trailers);
	void (*response)(void *self, const struct fnp_http_head *head, const struct fnp_moment *begin,
			 uint64_t *tag);
	void (*response_end)(void *self, uint64_t tag, const struct fnp_moment *end,
			     const struct fnp_http_head *trailers);
};

/* One event. */
struct fnp_http_bytes {
	struct fnp_moment moment;
	const void *data;
	size_t captured; /* bytes at `data`, at most `length` */
	uint64_t length; /* bytes moved; 0: the peer closed */
	bool sent;
};

struct fnp_http_connection;

int fnp_http_connection_create(enum fnp_http_role role, struct fnp_http_connection **ret);
void fnp_http_connection_destroy(struct fnp_http_connection *connection);
FNP_DEFINE_CLEANUP(fnp_http_connection_destroyp, struct fnp_http_connection *, fnp_http_connection_destroy)

/* One event in; its happenings out, through `observer`. Without memory the direction is out of step. */
void fnp_http_connection_feed(struct fnp_http_connection *connection, const struct fnp_http_bytes *bytes,
			      const struct fnp_http_observer *observer);

/* Events of this connection may be missing from here on: what is under way can only end by alternation. */
void fnp_http_connection_gap(struct fnp_http_connection *connection);

/* The smallest number of an event that may still become a begin or an end; 0: there is none. */
uint64_t fnp_http_connection_pending(const struct fnp_http_connection *connection);

/* How often a direction got out of step. */
uint64_t fnp_http_connection_lost(const struct fnp_http_connection *connection);

#endif
