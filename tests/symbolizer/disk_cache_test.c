/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept on disk comes back as it was, or not at all. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "symbolizer/names_cache.h"
#include "symbolizer/unwind_cache.h"

#define LIBC "/lib/x86_64-linux-gnu/libc.so.6"

struct folder {
	char path[64];
	struct fnp_disk_cache *cache;
};

static int setup(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));

	*state = f;
	if (!f)
		return -1;
	snprintf(f->path, sizeof(f->path), "/tmp/fnprof-cache-test-XXXXXX");
	return mkdtemp(f->path) ? fnp_disk_cache_open(f->path, 10000, &f->cache) : -1;
}

static int teardown(void **state)
{
	struct folder *f = *state;
	char command[128];

	fnp_disk_cache_unref(f->cache);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->path);
	if (system(command) != 0)
		return -1;
	free(f);
	return 0;
}

static const char *entry(const struct folder *f, const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", f->path, name);
	return path;
}

static void assert_entry(const struct folder *f, const char *name, const char *text)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};

	assert_int_equal(fnp_disk_cache_load(f->cache, name, FNP_DISK_CACHE_ENTRY_MAX, &bytes), 0);
	assert_int_equal(bytes.len, strlen(text));
	assert_memory_equal(bytes.data, text, bytes.len);
}

static void assert_none(const struct folder *f, const char *name)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};

	assert_int_equal(fnp_disk_cache_load(f->cache, name, FNP_DISK_CACHE_ENTRY_MAX, &bytes), -ENOENT);
}

static void what_was_stored_is_loaded(void **state)
{
	struct folder *f = *state;

	assert_none(f, "a-1");
	assert_int_equal(fnp_disk_cache_store(f->cache, "a-1", "first", 5), 0);
	assert_entry(f, "a-1", "first");
	assert_int_equal(fnp_disk_cache_store(f->cache, "a-1", "second", 6), 0);
	assert_entry(f, "a-1", "second");
}

static void what_is_larger_than_wanted_is_no_entry(void **state)
{
	struct folder *f = *state;
	fnp_autobuffer struct fnp_buffer bytes = {0};

	assert_int_equal(fnp_disk_cache_store(f->cache, "a-1", "first", 5), 0);
	assert_int_equal(fnp_disk_cache_load(f->cache, "a-1", 4, &bytes), -ENOENT);
	assert_int_equal(fnp_disk_cache_load(f->cache, "a-1", 5, &bytes), 0);
}

static void a_name_is_no_path(void **state)
{
	struct folder *f = *state;

	assert_int_equal(fnp_disk_cache_store(f->cache, "../a", "x", 1), -EINVAL);
	assert_int_equal(fnp_disk_cache_store(f->cache, "", "x", 1), -EINVAL);
	assert_none(f, "../a");
}

static void a_torn_or_changed_file_is_no_entry(void **state)
{
	struct folder *f = *state;
	struct stat st;

	assert_int_equal(fnp_disk_cache_store(f->cache, "a", "some bytes", 10), 0);
	assert_int_equal(stat(entry(f, "a"), &st), 0);
	for (off_t size = st.st_size - 1; size >= 0; size -= 5) {
		assert_int_equal(truncate(entry(f, "a"), size), 0);
		assert_none(f, "a");
	}
	for (off_t at = 0; at < st.st_size; at++) {
		fnp_autoclose int fd = -1;
		char byte;

		assert_int_equal(fnp_disk_cache_store(f->cache, "a", "some bytes", 10), 0);
		fd = open(entry(f, "a"), O_RDWR);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x20;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		assert_none(f, "a");
	}
}

static void another_entry_s_file_is_no_entry(void **state)
{
	struct folder *f = *state;
	char from[256];

	assert_int_equal(fnp_disk_cache_store(f->cache, "a", "bytes", 5), 0);
	snprintf(from, sizeof(from), "%s", entry(f, "a"));
	assert_int_equal(rename(from, entry(f, "b")), 0);
	assert_none(f, "b");
}

static void what_others_can_write_or_no_file_is_no_entry(void **state)
{
	struct folder *f = *state;
	char target[256];

	assert_int_equal(fnp_disk_cache_store(f->cache, "a", "bytes", 5), 0);
	assert_int_equal(chmod(entry(f, "a"), 0622), 0);
	assert_none(f, "a");
	assert_int_equal(chmod(entry(f, "a"), 0600), 0);
	assert_entry(f, "a", "bytes");
	snprintf(target, sizeof(target), "%s", entry(f, "a"));
	assert_int_equal(rename(target, entry(f, "elsewhere")), 0);
	snprintf(target, sizeof(target), "%s", entry(f, "elsewhere"));
	assert_int_equal(symlink(target, entry(f, "a")), 0);
	assert_none(f, "a");
	assert_int_equal(unlink(entry(f, "a")), 0);
	assert_int_equal(mkfifo(entry(f, "a"), 0600), 0);
	assert_none(f, "a");
	assert_int_equal(unlink(entry(f, "a")), 0);
	assert_int_equal(mkdir(entry(f, "a"), 0700), 0);
	assert_none(f, "a");
}

static void the_folder_stays_within_its_bound_and_keeps_what_was_used_last(void **state)
{
	struct folder *f = *state;
	char bytes[3000] = {0}, name[16];
	size_t n = 0;

	for (int i = 0; i < 20; i++) {
		struct timespec old[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};

		snprintf(name, sizeof(name), "e%d", i);
		assert_int_equal(fnp_disk_cache_store(f->cache, name, bytes, sizeof(bytes)), 0);
		assert_int_equal(utimensat(AT_FDCWD, entry(f, name), old, 0), 0);
	}
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		n += access(entry(f, name), F_OK) == 0;
	}
	assert_in_range(n, 1, 3);
	assert_int_equal(access(entry(f, "e19"), F_OK), 0);
	assert_int_equal(fnp_disk_cache_store(f->cache, "large", bytes, 6000), -EFBIG);
}

/* ---- tables ---- */

static void a_table_comes_back_row_by_row(void **state)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *built = NULL, *back = NULL;
	fnp_autobuffer struct fnp_buffer bytes = {0};
	struct fnp_unwind_row a, b;
	size_t i = 0, k = 0;

	(void)state;
	if (fnp_object_open_path(LIBC, &object) < 0)
		skip();
	assert_int_equal(fnp_unwind_build(object, &built), 0);
	assert_int_equal(fnp_unwind_pack(built, &bytes), 0);
	assert_int_equal(fnp_unwind_unpack(bytes.data, bytes.len, &back), 0);
	assert_int_equal(back->rows, built->rows);
	while (fnp_unwind_next_row(built, &i, &a) == 1) {
		assert_int_equal(fnp_unwind_next_row(back, &k, &b), 1);
		assert_int_equal(a.start, b.start);
		assert_memory_equal(a.rule, b.rule, sizeof(*a.rule));
	}
	assert_int_equal(fnp_unwind_next_row(back, &k, &b), 0);
}

static void a_table_whose_parts_do_not_fit_together_is_refused(void **state)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *built = NULL;
	fnp_autobuffer struct fnp_buffer bytes = {0};

	(void)state;
	if (fnp_object_open_path(LIBC, &object) < 0)
		skip();
	assert_int_equal(fnp_unwind_build(object, &built), 0);
	assert_int_equal(fnp_unwind_pack(built, &bytes), 0);
	for (size_t at = 8; at < 36; at++) { /* pages to page_shift, then the number of lines */
		struct fnp_unwind *back = NULL;

		bytes.data[at] ^= 0x41;
		assert_int_equal(fnp_unwind_unpack(bytes.data, bytes.len, &back), -EBADMSG);
		bytes.data[at] ^= 0x41;
	}
	for (size_t cut = 1; cut < bytes.len; cut += bytes.len / 7) {
		struct fnp_unwind *back = NULL;

		assert_int_equal(fnp_unwind_unpack(bytes.data, bytes.len - cut, &back), -EBADMSG);
	}
}

static void a_large_table_is_compiled_once(void **state)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *built = NULL, *again = NULL;
	struct folder *f = *state;

	fnp_disk_cache_unref(f->cache);
	f->cache = NULL;
	assert_int_equal(fnp_disk_cache_open(f->path, 100 << 20, &f->cache), 0);
	if (fnp_object_open_path(LIBC, &object) < 0 || !fnp_object_build_id(object)[0])
		skip();
	assert_int_equal(fnp_unwind_build_cached(object, f->cache, &built), 0);
	assert_int_equal(system("ls /tmp/fnprof-cache-test-*/unwind-* >/dev/null"), 0);
	assert_int_equal(fnp_unwind_build_cached(object, f->cache, &again), 0);
	assert_int_equal(built->n_lines, again->n_lines);
	assert_memory_equal(built->lines, again->lines, built->n_lines * FNP_BLOCK_BYTES);
}

/* ---- names ---- */

static void names_come_back(void **state)
{
	const struct fnp_symbol symbols[] = {
		{.name = "inner", .system_name = "_Zinner", .file = "a.c", .line = 3, .start_line = 1},
		{.name = "outer", .system_name = "outer", .file = "", .line = 0, .start_line = 0},
	};
	struct fnp_map chains = {0}, back = {0};
	fnp_symbol_vec frames = {0}, frames_back = {0};
	fnp_autobuffer struct fnp_buffer bytes = {0};
	uint64_t *chain;

	(void)state;
	assert_int_equal(fnp_vec_append(&frames, symbols, 2), 0);
	assert_int_equal(fnp_map_set(&chains, 0x1000, 0 << 16 | 2), 0);
	assert_int_equal(fnp_map_set(&chains, 0x2000, 2 << 16 | 0), 0); /* nothing is known there */
	assert_int_equal(fnp_names_pack(&chains, &frames, &bytes), 0);
	assert_int_equal(fnp_names_unpack(bytes.data, bytes.len, &back, &frames_back), 0);
	chain = fnp_map_find(&back, 0x1000);
	assert_non_null(chain);
	assert_int_equal(*chain, 2);
	assert_string_equal(frames_back.items[0].system_name, "_Zinner");
	assert_string_equal(frames_back.items[1].name, "outer");
	assert_int_equal(frames_back.items[0].line, 3);
	assert_non_null(fnp_map_find(&back, 0x2000));
	/* Cut anywhere it is nothing. */
	for (size_t len = 0; len < bytes.len; len++) {
		struct fnp_map none = {0};
		fnp_symbol_vec no_frames = {0};

		assert_int_equal(fnp_names_unpack(bytes.data, len, &none, &no_frames), -EBADMSG);
		assert_int_equal(no_frames.len, 0);
		assert_int_equal(none.len, 0);
		fnp_vec_deinit(&no_frames);
	}
	fnp_map_deinit(&chains);
	fnp_map_deinit(&back);
	fnp_vec_deinit(&frames);
	fnp_vec_deinit(&frames_back);
}

static void names_are_found_again_without_looking_at_the_object(void **state)
{
	struct folder *f = *state;
	struct fnp_symbolizer_options how;
	char first[200][64];

	fnp_disk_cache_unref(f->cache);
	f->cache = NULL;
	assert_int_equal(fnp_disk_cache_open(f->path, 100 << 20, &f->cache), 0);
	how = (struct fnp_symbolizer_options){.cache = f->cache};
	for (int round = 0; round < 2; round++) {
		FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
		FNP_CLEANUP(fnp_symbolizer_destroyp) struct fnp_symbolizer *symbolizer = NULL;

		if (fnp_object_open_path(LIBC, &object) < 0 || !fnp_object_build_id(object)[0])
			skip();
		assert_int_equal(fnp_symbolizer_create(&how, &symbolizer), 0);
		for (int i = 0; i < 200; i++) {
			struct fnp_symbol_chain chain = {0};
			int r = fnp_symbolizer_resolve(symbolizer, object, 0x30000 + (uint64_t)i * 640, &chain);
			char text[64];

			snprintf(text, sizeof(text), "%s", r == 0 ? chain.symbols[0].name : "");
			if (round == 0)
				memcpy(first[i], text, sizeof(text));
			else
				assert_string_equal(text, first[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_larger_than_wanted_is_no_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_stored_is_loaded, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_is_no_path, setup, teardown),
		cmocka_unit_test_setup_teardown(a_torn_or_changed_file_is_no_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(another_entry_s_file_is_no_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(what_others_can_write_or_no_file_is_no_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(the_folder_stays_within_its_bound_and_keeps_what_was_used_last,
						setup, teardown),
		cmocka_unit_test(a_table_comes_back_row_by_row),
		cmocka_unit_test(a_table_whose_parts_do_not_fit_together_is_refused),
		cmocka_unit_test_setup_teardown(a_large_table_is_compiled_once, setup, teardown),
		cmocka_unit_test(names_come_back),
		cmocka_unit_test_setup_teardown(names_are_found_again_without_looking_at_the_object, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
