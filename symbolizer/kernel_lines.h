/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source lines of the kernel's own functions, where debug data of exactly this kernel is installed (Debian's
 * linux-image-...-dbg, a tree that it was built in): a vmlinux with the build id of /sys/kernel/notes. Modules have none.
 *
 * Nothing is looked for before the first address; of the debug data those parts are read that addresses need. One thread.
 */
#ifndef FNP_SYMBOLIZER_KERNEL_LINES_H
#define FNP_SYMBOLIZER_KERNEL_LINES_H

#include "symbolizer/kallsyms.h"
#include "symbolizer/symbolize.h"

struct fnp_kernel_lines;

/* `root` is where the host's files are seen, NULL for "/". The table of names stays the caller's. */
int fnp_kernel_lines_create(struct fnp_kallsyms *kallsyms, const char *root, struct fnp_kernel_lines **ret);
void fnp_kernel_lines_destroy(struct fnp_kernel_lines *lines);

FNP_DEFINE_CLEANUP(fnp_kernel_lines_destroyp, struct fnp_kernel_lines *, fnp_kernel_lines_destroy)

/*
 * The function that exists at an address of the running kernel, with its file and line; what is inlined there is not told.
 * -ENOENT: without debug data, or nothing is known. Strings live as long as `lines`.
 */
int fnp_kernel_lines_find(struct fnp_kernel_lines *lines, uint64_t address, struct fnp_symbol *ret);

#endif
