/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes that a header promises are not believed: zlib cannot make more than 1,032 bytes of one, zstd is asked for
 * what the frame says, and whoever promises more than that is refused before memory is taken.
 */
#include "symbolizer/section_data.h"

#include <libdeflate.h>
#include <lzma.h>
#include <zstd.h>

#include "symbolizer/section_cache.h"

#define ZLIB_RATIO_MAX 1032
#define ZSTD_RATIO_MAX 4096		/* arbitrary: debug data compresses to a third */
#define SPILL_BYTES (UINT64_C(2) << 20) /* larger ones are decompressed into a file */
#define FILE_RATIO_MAX 16		/* a section to the whole file: real ones are below 4 */
#define FILE_RATIO_FREE (UINT64_C(1) << 20)
#define XZ_MEMORY_MAX (UINT64_C(48) << 20)

#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

void fnp_section_data_deinit(struct fnp_section_data *data)
{
	free(data->owned);
	fnp_mapped_file_destroy(data->mapped);
	*data = (struct fnp_section_data){0};
}

static void free_decompressor(struct libdeflate_decompressor **d)
{
	if (*d)
		libdeflate_free_decompressor(*d);
}

static int inflate_zlib(struct fnp_cursor in, uint8_t *out, size_t size)
{
	FNP_CLEANUP(free_decompressor) struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	size_t got;

	if (!d)
		return -ENOMEM;
	if (libdeflate_zlib_decompress(d, in.pos, fnp_cursor_left(&in), out, size, &got) != LIBDEFLATE_SUCCESS ||
	    got != size)
		return -EBADMSG;
	return 0;
}

static int decompress(struct fnp_cursor in, uint32_t how, uint64_t size, struct fnp_section_data *ret)
{
	uint64_t ratio = how == ELFCOMPRESS_ZLIB ? ZLIB_RATIO_MAX : ZSTD_RATIO_MAX;
	size_t left = fnp_cursor_left(&in);
	int r;

	if (size == 0 || size / ratio > left)
		return -EBADMSG;
	fnp_autofree uint8_t *out = malloc(size);
	if (!out)
		return -ENOMEM;
	if (how == ELFCOMPRESS_ZLIB)
		r = inflate_zlib(in, out, size);
	else if (how == ELFCOMPRESS_ZSTD)
		r = ZSTD_decompress(out, size, in.pos, left) == size ? 0 : -EBADMSG;
	else
		r = -ENOTSUP;
	if (r < 0)
		return r;
	ret->owned = TAKE_PTR(out);
	ret->bytes = fnp_cursor_of(ret->owned, size);
	return 0;
}

static int spill(const struct fnp_object *object, const char *name, struct fnp_cursor in,
		 const Elf64_Chdr *header, struct fnp_section_data *ret)
{
	struct fnp_section_cache_request request = {
		.in = in, .how = header->ch_type, .size = header->ch_size, .object = object, .name = name};
	int r;

	if (header->ch_size / ZLIB_RATIO_MAX > fnp_cursor_left(&in))
		return -EBADMSG;
	r = fnp_section_cache_open(&request, &ret->mapped);
	if (r == 0)
		ret->bytes = fnp_cursor_of(fnp_mapped_file_bytes(ret->mapped).pos, header->ch_size);
	return r;
}

void fnp_section_data_release_pages(const struct fnp_section_data *data)
{
	if (data->mapped)
		fnp_mapped_file_release_pages(data->mapped);
}

/* A small file that becomes a large one costs seconds and a disk; debug data never compresses so well. */
static bool is_bomb(const struct fnp_object *object, uint64_t size)
{
	struct fnp_cursor file = fnp_object_bytes(object);

	return size > FILE_RATIO_FREE && (size - FILE_RATIO_FREE) / FILE_RATIO_MAX > fnp_cursor_left(&file);
}

static int load(const struct fnp_object *object, const struct fnp_section *section, uint64_t max,
		struct fnp_section_data *ret)
{
	struct fnp_cursor c = fnp_cursor_of(section->data, section->size);
	Elf64_Chdr header;

	if (!(section->flags & SHF_COMPRESSED)) {
		if (section->size > max)
			return -EFBIG;
		ret->bytes = c;
		ret->owned = NULL;
		return 0;
	}
	if (fnp_cursor_copy(&c, &header, sizeof(header)) < 0)
		return -EBADMSG;
	if (header.ch_size > max)
		return -EFBIG;
	if (is_bomb(object, header.ch_size))
		return -EBADMSG;
	if (header.ch_size > SPILL_BYTES)
		return spill(object, section->name, c, &header, ret);
	return decompress(c, header.ch_type, header.ch_size, ret);
}

/* .zdebug_*: "ZLIB", the size as 8 bytes big-endian, a zlib stream. */
static int load_zdebug(const struct fnp_object *object, const struct fnp_section *section, uint64_t max,
		       struct fnp_section_data *ret)
{
	struct fnp_cursor c = fnp_cursor_of(section->data, section->size);
	const uint8_t *magic;
	uint64_t size;

	if (fnp_cursor_bytes(&c, 4, &magic) < 0 || memcmp(magic, "ZLIB", 4) != 0 ||
	    fnp_cursor_u64(&c, &size) < 0)
		return -EBADMSG;
	size = __builtin_bswap64(size);
	if (is_bomb(object, size))
		return -EBADMSG;
	return size > max ? -EFBIG : decompress(c, ELFCOMPRESS_ZLIB, size, ret);
}

int fnp_section_data_load(const struct fnp_object *object, const char *name, uint64_t max,
			  struct fnp_section_data *ret)
{
	struct fnp_section section;
	char old_name[64];

	*ret = (struct fnp_section_data){.bytes = fnp_cursor_of("", 0)};
	if (fnp_object_find_section(object, name, &section) == 0)
		return section.data ? load(object, &section, max, ret) : -ENOENT;
	snprintf(old_name, sizeof(old_name), ".z%s", name + 1);
	if (fnp_object_find_section(object, old_name, &section) == 0 && section.data)
		return load_zdebug(object, &section, max, ret);
	return -ENOENT;
}

static int unxz_steps(lzma_stream *stream, uint64_t max, struct fnp_buffer *out)
{
	for (;;) {
		size_t room = FNP_MIN((uint64_t)65536, max - out->len);
		stream->next_out = fnp_buffer_room(out, room + 1);
		stream->avail_out = room + 1;
		if (!stream->next_out)
			return -ENOMEM;
		lzma_ret r = lzma_code(stream, LZMA_FINISH);
		out->len += room + 1 - stream->avail_out;
		if (out->len > max)
			return -EFBIG;
		if (r == LZMA_STREAM_END)
			return 0;
		if (r != LZMA_OK)
			return r == LZMA_MEM_ERROR || r == LZMA_MEMLIMIT_ERROR ? -ENOMEM : -EBADMSG;
	}
}

int fnp_section_data_unxz(struct fnp_cursor bytes, uint64_t max, struct fnp_buffer *ret)
{
	FNP_CLEANUP(lzma_end) lzma_stream stream = LZMA_STREAM_INIT;
	fnp_autobuffer struct fnp_buffer out = {0};
	int r;

	if (lzma_stream_decoder(&stream, XZ_MEMORY_MAX, 0) != LZMA_OK)
		return -ENOMEM;
	stream.next_in = bytes.pos;
	stream.avail_in = fnp_cursor_left(&bytes);
	r = unxz_steps(&stream, max, &out);
	if (r < 0)
		return r;
	*ret = out;
	out = (struct fnp_buffer){0};
	return 0;
}
