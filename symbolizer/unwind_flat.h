/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries that say one thing of all their code, by a stack pointer that has already moved where they begin. Compilers write
 * them for parts that lie apart and leave the stack alone; by hand they are written for interpreters, over tens of
 * kilobytes, and are wrong wherever that code moves its stack pointer.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_FLAT_H
#define FNP_SYMBOLIZER_UNWIND_FLAT_H

#include "symbolizer/object.h"
#include "symbolizer/unwind_rows.h"

/*
 * To be called when an entry of x86-64 has just added its rows for [start, end). One that is flat is looked at: from one
 * jump or return to the next, code that moves the stack pointer has no rule; elsewhere the rule holds when what it finds
 * stands behind a call. 0 or -ENOMEM.
 */
int fnp_flat_doubt(const struct fnp_object *object, struct fnp_rows *rows, uint64_t start, uint64_t end);

#endif
