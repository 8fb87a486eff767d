/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/ranges.h"

struct painter {
	FNP_VEC(struct fnp_range) open; /* intervals that have begun, the innermost last */
	uint32_t cursor;		/* everything before is painted */
	fnp_ranges *out;
};

/* Paints [cursor, until) with the open intervals, and closes those that end there. */
static int paint_until(struct painter *painter, uint32_t until)
{
	while (painter->open.len > 0) {
		const struct fnp_range *top = &painter->open.items[painter->open.len - 1];
		uint32_t end = FNP_MIN(top->end, until);

		if (end > painter->cursor) {
			struct fnp_range range = {.start = painter->cursor, .end = end, .value = top->value};
			int r = fnp_vec_push(painter->out, range);
			if (r < 0)
				return r;
			painter->cursor = end;
		}
		if (top->end > until)
			break;
		painter->open.len--;
	}
	painter->cursor = FNP_MAX(painter->cursor, until);
	return 0;
}

int fnp_ranges_paint(const struct fnp_range *intervals, size_t n, fnp_ranges *ret)
{
	struct painter painter = {.out = ret};
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (intervals[i].end <= intervals[i].start)
			continue;
		r = paint_until(&painter, intervals[i].start);
		if (r == 0)
			r = fnp_vec_push(&painter.open, intervals[i]);
	}
	if (r == 0)
		r = paint_until(&painter, UINT32_MAX);
	fnp_vec_deinit(&painter.open);
	return r;
}

const struct fnp_range *fnp_ranges_find(const struct fnp_range *ranges, size_t n, uint64_t address)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ranges[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && address < ranges[low - 1].end ? &ranges[low - 1] : NULL;
}

int fnp_ranges_compare(const void *a, const void *b)
{
	const struct fnp_range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->end != y->end)
		return x->end > y->end ? -1 : 1;
	return x->value < y->value ? -1 : x->value > y->value;
}
