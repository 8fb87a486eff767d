/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index: one line of JSON for every profile, in the order they closed. This file writes lines; index_reader.h
 * reads them back.
 */
#ifndef FNP_PROFILER_OUTPUT_INDEX_H
#define FNP_PROFILER_OUTPUT_INDEX_H

#include "base/buffer.h"
#include "profiler/invocations/row.h"

/*
 * Where the files of a row lie, below the directory: "profiles/<function>/<start>-<id>" and a suffix.
 * `folder_len` is the length of "profiles/<function>".
 */
#define FNP_INDEX_PATH_MAX 320
struct fnp_index_paths {
	char pprof[FNP_INDEX_PATH_MAX];
	char folded[FNP_INDEX_PATH_MAX];
	char events[FNP_INDEX_PATH_MAX]; /* "": it has none */
	size_t folder_len;
};

/* `utc_offset_ns` is added to the row's monotonic start. Safe for every function name and id. */
void fnp_index_paths_of(const struct fnp_row *row, int64_t utc_offset_ns, struct fnp_index_paths *ret);

/* Appends the row's line, newline included. Errors are the buffer's. */
void fnp_index_line(const struct fnp_row *row, int64_t utc_offset_ns, const struct fnp_index_paths *paths,
		    struct fnp_buffer *ret);

#endif
