/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the HotSpot walker is told before it walks, and what a Java frame is in a stack. Plain data.
 *
 * **Layout.** One for each process, because it holds addresses of that process: written by user space to the array
 * `fnp_hotspot_layouts`, whose index stands in fnp_space.runtime[1][0]. The JVM publishes nearly all of it in tables
 * (gHotSpotVMStructs and its like); what it does not publish (slots of interpreter frames) has not changed from 11 on.
 * The reserved ranges of the code heaps have the kind FNP_CODE_HOTSPOT.
 *
 * **Frames.** A head word FNP_WORD(FNP_WORD_HOTSPOT, 1, address | enum fnp_hotspot_frame) and one word more: the cookie
 * in bits 63..32, in bits 31..0 where in the code.
 *   INTERPRETED  address of the Method; bytecode index (0xffffffff: native); cookie of what the Method holds
 *   COMPILED     address of the nmethod; offset from its first instruction, | FNP_HOTSPOT_LEAF where it is exact; its
 *		  compile id
 *   STUB         address of the blob; the same; low half of the address of its name
 */
#ifndef FNP_BPF_LAYOUT_HOTSPOT_H
#define FNP_BPF_LAYOUT_HOTSPOT_H

#include "bpf/types.h"

enum fnp_hotspot_frame {
	FNP_HOTSPOT_INTERPRETED = 0,
	FNP_HOTSPOT_COMPILED = 1,
	FNP_HOTSPOT_STUB = 2,
};

/* What a blob of code is. Numbers as the JVM numbers them where it publishes them (22 and later). */
enum fnp_hotspot_blob {
	FNP_HOTSPOT_BLOB_NONE = 0,
	FNP_HOTSPOT_BLOB_NMETHOD = 1,
	FNP_HOTSPOT_BLOB_BUFFER = 2,
	FNP_HOTSPOT_BLOB_ADAPTER = 3,
	FNP_HOTSPOT_BLOB_VTABLE = 4,
	FNP_HOTSPOT_BLOB_METHOD_HANDLE = 5,
	FNP_HOTSPOT_BLOB_RUNTIME_STUB = 6,
	FNP_HOTSPOT_BLOB_DEOPTIMIZATION = 7,
	FNP_HOTSPOT_BLOB_SAFEPOINT = 8,
	FNP_HOTSPOT_BLOB_EXCEPTION = 9,
	FNP_HOTSPOT_BLOB_UNCOMMON_TRAP = 10,
	FNP_HOTSPOT_BLOB_UPCALL = 11,
};

enum fnp_hotspot_flags {
	FNP_HOTSPOT_CODE_POINTERS = 1 << 0, /* blob_code, deopt, deopt_handle are pointers, else 32-bit offsets */
	FNP_HOTSPOT_COMPLETE_SHORT = 1 << 1,	/* blob_complete has 16 bits, else 32 */
	FNP_HOTSPOT_CHUNKS = 1 << 2,		/* chunk_* and what belongs to them are known */
	FNP_HOTSPOT_NARROW_REFERENCES = 1 << 3, /* references have 32 bits */
};

#define FNP_HOTSPOT_HEAPS_MAX 4
#define FNP_HOTSPOT_ENTRIES_MAX 6

/* The interpreter's code at a method's entry, as offsets from its first instruction. */
struct fnp_hotspot_entry {
	fnp_u32 start;
	fnp_u32 popped; /* from here on rax holds the return address ... */
	fnp_u32 pushed; /* ... up to here, where it is pushed, and then the frame is built */
	fnp_u32 end;
};

struct fnp_hotspot_layout {
	struct fnp_hotspot_heap {
		fnp_u64 start, end; /* reserved */
		fnp_u64 segments;   /* address of the segment map, a byte for each 1 << segment_shift bytes */
	} heaps[FNP_HOTSPOT_HEAPS_MAX];
	fnp_u64 interpreter, interpreter_end;
	fnp_u64 entries_start, entries_end; /* all method entries, also those that build no frame */
	fnp_u64 call_stub_return;	    /* where Java code returns to that C++ has called */
	fnp_u64 continuation_return; /* the same of a virtual thread's first frame on its carrier; 0: none */
	fnp_u64 thaw_return;	     /* of a virtual thread's frame whose callers lie in the heap; 0: none */
	fnp_u64 narrow_base;	     /* of references with 32 bits */
	struct fnp_hotspot_entry entries[FNP_HOTSPOT_ENTRIES_MAX]; /* those that build a frame */
	fnp_u16 segment_shift;
	fnp_u16 block_header; /* bytes before a blob */
	fnp_u16 flags;	      /* enum fnp_hotspot_flags */
	fnp_u16 read_size;    /* of a blob's head; at most FNP_HOTSPOT_HEAD_MAX */
	fnp_u16 blob_kind;    /* 0: told by its name */
	fnp_u16 blob_name, blob_code, blob_frame_size, blob_complete;
	fnp_u16 compile_id, original_pc, deopt, deopt_handle; /* deopt_handle 0: there is none */
	fnp_u16 method_const;
	fnp_u16 const_size; /* bytes before the bytecodes */
	fnp_u16 const_pool, const_code_size, const_name;
	fnp_u16 pool_holder;
	fnp_u16 class_name;
	fnp_u16 narrow_shift;
	fnp_u16 entry_size; /* the entry into a continuation begins so many bytes below its frame's rbp */
	fnp_u16 continuation_tail; /* of the object: its newest chunk of frames */
	/* In a chunk: references, counts of words, an address; then, at chunk_stack, the words of its frames. */
	fnp_u16 chunk_parent, chunk_size, chunk_sp, chunk_bottom, chunk_pc, chunk_stack;
};

#define FNP_HOTSPOT_WORDS 2
#define FNP_HOTSPOT_HEAD_MAX 376
#define FNP_HOTSPOT_CONST_MAX 64  /* bytes read of a ConstMethod; all fields above lie in them */
#define FNP_HOTSPOT_CHUNK_MAX 128 /* bytes read of a chunk; the fields above lie in them */
#define FNP_HOTSPOT_LAYOUTS_MAX 256
#define FNP_HOTSPOT_LEAF 0x80000000U /* the thread was there, it is no return address */
#define FNP_HOTSPOT_NATIVE_BCI 0xffffffffU

/* Of what tells methods apart that were at one address in turn. */
static inline fnp_u32 fnp_hotspot_cookie(fnp_u64 const_method, fnp_u64 class_name, fnp_u32 name_index)
{
	fnp_u64 h = (const_method ^ 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;

	h = (h ^ (h >> 32) ^ class_name) * 0xc4ceb9fe1a85ec53ULL;
	h = (h ^ (h >> 29) ^ name_index) * 0xff51afd7ed558ccdULL;
	return (fnp_u32)(h >> 32);
}

_Static_assert(sizeof(struct fnp_hotspot_layout) == 320, "layout");

#endif
