/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream goes through a head line by line, so that a head of a megabyte costs one line of memory, then through a body by
 * counting.
 */
#include "profiler/sources/http_stream.h"

#include <ctype.h>
#include <errno.h>

void fnp_http_stream_deinit(struct fnp_http_stream *stream)
{
	fnp_buffer_deinit(&stream->line);
	fnp_buffer_deinit(&stream->first);
	fnp_buffer_deinit(&stream->kept);
}

void fnp_http_stream_restart(struct fnp_http_stream *stream)
{
	stream->state = FNP_HTTP_AT_START;
	fnp_http_stream_forget_line(stream);
	/* What a big head needed is given back; small ones keep their room for the next. */
	if (stream->kept.cap > 4096)
		fnp_buffer_deinit(&stream->kept);
	stream->line.error = stream->first.error = stream->kept.error = 0;
	stream->first.len = stream->kept.len = 0;
	stream->has_first_line = stream->partial = stream->no_body = false;
	stream->head_bytes = stream->left = stream->tag = 0;
	stream->framing = (struct fnp_http_framing){0};
}

void fnp_http_stream_go_blind(struct fnp_http_stream *stream)
{
	stream->state = FNP_HTTP_BLIND;
	fnp_http_stream_forget_line(stream);
}

void fnp_http_stream_gap(struct fnp_http_stream *stream)
{
	if (stream->state == FNP_HTTP_AT_START || stream->state == FNP_HTTP_IN_HEAD) {
		fnp_http_stream_restart(stream);
		stream->state = FNP_HTTP_LOST;
	} else if (stream->state != FNP_HTTP_LOST) {
		fnp_http_stream_go_blind(stream);
	}
}

bool fnp_http_stream_head(const struct fnp_http_stream *stream, struct fnp_http_head *ret)
{
	struct fnp_span line = {.data = (const char *)stream->first.data, .len = stream->first.len};

	*ret = (struct fnp_http_head){
		.partial = stream->partial,
		.fields = (const char *)stream->kept.data,
		.fields_size = stream->kept.len,
	};
	return stream->is_request ? fnp_http_parse_request_line(line, ret)
				  : fnp_http_parse_status_line(line, ret);
}

void fnp_http_stream_note_field(struct fnp_http_stream *stream, struct fnp_span line)
{
	struct fnp_span name, value;

	if (!fnp_http_split_field(line, &name, &value))
		return; /* a folded line, or nothing that we know */
	fnp_http_note_framing(&stream->framing, name, value);
	if (line.len + 1 > FNP_HTTP_KEPT_MAX - FNP_MIN(stream->kept.len, (size_t)FNP_HTTP_KEPT_MAX))
		return;
	if (fnp_buffer_room(&stream->kept, line.len + 1)) {
		fnp_buffer_append(&stream->kept, line.data, line.len);
		fnp_buffer_byte(&stream->kept, 0);
	}
}

void fnp_http_stream_chunk_line(struct fnp_http_stream *stream, struct fnp_span line)
{
	uint64_t size = 0;
	size_t digits = 0;

	for (; digits < line.len && isxdigit((unsigned char)line.data[digits]); digits++) {
		unsigned int c = (unsigned int)tolower((unsigned char)line.data[digits]);

		if (size > (uint64_t)INT64_MAX >> 4) {
			fnp_http_stream_go_blind(stream);
			return;
		}
		size = size << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
	}
	if (digits == 0) {
		fnp_http_stream_go_blind(stream);
	} else if (size == 0) {
		stream->state = FNP_HTTP_IN_TRAILERS;
		stream->kept.len = 0;
	} else {
		stream->left = size + 2; /* with the line end after it */
		stream->state = FNP_HTTP_IN_CHUNK;
	}
}

static bool is_text(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((data[i] < ' ' && data[i] != '\t' && data[i] != '\r') || data[i] == 0x7f)
			return false;
	}
	return true;
}

/* What a first line begins with is known from its first bytes: binary data is refused at once. */
static bool may_begin(const struct fnp_http_stream *stream)
{
	size_t len = FNP_MIN(stream->line.len, (size_t)7);

	if (stream->has_first_line || len == 0 || stream->line.data[0] == '\r')
		return true;
	if (stream->is_request)
		return isupper(stream->line.data[0]);
	return memcmp(stream->line.data, "HTTP/1.", len) == 0;
}

int fnp_http_stream_add_line(struct fnp_http_stream *stream, const uint8_t *data, size_t len, size_t *ret_used)
{
	const uint8_t *end = memchr(data, '\n', len);
	size_t n = end ? (size_t)(end - data) : len;

	stream->head_bytes += stream->state == FNP_HTTP_IN_HEAD ? n + 1 : 0;
	if (n > FNP_HTTP_LINE_MAX - FNP_MIN(stream->line.len, (size_t)FNP_HTTP_LINE_MAX))
		stream->line_too_long = true;
	if (!stream->line_too_long)
		fnp_buffer_append(&stream->line, data, n);
	if (!is_text(data, n) || stream->head_bytes > FNP_HTTP_HEAD_MAX || stream->line.error ||
	    (stream->state == FNP_HTTP_IN_HEAD && !may_begin(stream)) ||
	    (stream->line_too_long && !stream->has_first_line))
		return -EBADMSG;
	*ret_used = end ? n + 1 : len;
	return end != NULL;
}

struct fnp_span fnp_http_stream_line(const struct fnp_http_stream *stream)
{
	struct fnp_span line = {.data = (const char *)stream->line.data, .len = stream->line.len};

	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

void fnp_http_stream_forget_line(struct fnp_http_stream *stream)
{
	stream->line.len = 0;
	stream->line_too_long = false;
}
