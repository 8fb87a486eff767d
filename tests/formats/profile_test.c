/* SPDX-License-Identifier: Apache-2.0 */
/* The builder: equal things get one number, and nothing dangles. */
#include "tests/formats/build.h"

static void new_profile_counts_samples_and_cpu(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();

	(void)state;
	assert_int_equal(p->n_value_types, 2);
	assert_string_equal(fnp_profile_string(p, p->value_types[0].type), "samples");
	assert_string_equal(fnp_profile_string(p, p->value_types[0].unit), "count");
	assert_string_equal(fnp_profile_string(p, p->value_types[1].type), "cpu");
	assert_string_equal(fnp_profile_string(p, p->value_types[1].unit), "nanoseconds");
	assert_int_equal(p->default_value, 1);
	assert_string_equal(fnp_profile_string(p, 0), "");
}

static void value_types_past_the_maximum_are_refused(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t n = 99;

	(void)state;
	while (p->n_value_types < FNP_PROFILE_VALUES_MAX)
		assert_int_equal(fnp_profile_add_value_type(p, "off_cpu", "nanoseconds", &n), 0);
	assert_int_equal(n, FNP_PROFILE_VALUES_MAX - 1);
	assert_int_equal(fnp_profile_add_value_type(p, "x", "y", &n), -ENOSPC);
}

static void text_that_is_not_utf8_is_repaired(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t n;

	(void)state;
	assert_string_equal(fnp_profile_string(p, build_string(p, "a\xff")), "a?");
	assert_int_equal(fnp_profile_add_text(p, "a\0b", 3, &n), 0);
	assert_string_equal(fnp_profile_string(p, n), "a?b");
	assert_int_equal(build_string(p, "a?"), build_string(p, "a\xfe"));
}

static void equal_mappings_are_one_and_its_range_grows(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t a = build_mapping(p, "/lib/a", 0x2000, 0x3000), b = build_mapping(p, "/lib/b", 0x2000, 0x3000);

	(void)state;
	assert_int_not_equal(a, b);
	assert_int_equal(build_mapping(p, "/lib/a", 0x1000, 0x2800), a);
	assert_true(p->mappings.items[a].start == 0x1000 && p->mappings.items[a].limit == 0x3000);
	build_frame(p, a, 0x5000, "f");
	assert_true(p->mappings.items[a].limit == 0x5001);
	assert_int_equal(p->mappings.len, 2);
}

static void mapping_without_an_address_is_refused(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	struct fnp_profile_mapping m = {.start = 5, .limit = 5};
	uint32_t n;

	(void)state;
	assert_int_equal(fnp_profile_add_mapping(p, &m, &n), -EINVAL);
	m.limit = 6;
	m.file = 1000;
	assert_int_equal(fnp_profile_add_mapping(p, &m, &n), -EINVAL);
	assert_int_equal(p->mappings.len, 0);
}

static void kind_and_tier_follow_from_the_mapping(void **state)
{
	static const struct {
		const char *file;
		enum fnp_frame_kind kind;
		enum fnp_frame_tier tier;
	} cases[] = {
		{"/usr/bin/python3", FNP_FRAME_NATIVE, FNP_TIER_NONE},
		{"[vdso]", FNP_FRAME_NATIVE, FNP_TIER_NONE},
		{"", FNP_FRAME_NATIVE, FNP_TIER_NONE},
		{"[", FNP_FRAME_NATIVE, FNP_TIER_NONE},
		{"[kernel.kallsyms]", FNP_FRAME_KERNEL, FNP_TIER_NONE},
		{"[kernel.nf_tables]", FNP_FRAME_KERNEL, FNP_TIER_NONE},
		{"[kernel.nf_tables", FNP_FRAME_NATIVE, FNP_TIER_NONE},
		{"[python]", FNP_FRAME_PYTHON, FNP_TIER_NONE},
		{"[python interpreter]", FNP_FRAME_PYTHON, FNP_TIER_INTERPRETED},
		{"[python awaiting]", FNP_FRAME_PYTHON, FNP_TIER_AWAITING},
		{"[pythonic]", FNP_FRAME_NATIVE, FNP_TIER_NONE},
		{"[jvm]", FNP_FRAME_JVM, FNP_TIER_NONE},
		{"[jvm c1]", FNP_FRAME_JVM, FNP_TIER_JIT},
		{"[jvm interpreter]", FNP_FRAME_JVM, FNP_TIER_INTERPRETED},
		{"[jvm of a later version]", FNP_FRAME_JVM, FNP_TIER_NONE},
		{"[v8]", FNP_FRAME_V8, FNP_TIER_NONE},
		{"[v8 ignition]", FNP_FRAME_V8, FNP_TIER_INTERPRETED},
		{"[v8 maglev]", FNP_FRAME_V8, FNP_TIER_JIT},
		{"[jit]", FNP_FRAME_NATIVE, FNP_TIER_JIT},
		{"[marker]", FNP_FRAME_MARKER, FNP_TIER_NONE},
	};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(cases); i++) {
		FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
		uint32_t n = build_frame(p, build_mapping(p, cases[i].file, 1, 2), 1, "f");

		assert_int_equal(p->locations.items[n].kind, cases[i].kind);
		assert_int_equal(p->locations.items[n].tier, cases[i].tier);
	}
}

static void frames_of_pseudo_mappings_are_numbered(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t python = build_pseudo(p, FNP_MAPPING_PYTHON), c1 = build_pseudo(p, FNP_MAPPING_JVM_C1);
	uint32_t f = build_frame(p, python, 0, "f"), g = build_frame(p, python, 0, "g");
	const struct fnp_profile_mapping *m = p->mappings.items;

	(void)state;
	assert_int_not_equal(f, g);
	assert_int_equal(build_frame(p, python, 0, "f"), f);
	assert_int_not_equal(build_frame(p, c1, 0, "f"), f);
	assert_true(p->locations.items[f].address != p->locations.items[g].address);
	for (size_t i = 0; i < p->locations.len; i++) {
		const struct fnp_profile_location *l = &p->locations.items[i];
		assert_true(m[l->mapping].start <= l->address && l->address < m[l->mapping].limit);
	}
	assert_true(m[python].limit <= m[c1].start);
	assert_int_equal(build_pseudo(p, FNP_MAPPING_PYTHON), python);
}

/* What was read back from a file, and is put together with others. */
static void numbers_of_another_profile_are_no_addresses(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile(), *other = build_profile();
	uint32_t g = build_frame(other, build_pseudo(other, FNP_MAPPING_PYTHON), 0, "g");
	uint64_t number = other->locations.items[g].address;
	uint32_t python = build_pseudo(p, FNP_MAPPING_PYTHON), f = build_frame(p, python, 0, "f");

	(void)state;
	assert_true(p->locations.items[f].address == number);
	assert_int_equal(build_frame(p, python, number, "f"), f);
	assert_int_equal(build_frame(p, python, number + 7, "f"), f);
	assert_int_not_equal(build_frame(p, python, 0x7f0000001000, "f"), f);
	assert_int_not_equal(build_frame(p, python, number, "g"), f);
}

static void locations_differ_by_address_mapping_and_lines(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t a = build_mapping(p, "/a", 0x1000, 0x2000), b = build_mapping(p, "/b", 0x1000, 0x2000);
	uint32_t first = build_frame(p, a, 0x1000, "f");

	(void)state;
	assert_int_equal(build_frame(p, a, 0x1000, "f"), first);
	assert_int_not_equal(build_frame(p, a, 0x1001, "f"), first);
	assert_int_not_equal(build_frame(p, b, 0x1000, "f"), first);
	assert_int_not_equal(build_frame(p, a, 0x1000, "g"), first);
	assert_int_not_equal(build_inlined(p, a, 0x1000, "g", "f"), first);
	assert_int_equal(p->locations.len, 5);
	assert_int_equal(p->lines.len, 6);
}

static void location_that_dangles_is_refused(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	struct fnp_profile_line line = build_line(p, "f", 1), dangling = {.function = 9};
	struct fnp_profile_location location = {.address = 5};
	uint32_t n;

	(void)state;
	assert_int_equal(fnp_profile_add_location(p, &location, &line, 1, &n), -EINVAL);
	build_mapping(p, "/a", 0x1000, 0x2000);
	assert_int_equal(fnp_profile_add_location(p, &location, &line, 0, &n), -EINVAL);
	assert_int_equal(fnp_profile_add_location(p, &location, &dangling, 1, &n), -EINVAL);
	location.address = UINT64_MAX;
	assert_int_equal(fnp_profile_add_location(p, &location, &line, 1, &n), -EINVAL);
	assert_int_equal(p->locations.len + p->lines.len, 0);
}

static void equal_samples_are_added(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_mixed();

	(void)state;
	assert_int_equal(p->samples.len, 5);
	assert_int_equal(p->samples.items[0].values[0], 2);
	assert_int_equal(p->samples.items[0].values[1], 20000000);
	assert_int_equal(fnp_profile_sum(p, 0), 6);
	assert_int_equal(fnp_profile_sum(p, 1), 95000000);
}

static void sums_saturate(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t f = build_frame(p, build_mapping(p, "/a", 0x1000, 0x2000), 0x1000, "f");

	(void)state;
	build_sample(p, INT64_MAX - 1, "a", f);
	build_sample(p, 100, "a", f);
	assert_true(p->samples.items[0].values[1] == INT64_MAX);
	build_sample(p, 100, "b", f);
	assert_true(fnp_profile_sum(p, 1) == INT64_MAX);
}

static void sample_that_dangles_is_refused(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t f = build_frame(p, build_mapping(p, "/a", 0x1000, 0x2000), 0x1000, "f"), bad[] = {f, f + 1};
	struct fnp_profile_label label = {.key = 9999, .unit = FNP_LABEL_TEXT};
	int64_t values[] = {1, 1};

	(void)state;
	assert_int_equal(fnp_profile_add_sample(p, bad, 0, NULL, 0, values), -EINVAL);
	assert_int_equal(fnp_profile_add_sample(p, bad, 2, NULL, 0, values), -EINVAL);
	assert_int_equal(fnp_profile_add_sample(p, bad, 1, &label, 1, values), -EINVAL);
	assert_int_equal(p->samples.len, 0);
}

static void second_label_of_a_key_is_refused(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_mixed();
	struct fnp_profile_label two[] = {build_text_label(p, "x", "1"), build_text_label(p, "x", "2")};
	struct fnp_profile_label common = build_number_label(p, "function", 1);
	struct fnp_profile_label used = build_text_label(p, "thread", "main");

	(void)state;
	assert_int_equal(fnp_profile_add_sample(p, (uint32_t[]){0}, 1, two, 2, (int64_t[]){1, 1}), -EEXIST);
	assert_int_equal(fnp_profile_add_sample(p, (uint32_t[]){0}, 1, &common, 1, (int64_t[]){1, 1}), -EEXIST);
	assert_int_equal(fnp_profile_add_common_label(p, &common), -EEXIST);
	assert_int_equal(fnp_profile_add_common_label(p, &used), -EEXIST);
}

/* 100,000 of each in well under a second, also with sanitizers: nothing is searched from the front. */
static void many_entries_are_found_again(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t program = build_mapping(p, "/a", 0x1000, 0x2000);
	char name[16];

	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		for (uint32_t i = 0; i < 100000; i++) {
			snprintf(name, sizeof(name), "f%u", i);
			assert_int_equal(build_frame(p, program, 0x1000 + i, name), i);
			assert_int_equal(
				fnp_profile_add_sample(p, (uint32_t[]){i, 0}, 2, NULL, 0, (int64_t[]){1, 3}),
				0);
		}
	}
	assert_int_equal(p->samples.len, 100000);
	assert_int_equal(fnp_profile_sum(p, 1), 600000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_profile_counts_samples_and_cpu),
		cmocka_unit_test(value_types_past_the_maximum_are_refused),
		cmocka_unit_test(text_that_is_not_utf8_is_repaired),
		cmocka_unit_test(equal_mappings_are_one_and_its_range_grows),
		cmocka_unit_test(mapping_without_an_address_is_refused),
		cmocka_unit_test(kind_and_tier_follow_from_the_mapping),
		cmocka_unit_test(frames_of_pseudo_mappings_are_numbered),
		cmocka_unit_test(numbers_of_another_profile_are_no_addresses),
		cmocka_unit_test(locations_differ_by_address_mapping_and_lines),
		cmocka_unit_test(location_that_dangles_is_refused),
		cmocka_unit_test(equal_samples_are_added),
		cmocka_unit_test(sums_saturate),
		cmocka_unit_test(sample_that_dangles_is_refused),
		cmocka_unit_test(second_label_of_a_key_is_refused),
		cmocka_unit_test(many_entries_are_found_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
