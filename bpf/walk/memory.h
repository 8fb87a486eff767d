/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A walk's view of the target: stack memory through the window, and registers other than pc, sp and fp, which are
 * known for the frame that was interrupted alone: from the kernel, or from where a signal's delivery saved them.
 *
 * One read of a few KiB costs little more than one of 8 bytes while the stack is in the cache, and a miss for each 64
 * bytes when it is not: so the window begins small and doubles as the walk goes on. A read that leaves the stack's
 * mapping fails whole, so it ends at a page's end unless that would make it small.
 */
#ifndef FNP_BPF_WALK_MEMORY_H
#define FNP_BPF_WALK_MEMORY_H

#include "bpf/walk/walk.h"

#define FNP_WALK_WINDOW_SMALL 512

/* Puts the value at `address` in walk->value, and moves the window there. 0 or negative. */
FNP_SUBPROGRAM int fnp_walk_refill(struct fnp_walk *walk, fnp_u64 address)
{
	fnp_u32 size = FNP_WALK_WINDOW - (address & (FNP_WALK_WINDOW - 1)), want;

	if (!walk)
		return -1;
	if (address & 7)
		return fnp_read_user(&walk->value, sizeof(walk->value), address) ? -1 : 0;
	want = walk->window_next;
	if (want > FNP_WALK_WINDOW)
		want = FNP_WALK_WINDOW;
	walk->window_next = 2 * want;
	walk->window_size = 0;
	if (size > want)
		size = want;
	if (size < FNP_WALK_WINDOW_SMALL && size < want && fnp_read_user(walk->window, want, address) == 0)
		walk->window_size = want;
	else if (fnp_read_user(walk->window, size, address) == 0)
		walk->window_size = size;
	else if (fnp_read_user(walk->window, sizeof(fnp_u64), address) == 0)
		walk->window_size = sizeof(fnp_u64); /* a copy of a stack ends anywhere */
	else
		return -1;
	walk->window_base = address;
	walk->value = *(fnp_u64 *)walk->window;
	return 0;
}

/* The 64-bit value at a user address. 0 or negative. */
FNP_INLINE int fnp_walk_load(struct fnp_walk *walk, fnp_u64 address, fnp_u64 *ret)
{
	fnp_u64 offset = address - walk->window_base;

	if (offset <= FNP_WALK_WINDOW - 8 && offset + 8 <= walk->window_size && !(offset & 7)) {
		/* Else newer clangs prove the mask needless and leave it out, and the verifier has no bound. */
		__asm__ volatile("" : "+r"(offset));
		*ret = *(fnp_u64 *)(walk->window + (offset & (FNP_WALK_WINDOW - 8)));
		return 0;
	}
	if (fnp_walk_refill(walk, address))
		return -1;
	*ret = walk->value;
	return 0;
}

/*
 * Places of the DWARF registers 0 to 15 in struct pt_regs, and in the registers that a signal's delivery leaves on the
 * stack (mcontext_t), as nibbles; rsp is asked for by none of them.
 */
#if defined(__x86_64__) || defined(__TARGET_ARCH_x86)
#define FNP_WALK_SLOT_PC 16
#define FNP_WALK_SLOT_SP 19
#define FNP_WALK_SLOT_FP 4
#define FNP_WALK_SLOTS 0x01236789f4ed5bcaULL
#define FNP_WALK_SIGNAL_SLOTS 0x76543210fa89becdULL
#define FNP_WALK_SIGNAL_REGS                                                                                 \
	40 /* rt_sigframe as the return from the handler finds it: ucontext_t, its gregs at 40 */
#define fnp_walk_slot(reg) ((FNP_WALK_SLOTS >> ((reg)*4)) & 15)
#define fnp_walk_signal_slot(reg) ((FNP_WALK_SIGNAL_SLOTS >> ((reg)*4)) & 15)
#define FNP_WALK_REG_MAX 16
#define FNP_WALK_SCRATCH_REGS 0xf37U /* rax rdx rcx rsi rdi r8 to r11: a call may change them */
#else
#define FNP_WALK_SLOT_PC 32
#define FNP_WALK_SLOT_SP 31
#define FNP_WALK_SLOT_FP 29
#define FNP_WALK_SIGNAL_REGS (128 + 176 + 8) /* siginfo_t, then ucontext_t with regs[31] in its mcontext */
#define fnp_walk_slot(reg) (reg)
#define fnp_walk_signal_slot(reg) (reg)
#define FNP_WALK_REG_MAX 31
#define FNP_WALK_SCRATCH_REGS 0U
#endif

/*
 * A register by its DWARF number, as it is in the current frame. 0, or negative when it is not known.
 *
 * A rule that stands on a register which any call may change, at a call, is of assembly whose callee is known to leave it
 * alone (OpenSSL's AES-GCM has its CFA in rax, and calls a loop): then it is what it is in the leaf.
 */
FNP_INLINE int fnp_walk_reg(struct fnp_walk *walk, fnp_u32 reg, fnp_u64 *ret)
{
	if (reg == FNP_REG_SP) {
		*ret = walk->sp;
		return 0;
	}
	if (reg == FNP_REG_FP) {
		*ret = walk->fp;
		return 0;
	}
	if (reg >= FNP_WALK_REG_MAX)
		return -1;
	if (walk->leaf || (walk->behind_leaf && FNP_WALK_SCRATCH_REGS >> reg & 1)) {
		fnp_u32 slot = fnp_walk_slot(reg);

		*ret = slot < FNP_WALK_REGS ? walk->regs[slot] : 0;
		return 0;
	}
	if (!walk->regs_at)
		return -1;
	if (fnp_read_user(&walk->value, sizeof(walk->value), walk->regs_at + 8 * fnp_walk_signal_slot(reg)))
		return -1;
	*ret = walk->value;
	return 0;
}

#endif
