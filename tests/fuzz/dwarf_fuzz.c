/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug data that lies. The input is cut into sections: a byte each says how many 256ths of what is left the section
 * takes, the last one takes the rest; they are put into an ELF file that is in order.
 */
#include "symbolizer/symbolize.h"
#include "tests/symbolizer/elf_writer.h"

static const char *const names[] = {
	".debug_info",	 ".debug_abbrev",   ".debug_line", ".debug_aranges",	 ".debug_rnglists",
	".debug_ranges", ".debug_line_str", ".debug_addr", ".debug_str_offsets", ".debug_str"};

#define SECTIONS FNP_ARRAY_SIZE(names)

static struct fnp_object *build(const uint8_t *data, size_t size)
{
	static const uint8_t text[4096];
	struct elf_writer w = {0};
	struct fnp_object *object = NULL;
	const uint8_t *cuts = data;

	data += SECTIONS - 1;
	size -= SECTIONS - 1;
	elf_writer_segment(&w, 0x1000, 0x1000, text, sizeof(text), PF_R | PF_X);
	elf_writer_symbol(&w, "f", 0x1000, 0x100, STT_FUNC, STB_GLOBAL);
	for (size_t i = 0; i < SECTIONS; i++) {
		size_t take = i + 1 < SECTIONS ? size * cuts[i] / 256 : size;
		elf_writer_section(&w, names[i], SHT_PROGBITS, data, take);
		data += take;
		size -= take;
	}
	struct fnp_buffer file = elf_writer_finish(&w);
	(void)fnp_object_open_memory(file.data, file.len, "fuzz", &object);
	fnp_buffer_deinit(&file);
	return object;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FNP_CLEANUP(fnp_symbolizer_destroyp) struct fnp_symbolizer *symbolizer = NULL;
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;

	if (size < SECTIONS || fnp_symbolizer_create(NULL, &symbolizer) < 0)
		return 0;
	object = build(data, size);
	for (uint64_t address = 0x1000; object && address < 0x2000; address += 29) {
		struct fnp_symbol_chain chain;
		if (fnp_symbolizer_resolve(symbolizer, object, address, &chain) < 0)
			continue;
		for (uint32_t i = 0; i < chain.n; i++)
			__asm__ volatile(""
					 :
					 : "r"(strlen(chain.symbols[i].name) + strlen(chain.symbols[i].file)));
	}
	return 0;
}
