/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Java frames of recorded JVMs, as they were and with any byte changed: of what they published, of registers, stacks, code,
 * nmethods, methods and chunks of virtual threads. hotspot_fuzz.c makes up a memory; here most of it is true, so that lies
 * are met deep in.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "tests/fuzz/hotspot_heap.h"

static struct fnp_cursor pieces;
static uint32_t reads_left;

static int read_heap(void *context, void *to, size_t size, fnp_u64 address)
{
	struct fnp_cursor c = pieces;
	struct heap_piece piece;

	(void)context;
	if (reads_left && --reads_left == 0)
		pieces = fnp_cursor_of(NULL, 0);
	while (fnp_cursor_copy(&c, &piece, sizeof(piece)) == 0 && piece.size <= fnp_cursor_left(&c)) {
		uint64_t offset = address - piece.address;

		if (address >= piece.address && offset <= piece.size && size <= piece.size - offset) {
			memcpy(to, c.pos + offset, size);
			return 0;
		}
		fnp_cursor_skip(&c, piece.size);
	}
	return -1;
}

/* In libc's place: what the symbolizer reads processes by. */
ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long n_local,
			 const struct iovec *remote, unsigned long n_remote, unsigned long flags)
{
	(void)pid, (void)flags;
	if (n_local != 1 || n_remote != 1)
		abort();
	if (read_heap(NULL, local->iov_base, local->iov_len, (uintptr_t)remote->iov_base) < 0) {
		errno = fnp_cursor_left(&pieces) ? EFAULT : ESRCH;
		return -1;
	}
	return (ssize_t)local->iov_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fnp_cursor c = fnp_cursor_of(data, size);
	struct fnp_hotspot_view view = {0};
	struct heap_head head;

	if (fnp_cursor_copy(&c, &head, sizeof(head)) < 0 || head.magic != HEAP_MAGIC)
		return 0;
	for (size_t i = 0; i < FNP_HOTSPOT_FIELDS_MAX; i++)
		view.tables.values[i] = FNP_HOTSPOT_ABSENT;
	for (size_t i = 0; i < head.n_values; i++) {
		uint64_t value;

		if (fnp_cursor_copy(&c, &value, sizeof(value)) < 0)
			return 0;
		if (i < FNP_HOTSPOT_FIELDS_MAX)
			view.tables.values[i] = value;
	}
	pieces = c;
	reads_left = head.reads;
	look_at_heap(&head, &view, read_heap);
	return 0;
}
