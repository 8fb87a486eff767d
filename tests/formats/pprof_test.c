/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The encoder: byte for byte where the profile is small, by the strict checker (check_pprof.py) where it is not.
 */
#include "tests/formats/build.h"

#include "formats/gzip.h"

static const char one_sample[] = "\x0a\x04\x08\x01\x10\x02" /* samples, count */
				 "\x0a\x04\x08\x03\x10\x04" /* cpu, nanoseconds */
				 "\x12\x14"		    /* a sample: */
				 "\x0a\x02\x01\x02"	    /* locations 1, 2 */
				 "\x12\x02\x01\x05"	    /* values 1, 5 */
				 "\x1a\x04\x08\x05\x10\x06" /* function: f */
				 "\x1a\x04\x08\x07\x18\x09" /* duration: 9 without a unit's name */
				 "\x22\x11\x08\x01\x10\x01\x18\x81\x20"
				 "\x22\x04\x08\x01\x10\x07"
				 "\x22\x02\x08\x02" /* inner at 7, outer */
				 "\x22\x0b\x08\x02\x10\x01\x18\x82\x20\x22\x02\x08\x03" /* root */
				 "\x1a\x12\x08\x01\x10\x80\x20\x18\x80\x40\x28\x08\x30\x09"
				 "\x38\x01\x40\x01\x48\x01"
				 "\x2a\x06\x08\x01\x10\x0a\x18\x0a"
				 "\x2a\x08\x08\x02\x10\x0b\x18\x0c\x20\x0d"
				 "\x2a\x06\x08\x03\x10\x0e\x18\x0e"
				 "\x48\x02\x50\x03"		    /* time, duration */
				 "\x5a\x04\x08\x03\x10\x04\x60\x04" /* period type and period */
				 "\x70\x03"			    /* shown: cpu */
				 "\x32\x00\x32\x07samples\x32\x05"
				 "count\x32\x03"
				 "cpu\x32\x0bnanoseconds\x32\x08"
				 "function\x32\x01"
				 "f\x32\x08"
				 "duration\x32\x02/a\x32\x02"
				 "00\x32\x05inner\x32\x05outer\x32\x03_Zo\x32\x06main.c\x32\x04root";

static uint32_t add_function(struct fnp_profile *p, const char *name, const char *system_name, const char *file)
{
	struct fnp_profile_function function = {.name = build_string(p, name),
						.system_name = build_string(p, system_name),
						.file = build_string(p, file)};
	uint32_t n = 0;

	assert_int_equal(fnp_profile_add_function(p, &function, &n), 0);
	return n;
}

static uint32_t add_location(struct fnp_profile *p, uint64_t address, const struct fnp_profile_line *lines,
			     uint32_t n)
{
	struct fnp_profile_location location = {.address = address};
	uint32_t number = 0;

	assert_int_equal(fnp_profile_add_location(p, &location, lines, n, &number), 0);
	return number;
}

static void profile_is_these_bytes(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	fnp_autobuffer struct fnp_buffer b = {0};
	struct fnp_profile_mapping mapping = {.start = 0x1000, .limit = 0x2000};
	struct fnp_profile_label label = {.key = 0};
	uint32_t n, stack[2];

	(void)state;
	p->time_ns = 2;
	p->duration_ns = 3;
	p->period_ns = 4;
	mapping.file = build_string(p, "/a");
	mapping.build_id = build_string(p, "00");
	assert_int_equal(fnp_profile_add_mapping(p, &mapping, &n), 0);
	label = build_text_label(p, "function", "f");
	assert_int_equal(fnp_profile_add_common_label(p, &label), 0);
	struct fnp_profile_line inlined[] = {{add_function(p, "inner", "inner", ""), 7},
					     {add_function(p, "outer", "_Zo", "main.c"), 0}};
	struct fnp_profile_line root = {add_function(p, "root", "root", ""), 0};
	stack[0] = add_location(p, 0x1001, inlined, 2);
	stack[1] = add_location(p, 0x1002, &root, 1);
	struct fnp_profile_label duration = {.key = build_string(p, "duration"), .number = 9, .unit = 0};
	assert_int_equal(fnp_profile_add_sample(p, stack, 2, &duration, 1, (int64_t[]){1, 5}), 0);
	assert_int_equal(fnp_pprof_encode_plain(p, &b), 0);
	assert_int_equal(b.len, sizeof(one_sample) - 1);
	assert_memory_equal(b.data, one_sample, b.len);
}

static void empty_profile_has_its_program_and_no_more(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	fnp_autobuffer struct fnp_buffer b = {0};
	struct fnp_profile_label label = build_text_label(p, "function", "nobody-uses-this");

	(void)state;
	build_mapping(p, "/bin/true", 0x1000, 0x2000);
	build_mapping(p, "/lib/unused.so", 0x3000, 0x4000);
	assert_int_equal(fnp_profile_add_common_label(p, &label), 0);
	assert_int_equal(fnp_pprof_encode_plain(p, &b), 0);
	assert_non_null(memmem(b.data, b.len, "/bin/true", 9));
	assert_null(memmem(b.data, b.len, "unused", 6));
	assert_null(memmem(b.data, b.len, "nobody", 6));
	assert_null(memmem(b.data, b.len, "function", 8));
}

static void equal_profiles_are_equal_bytes_also_packed(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *a = build_mixed(), *b = build_mixed();
	fnp_autobuffer struct fnp_buffer x = {0}, y = {0}, plain = {0}, unpacked = {0};

	(void)state;
	assert_int_equal(fnp_format_find("pprof")->encode(a, &x), 0);
	assert_int_equal(fnp_format_find("pprof")->encode(b, &y), 0);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
	assert_int_equal(fnp_pprof_encode_plain(a, &plain), 0);
	assert_int_equal(fnp_gzip_unpack(x.data, x.len, 1 << 20, &unpacked), 0);
	assert_int_equal(unpacked.len, plain.len);
	assert_memory_equal(unpacked.data, plain.data, plain.len);
}

/* A text label without text would be read as the number 0. */
static void label_without_text_is_left_out(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_profile();
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	build_sample(p, 1, "", build_frame(p, build_mapping(p, "/a", 0x1000, 0x2000), 0x1000, "f"));
	assert_int_equal(fnp_pprof_encode_plain(p, &b), 0);
	assert_null(memmem(b.data, b.len, "thread", 6));
}

static void formats_are_found_by_name(void **state)
{
	(void)state;
	assert_string_equal(fnp_format_find("pprof")->suffix, ".pb.gz");
	assert_string_equal(fnp_format_find("folded")->suffix, ".folded");
	assert_null(fnp_format_find("pproff"));
	for (size_t i = 0; fnp_formats[i]; i++) {
		assert_ptr_equal(fnp_format_find(fnp_formats[i]->name), fnp_formats[i]);
		assert_true(fnp_formats[i]->suffix[0] == '.' && fnp_formats[i]->description[0] &&
			    fnp_formats[i]->encode);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profile_is_these_bytes),
		cmocka_unit_test(empty_profile_has_its_program_and_no_more),
		cmocka_unit_test(equal_profiles_are_equal_bytes_also_packed),
		cmocka_unit_test(label_without_text_is_left_out),
		cmocka_unit_test(formats_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
