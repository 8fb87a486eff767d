/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a section, decompressed where the file has them compressed (SHF_COMPRESSED with zlib or zstd, and the
 * older .zdebug form).
 */
#ifndef FNP_SYMBOLIZER_SECTION_DATA_H
#define FNP_SYMBOLIZER_SECTION_DATA_H

#include "base/buffer.h"
#include "symbolizer/mapped_file.h"
#include "symbolizer/object.h"

struct fnp_section_data {
	struct fnp_cursor bytes; /* into the object, `owned` or `mapped` */
	uint8_t *owned;
	struct fnp_mapped_file *mapped; /* owned, too: large ones stand in a file */
};

void fnp_section_data_deinit(struct fnp_section_data *data);

/*
 * The named section, at most `max` bytes after decompression (-EFBIG). -ENOENT when there is none, or it has no
 * bytes; -EBADMSG when it does not decompress to the size that it says. The result must not outlive the object.
 */
int fnp_section_data_load(const struct fnp_object *object, const char *name, uint64_t max,
			  struct fnp_section_data *ret);

/* Gives back the memory of a section that stands in a file of its own; pointers into it stay valid. */
void fnp_section_data_release_pages(const struct fnp_section_data *data);

/* Decompresses an .xz stream (MiniDebugInfo), at most `max` bytes. */
int fnp_section_data_unxz(struct fnp_cursor bytes, uint64_t max, struct fnp_buffer *ret);

#endif
