/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stubs of a procedure linkage table, and what each one jumps to, by relocations.
 */
#ifndef FNP_SYMBOLIZER_PLT_H
#define FNP_SYMBOLIZER_PLT_H

#include "base/vec.h"
#include "symbolizer/object.h"

struct fnp_plt_stub {
	uint64_t address, size;
	const char *target; /* name in the object's string table; NULL: the code at `resolver` chooses (IRELATIVE) */
	uint64_t resolver;
};

typedef FNP_VEC(struct fnp_plt_stub) fnp_plt_stubs;

/* Appends the stubs of .plt, .plt.sec and .plt.got whose target is known. An object without any is no error. */
int fnp_plt_find_stubs(const struct fnp_object *object, fnp_plt_stubs *ret);

#endif
