/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD: a kernel that refuses to change the period of a perf event, as a seccomp filter may. */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...)
{
	va_list more;
	void *argument;

	va_start(more, request);
	argument = va_arg(more, void *);
	va_end(more);
	if (request == PERF_EVENT_IOC_PERIOD) {
		errno = EPERM;
		return -1;
	}
	return (int)syscall(SYS_ioctl, fd, request, argument);
}
