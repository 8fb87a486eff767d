/* SPDX-License-Identifier: Apache-2.0 */
/* A Go program's function table that lies, in an ELF file that is in order. */
#include "symbolizer/go_table.h"
#include "symbolizer/unwind.h"
#include "tests/symbolizer/elf_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t text[4096];
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	FNP_CLEANUP(fnp_go_table_destroyp) struct fnp_go_table *go = NULL;
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	struct elf_writer w = {0};
	uint32_t index;

	/* The bytes are moduledata, too: a newer table finds the text's start in itself. */
	elf_writer_segment(&w, 0x1000, 0x1000, text, sizeof(text), PF_R | PF_X);
	elf_writer_segment(&w, 0x2000, 0x8000, data, size, PF_R | PF_W);
	index = elf_writer_section(&w, ".gopclntab", SHT_PROGBITS, data, size);
	w.sections[index - 1].address = 0x8000;
	struct fnp_buffer file = elf_writer_finish(&w);
	int r = fnp_object_open_memory(file.data, file.len, "fuzz", &object);
	fnp_buffer_deinit(&file);
	if (r < 0 || fnp_go_table_create(object, &go) < 0)
		return 0;
	(void)fnp_unwind_build(object, &unwind);
	for (uint64_t address = 0x1000; address < 0x1100; address += 7) {
		struct fnp_go_function function;
		if (fnp_go_table_find(go, address, &function) == 0)
			__asm__ volatile("" : : "r"(strlen(function.name) + strlen(function.file)));
	}
	return 0;
}
