/* SPDX-License-Identifier: GPL-2.0-only */
/* The ring of what runtimes and programs tell of themselves; several objects share it. User space sets its size. */
#ifndef FNP_BPF_PROBES_RING_H
#define FNP_BPF_PROBES_RING_H

#include "bpf/kernel.h"

#define MARK_PREFIX 0x2e666f72706e66ULL /* "fnprof." */
#define MARK_PREFIX_MASK 0x00ffffffffffffffULL

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} probes SEC(".maps");

/* The first eight bytes of a mark. */
static __always_inline bool is_mark(fnp_u64 begin)
{
	return (begin & MARK_PREFIX_MASK) == MARK_PREFIX;
}

#endif
