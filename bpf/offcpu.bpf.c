// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stacks of threads that leave their CPU, by the same walkers as the sampler's. sched.bpf.c chooses which (off_cpu.h) and
 * comes here by a tail call at its end, so that nobody else pays for it.
 */
#include "bpf/wait_record.h"
#include "bpf/weights.h"

char LICENSE[] SEC("license") = "GPL";

int fnp_off_cpu_continued(unsigned long long *ctx);

/* A deep stack is walked by several programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(fnp_u32));
	__array(values, int(void *));
} fnp_off_cpu_programs SEC(".maps") = {.values = {[0] = (void *)&fnp_off_cpu_continued}};

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

static __always_inline void send_wait(struct fnp_walk *walk, struct thread *thread)
{
	struct off_cpu_budget *budget = off_cpu_budget_here();
	fnp_u32 expected = off_cpu_expected(thread);

	if (!budget)
		return;
	if (wait_send(walk, thread->wait, budget->chosen_us ? expected : 0, budget->chosen_us) < 0) {
		off_cpu_refuse(budget, expected);
		return;
	}
	budget->stacks++;
	thread->taken_ns = thread->since_ns;
	thread->taken_delay = thread->delay_at;
	thread->taken_others_us = budget->chosen_us > expected ? budget->chosen_us - expected : 0;
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
	sample_walk(ctx, walk, pid, true, &fnp_off_cpu_programs);
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
