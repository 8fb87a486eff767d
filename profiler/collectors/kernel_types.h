/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own type information (BTF), looked through once, and cut down to what our programs ask for.
 *
 * libbpf reads and indexes all of it, some 6 MB with 150,000 types, for each object that it loads; with what is kept here
 * it need not at all. What is kept: of the structures whose names occur in bpf/ (from a list made by the build) the fields,
 * with everything that lies in them by value, as a BTF of some ten kilobytes for CO-RE (btf_custom_path); and the numbers
 * of the types by which programs are attached to tracepoints (tp_btf). Pointers become pointers to nothing: relocations
 * never follow one.
 *
 * The format is Documentation/bpf/btf.rst of the kernel. What is not understood is an error, never a guess; the caller
 * then leaves the work to libbpf.
 */
#ifndef FNP_PROFILER_KERNEL_TYPES_H
#define FNP_PROFILER_KERNEL_TYPES_H

#include "base/buffer.h"
#include "base/map.h"

/* All zero is a valid empty one. */
struct fnp_kernel_types {
	struct fnp_buffer btf;	    /* the smaller one */
	struct fnp_map tracepoints; /* hash of a name -> number of its type in the kernel's BTF */
};

void fnp_kernel_types_deinit(struct fnp_kernel_types *types);

/*
 * From the bytes of a BTF, with the structures, unions and enumerations that have one of `n` names. `ret` is empty
 * before. 0, -EBADMSG (malformed, or newer than this reader) or -ENOMEM.
 */
int fnp_kernel_types_parse(const void *data, size_t size, const char *const names[], size_t n,
			   struct fnp_kernel_types *ret);

/* From the running kernel, with the names that our programs use. Further: -errno of reading it. */
int fnp_kernel_types_read(struct fnp_kernel_types *ret);

/* The type of `btf_trace_NAME`, by which a program is attached to that tracepoint; 0: the kernel has none. */
uint32_t fnp_kernel_types_tracepoint(const struct fnp_kernel_types *types, const char *name);

#endif
