/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What samples refer to, table by table, in the order in which tables depend on each other. Ids may be any numbers, each
 * once; what dangles is refused.
 */
#include "formats/pprof_tables.h"

#include "formats/frame_text.h"
#include "formats/pprof_fields.h"
#include "formats/protobuf.h"

int fnp_pprof_take_string(struct fnp_pprof_reader *r, uint64_t id, uint32_t *ret)
{
	if (id >= r->strings.len)
		return -EBADMSG;
	if (r->string_ids[id] == FNP_PPROF_NOT_READ) {
		const struct fnp_cursor *text = &r->strings.items[id];
		int e = fnp_profile_add_text(r->profile, (const char *)text->pos, fnp_cursor_left(text),
					     &r->string_ids[id]);
		if (e < 0)
			return fnp_pprof_file_error(e);
	}
	*ret = r->string_ids[id];
	return 0;
}

int fnp_pprof_take_numbers(struct fnp_cursor message, uint64_t *values, uint32_t n)
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

static int take_value_type(struct fnp_pprof_reader *r, struct fnp_cursor message)
{
	struct fnp_profile *profile = r->profile;
	uint64_t v[PPROF_VALUE_TYPE_UNIT + 1];
	struct fnp_profile_value_type one;
	int e = fnp_pprof_take_numbers(message, v, FNP_ARRAY_SIZE(v));

	if (e == 0)
		e = fnp_pprof_take_string(r, v[PPROF_VALUE_TYPE_TYPE], &one.type);
	if (e == 0)
		e = fnp_pprof_take_string(r, v[PPROF_VALUE_TYPE_UNIT], &one.unit);
	if (e < 0)
		return e;
	if (profile->n_value_types == FNP_PROFILE_VALUES_MAX)
		return -EBADMSG;
	/* Without a default that exists, readers show the last one. */
	uint32_t shown = profile->default_value, n = profile->n_value_types;
	uint64_t wanted = r->default_sample_type;
	bool is_found = n > 0 && wanted < r->strings.len && r->string_ids[wanted] != FNP_PPROF_NOT_READ &&
			profile->value_types[shown].type == r->string_ids[wanted];
	profile->value_types[n] = one;
	profile->n_value_types++;
	if (!is_found)
		profile->default_value = n;
	return 0;
}

static int take_mapping(struct fnp_pprof_reader *r, struct fnp_cursor message)
{
	struct fnp_profile_mapping mapping;
	uint64_t v[PPROF_MAPPING_BUILD_ID + 1];
	uint32_t number;
	int e = fnp_pprof_take_numbers(message, v, FNP_ARRAY_SIZE(v));

	if (e == 0)
		e = fnp_pprof_take_string(r, v[PPROF_MAPPING_FILENAME], &mapping.file);
	if (e == 0)
		e = fnp_pprof_take_string(r, v[PPROF_MAPPING_BUILD_ID], &mapping.build_id);
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
		return fnp_pprof_file_error(e);
	return fnp_map_set(&r->mapping_ids, v[PPROF_MAPPING_ID], number);
}

/* 0 where a number does not fit: lines and columns of nonsense are not known. */
static uint32_t as_line(uint64_t value)
{
	return value > UINT32_MAX ? 0 : (uint32_t)value;
}

static int take_function(struct fnp_pprof_reader *r, struct fnp_cursor message)
{
	struct fnp_profile_function function;
	uint64_t v[PPROF_FUNCTION_START_LINE + 1];
	uint32_t number;
	int e = fnp_pprof_take_numbers(message, v, FNP_ARRAY_SIZE(v));

	if (e == 0)
		e = fnp_pprof_take_string(r, v[PPROF_FUNCTION_NAME], &function.name);
	if (e == 0)
		e = fnp_pprof_take_string(r, v[PPROF_FUNCTION_SYSTEM_NAME], &function.system_name);
	if (e == 0)
		e = fnp_pprof_take_string(r, v[PPROF_FUNCTION_FILENAME], &function.file);
	if (e < 0)
		return e;
	if (v[PPROF_FUNCTION_ID] == 0 || fnp_map_find(&r->function_ids, v[PPROF_FUNCTION_ID]))
		return -EBADMSG;
	function.start_line = as_line(v[PPROF_FUNCTION_START_LINE]);
	e = fnp_profile_add_function(r->profile, &function, &number);
	if (e < 0)
		return fnp_pprof_file_error(e);
	return fnp_map_set(&r->function_ids, v[PPROF_FUNCTION_ID], number);
}

int fnp_pprof_add_function(struct fnp_pprof_reader *r, const char *name, uint32_t *ret)
{
	struct fnp_profile_function function = {0};
	int e = fnp_profile_add_string(r->profile, name, &function.name);

	function.system_name = function.name;
	if (e == 0)
		e = fnp_profile_add_function(r->profile, &function, ret);
	return fnp_pprof_file_error(e);
}

static int take_line(struct fnp_pprof_reader *r, struct fnp_cursor message)
{
	struct fnp_profile_line line = {0};
	uint64_t v[PPROF_LINE_LINE + 1];
	const uint64_t *number;
	int e = fnp_pprof_take_numbers(message, v, FNP_ARRAY_SIZE(v));

	if (e < 0)
		return e;
	number = fnp_map_find(&r->function_ids, v[PPROF_LINE_FUNCTION_ID]);
	if (!number && v[PPROF_LINE_FUNCTION_ID] != 0)
		return -EBADMSG;
	if (number)
		line.function = (uint32_t)*number;
	else
		e = fnp_pprof_add_function(r, FNP_FRAME_NO_NAME, &line.function);
	if (e < 0)
		return e;
	line.line = as_line(v[PPROF_LINE_LINE]);
	return fnp_vec_push(&r->lines, line);
}

static int take_lines(struct fnp_pprof_reader *r, struct fnp_cursor location)
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
static int add_address_line(struct fnp_pprof_reader *r, const struct fnp_profile_location *location)
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
	e = fnp_pprof_add_function(r, (const char *)name.data, &line.function);
	return e < 0 ? e : fnp_vec_push(&r->lines, line);
}

/* The mapping of a location; an own one for those that have none. */
static int find_mapping(struct fnp_pprof_reader *r, uint64_t id, uint64_t address, uint32_t *ret)
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
	return fnp_pprof_file_error(e);
}

static int take_location(struct fnp_pprof_reader *r, struct fnp_cursor message)
{
	struct fnp_profile_location location = {0};
	uint64_t v[PPROF_LOCATION_ADDRESS + 1];
	uint32_t number;
	int e = fnp_pprof_take_numbers(message, v, FNP_ARRAY_SIZE(v));

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
		return fnp_pprof_file_error(e);
	return fnp_map_set(&r->location_ids, v[PPROF_LOCATION_ID], number);
}

static int take_all(struct fnp_pprof_reader *r, const fnp_pprof_views *list,
		    int (*take)(struct fnp_pprof_reader *r, struct fnp_cursor message))
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < list->len; i++)
		e = take(r, list->items[i]);
	return e;
}

int fnp_pprof_take_tables(struct fnp_pprof_reader *r)
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
	return e;
}
