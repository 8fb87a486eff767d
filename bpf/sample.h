/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A stack's record, from the current thread to the ring: what the sampler and the off-CPU collector have in common.
 *
 * The record is made in place in the walk's own memory: fixed part, user stack, then, where that ends, the kernel's
 * stack and what user space needs to go on with the walk.
 */
#ifndef FNP_BPF_SAMPLE_H
#define FNP_BPF_SAMPLE_H

#include "bpf/samples_ring.h"
#include "bpf/targets.h"
#include "bpf/walk/walk.h"

struct sample_head {
	struct fnp_sample_record record;
	struct fnp_wire_section user;
};
_Static_assert(sizeof(struct sample_head) == 8 * FNP_WALK_HEAD_WORDS,
	       "the record begins where the walk leaves room");

/*
 * Kernel threads have no user stack, nor has a process whose memory is gone (exit) or not yet its own (in the middle of
 * an exec the registers still belong to the old image).
 */
static __always_inline bool has_user_stack(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (!BPF_CORE_READ(task, mm) || (task->flags & FNP_PF_KTHREAD))
		return false;
	return !bpf_core_field_exists(task->in_execve) || !BPF_CORE_READ_BITFIELD(task, in_execve);
}

static __always_inline void sample_begin(struct fnp_walk *walk, struct fnp_target *target, fnp_u32 pid,
					 fnp_u64 now_ns)
{
	struct sample_head *head = (void *)walk->head;

	if (!target->process)
		target->process = process_of(bpf_get_current_task_btf());
	head->record.head.type = FNP_RECORD_SAMPLE;
	head->record.head.time_ns = now_ns;
	head->record.head.pid = pid;
	head->record.head.tid = current_tid();
	head->record.head.process = target->process;
	head->record.head.seq = target->seq;
	head->record.cpu = bpf_get_smp_processor_id();
	bpf_get_current_comm(head->record.comm, sizeof(head->record.comm));
}

/*
 * The user stack of the current thread, by `programs`, whose first one goes on with the walk and finishes the record. Comes back
 * where there is no such stack, or no such program: what has begun is finished all the same.
 */
static __always_inline void sample_walk(void *ctx, struct fnp_walk *walk, fnp_u32 pid, bool in_kernel,
					void *programs)
{
	if (!has_user_stack()) {
		walk->n_words = walk->truncation = walk->resumable = 0;
		return;
	}
	fnp_walk_begin(walk, pid, in_kernel);
	/* The walk itself stands in one program alone: the verifier's time with it is most of what our start takes. */
	bpf_tail_call(ctx, programs, 0);
	fnp_walk_end(walk);
}

/* The kernel's stack as a section at words[at]; the number of words. */
static __always_inline fnp_u32 put_kernel_stack(void *ctx, struct fnp_walk *walk, fnp_u32 at)
{
	struct fnp_wire_section *section = (void *)&walk->words[at & (2 * FNP_USER_WORDS_MAX - 1)];
	long n;

	if (at > FNP_USER_WORDS_MAX)
		return 0;
	n = bpf_get_stack(ctx, section + 1, FNP_KERNEL_FRAMES_MAX * 8, 0);
	section->type = FNP_SECTION_KERNEL_STACK;
	section->truncated = n == FNP_KERNEL_FRAMES_MAX * 8;
	section->size = n > 0 ? n : 0;
	return 1 + section->size / 8;
}

/*
 * The walk is over: everything behind the user stack. Where nothing was walked there is nothing to go on with or to name, and
 * the verifier is spared it.
 */
static __always_inline void sample_complete(void *ctx, struct fnp_walk *walk, bool walked)
{
	struct sample_head *head = (void *)walk->head;
	fnp_u32 words = walk->n_words, resume = 0, python = 0, names = 0;

	head->user.type = FNP_SECTION_USER_STACK;
	head->user.truncated = 0;
	head->user.size = 8 * words;
	head->record.truncation = walk->truncation;
	words += put_kernel_stack(ctx, walk, words);
	if (walked) {
		resume = fnp_walk_resume(walk, words);
		words += resume;
		python = fnp_walk_python_resume(walk, words);
		words += python;
		names = fnp_walk_python_names(walk, words, head->record.head.process);
		words += names;
	}
	head->record.head.n_sections = 2 + (resume != 0) + (python != 0) + (names != 0);
	head->record.head.size = sizeof(*head) + 8 * words;
}

/* A complete one, as what its head says by now. 0, or negative: the ring is full. */
static __always_inline long sample_send(struct fnp_walk *walk)
{
	const struct sample_head *head = (void *)walk->head;
	fnp_u32 size = *(const volatile fnp_u32 *)&head->record.head.size;
	fnp_u64 flags = BPF_RB_NO_WAKEUP;

	if (size > sizeof(walk->head) + sizeof(walk->words))
		return -1; /* cannot be; the verifier wants to see it */
	if (fnp_walk_news(walk, head->record.head.process, head->record.head.time_ns) ||
	    bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&samples, BPF_RB_RING_SIZE) / 4)
		flags = BPF_RB_FORCE_WAKEUP;
	return bpf_ringbuf_output(&samples, walk->head, size, flags);
}

#endif
