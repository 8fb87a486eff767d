/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the embedded builtins lie in a file, and what their code and that of exported accessors tells: which of them enters
 * the interpreter, how long bytecodes are, where WebAssembly's code is kept, and where the deoptimizer takes the stack
 * apart.
 */
#include "symbolizer/v8.h"

#define DEOPT_BEFORE                                                                                         \
	400 /* bytes of an entry before it takes the frame apart, none of them of another entry */
#define DEOPT_BEHIND 512 /* and from there on */

/* How long bytecodes are. */
static void read_bytecode_sizes(const struct fnp_object *object, const struct fnp_object_symbol *symbol,
				struct fnp_v8_tables *ret)
{
	const uint8_t *bytes;
	size_t n = symbol->size / 3;

	if (!symbol->address || symbol->size % 3 || n <= 128 || n > FNP_V8_BYTECODES_MAX ||
	    fnp_object_read_address(object, symbol->address, symbol->size, &bytes) < 0)
		return;
	memcpy(ret->bytecode_sizes, bytes, symbol->size);
	ret->n_bytecodes = (uint16_t)n;
}

/*
 * Where the manager of WebAssembly's code is kept, by the code of its accessor: mov rax, [rip + N]. The fields of a
 * WasmCode are known by version alone.
 */
static void read_wasm(const struct fnp_object *object, const struct fnp_object_symbol *symbol,
		      uint16_t node_major, struct fnp_v8_tables *ret)
{
	static const struct {
		uint16_t from, to, size, index, tables, trapping, relocation, positions, inlinings;
	} versions[] = {{18, 19, 32, 48, 0, 0, 0, 0, 0},
			{20, 23, 24, 44, 0, 0, 0, 0, 0},
			{24, 26, 32, 56, 24, 52, 36, 40, 44}};
	const uint8_t *code;
	int32_t distance;
	size_t at = 0;

	if (!symbol->address || fnp_object_read_address(object, symbol->address, 16, &code) < 0)
		return;
	if (memcmp(code, "\x55\x48\x89\xe5", 4) == 0) /* push rbp; mov rbp, rsp */
		at = 4;
	if (memcmp(code + at, "\x48\x8b\x05", 3) != 0)
		return;
	memcpy(&distance, code + at + 3, sizeof(distance));
	for (size_t i = 0; i < FNP_ARRAY_SIZE(versions); i++) {
		if (node_major < versions[i].from || node_major > versions[i].to)
			continue;
		ret->wasm_manager = symbol->address + at + 7 + (uint64_t)distance;
		ret->wasm_size = versions[i].size;
		ret->wasm_index = versions[i].index;
		ret->wasm_tables = versions[i].tables;
		ret->wasm_trapping = versions[i].trapping;
		ret->wasm_relocation = versions[i].relocation;
		ret->wasm_positions = versions[i].positions;
		ret->wasm_inlinings = versions[i].inlinings;
	}
}

/* What an accessor takes the address of: lea rax, [rip + N]; 0: it does something else. What comes then is at `ret_rest`. */
static uint64_t taken_address(const struct fnp_object *object, const struct fnp_object_symbol *symbol,
			      const uint8_t **ret_rest)
{
	const uint8_t *code;
	int32_t distance;
	size_t at = 0;

	if (!symbol->address || fnp_object_read_address(object, symbol->address, 16, &code) < 0)
		return 0;
	if (memcmp(code, "\x55\x48\x89\xe5", 4) == 0) /* push rbp; mov rbp, rsp */
		at = 4;
	if (memcmp(code + at, "\x48\x8d\x05", 3) != 0)
		return 0;
	memcpy(&distance, code + at + 3, sizeof(distance));
	*ret_rest = code + at + 7;
	return symbol->address + at + 7 + (uint64_t)distance;
}

/* A stripped library still exports two functions that say where the embedded builtins are, and how many bytes. */
static void find_builtins_by_accessors(const struct fnp_object *object, struct fnp_v8_tables *ret)
{
	static const char *const names[] = {"_ZN2v88internal23DefaultEmbeddedBlobCodeEv",
					    "_ZN2v88internal27DefaultEmbeddedBlobCodeSizeEv"};
	struct fnp_object_symbol symbols[FNP_ARRAY_SIZE(names)];
	const uint8_t *then;
	uint64_t start, size;

	fnp_runtime_exports(object, names, FNP_ARRAY_SIZE(names), symbols);
	size = taken_address(object, &symbols[1], &then);
	if (!size || memcmp(then, "\x8b\x00", 2) != 0) /* mov eax, [rax] */
		return;
	start = taken_address(object, &symbols[0], &then);
	if (!start || memcmp(then, "\x48\x8b\x00", 3) != 0) /* mov rax, [rax] */
		return;
	ret->builtins_at = start;
	ret->builtins_size = (uint32_t)fnp_v8_value_at(object, size);
}

/*
 * Where the deoptimizer's entries take the frame apart, by their code: mov rcx, [rbx]; add rcx, rsp; lea rdx, [rbx + N]; jmp;
 * pop [rdx] ... ret; int3. The frame's description came from mov rbx, [rax + N], before that.
 */
static void find_deopts(const uint8_t *code, size_t size, struct fnp_v8_tables *ret)
{
	static const uint8_t begin[] = {0x48, 0x8b, 0x0b, 0x48, 0x01, 0xe1, 0x48, 0x8d, 0x93},
			     input[] = {0x48, 0x8b, 0x58}, end[] = {0xc3, 0xcc};
	const uint8_t *at = code, *last = code + size, *from, *to;
	uint32_t content;

	while (ret->n_deopts < FNP_V8_DEOPTS_MAX &&
	       (at = memmem(at, (size_t)(last - at), begin, sizeof(begin)))) {
		size_t left = (size_t)(last - at), behind = (size_t)(at - code);
		size_t before = behind < DEOPT_BEFORE ? behind : DEOPT_BEFORE;

		from = memmem(at - before, before, input, sizeof(input));
		to = memmem(at, left < DEOPT_BEHIND ? left : DEOPT_BEHIND, end, sizeof(end));
		if (from && to && left > sizeof(begin) + sizeof(content)) {
			memcpy(&content, at + sizeof(begin), sizeof(content));
			ret->deopt_input = from[sizeof(input)];
			ret->deopt_content = (uint16_t)content;
			ret->deopts[ret->n_deopts].start = (uint32_t)behind;
			ret->deopts[ret->n_deopts++].end = (uint32_t)(to + 1 - code);
		}
		at += sizeof(begin);
	}
}

/* The embedded builtins, and how long bytecodes are, by symbols that a stripped file does not have. */
void fnp_v8_builtins_find(const struct fnp_object *object, uint16_t node_major, struct fnp_v8_tables *ret)
{
	static const char *const names[] = {"v8_Default_embedded_blob_code_data_",
					    "v8_Default_embedded_blob_code_",
					    "v8_Default_embedded_blob_code_size_",
					    "Builtins_InterpreterEntryTrampoline",
					    "_ZN2v88internal11interpreter9Bytecodes14kBytecodeSizesE",
					    "_ZN2v88internal4wasm18GetWasmCodeManagerEv"};
	struct fnp_object_symbol symbols[FNP_ARRAY_SIZE(names)];
	const uint8_t *code;
	uint64_t start;

	fnp_runtime_symbols(object, names, FNP_ARRAY_SIZE(names), symbols);
	read_bytecode_sizes(object, &symbols[4], ret);
	read_wasm(object, &symbols[5], node_major, ret);
	start = symbols[0].address ?: symbols[1].address;
	if (!start || !symbols[2].address) {
		find_builtins_by_accessors(object, ret);
		return;
	}
	ret->builtins = start;
	ret->builtins_size = (uint32_t)fnp_v8_value_at(object, symbols[2].address);
	if (symbols[3].address >= start && symbols[3].address - start < ret->builtins_size) {
		ret->trampoline = symbols[3].address;
		ret->trampoline_end = symbols[3].address + symbols[3].size;
	}
	if (fnp_object_read_address(object, start, ret->builtins_size, &code) == 0)
		find_deopts(code, ret->builtins_size, ret);
}
