/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug files from debuginfod servers, for who asked for it: every build id that is asked for is told to the servers.
 *
 * libdebuginfod fetches (it is loaded when it is needed, for it brings thirty other libraries), in a thread of its own,
 * into its usual cache, where fnp_debug_file_find() looks when it is told where that is (struct fnp_debug_roots). The
 * servers are those of $DEBUGINFOD_URLS, else of the files .urls in /etc/debuginfod. What they send is kept when it has the build
 * id that was asked for. A server that hangs is given up after ten seconds, servers that fail three times are not asked
 * again. May be used from several threads.
 */
#ifndef FNP_SYMBOLIZER_DEBUGINFOD_H
#define FNP_SYMBOLIZER_DEBUGINFOD_H

#include <stdbool.h>

#include "base/memory.h"

struct fnp_debuginfod;

/* -ENOENT without servers or without the library, after saying so; -ENOMEM. Sets environment variables. */
int fnp_debuginfod_create(struct fnp_debuginfod **ret);

/* Gives up what is under way. */
void fnp_debuginfod_destroy(struct fnp_debuginfod *debuginfod);
FNP_DEFINE_CLEANUP(fnp_debuginfod_destroyp, struct fnp_debuginfod *, fnp_debuginfod_destroy)

/* Asks for the debug file with this build id, and the alternate file that it names. Again: nothing. */
void fnp_debuginfod_ask(struct fnp_debuginfod *debuginfod, const char *build_id);

/* Waits until what was asked for is there, or will not be (CLOCK_MONOTONIC). False: still under way. */
bool fnp_debuginfod_wait(struct fnp_debuginfod *debuginfod, const char *build_id, uint64_t until_ns);

/* How many files came so far: when it has grown, what was not found before may be there. */
uint32_t fnp_debuginfod_arrived(struct fnp_debuginfod *debuginfod);

/* Where the files lie: FOLDER/BUILD_ID/debuginfo. NULL before the first one came; then it stays. */
const char *fnp_debuginfod_folder(struct fnp_debuginfod *debuginfod);

#endif
