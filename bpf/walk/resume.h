/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the kernel side leaves to user space when a walk came to code that it has no mapping or table for: the state of
 * the walk and a copy of the stack from there on, as a section of the same record. See struct fnp_resume.
 */
#ifndef FNP_BPF_WALK_RESUME_H
#define FNP_BPF_WALK_RESUME_H

#include "bpf/walk/walk.h"

#ifdef __bpf__

#define FNP_RESUME_PAGE 4096
#define FNP_RESUME_RED_ZONE 128 /* System V ABI, x86-64, 3.2.2 */
#define FNP_RESUME_PAGES (FNP_RESUME_STACK_MAX / FNP_RESUME_PAGE)
/* Words before the copy: section head, struct fnp_resume. */
#define FNP_RESUME_WORDS ((sizeof(struct fnp_wire_section) + sizeof(struct fnp_resume)) / 8)
#define FNP_RESUME_AT_MAX (FNP_WALK_WORDS - FNP_RESUME_WORDS - FNP_RESUME_STACK_MAX / 8)

/* Where the copy begins. A leaf's registers are said to be saved below its sp when it has popped them already. */
FNP_INLINE fnp_u64 fnp_resume_from(const struct fnp_walk *walk)
{
	return (walk->sp & ~7ULL) - FNP_RESUME_RED_ZONE;
}

/*
 * Copies the stack to walk->words[at ...], page by page; the number of bytes up to the last page that could be read. A page
 * that is not in memory (nobody wrote to it yet, as in the middle of a big array, or it was swapped out) is a hole:
 * walk->value has a bit for each.
 */
FNP_SUBPROGRAM int fnp_walk_copy_stack(struct fnp_walk *walk, fnp_u32 at)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	fnp_u32 done = 0, good = 0;
	fnp_u64 from, frames;

	if (!walk)
		return 0;
	walk->value = 0;
	from = fnp_resume_from(walk);
	/* Above the first thread's frames stand arguments and environment, which say nothing to a walk. */
	frames = BPF_CORE_READ(task, mm, start_stack) - from;
	for (int i = 0; i < FNP_RESUME_PAGES; i++) {
		fnp_u32 size = FNP_RESUME_PAGE - ((from + done) & (FNP_RESUME_PAGE - 1));
		fnp_u32 offset = at * 8 + done;

		if (frames < FNP_RESUME_STACK_MAX && done >= frames)
			break;
		if (frames < FNP_RESUME_STACK_MAX && size > frames - done)
			size = (frames - done + 7) & ~7ULL;
		if (size > FNP_RESUME_PAGE)
			break; /* cannot be; the verifier wants to see it */
		if (offset > sizeof(walk->words) - FNP_RESUME_PAGE)
			break;
		if (fnp_read_user((void *)walk->words + offset, size & (2 * FNP_RESUME_PAGE - 1), from + done))
			walk->value |= 1ULL << i;
		else
			good = done + size;
		done += size;
	}
	return good;
}

/* Adds the section at walk->words[at]; the number of words that it takes, 0 when there is nothing to resume. */
FNP_SUBPROGRAM int fnp_walk_resume(struct fnp_walk *walk, fnp_u32 at)
{
	struct fnp_wire_section *section;
	struct fnp_resume *resume;
	fnp_u32 bytes;

	if (!walk || !walk->resumable || at > FNP_RESUME_AT_MAX)
		return 0;
	section = (void *)&walk->words[at];
	resume = (void *)(section + 1);
	bytes = fnp_walk_copy_stack(walk, at + FNP_RESUME_WORDS);
	section->type = FNP_SECTION_RESUME;
	section->truncated = 0;
	section->size = sizeof(*resume) + bytes;
	resume->pc = walk->pc;
	resume->sp = walk->sp;
	resume->fp = walk->fp;
	resume->lr = walk->lr;
	resume->regs_at = walk->regs_at;
	resume->stack = fnp_resume_from(walk);
	resume->stack_bytes = bytes;
	resume->holes = walk->value;
	resume->pad = 0;
	resume->drop = 2; /* the frame that could not be taken, and the marker */
	resume->exact = walk->exact;
	resume->leaf = walk->leaf;
	__builtin_memset(resume->regs, 0, sizeof(resume->regs));
	__builtin_memcpy(resume->regs, walk->regs, sizeof(walk->regs));
	return FNP_RESUME_WORDS + (bytes + 7) / 8;
}

#endif

#endif
