/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Java frames of a JVM whose memory is anything: tables that it published wrong, code heaps, nmethods and methods that
 * are none, and a walk through them. The memory is the input, again and again, at every address; a process that dies
 * while it is read is one whose reads fail from some point on.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "tests/fuzz/hotspot_frames.h"

#define STACK 0x7ffc00000000ULL
#define STACK_BYTES 0x100000ULL
#define HEAP 0x7f0000000000ULL
#define HEAP_BYTES 0x100000ULL
#define SEGMENTS 0x7e0000000000ULL

static struct {
	const uint8_t *bytes;
	size_t size;
	uint32_t reads_left; /* until the process is gone */
} memory;

static int read_any(void *context, void *to, size_t size, fnp_u64 address)
{
	uint8_t *out = to;

	(void)context;
	if (memory.size == 0 || address >> 48 || memory.reads_left == 0)
		return -1;
	memory.reads_left--;
	/* Every address of the code heap begins a block, so that what lies there is looked at. */
	if (address >= SEGMENTS && address < SEGMENTS + HEAP_BYTES && size == 1) {
		*out = (uint8_t)(memory.bytes[address % memory.size] & 1);
		return 0;
	}
	for (size_t done = 0, at = address % memory.size; done < size; at = 0) {
		size_t n = FNP_MIN(size - done, memory.size - at);
		memcpy(out + done, memory.bytes + at, n);
		done += n;
	}
	return 0;
}

/* In libc's place: what the symbolizer reads processes by. */
ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long n_local,
			 const struct iovec *remote, unsigned long n_remote, unsigned long flags)
{
	(void)pid, (void)flags;
	if (n_local != 1 || n_remote != 1)
		abort();
	if (read_any(NULL, local->iov_base, local->iov_len, (uintptr_t)remote->iov_base) < 0) {
		errno = memory.reads_left ? EFAULT : ESRCH;
		return -1;
	}
	return (ssize_t)local->iov_len;
}

static void walk_all(struct fnp_hotspot_layout *layout, uint64_t pc, bool is_leaf)
{
	struct fnp_code_range range = {.start = HEAP, .end = HEAP + HEAP_BYTES, .kind = FNP_CODE_HOTSPOT};

	memset(&walk, 0, sizeof(walk));
	walk.pc = HEAP + pc % HEAP_BYTES;
	walk.sp = STACK;
	walk.fp = STACK + (pc & 0xff8);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(walk.regs); i++)
		walk.regs[i] = STACK + 64 * i;
	walk_java(&range, 1, layout, is_leaf, read_any);
}

/* Offsets as 25 publishes them, or the input's, 16 bits each. */
static void choose_tables(struct fnp_cursor *c, struct fnp_hotspot_tables *ret)
{
	uint16_t values[FNP_HOTSPOT_FIELDS_MAX];
	uint8_t absent = 0;

	fnp_cursor_u8(c, &absent);
	if (fnp_cursor_copy(c, values, sizeof(values)) < 0)
		memset(values, 0, sizeof(values));
	for (size_t i = 0; i < FNP_HOTSPOT_FIELDS_MAX; i++)
		ret->values[i] = absent && i % absent == 1 ? FNP_HOTSPOT_ABSENT : values[i] & 0x3ff;
	for (int i = FNP_HOTSPOT_INTERPRETER; i <= FNP_HOTSPOT_CODELET_DESCRIPTION; i++)
		ret->values[i] &= 0x0f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fnp_cursor c = fnp_cursor_of(data, size);
	struct fnp_hotspot_view view = {0};
	uint16_t pc = 0, reads = 0;

	choose_tables(&c, &view.tables);
	if (fnp_cursor_copy(&c, &pc, sizeof(pc)) < 0 || fnp_cursor_copy(&c, &reads, sizeof(reads)) < 0)
		return 0;
	memory.bytes = c.pos;
	memory.size = fnp_cursor_left(&c);
	memory.reads_left = 64U + reads;
	view.version = pc & 1 ? 17 : 25;
	if (fnp_hotspot_layout_read(&view.tables, &view.layout) < 0)
		return 0;
	fnp_hotspot_layout_places(&view.place, &view.tables, &view.layout);
	view.layout.heaps[0] = (struct fnp_hotspot_heap){
		.start = HEAP, .end = HEAP + HEAP_BYTES, .segments = SEGMENTS};
	view.layout.segment_shift = view.layout.segment_shift ?: 7;
	if (pc & 2) {
		view.layout.interpreter = HEAP;
		view.layout.interpreter_end = HEAP + HEAP_BYTES / 2;
	}
	view.layout.flags |= pc & 8 ? FNP_HOTSPOT_CHUNKS : 0;
	view.layout.thaw_return = pc & 8 ? HEAP + (reads & 0xff0) : 0;
	walk_all(&view.layout, (uint64_t)pc << 4, pc & 4);
	check_words(&walk, FNP_WORD_HOTSPOT, FNP_HOTSPOT_WORDS);
	memory.reads_left = 64U + reads;
	name_all(&view);
	return 0;
}
