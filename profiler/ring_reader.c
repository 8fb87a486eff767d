/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout is the kernel's (kernel/bpf/ringbuf.c): a page with the reader's position, a page with the writers', the
 * records. Positions only grow; a record begins with a word of its length and two flags, and takes whole multiples of 8, so
 * that this head is never split.
 */
#include "profiler/ring_reader.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/mman.h>

struct fnp_ring_reader {
	uint64_t *reader;	/* our position; a page */
	const uint64_t *writer; /* theirs; a page, then the records */
	const uint8_t *records;
	size_t size, page;
	size_t next; /* size of the record that was told of */
};

int fnp_ring_reader_create(int fd, size_t size, struct fnp_ring_reader **ret)
{
	FNP_CLEANUP(fnp_ring_reader_destroyp) struct fnp_ring_reader *ring = calloc(1, sizeof(*ring));
	void *p;

	if (!ring)
		return -ENOMEM;
	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	ring->size = size;
	p = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	ring->reader = p;
	p = mmap(NULL, ring->page + size, PROT_READ, MAP_SHARED, fd, (off_t)ring->page);
	if (p == MAP_FAILED)
		return -errno;
	ring->writer = p;
	ring->records = (const uint8_t *)p + ring->page;
	*ret = TAKE_PTR(ring);
	return 0;
}

void fnp_ring_reader_destroy(struct fnp_ring_reader *ring)
{
	if (!ring)
		return;
	if (ring->reader)
		munmap(ring->reader, ring->page);
	if (ring->writer)
		munmap((void *)(uintptr_t)ring->writer, ring->page + ring->size);
	free(ring);
}

static const uint8_t *at(const struct fnp_ring_reader *ring, uint64_t position)
{
	return ring->records + (position & (ring->size - 1));
}

static void move_on(struct fnp_ring_reader *ring, size_t record_size)
{
	uint64_t taken = BPF_RINGBUF_HDR_SZ + (((uint64_t)record_size + 7) & ~7ULL);

	__atomic_store_n(ring->reader, *ring->reader + taken, __ATOMIC_RELEASE);
}

bool fnp_ring_reader_next(struct fnp_ring_reader *ring, size_t *ret_size)
{
	while (*ring->reader < __atomic_load_n(ring->writer, __ATOMIC_ACQUIRE)) {
		const uint32_t *head = (const void *)at(ring, *ring->reader);
		uint32_t length = __atomic_load_n(head, __ATOMIC_ACQUIRE);

		if (length & BPF_RINGBUF_BUSY_BIT)
			return false;
		ring->next = length & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		if (!(length & BPF_RINGBUF_DISCARD_BIT)) {
			*ret_size = ring->next;
			return true;
		}
		move_on(ring, ring->next);
	}
	return false;
}

void fnp_ring_reader_take(struct fnp_ring_reader *ring, void *to)
{
	const uint8_t *from = at(ring, *ring->reader + BPF_RINGBUF_HDR_SZ);
	size_t until_end = (size_t)(ring->records + ring->size - from), first = FNP_MIN(ring->next, until_end);

	memcpy(to, from, first);
	/* The kernel never gives out a record that is longer than the ring. */
	memcpy((uint8_t *)to + first, ring->records, FNP_MIN(ring->next - first, ring->size));
	move_on(ring, ring->next);
}
