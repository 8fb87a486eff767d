/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * One user stack, walked: the state of a walk, and the one loop in which each frame is taken, by the kind of its pc,
 * to the walker that knows it.
 *
 * For a collector (a .bpf.c file; `walk` lies in an array map with one element a CPU, see FNP_WALK_MAP):
 *
 *	FNP_WALK_MAP(fnp_cpu_walks);			// one for each program type
 *	...
 *	fnp_walk_begin(walk, pid, in_kernel);		// of the current thread, from its user registers
 *	if (fnp_walk_run(walk))				// more to do than one program may
 *		bpf_tail_call(ctx, &progs, ITSELF);	// a second program: fnp_walk_run() again, FNP_WALK_CONTINUATIONS times at most
 *	fnp_walk_end(walk);				// always, also when the tail call failed
 *	words = fnp_walk_resume(walk, at);		// rule 1, see below; likewise fnp_walk_python_resume()
 *
 * Then walk->words[0 .. n_words) are the frames (bpf/wire.h), leaf first, with a marker at the end unless the root was
 * reached, and walk->truncation says why. Before `words` stands walk->head, for the record's own fixed part and the
 * section's head: the record needs no copy. Behind the used words there is room for further sections.
 *
 * **Nothing is dropped because something is not known yet.** When a walk ends at code whose mapping or table is not
 * loaded, fnp_walk_resume() adds a section FNP_SECTION_RESUME: the state and a copy of the stack. User space takes the
 * last `drop` words away and goes on with the same source.
 *
 * **Frames and walkers.** fnp_walk_frame() finds what code the pc is in and the row that holds there. Native code it
 * takes itself. Any other kind goes to that kind's walker, which may
 *	- push frames of its own, set pc, sp and fp of what called them (fnp_walk_caller), and return 0;
 *	- push frames that stand for this native frame, and go on by its row: return fnp_walk_unwind(walk);
 *	- leave the frame as a native one: return fnp_walk_native(walk);
 *	- end the walk: return fnp_walk_stop(walk, cause).
 * A new walker is a header with one FNP_SUBPROGRAM `int fnp_walk_NAME(struct fnp_walk *walk)`, a layout header, and a
 * line in bpf/walk/walkers.h. Its first line tests its FNP_SWITCH: unused, it costs no time to load.
 *
 * A walk reads the stack through a window, a copy of the part that it is in: one read brings many frames.
 */
#ifndef FNP_BPF_WALK_WALK_H
#define FNP_BPF_WALK_WALK_H

#include "bpf/layout/python.h"
#include "bpf/walk/maps.h"
#include "bpf/walk/seam.h"
#include "bpf/walk/spaces.h"

#define FNP_WALK_TURNS 128 /* frames a program takes before it must continue by a tail call */
#define FNP_WALK_TURNS_A_CALL 8
/* The kernel ends a chain of tail calls at 33, 32 before 5.16; two lead to the first turns. */
#define FNP_WALK_CONTINUATIONS 29
#define FNP_WALK_WINDOW 4096 /* bytes; a power of two */
#define FNP_WALK_WINDOW_FIRST 1024
#define FNP_WALK_CACHE 1024	/* rules of return addresses remembered; a power of two */
#define FNP_WALK_LEAVES 256	/* rules of leaves remembered; a power of two */
#define FNP_WALK_QUICK_TURNS 16 /* frames that fnp_walk_quick() takes in one call */
#define FNP_WALK_HEAD_WORDS 10	/* struct fnp_sample_record and the section's head */
#define FNP_WALK_WORDS (FNP_USER_WORDS_MAX + 160 + FNP_RESUME_STACK_MAX / 8)
#define FNP_WALK_PYTHON_SEEN 512 /* a power of two */
#define FNP_WALK_PYTHON_KEPT 64
#define FNP_WALK_FRAME_WORDS 8 /* of one frame at most */

/* Registers as ptrace orders them; the index is what fnp_walk_reg_slot() gives. */
#if defined(__x86_64__) || defined(__TARGET_ARCH_x86)
#define FNP_WALK_REGS 21
#else
#define FNP_WALK_REGS 33
#endif

struct fnp_walk_cached {
	fnp_u64 address;
	fnp_u32 version; /* of the space */
	fnp_u8 kind;
	fnp_u8 quick; /* enum fnp_walk_quick: fnp_walk_quick() may take it */
	fnp_u16 data;
	struct fnp_rule rule;
};

/* What nearly all rules are: native code, CFA = sp or fp + offset, return address at the CFA, nothing out of order. */
enum fnp_walk_quick {
	FNP_WALK_QUICK = 1 << 0,
	FNP_WALK_QUICK_BY_FP = 1 << 1, /* the CFA stands on the frame pointer, not on sp */
	FNP_WALK_QUICK_FP = 1 << 2, /* the caller's frame pointer is saved at the CFA, not still in its register */
};

struct fnp_walk {
	/* The frame that is looked at. */
	fnp_u64 pc, sp, fp;
	fnp_u64 lr;	 /* arm64: the return address while it is in its register */
	fnp_u64 regs_at; /* user address of a saved register file that belongs to this frame; 0: none */
	fnp_u8 exact;	 /* pc is where it stands (leaf, or interrupted by a signal), not a return address */
	fnp_u8 leaf;	 /* `regs` are this frame's */
	fnp_u8 ended;
	fnp_u8 doubt;	     /* enum fnp_truncation_cause: what is missing although the root is reached */
	fnp_u8 stepped_back; /* pc is one less than the register says: before a breakpoint, if there is code */
	fnp_u8 behind_leaf;  /* what called the leaf */
	fnp_u8 resumable;    /* ended for want of a mapping, table or page that user space may have, or get */
	fnp_u32 truncation;  /* enum fnp_truncation_cause */
	fnp_u32 n_words;
	fnp_u32 turns; /* programs that worked at this walk */
	/* What the pc is in; set by fnp_walk_frame before it hands over to a walker. */
	fnp_u32 object;
	fnp_u16 kind;
	fnp_u16 data; /* of the mapping */
	struct fnp_rule rule;
	struct fnp_code_range here; /* the mapping found last */
	/* The process. */
	fnp_u32 pid;
	fnp_u32 version;
	fnp_u32 space;
	fnp_u32 first, count; /* mappings */
	fnp_u32 cached;	      /* place of the rule that was used last, in `cache` */
	fnp_u32 window_size;
	fnp_u32 window_next;		 /* bytes to read at the next move */
	fnp_u64 window_base;		 /* user address of window[0], a multiple of 8 */
	fnp_u64 value;			 /* what fnp_walk_load() read */
	fnp_u64 scratch[48];		 /* of a walker, for the time of one call */
	fnp_u64 chain[FNP_PYTHON_CHAIN]; /* of a runtime's walker, for the time of the walk; 0 at its start */
	/* Frames in the heap of a JVM (hotspot_chunk.h): where they end, what comes behind them; 0: on a stack. */
	fnp_u64 parked_end, parked_parent, parked_fp;
	fnp_u64 regs[FNP_WALK_REGS];
	fnp_u8 window[FNP_WALK_WINDOW];
	struct fnp_walk_cached cache[FNP_WALK_CACHE]; /* outlives the walk */
	struct fnp_walk_cached leaves[FNP_WALK_LEAVES];
	fnp_u64 python_seen[FNP_WALK_PYTHON_SEEN];     /* likewise: see python_names.h */
	fnp_u64 python_kept[2 * FNP_WALK_PYTHON_KEPT]; /* see python_resume.h */
	fnp_u64 python_file, python_file_digest;       /* the last one, of this walk: see python_cookie.h */
	fnp_u32 n_python_kept;
	fnp_u32 pad;
	fnp_u64 head[FNP_WALK_HEAD_WORDS];
	fnp_u64 words[FNP_WALK_WORDS];
};

/* One element a CPU: user space sets the number of elements (fnp_tables_share). */
#define FNP_WALK_MAP(name_)                                                                                  \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                            \
		__uint(max_entries, 1);                                                                      \
		__type(key, fnp_u32);                                                                        \
		__type(value, struct fnp_walk);                                                              \
	} name_ SEC(".maps")

/* Ends the walk for a reason; room for the marker is always left. Returns what a walker returns then. */
FNP_INLINE int fnp_walk_stop(struct fnp_walk *walk, fnp_u32 cause)
{
	fnp_u32 n = walk->n_words;

	if (cause == FNP_TRUNCATION_NONE)
		cause = walk->doubt;
	walk->ended = 1;
	walk->truncation = cause;
	if (cause != FNP_TRUNCATION_NONE && n < FNP_USER_WORDS_MAX) {
		walk->words[n & (FNP_USER_WORDS_MAX - 1)] = FNP_WORD(FNP_WORD_MARKER, 0, cause);
		walk->n_words = n + 1;
	}
	return -1;
}

/* Adds one word; a frame's first word is refused when the frame might not fit whole. 0, or negative: stop by DEPTH. */
FNP_INLINE int fnp_walk_push(struct fnp_walk *walk, fnp_u64 word)
{
	fnp_u32 n = walk->n_words;

	if (n >= FNP_USER_WORDS_MAX - 1 - FNP_WALK_FRAME_WORDS)
		return -1;
	walk->words[n & (FNP_USER_WORDS_MAX - 1)] = word;
	walk->n_words = n + 1;
	return 0;
}

/* Adds a further word of a frame whose first one was taken: there is room. */
FNP_INLINE void fnp_walk_push_more(struct fnp_walk *walk, fnp_u64 word)
{
	fnp_u32 n = walk->n_words;

	if (n >= FNP_USER_WORDS_MAX - 1)
		return;
	walk->words[n & (FNP_USER_WORDS_MAX - 1)] = word;
	walk->n_words = n + 1;
}

/* Goes on with the caller of what a walker has just pushed: its pc is a return address. */
FNP_INLINE int fnp_walk_caller(struct fnp_walk *walk, fnp_u64 pc, fnp_u64 sp, fnp_u64 fp)
{
	walk->pc = pc;
	walk->sp = sp;
	walk->fp = fp;
	walk->exact = 0;
	walk->leaf = 0;
	walk->behind_leaf = 0;
	walk->regs_at = 0;
	return 0;
}

#include "bpf/walk/memory.h"
#include "bpf/walk/native.h"

#include "bpf/walk/walkers.h"

/* One frame. 0: there is more, negative: the walk has ended. */
FNP_INLINE int fnp_walk_turn(struct fnp_walk *walk)
{
	int kind = fnp_walk_frame(walk);

	if (kind <= 0)
		return kind;
#define FNP_X_WALKER(kind_, name_)                                                                           \
	if (kind == FNP_CODE_##kind_ && fnp_walk_##name_##_on)                                               \
		return fnp_walk_##name_(walk);
	FNP_WALKERS(FNP_X_WALKER)
#undef FNP_X_WALKER
	return fnp_walk_native(walk);
}

/* A few frames. 0: there is more. By itself, so that the verifier sees a turn a few times, and not FNP_WALK_TURNS times. */
FNP_SUBPROGRAM int fnp_walk_turns(struct fnp_walk *walk)
{
	if (!walk || walk->ended)
		return -1;
	for (int i = 0; i < FNP_WALK_TURNS_A_CALL; i++) {
		fnp_walk_quick(walk);
		if (fnp_walk_turn(walk) < 0)
			return -1;
	}
	return 0;
}

/* Takes frames until the walk ends (0) or this program's share is used up (1). */
FNP_INLINE int fnp_walk_run(struct fnp_walk *walk)
{
	walk->turns++;
	for (int i = 0; i < FNP_WALK_TURNS / FNP_WALK_TURNS_A_CALL; i++) {
		if (fnp_walk_turns(walk) < 0)
			return 0;
	}
	return walk->turns <= FNP_WALK_CONTINUATIONS;
}

/* The last word about a walk that could not be continued. */
FNP_INLINE void fnp_walk_end(struct fnp_walk *walk)
{
	if (!walk->ended)
		fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
}

/* State for a walk of the process `pid` whose pc, sp, fp and regs are set by the caller. */
FNP_INLINE void fnp_walk_init(struct fnp_walk *walk, fnp_u32 pid)
{
	struct fnp_space_ref *ref = NULL;
	struct fnp_space *space = NULL;

	walk->pid = pid;
	walk->exact = 1;
	walk->leaf = 1;
	walk->behind_leaf = 0;
	walk->regs_at = 0;
	walk->ended = 0;
	walk->doubt = 0;
	walk->resumable = 0;
	walk->stepped_back = 0;
	walk->truncation = 0;
	walk->n_words = 0;
	walk->turns = 0;
	walk->window_size = 0;
	walk->window_next = FNP_WALK_WINDOW_FIRST;
	walk->window_base = 0;
	walk->cached = 0;
	__builtin_memset(walk->chain, 0, sizeof(walk->chain));
	walk->parked_end = 0;
	walk->here.start = walk->here.end = 0;
	walk->count = 0;
	walk->first = 0;
	walk->version = 0;
	walk->space = FNP_SPACES_MAX;
	walk->n_python_kept = 0;
	walk->python_file = 0;
	/* A process that has just been given another space: its old one is gone between the two looks. */
	for (int i = 0; i < 2; i++) {
		ref = fnp_hash_at(fnp_pid_spaces, &pid);
		space = ref ? fnp_array_at(fnp_spaces, ref->space) : NULL;
		if (!space || space->version == ref->version)
			break;
	}
	if (!space || space->version != ref->version)
		return;
	walk->space = ref->space;
	walk->version = ref->version;
	walk->first = space->first;
	walk->count = space->count;
}

#ifdef __bpf__
/* Where the kernel puts the page of a process's stepped instructions: the last one of user space, x86-64 and arm64. */
#define FNP_WALK_STEPS_SHIFT 16
#if defined(__TARGET_ARCH_x86)
#define FNP_WALK_STEPS 0x7fffffffULL
#else
#define FNP_WALK_STEPS 0xffffffffULL
#endif
#define FNP_WALK_INSTRUCTION_MAX 16 /* bytes: behind the longest one it stands when that is done */

/* The read-only interrupt descriptor table of x86-64, at the same address in all kernels since 4.15; its fourth gate. */
#define FNP_WALK_GATE_OF_INT3 (0xfffffe0000000000ULL + 3 * 16)
#define FNP_WALK_HANDLER_MAX 64 /* bytes of the assembly that a gate leads to */

/*
 * On x86 a breakpoint (a uprobe's, ours or another's) leaves the pc behind its one byte until the kernel has looked whose
 * it is: at a function's `push` the rule there is the next one already. True then; `regs` of a thread in the kernel. That
 * byte stands before many functions all the same, as padding or as the end of a jump, so the kernel must have been
 * entered by a breakpoint: what its entry called returns to the word below the saved registers.
 */
FNP_INLINE bool fnp_walk_is_past_breakpoint(const void *regs, fnp_u64 pc)
{
#if defined(__TARGET_ARCH_x86)
	fnp_u64 gate[2] = {0, 0}, entry, back = 0;
	fnp_u8 byte = 0;

	if (bpf_probe_read_user(&byte, sizeof(byte), (const void *)(pc - 1)) || byte != 0xcc)
		return false;
	if (bpf_probe_read_kernel(gate, sizeof(gate), (const void *)FNP_WALK_GATE_OF_INT3) ||
	    bpf_probe_read_kernel(&back, sizeof(back), regs - sizeof(back)))
		return true;
	entry = (gate[0] & 0xffff) | (gate[0] >> 48 << 16) | gate[1] << 32;
	return entry >> 63 == 0 || back - entry < FNP_WALK_HANDLER_MAX;
#else
	(void)regs;
	(void)pc;
	return false;
#endif
}

/*
 * A uprobe's instruction is carried out elsewhere, in a page above all stacks, when the kernel does not know what it does:
 * the pc as the program has it.
 */
FNP_INLINE fnp_u64 fnp_walk_stepped_pc(struct task_struct *task, fnp_u64 pc)
{
	fnp_u64 copy, vaddr;

	if (pc >> FNP_WALK_STEPS_SHIFT != FNP_WALK_STEPS || !bpf_core_field_exists(task->utask->xol_vaddr))
		return pc;
	copy = BPF_CORE_READ(task, utask, xol_vaddr);
	vaddr = BPF_CORE_READ(task, utask, vaddr);
	return vaddr && pc - copy < FNP_WALK_INSTRUCTION_MAX ? vaddr + (pc - copy) : pc;
}

#define FNP_WALK_NR_CLONE 56
#define FNP_WALK_NR_CLONE3 435
#define FNP_WALK_CLONE3_STACK 40 /* its offset in struct clone_args */

/*
 * A thread that has not left the kernel since it was made stands behind its creator's system call, on a stack on which there
 * is nothing yet: what the tables say there holds for its creator alone, and what lies behind the stack was taken for a
 * return address. The child of a fork has its parent's stack. `regs` of a thread in the kernel.
 */
FNP_INLINE bool fnp_walk_is_newborn(const fnp_u64 *regs)
{
#if defined(__TARGET_ARCH_x86)
	const struct pt_regs *r = (const void *)regs;
	fnp_u64 stack = 0;

	if (r->ax != 0)
		return false;
	if (r->orig_ax == FNP_WALK_NR_CLONE)
		return r->si != 0;
	return r->orig_ax == FNP_WALK_NR_CLONE3 &&
	       bpf_probe_read_user(&stack, sizeof(stack), (const void *)(r->di + FNP_WALK_CLONE3_STACK)) == 0 &&
	       stack != 0;
#else
	(void)regs;
	return false;
#endif
}

/*
 * Begins the walk of the current thread's user stack, from the registers with which it entered the kernel
 * (`in_kernel`) or was interrupted. bpf_task_pt_regs() is there from 5.15 on. Not for threads without user memory.
 */
FNP_INLINE void fnp_walk_begin(struct fnp_walk *walk, fnp_u32 pid, bool in_kernel)
{
	void *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());

	if (bpf_probe_read_kernel(walk->regs, sizeof(walk->regs), regs) != 0)
		__builtin_memset(walk->regs, 0, sizeof(walk->regs));
	bool stepped_back = in_kernel && fnp_walk_is_past_breakpoint(regs, walk->regs[FNP_WALK_SLOT_PC]);

	if (stepped_back)
		walk->regs[FNP_WALK_SLOT_PC]--;
	walk->pc = fnp_walk_stepped_pc((void *)bpf_get_current_task(), walk->regs[FNP_WALK_SLOT_PC]);
	walk->sp = walk->regs[FNP_WALK_SLOT_SP];
	walk->fp = walk->regs[FNP_WALK_SLOT_FP];
#if defined(__TARGET_ARCH_arm64)
	walk->lr = walk->regs[30];
#endif
	fnp_walk_init(walk, pid);
	walk->stepped_back = stepped_back;
	if (in_kernel && fnp_walk_is_newborn(walk->regs) &&
	    fnp_walk_push(walk, FNP_WORD(FNP_WORD_NATIVE, 0, walk->pc)) == 0)
		fnp_walk_stop(walk, FNP_TRUNCATION_NONE);
}

#include "bpf/walk/news.h"
#include "bpf/walk/python_names.h"
#include "bpf/walk/python_resume.h"
#include "bpf/walk/resume.h"
#endif

#endif
