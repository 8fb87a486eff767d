/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How objects are loaded without libbpf reading the kernel's whole BTF for each: with the smaller one of kernel_types.h for
 * their relocations, and with the numbers of tracepoints' types for their tp_btf programs.
 *
 * Where that cannot be had (a BTF that is not understood), the options are empty, and libbpf does all as ever.
 */
#ifndef FNP_PROFILER_COLLECTORS_KERNEL_BTF_H
#define FNP_PROFILER_COLLECTORS_KERNEL_BTF_H

#include <stdbool.h>

#include "base/memory.h"

struct bpf_object_open_opts;
struct fnp_kernel_btf;

/* At most one at a time: libbpf's handlers of sections are one table for the program. 0 or -ENOMEM. */
int fnp_kernel_btf_create(struct fnp_kernel_btf **ret);
void fnp_kernel_btf_destroy(struct fnp_kernel_btf *btf);
FNP_DEFINE_CLEANUP(fnp_kernel_btf_destroyp, struct fnp_kernel_btf *, fnp_kernel_btf_destroy)

/* For bpf_object__open_skeleton(). Lives as long as `btf`, which must live until the objects are loaded. */
const struct bpf_object_open_opts *fnp_kernel_btf_open_opts(const struct fnp_kernel_btf *btf);

/* True when a tp_btf program can be attached to the kernel's tracepoint of this name. */
bool fnp_kernel_btf_has_tracepoint(const struct fnp_kernel_btf *btf, const char *name);

#endif
