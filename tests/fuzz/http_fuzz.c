/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes in any pieces, some of them not captured. Each event of the input is a byte of direction and kind, a byte
 * of length, and the data. Held: what ends has begun, once, and not before; a message never ends twice.
 */
#include "profiler/sources/http.h"

struct seen {
	uint64_t begun, ended, answered, finished, now;
};

static void on_request(void *self, const struct fnp_http_head *head, const struct fnp_moment *begin,
		       uint64_t *tag)
{
	struct seen *seen = self;
	struct fnp_span value;

	/* Of a head that was not read nothing is known, its method neither. */
	if (begin->seq > seen->now || (head->method.data ? !head->method.len : !head->partial))
		abort();
	fnp_http_head_field(head, "lambda-runtime-aws-request-id", &value);
	*tag = ++seen->begun;
}

static void on_request_end(void *self, uint64_t tag, const struct fnp_moment *end,
			   const struct fnp_http_head *trailers)
{
	struct seen *seen = self;
	struct fnp_span value;

	if (trailers)
		fnp_http_head_field(trailers, "x", &value);
	if (tag == 0)
		return;
	if (tag > seen->begun || tag <= seen->ended || end->seq > seen->now)
		abort();
	seen->ended = tag;
}

static void on_response(void *self, const struct fnp_http_head *head, const struct fnp_moment *begin,
			uint64_t *tag)
{
	struct seen *seen = self;

	if (head->status < 200 || head->status > 999 || begin->seq > seen->now || *tag > seen->begun)
		abort();
	seen->answered++;
}

static void on_response_end(void *self, uint64_t tag, const struct fnp_moment *end,
			    const struct fnp_http_head *trailers)
{
	struct seen *seen = self;

	(void)trailers;
	if (tag > seen->begun || end->seq > seen->now)
		abort();
	seen->finished++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FNP_CLEANUP(fnp_http_connection_destroyp) struct fnp_http_connection *connection = NULL;
	struct seen seen = {0};
	struct fnp_http_observer observer = {.self = &seen,
					     .request = on_request,
					     .request_end = on_request_end,
					     .response = on_response,
					     .response_end = on_response_end};

	if (fnp_http_connection_create(FNP_HTTP_CLIENT, &connection) < 0)
		return 0;
	while (size >= 2) {
		uint8_t kind = data[0];
		size_t length = data[1];
		struct fnp_http_bytes bytes = {.moment.seq = ++seen.now, .sent = kind & 1, .length = length};

		data += 2;
		size -= 2;
		bytes.data = data;
		bytes.captured = FNP_MIN(length, size);
		data += bytes.captured;
		size -= bytes.captured;
		bytes.length = bytes.captured;
		if (kind & 2)
			bytes.captured /= 2;
		if (kind & 4)
			bytes.length += (uint64_t)kind << 8;
		if ((kind & 0xf8) == 0xf8)
			fnp_http_connection_gap(connection);
		fnp_http_connection_feed(connection, &bytes, &observer);
		if (fnp_http_connection_pending(connection) > seen.now)
			abort();
	}
	return 0;
}
