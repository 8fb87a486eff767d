/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unwind rules of a function that nobody describes, from its instructions: every way through it is followed, with the
 * distance of the stack pointer from the frame's address and the place of the caller's frame pointer. What is said is
 * certain by arithmetic: a way that meets another one with another distance, or that returns with something left on
 * the stack, makes the whole function unknown; an instruction that sets the stack pointer in a way that is not understood
 * ends what is known. What lies behind a call of something that may not return counts only where it leads to a return.
 *
 * x86-64 alone.
 */
#ifndef FNP_SYMBOLIZER_CODE_RULES_H
#define FNP_SYMBOLIZER_CODE_RULES_H

#include <stdbool.h>

#include "base/vec.h"
#include "bpf/layout/native.h"

#define FNP_CODE_FUNCTION_MAX 65536

struct fnp_code_rules;

/* Bytes of code, and where they lie as the ELF file counts. */
struct fnp_code {
	const uint8_t *bytes;
	uint64_t address;
	size_t size;
	size_t entry; /* offset of the function in them; what lies before it is followed where it jumps there */
};

typedef FNP_VEC(uint64_t) fnp_code_starts;

/* What following a function brought up besides its rules; addresses as the ELF file counts. */
struct fnp_code_found {
	fnp_code_starts calls;	  /* what it calls or, for certain, goes over to: begins of functions */
	fnp_code_starts pointers; /* what it takes the address of: perhaps begins of functions */
};

enum fnp_code_returns { FNP_CODE_RETURNS_UNKNOWN = 0, FNP_CODE_RETURNS, FNP_CODE_NEVER_RETURNS };

/* `returns` is asked what is known of the function at an address. */
int fnp_code_rules_create(enum fnp_code_returns (*returns)(void *self, uint64_t address), void *self,
			  struct fnp_code_rules **ret);
void fnp_code_rules_destroy(struct fnp_code_rules *rules);

/*
 * Follows the function that is `function`, which ends before the next one begins; beyond FNP_CODE_FUNCTION_MAX bytes
 * it is cut. `sure`: something begins here, for certain; else it must return somewhere. What it brings up is added to
 * `found`. 0; -ENOENT when it could not be understood; -ENOMEM.
 */
int fnp_code_rules_follow(struct fnp_code_rules *rules, const struct fnp_code *function, bool sure,
			  struct fnp_code_found *found);

/*
 * Whether what was followed last is no function whatever is known of others. ret_looked_at: how many bytes from its entry on
 * told that, whatever lies around them; SIZE_MAX: with other code around it could be one.
 */
bool fnp_code_rules_refused(const struct fnp_code_rules *rules, size_t *ret_looked_at);

/* How many instructions may still be followed, of all functions together; then nothing is understood any more. */
size_t fnp_code_rules_fuel(const struct fnp_code_rules *rules);

/* Whether what was followed last returns. */
enum fnp_code_returns fnp_code_rules_returns(const struct fnp_code_rules *rules);

/* The offset behind the first jump, return or last call, or at a multiple of 16 behind what is no code: something may begin. */
size_t fnp_code_rules_next(const struct fnp_code *code);

/* The offset behind the last instruction that was followed. */
size_t fnp_code_rules_end(const struct fnp_code_rules *rules);

/*
 * The rule at an offset of the function that was followed last, and how many bytes from there on it holds for; false
 * where there is none (ret_size all the same).
 */
bool fnp_code_rules_at(const struct fnp_code_rules *rules, size_t offset, struct fnp_rule *ret,
		       size_t *ret_size);

#endif
