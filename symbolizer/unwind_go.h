/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code of Go's runtime whose rows need to be known better than the file has them: where goroutines and threads begin,
 * where it changes stacks, calls C or the vdso, and stops a goroutine between any two instructions.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_GO_H
#define FNP_SYMBOLIZER_UNWIND_GO_H

#include "symbolizer/object.h"
#include "symbolizer/unwind_rows.h"

/*
 * Takes rows from the table that Go's runtime walks stacks by (go_table.h), wherever `rows` have none: of a stripped program
 * it is all there is. x86-64 alone. 0 or -ENOMEM.
 */
int fnp_unwind_go_fill(const struct fnp_object *object, struct fnp_rows *rows);

/* Puts what holds there over the rows of the file's entries; other objects than Go's are left alone. 0 or -ENOMEM. */
int fnp_unwind_go_overlay(const struct fnp_object *object, struct fnp_rows *rows);

#endif
