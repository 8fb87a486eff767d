/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few kernel types that the programs read, by CO-RE: only the named fields count, their places are relocated when
 * a program is loaded. So a build needs no BTF of the running kernel, and a reader sees what we depend on.
 */
#ifndef FNP_BPF_KERNEL_H
#define FNP_BPF_KERNEL_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "bpf/wire.h"

#define FNP_CORE __attribute__((preserve_access_index))

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs,
		flags, sp, ss;
} FNP_CORE;
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31], sp, pc, pstate;
};
struct pt_regs {
	__u64 regs[31], sp, pc, pstate, orig_x0;
	__s32 syscallno;
} FNP_CORE;
#endif

/* The context of a perf_event program, as the verifier counts its fields (not relocated). */
#if defined(__TARGET_ARCH_x86)
struct bpf_perf_event_data {
	struct pt_regs regs;
	__u64 sample_period;
	__u64 addr;
};
#else
struct bpf_perf_event_data {
	struct user_pt_regs regs;
	__u64 sample_period;
	__u64 addr;
};
#endif

struct ns_common {
	unsigned int inum;
} FNP_CORE;

struct pid_namespace {
	struct ns_common ns;
} FNP_CORE;

struct upid {
	int nr;
	struct pid_namespace *ns;
} FNP_CORE;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} FNP_CORE;

/* A CPU's run queue. */
struct rq {
	fnp_u64 clock;
	fnp_u64 prev_irq_time; /* where the kernel takes interrupts off a thread's time (CONFIG_IRQ_TIME_ACCOUNTING) */
	fnp_u64 prev_steal_time_rq; /* where the kernel accounts for what a host takes of a virtual CPU's time */
} FNP_CORE;

struct cfs_rq {
	struct rq *rq; /* with group scheduling */
} FNP_CORE;

struct sched_entity {
	fnp_u64 sum_exec_runtime;
	struct cfs_rq *cfs_rq; /* of the CPU that the thread is on, or waits for */
} FNP_CORE;

struct mm_struct {
	unsigned long start_stack, arg_start, arg_end, env_start, env_end;
} FNP_CORE;

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
} FNP_CORE;

struct file {
	void *private_data;
	struct inode *f_inode;
} FNP_CORE;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} FNP_CORE;

struct files_struct {
	struct fdtable *fdt;
} FNP_CORE;

struct inode {
	unsigned short i_mode;
} FNP_CORE;

struct sched_info {
	fnp_u64 run_delay;   /* waits for a CPU that are over */
	fnp_u64 last_queued; /* by rq.clock: since when it waits for one; 0: it does not */
} FNP_CORE;

/* Of a thread that meets a uprobe: the probed instruction, and its copy that is stepped over. CONFIG_UPROBES */
struct uprobe_task {
	unsigned long vaddr;
	unsigned long xol_vaddr;
} FNP_CORE;

struct task_struct {
	int pid, tgid;
	unsigned int __state; /* `state` before 5.14 */
	unsigned int flags;
	unsigned int in_execve : 1; /* gone in later kernels: ask whether it exists */
	unsigned int in_iowait : 1;
	unsigned long jobctl;
	struct sched_info sched_info; /* CONFIG_SCHED_INFO */
	int exit_code;
	fnp_u64 start_time;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	struct pid *thread_pid;
	struct signal_struct *signal;
	struct files_struct *files;
	struct sched_entity se;
	struct uprobe_task *utask;
} FNP_CORE;

struct linux_binprm {
	const char *filename;
} FNP_CORE;

struct in6_addr {
	__u32 words[4];
};

struct sock_common {
	__be32 skc_daddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	struct in6_addr skc_v6_daddr;
} FNP_CORE;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
} FNP_CORE;

struct socket {
	struct sock *sk;
} FNP_CORE;

struct iovec {
	void *iov_base;
	unsigned long iov_len;
};

/* As msghdr stands in user memory. */
struct user_msghdr {
	void *msg_name;
	int msg_namelen;
	struct iovec *msg_iov;
	unsigned long msg_iovlen;
};

#define FNP_AF_INET 2
#define FNP_AF_INET6 10
#define FNP_AF_UNIX 1
#define FNP_IPPROTO_TCP 6
#define FNP_IPPROTO_UDP 17
#define FNP_MSG_PEEK 2
#define FNP_TASK_DEAD 0x80
#define FNP_PF_FORKNOEXEC 0x00000040
#define FNP_PF_KTHREAD 0x00200000

#endif
