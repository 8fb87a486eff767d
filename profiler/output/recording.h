/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording that is read back: its index, line by line, and its profiles.
 *
 * A directory may come from anywhere: lines that are no rows are counted and passed over, paths that lead out of the
 * directory are refused. Of each row only its place and what lists are sorted by is kept; the line is read again
 * when it is shown, so that an index of any size may be read.
 */
#ifndef FNP_PROFILER_OUTPUT_RECORDING_H
#define FNP_PROFILER_OUTPUT_RECORDING_H

#include <jansson.h>

#include "base/buffer.h"
#include "base/vec.h"
#include "formats/profile.h"
#include "profiler/invocations/row.h"

struct fnp_recording_row {
	uint64_t offset; /* of its line */
	uint32_t len;	 /* without the newline */
	uint32_t kind;	 /* enum fnp_row_kind */
	uint64_t start_ns, duration_ns, cpu_ns, samples, sampled_ns;
};

struct fnp_recording_rows {
	FNP_VEC(struct fnp_recording_row) list;
	uint64_t unreadable; /* lines that are no row */
};

struct fnp_recording {
	char *path;
	int dirfd, index_fd;
};

/*
 * Opens the recording at `path`, NULL: the newest `fnprof-*` in the working directory. What is wrong has been said.
 * `ret` is in the caller's storage.
 */
int fnp_recording_open(const char *path, struct fnp_recording *ret);

/* Is there one that NULL would open? */
bool fnp_recording_is_any_here(void);
void fnp_recording_deinit(struct fnp_recording *recording);

/* True when `path` is a folder that holds an index. */
bool fnp_recording_is_one(const char *path);

/*
 * Reads the index, from its start, and keeps the rows for which `keep` is true (NULL: all). 0 or -errno, said.
 */
int fnp_recording_scan(const struct fnp_recording *recording, bool (*keep)(const json_t *line, void *context),
		       void *context, struct fnp_recording_rows *ret);
void fnp_recording_rows_deinit(struct fnp_recording_rows *rows);

/* The row's line, as an object of the caller's, and as text. -EBADMSG when it is none any more. */
int fnp_recording_line(const struct fnp_recording *recording, const struct fnp_recording_row *row,
		       json_t **ret);
int fnp_recording_text(const struct fnp_recording *recording, const struct fnp_recording_row *row,
		       struct fnp_buffer *ret);

/* The row's profile. What is wrong has been said. */
int fnp_recording_profile(const struct fnp_recording *recording, const struct fnp_recording_row *row,
			  struct fnp_profile **ret);

/* A text or a number of a line; NULL or 0 when there is none. */
const char *fnp_recording_get_text(const json_t *line, const char *key);
uint64_t fnp_recording_get_u64(const json_t *line, const char *key);

#endif
