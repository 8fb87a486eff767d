/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_x86_64_sysv_elf_gas.S and jump_x86_64_sysv_elf_gas.S, read in Boost 1.74; other code than this is left alone:
 *
 *	push	%rbp			what a context begins at: rbp is what follows the jump, rbx its function
 *	jmp	*%rbx
 *	xor	%rdi, %rdi		its function has returned
 *	call	_exit
 *
 *	lea	-SIZE(%rsp), %rsp	the change: what is kept of a context lies on its stack, the return address above
 *	...
 *	mov	%rsp, %rax
 *	mov	%rdi, %rsp		from here on the caller is the other context's
 *	mov	SIZE(%rsp), %r8
 *	...
 *	mov	SIZE-8(%rsp), %rbp
 *	lea	SIZE+8(%rsp), %rsp	when it only goes on; SIZE(%rsp) when a function is called on its top
 *	...
 *	jmp	*%r8
 */
#include "symbolizer/unwind_fcontext.h"

#include <elf.h>
#include <errno.h>

#include "symbolizer/unwind_known.h"

#define FUNCTION_MAX 128 /* bytes before and behind the change of stacks */
#define LEA_SIZE 5
#define R8 8
#define SAVED(fp, ra) ((fp) | (ra) << 4)

static const uint8_t lea[] = {0x48, 0x8d, 0x64, 0x24};	       /* of rsp, into rsp; a byte follows */
static const uint8_t load_target[] = {0x4c, 0x8b, 0x44, 0x24}; /* mov x(%rsp), %r8 */
static const uint8_t jump[] = {0x41, 0xff, 0xe0};	       /* jmp *%r8 */

static struct fnp_rule on_stack(int cfa_offset, unsigned int fp, int fp_offset)
{
	return (struct fnp_rule){.cfa_kind = FNP_CFA_REG,
				 .cfa_reg = FNP_REG_SP,
				 .cfa_offset = cfa_offset,
				 .fp_offset = fp_offset,
				 .ra_offset = -8,
				 .saved = (uint8_t)SAVED(fp, FNP_SAVED_AT_CFA)};
}

static int overlay_begin(struct fnp_rows *rows, uint64_t address)
{
	/* Its function returns behind the jump, so the jump is looked up for it. */
	return fnp_rows_overlay(rows, address, address + fnp_pattern_size(FNP_PATTERN_FCONTEXT_BEGIN) + 5,
				&fnp_known_root);
}

/* The last `lea` in [start, at). */
static const uint8_t *last_before(const uint8_t *at, const uint8_t *start)
{
	for (size_t back = LEA_SIZE; back <= (size_t)(at - start); back++) {
		if (memcmp(at - back, lea, sizeof(lea)) == 0)
			return at - back;
	}
	return NULL;
}

static int overlay_change(struct fnp_rows *rows, const struct fnp_unwind_place *place)
{
	const uint8_t *at = place->code, *stop = at + FNP_MIN(place->left, (size_t)FUNCTION_MAX);
	const uint8_t *grow = last_before(at, at - FNP_MIN(place->before, (size_t)FUNCTION_MAX));
	const uint8_t *changed = at + fnp_pattern_size(place->pattern), *shrink, *leave;
	struct fnp_rule rule;
	int size, rest, r;

	shrink = memmem(changed, (size_t)(stop - changed), lea, sizeof(lea));
	leave = shrink ? memmem(shrink, (size_t)(stop - shrink), jump, sizeof(jump)) : NULL;
	if (!grow || !leave || shrink + LEA_SIZE > leave)
		return 0;
	size = -(int8_t)grow[sizeof(lea)];
	rest = size + 8 - (int8_t)shrink[sizeof(lea)];
	/* A function on top of the other context has its return address still on the stack. */
	if (size < 16 || (rest != 0 && rest != 8))
		return 0;
	if (rest == 0) {
		const uint8_t *load = memmem(changed, (size_t)(shrink - changed), load_target,
					     sizeof(load_target));

		if (!load || load + LEA_SIZE > shrink || (int8_t)load[sizeof(load_target)] != size)
			return 0;
	}
#define ADDRESS(p) (place->address + (uint64_t)((p)-at))
	rule = on_stack(size + 8, FNP_SAVED_SAME, 0);
	r = fnp_rows_overlay(rows, ADDRESS(grow + LEA_SIZE), ADDRESS(changed), &rule);
	rule = on_stack(size + 8, FNP_SAVED_AT_CFA, -16);
	r = r ?: fnp_rows_overlay(rows, ADDRESS(changed), ADDRESS(shrink + LEA_SIZE), &rule);
	rule = on_stack(rest, FNP_SAVED_SAME, 0);
	if (rest == 0) {
		rule.saved = SAVED(FNP_SAVED_SAME, FNP_SAVED_REGISTER);
		rule.ra_offset = R8;
	}
	r = r ?: fnp_rows_overlay(rows, ADDRESS(shrink + LEA_SIZE), ADDRESS(leave + sizeof(jump)), &rule);
	/* Before it takes room for what it keeps, it is as a function is at its first instruction. */
	rule = on_stack(8, FNP_SAVED_SAME, 0);
	return r ?: fnp_rows_overlay(rows, ADDRESS(grow), ADDRESS(grow + LEA_SIZE), &rule);
#undef ADDRESS
}

int fnp_fcontext_overlay(struct fnp_rows *rows, const struct fnp_unwind_place *place)
{
	if (fnp_rows_rule_at(rows, place->address))
		return 0;
	return place->pattern == FNP_PATTERN_FCONTEXT_BEGIN ? overlay_begin(rows, place->address)
							    : overlay_change(rows, place);
}
