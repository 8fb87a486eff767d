/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes small ELF files for tests, so that a test can break exactly one thing in them.
 *
 *	struct elf_writer w = {0};
 *	elf_writer_segment(&w, 0x1000, 0x401000, text, sizeof(text), PF_R | PF_X);
 *	elf_writer_symbol(&w, "main", 0x401000, 16, STT_FUNC, STB_GLOBAL);
 *	struct fnp_buffer file = elf_writer_finish(&w);
 */
#ifndef FNP_TESTS_SYMBOLIZER_ELF_WRITER_H
#define FNP_TESTS_SYMBOLIZER_ELF_WRITER_H

#include <elf.h>
#include <stdbool.h>

#include "base/buffer.h"

#define ELF_WRITER_MAX 64

struct elf_writer {
	struct {
		char name[32];
		uint32_t type, link;
		uint64_t flags, address, entry_size;
		const void *data;
		size_t size;
		uint64_t offset; /* 0: chosen by finish; else where a segment has it */
	} sections[ELF_WRITER_MAX];
	size_t n_sections;
	Elf64_Phdr segments[ELF_WRITER_MAX];
	const void *segment_data[ELF_WRITER_MAX];
	size_t n_segments;
	struct fnp_buffer symbols, symbol_names;
	uint32_t symbol_type; /* SHT_SYMTAB unless set */
	bool no_section_headers;
	uint16_t machine; /* EM_X86_64 unless set */
};

/* A segment at this offset of the file; `data` must live until finish. With PF_X also a section .text over it. */
void elf_writer_segment(struct elf_writer *w, uint64_t offset, uint64_t address, const void *data,
			size_t size, uint32_t flags);

/* A program header of another type over bytes that stand at `offset`. */
void elf_writer_program_header(struct elf_writer *w, uint32_t type, uint64_t offset, uint64_t address,
			       const void *data, size_t size);

/* A section of its own; returns its index in the finished file. `data` must live until finish. */
uint32_t elf_writer_section(struct elf_writer *w, const char *name, uint32_t type, const void *data,
			    size_t size);

void elf_writer_symbol(struct elf_writer *w, const char *name, uint64_t address, uint64_t size, uint8_t type,
		       uint8_t bind);

/* A .note.gnu.build-id section. */
void elf_writer_build_id(struct elf_writer *w, const void *note, size_t size);

/* The file's bytes. The writer is empty afterwards. */
struct fnp_buffer elf_writer_finish(struct elf_writer *w);

#endif
