/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Lambda's Runtime API, seen from the runtime's side. The process is a client of the server that
 * AWS_LAMBDA_RUNTIME_API names, below /2018-06-01/runtime/:
 *
 *	GET  invocation/next		asks for work; the answer's first byte begins an invocation, its headers say which
 *	POST invocation/ID/response	ends it; in streaming mode trailers may turn it into an error
 *	POST invocation/ID/error	ends it with an error
 *	POST init/error			the init failed
 *	GET  restore/next, POST restore/error	after a snapshot; init goes on until the first invocation/next
 *
 * The key is the request id, never the thread or the connection: clients ask on one and answer on another. Other paths
 * on the same server (extensions, telemetry) mean nothing. A request that a client sends in a way that cannot be read
 * (splice, sendmmsg, io_uring) was an answer when the API accepts it.
 */
#include <arpa/inet.h>

#include "profiler/sources/source.h"

#define PREFIX "/2018-06-01/runtime/"

enum { API, FUNCTION, VERSION, CONCURRENCY, FIELDS };

static const struct fnp_environment_field fields[FIELDS] = {
	[API] = {.name = "AWS_LAMBDA_RUNTIME_API"},
	[FUNCTION] = {.name = "AWS_LAMBDA_FUNCTION_NAME"},
	[VERSION] = {.name = "AWS_LAMBDA_FUNCTION_VERSION"},
	[CONCURRENCY] = {.name = "AWS_LAMBDA_MAX_CONCURRENCY"},
};

static void set_address(struct fnp_claim *claim, struct fnp_span host)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;

	if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']') {
		host.data++;
		host.len -= 2;
	}
	if (host.len >= sizeof(text))
		return;
	memcpy(text, host.data, host.len);
	text[host.len] = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1) {
		claim->address[10] = claim->address[11] = 0xff;
		memcpy(claim->address + 12, &v4, sizeof(v4));
		claim->has_address = true;
	} else if (inet_pton(AF_INET6, text, claim->address) == 1) {
		claim->has_address = true;
	}
}

/* "host:port", "[v6]:port" or "host"; a host name stays without address. */
static bool set_server(struct fnp_claim *claim, struct fnp_span api)
{
	const char *colon = api.len ? memrchr(api.data, ':', api.len) : NULL;
	struct fnp_span port;
	uint64_t number = 80;

	if (api.len == 0)
		return false;
	if (colon && api.data[api.len - 1] != ']') {
		port = (struct fnp_span){.data = colon + 1, .len = (size_t)(api.data + api.len - colon - 1)};
		if (!fnp_span_parse_u64(port, UINT16_MAX, &number) || number == 0)
			return false;
		api.len = (size_t)(colon - api.data);
	}
	claim->port = (uint16_t)number;
	set_address(claim, api);
	return true;
}

static bool claim(const struct fnp_environment *environment, struct fnp_claim *ret)
{
	struct fnp_span values[FIELDS];
	uint64_t concurrency = 1;

	fnp_environment_read(environment, fields, FIELDS, values);
	if (!set_server(ret, values[API]))
		return false;
	ret->kind = FNP_CLAIM_MESSAGES;
	ret->role = FNP_HTTP_CLIENT;
	if (values[FUNCTION].len > 0)
		ret->identity.function = fnp_span_dup(values[FUNCTION]);
	if (values[VERSION].len > 0)
		ret->identity.version = fnp_span_dup(values[VERSION]);
	ret->concurrent = fnp_span_parse_u64(values[CONCURRENCY], UINT32_MAX, &concurrency) && concurrency > 1;
	return true;
}

/* The part of a request's target below PREFIX, without query; no data when it is elsewhere. */
static struct fnp_span path_below_prefix(struct fnp_span target)
{
	const char *at;

	if (fnp_span_starts_with(target, "http://")) { /* the absolute form, which proxies get */
		at = memchr(target.data + 7, '/', target.len - 7);
		if (!at)
			return (struct fnp_span){0};
		target.len -= (size_t)(at - target.data);
		target.data = at;
	}
	at = target.len ? memchr(target.data, '?', target.len) : NULL;
	if (at)
		target.len = (size_t)(at - target.data);
	if (!fnp_span_starts_with(target, PREFIX))
		return (struct fnp_span){0};
	return (struct fnp_span){.data = target.data + strlen(PREFIX), .len = target.len - strlen(PREFIX)};
}

/* "invocation/ID<suffix>" to ID, which may have slashes in it. */
static bool id_between(struct fnp_span path, const char *suffix, struct fnp_span *ret)
{
	size_t prefix_len = strlen("invocation/"), suffix_len = strlen(suffix);

	if (!fnp_span_starts_with(path, "invocation/") || path.len <= prefix_len + suffix_len)
		return false;
	if (memcmp(path.data + path.len - suffix_len, suffix, suffix_len) != 0)
		return false;
	*ret = (struct fnp_span){.data = path.data + prefix_len, .len = path.len - prefix_len - suffix_len};
	return true;
}

static void request(const struct fnp_http_head *head, struct fnp_work *ret)
{
	struct fnp_span path = path_below_prefix(head->target), id;

	if (!path.data)
		return;
	if (fnp_span_equals(head->method, "GET")) {
		if (fnp_span_equals(path, "invocation/next"))
			ret->kind = FNP_WORK_ASKS;
		return;
	}
	if (!fnp_span_equals(head->method, "POST"))
		return;
	if (fnp_span_equals(path, "init/error") || fnp_span_equals(path, "restore/error"))
		ret->kind = FNP_WORK_INIT_ERRS;
	else if (id_between(path, "/response", &id))
		ret->kind = FNP_WORK_ANSWERS;
	else if (id_between(path, "/error", &id))
		ret->kind = FNP_WORK_ERRS;
	else
		return;
	if (ret->kind != FNP_WORK_INIT_ERRS)
		ret->identity.id = fnp_span_dup(id);
}

/* arn:aws:lambda:REGION:ACCOUNT:function:NAME[:VERSION] */
static void set_from_arn(struct fnp_identity *identity, struct fnp_span arn)
{
	struct fnp_span parts[8] = {0};
	size_t n = 0;

	while (n < FNP_ARRAY_SIZE(parts)) {
		const char *colon = arn.len ? memchr(arn.data, ':', arn.len) : NULL;
		size_t len = colon ? (size_t)(colon - arn.data) : arn.len;

		parts[n++] = (struct fnp_span){.data = arn.data, .len = len};
		if (!colon)
			break;
		arn.data += len + 1;
		arn.len -= len + 1;
	}
	if (n < 7 || !fnp_span_equals(parts[5], "function") || parts[6].len == 0)
		return;
	identity->function = fnp_span_dup(parts[6]);
	if (n == 8 && parts[7].len > 0)
		identity->version = fnp_span_dup(parts[7]);
}

static void response(const struct fnp_http_head *head, enum fnp_work_kind request_kind, bool unknown,
		     struct fnp_work *ret)
{
	struct fnp_span id, value;
	uint64_t deadline_ms;

	if (request_kind != FNP_WORK_ASKS && !unknown)
		return;
	if (unknown && head->status == 202) { /* Accepted: what the API says to answers, and to nothing else */
		ret->kind = FNP_WORK_ANSWERS;
		return;
	}
	if (head->status != 200 || !fnp_http_head_field(head, "Lambda-Runtime-Aws-Request-Id", &id) ||
	    id.len == 0)
		return;
	ret->kind = FNP_WORK_BEGINS;
	ret->identity.id = fnp_span_dup(id);
	if (fnp_http_head_field(head, "Lambda-Runtime-Trace-Id", &value))
		fnp_identity_set_xray(&ret->identity, value);
	if (fnp_http_head_field(head, "Lambda-Runtime-Deadline-Ms", &value) &&
	    fnp_span_parse_u64(value, UINT64_MAX / 1000000, &deadline_ms))
		ret->identity.deadline_utc_ns = deadline_ms * 1000000;
	if (fnp_http_head_field(head, "Lambda-Runtime-Invoked-Function-Arn", &value))
		set_from_arn(&ret->identity, value);
}

static bool trailers_err(const struct fnp_http_head *trailers)
{
	struct fnp_span value;

	return fnp_http_head_field(trailers, "Lambda-Runtime-Function-Error-Type", &value);
}

const struct fnp_source_ops fnp_source_lambda = {
	.name = "lambda",
	.claim = claim,
	.request = request,
	.response = response,
	.trailers_err = trailers_err,
};
