/* SPDX-License-Identifier: Apache-2.0 */
/* Folded stacks, to the letter. */
#include "tests/formats/build.h"

static void assert_folded(const struct fnp_profile *profile, const char *want)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	assert_int_equal(fnp_format_find("folded")->encode(profile, &b), 0);
	fnp_buffer_byte(&b, '\0');
	assert_string_equal((char *)b.data, want);
}

static void stacks_are_root_first_with_suffixes_and_equal_ones_are_one_line(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_mixed();

	(void)state;
	assert_folded(p, "_start;handler;read;memcpy_small_[i] 25000000\n"
			 "_start;Task.run_[a];handler;read;memcpy_small_[i];do_syscall_64_[k] 20000000\n"
			 "[truncated: depth];com.a.B.<init>_[0];com.a.B.run_[j] 30000000\n"
			 "_start;#p_[j] 20000000\n");
}

static void no_samples_are_no_lines(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();

	(void)state;
	build_mapping(p, "/bin/true", 0x1000, 0x2000);
	assert_folded(p, "");
}

static void semicolons_and_control_characters_in_names_are_replaced(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t program = build_mapping(p, "/bin/true", 0x1000, 0x2000);

	(void)state;
	build_sample(p, 1, "t", build_frame(p, program, 0x1001, "leaf\n5;;\xc2\x85"),
		     build_frame(p, program, 0x1002, "\xff root;"));
	assert_folded(p, "? root:;leaf?5::?? 1\n");
}

static void lines_that_read_the_same_are_added(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t program = build_mapping(p, "/bin/true", 0x1000, 0x2000);

	(void)state;
	build_sample(p, 1, "a", build_frame(p, program, 0x1001, "f"));
	build_sample(p, 2, "b", build_frame(p, program, 0x1001, "f"));
	build_sample(p, 4, "a", build_frame(p, program, 0x1002, "f"));
	build_sample(p, 8, "a", build_frame(p, build_mapping(p, "/lib/x", 1, 2), 1, "f"));
	assert_folded(p, "f 15\n");
}

static void inlined_wins_over_kernel(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t kernel = build_mapping(p, "[kernel.nf_tables]", 0x1000, 0x2000);

	(void)state;
	build_sample(p, 1, "a", build_inlined(p, kernel, 0x1001, "in", "out"));
	assert_folded(p, "out_[k];in_[i] 1\n");
}

static void largest_weights_are_written_in_full(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t program = build_mapping(p, "/bin/true", 0x1000, 0x2000);

	(void)state;
	build_sample(p, INT64_MAX, "a", build_frame(p, program, 0x1001, "f"));
	build_sample(p, 5, "b", build_frame(p, program, 0x1001, "f"));
	build_sample(p, INT64_MIN, "b", build_frame(p, program, 0x1001, "g"));
	build_sample(p, 0, "b", build_frame(p, program, 0x1001, "h"));
	assert_folded(p, "f 9223372036854775807\ng -9223372036854775808\nh 0\n");
}

static void stack_of_1024_frames_is_whole(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	fnp_autobuffer struct fnp_buffer b = {0}, want = {0};
	uint32_t program = build_mapping(p, "/bin/true", 0x1000, 0x9000), stack[1024];
	char name[16];

	(void)state;
	for (uint32_t i = 0; i < 1024; i++) {
		snprintf(name, sizeof(name), "f%u", 1023 - i);
		stack[i] = build_frame(p, program, 0x1000 + i, name);
		fnp_buffer_printf(&want, "f%u%c", i, i == 1023 ? ' ' : ';');
	}
	fnp_buffer_text(&want, "9\n");
	assert_int_equal(fnp_profile_add_sample(p, stack, 1024, NULL, 0, (int64_t[]){1, 9}), 0);
	assert_int_equal(fnp_format_find("folded")->encode(p, &b), 0);
	assert_int_equal(b.len, want.len);
	assert_memory_equal(b.data, want.data, want.len);
}

static void what_was_in_the_buffer_stays(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	build_sample(p, 3, "a", build_frame(p, build_mapping(p, "/bin/true", 1, 2), 1, "f"));
	fnp_buffer_text(&b, "x 1\n");
	assert_int_equal(fnp_format_find("folded")->encode(p, &b), 0);
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, "x 1\nf 3\n", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_are_root_first_with_suffixes_and_equal_ones_are_one_line),
		cmocka_unit_test(no_samples_are_no_lines),
		cmocka_unit_test(semicolons_and_control_characters_in_names_are_replaced),
		cmocka_unit_test(lines_that_read_the_same_are_added),
		cmocka_unit_test(inlined_wins_over_kernel),
		cmocka_unit_test(largest_weights_are_written_in_full),
		cmocka_unit_test(stack_of_1024_frames_is_whole),
		cmocka_unit_test(what_was_in_the_buffer_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
