/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stub jumps through a slot of the GOT (`jmp *slot(%rip)`, on arm64 `adrp x16; ldr x17, [x16, #lo]`), and the
 * relocation of that slot names the function. With CET's lazy .plt the jump through the slot stands in .plt.sec, and
 * the stub in .plt only pushes the number of its relocation. The first entry, which calls the loader, has no name.
 */
#include "symbolizer/plt.h"

#include "base/map.h"
#include "symbolizer/dynamic.h"

struct reader {
	const struct fnp_object *object;
	struct fnp_symbol_source symbols;
	struct fnp_rela_table plt, dyn;
	struct fnp_map slots; /* address of a GOT slot -> relocation number; those of .rela.dyn after .rela.plt's */
	uint16_t machine;
};

static Elf64_Rela relocation(const struct reader *reader, size_t number)
{
	const uint8_t *rows = reader->plt.rows;
	Elf64_Rela rela;

	if (number >= reader->plt.n_rows) {
		number -= reader->plt.n_rows;
		rows = reader->dyn.rows;
	}
	memcpy(&rela, rows + number * sizeof(rela), sizeof(rela));
	return rela;
}

static bool fills_function_slot(uint16_t machine, uint32_t type)
{
	if (machine == EM_AARCH64)
		return type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT || type == R_AARCH64_IRELATIVE;
	return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT || type == R_X86_64_IRELATIVE;
}

static int index_slots(struct reader *reader)
{
	size_t count = reader->plt.n_rows + reader->dyn.n_rows;

	for (size_t i = 0; i < count; i++) {
		Elf64_Rela rela = relocation(reader, i);

		if (!fills_function_slot(reader->machine, ELF64_R_TYPE(rela.r_info)))
			continue;
		int r = fnp_map_set(&reader->slots, rela.r_offset, i);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool symbol_name(const struct reader *reader, uint64_t index, const char **ret)
{
	struct fnp_cursor names = reader->symbols.names;
	Elf64_Sym symbol;

	if (index == 0 || index >= reader->symbols.n_symbols)
		return false;
	memcpy(&symbol, reader->symbols.symbols + index * sizeof(symbol), sizeof(symbol));
	return fnp_cursor_seek(&names, symbol.st_name) == 0 && fnp_cursor_string(&names, ret) == 0 && (*ret)[0];
}

static int add_stub(const struct reader *reader, struct fnp_plt_stub stub, size_t number, fnp_plt_stubs *ret)
{
	Elf64_Rela rela = relocation(reader, number);
	uint32_t type = ELF64_R_TYPE(rela.r_info);

	if (type == R_X86_64_IRELATIVE || type == R_AARCH64_IRELATIVE)
		stub.resolver = (uint64_t)rela.r_addend;
	else if (!symbol_name(reader, ELF64_R_SYM(rela.r_info), &stub.target))
		return 0;
	return fnp_vec_push(ret, stub);
}

/* The GOT slot that x86-64 code of one stub jumps through: endbr64 and bnd may stand before the jump. */
static bool x86_slot(const uint8_t *code, uint64_t size, uint64_t address, uint64_t *ret)
{
	uint64_t at = size >= 4 && memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0 ? 4 : 0;
	int32_t displacement;

	if (at < size && code[at] == 0xf2)
		at++;
	if (size < 6 || at > size - 6 || code[at] != 0xff || code[at + 1] != 0x25)
		return false;
	memcpy(&displacement, code + at + 2, 4);
	*ret = address + at + 6 + (uint64_t)(int64_t)displacement;
	return true;
}

/* `[endbr64] push $number; [bnd] jmp` of CET's lazy .plt. */
static bool x86_pushed_number(const uint8_t *code, uint64_t size, uint32_t *ret)
{
	uint64_t at = size >= 4 && memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0 ? 4 : 0;

	if (size < 5 || at > size - 5 || code[at] != 0x68)
		return false;
	memcpy(ret, code + at + 1, 4);
	return true;
}

static bool arm64_slot(const uint8_t *code, uint64_t size, uint64_t address, uint64_t *ret)
{
	for (uint64_t at = 0; size >= 8 && at <= size - 8; at += 4) {
		uint32_t adrp, ldr;

		memcpy(&adrp, code + at, 4);
		memcpy(&ldr, code + at + 4, 4);
		if ((adrp & 0x9f00001f) != 0x90000010 || (ldr & 0xffc003ff) != 0xf9400211)
			continue;
		int64_t pages = (int64_t)((uint64_t)(((adrp >> 5 & 0x7ffff) << 2) | (adrp >> 29 & 3)) << 43) >>
				43;
		*ret = ((address + at) & ~UINT64_C(4095)) + ((uint64_t)pages << 12) +
		       ((ldr >> 10 & 0xfff) << 3);
		return true;
	}
	return false;
}

static int read_stub(const struct reader *reader, const uint8_t *code, struct fnp_plt_stub stub,
		     fnp_plt_stubs *ret)
{
	uint64_t slot, *number;
	uint32_t pushed;
	bool found = reader->machine == EM_AARCH64 ? arm64_slot(code, stub.size, stub.address, &slot)
						   : x86_slot(code, stub.size, stub.address, &slot);

	if (found) {
		number = fnp_map_find(&reader->slots, slot);
		return number ? add_stub(reader, stub, *number, ret) : 0;
	}
	if (reader->machine == EM_X86_64 && x86_pushed_number(code, stub.size, &pushed) &&
	    pushed < reader->plt.n_rows)
		return add_stub(reader, stub, pushed, ret);
	return 0;
}

static int read_section(const struct reader *reader, const char *name, fnp_plt_stubs *ret)
{
	struct fnp_section section;
	uint64_t at = 0, step;

	if (fnp_object_find_section(reader->object, name, &section) < 0 || !section.data)
		return 0;
	step = section.entry_size == 8 || section.entry_size == 24 ? section.entry_size : 16;
	/* arm64 has one header of 32 bytes; entries are 16 (24 with BTI) all the same. */
	if (reader->machine == EM_AARCH64 && strcmp(name, ".plt") == 0)
		at = 32;
	for (; at < section.size && step <= section.size - at; at += step) {
		struct fnp_plt_stub stub = {.address = section.address + at, .size = step};
		int r = read_stub(reader, section.data + at, stub, ret);
		if (r < 0)
			return r;
	}
	return 0;
}

int fnp_plt_find_stubs(const struct fnp_object *object, fnp_plt_stubs *ret)
{
	FNP_CLEANUP(fnp_map_deinit) struct fnp_map slots = {0};
	struct reader reader = {.object = object, .machine = fnp_object_header(object)->e_machine};
	static const char *const names[] = {".plt", ".plt.sec", ".plt.got"};
	int r;

	(void)fnp_symbol_source_dynsym(object,
				       &reader.symbols); /* a static program has none, but IRELATIVE ones */
	(void)fnp_rela_table_plt(object, &reader.plt);
	(void)fnp_rela_table_dyn(object, &reader.dyn);
	r = index_slots(&reader);
	slots = reader.slots;
	for (size_t i = 0; r == 0 && i < FNP_ARRAY_SIZE(names); i++)
		r = read_section(&reader, names[i], ret);
	return r;
}
