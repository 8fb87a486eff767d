/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The times of samples in a pprof file, for a timeline: a comment. A label with the time would
 * part samples with equal stacks.
 *
 * After the words that it begins with it has, for each sample that has times, its place in the file (from 1), pairs of a
 * thread's number and nanoseconds after time_nanos, and a bar: "1 812 0 812 10043|4 813 -20|". Tools do not show
 * comments that begin with #.
 */
#ifndef FNP_FORMATS_PPROF_TIMES_H
#define FNP_FORMATS_PPROF_TIMES_H

#include "base/buffer.h"
#include "base/cursor.h"
#include "formats/profile.h"

#define FNP_PPROF_TIMES_BEGIN "#fnprof.times "

/* Appends the comment, for samples in the order of the profile; nothing where there are no times. 0, -ENOMEM, -ENOSPC. */
int fnp_pprof_times_write(const struct fnp_profile *profile, struct fnp_buffer *ret);

/*
 * Adds the times of a comment to the profile; `samples` are the numbers of the profile's samples in the order of the
 * file. From where it makes no sense (it may be anybody's comment) samples have no times, and are samples all the same.
 * 0 or -ENOMEM.
 */
int fnp_pprof_times_read(struct fnp_cursor text, const uint32_t *samples, size_t n_samples,
			 struct fnp_profile *ret);

#endif
