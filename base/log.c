/* SPDX-License-Identifier: Apache-2.0 */
/* One buffer, one write: lines of several threads never mix, and a full pipe never splits one. */
#include "base/log.h"

#include <errno.h>

#include "base/text.h"

static void (*before_line)(void);

static const char *prefix_of(enum fnp_log_level level)
{
	switch (level) {
	case FNP_LOG_ERROR:
		return "fnprof: error: ";
	case FNP_LOG_WARNING:
		return "fnprof: warning: ";
	case FNP_LOG_INFO:
	case FNP_LOG_DEBUG:
		break;
	}
	return "fnprof: ";
}

static bool debug_wanted(void)
{
	static int wanted = -1;

	if (wanted < 0)
		wanted = getenv("FNPROF_DEBUG") != NULL;
	return wanted;
}

void fnp_log_set_before(void (*before)(void))
{
	before_line = before;
}

void fnp_vlog(enum fnp_log_level level, const char *fmt, va_list args)
{
	char line[2048];
	int saved_errno = errno;
	size_t len, room;

	if (level == FNP_LOG_DEBUG && !debug_wanted())
		return;
	len = strlen(prefix_of(level));
	memcpy(line, prefix_of(level), len);
	room = sizeof(line) - len - 1;
	int n = vsnprintf(line + len, room, fmt, args);
	if (n > 0) {
		size_t written = FNP_MIN((size_t)n, room - 1);
		fnp_text_make_printable(line + len, written);
		len += written;
	}
	line[len++] = '\n';
	if (before_line)
		before_line();
	if (write(STDERR_FILENO, line, len) < 0) {
		/* Nobody listens; there is no better place to say it. */
	}
	errno = saved_errno;
}

void fnp_log(enum fnp_log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fnp_vlog(level, fmt, args);
	va_end(args);
}

int fnp_error(int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fnp_vlog(FNP_LOG_ERROR, fmt, args);
	va_end(args);
	return code;
}
