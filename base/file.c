/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

int fnp_file_read_fd(int fd, size_t max, struct fnp_buffer *ret)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	for (;;) {
		uint8_t *p = fnp_buffer_room(&b, 4096);
		if (!p)
			return -ENOMEM;
		ssize_t n = pread(fd, p, b.cap - b.len - 1, (off_t)b.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		b.len += (size_t)n;
		if (b.len > max)
			return -EFBIG;
	}
	b.data[b.len] = '\0';
	*ret = b;
	b = (struct fnp_buffer){0};
	return 0;
}

int fnp_file_read_at(int dirfd, const char *path, size_t max, struct fnp_buffer *ret)
{
	fnp_autoclose int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return fnp_file_read_fd(fd, max, ret);
}

int fnp_file_write_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* "a/b" becomes "a/.b.tmp". */
static int temporary_name(const char *path, char ret[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int dir_len = slash ? (int)(slash + 1 - path) : 0;
	int n = snprintf(ret, PATH_MAX, "%.*s.%s.tmp", dir_len, path, path + dir_len);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int fnp_file_begin_at(int dirfd, const char *path, int *ret_fd)
{
	char tmp[PATH_MAX];
	int r = temporary_name(path, tmp);

	if (r < 0)
		return r;
	int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int fnp_file_commit_at(int dirfd, const char *path)
{
	char tmp[PATH_MAX];
	int r = temporary_name(path, tmp);

	if (r < 0)
		return r;
	if (renameat(dirfd, tmp, dirfd, path) < 0) {
		r = -errno;
		unlinkat(dirfd, tmp, 0);
	}
	return r;
}

void fnp_file_abort_at(int dirfd, const char *path)
{
	char tmp[PATH_MAX];

	if (temporary_name(path, tmp) == 0)
		unlinkat(dirfd, tmp, 0);
}

int fnp_file_write_at(int dirfd, const char *path, const void *data, size_t len)
{
	fnp_autoclose int fd = -1;
	int r = fnp_file_begin_at(dirfd, path, &fd);

	if (r < 0)
		return r;
	r = fnp_file_write_all(fd, data, len);
	if (r == 0)
		return fnp_file_commit_at(dirfd, path);
	fnp_file_abort_at(dirfd, path);
	return r;
}

int fnp_file_mkdir_at(int dirfd, const char *path)
{
	if (mkdirat(dirfd, path, 0755) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}
