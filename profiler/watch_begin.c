/* SPDX-License-Identifier: Apache-2.0 */
/* Who is watched from the beginning: pids that were named, CMD before its exec, and what runs on the host already. */
#include <dirent.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "profiler/features.h"
#include "profiler/watch_state.h"

#define ENVIRONMENT_MAX (4 << 20)
#define ALL_FLAGS (FNP_TARGET_SAMPLED | FNP_TARGET_SOCKETS)

int fnp_watch_read_environment(uint32_t pid, struct fnp_buffer *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/environ", pid);
	return fnp_file_read_at(AT_FDCWD, path, ENVIRONMENT_MAX, ret);
}

/* In host-wide recording attribution says whether the process is wanted at all. */
static int add_running(struct fnp_watch *watch, uint32_t pid)
{
	fnp_autobuffer struct fnp_buffer environment = {0};
	char exe_link[64], exe[4096];
	struct fnp_invocations_process view = {.pid = pid, .now_ns = fnp_clock_ns()};
	struct fnp_process *process;
	ssize_t n;
	int r = fnp_watch_read_environment(pid, &environment);

	if (r < 0)
		return r;
	snprintf(exe_link, sizeof(exe_link), "/proc/%u/exe", pid);
	n = readlink(exe_link, exe, sizeof(exe) - 1);
	if (n < 0)
		return -errno; /* a kernel thread, or a process that is ending */
	exe[n] = '\0';
	view.program = exe;
	view.environment = (const char *)environment.data;
	view.environment_size = environment.len;
	/* Watched first: attribution may narrow the filter at once. */
	r = fnp_kernel_watch(watch->options.kernel, pid, ALL_FLAGS, 0);
	if (r == -EEXIST)
		return r; /* the kernel side met it at its exec, and tells of it: it counts already */
	r = r ?: fnp_processes_add(watch->processes, pid, 0, &process);
	r = r ?: fnp_invocations_attach(watch->invocations, &view);
	if (r < 0) {
		fnp_watch_unwatch(watch, pid);
		return r;
	}
	return fnp_processes_read_maps(watch->processes, process);
}

static bool is_refusal(int r)
{
	return (r == -EACCES || r == -EPERM) && !fnp_features_may_read_others();
}

int fnp_watch_add_pid(struct fnp_watch *watch, uint32_t pid)
{
	int r = add_running(watch, pid);

	if (r == -ENOENT || r == -ESRCH)
		return fnp_error(-ESRCH, "process %u ended before it could be watched", pid);
	if (is_refusal(r))
		return fnp_error(
			r, "process %u is another user's, and CAP_SYS_PTRACE is not held; run as root, or add it",
			pid);
	if (r < 0)
		return fnp_error(r, "cannot watch process %u: %s", pid, strerror(-r));
	return 0;
}

int fnp_watch_add_command(struct fnp_watch *watch, uint32_t pid, const char *program)
{
	struct fnp_invocations_process view = {
		.pid = pid, .now_ns = fnp_clock_ns(), .program = program, .waits_for_exec = true};
	struct fnp_process *process;
	int r = fnp_invocations_attach(watch->invocations, &view);

	fnp_probes_expect_program(watch->probes, program);

	r = r ?: fnp_processes_add(watch->processes, pid, 0, &process);
	return r ?: fnp_kernel_watch(watch->options.kernel, pid, ALL_FLAGS | FNP_TARGET_WAIT_EXEC, 0);
}

int fnp_watch_scan_host(struct fnp_watch *watch)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool refused = false;

	if (!proc)
		return fnp_error(-errno, "cannot read /proc: %s", strerror(errno));
	while ((entry = readdir(proc))) {
		uint64_t pid;
		int r;

		if (fnp_text_parse_u64(entry->d_name, UINT32_MAX, &pid) < 0 || (pid_t)pid == getpid())
			continue;
		/* Processes come and go while we look; those that matter announce themselves again by their work. */
		r = add_running(watch, (uint32_t)pid);
		if (r == -ENOMEM)
			break;
		refused = refused || is_refusal(r);
	}
	closedir(proc);
	if (refused)
		fnp_warning("other users' functions are not seen: CAP_SYS_PTRACE is not held; run as root, "
			    "or add it");
	return 0;
}
