/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and lines of code that a JIT made, from the jitdump file that some of them write for perf (LLVM, V8, agents of
 * JVMs): `jit-PID.dump`, which the process maps executable so that profilers learn where it is. The format is that of
 * the kernel's tools/perf/Documentation/jitdump-specification.txt, version 1, little-endian.
 *
 * Records bear times, so memory that was used again is told apart. The file is hostile input: a regular one, owned by the
 * process's user or root, of which at most 1 GiB and 1,048,576 functions are read. What the process wrote of other
 * processes' code is left out, unless it is from before its own start: then it was forked. One thread.
 */
#ifndef FNP_SYMBOLIZER_JITDUMP_H
#define FNP_SYMBOLIZER_JITDUMP_H

#include <stdbool.h>

#include "symbolizer/jit_process.h"

struct fnp_jitdump;

/* What is known of an address. Texts are valid until the dump's end. */
struct fnp_jitdump_place {
	const char *name;
	const char *file; /* "" when not known */
	uint32_t line;	  /* 0 when not known */
	uint64_t start;	  /* of the function */
};

/* Is that what such a file is called? */
bool fnp_jitdump_is_name(const char *path);

/*
 * Opens what the process `pid` (as we count) has mapped from `start` to `end`; `path` is where it sees that file.
 * -ENOENT, -EBADMSG when it begins as no jitdump does (it may be empty still), -EACCES or -EINVAL when it is not to be trusted.
 */
int fnp_jitdump_open(pid_t pid, uint64_t start, uint64_t end, const char *path, struct fnp_jitdump **ret);

/* The same for an open file, which is taken in every case. */
int fnp_jitdump_open_fd(int fd, const struct fnp_jit_process *process, struct fnp_jitdump **ret);

void fnp_jitdump_destroy(struct fnp_jitdump *dump);

FNP_DEFINE_CLEANUP(fnp_jitdump_destroyp, struct fnp_jitdump *, fnp_jitdump_destroy)

/*
 * The code that was at an address at a time (CLOCK_MONOTONIC); -ENOENT. Reads what the file has grown by, not more
 * often than every 10 ms, and so that reading takes at most a twentieth of the time.
 */
int fnp_jitdump_find(struct fnp_jitdump *dump, uint64_t address, uint64_t time_ns,
		     struct fnp_jitdump_place *ret);

/* Reads what the file has grown by now; for the last look at a process that is about to go. */
int fnp_jitdump_refresh(struct fnp_jitdump *dump);

#endif
