/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks of threads that leave their CPU: loaded here, entered from the switch collector's program. */
#include "profiler/collectors/offcpu.h"

#include <bpf/bpf.h>
#include <errno.h>

#include "base/text.h"
#include "bpf/offcpu.skel.h"
#include "profiler/collectors/attach.h"
#include "profiler/collectors/collector.h"

#define LEAST_NS_PER_HZ 500
#define SHARE_PER_HZ 16 /* in 2^-20 */

struct offcpu_state {
	struct fnp_kernel *kernel;
	struct fnp_bpf_offcpu *skeleton;
};

struct fnp_off_cpu_budget fnp_off_cpu_budget(uint32_t rate_hz)
{
	const char *wish = getenv("FNPROF_OFF_CPU");
	uint64_t stacks;

	if (wish && fnp_text_parse_u64(wish, UINT16_MAX, &stacks) == 0)
		return (struct fnp_off_cpu_budget){.stacks = (uint32_t)stacks, .least_ns = UINT32_MAX};
	return (struct fnp_off_cpu_budget){.stacks = rate_hz / 5 ? rate_hz / 5 : 1,
					   .least_ns = LEAST_NS_PER_HZ * rate_hz,
					   .share = SHARE_PER_HZ * rate_hz};
}

static void offcpu_close(void *self)
{
	struct offcpu_state *state = self;

	fnp_bpf_offcpu__destroy(state->skeleton);
	free(state);
}

static int offcpu_load(struct fnp_kernel *kernel, void **ret)
{
	struct offcpu_state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		return -ENOMEM;
	state->kernel = kernel;
	state->skeleton = fnp_bpf_offcpu__open_opts(fnp_kernel_open_opts(kernel));
	r = state->skeleton ? 0 : -errno;
	if (r == 0) {
		fnp_collector_configure(kernel, state->skeleton);
		fnp_collector_configure_walks(state->skeleton);
		r = fnp_collector_load(kernel, state->skeleton->skeleton, "offcpu");
	}
	if (r < 0)
		offcpu_close(state);
	else
		*ret = state;
	return r;
}

static int offcpu_attach(void *self)
{
	struct offcpu_state *state = self;
	int program = bpf_program__fd(state->skeleton->progs.fnp_off_cpu);
	uint32_t zero = 0;

	if (bpf_map_update_elem(fnp_kernel_map_fd(state->kernel, "off_cpu_entry"), &zero, &program, BPF_ANY) ==
	    0)
		return 0;
	return fnp_error(-errno, "cannot enter the program of off-CPU stacks: %s", strerror(errno));
}

static void offcpu_detach(void *self)
{
	struct offcpu_state *state = self;
	uint32_t zero = 0;

	bpf_map_delete_elem(fnp_kernel_map_fd(state->kernel, "off_cpu_entry"), &zero);
}

/* As bpf/off_cpu.h has it. */
struct budget {
	uint64_t window_ns;
	uint32_t taken, period_us, chosen_us, allowed;
	uint64_t ran_ns;
	uint32_t cost_ns, due;
	uint64_t passed_us, always, times, stacks, refused, refused_us;
};

static void offcpu_count(void *self, struct fnp_off_cpu_counts *ret)
{
	struct offcpu_state *state = self;
	uint32_t zero = 0, n_cpus = fnp_kernel_n_cpus(state->kernel);
	fnp_autofree struct budget *budgets = calloc(n_cpus, sizeof(*budgets));

	if (!budgets ||
	    bpf_map_lookup_elem(fnp_kernel_map_fd(state->kernel, "off_cpu_budgets"), &zero, budgets) < 0)
		return;
	for (uint32_t i = 0; i < n_cpus; i++) {
		ret->times += budgets[i].times;
		ret->stacks += budgets[i].stacks;
		ret->refused += budgets[i].refused;
		ret->refused_ns += budgets[i].refused_us * 1000;
	}
}

const struct fnp_collector_ops fnp_collector_offcpu = {
	.name = "offcpu",
	.description = "stacks of threads that wait",
	.when = FNP_COLLECTOR_BEFORE_COMMAND,
	.load = offcpu_load,
	.attach = offcpu_attach,
	.detach = offcpu_detach,
	.close = offcpu_close,
	.off_cpu = offcpu_count,
};
