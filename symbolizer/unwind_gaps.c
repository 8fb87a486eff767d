/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_gaps.h"

int fnp_gaps_fill(const struct fnp_object *object, uint64_t start, uint64_t end, struct fnp_rows *rows)
{
	(void)object;
	(void)end;
	return fnp_rows_end(rows, start);
}
