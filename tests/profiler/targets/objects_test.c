/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a host that meets new ones for ever: what somebody refers to stays, the rest is closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "profiler/targets/objects.h"

#define SWEEPS 3

struct fixture {
	struct fnp_objects *objects;
	char path[64];
	uint32_t asked, stubborn; /* calls of may_go; the object that may not */
};

/* An ELF file of nothing but its header, and a byte that makes it another one. */
static int setup(void **state)
{
	static struct fixture f;
	const Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(header)};
	int fd;

	f = (struct fixture){.path = "/tmp/fnprof-objects-XXXXXX"};
	fd = mkstemp(f.path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &header, sizeof(header)), sizeof(header));
	close(fd);
	assert_int_equal(fnp_objects_create(&f.objects), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fnp_objects_destroy(f->objects);
	unlink(f->path);
	return 0;
}

static bool may_go(void *self, const struct fnp_target_object *object)
{
	struct fixture *f = self;

	f->asked++;
	return object->id != f->stubborn;
}

static void sweep(struct fixture *f, unsigned int sweeps)
{
	const struct fnp_objects_sweep how = {.sweeps = sweeps, .may_go = may_go, .self = f};

	fnp_objects_sweep(f->objects, &how);
}

/* A file that cannot be opened, one an inode. */
static uint32_t find(struct fixture *f, uint64_t inode)
{
	struct fnp_map_event event = {.pid = (uint32_t)getpid(),
				      .start = 0x1000,
				      .end = 0x2000,
				      .identity = {.major = 1, .minor = 2, .inode = inode},
				      .path = "/no/such/file"};
	uint32_t id = 0;

	assert_int_equal(fnp_objects_find(f->objects, &event, &id), 0);
	return id;
}

static uint32_t find_file(struct fixture *f)
{
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	struct fnp_map_event event = {
		.pid = (uint32_t)getpid(),
		.start = 0x1000,
		.end = 0x2000,
		.identity = {.major = major(st.st_dev), .minor = minor(st.st_dev), .inode = st.st_ino},
		.path = f->path};
	uint32_t id = 0;

	assert_int_equal(fnp_objects_find(f->objects, &event, &id), 0);
	return id;
}

static void what_nobody_names_is_closed_after_so_many_sweeps(void **state)
{
	struct fixture *f = *state;
	uint32_t id = find(f, 10);

	fnp_objects_mark(f->objects, id);
	for (int i = 0; i < SWEEPS; i++) {
		sweep(f, SWEEPS);
		assert_non_null(fnp_objects_get(f->objects, id));
	}
	sweep(f, SWEEPS);
	assert_null(fnp_objects_get(f->objects, id));
	assert_int_equal(fnp_objects_count(f->objects), 0);
	assert_int_equal(f->asked, 1);
}

static void what_is_named_stays(void **state)
{
	struct fixture *f = *state;
	uint32_t named = find(f, 10), other = find(f, 11);

	for (int i = 0; i < 4 * SWEEPS; i++) {
		fnp_objects_mark(f->objects, named);
		sweep(f, SWEEPS);
	}
	assert_non_null(fnp_objects_get(f->objects, named));
	assert_null(fnp_objects_get(f->objects, other));
	assert_int_equal(find(f, 10), named);
}

static void what_may_not_go_stays(void **state)
{
	struct fixture *f = *state;

	f->stubborn = find(f, 10);
	for (int i = 0; i < 3; i++)
		sweep(f, 1);
	assert_non_null(fnp_objects_get(f->objects, f->stubborn));
	assert_int_equal(find(f, 10), f->stubborn);
	assert_int_equal(f->asked, 2);
}

static void a_closed_file_that_comes_again_has_a_new_number(void **state)
{
	struct fixture *f = *state;
	uint32_t first = find_file(f), again;

	assert_non_null(fnp_objects_get(f->objects, first)->elf);
	assert_int_equal(find_file(f), first);
	sweep(f, 1);
	sweep(f, 1);
	assert_null(fnp_objects_get(f->objects, first));
	again = find_file(f);
	assert_int_not_equal(again, first);
	assert_non_null(fnp_objects_get(f->objects, again)->elf);
	assert_int_equal(fnp_objects_last(f->objects), again);
}

static void ever_new_files_take_no_more_room(void **state)
{
	struct fixture *f = *state;

	for (uint64_t inode = 1; inode <= 100000; inode++) {
		uint32_t id = find(f, inode);
		assert_string_equal(fnp_objects_get(f->objects, id)->name, "file");
		if (inode % 100 == 0)
			sweep(f, 1);
	}
	assert_int_equal(fnp_objects_count(f->objects), 100);
	assert_int_equal(fnp_objects_last(f->objects), 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_nobody_names_is_closed_after_so_many_sweeps, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_named_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(what_may_not_go_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(a_closed_file_that_comes_again_has_a_new_number, setup,
						teardown),
		cmocka_unit_test_setup_teardown(ever_new_files_take_no_more_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
