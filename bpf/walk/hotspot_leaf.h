/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The leaf of a Java stack, where a frame may be in the making or being left. The instructions that do that are few and
 * always the same (x86-64):
 *
 *   compiled code enters by	push rbp; sub rsp, N	or	push rbp; mov rbp, rsp; sub rsp, N
 *		   or by	sub rsp, N; mov [rsp + N - 16], rbp
 *	     and leaves by	add rsp, N; pop rbp; a look at the safepoint poll; ret
 *   the interpreter enters with the Method in rbx and the caller's sp in r13: it takes the return address into rax, makes
 *	     room for locals, pushes it again, then push rbp; mov rbp, rsp, and the slots one by one
 *	     and leaves by	leave; pop r13; mov rsp, rbx; jmp r13
 *
 * In between, intrinsics push a word or two for a few instructions: what should be the return address then is none.
 *
 * Stubs are made by hand. There the return address is either on top of the stack, or above a saved rbp; which of the two
 * is told by what could be a return address at all.
 *
 * Each of these gives 0 when it has found the caller (fnp_hotspot_caller_is), 1 when the frame is whole, or negative.
 */
#ifndef FNP_BPF_WALK_HOTSPOT_LEAF_H
#define FNP_BPF_WALK_HOTSPOT_LEAF_H

#include "bpf/walk/hotspot.h"

#define FNP_HOTSPOT_AHEAD 96 /* bytes of code that are searched for the end of a prologue */
#define FNP_HOTSPOT_BEHIND 8 /* and those before the pc */
#define FNP_HOTSPOT_PROLOGUE_MAX 4096
#define FNP_HOTSPOT_STUB_MAX 8192 /* bytes of a stub's frame: it may save all of AVX-512's registers */
#define FNP_HOTSPOT_SAVED_MAX                                                                                \
	6 /* words that a stub of the JVM's start keeps below its return address, and this */
#define FNP_HOTSPOT_PUSHED_MAX 4 /* words that an intrinsic keeps below a frame */

#define FNP_HOTSPOT_RAX 0
#define FNP_HOTSPOT_RBX 3
#define FNP_HOTSPOT_R13 13

/* The caller, its return address at `at`. */
FNP_INLINE int fnp_hotspot_return_at(struct fnp_walk *walk, fnp_u64 at, fnp_u64 fp)
{
	fnp_u64 pc;

	if (!walk || fnp_walk_load(walk, at, &pc))
		return -1;
	return fnp_hotspot_caller_is(walk, pc, at + 8, fp);
}

/* The caller of code that has pushed rbp last. */
FNP_INLINE int fnp_hotspot_return_above_fp(struct fnp_walk *walk, fnp_u64 at)
{
	fnp_u64 fp;

	if (!walk || fnp_walk_load(walk, at, &fp))
		return -1;
	return fnp_hotspot_return_at(walk, at + 8, fp);
}

/* Code that keeps a frame pointer. A method's entry barrier has a -1 between it and the return address. */
FNP_SUBPROGRAM int fnp_hotspot_framed(struct fnp_walk *walk)
{
	fnp_u64 fp, pc;

	if (!walk || walk->fp < walk->sp || walk->fp - walk->sp > FNP_HOTSPOT_STUB_MAX ||
	    fnp_walk_load(walk, walk->fp, &fp) || fnp_walk_load(walk, walk->fp + 8, &pc))
		return -1;
	return fnp_hotspot_return_at(walk, walk->fp + (pc == ~0ULL ? 16 : 8), fp);
}

/* Does a call end at this address? */
FNP_INLINE bool fnp_hotspot_is_behind_call(struct fnp_walk *walk, fnp_u64 address)
{
	fnp_u64 code = fnp_hotspot_read(walk, address - 8);

	return (code >> 24 & 0xff) == 0xe8 ||	  /* call rel32 */
	       (code >> 48 & 0xf8ff) == 0xd0ff || /* call reg */
	       (code >> 40 & 0xf8ff) == 0x50ff || /* call [reg + disp8] */
	       (code >> 16 & 0xf8ff) == 0x90ff || /* call [reg + disp32] */
	       (code >> 16 & 0xffff) == 0x15ff;	  /* call [rip + disp32] */
}

/* Could this be the address behind a call in the code heaps? The interpreter pushes its own without one. */
FNP_SUBPROGRAM int fnp_hotspot_is_return(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 address)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);

	if (!walk || !l || fnp_hotspot_heap_of(l, address) < 0)
		return 0;
	if (address - l->interpreter < l->interpreter_end - l->interpreter)
		return 1;
	return fnp_hotspot_is_behind_call(walk, address);
}

FNP_INLINE fnp_u32 fnp_hotspot_byte(const struct fnp_walk *walk, fnp_u32 i)
{
	return ((const fnp_u8 *)walk->scratch)[i & 255];
}

/* Eight bytes of code at an offset from the pc, of what was read around it. */
FNP_INLINE fnp_u64 fnp_hotspot_bytes(const struct fnp_walk *walk, int offset)
{
	const fnp_u8 *p = (const fnp_u8 *)walk->scratch + FNP_HOTSPOT_BEHIND + offset;
	fnp_u64 bytes;

	__builtin_memcpy(&bytes, p, sizeof(bytes));
	return bytes;
}

/* 1 when a == b, without a jump: the verifier follows both ways of each, and the compiler likes to make them. */
FNP_INLINE fnp_u64 fnp_hotspot_same(fnp_u64 a, fnp_u64 b)
{
	fnp_u64 difference = a ^ b;

	__asm__ volatile("" : "+r"(difference));
	return ~(difference | (0 - difference)) >> 63;
}

/* In a prologue, `left` bytes before its end; the code around the pc is in walk->scratch. */
FNP_SUBPROGRAM int fnp_hotspot_prologue(struct fnp_walk *walk, fnp_u32 left)
{
	fnp_u64 push = 0, sub = 0;

	if (!walk)
		return -1;
	for (fnp_u32 i = 0; i < FNP_HOTSPOT_AHEAD - 8; i++) {
		fnp_u32 at = FNP_HOTSPOT_BEHIND + i;

		if (i >= left)
			break;
		fnp_u64 two = fnp_hotspot_byte(walk, at) | fnp_hotspot_byte(walk, at + 1) << 8;
		fnp_u64 third = fnp_hotspot_byte(walk, at + 2);

		/* push rbp, then sub rsp or mov rbp, rsp, whose bytes differ in bits 1 and 3 of the second */
		push |= fnp_hotspot_same(two, 0x4855) & fnp_hotspot_same(third & ~0x0aULL, 0x81);
		sub |= fnp_hotspot_same(two & ~0x200ULL, 0x8148) & fnp_hotspot_same(third, 0xec);
	}
	if (push)
		return fnp_hotspot_return_at(walk, walk->sp, walk->fp);
	/* What stands before tells whether rbp was pushed: 55, or 55 and mov rbp, rsp. */
	if (sub && (fnp_hotspot_byte(walk, FNP_HOTSPOT_BEHIND - 1) == 0x55 ||
		    (fnp_hotspot_byte(walk, FNP_HOTSPOT_BEHIND - 4) == 0x55 &&
		     fnp_hotspot_byte(walk, FNP_HOTSPOT_BEHIND - 3) == 0x48 &&
		     fnp_hotspot_byte(walk, FNP_HOTSPOT_BEHIND - 2) == 0x8b)))
		return fnp_hotspot_return_above_fp(walk, walk->sp);
	if (sub)
		return fnp_hotspot_return_at(walk, walk->sp, walk->fp);
	return 1;
}

/* Behind the prologue: is the frame being left? */
FNP_SUBPROGRAM int fnp_hotspot_epilogue(struct fnp_walk *walk)
{
	fnp_u64 at, before;

	if (!walk)
		return -1;
	at = fnp_hotspot_bytes(walk, 0);
	before = fnp_hotspot_bytes(walk, -8);
	if ((at & 0xff) == 0xc3)
		return fnp_hotspot_return_at(walk, walk->sp, walk->fp);
	/* pop rbp, before ret or a comparison of rsp with the poll's word */
	if ((at & 0xffff) == 0xc35d || (at & 0xffffffff) == 0xa73b495d || (at & 0xffffffff) == 0x673b495d)
		return fnp_hotspot_return_above_fp(walk, walk->sp);
	/* the comparison behind it, the jump behind that, and where it leads to */
	if ((before >> 56) == 0x5d && ((at & 0xffffff) == 0xa73b49 || (at & 0xffffff) == 0x673b49))
		return fnp_hotspot_return_at(walk, walk->sp, walk->fp);
	if ((at & 0xffff) == 0x870f && (at >> 48 & 0xff) == 0xc3)
		return fnp_hotspot_return_at(walk, walk->sp, walk->fp);
	if (((at & 0xffffff) == 0x158d4c && (fnp_hotspot_bytes(walk, 7) & 0xffffff) == 0x97894d) ||
	    ((at & 0xffffff) == 0x97894d && (fnp_hotspot_bytes(walk, 7) & 0xff) == 0xe9))
		return fnp_hotspot_return_at(walk, walk->sp, walk->fp);
	return 1;
}

/* The leaf in a blob with a frame size, whose head is in walk->scratch, and stays there when the answer is 1. */
FNP_SUBPROGRAM int fnp_hotspot_compiled_leaf(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u64 code, complete, blob, fp = 0;
	int r;

	if (!walk || !l)
		return -1;
	code = fnp_hotspot_code(walk, l);
	complete = fnp_hotspot_word(walk, l->blob_complete);
	complete = l->flags & FNP_HOTSPOT_COMPLETE_SHORT ? complete & 0xffff : (fnp_u32)complete;
	complete = complete < FNP_HOTSPOT_PROLOGUE_MAX ? code + complete : code; /* not said: -1 */
	blob = walk->scratch[FNP_HOTSPOT_BLOB_AT];
	if ((fnp_u32)fnp_hotspot_word(walk, l->blob_frame_size) == 0)
		return 1;
	if (fnp_read_user(walk->scratch, FNP_HOTSPOT_BEHIND + FNP_HOTSPOT_AHEAD, walk->pc - FNP_HOTSPOT_BEHIND))
		return -1;
	if (walk->pc < complete)
		r = fnp_hotspot_prologue(walk, complete - walk->pc < FNP_HOTSPOT_AHEAD ? complete - walk->pc
										       : FNP_HOTSPOT_AHEAD);
	else
		r = fnp_hotspot_epilogue(walk);
	if (r <= 0)
		return r;
	/* rsp is where it stays; rbp may have to be saved still. */
	if ((fnp_hotspot_bytes(walk, 0) & 0xffffffff) == 0x246c8948 ||
	    (fnp_hotspot_bytes(walk, 0) & 0xffffffff) == 0x24ac8948)
		fp = walk->pc < complete ? walk->fp : 0;
	if (fnp_read_user(walk->scratch, l->read_size <= FNP_HOTSPOT_HEAD_MAX ? l->read_size : 8, blob))
		return -1;
	walk->scratch[FNP_HOTSPOT_BLOB_AT] = blob;
	if (fp) {
		r = fnp_hotspot_sized(walk, layout);
		walk->chain[FNP_HOTSPOT_CALLER_FP] = fp;
		return r;
	}
	return 1;
}

/*
 * The caller of compiled code that keeps something on the stack below its frame, as intrinsics do for a few instructions
 * and calls of stubs (String.compareTo pushes a length, C1 what is converted to an integer): the return address is a few
 * words above where the frame's size says.
 * 0, or 1: none of them is one.
 */
FNP_SUBPROGRAM int fnp_hotspot_pushed(struct fnp_walk *walk, fnp_u32 layout)
{
	fnp_u64 sp, pc, fp;

	if (!walk)
		return 1;
	sp = walk->chain[FNP_HOTSPOT_CALLER_SP];
	for (int i = 0; i < FNP_HOTSPOT_PUSHED_MAX; i++) {
		if (fnp_walk_load(walk, sp, &pc))
			return 1;
		sp += 8;
		if (fnp_hotspot_is_return(walk, layout, pc))
			return fnp_walk_load(walk, sp - 16, &fp) ? 1 : fnp_hotspot_caller_is(walk, pc, sp, fp);
	}
	return 1;
}

/*
 * The caller of code that looks what the processor can do, which the JVM calls while it starts: rbp has other work in it, and
 * lies below the return address, with what else was pushed below it. 0, or 1: none of the words is in code of a file.
 */
FNP_SUBPROGRAM int fnp_hotspot_called_by_library(struct fnp_walk *walk)
{
	fnp_u64 pc, fp;

	if (!walk)
		return 1;
	fp = walk->fp;
	for (int i = 0; i < FNP_HOTSPOT_SAVED_MAX; i++) {
		if (fnp_walk_load(walk, walk->sp + 8 * i, &pc))
			return 1;
		if (fnp_native_find_mapping(walk, pc) == 0 && walk->here.kind == FNP_CODE_NATIVE &&
		    fnp_hotspot_is_behind_call(walk, pc))
			return fnp_hotspot_caller_is(walk, pc, walk->sp + 8 * i + 8, fp);
		fp = pc;
	}
	return 1;
}

/* Is the blob in walk->scratch flush_icache_stub? */
FNP_INLINE bool fnp_hotspot_flushes(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);

	return l && fnp_hotspot_read(walk, fnp_hotspot_word(walk, l->blob_name)) ==
			    FNP_HOTSPOT_TEXT('f', 'l', 'u', 's', 'h', '_', 'i', 'c');
}

/*
 * The leaf in the stub by which native code calls Java (java.lang.foreign): it begins with push rbp; mov rbp, rsp, ends with
 * leave; ret, and keeps its frame pointer between them.
 */
FNP_SUBPROGRAM int fnp_hotspot_upcall_leaf(struct fnp_walk *walk)
{
	fnp_u64 code;

	if (!walk)
		return -1;
	code = fnp_hotspot_read(walk, walk->pc - 1);
	if ((code & 0xffffffff) == 0xec8b4855) /* between the two */
		return fnp_hotspot_return_above_fp(walk, walk->sp);
	code >>= 8;
	if ((code & 0xffffffff) == 0xec8b4855 || (code & 0xff) == 0xc3)
		return fnp_hotspot_return_at(walk, walk->sp, walk->fp);
	return fnp_hotspot_framed(walk);
}

/* The leaf in code of the JVM's own. */
FNP_SUBPROGRAM int fnp_hotspot_stub_leaf(struct fnp_walk *walk, fnp_u32 layout, int kind)
{
	fnp_u64 top = 0, above = 0, rax = 0;

	if (!walk)
		return -1;
	if (kind == FNP_HOTSPOT_BLOB_UPCALL)
		return fnp_hotspot_upcall_leaf(walk);
	if (kind == FNP_HOTSPOT_BLOB_RUNTIME_STUB || kind == FNP_HOTSPOT_BLOB_SAFEPOINT) {
		int r = fnp_hotspot_compiled_leaf(walk, layout);
		if (r < 0 ||
		    (r == 0 && fnp_hotspot_is_return(walk, layout, walk->chain[FNP_HOTSPOT_CALLER_PC])))
			return r;
		r = fnp_hotspot_sized(walk, layout);
		if (r == 0 && fnp_hotspot_is_return(walk, layout, walk->chain[FNP_HOTSPOT_CALLER_PC]))
			return 0;
	}
	if (walk->fp == walk->sp)
		return fnp_hotspot_return_above_fp(walk, walk->sp);
	if (fnp_walk_load(walk, walk->sp, &top))
		return -1;
	if (fnp_hotspot_is_return(walk, layout, top))
		return fnp_hotspot_return_at(walk, walk->sp, walk->fp);
	/* push rbp was the last instruction */
	if (fnp_walk_load(walk, walk->sp + 8, &above) == 0 && top == walk->fp &&
	    fnp_hotspot_is_return(walk, layout, above))
		return fnp_hotspot_return_above_fp(walk, walk->sp);
	if (kind == FNP_HOTSPOT_BLOB_ADAPTER) {
		fnp_u64 sp = 0;

		if (fnp_walk_reg(walk, FNP_HOTSPOT_RAX, &rax) || fnp_walk_reg(walk, FNP_HOTSPOT_R13, &sp) ||
		    sp < walk->sp || sp - walk->sp > FNP_HOTSPOT_STACK_MAX ||
		    !fnp_hotspot_is_return(walk, layout, rax))
			return -1;
		return fnp_hotspot_caller_is(walk, rax, sp, walk->fp);
	}
	/* Without a frame at all, and called by the JVM itself. */
	if (kind == FNP_HOTSPOT_BLOB_BUFFER && fnp_hotspot_flushes(walk, layout))
		return fnp_hotspot_return_at(walk, walk->sp, walk->fp);
	if (walk->fp < walk->sp || walk->fp - walk->sp > FNP_HOTSPOT_STUB_MAX ||
	    fnp_walk_load(walk, walk->fp + 8, &above) || !fnp_hotspot_is_return(walk, layout, above))
		return kind == FNP_HOTSPOT_BLOB_BUFFER && !fnp_hotspot_called_by_library(walk) ? 0 : -1;
	return fnp_hotspot_return_above_fp(walk, walk->fp);
}

/* ---- the interpreter ---------------------------------------------------------------------------------------- */

/* In a method's entry: the frame is not whole yet. The Method is in rbx, the caller's sp in r13. */
FNP_SUBPROGRAM int fnp_hotspot_entering(struct fnp_walk *walk, fnp_u32 layout, fnp_u32 state)
{
	fnp_u64 method = 0, sender = 0, pc = 0, fp;
	fnp_u64 built;
	int r;

	if (!walk)
		return -1;
	fp = walk->fp;
	if (fnp_walk_reg(walk, FNP_HOTSPOT_RBX, &method) || fnp_walk_reg(walk, FNP_HOTSPOT_R13, &sender))
		return -1;
	if (state == 0) { /* the return address is on top */
		if (fnp_walk_load(walk, walk->sp, &pc))
			return -1;
	} else if (state == 1) { /* it is in rax */
		if (fnp_walk_reg(walk, FNP_HOTSPOT_RAX, &pc))
			return -1;
	} else if (state == 2) { /* and on top again */
		if (fnp_walk_load(walk, walk->sp, &pc))
			return -1;
	} else if (state == 3) { /* rbp lies on it */
		if (fnp_walk_load(walk, walk->sp + 8, &pc))
			return -1;
	} else { /* the slots are filled one by one */
		if (walk->fp < walk->sp)
			return -1;
		built = walk->fp - walk->sp;
		if (built >= FNP_HOTSPOT_BCP)
			return 1;
		if (fnp_walk_load(walk, walk->fp + 8, &pc) || fnp_walk_load(walk, walk->fp, &fp))
			return -1;
		if (built >= FNP_HOTSPOT_SENDER_SP &&
		    fnp_walk_load(walk, walk->fp - FNP_HOTSPOT_SENDER_SP, &sender))
			return -1;
		if (built >= FNP_HOTSPOT_METHOD && fnp_walk_load(walk, walk->fp - FNP_HOTSPOT_METHOD, &method))
			return -1;
	}
	if (sender < walk->sp || sender - walk->sp > FNP_HOTSPOT_STACK_MAX)
		return -1;
	r = fnp_hotspot_push_method(walk, layout, method, 0);
	return r ? -1 : fnp_hotspot_caller_is(walk, pc, sender, fp);
}

FNP_SUBPROGRAM int fnp_hotspot_interpreter_leaf(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u64 code, pc, sp = 0;
	fnp_u32 at;

	if (!walk || !l)
		return -1;
	at = walk->pc - l->interpreter;
	for (int i = 0; i < FNP_HOTSPOT_ENTRIES_MAX; i++) {
		const struct fnp_hotspot_entry *e = &l->entries[i];

		if (at < e->start || at >= e->end)
			continue;
		return fnp_hotspot_entering(walk, layout,
					    (at > e->popped) + (at > e->pushed) + (at > e->pushed + 1) +
						    (at > e->pushed + 2));
	}
	if (walk->pc >= l->entries_start && walk->pc < l->entries_end) {
		/* Methods that the interpreter does in a few instructions: the return address is on top. */
		if (fnp_walk_load(walk, walk->sp, &pc) || !fnp_hotspot_is_return(walk, layout, pc))
			return -1;
		return fnp_hotspot_entering(walk, layout, 0);
	}
	/* On its way out: leave; pop r13; mov rsp, rbx; jmp r13 */
	code = fnp_hotspot_read(walk, walk->pc);
	if (code == 0xe5ff41e38b485d41ULL) { /* pop r13 */
		if (fnp_walk_reg(walk, FNP_HOTSPOT_RBX, &sp) || fnp_walk_load(walk, walk->sp, &pc) ||
		    sp < walk->sp)
			return -1;
		return fnp_hotspot_caller_is(walk, pc, sp, walk->fp);
	}
	if ((code & 0xffffffffffffULL) == 0xe5ff41e38b48ULL) { /* mov rsp, rbx */
		if (fnp_walk_reg(walk, FNP_HOTSPOT_RBX, &sp) || fnp_walk_reg(walk, FNP_HOTSPOT_R13, &pc) ||
		    sp < walk->sp)
			return -1;
		return fnp_hotspot_caller_is(walk, pc, sp, walk->fp);
	}
	if ((code & 0xffffff) == 0xe5ff41) { /* jmp r13 */
		if (fnp_walk_reg(walk, FNP_HOTSPOT_R13, &pc) || !fnp_hotspot_is_return(walk, layout, pc))
			return 1;
		return fnp_hotspot_caller_is(walk, pc, walk->sp, walk->fp);
	}
	return 1;
}

#endif
