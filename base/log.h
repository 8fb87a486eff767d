/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fnprof says to people: one line a message, on standard error, in one write.
 *
 * The one who knows the cause writes the message (what failed, on what, what to do) and returns the code;
 * callers hand the code up in silence. Control characters in what is printed become `?`, because names come
 * from the programs that we look at.
 */
#ifndef FNP_BASE_LOG_H
#define FNP_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>

#include "base/memory.h"

enum fnp_log_level {
	FNP_LOG_ERROR,	 /* the verb failed */
	FNP_LOG_WARNING, /* something is missing from the result, and the result says so, too */
	FNP_LOG_INFO,
	FNP_LOG_DEBUG, /* only with FNPROF_DEBUG=1 in the environment */
};

/* Prints one line with the prefix of its level. Does not change errno. */
void fnp_log(enum fnp_log_level level, const char *fmt, ...) FNP_PRINTF(2, 3);
void fnp_vlog(enum fnp_log_level level, const char *fmt, va_list args);

/*
 * Called before each line is written, so that a live line on the terminal can be wiped first; NULL to stop.
 * Not thread safe: set it before threads start.
 */
void fnp_log_set_before(void (*before)(void));

/* Log and return in one expression: `return fnp_error(-EINVAL, "...")`. `code` is evaluated first. */
int fnp_error(int code, const char *fmt, ...) FNP_PRINTF(2, 3);

#define fnp_warning(...) fnp_log(FNP_LOG_WARNING, __VA_ARGS__)
#define fnp_info(...) fnp_log(FNP_LOG_INFO, __VA_ARGS__)
#define fnp_debug(...) fnp_log(FNP_LOG_DEBUG, __VA_ARGS__)

/* A message that is worth saying once in a process's life, however often its cause is met. */
#define fnp_warning_once(...)                                                                                \
	do {                                                                                                 \
		static bool said_;                                                                           \
		if (!__atomic_exchange_n(&said_, true, __ATOMIC_RELAXED))                                    \
			fnp_warning(__VA_ARGS__);                                                            \
	} while (0)

#endif
