// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stacks of threads that are back from a long wait which nobody took when it began (off_cpu.h): the slow answer of a service
 * that was quick a thousand times. Its stack is still what it was, for the thread has not left the kernel; sched.bpf.c saw how
 * long it was and asks for it, here it is taken, where the thread has just been switched to and its memory can be read.
 *
 * sched_exit_tp (kernel >= 6.16) is the first tracepoint in the new thread's own context. A switch that nothing is asked at
 * costs one look at this CPU's slot.
 */
#include "bpf/wait_record.h"

char LICENSE[] SEC("license") = "GPL";

int fnp_return_continued(unsigned long long *ctx);

/* A deep stack is walked by several programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(fnp_u32));
	__array(values, int(void *));
} fnp_return_programs SEC(".maps") = {.values = {[0] = (void *)&fnp_return_continued}};

static __always_inline int finish(void *ctx, struct fnp_walk *walk, bool walked)
{
	fnp_u32 pid = ((struct sample_head *)walk->head)->record.head.pid, tid = bpf_get_current_pid_tgid();
	struct on_cpu *slot = slot_of_cpu(bpf_get_smp_processor_id());
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	struct thread *thread = bpf_map_lookup_elem(&threads, &tid);
	struct off_cpu_budget *budget = off_cpu_budget_here();

	if (!slot || !target || !thread || !budget)
		return 0;
	sample_complete(ctx, walk, walked);
	if (wait_send(walk, thread->wait, 0, 0) < 0) {
		off_cpu_refuse(budget, (slot->in_ns - slot->left_ns) / 1000);
		return 0;
	}
	budget->stacks++;
	thread->taken_ns = slot->left_ns;
	thread->taken_delay = slot->left_delay;
	thread->taken_walk_ns = thread->taken_others_us = 0;
	off_cpu_end(target, thread, pid, current_tid());
	off_cpu_paid(budget, bpf_ktime_get_ns() - slot->seen_ns);
	return 0;
}

SEC("tp_btf/sched_exit_tp")
int BPF_PROG(fnp_return)
{
	struct on_cpu *slot = slot_of_cpu(bpf_get_smp_processor_id());
	struct fnp_target *target;
	struct fnp_walk *walk;
	fnp_u32 pid;

	/* All that most switches of the host pay. */
	if (!slot || !slot->looks_back)
		return 0;
	slot->looks_back = 0;
	if (slot->tid != (fnp_u32)bpf_get_current_pid_tgid())
		return 0;
	pid = slot->pid;
	target = bpf_map_lookup_elem(&targets, &pid);
	walk = current_walk();
	if (!target || !walk)
		return 0;
	sample_begin(walk, target, pid, slot->left_ns);
	sample_walk(ctx, walk, pid, true, &fnp_return_programs);
	return finish(ctx, walk, false);
}

SEC("tp_btf/sched_exit_tp")
int BPF_PROG(fnp_return_continued)
{
	struct fnp_walk *walk = current_walk();

	if (!walk)
		return 0;
	if (fnp_walk_run(walk))
		bpf_tail_call(ctx, &fnp_return_programs, 0);
	fnp_walk_end(walk);
	return finish(ctx, walk, true);
}
