/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks: how data stands in the page. A block is a <script> of a type that no browser runs, holding deflated bytes
 * in base64; nothing in it can end the element or be read as HTML. Several blocks of one name make one table.
 */
#ifndef FNP_PROFILER_OUTPUT_PAGE_BLOCKS_H
#define FNP_PROFILER_OUTPUT_PAGE_BLOCKS_H

#include "base/buffer.h"

/* Where the page goes; errors are sticky. */
struct fnp_page_out {
	FILE *file;
	size_t bytes;
	int error;
	struct libdeflate_compressor *compressor;
};

int fnp_page_out_init(struct fnp_page_out *out, FILE *file);
void fnp_page_out_deinit(struct fnp_page_out *out);

void fnp_page_out_bytes(struct fnp_page_out *out, const void *data, size_t len);

/* Appends data, deflated (zlib format), to `ret`. 0 or -ENOMEM. */
int fnp_page_deflate(struct fnp_page_out *out, const void *data, size_t len, struct fnp_buffer *ret);

/* Writes deflated bytes as a block; `name` is ours and holds letters alone. */
void fnp_page_out_block(struct fnp_page_out *out, const char *name, const void *data, size_t len);

/* Deflates and writes `data` as as many blocks as it takes. */
void fnp_page_out_table(struct fnp_page_out *out, const char *name, const struct fnp_buffer *data);

/* What a block of this many deflated bytes adds to the page. */
size_t fnp_page_block_bytes(size_t deflated);

/* Numbers in tables are LEB128, low bits first. */
void fnp_page_varint(struct fnp_buffer *b, uint64_t value);

#endif
