/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call tree of a whole recording, as the page's shared tables hold it.
 *
 * Strings, frames and nodes are interned: a node is a frame called from another node, so a stack is the number of
 * its last node, and two rows with equal stacks share it. Sums are kept by group (rows of one kind and function)
 * and node; they are whole whatever rows are shown singly. All tables are bounded: past a bound a stack ends at the
 * last node that is known, its value is added there, and `cut` counts it.
 */
#ifndef FNP_PROFILER_OUTPUT_PAGE_TREE_H
#define FNP_PROFILER_OUTPUT_PAGE_TREE_H

#include "base/buffer.h"
#include "base/intern.h"
#include "formats/profile.h"
#include "profiler/output/page/pairs.h"

#define FNP_PAGE_VALUES_MAX 4 /* value types on a page: samples/count, cpu/nanoseconds, two more */

/* What is one frame on the page. Lines where it was seen are kept beside it. */
struct fnp_page_frame {
	uint32_t name, file, object; /* strings; object: file that native and kernel code was mapped from */
	uint32_t start_line;	     /* 0: not known */
	uint8_t kind, tier, inlined, zero;
};

struct fnp_page_lines {
	uint32_t min, max; /* 0: not known */
};

/* Of one (group, node): `sums` holds the pairs, this their values. */
struct fnp_page_sum {
	int64_t values[FNP_PAGE_VALUES_MAX];
};

struct fnp_page_tree {
	struct fnp_intern *strings;	/* 0 is "" */
	struct fnp_intern *value_types; /* "cpu/nanoseconds" */
	struct fnp_intern *frames;
	FNP_VEC(struct fnp_page_lines) lines; /* by frame */
	struct fnp_pairs nodes;		      /* (parent, frame); node 0 is the root and its own parent */
	struct fnp_pairs sum_keys;	      /* (group, node) */
	FNP_VEC(struct fnp_page_sum) sums;    /* by number in sum_keys */
	uint64_t cut;			      /* samples whose stack ends early because a table was full */
	FNP_VEC(uint32_t) line_frames;	      /* scratch: frame of each line of the profile being added */
	FNP_VEC(uint32_t) sample_nodes;	      /* of the profile that was added last, by its samples */
};

int fnp_page_tree_init(struct fnp_page_tree *tree);
void fnp_page_tree_deinit(struct fnp_page_tree *tree);

/* Names a group's place in sums; must precede fnp_page_tree_add for it. */
int fnp_page_tree_add_group(struct fnp_page_tree *tree, uint32_t group);

/*
 * Adds a profile's samples to a group, and appends the row's own graph to `ret` (NULL: not wanted): number of value
 * types, number of entries, then for each entry the difference to the node before it and its values.
 */
int fnp_page_tree_add(struct fnp_page_tree *tree, uint32_t group, const struct fnp_profile *profile,
		      struct fnp_buffer *ret);

/* The tables as the page's script reads them. */
void fnp_page_tree_encode_strings(const struct fnp_page_tree *tree, struct fnp_buffer *ret);
void fnp_page_tree_encode_frames(const struct fnp_page_tree *tree, struct fnp_buffer *ret);
void fnp_page_tree_encode_nodes(const struct fnp_page_tree *tree, struct fnp_buffer *ret);
int fnp_page_tree_encode_sums(const struct fnp_page_tree *tree, uint32_t n_groups, struct fnp_buffer *ret);

#endif
