/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boost.Context's assembly, which describes nothing of itself: where a context begins and ends, and where one changes to
 * another. Boost.Coroutine2, Boost.Fiber and stackful Asio stand on it, and others carry a copy of it.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_FCONTEXT_H
#define FNP_SYMBOLIZER_UNWIND_FCONTEXT_H

#include "symbolizer/object.h"
#include "symbolizer/unwind_rows.h"

/* Puts rules there over the rows of the file's entries, where those have none. x86-64 only. 0 or -ENOMEM. */
int fnp_fcontext_overlay(const struct fnp_object *object, struct fnp_rows *rows);

#endif
