/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a few words was probably meant by one that is none of them. */
#ifndef FNP_PROFILER_COMMANDS_SUGGEST_H
#define FNP_PROFILER_COMMANDS_SUGGEST_H

#include <stddef.h>

/* The nearest by letters added, dropped, swapped or changed; NULL when none is near. */
const char *fnp_suggest(const char *word, const char *const *candidates, size_t n_candidates);

#endif
