// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stacks of threads that leave their CPU, by the same walkers as the sampler's. sched.bpf.c chooses which (off_cpu.h) and
 * comes here by a tail call at its end, so that nobody else pays for it.
 */
#include "bpf/off_cpu.h"
#include "bpf/sample.h"
#include "bpf/socket_address.h"
#include "bpf/weights.h"

char LICENSE[] SEC("license") = "GPL";

#define WORDS_MASK (2 * FNP_USER_WORDS_MAX - 1)
#define PEER_WORDS 4 /* a section's head and struct fnp_peer */

FNP_WALK_MAP(fnp_off_cpu_walks);

int fnp_off_cpu_continued(unsigned long long *ctx);

/* A deep stack is walked by several programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(fnp_u32));
	__array(values, int(void *));
} fnp_off_cpu_programs SEC(".maps") = {.values = {[0] = (void *)&fnp_off_cpu_continued}};

static __always_inline struct fnp_walk *current_walk(void)
{
	fnp_u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&fnp_off_cpu_walks, &cpu);
}

/* The stack is a sample, too: of the ticks that the thread was owed. */
static __always_inline void send_sample(struct fnp_walk *walk)
{
	struct fnp_sample_record *record = &((struct sample_head *)walk->head)->record;
	struct on_cpu *slot = slot_of_cpu(bpf_get_smp_processor_id());
	fnp_u32 pid = record->head.pid;
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	fnp_u64 weight_ns = weight_claimed(slot, pid);

	if (!weight_ns || !target)
		return;
	record->head.type = FNP_RECORD_SAMPLE;
	record->cpu = bpf_get_smp_processor_id();
	record->weight_ns = weight_ns;
	__sync_fetch_and_add(&target->ticks, 1);
	if (sample_send(walk) < 0)
		__sync_fetch_and_add(&target->lost[FNP_LOSS_RING_FULL], 1);
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

static __always_inline void send_wait(struct fnp_walk *walk, struct thread *thread)
{
	struct fnp_sample_record *record = &((struct sample_head *)walk->head)->record;
	struct off_cpu_budget *budget = off_cpu_budget_here();

	if (!budget)
		return;
	record->head.type = FNP_RECORD_OFF_CPU;
	record->cpu = thread->wait < FNP_WAIT_MAX ? thread->wait : FNP_WAIT_MAX;
	record->expected_us = off_cpu_expected(thread);
	record->period_us = budget->chosen_us;
	if (off_cpu_is_certain(record->expected_us, record->period_us))
		record->expected_us = 0;
	add_peer(walk, record);
	if (sample_send(walk) < 0) {
		off_cpu_refuse(budget, off_cpu_expected(thread));
		return;
	}
	budget->stacks++;
	thread->taken_ns = thread->since_ns;
	thread->taken_delay = thread->delay_at;
	thread->taken_walk_ns = bpf_ktime_get_ns() - thread->since_ns;
	off_cpu_paid(budget, thread->taken_walk_ns);
}

static __always_inline int finish(void *ctx, struct fnp_walk *walk, bool walked)
{
	fnp_u32 tid = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&threads, &tid);

	sample_complete(ctx, walk, walked);
	send_sample(walk);
	if (thread && thread->is_chosen)
		send_wait(walk, thread);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(fnp_off_cpu)
{
	fnp_u32 tid = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&threads, &tid);
	struct fnp_walk *walk = current_walk();
	struct fnp_target *target;
	fnp_u32 pid;

	if (!thread || !walk || thread->state != THREAD_OFF)
		return 0;
	pid = thread->pid;
	target = bpf_map_lookup_elem(&targets, &pid);
	if (!target)
		return 0;
	sample_begin(walk, target, pid, thread->since_ns);
	if (has_user_stack()) {
		fnp_walk_begin(walk, pid, true);
		/* The walk itself stands in one program alone: the verifier's time with it is most of what our start takes. */
		bpf_tail_call(ctx, &fnp_off_cpu_programs, 0);
		/* Not reached where that program is there. */
		fnp_walk_end(walk);
	} else {
		walk->n_words = walk->truncation = walk->resumable = 0;
	}
	return finish(ctx, walk, false);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(fnp_off_cpu_continued)
{
	struct fnp_walk *walk = current_walk();

	if (!walk)
		return 0;
	if (fnp_walk_run(walk))
		bpf_tail_call(ctx, &fnp_off_cpu_programs, 0);
	fnp_walk_end(walk);
	return finish(ctx, walk, true);
}
