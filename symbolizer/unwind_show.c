/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a compiled table back: what the kernel side would find, for people and for tests.
 */
#include <elf.h>
#include <errno.h>

#include "symbolizer/unwind.h"

#define MASK (~FNP_BLOCK_IS_WIDE)

static const struct fnp_block *block_at(const struct fnp_unwind *unwind, size_t i)
{
	return &unwind->lines[unwind->table.blocks + i];
}

static size_t block_count(const struct fnp_unwind *unwind)
{
	return unwind->table.rules - unwind->table.blocks;
}

static const struct fnp_rule *rule_at(const struct fnp_unwind *unwind, size_t number)
{
	return (const struct fnp_rule *)(unwind->lines + unwind->table.rules) + number;
}

static size_t rows_of(const struct fnp_block *block)
{
	bool wide = block->base & FNP_BLOCK_IS_WIDE;
	const uint16_t *distance = wide ? block->wide.distance : block->narrow.distance;
	size_t max = wide ? FNP_BLOCK_WIDE : FNP_BLOCK_NARROW, n = 0;

	while (n < max && distance[n] != UINT16_MAX)
		n++;
	return n;
}

static uint64_t start_of(const struct fnp_unwind *unwind, const struct fnp_block *block, size_t row)
{
	bool wide = block->base & FNP_BLOCK_IS_WIDE;

	return unwind->table.base + (block->base & MASK) +
	       (wide ? block->wide.distance[row] : block->narrow.distance[row]);
}

static const struct fnp_rule *rule_of(const struct fnp_unwind *unwind, const struct fnp_block *block, size_t row)
{
	bool wide = block->base & FNP_BLOCK_IS_WIDE;

	return rule_at(unwind, wide ? block->wide.rule[row] : block->narrow.rule[row]);
}

/* The cursor holds the block's number and the row's number in it. */
int fnp_unwind_next_row(const struct fnp_unwind *unwind, size_t *cursor, struct fnp_unwind_row *ret)
{
	size_t block = *cursor / 32, row = *cursor % 32, n = block_count(unwind);
	const struct fnp_block *b;

	if (block >= n)
		return 0;
	b = block_at(unwind, block);
	ret->start = start_of(unwind, b, row);
	ret->rule = rule_of(unwind, b, row);
	if (row + 1 < rows_of(b)) {
		ret->end = start_of(unwind, b, row + 1);
		*cursor += 1;
		return 1;
	}
	ret->end = block + 1 < n
			   ? start_of(unwind, block_at(unwind, block + 1), 0)
			   : unwind->table.base + ((uint64_t)unwind->table.pages << unwind->table.page_shift);
	*cursor = (block + 1) * 32;
	return 1;
}

const struct fnp_rule *fnp_unwind_find(const struct fnp_unwind *unwind, uint64_t address)
{
	uint64_t offset = address - unwind->table.base;
	const uint32_t *index = (const uint32_t *)unwind->lines;
	const struct fnp_block *block;
	size_t low, high, row = 0, n;

	if (address < unwind->table.base || offset >> unwind->table.page_shift >= unwind->table.pages)
		return NULL;
	low = index[offset >> unwind->table.page_shift];
	high = index[(offset >> unwind->table.page_shift) + 1];
	while (low < high) {
		size_t middle = low + (high - low + 1) / 2;

		if ((block_at(unwind, middle)->base & MASK) <= offset)
			low = middle;
		else
			high = middle - 1;
	}
	block = block_at(unwind, low);
	n = rows_of(block);
	while (row + 1 < n && start_of(unwind, block, row + 1) <= address)
		row++;
	return rule_of(unwind, block, row);
}

static const char *register_name(uint16_t machine, unsigned int reg, char *buffer, size_t size)
{
	static const char *const x86_64[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
					     "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};

	if (machine == EM_X86_64 && reg < FNP_ARRAY_SIZE(x86_64))
		return x86_64[reg];
	if (machine == EM_AARCH64 && reg < 31)
		snprintf(buffer, size, "x%u", reg);
	else if (machine == EM_AARCH64 && reg == 31)
		snprintf(buffer, size, "sp");
	else
		snprintf(buffer, size, "r%u", reg);
	return buffer;
}

static void print_saved(unsigned int kind, int offset, uint16_t machine, FILE *out)
{
	char name[16];

	switch (kind) {
	case FNP_SAVED_AT_CFA:
		fprintf(out, " c%+d", offset);
		break;
	case FNP_SAVED_CFA:
		fprintf(out, " v%+d", offset);
		break;
	case FNP_SAVED_REGISTER:
		fprintf(out, " %s", register_name(machine, (unsigned int)offset, name, sizeof(name)));
		break;
	case FNP_SAVED_SAME: /* readelf has one letter for both, since no rule means that nothing changed it */
	case FNP_SAVED_UNDEFINED:
		fprintf(out, " u");
		break;
	default:
		fprintf(out, " exp");
		break;
	}
}

static void print_rule(const struct fnp_rule *rule, uint16_t machine, FILE *out)
{
	char name[16];

	if (rule->cfa_kind == FNP_CFA_NONE) {
		fprintf(out, " - - -\n");
		return;
	}
	if (rule->cfa_kind == FNP_CFA_REG)
		fprintf(out, " %s%+d", register_name(machine, rule->cfa_reg, name, sizeof(name)),
			rule->cfa_offset);
	else
		fprintf(out, " exp");
	print_saved(rule->saved & 15, rule->fp_offset, machine, out);
	print_saved(rule->saved >> 4, rule->ra_offset, machine, out);
	fputc('\n', out);
}

int fnp_unwind_print(const struct fnp_unwind *unwind, uint16_t elf_machine, FILE *out)
{
	struct fnp_unwind_row row;
	size_t cursor = 0;
	const char *fp = elf_machine == EM_AARCH64 ? "x29" : "rbp";

	fprintf(out, "LOC CFA %s ra\n", fp);
	while (fnp_unwind_next_row(unwind, &cursor, &row)) {
		fprintf(out, "%016llx", (unsigned long long)row.start);
		print_rule(row.rule, elf_machine, out);
	}
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
