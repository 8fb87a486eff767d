/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call frame information (DWARF 5, 6.4; the .eh_frame form of the Linux Standard Base 10.6): read, checked, and run
 * to the few things that a stack walk needs: the canonical frame address, where the caller's frame pointer is, and
 * where the return address is.
 *
 * Input is hostile: an entry that is malformed is skipped and counted, never the whole section. What a rule cannot
 * hold becomes FNP_CFA_EXPRESSION or FNP_SAVED_EXPRESSION; the few expressions that real toolchains emit (lazy PLT
 * stubs, realigned stacks, return from a signal) are recognised and become plain rules.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_CFI_H
#define FNP_SYMBOLIZER_UNWIND_CFI_H

#include "base/cursor.h"
#include "base/map.h"
#include "base/vec.h"
#include "bpf/layout/native.h"

/* Are two rules the same? Asked of each row several times: two words are compared, without a call. */
static inline bool fnp_rule_is(const struct fnp_rule *a, const struct fnp_rule *b)
{
	uint64_t x[2], y[2];

	_Static_assert(sizeof(*a) == sizeof(x), "a rule is two words");
	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

/* Which machine the numbers mean: DWARF numbers of three registers. */
struct fnp_cfi_machine {
	uint8_t sp, fp, ra;
	bool ra_in_register; /* without a rule the return address is still in `ra` (arm64) */
};

struct fnp_cfi_cie {
	uint64_t code_align;
	int64_t data_align;
	struct fnp_cursor instructions;
	uint8_t pointer_encoding;
	bool has_augmentation_size;
	bool signal;
	uint8_t address_size;
	struct fnp_rule initial;
	bool bad;
};

/* One function's entry. */
struct fnp_cfi_fde {
	uint64_t start, end; /* as the ELF file counts */
	const uint8_t *instructions;
	uint32_t size;
	uint32_t cie;
};

struct fnp_cfi {
	struct fnp_cfi_machine machine;
	FNP_VEC(struct fnp_cfi_cie) cies;
	FNP_VEC(struct fnp_cfi_fde) fdes; /* in the order of the sections */
	uint64_t skipped;		  /* entries that could not be read */
};

struct fnp_cfi_section {
	struct fnp_cursor bytes;
	uint64_t address; /* of the first byte */
	bool eh;	  /* .eh_frame, else .debug_frame */
	bool open_ended;  /* the size is not known: ends at the first terminator */
};

/* Reads all entries of a section and adds them. The bytes must stay. 0 or -ENOMEM. */
int fnp_cfi_read(struct fnp_cfi *cfi, const struct fnp_cfi_section *section);
void fnp_cfi_deinit(struct fnp_cfi *cfi);

/* Sorts the entries by their starts; of equal ones that stays first which stands first in the file. */
void fnp_cfi_sort(struct fnp_cfi *cfi);

/* The entry that covers an address, among the first `n`, which the caller has sorted by their starts; or NULL. */
const struct fnp_cfi_fde *fnp_cfi_find(const struct fnp_cfi *cfi, size_t n, uint64_t address);

/*
 * Runs one entry: `emit` is called with the first address of each row, ascending, from fde->start on and below `end`
 * (which may be less than the entry's own end). An entry that does not run to its end has, from there on, a row that
 * says FNP_CFA_EXPRESSION. 0, or what `emit` returned.
 */
int fnp_cfi_run(const struct fnp_cfi *cfi, const struct fnp_cfi_fde *fde, uint64_t end,
		int (*emit)(void *self, uint64_t address, const struct fnp_rule *rule), void *self);

#endif
