/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file's bytes, mapped read-only, that stay readable whatever happens to the file.
 *
 * A mapped file that is truncated by its owner raises SIGBUS in who reads it. The first mapping installs a handler
 * that puts a page of zeros where a page of ours went away; a SIGBUS elsewhere is handed on to who was there before.
 */
#ifndef FNP_SYMBOLIZER_MAPPED_FILE_H
#define FNP_SYMBOLIZER_MAPPED_FILE_H

#include "base/cursor.h"

struct fnp_mapped_file;

/* Maps a regular file of 1 to `max` bytes; `fd` stays the caller's. -EINVAL for other kinds, -ENOEXEC when empty,
 * -EFBIG. */
int fnp_mapped_file_create(int fd, uint64_t max, struct fnp_mapped_file **ret);
void fnp_mapped_file_destroy(struct fnp_mapped_file *file);

FNP_DEFINE_CLEANUP(fnp_mapped_file_destroyp, struct fnp_mapped_file *, fnp_mapped_file_destroy)

struct fnp_cursor fnp_mapped_file_bytes(const struct fnp_mapped_file *file);

/* Gives the memory of all pages back to the kernel; what is read again comes from its page cache. */
void fnp_mapped_file_release_pages(const struct fnp_mapped_file *file);

/*
 * What all mapped files of this process have in memory, in bytes; 0 when that is not known. Reading a byte may map
 * a page or two megabytes around it, as the kernel likes: who must stay within a bound has to ask.
 */
uint64_t fnp_mapped_files_resident(void);

#endif
