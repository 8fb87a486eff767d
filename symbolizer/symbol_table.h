/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of an object by address, from its symbol tables: .symtab (its own or its debug file's), .dynsym,
 * MiniDebugInfo (.gnu_debugdata) and the stubs of its PLT.
 *
 * Which symbol an address gets:
 * - one whose range [value, value + size) has it; of nested ones the one that begins last; of those that begin
 *   together the global (or weak) before the local one, then the shortest name;
 * - else a symbol without a size (hand-written assembly) of a whole .symtab, which counts up to the next symbol, and
 *   never past its section's end. Those of a .dynsym or MiniDebugInfo alone do not count: what follows them there may
 *   be any local function that was stripped;
 * - else none. Never the nearest symbol before it.
 */
#ifndef FNP_SYMBOLIZER_SYMBOL_TABLE_H
#define FNP_SYMBOLIZER_SYMBOL_TABLE_H

#include "symbolizer/object.h"

struct fnp_symbol_table;

struct fnp_table_symbol {
	const char *name; /* as in the file, lives as long as the table */
	uint64_t start;
	uint64_t end; /* one past the part of it around the address that was asked for */
};

/* `debug` (may be NULL) gives a .symtab when the object has none; both must outlive the table. */
int fnp_symbol_table_create(const struct fnp_object *object, const struct fnp_object *debug,
			    struct fnp_symbol_table **ret);
void fnp_symbol_table_destroy(struct fnp_symbol_table *table);

FNP_DEFINE_CLEANUP(fnp_symbol_table_destroyp, struct fnp_symbol_table *, fnp_symbol_table_destroy)

/* -ENOENT when no symbol has this address. */
int fnp_symbol_table_find(const struct fnp_symbol_table *table, uint64_t address, struct fnp_table_symbol *ret);

/* Memory held, for budgets. */
size_t fnp_symbol_table_bytes(const struct fnp_symbol_table *table);

#endif
