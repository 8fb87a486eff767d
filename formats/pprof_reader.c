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
#include "base/map.h"
#include "formats/frame_text.h"
#include "formats/gzip.h"
#include "formats/mapping_names.h"
#include "formats/pprof_fields.h"
#include "formats/protobuf.h"

#define LABELS_MAX 64 /* of one sample; ours have four */

#define NO_STACK "[truncated: no stack]"
#define NOT_READ UINT32_MAX /* in string_ids */

typedef FNP_VEC(struct fnp_cursor) views;

struct reader {
	struct fnp_profile *profile;
	views strings, sample_types, mappings, functions, locations, samples;
	uint64_t default_sample_type;
	uint32_t *string_ids; /* the profile's number, by the file's; NOT_READ until asked for */
	struct fnp_map mapping_ids, function_ids, location_ids;
	FNP_VEC(struct fnp_profile_line) lines; /* of the location at work */
	FNP_VEC(uint32_t) stack;		/* of the sample at work */
	FNP_VEC(uint32_t) sample_numbers;	/* the profile's, in the order of the file */
	uint64_t comment;			/* the first of the last field; 0: none */
};

static void reader_deinit(struct reader *r)
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

/* What the builder refuses is the file's fault here. */
static int as_file_error(int r)
{
	return r < 0 && r != -ENOMEM ? -EBADMSG : r;
}

/* ---- first pass --------------------------------------------------------------------------------------------- */

static views *views_of(struct reader *r, uint32_t field)
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

static void note_number(struct reader *r, const struct fnp_protobuf_field *field)
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
static void note_comment(struct reader *r, struct fnp_protobuf_field *field)
{
	uint64_t number = field->value;

	if (field->type == FNP_PROTOBUF_LEN && fnp_cursor_uleb128(&field->bytes, &number) < 0)
		return;
	r->comment = number;
}

static int note_views(struct reader *r, struct fnp_cursor file)
{
	struct fnp_protobuf_field field;
	int got;

	while ((got = fnp_protobuf_next(&file, &field)) > 0) {
		views *list = views_of(r, field.number);

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

/* ---- second pass -------------------------------------------------------------------------------------------- */

/* The profile's number of a string of the file. */
static int take_string(struct reader *r, uint64_t id, uint32_t *ret)
{
	if (id >= r->strings.len)
		return -EBADMSG;
	if (r->string_ids[id] == NOT_READ) {
		const struct fnp_cursor *text = &r->strings.items[id];
		int e = fnp_profile_add_text(r->profile, (const char *)text->pos, fnp_cursor_left(text),
					     &r->string_ids[id]);
		if (e < 0)
			return as_file_error(e);
	}
	*ret = r->string_ids[id];
	return 0;
}

/*
 * The varint fields of a message, by their numbers below `n`; others are passed over. 0 where a field is absent,
 * the last value where it is there twice.
 */
static int take_numbers(struct fnp_cursor message, uint64_t *values, uint32_t n)
{
	struct fnp_protobuf_field field;
	int got;

	memset(values, 0, n * sizeof(*values));
	while ((got = fnp_protobuf_next(&message, &field)) > 0) {
		if (field.number < n && field.type == FNP_PROTOBUF_VARINT)
			values[field.number] = field.value;
	}
	return got;
}

static int take_value_type(struct reader *r, struct fnp_cursor message)
{
	struct fnp_profile *profile = r->profile;
	uint64_t v[PPROF_VALUE_TYPE_UNIT + 1];
	struct fnp_profile_value_type one;
	int e = take_numbers(message, v, FNP_ARRAY_SIZE(v));

	if (e == 0)
		e = take_string(r, v[PPROF_VALUE_TYPE_TYPE], &one.type);
	if (e == 0)
		e = take_string(r, v[PPROF_VALUE_TYPE_UNIT], &one.unit);
	if (e < 0)
		return e;
	if (profile->n_value_types == FNP_PROFILE_VALUES_MAX)
		return -EBADMSG;
	/* Without a default that exists, readers show the last one. */
	uint32_t shown = profile->default_value, n = profile->n_value_types;
	uint64_t wanted = r->default_sample_type;
	bool is_found = n > 0 && wanted < r->strings.len && r->string_ids[wanted] != NOT_READ &&
			profile->value_types[shown].type == r->string_ids[wanted];
	profile->value_types[n] = one;
	profile->n_value_types++;
	if (!is_found)
		profile->default_value = n;
	return 0;
}

static int take_mapping(struct reader *r, struct fnp_cursor message)
{
	struct fnp_profile_mapping mapping;
	uint64_t v[PPROF_MAPPING_BUILD_ID + 1];
	uint32_t number;
	int e = take_numbers(message, v, FNP_ARRAY_SIZE(v));

	if (e == 0)
		e = take_string(r, v[PPROF_MAPPING_FILENAME], &mapping.file);
	if (e == 0)
		e = take_string(r, v[PPROF_MAPPING_BUILD_ID], &mapping.build_id);
	if (e < 0)
		return e;
	if (v[PPROF_MAPPING_ID] == 0 || fnp_map_find(&r->mapping_ids, v[PPROF_MAPPING_ID]) ||
	    v[PPROF_MAPPING_START] == UINT64_MAX)
		return -EBADMSG;
	mapping.start = v[PPROF_MAPPING_START];
	mapping.limit = FNP_MAX(v[PPROF_MAPPING_LIMIT], mapping.start + 1);
	mapping.offset = v[PPROF_MAPPING_OFFSET];
	e = fnp_profile_add_mapping(r->profile, &mapping, &number);
	if (e < 0)
		return as_file_error(e);
	return fnp_map_set(&r->mapping_ids, v[PPROF_MAPPING_ID], number);
}

/* 0 where a number does not fit: lines and columns of nonsense are not known. */
static uint32_t as_line(uint64_t value)
{
	return value > UINT32_MAX ? 0 : (uint32_t)value;
}

static int take_function(struct reader *r, struct fnp_cursor message)
{
	struct fnp_profile_function function;
	uint64_t v[PPROF_FUNCTION_START_LINE + 1];
	uint32_t number;
	int e = take_numbers(message, v, FNP_ARRAY_SIZE(v));

	if (e == 0)
		e = take_string(r, v[PPROF_FUNCTION_NAME], &function.name);
	if (e == 0)
		e = take_string(r, v[PPROF_FUNCTION_SYSTEM_NAME], &function.system_name);
	if (e == 0)
		e = take_string(r, v[PPROF_FUNCTION_FILENAME], &function.file);
	if (e < 0)
		return e;
	if (v[PPROF_FUNCTION_ID] == 0 || fnp_map_find(&r->function_ids, v[PPROF_FUNCTION_ID]))
		return -EBADMSG;
	function.start_line = as_line(v[PPROF_FUNCTION_START_LINE]);
	e = fnp_profile_add_function(r->profile, &function, &number);
	if (e < 0)
		return as_file_error(e);
	return fnp_map_set(&r->function_ids, v[PPROF_FUNCTION_ID], number);
}

static int add_named_function(struct reader *r, const char *name, uint32_t *ret)
{
	struct fnp_profile_function function = {0};
	int e = fnp_profile_add_string(r->profile, name, &function.name);

	function.system_name = function.name;
	if (e == 0)
		e = fnp_profile_add_function(r->profile, &function, ret);
	return as_file_error(e);
}

static int take_line(struct reader *r, struct fnp_cursor message)
{
	struct fnp_profile_line line = {0};
	uint64_t v[PPROF_LINE_LINE + 1];
	const uint64_t *number;
	int e = take_numbers(message, v, FNP_ARRAY_SIZE(v));

	if (e < 0)
		return e;
	number = fnp_map_find(&r->function_ids, v[PPROF_LINE_FUNCTION_ID]);
	if (!number && v[PPROF_LINE_FUNCTION_ID] != 0)
		return -EBADMSG;
	if (number)
		line.function = (uint32_t)*number;
	else
		e = add_named_function(r, FNP_FRAME_NO_NAME, &line.function);
	if (e < 0)
		return e;
	line.line = as_line(v[PPROF_LINE_LINE]);
	return fnp_vec_push(&r->lines, line);
}

static int take_lines(struct reader *r, struct fnp_cursor location)
{
	struct fnp_protobuf_field field;
	int got;

	r->lines.len = 0;
	while ((got = fnp_protobuf_next(&location, &field)) > 0) {
		if (field.number != PPROF_LOCATION_LINE)
			continue;
		int e = field.type == FNP_PROTOBUF_LEN ? take_line(r, field.bytes) : -EBADMSG;
		if (e < 0)
			return e;
	}
	return got;
}

/* "[object+0xaddress]", the address as the file counts it. */
static int add_address_line(struct reader *r, const struct fnp_profile_location *location)
{
	const struct fnp_profile_mapping *mapping = &r->profile->mappings.items[location->mapping];
	const char *file = fnp_profile_string(r->profile, mapping->file), *slash = strrchr(file, '/');
	struct fnp_profile_line line = {0};
	fnp_autobuffer struct fnp_buffer name = {0};
	int e;

	fnp_buffer_printf(&name, "[%s+0x%llx]", slash ? slash + 1 : file,
			  (unsigned long long)(location->address - mapping->start + mapping->offset));
	if (name.error)
		return name.error;
	e = add_named_function(r, (const char *)name.data, &line.function);
	return e < 0 ? e : fnp_vec_push(&r->lines, line);
}

/* The mapping of a location; an own one for those that have none. */
static int find_mapping(struct reader *r, uint64_t id, uint64_t address, uint32_t *ret)
{
	const uint64_t *number = fnp_map_find(&r->mapping_ids, id);
	struct fnp_profile_mapping none = {.start = address, .limit = address + 1};
	int e;

	if (number) {
		*ret = (uint32_t)*number;
		return 0;
	}
	if (id != 0)
		return -EBADMSG;
	e = fnp_profile_add_string(r->profile, FNP_FRAME_NO_NAME, &none.file);
	if (e == 0)
		e = fnp_profile_add_mapping(r->profile, &none, ret);
	return as_file_error(e);
}

static int take_location(struct reader *r, struct fnp_cursor message)
{
	struct fnp_profile_location location = {0};
	uint64_t v[PPROF_LOCATION_ADDRESS + 1];
	uint32_t number;
	int e = take_numbers(message, v, FNP_ARRAY_SIZE(v));

	if (e < 0)
		return e;
	if (v[PPROF_LOCATION_ID] == 0 || fnp_map_find(&r->location_ids, v[PPROF_LOCATION_ID]))
		return -EBADMSG;
	location.address = v[PPROF_LOCATION_ADDRESS];
	e = find_mapping(r, v[PPROF_LOCATION_MAPPING_ID], location.address, &location.mapping);
	if (e == 0)
		e = take_lines(r, message);
	if (e == 0 && r->lines.len == 0)
		e = add_address_line(r, &location);
	if (e < 0)
		return e;
	if (r->lines.len > UINT16_MAX)
		return -EBADMSG;
	e = fnp_profile_add_location(r->profile, &location, r->lines.items, (uint32_t)r->lines.len, &number);
	if (e < 0)
		return as_file_error(e);
	return fnp_map_set(&r->location_ids, v[PPROF_LOCATION_ID], number);
}

/* ---- samples ------------------------------------------------------------------------------------------------ */

struct sample {
	struct fnp_profile_label labels[LABELS_MAX];
	uint32_t n_labels;
	int64_t values[FNP_PROFILE_VALUES_MAX];
	uint32_t n_values;
};

static int take_label(struct reader *r, struct fnp_cursor message, struct sample *sample)
{
	struct fnp_profile_label label = {.unit = FNP_LABEL_TEXT};
	uint64_t v[PPROF_LABEL_NUM_UNIT + 1];
	int e = take_numbers(message, v, FNP_ARRAY_SIZE(v));

	if (e == 0)
		e = take_string(r, v[PPROF_LABEL_KEY], &label.key);
	if (e == 0)
		e = take_string(r, v[PPROF_LABEL_STR], &label.text);
	if (e == 0 && label.text == 0)
		e = take_string(r, v[PPROF_LABEL_NUM_UNIT], &label.unit);
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

static int take_sample_number(struct reader *r, uint32_t field, uint64_t value, struct sample *sample)
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
static int take_sample_field(struct reader *r, struct fnp_protobuf_field *field, struct sample *sample)
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

static int add_no_stack(struct reader *r)
{
	struct fnp_profile_location location = {0};
	struct fnp_profile_line line = {0};
	uint32_t number;
	int e = fnp_profile_add_pseudo_mapping(r->profile, FNP_MAPPING_MARKER, &location.mapping);

	if (e == 0)
		e = add_named_function(r, NO_STACK, &line.function);
	if (e == 0)
		e = fnp_profile_add_location(r->profile, &location, &line, 1, &number);
	return e < 0 ? as_file_error(e) : fnp_vec_push(&r->stack, number);
}

static int take_sample(struct reader *r, struct fnp_cursor message)
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
	return e < 0 ? as_file_error(e) : fnp_vec_push(&r->sample_numbers, r->profile->last_sample);
}

/* A decimal number and the one character after it; false at what is none. */
static bool take_decimal(struct fnp_cursor *text, int64_t *ret, char *ret_after)
{
	bool negative = false, any = false;
	uint64_t value = 0;
	uint8_t c;

	while (fnp_cursor_u8(text, &c) == 0) {
		if (c == '-' && !negative && !any) {
			negative = true;
		} else if (c >= '0' && c <= '9') {
			if (value >= INT64_MAX / 10)
				return false;
			value = value * 10 + (uint64_t)(c - '0');
			any = true;
		} else {
			*ret = negative ? -(int64_t)value : (int64_t)value;
			*ret_after = (char)c;
			return any;
		}
	}
	return false;
}

/* The times of one sample, up to its bar. */
static int take_times_of(struct reader *r, struct fnp_cursor *text)
{
	struct fnp_profile_time one = {0};
	int64_t number, tid;
	char after;
	int e = 0;

	if (!take_decimal(text, &number, &after) || number < 1 || (uint64_t)number > r->sample_numbers.len)
		return -EBADMSG;
	one.sample = r->sample_numbers.items[number - 1];
	while (e == 0 && after == ' ') {
		if (!take_decimal(text, &tid, &after) || after != ' ' || tid < 0 || tid > UINT32_MAX ||
		    !take_decimal(text, &one.offset_ns, &after))
			return -EBADMSG;
		one.tid = (uint32_t)tid;
		e = fnp_profile_add_time(r->profile, &one);
	}
	return e == 0 && after != '|' ? -EBADMSG : e;
}

/* Our own comment: from where it makes no sense samples have no times, and are samples all the same. */
static int take_times(struct reader *r)
{
	struct fnp_cursor text;
	const uint8_t *begin;
	size_t len = strlen(PPROF_TIMES_COMMENT);
	int e = 0;

	if (r->comment == 0 || r->comment >= r->strings.len)
		return 0;
	text = r->strings.items[r->comment];
	if (fnp_cursor_bytes(&text, len, &begin) < 0 || memcmp(begin, PPROF_TIMES_COMMENT, len) != 0)
		return 0;
	while (e == 0 && fnp_cursor_left(&text))
		e = take_times_of(r, &text);
	return e == -ENOMEM ? e : 0;
}

static int take_all(struct reader *r, const views *list,
		    int (*take)(struct reader *r, struct fnp_cursor message))
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < list->len; i++)
		e = take(r, list->items[i]);
	return e;
}

static int take_tables(struct reader *r)
{
	int e;

	/* The builder's own value types give way to the file's. */
	r->profile->n_value_types = 0;
	r->profile->default_value = 0;
	e = take_all(r, &r->sample_types, take_value_type);
	if (e == 0 && r->profile->n_value_types == 0)
		e = -EBADMSG;
	if (e == 0)
		e = take_all(r, &r->mappings, take_mapping);
	if (e == 0)
		e = take_all(r, &r->functions, take_function);
	if (e == 0)
		e = take_all(r, &r->locations, take_location);
	if (e == 0)
		e = take_all(r, &r->samples, take_sample);
	return e ?: take_times(r);
}

static int read_plain(const void *data, size_t len, struct fnp_profile **ret)
{
	FNP_CLEANUP(reader_deinit) struct reader r = {0};
	int e = fnp_profile_create(&r.profile);

	if (e == 0)
		e = note_views(&r, fnp_cursor_of(data, len));
	if (e == 0)
		e = take_tables(&r);
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
