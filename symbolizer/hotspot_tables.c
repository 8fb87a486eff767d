/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that HotSpot publishes for debuggers: offsets of fields, addresses of static ones, sizes of types, values
 * of constants. Their entries have published strides and offsets themselves. They lie in the library's data and hold
 * pointers, so they are read from the process, once the dynamic linker is through; their texts from the file.
 *
 * Of a few static fields that are not published the symbol is taken, where the file has it.
 */
#include "symbolizer/hotspot.h"

#include <stddef.h>
#include <stdio.h>

#define ENTRIES_MAX 16384
#define STRIDE_MAX 256
#define CHUNK_BYTES 8192
#define TEXT_MAX 96
#define FILES_MAX 4
#define FILES_ID_MAX 68

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

/* Entries on from `address`, as many as fit and can be read, at least one. Their number, or -errno. */
static ssize_t read_entries(const struct fnp_hotspot_place *place, uint64_t address, uint64_t stride,
			    uint8_t ret[CHUNK_BYTES])
{
	size_t n = CHUNK_BYTES / stride;
	int r;

	if (fnp_runtime_read(place->pid, address, ret, n * stride) == 0)
		return (ssize_t)n;
	r = fnp_runtime_read(place->pid, address, ret, stride); /* memory may end behind the table */
	return r < 0 ? r : 1;
}

/* Reads one table up to the entry without texts. */
static int read_table(const struct fnp_hotspot_place *place, const struct shape *s, enum what what,
		      struct fnp_hotspot_tables *ret)
{
	uint8_t entries[CHUNK_BYTES];
	ssize_t n;
	const uint64_t offsets[] = {s->type, s->field, s->is_static, s->offset, s->address, s->size};

	if (s->stride < 16 || s->stride > STRIDE_MAX || s->first == 0)
		return -EAGAIN;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(offsets); i++) {
		if (offsets[i] > s->stride - 8)
			return -EOPNOTSUPP;
	}
	for (size_t i = 0; i < ENTRIES_MAX; i += (size_t)n) {
		n = read_entries(place, s->first + i * s->stride, s->stride, entries);
		if (n < 0)
			return n == -EFAULT ? -EAGAIN : (int)n;
		for (const uint8_t *entry = entries; entry < entries + (size_t)n * s->stride;
		     entry += s->stride) {
			if (word_of(entry, s->type) == 0 && word_of(entry, s->field) == 0)
				return 0;
			take_entry(place, entry, s, what, ret);
		}
	}
	return -EOPNOTSUPP;
}

/* The three tables: symbols that say where each begins, and its shape. */
static const struct published {
	enum what what;
	size_t n;
	struct {
		size_t slot; /* in struct shape */
		const char *symbol;
	} parts[7];
} published[] = {
#define X_PART(slot_, symbol_)                                                                               \
	{                                                                                                    \
		offsetof(struct shape, slot_), "gHotSpotVM" symbol_                                          \
	}
	{FIELDS,
	 7,
	 {X_PART(first, "Structs"), X_PART(stride, "StructEntryArrayStride"),
	  X_PART(type, "StructEntryTypeNameOffset"), X_PART(field, "StructEntryFieldNameOffset"),
	  X_PART(is_static, "StructEntryIsStaticOffset"), X_PART(offset, "StructEntryOffsetOffset"),
	  X_PART(address, "StructEntryAddressOffset")}},
	{SIZES,
	 4,
	 {X_PART(first, "Types"), X_PART(stride, "TypeEntryArrayStride"),
	  X_PART(type, "TypeEntryTypeNameOffset"), X_PART(size, "TypeEntrySizeOffset")}},
	{CONSTANTS,
	 4,
	 {X_PART(first, "IntConstants"), X_PART(stride, "IntConstantEntryArrayStride"),
	  X_PART(field, "IntConstantEntryNameOffset"), X_PART(size, "IntConstantEntryValueOffset")}},
#undef X_PART
};

static int read_published(const struct fnp_hotspot_place *place, const struct published *p,
			  struct fnp_hotspot_tables *ret)
{
	const char *names[FNP_ARRAY_SIZE(p->parts)];
	uint64_t values[FNP_ARRAY_SIZE(p->parts)];
	struct shape shape = {0};
	int r;

	for (size_t i = 0; i < p->n; i++)
		names[i] = p->parts[i].symbol;
	r = read_numbers(place, names, p->n, values);
	if (r < 0)
		return r;
	for (size_t i = 0; i < p->n; i++)
		memcpy((char *)&shape + p->parts[i].slot, &values[i], sizeof(values[i]));
	/* One of the two texts is missing in some: then the other stands for both. */
	if (p->what == SIZES)
		shape.field = shape.type;
	if (p->what == CONSTANTS)
		shape.type = shape.field;
	return read_table(place, &shape, p->what, ret);
}

enum { SYMBOLS_FIRST = FNP_HOTSPOT_CONTINUATION_RETURN, SYMBOLS_LAST = FNP_HOTSPOT_DETAILED };

/* Addresses as the object counts them, by field; 0: it has no such symbol. */
struct symbols {
	char build_id[FILES_ID_MAX];
	uint64_t addresses[SYMBOLS_LAST - SYMBOLS_FIRST + 1];
};

/*
 * Static fields that are not published have symbols, in files that were not stripped of them: names of C++ as compilers
 * write them, _ZN, then each part behind its length.
 */
static void look_up(const struct fnp_object *object, struct symbols *ret)
{
	enum { N = FNP_ARRAY_SIZE(ret->addresses) };
	struct fnp_object_symbol found[N];
	char texts[N][TEXT_MAX];
	const char *names[N];

	for (int i = 0; i < N; i++) {
		const struct wanted *w = &wanted[SYMBOLS_FIRST + i];

		if (w->type[0])
			snprintf(texts[i], sizeof(texts[i]), "_ZN%zu%s%zu%sE", strlen(w->type), w->type,
				 strlen(w->field), w->field);
		else
			snprintf(texts[i], sizeof(texts[i]), "%s", w->field);
		names[i] = texts[i];
	}
	fnp_runtime_symbols(object, names, N, found);
	for (int i = 0; i < N; i++)
		ret->addresses[i] = found[i].address;
}

/* Those of the files that were looked at last: it takes some milliseconds, and each JVM of a host has the same. */
static const struct symbols *symbols_of(const struct fnp_object *object)
{
	static struct symbols files[FILES_MAX];
	static unsigned next;
	const char *id = fnp_object_build_id(object);

	for (size_t i = 0; id[0] && i < FILES_MAX; i++) {
		if (strcmp(files[i].build_id, id) == 0)
			return &files[i];
	}
	struct symbols *fresh = &files[next++ % FILES_MAX];
	look_up(object, fresh);
	snprintf(fresh->build_id, sizeof(fresh->build_id), "%s", id);
	return fresh;
}

void fnp_hotspot_symbols_read(const struct fnp_hotspot_place *place, struct fnp_hotspot_tables *tables)
{
	const struct symbols *symbols = symbols_of(place->object);

	for (int i = SYMBOLS_FIRST; i <= SYMBOLS_LAST; i++) {
		uint64_t address = symbols->addresses[i - SYMBOLS_FIRST];

		if (!fnp_hotspot_has(tables, i) && address)
			tables->values[i] = address + place->bias;
	}
}

int fnp_hotspot_tables_read(const struct fnp_hotspot_place *place, struct fnp_hotspot_tables *ret)
{
	struct fnp_hotspot_tables tables;
	int r = 0;

	memset(&tables, 0xff, sizeof(tables));
	for (size_t i = 0; i < FNP_ARRAY_SIZE(published) && r == 0; i++)
		r = read_published(place, &published[i], &tables);
	if (r < 0)
		return r;
	*ret = tables;
	return 0;
}
