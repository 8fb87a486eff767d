/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where glibc's dynamic linker binds a function at its first call. The stub that saves the arguments aligns its stack
 * and finds its frame through rbx alone, which the function that it calls has saved at a place that its code tells.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_BINDING_H
#define FNP_SYMBOLIZER_UNWIND_BINDING_H

#include "symbolizer/object.h"
#include "symbolizer/unwind_rows.h"

/*
 * Puts what holds there over the rows of the file's entries, when the call at `call` stands in code whose frame is found
 * through rbx. x86-64. 0 or -ENOMEM.
 */
int fnp_binding_overlay(const struct fnp_object *object, struct fnp_rows *rows, uint64_t call);

#endif
