/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads pprof files back: for `export` and for the page, which are made from the files of a recording.
 *
 * Input is hostile: every length is bounded, nothing is recursive, a broken file is -EBADMSG.
 * https://github.com/google/pprof/blob/main/proto/profile.proto
 */
#ifndef FNP_FORMATS_PPROF_READER_H
#define FNP_FORMATS_PPROF_READER_H

#include "formats/profile.h"

/*
 * Decodes pprof bytes (gzip or plain), at most `max_bytes` once unpacked (-EFBIG past that). Kinds and tiers of
 * frames, which pprof does not have, are read back from the mapping's file name (mapping_names.h). Labels are all on
 * the samples, none is common. `ret` is the caller's. Writing what was read of our own encoder gives its bytes again.
 */
int fnp_pprof_read(const void *data, size_t len, size_t max_bytes, struct fnp_profile **ret);

#endif
