/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two workers take objects from a queue and compile them without the lock; with it they put the table in an arena and
 * publish it: everything of struct fnp_table first, `pages` last, because the kernel side looks at any moment.
 *
 *   slot        who changes it                         when
 *   EMPTY       fnp_tables_use()                       becomes BUILDING, goes into the queue
 *   BUILDING    a worker                               becomes READY or FAILED
 *   READY       eviction, when nobody uses it          becomes EMPTY
 *
 * An evicted table's lines are used again at once. A walk that still reads them would have to have begun before the
 * last process with that object ended and was removed, which is longer ago than a walk takes.
 */
#include "profiler/targets/tables.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "base/priority.h"
#include "base/vec.h"
#include "symbolizer/unwind_cache.h"

#define WORKERS 2

enum slot_state { SLOT_EMPTY, SLOT_BUILDING, SLOT_READY, SLOT_FAILED };

struct slot {
	enum slot_state state;
	uint32_t id;
	uint32_t users;
	uint64_t unused_since; /* counts up; of meaning without users */
	uint32_t n_lines, rows;
	bool without_elf;
	struct fnp_object *elf; /* while it is being compiled */
};

struct fnp_tables {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	pthread_t workers[WORKERS];
	unsigned int n_workers;
	bool stop;
	struct slot slots[FNP_TABLES_MAX]; /* [0] is not used */
	uint32_t n_slots;		   /* ever used, with [0] */
	struct fnp_map by_id;		   /* id -> slot */
	FNP_VEC(uint32_t) queue;
	FNP_VEC(uint32_t) free_slots;
	struct fnp_table *published; /* as the kernel side sees it */
	int tables_fd;
	struct fnp_arenas *arenas;
	struct fnp_disk_cache *cache;
	uint64_t clock; /* of unused_since */
	uint64_t finished;
	struct fnp_tables_stats stats;
};

static size_t published_bytes(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = FNP_TABLES_MAX * sizeof(struct fnp_table);

	return (bytes + page - 1) / page * page;
}

static int map_published(struct fnp_tables *tables, int fd)
{
	void *p = mmap(NULL, published_bytes(), PROT_READ | PROT_WRITE,
		       fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return fnp_error(-errno, "cannot map the table of unwind tables: %s", strerror(errno));
	tables->published = p;
	tables->published[FNP_TABLES_SLOT_NEVER].pages = FNP_TABLE_REFUSED;
	return 0;
}

int fnp_tables_create(int tables_fd, int arenas_fd, size_t max_bytes, struct fnp_tables **ret)
{
	FNP_CLEANUP(fnp_tables_destroyp) struct fnp_tables *tables = calloc(1, sizeof(*tables));
	int r;

	if (!tables)
		return -ENOMEM;
	pthread_mutex_init(&tables->lock, NULL);
	pthread_cond_init(&tables->work, NULL);
	pthread_cond_init(&tables->done, NULL);
	tables->n_slots = 1;
	r = fnp_arenas_create(arenas_fd, max_bytes, &tables->arenas);
	if (r == 0)
		r = map_published(tables, tables_fd);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(tables);
	return 0;
}

void fnp_tables_destroy(struct fnp_tables *tables)
{
	if (!tables)
		return;
	pthread_mutex_lock(&tables->lock);
	tables->stop = true;
	pthread_cond_broadcast(&tables->work);
	pthread_mutex_unlock(&tables->lock);
	for (unsigned int i = 0; i < tables->n_workers; i++)
		pthread_join(tables->workers[i], NULL);
	for (uint32_t i = 1; i < tables->n_slots; i++)
		fnp_object_unref(tables->slots[i].elf);
	if (tables->published)
		munmap(tables->published, published_bytes());
	fnp_arenas_destroy(tables->arenas);
	fnp_disk_cache_unref(tables->cache);
	fnp_map_deinit(&tables->by_id);
	fnp_vec_deinit(&tables->queue);
	fnp_vec_deinit(&tables->free_slots);
	pthread_mutex_destroy(&tables->lock);
	pthread_cond_destroy(&tables->work);
	pthread_cond_destroy(&tables->done);
	free(tables);
}

void fnp_tables_set_cache(struct fnp_tables *tables, struct fnp_disk_cache *cache)
{
	fnp_disk_cache_unref(tables->cache);
	tables->cache = fnp_disk_cache_ref(cache);
}

/* ---- with the lock ---- */

static void publish(struct fnp_tables *tables, uint32_t slot, const struct fnp_table *table)
{
	struct fnp_table *to = &tables->published[slot];
	struct fnp_table hidden = *table;

	hidden.pages = 0;
	*to = hidden;
	__atomic_store_n(&to->pages, table->pages, __ATOMIC_RELEASE);
}

static void withdraw(struct fnp_tables *tables, uint32_t slot)
{
	__atomic_store_n(&tables->published[slot].pages, 0, __ATOMIC_RELEASE);
}

static void evict(struct fnp_tables *tables, uint32_t i)
{
	struct slot *slot = &tables->slots[i];
	struct fnp_table *table = &tables->published[i];
	uint32_t arena = table->arena, first = table->index;

	withdraw(tables, i);
	fnp_map_remove(&tables->by_id, slot->id);
	if (slot->state == SLOT_READY) {
		fnp_arenas_free(tables->arenas, arena, first, slot->n_lines);
		tables->stats.tables--;
		tables->stats.rows -= slot->rows;
		tables->stats.bytes -= (uint64_t)slot->n_lines * FNP_BLOCK_BYTES;
	}
	*slot = (struct slot){0};
	if (fnp_vec_push(&tables->free_slots, i) < 0)
		return; /* the slot is lost until the end: no harm */
}

static bool is_unused(const struct slot *slot)
{
	return slot->users == 0 && (slot->state == SLOT_READY || slot->state == SLOT_FAILED);
}

/* Frees the table that has been unused longest; false when all are in use. */
static bool evict_one(struct fnp_tables *tables)
{
	uint32_t oldest = 0;

	for (uint32_t i = 1; i < tables->n_slots; i++) {
		const struct slot *slot = &tables->slots[i];

		if (is_unused(slot) && (oldest == 0 || slot->unused_since < tables->slots[oldest].unused_since))
			oldest = i;
	}
	if (oldest)
		evict(tables, oldest);
	return oldest != 0;
}

static int store(struct fnp_tables *tables, const struct fnp_unwind *unwind, struct fnp_table *ret)
{
	struct fnp_table table = unwind->table;
	uint32_t first;
	int r;

	do {
		r = fnp_arenas_store(tables->arenas, unwind->lines, unwind->n_lines, &table.arena, &first);
	} while (r == -ENOSPC && evict_one(tables));
	if (r < 0)
		return r;
	table.index += first;
	table.blocks += first;
	table.rules += first;
	*ret = table;
	return 0;
}

static void finish_ready(struct fnp_tables *tables, uint32_t i, const struct fnp_unwind *unwind)
{
	struct slot *slot = &tables->slots[i];
	struct fnp_table table;
	int r = store(tables, unwind, &table);

	if (r < 0) {
		fnp_warning_once(
			"no room for all unwind tables (%s): stacks through some objects are walked in user "
			"space, or end there",
			strerror(-r));
		tables->stats.refused++;
		slot->state = SLOT_FAILED;
		table = (struct fnp_table){.pages = FNP_TABLE_REFUSED};
		publish(tables, i, &table);
		return;
	}
	slot->state = SLOT_READY;
	slot->n_lines = (uint32_t)unwind->n_lines;
	slot->rows = unwind->rows;
	tables->stats.tables++;
	tables->stats.rows += unwind->rows;
	tables->stats.bytes += (uint64_t)unwind->n_lines * FNP_BLOCK_BYTES;
	publish(tables, i, &table);
}

/* An object that has no call frame information at all: its code is believed to keep frame pointers. */
static void finish_without(struct fnp_tables *tables, uint32_t i, int error)
{
	struct fnp_table table = {.pages = error == -ENOENT ? FNP_TABLE_FRAME_POINTERS : FNP_TABLE_REFUSED};

	tables->slots[i].state = SLOT_FAILED;
	if (error == -ENOENT)
		tables->stats.frame_pointers++;
	else
		tables->stats.refused++;
	publish(tables, i, &table);
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void *work(void *self)
{
	struct fnp_tables *tables = self;

	/* Stacks wait for tables without loss: whoever started us may go before others, we need not. */
	fnp_priority_normal();
	pthread_mutex_lock(&tables->lock);
	while (!tables->stop) {
		FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
		FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *elf = NULL;
		uint64_t begin_ns;
		uint32_t i;
		int r;

		if (tables->queue.len == 0) {
			pthread_cond_wait(&tables->work, &tables->lock);
			continue;
		}
		i = tables->queue.items[0];
		tables->queue.len--;
		memmove(tables->queue.items, tables->queue.items + 1, tables->queue.len * sizeof(i));
		elf = TAKE_PTR(tables->slots[i].elf);
		pthread_mutex_unlock(&tables->lock);
		begin_ns = thread_cpu_ns();
		r = elf ? fnp_unwind_build_cached(elf, tables->cache, &unwind) : -ENOEXEC;
		if (elf)
			fnp_object_release_pages(elf); /* .eh_frame may be tens of megabytes */
		pthread_mutex_lock(&tables->lock);
		if (r < 0)
			finish_without(tables, i, r);
		else
			finish_ready(tables, i, unwind);
		tables->stats.building--;
		tables->stats.build_ns += thread_cpu_ns() - begin_ns;
		tables->finished++;
		pthread_cond_broadcast(&tables->done);
	}
	pthread_mutex_unlock(&tables->lock);
	return NULL;
}

static void start_workers(struct fnp_tables *tables)
{
	while (tables->n_workers < WORKERS) {
		if (pthread_create(&tables->workers[tables->n_workers], NULL, work, tables) != 0)
			break;
		tables->n_workers++;
	}
}

static uint32_t new_slot(struct fnp_tables *tables)
{
	if (tables->free_slots.len == 0 && tables->n_slots == FNP_TABLES_SLOT_NEVER)
		evict_one(tables);
	if (tables->free_slots.len > 0)
		return tables->free_slots.items[--tables->free_slots.len];
	return tables->n_slots < FNP_TABLES_SLOT_NEVER ? tables->n_slots++ : 0;
}

static int enqueue(struct fnp_tables *tables, uint32_t i, struct fnp_object *elf)
{
	struct slot *slot = &tables->slots[i];

	start_workers(tables);
	if (tables->n_workers == 0)
		return -EAGAIN;
	if (fnp_vec_push(&tables->queue, i) < 0)
		return -ENOMEM;
	slot->state = SLOT_BUILDING;
	slot->without_elf = !elf;
	slot->elf = elf ? fnp_object_ref(elf) : NULL;
	tables->stats.building++;
	pthread_cond_signal(&tables->work);
	return 0;
}

static uint32_t begin(struct fnp_tables *tables, uint32_t id, struct fnp_object *elf)
{
	uint32_t i = new_slot(tables);

	if (i == 0 || fnp_map_set(&tables->by_id, id, i) < 0)
		return 0;
	tables->slots[i] = (struct slot){.id = id};
	if (enqueue(tables, i, elf) < 0) {
		fnp_map_remove(&tables->by_id, id);
		return 0;
	}
	return i;
}

/* ---- without it ---- */

uint32_t fnp_tables_use(struct fnp_tables *tables, uint32_t id, struct fnp_object *elf)
{
	uint64_t *known;
	uint32_t slot;

	pthread_mutex_lock(&tables->lock);
	known = fnp_map_find(&tables->by_id, id);
	slot = known ? (uint32_t)*known : begin(tables, id, elf);
	/* What could not be opened once may be there in another process. */
	if (known && elf && tables->slots[slot].state == SLOT_FAILED && tables->slots[slot].without_elf &&
	    enqueue(tables, slot, elf) == 0)
		withdraw(tables, slot);
	if (slot)
		tables->slots[slot].users++;
	pthread_mutex_unlock(&tables->lock);
	return slot;
}

void fnp_tables_release(struct fnp_tables *tables, uint32_t slot)
{
	if (slot == 0 || slot == FNP_TABLES_SLOT_NEVER)
		return;
	pthread_mutex_lock(&tables->lock);
	if (--tables->slots[slot].users == 0)
		tables->slots[slot].unused_since = ++tables->clock;
	pthread_mutex_unlock(&tables->lock);
}

void fnp_tables_forget(struct fnp_tables *tables, uint32_t id)
{
	uint64_t *known;

	pthread_mutex_lock(&tables->lock);
	known = fnp_map_find(&tables->by_id, id);
	if (known && is_unused(&tables->slots[*known]))
		evict(tables, (uint32_t)*known);
	pthread_mutex_unlock(&tables->lock);
}

void fnp_tables_wait(struct fnp_tables *tables, uint32_t slot)
{
	if (slot == 0 || slot >= FNP_TABLES_SLOT_NEVER)
		return;
	pthread_mutex_lock(&tables->lock);
	while (tables->slots[slot].state == SLOT_BUILDING)
		pthread_cond_wait(&tables->done, &tables->lock);
	pthread_mutex_unlock(&tables->lock);
}

bool fnp_tables_is_building(struct fnp_tables *tables, uint32_t slot)
{
	bool is_building;

	if (slot == 0 || slot >= FNP_TABLES_SLOT_NEVER)
		return false;
	pthread_mutex_lock(&tables->lock);
	is_building = tables->slots[slot].state == SLOT_BUILDING;
	pthread_mutex_unlock(&tables->lock);
	return is_building;
}

uint64_t fnp_tables_finished(struct fnp_tables *tables)
{
	uint64_t finished;

	pthread_mutex_lock(&tables->lock);
	finished = tables->finished;
	pthread_mutex_unlock(&tables->lock);
	return finished;
}

int fnp_tables_lock(struct fnp_tables *tables, const struct fnp_table **ret_tables, size_t *ret_n,
		    const struct fnp_walk_arena **ret_arenas, size_t *ret_n_arenas)
{
	int r;

	pthread_mutex_lock(&tables->lock);
	r = fnp_arenas_map(tables->arenas, ret_arenas, ret_n_arenas);
	if (r < 0) {
		pthread_mutex_unlock(&tables->lock);
		return r;
	}
	*ret_tables = tables->published;
	*ret_n = FNP_TABLES_MAX;
	return 0;
}

void fnp_tables_unlock(struct fnp_tables *tables)
{
	pthread_mutex_unlock(&tables->lock);
}

void fnp_tables_read_stats(struct fnp_tables *tables, struct fnp_tables_stats *ret)
{
	pthread_mutex_lock(&tables->lock);
	*ret = tables->stats;
	pthread_mutex_unlock(&tables->lock);
}
