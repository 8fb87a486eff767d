/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recorded piece of a JVM: what the JVM published, the registers of one of its threads in Java code, and the memory that
 * its walk and its names touch. hotspot_record writes such a file, fuzz_hotspot_heap reads it again, whole or changed.
 * Little endian: struct heap_head, its `n_values` words, then struct heap_piece and bytes, one after another.
 */
#ifndef FNP_TESTS_FUZZ_HOTSPOT_HEAP_H
#define FNP_TESTS_FUZZ_HOTSPOT_HEAP_H

#include "tests/fuzz/hotspot_frames.h"

#define HEAP_MAGIC 0x50414548544f4853ULL

struct heap_head {
	uint64_t magic;
	uint16_t version; /* major */
	uint16_t n_values;
	uint32_t reads; /* that succeed, then the process is gone; 0: all */
	uint64_t regs[FNP_WALK_REGS];
};

struct heap_piece {
	uint64_t address;
	uint64_t size;
};

static int range_by_start(const void *a, const void *b)
{
	uint64_t x = ((const struct fnp_code_range *)a)->start, y = ((const struct fnp_code_range *)b)->start;

	return x < y ? -1 : x > y;
}

/*
 * The thread's Java frames, walked and named by what `read` and process_vm_readv (the includer's, in libc's place) say; the
 * view is the caller's. 0, or -errno: nothing can be done with what was published.
 */
static int look_at_heap(const struct heap_head *head, struct fnp_hotspot_view *view,
			int (*read)(void *context, void *to, size_t size, fnp_u64 address))
{
	struct fnp_code_range ranges[FNP_HOTSPOT_HEAPS_MAX];
	size_t n = 0;
	int r = fnp_hotspot_layout_read(&view->tables, &view->layout);

	view->version = head->version;
	r = r ?: fnp_hotspot_layout_places(&view->place, &view->tables, &view->layout);
	if (r < 0)
		return r;
	for (; n < FNP_HOTSPOT_HEAPS_MAX && view->layout.heaps[n].end; n++)
		ranges[n] = (struct fnp_code_range){.start = view->layout.heaps[n].start,
						    .end = view->layout.heaps[n].end,
						    .kind = FNP_CODE_HOTSPOT};
	qsort(ranges, n, sizeof(ranges[0]), range_by_start);
	memset(&walk, 0, sizeof(walk));
	memcpy(walk.regs, head->regs, sizeof(walk.regs));
	walk.pc = walk.regs[FNP_WALK_SLOT_PC];
	walk.sp = walk.regs[FNP_WALK_SLOT_SP];
	walk.fp = walk.regs[FNP_WALK_SLOT_FP];
	walk_java(ranges, n, &view->layout, true, read);
	check_words(&walk, FNP_WORD_HOTSPOT, FNP_HOTSPOT_WORDS);
	name_all(view);
	return 0;
}

#endif
