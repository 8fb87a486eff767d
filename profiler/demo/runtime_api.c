/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests are framed by the same reader that the sources use, from the server's side, and the lambda source says
 * what they mean: two users of each. An answer of ours is one write where the kernel takes it whole, the rest waits
 * for EPOLLOUT.
 */
#include "profiler/demo/runtime_api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/map.h"
#include "profiler/sources/source.h"

#define READ_MAX (64 << 10)
#define EVENTS_MAX 64
#define OUT_MAX (8 << 20) /* a client that does not read is hung up on */

extern const struct fnp_source_ops fnp_source_lambda;

struct job {
	struct job *next;
	char *id, *head; /* the answer to `next` without its deadline */
	size_t head_len;
	uint64_t timeout_ms, sent_ns;
};

struct client {
	struct client *next, *prev;
	struct client *next_waiting;
	struct fnp_runtime_api *api;
	int fd;
	struct fnp_http_connection *http;
	struct fnp_work request; /* the one that comes in */
	struct fnp_buffer out;
	size_t sent; /* of `out` */
	bool wants_out, waiting, broken;
	bool reading; /* its bytes are being read: what is said meanwhile is sent after that */
};

struct fnp_runtime_api {
	struct fnp_runtime_api_options options;
	int listener, epoll;
	char address[32];
	struct client *clients;
	struct client *first_waiting, **last_waiting;
	struct job *queue, **queue_end;
	struct job *active; /* handed out; newest first */
	size_t n_waiting, n_active, n_queued;
	uint8_t bytes[READ_MAX];
};

/* ---- jobs ---------------------------------------------------------------------------------------------------- */

static void job_destroy(struct job *job)
{
	if (!job)
		return;
	free(job->id);
	free(job->head);
	free(job);
}
FNP_DEFINE_CLEANUP(job_destroyp, struct job *, job_destroy)

static void put_trace(struct fnp_buffer *out, const struct fnp_runtime_api_work *work)
{
	if (!work->trace_id || strlen(work->trace_id) != 32)
		return;
	fnp_buffer_printf(out, "Lambda-Runtime-Trace-Id: Root=1-%.8s-%s", work->trace_id, work->trace_id + 8);
	if (work->parent_span_id)
		fnp_buffer_printf(out, ";Parent=%s", work->parent_span_id);
	fnp_buffer_text(out, ";Sampled=1\r\n");
}

static int job_create(const struct fnp_runtime_api_work *work, struct job **ret)
{
	FNP_CLEANUP(job_destroyp) struct job *job = calloc(1, sizeof(*job));
	fnp_autobuffer struct fnp_buffer out = {0};

	if (!job)
		return -ENOMEM;
	job->id = strdup(work->id);
	job->timeout_ms = work->timeout_ms;
	fnp_buffer_printf(&out, "Content-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: %s\r\n",
			  work->id);
	put_trace(&out, work);
	fnp_buffer_printf(
		&out,
		"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:local:000000000000:function:%s:%s\r\n",
		work->function, work->version);
	fnp_buffer_printf(&out, "Content-Length: %zu\r\n\r\n%s", strlen(work->payload), work->payload);
	if (!job->id || out.error)
		return -ENOMEM;
	job->head_len = out.len;
	job->head = (char *)TAKE_PTR(out.data);
	*ret = TAKE_PTR(job);
	return 0;
}

/* ---- clients ------------------------------------------------------------------------------------------------- */

static void watch(struct client *client, bool out)
{
	struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = client};

	if (client->wants_out == out)
		return;
	client->wants_out = out;
	if (epoll_ctl(client->api->epoll, EPOLL_CTL_MOD, client->fd, &event) < 0)
		client->broken = true;
}

static void ignore_head(void *self, const struct fnp_http_head *head, const struct fnp_moment *begin,
			uint64_t *tag)
{
	(void)self;
	(void)head;
	(void)begin;
	(void)tag;
}

static void ignore_end(void *self, uint64_t tag, const struct fnp_moment *end,
		       const struct fnp_http_head *trailers)
{
	(void)self;
	(void)tag;
	(void)end;
	(void)trailers;
}

/* The reader is told what we send, too, so that it knows which requests are answered. */
static void tell_reader(struct client *client, const void *data, size_t len)
{
	struct fnp_http_observer observer = {.self = client,
					     .request = ignore_head,
					     .request_end = ignore_end,
					     .response = ignore_head,
					     .response_end = ignore_end};
	struct fnp_http_bytes bytes = {.data = data, .captured = len, .length = len, .sent = true};

	fnp_http_connection_feed(client->http, &bytes, &observer);
}

static void flush(struct client *client)
{
	while (!client->broken && !client->reading && client->sent < client->out.len) {
		const uint8_t *data = client->out.data + client->sent;
		ssize_t n = send(client->fd, data, client->out.len - client->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			watch(client, true);
			return;
		}
		if (n < 0) {
			client->broken = true;
			return;
		}
		tell_reader(client, data, (size_t)n);
		client->sent += (size_t)n;
	}
	if (client->reading)
		return;
	client->out.len = client->sent = 0;
	watch(client, false);
}

static void say(struct client *client, const char *text)
{
	fnp_buffer_text(&client->out, text);
	if (client->out.error || client->out.len > OUT_MAX)
		client->broken = true;
	flush(client);
}

static void hand_out(struct client *client, struct job *job)
{
	struct fnp_runtime_api *api = client->api;
	uint64_t deadline_ms;

	job->sent_ns = fnp_clock_ns();
	deadline_ms = (uint64_t)((int64_t)job->sent_ns + fnp_clock_utc_offset_ns()) / 1000000 + job->timeout_ms;
	fnp_buffer_printf(&client->out, "HTTP/1.1 200 OK\r\nLambda-Runtime-Deadline-Ms: %llu\r\n",
			  (unsigned long long)deadline_ms);
	fnp_buffer_append(&client->out, job->head, job->head_len);
	job->next = api->active;
	api->active = job;
	api->n_active++;
	say(client, "");
}

static void stop_waiting(struct client *client)
{
	struct fnp_runtime_api *api = client->api;

	if (!client->waiting)
		return;
	for (struct client **at = &api->first_waiting; *at; at = &(*at)->next_waiting) {
		if (*at != client)
			continue;
		*at = client->next_waiting;
		if (!*at)
			api->last_waiting = at;
		break;
	}
	client->next_waiting = NULL;
	client->waiting = false;
	api->n_waiting--;
}

/* Brings together who waits and what waits. */
static void match(struct fnp_runtime_api *api)
{
	while (api->first_waiting && api->queue) {
		struct client *client = api->first_waiting;
		struct job *job = api->queue;

		stop_waiting(client);
		api->queue = job->next;
		if (!api->queue)
			api->queue_end = &api->queue;
		api->n_queued--;
		hand_out(client, job);
	}
}

static void wait_for_work(struct client *client)
{
	struct fnp_runtime_api *api = client->api;

	if (client->waiting)
		return;
	client->waiting = true;
	*api->last_waiting = client;
	api->last_waiting = &client->next_waiting;
	api->n_waiting++;
	match(api);
}

static struct job *take_active(struct fnp_runtime_api *api, const char *id)
{
	for (struct job **at = &api->active; *at; at = &(*at)->next) {
		struct job *job = *at;

		if (strcmp(job->id, id) != 0)
			continue;
		*at = job->next;
		api->n_active--;
		return job;
	}
	return NULL;
}

static void take_answer(struct client *client, const char *id, bool error)
{
	struct fnp_runtime_api *api = client->api;
	FNP_CLEANUP(job_destroyp) struct job *job = id ? take_active(api, id) : NULL;

	if (!job) {
		say(client, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
		return;
	}
	if (api->options.done) {
		struct fnp_runtime_api_result result = {
			.id = job->id, .error = error, .sent_ns = job->sent_ns, .read_ns = fnp_clock_ns()};
		api->options.done(api->options.self, &result);
	}
	say(client, "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
		    "{\"status\":\"OK\"}\n");
}

/* ---- requests ------------------------------------------------------------------------------------------------ */

static void on_request(void *self, const struct fnp_http_head *head, const struct fnp_moment *begin,
		       uint64_t *tag)
{
	struct client *client = self;
	struct fnp_span expect;

	(void)begin;
	*tag = 1;
	fnp_identity_deinit(&client->request.identity);
	client->request = (struct fnp_work){0};
	fnp_source_lambda.request(head, &client->request);
	if (fnp_http_head_field(head, "Expect", &expect) && fnp_span_equals_nocase(expect, "100-continue"))
		say(client, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void on_request_end(void *self, uint64_t tag, const struct fnp_moment *end,
			   const struct fnp_http_head *trailers)
{
	struct client *client = self;
	const struct fnp_runtime_api_options *options = &client->api->options;
	bool error = trailers && fnp_source_lambda.trailers_err(trailers);

	(void)tag;
	(void)end;
	switch (client->request.kind) {
	case FNP_WORK_ASKS:
		wait_for_work(client);
		break;
	case FNP_WORK_ANSWERS:
	case FNP_WORK_ERRS:
		take_answer(client, client->request.identity.id,
			    error || client->request.kind == FNP_WORK_ERRS);
		break;
	case FNP_WORK_INIT_ERRS:
		if (options->init_failed)
			options->init_failed(options->self);
		say(client, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
		break;
	default:
		say(client, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	}
}

static void client_destroy(struct client *client)
{
	stop_waiting(client);
	if (client->prev)
		client->prev->next = client->next;
	else
		client->api->clients = client->next;
	if (client->next)
		client->next->prev = client->prev;
	close(client->fd);
	fnp_http_connection_destroy(client->http);
	fnp_identity_deinit(&client->request.identity);
	fnp_buffer_deinit(&client->out);
	free(client);
}

static void receive(struct client *client)
{
	struct fnp_runtime_api *api = client->api;
	struct fnp_http_observer observer = {.self = client,
					     .request = on_request,
					     .request_end = on_request_end,
					     .response = ignore_head,
					     .response_end = ignore_end};
	ssize_t n = recv(client->fd, api->bytes, sizeof(api->bytes), 0);
	struct fnp_http_bytes bytes = {.data = api->bytes};

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client->broken = true;
		return;
	}
	bytes.captured = (size_t)n;
	bytes.length = (uint64_t)n;
	client->reading = true;
	fnp_http_connection_feed(client->http, &bytes, &observer);
	client->reading = false;
	flush(client);
	if (fnp_http_connection_lost(client->http) > 0)
		client->broken = true;
}

static void welcome(struct fnp_runtime_api *api)
{
	fnp_autoclose int fd = accept4(api->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	fnp_autofree struct client *client = fd >= 0 ? calloc(1, sizeof(*client)) : NULL;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
	int one = 1;

	if (!client || fnp_http_connection_create(FNP_HTTP_SERVER, &client->http) < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(api->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		fnp_http_connection_destroy(client->http);
		return;
	}
	client->fd = TAKE_FD(fd);
	client->api = api;
	client->next = api->clients;
	if (api->clients)
		api->clients->prev = client;
	api->clients = TAKE_PTR(client);
}

/* ---- the server ---------------------------------------------------------------------------------------------- */

static int listen_on_loopback(char *ret_address, size_t size, int *ret)
{
	fnp_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 256) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return -errno;
	snprintf(ret_address, size, "127.0.0.1:%u", ntohs(address.sin_port));
	*ret = TAKE_FD(fd);
	return 0;
}

int fnp_runtime_api_create(const struct fnp_runtime_api_options *options, struct fnp_runtime_api **ret)
{
	FNP_CLEANUP(fnp_runtime_api_destroyp) struct fnp_runtime_api *api = calloc(1, sizeof(*api));
	struct epoll_event event = {.events = EPOLLIN};
	int r;

	if (!api)
		return -ENOMEM;
	api->options = *options;
	api->listener = -1;
	api->last_waiting = &api->first_waiting;
	api->queue_end = &api->queue;
	api->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (api->epoll < 0)
		return -errno;
	r = listen_on_loopback(api->address, sizeof(api->address), &api->listener);
	if (r < 0)
		return r;
	if (epoll_ctl(api->epoll, EPOLL_CTL_ADD, api->listener, &event) < 0)
		return -errno;
	*ret = TAKE_PTR(api);
	return 0;
}

static void jobs_destroy(struct job *job)
{
	while (job) {
		struct job *next = job->next;

		job_destroy(job);
		job = next;
	}
}

void fnp_runtime_api_destroy(struct fnp_runtime_api *api)
{
	if (!api)
		return;
	while (api->clients)
		client_destroy(api->clients);
	jobs_destroy(api->queue);
	jobs_destroy(api->active);
	if (api->listener >= 0)
		close(api->listener);
	if (api->epoll >= 0)
		close(api->epoll);
	free(api);
}

const char *fnp_runtime_api_address(const struct fnp_runtime_api *api)
{
	return api->address;
}

int fnp_runtime_api_fd(const struct fnp_runtime_api *api)
{
	return api->epoll;
}

size_t fnp_runtime_api_waiting(const struct fnp_runtime_api *api)
{
	return api->n_waiting;
}

size_t fnp_runtime_api_active(const struct fnp_runtime_api *api)
{
	return api->n_active;
}

size_t fnp_runtime_api_queued(const struct fnp_runtime_api *api)
{
	return api->n_queued;
}

int fnp_runtime_api_offer(struct fnp_runtime_api *api, const struct fnp_runtime_api_work *work)
{
	struct job *job;
	int r = job_create(work, &job);

	if (r < 0)
		return r;
	*api->queue_end = job;
	api->queue_end = &job->next;
	api->n_queued++;
	match(api);
	return 0;
}

int fnp_runtime_api_run(struct fnp_runtime_api *api, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(api->epoll, events, EVENTS_MAX, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct client *client = events[i].data.ptr;

		if (!client)
			welcome(api);
		else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			receive(client);
		if (client && events[i].events & EPOLLOUT)
			flush(client);
	}
	for (struct client *client = api->clients, *next; client; client = next) {
		next = client->next;
		if (client->broken)
			client_destroy(client);
	}
	return 0;
}
