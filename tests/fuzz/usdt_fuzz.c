/* SPDX-License-Identifier: Apache-2.0 */
/* USDT notes that lie, in an ELF file that is in order; and the same bytes as a line of arguments. */
#include "symbolizer/usdt.h"
#include "tests/symbolizer/elf_writer.h"

static void read_arguments(const uint8_t *data, size_t size)
{
	struct fnp_probe_argument parsed[FNP_PROBE_SPEC_ARGUMENTS];
	fnp_autofree char *line = malloc(size + 1);

	if (!line)
		return;
	if (size > 0)
		memcpy(line, data, size);
	line[size] = '\0';
	fnp_usdt_arguments(line, EM_X86_64, NULL, parsed);
	fnp_usdt_arguments(line, EM_AARCH64, NULL, parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t text[4096];
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	struct fnp_usdt_places places = {0};
	struct elf_writer w = {.machine = size % 2 ? EM_AARCH64 : EM_X86_64};

	read_arguments(data, size);
	elf_writer_segment(&w, 0x1000, 0x1000, text, sizeof(text), PF_R | PF_X);
	elf_writer_segment(&w, 0x2000, 0x8000, data, size, PF_R | PF_W | PF_X);
	elf_writer_section(&w, ".note.stapsdt", SHT_NOTE, data, size);
	elf_writer_symbol(&w, "counter", 0x8000, 4, STT_OBJECT, STB_GLOBAL);
	struct fnp_buffer file = elf_writer_finish(&w);
	int r = fnp_object_open_memory(file.data, file.len, "fuzz", &object);
	fnp_buffer_deinit(&file);
	if (r < 0 || fnp_usdt_read(object, &places) < 0)
		return 0;
	for (size_t i = 0; i < places.list.len; i++) {
		const struct fnp_usdt_place *p = &places.list.items[i];
		__asm__ volatile("" : : "r"(strlen(p->provider) + strlen(p->name) + strlen(p->arguments)));
	}
	fnp_usdt_places_deinit(&places);
	return 0;
}
