/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbpf loads the kernel's BTF for an object when it has relocations and no path of another BTF, or when one of its
 * programs is of type TRACING and has no program to attach to (obj_needs_vmlinux_btf() of 1.0 to 1.7). So relocations are
 * given a path, of a file in memory; and tp_btf sections are given a handler of ours, which says "attached to a program"
 * until the load, and then gives the number of the type itself. Both are libbpf's public interface since 1.0.
 */
#include "profiler/collectors/kernel_btf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sys/mman.h>

#include "base/file.h"
#include "base/log.h"
#include "profiler/collectors/kernel_types.h"
#include "profiler/features.h"

#define SOME_PROGRAM_FD 1 /* never used as one */

struct fnp_kernel_btf {
	struct fnp_kernel_types types;
	struct bpf_object_open_opts open_opts;
	int file; /* in memory; -1: nothing is known, libbpf looks itself */
	char path[64];
	int handler; /* libbpf's number of ours; 0: none */
};

static int defer_target(struct bpf_program *program, long cookie)
{
	(void)cookie;
	return bpf_program__set_attach_target(program, SOME_PROGRAM_FD, NULL);
}

static int give_target(struct bpf_program *program, struct bpf_prog_load_opts *opts, long cookie)
{
	const struct fnp_kernel_btf *btf = (const void *)cookie;
	const char *section = bpf_program__section_name(program), *slash = strchr(section, '/');
	uint32_t number = slash ? fnp_kernel_types_tracepoint(&btf->types, slash + 1) : 0;

	if (!number) {
		fnp_debug("the kernel's BTF has no tracepoint for '%s'", section);
		return -ESRCH;
	}
	opts->attach_prog_fd = 0;
	opts->attach_btf_id = number;
	return 0;
}

static int attach(const struct bpf_program *program, long cookie, struct bpf_link **ret)
{
	(void)cookie;
	*ret = bpf_program__attach_trace(program);
	return *ret ? 0 : -errno;
}

static int register_handler(struct fnp_kernel_btf *btf)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, handler, .cookie = (long)btf, .prog_setup_fn = defer_target,
		    .prog_prepare_load_fn = give_target, .prog_attach_fn = attach);
	int r = libbpf_register_prog_handler("tp_btf+", BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, &handler);

	if (r < 0)
		return r;
	btf->handler = r;
	return 0;
}

static int write_file(struct fnp_kernel_btf *btf)
{
	fnp_autoclose int file = memfd_create("fnprof-btf", MFD_CLOEXEC);
	int r;

	if (file < 0)
		return -errno;
	r = fnp_file_write_all(file, btf->types.btf.data, btf->types.btf.len);
	if (r < 0)
		return r;
	snprintf(btf->path, sizeof(btf->path), "/proc/self/fd/%d", file);
	/* In a container /proc may not be there. */
	if (access(btf->path, R_OK) < 0)
		return -errno;
	btf->file = TAKE_FD(file);
	return 0;
}

int fnp_kernel_btf_create(struct fnp_kernel_btf **ret)
{
	FNP_CLEANUP(fnp_kernel_btf_destroyp) struct fnp_kernel_btf *btf = calloc(1, sizeof(*btf));
	int r;

	if (!btf)
		return -ENOMEM;
	btf->file = -1;
	btf->open_opts.sz = sizeof(btf->open_opts);
	r = fnp_kernel_types_read(&btf->types);
	r = r ?: write_file(btf);
	r = r ?: register_handler(btf);
	if (r == 0)
		btf->open_opts.btf_custom_path = btf->path;
	else
		fnp_debug("the kernel's BTF is left to libbpf: %s", strerror(-r));
	*ret = TAKE_PTR(btf);
	return 0;
}

void fnp_kernel_btf_destroy(struct fnp_kernel_btf *btf)
{
	if (!btf)
		return;
	if (btf->handler)
		libbpf_unregister_prog_handler(btf->handler);
	fnp_closep(&btf->file);
	fnp_kernel_types_deinit(&btf->types);
	free(btf);
}

const struct bpf_object_open_opts *fnp_kernel_btf_open_opts(const struct fnp_kernel_btf *btf)
{
	return &btf->open_opts;
}

bool fnp_kernel_btf_has_tracepoint(const struct fnp_kernel_btf *btf, const char *name)
{
	return btf->handler ? fnp_kernel_types_tracepoint(&btf->types, name) != 0
			    : fnp_features_has_tracepoint(name);
}
