/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/sources/environment.h"

#include <strings.h>

bool fnp_span_equals_nocase(struct fnp_span span, const char *text)
{
	return span.data && strlen(text) == span.len && strncasecmp(span.data, text, span.len) == 0;
}

bool fnp_span_equals(struct fnp_span span, const char *text)
{
	return span.data && strlen(text) == span.len && memcmp(span.data, text, span.len) == 0;
}

bool fnp_span_starts_with(struct fnp_span span, const char *prefix)
{
	size_t len = strlen(prefix);

	return span.data && len <= span.len && memcmp(span.data, prefix, len) == 0;
}

char *fnp_span_dup(struct fnp_span span)
{
	char *copy = span.data ? malloc(span.len + 1) : NULL;

	if (!copy)
		return NULL;
	memcpy(copy, span.data, span.len);
	copy[span.len] = '\0';
	return copy;
}

bool fnp_span_parse_u64(struct fnp_span span, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (span.len == 0)
		return false;
	for (size_t i = 0; i < span.len; i++) {
		unsigned int digit = (unsigned char)span.data[i] - '0';

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (value > max)
		return false;
	*ret = value;
	return true;
}

static void take(struct fnp_span text, const struct fnp_environment_field *fields, size_t n_fields,
		 struct fnp_span *ret)
{
	const char *equals = memchr(text.data, '=', text.len);
	struct fnp_span name, value;

	if (!equals)
		return;
	name = (struct fnp_span){.data = text.data, .len = (size_t)(equals - text.data)};
	value = (struct fnp_span){.data = equals + 1, .len = text.len - name.len - 1};
	for (size_t i = 0; i < n_fields; i++) {
		bool found = fields[i].any_case ? fnp_span_equals_nocase(name, fields[i].name)
						: fnp_span_equals(name, fields[i].name);
		if (found && !ret[i].data)
			ret[i] = value;
	}
}

void fnp_environment_read(const struct fnp_environment *environment,
			  const struct fnp_environment_field *fields, size_t n_fields, struct fnp_span *ret)
{
	const char *at = environment->data;
	size_t left = at ? environment->size : 0;

	memset(ret, 0, n_fields * sizeof(*ret));
	while (left > 0) {
		const char *end = memchr(at, '\0', left);
		size_t len = end ? (size_t)(end - at) : left;

		if (!end && environment->truncated)
			break;
		take((struct fnp_span){.data = at, .len = len}, fields, n_fields, ret);
		if (!end)
			break;
		at += len + 1;
		left -= len + 1;
	}
}
