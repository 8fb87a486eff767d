/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record of a wait, with the stack of the current thread: made when it leaves its CPU (offcpu.bpf.c), or when it is back
 * (returns.bpf.c). Both run with preemption off, and neither in the midst of the other: they share the memory of walks.
 */
#ifndef FNP_BPF_WAIT_RECORD_H
#define FNP_BPF_WAIT_RECORD_H

#include "bpf/off_cpu.h"
#include "bpf/sample.h"
#include "bpf/socket_address.h"

#define WORDS_MASK (2 * FNP_USER_WORDS_MAX - 1)
#define PEER_WORDS 4 /* a section's head and struct fnp_peer */

FNP_WALK_MAP(fnp_off_cpu_walks);

static __always_inline struct fnp_walk *current_walk(void)
{
	fnp_u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&fnp_off_cpu_walks, &cpu);
}

/* The descriptor that a wait is about, as far as it is about one; else negative. */
static __always_inline int descriptor_of(struct pt_regs *regs, fnp_u32 wait)
{
	int fd = -1;

	if (wait == FNP_WAIT_NETWORK)
		return WAIT_FIRST(regs);
	if (wait == FNP_WAIT_POLL && WAIT_SECOND(regs) == 1 &&
	    calls[WAIT_NR(regs) & (CALLS_MAX - 1)] == CALL_SET_SECOND)
		bpf_probe_read_user(&fd, sizeof(fd), (void *)WAIT_FIRST(regs)); /* struct pollfd begins with it */
	return fd;
}

/* Adds the section FNP_SECTION_PEER at walk->words[at]; the number of words that it takes, 0: nobody is known. */
__noinline int fnp_put_peer(struct fnp_walk *walk, fnp_u32 at, fnp_u32 wait)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	int fd = descriptor_of(regs, wait);
	struct sock *sk = fd >= 0 ? sock_of_fd(fd) : NULL;
	fnp_u64 words[PEER_WORDS] = {FNP_SECTION_PEER | (fnp_u64)sizeof(struct fnp_peer) << 32};
	struct address address = {};

	if (!walk || !sk || at > WORDS_MASK - PEER_WORDS)
		return 0;
	address_of_found(sk, &address);
	if ((address.family != FNP_AF_INET && address.family != FNP_AF_INET6) || !address.remote_port)
		return 0;
	address_put(&address, (fnp_u8 *)&words[1]);
	words[3] = address.remote_port;
	for (fnp_u32 i = 0; i < PEER_WORDS; i++)
		walk->words[(at + i) & WORDS_MASK] = words[i];
	return PEER_WORDS;
}

/* Whom it waits for, when that is known, behind all that a complete record has. */
static __always_inline void add_peer(struct fnp_walk *walk, struct fnp_sample_record *record)
{
	fnp_u32 at = (record->head.size - sizeof(struct sample_head)) / 8;
	fnp_u32 peer = fnp_put_peer(walk, at, record->cpu);

	record->head.n_sections += peer != 0;
	record->head.size += 8 * peer;
}

/*
 * Sends a complete record as one of a wait of `wait`. `expected_us`: for how long it was expected when it was taken by chance;
 * 0: it was taken for certain. Negative: the ring is full.
 */
static __always_inline long wait_send(struct fnp_walk *walk, fnp_u32 wait, fnp_u32 expected_us,
				      fnp_u32 period_us)
{
	struct fnp_sample_record *record = &((struct sample_head *)walk->head)->record;

	record->head.type = FNP_RECORD_OFF_CPU;
	record->cpu = wait < FNP_WAIT_MAX ? wait : FNP_WAIT_MAX;
	record->expected_us = expected_us;
	record->period_us = period_us;
	add_peer(walk, record);
	return sample_send(walk);
}

#endif
