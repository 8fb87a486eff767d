/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the collectors' objects have in common in the kernel: maps that are created once and shared by name, the
 * values that are set before load, the map of targets, what the programs cost.
 */
#ifndef FNP_PROFILER_COLLECTORS_KERNEL_H
#define FNP_PROFILER_COLLECTORS_KERNEL_H

#include <stdbool.h>

#include "base/memory.h"
#include "bpf/wire.h"

struct bpf_object;
struct fnp_kernel;

struct fnp_kernel_options {
	uint32_t rate_hz;
	bool watch_every_exec;	  /* host-wide recording */
	size_t events_ring_bytes; /* powers of two */
	size_t samples_ring_bytes;
};

int fnp_kernel_create(const struct fnp_kernel_options *options, struct fnp_kernel **ret);
void fnp_kernel_destroy(struct fnp_kernel *kernel);
FNP_DEFINE_CLEANUP(fnp_kernel_destroyp, struct fnp_kernel *, fnp_kernel_destroy)

const struct fnp_kernel_options *fnp_kernel_options(const struct fnp_kernel *kernel);
uint32_t fnp_kernel_n_cpus(const struct fnp_kernel *kernel);	 /* possible CPUs: numbers are below it */
uint32_t fnp_kernel_own_pid_ns(const struct fnp_kernel *kernel); /* 0: the initial one */

/* How every object is opened: with the kernel's type information that is read once for all of them. */
struct bpf_object_open_opts;
const struct bpf_object_open_opts *fnp_kernel_open_opts(const struct fnp_kernel *kernel);

/* By the release that uname() tells. */
bool fnp_kernel_is_since(unsigned int major, unsigned int minor);

/* True when a tp_btf program can be attached to the kernel's tracepoint of this name. */
bool fnp_kernel_has_tracepoint(const struct fnp_kernel *kernel, const char *name);

/*
 * Between open and load: the object's maps are those of its name that another object brought, or are created. Several
 * threads may load objects at a time.
 */
int fnp_kernel_prepare(struct fnp_kernel *kernel, struct bpf_object *object);

/* After load: its programs are counted for the cost. */
int fnp_kernel_adopt(struct fnp_kernel *kernel, struct bpf_object *object);

/* The file descriptor of a shared map; -ENOENT. It stays the kernel's. */
int fnp_kernel_map_fd(struct fnp_kernel *kernel, const char *name);

/* Where who puts probes finds the collector that does (usdt.h). */
struct fnp_usdt;
void fnp_kernel_set_usdt(struct fnp_kernel *kernel, struct fnp_usdt *usdt);
struct fnp_usdt *fnp_kernel_usdt(const struct fnp_kernel *kernel);

/* Objects are loaded: gives back the memory that only loading needed. */
void fnp_kernel_loaded(void);

/* ---- targets ---- */

int fnp_kernel_watch(struct fnp_kernel *kernel, uint32_t pid, uint32_t flags, uint16_t port);
int fnp_kernel_set_filter(struct fnp_kernel *kernel, uint32_t pid, uint32_t flags, uint16_t port);
int fnp_kernel_read_target(struct fnp_kernel *kernel, uint32_t pid, struct fnp_target *ret);
int fnp_kernel_unwatch(struct fnp_kernel *kernel, uint32_t pid);

/* ---- cost ---- */

/* Run time of all programs since the first of the calls below, estimated (run_time.h); false when the kernel does not count it. */
bool fnp_kernel_run_time_ns(const struct fnp_kernel *kernel, uint64_t *ret);

/* Some ten times a second, once all are attached. */
void fnp_kernel_tend_run_time(struct fnp_kernel *kernel, uint64_t now_ns);

/* Memory of all maps, as the kernel accounts it. */
uint64_t fnp_kernel_map_bytes(const struct fnp_kernel *kernel);

#endif
