/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/collectors/attach.h"

#include <errno.h>

int fnp_collector_load(struct fnp_kernel *kernel, struct bpf_object_skeleton *skeleton, const char *name)
{
	int r = fnp_kernel_prepare(kernel, *skeleton->obj);

	r = r ?: bpf_object__load_skeleton(skeleton);
	if (r == -EPERM)
		return fnp_error(
			r,
			"the kernel refuses to load the BPF programs of '%s': run as root, or with CAP_BPF, "
			"CAP_PERFMON and CAP_SYS_RESOURCE; `fnprof doctor` says more",
			name);
	if (r < 0)
		return fnp_error(r,
				 "the kernel refuses the BPF programs of '%s' (%s): `fnprof doctor` says "
				 "what it lacks, "
				 "FNPROF_DEBUG=1 shows its words",
				 name, strerror(-r));
	return fnp_kernel_adopt(kernel, *skeleton->obj);
}

int fnp_collector_attach(struct bpf_program *program, struct bpf_link **ret)
{
	struct bpf_link *link = bpf_program__attach(program);
	int r = link ? 0 : -errno;

	if (r < 0)
		return fnp_error(r, "cannot attach the BPF program %s: %s", bpf_program__name(program),
				 strerror(-r));
	*ret = link;
	return 0;
}
