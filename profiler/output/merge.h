/* SPDX-License-Identifier: Apache-2.0 */
/* Several profiles as one: equal stacks with equal labels are added up, so each sample still says whose it is. */
#ifndef FNP_PROFILER_OUTPUT_MERGE_H
#define FNP_PROFILER_OUTPUT_MERGE_H

#include "formats/profile.h"

/*
 * Adds `from` to `into` (which may be empty, from fnp_profile_create). Value types that `into` lacks are appended.
 * The time of the whole reaches from the first start to the last end. -ENOMEM, or -EINVAL when `from` is not
 * sound; then `into` holds a part of it.
 */
int fnp_merge_add(struct fnp_profile *into, const struct fnp_profile *from);

#endif
