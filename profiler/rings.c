/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/rings.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "base/log.h"
#include "base/priority.h"
#include "base/vec.h"
#include "profiler/ring_reader.h"

#define QUEUE_BYTES_MAX                                                                                      \
	(32 << 20) /* of one ring; past it the ring fills, and its writers count what is lost */
#define LOOK_EVERY_NS 5000000
#define PEEK_MAX 64 /* records; the helper waits meanwhile */

/* Records one after the other: a word with the size in bytes, then the record, padded to 8. */
typedef FNP_VEC(uint64_t) record_vec;

struct queue {
	struct fnp_ring_reader *ring; /* NULL: there is none */
	/*
	 * Of its own for each ring: it tells of wake-ups alone. The ring itself would tell of every record, and most are
	 * sent without one.
	 */
	int wakeups;
	record_vec words;
};

struct fnp_rings {
	struct queue queues[FNP_RINGS];
	record_vec taken; /* what is being handed out, outside of the lock */
	pthread_mutex_t lock;
	int timer; /* runs while a round lasts: short ones, which are nearly all, wake nobody */
	pthread_t helper;
	bool has_helper, stop;
	uint64_t moved_bytes;
};

/* With the lock held. */
static void move_records(struct queue *queue)
{
	size_t size;

	while (fnp_ring_reader_next(queue->ring, &size)) {
		size_t words = (size + 7) / 8, at = queue->words.len;

		/* A record is never split; without memory it waits in the ring, whose writers count what is lost. */
		if (fnp_vec_reserve(&queue->words, at + 1 + words) < 0)
			return;
		queue->words.items[at] = size;
		queue->words.items[at + words] = 0;
		fnp_ring_reader_take(queue->ring, &queue->words.items[at + 1]);
		queue->words.len = at + 1 + words;
	}
}

/* With the lock held. */
static void empty(struct queue *queue)
{
	if (queue->ring && queue->words.len * 8 < QUEUE_BYTES_MAX)
		move_records(queue);
}

/* First after `ns`, then every LOOK_EVERY_NS; 0: no more. */
static int set_timer(struct fnp_rings *rings, long ns)
{
	struct itimerspec when = {.it_value.tv_nsec = ns, .it_interval.tv_nsec = ns ? LOOK_EVERY_NS : 0};

	return timerfd_settime(rings->timer, 0, &when, NULL) < 0 ? -errno : 0;
}

static void *help(void *self)
{
	struct fnp_rings *rings = self;
	uint64_t times;

	fnp_priority_raise();
	while (read(rings->timer, &times, sizeof(times)) == (ssize_t)sizeof(times)) {
		bool stop;

		pthread_mutex_lock(&rings->lock);
		for (int i = 0; i < FNP_RINGS; i++) {
			size_t before = rings->queues[i].words.len;
			empty(&rings->queues[i]);
			rings->moved_bytes += 8 * (rings->queues[i].words.len - before);
		}
		stop = rings->stop;
		pthread_mutex_unlock(&rings->lock);
		if (stop)
			break;
	}
	return NULL;
}

static int start_helper(struct fnp_rings *rings)
{
	int r;

	pthread_mutex_init(&rings->lock, NULL);
	rings->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (rings->timer < 0)
		return fnp_error(-errno, "cannot make a timer: %s", strerror(errno));
	r = pthread_create(&rings->helper, NULL, help, rings);
	rings->has_helper = r == 0;
	return r ? fnp_error(-r, "cannot start a thread: %s", strerror(r)) : 0;
}

static int open_queue(int fd, struct queue *queue)
{
	struct epoll_event wanted = {.events = EPOLLIN};
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);
	int r;

	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return -errno;
	r = fnp_ring_reader_create(fd, info.max_entries, &queue->ring);
	if (r < 0)
		return r;
	queue->wakeups = epoll_create1(EPOLL_CLOEXEC);
	return queue->wakeups < 0 || epoll_ctl(queue->wakeups, EPOLL_CTL_ADD, fd, &wanted) < 0 ? -errno : 0;
}

int fnp_rings_create(const int fds[FNP_RINGS], struct fnp_rings **ret)
{
	FNP_CLEANUP(fnp_rings_destroyp) struct fnp_rings *rings = calloc(1, sizeof(*rings));

	int r = 0;

	if (!rings)
		return -ENOMEM;
	rings->timer = -1;
	for (int i = 0; i < FNP_RINGS; i++)
		rings->queues[i].wakeups = -1;
	for (int i = 0; i < FNP_RINGS; i++) {
		r = fds[i] < 0 ? 0 : open_queue(fds[i], &rings->queues[i]);
		if (r < 0)
			return fnp_error(r, "cannot map a ring of the kernel side: %s", strerror(-r));
	}
	r = start_helper(rings);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rings);
	return 0;
}

void fnp_rings_destroy(struct fnp_rings *rings)
{
	if (!rings)
		return;
	if (rings->has_helper) {
		pthread_mutex_lock(&rings->lock);
		rings->stop = true;
		pthread_mutex_unlock(&rings->lock);
		(void)set_timer(rings, 1);
		pthread_join(rings->helper, NULL);
	}
	fnp_closep(&rings->timer);
	for (int i = 0; i < FNP_RINGS; i++) {
		fnp_ring_reader_destroy(rings->queues[i].ring);
		fnp_closep(&rings->queues[i].wakeups);
		fnp_vec_deinit(&rings->queues[i].words);
	}
	fnp_vec_deinit(&rings->taken);
	free(rings);
}

int fnp_rings_fd(const struct fnp_rings *rings, enum fnp_ring which)
{
	return rings->queues[which].wakeups;
}

void fnp_rings_begin_round(struct fnp_rings *rings)
{
	(void)set_timer(rings, LOOK_EVERY_NS);
}

void fnp_rings_end_round(struct fnp_rings *rings)
{
	(void)set_timer(rings, 0);
}

/* What was taken and what is queued change places, so that neither is allocated anew each time. */
static void swap_out(struct fnp_rings *rings, struct queue *queue)
{
	record_vec full = queue->words;

	queue->words = rings->taken;
	queue->words.len = 0;
	rings->taken = full;
}

void fnp_rings_take(struct fnp_rings *rings, enum fnp_ring which,
		    void (*take)(void *self, const void *data, size_t size), void *self)
{
	struct queue *queue = &rings->queues[which];

	if (!queue->ring)
		return;
	pthread_mutex_lock(&rings->lock);
	move_records(queue);
	swap_out(rings, queue);
	pthread_mutex_unlock(&rings->lock);
	for (size_t at = 0; at < rings->taken.len;) {
		size_t size = rings->taken.items[at];

		take(self, &rings->taken.items[at + 1], size);
		at += 1 + (size + 7) / 8;
	}
	rings->taken.len = 0;
	/* A long round's memory is not kept. */
	if (rings->taken.cap * 8 > (1 << 20))
		fnp_vec_deinit(&rings->taken);
}

void fnp_rings_peek(struct fnp_rings *rings, enum fnp_ring which, size_t *from,
		    void (*show)(void *self, const void *data, size_t size), void *self)
{
	struct queue *queue = &rings->queues[which];

	if (!queue->ring)
		return;
	pthread_mutex_lock(&rings->lock);
	empty(queue);
	for (int i = 0; i < PEEK_MAX && *from < queue->words.len; i++) {
		size_t size = queue->words.items[*from];

		show(self, &queue->words.items[*from + 1], size);
		*from += 1 + (size + 7) / 8;
	}
	pthread_mutex_unlock(&rings->lock);
}

uint64_t fnp_rings_moved_bytes(const struct fnp_rings *rings)
{
	return rings->moved_bytes;
}
