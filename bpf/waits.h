/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a thread that leaves its CPU waits for. Its registers say which system call it is in, or that it is in none: then
 * it took a fault. What a descriptor is decides between network, disk and pipe. Kernel threads do not come here.
 */
#ifndef FNP_BPF_WAITS_H
#define FNP_BPF_WAITS_H

#include "bpf/kernel.h"

/* What is to be looked at beside the number of the call. */
enum call_kind {
	CALL_OTHER = 0,
	CALL_PLAIN = 1,	     /* + enum fnp_wait */
	CALL_FD_FIRST = 32,  /* by the descriptor in the first argument */
	CALL_SET_FIRST = 34, /* poll of as many descriptors as the first argument says; of none: a sleep */
	CALL_SET_SECOND = 35,
	CALL_FCNTL = 36,
	CALL_CLONE = 37, /* blocks only for CLONE_VFORK */
};

#define LOCKS (CALL_PLAIN + FNP_WAIT_LOCK)
#define POLLS (CALL_PLAIN + FNP_WAIT_POLL)
#define NETWORKS (CALL_PLAIN + FNP_WAIT_NETWORK)
#define DISKS (CALL_PLAIN + FNP_WAIT_DISK)
#define PIPES (CALL_PLAIN + FNP_WAIT_PIPE)
#define SLEEPS (CALL_PLAIN + FNP_WAIT_SLEEP)
#define CHILDREN (CALL_PLAIN + FNP_WAIT_CHILD)
#define CALLS_MAX 512

/* Linux' own numbers (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h). */
static const volatile fnp_u8 calls[CALLS_MAX] = {
#if defined(__TARGET_ARCH_x86)
	[0] = CALL_FD_FIRST,	 /* read */
	[1] = CALL_FD_FIRST,	 /* write */
	[2] = DISKS,		 /* open */
	[4] = DISKS,		 /* stat */
	[5] = CALL_FD_FIRST,	 /* fstat */
	[6] = DISKS,		 /* lstat */
	[7] = CALL_SET_SECOND,	 /* poll */
	[17] = CALL_FD_FIRST,	 /* pread64 */
	[18] = CALL_FD_FIRST,	 /* pwrite64 */
	[19] = CALL_FD_FIRST,	 /* readv */
	[20] = CALL_FD_FIRST,	 /* writev */
	[21] = DISKS,		 /* access */
	[23] = CALL_SET_FIRST,	 /* select */
	[26] = DISKS,		 /* msync */
	[35] = SLEEPS,		 /* nanosleep */
	[40] = CALL_FD_FIRST,	 /* sendfile */
	[42] = NETWORKS,	 /* connect */
	[43] = NETWORKS,	 /* accept */
	[44] = NETWORKS,	 /* sendto */
	[45] = NETWORKS,	 /* recvfrom */
	[46] = NETWORKS,	 /* sendmsg */
	[47] = NETWORKS,	 /* recvmsg */
	[56] = CALL_CLONE,	 /* clone */
	[58] = CHILDREN,	 /* vfork */
	[61] = CHILDREN,	 /* wait4 */
	[65] = LOCKS,		 /* semop */
	[72] = CALL_FCNTL,	 /* fcntl */
	[73] = LOCKS,		 /* flock */
	[74] = DISKS,		 /* fsync */
	[75] = DISKS,		 /* fdatasync */
	[76] = DISKS,		 /* truncate */
	[77] = DISKS,		 /* ftruncate */
	[78] = DISKS,		 /* getdents */
	[82] = DISKS,		 /* rename */
	[83] = DISKS,		 /* mkdir */
	[84] = DISKS,		 /* rmdir */
	[85] = DISKS,		 /* creat */
	[86] = DISKS,		 /* link */
	[87] = DISKS,		 /* unlink */
	[88] = DISKS,		 /* symlink */
	[89] = DISKS,		 /* readlink */
	[162] = DISKS,		 /* sync */
	[187] = DISKS,		 /* readahead */
	[202] = LOCKS,		 /* futex */
	[208] = DISKS,		 /* io_getevents */
	[217] = DISKS,		 /* getdents64 */
	[220] = LOCKS,		 /* semtimedop */
	[230] = SLEEPS,		 /* clock_nanosleep */
	[232] = POLLS,		 /* epoll_wait */
	[247] = CHILDREN,	 /* waitid */
	[257] = DISKS,		 /* openat */
	[258] = DISKS,		 /* mkdirat */
	[262] = DISKS,		 /* newfstatat */
	[263] = DISKS,		 /* unlinkat */
	[264] = DISKS,		 /* renameat */
	[267] = DISKS,		 /* readlinkat */
	[269] = DISKS,		 /* faccessat */
	[270] = CALL_SET_FIRST,	 /* pselect6 */
	[271] = CALL_SET_SECOND, /* ppoll */
	[275] = CALL_FD_FIRST,	 /* splice */
	[276] = PIPES,		 /* tee */
	[277] = DISKS,		 /* sync_file_range */
	[278] = PIPES,		 /* vmsplice */
	[281] = POLLS,		 /* epoll_pwait */
	[285] = DISKS,		 /* fallocate */
	[288] = NETWORKS,	 /* accept4 */
	[295] = CALL_FD_FIRST,	 /* preadv */
	[296] = CALL_FD_FIRST,	 /* pwritev */
	[299] = NETWORKS,	 /* recvmmsg */
	[306] = DISKS,		 /* syncfs */
	[307] = NETWORKS,	 /* sendmmsg */
	[316] = DISKS,		 /* renameat2 */
	[326] = CALL_FD_FIRST,	 /* copy_file_range */
	[327] = CALL_FD_FIRST,	 /* preadv2 */
	[328] = CALL_FD_FIRST,	 /* pwritev2 */
	[332] = DISKS,		 /* statx */
	[333] = DISKS,		 /* io_pgetevents */
	[426] = POLLS,		 /* io_uring_enter */
	[435] = CALL_CLONE,	 /* clone3 */
	[437] = DISKS,		 /* openat2 */
	[441] = POLLS,		 /* epoll_pwait2 */
	[449] = LOCKS,		 /* futex_waitv */
	[455] = LOCKS,		 /* futex_wait */
#elif defined(__TARGET_ARCH_arm64)
	[4] = DISKS,		/* io_getevents */
	[22] = POLLS,		/* epoll_pwait */
	[25] = CALL_FCNTL,	/* fcntl */
	[32] = LOCKS,		/* flock */
	[34] = DISKS,		/* mkdirat */
	[35] = DISKS,		/* unlinkat */
	[38] = DISKS,		/* renameat */
	[46] = DISKS,		/* ftruncate */
	[47] = DISKS,		/* fallocate */
	[48] = DISKS,		/* faccessat */
	[56] = DISKS,		/* openat */
	[61] = DISKS,		/* getdents64 */
	[63] = CALL_FD_FIRST,	/* read */
	[64] = CALL_FD_FIRST,	/* write */
	[65] = CALL_FD_FIRST,	/* readv */
	[66] = CALL_FD_FIRST,	/* writev */
	[67] = CALL_FD_FIRST,	/* pread64 */
	[68] = CALL_FD_FIRST,	/* pwrite64 */
	[69] = CALL_FD_FIRST,	/* preadv */
	[70] = CALL_FD_FIRST,	/* pwritev */
	[71] = CALL_FD_FIRST,	/* sendfile */
	[72] = CALL_SET_FIRST,	/* pselect6 */
	[73] = CALL_SET_SECOND, /* ppoll */
	[75] = PIPES,		/* vmsplice */
	[76] = CALL_FD_FIRST,	/* splice */
	[77] = PIPES,		/* tee */
	[78] = DISKS,		/* readlinkat */
	[79] = DISKS,		/* newfstatat */
	[81] = DISKS,		/* sync */
	[82] = DISKS,		/* fsync */
	[83] = DISKS,		/* fdatasync */
	[84] = DISKS,		/* sync_file_range */
	[95] = CHILDREN,	/* waitid */
	[98] = LOCKS,		/* futex */
	[101] = SLEEPS,		/* nanosleep */
	[115] = SLEEPS,		/* clock_nanosleep */
	[192] = LOCKS,		/* semtimedop */
	[193] = LOCKS,		/* semop */
	[202] = NETWORKS,	/* accept */
	[203] = NETWORKS,	/* connect */
	[206] = NETWORKS,	/* sendto */
	[207] = NETWORKS,	/* recvfrom */
	[211] = NETWORKS,	/* sendmsg */
	[212] = NETWORKS,	/* recvmsg */
	[213] = DISKS,		/* readahead */
	[220] = CALL_CLONE,	/* clone */
	[227] = DISKS,		/* msync */
	[242] = NETWORKS,	/* accept4 */
	[243] = NETWORKS,	/* recvmmsg */
	[260] = CHILDREN,	/* wait4 */
	[267] = DISKS,		/* syncfs */
	[269] = NETWORKS,	/* sendmmsg */
	[276] = DISKS,		/* renameat2 */
	[285] = CALL_FD_FIRST,	/* copy_file_range */
	[286] = CALL_FD_FIRST,	/* preadv2 */
	[287] = CALL_FD_FIRST,	/* pwritev2 */
	[291] = DISKS,		/* statx */
	[292] = DISKS,		/* io_pgetevents */
	[426] = POLLS,		/* io_uring_enter */
	[435] = CALL_CLONE,	/* clone3 */
	[437] = DISKS,		/* openat2 */
	[441] = POLLS,		/* epoll_pwait2 */
	[449] = LOCKS,		/* futex_waitv */
	[455] = LOCKS,		/* futex_wait */
#endif
};

#if defined(__TARGET_ARCH_x86)
#define WAIT_NR(r) ((fnp_s64)(r)->orig_ax)
#define WAIT_FIRST(r) (r)->di
#define WAIT_SECOND(r) (r)->si
#define USER32_CS 0x23
#define WAIT_IS_COMPAT(r) (((r)->cs & 0xffff) == USER32_CS)
#elif defined(__TARGET_ARCH_arm64)
#define WAIT_NR(r) ((fnp_s64)(r)->syscallno)
#define WAIT_FIRST(r) (r)->orig_x0
#define WAIT_SECOND(r) (r)->regs[1]
#define PSR_MODE32 0x10
#define WAIT_IS_COMPAT(r) (((r)->pstate & PSR_MODE32) != 0)
#endif

#define FILE_TYPE 0170000
#define FILE_SOCKET 0140000
#define FILE_REGULAR 0100000
#define FILE_BLOCK 0060000
#define FILE_DIRECTORY 0040000
#define FILE_FIFO 0010000
#define FCNTL_SETLKW 7
#define FCNTL_OFD_SETLKW 38
#define TASK_STOPPED_OR_TRACED 0x0c
#define TASK_FROZEN 0x8000
#define JOBCTL_TRAP_FREEZE (1UL << 23)
#define PF_FROZEN 0x00010000
#define PF_IO_WORKER 0x00000010

__attribute__((unused)) static __noinline fnp_u32 wait_of_fd(struct task_struct *task, fnp_u64 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds) ||
	    bpf_probe_read_kernel(&file, sizeof(file), files + fd) != 0 || !file)
		return FNP_WAIT_OTHER;
	switch (BPF_CORE_READ(file, f_inode, i_mode) & FILE_TYPE) {
	case FILE_SOCKET:
		return FNP_WAIT_NETWORK;
	case FILE_FIFO:
		return FNP_WAIT_PIPE;
	case FILE_REGULAR:
	case FILE_BLOCK:
	case FILE_DIRECTORY:
		return FNP_WAIT_DISK;
	}
	return FNP_WAIT_OTHER;
}

static __always_inline fnp_u32 wait_of_call(struct task_struct *task, struct pt_regs *regs, fnp_u64 nr)
{
	fnp_u32 kind = calls[nr & (CALLS_MAX - 1)];

	if (kind < CALL_FD_FIRST)
		return kind ? kind - CALL_PLAIN : FNP_WAIT_OTHER;
	switch (kind) {
	case CALL_FD_FIRST:
		return wait_of_fd(task, WAIT_FIRST(regs));
	case CALL_SET_FIRST:
		return WAIT_FIRST(regs) ? FNP_WAIT_POLL : FNP_WAIT_SLEEP;
	case CALL_SET_SECOND:
		return WAIT_SECOND(regs) ? FNP_WAIT_POLL : FNP_WAIT_SLEEP;
	case CALL_FCNTL:
		return WAIT_SECOND(regs) == FCNTL_SETLKW || WAIT_SECOND(regs) == FCNTL_OFD_SETLKW
			       ? FNP_WAIT_LOCK
			       : FNP_WAIT_OTHER;
	case CALL_CLONE:
		return FNP_WAIT_CHILD;
	}
	return FNP_WAIT_OTHER;
}

static __always_inline bool is_frozen(struct task_struct *task)
{
	fnp_u32 state = task->__state;

	/* Kernels before 6.1 have no state for the old freezer, but a flag. */
	return (state & (TASK_STOPPED_OR_TRACED | TASK_FROZEN)) || (task->jobctl & JOBCTL_TRAP_FREEZE) ||
	       (!(state & TASK_FROZEN) && (task->flags & PF_FROZEN));
}

/*
 * The enum fnp_wait of a thread that blocks. `regs` are those with which it entered the kernel (bpf_task_pt_regs); they
 * stay as they are while it waits.
 */
static __always_inline fnp_u32 wait_of(struct task_struct *task, struct pt_regs *regs)
{
	fnp_s64 nr = WAIT_NR(regs);
	fnp_u32 wait = FNP_WAIT_OTHER;

	if (is_frozen(task))
		return FNP_WAIT_FROZEN;
	if (!(task->flags & PF_IO_WORKER)) {
		if (nr < 0)
			return FNP_WAIT_PAGE_FAULT;
		if (nr < CALLS_MAX && !WAIT_IS_COMPAT(regs))
			wait = wait_of_call(task, regs, nr);
	}
	/* Whatever the call was for: a block device is what it waits for now. */
	if (wait == FNP_WAIT_OTHER && BPF_CORE_READ_BITFIELD(task, in_iowait))
		return FNP_WAIT_DISK;
	return wait;
}

#endif
