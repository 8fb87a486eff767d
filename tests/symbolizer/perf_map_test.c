/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"

static char folder[] = "/tmp/fnp-perf-map-XXXXXX";
static int dirfd = -1;

static void append(const char *text)
{
	fnp_autoclose int fd = openat(dirfd, "map", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fnp_file_write_all(fd, text, strlen(text)), 0);
}

static struct fnp_perf_map *with_text(const char *text)
{
	struct fnp_perf_map *map = NULL;

	unlinkat(dirfd, "map", 0);
	append(text);
	assert_int_equal(fnp_perf_map_open_at(dirfd, "map", getuid(), &map), 0);
	return map;
}

/* The name at an address, "" without one. */
static const char *name_at(struct fnp_perf_map *map, uint64_t address)
{
	const char *name = "";
	uint64_t start = 0;

	if (fnp_perf_map_find(map, address, &name, &start) == 0)
		assert_true(start <= address);
	return name;
}

static void code_is_found_by_address(void **state)
{
	FNP_CLEANUP(fnp_perf_map_destroyp)
	struct fnp_perf_map *map = with_text(
		"1000 10 first function\n0x1010 8 second\n7f0000001000 20 far\n");

	(void)state;
	assert_string_equal(name_at(map, 0xfff), "");
	assert_string_equal(name_at(map, 0x1000), "first function");
	assert_string_equal(name_at(map, 0x100f), "first function");
	assert_string_equal(name_at(map, 0x1010), "second");
	assert_string_equal(name_at(map, 0x1018), "");
	assert_string_equal(name_at(map, 0x7f000000101f), "far");
}

static void of_lines_for_one_address_the_last_counts(void **state)
{
	FNP_CLEANUP(fnp_perf_map_destroyp)
	struct fnp_perf_map *map = with_text("1000 40 old\n1010 10 inside\n1000 20 new\n1030 8 later\n");

	(void)state;
	assert_string_equal(name_at(map, 0x1000), "new");
	assert_string_equal(name_at(map, 0x1010), "new");
	assert_string_equal(name_at(map, 0x1020), "old");
	assert_string_equal(name_at(map, 0x1030), "later");
	assert_string_equal(name_at(map, 0x1038), "old");
	assert_string_equal(name_at(map, 0x1040), "");
}

static void what_the_file_grows_by_is_read(void **state)
{
	FNP_CLEANUP(fnp_perf_map_destroyp) struct fnp_perf_map *map = with_text("1000 10 first\n2000 10 ha");

	(void)state;
	assert_string_equal(name_at(map, 0x1000), "first");
	assert_string_equal(name_at(map, 0x2000), "");
	append("lf\n1000 10 moved\n");
	assert_int_equal(fnp_perf_map_refresh(map), 0);
	assert_string_equal(name_at(map, 0x2000), "half");
	assert_string_equal(name_at(map, 0x1000), "moved");
}

static void growth_is_noticed_without_being_told(void **state)
{
	FNP_CLEANUP(fnp_perf_map_destroyp) struct fnp_perf_map *map = with_text("1000 10 first\n");

	(void)state;
	append("2000 10 second\n");
	for (int i = 0; i < 500 && !*name_at(map, 0x2000); i++)
		usleep(10000);
	assert_string_equal(name_at(map, 0x2000), "second");
}

static void lines_that_are_none_are_left_out(void **state)
{
	FNP_CLEANUP(fnp_perf_map_destroyp)
	struct fnp_perf_map *map = with_text(
		"\n1000\n1000 10\n1000 10 \nzz 10 x\n1000 0 empty\n1000 ffffffffffffffff huge\n"
		"11111111111111111 10 long\nffffffffffffffff 10 wraps\n-1 10 minus\n3000 10 good\n");

	(void)state;
	assert_string_equal(name_at(map, 0x1000), "");
	assert_string_equal(name_at(map, UINT64_MAX), "");
	assert_string_equal(name_at(map, 0x3000), "good");
}

static void symbolic_links_fifos_and_folders_are_refused(void **state)
{
	struct fnp_perf_map *map = NULL;

	(void)state;
	append("1000 10 first\n");
	assert_int_equal(symlinkat("map", dirfd, "link"), 0);
	assert_int_equal(mkfifoat(dirfd, "fifo", 0644), 0);
	assert_int_equal(mkdirat(dirfd, "dir", 0755), 0);
	assert_int_equal(fnp_perf_map_open_at(dirfd, "link", getuid(), &map), -ELOOP);
	assert_int_equal(fnp_perf_map_open_at(dirfd, "fifo", getuid(), &map), -EINVAL);
	assert_int_equal(fnp_perf_map_open_at(dirfd, "dir", getuid(), &map), -EINVAL);
	assert_int_equal(fnp_perf_map_open_at(dirfd, "none", getuid(), &map), -ENOENT);
	assert_null(map);
}

static void file_of_another_user_is_refused(void **state)
{
	struct fnp_perf_map *map = NULL;

	(void)state;
	append("1000 10 first\n");
	if (getuid() == 0)
		assert_int_equal(fchownat(dirfd, "map", 1234, 1234, 0), 0);
	assert_int_equal(fnp_perf_map_open_at(dirfd, "map", 4321, &map), -EACCES);
	assert_null(map);
}

static void sparse_terabyte_costs_nothing(void **state)
{
	struct fnp_perf_map *map = NULL;
	fnp_autoclose int fd = -1;

	(void)state;
	unlinkat(dirfd, "map", 0);
	append("1000 10 first\n");
	fd = openat(dirfd, "map", O_WRONLY | O_CLOEXEC);
	if (ftruncate(fd, (off_t)1 << 40) < 0)
		skip();
	assert_int_equal(fnp_perf_map_open_at(dirfd, "map", getuid(), &map), 0);
	assert_string_equal(name_at(map, 0x1000), "first");
	fnp_perf_map_destroy(map);
	unlinkat(dirfd, "map", 0);
}

static void own_process_without_a_map_has_none(void **state)
{
	struct fnp_perf_map *map = NULL;

	(void)state;
	assert_int_equal(fnp_perf_map_open(getpid(), &map), -ENOENT);
	assert_null(map);
}

static void map_of_a_process_is_found_in_its_tmp(void **state)
{
	FNP_CLEANUP(fnp_perf_map_destroyp) struct fnp_perf_map *map = NULL;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	assert_int_equal(fnp_file_write_at(AT_FDCWD, path, "1000 10 here\n", 13), 0);
	int r = fnp_perf_map_open(getpid(), &map);
	unlink(path);
	assert_int_equal(r, 0);
	assert_string_equal(name_at(map, 0x1000), "here");
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dirfd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"map", "link", "fifo"};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(names); i++)
		unlinkat(dirfd, names[i], 0);
	unlinkat(dirfd, "dir", AT_REMOVEDIR);
	close(dirfd);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_is_found_by_address),
		cmocka_unit_test(of_lines_for_one_address_the_last_counts),
		cmocka_unit_test(what_the_file_grows_by_is_read),
		cmocka_unit_test(growth_is_noticed_without_being_told),
		cmocka_unit_test(lines_that_are_none_are_left_out),
		cmocka_unit_test(symbolic_links_fifos_and_folders_are_refused),
		cmocka_unit_test(file_of_another_user_is_refused),
		cmocka_unit_test(sparse_terabyte_costs_nothing),
		cmocka_unit_test(own_process_without_a_map_has_none),
		cmocka_unit_test(map_of_a_process_is_found_in_its_tmp),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
