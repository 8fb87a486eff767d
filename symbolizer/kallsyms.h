/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own functions and those of its modules, by address, from /proc/kallsyms.
 *
 * Nothing is read before the first look-up; then the file is read once (some 50 ms and 3 MB). Functions of modules
 * and BPF programs that are loaded later have no name until a reload. One thread.
 */
#ifndef FNP_SYMBOLIZER_KALLSYMS_H
#define FNP_SYMBOLIZER_KALLSYMS_H

#include "base/memory.h"

struct fnp_kallsyms;

/* Strings live until the table is reloaded or destroyed. */
struct fnp_kernel_symbol {
	const char *name;
	const char *module; /* "" for the kernel itself */
	uint64_t start;
};

/* `path` is NULL for /proc/kallsyms. */
int fnp_kallsyms_create(const char *path, struct fnp_kallsyms **ret);
void fnp_kallsyms_destroy(struct fnp_kallsyms *kallsyms);

FNP_DEFINE_CLEANUP(fnp_kallsyms_destroyp, struct fnp_kallsyms *, fnp_kallsyms_destroy)

/*
 * The function at an address of the kernel. -ENOENT when there is none, or when the kernel hides its addresses or the
 * file cannot be read, which is said once.
 */
int fnp_kallsyms_find(struct fnp_kallsyms *kallsyms, uint64_t address, struct fnp_kernel_symbol *ret);

/* Where the kernel's own code begins. -ENOENT. */
int fnp_kallsyms_text(struct fnp_kallsyms *kallsyms, uint64_t *ret);

/* Forgets what was read; the next look-up reads again. */
void fnp_kallsyms_forget(struct fnp_kallsyms *kallsyms);

/* Memory held. */
size_t fnp_kallsyms_bytes(const struct fnp_kallsyms *kallsyms);

#endif
