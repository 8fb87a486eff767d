/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/page/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/file.h"
#include "formats/pprof_reader.h"

#define PROFILE_BYTES_MAX (64u << 20)
#define PROFILE_UNPACKED_MAX (256u << 20)
#define SUMMARY_BYTES_MAX (4u << 20)

/* Opens one component after the other, following no link. openat2 would do it at once, but sandboxes refuse it. */
int fnp_page_open_below(int dirfd, const char *path, int *ret)
{
	fnp_autoclose int at = -1;

	for (;;) {
		size_t len = strcspn(path, "/");
		char name[NAME_MAX + 1];
		bool last = path[len] == '\0';
		if (len == 0 || len > NAME_MAX)
			return -EBADMSG;
		memcpy(name, path, len);
		name[len] = '\0';
		if (strcmp(name, "..") == 0)
			return -EBADMSG;
		int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY);
		int fd = openat(at < 0 ? dirfd : at, name, flags);
		if (fd < 0)
			return -errno;
		fnp_closep(&at);
		at = fd;
		if (last)
			break;
		path += len + 1;
	}
	*ret = TAKE_FD(at);
	return 0;
}

int fnp_page_profile_read(int dirfd, const char *path, struct fnp_profile **ret)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};
	fnp_autoclose int fd = -1;
	struct stat st;
	int r = fnp_page_open_below(dirfd, path, &fd);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	r = fnp_file_read_fd(fd, PROFILE_BYTES_MAX, &bytes);
	if (r < 0)
		return r;
	return fnp_pprof_read(bytes.data, bytes.len, PROFILE_UNPACKED_MAX, ret);
}

int fnp_page_summary_read(int dirfd, json_t **ret)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};
	int r = fnp_file_read_at(dirfd, "summary.json", SUMMARY_BYTES_MAX, &bytes);

	if (r < 0)
		return r;
	json_t *summary = json_loadb((const char *)bytes.data, bytes.len, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(summary)) {
		json_decref(summary);
		return -EBADMSG;
	}
	*ret = summary;
	return 0;
}
