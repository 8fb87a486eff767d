/* SPDX-License-Identifier: Apache-2.0 */
/* Exact CPU time at context switches. */
#include <errno.h>

#include "base/clock.h"
#include "bpf/sched.skel.h"
#include "profiler/collectors/attach.h"
#include "profiler/collectors/collector.h"
#include "profiler/collectors/offcpu.h"

static int sched_load(struct fnp_kernel *kernel, void **ret)
{
	struct fnp_bpf_sched *skeleton = fnp_bpf_sched__open_opts(fnp_kernel_open_opts(kernel));
	struct fnp_off_cpu_budget budget = fnp_off_cpu_budget(fnp_kernel_options(kernel)->rate_hz);
	int r;

	if (!skeleton)
		return -errno;
	fnp_collector_configure(kernel, skeleton);
	skeleton->rodata->watch_every_exec = fnp_kernel_options(kernel)->watch_every_exec;
	skeleton->rodata->asked_period_ns = FNP_NS_PER_S / fnp_kernel_options(kernel)->rate_hz;
	skeleton->rodata->off_cpu_budget = budget.stacks;
	skeleton->rodata->off_cpu_least_ns = budget.least_ns;
	skeleton->rodata->off_cpu_share = budget.share;
	r = fnp_collector_load(kernel, skeleton->skeleton, "sched");
	if (r < 0)
		fnp_bpf_sched__destroy(skeleton);
	else
		*ret = skeleton;
	return r;
}

static int sched_attach(void *self)
{
	struct fnp_bpf_sched *s = self;

	return fnp_collector_attach(s->progs.fnp_sched_switch, &s->links.fnp_sched_switch);
}

static void sched_detach(void *self)
{
	fnp_bpf_sched__detach(self);
}

static void sched_close(void *self)
{
	fnp_bpf_sched__destroy(self);
}

const struct fnp_collector_ops fnp_collector_sched = {
	.name = "sched",
	.description = "exact CPU time, at context switches",
	.required = true,
	.load = sched_load,
	.attach = sched_attach,
	.detach = sched_detach,
	.close = sched_close,
};
