/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the C++ runtime (libgcc) hands over to a landing pad: it writes the registers of the frame that it goes to over
 * those that its own frame saved, one after the other, the return address last, and leaves. From then on, what stands
 * on the stack is not this frame's caller. The frame that it goes to is: the context that describes it lies in this
 * frame, and says where its registers are, until they are loaded. Frames between the two are over by then.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_HANDOVER_H
#define FNP_SYMBOLIZER_UNWIND_HANDOVER_H

#include "symbolizer/object.h"
#include "symbolizer/unwind_cfi.h"
#include "symbolizer/unwind_places.h"
#include "symbolizer/unwind_rows.h"

/*
 * Puts what holds in the function whose way out stands at `leave` over the rows of the file's entries, which `cfi` has,
 * sorted. x86-64. 0 or -ENOMEM.
 */
int fnp_handover_overlay(const struct fnp_object *object, const struct fnp_cfi *cfi, struct fnp_rows *rows,
			 const struct fnp_unwind_place *leave);

#endif
