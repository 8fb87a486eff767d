/* SPDX-License-Identifier: Apache-2.0 */
/* speedscope's JSON, to the letter; that speedscope takes it is readers_test.py's word. */
#include "tests/formats/build.h"

static void assert_json(const struct fnp_profile *profile, const char *want)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	assert_int_equal(fnp_format_find("speedscope")->encode(profile, &b), 0);
	fnp_buffer_byte(&b, '\0');
	assert_string_equal((char *)b.data, want);
}

#define HEAD "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n\"exporter\":\"fnprof\","
#define PROFILE(name, sum)                                                                                   \
	"\"profiles\":[{\"type\":\"sampled\",\"name\":\"" name                                               \
	"\",\"unit\":\"nanoseconds\",\"startValue\":0,\"endValue\":" sum ",\n"

static void stacks_are_root_first_with_inlined_frames(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	uint32_t program = build_mapping(p, "/bin/true", 0x1000, 0x2000);
	struct fnp_profile_label label = build_text_label(p, "function", "orders");
	uint32_t root = build_frame(p, program, 0x1000, "root"),
		 leaf = build_inlined(p, program, 0x1001, "in", "out");

	(void)state;
	assert_int_equal(fnp_profile_add_common_label(p, &label), 0);
	build_sample(p, 7, "a", leaf, root);
	build_sample(p, 5, "b", root);
	assert_json(p,
		    HEAD "\"activeProfileIndex\":0,\n\"name\":\"orders\",\n\"shared\":{\"frames\":[\n"
			 "{\"name\":\"root\",\"file\":\"main.c\"},\n{\"name\":\"out\",\"file\":\"main.c\"},\n"
			 "{\"name\":\"in_[i]\",\"file\":\"main.c\"}]},\n" PROFILE(
				 "orders", "12") "\"samples\":[[0,1,2],[0]],\n\"weights\":[7,5]}]}\n");
}

static void profile_without_samples_is_named_after_its_program(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();

	(void)state;
	build_mapping(p, "/bin/true", 0x1000, 0x2000);
	assert_json(p, HEAD
		    "\"activeProfileIndex\":0,\n\"name\":\"true\",\n\"shared\":{\"frames\":[]},\n" PROFILE(
			    "true", "0") "\"samples\":[],\n\"weights\":[]}]}\n");
}

static void names_are_escaped_and_files_fall_back_to_the_mapping(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	struct fnp_profile_location location = {.address = 0x1000};
	struct fnp_profile_function function = {.name = build_string(p, "a\"\\\n</script>\xc3\xa9"),
						.start_line = 4};
	struct fnp_profile_line line = {0};
	uint32_t n;

	(void)state;
	location.mapping = build_mapping(p, "/bin/true", 0x1000, 0x2000);
	assert_int_equal(fnp_profile_add_function(p, &function, &line.function), 0);
	assert_int_equal(fnp_profile_add_location(p, &location, &line, 1, &n), 0);
	build_sample(p, 1, "a", n);
	assert_json(p,
		    HEAD "\"activeProfileIndex\":0,\n\"name\":\"true\",\n\"shared\":{\"frames\":[\n"
			 "{\"name\":\"a\\\"\\\\?\\u003c/script\\u003e\xc3\xa9\",\"file\":\"/bin/true\","
			 "\"line\":4}]},\n" PROFILE("true", "1") "\"samples\":[[0]],\n\"weights\":[1]}]}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_are_root_first_with_inlined_frames),
		cmocka_unit_test(profile_without_samples_is_named_after_its_program),
		cmocka_unit_test(names_are_escaped_and_files_fall_back_to_the_mapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
