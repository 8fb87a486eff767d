/* SPDX-License-Identifier: Apache-2.0 */
/* Address spaces without a kernel side: our own process's mappings, and made ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "profiler/targets/spaces.h"

struct world {
	struct fnp_objects *objects;
	struct fnp_processes *processes;
	struct fnp_spaces *spaces;
	struct fnp_process *process;
	fnp_code_range_vec ranges;
};

static int set_up(void **state)
{
	struct fnp_spaces_fds none = {-1, -1, -1, -1, -1};
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(fnp_objects_create(&w->objects), 0);
	assert_int_equal(fnp_processes_create(w->objects, &w->processes), 0);
	assert_int_equal(fnp_spaces_create(&none, w->objects, &w->spaces), 0);
	fnp_processes_on_mapping(w->processes, fnp_spaces_update, w->spaces);
	assert_int_equal(fnp_processes_add(w->processes, (uint32_t)getpid(), 0, &w->process), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	fnp_spaces_release_ranges(w->spaces, &w->ranges);
	fnp_vec_deinit(&w->ranges);
	fnp_spaces_remove(w->spaces, (uint32_t)getpid());
	fnp_processes_destroy(w->processes);
	fnp_spaces_destroy(w->spaces);
	fnp_objects_destroy(w->objects);
	free(w);
	return 0;
}

static void map(struct world *w, uint64_t start, uint64_t end, uint64_t from_ns)
{
	struct fnp_mapping mapping = {.start = start, .end = end, .from_ns = from_ns};

	assert_int_equal(fnp_vec_push(&w->process->mappings, mapping), 0);
}

static void ranges_at(struct world *w, uint64_t time_ns)
{
	fnp_spaces_release_ranges(w->spaces, &w->ranges);
	assert_int_equal(fnp_spaces_ranges_at(w->spaces, w->process, time_ns, &w->ranges), 0);
}

static const struct fnp_code_range *range_of(const struct world *w, uint64_t address)
{
	for (size_t i = 0; i < w->ranges.len; i++) {
		if (address >= w->ranges.items[i].start && address < w->ranges.items[i].end)
			return &w->ranges.items[i];
	}
	return NULL;
}

static void own_code_has_a_table_at_the_right_bias(void **state)
{
	struct world *w = *state;
	const struct fnp_walk_arena *arenas;
	const struct fnp_code_range *range;
	const struct fnp_table *tables;
	size_t n, n_arenas;
	uint64_t address = (uint64_t)(uintptr_t)qsort;

	assert_int_equal(fnp_processes_read_maps(w->processes, w->process), 0);
	ranges_at(w, UINT64_MAX);
	range = range_of(w, address);
	assert_non_null(range);
	assert_int_equal(range->kind, FNP_CODE_NATIVE);
	assert_int_not_equal(range->object, 0);
	fnp_tables_wait(fnp_spaces_tables(w->spaces), range->object);
	assert_int_equal(fnp_tables_lock(fnp_spaces_tables(w->spaces), &tables, &n, &arenas, &n_arenas), 0);
	assert_true(range->object < n);
	assert_true(tables[range->object].pages > 0 && tables[range->object].pages < FNP_TABLE_REFUSED);
	assert_true(address - range->bias - tables[range->object].base <
		    (uint64_t)tables[range->object].pages << tables[range->object].page_shift);
	fnp_tables_unlock(fnp_spaces_tables(w->spaces));
}

static void ranges_ascend_and_do_not_touch_each_other(void **state)
{
	struct world *w = *state;

	assert_int_equal(fnp_processes_read_maps(w->processes, w->process), 0);
	ranges_at(w, UINT64_MAX);
	assert_true(w->ranges.len > 2);
	for (size_t i = 0; i < w->ranges.len; i++) {
		assert_true(w->ranges.items[i].start < w->ranges.items[i].end);
		assert_true(i == 0 || w->ranges.items[i - 1].end <= w->ranges.items[i].start);
	}
}

static void a_sample_sees_what_was_mapped_at_its_time(void **state)
{
	struct world *w = *state;

	map(w, 0x1000, 0x2000, 10);
	map(w, 0x5000, 0x6000, 20);
	ranges_at(w, 15);
	assert_non_null(range_of(w, 0x1800));
	assert_null(range_of(w, 0x5800));
	ranges_at(w, 25);
	assert_non_null(range_of(w, 0x5800));
}

static void a_new_image_takes_the_old_mappings_away(void **state)
{
	struct world *w = *state;

	map(w, 0x1000, 0x2000, 10);
	w->process->image_ns = 20;
	map(w, 0x5000, 0x6000, 30);
	ranges_at(w, 40);
	assert_null(range_of(w, 0x1800));
	assert_non_null(range_of(w, 0x5800));
	ranges_at(w, 15); /* before it */
	assert_non_null(range_of(w, 0x1800));
}

static void special_code_lies_over_what_is_mapped(void **state)
{
	struct world *w = *state;
	const struct fnp_code_special special = {
		.start = 0x3000, .end = 0x4000, .kind = FNP_CODE_TEST, .data = 9};
	const uint64_t words[FNP_SPACE_RUNTIME_WORDS] = {7};

	map(w, 0x1000, 0x9000, 10);
	assert_int_equal(fnp_spaces_set_runtime(w->spaces, w->process, FNP_CODE_PYTHON, words, NULL, 0), 0);
	assert_int_equal(fnp_spaces_set_runtime(w->spaces, w->process, FNP_CODE_V8, words, &special, 1), 0);
	ranges_at(w, UINT64_MAX);
	assert_int_equal(w->ranges.len, 3);
	assert_int_equal(range_of(w, 0x2fff)->kind, FNP_CODE_FRAME_POINTER);
	assert_int_equal(range_of(w, 0x3000)->kind, FNP_CODE_TEST);
	assert_int_equal(range_of(w, 0x3fff)->data, 9);
	assert_int_equal(range_of(w, 0x4000)->kind, FNP_CODE_FRAME_POINTER);
	assert_int_equal(range_of(w, 0x8fff)->kind, FNP_CODE_FRAME_POINTER);
}

static void a_child_has_its_parents_runtime_and_a_new_image_has_not(void **state)
{
	struct world *w = *state;
	const struct fnp_code_special special = {.start = 0x3000, .end = 0x4000, .kind = FNP_CODE_PYTHON};
	const uint64_t words[FNP_SPACE_RUNTIME_WORDS] = {7};
	uint64_t seen[FNP_SPACE_RUNTIMES][FNP_SPACE_RUNTIME_WORDS];
	struct fnp_process *child;

	map(w, 0x1000, 0x9000, 10);
	assert_int_equal(fnp_spaces_set_runtime(w->spaces, w->process, FNP_CODE_PYTHON, words, &special, 1), 0);
	fnp_spaces_fork(w->spaces, (uint32_t)getpid(), 99999999);
	assert_int_equal(fnp_processes_fork(w->processes, w->process, 99999999, 1, &child), 0);
	fnp_spaces_runtime_words(w->spaces, 99999999, seen);
	assert_int_equal(seen[0][0], 7);
	child->image_ns = 50;
	fnp_spaces_update(w->spaces, child);
	fnp_spaces_runtime_words(w->spaces, 99999999, seen);
	assert_int_equal(seen[0][0], 0);
	fnp_spaces_remove(w->spaces, 99999999);
}

static void many_changes_do_not_use_up_the_spaces(void **state)
{
	struct world *w = *state;

	/* More versions than there are spaces at once: old ones wait a second, then come back; nothing breaks. */
	for (uint64_t i = 0; i < 2 * FNP_SPACES_MAX; i++) {
		w->process->mappings.len = 0;
		map(w, 0x1000, 0x2000 + i * 0x1000, 10);
		w->process->maps_generation += 2;
		fnp_spaces_update(w->spaces, w->process);
	}
	ranges_at(w, UINT64_MAX);
	assert_int_equal(w->ranges.len, 1);
}

/* How many spaces the kernel side would find, and the most ranges that one of them has. */
static uint32_t shown_spaces(int fd, uint32_t *ret_most)
{
	const struct fnp_space *all = mmap(NULL, FNP_SPACES_MAX * sizeof(*all), PROT_READ, MAP_SHARED, fd, 0);
	uint32_t n = 0;

	assert_ptr_not_equal(all, MAP_FAILED);
	*ret_most = 0;
	for (uint32_t i = 0; i < FNP_SPACES_MAX; i++) {
		n += all[i].version != 0;
		if (all[i].version && all[i].count > *ret_most)
			*ret_most = all[i].count;
	}
	munmap((void *)(uintptr_t)all, FNP_SPACES_MAX * sizeof(*all));
	return n;
}

/* Spaces shown in `fds`, and a process that has mapped more, one after the other, than there is room for at once. */
static struct fnp_spaces *crowded(struct world *w, struct fnp_spaces_fds *fds)
{
	struct fnp_spaces *spaces;

	*fds = (struct fnp_spaces_fds){-1, memfd_create("spaces", MFD_CLOEXEC), -1, -1, -1};
	assert_int_equal(ftruncate(fds->fnp_spaces, FNP_SPACES_MAX * sizeof(struct fnp_space)), 0);
	assert_int_equal(fnp_spaces_create(fds, w->objects, &spaces), 0);
	/* Each change takes new room, and the old one is free a second later. */
	for (uint32_t i = 1; i <= 400; i++) {
		map(w, i * 0x10000, i * 0x10000 + 0x1000, 10);
		w->process->maps_generation += 2;
		fnp_spaces_update(spaces, w->process);
	}
	return spaces;
}

static void what_there_is_no_room_for_is_shown_later(void **state)
{
	struct world *w = *state;
	struct fnp_spaces_fds fds;
	struct fnp_spaces *spaces = crowded(w, &fds);
	uint32_t most;

	/* The last one for which there was room still holds. */
	assert_int_equal(shown_spaces(fds.fnp_spaces, &most), 1);
	assert_in_range(most, 100, 399);
	fnp_spaces_catch_up(spaces, w->processes);
	usleep(1200000);
	fnp_spaces_catch_up(spaces, w->processes);
	assert_int_equal(shown_spaces(fds.fnp_spaces, &most), 1);
	assert_int_equal(most, 400);
	fnp_spaces_remove(spaces, (uint32_t)getpid());
	fnp_spaces_destroy(spaces);
	close(fds.fnp_spaces);
}

static void what_is_not_true_any_more_is_not_shown_for_want_of_room(void **state)
{
	struct world *w = *state;
	struct fnp_spaces_fds fds;
	struct fnp_spaces *spaces = crowded(w, &fds);
	uint32_t most;

	w->process->image_ns = 20; /* none of this is there any more */
	for (uint32_t i = 1; i <= 400; i++)
		map(w, i * 0x20000, i * 0x20000 + 0x800, 30);
	w->process->maps_generation += 2;
	fnp_spaces_update(spaces, w->process);
	assert_int_equal(shown_spaces(fds.fnp_spaces, &most), 0);
	fnp_spaces_remove(spaces, (uint32_t)getpid());
	fnp_spaces_destroy(spaces);
	close(fds.fnp_spaces);
}

/* What the kernel side has for a process. */
static struct fnp_space_ref ref_of(int fd, uint32_t pid)
{
	struct fnp_space_ref ref = {0};

	assert_int_equal(bpf_map_lookup_elem(fd, &pid, &ref), 0);
	return ref;
}

/* Forks the world's process as the kernel side does it: the child begins with the reference `has`. Returns that after it. */
static struct fnp_space_ref ref_after_fork(struct world *w, struct fnp_spaces *spaces, int fd,
					   uint32_t child_pid, struct fnp_space_ref has)
{
	struct fnp_process *child;

	assert_int_equal(bpf_map_update_elem(fd, &child_pid, &has, BPF_ANY), 0);
	fnp_spaces_fork(spaces, (uint32_t)getpid(), child_pid);
	assert_int_equal(fnp_processes_fork(w->processes, w->process, child_pid, 1, &child), 0);
	fnp_spaces_update(spaces, child);
	has = ref_of(fd, child_pid);
	fnp_spaces_remove(spaces, child_pid);
	return has;
}

static void a_child_forked_before_a_mapping_was_published_has_the_space_of_after(void **state)
{
	struct world *w = *state;
	const struct fnp_space_ref tombstone = {.space = FNP_SPACES_MAX, .version = 0};
	struct fnp_spaces_fds fds = {-1, -1, -1, -1, -1};
	struct fnp_space_ref before, now, seen;
	struct fnp_spaces *spaces;

	fds.fnp_pid_spaces = bpf_map_create(BPF_MAP_TYPE_HASH, "spaces_test", 4, sizeof(before), 8, NULL);
	if (fds.fnp_pid_spaces < 0)
		skip(); /* maps need root */
	fds.fnp_spaces = memfd_create("spaces", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fds.fnp_spaces, FNP_SPACES_MAX * sizeof(struct fnp_space)), 0);
	assert_int_equal(fnp_spaces_create(&fds, w->objects, &spaces), 0);
	map(w, 0x10000, 0x11000, 10);
	fnp_spaces_update(spaces, w->process);
	before = ref_of(fds.fnp_pid_spaces, (uint32_t)getpid());
	map(w, 0x20000, 0x21000, 20);
	w->process->maps_generation += 2;
	fnp_spaces_update(spaces, w->process);
	now = ref_of(fds.fnp_pid_spaces, (uint32_t)getpid());
	assert_int_not_equal(before.version, now.version);
	seen = ref_after_fork(w, spaces, fds.fnp_pid_spaces, 99999998, before);
	assert_memory_equal(&seen, &now, sizeof(now));
	/* One that has called exec meanwhile has nothing of its parent's. */
	seen = ref_after_fork(w, spaces, fds.fnp_pid_spaces, 99999997, tombstone);
	assert_memory_equal(&seen, &tombstone, sizeof(tombstone));
	fnp_spaces_remove(spaces, (uint32_t)getpid());
	fnp_spaces_destroy(spaces);
	close(fds.fnp_spaces);
	close(fds.fnp_pid_spaces);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(own_code_has_a_table_at_the_right_bias),
		TEST(ranges_ascend_and_do_not_touch_each_other),
		TEST(a_sample_sees_what_was_mapped_at_its_time),
		TEST(a_new_image_takes_the_old_mappings_away),
		TEST(special_code_lies_over_what_is_mapped),
		TEST(a_child_has_its_parents_runtime_and_a_new_image_has_not),
		TEST(many_changes_do_not_use_up_the_spaces),
		TEST(what_there_is_no_room_for_is_shown_later),
		TEST(what_is_not_true_any_more_is_not_shown_for_want_of_room),
		TEST(a_child_forked_before_a_mapping_was_published_has_the_space_of_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
