/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries that say one thing of all their code, although it moves its stack pointer. They are written by hand: over tens of
 * kilobytes of an interpreter, by a stack pointer that has already moved where they begin (as compilers do for parts that
 * lie apart and leave the stack alone); or for a small function, as if it were a leaf, of which only begin and end are said
 * and the pushes between were forgotten (glibc's and others' multiplications).
 */
#ifndef FNP_SYMBOLIZER_UNWIND_FLAT_H
#define FNP_SYMBOLIZER_UNWIND_FLAT_H

#include "symbolizer/object.h"
#include "symbolizer/unwind_rows.h"

/*
 * To be called when an entry of x86-64 has just added its rows for [start, end). One that is flat is looked at. Of a leaf
 * that begins with a push no row is left: its instructions will tell. Of others, from one jump or return to the next, code
 * that moves the stack pointer has no rule; elsewhere the rule holds when what it finds stands behind a call.
 * `leaves`: at leaves, too; each lies on a page of code that would not be read otherwise. 0 or -ENOMEM.
 */
int fnp_flat_doubt(const struct fnp_object *object, struct fnp_rows *rows, uint64_t start, uint64_t end,
		   bool leaves);

#endif
