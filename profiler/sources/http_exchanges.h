/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests under way on a connection, in their order: responses come in the same one (RFC 9112, 9.3.2).
 */
#ifndef FNP_PROFILER_SOURCES_HTTP_EXCHANGES_H
#define FNP_PROFILER_SOURCES_HTTP_EXCHANGES_H

#include <stdbool.h>
#include <stdint.h>

#define FNP_HTTP_EXCHANGES_MAX 16 /* more pipelining than that is out of step */

struct fnp_http_exchange {
	uint64_t tag; /* 0: its request was not seen */
	bool is_head; /* its response has no body */
};

/* All zero at first. */
struct fnp_http_exchanges {
	struct fnp_http_exchange items[FNP_HTTP_EXCHANGES_MAX];
	unsigned int n, first;
	unsigned int early; /* responses that were seen before their requests: another thread was quicker */
	bool paired;	    /* a response had its request: from then on one without is early */
};

/* A request was seen. -ENOSPC when there are too many. */
int fnp_http_exchanges_push(struct fnp_http_exchanges *exchanges, struct fnp_http_exchange one);

/* A response was seen: whose it is. */
struct fnp_http_exchange fnp_http_exchanges_pop(struct fnp_http_exchanges *exchanges);

/* Requests are out of step: what is under way is not known any more. */
void fnp_http_exchanges_forget(struct fnp_http_exchanges *exchanges);

#endif
