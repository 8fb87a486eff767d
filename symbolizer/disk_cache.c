/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/disk_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/vec.h"

#define MAGIC UINT64_C(0x3165686361706e66) /* "fnpache1" */

struct fnp_disk_cache {
	atomic_uint owners;
	int fd;
	uint64_t max_bytes;
};

struct header {
	uint64_t magic, size, sum; /* of the bytes behind it, with the name's own hash */
};

/* $FNPROF_CACHE, $XDG_CACHE_HOME/fnprof or ~/.cache/fnprof. */
static int user_path(char ret[PATH_MAX])
{
	const char *own = getenv("FNPROF_CACHE"), *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n;

	if (own)
		n = snprintf(ret, PATH_MAX, "%s", own);
	else if (base && base[0] == '/')
		n = snprintf(ret, PATH_MAX, "%s/fnprof", base);
	else if (home && home[0] == '/')
		n = snprintf(ret, PATH_MAX, "%s/.cache/fnprof", home);
	else
		return -ENOENT;
	return n > 0 && n < PATH_MAX ? 0 : -ENOENT;
}

/* Makes the folder and its parent. */
static int make_folder(const char *path)
{
	char parent[PATH_MAX];
	char *slash;

	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return -errno;
	*slash = '\0';
	if (mkdir(parent, 0700) < 0 && errno != EEXIST)
		return -errno;
	return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

int fnp_disk_cache_open(const char *path, uint64_t max_bytes, struct fnp_disk_cache **ret)
{
	struct fnp_disk_cache *cache;
	char own[PATH_MAX];
	int r = path ? 0 : user_path(own), fd;

	if (r == 0)
		r = make_folder(path ? path : own);
	if (r < 0)
		return r;
	fd = open(path ? path : own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	cache = calloc(1, sizeof(*cache));
	if (!cache) {
		close(fd);
		return -ENOMEM;
	}
	cache->owners = 1;
	cache->fd = fd;
	cache->max_bytes = max_bytes;
	*ret = cache;
	return 0;
}

struct fnp_disk_cache *fnp_disk_cache_ref(struct fnp_disk_cache *cache)
{
	if (cache)
		cache->owners++;
	return cache;
}

void fnp_disk_cache_unref(struct fnp_disk_cache *cache)
{
	if (!cache || --cache->owners > 0)
		return;
	close(cache->fd);
	free(cache);
}

static bool is_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return len > 0 && name[len] == '\0' && len <= FNP_DISK_CACHE_NAME_MAX;
}

static uint64_t sum_of(const char *name, const void *data, size_t size)
{
	return XXH3_64bits_withSeed(data, size, XXH3_64bits(name, strlen(name)));
}

/* A regular file of our own that nobody else may write. */
static int open_entry(const struct fnp_disk_cache *cache, const char *name, size_t *ret_size)
{
	fnp_autoclose int fd = openat(cache->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -ENOENT;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) ||
	    st.st_size < (off_t)sizeof(struct header) ||
	    (uint64_t)st.st_size > FNP_DISK_CACHE_ENTRY_MAX + sizeof(struct header))
		return -ENOENT;
	*ret_size = (size_t)st.st_size;
	return TAKE_FD(fd);
}

int fnp_disk_cache_load(const struct fnp_disk_cache *cache, const char *name, size_t max_bytes,
			struct fnp_buffer *ret)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};
	struct header header;
	fnp_autoclose int fd = -1;
	size_t size;

	if (!cache || !is_name(name))
		return -ENOENT;
	fd = open_entry(cache, name, &size);
	if (fd < 0 || size - sizeof(header) > max_bytes || fnp_file_read_fd(fd, size, &bytes) < 0 ||
	    bytes.len < sizeof(header))
		return -ENOENT;
	memcpy(&header, bytes.data, sizeof(header));
	if (header.magic != MAGIC || header.size != bytes.len - sizeof(header) ||
	    header.sum != sum_of(name, bytes.data + sizeof(header), header.size))
		return -ENOENT;
	(void)futimens(fd, NULL); /* it was used: others go first */
	memmove(bytes.data, bytes.data + sizeof(header), header.size);
	bytes.len = header.size;
	fnp_buffer_deinit(ret);
	*ret = bytes;
	bytes = (struct fnp_buffer){0};
	return 0;
}

struct entry {
	char name[FNP_DISK_CACHE_NAME_MAX + 1];
	uint64_t size;
	int64_t used_ns;
};

typedef FNP_VEC(struct entry) entries;

static int read_entries(int folder, entries *ret, uint64_t *ret_bytes)
{
	fnp_autoclose int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	int r = 0;

	if (!dir)
		return -errno;
	TAKE_FD(fd);
	*ret_bytes = 0;
	for (struct dirent *e; r == 0 && (e = readdir(dir));) {
		struct entry entry;
		struct stat st;

		if (!is_name(e->d_name) || fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		memcpy(entry.name, e->d_name, strlen(e->d_name) + 1);
		entry.size = (uint64_t)st.st_size;
		entry.used_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
		*ret_bytes += entry.size;
		r = fnp_vec_push(ret, entry);
	}
	closedir(dir);
	return r;
}

static int by_use(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->used_ns < y->used_ns ? -1 : x->used_ns > y->used_ns;
}

/* Removes what was not used for longest, until `size` more bytes fit. */
static void make_room(const struct fnp_disk_cache *cache, uint64_t size)
{
	uint64_t bytes = 0;
	entries all = {0};

	if (read_entries(cache->fd, &all, &bytes) == 0 && bytes + size > cache->max_bytes) {
		qsort(all.items, all.len, sizeof(all.items[0]), by_use);
		for (size_t i = 0; i < all.len && bytes + size > cache->max_bytes; i++) {
			unlinkat(cache->fd, all.items[i].name, 0);
			bytes -= all.items[i].size;
		}
	}
	fnp_vec_deinit(&all);
}

/* Under a name of this writer's own, so that two may write the same entry at once. */
static int write_entry(const struct fnp_disk_cache *cache, const char *temporary, const char *name,
		       const void *data, size_t size)
{
	struct header header = {.magic = MAGIC, .size = size, .sum = sum_of(name, data, size)};
	fnp_autoclose int fd = openat(cache->fd, temporary,
				      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = fnp_file_write_all(fd, &header, sizeof(header));
	r = r ?: fnp_file_write_all(fd, data, size);
	return r ?: renameat(cache->fd, temporary, cache->fd, name) < 0 ? -errno : 0;
}

int fnp_disk_cache_store(const struct fnp_disk_cache *cache, const char *name, const void *data, size_t size)
{
	static atomic_uint counter;
	char temporary[64];
	int r;

	if (!cache || !is_name(name))
		return -EINVAL;
	if (size > FNP_DISK_CACHE_ENTRY_MAX || size + sizeof(struct header) > cache->max_bytes / 2)
		return -EFBIG;
	make_room(cache, size + sizeof(struct header));
	snprintf(temporary, sizeof(temporary), ".%d-%u.tmp", (int)getpid(), counter++);
	r = write_entry(cache, temporary, name, data, size);
	if (r < 0)
		unlinkat(cache->fd, temporary, 0);
	return r;
}
