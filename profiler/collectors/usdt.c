/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each place is one perf event of the kernel's uprobe unit (since 4.17, with a reference counter since 4.20) and a
 * link of the one program to it, whose cookie (5.15) is the number of its spec. To take one away the kernel waits for
 * everybody who may be in it, some milliseconds; so at the end the descriptors are closed by a few threads at once.
 */
#include "profiler/collectors/usdt.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "bpf/usdt.skel.h"
#include "profiler/collectors/attach.h"
#include "profiler/collectors/collector.h"

#define CLOSERS 16

struct fnp_usdt {
	struct fnp_bpf_usdt *skeleton;
	struct bpf_link *links[FNP_PROBE_SPECS_MAX];
	uint32_t next; /* number of the next one; none is given twice */
};

static void usdt_close(void *self)
{
	struct fnp_usdt *usdt = self;

	fnp_bpf_usdt__destroy(usdt->skeleton);
	free(usdt);
}

/* Two descriptors a place: the usual 1,024 would be all that there are. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = FNP_MIN(limit.rlim_max, (rlim_t)65536);
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int usdt_load(struct fnp_kernel *kernel, void **ret)
{
	struct fnp_usdt *usdt = calloc(1, sizeof(*usdt));
	int r;

	if (!usdt)
		return -ENOMEM;
	usdt->skeleton = fnp_bpf_usdt__open();
	r = usdt->skeleton ? 0 : -errno;
	if (r == 0) {
		fnp_collector_configure(kernel, usdt->skeleton);
		r = fnp_collector_load(kernel, usdt->skeleton->skeleton, "usdt");
	}
	if (r < 0) {
		usdt_close(usdt);
		return r;
	}
	raise_descriptors();
	fnp_kernel_set_usdt(kernel, usdt);
	*ret = usdt;
	return 0;
}

/* Places are attached one by one, as their files are met. */
static int usdt_attach(void *self)
{
	(void)self;
	return 0;
}

struct closer {
	struct fnp_usdt *usdt;
	uint32_t first; /* every CLOSERS'th from here */
};

static void *close_some(void *self)
{
	struct closer *closer = self;

	for (uint32_t i = closer->first; i < FNP_PROBE_SPECS_MAX; i += CLOSERS)
		fnp_usdt_detach(closer->usdt, i);
	return NULL;
}

static void usdt_detach(void *self)
{
	struct closer closers[CLOSERS];
	pthread_t threads[CLOSERS];
	bool runs[CLOSERS];

	for (uint32_t i = 0; i < CLOSERS; i++) {
		closers[i] = (struct closer){.usdt = self, .first = i};
		runs[i] = pthread_create(&threads[i], NULL, close_some, &closers[i]) == 0;
		if (!runs[i])
			close_some(&closers[i]);
	}
	for (uint32_t i = 0; i < CLOSERS; i++) {
		if (runs[i])
			pthread_join(threads[i], NULL);
	}
}

struct fnp_usdt *fnp_usdt_of(struct fnp_kernel *kernel)
{
	return fnp_kernel_usdt(kernel);
}

int fnp_usdt_attach(struct fnp_usdt *usdt, const struct fnp_usdt_where *where,
		    const struct fnp_probe_spec *spec, uint32_t *ret)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .ref_ctr_offset = where->semaphore_offset);
	const uint64_t none = 0;
	uint32_t number = usdt->next;
	struct bpf_link *link;

	if (number >= FNP_PROBE_SPECS_MAX)
		return -ENOSPC;
	if (bpf_map_update_elem(bpf_map__fd(usdt->skeleton->maps.probe_specs), &number, spec, BPF_ANY) < 0 ||
	    bpf_map_update_elem(bpf_map__fd(usdt->skeleton->maps.probe_hits), &number, &none, BPF_ANY) < 0)
		return -errno;
	opts.bpf_cookie = number;
	link = bpf_program__attach_uprobe_opts(usdt->skeleton->progs.fnp_probe, -1, where->path,
					       where->offset, &opts);
	if (!link)
		return -errno;
	usdt->links[number] = link;
	usdt->next++;
	*ret = number;
	return 0;
}

void fnp_usdt_change(struct fnp_usdt *usdt, uint32_t number, const struct fnp_probe_spec *spec)
{
	bpf_map_update_elem(bpf_map__fd(usdt->skeleton->maps.probe_specs), &number, spec, BPF_ANY);
}

void fnp_usdt_detach(struct fnp_usdt *usdt, uint32_t number)
{
	if (usdt->links[number])
		bpf_link__destroy(TAKE_PTR(usdt->links[number]));
}

uint64_t fnp_usdt_hits(struct fnp_usdt *usdt, uint32_t number)
{
	uint64_t hits = 0;

	bpf_map_lookup_elem(bpf_map__fd(usdt->skeleton->maps.probe_hits), &number, &hits);
	return hits;
}

const struct fnp_collector_ops fnp_collector_usdt = {
	.name = "usdt",
	.description = "what runtimes and programs tell of themselves, at probes in their code",
	.load = usdt_load,
	.attach = usdt_attach,
	.detach = usdt_detach,
	.close = usdt_close,
};
