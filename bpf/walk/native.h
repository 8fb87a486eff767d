/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The native walker: from a frame to its caller by the row that holds at its pc.
 *
 * A return address may be the first byte of another function (the call was the last instruction of one that does not
 * return), so callers are looked up one byte before. The leaf, and what a signal interrupted, are looked up as they are.
 *
 * Finding a row takes a search for the mapping, one for the block and one in it. The rules of return addresses are
 * remembered in a small table a CPU, by address and version of the space: the same callers stand in most stacks, and
 * then a frame costs one cache line. Leaf addresses are many; they have a table of their own, in which hot loops stay.
 *
 * What is remembered and needs nothing but the window is taken by fnp_walk_quick(), a loop without calls: on a processor
 * that must guard each return, a call costs as much as the rest of a frame.
 */
#ifndef FNP_BPF_WALK_NATIVE_H
#define FNP_BPF_WALK_NATIVE_H

#include "bpf/walk/walk.h"

#define FNP_NATIVE_BLOCK_STEPS 13   /* a page of 64 KiB holds at most 4,682 blocks */
#define FNP_NATIVE_MAPPING_STEPS 15 /* log2(FNP_CODE_RANGES_MAX) */

/* 1 when a <= b, for numbers below 2^63; without a jump, because the verifier follows both ways of each jump. */
#define FNP_NATIVE_LE(a, b) (((fnp_u64)(a) - (fnp_u64)(b)-1) >> 63)

/* Finds the mapping of an address and leaves it in walk->here. 0 or a truncation cause. */
FNP_SUBPROGRAM int fnp_native_find_mapping(struct fnp_walk *walk, fnp_u64 address)
{
	const struct fnp_code_range *m;
	fnp_u32 low, left;

	if (!walk || address >> 63)
		return FNP_TRUNCATION_NO_MAPPING;
	low = walk->first; /* among [low, low + left) the first that begins after the address is looked for */
	left = walk->count;
	for (int i = 0; i < FNP_NATIVE_MAPPING_STEPS && left > 0; i++) {
		fnp_u32 half = left / 2, after;

		m = fnp_array_at(fnp_code_ranges, low + half);
		if (!m)
			return FNP_TRUNCATION_NO_MAPPING;
		/* The vsyscall page lies in the upper half: after all that is looked for. */
		after = FNP_NATIVE_LE(m->start & ~(1ULL << 63), address);
		low += after * (half + 1);
		left = half - (after & ~left & 1);
	}
	if (low == walk->first)
		return FNP_TRUNCATION_NO_MAPPING;
	m = fnp_array_at(fnp_code_ranges, low - 1);
	if (!m || address < m->start || address >= m->end)
		return FNP_TRUNCATION_NO_MAPPING;
	walk->here = *m;
	return 0;
}

/* The n-th word of a run of 32-bit words that begins at a cache line. */
FNP_INLINE int fnp_native_word(fnp_u32 arena, fnp_u32 line, fnp_u32 n, fnp_u32 *ret)
{
	const struct fnp_block *block = fnp_block_at(arena, line + n / 16);

	if (!block)
		return -1;
	*ret = ((const fnp_u32 *)block)[n & 15];
	return 0;
}

/* The block that holds at `offset`: the last one of [low, high] that does not begin after it. */
FNP_INLINE const struct fnp_block *fnp_native_block(fnp_u32 arena, fnp_u32 blocks, fnp_u32 low, fnp_u32 high,
						    fnp_u32 offset)
{
	fnp_u32 left = high -
		       low; /* among (low, low + left] the last that does not begin after it is looked for */

	for (int i = 0; i < FNP_NATIVE_BLOCK_STEPS && left > 0; i++) {
		fnp_u32 half = (left + 1) / 2, before;
		const struct fnp_block *block = fnp_block_at(arena, blocks + low + half);

		if (!block)
			return NULL;
		before = FNP_NATIVE_LE(block->base & ~FNP_BLOCK_IS_WIDE, offset);
		low += before * half;
		left = before * (left - half) + (1 - before) * (half - 1);
	}
	return fnp_block_at(arena, blocks + low);
}

/* Masks an index that is in bounds already, where the verifier sees it and the compiler does not undo it. */
#define FNP_NATIVE_BOUND(i, mask)                                                                            \
	({                                                                                                   \
		fnp_u64 i_ = (i);                                                                            \
		__asm__ volatile("" : "+r"(i_));                                                             \
		i_ &(mask);                                                                                  \
	})
/* The block as 16-bit cells, and as the distances in them. */
#define FNP_NATIVE_CELL(block, i) (((const fnp_u16 *)(block))[FNP_NATIVE_BOUND(i, 31)])
#define FNP_NATIVE_DISTANCE(block, i) FNP_NATIVE_CELL(block, (i) + 2)

/* The rule number of the row that holds at `offset` in its block: two steps of four comparisons, no jumps. */
FNP_INLINE fnp_u32 fnp_native_rule_of(const struct fnp_block *block, fnp_u32 offset)
{
	const fnp_u16 *distance = block->narrow.distance; /* the wide form has them in the same place */
	fnp_u64 d = (fnp_u32)(offset - (block->base & ~FNP_BLOCK_IS_WIDE));
	fnp_u64 i;

	if (d > FNP_BLOCK_DISTANCE_MAX)
		d = FNP_BLOCK_DISTANCE_MAX;
	i = FNP_NATIVE_LE(distance[4], d) + FNP_NATIVE_LE(distance[8], d) + FNP_NATIVE_LE(distance[12], d);
	if (!(block->base & FNP_BLOCK_IS_WIDE))
		i += FNP_NATIVE_LE(distance[16], d);
	i *= 4;
	i += FNP_NATIVE_LE(FNP_NATIVE_DISTANCE(block, i + 1), d) +
	     FNP_NATIVE_LE(FNP_NATIVE_DISTANCE(block, i + 2), d) +
	     FNP_NATIVE_LE(FNP_NATIVE_DISTANCE(block, i + 3), d);
	if (block->base & FNP_BLOCK_IS_WIDE)
		return FNP_NATIVE_CELL(block, 2 + FNP_BLOCK_WIDE + 2 + i);
	return ((const fnp_u8 *)block)[FNP_NATIVE_BOUND(4 + 2 * FNP_BLOCK_NARROW + i, FNP_BLOCK_BYTES - 1)];
}

/* Code without rows that keeps frame pointers. */
FNP_INLINE void fnp_native_frame_pointer_rule(struct fnp_walk *walk)
{
	struct fnp_rule rule = {.cfa_kind = FNP_CFA_REG,
				.cfa_reg = FNP_REG_FP,
				.cfa_offset = 16,
				.fp_offset = -16,
				.ra_offset = -8,
				.saved = FNP_SAVED_AT_CFA | FNP_SAVED_AT_CFA << 4};

	walk->rule = rule;
}

/* The byte of `code` with the number n, the one at the lowest address first. */
#define FNP_NATIVE_BYTE(code, n) ((fnp_u8)((code) >> (8 * (n))))

/*
 * 1 when what stands before an address is a call: e8, or ff /2 with each length of its operand (Intel SDM, volume 2); on arm64
 * bl or blr. 0 when not, and when it cannot be read.
 */
FNP_SUBPROGRAM int fnp_native_is_behind_call(struct fnp_walk *walk, fnp_u64 address)
{
	fnp_u64 code = 0;

	if (!walk || fnp_read_user(&code, sizeof(code), address - sizeof(code)))
		return 0;
#if FNP_REG_RA == 16
	fnp_u8 last = FNP_NATIVE_BYTE(code, 7), third = FNP_NATIVE_BYTE(code, 6),
	       fourth = FNP_NATIVE_BYTE(code, 5);

	if (FNP_NATIVE_BYTE(code, 3) == 0xe8)
		return 1;
	if (third == 0xff && ((last & 0xf8) == 0xd0 || ((last & 0xf8) == 0x10 && last != 0x14 && last != 0x15)))
		return 1;
	if (fourth == 0xff && ((third & 0xf8) == 0x50 || third == 0x14) && third != 0x54)
		return 1;
	if (FNP_NATIVE_BYTE(code, 4) == 0xff && fourth == 0x54)
		return 1;
	if (FNP_NATIVE_BYTE(code, 2) == 0xff &&
	    (FNP_NATIVE_BYTE(code, 3) == 0x15 ||
	     ((FNP_NATIVE_BYTE(code, 3) & 0xf8) == 0x90 && FNP_NATIVE_BYTE(code, 3) != 0x94)))
		return 1;
	return FNP_NATIVE_BYTE(code, 1) == 0xff && FNP_NATIVE_BYTE(code, 2) == 0x94;
#else
	code >>= 32;
	return (code & 0xfc000000) == 0x94000000 || (code & 0xfffffc1f) == 0xd63f0000;
#endif
}

/*
 * Code that a JIT made. Whether it keeps frame pointers nobody says: they are believed as far as what they say makes sense. Where it
 * stands exactly, at the instructions that set a frame up or have taken it down, the caller's is at the stack pointer.
 */
FNP_SUBPROGRAM int fnp_native_jit_rule(struct fnp_walk *walk)
{
	fnp_u64 code = 0;

	if (!walk)
		return -1;
	fnp_native_frame_pointer_rule(walk);
	walk->rule.flags = FNP_RULE_BELIEVED;
#if FNP_REG_RA == 16
	if (!walk->exact || fnp_read_user(&code, sizeof(code), walk->pc - 1))
		return 0;
	/* push rbp, perhaps behind endbr64; or ret */
	if (FNP_NATIVE_BYTE(code, 1) == 0x55 || FNP_NATIVE_BYTE(code, 1) == 0xc3 ||
	    FNP_NATIVE_BYTE(code, 1) == 0xc2 || (code >> 8 & 0xffffffffffULL) == 0x55fa1e0ff3ULL) {
		walk->rule.cfa_reg = FNP_REG_SP;
		walk->rule.cfa_offset = 8;
		walk->rule.fp_offset = 0;
		walk->rule.saved = FNP_SAVED_SAME | FNP_SAVED_AT_CFA << 4;
	}
	/* Behind push rbp, while it is the caller's still: whatever the code makes of it next. */
	if (FNP_NATIVE_BYTE(code, 0) == 0x55 && fnp_walk_load(walk, walk->sp, &code) == 0 && code == walk->fp)
		walk->rule.cfa_reg = FNP_REG_SP;
#endif
	return 0;
}

/* Leaves the rule that holds at an address (as the ELF file counts) of an object in walk->rule. 0 or a cause. */
FNP_SUBPROGRAM int fnp_native_find_row(struct fnp_walk *walk, fnp_u32 object, fnp_u64 address)
{
	const struct fnp_table *table = fnp_array_at(fnp_native_tables, object);
	const struct fnp_block *block;
	fnp_u32 first, last, rule;
	fnp_u64 offset;

	if (!walk || !table || object == 0 || table->pages == FNP_TABLE_NOT_LOADED) {
		if (walk)
			walk->resumable = 1;
		return FNP_TRUNCATION_NO_TABLE;
	}
	if (table->pages == FNP_TABLE_REFUSED)
		return FNP_TRUNCATION_NO_TABLE;
	if (table->pages == FNP_TABLE_FRAME_POINTERS) {
		fnp_native_frame_pointer_rule(walk);
		walk->rule.flags = FNP_RULE_BELIEVED;
		return 0;
	}
	offset = address - table->base;
	if (table->page_shift > 16 || offset >> table->page_shift >= table->pages)
		return FNP_TRUNCATION_NO_ROW;
	if (fnp_native_word(table->arena, table->index, offset >> table->page_shift, &first) ||
	    fnp_native_word(table->arena, table->index, (offset >> table->page_shift) + 1, &last))
		return FNP_TRUNCATION_NO_TABLE;
	block = fnp_native_block(table->arena, table->blocks, first, last, offset);
	if (!block)
		return FNP_TRUNCATION_NO_TABLE;
	rule = fnp_native_rule_of(block, offset);
	if (rule >= table->n_rules)
		return FNP_TRUNCATION_NO_ROW;
	block = fnp_block_at(table->arena, table->rules + rule / 4);
	if (!block)
		return FNP_TRUNCATION_NO_TABLE;
	walk->rule = ((const struct fnp_rule *)block)[rule & 3];
	return 0;
}

/* Finds kind and rule of the code at an address, the long way. 0 or a truncation cause. */
FNP_SUBPROGRAM int fnp_native_find(struct fnp_walk *walk, fnp_u64 address)
{
	int cause = 0;

	if (!walk)
		return FNP_TRUNCATION_NO_MAPPING;
	walk->kind = FNP_CODE_NATIVE;
	walk->data = 0;
	if (address < walk->here.start || address >= walk->here.end)
		cause = fnp_native_find_mapping(walk, address);
	if (cause) {
		walk->resumable = 1;
		return cause;
	}
	walk->kind = walk->here.kind;
	walk->data = walk->here.data;
	if (walk->kind == FNP_CODE_FRAME_POINTER) {
		walk->kind = FNP_CODE_NATIVE;
		fnp_native_jit_rule(walk);
		return 0;
	}
	if (walk->data == FNP_SPACE_ANONYMOUS) {
		fnp_native_frame_pointer_rule(walk);
		return 0;
	}
	cause = fnp_native_find_row(walk, walk->here.object, address - walk->here.bias);
	/* Kinds that have their own walker may do without rows; Python's goes on by them. */
	if (cause && walk->kind != FNP_CODE_NATIVE && !(walk->kind == FNP_CODE_PYTHON && walk->resumable)) {
		walk->resumable = 0;
		walk->rule.cfa_kind = FNP_CFA_NONE;
		return 0;
	}
	return cause;
}

/* A value that a rule says where to find; `now` is what the register holds in the current frame. */
FNP_INLINE int fnp_native_saved(struct fnp_walk *walk, fnp_u32 kind, int offset, fnp_u64 cfa, fnp_u64 now,
				fnp_u64 *ret)
{
	switch (kind) {
	case FNP_SAVED_SAME:
		*ret = now;
		return 0;
	case FNP_SAVED_AT_CFA:
		return fnp_walk_load(walk, cfa + offset, ret) ? FNP_TRUNCATION_BAD_READ : 0;
	case FNP_SAVED_AT_SP:
		return fnp_walk_load(walk, walk->sp + offset, ret) ? FNP_TRUNCATION_BAD_READ : 0;
	case FNP_SAVED_AT_FP:
		return fnp_walk_load(walk, walk->fp + offset, ret) ? FNP_TRUNCATION_BAD_READ : 0;
	case FNP_SAVED_AT_FP_AT:
		if (fnp_walk_load(walk, walk->fp + offset, ret))
			return FNP_TRUNCATION_BAD_READ;
		return fnp_walk_load(walk, *ret, ret) ? FNP_TRUNCATION_BAD_READ : 0;
	case FNP_SAVED_CFA:
		*ret = cfa + offset;
		return 0;
	case FNP_SAVED_REGISTER:
		return fnp_walk_reg(walk, offset, ret) ? FNP_TRUNCATION_EXPRESSION : 0;
	}
	return FNP_TRUNCATION_EXPRESSION;
}

FNP_INLINE int fnp_native_cfa(struct fnp_walk *walk, const struct fnp_rule *rule, fnp_u64 *ret)
{
	int offset = rule->cfa_offset;
	fnp_u64 base;

	switch (rule->cfa_kind) {
	case FNP_CFA_NONE:
		return FNP_TRUNCATION_NO_ROW;
	case FNP_CFA_REG:
	case FNP_CFA_DEREF:
	case FNP_CFA_DEREF_PLUS:
	case FNP_CFA_DEREF_INDEX:
		if (fnp_walk_reg(walk, rule->cfa_reg, &base))
			return FNP_TRUNCATION_EXPRESSION;
		if (rule->cfa_kind == FNP_CFA_DEREF_INDEX)
			base = walk->sp + base * 8;
		base += rule->cfa_kind >= FNP_CFA_DEREF_PLUS ? FNP_CFA_OFFSET_A(offset) : offset;
		if (rule->cfa_kind != FNP_CFA_REG && fnp_walk_load(walk, base, &base))
			return FNP_TRUNCATION_BAD_READ;
		if (rule->cfa_kind >= FNP_CFA_DEREF_PLUS)
			base += FNP_CFA_OFFSET_B(offset);
		*ret = base;
		return 0;
	case FNP_CFA_PLT:
		*ret = walk->sp + rule->cfa_offset + ((walk->pc & 15) >= 11 ? 8 : 0);
		return 0;
	}
	return FNP_TRUNCATION_EXPRESSION;
}

#define FNP_NATIVE_CODE_MIN 65536 /* no code is below it: vm.mmap_min_addr */

/* From the current frame to its caller, by walk->rule. What walkers return. */
FNP_SUBPROGRAM int fnp_walk_unwind(struct fnp_walk *walk)
{
	fnp_u64 cfa, fp, ra;
	bool signal;
	int cause;

	if (!walk)
		return -1;
	struct fnp_rule rule = walk->rule;
	signal = rule.flags & FNP_RULE_SIGNAL;
	if (rule.saved >> 4 == FNP_SAVED_UNDEFINED)
		return fnp_walk_stop(walk, FNP_TRUNCATION_NONE);
	cause = rule.flags & FNP_RULE_ODD_SP ? FNP_TRUNCATION_EXPRESSION : fnp_native_cfa(walk, &rule, &cfa);
	if (cause)
		return fnp_walk_stop(walk, cause);
	/* Leaf first, so addresses rise; only a signal may have changed stacks, and only a leaf may have no frame. */
	if (!(rule.flags & (FNP_RULE_SIGNAL | FNP_RULE_OTHER_STACK)) &&
	    (cfa < walk->sp || (cfa == walk->sp && !walk->exact)))
		return fnp_walk_stop(walk, rule.flags & FNP_RULE_BELIEVED ? FNP_TRUNCATION_NO_ROW
									  : FNP_TRUNCATION_LOOP);
	if ((rule.saved & 15) == FNP_SAVED_EXPRESSION || (rule.saved & 15) == FNP_SAVED_UNDEFINED)
		fp = 0;
	else
		cause = fnp_native_saved(walk, rule.saved & 15, rule.fp_offset, cfa, walk->fp, &fp);
	if (!cause)
		cause = fnp_native_saved(walk, rule.saved >> 4, rule.ra_offset, cfa, walk->lr, &ra);
	if (cause)
		return fnp_walk_stop(walk, cause);
	ra &= ~fnp_pac_mask();
	/*
	 * The first frame of a thread that has no table returns to nothing; where the rule is only believed, a 0 is no end, but
	 * whatever stood there. At the first instruction of a program, where it is when its page is brought in, the rules of
	 * glibc's _start take the number of arguments for a return address.
	 */
	if (rule.flags & FNP_RULE_BELIEVED && (cfa & 7 || !fnp_native_is_behind_call(walk, ra)))
		return fnp_walk_stop(walk, FNP_TRUNCATION_NO_ROW);
	if (ra == 0 || (walk->leaf && walk->fp == 0 && cfa == walk->sp + 8 && ra < FNP_NATIVE_CODE_MIN))
		return fnp_walk_stop(walk, rule.flags & FNP_RULE_FOLLOWED ? FNP_TRUNCATION_NO_ROW
									  : FNP_TRUNCATION_NONE);
	walk->regs_at = signal ? walk->sp + FNP_WALK_SIGNAL_REGS : 0;
	walk->exact = signal || (rule.flags & FNP_RULE_EXACT);
	walk->behind_leaf = walk->leaf && !walk->exact;
	walk->leaf = 0;
	walk->pc = ra;
	walk->sp = cfa;
	walk->fp = fp;
	return 0;
}

/* Shows the current frame as a native one, and goes on with its caller by walk->rule. */
FNP_INLINE int fnp_walk_native(struct fnp_walk *walk)
{
	if (fnp_walk_push(walk, FNP_WORD(FNP_WORD_NATIVE, 0, walk->pc - !walk->exact)))
		return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
	return fnp_walk_unwind(walk);
}

/*
 * The rule of a return address, when it is remembered. A stack's rules are laid out one behind the other, so that the
 * next one stands mostly behind the last: few cache lines, and in order. Else it is where its hash says.
 */
FNP_INLINE struct fnp_walk_cached *fnp_native_remembered(struct fnp_walk *walk, fnp_u64 address, bool *ret_found)
{
	fnp_u32 behind = (walk->cached + 1) & (FNP_WALK_CACHE - 1);
	fnp_u32 hashed = (address * 0x9E3779B97F4A7C15ULL >> 32) & (FNP_WALK_CACHE - 1);
	struct fnp_walk_cached *cached = &walk->cache[behind];

	walk->cached = behind;
	if (cached->address == address && cached->version == walk->version) {
		*ret_found = true;
		return cached;
	}
	/* A free place behind the last one is taken before the place of the hash. */
	if (cached->version == walk->version)
		walk->cached = hashed;
	if (walk->cache[hashed].address == address && walk->cache[hashed].version == walk->version) {
		walk->cached = hashed;
		*ret_found = true;
		return &walk->cache[hashed];
	}
	*ret_found = false;
	return &walk->cache[walk->cached & (FNP_WALK_CACHE - 1)];
}

/* Likewise of a leaf, or of what a signal interrupted. */
FNP_INLINE struct fnp_walk_cached *fnp_native_remembered_leaf(struct fnp_walk *walk, fnp_u64 address,
							      bool *ret_found)
{
	fnp_u32 hashed = (address * 0x9E3779B97F4A7C15ULL >> 32) & (FNP_WALK_LEAVES - 1);
	struct fnp_walk_cached *cached = &walk->leaves[hashed];

	*ret_found = cached->address == address && cached->version == walk->version;
	return cached;
}

/* enum fnp_walk_quick of what was found. */
FNP_INLINE fnp_u8 fnp_native_quick(fnp_u32 kind, const struct fnp_rule *rule)
{
	fnp_u32 fp = rule->saved & 15;

	if (kind != FNP_CODE_NATIVE || (rule->flags & ~FNP_RULE_FOLLOWED) || rule->cfa_kind != FNP_CFA_REG ||
	    (rule->cfa_reg != FNP_REG_SP && rule->cfa_reg != FNP_REG_FP) ||
	    rule->saved >> 4 != FNP_SAVED_AT_CFA || (fp != FNP_SAVED_SAME && fp != FNP_SAVED_AT_CFA))
		return 0;
	return FNP_WALK_QUICK | (rule->cfa_reg == FNP_REG_FP ? FNP_WALK_QUICK_BY_FP : 0) |
	       (fp == FNP_SAVED_AT_CFA ? FNP_WALK_QUICK_FP : 0);
}

/* True when the 64-bit value at this place in the window is there. */
FNP_INLINE bool fnp_walk_in_window(fnp_u64 offset, fnp_u64 size)
{
	return offset < size && size - offset >= 8 && !(offset & 7);
}

/* The value there; the mask is what the verifier sees. */
FNP_INLINE fnp_u64 fnp_walk_window_at(const struct fnp_walk *walk, fnp_u64 offset)
{
	__asm__ volatile("" : "+r"(offset));
	return *(const fnp_u64 *)(walk->window + (offset & (FNP_WALK_WINDOW - 8)));
}

/*
 * Takes frames as long as each is the one that stood behind the last in an earlier stack, and its rule of the common
 * form. Whatever is in doubt is left to fnp_walk_frame(), which would have done the same with these.
 */
FNP_SUBPROGRAM int fnp_walk_quick(struct fnp_walk *walk)
{
	fnp_u64 pc, sp, fp, base, size;
	fnp_u32 n, at;

	if (!walk || walk->exact)
		return 0;
	pc = walk->pc;
	sp = walk->sp;
	fp = walk->fp;
	base = walk->window_base;
	size = walk->window_size;
	n = walk->n_words;
	at = walk->cached;
	for (int i = 0; i < FNP_WALK_QUICK_TURNS; i++) {
		fnp_u32 behind = (at + 1) & (FNP_WALK_CACHE - 1);
		const struct fnp_walk_cached *cached = &walk->cache[behind];
		fnp_u64 cfa, ra, caller_fp = fp;

		if (cached->address != pc - 1 || cached->version != walk->version ||
		    !(cached->quick & FNP_WALK_QUICK) || n >= FNP_USER_WORDS_MAX - 1 - FNP_WALK_FRAME_WORDS)
			break;
		cfa = (cached->quick & FNP_WALK_QUICK_BY_FP ? fp : sp) + cached->rule.cfa_offset;
		if (cfa <= sp || !fnp_walk_in_window(cfa + cached->rule.ra_offset - base, size))
			break;
		ra = fnp_walk_window_at(walk, cfa + cached->rule.ra_offset - base) & ~fnp_pac_mask();
		if (cached->quick & FNP_WALK_QUICK_FP) {
			if (!fnp_walk_in_window(cfa + cached->rule.fp_offset - base, size))
				break;
			caller_fp = fnp_walk_window_at(walk, cfa + cached->rule.fp_offset - base);
		}
		if (ra == 0)
			break;
		walk->words[FNP_NATIVE_BOUND(n, FNP_USER_WORDS_MAX - 1)] = FNP_WORD(FNP_WORD_NATIVE, 0, pc - 1);
		n++;
		at = behind;
		pc = ra;
		sp = cfa;
		fp = caller_fp;
	}
	if (n == walk->n_words)
		return 0;
	walk->pc = pc;
	walk->sp = sp;
	walk->fp = fp;
	walk->n_words = n;
	walk->cached = at;
	walk->leaf = 0;
	walk->behind_leaf = 0;
	walk->regs_at = 0;
	return 0;
}

/* Looks up the current pc and, when it is native code, takes the frame. 0, negative: ended, or the kind of another. */
FNP_SUBPROGRAM int fnp_walk_frame(struct fnp_walk *walk)
{
	struct fnp_walk_cached *cached = NULL;
	bool found = false;
	fnp_u64 address;

	if (!walk)
		return -1;
	address = walk->pc - !walk->exact;
	if (!walk->exact)
		cached = fnp_native_remembered(walk, address, &found);
	else if (!walk->stepped_back)
		cached = fnp_native_remembered_leaf(walk, address, &found);
	if (cached && found) {
		walk->rule = cached->rule;
		walk->kind = cached->kind;
		walk->data = cached->data;
	} else {
		int cause = fnp_native_find(walk, address);

		/* What stood before a function's first byte was padding, not a breakpoint. */
		if (walk->stepped_back && walk->leaf &&
		    (cause == FNP_TRUNCATION_NO_ROW || walk->rule.cfa_kind == FNP_CFA_NONE)) {
			walk->stepped_back = 0;
			walk->resumable = 0;
			address = ++walk->pc;
			cause = fnp_native_find(walk, address);
		}
		if (cause) {
			if (fnp_walk_push(walk, FNP_WORD(FNP_WORD_NATIVE, 0, address))) {
				walk->resumable = 0;
				cause = FNP_TRUNCATION_DEPTH;
			}
			return fnp_walk_stop(walk, cause);
		}
		/* At an address a JIT may put other code at any time. */
		if (cached && !(walk->exact && walk->rule.flags & FNP_RULE_BELIEVED)) {
			cached->address = address;
			cached->version = walk->version;
			cached->kind = walk->kind;
			cached->quick = fnp_native_quick(walk->kind, &walk->rule);
			cached->data = walk->data;
			cached->rule = walk->rule;
		}
	}
	return walk->kind == FNP_CODE_NATIVE ? fnp_walk_native(walk) : walk->kind;
}

#endif
