/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the pprof reader share: the file as its first pass found it, and the profile in the making.
 * `formats/pprof_reader.c` has the passes and the samples, `formats/pprof_tables.c` what samples refer to.
 */
#ifndef FNP_FORMATS_PPROF_TABLES_H
#define FNP_FORMATS_PPROF_TABLES_H

#include "base/cursor.h"
#include "base/map.h"
#include "formats/profile.h"

#define FNP_PPROF_NOT_READ UINT32_MAX /* in string_ids */

typedef FNP_VEC(struct fnp_cursor) fnp_pprof_views;

struct fnp_pprof_reader {
	struct fnp_profile *profile;
	fnp_pprof_views strings, sample_types, mappings, functions, locations, samples;
	uint64_t default_sample_type;
	uint32_t *string_ids; /* the profile's number, by the file's; FNP_PPROF_NOT_READ until asked for */
	struct fnp_map mapping_ids, function_ids, location_ids;
	FNP_VEC(struct fnp_profile_line) lines; /* of the location at work */
	FNP_VEC(uint32_t) stack;		/* of the sample at work */
	FNP_VEC(uint32_t) sample_numbers;	/* the profile's, in the order of the file */
	uint64_t comment;			/* the first of the last field; 0: none */
};

/* What the builder refuses is the file's fault here. */
static inline int fnp_pprof_file_error(int r)
{
	return r < 0 && r != -ENOMEM ? -EBADMSG : r;
}

/* The profile's number of a string of the file. -EBADMSG, -ENOMEM. */
int fnp_pprof_take_string(struct fnp_pprof_reader *r, uint64_t id, uint32_t *ret);

/*
 * The varint fields of a message, by their numbers below `n`; others are passed over. 0 where a field is absent,
 * the last value where it is there twice. 0 or -EBADMSG.
 */
int fnp_pprof_take_numbers(struct fnp_cursor message, uint64_t *values, uint32_t n);

/* A function of which nothing but a name is known. */
int fnp_pprof_add_function(struct fnp_pprof_reader *r, const char *name, uint32_t *ret);

/* All value types, mappings, functions and locations of the file, so that samples can refer to them. -EBADMSG, -ENOMEM. */
int fnp_pprof_take_tables(struct fnp_pprof_reader *r);

#endif
