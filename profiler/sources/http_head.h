/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single lines of an HTTP/1.1 head: pure functions, which http.c feeds.
 */
#ifndef FNP_PROFILER_SOURCES_HTTP_HEAD_H
#define FNP_PROFILER_SOURCES_HTTP_HEAD_H

#include "profiler/sources/http.h"

/* How long the body is (RFC 9112, 6.3), as far as the fields so far say. */
struct fnp_http_framing {
	bool has_length, chunked;
	bool bad; /* lengths that contradict each other, or are no numbers */
	uint64_t length;
};

/* METHOD SP target SP HTTP/1.x: fills method and target. */
bool fnp_http_parse_request_line(struct fnp_span line, struct fnp_http_head *ret);

/* HTTP/1.x SP 3 digits, then nothing or SP and anything: fills status. */
bool fnp_http_parse_status_line(struct fnp_span line, struct fnp_http_head *ret);

/* "name: value", without blanks around the value; false for a folded line. */
bool fnp_http_split_field(struct fnp_span line, struct fnp_span *ret_name, struct fnp_span *ret_value);

void fnp_http_note_framing(struct fnp_http_framing *framing, struct fnp_span name, struct fnp_span value);

#endif
