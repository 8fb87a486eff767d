/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files are written by our own encoder or field by field; then one thing is broken.
 */
#include "tests/formats/build.h"

#include <errno.h>

#include "formats/pprof_fields.h"
#include "formats/pprof_reader.h"
#include "formats/protobuf.h"

#define MAX_BYTES (1 << 20)

/* A file in the making: strings "", "cpu", "ns", "/a", "f" and "k" are 0 to 5. */
enum { S_EMPTY, S_CPU, S_NS, S_FILE, S_F, S_KEY };

static void put(struct fnp_buffer *b, uint32_t field, const uint64_t *numbers, uint32_t n)
{
	size_t message = fnp_protobuf_begin(b, field);

	for (uint32_t i = 0; i < n; i++)
		fnp_protobuf_u64(b, i + 1, numbers[i]);
	fnp_protobuf_end(b, message);
}

#define put_numbers(b, field, ...)                                                                           \
	put(b, field, (uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* How many there are. */
static size_t put_strings(struct fnp_buffer *b)
{
	static const char *const texts[] = {"", "cpu", "ns", "/a", "f", "k"};

	for (size_t i = 0; i < FNP_ARRAY_SIZE(texts); i++)
		fnp_protobuf_entry(b, PPROF_STRING_TABLE, texts[i], strlen(texts[i]));
	put_numbers(b, PPROF_SAMPLE_TYPE, S_CPU, S_NS);
	return FNP_ARRAY_SIZE(texts);
}

static void put_location(struct fnp_buffer *b, uint64_t id, uint64_t mapping, uint64_t address,
			 uint64_t function)
{
	size_t message = fnp_protobuf_begin(b, PPROF_LOCATION);

	fnp_protobuf_u64(b, PPROF_LOCATION_ID, id);
	fnp_protobuf_u64(b, PPROF_LOCATION_MAPPING_ID, mapping);
	fnp_protobuf_u64(b, PPROF_LOCATION_ADDRESS, address);
	if (function)
		put_numbers(b, PPROF_LOCATION_LINE, function, 12);
	fnp_protobuf_end(b, message);
}

static int read_all(const struct fnp_buffer *b, struct fnp_profile **ret)
{
	return fnp_pprof_read(b->data, b->len, MAX_BYTES, ret);
}

static void assert_rejected(const struct fnp_buffer *b)
{
	struct fnp_profile *profile = NULL;

	assert_int_equal(read_all(b, &profile), -EBADMSG);
	assert_null(profile);
}

static const char *name_of(const struct fnp_profile *p, uint32_t location)
{
	const struct fnp_profile_line *line = &p->lines.items[p->locations.items[location].first_line];

	return fnp_profile_string(p, p->functions.items[line->function].name);
}

static void what_we_wrote_is_read_and_written_again(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_mixed(), *again = NULL;
	fnp_autobuffer struct fnp_buffer first = {0}, second = {0};

	(void)state;
	for (size_t i = 0; fnp_formats[i]; i++) {
		first.len = second.len = 0;
		assert_int_equal(fnp_format_find("pprof")->encode(p, &first), 0);
		if (!again)
			assert_int_equal(read_all(&first, &again), 0);
		first.len = 0;
		assert_int_equal(fnp_formats[i]->encode(p, &first), 0);
		assert_int_equal(fnp_formats[i]->encode(again, &second), 0);
		assert_int_equal(first.len, second.len);
		assert_memory_equal(first.data, second.data, first.len);
	}
}

static void kinds_tiers_and_times_survive(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_mixed(), *again = NULL;
	fnp_autobuffer struct fnp_buffer b = {0};
	uint32_t kinds = 0, tiers = 0;

	(void)state;
	assert_int_equal(fnp_pprof_encode_plain(p, &b), 0);
	assert_int_equal(read_all(&b, &again), 0);
	assert_int_equal(again->locations.len, p->locations.len);
	for (size_t i = 0; i < again->locations.len; i++) {
		kinds |= 1U << again->locations.items[i].kind;
		tiers |= 1U << again->locations.items[i].tier;
	}
	assert_int_equal(kinds, (1U << FNP_FRAME_KINDS) - 1);
	assert_int_equal(tiers, 1U << FNP_TIER_NONE | 1U << FNP_TIER_JIT | 1U << FNP_TIER_INTERPRETED |
					1U << FNP_TIER_AWAITING);
	assert_true(again->time_ns == p->time_ns && again->duration_ns == p->duration_ns &&
		    again->period_ns == p->period_ns && again->default_value == 1);
	assert_int_equal(again->samples.items[0].n_labels, 4);
}

static void times_of_samples_survive_in_the_order_of_their_samples(void **state)
{
	static const struct fnp_profile_time times[] = {
		{.sample = 2, .tid = 7, .offset_ns = 900},
		{.sample = 0, .tid = 7, .offset_ns = -3},
		{.sample = 2, .tid = UINT32_MAX, .offset_ns = 900000000000000000},
		{.sample = 0, .tid = 1, .offset_ns = -900000000000000000}};
	static const uint32_t order[] = {1, 3, 0, 2};
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_mixed(), *again = NULL;
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(times); i++)
		assert_int_equal(fnp_profile_add_time(p, &times[i]), 0);
	assert_int_equal(fnp_profile_add_time(p, &(struct fnp_profile_time){.sample = (uint32_t)p->samples.len}),
			 -EINVAL);
	assert_int_equal(fnp_pprof_encode_plain(p, &b), 0);
	assert_int_equal(read_all(&b, &again), 0);
	assert_int_equal(again->samples.len, p->samples.len);
	assert_int_equal(again->times.len, FNP_ARRAY_SIZE(times));
	for (size_t i = 0; i < FNP_ARRAY_SIZE(times); i++)
		assert_memory_equal(&again->times.items[i], &times[order[i]], sizeof(times[0]));
}

static void times_that_make_no_sense_leave_the_sample(void **state)
{
	static const struct {
		const char *comment;
		size_t n_times;
	} cases[] = {{"#fnprof.times 1 5 -5|", 1},
		     {"#fnprof.times 1 5 -5 6 7|", 2},
		     {"#fnprof.times 1 5 -5 6|", 1},
		     {"#fnprof.times 1 5 -5|2 5 5|", 1},
		     {"#fnprof.times 1 5 -5|0 5 5|", 1},
		     {"#fnprof.times 1 5 -5|1 4294967296 5|", 1},
		     {"#fnprof.times 1 5 -5|1 5 99999999999999999999|", 1},
		     {"#fnprof.times 1 5 -5|1 5 --5|", 1},
		     {"#fnprof.times 1 5 -5", 0},
		     {"#fnprof.times", 0},
		     {"made by hand", 0}};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(cases); i++) {
		FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;
		fnp_autobuffer struct fnp_buffer b = {0};
		size_t sample, n_strings = put_strings(&b);

		fnp_protobuf_entry(&b, PPROF_STRING_TABLE, cases[i].comment, strlen(cases[i].comment));
		fnp_protobuf_u64(&b, PPROF_COMMENT, n_strings);
		sample = fnp_protobuf_begin(&b, PPROF_SAMPLE);
		fnp_protobuf_u64(&b, PPROF_SAMPLE_VALUE, 3);
		fnp_protobuf_end(&b, sample);
		assert_int_equal(read_all(&b, &profile), 0);
		assert_int_equal(profile->samples.len, 1);
		assert_int_equal(profile->times.len, cases[i].n_times);
		if (cases[i].n_times) {
			assert_int_equal(profile->times.items[0].tid, 5);
			assert_int_equal(profile->times.items[0].offset_ns, -5);
		}
	}
}

static void every_cut_is_rejected(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_mixed();
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	assert_int_equal(fnp_pprof_encode_plain(p, &b), 0);
	for (size_t n = 0; n < b.len; n++) {
		FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *again = NULL;
		fnp_autofree uint8_t *cut = malloc(n + 1);
		memcpy(cut, b.data, n);
		/* The strings stand last, and the last one is in use. */
		assert_int_equal(fnp_pprof_read(cut, n, MAX_BYTES, &again), -EBADMSG);
	}
}

static void file_past_the_bound_is_refused(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = build_mixed(), *again = NULL;
	fnp_autobuffer struct fnp_buffer b = {0}, packed = {0};

	(void)state;
	assert_int_equal(fnp_pprof_encode_plain(p, &b), 0);
	assert_int_equal(fnp_format_find("pprof")->encode(p, &packed), 0);
	assert_int_equal(fnp_pprof_read(b.data, b.len, b.len - 1, &again), -EFBIG);
	assert_int_equal(fnp_pprof_read(packed.data, packed.len, b.len - 1, &again), -EFBIG);
	assert_int_equal(fnp_pprof_read(packed.data, packed.len, b.len, &again), 0);
}

static void ids_of_others_may_be_any_numbers_in_any_order(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = NULL;
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	/* Not packed, tables in reverse. */
	put_numbers(&b, PPROF_SAMPLE, UINT64_MAX, 77);
	put_location(&b, UINT64_MAX, 900, 0x1010, 500);
	put_numbers(&b, PPROF_FUNCTION, 500, S_F, S_F, S_FILE, 3);
	put_numbers(&b, PPROF_MAPPING, 900, 0x1000, 0x2000, 0, S_FILE);
	put_strings(&b);
	assert_int_equal(read_all(&b, &p), 0);
	assert_int_equal(p->samples.len, 1);
	assert_int_equal(p->samples.items[0].values[0], 77);
	assert_string_equal(name_of(p, 0), "f");
	assert_int_equal(p->lines.items[0].line, 12);
}

static void location_without_line_is_named_by_its_address(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = NULL;
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	put_strings(&b);
	put_numbers(&b, PPROF_MAPPING, 1, 0x1000, 0x2000, 0x30, S_FILE);
	put_location(&b, 1, 1, 0x1010, 0);
	put_location(&b, 2, 0, 0x99, 0);
	assert_int_equal(read_all(&b, &p), 0);
	assert_string_equal(name_of(p, 0), "[a+0x40]");
	assert_string_equal(name_of(p, 1), "[[unknown]+0x0]");
	assert_int_equal(p->mappings.len, 2);
}

static void sample_without_stack_gets_a_marker(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = NULL;
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	put_strings(&b);
	put_numbers(&b, PPROF_SAMPLE, 0, 5);
	put_numbers(&b, PPROF_SAMPLE, 0, 6);
	assert_int_equal(read_all(&b, &p), 0);
	assert_int_equal(p->samples.len, 1);
	assert_int_equal(fnp_profile_sum(p, 0), 11);
	assert_int_equal(p->locations.items[0].kind, FNP_FRAME_MARKER);
}

static void value_shown_first_is_the_default_else_the_last(void **state)
{
	static const struct {
		uint64_t named;
		uint32_t want;
	} cases[] = {{S_CPU, 0}, {S_KEY, 1}, {S_F, 2}, {0, 2}, {999, 2}};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(cases); i++) {
		FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = NULL;
		fnp_autobuffer struct fnp_buffer b = {0};

		put_strings(&b);
		put_numbers(&b, PPROF_SAMPLE_TYPE, S_KEY, S_NS);
		put_numbers(&b, PPROF_SAMPLE_TYPE, S_FILE, S_NS);
		fnp_protobuf_u64(&b, PPROF_DEFAULT_SAMPLE_TYPE, cases[i].named);
		assert_int_equal(read_all(&b, &p), 0);
		assert_int_equal(p->n_value_types, 3);
		assert_int_equal(p->default_value, cases[i].want);
	}
}

/* Each case is a whole file but for one field. */
static void what_dangles_is_rejected(void **state)
{
	static const struct {
		uint32_t field;
		uint64_t numbers[6];
	} cases[] = {
		{PPROF_SAMPLE, {1, 5}},				/* no location 1 */
		{PPROF_SAMPLE_TYPE, {6, 1}},			/* no string 6 */
		{PPROF_MAPPING, {0, 1, 2, 0, S_FILE}},		/* id 0 */
		{PPROF_MAPPING, {1, 1, 2, 0, 6}},		/* no string 6 */
		{PPROF_MAPPING, {1, UINT64_MAX, 0, 0, S_FILE}}, /* holds no address */
		{PPROF_FUNCTION, {0, S_F, S_F}},		/* id 0 */
		{PPROF_FUNCTION, {1, S_F, 6}},			/* no string 6 */
		{PPROF_LOCATION, {1, 9, 5}},			/* no mapping 9 */
		{PPROF_LOCATION, {0, 0, 5}},			/* id 0 */
		{PPROF_LOCATION, {1, 0, UINT64_MAX}},		/* no range can hold it */
		{PPROF_SAMPLE, {0, 0}},				/* no value */
	};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(cases); i++) {
		fnp_autobuffer struct fnp_buffer b = {0};

		put_strings(&b);
		put(&b, cases[i].field, cases[i].numbers, 6);
		assert_rejected(&b);
	}
}

static void id_that_is_there_twice_is_rejected(void **state)
{
	static const uint32_t fields[] = {PPROF_MAPPING, PPROF_FUNCTION, PPROF_LOCATION};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(fields); i++) {
		FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = NULL;
		fnp_autobuffer struct fnp_buffer b = {0};

		put_strings(&b);
		put_numbers(&b, fields[i], 1, 0);
		assert_int_equal(read_all(&b, &p), 0);
		put_numbers(&b, fields[i], 1, 0);
		assert_rejected(&b);
	}
}

static void first_string_must_be_empty(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	assert_rejected(&b);
	fnp_protobuf_entry(&b, PPROF_STRING_TABLE, "x", 1);
	put_strings(&b);
	assert_rejected(&b);
}

static void second_value_of_a_label_key_is_passed_over(void **state)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *p = NULL;
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	put_strings(&b);
	size_t message = fnp_protobuf_begin(&b, PPROF_SAMPLE);
	fnp_protobuf_u64(&b, PPROF_SAMPLE_VALUE, 5);
	put_numbers(&b, PPROF_SAMPLE_LABEL, S_KEY, S_F);
	put_numbers(&b, PPROF_SAMPLE_LABEL, S_KEY, 0, 7, S_NS);
	put_numbers(&b, PPROF_SAMPLE_LABEL, S_F, 0, 7, S_NS);
	fnp_protobuf_end(&b, message);
	assert_int_equal(read_all(&b, &p), 0);
	assert_int_equal(p->samples.items[0].n_labels, 2);
	assert_string_equal(fnp_profile_string(p, p->labels.items[0].text), "f");
	assert_int_equal(p->labels.items[1].number, 7);
}

static void too_many_labels_or_value_types_are_rejected(void **state)
{
	fnp_autobuffer struct fnp_buffer labels = {0}, types = {0};

	(void)state;
	put_strings(&labels);
	for (uint64_t i = 0; i < 100; i++) {
		char name[8];
		snprintf(name, sizeof(name), "k%u", (unsigned int)i);
		fnp_protobuf_entry(&labels, PPROF_STRING_TABLE, name, strlen(name));
	}
	size_t message = fnp_protobuf_begin(&labels, PPROF_SAMPLE);
	fnp_protobuf_u64(&labels, PPROF_SAMPLE_VALUE, 5);
	for (uint64_t i = 0; i < 100; i++)
		put_numbers(&labels, PPROF_SAMPLE_LABEL, i + 6, S_F);
	fnp_protobuf_end(&labels, message);
	assert_rejected(&labels);
	put_strings(&types);
	for (uint64_t i = 0; i < FNP_PROFILE_VALUES_MAX; i++)
		put_numbers(&types, PPROF_SAMPLE_TYPE, S_KEY, S_NS);
	assert_rejected(&types);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_we_wrote_is_read_and_written_again),
		cmocka_unit_test(kinds_tiers_and_times_survive),
		cmocka_unit_test(times_of_samples_survive_in_the_order_of_their_samples),
		cmocka_unit_test(times_that_make_no_sense_leave_the_sample),
		cmocka_unit_test(every_cut_is_rejected),
		cmocka_unit_test(file_past_the_bound_is_refused),
		cmocka_unit_test(ids_of_others_may_be_any_numbers_in_any_order),
		cmocka_unit_test(location_without_line_is_named_by_its_address),
		cmocka_unit_test(sample_without_stack_gets_a_marker),
		cmocka_unit_test(value_shown_first_is_the_default_else_the_last),
		cmocka_unit_test(what_dangles_is_rejected),
		cmocka_unit_test(id_that_is_there_twice_is_rejected),
		cmocka_unit_test(first_string_must_be_empty),
		cmocka_unit_test(second_value_of_a_label_key_is_passed_over),
		cmocka_unit_test(too_many_labels_or_value_types_are_rejected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
