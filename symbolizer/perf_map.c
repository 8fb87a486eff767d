/* SPDX-License-Identifier: Apache-2.0 */
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
#include "symbolizer/jit_code.h"
#include "symbolizer/jit_process.h"

#define FILE_MAX (UINT64_C(64) << 20)
#define NAME_MAX_BYTES 1024 /* longer names are cut */
#define NAMES_MAX ((size_t)32 << 20)
#define CHUNK_BYTES 65536
#define CHECK_INTERVAL_NS UINT64_C(10000000)

struct fnp_perf_map {
	int fd;
	uint64_t read_bytes; /* whole lines read so far */
	uint64_t next_check_ns;
	struct fnp_intern *names;
	struct fnp_jit_code code; /* a piece for each line */
};

void fnp_perf_map_destroy(struct fnp_perf_map *map)
{
	if (!map)
		return;
	fnp_closep(&map->fd);
	fnp_intern_destroy(map->names);
	fnp_jit_code_deinit(&map->code);
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
	struct fnp_jit_piece piece;
	uint64_t size;

	if (fnp_cursor_left(&c) > 2 && c.pos[0] == '0' && (c.pos[1] | 32) == 'x')
		c.pos += 2;
	if (!take_hex(&c, &piece.start) || !take_space(&c) || !take_hex(&c, &size) || !take_space(&c) ||
	    c.pos == c.end || !fnp_jit_piece_is_sound(piece.start, size))
		return 0;
	int r = fnp_intern_add(map->names, c.pos, FNP_MIN(fnp_cursor_left(&c), (size_t)NAME_MAX_BYTES),
			       &piece.name);
	if (r < 0)
		return r;
	piece.size = (uint32_t)size;
	return fnp_jit_code_add(&map->code, &piece);
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
	size_t before = map->code.pieces.len, used = 0;

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
				FNP_JIT_PIECES_MAX);
			map->read_bytes = FILE_MAX;
			break;
		}
		map->read_bytes += used;
	} while (used > 0 && map->read_bytes < FILE_MAX);
	*ret = map->code.pieces.len > before;
	return 0;
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
		r = fnp_jit_code_sort(&map->code);
	end_ns = fnp_clock_ns();
	map->next_check_ns = end_ns + FNP_MAX(CHECK_INTERVAL_NS, 20 * (end_ns - start_ns));
	return r;
}

int fnp_perf_map_find(struct fnp_perf_map *map, uint64_t address, const char **ret, uint64_t *ret_start)
{
	uint32_t number;

	if (fnp_clock_ns() >= map->next_check_ns)
		(void)fnp_perf_map_refresh(map); /* what was read before is still right */
	if (fnp_jit_code_find(&map->code, address, &number) < 0)
		return -ENOENT;
	*ret = fnp_intern_get_text(map->names, map->code.pieces.items[number].name);
	*ret_start = map->code.pieces.items[number].start;
	return 0;
}

int fnp_perf_map_open_fd(int fd_taken, uid_t uid, struct fnp_perf_map **ret)
{
	FNP_CLEANUP(fnp_perf_map_destroyp) struct fnp_perf_map *map = NULL;
	fnp_autoclose int fd = fd_taken;
	int r = fnp_jit_process_check(fd, uid);

	if (r < 0)
		return r;
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
	int fd;
	int r = fnp_jit_process_open_at(dirfd, name, uid, &fd);

	return r < 0 ? r : fnp_perf_map_open_fd(fd, uid, ret);
}

int fnp_perf_map_open(pid_t pid, struct fnp_perf_map **ret)
{
	struct fnp_jit_process process;
	char path[64], name[64];
	int r = fnp_jit_process_read(pid, &process);

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
	snprintf(name, sizeof(name), "perf-%u.map", process.pid);
	return fnp_perf_map_open_at(tmp, name, process.uid, ret);
}
