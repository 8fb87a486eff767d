/* SPDX-License-Identifier: GPL-2.0-only */
/* The ring of stacks. It may be full without harm to the one of events. */
#ifndef FNP_BPF_SAMPLES_RING_H
#define FNP_BPF_SAMPLES_RING_H

#include "bpf/kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} samples SEC(".maps");

#endif
