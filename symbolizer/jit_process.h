/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that says of its code itself, by a file: who it is where that file lies, and how the file is opened
 * without being led astray.
 */
#ifndef FNP_SYMBOLIZER_JIT_PROCESS_H
#define FNP_SYMBOLIZER_JIT_PROCESS_H

#include <sys/types.h>

#include "base/memory.h"

struct fnp_jit_process {
	uid_t uid;	   /* effective; it or root must own the file */
	uint32_t pid;	   /* as the process itself counts: in the innermost PID namespace */
	uint64_t start_ns; /* CLOCK_MONOTONIC, in steps of 10 ms, rounded up; 0 when not known */
};

/* `pid` as we count. 0 or -errno. */
int fnp_jit_process_read(pid_t pid, struct fnp_jit_process *ret);

/*
 * Opens a file for reading that `uid` or root owns: regular, no symbolic link (of its own name), never blocks.
 * -ELOOP, -EINVAL or -EACCES when it is not to be trusted, which is said once; -errno.
 */
int fnp_jit_process_open_at(int dirfd, const char *name, uid_t uid, int *ret_fd);

/* Is this open file one? -EINVAL, -EACCES. */
int fnp_jit_process_check(int fd, uid_t uid);

#endif
