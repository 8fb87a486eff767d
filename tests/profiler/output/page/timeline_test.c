/* SPDX-License-Identifier: Apache-2.0 */
/* Timelines are taken apart again as the page's script does it. */
#include "profiler/output/page/timeline.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "base/file.h"

static char folder[64];
static int dirfd_;

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/fnprof-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	dirfd_ = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dirfd_ < 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlinkat(dirfd_, "x", 0);
	close(dirfd_);
	return rmdir(folder);
}

static uint64_t next(struct fnp_cursor *c)
{
	uint64_t value = 0;

	assert_int_equal(fnp_cursor_uleb128(c, &value), 0);
	return value;
}

static int64_t next_signed(struct fnp_cursor *c)
{
	uint64_t value = next(c);

	return (int64_t)(value >> 1 ^ -(value & 1));
}

static const char *next_text(const struct fnp_page_timelines *timelines, struct fnp_cursor *c)
{
	return fnp_intern_get_text(timelines->texts, (uint32_t)next(c));
}

/* Tells a row whose events are `text`, and passes over the empty tables before its kinds. */
static struct fnp_cursor tell(struct fnp_page_timelines *timelines, const char *text, struct fnp_buffer *b)
{
	const struct fnp_page_timeline_row row = {.events = "x", .start_ns = 1000};
	bool any = false;

	assert_int_equal(fnp_file_write_at(dirfd_, "x", text, strlen(text)), 0);
	assert_int_equal(fnp_page_timelines_init(timelines, dirfd_), 0);
	assert_int_equal(fnp_page_timeline_add(timelines, &row, b, &any), 0);
	assert_true(any);
	struct fnp_cursor c = fnp_cursor_of(b->data, b->len);
	assert_int_equal(next(&c), 0); /* threads */
	assert_int_equal(next(&c), 0); /* samples */
	return c;
}

static void events_are_told_from_the_rows_begin(void **state)
{
	FNP_CLEANUP(fnp_page_timelines_deinit) struct fnp_page_timelines timelines = {0};
	fnp_autobuffer struct fnp_buffer b = {0};
	struct fnp_cursor c = tell(
		&timelines,
		"{\"t_ns\":900,\"duration_ns\":50,\"tid\":7,\"what\":\"gc\",\"name\":\"G1\",\"cause\":"
		"\"full\",\"how\":\"usdt\"}\n"
		"{\"t_ns\":1500,\"tid\":8,\"what\":\"mark\",\"name\":\"a\\u001bb\"}\nnonsense\n",
		&b);

	(void)state;
	assert_int_equal(next(&c), 2); /* kinds */
	assert_string_equal(next_text(&timelines, &c), "gc");
	assert_int_equal(next(&c), 1);
	assert_int_equal(next(&c), 50);
	assert_int_equal(next(&c), 50);
	for (int i = 0; i < 4; i++)
		next(&c);
	assert_int_equal(next(&c), 2); /* events */
	assert_int_equal(next_signed(&c), -100);
	assert_int_equal(next(&c), 50);
	assert_int_equal(next(&c), 7);
	assert_string_equal(next_text(&timelines, &c), "gc");
	assert_string_equal(next_text(&timelines, &c), "G1");
	assert_string_equal(next_text(&timelines, &c), "full");
	assert_string_equal(next_text(&timelines, &c), "usdt");
	assert_int_equal(next_signed(&c), 600);
	assert_int_equal(next(&c), 0);
	assert_int_equal(next(&c), 8);
	assert_string_equal(next_text(&timelines, &c), "mark");
	assert_string_equal(next_text(&timelines, &c), "a?b");
	assert_string_equal(next_text(&timelines, &c), "");
	assert_string_equal(next_text(&timelines, &c), "");
	assert_int_equal(next(&c), 1); /* unreadable */
	assert_int_equal(fnp_cursor_left(&c), 0);
}

static void longest_events_and_all_marks_are_kept_and_all_are_counted(void **state)
{
	FNP_CLEANUP(fnp_page_timelines_deinit) struct fnp_page_timelines timelines = {0};
	fnp_autobuffer struct fnp_buffer b = {0}, text = {0};
	size_t marks = 0, jits = 0;

	(void)state;
	for (int i = 0; i < 5000; i++)
		fnp_buffer_printf(&text, "{\"t_ns\":%d,\"duration_ns\":%d,\"tid\":1,\"what\":\"%s\"}\n",
				  1000 + i, i % 50 ? i * 7 % 5000 + 1 : 0, i % 50 ? "jit" : "mark");
	fnp_buffer_byte(&text, '\0');
	struct fnp_cursor c = tell(&timelines, (const char *)text.data, &b);
	assert_int_equal(next(&c), 2);
	assert_string_equal(next_text(&timelines, &c), "mark");
	assert_int_equal(next(&c), 100);
	next(&c);
	next(&c);
	assert_string_equal(next_text(&timelines, &c), "jit");
	assert_int_equal(next(&c), 4900);
	next(&c);
	next(&c);
	assert_int_equal(next(&c), FNP_PAGE_TIMELINE_EVENTS_MAX);
	for (size_t i = 0; i < FNP_PAGE_TIMELINE_EVENTS_MAX; i++) {
		next(&c);
		uint64_t duration = next(&c);
		next(&c);
		bool mark = strcmp(next_text(&timelines, &c), "mark") == 0;
		marks += mark;
		jits += !mark;
		/* Of 5,000 different lengths the 1,900 longest, less those that marks took the place of. */
		assert_true(mark || duration > 3000);
		for (int j = 0; j < 3; j++)
			next(&c);
	}
	assert_int_equal(marks, 100);
	assert_int_equal(jits, 1900);
}

static void file_that_is_not_there_is_one_unreadable_line(void **state)
{
	const struct fnp_page_timeline_row row = {.events = "../x"};
	FNP_CLEANUP(fnp_page_timelines_deinit) struct fnp_page_timelines timelines = {0};
	fnp_autobuffer struct fnp_buffer b = {0};
	bool any = false;

	(void)state;
	assert_int_equal(fnp_page_timelines_init(&timelines, dirfd_), 0);
	assert_int_equal(fnp_page_timeline_add(&timelines, &row, &b, &any), 0);
	assert_true(any);
	assert_int_equal(b.len, 5);
	assert_memory_equal(b.data, "\0\0\0\0\1", 5);
}

static void texts_past_the_bound_are_empty(void **state)
{
	FNP_CLEANUP(fnp_page_timelines_deinit) struct fnp_page_timelines timelines = {0};
	fnp_autobuffer struct fnp_buffer b = {0}, text = {0};

	(void)state;
	for (int i = 0; i < 12000; i++)
		fnp_buffer_printf(
			&text, "{\"t_ns\":%d,\"duration_ns\":%d,\"what\":\"mark\",\"name\":\"%0390d\",\"cause\":\"%0390d\",\"how\":\"%0390d\"}\n",
			i, i, i, i + 20000, i + 40000);
	fnp_buffer_byte(&text, '\0');
	tell(&timelines, (const char *)text.data, &b);
	b.len = 0;
	fnp_page_timelines_encode_texts(&timelines, &b);
	assert_int_equal(b.error, 0);
	assert_in_range(b.len, 1 << 20, 3 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_told_from_the_rows_begin),
		cmocka_unit_test(longest_events_and_all_marks_are_kept_and_all_are_counted),
		cmocka_unit_test(file_that_is_not_there_is_one_unreadable_line),
		cmocka_unit_test(texts_past_the_bound_are_empty),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
