/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pprof files back to profiles.
 *
 * The fields of a message may come in any order, and tables refer to each other by ids that may be any number. So
 * there are two passes: the first notes where each message of the file stands (views into the bytes, nothing is
 * copied), the second takes them table by table, in the order in which they depend on each other, and gives them to
 * the builder, which refuses what dangles. Nothing nests deeper than profile > location > line, so nothing recurses.
 *
 * Files of other writers are read as far as they make sense: a location without a line is named by its address,
 * a sample without a stack gets a marker, of two values for one label key the first is kept.
 */
#include "formats/pprof_reader.h"

#include "base/cursor.h"
#include "formats/gzip.h"
#include "formats/mapping_names.h"
#include "formats/pprof_fields.h"
#include "formats/pprof_tables.h"
#include "formats/pprof_times.h"
#include "formats/protobuf.h"

#define LABELS_MAX 64 /* of one sample; ours have four */

#define NO_STACK "[truncated: no stack]"

static void reader_deinit(struct fnp_pprof_reader *r)
{
	fnp_profile_destroy(r->profile);
	fnp_vec_deinit(&r->strings);
	fnp_vec_deinit(&r->sample_types);
	fnp_vec_deinit(&r->mappings);
	fnp_vec_deinit(&r->functions);
	fnp_vec_deinit(&r->locations);
	fnp_vec_deinit(&r->samples);
	free(r->string_ids);
	fnp_map_deinit(&r->mapping_ids);
	fnp_map_deinit(&r->function_ids);
	fnp_map_deinit(&r->location_ids);
	fnp_vec_deinit(&r->lines);
	fnp_vec_deinit(&r->stack);
	fnp_vec_deinit(&r->sample_numbers);
}

/* ---- first pass --------------------------------------------------------------------------------------------- */

static fnp_pprof_views *views_of(struct fnp_pprof_reader *r, uint32_t field)
{
	switch (field) {
	case PPROF_SAMPLE_TYPE:
		return &r->sample_types;
	case PPROF_SAMPLE:
		return &r->samples;
	case PPROF_MAPPING:
		return &r->mappings;
	case PPROF_LOCATION:
		return &r->locations;
	case PPROF_FUNCTION:
		return &r->functions;
	case PPROF_STRING_TABLE:
		return &r->strings;
	}
	return NULL;
}

static void note_number(struct fnp_pprof_reader *r, const struct fnp_protobuf_field *field)
{
	switch (field->number) {
	case PPROF_TIME_NANOS:
		r->profile->time_ns = (int64_t)field->value;
		break;
	case PPROF_DURATION_NANOS:
		r->profile->duration_ns = (int64_t)field->value;
		break;
	case PPROF_PERIOD:
		r->profile->period_ns = (int64_t)field->value;
		break;
	case PPROF_DEFAULT_SAMPLE_TYPE:
		r->default_sample_type = field->value;
		break;
	}
}

/* Numbers of strings, packed, or one in a field of its own. */
static void note_comment(struct fnp_pprof_reader *r, struct fnp_protobuf_field *field)
{
	uint64_t number = field->value;

	if (field->type == FNP_PROTOBUF_LEN && fnp_cursor_uleb128(&field->bytes, &number) < 0)
		return;
	r->comment = number;
}

static int note_views(struct fnp_pprof_reader *r, struct fnp_cursor file)
{
	struct fnp_protobuf_field field;
	int got;

	while ((got = fnp_protobuf_next(&file, &field)) > 0) {
		fnp_pprof_views *list = views_of(r, field.number);

		if (field.number == PPROF_COMMENT)
			note_comment(r, &field);
		else if (!list && field.type == FNP_PROTOBUF_VARINT)
			note_number(r, &field);
		else if (list && field.type != FNP_PROTOBUF_LEN)
			return -EBADMSG;
		else if (list && fnp_vec_push(list, field.bytes) < 0)
			return -ENOMEM;
	}
	if (got < 0)
		return got;
	if (r->strings.len == 0 || fnp_cursor_left(&r->strings.items[0]) != 0)
		return -EBADMSG;
	r->string_ids = malloc(r->strings.len * sizeof(*r->string_ids));
	if (!r->string_ids)
		return -ENOMEM;
	memset(r->string_ids, 0xff, r->strings.len * sizeof(*r->string_ids));
	return 0;
}

/* ---- second pass: samples ----------------------------------------------------------------------------------- */

struct sample {
	struct fnp_profile_label labels[LABELS_MAX];
	uint32_t n_labels;
	int64_t values[FNP_PROFILE_VALUES_MAX];
	uint32_t n_values;
};

static int take_label(struct fnp_pprof_reader *r, struct fnp_cursor message, struct sample *sample)
{
	struct fnp_profile_label label = {.unit = FNP_LABEL_TEXT};
	uint64_t v[PPROF_LABEL_NUM_UNIT + 1];
	int e = fnp_pprof_take_numbers(message, v, FNP_ARRAY_SIZE(v));

	if (e == 0)
		e = fnp_pprof_take_string(r, v[PPROF_LABEL_KEY], &label.key);
	if (e == 0)
		e = fnp_pprof_take_string(r, v[PPROF_LABEL_STR], &label.text);
	if (e == 0 && label.text == 0)
		e = fnp_pprof_take_string(r, v[PPROF_LABEL_NUM_UNIT], &label.unit);
	if (e < 0)
		return e;
	label.number = (int64_t)v[PPROF_LABEL_NUM];
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		if (sample->labels[i].key == label.key)
			return 0;
	}
	if (sample->n_labels == LABELS_MAX)
		return -EBADMSG;
	sample->labels[sample->n_labels++] = label;
	return 0;
}

static int take_sample_number(struct fnp_pprof_reader *r, uint32_t field, uint64_t value, struct sample *sample)
{
	const uint64_t *number;

	if (field == PPROF_SAMPLE_VALUE) {
		if (sample->n_values == FNP_PROFILE_VALUES_MAX)
			return -EBADMSG;
		sample->values[sample->n_values++] = (int64_t)value;
		return 0;
	}
	number = fnp_map_find(&r->location_ids, value);
	return number ? fnp_vec_push(&r->stack, (uint32_t)*number) : -EBADMSG;
}

/* Numbers come packed, or each in a field of its own. */
static int take_sample_field(struct fnp_pprof_reader *r, struct fnp_protobuf_field *field, struct sample *sample)
{
	int e = 0;

	if (field->number == PPROF_SAMPLE_LABEL)
		return field->type == FNP_PROTOBUF_LEN ? take_label(r, field->bytes, sample) : -EBADMSG;
	if (field->number != PPROF_SAMPLE_LOCATION_ID && field->number != PPROF_SAMPLE_VALUE)
		return 0;
	if (field->type == FNP_PROTOBUF_VARINT)
		return take_sample_number(r, field->number, field->value, sample);
	if (field->type != FNP_PROTOBUF_LEN)
		return -EBADMSG;
	while (e == 0 && fnp_cursor_left(&field->bytes)) {
		uint64_t value = 0;
		e = fnp_cursor_uleb128(&field->bytes, &value);
		if (e == 0)
			e = take_sample_number(r, field->number, value, sample);
	}
	return e;
}

static int add_no_stack(struct fnp_pprof_reader *r)
{
	struct fnp_profile_location location = {0};
	struct fnp_profile_line line = {0};
	uint32_t number;
	int e = fnp_profile_add_pseudo_mapping(r->profile, FNP_MAPPING_MARKER, &location.mapping);

	if (e == 0)
		e = fnp_pprof_add_function(r, NO_STACK, &line.function);
	if (e == 0)
		e = fnp_profile_add_location(r->profile, &location, &line, 1, &number);
	return e < 0 ? fnp_pprof_file_error(e) : fnp_vec_push(&r->stack, number);
}

static int take_sample(struct fnp_pprof_reader *r, struct fnp_cursor message)
{
	struct sample sample = {0};
	struct fnp_protobuf_field field;
	int got, e = 0;

	r->stack.len = 0;
	while ((got = fnp_protobuf_next(&message, &field)) > 0) {
		e = take_sample_field(r, &field, &sample);
		if (e < 0)
			return e;
	}
	if (got < 0)
		return got;
	if (sample.n_values != r->profile->n_value_types || r->stack.len > UINT32_MAX)
		return -EBADMSG;
	if (r->stack.len == 0)
		e = add_no_stack(r);
	if (e < 0)
		return e;
	e = fnp_profile_add_sample(r->profile, r->stack.items, (uint32_t)r->stack.len, sample.labels,
				   sample.n_labels, sample.values);
	return e < 0 ? fnp_pprof_file_error(e) : fnp_vec_push(&r->sample_numbers, r->profile->last_sample);
}

static int take_samples(struct fnp_pprof_reader *r)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->samples.len; i++)
		e = take_sample(r, r->samples.items[i]);
	if (e < 0 || r->comment == 0 || r->comment >= r->strings.len)
		return e;
	return fnp_pprof_times_read(r->strings.items[r->comment], r->sample_numbers.items,
				    r->sample_numbers.len, r->profile);
}

static int read_plain(const void *data, size_t len, struct fnp_profile **ret)
{
	FNP_CLEANUP(reader_deinit) struct fnp_pprof_reader r = {0};
	int e = fnp_profile_create(&r.profile);

	if (e == 0)
		e = note_views(&r, fnp_cursor_of(data, len));
	if (e == 0)
		e = fnp_pprof_take_tables(&r);
	if (e == 0)
		e = take_samples(&r);
	if (e < 0)
		return e;
	*ret = TAKE_PTR(r.profile);
	return 0;
}

int fnp_pprof_read(const void *data, size_t len, size_t max_bytes, struct fnp_profile **ret)
{
	fnp_autobuffer struct fnp_buffer plain = {0};
	int e;

	if (!fnp_gzip_is(data, len))
		return len > max_bytes ? -EFBIG : read_plain(data, len, ret);
	e = fnp_gzip_unpack(data, len, max_bytes, &plain);
	return e < 0 ? e : read_plain(plain.data, plain.len, ret);
}
