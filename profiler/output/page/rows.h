/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of an index, and the order in which the page takes them.
 *
 * Only where each line stands and what orders it is kept, so that an index of any size may be read; a line is read
 * again when its turn comes.
 */
#ifndef FNP_PROFILER_OUTPUT_PAGE_ROWS_H
#define FNP_PROFILER_OUTPUT_PAGE_ROWS_H

#include <jansson.h>

#include "base/vec.h"

struct fnp_page_row {
	uint64_t offset;
	uint32_t len; /* without the newline */
	uint64_t duration_ns, start_ns;
};

struct fnp_page_rows {
	int fd; /* index.jsonl */
	FNP_VEC(struct fnp_page_row) items;
	uint64_t unreadable; /* lines that are no row */
};

/* Opens and reads index.jsonl below dirfd. -errno when it cannot be read; broken lines are only counted. */
int fnp_page_rows_init(struct fnp_page_rows *rows, int dirfd);
void fnp_page_rows_deinit(struct fnp_page_rows *rows);

/* The row's line as an object; the caller's. -EBADMSG when it is none any more. */
int fnp_page_rows_read(const struct fnp_page_rows *rows, const struct fnp_page_row *row, json_t **ret);

/*
 * Sorts: by turns the slowest that is left, and the next of an even spread over the recording. So any first part of
 * the order is a fair choice.
 */
int fnp_page_rows_order(struct fnp_page_rows *rows);

#endif
