// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exact CPU time of watched processes (targets.h), and where their wall time went (clocks.h), at context switches. What a
 * process that is not watched pays: one look-up of the thread that comes in.
 *
 * tp_btf, because programs on perf-attached tracepoints make the perf_event program of their CPU miss its ticks.
 */
#include "bpf/off_cpu.h"
#include "bpf/weights.h"

char LICENSE[] SEC("license") = "GPL";

/* What the thread waits for, when a probe of its runtime knows better than the system call (usdt.bpf.c). */
static __always_inline fnp_u32 wait_as_told(struct on_cpu *slot, const struct thread *thread, fnp_u64 now_ns)
{
	if (thread->sleeps_until > now_ns && slot->wait == FNP_WAIT_LOCK)
		slot->wait = FNP_WAIT_SLEEP;
	/* Read back, so that the verifier does not follow each cause on its own. */
	return *(volatile fnp_u32 *)&slot->wait;
}

/* True when it is owed ticks: they make a sample. */
static __always_inline bool claim_ticks(struct on_cpu *slot, struct fnp_target *target, fnp_u32 pid,
					fnp_u64 left_ns)
{
	fnp_u64 weight_ns = weight_of_departure(slot, left_ns);

	if (!weight_ns || !(target->flags & FNP_TARGET_SAMPLED))
		return false;
	weight_claim(slot, pid, weight_ns);
	return true;
}

/* True when its stack is to be taken; `slot->wait` says what it waits for. */
static __always_inline bool switch_out(struct on_cpu *slot, struct task_struct *prev,
				       const struct queue *queue, fnp_u64 at_ns)
{
	fnp_u32 pid = slot->pid, slot_tid = slot->tid, tid = prev->pid;
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	fnp_u64 sum = prev->se.sum_exec_runtime, old;
	struct thread *thread;
	bool owed;

	slot->pid = 0;
	slot_note_stolen(slot, queue);
	if (!target)
		return false;
	__sync_fetch_and_sub(&target->running, 1);
	thread = bpf_map_lookup_elem(&threads, &tid);
	/* Another thread leaves than the one that came: its own time is made up for when it is seen again. */
	if (slot_tid == tid) {
		old = __sync_lock_test_and_set(&slot->charged, sum);
		__sync_fetch_and_add(&target->cpu_ns, sum - old);
		if (thread)
			thread->charged = sum;
	}
	if (!thread || thread->pid != pid)
		return false;
	owed = slot_tid == tid && claim_ticks(slot, target, pid, at_ns);
	thread_leave(target, thread, sum, prev->sched_info.run_delay, wait_as_told(slot, thread, at_ns), at_ns);
	thread->is_chosen = (target->flags & FNP_TARGET_SAMPLED) && !(prev->__state & FNP_TASK_DEAD) &&
			    off_cpu_choose(thread, at_ns - slot->in_ns, at_ns);
	return owed || thread->is_chosen;
}

/* A thread leaves for the last time, seen or not when it came. */
static __noinline int bury(struct task_struct *prev)
{
	fnp_u32 pid = pid_of(prev), tid = prev->pid;
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	struct thread *thread = bpf_map_lookup_elem(&threads, &tid);

	if (target && thread)
		charge_thread(target, thread, prev->se.sum_exec_runtime);
	if (thread)
		bpf_map_delete_elem(&threads, &tid);
	if (target)
		__sync_fetch_and_add(&target->deads, 1);
	return 0;
}

/*
 * In host-wide recording a process is met at its exec: then we want to know since when it runs. Nearly all that come to
 * an exec were forked for it; of one that had another program before, the moments before its exec count from there on.
 */
static __always_inline bool may_be_met(struct task_struct *task)
{
	return watch_every_exec && (task->flags & (FNP_PF_FORKNOEXEC | FNP_PF_KTHREAD)) == FNP_PF_FORKNOEXEC;
}

/* `at_ns`: the time of the switch; 0 when neither it nor `queue` was read yet. */
static __always_inline void switch_in(struct on_cpu *slot, struct task_struct *prev, struct task_struct *next,
				      struct queue *queue, fnp_u64 at_ns)
{
	struct fnp_target *target;
	struct thread *thread;
	fnp_u32 pid;

	slot->tid = slot->looks_back = 0;
	if (next->pid == 0)
		return;
	pid = pid_of(next);
	target = bpf_map_lookup_elem(&targets, &pid);
	if (target && (target->flags & FNP_TARGET_WAIT_EXEC))
		target = NULL;
	if (target || may_be_met(next)) {
		if (!at_ns)
			at_ns = slot_time(slot, queue, prev->__state);
		slot_note(slot, next, queue, at_ns);
	}
	if (!target)
		return;
	thread = slot_claim(slot, target, pid, next, queue);
	if (!thread)
		return;
	if (thread->taken_ns)
		off_cpu_end(target, thread, pid, tid_of(next));
	else if (slot->left_ns && (target->flags & FNP_TARGET_SAMPLED))
		slot->looks_back = off_cpu_look_back(slot->in_ns - slot->left_ns, at_ns);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(fnp_sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct on_cpu *slot = slot_of_cpu(bpf_get_smp_processor_id());
	struct queue queue;
	fnp_u64 at_ns = 0;
	bool take = false;

	if (!slot)
		return 0;
	if (slot->pid) {
		slot->wait = WAIT_NONE;
		if (!preempt && prev->__state)
			slot->wait = wait_of(prev, (struct pt_regs *)bpf_task_pt_regs(prev));
		at_ns = slot_time(slot, &queue, prev->__state);
		take = switch_out(slot, prev, &queue, at_ns);
	}
	if (prev->__state & FNP_TASK_DEAD)
		bury(prev);
	switch_in(slot, prev, next, &queue, at_ns);
	if (take)
		bpf_tail_call(ctx, &off_cpu_entry, 0);
	return 0;
}
