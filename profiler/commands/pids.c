/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/commands/pids.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#define PID_MAX_LIMIT (4u << 20) /* the kernel's PID_MAX_LIMIT on 64 bits */
#define PF_KTHREAD 0x00200000u	 /* include/linux/sched.h; field 9 of /proc/PID/stat */

void fnp_pids_deinit(struct fnp_pids *pids)
{
	fnp_vec_deinit(&pids->list);
}

static int add_once(struct fnp_pids *pids, uint32_t pid)
{
	for (size_t i = 0; i < pids->list.len; i++) {
		if (pids->list.items[i] == pid)
			return 0;
	}
	return fnp_vec_push(&pids->list, pid);
}

int fnp_pids_parse(const char *text, struct fnp_pids *ret)
{
	FNP_CLEANUP(fnp_pids_deinit) struct fnp_pids pids = {0};

	for (const char *p = text;; p++) {
		size_t len = strcspn(p, ",");
		char word[16];
		uint64_t pid;

		if (len >= sizeof(word))
			return -EINVAL;
		memcpy(word, p, len);
		word[len] = '\0';
		if (fnp_text_parse_u64(word, PID_MAX_LIMIT, &pid) < 0 || pid == 0)
			return -EINVAL;
		int r = add_once(&pids, (uint32_t)pid);
		if (r < 0)
			return r;
		p += len;
		if (!*p)
			break;
	}
	*ret = pids;
	pids = (struct fnp_pids){0};
	return 0;
}

/* The number after "Tgid:" of /proc/PID/status; 0 when it cannot be read. */
static uint32_t leader_of(uint32_t pid)
{
	fnp_autobuffer struct fnp_buffer status = {0};
	char path[64];
	unsigned int tgid = 0;

	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	if (fnp_file_read_at(AT_FDCWD, path, 65536, &status) < 0)
		return 0;
	const char *line = strstr((const char *)status.data, "\nTgid:");
	if (!line || sscanf(line, "\nTgid: %u", &tgid) != 1)
		return 0;
	return tgid;
}

static bool is_kernel_thread(uint32_t pid)
{
	fnp_autobuffer struct fnp_buffer stat = {0};
	char path[64];
	unsigned int flags = 0;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if (fnp_file_read_at(AT_FDCWD, path, 65536, &stat) < 0)
		return false;
	/* A name may hold anything, also ')': the last one ends it. */
	const char *after = strrchr((const char *)stat.data, ')');
	return after && sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && flags & PF_KTHREAD;
}

int fnp_pids_check(uint32_t pid)
{
	uint32_t leader = leader_of(pid);

	if (leader == 0)
		return fnp_error(-ESRCH, "there is no process %u", pid);
	if (leader != pid)
		return fnp_error(-EINVAL, "%u is a thread of process %u; give that number", pid, leader);
	if (is_kernel_thread(pid))
		return fnp_error(-EINVAL, "process %u is a kernel thread, which runs no program", pid);
	return 0;
}
