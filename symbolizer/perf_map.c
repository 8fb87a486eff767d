/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines are appended to a list; after each reading the list is swept once from low to high addresses, with a heap of
 * the lines that have the present address and the newest on top: the result says for each stretch of addresses which
 * line counts, and a binary search reads it.
 */
#include "symbolizer/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/file.h"
#include "base/intern.h"
#include "base/log.h"
#include "base/vec.h"

#define FILE_MAX (UINT64_C(64) << 20)
#define LINES_MAX (UINT32_C(1) << 20)
#define NAME_MAX_BYTES 1024 /* longer names are cut */
#define NAMES_MAX ((size_t)32 << 20)
#define CODE_MAX (UINT64_C(256) << 20) /* no function is larger */
#define CHUNK_BYTES 65536
#define CHECK_INTERVAL_NS UINT64_C(10000000)

struct line {
	uint64_t start;
	uint32_t size;
	uint32_t name;
};

/* From `start` on, up to the next one. */
struct stretch {
	uint64_t start;
	uint32_t line; /* UINT32_MAX: none */
};

struct fnp_perf_map {
	int fd;
	uint64_t read_bytes; /* whole lines read so far */
	uint64_t next_check_ns;
	struct fnp_intern *names;
	FNP_VEC(struct line) lines; /* in the order of the file */
	FNP_VEC(struct stretch) stretches;
};

void fnp_perf_map_destroy(struct fnp_perf_map *map)
{
	if (!map)
		return;
	fnp_closep(&map->fd);
	fnp_intern_destroy(map->names);
	fnp_vec_deinit(&map->lines);
	fnp_vec_deinit(&map->stretches);
	free(map);
}

/* A hexadecimal number of at most 64 bits; moves past it. */
static bool take_hex(struct fnp_cursor *c, uint64_t *ret)
{
	uint64_t value = 0;
	const uint8_t *start = c->pos;

	for (; c->pos < c->end; c->pos++) {
		uint8_t b = *c->pos;
		uint8_t digit = b >= '0' && b <= '9'		     ? b - '0'
				: (b | 32) >= 'a' && (b | 32) <= 'f' ? (b | 32) - 'a' + 10
								     : 16;
		if (digit == 16)
			break;
		if (value >> 60)
			return false;
		value = value << 4 | digit;
	}
	*ret = value;
	return c->pos > start;
}

static bool take_space(struct fnp_cursor *c)
{
	const uint8_t *start = c->pos;

	while (c->pos < c->end && *c->pos == ' ')
		c->pos++;
	return c->pos > start;
}

/* One line without its newline. What is not understood is left out. */
static int add_line(struct fnp_perf_map *map, struct fnp_cursor c)
{
	struct line line;
	uint64_t size;

	if (fnp_cursor_left(&c) > 2 && c.pos[0] == '0' && (c.pos[1] | 32) == 'x')
		c.pos += 2;
	if (!take_hex(&c, &line.start) || !take_space(&c) || !take_hex(&c, &size) || !take_space(&c) ||
	    c.pos == c.end || size == 0 || size > CODE_MAX || line.start > UINT64_MAX - size)
		return 0;
	if (map->lines.len >= LINES_MAX)
		return -ENOSPC;
	int r = fnp_intern_add(map->names, c.pos, FNP_MIN(fnp_cursor_left(&c), (size_t)NAME_MAX_BYTES),
			       &line.name);
	if (r < 0)
		return r;
	line.size = (uint32_t)size;
	return fnp_vec_push(&map->lines, line);
}

/* Adds the whole lines of a chunk; *ret says how many bytes they take. A line that fills the chunk is passed over. */
static int add_lines(struct fnp_perf_map *map, const uint8_t *bytes, size_t len, size_t *ret)
{
	size_t at = 0;

	for (const uint8_t *newline; (newline = memchr(bytes + at, '\n', len - at));) {
		int r = add_line(map, fnp_cursor_of(bytes + at, (size_t)(newline - bytes) - at));
		if (r < 0)
			return r;
		at = (size_t)(newline + 1 - bytes);
	}
	*ret = at == 0 && len == CHUNK_BYTES ? len : at;
	return 0;
}

/* Reads what the file has past what was read; whether lines were added. */
static int read_tail(struct fnp_perf_map *map, bool *ret)
{
	fnp_autofree uint8_t *chunk = malloc(CHUNK_BYTES);
	size_t before = map->lines.len, used = 0;

	if (!chunk)
		return -ENOMEM;
	do {
		ssize_t n = pread(map->fd, chunk, CHUNK_BYTES, (off_t)map->read_bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		int r = add_lines(map, chunk, (size_t)n, &used);
		if (r < 0 && r != -ENOSPC)
			return r;
		if (r == -ENOSPC) {
			fnp_warning_once(
				"a map of JIT code is larger than %u lines; newer code in it has no names",
				LINES_MAX);
			map->read_bytes = FILE_MAX;
			break;
		}
		map->read_bytes += used;
	} while (used > 0 && map->read_bytes < FILE_MAX);
	*ret = map->lines.len > before;
	return 0;
}

struct sweep {
	const struct fnp_perf_map *map;
	uint32_t *heap; /* line numbers, the newest on top */
	size_t n;
};

static void heap_push(struct sweep *s, uint32_t line)
{
	size_t at = s->n++;

	for (; at > 0 && s->heap[(at - 1) / 2] < line; at = (at - 1) / 2)
		s->heap[at] = s->heap[(at - 1) / 2];
	s->heap[at] = line;
}

static void heap_pop(struct sweep *s)
{
	uint32_t last = s->heap[--s->n];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= s->n)
			break;
		if (child + 1 < s->n && s->heap[child + 1] > s->heap[child])
			child++;
		if (s->heap[child] <= last)
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = last;
}

static int add_stretch(struct fnp_perf_map *map, uint64_t start, uint32_t line)
{
	struct stretch *last = map->stretches.len > 0 ? &map->stretches.items[map->stretches.len - 1] : NULL;

	if (last && last->line == line)
		return 0;
	if (last && last->start == start) {
		last->line = line;
		return 0;
	}
	return fnp_vec_push(&map->stretches, (struct stretch){.start = start, .line = line});
}

/* Writes the stretches up to `until`, where the next line begins. */
static int sweep_to(struct sweep *s, struct fnp_perf_map *map, uint64_t until)
{
	while (s->n > 0) {
		const struct line *top = &map->lines.items[s->heap[0]];
		uint64_t end = top->start + top->size;

		if (end > until)
			return 0;
		/* Those below that ended earlier, too, must not come back to life. */
		while (s->n > 0 && map->lines.items[s->heap[0]].start + map->lines.items[s->heap[0]].size <= end)
			heap_pop(s);
		int r = add_stretch(map, end, s->n > 0 ? s->heap[0] : UINT32_MAX);
		if (r < 0)
			return r;
	}
	return 0;
}

struct by_start {
	uint64_t start;
	uint32_t line;
};

static int compare_starts(const void *a, const void *b)
{
	const struct by_start *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->line < y->line ? -1 : x->line > y->line;
}

static int sweep(struct fnp_perf_map *map)
{
	size_t n = map->lines.len;
	fnp_autofree struct by_start *order = malloc(FNP_MAX(n, (size_t)1) * sizeof(*order));
	fnp_autofree uint32_t *heap = malloc(FNP_MAX(n, (size_t)1) * sizeof(*heap));
	struct sweep s = {.map = map, .heap = heap};
	int r = order && heap ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++)
		order[i] = (struct by_start){.start = map->lines.items[i].start, .line = i};
	qsort(order, n, sizeof(*order), compare_starts);
	map->stretches.len = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = sweep_to(&s, map, order[i].start);
		heap_push(&s, order[i].line);
		if (r == 0)
			r = add_stretch(map, order[i].start, heap[0]);
	}
	return r < 0 ? r : sweep_to(&s, map, UINT64_MAX);
}

int fnp_perf_map_refresh(struct fnp_perf_map *map)
{
	uint64_t start_ns = fnp_clock_ns(), end_ns;
	bool grown = false;
	struct stat st;
	int r = 0;

	if (fstat(map->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > map->read_bytes && map->read_bytes < FILE_MAX)
		r = read_tail(map, &grown);
	if (r == 0 && grown)
		r = sweep(map);
	end_ns = fnp_clock_ns();
	map->next_check_ns = end_ns + FNP_MAX(CHECK_INTERVAL_NS, 20 * (end_ns - start_ns));
	return r;
}

static bool search(const struct fnp_perf_map *map, uint64_t address, const char **ret, uint64_t *ret_start)
{
	size_t low = 0, high = map->stretches.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (map->stretches.items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || map->stretches.items[low - 1].line == UINT32_MAX)
		return false;
	const struct line *line = &map->lines.items[map->stretches.items[low - 1].line];
	*ret = fnp_intern_get_text(map->names, line->name);
	*ret_start = line->start;
	return true;
}

int fnp_perf_map_find(struct fnp_perf_map *map, uint64_t address, const char **ret, uint64_t *ret_start)
{
	if (fnp_clock_ns() >= map->next_check_ns)
		(void)fnp_perf_map_refresh(map); /* what was read before is still right */
	return search(map, address, ret, ret_start) ? 0 : -ENOENT;
}

int fnp_perf_map_open_fd(int fd_taken, uid_t uid, struct fnp_perf_map **ret)
{
	FNP_CLEANUP(fnp_perf_map_destroyp) struct fnp_perf_map *map = NULL;
	fnp_autoclose int fd = fd_taken;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_uid != uid && st.st_uid != 0)
		return -EACCES;
	map = calloc(1, sizeof(*map));
	if (!map)
		return -ENOMEM;
	map->fd = TAKE_FD(fd);
	r = fnp_intern_create(NAMES_MAX, &map->names);
	if (r == 0)
		r = fnp_perf_map_refresh(map);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(map);
	return 0;
}

int fnp_perf_map_open_at(int dirfd, const char *name, uid_t uid, struct fnp_perf_map **ret)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	int r = fd < 0 ? -errno : fnp_perf_map_open_fd(fd, uid, ret);

	if (r == -ELOOP)
		fnp_warning_once("\"%s\" is a symbolic link; JIT code of its process has no names", name);
	else if (r == -EINVAL)
		fnp_warning_once("\"%s\" is no regular file; JIT code of its process has no names", name);
	else if (r == -EACCES)
		fnp_warning_once("\"%s\" belongs to another user than its process, or is hidden from us; JIT "
				 "code of that "
				 "process has no names",
				 name);
	return r;
}

/* The effective user, and the number in the innermost PID namespace, from /proc/PID/status. */
static int read_status(pid_t pid, uid_t *ret_uid, unsigned long *ret_pid)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	const char *uid_line, *pid_line;
	unsigned int real, effective;
	char path[64];
	char *end;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	int r = fnp_file_read_at(AT_FDCWD, path, 65536, &b);
	if (r < 0)
		return r;
	uid_line = strstr((const char *)b.data, "\nUid:");
	if (!uid_line || sscanf(uid_line, "\nUid: %u %u", &real, &effective) != 2)
		return -EBADMSG;
	*ret_uid = effective;
	*ret_pid = (unsigned long)pid;
	pid_line = strstr((const char *)b.data, "\nNSpid:");
	for (const char *p = pid_line ? pid_line + 7 : ""; *p && *p != '\n'; p = end) {
		unsigned long number = strtoul(p, &end, 10);
		if (end == p)
			break;
		*ret_pid = number;
	}
	return 0;
}

int fnp_perf_map_open(pid_t pid, struct fnp_perf_map **ret)
{
	unsigned long own_pid;
	char path[64], name[64];
	uid_t uid;
	int r = read_status(pid, &uid, &own_pid);

	if (r < 0)
		return r;
	/* The root itself is a magic link, which leads into the process's mount namespace; nothing below it may be one. */
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	fnp_autoclose int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fnp_autoclose int tmp = openat(root, "tmp", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (tmp < 0)
		return -errno;
	snprintf(name, sizeof(name), "perf-%lu.map", own_pid);
	return fnp_perf_map_open_at(tmp, name, uid, ret);
}
