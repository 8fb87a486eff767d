/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All places of a file are one link where the kernel can do that (uprobe_multi, 6.6). Else each is one perf event of the
 * kernel's uprobe unit (since 4.17, with a reference counter since 4.20) and a link of the program to it;
 * FNPROF_UPROBES=one in the environment takes this way, for tests. The cookie (5.15) is the number of the place's spec. To
 * take a link away the kernel waits for everybody who may be in it, up to a tenth of a second.
 */
#include "profiler/collectors/usdt.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/vec.h"
#include "bpf/usdt.skel.h"
#include "profiler/collectors/attach.h"
#include "profiler/collectors/collector.h"

#define CLOSERS 16
#define TRACE_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI of newer headers */

struct fnp_usdt {
	struct fnp_bpf_usdt *skeleton;
	bool has_many; /* fnp_probe_many is loaded, else fnp_probe: each takes the verifier its time */
	struct bpf_link *links[FNP_PROBE_SPECS_MAX]; /* of places that were attached one by one */
	uint32_t many_of[FNP_PROBE_SPECS_MAX];	     /* number of the link below, plus one; 0: none */
	FNP_VEC(int) many;			     /* links of many places */
	uint32_t next;				     /* number of the next one; none is given twice */
};

static void usdt_close(void *self)
{
	struct fnp_usdt *usdt = self;

	for (size_t i = 0; i < usdt->many.len; i++)
		fnp_closep(&usdt->many.items[i]);
	fnp_vec_deinit(&usdt->many);
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

static bool has_many(void)
{
	const char *wish = getenv("FNPROF_UPROBES");

	return fnp_kernel_is_since(6, 6) && !(wish && strcmp(wish, "one") == 0);
}

static int usdt_load(struct fnp_kernel *kernel, void **ret)
{
	struct fnp_usdt *usdt = calloc(1, sizeof(*usdt));
	int r;

	if (!usdt)
		return -ENOMEM;
	usdt->skeleton = fnp_bpf_usdt__open_opts(fnp_kernel_open_opts(kernel));
	r = usdt->skeleton ? 0 : -errno;
	if (r == 0) {
		fnp_collector_configure(kernel, usdt->skeleton);
		usdt->has_many = has_many();
		bpf_program__set_autoload(usdt->skeleton->progs.fnp_probe_many, usdt->has_many);
		bpf_program__set_autoload(usdt->skeleton->progs.fnp_probe, !usdt->has_many);
		bpf_program__set_expected_attach_type(usdt->skeleton->progs.fnp_probe_many, TRACE_UPROBE_MULTI);
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
	struct fnp_usdt *usdt = self;
	struct closer closers[CLOSERS];
	pthread_t threads[CLOSERS];
	bool runs[CLOSERS];

	for (size_t i = 0; i < usdt->many.len; i++)
		fnp_closep(&usdt->many.items[i]);
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

/* Writes the spec and gives the place its number. */
static int prepare(struct fnp_usdt *usdt, struct fnp_usdt_place_of *place)
{
	const uint64_t none = 0;
	uint32_t number = usdt->next;

	if (number >= FNP_PROBE_SPECS_MAX)
		return -ENOSPC;
	if (bpf_map_update_elem(bpf_map__fd(usdt->skeleton->maps.probe_specs), &number, place->spec, BPF_ANY) <
		    0 ||
	    bpf_map_update_elem(bpf_map__fd(usdt->skeleton->maps.probe_hits), &number, &none, BPF_ANY) < 0)
		return -errno;
	usdt->next++;
	place->number = number;
	return 0;
}

static void attach_one(struct fnp_usdt *usdt, const char *path, struct fnp_usdt_place_of *place)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .ref_ctr_offset = place->semaphore_offset,
		    .bpf_cookie = place->number);
	struct bpf_link *link = bpf_program__attach_uprobe_opts(usdt->skeleton->progs.fnp_probe, -1, path,
								place->offset, &opts);

	place->error = link ? 0 : -errno;
	usdt->links[place->number] = link;
}

/* The part of union bpf_attr for BPF_LINK_CREATE that older headers lack (include/uapi/linux/bpf.h of 6.6). */
struct create_many {
	uint32_t program_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, reference_counters, cookies;
	uint32_t n, many_flags, pid, pad;
};

/* All that have a number, as one link. 0 or -errno, then none is there. */
static int attach_many(struct fnp_usdt *usdt, const char *path, const struct fnp_usdt_place_of *places, size_t n)
{
	fnp_autofree uint64_t *numbers = calloc(3 * n, sizeof(*numbers));
	uint64_t *offsets = numbers, *counters = numbers + n, *cookies = numbers + 2 * n;
	struct create_many attr = {
		.program_fd = (uint32_t)bpf_program__fd(usdt->skeleton->progs.fnp_probe_many),
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.reference_counters = (uintptr_t)counters,
		.cookies = (uintptr_t)cookies,
	};
	int fd;

	if (!numbers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (places[i].error < 0)
			continue;
		offsets[attr.n] = places[i].offset;
		counters[attr.n] = places[i].semaphore_offset;
		cookies[attr.n++] = places[i].number;
	}
	if (attr.n == 0)
		return 0;
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		return -errno;
	if (fnp_vec_push(&usdt->many, fd) < 0) {
		close(fd);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < attr.n; i++)
		usdt->many_of[cookies[i]] = (uint32_t)usdt->many.len;
	return 0;
}

void fnp_usdt_attach(struct fnp_usdt *usdt, const char *path, struct fnp_usdt_place_of *places, size_t n)
{
	for (size_t i = 0; i < n; i++)
		places[i].error = prepare(usdt, &places[i]);
	if (n == 0 || (usdt->has_many && attach_many(usdt, path, places, n) == 0))
		return;
	/* One wrong place is enough for all to be refused. */
	for (size_t i = 0; i < n; i++) {
		if (places[i].error == 0 && usdt->has_many)
			places[i].error = attach_many(usdt, path, &places[i], 1);
		else if (places[i].error == 0)
			attach_one(usdt, path, &places[i]);
	}
}

void fnp_usdt_change(struct fnp_usdt *usdt, uint32_t number, const struct fnp_probe_spec *spec)
{
	bpf_map_update_elem(bpf_map__fd(usdt->skeleton->maps.probe_specs), &number, spec, BPF_ANY);
}

void fnp_usdt_detach(struct fnp_usdt *usdt, uint32_t number)
{
	if (usdt->links[number])
		bpf_link__destroy(TAKE_PTR(usdt->links[number]));
	else if (usdt->many_of[number])
		fnp_closep(&usdt->many.items[usdt->many_of[number] - 1]);
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
