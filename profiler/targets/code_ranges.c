/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/targets/code_ranges.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"

#define REUSE_AFTER_NS FNP_NS_PER_S

bool fnp_code_range_same(const struct fnp_code_range *a, const struct fnp_code_range *b)
{
	return a->object == b->object && a->bias == b->bias && a->kind == b->kind && a->data == b->data;
}

int fnp_code_ranges_paint(fnp_code_range_vec *ranges, const struct fnp_code_range *new)
{
	struct fnp_code_range tail = {0};
	size_t low = 0, high = ranges->len, from, to;
	size_t n_new = 1;

	if (fnp_vec_reserve(ranges, ranges->len + 2) < 0)
		return -ENOMEM;
	while (low < high) { /* the first one that ends after the new one begins */
		size_t middle = (low + high) / 2;
		if (ranges->items[middle].end <= new->start)
			low = middle + 1;
		else
			high = middle;
	}
	from = to = low;
	if (from < ranges->len && ranges->items[from].start < new->start) {
		tail = ranges->items[from];
		ranges->items[from].end = new->start;
		from++;
		to++;
		/* The new one may lie in the middle of it. */
		if (tail.end <= new->end)
			tail.end = 0;
	}
	while (to < ranges->len && ranges->items[to].end <= new->end)
		to++;
	if (to < ranges->len && ranges->items[to].start < new->end)
		ranges->items[to].start = new->end;
	n_new += tail.end != 0;
	memmove(&ranges->items[from + n_new], &ranges->items[to], (ranges->len - to) * sizeof(*new));
	ranges->len = ranges->len - (to - from) + n_new;
	ranges->items[from] = *new;
	if (tail.end) {
		tail.start = new->end;
		ranges->items[from + 1] = tail;
	}
	return 0;
}

void fnp_code_ranges_merge(fnp_code_range_vec *ranges)
{
	size_t n = 0;

	for (size_t i = 0; i < ranges->len; i++) {
		if (n > 0 && ranges->items[n - 1].end == ranges->items[i].start &&
		    fnp_code_range_same(&ranges->items[n - 1], &ranges->items[i]))
			ranges->items[n - 1].end = ranges->items[i].end;
		else
			ranges->items[n++] = ranges->items[i];
	}
	ranges->len = n;
}

int fnp_code_room_take(struct fnp_code_room *room, uint32_t count, uint32_t *ret)
{
	uint64_t now_ns = fnp_clock_ns();

	for (size_t i = 0; i < room->len; i++) {
		struct fnp_code_run *run = &room->items[i];

		if (run->count < count || now_ns - run->free_since_ns < REUSE_AFTER_NS)
			continue;
		*ret = run->first;
		run->first += count;
		run->count -= count;
		if (run->count == 0)
			*run = room->items[--room->len];
		return 0;
	}
	if (count > room->size - room->used)
		return -ENOSPC;
	*ret = room->used;
	room->used += count;
	return 0;
}

void fnp_code_room_give(struct fnp_code_room *room, uint32_t first, uint32_t count)
{
	struct fnp_code_run run = {.first = first, .count = count, .free_since_ns = fnp_clock_ns()};

	/* Neighbours grow together, so that long runs come back. */
	for (size_t i = 0; i < room->len; i++) {
		struct fnp_code_run *other = &room->items[i];

		if (other->first + other->count != run.first && run.first + run.count != other->first)
			continue;
		run.first = FNP_MIN(run.first, other->first);
		run.count += other->count;
		*other = room->items[--room->len];
		i = (size_t)-1;
	}
	if (run.count && fnp_vec_push(room, run) < 0)
		fnp_warning_once("no memory: some room for code ranges is lost");
}

void fnp_code_room_deinit(struct fnp_code_room *room)
{
	fnp_vec_deinit(room);
}
