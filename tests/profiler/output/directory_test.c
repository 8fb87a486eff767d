/* SPDX-License-Identifier: Apache-2.0 */
/* What stands on the disk after each step, also when the disk is full. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/file.h"
#include "profiler/output/directory.h"
#include "tests/profiler/output/rows.h"

static char base[64]; /* one folder a test, removed afterwards */
static char place[96];

static int set_up(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/fnprof-test-XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(place, sizeof(place), "%s/out", base);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf -- '%s'", base);
	return system(command);
}

static struct fnp_directory *begun(void)
{
	struct fnp_directory *dir = NULL;

	assert_int_equal(fnp_directory_create(place, &dir), 0);
	assert_int_equal(fnp_directory_begin(dir), 0);
	return dir;
}

static void write_row(struct fnp_directory *dir, const char *function, const char *id)
{
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = test_row(function, id);
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = test_profile();

	assert_int_equal(fnp_directory_write(dir, row, profile), 0);
}

static void read_text(const char *name, struct fnp_buffer *ret)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", place, name);
	assert_int_equal(fnp_file_read_at(AT_FDCWD, path, 64u << 20, ret), 0);
}

/* The line of the index with this number, parsed. */
static json_t *line(size_t number)
{
	fnp_autobuffer struct fnp_buffer text = {0};
	const char *p, *end;

	read_text("index.jsonl", &text);
	p = (const char *)text.data;
	for (size_t i = 0; i < number; i++)
		p = strchr(p, '\n') + 1;
	end = strchr(p, '\n');
	assert_non_null(end);
	json_t *root = json_loadb(p, (size_t)(end - p), 0, NULL);
	assert_non_null(root);
	return root;
}

static size_t count_entries(const char *name, const char *suffix)
{
	char path[512];
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/%s", place, name);
	DIR *stream = opendir(path);
	assert_non_null(stream);
	for (struct dirent *e; (e = readdir(stream));) {
		size_t len = strlen(e->d_name), end = strlen(suffix);
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		n += len >= end && strcmp(e->d_name + len - end, suffix) == 0;
	}
	closedir(stream);
	return n;
}

static bool exists(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", place, name);
	return access(path, F_OK) == 0;
}

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	assert_non_null(text);
	return text;
}

static void index_is_made_empty_at_begin_and_not_before(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = NULL;
	fnp_autobuffer struct fnp_buffer text = {0};

	(void)state;
	assert_int_equal(fnp_directory_create(place, &dir), 0);
	assert_false(exists("index.jsonl"));
	assert_int_equal(fnp_directory_begin(dir), 0);
	read_text("index.jsonl", &text);
	assert_int_equal(text.len, 0);
}

static void directory_that_never_began_leaves_no_trace(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = NULL;

	(void)state;
	assert_int_equal(fnp_directory_create(place, &dir), 0);
	fnp_directory_destroy(TAKE_PTR(dir));
	assert_int_equal(access(place, F_OK), -1);
	assert_int_equal(mkdir(place, 0755), 0);
	assert_int_equal(fnp_directory_create(place, &dir), 0);
	fnp_directory_destroy(TAKE_PTR(dir));
	assert_int_equal(access(place, F_OK), 0); /* it was there before */
	assert_int_equal(count_entries("", ""), 0);
}

static void abandoned_directory_leaves_no_trace_unless_it_has_rows(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = begun();
	fnp_autobuffer struct fnp_buffer text = {0};

	(void)state;
	fnp_directory_abandon(dir);
	fnp_directory_destroy(TAKE_PTR(dir));
	assert_int_equal(access(place, F_OK), -1);
	dir = begun();
	write_row(dir, "orders", "kept");
	fnp_directory_abandon(dir);
	fnp_directory_destroy(TAKE_PTR(dir));
	read_text("index.jsonl", &text);
	assert_true(text.len > 0);
}

static void empty_directory_is_taken_and_full_one_refused(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = NULL;
	char file[128];

	(void)state;
	assert_int_equal(mkdir(place, 0755), 0);
	snprintf(file, sizeof(file), "%s/precious", place);
	int fd = open(file, O_CREAT | O_WRONLY, 0644);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(fnp_directory_create(place, &dir), -EEXIST);
	assert_true(exists("precious"));
	assert_int_equal(unlink(file), 0);
	assert_int_equal(fnp_directory_create(place, &dir), 0);
}

static void file_in_the_place_is_refused_and_kept(void **state)
{
	struct fnp_directory *dir = NULL;
	int fd = open(place, O_CREAT | O_WRONLY, 0644);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(fnp_directory_create(place, &dir), -ENOTDIR);
	assert_int_equal(access(place, F_OK), 0);
}

static void folder_above_must_exist(void **state)
{
	struct fnp_directory *dir = NULL;
	char deep[128];

	(void)state;
	snprintf(deep, sizeof(deep), "%s/a/b", base);
	assert_int_equal(fnp_directory_create(deep, &dir), -ENOENT);
}

static void second_recording_in_the_same_directory_is_refused(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = NULL;
	struct fnp_directory *second = NULL;

	(void)state;
	assert_int_equal(fnp_directory_create(place, &dir), 0);
	assert_int_equal(fnp_directory_create(place, &second), -EEXIST);
}

static void row_becomes_two_files_and_a_line(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = begun();
	char start[FNP_CLOCK_TEXT_MAX];

	(void)state;
	write_row(dir, "resize", "req-1");
	json_auto_t *root = line(0);
	assert_string_equal(text_of(root, "kind"), "invocation");
	assert_string_equal(text_of(root, "id"), "req-1");
	assert_string_equal(text_of(root, "function"), "resize");
	assert_string_equal(text_of(root, "outcome"), "ok");
	assert_int_equal(json_integer_value(json_object_get(root, "pid")), 77);
	assert_int_equal(json_integer_value(json_object_get(root, "start_ns")), 1000000000);
	assert_int_equal(json_integer_value(json_object_get(root, "duration_ns")), 25000000);
	assert_int_equal(json_integer_value(json_object_get(root, "samples")), 2);
	assert_int_equal(json_integer_value(json_object_get(root, "sampled_ns")), 20000000);
	assert_int_equal(json_integer_value(json_object_get(root, "cpu_ns")), 19500000);
	json_t *attribution = json_object_get(root, "attribution");
	assert_int_equal(json_object_size(attribution), 4);
	assert_int_equal(json_integer_value(json_object_get(attribution, "exact")), 2);
	assert_int_equal(json_object_size(json_object_get(root, "losses")), 0);
	fnp_clock_format_rfc3339(1000000000 + fnp_directory_utc_offset_ns(dir), start);
	assert_string_equal(text_of(root, "start"), start);
	assert_true(exists(text_of(root, "pprof")));
	assert_true(exists(text_of(root, "folded")));
	assert_memory_equal(text_of(root, "pprof"), "profiles/resize/", 16);
	assert_int_equal(count_entries("profiles/resize", ""), 2); /* no temporary name is left */
}

static void events_stand_in_a_file_of_their_own(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = begun();
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = test_row("f", "i");
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = test_profile();
	fnp_autobuffer struct fnp_buffer text = {0};
	char name[] = "G1\n\"Young\" \xff", cause[] = "System.gc()";
	const struct fnp_row_event gc = {.t_ns = UINT64_MAX,
					 .duration_ns = 1500,
					 .tid = 78,
					 .how = FNP_EVENT_UPROBE,
					 .what = "gc",
					 .name = name,
					 .cause = cause},
				   mark = {.t_ns = 9, .tid = 77, .what = "mark"};

	(void)state;
	assert_int_equal(fnp_row_add_event(row, &gc), 0);
	assert_int_equal(fnp_row_add_event(row, &mark), 0);
	row->events_lost = 3;
	assert_int_equal(fnp_directory_write(dir, row, profile), 0);
	json_auto_t *root = line(0);
	assert_int_equal(json_integer_value(json_object_get(root, "events_lost")), 3);
	assert_memory_equal(text_of(root, "events"), "profiles/f/", 11);
	read_text(text_of(root, "events"), &text);
	assert_string_equal(
		(const char *)text.data,
		"{\"t_ns\":18446744073709551615,\"duration_ns\":1500,\"tid\":78,\"what\":\"gc\","
		"\"name\":\"G1\\n\\\"Young\\\" ?\",\"cause\":\"System.gc()\",\"how\":\"uprobe\"}\n"
		"{\"t_ns\":9,\"duration_ns\":0,\"tid\":77,\"what\":\"mark\",\"how\":\"usdt\"}\n");
}

static void folded_file_holds_the_stacks(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = begun();
	fnp_autobuffer struct fnp_buffer text = {0};

	(void)state;
	write_row(dir, "resize", "req-1");
	json_auto_t *root = line(0);
	read_text(text_of(root, "folded"), &text);
	assert_non_null(strstr((const char *)text.data, "work 10000000\n"));
	assert_non_null(strstr((const char *)text.data, "main 10000000\n"));
}

static void what_is_not_known_is_absent(void **state)
{
	static const char *const absent[] = {
		"version",	  "source",   "runtime",	 "cold",	"init",	  "trace_id",
		"parent_span_id", "deadline", "children_cpu_ns", "post_cpu_ns", "ledger", "events",
		"truncated"};
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = begun();

	(void)state;
	write_row(dir, "resize", "req-1");
	json_auto_t *root = line(0);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(absent); i++)
		assert_null(json_object_get(root, absent[i]));
}

static void what_is_known_is_written(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = begun();
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = test_row("f", "i");
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = test_profile();

	(void)state;
	row->version = strdup("$LATEST");
	row->runtime = strdup("python3.12");
	row->cold = FNP_FALSE;
	row->deadline_utc_ns = 1500000000u;
	row->has_post_cpu = true;
	row->losses[FNP_LOSS_RING_FULL] = 3;
	row->truncated[FNP_TRUNCATION_NO_TABLE] = 1;
	assert_int_equal(fnp_directory_write(dir, row, profile), 0);
	json_auto_t *root = line(0);
	assert_string_equal(text_of(root, "version"), "$LATEST");
	assert_string_equal(text_of(root, "runtime"), "python3.12");
	assert_true(json_is_false(json_object_get(root, "cold")));
	assert_string_equal(text_of(root, "deadline"), "1970-01-01T00:00:01.500000000Z");
	assert_true(json_is_integer(json_object_get(root, "post_cpu_ns")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "losses"), "ring_full")), 3);
	json_t *truncated = json_object_get(root, "truncated");
	assert_int_equal(json_integer_value(json_object_get(truncated, "no unwind table")), 1);
}

static void hostile_names_stay_inside_and_stand_true_in_the_index(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = begun();
	char long_id[4097];

	(void)state;
	memset(long_id, 'x', sizeof(long_id) - 1);
	long_id[4096] = '\0';
	write_row(dir, "../../etc", "../../../etc/passwd");
	write_row(dir, "..", "a\nb\t\x1b[31m");
	write_row(dir, "", "");
	write_row(dir, "long", long_id);
	write_row(dir, "bytes", "\xff\xfe");
	for (size_t i = 0; i < 5; i++) {
		json_auto_t *root = line(i);
		assert_memory_equal(text_of(root, "pprof"), "profiles/", 9);
		assert_null(strstr(text_of(root, "pprof"), "/.."));
		assert_true(exists(text_of(root, "pprof")));
		assert_true(exists(text_of(root, "folded")));
	}
	json_auto_t *first = line(0), *second = line(1), *fourth = line(3), *fifth = line(4);
	assert_string_equal(text_of(first, "id"), "../../../etc/passwd");
	assert_string_equal(text_of(second, "id"), "a\nb\t\x1b[31m");
	assert_string_equal(text_of(fourth, "id"), long_id);
	assert_string_equal(text_of(fifth, "id"), "??");
	assert_int_equal(count_entries("profiles", ""), 5);
	assert_int_equal(count_entries("../", ""), 1);
}

static void two_thousand_functions_get_a_folder_each(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = begun();
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = test_profile();

	(void)state;
	for (int i = 0; i < 2000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "function-%d", i);
		FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = test_row(name, "id");
		assert_int_equal(fnp_directory_write(dir, row, profile), 0);
	}
	assert_int_equal(count_entries("profiles", ""), 2000);
}

/* RLIMIT_FSIZE stands for a full disk: writing past it fails (the signal is ignored). */
static void full_disk_keeps_whole_things_and_is_said_once(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = begun();
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = test_row("f", "second");
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = test_profile();
	fnp_autobuffer struct fnp_buffer before = {0}, after = {0};
	struct rlimit old, small;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	write_row(dir, "f", "first");
	read_text("index.jsonl", &before);
	getrlimit(RLIMIT_FSIZE, &old);
	/* The row's two files fit, its line does only half. */
	small = (struct rlimit){.rlim_cur = before.len + 100, .rlim_max = old.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	assert_true(small.rlim_cur > 400);
	assert_int_equal(fnp_directory_write(dir, row, profile), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(fnp_directory_write(dir, row, profile), -EFBIG); /* sticky */
	assert_int_equal(fnp_directory_error(dir), -EFBIG);
	read_text("index.jsonl", &after);
	assert_int_equal(after.len, before.len);
	assert_int_equal(count_entries("profiles/f", ""), 2);

	struct fnp_summary summary = {.ticks = 6};
	assert_int_equal(fnp_directory_finish(dir, &summary), -EFBIG);
	fnp_autobuffer struct fnp_buffer text = {0};
	read_text("summary.json", &text);
	json_auto_t *root = json_loadb((const char *)text.data, text.len, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(root, "samples")), 2);
	json_t *losses = json_object_get(root, "losses");
	assert_int_equal(json_integer_value(json_object_get(losses, "not_written")), 4);
}

static void summary_counts_what_the_index_holds(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = begun();
	fnp_autobuffer struct fnp_buffer text = {0};
	struct fnp_summary summary = {
		.start_ns = 5,
		.duration_ns = 7,
		.rate_hz = 99,
		.ticks = 5,
		.losses = {[FNP_LOSS_RING_FULL] = 1},
		.cost = {.agent_cpu_ns = 11, .rss_max_bytes = 12, .bpf_map_bytes = 13},
	};

	(void)state;
	write_row(dir, "f", "a");
	write_row(dir, "f", "b");
	assert_int_equal(fnp_directory_add_process(dir, 77, 4200, 39000000), 0);
	assert_int_equal(fnp_directory_sync(dir), 0);
	assert_int_equal(fnp_directory_finish(dir, &summary), 0);
	read_text("summary.json", &text);
	json_auto_t *root = json_loadb((const char *)text.data, text.len, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(root, "format")), 1);
	assert_int_equal(json_integer_value(json_object_get(root, "samples")), 4);
	assert_int_equal(json_integer_value(json_object_get(root, "rate_hz")), 99);
	assert_true(strlen(text_of(root, "kernel")) > 0);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "losses"), "ring_full")), 1);
	json_t *cost = json_object_get(root, "cost");
	assert_int_equal(json_integer_value(json_object_get(cost, "agent_cpu_ns")), 11);
	assert_null(json_object_get(cost, "bpf_ns"));
	json_t *processes = json_object_get(root, "processes");
	assert_int_equal(json_array_size(processes), 1);
	json_t *process = json_array_get(processes, 0);
	assert_int_equal(json_integer_value(json_object_get(process, "cpu_ns")), 39000000);
	json_t *rows = json_object_get(process, "rows");
	assert_int_equal(json_object_size(rows), 1);
	assert_int_equal(json_integer_value(json_object_get(rows, "invocation")), 39000000);
}

static void default_name_is_the_time_and_never_taken_twice(void **state)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *first = NULL, *second = NULL;
	fnp_autofree char *here = getcwd(NULL, 0);

	(void)state;
	assert_int_equal(chdir(base), 0);
	assert_int_equal(fnp_directory_create(NULL, &first), 0);
	assert_int_equal(fnp_directory_create(NULL, &second), 0);
	assert_memory_equal(fnp_directory_path(first), "fnprof-2", 8);
	assert_string_not_equal(fnp_directory_path(first), fnp_directory_path(second));
	fnp_directory_destroy(TAKE_PTR(first));
	fnp_directory_destroy(TAKE_PTR(second));
	assert_int_equal(chdir(here), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(index_is_made_empty_at_begin_and_not_before),
		TEST(directory_that_never_began_leaves_no_trace),
		TEST(abandoned_directory_leaves_no_trace_unless_it_has_rows),
		TEST(empty_directory_is_taken_and_full_one_refused),
		TEST(file_in_the_place_is_refused_and_kept),
		TEST(folder_above_must_exist),
		TEST(second_recording_in_the_same_directory_is_refused),
		TEST(row_becomes_two_files_and_a_line),
		TEST(events_stand_in_a_file_of_their_own),
		TEST(folded_file_holds_the_stacks),
		TEST(what_is_not_known_is_absent),
		TEST(what_is_known_is_written),
		TEST(hostile_names_stay_inside_and_stand_true_in_the_index),
		TEST(two_thousand_functions_get_a_folder_each),
		TEST(full_disk_keeps_whole_things_and_is_said_once),
		TEST(summary_counts_what_the_index_holds),
		TEST(default_name_is_the_time_and_never_taken_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
