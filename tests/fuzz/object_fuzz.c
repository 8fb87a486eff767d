/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF file that lies: its headers, symbol tables, PLT, MiniDebugInfo, and whatever debug data it has. */
#include "symbolizer/symbolize.h"

static void touch(const char *text)
{
	__asm__ volatile("" : : "r"(strlen(text)));
}

static void resolve(struct fnp_symbolizer *symbolizer, struct fnp_object *object, uint64_t address)
{
	struct fnp_symbol_chain chain;

	if (fnp_symbolizer_resolve(symbolizer, object, address, &chain) < 0)
		return;
	for (uint32_t i = 0; i < chain.n; i++) {
		touch(chain.symbols[i].name);
		touch(chain.symbols[i].system_name);
		touch(chain.symbols[i].file);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FNP_CLEANUP(fnp_symbolizer_destroyp) struct fnp_symbolizer *symbolizer = NULL;
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	const struct fnp_segment *segments;
	struct fnp_object_symbol symbol;
	uint64_t address;

	if (fnp_object_open_memory(data, size, "fuzz", &object) < 0 ||
	    fnp_symbolizer_create(NULL, &symbolizer) < 0)
		return 0;
	(void)fnp_object_find_symbol(object, "main", &symbol);
	for (uint64_t offset = 0; offset < size; offset += 512)
		(void)fnp_object_address_of_offset(object, offset, &address);
	for (size_t i = 0, n = FNP_MIN(fnp_object_segments(object, &segments), (size_t)4); i < n; i++) {
		for (uint64_t at = 0; at < 4096; at += 37)
			resolve(symbolizer, object, segments[i].address + at);
	}
	return 0;
}
