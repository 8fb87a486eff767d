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
	case FNP_NAMING_ASKED:
		snprintf(ret->name, sizeof(ret->name), "%s:%s", hit->provider ? hit->provider : "", hit->name);
		put_arguments(record, ret->arguments);
		break;
	}
}
