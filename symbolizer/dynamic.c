/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Section headers first, since they say sizes; a file without them still has PT_DYNAMIC, which the loader itself
 * lives from. There the number of symbols is not written down: DT_HASH has it, DT_GNU_HASH implies it (the end of its
 * last chain).
 */
#include "symbolizer/dynamic.h"

static int source_of_section(const struct fnp_object *object, const struct fnp_section *section,
			     struct fnp_symbol_source *ret)
{
	struct fnp_section names;

	if (!section->data || fnp_object_section(object, section->link, &names) < 0 || !names.data)
		return -ENOENT;
	*ret = (struct fnp_symbol_source){.symbols = section->data,
					  .n_symbols = section->size / sizeof(Elf64_Sym),
					  .names = fnp_cursor_of(names.data, names.size)};
	return 0;
}

static int source_of_type(const struct fnp_object *object, uint32_t type, struct fnp_symbol_source *ret)
{
	struct fnp_section section;

	for (size_t i = 0; fnp_object_section(object, i, &section) == 0; i++) {
		if (section.type == type && source_of_section(object, &section, ret) == 0)
			return 0;
	}
	return -ENOENT;
}

int fnp_symbol_source_symtab(const struct fnp_object *object, struct fnp_symbol_source *ret)
{
	return source_of_type(object, SHT_SYMTAB, ret);
}

/* The value of a dynamic tag; -ENOENT. */
static int dynamic_value(const struct fnp_object *object, int64_t tag, uint64_t *ret)
{
	struct fnp_cursor c = fnp_object_bytes(object);
	Elf64_Phdr ph;
	Elf64_Dyn dyn;
	size_t i = 0;

	while (fnp_object_program_header(object, i, &ph) == 0 && ph.p_type != PT_DYNAMIC)
		i++;
	if (fnp_object_program_header(object, i, &ph) < 0 || fnp_cursor_seek(&c, ph.p_offset) < 0)
		return -ENOENT;
	for (uint64_t left = ph.p_filesz; left >= sizeof(dyn); left -= sizeof(dyn)) {
		if (fnp_cursor_copy(&c, &dyn, sizeof(dyn)) < 0 || dyn.d_tag == DT_NULL)
			return -ENOENT;
		if (dyn.d_tag == tag) {
			*ret = dyn.d_un.d_val;
			return 0;
		}
	}
	return -ENOENT;
}

static int read_u32(const struct fnp_object *object, uint64_t address, uint32_t *ret)
{
	const uint8_t *p;
	int r = fnp_object_read_address(object, address, sizeof(*ret), &p);

	if (r == 0)
		memcpy(ret, p, sizeof(*ret));
	return r;
}

/* DT_GNU_HASH: {buckets, first hashed symbol, bloom words, shift}, bloom, buckets, chains; a chain ends at an odd hash. */
static int count_by_gnu_hash(const struct fnp_object *object, uint64_t table, uint64_t *ret)
{
	uint32_t n_buckets = 0, first = 0, n_bloom = 0, last = 0, hash = 0;
	const uint8_t *buckets;

	if (read_u32(object, table, &n_buckets) < 0 || read_u32(object, table + 4, &first) < 0 ||
	    read_u32(object, table + 8, &n_bloom) < 0)
		return -ENOENT;
	uint64_t at = table + 16 + UINT64_C(8) * n_bloom;
	if (fnp_object_read_address(object, at, UINT64_C(4) * n_buckets, &buckets) < 0)
		return -ENOENT;
	for (uint32_t i = 0; i < n_buckets; i++) {
		uint32_t bucket;

		memcpy(&bucket, buckets + UINT64_C(4) * i, sizeof(bucket));
		last = FNP_MAX(last, bucket);
	}
	if (last < first) {
		*ret = first;
		return 0;
	}
	for (uint64_t chains = at + UINT64_C(4) * n_buckets; !(hash & 1); last++) {
		if (read_u32(object, chains + UINT64_C(4) * (last - first), &hash) < 0)
			return -ENOENT;
	}
	*ret = last;
	return 0;
}

static int count_dynamic_symbols(const struct fnp_object *object, uint64_t *ret)
{
	uint64_t table;
	uint32_t count = 0;

	if (dynamic_value(object, DT_HASH, &table) == 0 && read_u32(object, table + 4, &count) == 0) {
		*ret = count;
		return 0;
	}
	if (dynamic_value(object, DT_GNU_HASH, &table) == 0)
		return count_by_gnu_hash(object, table, ret);
	return -ENOENT;
}

int fnp_symbol_source_dynsym(const struct fnp_object *object, struct fnp_symbol_source *ret)
{
	uint64_t symbols, names, names_size, count;
	const uint8_t *symbol_bytes, *name_bytes;

	if (source_of_type(object, SHT_DYNSYM, ret) == 0)
		return 0;
	if (dynamic_value(object, DT_SYMTAB, &symbols) < 0 || dynamic_value(object, DT_STRTAB, &names) < 0 ||
	    dynamic_value(object, DT_STRSZ, &names_size) < 0 || count_dynamic_symbols(object, &count) < 0 ||
	    fnp_object_read_address(object, symbols, count * sizeof(Elf64_Sym), &symbol_bytes) < 0 ||
	    fnp_object_read_address(object, names, names_size, &name_bytes) < 0)
		return -ENOENT;
	*ret = (struct fnp_symbol_source){
		.symbols = symbol_bytes, .n_symbols = count, .names = fnp_cursor_of(name_bytes, names_size)};
	return 0;
}

static int rela_table(const struct fnp_object *object, const char *name, const int64_t tags[2],
		      struct fnp_rela_table *ret)
{
	struct fnp_section section;
	uint64_t address, size;
	const uint8_t *rows;

	if (fnp_object_find_section(object, name, &section) == 0 && section.data && section.type == SHT_RELA) {
		*ret = (struct fnp_rela_table){.rows = section.data,
					       .n_rows = section.size / sizeof(Elf64_Rela)};
		return 0;
	}
	if (dynamic_value(object, tags[0], &address) < 0 || dynamic_value(object, tags[1], &size) < 0 ||
	    fnp_object_read_address(object, address, size, &rows) < 0)
		return -ENOENT;
	*ret = (struct fnp_rela_table){.rows = rows, .n_rows = size / sizeof(Elf64_Rela)};
	return 0;
}

int fnp_rela_table_plt(const struct fnp_object *object, struct fnp_rela_table *ret)
{
	return rela_table(object, ".rela.plt", (const int64_t[]){DT_JMPREL, DT_PLTRELSZ}, ret);
}

int fnp_rela_table_dyn(const struct fnp_object *object, struct fnp_rela_table *ret)
{
	return rela_table(object, ".rela.dyn", (const int64_t[]){DT_RELA, DT_RELASZ}, ret);
}
