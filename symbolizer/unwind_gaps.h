/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code without call frame information whose rules are known all the same: lazy and direct PLT stubs of linkers that
 * describe none, the program's entry point, where a new thread of musl begins, and musl's return from a signal.
 * Everything else in a gap has no row, and a walk that comes there says so.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_GAPS_H
#define FNP_SYMBOLIZER_UNWIND_GAPS_H

#include "symbolizer/object.h"
#include "symbolizer/unwind_rows.h"

/* Adds the rows of [start, end), which no entry covers, and ends rows there. 0 or -ENOMEM. */
int fnp_gaps_fill(const struct fnp_object *object, uint64_t start, uint64_t end, struct fnp_rows *rows);

#endif
