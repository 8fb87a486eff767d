/* SPDX-License-Identifier: Apache-2.0 */
/* A client on a plain socket talks to the server in the same thread: write, let it run, read. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "profiler/demo/runtime_api.h"

struct world {
	struct fnp_runtime_api *api;
	char last_id[64];
	bool last_error;
	int n_done, n_init_failed;
};

static void on_done(void *self, const struct fnp_runtime_api_result *result)
{
	struct world *world = self;

	snprintf(world->last_id, sizeof(world->last_id), "%s", result->id);
	world->last_error = result->error;
	world->n_done++;
	assert_true(result->sent_ns <= result->read_ns);
}

static void on_init_failed(void *self)
{
	((struct world *)self)->n_init_failed++;
}

static void begin(struct world *world)
{
	struct fnp_runtime_api_options options = {.self = world, .done = on_done, .init_failed = on_init_failed};

	*world = (struct world){0};
	assert_int_equal(fnp_runtime_api_create(&options, &world->api), 0);
}

static int dial(const struct world *world)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_port = htons(
		(uint16_t)strtoul(strchr(fnp_runtime_api_address(world->api), ':') + 1, NULL, 10));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Lets the server run until this is so; the machine may be slow. */
#define eventually(world, condition)                                                                         \
	do {                                                                                                 \
		bool so_ = (condition);                                                                      \
		for (int i_ = 0; i_ < 500 && !so_; i_++) {                                                   \
			assert_int_equal(fnp_runtime_api_run((world)->api, 10), 0);                          \
			so_ = (condition);                                                                   \
		}                                                                                            \
		assert_true(so_);                                                                            \
	} while (0)

static void tell(struct world *world, int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), (ssize_t)strlen(text));
	assert_int_equal(fnp_runtime_api_run(world->api, 10), 0);
}

static void hear(struct world *world, int fd, const char *expected)
{
	char text[4096];
	ssize_t n = -1;

	eventually(world, (n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT)) >= 0);
	text[n] = '\0';
	if (!strstr(text, expected))
		fail_msg("no '%s' in '%s'", expected, text);
}

static void offer(struct world *world, const char *id)
{
	struct fnp_runtime_api_work work = {.id = id,
					    .function = "f",
					    .version = "1",
					    .trace_id = "5759e988bd862e3fe1be46a994272793",
					    .parent_span_id = "53995c3f42cd8ad8",
					    .payload = "{\"a\":1}",
					    .timeout_ms = 1000};

	assert_int_equal(fnp_runtime_api_offer(world->api, &work), 0);
}

#define NEXT "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n"

static void who_waits_gets_the_next_offer(void **state)
{
	struct world world;
	int fd;

	(void)state;
	begin(&world);
	fd = dial(&world);
	tell(&world, fd, NEXT);
	eventually(&world, fnp_runtime_api_waiting(world.api) == 1);
	offer(&world, "r1");
	hear(&world, fd,
	     "Lambda-Runtime-Aws-Request-Id: r1\r\nLambda-Runtime-Trace-Id: "
	     "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1\r\n");
	assert_int_equal(fnp_runtime_api_active(world.api), 1);
	tell(&world, fd,
	     "POST /2018-06-01/runtime/invocation/r1/response HTTP/1.1\r\nContent-Length: 3\r\n\r\nab");
	assert_int_equal(world.n_done, 0);
	tell(&world, fd, "c");
	hear(&world, fd, "202 Accepted");
	assert_int_equal(world.n_done, 1);
	assert_string_equal(world.last_id, "r1");
	assert_false(world.last_error);
	close(fd);
	fnp_runtime_api_destroy(world.api);
}

static void offers_queue_up_in_order(void **state)
{
	struct world world;
	int a, b;

	(void)state;
	begin(&world);
	offer(&world, "r1");
	offer(&world, "r2");
	assert_int_equal(fnp_runtime_api_queued(world.api), 2);
	a = dial(&world);
	b = dial(&world);
	tell(&world, a, NEXT);
	hear(&world, a, "Request-Id: r1");
	tell(&world, b, NEXT);
	hear(&world, b, "Request-Id: r2");
	tell(&world,
	     b, "POST /2018-06-01/runtime/invocation/r1/error HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
	hear(&world, b, "202");
	assert_true(world.last_error);
	tell(&world, b,
	     "POST /2018-06-01/runtime/invocation/r1/response HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
	hear(&world, b, "400");
	assert_int_equal(world.n_done, 1);
	close(a);
	close(b);
	fnp_runtime_api_destroy(world.api);
}

static void one_connection_serves_many_invocations(void **state)
{
	struct world world;
	char id[16], text[256];
	int fd;

	(void)state;
	begin(&world);
	fd = dial(&world);
	for (int i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		offer(&world, id);
		snprintf(text,
			 sizeof(text), "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
			 id);
		assert_int_equal(send(fd, NEXT, strlen(NEXT), 0), strlen(NEXT));
		hear(&world, fd, id);
		assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
		hear(&world, fd, "202");
	}
	assert_int_equal(world.n_done, 100);
	close(fd);
	fnp_runtime_api_destroy(world.api);
}

static void big_uploads_are_asked_for(void **state)
{
	struct world world;
	int fd;

	(void)state;
	begin(&world);
	fd = dial(&world);
	tell(&world,
	     fd, "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	hear(&world, fd, "100 Continue");
	tell(&world, fd, "{}");
	hear(&world, fd, "202");
	assert_int_equal(world.n_init_failed, 1);
	close(fd);
	fnp_runtime_api_destroy(world.api);
}

static void who_leaves_waits_no_longer(void **state)
{
	struct world world;
	int a, b;

	(void)state;
	begin(&world);
	a = dial(&world);
	b = dial(&world);
	tell(&world, a, NEXT);
	tell(&world, b, NEXT);
	eventually(&world, fnp_runtime_api_waiting(world.api) == 2);
	close(a);
	eventually(&world, fnp_runtime_api_waiting(world.api) == 1);
	offer(&world, "r1");
	hear(&world, b, "Request-Id: r1");
	close(b);
	fnp_runtime_api_destroy(world.api);
}

static void what_is_not_http_is_hung_up_on(void **state)
{
	struct world world;
	int fd;

	(void)state;
	begin(&world);
	fd = dial(&world);
	tell(&world, fd, "\x16\x03\x01");
	hear(&world, fd, "");
	close(fd);
	fd = dial(&world);
	tell(&world, fd, "GET /elsewhere HTTP/1.1\r\n\r\n");
	hear(&world, fd, "404");
	close(fd);
	fnp_runtime_api_destroy(world.api);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_waits_gets_the_next_offer),
		cmocka_unit_test(offers_queue_up_in_order),
		cmocka_unit_test(one_connection_serves_many_invocations),
		cmocka_unit_test(big_uploads_are_asked_for),
		cmocka_unit_test(who_leaves_waits_no_longer),
		cmocka_unit_test(what_is_not_http_is_hung_up_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
