/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/page/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

#define LINE_MAX_BYTES (256u << 10) /* longer lines are no rows */

static uint64_t number(const json_t *row, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(row, key));

	return n > 0 ? (uint64_t)n : 0;
}

static int parse(const char *line, size_t len, json_t **ret)
{
	static const char *const texts[] = {"kind", "id", "function"};
	json_t *row = json_loadb(line, len, JSON_ALLOW_NUL, NULL);

	if (!row)
		return -EBADMSG;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(texts); i++) {
		if (!json_is_string(json_object_get(row, texts[i]))) {
			json_decref(row);
			return -EBADMSG;
		}
	}
	*ret = row;
	return 0;
}

static int add_line(struct fnp_page_rows *rows, const char *line, size_t len, uint64_t offset)
{
	json_t *row;

	if (len > LINE_MAX_BYTES || parse(line, len, &row) < 0) {
		rows->unreadable++;
		return 0;
	}
	struct fnp_page_row item = {
		.offset = offset,
		.len = (uint32_t)len,
		.duration_ns = number(row, "duration_ns"),
		.start_ns = number(row, "start_ns"),
	};
	json_decref(row);
	return fnp_vec_push(&rows->items, item);
}

/*
 * Reads forward through one window. A line that does not fit it is passed over to its end; bytes after the last
 * newline are a line that is still being written.
 */
static int read_lines(struct fnp_page_rows *rows)
{
	const size_t window = LINE_MAX_BYTES + 1;
	fnp_autofree char *buf = malloc(window);
	uint64_t offset = 0; /* of buf[0] in the file */
	size_t have = 0;
	bool skipping = false;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(rows->fd, buf + have, window - have, (off_t)(offset + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		have += (size_t)n;
		size_t at = 0;
		for (char *end; (end = memchr(buf + at, '\n', have - at)); at = (size_t)(end - buf) + 1) {
			int r = skipping ? 0 : add_line(rows, buf + at, (size_t)(end - buf) - at, offset + at);
			if (r < 0)
				return r;
			skipping = false;
		}
		if (at == 0 && have == window) {
			rows->unreadable += !skipping;
			skipping = true;
			at = have;
		}
		memmove(buf, buf + at, have - at);
		have -= at;
		offset += at;
	}
}

int fnp_page_rows_init(struct fnp_page_rows *rows, int dirfd)
{
	struct stat st;
	int r = 0;

	*rows = (struct fnp_page_rows){.fd = openat(dirfd, "index.jsonl", O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
	if (rows->fd < 0 || fstat(rows->fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else
		r = read_lines(rows);
	if (r < 0)
		fnp_page_rows_deinit(rows);
	return r;
}

void fnp_page_rows_deinit(struct fnp_page_rows *rows)
{
	fnp_closep(&rows->fd);
	fnp_vec_deinit(&rows->items);
}

int fnp_page_rows_read(const struct fnp_page_rows *rows, const struct fnp_page_row *row, json_t **ret)
{
	fnp_autofree char *line = malloc((size_t)row->len + 1);
	size_t have = 0;

	if (!line)
		return -ENOMEM;
	while (have < row->len) {
		ssize_t n = pread(rows->fd, line + have, row->len - have, (off_t)(row->offset + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EBADMSG;
		have += (size_t)n;
	}
	return parse(line, row->len, ret);
}

static int by_start(const void *a_, const void *b_)
{
	const struct fnp_page_row *a = a_, *b = b_;

	if (a->start_ns != b->start_ns)
		return a->start_ns < b->start_ns ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Slowest first; of equal ones the first line. `rows_` is the array, so that numbers can be sorted. */
static int by_duration(const void *a_, const void *b_, void *rows_)
{
	const struct fnp_page_row *rows = rows_;
	const struct fnp_page_row *a = &rows[*(const uint32_t *)a_], *b = &rows[*(const uint32_t *)b_];

	if (a->duration_ns != b->duration_ns)
		return a->duration_ns > b->duration_ns ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The number with its low `bits` bits in reverse: counting through these halves every gap again and again. */
static uint32_t reverse_bits(uint32_t n, int bits)
{
	uint32_t ret = 0;

	for (; bits > 0; bits--, n >>= 1)
		ret = ret << 1 | (n & 1);
	return ret;
}

int fnp_page_rows_order(struct fnp_page_rows *rows)
{
	size_t n = rows->items.len, slow = 0, step = 0, out = 0;

	if (n == 0)
		return 0;
	fnp_autofree uint32_t *slowest = calloc(n + 1, sizeof(*slowest));
	fnp_autofree bool *taken = calloc(n + 1, sizeof(*taken));
	struct fnp_page_row *ordered = calloc(n + 1, sizeof(*ordered));
	int bits = 0;

	if (!slowest || !taken || !ordered || n >= UINT32_MAX / 2) {
		free(ordered);
		return -ENOMEM;
	}
	qsort(rows->items.items, n, sizeof(*rows->items.items), by_start);
	for (size_t i = 0; i < n; i++)
		slowest[i] = (uint32_t)i;
	qsort_r(slowest, n, sizeof(*slowest), by_duration, rows->items.items);
	while (((size_t)1 << bits) < n)
		bits++;
	while (out < n) {
		uint32_t next = UINT32_MAX;
		while (slow < n && taken[slowest[slow]])
			slow++;
		if (out % 2 == 0 && slow < n)
			next = slowest[slow++];
		for (; next == UINT32_MAX; step++) {
			uint32_t even = reverse_bits((uint32_t)step, bits);
			next = even < n && !taken[even] ? even : UINT32_MAX;
		}
		taken[next] = true;
		ordered[out++] = rows->items.items[next];
	}
	free(rows->items.items);
	rows->items.items = ordered;
	rows->items.cap = n + 1;
	return 0;
}
