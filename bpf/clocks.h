/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the wall time of a process goes, kept while it happens: nothing is recorded at a switch, a few sums are moved on.
 *
 * A process has a clock word: how many of its threads are on a CPU, and since when that is so. Who changes the number
 * puts the time until now to what held: one thread on a CPU (`alone`), several (`together`), none. Of the time in which
 * none was, as much as the arriving thread spent in a run queue (the scheduler's own sched_info) is `run_queue`, the rest
 * is `quiet`, until another thread comes and says that it was queued then. So `quiet` is a clock that stands still while
 * anything of the process runs or wants to.
 *
 * A thread notes the quiet clock when it leaves its CPU, and what it waits for. When it comes back, what the quiet clock
 * moved on is its wait: it needs no other thread's state, and costs the same with ten thousand threads. An event brings
 * the clocks as they stand (struct fnp_clocks), and the difference of two events is a ledger.
 *
 * Stolen time is what a thread was on a CPU and not charged for. It is known at a switch; for an event in between the
 * CPU's queue says it, up to a tick ago (targets.h).
 *
 * Some switches reach no tracepoint (targets.h). A thread that comes back and never left has left when its
 * sum_exec_runtime stood still: what was taken for on CPU since goes to what it was. Likewise a thread whose arrival was
 * not seen has run for what its sum_exec_runtime moved on.
 *
 *   I1  A thread is counted in the clock word while its state is ON, and by its own entry alone.
 *   I2  The word is changed by compare and exchange; who succeeds owns the time since the change before.
 */
#ifndef FNP_BPF_CLOCKS_H
#define FNP_BPF_CLOCKS_H

#include "bpf/waits.h"

#define FNP_THREADS_MAX 16384 /* four times as many where elements are made when they are needed */
#define CLOCK_SHIFT 48
#define CLOCK_MASK ((1ULL << CLOCK_SHIFT) - 1) /* 78 hours of ns; times are compared in this ring */
#define CLOCK_TRIES 64
#define CLOCK_READS 4 /* of clocks that others move on meanwhile */
#define CLOCKS_WITHOUT_FIRST offsetof(struct fnp_clocks, first)

enum thread_state { THREAD_NEW = 0, THREAD_ON = 1, THREAD_OFF = 2 };
#define WAIT_NONE 255 /* it was pushed from its CPU */

/* What each switch needs stands together at the begin. */
struct thread {
	fnp_u64 charged;  /* up to which sum_exec_runtime its process was charged when it last left a CPU */
	fnp_u64 since_ns; /* it came, or left */
	fnp_u64 clock_at; /* then: ON the process's alone clock, OFF its quiet clock */
	fnp_u64 sum_at;	  /* then: sum_exec_runtime */
	fnp_u64 delay_at; /* then: what it has spent in run queues */
	fnp_u32 pid;	  /* of its process */
	fnp_u8 state;	  /* enum thread_state */
	fnp_u8 wait;	  /* enum fnp_wait or WAIT_NONE; OFF only */
	fnp_u8 is_chosen; /* the off-CPU collector takes the stack with which it leaves */
	fnp_u8 pad;
	fnp_u64 sleeps_until;	     /* a probe said that it sleeps, until then at most; 0: none did */
	fnp_u64 taken_ns;	     /* a stack was taken when it left at this time (off_cpu.h); 0: none */
	fnp_u64 waits[FNP_WAIT_MAX]; /* as in struct fnp_clocks */
	/* Of the off-CPU collector (off_cpu.h): */
	fnp_u32 expected_us[FNP_WAIT_MAX + 1]; /* how long it is off, by what it waits for; 0: not known */
	fnp_u32 taken_walk_ns;		       /* for so long the walk kept it from leaving */
	fnp_u32 taken_others_us;	       /* what it stands for beside itself, as it was expected */
	fnp_u64 taken_delay;		       /* delay_at then */
};

/* Key: global tid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FNP_THREADS_MAX);
	__type(key, fnp_u32);
	__type(value, struct thread);
} threads SEC(".maps");

/* What the run queue of this CPU says; zeros where the kernel does not. */
struct queue {
	fnp_u64 clock_ns;
	/*
	 * What the host, and on some kernels interrupts, have taken so far of this CPU, as the kernel's own accounting
	 * leaves it out of sum_exec_runtime: brought up to date at each switch and scheduler tick.
	 */
	fnp_u64 stolen_ns;
};

/*
 * A global function, because for each pointer that is followed from a trusted one the verifier searches all types of the
 * kernel by their names, some milliseconds; here it does so once. A thread that is switched from is still the current one.
 */
__noinline int fnp_queue_read(struct queue *ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct rq *rq;

	if (!ret)
		return 0;
	ret->clock_ns = ret->stolen_ns = 0;
	if (!bpf_core_field_exists(task->se.cfs_rq))
		return 0;
	rq = task->se.cfs_rq->rq;
	ret->clock_ns = rq->clock;
	if (bpf_core_field_exists(rq->prev_steal_time_rq))
		ret->stolen_ns = rq->prev_steal_time_rq;
	if (bpf_core_field_exists(rq->prev_irq_time))
		ret->stolen_ns += rq->prev_irq_time;
	return 0;
}

/*
 * What a thread of this CPU has spent in run queues so far, this time included; 0 on kernels that do not count it.
 */
static __always_inline fnp_u64 delay_of(struct task_struct *task, const struct queue *queue)
{
	fnp_u64 delay, queued;

	if (!bpf_core_field_exists(task->sched_info))
		return 0;
	delay = task->sched_info.run_delay;
	queued = task->sched_info.last_queued;
	if (queued && (fnp_s64)(queue->clock_ns - queued) > 0)
		delay += queue->clock_ns - queued;
	return delay;
}

static __always_inline void clock_account(struct fnp_target *target, fnp_u64 running, fnp_u64 ns,
					  fnp_u64 queued_ns)
{
	if (running == 1) {
		__sync_fetch_and_add(&target->alone_ns, ns);
	} else if (running) {
		__sync_fetch_and_add(&target->together_ns, ns);
	} else {
		fnp_u64 queued = queued_ns < ns ? queued_ns : ns;

		__sync_fetch_and_add(&target->run_queue_ns, queued);
		__sync_fetch_and_add(&target->quiet_ns, ns - queued);
	}
}

/*
 * `change` more threads are on a CPU from now on. A global function, because the verifier takes it once by itself, not
 * with everything that may have come before each call: that made the programs' start three times as long.
 */
__noinline int fnp_clock_turn(struct fnp_target *target, fnp_s64 change, fnp_u64 now_ns, fnp_u64 queued_ns)
{
	if (!target)
		return 0;
	for (int i = 0; i < CLOCK_TRIES; i++) {
		fnp_u64 old = *(volatile fnp_u64 *)&target->clock;
		fnp_u64 running = old >> CLOCK_SHIFT, time = now_ns & CLOCK_MASK;
		fnp_u64 ns = (time - old) & CLOCK_MASK;

		if (!old) {
			ns = 0; /* it begins */
		} else if (ns > CLOCK_MASK / 2) {
			ns = 0; /* another CPU is ahead of us by a little */
			time = old & CLOCK_MASK;
		}
		if (__sync_val_compare_and_swap(&target->clock, old,
						(((running + change) & 0xffff) << CLOCK_SHIFT) | time) != old)
			continue;
		if (!old)
			target->clock_begun = time;
		clock_account(target, running, ns, queued_ns);
		break;
	}
	return 0;
}

/* Time that had been put to the wrong clock. */
static __always_inline void clock_move(fnp_u64 *from, fnp_u64 *to, fnp_u64 ns)
{
	__sync_fetch_and_sub(from, ns);
	__sync_fetch_and_add(to, ns);
}

static __always_inline fnp_u64 smaller(fnp_u64 a, fnp_u64 b)
{
	return a < b ? a : b;
}

static __always_inline void thread_waited(struct thread *thread, fnp_u32 wait, fnp_u64 ns)
{
	if (wait < FNP_WAIT_MAX && (fnp_s64)ns > 0)
		thread->waits[wait] += ns;
}

/*
 * The end of a wait, `now_ns`: what the quiet clock moved on, less what the thread ran unseen (`ran_ns`). What it spent in run
 * queues (`queued_ns`) is no wait; it was taken for quiet where other threads of the process came and went meanwhile.
 */
static __always_inline void thread_end_wait(struct fnp_target *target, struct thread *thread, fnp_u64 ran_ns,
					    fnp_u64 queued_ns, fnp_u64 now_ns)
{
	fnp_u64 waited = target->quiet_ns - thread->clock_at, most = now_ns - thread->since_ns;

	if ((fnp_s64)waited < 0)
		waited = 0;
	if (ran_ns) {
		ran_ns = smaller(ran_ns, waited);
		clock_move(&target->quiet_ns, &target->alone_ns, ran_ns);
		waited -= ran_ns;
	}
	queued_ns += ran_ns;
	most = thread->wait == WAIT_NONE || most < queued_ns ? 0 : most - queued_ns;
	if (waited > most) {
		fnp_u64 since_told = target->quiet_ns - target->quiet_told_ns;

		if ((fnp_s64)since_told > 0)
			clock_move(&target->quiet_ns, &target->run_queue_ns,
				   smaller(waited - most, since_told));
		waited = most;
	}
	thread_waited(thread, thread->wait, waited);
}

/*
 * It is on a CPU by our books, and comes again: it left when its sum_exec_runtime stood still. Seldom, so it does not stand
 * in the way of what each switch runs through.
 */
__attribute__((unused)) static __noinline int thread_mend_departure(struct fnp_target *target,
								    struct thread *thread,
								    struct task_struct *task,
								    const struct queue *queue, fnp_u64 now_ns)
{
	fnp_u64 ran = task->se.sum_exec_runtime - thread->sum_at, gone, queued;

	fnp_clock_turn(target, 0, now_ns, 0);
	gone = now_ns - thread->since_ns;
	gone = gone > ran ? gone - ran : 0;
	gone = smaller(gone, target->alone_ns - thread->clock_at);
	queued = smaller(delay_of(task, queue) - thread->delay_at, gone);
	clock_move(&target->alone_ns, &target->run_queue_ns, queued);
	clock_move(&target->alone_ns, &target->quiet_ns, gone - queued);
	/* Read back, so that the verifier does not follow each cause on its own. */
	thread->wait = wait_of(task, (struct pt_regs *)bpf_task_pt_regs(task));
	thread_waited(thread, *(volatile fnp_u8 *)&thread->wait, gone - queued);
	return 0;
}

/* It was off its CPU for so long; it will be so again. */
static __always_inline void thread_expect(struct thread *thread, fnp_u64 ns)
{
	fnp_u32 wait = thread->wait < FNP_WAIT_MAX ? thread->wait : FNP_WAIT_MAX;
	fnp_u64 us = ns / 1000, before = thread->expected_us[wait];

	if (us > 0x3fffffff)
		us = 0x3fffffff;
	us = before ? (3 * before + us) / 4 : us;
	thread->expected_us[wait] = us ? us : 1;
}

/* The thread is on this CPU now; its entry says what it was before. */
static __always_inline void thread_arrive(struct fnp_target *target, struct thread *thread,
					  struct task_struct *task, const struct queue *queue, fnp_u64 now_ns)
{
	fnp_u64 sum = task->se.sum_exec_runtime, delay = delay_of(task, queue);
	fnp_u64 ran = sum - thread->sum_at, off = now_ns - thread->since_ns, queued = delay - thread->delay_at;

	if (thread->state == THREAD_OFF) {
		if (thread->wait == WAIT_NONE) /* also where the kernel does not say */
			queued = off > ran ? off - ran : 0;
		thread_expect(thread, off);
		fnp_clock_turn(target, 1, now_ns, queued);
		thread_end_wait(target, thread, ran, queued, now_ns);
	} else if (thread->state == THREAD_ON) {
		thread_mend_departure(target, thread, task, queue, now_ns);
	} else {
		fnp_clock_turn(target, 1, now_ns, 0);
	}
	thread->state = THREAD_ON;
	thread->since_ns = now_ns;
	thread->clock_at = target->alone_ns;
	thread->sum_at = sum;
	thread->delay_at = delay;
}

/* Of `stolen` ns the part in which no other thread of the process was on a CPU. */
static __always_inline fnp_u64 stolen_alone(fnp_u64 stolen, fnp_u64 alone, fnp_u64 wall)
{
	if ((fnp_s64)stolen <= 0)
		return 0;
	return alone >= wall ? stolen : smaller(stolen * (alone >> 10) / ((wall >> 10) + 1), alone);
}

/* The thread leaves this CPU, `wait` says for what. */
static __always_inline void thread_leave(struct fnp_target *target, struct thread *thread, fnp_u64 sum,
					 fnp_u64 delay, fnp_u32 wait, fnp_u64 now_ns)
{
	if (thread->state == THREAD_ON) {
		fnp_u64 wall = now_ns - thread->since_ns;

		fnp_clock_turn(target, -1, now_ns, 0);
		__sync_fetch_and_add(&target->stolen_ns,
				     stolen_alone(wall - (sum - thread->sum_at),
						  target->alone_ns - thread->clock_at, wall));
	} else {
		fnp_clock_turn(target, 0, now_ns, 0);
		if (thread->state == THREAD_OFF)
			thread_end_wait(target, thread, sum - thread->sum_at, delay - thread->delay_at, now_ns);
	}
	thread->state = THREAD_OFF;
	thread->since_ns = now_ns;
	thread->clock_at = target->quiet_ns;
	thread->sum_at = sum;
	thread->delay_at = delay;
	thread->wait = wait;
}

/*
 * The process's clocks up to `now_ns`, into `clocks`; the time of them in which at most one thread was on a CPU. Other CPUs
 * may be between the change of the word and that of a sum: then the sums are not the word's time, and are read again.
 */
static __always_inline fnp_u64 clocks_read(struct fnp_target *target, fnp_u64 now_ns, struct fnp_clocks *clocks)
{
	volatile struct fnp_target *seen = target;
	fnp_u64 word = 0, alone = 0, together = 0, ns;

	for (int i = 0; i < CLOCK_READS; i++) {
		word = seen->clock;
		alone = seen->alone_ns;
		together = seen->together_ns;
		clocks->run_queue_ns = seen->run_queue_ns;
		clocks->quiet_ns = seen->quiet_ns;
		if (((alone + together + clocks->run_queue_ns + clocks->quiet_ns) & CLOCK_MASK) ==
		    ((word - seen->clock_begun) & CLOCK_MASK))
			break;
	}
	ns = (now_ns - word) & CLOCK_MASK;
	if (!word || ns > CLOCK_MASK / 2)
		ns = 0;
	clocks->on_cpu_ns = alone + together + ns;
	target->quiet_told_ns = clocks->quiet_ns;
	return alone + (word >> CLOCK_SHIFT <= 1 ? ns : 0);
}

/* The size of `clocks` without or with the first thread's waits. */
static __always_inline fnp_u32 clocks_put_first(struct fnp_clocks *clocks, fnp_u32 global_tid)
{
	struct thread *first = bpf_map_lookup_elem(&threads, &global_tid);

	if (!first)
		return CLOCKS_WITHOUT_FIRST;
	clocks->has_first = 1;
	__builtin_memcpy(clocks->first, first->waits, sizeof(clocks->first));
	if (first->state == THREAD_OFF && first->wait < FNP_WAIT_MAX &&
	    (fnp_s64)(clocks->quiet_ns - first->clock_at) > 0)
		clocks->first[first->wait] += clocks->quiet_ns - first->clock_at;
	return sizeof(*clocks);
}

/*
 * The section FNP_SECTION_CLOCKS at `at`, of the current thread's process; its size. `own` is the thread's entry, or NULL.
 * `since_ns` and `stolen_since`: since when it is on its CPU, and what was stolen from it since then.
 */
static __always_inline fnp_u32 clocks_put(void *at, struct fnp_target *target, const struct thread *own,
					  fnp_u64 now_ns, fnp_u64 since_ns, fnp_u64 stolen_since)
{
	struct fnp_wire_section *section = at;
	struct fnp_clocks *clocks = (void *)(section + 1);
	fnp_u32 tid = bpf_get_current_pid_tgid(), first = bpf_get_current_pid_tgid() >> 32;
	fnp_u64 alone;

	section->type = FNP_SECTION_CLOCKS;
	section->truncated = 0;
	section->size = CLOCKS_WITHOUT_FIRST;
	__builtin_memset(clocks, 0, CLOCKS_WITHOUT_FIRST);
	if (!own)
		return sizeof(*section) + CLOCKS_WITHOUT_FIRST;
	alone = clocks_read(target, now_ns, clocks);
	clocks->stolen_ns = target->stolen_ns +
			    stolen_alone(stolen_since, alone - own->clock_at, now_ns - since_ns);
	__builtin_memcpy(clocks->own, own->waits, sizeof(clocks->own));
	if (first != tid)
		section->size = clocks_put_first(clocks, first);
	return sizeof(*section) + *(volatile fnp_u32 *)&section->size;
}

#endif
