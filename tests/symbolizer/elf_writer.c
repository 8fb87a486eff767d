/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout: header, program headers, segments where they want to be, then the other sections, symbols, section headers.
 */
#include "tests/symbolizer/elf_writer.h"

#include <assert.h>

static uint32_t add_name(struct fnp_buffer *names, const char *name)
{
	if (names->len == 0)
		fnp_buffer_byte(names, 0);
	uint32_t at = (uint32_t)names->len;
	fnp_buffer_append(names, name, strlen(name) + 1);
	return at;
}

static void pad_to(struct fnp_buffer *b, uint64_t offset)
{
	while (b->len < offset)
		fnp_buffer_byte(b, 0);
}

void elf_writer_program_header(struct elf_writer *w, uint32_t type, uint64_t offset, uint64_t address,
			       const void *data, size_t size)
{
	assert(w->n_segments < ELF_WRITER_MAX);
	w->segment_data[w->n_segments] = data;
	w->segments[w->n_segments++] = (Elf64_Phdr){.p_type = type,
						    .p_offset = offset,
						    .p_vaddr = address,
						    .p_filesz = size,
						    .p_memsz = size,
						    .p_flags = PF_R,
						    .p_align = 4096};
}

void elf_writer_segment(struct elf_writer *w, uint64_t offset, uint64_t address, const void *data,
			size_t size, uint32_t flags)
{
	elf_writer_program_header(w, PT_LOAD, offset, address, data, size);
	w->segments[w->n_segments - 1].p_flags = flags;
	if (!(flags & PF_X))
		return;
	uint32_t index = elf_writer_section(w, ".text", SHT_PROGBITS, data, size);
	w->sections[index - 1].flags = SHF_ALLOC | SHF_EXECINSTR;
	w->sections[index - 1].address = address;
	w->sections[index - 1].offset = offset;
}

uint32_t elf_writer_section(struct elf_writer *w, const char *name, uint32_t type, const void *data, size_t size)
{
	assert(w->n_sections < ELF_WRITER_MAX);
	snprintf(w->sections[w->n_sections].name, sizeof(w->sections[0].name), "%s", name);
	w->sections[w->n_sections].type = type;
	w->sections[w->n_sections].data = data;
	w->sections[w->n_sections].size = size;
	return (uint32_t)++w->n_sections;
}

void elf_writer_symbol(struct elf_writer *w, const char *name, uint64_t address, uint64_t size, uint8_t type,
		       uint8_t bind)
{
	Elf64_Sym symbol = {0};

	if (w->symbols.len == 0)
		fnp_buffer_append(&w->symbols, &symbol, sizeof(symbol));
	symbol.st_name = add_name(&w->symbol_names, name);
	symbol.st_value = address;
	symbol.st_size = size;
	symbol.st_info = ELF64_ST_INFO(bind, type);
	symbol.st_shndx = 1;
	fnp_buffer_append(&w->symbols, &symbol, sizeof(symbol));
}

void elf_writer_build_id(struct elf_writer *w, const void *note, size_t size)
{
	elf_writer_section(w, ".note.gnu.build-id", SHT_NOTE, note, size);
}

static void add_symbol_sections(struct elf_writer *w)
{
	bool dynamic = w->symbol_type == SHT_DYNSYM;

	if (w->symbols.len == 0)
		return;
	uint32_t names = elf_writer_section(w, dynamic ? ".dynstr" : ".strtab", SHT_STRTAB,
					    w->symbol_names.data, w->symbol_names.len);
	uint32_t index = elf_writer_section(w, dynamic ? ".dynsym" : ".symtab",
					    dynamic ? SHT_DYNSYM : SHT_SYMTAB, w->symbols.data, w->symbols.len);
	w->sections[index - 1].link = names;
	w->sections[index - 1].entry_size = sizeof(Elf64_Sym);
}

static void put_segments(struct elf_writer *w, struct fnp_buffer *out)
{
	for (size_t i = 0; i < w->n_segments; i++) {
		pad_to(out, w->segments[i].p_offset + w->segments[i].p_filesz);
		if (w->segments[i].p_filesz)
			memcpy(out->data + w->segments[i].p_offset, w->segment_data[i],
			       w->segments[i].p_filesz);
	}
}

static void put_section_headers(struct elf_writer *w, struct fnp_buffer *out)
{
	struct fnp_buffer names = {0};
	Elf64_Shdr headers[ELF_WRITER_MAX + 1] = {0};

	elf_writer_section(w, ".shstrtab", SHT_STRTAB, "", 0);
	for (size_t i = 0; i < w->n_sections; i++)
		headers[i + 1].sh_name = add_name(&names, w->sections[i].name);
	w->sections[w->n_sections - 1].data = names.data;
	w->sections[w->n_sections - 1].size = names.len;
	for (size_t i = 0; i < w->n_sections; i++) {
		Elf64_Shdr *sh = &headers[i + 1];
		sh->sh_type = w->sections[i].type;
		sh->sh_flags = w->sections[i].flags;
		sh->sh_addr = w->sections[i].address;
		sh->sh_size = w->sections[i].size;
		sh->sh_link = w->sections[i].link;
		sh->sh_entsize = w->sections[i].entry_size;
		sh->sh_offset = w->sections[i].offset;
		if (sh->sh_offset)
			continue;
		pad_to(out, (out->len + 7) & ~(size_t)7);
		sh->sh_offset = out->len;
		if (sh->sh_type != SHT_NOBITS)
			fnp_buffer_append(out, w->sections[i].data, sh->sh_size);
	}
	pad_to(out, (out->len + 7) & ~(size_t)7);
	Elf64_Ehdr *eh = (Elf64_Ehdr *)(void *)out->data;
	eh->e_shoff = out->len;
	eh->e_shentsize = sizeof(Elf64_Shdr);
	eh->e_shnum = (uint16_t)(w->n_sections + 1);
	eh->e_shstrndx = (uint16_t)w->n_sections;
	fnp_buffer_append(out, headers, (w->n_sections + 1) * sizeof(Elf64_Shdr));
	fnp_buffer_deinit(&names);
}

struct fnp_buffer elf_writer_finish(struct elf_writer *w)
{
	struct fnp_buffer out = {0};
	Elf64_Ehdr eh = {.e_type = ET_DYN,
			 .e_machine = w->machine ? w->machine : EM_X86_64,
			 .e_version = EV_CURRENT,
			 .e_phoff = sizeof(eh),
			 .e_ehsize = sizeof(eh),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = (uint16_t)w->n_segments};

	memcpy(eh.e_ident, ELFMAG, SELFMAG);
	eh.e_ident[EI_CLASS] = ELFCLASS64;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	eh.e_ident[EI_VERSION] = EV_CURRENT;
	add_symbol_sections(w);
	fnp_buffer_append(&out, &eh, sizeof(eh));
	fnp_buffer_append(&out, w->segments, w->n_segments * sizeof(Elf64_Phdr));
	put_segments(w, &out);
	if (!w->no_section_headers)
		put_section_headers(w, &out);
	fnp_buffer_deinit(&w->symbols);
	fnp_buffer_deinit(&w->symbol_names);
	*w = (struct elf_writer){0};
	assert(!out.error);
	return out;
}
