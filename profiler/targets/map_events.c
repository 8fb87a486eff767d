/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One dummy software event a CPU with a ring of its own (perf_event_open(2), "mmap2", "comm_exec", "use_clockid").
 * The rings are read by the rules of perf_event_mmap_page: data_head is read with acquire, data_tail is written with
 * release once the bytes are copied. A record may wrap around the end of its ring; then it is put together first.
 */
#include "profiler/targets/map_events.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/cursor.h"
#include "base/log.h"
#include "base/vec.h"

#define RING_PAGES 16
#define RECORD_MAX 8192 /* a path of PATH_MAX and the fixed fields */
#define KEEP_UNKNOWN_NS 200000000
#define QUEUE_MAX 65536

struct ring {
	int fd;
	struct perf_event_mmap_page *page;
	size_t bytes; /* of the whole mapping */
};

struct fnp_map_events {
	FNP_VEC(struct ring) rings;
	FNP_VEC(struct fnp_map_event) queue;
	int epoll_fd;
	uint64_t lost;
};

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int open_cpu(int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TIME,
		.disabled = 1,
		.mmap = 1,
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = (uint32_t)(RING_PAGES / 2 * page_bytes()),
		.build_id = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int add_ring(struct fnp_map_events *events, int cpu)
{
	size_t bytes = (1 + RING_PAGES) * page_bytes();
	fnp_autoclose int fd = open_cpu(cpu);
	int r;

	if (fd == -ENODEV)
		return 0; /* the CPU is offline */
	if (fd < 0) {
		r = fd;
		fd = -1;
		return fnp_error(r,
				 "the kernel refuses perf events (perf_event_open: %s): run as root or with "
				 "CAP_PERFMON, or lower /proc/sys/kernel/perf_event_paranoid",
				 strerror(-r));
	}
	void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return fnp_error(-errno,
				 "no memory for perf rings (%s): raise /proc/sys/kernel/perf_event_mlock_kb",
				 strerror(errno));
	if (epoll_ctl(events->epoll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN}) < 0) {
		munmap(page, bytes);
		return -errno;
	}
	r = fnp_vec_push(&events->rings, (struct ring){.fd = fd, .page = page, .bytes = bytes});
	if (r < 0) {
		munmap(page, bytes);
		return r;
	}
	fd = -1;
	return 0;
}

int fnp_map_events_create(struct fnp_map_events **ret)
{
	FNP_CLEANUP(fnp_map_events_destroyp) struct fnp_map_events *events = calloc(1, sizeof(*events));
	long n_cpus = sysconf(_SC_NPROCESSORS_CONF);

	if (!events)
		return -ENOMEM;
	events->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (events->epoll_fd < 0)
		return -errno;
	for (int cpu = 0; cpu < n_cpus; cpu++) {
		int r = add_ring(events, cpu);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(events);
	return 0;
}

void fnp_map_events_destroy(struct fnp_map_events *events)
{
	if (!events)
		return;
	for (size_t i = 0; i < events->rings.len; i++) {
		munmap(events->rings.items[i].page, events->rings.items[i].bytes);
		close(events->rings.items[i].fd);
	}
	for (size_t i = 0; i < events->queue.len; i++)
		free(events->queue.items[i].path);
	fnp_vec_deinit(&events->rings);
	fnp_vec_deinit(&events->queue);
	fnp_closep(&events->epoll_fd);
	free(events);
}

int fnp_map_events_fd(const struct fnp_map_events *events)
{
	return events->epoll_fd;
}

int fnp_map_events_enable(struct fnp_map_events *events)
{
	for (size_t i = 0; i < events->rings.len; i++) {
		if (ioctl(events->rings.items[i].fd, PERF_EVENT_IOC_ENABLE, 0) < 0)
			return fnp_error(-errno, "cannot enable mmap events: %s", strerror(errno));
	}
	return 0;
}

/* pid, tid, address, length, offset, identity, protection, flags, path; at the end stands the time. */
static int parse_mmap2(struct fnp_cursor c, uint16_t misc, struct fnp_map_event *ret)
{
	struct fnp_map_event e = {0};
	uint64_t length, generation;
	uint32_t tid, protection, flags;
	uint8_t identity[24];
	const char *path;
	int r = fnp_cursor_u32(&c, &e.pid);

	r = r ?: fnp_cursor_u32(&c, &tid);
	r = r ?: fnp_cursor_u64(&c, &e.start);
	r = r ?: fnp_cursor_u64(&c, &length);
	r = r ?: fnp_cursor_u64(&c, &e.offset);
	r = r ?: fnp_cursor_copy(&c, identity, sizeof(identity));
	r = r ?: fnp_cursor_u32(&c, &protection);
	r = r ?: fnp_cursor_u32(&c, &flags);
	r = r ?: fnp_cursor_string(&c, &path);
	if (r < 0 || length > UINT64_MAX - e.start)
		return -EBADMSG;
	e.end = e.start + length;
	if (misc & PERF_RECORD_MISC_MMAP_BUILD_ID) {
		e.identity.build_id_size = FNP_MIN(identity[0], FNP_BUILD_ID_MAX);
		memcpy(e.identity.build_id, identity + 4, e.identity.build_id_size);
	} else {
		memcpy(&e.identity.major, identity, 4);
		memcpy(&e.identity.minor, identity + 4, 4);
		memcpy(&e.identity.inode, identity + 8, 8);
		memcpy(&generation, identity + 16, 8);
	}
	e.path = strdup(path);
	if (!e.path)
		return -ENOMEM;
	*ret = e;
	return 0;
}

static int queue_record(struct fnp_map_events *events, const uint8_t *record, size_t size)
{
	struct fnp_cursor c = fnp_cursor_of(record, size);
	struct fnp_map_event e = {0};
	struct perf_event_header header;
	uint64_t time_ns, lost_id, lost;
	int r = fnp_cursor_copy(&c, &header, sizeof(header));

	if (r < 0 || size < sizeof(header) + sizeof(time_ns))
		return 0;
	memcpy(&time_ns, record + size - sizeof(time_ns), sizeof(time_ns));
	switch (header.type) {
	case PERF_RECORD_LOST:
		if (fnp_cursor_u64(&c, &lost_id) == 0 && fnp_cursor_u64(&c, &lost) == 0)
			events->lost += lost;
		return 0;
	case PERF_RECORD_COMM:
		if (!(header.misc & PERF_RECORD_MISC_COMM_EXEC) || fnp_cursor_u32(&c, &e.pid) < 0)
			return 0;
		e.exec = true;
		break;
	case PERF_RECORD_MMAP2:
		r = parse_mmap2(c, header.misc, &e);
		if (r < 0)
			return r == -ENOMEM ? r : 0;
		break;
	default:
		return 0;
	}
	e.time_ns = time_ns;
	if (events->queue.len >= QUEUE_MAX) {
		events->lost++;
		free(e.path);
		return 0;
	}
	r = fnp_vec_push(&events->queue, e);
	if (r < 0)
		free(e.path);
	return r;
}

static int read_ring(struct fnp_map_events *events, struct ring *ring)
{
	uint64_t size = RING_PAGES * page_bytes();
	const uint8_t *data = (const uint8_t *)ring->page + page_bytes();
	uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = ring->page->data_tail;
	_Alignas(8) uint8_t record[RECORD_MAX];
	int r = 0;

	while (head - tail >= sizeof(struct perf_event_header) && r == 0) {
		struct perf_event_header header;
		uint64_t at = tail % size;

		memcpy(&header, data + at, sizeof(header)); /* records are multiples of 8: a header never wraps */
		if (header.size < sizeof(header) || header.size > head - tail)
			break;
		if (header.size <= sizeof(record)) {
			uint64_t first = FNP_MIN((uint64_t)header.size, size - at);
			memcpy(record, data + at, first);
			memcpy(record + first, data, header.size - first);
			r = queue_record(events, record, header.size);
		}
		tail += header.size;
	}
	__atomic_store_n(&ring->page->data_tail, tail, __ATOMIC_RELEASE);
	return r;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = ((const struct fnp_map_event *)a)->time_ns, y = ((const struct fnp_map_event *)b)->time_ns;
	return x < y ? -1 : x > y;
}

int fnp_map_events_read(struct fnp_map_events *events)
{
	size_t before = events->queue.len;

	for (size_t i = 0; i < events->rings.len; i++) {
		int r = read_ring(events, &events->rings.items[i]);
		if (r < 0)
			return r;
	}
	if (events->queue.len > before)
		qsort(events->queue.items, events->queue.len, sizeof(events->queue.items[0]), by_time);
	return 0;
}

void fnp_map_events_deliver(struct fnp_map_events *events, uint64_t until_ns,
			    bool (*take)(void *self, const struct fnp_map_event *event), void *self)
{
	size_t kept = 0;

	for (size_t i = 0; i < events->queue.len; i++) {
		struct fnp_map_event *e = &events->queue.items[i];
		bool due = e->time_ns <= until_ns;

		if (!due || (!take(self, e) && until_ns - e->time_ns < KEEP_UNKNOWN_NS))
			events->queue.items[kept++] = *e;
		else
			free(e->path);
	}
	events->queue.len = kept;
}

uint64_t fnp_map_events_lost(const struct fnp_map_events *events)
{
	return events->lost;
}

size_t fnp_map_events_ring_bytes(const struct fnp_map_events *events)
{
	return events->rings.len * (1 + RING_PAGES) * page_bytes();
}
