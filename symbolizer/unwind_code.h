/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows for code that has no call frame information: a C library that was built without (musl), start files, assembly.
 * Functions are known by symbols, by calls to them, and by lying behind another one; their rules come from their
 * instructions (code_rules.h).
 */
#ifndef FNP_SYMBOLIZER_UNWIND_CODE_H
#define FNP_SYMBOLIZER_UNWIND_CODE_H

#include "symbolizer/object.h"
#include "symbolizer/unwind_rows.h"

/* Adds rows where `rows`, which is complete, has none and the object has code. x86-64 only. 0 or -ENOMEM. */
int fnp_unwind_code_fill(const struct fnp_object *object, struct fnp_rows *rows);

#endif
