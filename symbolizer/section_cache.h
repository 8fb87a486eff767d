/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large compressed sections, decompressed into files instead of memory.
 *
 * A compressed stream can only be read from its start, which takes a second for the debug data of a JVM; so the result
 * is kept in $XDG_CACHE_HOME/fnprof/sections (or ~/.cache/...), a folder of ours alone, at most 2 GiB in all, the
 * oldest thrown away first. A file there is whole (written under another name, its end marked last), ours, of the
 * right size, and named after the build id, the sizes, and samples of the compressed bytes (all of them where there is no
 * build id); what it says is hostile input all the same. Without
 * such a folder a nameless temporary file does.
 */
#ifndef FNP_SYMBOLIZER_SECTION_CACHE_H
#define FNP_SYMBOLIZER_SECTION_CACHE_H

#include "symbolizer/mapped_file.h"
#include "symbolizer/object.h"

struct fnp_section_cache_request {
	struct fnp_cursor in;		 /* the stream */
	uint32_t how;			 /* ELFCOMPRESS_* */
	uint64_t size;			 /* what it decompresses to */
	const struct fnp_object *object; /* that has the stream */
	const char *name;		 /* of the section */
};

/* The file has `size` bytes of the section, then some of ours. -EBADMSG when the stream is broken, -errno. */
int fnp_section_cache_open(const struct fnp_section_cache_request *request, struct fnp_mapped_file **ret);

#endif
