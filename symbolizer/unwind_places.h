/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where code stands that the unwind rows treat apart. All that is looked for is found in one pass, because each pass takes
 * as long as compiling the file's own entries. What is made of it is said in unwind_known.c.
 *
 * Segments of up to 4 MiB, which C libraries, interpreters and small static programs have, are searched for bytes. Larger
 * ones are not read for this: there functions are looked for by their names, and libgcc's that hand over to landing pads
 * searched alone.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_PLACES_H
#define FNP_SYMBOLIZER_UNWIND_PLACES_H

#include "base/vec.h"
#include "symbolizer/object.h"

enum fnp_pattern {
	FNP_PATTERN_SIGNAL_RETURN,	 /* mov $15, %rax; syscall */
	FNP_PATTERN_SIGNAL_RETURN_SHORT, /* mov $15, %eax; syscall */
	FNP_PATTERN_CONTEXT_START,	 /* mov %rbx, %rsp; mov (%rsp), %rdi; test %rdi, %rdi */
	FNP_PATTERN_CONTEXT_CHANGE,	 /* mov 160(%rdx), %rsp */
	FNP_PATTERN_GREENLET_CHANGE,	 /* add %rax, %rsp; add %rax, %rbp */
	FNP_PATTERN_LEAVE_BY_JUMP,	 /* mov (%rbp), %rbp; mov %rcx, %rsp; pop %rcx; jmp *%rcx */
	FNP_PATTERN_LEAVE_BY_RETURN,	 /* the same with ret */
	FNP_PATTERN_BINDING,		 /* mov 16(%rbx), %rsi; mov 8(%rbx), %rdi; call */
	FNP_PATTERN_FCONTEXT_BEGIN,	 /* push %rbp; jmp *%rbx; xor %rdi, %rdi; call */
	FNP_PATTERN_FCONTEXT_CHANGE,	 /* mov %rsp, %rax; mov %rdi, %rsp */
	FNP_PATTERN_COUNT,
};

struct fnp_unwind_place {
	uint64_t address;
	const uint8_t *code; /* there, in the object */
	size_t before, left; /* bytes of code before it, and from it on */
	enum fnp_pattern pattern;
};

enum fnp_named_place {
	FNP_NAMED_V8_BUILTINS,
	FNP_NAMED_V8_PUSH_REGISTERS,
	FNP_NAMED_RAISE_EXCEPTION, /* this and those that follow: libgcc's that hand over */
	FNP_NAMED_RESUME,
	FNP_NAMED_FORCED_UNWIND,
	FNP_NAMED_RESUME_OR_RETHROW,
	FNP_NAMED_COUNT,
};

struct fnp_unwind_places {
	FNP_VEC(struct fnp_unwind_place) items;		 /* by address within a segment */
	struct fnp_object_symbol named[FNP_NAMED_COUNT]; /* of objects with much code */
};

/* The number of bytes of a pattern. */
size_t fnp_pattern_size(enum fnp_pattern pattern);

/*
 * Finds them in an object of x86-64, at most 65,536 places; `ret` is empty before, and the caller gives it to
 * fnp_unwind_places_deinit() in any case. 0 or -ENOMEM.
 */
int fnp_unwind_places_find(const struct fnp_object *object, struct fnp_unwind_places *ret);
void fnp_unwind_places_deinit(struct fnp_unwind_places *places);

#endif
