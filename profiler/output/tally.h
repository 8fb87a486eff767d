/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a recording comes to for a reader in a hurry: rows by kind and outcome, the slowest invocations, the frames
 * with the most time of their own, what could not be known. Fed with every row and its profile, it stays small
 * however long the recording is.
 */
#ifndef FNP_PROFILER_OUTPUT_TALLY_H
#define FNP_PROFILER_OUTPUT_TALLY_H

#include "formats/profile.h"
#include "profiler/invocations/row.h"

#define FNP_TALLY_SLOWEST 5

struct fnp_tally_invocation {
	char *id, *function; /* owned */
	uint64_t duration_ns, cpu_ns;
	enum fnp_outcome outcome;
	bool cold;
};

struct fnp_tally_frame {
	uint64_t self_ns;
	uint64_t total_ns; /* with all that it called; 0 unless `with_totals` */
	uint32_t name;	   /* number in `names` */
	uint8_t kind;	   /* enum fnp_frame_kind */
};

struct fnp_tally_time {
	uint64_t self_ns, total_ns;
	uint64_t last_sample; /* that was added to total_ns: a name counts once in a recursive stack */
};

/* In the caller's storage; all zero is empty. */
struct fnp_tally {
	uint64_t rows[FNP_ROW_KINDS];
	uint64_t outcomes[FNP_OUTCOME_UNFINISHED + 1]; /* of invocations */
	uint64_t cold;
	uint64_t samples, sampled_ns;
	uint64_t attribution[FNP_ATTRIBUTIONS];			/* samples */
	uint64_t truncated[FNP_TRUNCATION_MAX];			/* samples */
	struct fnp_tally_invocation slowest[FNP_TALLY_SLOWEST]; /* longest first; id NULL: none */

	/* Own time by name and kind of the leaf. Past the bound of names the rest is in other_ns. */
	struct fnp_intern *names;	      /* one byte for the kind, then the name */
	FNP_VEC(struct fnp_tally_time) times; /* by number in names */
	bool with_totals; /* set it before the first row: every frame counts, not leaves alone */
	uint64_t n_samples_seen;
	uint64_t other_ns;
	uint64_t unnamed_ns; /* leaves that have an address only */
};

void fnp_tally_deinit(struct fnp_tally *tally);

/* Counts one row; `profile` may be NULL. 0 or -ENOMEM. */
int fnp_tally_add(struct fnp_tally *tally, const struct fnp_row *row, const struct fnp_profile *profile);

/* Counts the samples of a profile alone. */
int fnp_tally_add_profile(struct fnp_tally *tally, const struct fnp_profile *profile);

/* The `max` frames with the most time of their own, most first; how many there are. */
size_t fnp_tally_hottest(const struct fnp_tally *tally, size_t max, struct fnp_tally_frame *ret);

/* The name of a frame that fnp_tally_hottest() gave. */
const char *fnp_tally_name(const struct fnp_tally *tally, const struct fnp_tally_frame *frame);

#endif
