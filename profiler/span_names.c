/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/span_names.h"

#include "profiler/records.h"
#include "symbolizer/hotspot.h"

void fnp_span_text(const struct fnp_probe_record *record, unsigned int n, char ret[FNP_PROBE_TEXT_BYTES])
{
	struct fnp_record_part part = fnp_record_nth_section(&record->head, FNP_SECTION_PROBE_TEXT, n);
	size_t size = FNP_MIN(part.size, (size_t)FNP_PROBE_TEXT_BYTES - 1);

	if (size > 0)
		memcpy(ret, part.data, size);
	ret[size] = '\0';
}

/* ---- Python ------------------------------------------------------------------------------------------------- */

/*
 * PyASCIIObject (Include/cpython/unicodeobject.h): length at 16, hash at 24, state at 32, text at 48, and at 40 from
 * 3.12 on, which dropped a pointer there. Text that is all ASCII has its own flag; other text stands 24 or 16 bytes
 * further and is told only where a character is a byte.
 */
#define PY_LENGTH 16
#define PY_STATE 32
#define PY_TEXT_NEW 40
#define PY_TEXT_OLD 48

void fnp_span_python_text(const uint8_t *object, size_t size, char *ret, size_t ret_size)
{
	uint64_t length, word;
	uint32_t state;
	size_t at = PY_TEXT_NEW, n;

	ret[0] = '\0';
	if (size < PY_TEXT_OLD + 1 || ret_size == 0)
		return;
	memcpy(&length, object + PY_LENGTH, sizeof(length));
	memcpy(&state, object + PY_STATE, sizeof(state));
	memcpy(&word, object + PY_TEXT_NEW, sizeof(word));
	/* kind 1, compact, ascii: bits 2 to 6 (after 2 of `interned`), or 16 to 20 in builds that widened that. */
	if (length == 0 || length > 4096 ||
	    ((state >> 2 & 0x1f) != 0x19 && (state >> 16 & 0x1f) != 0x19 && (state >> 8 & 0x1f) != 0x19))
		return;
	/* The old layout has a pointer there that is NULL for such text; text is never eight NULs. */
	if (word == 0)
		at = PY_TEXT_OLD;
	n = FNP_MIN((size_t)length, FNP_MIN(size - at, ret_size - 1));
	memcpy(ret, object + at, n);
	ret[n] = '\0';
}

/* ---- V8 ----------------------------------------------------------------------------------------------------- */

static const char *v8_collector(uint64_t number)
{
	static const char *const names[] = {"Scavenge", "Mark-Compact", "Minor Mark-Sweep"};

	return number < FNP_ARRAY_SIZE(names) ? names[number] : "";
}

/* The numbers stand in histograms, so they stay (v8 src/heap/heap.h, GarbageCollectionReason). */
static const char *v8_reason(uint64_t number)
{
	static const char *const names[] = {
		[1] = "allocation failure",
		[2] = "allocation limit",
		[3] = "context disposal",
		[4] = "counters extension",
		[5] = "debugger",
		[6] = "deserialize",
		[7] = "external memory pressure",
		[8] = "finalize incremental marking via stack guard",
		[9] = "finalize incremental marking via task",
		[10] = "full hash-table",
		[11] = "heap profiler",
		[12] = "task",
		[13] = "last resort",
		[14] = "low memory notification",
		[15] = "make heap iterable",
		[16] = "memory pressure",
		[17] = "memory reducer",
		[18] = "runtime",
		[19] = "sampling profiler",
		[20] = "snapshot creator",
		[21] = "testing",
		[22] = "external finalize",
		[23] = "global allocation limit",
		[24] = "measure memory",
	};

	return number < FNP_ARRAY_SIZE(names) && names[number] ? names[number] : "";
}

/*
 * A string's object as it is read, from the second byte on (its address has a tag): hash at 7, length at 11, then its
 * characters, or the addresses of the strings that it is made of: another one with the same text (ThinString), or two that
 * follow each other (ConsString). An address has zeros in its last two bytes, a path never.
 */
#define V8_LENGTH 11
#define V8_TEXT 15

static bool is_address(const struct fnp_record_part *object, size_t at)
{
	uint64_t word = 0;

	if (object->size < at + sizeof(word))
		return false;
	memcpy(&word, (const uint8_t *)object->data + at, sizeof(word));
	return word >> 48 == 0 && (word & 1);
}

/* Appends a flat string of bytes (Latin-1), as UTF-8; its length, 0: it is something else. */
static size_t add_flat(const struct fnp_record_part *object, char *ret, size_t at)
{
	const uint8_t *bytes = object->data;
	uint32_t length, n;

	if (object->size < V8_TEXT + sizeof(uint64_t))
		return 0;
	memcpy(&length, bytes + V8_LENGTH, sizeof(length));
	n = (uint32_t)FNP_MIN((size_t)length, object->size - V8_TEXT);
	for (uint32_t i = 0; i < n; i++) {
		if (bytes[V8_TEXT + i] < ' ')
			return 0;
	}
	for (uint32_t i = 0; i < n && at < FNP_SPAN_NAME_MAX - 2; i++) {
		uint8_t one = bytes[V8_TEXT + i];

		if (one >= 0x80)
			ret[at++] = (char)(0xc0 | one >> 6);
		ret[at++] = (char)(one >= 0x80 ? 0x80 | (one & 0x3f) : one);
	}
	ret[at] = '\0';
	return length;
}

static void name_path(const struct fnp_probe_record *record, char ret[FNP_SPAN_NAME_MAX])
{
	static const char scheme[] = "file://";
	struct fnp_record_part parts[3];
	uint32_t length = 0;
	size_t n;

	for (unsigned int i = 0; i < FNP_ARRAY_SIZE(parts); i++)
		parts[i] = fnp_record_nth_section(&record->head, FNP_SECTION_PROBE_TEXT, i);
	if (parts[0].size < V8_TEXT)
		return;
	memcpy(&length, (const uint8_t *)parts[0].data + V8_LENGTH, sizeof(length));
	if (length < sizeof(uint64_t) || !is_address(&parts[0], V8_TEXT)) {
		add_flat(&parts[0], ret, 0);
	} else {
		n = add_flat(&parts[1], ret, 0);
		if (n > 0 && n < length && n < FNP_SPAN_NAME_MAX)
			n += add_flat(&parts[2], ret, strlen(ret));
		if (n != length)
			ret[0] = '\0'; /* made in another way */
	}
	if (strncmp(ret, scheme, strlen(scheme)) == 0)
		memmove(ret, ret + strlen(scheme), strlen(ret) - strlen(scheme) + 1);
}

/* ---- all ---------------------------------------------------------------------------------------------------- */

static void set(char ret[FNP_SPAN_NAME_MAX], const char *text)
{
	snprintf(ret, FNP_SPAN_NAME_MAX, "%s", text ? text : "");
}

static void put_arguments(const struct fnp_probe_record *record, char ret[FNP_SPAN_NAME_MAX])
{
	size_t n = FNP_MIN(record->n_arguments, FNP_PROBE_ARGUMENTS_MAX), at = 0;

	for (size_t i = 0; i < n; i++) {
		const char *gap = i ? " " : "";
		int len = record->unknown >> i & 1 ? snprintf(ret + at, FNP_SPAN_NAME_MAX - at, "%s?", gap)
						   : snprintf(ret + at, FNP_SPAN_NAME_MAX - at, "%s%ld", gap,
							      (long)record->arguments[i]);
		at += len > 0 ? (size_t)len : 0;
	}
}

static void name_method(const struct fnp_probe_record *record, struct fnp_span_names *ret)
{
	char text[FNP_PROBE_TEXT_BYTES], method[FNP_PROBE_TEXT_BYTES];

	fnp_span_text(record, 0, text);
	fnp_span_text(record, 1, method);
	fnp_hotspot_class_name(text);
	snprintf(ret->name, sizeof(ret->name), "%s.%s", text, method);
	fnp_span_text(record, 2, text);
	set(ret->cause, text);
}

static void name_object(const struct fnp_probe_record *record, struct fnp_span_names *ret)
{
	struct fnp_record_part object = fnp_record_nth_section(&record->head, FNP_SECTION_PROBE_TEXT, 0);

	fnp_span_python_text(object.data, object.size, ret->name, sizeof(ret->name));
}

void fnp_span_names_make(const struct fnp_spans_hit *hit, const struct fnp_probe_record *record,
			 struct fnp_span_names *ret)
{
	char text[FNP_PROBE_TEXT_BYTES];

	ret->name[0] = ret->cause[0] = ret->arguments[0] = '\0';
	fnp_span_text(record, 0, text);
	switch (hit->meaning->naming) {
	case FNP_NAMING_NONE:
		break;
	case FNP_NAMING_LABEL:
		set(ret->name, hit->meaning->label);
		break;
	case FNP_NAMING_TEXT:
		set(ret->name, text);
		break;
	case FNP_NAMING_PYTHON_GC:
		if (!(record->unknown & 1))
			snprintf(ret->name, sizeof(ret->name), "generation %ld", (long)record->arguments[0]);
		break;
	case FNP_NAMING_PYTHON_COLLECT:
		if (hit->minor >= 9 && record->arguments[1] <= 2)
			snprintf(ret->name, sizeof(ret->name), "generation %lu", record->arguments[1]);
		break;
	case FNP_NAMING_PYTHON_STR:
		name_object(record, ret);
		break;
	case FNP_NAMING_IMPORTED:
		set(ret->name, text);
		if (record->n_arguments > 1 && !(record->unknown & 2) && record->arguments[1] == 0)
			set(ret->cause, "not found");
		break;
	case FNP_NAMING_JVM_CLASS:
		fnp_hotspot_class_name(text);
		set(ret->name, text);
		set(ret->cause, hit->meaning->label);
		break;
	case FNP_NAMING_JVM_GC:
		set(ret->name, text);
		set(ret->cause, fnp_hotspot_cause(hit->version, record->peeked - 1));
		break;
	case FNP_NAMING_JVM_METHOD:
		name_method(record, ret);
		break;
	case FNP_NAMING_V8_GC:
		set(ret->name, v8_collector(record->arguments[1]));
		set(ret->cause, v8_reason(record->arguments[2]));
		break;
	case FNP_NAMING_V8_PATH:
		name_path(record, ret->name);
		break;
	case FNP_NAMING_ASKED:
		snprintf(ret->name, sizeof(ret->name), "%s:%s", hit->provider ? hit->provider : "", hit->name);
		put_arguments(record, ret->arguments);
		break;
	}
}
