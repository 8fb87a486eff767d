/* SPDX-License-Identifier: Apache-2.0 */
/* Records as the kernel would write them, in a file that is mapped like a ring. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <linux/bpf.h>
#include <sys/mman.h>

#include "profiler/ring_reader.h"

#define RING_BYTES 8192

/* The kernel's side: its own view of the whole file. */
struct stage {
	uint8_t *all;
	size_t page;
	int fd;
};

static void stage_init(struct stage *s)
{
	s->page = (size_t)sysconf(_SC_PAGESIZE);
	s->fd = memfd_create("ring", MFD_CLOEXEC);
	assert_true(s->fd >= 0);
	assert_int_equal(ftruncate(s->fd, (off_t)(2 * s->page + RING_BYTES)), 0);
	s->all = mmap(NULL, 2 * s->page + RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	assert_ptr_not_equal(s->all, MAP_FAILED);
}

static void stage_deinit(struct stage *s)
{
	munmap(s->all, 2 * s->page + RING_BYTES);
	close(s->fd);
}

static uint64_t *written(struct stage *s)
{
	return (uint64_t *)(s->all + s->page);
}

static uint64_t taken(const struct stage *s)
{
	return *(uint64_t *)s->all;
}

static uint32_t *write_record(struct stage *s, uint32_t size, uint8_t seed, uint32_t flags)
{
	uint64_t at = *written(s);
	uint32_t *head = (uint32_t *)(s->all + 2 * s->page + at % RING_BYTES);

	*head = size | flags;
	for (uint32_t i = 0; i < size; i++)
		s->all[2 * s->page + (at + BPF_RINGBUF_HDR_SZ + i) % RING_BYTES] = (uint8_t)(seed + i);
	*written(s) = at + BPF_RINGBUF_HDR_SZ + ((size + 7) & ~7U);
	return head;
}

static void expect_record(struct fnp_ring_reader *ring, uint32_t size, uint8_t seed)
{
	uint8_t bytes[RING_BYTES] = {0};
	size_t got = 0;

	assert_true(fnp_ring_reader_next(ring, &got));
	assert_int_equal(got, size);
	fnp_ring_reader_take(ring, bytes);
	for (uint32_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], (uint8_t)(seed + i));
}

static void records_come_whole_also_past_the_end_of_the_ring(void **state)
{
	FNP_CLEANUP(stage_deinit) struct stage s = {.fd = -1};
	FNP_CLEANUP(fnp_ring_reader_destroyp) struct fnp_ring_reader *ring = NULL;
	size_t size;

	(void)state;
	stage_init(&s);
	assert_int_equal(fnp_ring_reader_create(s.fd, RING_BYTES, &ring), 0);
	assert_false(fnp_ring_reader_next(ring, &size));
	/* Sizes that put the end of the ring at every place of a record in turn. */
	for (uint32_t i = 1; i < 3000; i++) {
		uint32_t n = i * 7 % 1500;

		write_record(&s, n, (uint8_t)i, 0);
		write_record(&s, i % 9, (uint8_t)(i + 1), 0);
		expect_record(ring, n, (uint8_t)i);
		expect_record(ring, i % 9, (uint8_t)(i + 1));
		assert_false(fnp_ring_reader_next(ring, &size));
		assert_int_equal(taken(&s), *written(&s));
	}
	assert_true(*written(&s) > 100 * RING_BYTES);
}

static void record_that_is_being_written_is_waited_for(void **state)
{
	FNP_CLEANUP(stage_deinit) struct stage s = {.fd = -1};
	FNP_CLEANUP(fnp_ring_reader_destroyp) struct fnp_ring_reader *ring = NULL;
	uint32_t *busy;
	size_t size;

	(void)state;
	stage_init(&s);
	assert_int_equal(fnp_ring_reader_create(s.fd, RING_BYTES, &ring), 0);
	busy = write_record(&s, 24, 5, BPF_RINGBUF_BUSY_BIT);
	write_record(&s, 16, 9, 0);
	assert_false(fnp_ring_reader_next(ring, &size));
	assert_int_equal(taken(&s), 0);
	*busy &= ~BPF_RINGBUF_BUSY_BIT;
	expect_record(ring, 24, 5);
	expect_record(ring, 16, 9);
}

static void record_that_was_given_up_is_passed_over(void **state)
{
	FNP_CLEANUP(stage_deinit) struct stage s = {.fd = -1};
	FNP_CLEANUP(fnp_ring_reader_destroyp) struct fnp_ring_reader *ring = NULL;
	size_t size;

	(void)state;
	stage_init(&s);
	assert_int_equal(fnp_ring_reader_create(s.fd, RING_BYTES, &ring), 0);
	write_record(&s, 40, 1, BPF_RINGBUF_DISCARD_BIT);
	write_record(&s, 3, 2, 0);
	write_record(&s, 8, 3, BPF_RINGBUF_DISCARD_BIT);
	expect_record(ring, 3, 2);
	assert_false(fnp_ring_reader_next(ring, &size));
	assert_int_equal(taken(&s), *written(&s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_whole_also_past_the_end_of_the_ring),
		cmocka_unit_test(record_that_is_being_written_is_waited_for),
		cmocka_unit_test(record_that_was_given_up_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
