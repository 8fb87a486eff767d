/* SPDX-License-Identifier: Apache-2.0 */
/* Which mapping held an address at a time: newer ones cover older ones, an exec ends all, a fork inherits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "profiler/targets/processes.h"

struct fixture {
	struct fnp_objects *objects;
	struct fnp_processes *processes;
	struct fnp_process *process;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){0};
	assert_int_equal(fnp_objects_create(&f.objects), 0);
	assert_int_equal(fnp_processes_create(f.objects, &f.processes), 0);
	assert_int_equal(fnp_processes_add(f.processes, 7, 1000, &f.process), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fnp_processes_destroy(f->processes);
	fnp_objects_destroy(f->objects);
	return 0;
}

static void map(struct fixture *f, uint64_t start, uint64_t end, uint64_t time_ns, uint64_t offset)
{
	struct fnp_map_event event = {
		.time_ns = time_ns, .pid = 7, .start = start, .end = end, .offset = offset, .path = "//anon"};

	assert_true(fnp_processes_take_map_event(f->processes, &event));
}

static void exec_at(struct fixture *f, uint64_t time_ns)
{
	struct fnp_map_event event = {.time_ns = time_ns, .pid = 7, .exec = true};

	assert_true(fnp_processes_take_map_event(f->processes, &event));
}

static void an_address_is_found_in_the_mapping_that_holds_it(void **state)
{
	struct fixture *f = *state;

	map(f, 0x1000, 0x2000, 10, 0);
	map(f, 0x2000, 0x3000, 10, 0x5000);
	assert_int_equal(fnp_process_find_mapping(f->process, 0x1fff, 20)->offset, 0);
	assert_int_equal(fnp_process_find_mapping(f->process, 0x2000, 20)->offset, 0x5000);
	assert_null(fnp_process_find_mapping(f->process, 0x3000, 20));
	assert_null(fnp_process_find_mapping(f->process, 0xfff, 20));
}

static void a_mapping_is_not_valid_before_it_was_made(void **state)
{
	struct fixture *f = *state;

	map(f, 0x1000, 0x2000, 10, 0);
	assert_null(fnp_process_find_mapping(f->process, 0x1000, 9));
	assert_non_null(fnp_process_find_mapping(f->process, 0x1000, 10));
}

static void a_newer_mapping_covers_an_older_one_from_its_time_on(void **state)
{
	struct fixture *f = *state;

	map(f, 0x1000, 0x3000, 10, 0x100);
	map(f, 0x2000, 0x3000, 20, 0x900);
	assert_int_equal(fnp_process_find_mapping(f->process, 0x2000, 19)->offset, 0x100);
	assert_int_equal(fnp_process_find_mapping(f->process, 0x2000, 20)->offset, 0x900);
	assert_int_equal(fnp_process_find_mapping(f->process, 0x1000, 20)->offset, 0x100);
}

static void an_exec_ends_what_was_mapped_before(void **state)
{
	struct fixture *f = *state;

	map(f, 0x1000, 0x2000, 10, 1);
	exec_at(f, 20);
	map(f, 0x5000, 0x6000, 21, 2);
	assert_int_equal(fnp_process_find_mapping(f->process, 0x1000, 19)->offset, 1);
	assert_null(fnp_process_find_mapping(f->process, 0x1000, 22));
	assert_int_equal(fnp_process_find_mapping(f->process, 0x5000, 22)->offset, 2);
}

static void a_child_begins_with_what_its_parent_has_mapped(void **state)
{
	struct fixture *f = *state;
	struct fnp_process *child;

	map(f, 0x1000, 0x2000, 10, 3);
	assert_int_equal(fnp_processes_fork(f->processes, f->process, 8, 1500, &child), 0);
	map(f, 0x2000, 0x3000, 20, 4);
	assert_int_equal(fnp_process_find_mapping(child, 0x1000, 30)->offset, 3);
	assert_null(fnp_process_find_mapping(child, 0x2000, 30));
}

static void events_of_a_process_that_is_not_known_are_refused(void **state)
{
	struct fixture *f = *state;
	struct fnp_map_event event = {.pid = 99, .start = 1, .end = 2, .path = "//anon"};

	assert_false(fnp_processes_take_map_event(f->processes, &event));
}

static void a_process_that_is_added_again_is_a_new_one(void **state)
{
	struct fixture *f = *state;
	struct fnp_process *again;

	map(f, 0x1000, 0x2000, 10, 0);
	assert_int_equal(fnp_processes_add(f->processes, 7, 2000, &again), 0);
	assert_ptr_equal(fnp_processes_find(f->processes, 7), again);
	assert_int_equal(again->process, 2000);
	assert_null(fnp_process_find_mapping(again, 0x1000, 30));
	fnp_processes_remove(f->processes, 7);
	assert_null(fnp_processes_find(f->processes, 7));
}

static void our_own_maps_are_read_with_the_program_as_its_file(void **state)
{
	struct fixture *f = *state;
	struct fnp_process *own;
	const struct fnp_mapping *mapping;

	assert_int_equal(fnp_processes_add(f->processes, (uint32_t)getpid(), 0, &own), 0);
	assert_int_equal(fnp_processes_read_maps(f->processes, own), 0);
	assert_string_equal(own->program, "test_profiler_targets_processes");
	mapping = fnp_process_find_mapping(own, (uint64_t)(uintptr_t)&setup, 1);
	assert_non_null(mapping);
	assert_int_equal(mapping->object, own->program_object);
	assert_non_null(fnp_objects_get(f->objects, own->program_object)->elf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_address_is_found_in_the_mapping_that_holds_it),
		TEST(a_mapping_is_not_valid_before_it_was_made),
		TEST(a_newer_mapping_covers_an_older_one_from_its_time_on),
		TEST(an_exec_ends_what_was_mapped_before),
		TEST(a_child_begins_with_what_its_parent_has_mapped),
		TEST(events_of_a_process_that_is_not_known_are_refused),
		TEST(a_process_that_is_added_again_is_a_new_one),
		TEST(our_own_maps_are_read_with_the_program_as_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
