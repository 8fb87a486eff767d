/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the Python walker is told before it walks, what a Python frame is in a stack, and how names that may be gone
 * soon travel beside it. Plain data.
 *
 * **Layout.** One for each interpreter file (build id), written by user space to the array `fnp_python_layouts`; places
 * are ELF addresses of that file or offsets in CPython's structs. An address space says which one holds and where the
 * file lies: fnp_space.runtime[0] = {number of the layout, bias}. A child by fork has both with its space.
 * Code that stands for Python frames (the interpreter's loop, all of its parts) has ranges of kind FNP_CODE_PYTHON; code
 * without a file, which the interpreter may have made itself, has this kind with the data FNP_PYTHON_MADE.
 *
 * **Frames.** A head word FNP_WORD(FNP_WORD_PYTHON, 1, address of the code object) and one word more: the cookie in
 * bits 63..32, the instruction as a byte offset from the code's first one in bits 31..0 (signed; -2 and -1: not begun).
 * The cookie is made of what the code object holds, so that another one at the same address is told apart
 * (bpf/walk/python_cookie.h). With FNP_PYTHON_AWAITING in the head's value the frame is not on the stack, but awaits what is.
 *
 * **Walks that user space ends.** A section FNP_SECTION_RESUME_PYTHON holds the walker's state (struct
 * fnp_python_resume), then pieces of memory as they were at the sample: struct fnp_python_piece and its bytes, padded to
 * 8, one after another: the fixed parts of the frames that are left and of their code objects.
 *
 * **Names.** A section FNP_SECTION_PYTHON_CODE of a sample holds one struct fnp_python_code for each code object that
 * was met for the first time, one after another, each of `size` bytes.
 */
#ifndef FNP_BPF_LAYOUT_PYTHON_H
#define FNP_BPF_LAYOUT_PYTHON_H

#include "bpf/layout/native.h"
#include "bpf/types.h"

/* How the interpreter says which frames one native frame of its loop ran. */
enum fnp_python_chain {
	FNP_PYTHON_ONE = 1,	   /* 3.8 to 3.10: frame objects, one each */
	FNP_PYTHON_ENTRY_FLAG = 2, /* 3.11: the last of them has `frame_entry` set */
	FNP_PYTHON_ENTRY_SHIM = 3, /* 3.12 and later: a frame that is none, on the C stack, comes after the last */
};

enum fnp_python_flags {
	FNP_PYTHON_INSTRUCTION_POINTER = 1 << 0, /* the frame has a pointer to its instruction, else its index */
	FNP_PYTHON_INSTRUCTION_DOUBLE = 1 << 1, /* the index counts 2-byte units */
	FNP_PYTHON_JIT = 1 << 3,		/* it may make code of its own */
	FNP_PYTHON_GIL = 1 << 4,		/* it tells who has the interpreter lock */
	FNP_PYTHON_MUSL = 1 << 2, /* the C library keeps thread-specific data as musl does, else as glibc */
};

/*
 * Where asyncio's tasks and coroutines have what tells who awaits whom. Fields are 0 for what a version does not have,
 * and `task_coroutine` is 0 where nothing is known. The task that a task waits for stands before its coroutine.
 */
struct fnp_python_tasks {
	fnp_u64 coroutine_type; /* ELF address of PyCoro_Type */
	fnp_u16 task_coroutine;
	fnp_u16 task_awaiter;	  /* 3.14 and later: of the task that awaits it, or of a set of them ... */
	fnp_u16 task_awaiters;	  /* ... when the byte here is set */
	fnp_u16 task_callback;	  /* before: its first callback ... */
	fnp_u16 callback_self;	  /* ... and the awaiting task in that, if it is one's wake-up */
	fnp_u16 function_closure; /* ... else of a function: its tuple of cells */
	fnp_u16 coroutine_frame;  /* the frame in a coroutine, or a pointer to it: see frame_coroutine */
	fnp_u16 frame_coroutine;  /* to 3.10: of the coroutine's address in a frame */
	fnp_u16 frame_owner;	  /* later: a byte, 1 in a coroutine's frame */
	fnp_u16 frame_top;	  /* of a pointer to the end of the frame's stack, or of its depth ... */
	fnp_u16 frame_stack;	  /* ... when this is set: where it begins ... */
	fnp_u8 frame_stack_elsewhere; /* ... or the pointer to where it begins */
	fnp_u8 awaited_back;	      /* bytes from the end of the stack back to what is awaited */
};

/* Fields are 0 for what a version does not have. */
struct fnp_python_layout {
	fnp_u64 code_type; /* ELF address of PyCode_Type: what every code object's type must be */
	/*
	 * The thread's state, in the order in which places are tried: the state that holds the interpreter lock, when
	 * its thread is this one (before 3.12); thread-local variables; the thread-specific slot, whose key is at `key`.
	 */
	fnp_u64 current; /* ELF address of _PyRuntime.gilstate.tstate_current */
	fnp_u64 key;	 /* ELF address of the key, an int */
	/* The state that runs, and the one that the thread is bound to also while it runs no Python code. */
	struct fnp_python_tls {
		fnp_u64 got;	/* ELF address of the pair (module, offset) for __tls_get_addr */
		fnp_s64 offset; /* from the thread pointer */
	} running, bound;
	fnp_u64 interpreters; /* ELF address of the pointer to the newest interpreter; 0: not known */
	fnp_u16 interpreter_next, interpreter_threads, tstate_next;
	fnp_u16 tstate_thread_id;
	fnp_u16 tstate_frame; /* of the frame; 0 when it is reached through tstate_cframe */
	fnp_u16 tstate_cframe; /* of a pointer to a struct on the C stack, one for each native frame; 0: none */
	fnp_u16 cframe_frame; /* of the frame in it; 0xffff: not in there */
	fnp_u16 cframe_previous;
	fnp_u16 frame_back, frame_code, frame_instruction,
		frame_entry;	  /* frame_entry: a byte, f_state, is_entry or owner */
	fnp_u16 code_type_offset; /* ob_type */
	fnp_u16 code_first_line, code_file, code_name, code_table, code_bytes;
	fnp_u16 frame_size, code_size; /* how much is read of each */
	fnp_u16 text_size; /* of a str's head before ASCII text, 48 or 40; other text is behind text_wide */
	fnp_u16 text_wide;
	fnp_u16 text_length, text_state, bytes_size, bytes_data;
	fnp_u16 frame_copy,
		code_copies;  /* free-threaded: which copy of its code the frame runs, and where they are */
	fnp_u8 text_kind_bit; /* of `kind` in a str's state; `compact` and `ascii` come 3 and 4 bits later */
	fnp_u8 chain;	      /* enum fnp_python_chain */
	fnp_u8 flags;	      /* enum fnp_python_flags */
	fnp_u8 shim_owner;    /* owners from this one on are shims */
	fnp_u16 code_version; /* of the code object's own number, 4 bytes; 0: it has none */
	struct fnp_python_tasks tasks;
};

#define FNP_PYTHON_MADE FNP_SPACE_ANONYMOUS
#define FNP_PYTHON_NOWHERE 0x80000000U	 /* instead of an instruction: it is not known which one runs */
#define FNP_PYTHON_WORDS 2		 /* of a frame in a stack */
#define FNP_PYTHON_AWAITING (1ULL << 56) /* in a head word's value, beside the address */
#define FNP_PYTHON_ADDRESS_MASK (FNP_PYTHON_AWAITING - 1)

#define FNP_PYTHON_LAYOUTS_MAX 64
#define FNP_PYTHON_FRAME_MAX 128 /* bytes, of a frame's fixed part */
#define FNP_PYTHON_CODE_MAX 168	 /* of a code object's */

#define FNP_PYTHON_TEXT_MAX 256	  /* bytes of one text; a power of two */
#define FNP_PYTHON_TABLE_MAX 1024 /* bytes of a line table; a power of two */
#define FNP_PYTHON_DIGEST_MAX 64  /* bytes of a text or table that a cookie is made of; a power of two */
/* Beside a code object's address: where a piece of memory has what fnp_python_identity() said of it, in 8 bytes. */
#define FNP_PYTHON_IDENTITY_AT (1ULL << 62)

/* A str as it lies in memory: `length` units of `kind` bytes, or as many as were copied. */
struct fnp_python_text {
	fnp_u32 length; /* units in all; more than the copied ones when it was cut */
	fnp_u8 kind;	/* bytes a unit: 1 (Latin-1), 2, 4; 0: could not be read */
	fnp_u8 pad;
	fnp_u16 copied; /* bytes */
};

struct fnp_python_code {
	fnp_u32 size; /* of this entry with its texts, a multiple of 8 */
	fnp_u32 cookie;
	fnp_u64 code;
	fnp_u32 first_line;
	fnp_u32 table_length;	     /* bytes in all */
	struct fnp_python_text name; /* qualified where the version has it */
	struct fnp_python_text file;
	fnp_u32 table_copied;
	fnp_u32 pad;
	/* Then the bytes of name, file and line table, each padded to 8. */
};

#define FNP_PYTHON_CHAIN 13 /* words of the walker's state: fnp_walk.chain */

struct fnp_python_resume {
	fnp_u64 chain[FNP_PYTHON_CHAIN];
};

struct fnp_python_piece {
	fnp_u64 address;
	fnp_u64 size; /* bytes */
};

/* A name such as <module> or <lambda>, by the word that it begins with: many code objects have it. */
static inline int fnp_python_says_nothing(fnp_u64 begin)
{
	return (begin & 0xff) == '<';
}

static inline fnp_u64 fnp_python_mix(fnp_u64 digest, fnp_u64 word)
{
	digest = (digest ^ word) * 0x9e3779b97f4a7c15ULL;
	return digest ^ digest >> 29;
}

/* Of the fields that tell code objects apart, and of what holds for one alone. */
static inline fnp_u32 fnp_python_cookie(fnp_u64 name, fnp_u64 file, fnp_u64 table, fnp_u32 first_line,
					fnp_u32 identity)
{
	fnp_u64 h = (name ^ 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;

	h = (h ^ (h >> 32) ^ file) * 0xc4ceb9fe1a85ec53ULL;
	h = (h ^ (h >> 29) ^ table) * 0xff51afd7ed558ccdULL;
	h = (h ^ (h >> 32) ^ first_line ^ (fnp_u64)identity << 32) * 0x9e3779b97f4a7c15ULL;
	return (fnp_u32)(h >> 32);
}

_Static_assert(sizeof(struct fnp_python_layout) == 160, "layout");
_Static_assert(sizeof(struct fnp_python_code) == 48, "layout");

#endif
