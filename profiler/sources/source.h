/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source: one platform's rules for what an invocation is. A process's environment makes it a candidate; then either
 * the process itself is the invocation (exec), or messages on its connections begin and end invocations (HTTP/1.1).
 *
 * A source is one file that defines `const struct fnp_source_ops fnp_source_NAME`, and one word in this folder's
 * CMakeLists.txt. It sees environments and heads of messages, and says what they mean. It keeps no state: connections,
 * active invocations and numbers are the engine's (profiler/invocations).
 */
#ifndef FNP_PROFILER_SOURCES_SOURCE_H
#define FNP_PROFILER_SOURCES_SOURCE_H

#include "profiler/sources/environment.h"
#include "profiler/sources/http.h"

/* Who somebody's work is. Texts are owned, or NULL when not known. */
struct fnp_identity {
	char *id;
	char *function;
	char *version;
	char *trace_id;		  /* 32 lower-case hexadecimal digits */
	char *parent_span_id;	  /* 16 */
	uint64_t deadline_utc_ns; /* 0: not known */
};

void fnp_identity_deinit(struct fnp_identity *identity);
#define fnp_autoidentity FNP_CLEANUP(fnp_identity_deinit)

/* What a source says of a process from its environment. */
enum fnp_claim_kind {
	FNP_CLAIM_PROCESS,  /* the process is one invocation, from this exec to its end */
	FNP_CLAIM_MESSAGES, /* its connections tell */
};

struct fnp_claim {
	const struct fnp_source_ops *source;
	enum fnp_claim_kind kind;
	struct fnp_identity identity; /* of the process: for messages without id and trace */
	/* FNP_CLAIM_MESSAGES: which connections count. */
	enum fnp_http_role role;
	uint16_t port;	     /* of the server: remote for a client, local for a server; 0: all */
	bool has_address;    /* of the server: else every address will do */
	uint8_t address[16]; /* IPv6, or IPv4-mapped */
	bool concurrent;     /* one process may have several invocations at a time */
};

void fnp_claim_deinit(struct fnp_claim *claim);
#define fnp_autoclaim FNP_CLEANUP(fnp_claim_deinit)

/* What a message means. */
enum fnp_work_kind {
	FNP_WORK_NONE,
	FNP_WORK_ASKS,	    /* request: the process is ready for work; its init is over */
	FNP_WORK_BEGINS,    /* its first byte begins an invocation */
	FNP_WORK_ANSWERS,   /* its last byte ends one */
	FNP_WORK_ERRS,	    /* likewise, with an error */
	FNP_WORK_INIT_ERRS, /* its last byte ends a failed init */
};

struct fnp_work {
	enum fnp_work_kind kind;
	struct fnp_identity identity; /* BEGINS: all that is known; ANSWERS, ERRS: `id`, NULL: of this exchange */
};

struct fnp_source_ops {
	const char *name;

	/* True when this environment is one of the platform's; `ret` is filled but for `source`. Takes -ENOMEM as no. */
	bool (*claim)(const struct fnp_environment *environment, struct fnp_claim *ret);

	/* What the head of a request means, of which nothing may be known; NULL for a source without messages. */
	void (*request)(const struct fnp_http_head *head, struct fnp_work *ret);

	/*
	 * What the head of a response means. `request` is the meaning of its request, or FNP_WORK_NONE with `unknown`
	 * set when the request was not seen, or could not be read. FNP_WORK_ANSWERS of a client's unknown request:
	 * that was an answer to work, whose and with which outcome is not known.
	 */
	void (*response)(const struct fnp_http_head *head, enum fnp_work_kind request, bool unknown,
			 struct fnp_work *ret);

	/* True when these trailers turn an answer into an error; may be NULL. */
	bool (*trailers_err)(const struct fnp_http_head *trailers);
};

/* The first source that claims this environment; false: none, and `ret` is untouched. */
bool fnp_sources_claim(const struct fnp_environment *environment, struct fnp_claim *ret);

/* True when fnp_sources_claim would be: for the look through /proc at a host-wide start. */
bool fnp_sources_wants_process(const struct fnp_environment *environment);

/* `traceparent` of the W3C (version-trace-parent-flags) to trace_id and parent_span_id; false leaves both. */
bool fnp_identity_set_traceparent(struct fnp_identity *identity, struct fnp_span value);

/* AWS X-Ray's header, Root=1-8hex-24hex;Parent=16hex;..., likewise. Parts that are not well formed are not taken. */
void fnp_identity_set_xray(struct fnp_identity *identity, struct fnp_span value);

#endif
