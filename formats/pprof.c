/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pprof: Google's profile.proto, gzipped.
 *
 * A builder's tables may hold what no sample refers to (a location whose sample went elsewhere, a string that was a
 * key only for the builder). A file must not: so tables are numbered anew in one pass, in the order of first use,
 * while they are written: samples number locations, locations number functions and mappings, all number strings.
 * pprof counts from 1, 0 means "none"; strings count from 0, and 0 is "". Mapping 1 is the program, used or not:
 * readers take a profile's name and build id from it.
 *
 * Values are written packed, labels as text or number with a unit. A text label without text is left out: readers
 * take it for a number.
 */
#include "formats/format.h"
#include "formats/gzip.h"
#include "formats/pprof_fields.h"
#include "formats/pprof_times.h"
#include "formats/protobuf.h"

/* A table's new numbers: `ids` by old number (0: not used yet), `order` lists the old numbers in their new order. */
struct renumbering {
	uint32_t *ids;
	uint32_t *order;
	uint32_t used;
};

struct encoder {
	const struct fnp_profile *profile;
	struct renumbering strings, mappings, functions, locations;
	struct fnp_buffer out;
	struct fnp_buffer common_labels; /* encoded once, they stand in every sample */
	struct fnp_buffer times;	 /* as pprof_times.h tells; empty: there are none */
};

static int renumbering_init(struct renumbering *numbers, size_t n)
{
	numbers->ids = calloc(n ? n : 1, sizeof(*numbers->ids));
	numbers->order = calloc(n ? n : 1, sizeof(*numbers->order));
	return numbers->ids && numbers->order ? 0 : -ENOMEM;
}

static void renumbering_deinit(struct renumbering *numbers)
{
	free(numbers->ids);
	free(numbers->order);
}

/* The new number, from 1. */
static inline uint32_t renumber(struct renumbering *numbers, uint32_t old)
{
	if (numbers->ids[old] == 0) {
		numbers->order[numbers->used++] = old;
		numbers->ids[old] = numbers->used;
	}
	return numbers->ids[old];
}

/* Number 0 of the builder's strings is "", and was renumbered first. */
static uint64_t string_id(struct encoder *e, uint32_t old)
{
	return renumber(&e->strings, old) - 1;
}

static void encoder_deinit(struct encoder *e)
{
	renumbering_deinit(&e->strings);
	renumbering_deinit(&e->mappings);
	renumbering_deinit(&e->functions);
	renumbering_deinit(&e->locations);
	fnp_buffer_deinit(&e->out);
	fnp_buffer_deinit(&e->common_labels);
	fnp_buffer_deinit(&e->times);
}

static int encoder_init(struct encoder *e, const struct fnp_profile *profile)
{
	int r;

	e->profile = profile;
	r = renumbering_init(&e->strings, fnp_intern_count(profile->strings));
	if (r == 0)
		r = renumbering_init(&e->mappings, profile->mappings.len);
	if (r == 0)
		r = renumbering_init(&e->functions, profile->functions.len);
	if (r == 0)
		r = renumbering_init(&e->locations, profile->locations.len);
	if (r < 0)
		return r;
	renumber(&e->strings, 0);
	if (profile->mappings.len)
		renumber(&e->mappings, 0);
	return 0;
}

static void put_value_type(struct encoder *e, uint32_t field, const struct fnp_profile_value_type *type)
{
	size_t message = fnp_protobuf_begin(&e->out, field);

	fnp_protobuf_u64(&e->out, PPROF_VALUE_TYPE_TYPE, string_id(e, type->type));
	fnp_protobuf_u64(&e->out, PPROF_VALUE_TYPE_UNIT, string_id(e, type->unit));
	fnp_protobuf_end(&e->out, message);
}

static void put_label(struct encoder *e, struct fnp_buffer *b, const struct fnp_profile_label *label)
{
	bool is_text = label->unit == FNP_LABEL_TEXT;

	if (is_text && label->text == 0)
		return;
	size_t message = fnp_protobuf_begin(b, PPROF_SAMPLE_LABEL);
	fnp_protobuf_u64(b, PPROF_LABEL_KEY, string_id(e, label->key));
	if (is_text) {
		fnp_protobuf_u64(b, PPROF_LABEL_STR, string_id(e, label->text));
	} else {
		fnp_protobuf_i64(b, PPROF_LABEL_NUM, label->number);
		fnp_protobuf_u64(b, PPROF_LABEL_NUM_UNIT, string_id(e, label->unit));
	}
	fnp_protobuf_end(b, message);
}

static void put_stack(struct encoder *e, const struct fnp_profile_sample *sample)
{
	const uint32_t *stack = &e->profile->stacks.items[sample->first_location];
	size_t message = fnp_protobuf_begin(&e->out, PPROF_SAMPLE_LOCATION_ID);
	uint8_t *p = fnp_buffer_room(&e->out, (size_t)sample->n_locations * FNP_VARINT_MAX);

	if (!p)
		return;
	for (uint32_t i = 0; i < sample->n_locations; i++)
		p = fnp_varint_put(p, renumber(&e->locations, stack[i]));
	e->out.len = (size_t)(p - e->out.data);
	fnp_protobuf_end(&e->out, message);
}

static void put_values(struct encoder *e, const struct fnp_profile_sample *sample)
{
	size_t message = fnp_protobuf_begin(&e->out, PPROF_SAMPLE_VALUE);
	uint8_t *p = fnp_buffer_room(&e->out, FNP_PROFILE_VALUES_MAX * FNP_VARINT_MAX);

	if (!p)
		return;
	for (uint32_t i = 0; i < e->profile->n_value_types; i++)
		p = fnp_varint_put(p, (uint64_t)sample->values[i]);
	e->out.len = (size_t)(p - e->out.data);
	fnp_protobuf_end(&e->out, message);
}

static void put_sample(struct encoder *e, size_t number)
{
	const struct fnp_profile_sample *sample = &e->profile->samples.items[number];
	size_t message = fnp_protobuf_begin(&e->out, PPROF_SAMPLE);

	put_stack(e, sample);
	put_values(e, sample);
	fnp_buffer_append(&e->out, e->common_labels.data, e->common_labels.len);
	for (uint32_t i = 0; i < sample->n_labels; i++)
		put_label(e, &e->out, &e->profile->labels.items[sample->first_label + i]);
	fnp_protobuf_end(&e->out, message);
}

static void put_samples(struct encoder *e)
{
	const struct fnp_profile *profile = e->profile;

	/* Without samples nobody would use the strings of labels. */
	for (size_t i = 0; i < profile->common_labels.len && profile->samples.len; i++)
		put_label(e, &e->common_labels, &profile->common_labels.items[i]);
	for (size_t i = 0; i < profile->samples.len; i++)
		put_sample(e, i);
}

static void put_mapping(struct encoder *e, uint32_t id, const struct fnp_profile_mapping *mapping)
{
	size_t message = fnp_protobuf_begin(&e->out, PPROF_MAPPING);

	fnp_protobuf_u64(&e->out, PPROF_MAPPING_ID, id);
	fnp_protobuf_u64(&e->out, PPROF_MAPPING_START, mapping->start);
	fnp_protobuf_u64(&e->out, PPROF_MAPPING_LIMIT, mapping->limit);
	fnp_protobuf_u64(&e->out, PPROF_MAPPING_OFFSET, mapping->offset);
	fnp_protobuf_u64(&e->out, PPROF_MAPPING_FILENAME, string_id(e, mapping->file));
	fnp_protobuf_u64(&e->out, PPROF_MAPPING_BUILD_ID, string_id(e, mapping->build_id));
	/* All that can be known is there: without these, readers look for files of this name on their own host. */
	fnp_protobuf_u64(&e->out, PPROF_MAPPING_HAS_FUNCTIONS, 1);
	fnp_protobuf_u64(&e->out, PPROF_MAPPING_HAS_FILENAMES, 1);
	fnp_protobuf_u64(&e->out, PPROF_MAPPING_HAS_LINE_NUMBERS, 1);
	fnp_protobuf_end(&e->out, message);
}

static void put_location(struct encoder *e, uint32_t id, const struct fnp_profile_location *location)
{
	const struct fnp_profile_line *lines = &e->profile->lines.items[location->first_line];
	size_t message = fnp_protobuf_begin(&e->out, PPROF_LOCATION);

	fnp_protobuf_u64(&e->out, PPROF_LOCATION_ID, id);
	fnp_protobuf_u64(&e->out, PPROF_LOCATION_MAPPING_ID, renumber(&e->mappings, location->mapping));
	fnp_protobuf_u64(&e->out, PPROF_LOCATION_ADDRESS, location->address);
	for (uint32_t i = 0; i < location->n_lines; i++) {
		size_t line = fnp_protobuf_begin(&e->out, PPROF_LOCATION_LINE);
		fnp_protobuf_u64(&e->out, PPROF_LINE_FUNCTION_ID, renumber(&e->functions, lines[i].function));
		fnp_protobuf_u64(&e->out, PPROF_LINE_LINE, lines[i].line);
		fnp_protobuf_end(&e->out, line);
	}
	fnp_protobuf_end(&e->out, message);
}

static void put_function(struct encoder *e, uint32_t id, const struct fnp_profile_function *function)
{
	size_t message = fnp_protobuf_begin(&e->out, PPROF_FUNCTION);

	fnp_protobuf_u64(&e->out, PPROF_FUNCTION_ID, id);
	fnp_protobuf_u64(&e->out, PPROF_FUNCTION_NAME, string_id(e, function->name));
	fnp_protobuf_u64(&e->out, PPROF_FUNCTION_SYSTEM_NAME, string_id(e, function->system_name));
	fnp_protobuf_u64(&e->out, PPROF_FUNCTION_FILENAME, string_id(e, function->file));
	fnp_protobuf_u64(&e->out, PPROF_FUNCTION_START_LINE, function->start_line);
	fnp_protobuf_end(&e->out, message);
}

/* Each table is complete when the one that refers to it is written. */
static void put_tables(struct encoder *e)
{
	const struct fnp_profile *profile = e->profile;

	for (uint32_t i = 0; i < e->locations.used; i++)
		put_location(e, i + 1, &profile->locations.items[e->locations.order[i]]);
	for (uint32_t i = 0; i < e->mappings.used; i++)
		put_mapping(e, i + 1, &profile->mappings.items[e->mappings.order[i]]);
	for (uint32_t i = 0; i < e->functions.used; i++)
		put_function(e, i + 1, &profile->functions.items[e->functions.order[i]]);
}

/* Every text that is referred to; the times come last, they are no string of the profile. */
static void put_strings(struct encoder *e)
{
	uint8_t number[FNP_VARINT_MAX];

	if (e->times.len) /* a list, and so packed */
		fnp_protobuf_bytes(&e->out, PPROF_COMMENT, number,
				   (size_t)(fnp_varint_put(number, e->strings.used) - number));
	for (uint32_t i = 0; i < e->strings.used; i++) {
		size_t len;
		const char *text = fnp_intern_get(e->profile->strings, e->strings.order[i], &len);
		fnp_protobuf_entry(&e->out, PPROF_STRING_TABLE, text, len);
	}
	if (e->times.len)
		fnp_protobuf_entry(&e->out, PPROF_STRING_TABLE, e->times.data, e->times.len);
}

static void put_profile(struct encoder *e)
{
	const struct fnp_profile *profile = e->profile;
	const struct fnp_profile_value_type *shown = &profile->value_types[profile->default_value];

	for (uint32_t i = 0; i < profile->n_value_types; i++)
		put_value_type(e, PPROF_SAMPLE_TYPE, &profile->value_types[i]);
	put_samples(e);
	put_tables(e);
	fnp_protobuf_i64(&e->out, PPROF_TIME_NANOS, profile->time_ns);
	fnp_protobuf_i64(&e->out, PPROF_DURATION_NANOS, profile->duration_ns);
	put_value_type(e, PPROF_PERIOD_TYPE, shown);
	fnp_protobuf_i64(&e->out, PPROF_PERIOD, profile->period_ns);
	fnp_protobuf_u64(&e->out, PPROF_DEFAULT_SAMPLE_TYPE, string_id(e, shown->type));
	put_strings(e);
}

static int encode_with(struct encoder *e, const struct fnp_profile *profile, bool pack, struct fnp_buffer *ret)
{
	int r = encoder_init(e, profile);

	r = r ?: fnp_pprof_times_write(profile, &e->times);
	if (r < 0)
		return r;
	put_profile(e);
	if (e->out.error || e->common_labels.error)
		return -ENOMEM;
	if (pack)
		return fnp_gzip_append(ret, e->out.data, e->out.len);
	if (!fnp_buffer_room(ret, e->out.len))
		return -ENOMEM;
	fnp_buffer_append(ret, e->out.data, e->out.len);
	return 0;
}

static int encode(const struct fnp_profile *profile, struct fnp_buffer *ret)
{
	FNP_CLEANUP(encoder_deinit) struct encoder e = {0};

	return encode_with(&e, profile, true, ret);
}

int fnp_pprof_encode_plain(const struct fnp_profile *profile, struct fnp_buffer *ret)
{
	FNP_CLEANUP(encoder_deinit) struct encoder e = {0};

	return encode_with(&e, profile, false, ret);
}

const struct fnp_format_ops fnp_format_pprof = {
	.name = "pprof",
	.suffix = ".pb.gz",
	.description = "Google's pprof: go tool pprof, Pyroscope, Parca, speedscope",
	.encode = encode,
};
