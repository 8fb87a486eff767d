/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profiles of a recording, opened so that no path in its index leads out of it: neither "..", nor an absolute
 * path, nor a symbolic link.
 */
#ifndef FNP_PROFILER_OUTPUT_PAGE_RECORDING_H
#define FNP_PROFILER_OUTPUT_PAGE_RECORDING_H

#include <jansson.h>

#include "formats/profile.h"

/* Opens a file of the recording to be read. -EBADMSG for a path that leads out, -ELOOP for a link. */
int fnp_page_open_below(int dirfd, const char *path, int *ret);

/* The profile at `path` below dirfd; the caller's. -EBADMSG for a path that leads out and for a broken file. */
int fnp_page_profile_read(int dirfd, const char *path, struct fnp_profile **ret);

/* summary.json as an object, the caller's; -errno when it is missing or broken. */
int fnp_page_summary_read(int dirfd, json_t **ret);

#endif
