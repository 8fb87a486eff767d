/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Watched processes as the programs see them: the maps that all objects share (user space creates each once and hands
 * it to the others by name), pids as our namespace counts them, and the exact accounting of CPU time.
 *
 * CPU time. Each CPU has a slot that says which watched thread runs there, since when, and up to which value of its
 * se.sum_exec_runtime its process was charged. A switch charges what is left. An event that needs the time of its
 * process at this moment charges its own thread by slot.sum_at_in + (now - slot.in_ns) less what was stolen since, because
 * sum_exec_runtime is up to a tick old between switches, and the process's threads on other CPUs likewise, but only when
 * the process counts more than one running thread. When such an estimate was too high (of the last tick it is not known
 * what was stolen) the next charge is negative: sums stay exact.
 *
 *   I1  a slot is filled and emptied by its own CPU alone;
 *   I2  other CPUs move `charged` alone, by compare and exchange: when the slot changed hands, they fail and do nothing;
 *   I3  every change of hands changes `charged`.
 *
 * Not every switch is seen: on some hosts threads are switched away from without the tracepoint (a few in a thousand,
 * measured beside ftrace, which misses the same ones). So what a thread was charged up to is remembered by thread, too,
 * and what is missing is charged when it is seen next; a slot is believed only when it names the thread that leaves.
 */
#ifndef FNP_BPF_TARGETS_H
#define FNP_BPF_TARGETS_H

#include "bpf/behind.h"
#include "bpf/clocks.h"

#define FNP_TARGETS_MAX 8192
#define FNP_CPUS_MAX 1024      /* loop bound; the map has as many slots as the host has CPUs */
#define EVENTS_LOOK_BYTES 8192 /* of a CPU's events, then it is looked how full their ring is */

struct on_cpu {
	fnp_u32 pid; /* 0: no watched thread runs here */
	fnp_u32 tid; /* global */
	fnp_u64 sum_at_in;
	fnp_u64 in_ns; /* it came, by the scheduler's clock, see slot_time() */
	fnp_u64 charged;
	fnp_u64 stolen_at_in;
	fnp_u64 stolen_seen; /* of this CPU's time, by its host, up to the last look */
	fnp_u64 stolen_ns;   /* of it, from watched threads; the sampler takes it off the weights */
	fnp_u32 wait;	     /* of the thread that leaves */
	fnp_u32 claimed_pid; /* whose next sample here weighs so much more: */
	fnp_u64 claimed_ns;
	fnp_u64 seen_ns;	  /* the last switch was seen */
	fnp_u64 told_ns;	  /* the last event of its thread was told of */
	struct fnp_behind behind; /* the run queue's clock, behind ours */
	fnp_u64 left_ns;	  /* of the thread that came: when it had left its CPU before; 0: not known */
	fnp_u64 left_delay;	  /* what it had spent in run queues until then */
	fnp_u32 looks_back;	  /* its stack is to be taken for the wait that is over (returns.bpf.c) */
	fnp_u32 sent_bytes;	  /* of events, since it was looked how full their ring is */
};

/* Set by user space before the programs are loaded. */
const volatile unsigned int own_pid_ns = 0; /* inode of our PID namespace; 0: the initial one, no translation */
const volatile unsigned int n_cpus = 1;
const volatile bool watch_every_exec = false; /* host-wide: processes are watched from exec until user space decides */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FNP_TARGETS_MAX);
	__type(key, fnp_u32);
	__type(value, struct fnp_target);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* user space: number of CPUs */
	__type(key, fnp_u32);
	__type(value, struct on_cpu);
} on_cpus SEC(".maps");

/* Everything that has a number; user space sets both sizes. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

/* A task's pid in our namespace; 0 when it has none there. */
static __noinline fnp_u32 nr_in_own_ns(struct pid *pid)
{
	unsigned int level = BPF_CORE_READ(pid, level);

#pragma unroll
	for (unsigned int i = 0; i < 8; i++) {
		struct upid upid = {};
		const void *at = (const void *)pid + bpf_core_field_offset(struct pid, numbers) +
				 i * bpf_core_type_size(struct upid);

		if (i > level)
			break;
		bpf_probe_read_kernel(&upid.ns, sizeof(upid.ns), at + bpf_core_field_offset(struct upid, ns));
		if (BPF_CORE_READ(upid.ns, ns.inum) != own_pid_ns)
			continue;
		bpf_probe_read_kernel(&upid.nr, sizeof(upid.nr), at + bpf_core_field_offset(struct upid, nr));
		return upid.nr;
	}
	return 0;
}

static __always_inline fnp_u32 tid_of(struct task_struct *task)
{
	return own_pid_ns ? nr_in_own_ns(BPF_CORE_READ(task, thread_pid)) : task->pid;
}

static __always_inline fnp_u32 pid_of(struct task_struct *task)
{
	return own_pid_ns ? nr_in_own_ns(BPF_CORE_READ(task, group_leader, thread_pid)) : task->tgid;
}

static __always_inline fnp_u32 current_pid(void)
{
	return own_pid_ns ? pid_of(bpf_get_current_task_btf()) : bpf_get_current_pid_tgid() >> 32;
}

static __always_inline fnp_u32 current_tid(void)
{
	return own_pid_ns ? tid_of(bpf_get_current_task_btf()) : (fnp_u32)bpf_get_current_pid_tgid();
}

static __always_inline fnp_u64 process_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, group_leader, start_time);
}

static __always_inline struct on_cpu *slot_of_cpu(fnp_u32 cpu)
{
	return bpf_map_lookup_elem(&on_cpus, &cpu);
}

/* An entry that says nothing yet; entries are too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, fnp_u32);
	__type(value, struct thread);
} blank_thread SEC(".maps");

static __always_inline struct thread *thread_add(fnp_u32 global_tid, fnp_u32 pid)
{
	fnp_u32 zero = 0;
	struct thread *blank = bpf_map_lookup_elem(&blank_thread, &zero), *thread;

	if (!blank)
		return NULL;
	bpf_map_update_elem(&threads, &global_tid, blank, BPF_ANY);
	thread = bpf_map_lookup_elem(&threads, &global_tid);
	if (thread)
		thread->pid = pid;
	return thread;
}

/* A thread that we see for the first time has been charged up to `sum`. NULL: there are too many. */
static __always_inline struct thread *thread_meet(fnp_u32 global_tid, fnp_u32 pid, fnp_u64 sum)
{
	struct thread *thread = bpf_map_lookup_elem(&threads, &global_tid);

	if (thread)
		return thread;
	thread = thread_add(global_tid, pid);
	if (thread)
		thread->charged = thread->sum_at = sum;
	return thread;
}

/*
 * A thread that is being born: charged from 0, and it inherits its creator's waits (struct fnp_clocks). Without `target`
 * it is the first of its process, whose clocks begin when it runs.
 */
static __always_inline void thread_bear(fnp_u32 global_tid, fnp_u32 pid, struct fnp_target *target,
					fnp_u64 now_ns)
{
	fnp_u32 creator_tid = bpf_get_current_pid_tgid();
	struct thread *thread = thread_add(global_tid, pid), *creator;

	if (!thread || !target)
		return;
	thread->since_ns = now_ns;
	thread->clock_at = target->quiet_ns;
	thread->wait = WAIT_NONE;
	thread->state = THREAD_OFF;
	creator = bpf_map_lookup_elem(&threads, &creator_tid);
	if (creator)
		__builtin_memcpy(thread->waits, creator->waits, sizeof(thread->waits));
}

/* The thread was charged up to `sum`; what it used unseen since it was last charged is charged now. */
static __always_inline void charge_thread(struct fnp_target *target, struct thread *thread, fnp_u64 sum)
{
	if (thread->charged != sum)
		__sync_fetch_and_add(&target->cpu_ns, sum - thread->charged);
	thread->charged = sum;
}

/* Its switch may not be seen: what was charged in between must not be made up for again. Its entry, or NULL. */
static __always_inline struct thread *remember_charged(fnp_u32 global_tid, fnp_u64 sum)
{
	struct thread *thread = bpf_map_lookup_elem(&threads, &global_tid);

	if (thread)
		thread->charged = sum;
	return thread;
}

/* The watched thread of this CPU ran until now: what was stolen meanwhile was stolen from it. */
static __always_inline void slot_note_stolen(struct on_cpu *slot, const struct queue *queue)
{
	if (queue->stolen_ns > slot->stolen_seen)
		slot->stolen_ns += queue->stolen_ns - slot->stolen_seen;
	slot->stolen_seen = queue->stolen_ns;
}

/*
 * The time of the switch that is seen now, as the scheduler has it, by which it charges who leaves and who comes: an idle
 * CPU's thread from its wake-up on, some microseconds before anybody sees it run. How far its clock is behind ours is seen
 * where a thread goes to sleep (`leaves`), for then it was just read; where one is pushed away it may be that of the wake-up that
 * did it. Clocks drift, so nothing is known of that a little later. What events have told of is past.
 */
static __always_inline fnp_u64 slot_time(struct on_cpu *slot, struct queue *queue, bool leaves)
{
	fnp_u64 now_ns = bpf_ktime_get_ns(), ns;

	fnp_queue_read(queue);
	slot->seen_ns = now_ns;
	if (!queue->clock_ns)
		return now_ns;
	ns = fnp_behind_time(&slot->behind, queue->clock_ns, now_ns, leaves);
	return ns > slot->told_ns ? ns : slot->told_ns;
}

/* Remembers who came to this CPU, and when; nobody is charged yet. */
static __always_inline void slot_note(struct on_cpu *slot, struct task_struct *task,
				      const struct queue *queue, fnp_u64 in_ns)
{
	slot->sum_at_in = task->se.sum_exec_runtime;
	slot->in_ns = in_ns;
	slot->stolen_seen = slot->stolen_at_in = queue->stolen_ns;
	slot->tid = task->pid;
}

/* The noted thread is one of this process; its entry, or NULL. */
static __always_inline struct thread *slot_claim(struct on_cpu *slot, struct fnp_target *target, fnp_u32 pid,
						 struct task_struct *task, const struct queue *queue)
{
	struct thread *thread = thread_meet(slot->tid, pid, slot->sum_at_in);

	slot->left_ns = 0;
	if (thread) {
		charge_thread(target, thread, slot->sum_at_in);
		/* Of two CPUs' clocks one may be a little behind. */
		if ((fnp_s64)(slot->in_ns - thread->since_ns) < 0)
			slot->in_ns = thread->since_ns;
		if (thread->state == THREAD_OFF)
			slot->left_ns = thread->since_ns;
		slot->left_delay = thread->delay_at;
		thread_arrive(target, thread, task, queue, slot->in_ns);
	}
	slot->charged = slot->sum_at_in;
	slot->pid = pid;
	__sync_fetch_and_add(&target->running, 1);
	return thread;
}

/* What the thread of a slot has spent, as far as it can be known while it runs. */
static __always_inline fnp_u64 sum_of_slot(const struct on_cpu *slot, fnp_u64 now_ns)
{
	fnp_u64 wall = now_ns - slot->in_ns, stolen = slot->stolen_seen - slot->stolen_at_in;

	return slot->sum_at_in + (stolen < wall ? wall - stolen : wall);
}

/* Whose event it is, as event_begin() found it. Either is NULL where it cannot be known. */
struct teller {
	struct on_cpu *slot;
	struct thread *thread;
};

/* The running thread's CPU time at this moment; its process is charged up to it. */
static __always_inline fnp_u64 charge_current(struct fnp_target *target, fnp_u32 pid, fnp_u64 now_ns,
					      struct teller *ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct on_cpu *slot = slot_of_cpu(bpf_get_smp_processor_id());
	struct queue queue;
	fnp_u64 sum, old;

	ret->slot = slot;
	ret->thread = NULL;
	if (!slot)
		return 0;
	fnp_queue_read(&queue);
	if (slot->pid != pid || slot->tid != (fnp_u32)bpf_get_current_pid_tgid()) {
		/* It ran already when we began to watch it, or its switch was not seen. */
		if (slot->tid != (fnp_u32)bpf_get_current_pid_tgid())
			slot_note(slot, task, &queue, now_ns);
		slot_claim(slot, target, pid, task, &queue);
	}
	slot_note_stolen(slot, &queue);
	slot->told_ns = now_ns;
	sum = sum_of_slot(slot, now_ns);
	old = __sync_lock_test_and_set(&slot->charged, sum);
	__sync_fetch_and_add(&target->cpu_ns, sum - old);
	ret->thread = remember_charged(slot->tid, sum);
	return sum;
}

/* Charges the process for its threads that run on other CPUs. A subprogram of its own: it has the loop. */
static __noinline int charge_others(struct fnp_target *target, fnp_u32 pid, fnp_u64 now_ns)
{
	fnp_u32 own_cpu = bpf_get_smp_processor_id();

	for (fnp_u32 cpu = 0; cpu < FNP_CPUS_MAX; cpu++) {
		struct on_cpu *slot;
		fnp_u64 old, sum;

		if (cpu >= n_cpus)
			break;
		slot = cpu == own_cpu ? NULL : slot_of_cpu(cpu);
		if (!slot || slot->pid != pid)
			continue;
		old = *(volatile fnp_u64 *)&slot->charged;
		sum = sum_of_slot(slot, now_ns);
		if ((fnp_s64)(sum - old) > 0 && __sync_val_compare_and_swap(&slot->charged, old, sum) == old) {
			__sync_fetch_and_add(&target->cpu_ns, sum - old);
			remember_charged(slot->tid, sum);
		}
	}
	return 0;
}

/* The section of the process's clocks, for an event of the current thread that event_begin() has begun; its size. */
static __always_inline fnp_u32 event_put_clocks(void *at, struct fnp_target *target,
						const struct fnp_record *head, const struct teller *teller)
{
	const struct on_cpu *slot = teller->slot;

	return clocks_put(at, target, teller->thread, head->time_ns, slot ? slot->in_ns : head->time_ns,
			  slot ? slot->stolen_seen - slot->stolen_at_in : 0);
}

/* Begins an event of the current process: number, times. Call once for each record, then output it. */
static __always_inline struct teller event_begin(struct fnp_target *target, fnp_u32 pid,
						 struct fnp_record *head, struct fnp_cpu_times *cpu)
{
	fnp_u64 now_ns = bpf_ktime_get_ns();
	struct teller teller;

	if (!target->process)
		target->process = process_of(bpf_get_current_task_btf());
	cpu->thread_ns = charge_current(target, pid, now_ns, &teller);
	if (target->running > 1)
		charge_others(target, pid, now_ns);
	head->time_ns = now_ns;
	head->pid = pid;
	head->tid = current_tid();
	head->process = target->process;
	head->seq = __sync_fetch_and_add(&target->seq, 1) + 1;
	cpu->process_ns = target->cpu_ns;
	cpu->ticks = target->ticks;
	cpu->lost = target->lost[FNP_LOSS_RING_FULL];
	return teller;
}

/* True when much waits in the ring. It is asked now and then: user space writes what must be read for it. */
static __always_inline bool events_are_many(struct on_cpu *slot, fnp_u32 size)
{
	if (slot) {
		slot->sent_bytes += size;
		if (slot->sent_bytes < EVENTS_LOOK_BYTES)
			return false;
		slot->sent_bytes = 0;
	}
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&events, BPF_RB_RING_SIZE) / 8;
}

/* Sends a finished event. `urgent` wakes user space at once; else it looks ten times a second, or when much waits. */
static __always_inline void event_send(struct fnp_target *target, struct fnp_record *head, fnp_u32 size,
				       bool urgent, const struct teller *teller)
{
	fnp_u64 flags = urgent || events_are_many(teller->slot, size) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;

	if (bpf_ringbuf_output(&events, head, size, flags) != 0)
		__sync_fetch_and_add(&target->events_lost, 1);
}

#endif
