// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bytes that watched processes move on TCP sockets, with their first bytes copied: all that user space needs to
 * follow HTTP. Nothing is parsed here.
 *
 * Two ways to see them, chosen between open and load:
 *   sock_recv_length, sock_send_length  (tp_btf, kernel >= 6.3) fire only for sockets, after the copy, whatever system
 *	call it was. The call's number and arguments, which say where the buffer is, come from the registers that the
 *	thread entered the kernel with. io_uring and in-kernel users fire them too; there the registers mean nothing,
 *	the number tells, and the event has a length but no data.
 *   sys_exit  (tp_btf) for older kernels: every system call of the host passes here, so it costs more.
 *
 * A datagram that begins with "fnprof." is a mark: what a program of any language can tell without native code, also when
 * nobody receives it.
 */
#include "bpf/layout/probe.h"
#include "bpf/probes_ring.h"
#include "bpf/socket_address.h"
#include "bpf/targets.h"

char LICENSE[] SEC("license") = "GPL";

#define DATA_MAX 16384 /* bytes of one event that are copied */
#define RUN_FULL                                                                                             \
	(128 << 10) /* past so many bytes in one direction only DATA_SHORT of each event are copied */
#define DATA_SHORT 512
#define IOVECS_MAX 24
#define RUNS_SHIFT 11
#define RUNS (1 << RUNS_SHIFT)
#define GOLDEN 0x9e3779b97f4a7c15ULL /* spreads keys: 2^64 by the golden ratio */

#if defined(__TARGET_ARCH_x86)
enum {
	NR_READ = 0,
	NR_WRITE = 1,
	NR_READV = 19,
	NR_WRITEV = 20,
	NR_SENDTO = 44,
	NR_RECVFROM = 45,
	NR_SENDMSG = 46,
	NR_RECVMSG = 47,
	NR_SENDMMSG = 307
};
#define REGS_NR(r) (r)->orig_ax
#define REGS_FD(r) (r)->di
#define REGS_BUFFER(r) (r)->si
#define REGS_COUNT(r) (r)->dx
#define REGS_FLAGS(r) (r)->r10
#elif defined(__TARGET_ARCH_arm64)
enum {
	NR_READ = 63,
	NR_WRITE = 64,
	NR_READV = 65,
	NR_WRITEV = 66,
	NR_SENDTO = 206,
	NR_RECVFROM = 207,
	NR_SENDMSG = 211,
	NR_RECVMSG = 212,
	NR_SENDMMSG = 269
};
#define REGS_NR(r) (r)->syscallno
#define REGS_FD(r) (r)->orig_x0
#define REGS_BUFFER(r) (r)->regs[1]
#define REGS_COUNT(r) (r)->regs[2]
#define REGS_FLAGS(r) (r)->regs[3]
#endif

struct socket_scratch {
	struct fnp_socket_record record;
	struct fnp_wire_section section;
	char data[2 * DATA_MAX];
	char clocks[sizeof(struct fnp_wire_section) + sizeof(struct fnp_clocks)]; /* room: they follow the data */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY); /* one a CPU: values of per-CPU maps end at 32 KiB */
	__uint(max_entries, 1);		  /* user space: number of CPUs */
	__type(key, fnp_u32);
	__type(value, struct socket_scratch);
} socket_scratch SEC(".maps");

/* How many bytes went in one direction without the other speaking: bodies are not copied whole. */
struct run {
	fnp_u64 socket;
	fnp_u64 bytes;
	fnp_u64 direction;
};

/* By the socket's cookie: two that meet in one place begin anew by turns, and are copied whole. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RUNS);
	__type(key, fnp_u32);
	__type(value, struct run);
} runs SEC(".maps");

static __always_inline fnp_u32 data_limit(fnp_u64 socket, fnp_u64 direction, fnp_u64 length)
{
	fnp_u32 place = (socket * GOLDEN) >> (64 - RUNS_SHIFT);
	struct run *run = bpf_map_lookup_elem(&runs, &place);
	fnp_u64 before = 0;

	if (!run)
		return DATA_MAX;
	if (run->socket == socket && run->direction == direction) {
		before = run->bytes;
	} else {
		run->socket = socket;
		run->direction = direction;
		run->bytes = 0;
	}
	run->bytes += length;
	return before < RUN_FULL ? DATA_MAX : DATA_SHORT;
}

/* Copies up to `want` bytes to data[at]; the bytes that were copied. */
static __always_inline fnp_u32 copy_user(struct socket_scratch *scratch, fnp_u32 at, const void *from,
					 fnp_u64 want)
{
	fnp_u32 n = want > DATA_MAX ? DATA_MAX : want;

	if (at >= DATA_MAX || n == 0)
		return 0;
	asm volatile("" : "+r"(n)); /* else the bound below is taken for granted, and left out */
	/* data has twice the room, so that both bounds hold one by one. */
	if (bpf_probe_read_user(scratch->data + (at & (DATA_MAX - 1)), n & (2 * DATA_MAX - 1), from) != 0)
		return 0;
	return n;
}

/*
 * One iovec's bytes to data[at], `want` at most in all; where the next ones go, or negative. A global function, because
 * the verifier takes it once by itself, not with everything that may have come before each call.
 */
__noinline int fnp_copy_iovec(struct socket_scratch *scratch, fnp_u64 iovec, fnp_u32 at, fnp_u32 want)
{
	struct iovec one = {};
	fnp_u64 n;

	if (!scratch || at >= want || at >= DATA_MAX)
		return -1;
	if (bpf_probe_read_user(&one, sizeof(one), (const void *)iovec) != 0)
		return -1;
	n = want - at;
	if (one.iov_len < n)
		n = one.iov_len;
	if (n > DATA_MAX)
		n = DATA_MAX;
	if (n && bpf_probe_read_user(scratch->data + at, n, one.iov_base) != 0)
		return -1;
	return at + n;
}

static __always_inline fnp_u32 copy_iovecs(struct socket_scratch *scratch, fnp_u64 iovecs, fnp_u64 count,
					   fnp_u32 want)
{
	fnp_u32 at = 0;

	for (fnp_u32 i = 0; i < IOVECS_MAX; i++) {
		int next;

		if (i >= count)
			break;
		next = fnp_copy_iovec(scratch, iovecs + i * sizeof(struct iovec), at, want);
		if (next < 0)
			break;
		at = next;
	}
	return at;
}

/* The data of the system call that the thread is in; how many bytes of `want` were copied. */
static __always_inline fnp_u32 copy_data(struct socket_scratch *scratch, struct pt_regs *regs, fnp_u32 want)
{
	fnp_u64 nr = REGS_NR(regs);
	const void *buffer = (const void *)REGS_BUFFER(regs);
	struct user_msghdr message = {};

	switch (nr) {
	case NR_READ:
	case NR_WRITE:
	case NR_SENDTO:
	case NR_RECVFROM:
		return copy_user(scratch, 0, buffer, want);
	case NR_READV:
	case NR_WRITEV:
		return copy_iovecs(scratch, (fnp_u64)buffer, REGS_COUNT(regs), want);
	case NR_SENDMSG:
	case NR_RECVMSG:
		if (bpf_probe_read_user(&message, sizeof(message), buffer) != 0)
			return 0;
		return copy_iovecs(scratch, (fnp_u64)message.msg_iov, message.msg_iovlen, want);
	}
	return 0;
}

/* From the tracepoints' own argument, which may be followed without a helper. */
static __always_inline void address_of(struct sock *sk, struct address *ret)
{
	ret->family = sk->__sk_common.skc_family;
	ret->protocol = sk->sk_protocol;
	ret->local_port = sk->__sk_common.skc_num;
	ret->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	ret->remote = sk->__sk_common.skc_daddr;
	if (ret->family == FNP_AF_INET6)
		ret->remote_v6 = sk->__sk_common.skc_v6_daddr;
}

static __always_inline void put_address(struct fnp_socket_record *record, const struct address *address)
{
	record->local_port = address->local_port;
	record->remote_port = address->remote_port;
	address_put(address, record->remote_address);
}

static __always_inline bool watches_sockets(const struct fnp_target *target)
{
	return (target->flags & FNP_TARGET_SOCKETS) && !(target->flags & FNP_TARGET_WAIT_EXEC);
}

static __always_inline bool wanted(const struct fnp_target *target, const struct address *address)
{
	if (address->family != FNP_AF_INET && address->family != FNP_AF_INET6)
		return false;
	if (target->port && address->remote_port != target->port)
		return false;
	return address->protocol == FNP_IPPROTO_TCP;
}

static __always_inline int moved(struct fnp_target *target, fnp_u32 pid, const struct address *address,
				 fnp_u64 length, bool sent, struct pt_regs *regs, fnp_u64 socket)
{
	fnp_u32 cpu = bpf_get_smp_processor_id(), want, copied = 0, size;
	struct socket_scratch *scratch = bpf_map_lookup_elem(&socket_scratch, &cpu);
	struct teller teller;

	if (!scratch)
		return 0;
	teller = event_begin(target, pid, &scratch->record.head, &scratch->record.cpu);
	scratch->record.head.type = FNP_RECORD_SOCKET;
	scratch->record.head.n_sections = 2;
	scratch->record.socket = socket;
	scratch->record.length = length;
	scratch->record.direction = sent;
	put_address(&scratch->record, address);
	want = data_limit(socket, sent, length);
	if (want > length)
		want = length;
	if (want)
		copied = copy_data(scratch, regs, want);
	if (copied > DATA_MAX)
		copied = DATA_MAX;
	scratch->section.type = FNP_SECTION_DATA;
	scratch->section.truncated = copied < length;
	scratch->section.size = copied;
	copied = (copied + 7) & ~7U;
	size = sizeof(scratch->record) + sizeof(scratch->section) + copied;
	size += event_put_clocks(scratch->data + (copied & (2 * DATA_MAX - 1)), target, &scratch->record.head,
				 &teller);
	if (size > sizeof(*scratch))
		return 0; /* cannot be; the verifier wants to see it */
	scratch->record.head.size = size;
	event_send(target, &scratch->record.head, size, false, &teller);
	return 0;
}

struct mark {
	struct fnp_probe_record record;
	struct fnp_wire_section section;
	char text[FNP_PROBE_TEXT_BYTES];
};

/* Where the datagram that is being sent begins; 0: not known. Of several in one call the first. */
static __always_inline fnp_u64 datagram_of(struct pt_regs *regs)
{
	fnp_u64 nr = REGS_NR(regs), buffer = REGS_BUFFER(regs);
	struct user_msghdr message = {};
	struct iovec first = {};

	if (nr == NR_WRITE || nr == NR_SENDTO)
		return buffer;
	if (nr != NR_SENDMSG && nr != NR_SENDMMSG)
		return 0;
	if (bpf_probe_read_user(&message, sizeof(message), (void *)buffer) != 0 ||
	    bpf_probe_read_user(&first, sizeof(first), message.msg_iov) != 0)
		return 0;
	return (fnp_u64)first.iov_base;
}

/* A datagram was sent; tells of it when it is a mark. */
static __always_inline void take_datagram(struct fnp_target *target, fnp_u32 pid, fnp_u32 length,
					  struct pt_regs *regs)
{
	fnp_u64 at = datagram_of(regs), begin = 0;
	struct mark *mark;

	if (!at || bpf_probe_read_user(&begin, sizeof(begin), (void *)at) != 0 || !is_mark(begin))
		return;
	mark = bpf_ringbuf_reserve(&probes, sizeof(*mark), 0);
	if (!mark) {
		__sync_fetch_and_add(&target->probes_lost, 1);
		return;
	}
	__builtin_memset(&mark->record, 0, sizeof(mark->record));
	if (!target->process)
		target->process = process_of(bpf_get_current_task_btf());
	mark->record.head.type = FNP_RECORD_PROBE;
	mark->record.head.n_sections = 1;
	mark->record.head.size = sizeof(*mark);
	mark->record.head.time_ns = bpf_ktime_get_ns();
	mark->record.head.pid = pid;
	mark->record.head.tid = current_tid();
	mark->record.head.process = target->process;
	mark->record.head.seq = target->seq;
	mark->record.spec = FNP_PROBE_WRITTEN;
	mark->section.type = FNP_SECTION_PROBE_TEXT;
	mark->section.truncated = length > FNP_PROBE_TEXT_BYTES - 1;
	if (length > FNP_PROBE_TEXT_BYTES - 1)
		length = FNP_PROBE_TEXT_BYTES - 1;
	asm volatile("" : "+r"(length)); /* as in copy_user() */
	mark->section.size = length;
	if (bpf_probe_read_user(mark->text, length & (FNP_PROBE_TEXT_BYTES - 1), (void *)at) != 0)
		mark->section.size = 0;
	bpf_ringbuf_submit(mark, BPF_RB_NO_WAKEUP);
}

static __always_inline bool is_datagram(const struct address *address)
{
	return address->family == FNP_AF_UNIX || address->protocol == FNP_IPPROTO_UDP;
}

static __always_inline int on_length(struct sock *sk, int length, int flags, bool sent)
{
	fnp_u32 pid = current_pid();
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	struct task_struct *task = bpf_get_current_task_btf();
	struct address address = {};

	if (!target || length < 0 || (flags & FNP_MSG_PEEK) || (length == 0 && sent) ||
	    (target->flags & FNP_TARGET_WAIT_EXEC))
		return 0;
	address_of(sk, &address);
	if (sent && is_datagram(&address))
		take_datagram(target, pid, length, (struct pt_regs *)bpf_task_pt_regs(task));
	if (!watches_sockets(target) || !wanted(target, &address))
		return 0;
	return moved(target, pid, &address, length, sent, (struct pt_regs *)bpf_task_pt_regs(task),
		     bpf_get_socket_cookie(sk));
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(fnp_sock_recv, struct sock *sk, int length, int flags)
{
	return on_length(sk, length, flags, false);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(fnp_sock_send, struct sock *sk, int length, int flags)
{
	return on_length(sk, length, 0, true);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(fnp_sys_exit, struct pt_regs *regs, long ret)
{
	fnp_u32 pid = current_pid();
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	struct address address = {};
	fnp_u64 nr, socket;
	struct sock *sk;
	bool sent;

	if (!target || ret < 0 || !(target->flags & FNP_TARGET_SOCKETS))
		return 0;
	nr = REGS_NR(regs);
	sent = nr == NR_WRITE || nr == NR_WRITEV || nr == NR_SENDTO || nr == NR_SENDMSG;
	if (!sent && nr != NR_READ && nr != NR_READV && nr != NR_RECVFROM && nr != NR_RECVMSG)
		return 0;
	if ((nr == NR_RECVFROM && (REGS_FLAGS(regs) & FNP_MSG_PEEK)) ||
	    (nr == NR_RECVMSG && (REGS_COUNT(regs) & FNP_MSG_PEEK)) || (ret == 0 && sent))
		return 0;
	sk = watches_sockets(target) ? sock_of_fd(REGS_FD(regs)) : NULL;
	if (!sk)
		return 0;
	address_of_found(sk, &address);
	if (!wanted(target, &address))
		return 0;
	/* No cookie can be made here: the address and the local port stand for the connection while it lives. */
	socket = (fnp_u64)sk ^ (fnp_u64)address.local_port << 48;
	return moved(target, pid, &address, ret, sent, regs, socket);
}
