/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any records in any order, through the engine. Each act of the input is four bytes: what, who, how much, and a choice
 * of text. Held: every sample stands in one row or one counter; the rows of a process sum to the CPU time that its
 * target said in the end; no row is handed over twice or lost.
 */
#include <errno.h>

#include "profiler/invocations/invocations.h"
#include "profiler/records.h"

#define ACTORS 6
#define MS 1000000ULL

struct actor {
	uint64_t process, seq, cpu_ns, closed_ns;
	bool lives, owned, ended;
};

struct scene {
	struct fnp_invocations *engine;
	struct actor actors[ACTORS];
	uint64_t now_ns, samples, last_process;
	uint64_t rows_samples;
};

static const char *const texts[] = {
	"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n",
	"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: b\r\nContent-Length: 3\r\n\r\nxyz",
	"POST /2018-06-01/runtime/invocation/a/response HTTP/1.1\r\nContent-Length: 2\r\n\r\nok",
	"POST /2018-06-01/runtime/invocation/b/error HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
	"2\r\nok\r\n0\r\n\r\n",
	"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
	"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nLambda-Runtime-",
	"Aws-Request-Id: c\r\n\r\n",
	"\x01\x02",
	"",
};

#define LAMBDA "AWS_LAMBDA_RUNTIME_API=127.0.0.1:1\0AWS_LAMBDA_MAX_CONCURRENCY=4"
static const struct {
	const char *text;
	size_t size;
} environments[] = {
	{LAMBDA, sizeof(LAMBDA)}, {"AWS_LAMBDA_RUNTIME_API=h:1", 27}, {"Http_X_Call_Id=a", 17}, {"A=", 3}};

static int close_row(void *self, struct fnp_row *row)
{
	struct scene *scene = self;

	if (!row->id || !row->function || row->pid == 0 || row->pid > ACTORS)
		abort();
	scene->rows_samples += row->samples;
	if (scene->actors[row->pid - 1].process == row->process)
		scene->actors[row->pid - 1].closed_ns += row->cpu_ns;
	fnp_row_destroy(row);
	return 0;
}

static void unwatch(void *self, uint32_t pid, uint64_t process)
{
	struct scene *scene = self;

	(void)process;
	scene->actors[pid - 1].owned = true; /* its rows are thrown away: no sum to hold */
}

static struct fnp_record head_of(struct scene *scene, uint32_t pid, enum fnp_record_type type, size_t size)
{
	struct actor *actor = &scene->actors[pid - 1];

	return (struct fnp_record){.type = type,
				   .size = (uint32_t)size,
				   .time_ns = scene->now_ns,
				   .pid = pid,
				   .tid = pid + (uint32_t)(scene->now_ns / MS % 3),
				   .process = actor->process,
				   .seq = ++actor->seq};
}

static void give(struct scene *scene, const void *data, size_t size, bool lost)
{
	const struct fnp_record *record;

	if (fnp_record_check(data, size, &record) < 0)
		abort();
	if (!lost)
		fnp_invocations_event(scene->engine, record);
}

static void put_section(uint8_t *at, uint16_t type, const void *data, size_t size)
{
	struct fnp_wire_section section = {.type = type, .size = (uint32_t)size};

	memcpy(at, &section, sizeof(section));
	if (size > 0)
		memcpy(at + sizeof(section), data, size);
}

static void act_socket(struct scene *scene, uint32_t pid, uint8_t how, const char *text)
{
	uint64_t words[64] = {0};
	size_t len = strlen(text), captured = how & 0x40 ? len / 2 : len;
	size_t size = sizeof(struct fnp_socket_record) + sizeof(struct fnp_wire_section) +
		      ((captured + 7) & ~(size_t)7);
	struct fnp_socket_record record = {.head = head_of(scene, pid, FNP_RECORD_SOCKET, size),
					   .cpu.process_ns = scene->actors[pid - 1].cpu_ns,
					   .socket = 1 + (how >> 1) % 3,
					   .length = len,
					   .direction = how & 1,
					   .remote_port = 1,
					   .remote_address = {[10] = 0xff, 0xff, 127, 0, 0, 1}};

	record.head.n_sections = 1;
	memcpy(words, &record, sizeof(record));
	put_section((uint8_t *)words + sizeof(record), FNP_SECTION_DATA, text, captured);
	give(scene, words, size, (how & 0x30) == 0x30);
}

static void act_exec(struct scene *scene, uint32_t pid, uint8_t how)
{
	uint64_t words[64] = {0};
	size_t which = how % FNP_ARRAY_SIZE(environments), env = environments[which].size;
	size_t size = sizeof(struct fnp_exec_record) + sizeof(struct fnp_wire_section) +
		      ((env + 7) & ~(size_t)7);
	struct fnp_exec_record record = {.head = head_of(scene, pid, FNP_RECORD_EXEC, size),
					 .cpu.process_ns = scene->actors[pid - 1].cpu_ns};

	record.head.n_sections = 1;
	memcpy(words, &record, sizeof(record));
	put_section((uint8_t *)words + sizeof(record), FNP_SECTION_ENVIRONMENT, environments[which].text, env);
	give(scene, words, size, false);
}

static void act_fork(struct scene *scene, uint32_t pid, uint32_t child)
{
	struct fnp_fork_record record = {.head = head_of(scene, pid, FNP_RECORD_FORK, sizeof(record)),
					 .cpu.process_ns = scene->actors[pid - 1].cpu_ns,
					 .child_pid = child,
					 .child_tid = child == pid ? pid + 1 : child};

	if (child != pid) {
		/* A child of an exec invocation has no rows of its own: its sum is not held here. */
		scene->actors[child - 1] = (struct actor){
			.process = ++scene->last_process, .lives = true, .owned = true};
		record.child_process = scene->actors[child - 1].process;
	}
	give(scene, &record, sizeof(record), false);
}

static void act_end(struct scene *scene, uint32_t pid, uint8_t how)
{
	struct actor *actor = &scene->actors[pid - 1];
	struct fnp_exit_record record = {.head = head_of(scene, pid, FNP_RECORD_EXIT, sizeof(record)),
					 .cpu.process_ns = actor->cpu_ns,
					 .exit_code = how,
					 .last = 1};
	struct fnp_target final;

	give(scene, &record, sizeof(record), how & 1);
	actor->cpu_ns += how;
	final = (struct fnp_target){.process = actor->process, .cpu_ns = actor->cpu_ns};
	fnp_invocations_gone(scene->engine, pid, actor->process, &final, scene->now_ns);
	actor->lives = false;
	actor->ended = true;
}

static void act_sample(struct scene *scene, uint32_t pid, uint8_t how)
{
	struct fnp_sample_record record = {.head = head_of(scene, pid, FNP_RECORD_SAMPLE, sizeof(record)),
					   .weight_ns = 10};

	record.head.seq = --scene->actors[pid - 1].seq + how % 4;
	if (how & 0x80 && record.head.seq > 3)
		record.head.seq -= 3;
	scene->samples++;
	fnp_invocations_sample(scene->engine, &record, (struct fnp_row_stack){.stack = how},
			       (struct fnp_stack_epoch *)(void *)scene);
}

static void act(struct scene *scene, const uint8_t *act_bytes)
{
	uint32_t pid = 1 + act_bytes[1] % ACTORS;
	struct actor *actor = &scene->actors[pid - 1];
	uint8_t how = act_bytes[2];

	scene->now_ns += (uint64_t)act_bytes[3] * MS;
	if (!actor->lives) {
		*actor = (struct actor){.process = ++scene->last_process, .lives = true};
		act_exec(scene, pid, how);
		return;
	}
	actor->cpu_ns += act_bytes[3];
	switch (act_bytes[0] % 8) {
	case 0:
		act_exec(scene, pid, how);
		break;
	case 1:
		if (how % 4 == 0 || !scene->actors[how % ACTORS].lives)
			act_fork(scene, pid, how % 4 == 0 ? pid : (uint32_t)(1 + how % ACTORS));
		break;
	case 2:
		act_end(scene, pid, how);
		break;
	case 3:
		act_sample(scene, pid, how);
		break;
	case 4:
		fnp_invocations_advance(scene->engine, scene->now_ns);
		break;
	default:
		act_socket(scene, pid, how, texts[(how >> 4) * 3 % FNP_ARRAY_SIZE(texts)]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scene scene = {.now_ns = 1000 * MS};
	struct fnp_invocations_options options = {.mode = size ? (enum fnp_invocations_mode)(data[0] % 3)
							       : FNP_MODE_HOST,
						  .sink = {.close_row = close_row, .self = &scene},
						  .host = {.self = &scene, .unwatch = unwatch}};
	struct fnp_invocations_counters counters;
	uint64_t lost = 0;

	if (fnp_invocations_create(&options, &scene.engine) < 0)
		return 0;
	for (; size >= 4; data += 4, size -= 4)
		act(&scene, data);
	fnp_invocations_finish(scene.engine, scene.now_ns);
	fnp_invocations_counters(scene.engine, &counters);
	for (size_t i = 0; i < FNP_LOSS_MAX; i++)
		lost += counters.losses[i];
	if (counters.samples != scene.rows_samples ||
	    scene.samples != counters.samples + counters.samples_unwanted + lost)
		abort();
	for (size_t i = 0; i < ACTORS; i++) {
		struct actor *actor = &scene.actors[i];

		if (actor->ended && !actor->owned && actor->closed_ns != actor->cpu_ns)
			abort();
	}
	fnp_invocations_destroy(scene.engine);
	return 0;
}
