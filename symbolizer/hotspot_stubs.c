/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the JVM's own pieces of code are called: copying of arrays, checksums, encryption and the like, some hundred of
 * them in a few blobs ("StubRoutines (2)"). Each is described in a list that the JVM keeps for itself (StubCodeDesc::_list,
 * a symbol of the file; src/hotspot/share/runtime/stubCodeGenerator.hpp, the same from 11 to 27): the next one, its group,
 * its name, its begin and its end. New ones come to the front. The list is copied whole when an address is not known
 * and the front has changed.
 */
#include "base/vec.h"
#include "symbolizer/hotspot.h"

#define STUBS_MAX 4096
#define STUB_BYTES_MAX (1 << 20)

/* struct StubCodeDesc, as far as it is read. */
struct description {
	uint64_t next, group, name, begin, end;
};

static int by_begin(const void *a, const void *b)
{
	uint64_t x = ((const struct fnp_hotspot_stub *)a)->begin;
	uint64_t y = ((const struct fnp_hotspot_stub *)b)->begin;

	return x < y ? -1 : x > y;
}

/* A name lies in the library's constants, perhaps at their end. */
static int read_name(pid_t pid, uint64_t address, char ret[FNP_HOTSPOT_STUB_NAME_MAX])
{
	int r = -EFAULT;

	for (size_t size = FNP_HOTSPOT_STUB_NAME_MAX; r == -EFAULT && size >= 8; size /= 2) {
		memset(ret, 0, FNP_HOTSPOT_STUB_NAME_MAX);
		r = fnp_runtime_read(pid, address, ret, size);
	}
	ret[FNP_HOTSPOT_STUB_NAME_MAX - 1] = '\0';
	return r == 0 && ret[0] == '\0' ? -ENOENT : r;
}

static int read_list(const struct fnp_hotspot_view *view, uint64_t first, fnp_hotspot_stub_vec *ret)
{
	struct description d;
	uint64_t at = first;
	int r = 0;

	for (size_t i = 0; at && i < STUBS_MAX && r == 0; i++, at = d.next) {
		struct fnp_hotspot_stub stub;

		r = fnp_runtime_read(view->place.pid, at, &d, sizeof(d));
		if (r < 0)
			break;
		/* One that is being made has no end yet. */
		if (d.end <= d.begin || d.end - d.begin > STUB_BYTES_MAX ||
		    read_name(view->place.pid, d.name, stub.name) < 0)
			continue;
		stub.begin = d.begin;
		stub.end = d.end;
		r = fnp_vec_push(ret, stub);
	}
	return r;
}

/* Reads the list when it is new; what was known stays when that fails. */
static void look_again(struct fnp_hotspot_stubs *stubs, const struct fnp_hotspot_view *view)
{
	fnp_hotspot_stub_vec all = {0};
	uint64_t first;

	if (!fnp_hotspot_has(&view->tables, FNP_HOTSPOT_STUBS) ||
	    fnp_runtime_read(view->place.pid, view->tables.values[FNP_HOTSPOT_STUBS], &first, sizeof(first)) <
		    0 ||
	    first == stubs->first)
		return;
	if (read_list(view, first, &all) < 0) {
		fnp_vec_deinit(&all);
		return;
	}
	if (all.len)
		qsort(all.items, all.len, sizeof(all.items[0]), by_begin);
	fnp_hotspot_stubs_clear(stubs);
	stubs->all = all;
	stubs->first = first;
}

static const char *find(const struct fnp_hotspot_stubs *stubs, uint64_t address)
{
	size_t low = 0, high = stubs->all.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (stubs->all.items[middle].begin <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low && address < stubs->all.items[low - 1].end ? stubs->all.items[low - 1].name : NULL;
}

const char *fnp_hotspot_stub_name(struct fnp_hotspot_stubs *stubs, const struct fnp_hotspot_view *view,
				  uint64_t address)
{
	const char *name = find(stubs, address);

	if (!name) {
		look_again(stubs, view);
		name = find(stubs, address);
	}
	return name;
}

void fnp_hotspot_stubs_clear(struct fnp_hotspot_stubs *stubs)
{
	fnp_vec_deinit(&stubs->all);
	*stubs = (struct fnp_hotspot_stubs){0};
}
