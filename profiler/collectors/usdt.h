/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes on places in code of files, for every process of the host that maps them, now or later. The kernel keeps
 * a breakpoint in each of these processes, and raises the place's semaphore in their memory; both are undone by the
 * kernel itself when the last descriptor goes, also after kill -9. What is hit by watched processes becomes records
 * (bpf/usdt.bpf.c); what is hit by others costs them the trap and a look-up.
 *
 * A probe is on the file (its inode), not on the name: who replaces the file has another file, and processes that run
 * the old one keep their probes.
 */
#ifndef FNP_PROFILER_COLLECTORS_USDT_H
#define FNP_PROFILER_COLLECTORS_USDT_H

#include "bpf/layout/probe.h"
#include "profiler/collectors/kernel.h"

struct fnp_usdt;

/* The collector's, once it is loaded; NULL: it is not, and there are no probes. */
struct fnp_usdt *fnp_usdt_of(struct fnp_kernel *kernel);

/* One of several places of a file. */
struct fnp_usdt_place_of {
	uint64_t offset;	   /* in the file */
	uint64_t semaphore_offset; /* in the file; 0: none */
	const struct fnp_probe_spec *spec;
	int error;	 /* result: 0 or -errno of the kernel */
	uint32_t number; /* result: which its records bear as `spec` */
};

/*
 * Puts probes on a file: at once where the kernel can (6.6), because to take them away one by one takes it a tenth of a
 * second each; else one by one. `path` is opened by the kernel during the call; a link below /proc will do. Each place
 * has its own result; -ENOSPC when there are FNP_PROBE_SPECS_MAX of them. Says nothing.
 */
void fnp_usdt_attach(struct fnp_usdt *usdt, const char *path, struct fnp_usdt_place_of *places, size_t n);

/* Tells the kernel side to read other things there. */
void fnp_usdt_change(struct fnp_usdt *usdt, uint32_t number, const struct fnp_probe_spec *spec);

/*
 * Takes a probe away, and with it those that were put on the file at once. Numbers are given to no other, because
 * records may be on the way.
 */
void fnp_usdt_detach(struct fnp_usdt *usdt, uint32_t number);

/* How often a probe was hit so far, by any process. */
uint64_t fnp_usdt_hits(struct fnp_usdt *usdt, uint32_t number);

#endif
