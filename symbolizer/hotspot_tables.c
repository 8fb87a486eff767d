/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that HotSpot publishes for debuggers: offsets of fields, addresses of static ones, sizes of types, values
 * of constants. Their entries have published strides and offsets themselves. They lie in the library's data and hold
 * pointers, so they are read from the process, once the dynamic linker is through; their texts from the file.
 */
#include "symbolizer/hotspot.h"

#define ENTRIES_MAX 16384
#define STRIDE_MAX 256
#define TEXT_MAX 96

static const struct wanted {
	const char *type, *field;
} wanted[FNP_HOTSPOT_FIELDS_MAX] = {
#define X_WANTED(name_, type_, field_) {type_, field_},
	FNP_HOTSPOT_FIELDS(X_WANTED)
#undef X_WANTED
};

/* The shape of one table: where in an entry things are. */
struct shape {
	uint64_t first, stride, type, field, is_static, offset, address, size;
};

static int read_word(const struct fnp_hotspot_place *place, uint64_t address, uint64_t *ret)
{
	return fnp_runtime_read(place->pid, address, ret, sizeof(*ret));
}

/* Symbols that are 64-bit numbers, by name, into ret; all or nothing. */
static int read_numbers(const struct fnp_hotspot_place *place, const char *const *names, size_t n, uint64_t *ret)
{
	struct fnp_object_symbol symbols[8];
	int r = 0;

	if (n > FNP_ARRAY_SIZE(symbols) || fnp_runtime_exports(place->object, names, n, symbols) != n)
		return -EOPNOTSUPP;
	for (size_t i = 0; i < n && r == 0; i++)
		r = read_word(place, symbols[i].address + place->bias, &ret[i]);
	return r < 0 ? -EAGAIN : 0;
}

/* A text of the file; NULL when the pointer leads elsewhere. */
static const char *text_at(const struct fnp_hotspot_place *place, uint64_t pointer)
{
	const uint8_t *bytes;

	if (pointer == 0)
		return NULL;
	for (size_t size = TEXT_MAX; size > 0; size /= 2) {
		if (fnp_object_read_address(place->object, pointer - place->bias, size, &bytes) == 0)
			return memchr(bytes, 0, size) ? (const char *)bytes : NULL;
	}
	return NULL;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static uint64_t word_of(const uint8_t *entry, uint64_t at)
{
	uint64_t word;

	memcpy(&word, entry + at, sizeof(word));
	return word;
}

/* What an entry of the table of fields says: an offset, or a static field's address. */
static uint64_t field_value(const uint8_t *entry, const struct shape *s)
{
	return (uint32_t)word_of(entry, s->is_static) ? word_of(entry, s->address) : word_of(entry, s->offset);
}

enum what { FIELDS, SIZES, CONSTANTS };

static void take_entry(const struct fnp_hotspot_place *place, const uint8_t *entry, const struct shape *s,
		       enum what what, struct fnp_hotspot_tables *ret)
{
	const char *type = what == CONSTANTS ? NULL : text_at(place, word_of(entry, s->type));
	const char *field = what == SIZES ? NULL : text_at(place, word_of(entry, s->field));

	for (size_t i = 0; i < FNP_HOTSPOT_FIELDS_MAX; i++) {
		if (!same(wanted[i].type, type) || !same(wanted[i].field, field))
			continue;
		if (what == FIELDS)
			ret->values[i] = field_value(entry, s);
		else
			ret->values[i] = what == SIZES ? word_of(entry, s->size)
						       : (uint32_t)word_of(entry, s->size);
	}
}

/* Reads one table up to the entry without texts. */
static int read_table(const struct fnp_hotspot_place *place, const struct shape *s, enum what what,
		      struct fnp_hotspot_tables *ret)
{
	uint8_t entry[STRIDE_MAX];
	const uint64_t offsets[] = {s->type, s->field, s->is_static, s->offset, s->address, s->size};

	if (s->stride < 16 || s->stride > STRIDE_MAX || s->first == 0)
		return -EAGAIN;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(offsets); i++) {
		if (offsets[i] > s->stride - 8)
			return -EOPNOTSUPP;
	}
	for (size_t i = 0; i < ENTRIES_MAX; i++) {
		int r = fnp_runtime_read(place->pid, s->first + i * s->stride, entry, s->stride);
		if (r < 0)
			return r == -EFAULT ? -EAGAIN : r;
		if (word_of(entry, s->type) == 0 && word_of(entry, s->field) == 0)
			return 0;
		take_entry(place, entry, s, what, ret);
	}
	return -EOPNOTSUPP;
}

static int read_fields(const struct fnp_hotspot_place *place, struct fnp_hotspot_tables *ret)
{
	static const char *const names[] = {
		"gHotSpotVMStructs",
		"gHotSpotVMStructEntryArrayStride",
		"gHotSpotVMStructEntryTypeNameOffset",
		"gHotSpotVMStructEntryFieldNameOffset",
		"gHotSpotVMStructEntryIsStaticOffset",
		"gHotSpotVMStructEntryOffsetOffset",
		"gHotSpotVMStructEntryAddressOffset",
	};
	uint64_t v[FNP_ARRAY_SIZE(names)];
	int r = read_numbers(place, names, FNP_ARRAY_SIZE(names), v);

	if (r < 0)
		return r;
	struct shape s = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], 0};
	return read_table(place, &s, FIELDS, ret);
}

static int read_sizes(const struct fnp_hotspot_place *place, struct fnp_hotspot_tables *ret)
{
	static const char *const names[] = {
		"gHotSpotVMTypes",
		"gHotSpotVMTypeEntryArrayStride",
		"gHotSpotVMTypeEntryTypeNameOffset",
		"gHotSpotVMTypeEntrySizeOffset",
	};
	uint64_t v[FNP_ARRAY_SIZE(names)];
	int r = read_numbers(place, names, FNP_ARRAY_SIZE(names), v);

	if (r < 0)
		return r;
	struct shape s = {.first = v[0], .stride = v[1], .type = v[2], .field = v[2], .size = v[3]};
	return read_table(place, &s, SIZES, ret);
}

static int read_constants(const struct fnp_hotspot_place *place, struct fnp_hotspot_tables *ret)
{
	static const char *const names[] = {
		"gHotSpotVMIntConstants",
		"gHotSpotVMIntConstantEntryArrayStride",
		"gHotSpotVMIntConstantEntryNameOffset",
		"gHotSpotVMIntConstantEntryValueOffset",
	};
	uint64_t v[FNP_ARRAY_SIZE(names)];
	int r = read_numbers(place, names, FNP_ARRAY_SIZE(names), v);

	if (r < 0)
		return r;
	struct shape s = {.first = v[0], .stride = v[1], .type = v[2], .field = v[2], .size = v[3]};
	return read_table(place, &s, CONSTANTS, ret);
}

int fnp_hotspot_tables_read(const struct fnp_hotspot_place *place, struct fnp_hotspot_tables *ret)
{
	struct fnp_hotspot_tables tables;

	memset(&tables, 0xff, sizeof(tables));
	int r = read_fields(place, &tables);
	r = r ?: read_sizes(place, &tables);
	r = r ?: read_constants(place, &tables);
	if (r == 0)
		*ret = tables;
	return r;
}
