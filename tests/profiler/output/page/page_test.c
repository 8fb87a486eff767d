/* SPDX-License-Identifier: Apache-2.0 */
/* Pages are made from recordings of a few rows, and read back block by block as the page's script does. */
#include "tests/formats/build.h"
#include "tests/profiler/output/page/folder.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include <jansson.h>
#include <libdeflate.h>

#include "profiler/output/page/page.h"

static struct fnp_buffer html, unpacked;
static struct fnp_page_counts counts;

static int forget(void **state)
{
	fnp_buffer_deinit(&html);
	fnp_buffer_deinit(&unpacked);
	return folder_tear_down(state);
}

static void make_with(const struct fnp_page_options *options)
{
	assert_int_equal(fnp_page_write(folder_fd, options, &counts), 0);
	fnp_buffer_deinit(&html);
	assert_int_equal(fnp_file_read_at(folder_fd, "index.html", FNP_PAGE_BYTES_MAX, &html), 0);
	assert_int_equal(html.len, counts.bytes);
}

static void make(void)
{
	make_with(NULL);
}

static int digit(char c)
{
	const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = strchr(digits, c);

	return c && at ? (int)(at - digits) : -1;
}

/* Unpacks all blocks of a name into `unpacked`; how many there were. */
static size_t unpack(const char *name)
{
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	char mark[64];
	size_t n = 0;

	unpacked.len = 0;
	snprintf(mark, sizeof(mark), "data-block=\"%s\">", name);
	for (const char *p = (const char *)html.data; (p = strstr(p, mark)); n++) {
		fnp_autobuffer struct fnp_buffer deflated = {0};
		uint32_t bits = 0;
		int have = 0;
		size_t got;
		for (p += strlen(mark); *p != '<'; p++) {
			if (*p == '=')
				continue;
			assert_true(digit(*p) >= 0);
			bits = bits << 6 | (uint32_t)digit(*p);
			have += 6;
			if (have >= 8) {
				have -= 8;
				fnp_buffer_byte(&deflated, (uint8_t)(bits >> have));
			}
		}
		uint8_t *room = fnp_buffer_room(&unpacked, 4 << 20);
		assert_int_equal(
			libdeflate_zlib_decompress(d, deflated.data, deflated.len, room, 4 << 20, &got), 0);
		unpacked.len += got;
	}
	libdeflate_free_decompressor(d);
	fnp_buffer_byte(&unpacked, '\0');
	return n;
}

static json_t *head(void)
{
	assert_int_equal(unpack("head"), 1);
	json_t *ret = json_loads((const char *)unpacked.data, 0, NULL);
	assert_non_null(ret);
	return ret;
}

static int head_number(const char *key)
{
	json_t *h = head();
	int n = (int)json_integer_value(json_object_get(h, key));

	json_decref(h);
	return n;
}

static void write_profile(const char *path, const char *name, int n_stacks)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = build_profile();
	fnp_autobuffer struct fnp_buffer bytes = {0};
	uint32_t mapping = build_mapping(profile, "/bin/f", 0x1000, 0x900000);
	static uint32_t random = 12345; /* no two profiles weigh the same */

	for (int i = 0; i < n_stacks; i++) {
		char text[32];
		snprintf(text, sizeof(text), "%.20s%d", name, i);
		struct fnp_profile_line line = build_line(profile, i ? text : name, 3);
		struct fnp_profile_location at = {.mapping = mapping, .address = 0x1000 + (uint64_t)i};
		uint32_t location;
		random = random * 1664525 + 1013904223;
		assert_int_equal(fnp_profile_add_location(profile, &at, &line, 1, &location), 0);
		assert_int_equal(fnp_profile_add_sample(profile, &location, 1, NULL, 0,
							(int64_t[]){1, (int64_t)random >> 4}),
				 0);
	}
	assert_int_equal(fnp_format_find("pprof")->encode(profile, &bytes), 0);
	folder_write(path, bytes.data, bytes.len);
}

static void add_line(struct fnp_buffer *b, const char *id, int duration, const char *pprof)
{
	fnp_buffer_printf(
		b,
		"{\"kind\":\"invocation\",\"id\":\"%s\",\"function\":\"f\",\"start_ns\":1,\"duration_ns\":%d,"
		"\"samples\":1,\"pprof\":\"%s\"}\n",
		id, duration, pprof);
}

/* ---- tests ---- */

static void recording_without_rows_is_a_page(void **state)
{
	(void)state;
	folder_text("index.jsonl", "");
	make();
	assert_int_equal(head_number("rows"), 0);
	assert_int_equal(unpack("rows"), 0);
	assert_non_null(strstr((char *)html.data, "<!doctype html>"));
	assert_non_null(strstr((char *)html.data, "</html>"));
}

static void rows_and_names_are_in_the_tables(void **state)
{
	fnp_autobuffer struct fnp_buffer index = {0};

	(void)state;
	folder_text("summary.json", "{\"format\":1,\"kernel\":\"6.1\"}");
	write_profile("profiles/a.pb.gz", "compute", 1);
	write_profile("profiles/none.pb.gz", "", 0);
	add_line(&index, "one", 5, "profiles/a.pb.gz");
	add_line(&index, "two", 4, "profiles/none.pb.gz");
	folder_write("index.jsonl", index.data, index.len);
	make();
	assert_int_equal(counts.rows, 2);
	assert_int_equal(counts.listed, 2);
	assert_int_equal(counts.singles, 2);
	assert_int_equal(counts.unreadable, 0);
	unpack("rows");
	assert_memory_equal(unpacked.data, "[0,0,0,-1,0,{\"kind\":\"invocation\",\"id\":\"one\"", 43);
	assert_non_null(strstr((char *)unpacked.data, "\n[-1,"));
	unpack("strings");
	assert_non_null(memmem(unpacked.data, unpacked.len, "\7compute", 8));
	json_t *h = head();
	assert_string_equal(json_string_value(json_object_get(json_object_get(h, "summary"), "kernel")),
			    "6.1");
	json_decref(h);
}

static void names_stand_in_no_html(void **state)
{
	const char *name = "</script><script>hostile()</script>";
	fnp_autobuffer struct fnp_buffer index = {0};
	size_t plain = 0, now = 0;

	(void)state;
	folder_text("index.jsonl", "");
	make();
	for (const char *p = (char *)html.data; (p = strstr(p, "<script>")); p++)
		plain++;
	write_profile("profiles/a.pb.gz", name, 1);
	add_line(&index, name, 1, "profiles/a.pb.gz");
	folder_write("index.jsonl", index.data, index.len);
	folder_text("summary.json", "{\"kernel\":\"</script><script>hostile()</script>\"}");
	make();
	for (const char *p = (char *)html.data; (p = strstr(p, "<script>")); p++)
		now++;
	assert_int_equal(now, plain);
	assert_null(strstr((char *)html.data, "hostile"));
	unpack("strings");
	assert_non_null(memmem(unpacked.data, unpacked.len, name, strlen(name)));
}

static void paths_that_lead_out_of_the_recording_are_not_opened(void **state)
{
	fnp_autobuffer struct fnp_buffer index = {0};
	char absolute[96];

	(void)state;
	write_profile("outside.pb.gz", "secret", 1);
	assert_int_equal(fnp_file_mkdir_at(folder_fd, "inner"), 0);
	assert_int_equal(fnp_file_mkdir_at(folder_fd, "inner/profiles"), 0);
	assert_int_equal(symlinkat("../../outside.pb.gz", folder_fd, "inner/profiles/link.pb.gz"), 0);
	assert_int_equal(symlinkat("..", folder_fd, "inner/up"), 0);
	assert_int_equal(mkfifoat(folder_fd, "inner/profiles/fifo", 0600), 0);
	snprintf(absolute, sizeof(absolute), "%s/outside.pb.gz", folder_path);
	add_line(&index, "1", 1, "../outside.pb.gz");
	add_line(&index, "2", 1, absolute);
	add_line(&index, "3", 1, "profiles/../../outside.pb.gz");
	add_line(&index, "4", 1, "profiles/link.pb.gz");
	add_line(&index, "5", 1, "up/outside.pb.gz");
	add_line(&index, "6", 1, "profiles");
	add_line(&index, "7", 1, "profiles/fifo");
	add_line(&index, "8", 1, "");
	folder_write("inner/index.jsonl", index.data, index.len);
	fnp_autoclose int inner = openat(folder_fd, "inner", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fnp_page_write(inner, NULL, &counts), 0);
	assert_int_equal(counts.rows, 8);
	assert_int_equal(counts.unreadable, 8);
	fnp_buffer_deinit(&html);
	assert_int_equal(fnp_file_read_at(inner, "index.html", FNP_PAGE_BYTES_MAX, &html), 0);
	unpack("strings");
	assert_null(memmem(unpacked.data, unpacked.len, "secret", 6));
}

static void broken_profile_is_listed_as_unreadable(void **state)
{
	fnp_autobuffer struct fnp_buffer index = {0};

	(void)state;
	folder_text("profiles/a.pb.gz", "\x1f\x8b not gzip");
	add_line(&index, "one", 5, "profiles/a.pb.gz");
	add_line(&index, "two", 5, "profiles/missing.pb.gz");
	folder_write("index.jsonl", index.data, index.len);
	make();
	assert_int_equal(counts.unreadable, 2);
	assert_int_equal(counts.listed, 2);
	assert_int_equal(counts.singles, 0);
	unpack("rows");
	assert_memory_equal(unpacked.data, "[-2,", 4);
}

static void single_graphs_that_do_not_fit_are_left_out_and_the_sum_is_whole(void **state)
{
	const struct fnp_page_options small = {.max_bytes = 2 << 20};
	const int rows = 160, stacks = 3000;
	fnp_autobuffer struct fnp_buffer index = {0};
	char path[32], id[16];

	(void)state;
	for (int i = 0; i < rows; i++) {
		snprintf(path, sizeof(path), "profiles/%d.pb.gz", i);
		write_profile(path, "f", stacks);
		snprintf(id, sizeof(id), "row-%d", i);
		add_line(&index, id, 1000 - i, path);
	}
	folder_write("index.jsonl", index.data, index.len);
	make_with(NULL);
	assert_int_equal(counts.singles, rows);
	uint64_t whole = counts.bytes;
	assert_true(whole > 2 << 20);
	make_with(&small);
	assert_true(counts.bytes <= 2 << 20);
	assert_true(counts.singles > 0 && counts.singles < (uint64_t)rows);
	assert_int_equal(counts.listed, rows);
	assert_int_equal(unpack("graphs"), (size_t)head_number("chunks"));
	/* The slowest row comes first, so it is in. */
	unpack("rows");
	assert_non_null(
		strstr((char *)unpacked.data, "[0,0,0,-1,0,{\"kind\":\"invocation\",\"id\":\"row-0\""));
	/* Number of types, of entries; then the first entry is the group's own place and has nothing. */
	unpack("sums");
	assert_int_equal(unpacked.data[0], 2);
	assert_int_equal(unpacked.data[1] | 0x80, ((stacks + 1) & 0x7f) | 0x80);
	assert_int_equal(unpacked.data[2], (stacks + 1) >> 7);
}

static void no_index_is_an_error_that_leaves_no_file(void **state)
{
	(void)state;
	assert_int_equal(fnp_page_write(folder_fd, NULL, NULL), -ENOENT);
	DIR *dir = opendir(folder_path);
	for (struct dirent *e; (e = readdir(dir));)
		assert_null(strstr(e->d_name, "index"));
	closedir(dir);
}

static void page_goes_to_a_path_or_a_stream(void **state)
{
	char path[96];
	struct fnp_page_options options = {.path = path};

	(void)state;
	folder_text("index.jsonl", "");
	snprintf(path, sizeof(path), "%s/other.html", folder_path);
	assert_int_equal(fnp_page_write(folder_fd, &options, &counts), 0);
	assert_int_equal(faccessat(folder_fd, "index.html", F_OK, 0), -1);
	assert_int_equal(fnp_file_read_at(folder_fd, "other.html", 1 << 20, &html), 0);
	options.stream = tmpfile();
	assert_non_null(options.stream);
	assert_int_equal(fnp_page_write(folder_fd, &options, NULL), 0);
	assert_int_equal(ftell(options.stream), html.len);
	fclose(options.stream);
}

static void same_recording_gives_the_same_page(void **state)
{
	fnp_autobuffer struct fnp_buffer index = {0}, first = {0};

	(void)state;
	write_profile("profiles/a.pb.gz", "compute", 30);
	for (int i = 0; i < 9; i++)
		add_line(&index, "same", 5, "profiles/a.pb.gz");
	folder_write("index.jsonl", index.data, index.len);
	make();
	first = html;
	html = (struct fnp_buffer){0};
	make();
	assert_int_equal(first.len, html.len);
	assert_memory_equal(first.data, html.data, html.len);
}

#define PAGE_TEST(f) cmocka_unit_test_setup_teardown(f, folder_set_up, forget)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAGE_TEST(recording_without_rows_is_a_page),
		PAGE_TEST(rows_and_names_are_in_the_tables),
		PAGE_TEST(names_stand_in_no_html),
		PAGE_TEST(paths_that_lead_out_of_the_recording_are_not_opened),
		PAGE_TEST(broken_profile_is_listed_as_unreadable),
		PAGE_TEST(single_graphs_that_do_not_fit_are_left_out_and_the_sum_is_whole),
		PAGE_TEST(no_index_is_an_error_that_leaves_no_file),
		PAGE_TEST(page_goes_to_a_path_or_a_stream),
		PAGE_TEST(same_recording_gives_the_same_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
