/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that code of watched processes runs from, each opened once and kept open, so that a process that died is
 * still named: found by build id, else by device and inode.
 *
 * A file of a target is opened through the target's own root, and only what proves to be the same file (build id, or
 * device and inode) is taken: a file of the same path on our side, or a new one in its place, is another file.
 *
 * A host meets new files for ever. From time to time who holds numbers of objects says which ones (mark), and what was
 * not named a few times in a row is closed (sweep). A number is never given twice.
 */
#ifndef FNP_PROFILER_TARGETS_OBJECTS_H
#define FNP_PROFILER_TARGETS_OBJECTS_H

#include "profiler/targets/map_events.h"
#include "symbolizer/object.h"

#define FNP_OBJECT_NONE 0 /* no file: anonymous memory */

/* A file as mappings know it. Plain data, owned by the store; does not move, and lives until it is swept away. */
struct fnp_target_object {
	uint32_t id;				 /* from 1 on */
	struct fnp_object *elf;			 /* NULL: could not be opened, or is no ELF file */
	char *path;				 /* as the process that showed it first sees it */
	const char *name;			 /* its last component; "vdso" */
	char build_id[2 * FNP_BUILD_ID_MAX + 1]; /* lower-case hexadecimal, "" when not known */
	bool deleted;
};

struct fnp_objects;

int fnp_objects_create(struct fnp_objects **ret);
void fnp_objects_destroy(struct fnp_objects *objects);
FNP_DEFINE_CLEANUP(fnp_objects_destroyp, struct fnp_objects *, fnp_objects_destroy)

/*
 * The object behind a mapping; opens it when it is new. Never fails for the file's sake: what cannot be opened gets an
 * object without `elf`. FNP_OBJECT_NONE for anonymous memory. 0 or -ENOMEM.
 */
int fnp_objects_find(struct fnp_objects *objects, const struct fnp_map_event *mapping, uint32_t *ret);

/* NULL for FNP_OBJECT_NONE, unknown numbers, and what was swept away. */
const struct fnp_target_object *fnp_objects_get(const struct fnp_objects *objects, uint32_t id);

/* Gives pages of the files that were read back to the kernel's cache: big files are read seldom. */
void fnp_objects_release_pages(const struct fnp_objects *objects);

/* The last number that was given. */
uint32_t fnp_objects_last(const struct fnp_objects *objects);

/* How many there are. */
size_t fnp_objects_count(const struct fnp_objects *objects);

/* Somebody refers to this object; FNP_OBJECT_NONE and numbers of no object may be named, too. */
void fnp_objects_mark(struct fnp_objects *objects, uint32_t id);

/*
 * Closes the objects that were named in none of the last `sweeps` sweeps, this one with them (1: of now alone), and begins
 * to count anew. `may_go` is asked before: it forgets what it knows of the object, or says false, and the object stays.
 */
struct fnp_objects_sweep {
	unsigned int sweeps;
	bool (*may_go)(void *self, const struct fnp_target_object *object);
	void *self;
};
void fnp_objects_sweep(struct fnp_objects *objects, const struct fnp_objects_sweep *how);

#endif
