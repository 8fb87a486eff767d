/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unwind tables of objects, compiled in worker threads and put where the kernel side finds them. One table an
 * object, whoever maps it; a table that nobody uses any more stays as long as there is room, because programs that
 * are started once a request come back.
 *
 * A table has a slot: its index in the map fnp_native_tables, which code ranges carry. Slot 0 is "no table". A slot is
 * given out before its table is ready; the kernel side sees an empty one until then, and leaves walks that need it to
 * user space.
 */
#ifndef FNP_PROFILER_TARGETS_TABLES_H
#define FNP_PROFILER_TARGETS_TABLES_H

#include "profiler/targets/arenas.h"
#include "symbolizer/disk_cache.h"
#include "symbolizer/object.h"

#define FNP_TABLES_SLOT_NEVER (FNP_TABLES_MAX - 1) /* of what will never have a table */

struct fnp_tables;

struct fnp_tables_stats {
	uint32_t tables; /* ready */
	uint32_t building;
	uint32_t frame_pointers; /* objects without call frame information */
	uint64_t refused;	 /* tables that found no room or could not be compiled */
	uint64_t rows, bytes;	 /* of those that are ready */
	uint64_t build_ns;	 /* CPU time of the workers */
};

/*
 * File descriptors of the maps fnp_native_tables and fnp_arenas, which stay the caller's; negative: plain memory, for
 * tests. `max_bytes` bounds the tables.
 */
int fnp_tables_create(int tables_fd, int arenas_fd, size_t max_bytes, struct fnp_tables **ret);
void fnp_tables_destroy(struct fnp_tables *tables);
FNP_DEFINE_CLEANUP(fnp_tables_destroyp, struct fnp_tables *, fnp_tables_destroy)

/* Where compiled tables are kept for the next time; before the first fnp_tables_use(). */
void fnp_tables_set_cache(struct fnp_tables *tables, struct fnp_disk_cache *cache);

/*
 * The slot of an object, with one more user; compiling begins when it is new. `id` names the object, and is never
 * given to another one; `elf` NULL: an object that could not be read. Slot 0 when all slots are in use.
 */
uint32_t fnp_tables_use(struct fnp_tables *tables, uint32_t id, struct fnp_object *elf);
void fnp_tables_release(struct fnp_tables *tables, uint32_t slot);

/* This object is closed; its table is freed at once when nobody uses it, else when it is the oldest one unused. */
void fnp_tables_forget(struct fnp_tables *tables, uint32_t id);

/* Waits until a slot's table is ready, or known to be impossible. */
void fnp_tables_wait(struct fnp_tables *tables, uint32_t slot);

/* For those who do not wait: is it being made? And how many were ready, or known to be impossible, so far? */
bool fnp_tables_is_building(struct fnp_tables *tables, uint32_t slot);
uint64_t fnp_tables_finished(struct fnp_tables *tables);

/* Memory as the walkers see it, for a walk in user space. Held until fnp_tables_unlock(). 0 or -errno (not locked). */
int fnp_tables_lock(struct fnp_tables *tables, const struct fnp_table **ret_tables, size_t *ret_n,
		    const struct fnp_walk_arena **ret_arenas, size_t *ret_n_arenas);
void fnp_tables_unlock(struct fnp_tables *tables);

void fnp_tables_read_stats(struct fnp_tables *tables, struct fnp_tables_stats *ret);

#endif
