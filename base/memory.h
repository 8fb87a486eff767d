/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership that can be proven inside one function.
 *
 * Every local that owns something is declared with a cleanup attribute and an initial value; it leaves the
 * function only through TAKE_PTR or TAKE_FD. A cleanup function takes the address of the variable and accepts
 * the neutral value (NULL, -1).
 */
#ifndef FNP_BASE_MEMORY_H
#define FNP_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FNP_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Hands the value of an owning pointer on and leaves NULL behind. */
#define TAKE_PTR(p)                                                                                          \
	({                                                                                                   \
		__typeof__(p) taken_ = (p);                                                                  \
		(p) = NULL;                                                                                  \
		taken_;                                                                                      \
	})

/* Hands a file descriptor on and leaves -1 behind. */
#define TAKE_FD(fd)                                                                                          \
	({                                                                                                   \
		int taken_ = (fd);                                                                           \
		(fd) = -1;                                                                                   \
		taken_;                                                                                      \
	})

/*
 * Declares `name` as the cleanup of an owning variable of `type` (a pointer type), calling `destroy`, which must
 * take NULL. Use: FNP_CLEANUP(fnp_thing_destroyp) struct fnp_thing *thing = NULL;
 */
#define FNP_DEFINE_CLEANUP(name, type, destroy)                                                              \
	static inline void name(type *p)                                                                     \
	{                                                                                                    \
		if (*p)                                                                                      \
			destroy(*p);                                                                         \
		*p = NULL;                                                                                   \
	}

static inline void fnp_freep(void *p)
{
	free(*(void **)p);
	*(void **)p = NULL;
}

static inline void fnp_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void fnp_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
	*f = NULL;
}

#define fnp_autofree FNP_CLEANUP(fnp_freep)
#define fnp_autoclose FNP_CLEANUP(fnp_closep)
#define fnp_autofclose FNP_CLEANUP(fnp_fclosep)

#define FNP_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define FNP_MIN(a, b) ((a) < (b) ? (a) : (b))
#define FNP_MAX(a, b) ((a) > (b) ? (a) : (b))

#define FNP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define FNP_UNUSED __attribute__((unused))

#endif
