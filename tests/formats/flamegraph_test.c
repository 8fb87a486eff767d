/* SPDX-License-Identifier: Apache-2.0 */
/* The flame graph: where frames stand, what is not drawn, and that names cannot become markup. */
#include "tests/formats/build.h"

static char *encode(const struct fnp_profile *profile, struct fnp_buffer *b)
{
	assert_int_equal(fnp_format_find("flamegraph")->encode(profile, b), 0);
	fnp_buffer_byte(b, '\0');
	return (char *)b->data;
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

static void frames_stand_above_their_callers_by_share(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	fnp_autobuffer struct fnp_buffer b = {0};
	uint32_t program = build_mapping(p, "/bin/true", 0x1000, 0x2000);
	uint32_t kernel = build_mapping(p, FNP_MAPPING_KERNEL, 0xffffffff81000000, 0xffffffff82000000);
	uint32_t root = build_frame(p, program, 0x1000, "root");
	const char *html;

	(void)state;
	build_sample(p, 1000000, "a", build_frame(p, kernel, 0xffffffff81000000, "z"), root);
	build_sample(p, 3000000, "a", build_frame(p, program, 0x1001, "a"), root);
	html = encode(p, &b);
	assert_non_null(strstr(html,
			       "<svg class=\"native\" tabindex=\"0\" data-frame x=\"0.0000%\" y=\"18\" "
			       "width=\"100.0000%\" height=\"17\"><title>root (4.000 ms, 100.00 %)</title>"));
	assert_non_null(strstr(
		html, "data-frame x=\"0.0000%\" y=\"0\" width=\"75.0000%\" height=\"17\"><title>a (3.000"));
	assert_non_null(strstr(html, "<svg class=\"kernel\" tabindex=\"0\" data-frame x=\"75.0000%\" y=\"0\" "
				     "width=\"25.0000%\" height=\"17\"><title>z_[k] (1.000"));
	assert_int_equal(count(html, "data-frame x="), 4);
	assert_null(strstr(html, "not drawn"));
}

static void names_are_no_markup(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	fnp_autobuffer struct fnp_buffer b = {0};
	struct fnp_profile_label label = build_text_label(p, "function", "</title><script>alert(1)</script>");
	const char *html;

	(void)state;
	assert_int_equal(fnp_profile_add_common_label(p, &label), 0);
	build_sample(p, 1, "a", build_frame(p, build_mapping(p, "/a", 1, 2), 1, "f<img src=x onerror=\"'&\">"));
	html = encode(p, &b);
	assert_int_equal(count(html, "<script>"), 1);
	assert_null(strstr(html, "<img"));
	assert_non_null(strstr(html, "f&#60;img src=x onerror=&#34;&#39;&#38;&#34;&#62;"));
	assert_null(strstr(html, "http"));
}

static void frames_too_narrow_to_see_are_counted_not_drawn(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	fnp_autobuffer struct fnp_buffer b = {0};
	uint32_t program = build_mapping(p, "/bin/true", 0x1000, 0x2000);
	const char *html;

	(void)state;
	build_sample(p, 99990, "a", build_frame(p, program, 0x1000, "wide"));
	build_sample(p, 10, "a", build_frame(p, program, 0x1001, "narrow"));
	html = encode(p, &b);
	assert_null(strstr(html, "narrow"));
	assert_non_null(strstr(html, "<footer>1 frames below 0.02 % of the whole are not drawn."));
}

static void profile_without_samples_is_a_page(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	fnp_autobuffer struct fnp_buffer b = {0};
	const char *html;

	(void)state;
	build_mapping(p, "/bin/true", 0x1000, 0x2000);
	html = encode(p, &b);
	assert_int_equal(count(html, "data-frame x="), 1);
	assert_non_null(strstr(html, "<title>true (0.000 ms, 0.00 %)</title>"));
}

/* 1,024 frames deep is no recursion, and sums past 63 bits stay inside the page. */
static void deep_and_huge_profiles_are_drawn(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	fnp_autobuffer struct fnp_buffer b = {0};
	uint32_t program = build_mapping(p, "/bin/true", 0x1000, 0x9000), stack[1024];
	char name[16];

	(void)state;
	for (uint32_t i = 0; i < 1024; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		stack[i] = build_frame(p, program, 0x1000 + i, name);
	}
	assert_int_equal(fnp_profile_add_sample(p, stack, 1024, NULL, 0, (int64_t[]){1, INT64_MAX}), 0);
	build_sample(p, INT64_MAX, "b", stack[3]);
	build_sample(p, INT64_MIN, "b", stack[4]);
	assert_int_equal(count(encode(p, &b), "data-frame x="), 1026);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_stand_above_their_callers_by_share),
		cmocka_unit_test(names_are_no_markup),
		cmocka_unit_test(frames_too_narrow_to_see_are_counted_not_drawn),
		cmocka_unit_test(profile_without_samples_is_a_page),
		cmocka_unit_test(deep_and_huge_profiles_are_drawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
