/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes on the sockets of watched processes, by the cheaper of two hooks that the kernel has. FNPROF_SOCKETS=sys_exit
 * in the environment takes the other one, for tests.
 */
#include <errno.h>

#include "bpf/sockets.skel.h"
#include "profiler/collectors/attach.h"
#include "profiler/collectors/collector.h"

struct sockets_state {
	struct fnp_bpf_sockets *skeleton;
	bool by_length; /* sock_recv_length and sock_send_length, kernel >= 6.3 */
};

static bool choose_by_length(const struct fnp_kernel *kernel)
{
	const char *wish = getenv("FNPROF_SOCKETS");

	if (wish && strcmp(wish, "sys_exit") == 0)
		return false;
	return fnp_kernel_has_tracepoint(kernel, "sock_recv_length") &&
	       fnp_kernel_has_tracepoint(kernel, "sock_send_length");
}

static void sockets_close(void *self)
{
	struct sockets_state *state = self;

	fnp_bpf_sockets__destroy(state->skeleton);
	free(state);
}

static int sockets_load(struct fnp_kernel *kernel, void **ret)
{
	struct sockets_state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		return -ENOMEM;
	state->by_length = choose_by_length(kernel);
	state->skeleton = fnp_bpf_sockets__open_opts(fnp_kernel_open_opts(kernel));
	r = state->skeleton ? 0 : -errno;
	if (r == 0) {
		fnp_collector_configure(kernel, state->skeleton);
		bpf_program__set_autoload(state->skeleton->progs.fnp_sock_recv, state->by_length);
		bpf_program__set_autoload(state->skeleton->progs.fnp_sock_send, state->by_length);
		bpf_program__set_autoload(state->skeleton->progs.fnp_sys_exit, !state->by_length);
		r = fnp_collector_load(kernel, state->skeleton->skeleton, "sockets");
	}
	if (r < 0)
		sockets_close(state);
	else
		*ret = state;
	return r;
}

static int sockets_attach(void *self)
{
	struct sockets_state *state = self;
	struct fnp_bpf_sockets *s = state->skeleton;
	int r;

	if (!state->by_length)
		return fnp_collector_attach(s->progs.fnp_sys_exit, &s->links.fnp_sys_exit);
	r = fnp_collector_attach(s->progs.fnp_sock_recv, &s->links.fnp_sock_recv);
	return r ?: fnp_collector_attach(s->progs.fnp_sock_send, &s->links.fnp_sock_send);
}

static void sockets_detach(void *self)
{
	fnp_bpf_sockets__detach(((struct sockets_state *)self)->skeleton);
}

const struct fnp_collector_ops fnp_collector_sockets = {
	.name = "sockets",
	.description = "invocations, seen on the sockets of their processes",
	.required = true,
	.load = sockets_load,
	.attach = sockets_attach,
	.detach = sockets_detach,
	.close = sockets_close,
};
