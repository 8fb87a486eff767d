/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each test is a short conversation: out() is what the client sends, in() what it receives, one event each, numbered
 * from 1. What the reader tells is written as text, and compared whole.
 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "profiler/sources/http.h"

struct talk {
	struct fnp_http_connection *connection;
	struct fnp_buffer log;
	uint64_t seq, tags;
};

static void on_request(void *self, const struct fnp_http_head *head, const struct fnp_moment *begin,
		       uint64_t *tag)
{
	struct talk *talk = self;

	*tag = ++talk->tags;
	fnp_buffer_printf(&talk->log, "Q%d %.*s %.*s%s @%d; ", (int)*tag, (int)head->method.len,
			  head->method.data, (int)head->target.len, head->target.data,
			  head->partial ? " cut" : "", (int)begin->seq);
}

static void on_response(void *self, const struct fnp_http_head *head, const struct fnp_moment *begin,
			uint64_t *tag)
{
	struct talk *talk = self;
	struct fnp_span id;

	fnp_buffer_printf(&talk->log, "A%d %u%s @%d", (int)*tag, head->status, head->partial ? " cut" : "",
			  (int)begin->seq);
	if (fnp_http_head_field(head, "ID", &id))
		fnp_buffer_printf(&talk->log, " id=%.*s", (int)id.len, id.data);
	fnp_buffer_text(&talk->log, "; ");
}

static void log_end(struct talk *talk, const char *what, uint64_t tag, const struct fnp_moment *end,
		    const struct fnp_http_head *trailers)
{
	struct fnp_span value;

	fnp_buffer_printf(&talk->log, "%s%d. @%d", what, (int)tag, (int)end->seq);
	if (trailers && fnp_http_head_field(trailers, "err", &value))
		fnp_buffer_printf(&talk->log, " err=%.*s", (int)value.len, value.data);
	fnp_buffer_text(&talk->log, "; ");
}

static void on_request_end(void *self, uint64_t tag, const struct fnp_moment *end,
			   const struct fnp_http_head *trailers)
{
	log_end(self, "q", tag, end, trailers);
}

static void on_response_end(void *self, uint64_t tag, const struct fnp_moment *end,
			    const struct fnp_http_head *trailers)
{
	log_end(self, "a", tag, end, trailers);
}

static void event(struct talk *talk, bool sent, const void *data, size_t captured, uint64_t length)
{
	struct fnp_http_observer observer = {.self = talk,
					     .request = on_request,
					     .response = on_response,
					     .request_end = on_request_end,
					     .response_end = on_response_end};
	struct fnp_http_bytes bytes = {
		.moment.seq = ++talk->seq, .data = data, .captured = captured, .length = length, .sent = sent};

	fnp_http_connection_feed(talk->connection, &bytes, &observer);
}

static void out(struct talk *talk, const char *text)
{
	event(talk, true, text, strlen(text), strlen(text));
}

static void in(struct talk *talk, const char *text)
{
	event(talk, false, text, strlen(text), strlen(text));
}

static void told(struct talk *talk, const char *expected)
{
	fnp_buffer_byte(&talk->log, 0);
	assert_string_equal((const char *)talk->log.data, expected);
	talk->log.len = 0;
}

static int begin_talk(void **state)
{
	struct talk *talk = calloc(1, sizeof(*talk));

	*state = talk;
	return talk ? fnp_http_connection_create(FNP_HTTP_CLIENT, &talk->connection) : -1;
}

static int end_talk(void **state)
{
	struct talk *talk = *state;

	fnp_http_connection_destroy(talk->connection);
	fnp_buffer_deinit(&talk->log);
	free(talk);
	return 0;
}

#define GET "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static void exchange_in_four_events_has_four_moments(void **state)
{
	struct talk *talk = *state;

	out(talk, "POST /r HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
	out(talk, "hello");
	in(talk, "HTTP/1.1 202 Accepted\r\nid: 7\r\ncontent-length: 3\r\n\r\n");
	in(talk, "abc");
	told(talk, "Q1 POST /r @1; q1. @2; A1 202 @3 id=7; a1. @4; ");
}

static void head_may_come_byte_by_byte(void **state)
{
	struct talk *talk = *state;
	const char *text = "HTTP/1.1 200 OK\r\nId:  spaced value \t\r\nContent-Length: 1\r\n\r\nx";

	out(talk, GET);
	for (const char *at = text; *at; at++)
		event(talk, false, at, 1, 1);
	told(talk, "Q1 GET /next @1; q1. @1; A1 200 @2 id=spaced value; a1. @61; ");
	assert_int_equal(strlen(text), 60);
}

static void body_that_looks_like_a_head_is_a_body(void **state)
{
	struct talk *talk = *state;

	out(talk, "POST /r HTTP/1.1\r\nContent-Length: 35\r\n\r\n");
	out(talk, "POST /evil HTTP/1.1\r\n");
	out(talk, "GET /x HTTP/1");
	told(talk, "Q1 POST /r @1; ");
	out(talk, "\n");
	in(talk, "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nab");
	in(talk, "HTTP/1.1 200 OK\r\nId: evil\r\n\r\n");
	told(talk, "q1. @4; A1 200 @5; ");
	in(talk, "123456789");
	out(talk, GET);
	told(talk, "a1. @7; Q2 GET /next @8; q2. @8; ");
}

static void chunks_are_followed_over_events(void **state)
{
	struct talk *talk = *state;

	out(talk, "POST /s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
	out(talk, "lo\r");
	out(talk, "\nA;ext=1\r\n0\r\n\r\nGET /\r\n");
	told(talk, "Q1 POST /s @1; ");
	out(talk, "0\r\n\r\n");
	in(talk, OK);
	told(talk, "q1. @4; A1 200 @5; a1. @5; ");
}

static void trailers_end_a_chunked_message(void **state)
{
	struct talk *talk = *state;

	out(talk, "POST /s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n");
	out(talk, "Err: Boom\r\n");
	out(talk, "\r\n");
	told(talk, "Q1 POST /s @1; q1. @3 err=Boom; ");
}

static void missing_middle_of_a_counted_body_is_counted(void **state)
{
	struct talk *talk = *state;

	out(talk, "POST /r HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
	event(talk, true, "POST /x HTTP/1.1\r\n\r\n", 20, 65536);
	event(talk, true, "", 0, 34464);
	in(talk, OK);
	told(talk, "Q1 POST /r @1; q1. @3; A1 200 @4; a1. @4; ");
	assert_int_equal(fnp_http_connection_lost(talk->connection), 0);
}

static void missing_middle_of_a_chunk_is_counted(void **state)
{
	struct talk *talk = *state;

	out(talk, "POST /s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	event(talk, true, "186A0\r\nabc", 10, 7 + 100000 + 2);
	out(talk, "0\r\n\r\n");
	told(talk, "Q1 POST /s @1; q1. @3; ");
}

static void without_captured_bytes_alternation_tells_the_end(void **state)
{
	struct talk *talk = *state;

	out(talk, "POST /s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n");
	event(talk, true, "", 0, 4000);
	event(talk, true, "", 0, 4000);
	told(talk, "Q1 POST /s @1; ");
	assert_int_equal(fnp_http_connection_pending(talk->connection), 3);
	in(talk, OK);
	told(talk, "q1. @3; A1 200 @4; a1. @4; ");
	assert_int_equal(fnp_http_connection_pending(talk->connection), 0);
	out(talk, GET);
	in(talk, OK);
	told(talk, "Q2 GET /next @5; q2. @5; A2 200 @6; a2. @6; ");
}

static void cut_head_still_tells_its_first_line(void **state)
{
	struct talk *talk = *state;
	const char *head = "POST /error HTTP/1.1\r\nCause: aaaa";

	event(talk, true, head, strlen(head), 65536);
	out(talk, "POST /evil HTTP/1.1\r\n\r\n");
	in(talk, "HTTP/1.1 100 Continue\r\n\r\n");
	out(talk, "POST /evil HTTP/1.1\r\n\r\n");
	in(talk, OK);
	told(talk, "Q1 POST /error cut @1; q1. @4; A1 200 @5; a1. @5; ");
}

static void nothing_captured_at_all_keeps_the_answers(void **state)
{
	struct talk *talk = *state;

	event(talk, true, "", 0, 100);
	in(talk, "HTTP/1.1 200 OK\r\nId: 9\r\nContent-Length: 0\r\n\r\n");
	told(talk, "Q1   cut @1; q1. @1; A1 200 @2 id=9; a1. @2; ");
}

static void interim_responses_are_passed_over(void **state)
{
	struct talk *talk = *state;

	out(talk, "POST /r HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	in(talk, "HTTP/1.1 100 Continue\r\n\r\n");
	out(talk, "ab");
	in(talk, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	told(talk, "Q1 POST /r @1; q1. @3; A1 200 @4; a1. @4; ");
}

static void answers_without_body_end_with_their_head(void **state)
{
	struct talk *talk = *state;

	out(talk, "HEAD /h HTTP/1.1\r\n\r\n");
	in(talk, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	out(talk, GET);
	in(talk, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
	out(talk, GET);
	told(talk, "Q1 HEAD /h @1; q1. @1; A1 200 @2; a1. @2; Q2 GET /next @3; q2. @3; A2 204 @4; a2. @4; "
		   "Q3 GET /next @5; q3. @5; ");
}

static void answer_without_length_ends_with_the_connection_or_the_next_request(void **state)
{
	struct talk *talk = *state;

	out(talk, GET);
	in(talk, "HTTP/1.0 200 OK\r\n\r\nab");
	in(talk, "HTTP/1.1 200 OK\r\n\r\n");
	event(talk, false, "", 0, 0);
	told(talk, "Q1 GET /next @1; q1. @1; A1 200 @2; a1. @4; ");
	out(talk, GET);
	in(talk, "HTTP/1.0 200 OK\r\n\r\nab");
	out(talk, GET);
	told(talk, "Q2 GET /next @5; q2. @5; A2 200 @6; a2. @6; Q3 GET /next @7; q3. @7; ");
}

static void pipelined_requests_get_their_own_answers(void **state)
{
	struct talk *talk = *state;

	out(talk, GET "HEAD /h HTTP/1.1\r\n\r\n" GET);
	in(talk, OK "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" OK);
	told(talk,
	     "Q1 GET /next @1; q1. @1; Q2 HEAD /h @1; q2. @1; Q3 GET /next @1; q3. @1; A1 200 @2; a1. @2; "
	     "A2 200 @2; a2. @2; A3 200 @2; a3. @2; ");
}

static void endless_pipelining_is_out_of_step_and_recovers(void **state)
{
	struct talk *talk = *state;

	for (int i = 0; i < 17; i++)
		out(talk, GET);
	assert_int_equal(fnp_http_connection_lost(talk->connection), 1);
	in(talk, OK);
	talk->log.len = 0;
	out(talk, GET);
	in(talk, OK);
	told(talk, "Q18 GET /next @19; q18. @19; A18 200 @20; a18. @20; ");
}

static void what_is_not_http_waits_for_the_next_change_of_direction(void **state)
{
	struct talk *talk = *state;

	out(talk, "\x16\x03\x01 binary");
	out(talk, GET);
	in(talk, "\x16\x03");
	told(talk, "");
	assert_int_equal(fnp_http_connection_lost(talk->connection), 2);
	out(talk, GET);
	in(talk, OK);
	told(talk, "Q1 GET /next @4; q1. @4; A1 200 @5; a1. @5; ");
}

static void malformed_heads_are_refused(void **state)
{
	static const char *const heads[] = {
		"GET\r\n\r\n",
		"GET /x\r\n\r\n",
		"GET /x HTTP/2.0\r\n\r\n",
		"G{T /x HTTP/1.1\r\n\r\n",
		"PRI * HTTP/2.0\r\n",
		"get /x HTTP/1.1\r\n\r\n",
		"GET /x HTTP/1.1x\r\n\r\n",
		"GET /x HTTP/1.1\r\nA: \x01\r\n\r\n",
	};

	for (size_t i = 0; i < FNP_ARRAY_SIZE(heads); i++) {
		void *fresh;

		assert_int_equal(begin_talk(&fresh), 0);
		out(fresh, heads[i]);
		told(fresh, "");
		assert_int_equal(fnp_http_connection_lost(((struct talk *)fresh)->connection), 1);
		end_talk(&fresh);
	}
	(void)state;
}

static void contradicting_lengths_leave_the_end_to_alternation(void **state)
{
	struct talk *talk = *state;

	out(talk, "POST /r HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab");
	out(talk, "GET /evil HTTP/1.1\r\n\r\n");
	in(talk, OK);
	out(talk, "POST /r HTTP/1.1\r\nContent-Length: -1\r\n\r\n");
	in(talk, OK);
	told(talk, "Q1 POST /r @1; q1. @2; A1 200 @3; a1. @3; Q2 POST /r @4; q2. @4; A2 200 @5; a2. @5; ");
}

static void malformed_chunks_leave_the_end_to_alternation(void **state)
{
	static const char *const sizes[] = {"zz\r\n", "\r\n", "FFFFFFFFFFFFFFFFF\r\n", "\x01\x02"};
	struct talk *talk = *state;

	for (size_t i = 0; i < FNP_ARRAY_SIZE(sizes); i++) {
		out(talk, "POST /r HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n");
		out(talk, sizes[i]);
		talk->log.len = 0;
		in(talk, OK);
		assert_non_null(memmem(talk->log.data, talk->log.len, "q", 1));
	}
}

static void megabyte_of_field_costs_nothing_and_hides_nothing(void **state)
{
	struct talk *talk = *state;
	char block[4096];

	memset(block, 'x', sizeof(block));
	out(talk, "POST /error HTTP/1.1\r\nCause: ");
	for (int i = 0; i < 256; i++)
		event(talk, true, block, sizeof(block), sizeof(block));
	out(talk, "\r\nContent-Length: 2\r\n\r\nab");
	in(talk, OK);
	told(talk, "Q1 POST /error @1; q1. @258; A1 200 @259; a1. @259; ");
}

static void endless_head_is_given_up(void **state)
{
	struct talk *talk = *state;
	char block[4096];

	memset(block, 'x', sizeof(block));
	out(talk, "POST /error HTTP/1.1\r\nCause: ");
	for (int i = 0; i < 513; i++)
		event(talk, true, block, sizeof(block), sizeof(block));
	told(talk, "");
	assert_int_equal(fnp_http_connection_lost(talk->connection), 1);
}

static void attached_in_the_middle_of_an_answer_recovers_with_the_next_request(void **state)
{
	struct talk *talk = *state;

	in(talk, "rest of a body");
	in(talk, "HTTP/1.1 200 OK\r\nId: evil\r\n\r\n");
	out(talk, GET);
	in(talk, OK);
	told(talk, "Q1 GET /next @3; q1. @3; A1 200 @4; a1. @4; ");
}

static void answer_to_a_request_before_we_looked_is_told(void **state)
{
	struct talk *talk = *state;

	in(talk, "HTTP/1.1 200 OK\r\nId: 5\r\nContent-Length: 0\r\n\r\n");
	out(talk, GET);
	in(talk, OK);
	told(talk, "A0 200 @1 id=5; a0. @1; Q1 GET /next @2; q1. @2; A1 200 @3; a1. @3; ");
}

static void answer_that_is_seen_before_its_request_does_not_shift_the_rest(void **state)
{
	struct talk *talk = *state;

	out(talk, GET);
	in(talk, OK);
	in(talk, OK); /* another thread was quicker than the sender's hook */
	out(talk, GET);
	out(talk, "GET /third HTTP/1.1\r\n\r\n");
	in(talk, OK);
	told(talk, "Q1 GET /next @1; q1. @1; A1 200 @2; a1. @2; A0 200 @3; a0. @3; Q2 GET /next @4; q2. @4; "
		   "Q3 GET /third @5; q3. @5; A3 200 @6; a3. @6; ");
}

static void after_a_gap_only_what_was_under_way_can_end(void **state)
{
	struct talk *talk = *state;

	out(talk, "POST /r HTTP/1.1\r\nContent-Length: 500\r\n\r\n");
	fnp_http_connection_gap(talk->connection);
	out(talk, "GET /evil HTTP/1.1\r\n\r\n");
	in(talk, OK);
	told(talk, "Q1 POST /r @1; q1. @2; A0 200 @3; a0. @3; ");
	out(talk, GET);
	in(talk, OK);
	told(talk, "Q2 GET /next @4; q2. @4; A2 200 @5; a2. @5; ");
}

static void head_under_way_is_pending(void **state)
{
	struct talk *talk = *state;

	out(talk, GET);
	assert_int_equal(fnp_http_connection_pending(talk->connection), 0);
	in(talk, "HTTP/1.1 200 OK\r\n");
	in(talk, "Content-Length: 100\r\n");
	assert_int_equal(fnp_http_connection_pending(talk->connection), 2);
	in(talk, "\r\n");
	assert_int_equal(fnp_http_connection_pending(talk->connection), 0);
}

static void server_sees_requests_in_what_it_receives(void **state)
{
	struct talk *talk = *state;

	fnp_http_connection_destroy(talk->connection);
	assert_int_equal(fnp_http_connection_create(FNP_HTTP_SERVER, &talk->connection), 0);
	in(talk, GET);
	out(talk, OK);
	told(talk, "Q1 GET /next @1; q1. @1; A1 200 @2; a1. @2; ");
}

#define TALK(f) cmocka_unit_test_setup_teardown(f, begin_talk, end_talk)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TALK(exchange_in_four_events_has_four_moments),
		TALK(head_may_come_byte_by_byte),
		TALK(body_that_looks_like_a_head_is_a_body),
		TALK(chunks_are_followed_over_events),
		TALK(trailers_end_a_chunked_message),
		TALK(missing_middle_of_a_counted_body_is_counted),
		TALK(missing_middle_of_a_chunk_is_counted),
		TALK(without_captured_bytes_alternation_tells_the_end),
		TALK(cut_head_still_tells_its_first_line),
		TALK(nothing_captured_at_all_keeps_the_answers),
		TALK(interim_responses_are_passed_over),
		TALK(answers_without_body_end_with_their_head),
		TALK(answer_without_length_ends_with_the_connection_or_the_next_request),
		TALK(pipelined_requests_get_their_own_answers),
		TALK(endless_pipelining_is_out_of_step_and_recovers),
		TALK(what_is_not_http_waits_for_the_next_change_of_direction),
		TALK(malformed_heads_are_refused),
		TALK(contradicting_lengths_leave_the_end_to_alternation),
		TALK(malformed_chunks_leave_the_end_to_alternation),
		TALK(megabyte_of_field_costs_nothing_and_hides_nothing),
		TALK(endless_head_is_given_up),
		TALK(attached_in_the_middle_of_an_answer_recovers_with_the_next_request),
		TALK(answer_to_a_request_before_we_looked_is_told),
		TALK(answer_that_is_seen_before_its_request_does_not_shift_the_rest),
		TALK(after_a_gap_only_what_was_under_way_can_end),
		TALK(head_under_way_is_pending),
		TALK(server_sees_requests_in_what_it_receives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
