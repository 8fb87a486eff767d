/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/collectors/kernel.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/vec.h"
#include "profiler/collectors/kernel_btf.h"
#include "profiler/collectors/run_time.h"
#include "profiler/features.h"

#define PROBES_RING_BYTES (2 << 20)
#define LIBBPF_LINES_MAX 60
#define THREADS_MAX_GROWING 65536
#define INITIAL_PID_NS 0xEFFFFFFCU /* PROC_PID_INIT_INO */

struct shared_map {
	char name[32];
	int fd; /* our own duplicate */
};

struct fnp_kernel {
	struct fnp_kernel_options options;
	pthread_mutex_t lock; /* of the two vectors: objects are loaded by several threads */
	uint32_t n_cpus;
	uint32_t own_pid_ns;
	bool allocates_anywhere; /* see grows_as_needed() */
	struct fnp_kernel_btf *btf;
	struct fnp_run_time run_time;
	int set_filter_fd;     /* the program fnp_set_filter; owned by `programs` */
	struct fnp_usdt *usdt; /* the collector's; not owned */
	FNP_VEC(struct shared_map) maps;
	FNP_VEC(int) programs; /* duplicates, for what they cost */
};

/* Where the last `n` lines of a text begin. */
static char *last_lines(char *text, unsigned int n)
{
	char *at = text + strlen(text);

	while (at > text) {
		if (at[-1] == '\n' && at[0] != '\0' && n-- == 1)
			break;
		at--;
	}
	return at;
}

/* We say ourselves what failed; the words of libbpf help those who look closer. */
static int print_of_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	fnp_autofree char *text = NULL;
	char *line, *rest;

	if (level > LIBBPF_WARN || !getenv("FNPROF_DEBUG"))
		return 0;
	if (vasprintf(&text, format, args) < 0)
		return 0;
	/* The verifier's log stands in one message, and its end says what is wrong. */
	rest = last_lines(text, LIBBPF_LINES_MAX);
	while ((line = strsep(&rest, "\n"))) {
		if (*line)
			fnp_debug("%s", line);
	}
	return 0;
}

static uint32_t own_pid_ns(void)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino == INITIAL_PID_NS)
		return 0;
	return (uint32_t)st.st_ino;
}

bool fnp_kernel_is_since(unsigned int major, unsigned int minor)
{
	unsigned int our_major = 0, our_minor = 0;
	struct utsname name;

	return uname(&name) == 0 && sscanf(name.release, "%u.%u", &our_major, &our_minor) == 2 &&
	       (our_major > major || (our_major == major && our_minor >= minor));
}

int fnp_kernel_create(const struct fnp_kernel_options *options, struct fnp_kernel **ret)
{
	FNP_CLEANUP(fnp_kernel_destroyp) struct fnp_kernel *kernel = calloc(1, sizeof(*kernel));
	int n_cpus, r;

	if (!kernel)
		return -ENOMEM;
	kernel->run_time = FNP_RUN_TIME_NONE;
	kernel->set_filter_fd = -1;
	pthread_mutex_init(&kernel->lock, NULL);
	libbpf_set_print(print_of_libbpf);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	n_cpus = libbpf_num_possible_cpus();
	if (n_cpus < 0)
		return fnp_error(n_cpus, "cannot read /sys/devices/system/cpu/possible: %s", strerror(-n_cpus));
	kernel->options = *options;
	kernel->n_cpus = (uint32_t)n_cpus;
	kernel->own_pid_ns = own_pid_ns();
	kernel->allocates_anywhere = fnp_kernel_is_since(6, 1);
	r = fnp_kernel_btf_create(&kernel->btf);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(kernel);
	return 0;
}

void fnp_kernel_destroy(struct fnp_kernel *kernel)
{
	if (!kernel)
		return;
	for (size_t i = 0; i < kernel->maps.len; i++)
		close(kernel->maps.items[i].fd);
	for (size_t i = 0; i < kernel->programs.len; i++)
		close(kernel->programs.items[i]);
	fnp_vec_deinit(&kernel->maps);
	fnp_vec_deinit(&kernel->programs);
	pthread_mutex_destroy(&kernel->lock);
	fnp_run_time_deinit(&kernel->run_time);
	fnp_kernel_btf_destroy(kernel->btf);
	free(kernel);
}

const struct fnp_kernel_options *fnp_kernel_options(const struct fnp_kernel *kernel)
{
	return &kernel->options;
}

uint32_t fnp_kernel_n_cpus(const struct fnp_kernel *kernel)
{
	return kernel->n_cpus;
}

uint32_t fnp_kernel_own_pid_ns(const struct fnp_kernel *kernel)
{
	return kernel->own_pid_ns;
}

const struct bpf_object_open_opts *fnp_kernel_open_opts(const struct fnp_kernel *kernel)
{
	return fnp_kernel_btf_open_opts(kernel->btf);
}

bool fnp_kernel_has_tracepoint(const struct fnp_kernel *kernel, const char *name)
{
	return fnp_kernel_btf_has_tracepoint(kernel->btf, name);
}

/* Maps whose size depends on the machine or on the options; 0: as the object says. */
static uint32_t entries_of(const struct fnp_kernel *kernel, const char *name)
{
	static const char *const one_a_cpu[] = {"on_cpus",	"fnp_cpu_walks",  "fnp_off_cpu_walks",
						"exec_scratch", "socket_scratch", "tick_states",
						"timers"};

	if (strcmp(name, "events") == 0)
		return (uint32_t)kernel->options.events_ring_bytes;
	if (strcmp(name, "samples") == 0)
		return (uint32_t)kernel->options.samples_ring_bytes;
	if (strcmp(name, "probes") == 0)
		return PROBES_RING_BYTES;
	if (strcmp(name, "probe_scratch") == 0)
		return 4 * kernel->n_cpus;
	if (strcmp(name, "threads") == 0 && kernel->allocates_anywhere)
		return THREADS_MAX_GROWING;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(one_a_cpu); i++) {
		if (strcmp(name, one_a_cpu[i]) == 0)
			return kernel->n_cpus;
	}
	return 0;
}

/*
 * Maps whose elements are made when they are needed: they are big, and hardly ever full. From 6.1 on the kernel has an
 * allocator that may be asked in any context; before, elements of what our programs change must be there from the start.
 */
static bool grows_as_needed(const struct fnp_kernel *kernel, const char *name)
{
	static const char *const big[] = {"targets", "threads", "fnp_pid_spaces"};

	for (size_t i = 0; kernel->allocates_anywhere && i < FNP_ARRAY_SIZE(big); i++) {
		if (strcmp(name, big[i]) == 0)
			return true;
	}
	return false;
}

/* Maps of libbpf's own (.rodata, .bss) belong to one object each. */
static bool is_shared(const struct bpf_map *map)
{
	return !bpf_map__is_internal(map);
}

static int set_size(const struct fnp_kernel *kernel, struct bpf_map *map)
{
	const char *name = bpf_map__name(map);
	uint32_t entries = entries_of(kernel, name);
	int r = entries ? bpf_map__set_max_entries(map, entries) : 0;

	if (r == 0 && grows_as_needed(kernel, name))
		r = bpf_map__set_map_flags(map, bpf_map__map_flags(map) | BPF_F_NO_PREALLOC);
	return r;
}

/* As the object declares it; an array of maps is told by one map that is made for that alone. */
static int create_map(const struct bpf_map *map, struct bpf_map *inner)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = bpf_map__map_flags(map));
	fnp_autoclose int example = inner ? create_map(inner, NULL) : -1;
	int fd;

	if (inner && example < 0)
		return example;
	if (inner)
		options.inner_map_fd = (uint32_t)example;
	fd = bpf_map_create(bpf_map__type(map), bpf_map__name(map), bpf_map__key_size(map),
			    bpf_map__value_size(map), bpf_map__max_entries(map), &options);
	return fd < 0 ? -errno : fd;
}

static int find_map(const struct fnp_kernel *kernel, const char *name)
{
	for (size_t i = 0; i < kernel->maps.len; i++) {
		if (strcmp(kernel->maps.items[i].name, name) == 0)
			return kernel->maps.items[i].fd;
	}
	return -ENOENT;
}

/* With the lock held: the map of this name, which whoever comes first creates. Its descriptor stays the kernel's. */
static int share_map(struct fnp_kernel *kernel, struct bpf_map *map)
{
	struct shared_map shared = {.fd = find_map(kernel, bpf_map__name(map))};
	int r;

	if (shared.fd >= 0)
		return bpf_map__reuse_fd(map, shared.fd);
	r = set_size(kernel, map);
	if (r < 0)
		return r;
	shared.fd = create_map(map, bpf_map__inner_map(map));
	if (shared.fd < 0)
		return shared.fd;
	snprintf(shared.name, sizeof(shared.name), "%s", bpf_map__name(map));
	r = fnp_vec_push(&kernel->maps, shared);
	if (r < 0)
		close(shared.fd);
	return r ?: bpf_map__reuse_fd(map, shared.fd);
}

int fnp_kernel_prepare(struct fnp_kernel *kernel, struct bpf_object *object)
{
	struct bpf_map *map;
	int r = 0;

	pthread_mutex_lock(&kernel->lock);
	bpf_object__for_each_map(map, object)
	{
		if (r == 0 && is_shared(map)) {
			r = share_map(kernel, map);
			if (r < 0)
				fnp_debug("cannot create the BPF map %s: %s", bpf_map__name(map), strerror(-r));
		}
	}
	pthread_mutex_unlock(&kernel->lock);
	return r;
}

static int adopt_program(struct fnp_kernel *kernel, struct bpf_program *program)
{
	int fd = bpf_program__fd(program), own, r;

	if (fd < 0)
		return 0; /* not loaded: its kernel feature is not there */
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	r = fnp_vec_push(&kernel->programs, own);
	if (r < 0)
		close(own);
	else if (strcmp(bpf_program__name(program), "fnp_set_filter") == 0)
		kernel->set_filter_fd = own;
	return r;
}

int fnp_kernel_adopt(struct fnp_kernel *kernel, struct bpf_object *object)
{
	struct bpf_program *program;
	int r = 0;

	pthread_mutex_lock(&kernel->lock);
	bpf_object__for_each_program(program, object)
	{
		if (r == 0)
			r = adopt_program(kernel, program);
	}
	pthread_mutex_unlock(&kernel->lock);
	return r;
}

void fnp_kernel_set_usdt(struct fnp_kernel *kernel, struct fnp_usdt *usdt)
{
	kernel->usdt = usdt;
}

struct fnp_usdt *fnp_kernel_usdt(const struct fnp_kernel *kernel)
{
	return kernel->usdt;
}

int fnp_kernel_map_fd(struct fnp_kernel *kernel, const char *name)
{
	int fd;

	pthread_mutex_lock(&kernel->lock);
	fd = find_map(kernel, name);
	pthread_mutex_unlock(&kernel->lock);
	return fd;
}

void fnp_kernel_loaded(void)
{
	fnp_features_forget();
	/* What loading needed is some megabytes. */
	malloc_trim(0);
}

int fnp_kernel_watch(struct fnp_kernel *kernel, uint32_t pid, uint32_t flags, uint16_t port)
{
	struct fnp_target target = {.flags = flags, .port = port};
	int r = bpf_map_update_elem(fnp_kernel_map_fd(kernel, "targets"), &pid, &target, BPF_NOEXIST) ? -errno
												      : 0;

	if (r < 0 && r != -EEXIST)
		return fnp_error(r, "cannot watch process %u: %s", pid, strerror(-r));
	return r;
}

/* The kernel side counts in the same value, so it is changed in place, by a program that is run once for it. */
int fnp_kernel_set_filter(struct fnp_kernel *kernel, uint32_t pid, uint32_t flags, uint16_t port)
{
	struct fnp_filter_request request = {.pid = pid, .flags = flags, .port = port};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &request, .ctx_size_in = sizeof(request));

	if (kernel->set_filter_fd < 0)
		return -ENOENT;
	return bpf_prog_test_run_opts(kernel->set_filter_fd, &opts) < 0 ? -errno : 0;
}

int fnp_kernel_read_target(struct fnp_kernel *kernel, uint32_t pid, struct fnp_target *ret)
{
	return bpf_map_lookup_elem(fnp_kernel_map_fd(kernel, "targets"), &pid, ret) ? -errno : 0;
}

int fnp_kernel_unwatch(struct fnp_kernel *kernel, uint32_t pid)
{
	return bpf_map_delete_elem(fnp_kernel_map_fd(kernel, "targets"), &pid) ? -errno : 0;
}

void fnp_kernel_tend_run_time(struct fnp_kernel *kernel, uint64_t now_ns)
{
	fnp_run_time_turn(&kernel->run_time, now_ns, kernel->programs.items, kernel->programs.len);
}

bool fnp_kernel_run_time_ns(const struct fnp_kernel *kernel, uint64_t *ret)
{
	return fnp_run_time_read(&kernel->run_time, fnp_clock_ns(), kernel->programs.items,
				 kernel->programs.len, ret);
}

uint64_t fnp_kernel_map_bytes(const struct fnp_kernel *kernel)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < kernel->maps.len; i++) {
		fnp_autobuffer struct fnp_buffer text = {0};
		const char *at;
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", kernel->maps.items[i].fd);
		if (fnp_file_read_at(AT_FDCWD, path, 65536, &text) < 0)
			continue;
		at = strstr((char *)text.data, "memlock:");
		if (at)
			sum += strtoull(at + strlen("memlock:"), NULL, 10);
	}
	return sum;
}
