/* SPDX-License-Identifier: GPL-2.0-only */
/* Of a socket: which it is, and who its two ends are. */
#ifndef FNP_BPF_SOCKET_ADDRESS_H
#define FNP_BPF_SOCKET_ADDRESS_H

#include "bpf/waits.h"

/* What is asked of a socket, read once. */
struct address {
	fnp_u16 family, protocol, local_port, remote_port;
	__be32 remote;
	struct in6_addr remote_v6;
};

/* From a pointer that was found in memory. */
static __always_inline void address_of_found(struct sock *sk, struct address *ret)
{
	ret->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	ret->protocol = BPF_CORE_READ(sk, sk_protocol);
	ret->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	ret->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	ret->remote = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	if (ret->family == FNP_AF_INET6)
		BPF_CORE_READ_INTO(&ret->remote_v6, sk, __sk_common.skc_v6_daddr);
}

/* The other end, as IPv6 or IPv4-mapped. */
static __always_inline void address_put(const struct address *address, fnp_u8 ret[16])
{
	__builtin_memset(ret, 0, 16);
	if (address->family == FNP_AF_INET6) {
		__builtin_memcpy(ret, &address->remote_v6, sizeof(address->remote_v6));
	} else {
		ret[10] = ret[11] = 0xff;
		__builtin_memcpy(ret + 12, &address->remote, sizeof(address->remote));
	}
}

/* The socket behind a file descriptor of the current process, or NULL. */
static __always_inline struct sock *sock_of_fd(fnp_u64 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;
	struct socket *socket;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	if (bpf_probe_read_kernel(&file, sizeof(file), files + fd) != 0 || !file)
		return NULL;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & FILE_TYPE) != FILE_SOCKET)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

#endif
