/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that code of watched processes runs from, each opened once and kept open, so that a process that died is
 * still named: found by build id, else by device and inode.
 *
 * A file of a target is opened through the target's own root, and only what proves to be the same file (build id, or
 * device and inode) is taken: a file of the same path on our side, or a new one in its place, is another file.
 */
#ifndef FNP_PROFILER_TARGETS_OBJECTS_H
#define FNP_PROFILER_TARGETS_OBJECTS_H

#include "profiler/targets/map_events.h"
#include "symbolizer/object.h"

#define FNP_OBJECT_NONE 0 /* no file: anonymous memory */

/* A file as mappings know it. Plain data, owned by the store; does not move or vanish while the store lives. */
struct fnp_target_object {
	uint32_t id;				 /* from 1, dense */
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

/* NULL for FNP_OBJECT_NONE and unknown numbers. */
const struct fnp_target_object *fnp_objects_get(const struct fnp_objects *objects, uint32_t id);

/* Gives pages of the files that were read back to the kernel's cache: big files are read seldom. */
void fnp_objects_release_pages(const struct fnp_objects *objects);

uint32_t fnp_objects_count(const struct fnp_objects *objects);

#endif
