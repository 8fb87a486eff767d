/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files read with a bound, and files written whole: under a name that begins with a dot, then renamed.
 */
#ifndef FNP_BASE_FILE_H
#define FNP_BASE_FILE_H

#include "base/buffer.h"

/* Reads an open regular file or a /proc entry from its start, at most `max` bytes: -EFBIG past that. */
int fnp_file_read_fd(int fd, size_t max, struct fnp_buffer *ret);

/*
 * The same by path, relative to `dirfd` (or AT_FDCWD). Regular files only (-EINVAL for others); never blocks on
 * a FIFO. A NUL that is not counted stands after the bytes.
 */
int fnp_file_read_at(int dirfd, const char *path, size_t max, struct fnp_buffer *ret);

/*
 * Writes `path` below dirfd whole: as `.NAME.tmp` in the same folder, then renamed over. Without a message: the
 * caller knows what the file means. After an error neither name is left behind.
 */
int fnp_file_write_at(int dirfd, const char *path, const void *data, size_t len);

/*
 * The same for what is too big to be held: begin gives the temporary file to write to (the caller closes it), commit
 * renames it to `path`, abort removes it. One of the two must follow.
 */
int fnp_file_begin_at(int dirfd, const char *path, int *ret_fd);
int fnp_file_commit_at(int dirfd, const char *path);
void fnp_file_abort_at(int dirfd, const char *path);

/* Creates one folder below dirfd; one that is there already is no error. */
int fnp_file_mkdir_at(int dirfd, const char *path);

/* Writes all bytes, going on after short writes and EINTR. */
int fnp_file_write_all(int fd, const void *data, size_t len);

#endif
