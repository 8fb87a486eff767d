/* SPDX-License-Identifier: Apache-2.0 */
/* Fork, exec and exit of watched processes; the first collector, which creates the shared maps. */
#include <errno.h>

#include "bpf/processes.skel.h"
#include "profiler/collectors/attach.h"
#include "profiler/collectors/collector.h"

struct processes_state {
	struct fnp_bpf_processes *skeleton;
};

static void processes_close(void *self)
{
	struct processes_state *state = self;

	fnp_bpf_processes__destroy(state->skeleton);
	free(state);
}

static int processes_load(struct fnp_kernel *kernel, void **ret)
{
	struct processes_state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		return -ENOMEM;
	state->skeleton = fnp_bpf_processes__open_opts(fnp_kernel_open_opts(kernel));
	r = state->skeleton ? 0 : -errno;
	if (r == 0) {
		fnp_collector_configure(kernel, state->skeleton);
		state->skeleton->rodata->watch_every_exec = fnp_kernel_options(kernel)->watch_every_exec;
		r = fnp_collector_load(kernel, state->skeleton->skeleton, "processes");
	}
	if (r < 0)
		processes_close(state);
	else
		*ret = state;
	return r;
}

static int processes_attach(void *self)
{
	struct fnp_bpf_processes *s = ((struct processes_state *)self)->skeleton;
	int r = fnp_collector_attach(s->progs.fnp_process_fork, &s->links.fnp_process_fork);

	r = r ?: fnp_collector_attach(s->progs.fnp_process_exec, &s->links.fnp_process_exec);
	return r ?: fnp_collector_attach(s->progs.fnp_process_exit, &s->links.fnp_process_exit);
}

static void processes_detach(void *self)
{
	fnp_bpf_processes__detach(((struct processes_state *)self)->skeleton);
}

const struct fnp_collector_ops fnp_collector_processes = {
	.name = "processes",
	.description = "processes as they fork, exec and exit",
	.required = true,
	.load = processes_load,
	.attach = processes_attach,
	.detach = processes_detach,
	.close = processes_close,
};
