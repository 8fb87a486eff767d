/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small server of AWS Lambda's Runtime API: for `fnprof demo` and for tests, which need invocations without a cloud.
 *
 * It listens on the loopback, hands work to whoever asks for /2018-06-01/runtime/invocation/next, and takes the
 * answers. Bodies of answers are counted and dropped. One thread, no locks: the owner calls fnp_runtime_api_run, in a
 * loop or when its descriptor is readable. Clients are as trusted as the functions one runs: what is not HTTP is hung up on.
 */
#ifndef FNP_PROFILER_DEMO_RUNTIME_API_H
#define FNP_PROFILER_DEMO_RUNTIME_API_H

#include <stdbool.h>

#include "base/memory.h"

struct fnp_runtime_api;

/* One invocation; texts are copied when it is offered. */
struct fnp_runtime_api_work {
	const char *id;
	const char *function; /* with `version`, for the ARN */
	const char *version;
	const char *trace_id;	    /* 32 hexadecimal digits; NULL: no trace header */
	const char *parent_span_id; /* 16 */
	const char *payload;	    /* JSON */
	uint64_t timeout_ms;	    /* from its hand-over to its deadline */
};

/* What became of an invocation, when its answer had been read to its last byte. Times are CLOCK_MONOTONIC. */
struct fnp_runtime_api_result {
	const char *id;
	bool error;
	uint64_t sent_ns; /* just before its head was handed to the kernel */
	uint64_t read_ns; /* when the answer had been read: it cannot have ended later */
};

struct fnp_runtime_api_options {
	void *self;
	void (*done)(void *self, const struct fnp_runtime_api_result *result); /* may offer; may be NULL */
	void (*init_failed)(void *self);				       /* may be NULL */
};

int fnp_runtime_api_create(const struct fnp_runtime_api_options *options, struct fnp_runtime_api **ret);
/* Hangs up on everybody: clients that wait for work see the end of their connection. */
void fnp_runtime_api_destroy(struct fnp_runtime_api *api);
FNP_DEFINE_CLEANUP(fnp_runtime_api_destroyp, struct fnp_runtime_api *, fnp_runtime_api_destroy)

/* "127.0.0.1:PORT": the value of AWS_LAMBDA_RUNTIME_API. */
const char *fnp_runtime_api_address(const struct fnp_runtime_api *api);

/* Readable when fnp_runtime_api_run has something to do. */
int fnp_runtime_api_fd(const struct fnp_runtime_api *api);

/* Puts an invocation at the end of the queue, or hands it to the one who has waited longest. 0 or -errno. */
int fnp_runtime_api_offer(struct fnp_runtime_api *api, const struct fnp_runtime_api_work *work);

/* Serves what is there, waiting at most `timeout_ms` (-1: for ever) for the first of it. */
int fnp_runtime_api_run(struct fnp_runtime_api *api, int timeout_ms);

/* Connections on which a client waits for work; invocations that were handed out and not answered; not handed out. */
size_t fnp_runtime_api_waiting(const struct fnp_runtime_api *api);
size_t fnp_runtime_api_active(const struct fnp_runtime_api *api);
size_t fnp_runtime_api_queued(const struct fnp_runtime_api *api);

#endif
