/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spaces that the kernel side sees (struct fnp_space, with its code ranges), and who uses them.
 *
 * A space is never changed once the kernel side may look at it: it is taken with all that it will ever say. Who wants the
 * same as another has the same space, counted. One that nobody uses any more is used again a second later at the
 * earliest, with a new version, so that old references to it are recognised.
 */
#ifndef FNP_PROFILER_TARGETS_SPACE_POOL_H
#define FNP_PROFILER_TARGETS_SPACE_POOL_H

#include "profiler/targets/code_ranges.h"
#include "profiler/targets/tables.h"

struct fnp_space_pool;

/* What runtimes said of a process, as struct fnp_space has it. */
struct fnp_space_words {
	uint64_t runtime[FNP_SPACE_RUNTIMES][FNP_SPACE_RUNTIME_WORDS];
};

/*
 * File descriptors of the maps fnp_spaces and fnp_code_ranges, which stay the caller's; negative: plain memory, for
 * tests. `tables` are not owned: each range of a space is a user of its table. -errno, with a message.
 */
int fnp_space_pool_create(int spaces_fd, int ranges_fd, struct fnp_tables *tables, struct fnp_space_pool **ret);
void fnp_space_pool_destroy(struct fnp_space_pool *pool);
FNP_DEFINE_CLEANUP(fnp_space_pool_destroyp, struct fnp_space_pool *, fnp_space_pool_destroy)

/*
 * A space with these ranges and words, and one more user of it; *ret is its index. Takes over the ranges' uses of tables,
 * and empties them. -ENOSPC or -ENOMEM, then nothing has changed.
 */
int fnp_space_pool_take(struct fnp_space_pool *pool, fnp_code_range_vec *ranges,
			const struct fnp_space_words *words, uint32_t *ret);

/* One more user of a space in use, and one less. */
void fnp_space_pool_hold(struct fnp_space_pool *pool, uint32_t index);
void fnp_space_pool_give(struct fnp_space_pool *pool, uint32_t index);

/* Does a space say just this? */
bool fnp_space_pool_is(const struct fnp_space_pool *pool, uint32_t index, const fnp_code_range_vec *ranges,
		       const struct fnp_space_words *words);
bool fnp_space_pool_has_words(const struct fnp_space_pool *pool, uint32_t index,
			      const struct fnp_space_words *words);

/* The ranges of a space in use, ascending; valid while it is. */
const struct fnp_code_range *fnp_space_pool_ranges(const struct fnp_space_pool *pool, uint32_t index,
						   uint32_t *ret_count);

/* By which the kernel side knows the space; 0: it is not in use. */
uint32_t fnp_space_pool_version(const struct fnp_space_pool *pool, uint32_t index);

/* Gives back the tables that ranges of no space use, and empties them. */
void fnp_space_pool_drop(struct fnp_space_pool *pool, fnp_code_range_vec *ranges);

#endif
