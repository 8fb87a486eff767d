/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boost.Context's assembly, which describes nothing of itself: where a context begins and ends, and where one changes to
 * another. Boost.Coroutine2, Boost.Fiber and stackful Asio stand on it, and others carry a copy of it.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_FCONTEXT_H
#define FNP_SYMBOLIZER_UNWIND_FCONTEXT_H

#include "symbolizer/unwind_places.h"
#include "symbolizer/unwind_rows.h"

/* Puts rules over the rows of the file's entries, where those have none at `place`. x86-64 only. 0 or -ENOMEM. */
int fnp_fcontext_overlay(struct fnp_rows *rows, const struct fnp_unwind_place *place);

#endif
