/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/sources/http_head.h"

#include <ctype.h>

static struct fnp_span trimmed(struct fnp_span span)
{
	while (span.len > 0 && (span.data[0] == ' ' || span.data[0] == '\t')) {
		span.data++;
		span.len--;
	}
	while (span.len > 0 && (span.data[span.len - 1] == ' ' || span.data[span.len - 1] == '\t'))
		span.len--;
	return span;
}

bool fnp_http_split_field(struct fnp_span line, struct fnp_span *ret_name, struct fnp_span *ret_value)
{
	const char *colon = line.len ? memchr(line.data, ':', line.len) : NULL;

	if (!colon || colon == line.data)
		return false;
	*ret_name = (struct fnp_span){.data = line.data, .len = (size_t)(colon - line.data)};
	*ret_value = trimmed((struct fnp_span){.data = colon + 1, .len = line.len - ret_name->len - 1});
	return true;
}

bool fnp_http_head_field(const struct fnp_http_head *head, const char *name, struct fnp_span *ret)
{
	const char *at = head->fields;
	size_t left = head->fields_size;

	while (left > 0) {
		struct fnp_span line = {.data = at, .len = strnlen(at, left)}, field, value;

		if (fnp_http_split_field(line, &field, &value) && fnp_span_equals_nocase(field, name)) {
			*ret = value;
			return true;
		}
		if (line.len == left)
			break;
		at += line.len + 1;
		left -= line.len + 1;
	}
	return false;
}

static bool is_token(struct fnp_span span)
{
	for (size_t i = 0; i < span.len; i++) {
		unsigned char c = (unsigned char)span.data[i];

		if (!isalnum(c) && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return span.len > 0;
}

bool fnp_http_parse_request_line(struct fnp_span line, struct fnp_http_head *ret)
{
	const char *first = line.len ? memchr(line.data, ' ', line.len) : NULL;
	const char *last = line.len ? memrchr(line.data, ' ', line.len) : NULL;
	struct fnp_span version;

	if (!first || first == last)
		return false;
	ret->method = (struct fnp_span){.data = line.data, .len = (size_t)(first - line.data)};
	ret->target = (struct fnp_span){.data = first + 1, .len = (size_t)(last - first - 1)};
	version = (struct fnp_span){.data = last + 1, .len = (size_t)(line.data + line.len - last - 1)};
	return is_token(ret->method) && fnp_span_starts_with(version, "HTTP/1.") && version.len == 8;
}

bool fnp_http_parse_status_line(struct fnp_span line, struct fnp_http_head *ret)
{
	uint64_t status;

	if (!fnp_span_starts_with(line, "HTTP/1.") || line.len < 12 || line.data[8] != ' ')
		return false;
	if (!fnp_span_parse_u64((struct fnp_span){.data = line.data + 9, .len = 3}, 999, &status) ||
	    status < 100)
		return false;
	ret->status = (unsigned int)status;
	return line.len == 12 || line.data[12] == ' ';
}

void fnp_http_note_framing(struct fnp_http_framing *framing, struct fnp_span name, struct fnp_span value)
{
	uint64_t length;

	if (fnp_span_equals_nocase(name, "Content-Length")) {
		if (!fnp_span_parse_u64(value, INT64_MAX, &length) ||
		    (framing->has_length && framing->length != length))
			framing->bad = true;
		framing->has_length = true;
		framing->length = framing->bad ? 0 : length;
	} else if (fnp_span_equals_nocase(name, "Transfer-Encoding")) {
		struct fnp_span last = value;
		const char *comma = value.len ? memrchr(value.data, ',', value.len) : NULL;

		if (comma)
			last = trimmed((struct fnp_span){.data = comma + 1,
							 .len = (size_t)(value.data + value.len - comma - 1)});
		framing->chunked = fnp_span_equals_nocase(last, "chunked");
	}
}
