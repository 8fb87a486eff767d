/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code whose rules are known although nobody describes them, or describes them wrongly for a walk across frames:
 *
 *   PLT stubs of linkers that write no entry for them
 *   the program's entry point, where the first thread begins
 *   return from a signal, recognised by its instructions: musl and Go have no entry, or one without the signal
 *   where contexts of makecontext() begin, and change
 *   V8's builtins, which keep frame pointers
 *   the first function of a greenlet
 *   where the C++ runtime hands over to a landing pad (unwind_handover.h)
 *   where the dynamic linker binds functions at their first call (unwind_binding.h)
 *   where contexts of Boost begin, and change over to each other (unwind_fcontext.h)
 *   Go's runtime (unwind_go.h)
 *
 * The first two become entries among the object's others; the rest is put over the rows that the file's entries give.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_KNOWN_H
#define FNP_SYMBOLIZER_UNWIND_KNOWN_H

#include "symbolizer/object.h"
#include "symbolizer/unwind_cfi.h"
#include "symbolizer/unwind_rows.h"

/* A thread's first frame; a frame that rbp tells; what the kernel leaves on the stack for a signal's handler. */
extern const struct fnp_rule fnp_known_root, fnp_known_frame_pointer, fnp_known_signal_return;

/*
 * Adds entries to `cfi`, which holds those of the file, sorted by start; afterwards it is no longer sorted. `other`
 * (sorted) has more entries of the file. x86-64 only. 0 or -ENOMEM.
 */
int fnp_known_add_entries(const struct fnp_object *object, struct fnp_cfi *cfi, const struct fnp_cfi *other);

/* Puts what is known better over the rows of the file's entries, which `cfi` has, sorted. 0 or -ENOMEM. */
int fnp_known_overlay(const struct fnp_object *object, const struct fnp_cfi *cfi, struct fnp_rows *rows);

#endif
