/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks of threads that are back from waits longer than was expected. Nothing is lost without it but those: a kernel that has
 * no such tracepoint is no failure. Its hook is passed by each switch of the host, which costs some 100 ns; not where no stacks
 * of waits are wanted.
 */
#include <bpf/bpf.h>
#include <errno.h>

#include "bpf/returns.skel.h"
#include "profiler/collectors/attach.h"
#include "profiler/collectors/collector.h"
#include "profiler/collectors/offcpu.h"

struct returns_state {
	struct fnp_kernel *kernel;
	struct fnp_bpf_returns *skeleton;
};

static void returns_close(void *self)
{
	struct returns_state *state = self;

	fnp_bpf_returns__destroy(state->skeleton);
	free(state);
}

static int load_skeleton(struct returns_state *state)
{
	struct fnp_off_cpu_budget budget = fnp_off_cpu_budget(fnp_kernel_options(state->kernel)->rate_hz);

	state->skeleton = fnp_bpf_returns__open_opts(fnp_kernel_open_opts(state->kernel));
	if (!state->skeleton)
		return -errno;
	fnp_collector_configure(state->kernel, state->skeleton);
	fnp_collector_configure_walks(state->skeleton);
	state->skeleton->rodata->off_cpu_budget = budget.stacks;
	state->skeleton->rodata->off_cpu_least_ns = budget.least_ns;
	state->skeleton->rodata->off_cpu_share = budget.share;
	return fnp_collector_load(state->kernel, state->skeleton->skeleton, "returns");
}

static int returns_load(struct fnp_kernel *kernel, void **ret)
{
	struct returns_state *state;
	int r;

	if (!fnp_kernel_has_tracepoint(kernel, "sched_exit_tp") ||
	    fnp_off_cpu_budget(fnp_kernel_options(kernel)->rate_hz).stacks == 0)
		return 0;
	state = calloc(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	state->kernel = kernel;
	r = load_skeleton(state);
	if (r < 0)
		returns_close(state);
	else
		*ret = state;
	return r;
}

static void look_back(struct returns_state *state, uint32_t on)
{
	uint32_t zero = 0;

	bpf_map_update_elem(fnp_kernel_map_fd(state->kernel, "off_cpu_looks_back"), &zero, &on, BPF_ANY);
}

static int returns_attach(void *self)
{
	struct returns_state *state = self;
	int r = fnp_collector_attach(state->skeleton->progs.fnp_return, &state->skeleton->links.fnp_return);

	if (r == 0)
		look_back(state, 1);
	return r;
}

static void returns_detach(void *self)
{
	struct returns_state *state = self;

	look_back(state, 0);
	fnp_bpf_returns__detach(state->skeleton);
}

const struct fnp_collector_ops fnp_collector_returns = {
	.name = "returns",
	.description = "stacks of threads that are back from long waits",
	.when = FNP_COLLECTOR_LATE,
	.load = returns_load,
	.attach = returns_attach,
	.detach = returns_detach,
	.close = returns_close,
};
