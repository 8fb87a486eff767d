/* SPDX-License-Identifier: Apache-2.0 */
/* Names and causes of events, made of what a probe read in its process: bytes that nobody vouches for. */
#ifndef FNP_PROFILER_SPAN_NAMES_H
#define FNP_PROFILER_SPAN_NAMES_H

#include "profiler/spans.h"

#define FNP_SPAN_NAME_MAX 640

struct fnp_span_names {
	char name[FNP_SPAN_NAME_MAX];	   /* "": not known */
	char cause[FNP_SPAN_NAME_MAX];	   /* likewise */
	char arguments[FNP_SPAN_NAME_MAX]; /* likewise */
};

/* Fills all three; what is not known is "". */
void fnp_span_names_make(const struct fnp_spans_hit *hit, const struct fnp_probe_record *record,
			 struct fnp_span_names *ret);

/* Text `n` of the record, as a C string; "" when there is none. */
void fnp_span_text(const struct fnp_probe_record *record, unsigned int n, char ret[FNP_PROBE_TEXT_BYTES]);

/* A str object of CPython as it stands in memory, `size` bytes of it; "" when it is none that can be read. */
void fnp_span_python_text(const uint8_t *object, size_t size, char *ret, size_t ret_size);

#endif
