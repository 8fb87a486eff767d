/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/page/blocks.h"

#include <errno.h>

#include <libdeflate.h>

#define BLOCK_HEAD "<script type=\"application/x-fnprof\" data-block=\""
#define BLOCK_TAIL "</script>\n"
#define NAME_MAX_BYTES 16
#define SLICE_BYTES (1u << 20) /* of a table in one block: what deflate has to hold at once */

int fnp_page_out_init(struct fnp_page_out *out, FILE *file)
{
	struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(6);

	if (!compressor)
		return -ENOMEM;
	*out = (struct fnp_page_out){.file = file, .compressor = compressor};
	return 0;
}

void fnp_page_out_deinit(struct fnp_page_out *out)
{
	if (out->compressor)
		libdeflate_free_compressor(out->compressor);
	*out = (struct fnp_page_out){0};
}

void fnp_page_out_bytes(struct fnp_page_out *out, const void *data, size_t len)
{
	if (out->error || len == 0)
		return;
	errno = 0;
	if (fwrite(data, 1, len, out->file) != len)
		out->error = errno ? -errno : -EIO;
	out->bytes += len;
}

static void out_text(struct fnp_page_out *out, const char *text)
{
	fnp_page_out_bytes(out, text, strlen(text));
}

int fnp_page_deflate(struct fnp_page_out *out, const void *data, size_t len, struct fnp_buffer *ret)
{
	size_t bound = libdeflate_zlib_compress_bound(out->compressor, len);
	uint8_t *room = fnp_buffer_room(ret, bound);

	if (!room)
		return -ENOMEM;
	ret->len += libdeflate_zlib_compress(out->compressor, data, len, room, bound);
	return 0;
}

static void out_base64(struct fnp_page_out *out, const uint8_t *p, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[4096];
	size_t n = 0;

	for (; len > 0; len -= FNP_MIN(len, (size_t)3)) {
		uint32_t v = (uint32_t)p[0] << 16 | (len > 1 ? p[1] << 8 : 0) | (len > 2 ? p[2] : 0);
		text[n++] = digits[v >> 18];
		text[n++] = digits[v >> 12 & 63];
		text[n++] = len > 1 ? digits[v >> 6 & 63] : '=';
		text[n++] = len > 2 ? digits[v & 63] : '=';
		p += len > 3 ? 3 : 0;
		if (n == sizeof(text)) {
			fnp_page_out_bytes(out, text, n);
			n = 0;
		}
	}
	fnp_page_out_bytes(out, text, n);
}

size_t fnp_page_block_bytes(size_t deflated)
{
	return sizeof(BLOCK_HEAD) + NAME_MAX_BYTES + sizeof("\">") + (deflated + 2) / 3 * 4 +
	       sizeof(BLOCK_TAIL);
}

void fnp_page_out_block(struct fnp_page_out *out, const char *name, const void *data, size_t len)
{
	out_text(out, BLOCK_HEAD);
	out_text(out, name);
	out_text(out, "\">");
	out_base64(out, data, len);
	out_text(out, BLOCK_TAIL);
}

void fnp_page_out_table(struct fnp_page_out *out, const char *name, const struct fnp_buffer *data)
{
	fnp_autobuffer struct fnp_buffer deflated = {0};

	if (data->error)
		out->error = data->error;
	for (size_t at = 0; at < data->len && !out->error; at += SLICE_BYTES) {
		deflated.len = 0;
		int r = fnp_page_deflate(out, data->data + at, FNP_MIN(data->len - at, (size_t)SLICE_BYTES),
					 &deflated);
		if (r < 0)
			out->error = r;
		else
			fnp_page_out_block(out, name, deflated.data, deflated.len);
	}
}

void fnp_page_varint(struct fnp_buffer *b, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		fnp_buffer_byte(b, (uint8_t)(value | 0x80));
	fnp_buffer_byte(b, (uint8_t)value);
}
