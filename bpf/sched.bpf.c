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
	fnp_u32 pid = slot->pid, tid = slot->tid;
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	fnp_u64 sum = BPF_CORE_READ(prev, se.sum_exec_runtime), old;

	slot->pid = 0;
	slot_note_stolen(slot, prev);
	if (target)
		__sync_fetch_and_sub(&target->running, 1);
	/* Another thread leaves than the one that came: its own time is made up for when it is seen again. */
	if (tid != (fnp_u32)BPF_CORE_READ(prev, pid) || !target)
		return;
	old = __sync_lock_test_and_set(&slot->charged, sum);
	__sync_fetch_and_add(&target->cpu_ns, sum - old);
	remember_charged(tid, sum);
}

/* A thread leaves for the last time, seen or not when it came. */
static __always_inline void bury(struct task_struct *prev)
{
	fnp_u32 pid = pid_of(prev), tid = BPF_CORE_READ(prev, pid);
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);

	if (!target)
		return;
	charge_thread(target, tid, BPF_CORE_READ(prev, se.sum_exec_runtime));
	bpf_map_delete_elem(&threads, &tid);
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
	if (prev->__state & FNP_TASK_DEAD)
		bury(prev);
	slot->tid = 0;
	if (next->pid == 0)
		return 0;
	pid = pid_of(next);
	target = bpf_map_lookup_elem(&targets, &pid);
	if (target && (target->flags & FNP_TARGET_WAIT_EXEC))
		target = NULL;
	/* In host-wide recording a process is met at its exec: then we want to know since when it runs. */
	if (target || watch_every_exec) {
		slot_note(slot, next, bpf_ktime_get_ns());
		slot->from_idle = prev->pid == 0;
	}
	if (target)
		slot_claim(slot, target, pid);
	return 0;
}
