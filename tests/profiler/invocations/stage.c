/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/profiler/invocations/stage.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>

#include "profiler/records.h"

static struct actor *actor_of(struct stage *s, uint32_t pid)
{
	for (size_t i = s->n_actors; i-- > 0;) {
		if (s->actors[i].pid == pid)
			return &s->actors[i];
	}
	return NULL;
}

static struct actor *new_actor(struct stage *s, uint32_t pid)
{
	struct actor *one = &s->actors[s->n_actors++];

	assert_true(s->n_actors <= STAGE_ACTORS);
	*one = (struct actor){.pid = pid, .process = s->now_ns};
	return one;
}

/* ---- what the engine asks ------------------------------------------------------------------------------------ */

static int keep_row(void *self, struct fnp_row *one)
{
	struct stage *s = self;

	assert_int_equal(fnp_vec_push(&s->rows, one), 0);
	return 0;
}

static void set_filter(void *self, uint32_t pid, uint32_t flags, uint16_t port)
{
	struct stage *s = self;

	(void)pid;
	s->flags = flags;
	s->port = port;
}

static void unwatch(void *self, uint32_t pid, uint64_t process)
{
	struct stage *s = self;

	(void)process;
	s->unwatched = pid;
}

static const char *runtime_name(void *self, uint32_t pid, uint64_t process)
{
	(void)self;
	(void)pid;
	(void)process;
	return "native";
}

static int cpu_now(void *self, uint32_t pid, uint64_t process, uint64_t *ret_ns)
{
	struct stage *s = self;

	(void)process;
	if (!actor_of(s, pid))
		return -ESRCH;
	*ret_ns = actor_of(s, pid)->cpu_ns;
	return 0;
}

static int environment(void *self, uint32_t pid, uint64_t process, struct fnp_buffer *ret)
{
	struct stage *s = self;

	(void)pid;
	(void)process;
	if (!s->environment)
		return -ENOENT;
	fnp_buffer_append(ret, s->environment, s->environment_size);
	return ret->error;
}

void stage_begin(struct stage *s, enum fnp_invocations_mode mode)
{
	struct fnp_invocations_options options = {
		.mode = mode,
		.sink = {.close_row = keep_row, .self = s},
		.host = {.self = s,
			 .set_filter = set_filter,
			 .unwatch = unwatch,
			 .runtime_name = runtime_name,
			 .cpu_now = cpu_now,
			 .environment = environment},
		.utc_offset_ns = STAGE_UTC,
	};

	*s = (struct stage){.now_ns = 1000 * MS};
	assert_int_equal(fnp_invocations_create(&options, &s->engine), 0);
}

void stage_end(struct stage *s)
{
	fnp_invocations_destroy(s->engine);
	for (size_t i = 0; i < s->rows.len; i++)
		fnp_row_destroy(s->rows.items[i]);
	for (size_t i = 0; i < s->kept.len; i++)
		free(s->kept.items[i]);
	fnp_vec_deinit(&s->rows);
	fnp_vec_deinit(&s->kept);
}

/* ---- time ---------------------------------------------------------------------------------------------------- */

void pass(struct stage *s, uint64_t ns)
{
	s->now_ns += ns;
	fnp_invocations_advance(s->engine, s->now_ns);
}

void burn(struct stage *s, uint32_t pid, uint64_t ns)
{
	struct actor *actor = actor_of(s, pid);

	actor->cpu_ns += ns;
	actor->thread_ns[s->tid ? s->tid - pid : 0] += ns;
	s->now_ns += ns;
}

void finish(struct stage *s)
{
	fnp_invocations_finish(s->engine, s->now_ns);
}

/* ---- records ------------------------------------------------------------------------------------------------- */

static void send(struct stage *s, const void *data, size_t size)
{
	const struct fnp_record *record;

	assert_int_equal(fnp_record_check(data, size, &record), 0);
	if (s->keep) {
		void *copy = malloc(size);

		assert_non_null(copy);
		memcpy(copy, data, size);
		assert_int_equal(fnp_vec_push(&s->kept, copy), 0);
	} else if (!s->skip) {
		assert_int_equal(fnp_invocations_event(s->engine, record), 0);
	}
}

void stage_deliver(struct stage *s, const size_t *order, size_t n)
{
	s->keep = false;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(fnp_invocations_event(s->engine, s->kept.items[order[i]]), 0);
}

static struct fnp_record head_of(struct stage *s, struct actor *actor, enum fnp_record_type type, size_t size)
{
	return (struct fnp_record){.type = type,
				   .size = (uint32_t)size,
				   .time_ns = s->now_ns,
				   .pid = actor->pid,
				   .tid = s->tid ? s->tid : actor->pid,
				   .process = actor->process,
				   .seq = ++actor->seq};
}

static struct fnp_cpu_times cpu_of_actor(struct stage *s, struct actor *actor)
{
	return (struct fnp_cpu_times){.process_ns = actor->cpu_ns,
				      .thread_ns = actor->thread_ns[s->tid ? s->tid - actor->pid : 0]};
}

static uint8_t *put_section(uint8_t *at, uint16_t type, const char *data, size_t size)
{
	struct fnp_wire_section section = {.type = type, .size = (uint32_t)size};

	memcpy(at, &section, sizeof(section));
	if (size > 0)
		memcpy(at + sizeof(section), data, size);
	return at + sizeof(section) + ((size + 7) & ~(size_t)7);
}

void play_attach(struct stage *s, uint32_t pid, const char *program, const char *env, size_t size)
{
	struct actor *actor = new_actor(s, pid);
	struct fnp_invocations_process process = {.pid = pid,
						  .process = actor->process,
						  .now_ns = s->now_ns,
						  .program = program,
						  .environment = env,
						  .environment_size = size};

	assert_int_equal(fnp_invocations_attach(s->engine, &process), 0);
}

void play_exec_of(struct stage *s, uint32_t pid, const char *program, const char *env, size_t env_size)
{
	struct actor *actor = actor_of(s, pid) ? actor_of(s, pid) : new_actor(s, pid);
	uint64_t words[512] = {0};
	uint8_t *at = (uint8_t *)words + sizeof(struct fnp_exec_record);
	struct fnp_exec_record record = {.cpu = cpu_of_actor(s, actor)};

	at = put_section(at, FNP_SECTION_FILE_NAME, program, strlen(program));
	at = put_section(at, FNP_SECTION_ENVIRONMENT, env, env_size);
	record.head = head_of(s, actor, FNP_RECORD_EXEC, (size_t)(at - (uint8_t *)words));
	record.head.n_sections = 2;
	memcpy(words, &record, sizeof(record));
	send(s, words, record.head.size);
}

void play_fork(struct stage *s, uint32_t pid, uint32_t child)
{
	struct actor *actor = actor_of(s, pid);
	struct fnp_fork_record record = {.head = head_of(s, actor, FNP_RECORD_FORK, sizeof(record)),
					 .cpu = cpu_of_actor(s, actor),
					 .child_pid = child,
					 .child_tid = child};

	record.child_process = new_actor(s, child)->process;
	send(s, &record, sizeof(record));
}

void play_thread(struct stage *s, uint32_t pid, uint32_t tid)
{
	struct actor *actor = actor_of(s, pid);
	struct fnp_fork_record record = {.head = head_of(s, actor, FNP_RECORD_FORK, sizeof(record)),
					 .cpu = cpu_of_actor(s, actor),
					 .child_pid = pid,
					 .child_tid = tid,
					 .child_process = actor->process};

	send(s, &record, sizeof(record));
}

void play_exit(struct stage *s, uint32_t pid, int64_t exit_code)
{
	struct actor *actor = actor_of(s, pid);
	struct fnp_exit_record record = {.head = head_of(s, actor, FNP_RECORD_EXIT, sizeof(record)),
					 .cpu = cpu_of_actor(s, actor),
					 .exit_code = exit_code,
					 .last = 1};

	send(s, &record, sizeof(record));
}

void play_end(struct stage *s, uint32_t pid, int64_t exit_code, uint64_t teardown_ns)
{
	struct actor *actor = actor_of(s, pid);
	struct fnp_target target;

	play_exit(s, pid, exit_code);
	burn(s, pid, teardown_ns);
	target = (struct fnp_target){.process = actor->process, .cpu_ns = actor->cpu_ns, .seq = actor->seq};
	fnp_invocations_gone(s->engine, pid, actor->process, &target, s->now_ns);
}

static void play_socket(struct stage *s, uint32_t pid, struct fnp_socket_record record, const char *data,
			size_t size)
{
	uint64_t words[1024] = {0};
	struct actor *actor = actor_of(s, pid);

	record.cpu = cpu_of_actor(s, actor);
	record.head = head_of(s, actor, FNP_RECORD_SOCKET,
			      sizeof(record) + sizeof(struct fnp_wire_section) + ((size + 7) & ~7ULL));
	record.head.n_sections = 1;
	record.local_port = (uint16_t)(30000 + record.socket);
	memcpy(record.remote_address, (uint8_t[16]){[10] = 0xff, 0xff, 127, 0, 0, 1}, 16);
	memcpy(words, &record, sizeof(record));
	put_section((uint8_t *)words + sizeof(record), FNP_SECTION_DATA, data, size);
	send(s, words, record.head.size);
}

void play_out_to(struct stage *s, uint32_t pid, uint64_t socket, uint16_t port, const char *text)
{
	struct fnp_socket_record record = {
		.socket = socket, .length = strlen(text), .remote_port = port, .direction = FNP_SOCKET_SENT};

	play_socket(s, pid, record, text, strlen(text));
}

void play_out(struct stage *s, uint32_t pid, uint64_t socket, const char *text)
{
	play_out_to(s, pid, socket, STAGE_PORT, text);
}

void play_out_unseen(struct stage *s, uint32_t pid, uint64_t socket, uint64_t length)
{
	struct fnp_socket_record record = {
		.socket = socket, .length = length, .remote_port = STAGE_PORT, .direction = FNP_SOCKET_SENT};

	play_socket(s, pid, record, NULL, 0);
}

void play_in(struct stage *s, uint32_t pid, uint64_t socket, const char *text)
{
	struct fnp_socket_record record = {.socket = socket,
					   .length = strlen(text),
					   .remote_port = STAGE_PORT,
					   .direction = FNP_SOCKET_RECEIVED};

	play_socket(s, pid, record, text, strlen(text));
}

void play_close(struct stage *s, uint32_t pid, uint64_t socket)
{
	play_in(s, pid, socket, "");
}

/* ---- the Runtime API ----------------------------------------------------------------------------------------- */

#define AT "/2018-06-01/runtime/"

void play_next(struct stage *s, uint32_t pid, uint64_t socket)
{
	play_out(s, pid, socket, "GET " AT "invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
}

void play_work(struct stage *s, uint32_t pid, uint64_t socket, const char *id)
{
	char text[1024];

	snprintf(
		text, sizeof(text),
		"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: %s\r\nLambda-Runtime-Deadline-Ms: %llu\r\n"
		"Lambda-Runtime-Trace-Id: "
		"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1\r\n"
		"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:1:function:fromarn:9\r\n"
		"Content-Length: 2\r\n\r\n{}",
		id, (unsigned long long)(STAGE_UTC / 1000000 + s->now_ns / MS + 3000));
	play_in(s, pid, socket, text);
}

static void play_post(struct stage *s, uint32_t pid, uint64_t socket, const char *id, const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), "POST " AT "invocation/%s/%s HTTP/1.1\r\nContent-Length: 2\r\n\r\n", id,
		 what);
	play_out(s, pid, socket, text);
	play_out(s, pid, socket, "ok");
}

void play_answer(struct stage *s, uint32_t pid, uint64_t socket, const char *id)
{
	play_post(s, pid, socket, id, "response");
}

void play_error(struct stage *s, uint32_t pid, uint64_t socket, const char *id)
{
	play_post(s, pid, socket, id, "error");
}

void play_accepted(struct stage *s, uint32_t pid, uint64_t socket)
{
	play_in(s, pid, socket, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
}

/* ---- samples and rows ---------------------------------------------------------------------------------------- */

uint64_t seq_of(const struct stage *s, uint32_t pid)
{
	return actor_of((struct stage *)(uintptr_t)s, pid)->seq;
}

void take_sample_at(struct stage *s, uint32_t pid, uint64_t seq)
{
	struct actor *actor = actor_of(s, pid);
	struct fnp_sample_record record = {.weight_ns = 10 * MS};
	uint64_t before = actor->seq;

	record.head = head_of(s, actor, FNP_RECORD_SAMPLE, sizeof(record));
	actor->seq = before;
	record.head.seq = seq;
	fnp_invocations_sample(s->engine, &record, s->one, s->epoch);
}

void take_sample(struct stage *s, uint32_t pid)
{
	take_sample_at(s, pid, seq_of(s, pid));
}

struct fnp_row *row(const struct stage *s, const char *id)
{
	for (size_t i = 0; i < s->rows.len; i++) {
		if (strcmp(s->rows.items[i]->id, id) == 0)
			return s->rows.items[i];
	}
	return NULL;
}

struct fnp_row *row_of(const struct stage *s, enum fnp_row_kind kind, uint32_t pid)
{
	for (size_t i = 0; i < s->rows.len; i++) {
		if (s->rows.items[i]->kind == kind && s->rows.items[i]->pid == pid)
			return s->rows.items[i];
	}
	return NULL;
}

size_t count_rows(const struct stage *s, enum fnp_row_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < s->rows.len; i++)
		n += s->rows.items[i]->kind == kind;
	return n;
}

uint64_t cpu_of(const struct stage *s, uint32_t pid)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->rows.len; i++)
		sum += s->rows.items[i]->pid == pid ? s->rows.items[i]->cpu_ns : 0;
	return sum;
}

const struct fnp_invocations_counters *stage_counters(struct stage *s)
{
	fnp_invocations_counters(s->engine, &s->counters);
	return &s->counters;
}
