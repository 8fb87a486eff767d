/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/formats/build.h"

#include "profiler/output/page/tree.h"

/* A stack of two native frames, the leaf with one inlined function, and what it weighs. */
static void add_sample(struct fnp_profile *profile, const char *root, const char *leaf, int64_t ns)
{
	uint32_t mapping = build_mapping(profile, "/bin/f", 0x1000, 0x9000), stack[2];
	struct fnp_profile_line lines[2] = {build_line(profile, "inlined", 7), build_line(profile, leaf, 3)};
	struct fnp_profile_line root_line = build_line(profile, root, 0);
	struct fnp_profile_location at = {.mapping = mapping, .address = 0x1000 + (uint64_t)leaf[0]};
	int64_t values[2] = {1, ns};

	assert_int_equal(fnp_profile_add_location(profile, &at, lines, 2, &stack[0]), 0);
	at.address = 0x2000 + (uint64_t)root[0];
	assert_int_equal(fnp_profile_add_location(profile, &at, &root_line, 1, &stack[1]), 0);
	assert_int_equal(fnp_profile_add_sample(profile, stack, 2, NULL, 0, values), 0);
}

static uint32_t find(const struct fnp_page_tree *tree, uint32_t parent, const char *name)
{
	for (uint32_t i = 1; i < tree->nodes.items.len; i++) {
		size_t len;
		const struct fnp_page_frame *frame = fnp_intern_get(tree->frames,
								    tree->nodes.items.items[i].b, &len);
		if (tree->nodes.items.items[i].a == parent &&
		    strcmp(fnp_intern_get_text(tree->strings, frame->name), name) == 0)
			return i;
	}
	fail_msg("no node %s", name);
	return 0;
}

static int64_t sum_of(const struct fnp_page_tree *tree, uint32_t group, uint32_t node, uint32_t type)
{
	uint32_t n;

	if (fnp_pairs_find(&tree->sum_keys, (struct fnp_pair){group, node}, &n) < 0)
		return -1;
	return tree->sums.items[n].values[type];
}

static void equal_stacks_of_two_rows_are_one_path_and_inlined_stand_below(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *a = build_profile(), *b = build_profile();
	struct fnp_page_tree tree;
	size_t len;

	(void)state;
	assert_int_equal(fnp_page_tree_init(&tree), 0);
	add_sample(a, "main", "work", 100);
	add_sample(b, "main", "work", 20);
	add_sample(b, "main", "rest", 3);
	assert_int_equal(fnp_page_tree_add_group(&tree, 0), 0);
	assert_int_equal(fnp_page_tree_add_group(&tree, 1), 0);
	assert_int_equal(fnp_page_tree_add(&tree, 0, a, NULL), 0);
	assert_int_equal(fnp_page_tree_add(&tree, 1, b, NULL), 0);
	assert_int_equal(tree.nodes.items.len, 1 + 1 + 2 + 2);
	uint32_t main_ = find(&tree, 0, "main"), work = find(&tree, main_, "work"),
		 leaf = find(&tree, work, "inlined");
	const struct fnp_page_frame *frame = fnp_intern_get(tree.frames, tree.nodes.items.items[leaf].b, &len);
	assert_int_equal(frame->inlined, 1);
	assert_string_equal(fnp_intern_get_text(tree.strings, frame->object), "/bin/f");
	frame = fnp_intern_get(tree.frames, tree.nodes.items.items[work].b, &len);
	assert_int_equal(frame->inlined, 0);
	assert_int_equal(sum_of(&tree, 0, leaf, 0), 1);
	assert_int_equal(sum_of(&tree, 0, leaf, 1), 100);
	assert_int_equal(sum_of(&tree, 1, leaf, 1), 20);
	assert_int_equal(sum_of(&tree, 1, work, 1), -1);
	assert_int_equal(tree.cut, 0);
	fnp_page_tree_deinit(&tree);
}

static void graph_of_a_row_steps_forth_and_back_between_nodes(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *a = build_profile(), *b = build_profile();
	fnp_autobuffer struct fnp_buffer graph = {0};
	struct fnp_page_tree tree;

	(void)state;
	assert_int_equal(fnp_page_tree_init(&tree), 0);
	add_sample(a, "main", "work", 100);
	add_sample(b, "main", "rest", 3);
	add_sample(b, "main", "work", 300);
	assert_int_equal(fnp_page_tree_add_group(&tree, 0), 0);
	assert_int_equal(fnp_page_tree_add(&tree, 0, a, NULL), 0);
	assert_int_equal(fnp_page_tree_add(&tree, 0, b, &graph), 0);
	/* Nodes 1 main, 2 work, 3 inlined; 4 rest, 5 inlined. Steps: +5 and -2, zigzag 10 and 3; 300 is 172, 2. */
	const uint8_t want[] = {2, 2, 10, 1, 3, 3, 1, 172, 2};
	assert_int_equal(graph.len, sizeof(want));
	assert_memory_equal(graph.data, want, sizeof(want));
	fnp_page_tree_deinit(&tree);
}

static void further_value_type_gets_its_own_place(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = build_profile();
	struct fnp_page_tree tree;
	uint32_t type, mapping = build_mapping(profile, "/bin/f", 0x1000, 0x9000), location;
	struct fnp_profile_line line = build_line(profile, "waits", 0);
	struct fnp_profile_location at = {.mapping = mapping, .address = 0x1100};

	(void)state;
	assert_int_equal(fnp_profile_add_value_type(profile, "off_cpu", "nanoseconds", &type), 0);
	assert_int_equal(fnp_profile_add_location(profile, &at, &line, 1, &location), 0);
	assert_int_equal(fnp_profile_add_sample(profile, &location, 1, NULL, 0, (int64_t[]){0, 0, 55}), 0);
	assert_int_equal(fnp_page_tree_init(&tree), 0);
	assert_int_equal(fnp_page_tree_add_group(&tree, 0), 0);
	assert_int_equal(fnp_page_tree_add(&tree, 0, profile, NULL), 0);
	assert_int_equal(fnp_intern_count(tree.value_types), 3);
	assert_string_equal(fnp_intern_get_text(tree.value_types, 2), "off_cpu/nanoseconds");
	assert_int_equal(sum_of(&tree, 0, find(&tree, 0, "waits"), 2), 55);
	fnp_page_tree_deinit(&tree);
}

static void long_names_are_cut_and_stay_apart(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = build_profile();
	struct fnp_page_tree tree;
	char one[6000], other[6000];

	(void)state;
	memset(one, 'x', sizeof(one));
	one[sizeof(one) - 1] = '\0';
	memcpy(other, one, sizeof(one));
	other[sizeof(other) - 2] = 'y';
	add_sample(profile, one, "a", 1);
	add_sample(profile, other, "b", 1);
	assert_int_equal(fnp_page_tree_init(&tree), 0);
	assert_int_equal(fnp_page_tree_add_group(&tree, 0), 0);
	assert_int_equal(fnp_page_tree_add(&tree, 0, profile, NULL), 0);
	size_t roots = 0;
	for (size_t i = 1; i < tree.nodes.items.len; i++)
		roots += tree.nodes.items.items[i].a == 0;
	/* One address, two names: the builder keeps both locations. */
	assert_int_equal(roots, 2);
	for (uint32_t i = 0; i < fnp_intern_count(tree.strings); i++)
		assert_true(strlen(fnp_intern_get_text(tree.strings, i)) <= 4096 + 11);
	fnp_page_tree_deinit(&tree);
}

static void what_finds_no_room_is_counted_at_its_caller(void **state)
{
	struct fnp_page_tree tree;

	(void)state;
	assert_int_equal(fnp_page_tree_init(&tree), 0);
	assert_int_equal(fnp_page_tree_add_group(&tree, 0), 0);
	/* Names of 4 kB fill the strings after some 1,500; each stack ends in one. */
	for (int i = 0; i < 1700; i++) {
		FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = build_profile();
		char name[4001];
		memset(name, 'n', sizeof(name) - 1);
		name[snprintf(name, 16, "%d-", i)] = '-';
		name[sizeof(name) - 1] = '\0';
		add_sample(profile, "main", name, 1000);
		assert_int_equal(fnp_page_tree_add(&tree, 0, profile, NULL), 0);
	}
	assert_true(tree.cut > 0);
	int64_t count = 0, ns = 0;
	for (size_t i = 0; i < tree.sums.len; i++) {
		count += tree.sums.items[i].values[0];
		ns += tree.sums.items[i].values[1];
	}
	assert_int_equal(count, 1700);
	assert_int_equal(ns, 1700 * 1000);
	assert_int_equal(sum_of(&tree, 0, find(&tree, 0, "main"), 0), tree.cut);
	fnp_page_tree_deinit(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_stacks_of_two_rows_are_one_path_and_inlined_stand_below),
		cmocka_unit_test(graph_of_a_row_steps_forth_and_back_between_nodes),
		cmocka_unit_test(further_value_type_gets_its_own_place),
		cmocka_unit_test(long_names_are_cut_and_stay_apart),
		cmocka_unit_test(what_finds_no_room_is_counted_at_its_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
