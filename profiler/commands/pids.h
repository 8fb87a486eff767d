/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes a person means, and whether they can be profiled. */
#ifndef FNP_PROFILER_COMMANDS_PIDS_H
#define FNP_PROFILER_COMMANDS_PIDS_H

#include <stdint.h>

#include "base/vec.h"

struct fnp_pids {
	FNP_VEC(uint32_t) list;
};

void fnp_pids_deinit(struct fnp_pids *pids);

/* Reads "12,345"; each number is kept once. -EINVAL for anything else, -ENOMEM; says nothing. */
int fnp_pids_parse(const char *text, struct fnp_pids *ret);

/* 0 when this is a process that code of its own runs in; else what it is instead has been said, -ESRCH or -EINVAL. */
int fnp_pids_check(uint32_t pid);

#endif
