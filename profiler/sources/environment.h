/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process's environment as it stands in memory and in /proc/PID/environ: NAME=VALUE texts with a NUL after each, the
 * last one perhaps cut. A source says in a table which variables it reads; one pass finds them all.
 */
#ifndef FNP_PROFILER_SOURCES_ENVIRONMENT_H
#define FNP_PROFILER_SOURCES_ENVIRONMENT_H

#include <stdbool.h>

#include "base/memory.h"

/* Bytes of somebody else; `data` is NULL when there are none. Not NUL-terminated. */
struct fnp_span {
	const char *data;
	size_t len;
};

static inline struct fnp_span fnp_span_of(const char *text)
{
	return (struct fnp_span){.data = text, .len = text ? strlen(text) : 0};
}

/* ASCII letters are equal in both cases: header names, CGI variables. */
bool fnp_span_equals_nocase(struct fnp_span span, const char *text);
bool fnp_span_equals(struct fnp_span span, const char *text);
bool fnp_span_starts_with(struct fnp_span span, const char *prefix);

/* A copy with a NUL after; NULL when there is no memory, or the span has no data. */
char *fnp_span_dup(struct fnp_span span);

/* A whole decimal number without sign or rest; false for anything else, and past `max`. */
bool fnp_span_parse_u64(struct fnp_span span, uint64_t max, uint64_t *ret);

struct fnp_environment {
	const char *data;
	size_t size;
	bool truncated; /* there was more */
};

struct fnp_environment_field {
	const char *name;
	bool any_case; /* of the name */
};

/*
 * Fills ret[i] with the value of fields[i]; the first one counts, as for getenv(). Variables that are not there get no
 * data. A last text that was cut off is not taken.
 */
void fnp_environment_read(const struct fnp_environment *environment,
			  const struct fnp_environment_field *fields, size_t n_fields, struct fnp_span *ret);

#endif
