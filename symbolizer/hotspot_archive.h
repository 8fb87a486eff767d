/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The archive of classes that a JVM maps when it starts (classes.jsa, and what -XX:SharedArchiveFile= names): most methods of a
 * start lie in it. Its file is still there when the process is gone, so what such a process showed last can be named.
 */
#ifndef FNP_SYMBOLIZER_HOTSPOT_ARCHIVE_H
#define FNP_SYMBOLIZER_HOTSPOT_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FNP_HOTSPOT_ARCHIVE_FILES 2 /* the JVM's own and one on top of it */
#define FNP_HOTSPOT_ARCHIVE_PIECES 8

/* Where it lies in one process. All zero: there is none, or it was not found yet. */
struct fnp_hotspot_archive {
	int files[FNP_HOTSPOT_ARCHIVE_FILES]; /* owned */
	size_t n_files;
	struct fnp_hotspot_piece {
		uint64_t start, end, offset; /* addresses of the process; of the file */
		size_t file;
	} pieces[FNP_HOTSPOT_ARCHIVE_PIECES];
	size_t n_pieces;
	uint64_t low, high; /* of all pieces */
	uint64_t moved;	    /* what the JVM has added to each pointer of the file */
};

/* Looks for it in a living process. 0; -EAGAIN: it has none, or has not moved its pointers yet; other errors. */
int fnp_hotspot_archive_find(pid_t pid, struct fnp_hotspot_archive *ret);

/* What the file has for an address of the process; pointers as the file has them. 0 or -EFAULT. */
int fnp_hotspot_archive_read(const struct fnp_hotspot_archive *archive, uint64_t address, void *ret,
			     size_t size);

/* A pointer of the file as the process has it. */
uint64_t fnp_hotspot_archive_pointer(const struct fnp_hotspot_archive *archive, uint64_t pointer);

/*
 * How far pointers were moved, from the same words in the file and in a process; those into [low, high) count. -EAGAIN: they
 * do not agree.
 */
int fnp_hotspot_archive_moved(const uint64_t *file, const uint64_t *memory, size_t n,
			      const struct fnp_hotspot_archive *archive, uint64_t *ret);

void fnp_hotspot_archive_close(struct fnp_hotspot_archive *archive);

#endif
