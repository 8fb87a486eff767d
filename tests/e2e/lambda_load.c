/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many invocations a second, from clients in C, beside which little else costs anything: what a recording must not lose.
 *
 * usage: lambda_load [--rate N] [--seconds S] [--clients N] [--burn-us U] [--truth FILE]
 *
 * It serves the Runtime API itself and runs itself again as each client (`lambda_load client U`), which asks for work,
 * burns U microseconds of its CPU time, answers (every 50th with an error), and goes on until it is hung up on. Work is
 * offered at the rate, whether the clients keep up or not. In FILE stands one JSON line for each invocation, in the
 * order in which they were answered, with the times of fnp_runtime_api_result. Exits 0 when every one was answered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "profiler/demo/runtime_api.h"

#define CLIENTS_MAX 64
#define ERROR_EVERY 50

struct load {
	struct fnp_runtime_api *api;
	FILE *truth;
	uint64_t rate, seconds, clients, burn_us;
	uint64_t offered, answered;
};

/* ---- a client ------------------------------------------------------------------------------------------------ */

static void burn(uint64_t us)
{
	struct timespec now;
	uint64_t end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	end = (uint64_t)now.tv_sec * FNP_NS_PER_S + (uint64_t)now.tv_nsec + us * 1000;
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while ((uint64_t)now.tv_sec * FNP_NS_PER_S + (uint64_t)now.tv_nsec < end);
}

static int dial(const char *address)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const char *colon = address ? strchr(address, ':') : NULL;
	fnp_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (!colon)
		return -EINVAL;
	to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	/* As libcurl does: else the body waits for the head's acknowledgement. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return TAKE_FD(fd);
}

static int say(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Reads one response with a Content-Length; its head is left in `text`. -EPIPE: hung up. */
static int hear(int fd, char *text, size_t size)
{
	size_t len = 0;

	for (;;) {
		const char *end, *length;
		ssize_t n = recv(fd, text + len, size - 1 - len, 0);

		if (n <= 0)
			return -EPIPE;
		len += (size_t)n;
		text[len] = '\0';
		end = strstr(text, "\r\n\r\n");
		length = end ? strstr(text, "Content-Length: ") : NULL;
		if (length && len >= (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10))
			return 0;
		if (len == size - 1)
			return -EMSGSIZE;
	}
}

static int answer(int fd, const char *head, uint64_t n)
{
	const char *id = strstr(head, "Request-Id: ");
	const char *what = n % ERROR_EVERY == 0 ? "error" : "response";
	const char *end = id ? strstr(id, "\r\n") : NULL;
	char text[512];
	int len, r;

	if (!end)
		return -EBADMSG;
	len = snprintf(
		text,
		sizeof(text), "POST /2018-06-01/runtime/invocation/%.*s/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n{\"ok\":true}",
		(int)(end - id - 12), id + 12, what);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -EMSGSIZE;
	if (n % 2) /* in one write, or head and body apart */
		return say(fd, text, (size_t)len);
	r = say(fd, text, (size_t)len - 11);
	return r < 0 ? r : say(fd, text + len - 11, 11);
}

static int client(uint64_t burn_us)
{
	static const char next[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
	fnp_autoclose int fd = dial(getenv("AWS_LAMBDA_RUNTIME_API"));
	char text[16384];

	if (fd < 0)
		return 1;
	for (uint64_t n = 1;; n++) {
		if (say(fd, next, strlen(next)) < 0 || hear(fd, text, sizeof(text)) < 0)
			return 0; /* hung up on: no more work */
		burn(burn_us);
		if (answer(fd, text, n) < 0 || hear(fd, text, sizeof(text)) < 0)
			return 1;
	}
}

/* ---- the server ---------------------------------------------------------------------------------------------- */

static void on_done(void *self, const struct fnp_runtime_api_result *result)
{
	struct load *load = self;

	load->answered++;
	if (load->truth)
		fprintf(load->truth, "{\"id\":\"%s\",\"outcome\":\"%s\",\"sent_ns\":%llu,\"read_ns\":%llu}\n",
			result->id, result->error ? "error" : "ok", (unsigned long long)result->sent_ns,
			(unsigned long long)result->read_ns);
}

static pid_t start_client(const struct load *load)
{
	char us[24];
	pid_t pid;

	snprintf(us, sizeof(us), "%llu", (unsigned long long)load->burn_us);
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "lambda_load", "client", us, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static int offer(struct load *load)
{
	char id[64], trace[33], parent[17];
	struct fnp_runtime_api_work work = {.id = id,
					    .function = "load",
					    .version = "1",
					    .trace_id = trace,
					    .parent_span_id = parent,
					    .payload = "{\"n\":1}",
					    .timeout_ms = 60000};

	load->offered++;
	snprintf(id, sizeof(id), "load-%08llu", (unsigned long long)load->offered);
	snprintf(trace, sizeof(trace), "65000000%024llx", (unsigned long long)load->offered);
	snprintf(parent, sizeof(parent), "%016llx", (unsigned long long)load->offered);
	return fnp_runtime_api_offer(load->api, &work);
}

static int serve(struct load *load)
{
	uint64_t start_ns = fnp_clock_ns(), total = load->rate * load->seconds;

	while (load->answered < total) {
		uint64_t elapsed_ns = fnp_clock_ns() - start_ns;
		uint64_t due = FNP_MIN(total, elapsed_ns / 1000 * load->rate / 1000000 + 1);
		int r = 0;

		while (r == 0 && load->offered < due)
			r = offer(load);
		if (r == 0)
			r = fnp_runtime_api_run(load->api, 1);
		if (r < 0)
			return r;
		if (elapsed_ns > (load->seconds + 30) * FNP_NS_PER_S)
			return -ETIMEDOUT;
	}
	printf("%llu invocations in %.3f s\n", (unsigned long long)load->answered,
	       (double)(fnp_clock_ns() - start_ns) / FNP_NS_PER_S);
	return 0;
}

static int run(struct load *load)
{
	struct fnp_runtime_api_options options = {.self = load, .done = on_done};
	pid_t pids[CLIENTS_MAX];
	int r = fnp_runtime_api_create(&options, &load->api), failed = 0;

	if (r < 0)
		return 1;
	setenv("AWS_LAMBDA_RUNTIME_API", fnp_runtime_api_address(load->api), 1);
	setenv("AWS_LAMBDA_FUNCTION_NAME", "load", 1);
	setenv("AWS_LAMBDA_FUNCTION_VERSION", "1", 1);
	for (uint64_t i = 0; i < load->clients; i++)
		pids[i] = start_client(load);
	while (fnp_runtime_api_waiting(load->api) < load->clients && r >= 0)
		r = fnp_runtime_api_run(load->api, 100);
	if (r >= 0)
		r = serve(load);
	fnp_runtime_api_destroy(load->api);
	for (uint64_t i = 0; i < load->clients; i++) {
		int status = 0;

		if (pids[i] < 0 || waitpid(pids[i], &status, 0) < 0 || status != 0)
			failed++;
	}
	return r < 0 || failed ? 1 : 0;
}

static bool option(struct load *load, const char *name, const char *value)
{
	const struct {
		const char *name;
		uint64_t *to;
	} numbers[] = {{"--rate", &load->rate},
		       {"--seconds", &load->seconds},
		       {"--clients", &load->clients},
		       {"--burn-us", &load->burn_us}};

	for (size_t i = 0; i < FNP_ARRAY_SIZE(numbers); i++) {
		if (strcmp(name, numbers[i].name) == 0) {
			*numbers[i].to = strtoull(value, NULL, 10);
			return true;
		}
	}
	if (strcmp(name, "--truth") != 0)
		return false;
	load->truth = fopen(value, "we");
	return load->truth != NULL;
}

int main(int argc, char **argv)
{
	struct load load = {.rate = 1000, .seconds = 10, .clients = 4, .burn_us = 100};
	int status;

	if (argc == 3 && strcmp(argv[1], "client") == 0)
		return client(strtoull(argv[2], NULL, 10));
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc || !option(&load, argv[i], argv[i + 1])) {
			fprintf(stderr, "lambda_load: bad option %s\n", argv[i]);
			return 2;
		}
	}
	if (load.rate == 0 || load.clients == 0 || load.clients > CLIENTS_MAX)
		return 2;
	status = run(&load);
	if (load.truth && fclose(load.truth) != 0)
		status = 1;
	return status;
}
