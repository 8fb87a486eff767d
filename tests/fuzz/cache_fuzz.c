/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of the disk cache that lie: a table of rows, then names. */
#include "symbolizer/names_cache.h"
#include "symbolizer/unwind_cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_table(const uint8_t *data, size_t size)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	struct fnp_unwind_row row;
	size_t cursor = 0;

	if (fnp_unwind_unpack(data, size, &unwind) < 0)
		return;
	for (uint64_t i = 0; i < 256; i++)
		(void)fnp_unwind_find(unwind, unwind->table.base + i * 61);
	while (cursor < 100000 && fnp_unwind_next_row(unwind, &cursor, &row) == 1)
		__asm__ volatile("" : : "r"(row.rule->cfa_offset));
}

static void use_names(const uint8_t *data, size_t size)
{
	struct fnp_map chains = {0};
	fnp_symbol_vec frames = {0};

	if (fnp_names_unpack(data, size, &chains, &frames) == 0) {
		for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&chains, s));) {
			for (uint64_t i = 0; i < (s->value & 0xffff); i++)
				__asm__ volatile("" : : "r"(strlen(frames.items[(s->value >> 16) + i].name)));
		}
	}
	fnp_map_deinit(&chains);
	fnp_vec_deinit(&frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		use_table(data + 1, size - 1);
	else
		use_names(data + 1, size - 1);
	return 0;
}
