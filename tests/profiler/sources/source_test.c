/* SPDX-License-Identifier: Apache-2.0 */
/* What the two platforms say of environments and heads. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "profiler/sources/source.h"

#define CLAIM(text, ret) claim_of(text, sizeof(text), ret)

static bool claim_of(const char *text, size_t size, struct fnp_claim *ret)
{
	struct fnp_environment environment = {.data = text, .size = size};

	return fnp_sources_claim(&environment, ret);
}

static void lambda_is_known_by_its_server(void **state)
{
	static const uint8_t loopback[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1}, six[16] = {[15] = 1};
	fnp_autoclaim struct fnp_claim a = {0}, b = {0}, c = {0}, d = {0}, e = {0};

	(void)state;
	assert_true(CLAIM("X=1\0AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001\0AWS_LAMBDA_FUNCTION_NAME=f\0"
			  "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
			  &a));
	assert_string_equal(a.source->name, "lambda");
	assert_int_equal(a.kind, FNP_CLAIM_MESSAGES);
	assert_int_equal(a.port, 9001);
	assert_true(a.has_address);
	assert_memory_equal(a.address, loopback, 16);
	assert_string_equal(a.identity.function, "f");
	assert_string_equal(a.identity.version, "$LATEST");
	assert_false(a.concurrent);
	assert_true(CLAIM("AWS_LAMBDA_RUNTIME_API=[::1]:80\0AWS_LAMBDA_MAX_CONCURRENCY=8", &b));
	assert_memory_equal(b.address, six, 16);
	assert_true(b.concurrent);
	assert_true(CLAIM("AWS_LAMBDA_RUNTIME_API=sandbox.localdomain:1234", &c));
	assert_false(c.has_address);
	assert_int_equal(c.port, 1234);
	assert_true(CLAIM("AWS_LAMBDA_RUNTIME_API=10.1.2.3", &d));
	assert_int_equal(d.port, 80);
	assert_false(CLAIM("AWS_LAMBDA_RUNTIME_API=\0AWS_LAMBDA_FUNCTION_NAME=f", &e));
	assert_false(CLAIM("AWS_LAMBDA_RUNTIME_API=x:0", &e));
	assert_false(CLAIM("AWS_LAMBDA_RUNTIME_API=x:65536", &e));
	assert_false(CLAIM("AWS_LAMBDA_RUNTIME_API=x:", &e));
	assert_false(CLAIM("PATH=/bin\0HOME=/", &e));
}

static void exec_is_known_by_its_request(void **state)
{
	fnp_autoclaim struct fnp_claim a = {0}, b = {0}, c = {0}, d = {0}, e = {0};

	(void)state;
	assert_true(CLAIM("Http_X_Call_Id=abc\0Http_Traceparent=00-0AF7651916cd43dd8448eb211c80319c-"
			  "b7ad6b7169203331-01",
			  &a));
	assert_string_equal(a.source->name, "exec");
	assert_int_equal(a.kind, FNP_CLAIM_PROCESS);
	assert_string_equal(a.identity.id, "abc");
	assert_string_equal(a.identity.trace_id, "0af7651916cd43dd8448eb211c80319c");
	assert_string_equal(a.identity.parent_span_id, "b7ad6b7169203331");
	assert_true(CLAIM("Http_Method=GET\0Http_Path=/", &b));
	assert_null(b.identity.id);
	assert_true(CLAIM("GATEWAY_INTERFACE=CGI/1.1\0HTTP_X_CALL_ID=q", &c));
	assert_string_equal(c.identity.id, "q");
	assert_false(CLAIM("Http_Method=GET", &d));
	assert_false(CLAIM("Http_Path=/\0HTTP_PROXY=x", &e));
}

static void malformed_traces_are_not_taken(void **state)
{
	static const char *const values[] = {
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b71",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"",
		"00-0af7651916cd43dd8448eb211c80319g-",
	};
	fnp_autoidentity struct fnp_identity identity = {0};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(values); i++)
		assert_false(fnp_identity_set_traceparent(&identity, fnp_span_of(values[i])));
	fnp_identity_set_xray(&identity,
			      fnp_span_of("Root=1-5759e988-bd862e3fe1be46a99427279;Parent=53995c3f42cd8ad"));
	assert_null(identity.trace_id);
	assert_null(identity.parent_span_id);
	fnp_identity_set_xray(&identity, fnp_span_of("Self=2;Root=1-5759E988-bd862e3fe1be46a994272793; "
						     "Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:b"));
	assert_string_equal(identity.trace_id, "5759e988bd862e3fe1be46a994272793");
	assert_string_equal(identity.parent_span_id, "53995c3f42cd8ad8");
}

static enum fnp_work_kind request_means(const char *method, const char *target, const char *id)
{
	fnp_autoclaim struct fnp_claim claim = {0};
	fnp_autoidentity struct fnp_identity identity = {0};
	struct fnp_http_head head = {.method = fnp_span_of(method), .target = fnp_span_of(target)};
	struct fnp_work work = {0};

	assert_true(CLAIM("AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001", &claim));
	claim.source->request(&head, &work);
	identity = work.identity;
	if (id)
		assert_string_equal(identity.id, id);
	else
		assert_null(identity.id);
	return work.kind;
}

static void lambda_requests_have_their_meaning(void **state)
{
#define AT "/2018-06-01/runtime/"
	(void)state;
	assert_int_equal(request_means("GET", AT "invocation/next", NULL), FNP_WORK_ASKS);
	assert_int_equal(request_means("GET", "http://a:1" AT "invocation/next?x=1", NULL), FNP_WORK_ASKS);
	assert_int_equal(request_means("POST", AT "invocation/a-1/response", "a-1"), FNP_WORK_ANSWERS);
	assert_int_equal(request_means("POST", AT "invocation/a-1/error", "a-1"), FNP_WORK_ERRS);
	assert_int_equal(request_means("POST", AT "invocation/../../etc/response/error", "../../etc/response"),
			 FNP_WORK_ERRS);
	assert_int_equal(request_means("POST", AT "init/error", NULL), FNP_WORK_INIT_ERRS);
	assert_int_equal(request_means("POST", AT "restore/error", NULL), FNP_WORK_INIT_ERRS);
	assert_int_equal(request_means("GET", AT "restore/next", NULL), FNP_WORK_NONE);
	assert_int_equal(request_means("POST", AT "invocation//response", NULL), FNP_WORK_NONE);
	assert_int_equal(request_means("POST", AT "invocation/response", NULL), FNP_WORK_NONE);
	assert_int_equal(request_means("PUT", AT "invocation/a/response", NULL), FNP_WORK_NONE);
	assert_int_equal(request_means("GET", "/2020-01-01/extension/event/next", NULL), FNP_WORK_NONE);
	assert_int_equal(request_means("GET", "http://", NULL), FNP_WORK_NONE);
	assert_int_equal(request_means("GET", "", NULL), FNP_WORK_NONE);
}

#define FIELDS                                                                                               \
	"lambda-runtime-aws-request-id:r1\0Lambda-Runtime-Deadline-Ms: 1700000000123\0"                      \
	"Lambda-Runtime-Trace-Id:Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8\0"         \
	"Lambda-Runtime-Invoked-Function-Arn:arn:aws:lambda:us-east-1:123456789012:function:name:7\0"

static void lambda_response_to_next_begins_an_invocation(void **state)
{
	fnp_autoclaim struct fnp_claim claim = {0};
	struct fnp_http_head head = {.status = 200, .fields = FIELDS, .fields_size = sizeof(FIELDS) - 1};
	struct fnp_work work = {0}, none = {0};

	(void)state;
	assert_true(CLAIM("AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001", &claim));
	claim.source->response(&head, FNP_WORK_ASKS, false, &work);
	assert_int_equal(work.kind, FNP_WORK_BEGINS);
	assert_string_equal(work.identity.id, "r1");
	assert_string_equal(work.identity.function, "name");
	assert_string_equal(work.identity.version, "7");
	assert_string_equal(work.identity.trace_id, "5759e988bd862e3fe1be46a994272793");
	assert_true(work.identity.deadline_utc_ns == 1700000000123000000);
	fnp_identity_deinit(&work.identity);
	claim.source->response(&head, FNP_WORK_ANSWERS, false, &none);
	assert_int_equal(none.kind, FNP_WORK_NONE);
	head.status = 500;
	claim.source->response(&head, FNP_WORK_ASKS, false, &none);
	assert_int_equal(none.kind, FNP_WORK_NONE);
	head = (struct fnp_http_head){.status = 200};
	claim.source->response(&head, FNP_WORK_ASKS, false, &none);
	assert_int_equal(none.kind, FNP_WORK_NONE);
}

static void lambda_trailer_turns_a_stream_into_an_error(void **state)
{
	static const char fields[] =
		"Lambda-Runtime-Function-Error-Body:e30=\0lambda-runtime-function-error-type:Boom\0";
	fnp_autoclaim struct fnp_claim claim = {0};
	struct fnp_http_head head = {.fields = fields, .fields_size = sizeof(fields) - 1};

	(void)state;
	assert_true(CLAIM("AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001", &claim));
	assert_true(claim.source->trailers_err(&head));
	head.fields_size = 40;
	assert_false(claim.source->trailers_err(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lambda_is_known_by_its_server),
		cmocka_unit_test(exec_is_known_by_its_request),
		cmocka_unit_test(malformed_traces_are_not_taken),
		cmocka_unit_test(lambda_requests_have_their_meaning),
		cmocka_unit_test(lambda_response_to_next_begins_an_invocation),
		cmocka_unit_test(lambda_trailer_turns_a_stream_into_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
