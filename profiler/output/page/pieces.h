/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many small things of a page, deflated together in pieces: rows of the list, graphs, timelines. A thing is found by
 * the number of its piece and its place in it. When the page has no room for all pieces, the last ones are left out.
 */
#ifndef FNP_PROFILER_OUTPUT_PAGE_PIECES_H
#define FNP_PROFILER_OUTPUT_PAGE_PIECES_H

#include "base/vec.h"
#include "profiler/output/page/blocks.h"

struct fnp_page_piece {
	size_t end;	       /* in the deflated bytes */
	uint64_t items, empty; /* things; things that count as there anyway */
};

/* In the caller's storage; all zero is empty. */
struct fnp_page_pieces {
	struct fnp_buffer raw; /* the open piece; things are appended here, then counted */
	uint64_t raw_items, raw_empty;
	struct fnp_buffer deflated; /* one after the other */
	FNP_VEC(struct fnp_page_piece) ends;
};

void fnp_page_pieces_deinit(struct fnp_page_pieces *pieces);

/* One more thing stands in `raw`; a full piece is closed. */
int fnp_page_pieces_next(struct fnp_page_pieces *pieces, struct fnp_page_out *out);

/* Closes the open piece. */
int fnp_page_pieces_flush(struct fnp_page_pieces *pieces, struct fnp_page_out *out);

/* What all of them take in the page. */
size_t fnp_page_pieces_bytes(const struct fnp_page_pieces *pieces);

/* Writes pieces as blocks until they would take more than `room`; returns how many. */
size_t fnp_page_pieces_write(const struct fnp_page_pieces *pieces, struct fnp_page_out *out, const char *name,
			     size_t room);

#endif
