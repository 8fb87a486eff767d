/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call frame information from anyone: read, run, packed, and every row found again by both searches, ours and the
 * kernel side's. The first byte chooses the section's form and the machine; or the whole input is an ELF file.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "bpf/walk/walk.h"
#include "symbolizer/unwind.h"
#include "symbolizer/unwind_cfi.h"
#include "symbolizer/unwind_rows.h"

static struct fnp_walk walk;

static int no_memory(void *context, void *to, size_t size, fnp_u64 address)
{
	(void)context;
	(void)to;
	(void)size;
	(void)address;
	return -1;
}

/* The kernel side's search must find what ours finds. */
static void find_like_the_kernel(const struct fnp_unwind *unwind, uint64_t address)
{
	struct fnp_table tables[2] = {{0}, unwind->table};
	struct fnp_walk_arena arena = {.blocks = unwind->lines, .n = unwind->n_lines};
	struct fnp_walk_map maps[] = {{"fnp_native_tables", tables, 2, sizeof(tables[0]), NULL}};
	struct fnp_walk_env env = {
		.maps = maps, .n_maps = 1, .arenas = &arena, .n_arenas = 1, .read = no_memory};
	const struct fnp_rule *rule = fnp_unwind_find(unwind, address);
	int cause;

	fnp_walk_env = &env;
	cause = fnp_native_find_row(&walk, 1, address);
	if (rule ? cause != 0 || memcmp(rule, &walk.rule, sizeof(*rule)) != 0 : cause != FNP_TRUNCATION_NO_ROW)
		abort();
	fnp_walk_env = NULL;
}

static void check_table(const struct fnp_unwind *unwind)
{
	struct fnp_unwind_row row;
	uint64_t before = 0;
	size_t cursor = 0, n = 0;

	while (fnp_unwind_next_row(unwind, &cursor, &row)) {
		if ((n++ > 0 && row.start <= before) || row.end <= row.start)
			abort();
		before = row.start;
		if (fnp_unwind_find(unwind, row.start) != row.rule)
			abort();
		if (n < 2000) {
			find_like_the_kernel(unwind, row.start);
			find_like_the_kernel(unwind, row.end - 1);
		}
	}
}

static int emit(void *self, uint64_t address, const struct fnp_rule *rule)
{
	return fnp_rows_add(self, address, rule);
}

static void check_section(const uint8_t *data, size_t size, uint8_t form)
{
	struct fnp_cfi cfi = {.machine = form & 2 ? (struct fnp_cfi_machine){31, 29, 30, true}
						  : (struct fnp_cfi_machine){7, 6, 16, false}};
	struct fnp_cfi_section section = {
		.bytes = fnp_cursor_of(data, size), .address = 0x1000, .eh = form & 1, .open_ended = form & 4};
	struct fnp_unwind unwind = {0};
	struct fnp_rows rows;
	uint64_t last = 0;

	if (fnp_cfi_read(&cfi, &section) == 0 && fnp_rows_init(&rows, 0) == 0) {
		for (size_t i = 0; i < cfi.fdes.len; i++) {
			const struct fnp_cfi_fde *fde = &cfi.fdes.items[i];

			if (fde->start < last || fnp_cfi_run(&cfi, fde, fde->end, emit, &rows) < 0)
				continue;
			last = fde->end;
			fnp_rows_end(&rows, last);
		}
		if (fnp_rows_pack(&rows, &unwind.table, &unwind.lines, &unwind.n_lines) == 0)
			check_table(&unwind);
		free(unwind.lines);
		fnp_rows_deinit(&rows);
	}
	fnp_cfi_deinit(&cfi);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;

	if (size < 1)
		return 0;
	if (data[0] != 0x7f) {
		check_section(data + 1, size - 1, data[0]);
		return 0;
	}
	if (fnp_object_open_memory(data, size, "fuzz", &object) == 0 && fnp_unwind_build(object, &unwind) == 0)
		check_table(unwind);
	return 0;
}
