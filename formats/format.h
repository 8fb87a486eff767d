/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam of formats: a profile to bytes.
 *
 * A format is one file, formats/NAME.c, that defines `const struct fnp_format_ops fnp_format_NAME`, and one word in
 * the list of formats/CMakeLists.txt. Nothing else is edited. Checklist for a new one:
 *   1. `encode` handles 0 samples, names with any bytes but NUL (already UTF-8), 1,024 frames;
 *   2. its output is deterministic: the same profile gives the same bytes;
 *   3. a test that a foreign reader of the format accepts it.
 */
#ifndef FNP_FORMATS_FORMAT_H
#define FNP_FORMATS_FORMAT_H

#include "base/buffer.h"
#include "formats/profile.h"

struct fnp_format_ops {
	const char *name;	 /* as --format takes it */
	const char *suffix;	 /* of file names: ".pb.gz" */
	const char *description; /* one line, for help */
	/* Appends the profile to `ret`; 0 or -errno, and then `ret` holds nothing new. */
	int (*encode)(const struct fnp_profile *profile, struct fnp_buffer *ret);
};

/* All formats that were built in, ended by NULL. */
extern const struct fnp_format_ops *const fnp_formats[];

/* NULL when there is none of this name. */
const struct fnp_format_ops *fnp_format_find(const char *name);

/* pprof without gzip: for receivers that pack by themselves, and for tests. */
int fnp_pprof_encode_plain(const struct fnp_profile *profile, struct fnp_buffer *ret);

#endif
