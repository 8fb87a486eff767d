/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rows a person means: `--filter KEY=TEXT` (equal), `KEY~TEXT` (contains), `KEY>NUMBER`, `KEY<NUMBER`, on the
 * members of the index's lines; all conditions must hold.
 */
#ifndef FNP_PROFILER_COMMANDS_FILTER_H
#define FNP_PROFILER_COMMANDS_FILTER_H

#include <stdbool.h>

#include <jansson.h>

#include "base/vec.h"

struct fnp_filter_condition {
	char *key; /* owned */
	char how;  /* '=', '~', '<' or '>' */
	const char *text;
	uint64_t number; /* of '<' and '>' */
};

/* All zero lets everything through. */
struct fnp_filter {
	FNP_VEC(struct fnp_filter_condition) conditions;
};

void fnp_filter_deinit(struct fnp_filter *filter);

/* Adds a condition as it was typed; `text` must outlive the filter. -EINVAL when it is none; says nothing. */
int fnp_filter_add(struct fnp_filter *filter, const char *text);

/* Adds KEY=TEXT. */
int fnp_filter_add_equal(struct fnp_filter *filter, const char *key, const char *text);

/* True when the line fulfils every condition. For fnp_recording_scan(): `filter` is a struct fnp_filter. */
bool fnp_filter_keep(const json_t *line, void *filter);

#endif
