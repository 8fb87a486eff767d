/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder in which what was computed from files is kept for the next time: unwind tables, names of addresses.
 *
 * An entry is bytes under a name, with a checksum over both. Nothing that is read back is believed before it was
 * checked: a torn, swapped or foreign file is no entry, and whoever asked checks what the bytes say besides. Entries
 * are written whole under another name and renamed, so that several processes may use one folder. The folder is bounded:
 * what was not used for longest goes first. An error of the folder is never more than a miss.
 */
#ifndef FNP_SYMBOLIZER_DISK_CACHE_H
#define FNP_SYMBOLIZER_DISK_CACHE_H

#include "base/buffer.h"
#include "base/memory.h"

#define FNP_DISK_CACHE_ENTRY_MAX ((size_t)64 << 20)
#define FNP_DISK_CACHE_NAME_MAX 160

struct fnp_disk_cache;

/*
 * Opens the folder, which is made when it is missing: `path`, or NULL for the user's own: $FNPROF_CACHE (empty: none),
 * $XDG_CACHE_HOME/fnprof, ~/.cache/fnprof. It may hold `max_bytes`. 0; -ENOENT without a folder, -errno.
 */
int fnp_disk_cache_open(const char *path, uint64_t max_bytes, struct fnp_disk_cache **ret);

/* One more owner; the last fnp_disk_cache_unref() closes it. Takes and gives NULL. */
struct fnp_disk_cache *fnp_disk_cache_ref(struct fnp_disk_cache *cache);
void fnp_disk_cache_unref(struct fnp_disk_cache *cache);
FNP_DEFINE_CLEANUP(fnp_disk_cache_unrefp, struct fnp_disk_cache *, fnp_disk_cache_unref)

/*
 * The bytes of an entry; names are of a-z, 0-9 and `-`. -ENOENT when there is none that is whole and has at most
 * `max_bytes`. Any thread.
 */
int fnp_disk_cache_load(const struct fnp_disk_cache *cache, const char *name, size_t max_bytes,
			struct fnp_buffer *ret);

/* Keeps bytes under a name, in place of what was there. Any thread. 0 or -errno. */
int fnp_disk_cache_store(const struct fnp_disk_cache *cache, const char *name, const void *data, size_t size);

#endif
