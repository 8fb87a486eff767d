// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exact CPU time of watched processes, at context switches. What a process that is not watched pays: one look-up of
 * the thread that comes in.
 *
 * tp_btf, because programs on perf-attached tracepoints make the perf_event program of their CPU miss its ticks.
 */
#include "bpf/targets.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline void switch_out(struct on_cpu *slot, struct task_struct *prev)
{
	fnp_u32 pid = slot->pid;
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	fnp_u64 sum = BPF_CORE_READ(prev, se.sum_exec_runtime);
	fnp_u64 old = __sync_lock_test_and_set(&slot->charged, sum);

	slot->pid = 0;
	if (!target)
		return;
	__sync_fetch_and_add(&target->cpu_ns, sum - old);
	__sync_fetch_and_sub(&target->running, 1);
	if (BPF_CORE_READ(prev, __state) & FNP_TASK_DEAD)
		__sync_fetch_and_add(&target->deads, 1);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(fnp_sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct on_cpu *slot = slot_of_cpu(bpf_get_smp_processor_id());
	struct fnp_target *target;
	fnp_u32 pid;

	if (!slot)
		return 0;
	if (slot->pid)
		switch_out(slot, prev);
	if (BPF_CORE_READ(next, pid) == 0)
		return 0;
	pid = pid_of(next);
	target = bpf_map_lookup_elem(&targets, &pid);
	if (target && !(target->flags & FNP_TARGET_WAIT_EXEC))
		slot_fill(slot, target, pid, next, bpf_ktime_get_ns());
	return 0;
}
