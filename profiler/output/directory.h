/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of a recording: for every row a pair of files and a line in index.jsonl, at the end summary.json
 * and the page.
 *
 * A file is written under a name that begins with a dot and is renamed when it is whole; a line comes after its
 * files, in one write. So whoever reads at any time, also after kill -9, sees whole things only. Nothing is synced
 * file by file (that would cost five times the writing): fnp_directory_sync() once a second brings the batch to
 * the disk.
 *
 * Errors of writing are sticky. The first one is said in one message; from then on nothing further is written, what
 * is whole stays, and the samples of the rows that came after are counted as a loss, `not_written`.
 *
 * Each function that returns an error has said why. One thread.
 */
#ifndef FNP_PROFILER_OUTPUT_DIRECTORY_H
#define FNP_PROFILER_OUTPUT_DIRECTORY_H

#include "formats/profile.h"
#include "profiler/output/report.h"
#include "profiler/output/summary.h"
#include "profiler/output/tally.h"

struct fnp_directory;

/*
 * Makes the directory at `path`, which must not exist or be empty; NULL: `fnprof-<UTC time>` in the working
 * directory.
 */
int fnp_directory_create(const char *path, struct fnp_directory **ret);

/* Would create take this path, as things are? Says why not; for who has much to do before. */
int fnp_directory_check(const char *path);

/* A directory that never began, and was made by create, is removed again. */
void fnp_directory_destroy(struct fnp_directory *dir);
FNP_DEFINE_CLEANUP(fnp_directory_destroyp, struct fnp_directory *, fnp_directory_destroy)

/* As it was given or made. */
const char *fnp_directory_path(const struct fnp_directory *dir);

/* Taken once, at create: CLOCK_MONOTONIC plus this is UTC, in everything that a recording writes. */
int64_t fnp_directory_utc_offset_ns(const struct fnp_directory *dir);

/* Makes the empty index: call it at the moment when sampling and hooks are live; scripts wait for it. */
int fnp_directory_begin(struct fnp_directory *dir);

/* There is nothing to record after all: as if it had not begun. Nothing when a row has been written. */
void fnp_directory_abandon(struct fnp_directory *dir);

/* Writes the row's files and its line. `profile` has its samples, named. Neither is kept. */
int fnp_directory_write(struct fnp_directory *dir, const struct fnp_row *row,
			const struct fnp_profile *profile);

/* A process has ended, or the recording has: its own CPU time, for the summary. Once a process. */
int fnp_directory_add_process(struct fnp_directory *dir, uint32_t pid, uint64_t process, uint64_t cpu_ns);

/* Brings what was written so far to the disk, in the background; quick. Call it once a second. */
int fnp_directory_sync(struct fnp_directory *dir);

/* Writes summary.json and the page, and syncs. Also after an error: then what still can be written is. */
int fnp_directory_finish(struct fnp_directory *dir, const struct fnp_summary *summary);

/* The first error, 0 without one. */
int fnp_directory_error(const struct fnp_directory *dir);

/* What the rows written so far come to. */
const struct fnp_tally *fnp_directory_tally(const struct fnp_directory *dir);

/* What fnp_terminal_finish() needs; it points into the directory and to `summary`. Call it after finish. */
struct fnp_report fnp_directory_report(const struct fnp_directory *dir, const struct fnp_summary *summary);

#endif
