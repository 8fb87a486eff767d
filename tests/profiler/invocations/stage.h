/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stage on which a test lets processes act: each act becomes the record that the kernel side would send, with the
 * next number of its process and the CPU time that it has burnt so far. Rows that the engine closes are kept.
 *
 *	stage_begin(&s, FNP_MODE_HOST);
 *	play_exec(&s, 10, "python3", LAMBDA);	process 10 starts
 *	burn(&s, 10, 5 * MS);			it works; time goes on
 *	play_next(&s, 10, 1);			it asks for work on connection 1
 *	play_work(&s, 10, 1, "r1");		it gets r1
 *	take_sample(&s, 10);
 *	play_answer(&s, 10, 1, "r1");
 *	pass(&s, 700 * MS);			a round, later
 *	row(&s, "r1")->cpu_ns ...
 */
#ifndef FNP_TESTS_INVOCATIONS_STAGE_H
#define FNP_TESTS_INVOCATIONS_STAGE_H

#include "profiler/invocations/invocations.h"

#define MS 1000000ULL
#define LAMBDA                                                                                               \
	"AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001\0AWS_LAMBDA_FUNCTION_NAME=fun\0AWS_LAMBDA_FUNCTION_VERSION="  \
	"3\0"
#define LAMBDA_MANY LAMBDA "AWS_LAMBDA_MAX_CONCURRENCY=4\0"
#define STAGE_PORT 9001
#define STAGE_ACTORS 16
#define STAGE_UTC 1700000000000000000LL /* UTC of monotonic 0 */

struct actor {
	uint32_t pid, parent;
	uint64_t process, seq, cpu_ns;
	uint64_t thread_ns[8]; /* of tid pid + i */
};

struct stage {
	struct fnp_invocations *engine;
	uint64_t now_ns;
	struct actor actors[STAGE_ACTORS];
	size_t n_actors;
	FNP_VEC(struct fnp_row *) rows;
	uint32_t tid; /* that acts; 0: the first of its process */
	bool skip;    /* the next records are lost on the way: they have numbers, but do not arrive */
	bool keep;    /* the next records wait on the stage, until stage_deliver */
	FNP_VEC(struct fnp_record *) kept;
	uint32_t unwatched; /* the last pid that was */
	uint32_t flags;	    /* of the last set_filter */
	uint16_t port;
	struct fnp_row_stack one; /* of the next samples */
	struct fnp_stack_epoch *epoch;
	uint64_t cpu_now_ns;	 /* what the host says; 0: it does not know */
	const char *environment; /* that the host reads, with its size */
	size_t environment_size;
	struct fnp_invocations_counters counters; /* filled by stage_counters */
};

void stage_begin(struct stage *s, enum fnp_invocations_mode mode);
void stage_end(struct stage *s);

/* Time goes on by this, and then a round is done. */
void pass(struct stage *s, uint64_t ns);
/* The process's acting thread uses this much CPU and time. */
void burn(struct stage *s, uint32_t pid, uint64_t ns);
void finish(struct stage *s);

void play_attach(struct stage *s, uint32_t pid, const char *program, const char *environment, size_t size);
#define play_exec(s, pid, program, environment)                                                              \
	play_exec_of(s, pid, program, environment, sizeof(environment) - 1)
void play_exec_of(struct stage *s, uint32_t pid, const char *program, const char *environment, size_t size);
void play_fork(struct stage *s, uint32_t pid, uint32_t child);
void play_thread(struct stage *s, uint32_t pid, uint32_t tid);
void play_exit(struct stage *s, uint32_t pid, int64_t exit_code);
/* The exit, `teardown_ns` of CPU after it, and the end. */
void play_end(struct stage *s, uint32_t pid, int64_t exit_code, uint64_t teardown_ns);

void play_out(struct stage *s, uint32_t pid, uint64_t socket, const char *text);
void play_in(struct stage *s, uint32_t pid, uint64_t socket, const char *text);
void play_out_unseen(struct stage *s, uint32_t pid, uint64_t socket, uint64_t length);
void play_out_to(struct stage *s, uint32_t pid, uint64_t socket, uint16_t port, const char *text);
void play_close(struct stage *s, uint32_t pid, uint64_t socket);

/* Whole messages of the Runtime API. */
void play_next(struct stage *s, uint32_t pid, uint64_t socket);
void play_work(struct stage *s, uint32_t pid, uint64_t socket, const char *id);
void play_answer(struct stage *s, uint32_t pid, uint64_t socket, const char *id);
void play_error(struct stage *s, uint32_t pid, uint64_t socket, const char *id);
void play_accepted(struct stage *s, uint32_t pid, uint64_t socket);

/* Events that were kept arrive, in the order given: n indices into what was kept. */
void stage_deliver(struct stage *s, const size_t *order, size_t n);

/* A sample of the acting thread, of 10 ms; `at_seq` as it was some events ago. */
void take_sample(struct stage *s, uint32_t pid);
void take_sample_at(struct stage *s, uint32_t pid, uint64_t seq);
uint64_t seq_of(const struct stage *s, uint32_t pid);

/* The closed row with this id, or of this kind and pid; NULL. */
struct fnp_row *row(const struct stage *s, const char *id);
struct fnp_row *row_of(const struct stage *s, enum fnp_row_kind kind, uint32_t pid);
size_t count_rows(const struct stage *s, enum fnp_row_kind kind);
/* Sum over the closed rows of a pid. */
uint64_t cpu_of(const struct stage *s, uint32_t pid);
const struct fnp_invocations_counters *stage_counters(struct stage *s);

#endif
