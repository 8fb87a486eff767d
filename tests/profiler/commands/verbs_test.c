/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that read a recording, run as the program runs them, on a recording made here. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "formats/pprof_reader.h"
#include "profiler/commands/command.h"
#include "profiler/output/directory.h"
#include "tests/profiler/commands/run.h"
#include "tests/profiler/output/rows.h"

static char base[64], place[96];

static void write_row(struct fnp_directory *dir, const char *function, const char *id, uint64_t duration_ms)
{
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = test_row(function, id);
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = test_profile();

	row->duration_ns = duration_ms * 1000000;
	row->start_ns += duration_ms;
	if (strcmp(id, "proc") == 0)
		row->kind = FNP_ROW_PROCESS;
	if (strcmp(id, "bad-1") == 0)
		row->outcome = FNP_OUTCOME_ERROR;
	assert_int_equal(fnp_directory_write(dir, row, profile), 0);
}

static int set_up(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = NULL;

	(void)state;
	snprintf(base, sizeof(base), "/tmp/fnprof-test-XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(place, sizeof(place), "%s/fnprof-a", base);
	assert_int_equal(fnp_directory_create(place, &dir), 0);
	assert_int_equal(fnp_directory_begin(dir), 0);
	write_row(dir, "resize", "req-1", 20);
	write_row(dir, "resize", "req-2", 90);
	write_row(dir, "thumb", "bad-1", 50);
	write_row(dir, "thumb", "esc\x1b[31m\nape", 1);
	write_row(dir, "sh", "proc", 200);
	assert_int_equal(fnp_directory_finish(dir, &(struct fnp_summary){0}), 0);
	assert_int_equal(chdir(base), 0);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	fnp_buffer_deinit(&out);
	snprintf(command, sizeof(command), "rm -rf -- '%s'", base);
	return chdir("/") ?: system(command);
}

static void ls_prints_a_line_for_each_invocation(void **state)
{
	(void)state;
	assert_int_equal(RUN("ls", place), 0);
	assert_int_equal(lines(), 4);
	assert_true(has("req-1\n") && has("req-2\n") && has("bad-1\n"));
	assert_false(has("proc"));
	assert_true(has("?[31m?ape")); /* no control character of a file reaches a terminal */
	assert_int_equal(RUN("ls", "--kind", "all", place), 0);
	assert_int_equal(lines(), 5);
}

static void ls_takes_the_newest_recording_here(void **state)
{
	(void)state;
	assert_int_equal(RUN("ls"), 0);
	assert_int_equal(lines(), 4);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(RUN("ls"), 1);
	assert_int_equal(chdir(base), 0);
}

static void ls_sorts_and_cuts(void **state)
{
	(void)state;
	assert_int_equal(RUN("ls", "--slowest", "2"), 0);
	assert_int_equal(lines(), 2);
	assert_true(strstr(text(), "req-2") < strstr(text(), "bad-1"));
	assert_int_equal(RUN("ls", "--sort", "start", "-n", "1"), 0);
	assert_true(has("ape") && lines() == 1);
	assert_int_equal(RUN("ls", "--sort", "colour"), 2);
}

static void ls_filters(void **state)
{
	(void)state;
	assert_int_equal(RUN("ls", "--filter", "function=resize"), 0);
	assert_int_equal(lines(), 2);
	assert_int_equal(RUN("ls", "--filter", "function=resize", "--filter", "duration_ns>50000000"), 0);
	assert_true(lines() == 1 && has("req-2"));
	assert_int_equal(RUN("ls", "--filter", "id~-1"), 0);
	assert_int_equal(lines(), 2);
	assert_int_equal(RUN("ls", "--filter", "outcome=nothing"), 0);
	assert_int_equal(lines(), 0);
	assert_int_equal(RUN("ls", "--filter", "nonsense"), 2);
	assert_int_equal(RUN("ls", "--kind", "invocaton"), 2);
}

static void ls_json_prints_the_index_itself(void **state)
{
	(void)state;
	assert_int_equal(RUN("ls", "--json", "--kind", "all"), 0);
	fnp_autobuffer struct fnp_buffer index = {0};
	assert_int_equal(fnp_file_read_at(AT_FDCWD, "fnprof-a/index.jsonl", 1u << 20, &index), 0);
	assert_int_equal(out.len, index.len);
	assert_memory_equal(out.data, index.data, index.len);
}

static void last_line_without_newline_and_broken_lines_are_no_rows(void **state)
{
	static const char junk[] =
		"{\"kind\":\"invocation\"}\nnot json\n{\"kind\":\"invocation\",\"id\":\"half\"";
	int fd = open("fnprof-a/index.jsonl", O_WRONLY | O_APPEND);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, junk, strlen(junk)), strlen(junk));
	close(fd);
	assert_int_equal(RUN("ls"), 0);
	assert_int_equal(lines(), 4);
}

static void show_one_prints_its_facts_and_frames(void **state)
{
	(void)state;
	assert_int_equal(RUN("show", place, "req-2"), 0);
	assert_true(has("invocation req-2\n"));
	assert_true(has("90.0 ms"));
	assert_true(has("2 exact"));
	assert_true(has("work") && has("50.0 %"));
}

static void show_finds_ids_by_their_beginning_when_it_is_one(void **state)
{
	(void)state;
	assert_int_equal(RUN("show", "bad"), 0);
	assert_true(has("invocation bad-1\n"));
	assert_int_equal(RUN("show", "req"), 1);
	assert_int_equal(RUN("show", "no-such-id"), 1);
}

static void show_of_a_function_puts_its_invocations_together(void **state)
{
	(void)state;
	assert_int_equal(RUN("show", "--filter", "function=resize"), 0);
	assert_true(has("resize\n"));
	assert_false(has("thumb"));
	assert_true(has("20.0 ms   90.0 ms   90.0 ms")); /* p50, p95, longest */
	assert_int_equal(RUN("show"), 0);
	assert_true(has("resize\n") && has("thumb\n"));
	assert_int_equal(RUN("show", "sh"), 0); /* one that has none: its process */
	assert_true(has("process proc\n"));
}

/* A recording with an init, and six invocations whose ledgers grow with their durations; the first one is cold. */
static void write_ledgers(const char *folder)
{
	char path[128];

	assert_int_equal(mkdir(folder, 0755), 0);
	snprintf(path, sizeof(path), "%s/told.events.jsonl", folder);
	fnp_autofclose FILE *events = fopen(path, "we");
	fprintf(events, "{\"t_ns\":105,\"duration_ns\":5000000,\"tid\":1,\"what\":\"import\",\"name\":"
			"\"num\\u001bpy\"}\n"
			"{\"t_ns\":100,\"duration_ns\":7000000,\"tid\":1,\"what\":\"phase\",\"name\":"
			"\"imports\"}\nnonsense\n");
	snprintf(path, sizeof(path), "%s/index.jsonl", folder);
	fnp_autofclose FILE *index = fopen(path, "we");
	fprintf(index,
		"{\"kind\":\"init\",\"id\":\"init-1\",\"function\":\"f\",\"pprof\":\"x\",\"start_ns\":100,"
		"\"duration_ns\":8000000,\"ledger\":{\"on_cpu\":6000000,\"disk\":2000000},"
		"\"events\":\"told.events.jsonl\"}\n");
	for (int i = 1; i <= 6; i++)
		fprintf(index,
			"{\"kind\":\"invocation\",\"id\":\"i%d\",\"function\":\"f\",\"pprof\":\"x\",\"cold\":"
			"%s,"
			"\"init\":\"init-1\",\"duration_ns\":%d000000,\"ledger\":{\"gc\":0,\"on_cpu\":"
			"1000000,\"lock\":%d}}\n",
			i, i == 1 ? "true" : "false", i, (i - 1) * 1000000);
	fprintf(index, "{\"kind\":\"invocation\",\"id\":\"i7\",\"function\":\"f\",\"pprof\":\"x\",\"duration_"
		       "ns\":99000000}\n");
}

static void ledgers_are_shown_sorted_and_filtered(void **state)
{
	char folder[96];

	(void)state;
	snprintf(folder, sizeof(folder), "%s/told", base);
	write_ledgers(folder);
	assert_int_equal(RUN("show", folder, "i5"), 0);
	assert_true(has(" 20.0 %   1.00 ms  on_cpu") && has(" 80.0 %   4.00 ms  lock"));
	assert_false(has("gc") || has("init of its process"));
	assert_int_equal(RUN("show", folder, "i7"), 0);
	assert_true(has("ledger       not known") && !has("Where its time went"));
	/* A function's name stands for its invocations: neither its init nor its idle time is one. */
	assert_int_equal(RUN("show", folder, "f"), 0);
	/* Of six ledgers the third stands for the median, and the last for the 99th percentile. */
	assert_true(has("(1 around the median, 1 around p99, 6 in all; 1 without a ledger)"));
	assert_true(has(" 2.00 ms  66.7 %   5.00 ms  83.3 %   2.50 ms  71.4 %  lock"));
	assert_true(has(" 3.00 ms 100.0 %   6.00 ms 100.0 %   3.50 ms 100.0 %  in all"));
	assert_int_equal(RUN("ls", folder, "--sort", "lock"), 0);
	assert_true(strncmp(strstr(text(), "f  "), "f ", 2) == 0 &&
		    strstr(text(), "i6\n") < strstr(text(), "i5\n"));
	assert_true(strstr(text(), "i1\n") < strstr(text(), "i7\n")); /* not known comes last */
	assert_int_equal(RUN("ls", folder, "--filter", "ledger.lock>3000000"), 0);
	assert_int_equal(lines(), 2);
}

static void cold_invocation_shows_its_init(void **state)
{
	char folder[96];

	(void)state;
	snprintf(folder, sizeof(folder), "%s/told", base);
	write_ledgers(folder);
	assert_int_equal(RUN("show", folder, "i1"), 0);
	assert_true(has("Before it, the init of its process took 8.00 ms"));
	assert_true(has(" 75.0 %   6.00 ms  on_cpu") && has(" 25.0 %   2.00 ms  disk"));
	assert_true(has("         0   7.00 ms  imports\n"));
	assert_true(has("   5.00 ms  import       num?py\n"));
	assert_true(has("1 lines of the file are no events"));
}

static void show_refuses_what_is_no_recording(void **state)
{
	(void)state;
	assert_int_equal(RUN("show", "/"), 1);
	assert_int_equal(RUN("show", "/no/such/place"), 1);
	assert_int_equal(RUN("show", place, "req-1", "more"), 2);
}

static void paths_of_an_index_never_lead_out_of_it(void **state)
{
	static const char *const bad[] = {"../fnprof-a/secret", "/etc/passwd", "profiles/../secret",
					  "secret-link"};
	int secret = open("secret", O_CREAT | O_WRONLY, 0600);

	(void)state;
	close(secret);
	assert_int_equal(symlink("../secret", "fnprof-a/secret-link"), 0);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(bad); i++) {
		FILE *f = fopen("fnprof-a/index.jsonl", "w");
		fprintf(f, "{\"kind\":\"invocation\",\"id\":\"x\",\"samples\":1,\"pprof\":\"%s\"}\n", bad[i]);
		fclose(f);
		assert_int_equal(RUN("export", "fnprof-a", "x", "--format", "folded"), 1);
		assert_int_equal(out.len, 0);
	}
}

static void export_of_one_row_is_its_folded_file(void **state)
{
	(void)state;
	assert_int_equal(RUN("export", place, "req-1", "--format", "folded"), 0);
	assert_true(has("work 10000000\n") && has("main 10000000\n") && lines() == 2);
}

static void export_puts_rows_together_and_adds_up(void **state)
{
	(void)state;
	assert_int_equal(RUN("export", place, "--format=folded", "--filter", "function=resize"), 0);
	assert_true(has("work 20000000\n") && has("main 20000000\n") && lines() == 2);
	assert_int_equal(RUN("export", place, "--format=pprof", "-o", "all.pb.gz"), 0);

	fnp_autobuffer struct fnp_buffer bytes = {0};
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;
	assert_int_equal(fnp_file_read_at(AT_FDCWD, "all.pb.gz", 1u << 20, &bytes), 0);
	assert_int_equal(fnp_pprof_read(bytes.data, bytes.len, 1u << 24, &profile), 0);
	assert_int_equal(fnp_profile_sum(profile, 1), 5 * 20000000);
	assert_int_equal(fnp_profile_sum(profile, 0), 10);
}

static void export_says_what_it_cannot(void **state)
{
	(void)state;
	assert_int_equal(RUN("export", place), 2);
	assert_int_equal(RUN("export", place, "--format", "pproof"), 2);
	assert_int_equal(RUN("export", place, "--format", "folded", "-o", "/no/such/folder/x"), 1);
	assert_int_equal(RUN("export", place, "--format", "folded", "--filter", "id=none"), 1);
}

static void export_to_a_device_does_not_replace_it(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(mkfifo("pipe", 0600), 0);
	int reader = open("pipe", O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	assert_int_equal(RUN("export", place, "req-1", "--format", "folded", "-o", "pipe"), 0);
	assert_int_equal(stat("pipe", &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	char bytes[16];
	assert_true(read(reader, bytes, sizeof(bytes)) > 0);
	close(reader);
}

static void recording_without_invocations_lists_its_other_rows(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = NULL;

	(void)state;
	assert_int_equal(fnp_directory_create("plain", &dir), 0);
	assert_int_equal(fnp_directory_begin(dir), 0);
	write_row(dir, "sh", "proc", 200);
	assert_int_equal(RUN("ls", "plain"), 0);
	assert_true(lines() == 1 && has("process") && has("proc\n"));
	assert_int_equal(RUN("show", "plain"), 0);
	assert_true(has("process proc\n"));
}

static void page_is_made_again_from_the_files(void **state)
{
	struct stat first, second;

	(void)state;
	assert_int_equal(stat("fnprof-a/index.html", &first), 0);
	assert_int_equal(RUN("export", place, "--format", "page", "-o", "page.html"), 0);
	assert_int_equal(stat("page.html", &second), 0);
	assert_int_equal(first.st_size, second.st_size);
	assert_int_equal(RUN("export", place, "--format", "page"), 0);
	assert_int_equal(out.len, first.st_size);
	assert_int_equal(RUN("export", place, "req-1", "--format", "page"), 2);
	assert_int_equal(RUN("export", place, "--format", "page", "-o", "/tmp"), 1);
}

static void doctor_says_what_is_missing_and_where_it_runs(void **state)
{
	int status;

	(void)state;
	status = RUN("doctor");
	assert_true(has("BTF") && has("CAP_BPF") && has("Not inside managed Lambda"));
	assert_int_equal(status, has("\nMISSING ") || strncmp(text(), "MISSING ", 8) == 0);
	assert_int_equal(RUN("doctor", "more"), 2);
}

static void words_that_are_no_verb_are_bad_use(void **state)
{
	(void)state;
	assert_int_equal(RUN("recrod"), 2);
	assert_int_equal(run((char *[]){NULL}), 2);
	assert_int_equal(RUN("--nonsense"), 2);
	assert_int_equal(RUN("--version"), 0);
	assert_true(strncmp(text(), "fnprof ", 7) == 0);
	assert_int_equal(RUN("help", "ls"), 0);
	assert_true(has("--slowest"));
}

static void every_verb_has_help_that_names_its_synopsis(void **state)
{
	(void)state;
	for (size_t i = 0; fnp_commands[i]; i++) {
		assert_int_equal(RUN((char *)fnp_commands[i]->name, "--help"), 0);
		assert_memory_equal(text(), fnp_commands[i]->synopsis, strlen(fnp_commands[i]->synopsis));
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(ls_prints_a_line_for_each_invocation),
		TEST(ls_takes_the_newest_recording_here),
		TEST(ls_sorts_and_cuts),
		TEST(ls_filters),
		TEST(ls_json_prints_the_index_itself),
		TEST(last_line_without_newline_and_broken_lines_are_no_rows),
		TEST(show_one_prints_its_facts_and_frames),
		TEST(show_finds_ids_by_their_beginning_when_it_is_one),
		TEST(show_of_a_function_puts_its_invocations_together),
		TEST(ledgers_are_shown_sorted_and_filtered),
		TEST(cold_invocation_shows_its_init),
		TEST(show_refuses_what_is_no_recording),
		TEST(paths_of_an_index_never_lead_out_of_it),
		TEST(export_of_one_row_is_its_folded_file),
		TEST(export_puts_rows_together_and_adds_up),
		TEST(export_says_what_it_cannot),
		TEST(export_to_a_device_does_not_replace_it),
		TEST(recording_without_invocations_lists_its_other_rows),
		TEST(page_is_made_again_from_the_files),
		TEST(doctor_says_what_is_missing_and_where_it_runs),
		TEST(words_that_are_no_verb_are_bad_use),
		TEST(every_verb_has_help_that_names_its_synopsis),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
