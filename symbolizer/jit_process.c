/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/jit_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define PROC_FILE_MAX 65536
#define START_TIME_FIELD 20 /* in /proc/PID/stat, counted from the one after the name, which is the first */

/* The effective user, and the number in the innermost PID namespace, from /proc/PID/status. */
static int read_status(pid_t pid, struct fnp_jit_process *ret)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	const char *uid_line, *pid_line;
	unsigned int real, effective;
	char path[64];
	char *end;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	int r = fnp_file_read_at(AT_FDCWD, path, PROC_FILE_MAX, &b);
	if (r < 0)
		return r;
	uid_line = strstr((const char *)b.data, "\nUid:");
	if (!uid_line || sscanf(uid_line, "\nUid: %u %u", &real, &effective) != 2)
		return -EBADMSG;
	ret->uid = effective;
	ret->pid = (uint32_t)pid;
	pid_line = strstr((const char *)b.data, "\nNSpid:");
	for (const char *p = pid_line ? pid_line + 7 : ""; *p && *p != '\n'; p = end) {
		unsigned long number = strtoul(p, &end, 10);
		if (end == p)
			break;
		ret->pid = (uint32_t)number;
	}
	return 0;
}

/* The kernel counts a start in clock ticks since boot, with the time that the machine slept. */
static uint64_t start_of(pid_t pid)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	uint64_t ticks_per_s = (uint64_t)sysconf(_SC_CLK_TCK), ticks, start_ns, slept_ns;
	struct timespec boot;
	char path[64];
	char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (fnp_file_read_at(AT_FDCWD, path, PROC_FILE_MAX, &b) < 0)
		return 0;
	/* The name may have spaces and parentheses in it; nothing after it has. */
	at = strrchr((char *)b.data, ')');
	for (int field = 0; at && field < START_TIME_FIELD; field++)
		at = strchr(at + 1, ' ');
	if (!at || ticks_per_s == 0 || clock_gettime(CLOCK_BOOTTIME, &boot) < 0)
		return 0;
	ticks = strtoull(at + 1, NULL, 10) + 1;
	start_ns = ticks / ticks_per_s * FNP_NS_PER_S + ticks % ticks_per_s * (FNP_NS_PER_S / ticks_per_s);
	slept_ns = (uint64_t)boot.tv_sec * FNP_NS_PER_S + (uint64_t)boot.tv_nsec - fnp_clock_ns();
	return start_ns > slept_ns ? start_ns - slept_ns : 0;
}

int fnp_jit_process_read(pid_t pid, struct fnp_jit_process *ret)
{
	struct fnp_jit_process process = {0};
	int r = read_status(pid, &process);

	if (r < 0)
		return r;
	process.start_ns = start_of(pid);
	*ret = process;
	return 0;
}

int fnp_jit_process_check(int fd, uid_t uid)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return st.st_uid != uid && st.st_uid != 0 ? -EACCES : 0;
}

int fnp_jit_process_open_at(int dirfd, const char *name, uid_t uid, int *ret_fd)
{
	fnp_autoclose int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	int r = fd < 0 ? -errno : fnp_jit_process_check(fd, uid);

	if (r == -ELOOP)
		fnp_warning_once("\"%s\" is a symbolic link; JIT code of its process has no names", name);
	else if (r == -EINVAL)
		fnp_warning_once("\"%s\" is no regular file; JIT code of its process has no names", name);
	else if (r == -EACCES)
		fnp_warning_once("\"%s\" belongs to another user than its process, or is hidden from us; JIT "
				 "code of that process has no names",
				 name);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}
