/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two halves of unwind_cfi.h; nobody else's. */
#ifndef FNP_SYMBOLIZER_UNWIND_CFA_H
#define FNP_SYMBOLIZER_UNWIND_CFA_H

#include "symbolizer/unwind_cfi.h"

/* Runs the CIE's own instructions: sets cie->initial, or cie->bad. */
void fnp_cfa_initial(const struct fnp_cfi_machine *machine, struct fnp_cfi_cie *cie);

#endif
