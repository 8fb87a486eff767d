/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/gzip.h"

#include <errno.h>

#include <libdeflate.h>

/*
 * Profiles are small and many, and are packed while the function runs. A profile of 13 kB takes 29 us at level 1 and
 * 80 us at level 6, and becomes 13 % larger; one of 0.9 MB takes 3.0 ms and 7.7 ms, and becomes 5 % larger.
 */
#define LEVEL 1

FNP_DEFINE_CLEANUP(compressor_freep, struct libdeflate_compressor *, libdeflate_free_compressor)
FNP_DEFINE_CLEANUP(decompressor_freep, struct libdeflate_decompressor *, libdeflate_free_decompressor)

int fnp_gzip_append(struct fnp_buffer *ret, const void *data, size_t len)
{
	FNP_CLEANUP(compressor_freep)
	struct libdeflate_compressor *c = libdeflate_alloc_compressor(LEVEL);
	size_t bound, n;
	uint8_t *p;

	if (!c)
		return -ENOMEM;
	bound = libdeflate_gzip_compress_bound(c, len);
	p = fnp_buffer_room(ret, bound);
	if (!p)
		return -ENOMEM;
	n = libdeflate_gzip_compress(c, data, len, p, bound);
	if (n == 0)
		return -ENOMEM;
	ret->len += n;
	return 0;
}

bool fnp_gzip_is(const void *data, size_t len)
{
	return len >= 2 && memcmp(data, "\x1f\x8b", 2) == 0;
}

/* What the last four bytes say of the unpacked length, which nobody vouches for: a first guess, never a bound. */
static size_t length_hint(const uint8_t *data, size_t len)
{
	uint32_t hint;

	if (len < 18)
		return 0;
	memcpy(&hint, data + len - 4, sizeof(hint));
	/* deflate cannot pack better than 1 : 1032. */
	return hint / 1032 > len ? 0 : hint;
}

int fnp_gzip_unpack(const void *data, size_t len, size_t max_bytes, struct fnp_buffer *ret)
{
	FNP_CLEANUP(decompressor_freep) struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	fnp_autobuffer struct fnp_buffer out = {0};
	size_t room = FNP_MAX(length_hint(data, len), (size_t)4096), n_in, n_out;

	if (!d)
		return -ENOMEM;
	for (;; room *= 2) {
		bool is_last = room >= max_bytes;

		room = FNP_MIN(room, max_bytes);
		if (!fnp_buffer_room(&out, FNP_MAX(room, (size_t)1)))
			return -ENOMEM;
		switch (libdeflate_gzip_decompress_ex(d, data, len, out.data, room, &n_in, &n_out)) {
		case LIBDEFLATE_SUCCESS:
			if (n_in != len)
				return -EBADMSG;
			out.len = n_out;
			*ret = out;
			out = (struct fnp_buffer){0};
			return 0;
		case LIBDEFLATE_INSUFFICIENT_SPACE:
			if (is_last)
				return -EFBIG;
			break;
		default:
			return -EBADMSG;
		}
	}
}
