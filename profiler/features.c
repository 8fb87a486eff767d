/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wherever the kernel's answer depends on more than one switch (capabilities, sysctls, seccomp, lockdown, a security
 * module), the probe does the thing itself and reports the error; reading the switches alone would guess.
 */
#include "profiler/features.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "profiler/rate.h"

#define TRACEFS "/sys/kernel/tracing"
#define TRACEFS_SUPER_MAGIC 0x74726163
#define CGROUP2_SUPER_MAGIC 0x63677270
#define INITIAL_PID_NS 0xEFFFFFFCU /* PROC_PID_INIT_INO */
#define OUTSIDE_USER_NAMESPACE                                                                               \
	"run fnprof as root outside of this user namespace: a rootless container cannot load BPF"

static void set(struct fnp_feature_result *ret, enum fnp_feature_state state, const char *fmt, ...)
	FNP_PRINTF(3, 4);
static void remedy(struct fnp_feature_result *ret, const char *fmt, ...) FNP_PRINTF(2, 3);

static void set(struct fnp_feature_result *ret, enum fnp_feature_state state, const char *fmt, ...)
{
	va_list args;

	ret->state = state;
	ret->remedy[0] = '\0';
	va_start(args, fmt);
	vsnprintf(ret->found, sizeof(ret->found), fmt, args);
	va_end(args);
}

static void remedy(struct fnp_feature_result *ret, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(ret->remedy, sizeof(ret->remedy), fmt, args);
	va_end(args);
}

/* A small file as text, without its last newline; false when it cannot be read. */
static bool read_text(const char *path, char *ret, size_t size)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};

	if (fnp_file_read_at(AT_FDCWD, path, 1u << 16, &bytes) < 0)
		return false;
	snprintf(ret, size, "%s", (const char *)bytes.data);
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

/* ---- place and kernel --------------------------------------------------------------------------------------- */

static void probe_place(struct fnp_feature_result *ret)
{
	if (getenv("AWS_LAMBDA_FUNCTION_NAME") && access("/var/runtime", F_OK) == 0 &&
	    getenv("LAMBDA_TASK_ROOT") && geteuid() != 0) {
		set(ret, FNP_FEATURE_MISSING, "this looks like a managed function's own sandbox");
		remedy(ret, "such hosts let nobody load BPF: run fnprof on a host of your own (Kubernetes, a "
			    "VM, CI, the "
			    "runtime interface emulator)");
		return;
	}
	set(ret, FNP_FEATURE_THERE, "a host of your own, as far as one can see");
}

static void probe_kernel(struct fnp_feature_result *ret)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2) {
		set(ret, FNP_FEATURE_MISSING, "the kernel does not say its version");
		return;
	}
	if (major > 5 || (major == 5 && minor >= 15)) {
		set(ret, FNP_FEATURE_THERE, "%.60s on %.20s", name.release, name.machine);
		return;
	}
	set(ret, FNP_FEATURE_MISSING, "%.60s is too old", name.release);
	remedy(ret, "boot Linux 5.15 or a newer one");
}

static void probe_btf(struct fnp_feature_result *ret)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0) {
		set(ret, FNP_FEATURE_THERE, "/sys/kernel/btf/vmlinux");
		return;
	}
	set(ret, FNP_FEATURE_MISSING, "/sys/kernel/btf/vmlinux: %s", strerror(errno));
	remedy(ret, "boot a kernel that was built with CONFIG_DEBUG_INFO_BTF=y; in a container, mount /sys");
}

/* The word in brackets of "none [integrity] confidentiality". */
static void probe_lockdown(struct fnp_feature_result *ret)
{
	char text[128];

	if (!read_text("/sys/kernel/security/lockdown", text, sizeof(text)) || strstr(text, "[none]")) {
		set(ret, FNP_FEATURE_THERE, "off");
	} else if (strstr(text, "[confidentiality]")) {
		set(ret, FNP_FEATURE_MISSING, "confidentiality: BPF may not read memory");
		remedy(ret, "boot with lockdown=none or lockdown=integrity");
	} else {
		set(ret, FNP_FEATURE_THERE, "%.60s", text);
	}
}

/* ---- privileges --------------------------------------------------------------------------------------------- */

static uint64_t effective_capabilities(void)
{
	fnp_autobuffer struct fnp_buffer status = {0};
	unsigned long long caps = 0;

	if (fnp_file_read_at(AT_FDCWD, "/proc/self/status", 1u << 16, &status) < 0)
		return 0;
	const char *line = strstr((const char *)status.data, "\nCapEff:");
	if (!line || sscanf(line, "\nCapEff: %llx", &caps) != 1)
		return 0;
	return caps;
}

/* Has `cap`, or CAP_SYS_ADMIN, which stood for the newer ones before there were any. */
static bool has_capability(int cap)
{
	uint64_t caps = effective_capabilities();

	return caps & 1ull << cap || caps & 1ull << CAP_SYS_ADMIN;
}

static void probe_capability(struct fnp_feature_result *ret, int cap, const char *name,
			     enum fnp_feature_state without)
{
	if (has_capability(cap)) {
		set(ret, FNP_FEATURE_THERE, "held");
		return;
	}
	set(ret, without, "%s is not held", name);
	remedy(ret, "run as root, or give it: sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_syslog,"
		    "cap_dac_read_search+ep fnprof; a container needs --privileged or --cap-add");
}

static void probe_cap_bpf(struct fnp_feature_result *ret)
{
	probe_capability(ret, CAP_BPF, "CAP_BPF", FNP_FEATURE_MISSING);
}

static void probe_cap_perfmon(struct fnp_feature_result *ret)
{
	probe_capability(ret, CAP_PERFMON, "CAP_PERFMON", FNP_FEATURE_MISSING);
}

bool fnp_features_may_read_others(void)
{
	return effective_capabilities() & 1ull << CAP_SYS_PTRACE;
}

static void probe_cap_ptrace(struct fnp_feature_result *ret)
{
	if (fnp_features_may_read_others()) {
		set(ret, FNP_FEATURE_THERE, "held");
		return;
	}
	set(ret, FNP_FEATURE_LESS, "CAP_SYS_PTRACE is not held: only processes of your own user can be read");
	remedy(ret, "run as root, or add CAP_SYS_PTRACE");
}

static bool in_user_namespace(void)
{
	unsigned long long inside = 1, outside = 1, length = 0;
	char text[128];

	return read_text("/proc/self/uid_map", text, sizeof(text)) &&
	       sscanf(text, "%llu %llu %llu", &inside, &outside, &length) == 3 && length < 4294967295u;
}

static void probe_user_namespace(struct fnp_feature_result *ret)
{
	if (!in_user_namespace()) {
		set(ret, FNP_FEATURE_THERE, "the host's own");
		return;
	}
	set(ret, FNP_FEATURE_LESS, "a user namespace: capabilities count inside it alone");
	remedy(ret, OUTSIDE_USER_NAMESPACE);
}

static void probe_pid_namespace(struct fnp_feature_result *ret)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) == 0 && st.st_ino != INITIAL_PID_NS) {
		set(ret, FNP_FEATURE_LESS, "a PID namespace: processes outside of it are not seen");
		remedy(ret, "for every function of the host, run fnprof with the host's PID namespace "
			    "(--pid=host)");
		return;
	}
	set(ret, FNP_FEATURE_THERE, "the host's own");
}

/* ---- BPF and timers, by doing --------------------------------------------------------------------------------- */

static void probe_bpf(struct fnp_feature_result *ret)
{
	fnp_autoclose int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "fnprof_probe", 0, 0, 4096, NULL);
	int code = errno;

	if (fd >= 0) {
		set(ret, FNP_FEATURE_THERE, "a ring buffer was made and freed");
		return;
	}
	set(ret, FNP_FEATURE_MISSING, "the kernel refuses a ring buffer: %s", strerror(code));
	if (code == EPERM && in_user_namespace())
		remedy(ret, OUTSIDE_USER_NAMESPACE);
	else if (code == EPERM && has_capability(CAP_BPF))
		remedy(ret,
		       "something beside capabilities forbids it: seccomp of a container (--privileged, or a "
		       "profile that lets bpf() through), a security module, or RLIMIT_MEMLOCK on old "
		       "kernels");
	else if (code == EPERM)
		remedy(ret, "run as root or with CAP_BPF");
	else
		remedy(ret, "boot a kernel that was built with CONFIG_BPF_SYSCALL=y");
}

static void probe_timer(struct fnp_feature_result *ret)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000000,
		.disabled = 1,
	};
	fnp_autoclose int fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	int code = errno;
	char paranoid[32] = "?";

	if (!read_text("/proc/sys/kernel/perf_event_paranoid", paranoid, sizeof(paranoid)))
		snprintf(paranoid, sizeof(paranoid), "?");
	if (fd >= 0) {
		set(ret, FNP_FEATURE_THERE, "perf_event_open works (perf_event_paranoid %s)", paranoid);
		return;
	}
	set(ret, FNP_FEATURE_MISSING, "perf_event_open: %s (perf_event_paranoid %s)", strerror(code), paranoid);
	if ((code == EACCES || code == EPERM) && in_user_namespace())
		remedy(ret, OUTSIDE_USER_NAMESPACE);
	else if (code == EACCES || code == EPERM)
		remedy(ret, "run as root or with CAP_PERFMON (a container: let perf_event_open through "
			    "seccomp), or "
			    "sysctl kernel.perf_event_paranoid=-1");
	else
		remedy(ret, "boot a kernel that was built with CONFIG_PERF_EVENTS=y");
}

static void probe_rate(struct fnp_feature_result *ret)
{
	uint32_t rate_hz = fnp_rate_allowed(FNP_RATE_LIMIT_FILE, FNP_RATE_HZ_MAX);

	set(ret, rate_hz < FNP_RATE_HZ_MAX ? FNP_FEATURE_LESS : FNP_FEATURE_THERE,
	    "%u a second and processor at most", rate_hz);
	if (rate_hz < FNP_RATE_HZ_MAX)
		remedy(ret, "sysctl kernel.perf_event_max_sample_rate=100000");
}

static void probe_program(struct fnp_feature_result *ret, enum bpf_prog_type type, const char *option)
{
	int r = libbpf_probe_bpf_prog_type(type, NULL);

	if (r == 1) {
		set(ret, FNP_FEATURE_THERE, "the kernel takes such programs");
		return;
	}
	set(ret, FNP_FEATURE_MISSING, "%s", r == 0 ? "the kernel refuses such programs" : strerror(-r));
	if (!has_capability(CAP_BPF) || !has_capability(CAP_PERFMON))
		remedy(ret, "run as root or with CAP_BPF and CAP_PERFMON");
	else if (in_user_namespace())
		remedy(ret, OUTSIDE_USER_NAMESPACE);
	else
		remedy(ret, "boot a kernel that was built with %s=y", option);
}

static void probe_perf_program(struct fnp_feature_result *ret)
{
	probe_program(ret, BPF_PROG_TYPE_PERF_EVENT, "CONFIG_BPF_EVENTS");
}

/* ---- tracepoints -------------------------------------------------------------------------------------------- */

static struct btf *kernel_btf; /* kept for a while, because it takes milliseconds to load */

bool fnp_features_has_tracepoint(const char *name)
{
	char type[128];

	if (!kernel_btf)
		kernel_btf = btf__load_vmlinux_btf();
	if (!kernel_btf || libbpf_get_error(kernel_btf)) {
		kernel_btf = NULL;
		return false;
	}
	/* Every tracepoint has a typedef btf_trace_NAME (include/trace/bpf_probe.h). */
	snprintf(type, sizeof(type), "btf_trace_%s", name);
	return btf__find_by_name_kind(kernel_btf, type, BTF_KIND_TYPEDEF) > 0;
}

void fnp_features_forget(void)
{
	btf__free(kernel_btf);
	kernel_btf = NULL;
}

static void probe_tracepoints(struct fnp_feature_result *ret, const char *const *names, size_t n,
			      enum fnp_feature_state without)
{
	for (size_t i = 0; i < n; i++) {
		if (fnp_features_has_tracepoint(names[i]))
			continue;
		set(ret, without, "the kernel's BTF has no tracepoint %s", names[i]);
		return;
	}
	set(ret, FNP_FEATURE_THERE, "%s%s", names[0], n > 1 ? " and its kind" : "");
}

static void probe_process_hooks(struct fnp_feature_result *ret)
{
	static const char *const names[] = {"sched_process_fork", "sched_process_exec", "sched_process_exit"};

	probe_tracepoints(ret, names, FNP_ARRAY_SIZE(names), FNP_FEATURE_MISSING);
	if (ret->state != FNP_FEATURE_THERE)
		remedy(ret, "boot a kernel with CONFIG_DEBUG_INFO_BTF=y and CONFIG_TRACEPOINTS=y");
}

static void probe_switch_hook(struct fnp_feature_result *ret)
{
	static const char *const names[] = {"sched_switch"};

	probe_tracepoints(ret, names, FNP_ARRAY_SIZE(names), FNP_FEATURE_MISSING);
	if (ret->state != FNP_FEATURE_THERE)
		remedy(ret, "boot a kernel with CONFIG_DEBUG_INFO_BTF=y and CONFIG_TRACEPOINTS=y");
}

static void probe_return_hook(struct fnp_feature_result *ret)
{
	static const char *const names[] = {"sched_exit_tp"};

	probe_tracepoints(ret, names, FNP_ARRAY_SIZE(names), FNP_FEATURE_LESS);
	if (ret->state != FNP_FEATURE_THERE)
		remedy(ret, "boot Linux 6.16 or a newer one");
}

static void probe_socket_hooks(struct fnp_feature_result *ret)
{
	static const char *const names[] = {"sock_recv_length", "sock_send_length"};
	static const char *const fallback[] = {"sys_enter", "sys_exit"};

	probe_tracepoints(ret, names, FNP_ARRAY_SIZE(names), FNP_FEATURE_LESS);
	if (ret->state == FNP_FEATURE_THERE)
		return;
	probe_tracepoints(ret, fallback, FNP_ARRAY_SIZE(fallback), FNP_FEATURE_MISSING);
	if (ret->state == FNP_FEATURE_THERE)
		set(ret, FNP_FEATURE_LESS,
		    "by system calls instead, which costs every system call of the host a little");
	remedy(ret, "boot Linux 6.3 or a newer one");
}

/* ---- what makes results better ------------------------------------------------------------------------------ */

static void probe_kallsyms(struct fnp_feature_result *ret)
{
	fnp_autofclose FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long long address, all = 0;
	char line[512];

	for (int i = 0; f && i < 64 && fgets(line, sizeof(line), f); i++) {
		if (sscanf(line, "%llx", &address) == 1)
			all |= address;
	}
	if (all) {
		set(ret, FNP_FEATURE_THERE, "/proc/kallsyms shows addresses");
		return;
	}
	set(ret, FNP_FEATURE_LESS, "/proc/kallsyms %s: kernel frames stay without names",
	    f ? "shows no addresses" : "cannot be read");
	remedy(ret, "run as root or with CAP_SYSLOG, or sysctl kernel.kptr_restrict=0");
}

static void probe_cost(struct fnp_feature_result *ret)
{
	fnp_autoclose int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (fd >= 0) {
		set(ret, FNP_FEATURE_THERE, "the kernel counts the run time of BPF programs");
		return;
	}
	set(ret, FNP_FEATURE_LESS,
	    "the kernel does not let us count it (%s): the kernel's share of our cost is not shown",
	    strerror(errno));
	remedy(ret, "run as root (it needs CAP_SYS_ADMIN)");
}

static void probe_memory(struct fnp_feature_result *ret)
{
	/* Since 5.11 BPF memory is charged to the cgroup, not to RLIMIT_MEMLOCK. */
	set(ret, FNP_FEATURE_THERE, "charged to the cgroup; RLIMIT_MEMLOCK does not matter");
}

static void probe_tracefs(struct fnp_feature_result *ret)
{
	struct statfs fs;

	if (statfs(TRACEFS, &fs) == 0 && fs.f_type == TRACEFS_SUPER_MAGIC) {
		set(ret, FNP_FEATURE_THERE, TRACEFS);
		return;
	}
	set(ret, FNP_FEATURE_LESS, "not mounted at " TRACEFS "; recording does without it");
	remedy(ret, "mount -t tracefs tracefs " TRACEFS);
}

static void probe_cgroup(struct fnp_feature_result *ret)
{
	static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct statfs fs;

	for (size_t i = 0; i < FNP_ARRAY_SIZE(places); i++) {
		if (statfs(places[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC) {
			set(ret, FNP_FEATURE_THERE, "version 2 at %s", places[i]);
			return;
		}
	}
	set(ret, FNP_FEATURE_LESS, "no version 2 hierarchy; recording does without it");
	remedy(ret, "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified");
}

const struct fnp_feature fnp_features[] = {
	{"place", "everything", true, true, probe_place},
	{"kernel", "everything", true, true, probe_kernel},
	{"CAP_BPF", "loading programs", true, true, probe_cap_bpf},
	{"CAP_PERFMON", "sampling, reading stacks", true, true, probe_cap_perfmon},
	{"BTF", "programs that fit this kernel", true, true, probe_btf},
	{"lockdown", "reading stacks", true, true, probe_lockdown},
	{"bpf()", "programs and maps", true, true, probe_bpf},
	{"timer", "sampling", true, true, probe_timer},
	{"sample rate", "rates above it (record -F)", false, true, probe_rate},
	{"perf programs", "sampling", true, false, probe_perf_program},
	{"process hooks", "processes as they come and go", true, false, probe_process_hooks},
	{"switch hook", "exact CPU time", true, false, probe_switch_hook},
	{"return hook", "stacks of waits that were longer than usual", false, false, probe_return_hook},
	{"socket hooks", "invocations of HTTP runtimes", true, false, probe_socket_hooks},
	{"CAP_SYS_PTRACE", "mappings and files of others' processes", false, true, probe_cap_ptrace},
	{"user namespace", "privileges that count", false, true, probe_user_namespace},
	{"PID namespace", "every function of the host", false, true, probe_pid_namespace},
	{"kallsyms", "names of kernel frames", false, true, probe_kallsyms},
	{"BPF statistics", "our own cost in the kernel", false, true, probe_cost},
	{"memory lock", "maps", false, true, probe_memory},
	{"tracefs", "nothing yet", false, true, probe_tracefs},
	{"cgroup", "nothing yet", false, true, probe_cgroup},
};
const size_t fnp_n_features = FNP_ARRAY_SIZE(fnp_features);

int fnp_features_check(void)
{
	for (size_t i = 0; i < fnp_n_features; i++) {
		const struct fnp_feature *feature = &fnp_features[i];
		struct fnp_feature_result result = {0};

		if (!feature->required || !feature->quick)
			continue;
		feature->probe(&result);
		if (result.state == FNP_FEATURE_MISSING)
			return fnp_error(-EPERM, "cannot record (%s): %s; %s", feature->name, result.found,
					 result.remedy);
	}
	return 0;
}
