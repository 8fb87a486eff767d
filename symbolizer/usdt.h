/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The USDT probes that an ELF file says it has: notes of type NT_STAPSDT, owner "stapsdt", in the section
 * .note.stapsdt, as <sys/sdt.h> of SystemTap makes them. Each is one place in code with a provider, a name, where its
 * arguments are, and perhaps a semaphore: a counter in the program's memory that is above zero while somebody listens.
 *
 * A note's addresses are those of link time; the section .stapsdt.base tells how far the file was moved since
 * (prelink). What a note says is checked against the file: a place outside of executable segments is no place, a
 * semaphore outside of writable ones is none.
 */
#ifndef FNP_SYMBOLIZER_USDT_H
#define FNP_SYMBOLIZER_USDT_H

#include "base/vec.h"
#include "bpf/layout/probe.h"
#include "symbolizer/object.h"

#define FNP_USDT_PLACES_MAX 8192 /* of one file */

enum fnp_usdt_semaphore {
	FNP_USDT_SEMAPHORE_NONE,
	FNP_USDT_SEMAPHORE_GOOD,
	FNP_USDT_SEMAPHORE_BAD, /* not in writable memory that the file backs: it cannot be raised */
};

/* How dear a breakpoint on an instruction is. */
enum fnp_usdt_instruction {
	FNP_USDT_NOP,	  /* the kernel passes over it: cheap, and cheapest where it has five bytes */
	FNP_USDT_CHEAP,	  /* the kernel does what it does: a push, a jump */
	FNP_USDT_STEPPED, /* it is executed elsewhere, one step: about 10 us a hit on virtual machines */
	FNP_USDT_TRAP,	  /* a breakpoint of somebody else's, or nothing that can be executed: hands off */
};

struct fnp_usdt_place {
	const char *provider, *name; /* inside the object */
	const char *arguments;	     /* as the note writes them */
	uint64_t address;	     /* as the object counts */
	uint64_t offset;	     /* of the place in the file */
	uint64_t semaphore_offset;   /* of its semaphore in the file; of meaning when it is GOOD */
	enum fnp_usdt_semaphore semaphore;
	enum fnp_usdt_instruction instruction;
	uint32_t n_arguments; /* at most FNP_PROBE_SPEC_ARGUMENTS */
	struct fnp_probe_argument parsed[FNP_PROBE_SPEC_ARGUMENTS];
};

struct fnp_usdt_places {
	FNP_VEC(struct fnp_usdt_place) list;
	uint32_t lying; /* notes that were passed over: they end early, or point to where no code is */
};

/*
 * All places of an object; none is no error. 0, or -ENOMEM. The texts live as long as the object. `ret` is to be given
 * to fnp_usdt_places_deinit.
 */
int fnp_usdt_read(const struct fnp_object *object, struct fnp_usdt_places *ret);
void fnp_usdt_places_deinit(struct fnp_usdt_places *places);

/*
 * The arguments of one note ("-4@%edi 8@-16(%rbp)") for a machine (EM_X86_64, EM_AARCH64); the number of them. One that
 * is not understood is FNP_PROBE_UNKNOWN. `object`, for operands that name a symbol, may be NULL.
 */
uint32_t fnp_usdt_arguments(const char *text, uint16_t machine, const struct fnp_object *object,
			    struct fnp_probe_argument ret[FNP_PROBE_SPEC_ARGUMENTS]);

/* What stands at an address of the file, as a place for a breakpoint. */
enum fnp_usdt_instruction fnp_usdt_instruction_at(const struct fnp_object *object, uint64_t address);

/* The offset in the file of an address in a segment that has these flags (PF_X, PF_W); -ENOENT. */
int fnp_usdt_offset_of(const struct fnp_object *object, uint64_t address, uint32_t flags, uint64_t *ret);

const char *fnp_usdt_instruction_name(enum fnp_usdt_instruction instruction);

#endif
