/* SPDX-License-Identifier: Apache-2.0 */
/* Events written to a file, read back and added up. */
#include "profiler/output/event_sums.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/profiler/output/rows.h"

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
	unlinkat(dirfd_, "link", 0);
	close(dirfd_);
	return rmdir(folder);
}

static int sum_up(const char *text, struct fnp_event_sums *ret, uint64_t *ret_unreadable)
{
	*ret = (struct fnp_event_sums){0};
	assert_int_equal(fnp_file_write_at(dirfd_, "x", text, strlen(text)), 0);
	return fnp_event_lines_read(dirfd_, "x", fnp_event_sums_add, ret, ret_unreadable);
}

static void kinds_are_counted_and_added_up(void **state)
{
	struct fnp_event_sums sums;
	uint64_t unreadable;

	(void)state;
	assert_int_equal(sum_up("{\"t_ns\":1,\"duration_ns\":30,\"tid\":5,\"what\":\"gc\",\"how\":\"usdt\"}\n"
				"{\"t_ns\":2,\"duration_ns\":0,\"tid\":5,\"what\":\"mark\",\"name\":\"a\"}\n"
				"{\"t_ns\":3,\"duration_ns\":70,\"tid\":5,\"what\":\"gc\"}\n",
				&sums, &unreadable),
			 0);
	assert_int_equal(unreadable, 0);
	assert_int_equal(sums.n_kinds, 2);
	assert_string_equal(sums.kinds[0].what, "gc");
	assert_int_equal(sums.kinds[0].count, 2);
	assert_int_equal(sums.kinds[0].total_ns, 100);
	assert_int_equal(sums.kinds[0].longest_ns, 70);
	assert_int_equal(sums.kinds[1].count, 1);
}

static void ten_dearest_loads_are_kept_longest_first(void **state)
{
	fnp_autobuffer struct fnp_buffer text = {0};
	struct fnp_event_sums sums;

	(void)state;
	for (int i = 0; i < 200; i++)
		fnp_buffer_printf(&text, "{\"t_ns\":%d,\"duration_ns\":%d,\"what\":\"%s\",\"name\":\"m%d\"}\n",
				  i, (i * 37) % 200, i % 2 ? "import" : "class_load", (i * 37) % 200);
	fnp_buffer_text(&text, "{\"t_ns\":1,\"duration_ns\":5000,\"what\":\"jit\",\"name\":\"no load\"}\n");
	fnp_buffer_byte(&text, '\0');
	assert_int_equal(sum_up((const char *)text.data, &sums, NULL), 0);
	assert_int_equal(sums.n_dearest, 10);
	for (int i = 0; i < 10; i++)
		assert_int_equal(sums.dearest[i].duration_ns, 199 - i);
	assert_string_equal(sums.dearest[0].name, "m199");
}

static void broken_lines_are_counted_and_passed_over(void **state)
{
	fnp_autobuffer struct fnp_buffer text = {0};
	struct fnp_event_sums sums;
	uint64_t unreadable;

	(void)state;
	fnp_buffer_text(
		&text,
		"\n{}\n[1]\n{\"what\":\"gc\"}\n{\"t_ns\":\"1\",\"what\":\"gc\"}\n{\"t_ns\":1,\"what\":7}\n");
	for (int i = 0; i < 300000; i++)
		fnp_buffer_byte(&text, '{');
	fnp_buffer_text(&text,
			"\n{\"t_ns\":1,\"duration_ns\":-9,\"tid\":-1,\"what\":\"gc\",\"name\":[]}\n"
			"{\"t_ns\":2,\"what\":\"gc\",\"duration_ns\":7}"); /* no newline: still being written */
	fnp_buffer_byte(&text, '\0');
	assert_int_equal(sum_up((const char *)text.data, &sums, &unreadable), 0);
	assert_int_equal(unreadable, 8);
	assert_int_equal(sums.n_kinds, 1);
	assert_int_equal(sums.kinds[0].count, 1);
	assert_int_equal(sums.kinds[0].total_ns, 0);
}

static void kinds_past_the_bound_are_counted_together(void **state)
{
	fnp_autobuffer struct fnp_buffer text = {0}, out = {0};
	struct fnp_event_sums sums;

	(void)state;
	for (int i = 0; i < FNP_EVENT_SUMS_KINDS_MAX + 5; i++)
		fnp_buffer_printf(&text, "{\"t_ns\":1,\"duration_ns\":%llu,\"what\":\"k\\u001b%d\"}\n",
				  9000000000000000000ull, i);
	fnp_buffer_byte(&text, '\0');
	assert_int_equal(sum_up((const char *)text.data, &sums, NULL), 0);
	assert_int_equal(sums.n_kinds, FNP_EVENT_SUMS_KINDS_MAX);
	assert_int_equal(sums.others, 5);
	fnp_event_sums_print(&sums, 0, &out);
	fnp_buffer_byte(&out, '\0');
	assert_non_null(strstr((const char *)out.data, "k?3\n"));
	assert_non_null(strstr((const char *)out.data, "other kinds"));
}

static void phases_tell_when_they_began(void **state)
{
	fnp_autobuffer struct fnp_buffer out = {0};
	struct fnp_event_sums sums;

	(void)state;
	sum_up("{\"t_ns\":5000,\"duration_ns\":2000,\"what\":\"phase\",\"name\":\"exec\"}\n"
	       "{\"t_ns\":7000,\"duration_ns\":9000,\"what\":\"phase\",\"name\":\"imports\"}\n",
	       &sums, NULL);
	fnp_event_sums_print(&sums, 5000, &out);
	fnp_buffer_byte(&out, '\0');
	assert_non_null(strstr((const char *)out.data,
			       "         0   2.00 us  exec\n   2.00 us   9.00 us  imports\n"));
}

static void paths_lead_to_files_of_the_recording_alone(void **state)
{
	struct fnp_event_sums sums = {0};

	(void)state;
	assert_int_equal(symlinkat("/etc/passwd", dirfd_, "link"), 0);
	assert_int_equal(fnp_event_lines_read(dirfd_, "link", fnp_event_sums_add, &sums, NULL), -ELOOP);
	assert_int_equal(fnp_event_lines_read(dirfd_, "../x", fnp_event_sums_add, &sums, NULL), -EBADMSG);
	assert_int_equal(fnp_event_lines_read(dirfd_, "/etc/passwd", fnp_event_sums_add, &sums, NULL),
			 -EBADMSG);
	assert_int_equal(fnp_event_lines_read(dirfd_, "none", fnp_event_sums_add, &sums, NULL), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_are_counted_and_added_up),
		cmocka_unit_test(ten_dearest_loads_are_kept_longest_first),
		cmocka_unit_test(broken_lines_are_counted_and_passed_over),
		cmocka_unit_test(kinds_past_the_bound_are_counted_together),
		cmocka_unit_test(phases_tell_when_they_began),
		cmocka_unit_test(paths_lead_to_files_of_the_recording_alone),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
