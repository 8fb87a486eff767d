/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a stopped thread of a living process with the kernel side's own source, in user space: what the kernel's maps
 * hold is made from /proc and the mapped files, and memory is read from the process.
 */
#ifndef FNP_TESTS_BPF_LIVE_WALK_H
#define FNP_TESTS_BPF_LIVE_WALK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct live_process;

/* What is mapped now; call it again when the process has mapped more. Objects are opened once. */
int live_process_create(pid_t pid, struct live_process **ret);
void live_process_destroy(struct live_process *process);
int live_process_update(struct live_process *process);

/* "python3.12", "native" */
const char *live_process_runtime(const struct live_process *process);

/* One frame of a walk; texts stand until the next walk. */
struct live_frame {
	int kind; /* enum fnp_word_kind */
	uint64_t address;
	const char *object; /* base name of a native frame's file, "" */
	const char *name;   /* of a managed frame; "?" when it could not be named */
	const char *file;
	uint32_t start_line, line;
	bool hidden;
};

#define LIVE_FRAMES_MAX 4096

struct live_stack {
	struct live_frame frames[LIVE_FRAMES_MAX];
	size_t n;
	uint32_t truncation;
};

/*
 * Walks a thread that stands still: it is traced, or traced for the time of the call when `traced` is false.
 * 0 or -errno.
 */
int live_process_walk(struct live_process *process, pid_t tid, bool traced, struct live_stack *ret);

#endif
