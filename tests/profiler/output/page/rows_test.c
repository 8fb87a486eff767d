/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/profiler/output/page/folder.h"

#include <errno.h>

#include "profiler/output/page/rows.h"

#define ROW(id, start, duration)                                                                             \
	"{\"kind\":\"invocation\",\"function\":\"f\",\"id\":\"" id "\",\"start_ns\":" #start                 \
	",\"duration_ns\":" #duration "}\n"

static void broken_lines_are_counted_and_the_last_without_newline_is_none(void **state)
{
	struct fnp_page_rows rows;

	(void)state;
	folder_text("index.jsonl",
		    ROW("a", 1, 1) "\n{\n[]\n{\"kind\":1,\"id\":\"x\",\"function\":\"f\"}\n" ROW(
			    "b", 2, 1) "{\"kind\":\"invocation\",\"function\":\"f\",\"id\":\"c\"}");
	assert_int_equal(fnp_page_rows_init(&rows, folder_fd), 0);
	assert_int_equal(rows.items.len, 2);
	assert_int_equal(rows.unreadable, 4);
	fnp_page_rows_deinit(&rows);
}

static void endless_line_is_passed_over(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	struct fnp_page_rows rows;
	json_t *row = NULL;

	(void)state;
	fnp_buffer_text(&b, ROW("a", 1, 1));
	for (int i = 0; i < 700000; i++)
		fnp_buffer_byte(&b, 'x');
	fnp_buffer_text(&b, "\n" ROW("b", 2, 1));
	folder_write("index.jsonl", b.data, b.len);
	assert_int_equal(fnp_page_rows_init(&rows, folder_fd), 0);
	assert_int_equal(rows.items.len, 2);
	assert_int_equal(rows.unreadable, 1);
	assert_int_equal(fnp_page_rows_read(&rows, &rows.items.items[1], &row), 0);
	assert_string_equal(json_string_value(json_object_get(row, "id")), "b");
	json_decref(row);
	fnp_page_rows_deinit(&rows);
}

static void line_that_changed_meanwhile_is_refused(void **state)
{
	struct fnp_page_rows rows;
	json_t *row = NULL;

	(void)state;
	folder_text("index.jsonl", ROW("a", 1, 1));
	assert_int_equal(fnp_page_rows_init(&rows, folder_fd), 0);
	assert_int_equal(ftruncate(rows.fd, 4), -1); /* opened for reading alone */
	fnp_autoclose int fd = openat(folder_fd, "index.jsonl", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 4), 0);
	assert_int_equal(fnp_page_rows_read(&rows, &rows.items.items[0], &row), -EBADMSG);
	assert_null(row);
	fnp_page_rows_deinit(&rows);
}

static void order_takes_the_slowest_and_an_even_spread_by_turns(void **state)
{
	struct fnp_page_rows rows;
	char ids[16] = "";

	(void)state;
	/* a..h in time; the slowest are h, g, f, ... but first in the file */
	folder_text("index.jsonl", ROW("h", 80, 9) ROW("g", 70, 8) ROW("f", 60, 7) ROW("e", 50, 6)
					   ROW("d", 40, 5) ROW("c", 30, 4) ROW("b", 20, 3) ROW("a", 10, 2));
	assert_int_equal(fnp_page_rows_init(&rows, folder_fd), 0);
	assert_int_equal(fnp_page_rows_order(&rows), 0);
	assert_int_equal(rows.items.len, 8);
	for (size_t i = 0; i < rows.items.len; i++) {
		json_t *row = NULL;
		assert_int_equal(fnp_page_rows_read(&rows, &rows.items.items[i], &row), 0);
		ids[i] = json_string_value(json_object_get(row, "id"))[0];
		json_decref(row);
	}
	/* slowest: h g f ...; even: a e c (g is taken) ... */
	assert_string_equal(ids, "hagefcdb");
	fnp_page_rows_deinit(&rows);
}

static void order_of_any_number_of_rows_holds_each_once(void **state)
{
	(void)state;
	for (int n = 0; n < 40; n++) {
		fnp_autobuffer struct fnp_buffer b = {0};
		struct fnp_page_rows rows;
		uint64_t seen = 0;

		for (int i = 0; i < n; i++)
			fnp_buffer_printf(&b,
					  "{\"kind\":\"k\",\"function\":\"f\",\"id\":\"i\",\"start_ns\":%d,"
					  "\"duration_ns\":%d}\n",
					  i, i * 7 % 11);
		folder_write("index.jsonl", b.data ? b.data : (const uint8_t *)"", b.len);
		assert_int_equal(fnp_page_rows_init(&rows, folder_fd), 0);
		assert_int_equal(fnp_page_rows_order(&rows), 0);
		assert_int_equal(rows.items.len, n);
		for (int i = 0; i < n; i++)
			seen |= UINT64_C(1) << rows.items.items[i].start_ns;
		assert_int_equal(seen, (UINT64_C(1) << n) - 1);
		fnp_page_rows_deinit(&rows);
	}
}

#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, folder_set_up, folder_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(broken_lines_are_counted_and_the_last_without_newline_is_none),
		FOLDER_TEST(endless_line_is_passed_over),
		FOLDER_TEST(line_that_changed_meanwhile_is_refused),
		FOLDER_TEST(order_takes_the_slowest_and_an_even_spread_by_turns),
		FOLDER_TEST(order_of_any_number_of_rows_holds_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
