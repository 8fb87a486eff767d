/* SPDX-License-Identifier: Apache-2.0 */
/* gzip (RFC 1952) of whole buffers, through libdeflate. */
#ifndef FNP_FORMATS_GZIP_H
#define FNP_FORMATS_GZIP_H

#include <stdbool.h>

#include "base/buffer.h"

/* Appends one member: no name, no time, so that equal input is equal output. 0 or -ENOMEM. */
int fnp_gzip_append(struct fnp_buffer *ret, const void *data, size_t len);

/* True when the bytes begin as gzip does. */
bool fnp_gzip_is(const void *data, size_t len);

/*
 * Unpacks one member that is all of `data`, into an empty buffer of the caller. -EFBIG past max_bytes, -EBADMSG for
 * broken input and for bytes after the member.
 */
int fnp_gzip_unpack(const void *data, size_t len, size_t max_bytes, struct fnp_buffer *ret);

#endif
