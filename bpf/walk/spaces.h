/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Which address space a process has. Written by user space, and by the kernel side at fork and exec, so that a child
 * can be walked at once and nothing of an old image is believed.
 */
#ifndef FNP_BPF_WALK_SPACES_H
#define FNP_BPF_WALK_SPACES_H

#include "bpf/walk/seam.h"

FNP_HASH(fnp_pid_spaces, fnp_u32, struct fnp_space_ref, FNP_PIDS_MAX);

#ifdef __bpf__
/* A process forked: the child has its parent's address space. Not to be called for threads. */
FNP_INLINE void fnp_space_fork(fnp_u32 parent_pid, fnp_u32 child_pid)
{
	struct fnp_space_ref *ref = bpf_map_lookup_elem(&fnp_pid_spaces, &parent_pid);

	if (ref) {
		struct fnp_space_ref copy = *ref;
		bpf_map_update_elem(&fnp_pid_spaces, &child_pid, &copy, BPF_ANY);
	}
}

/* A process has a new image: nothing that was known of its memory holds, nor what user space still learns of it. */
FNP_INLINE void fnp_space_exec(fnp_u32 pid)
{
	struct fnp_space_ref none = {.space = FNP_SPACES_MAX};

	bpf_map_update_elem(&fnp_pid_spaces, &pid, &none, BPF_ANY);
}
#endif

#endif
