/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an object's symbol and relocation tables are: by section headers, or, without them, by PT_DYNAMIC.
 */
#ifndef FNP_SYMBOLIZER_DYNAMIC_H
#define FNP_SYMBOLIZER_DYNAMIC_H

#include "symbolizer/object.h"

/* A table of symbols, as it lies in the file. */
struct fnp_symbol_source {
	const uint8_t *symbols; /* Elf64_Sym, not aligned */
	size_t n_symbols;
	struct fnp_cursor names; /* its string table */
};

int fnp_symbol_source_symtab(const struct fnp_object *object, struct fnp_symbol_source *ret);
int fnp_symbol_source_dynsym(const struct fnp_object *object, struct fnp_symbol_source *ret);

/* A table of Elf64_Rela, as it lies in the file. */
struct fnp_rela_table {
	const uint8_t *rows;
	size_t n_rows;
};

/* Relocations of the PLT (.rela.plt, DT_JMPREL) and the other dynamic ones (.rela.dyn, DT_RELA). -ENOENT. */
int fnp_rela_table_plt(const struct fnp_object *object, struct fnp_rela_table *ret);
int fnp_rela_table_dyn(const struct fnp_object *object, struct fnp_rela_table *ret);

#endif
