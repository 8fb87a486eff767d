/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where CPython collects and imports, for builds without probes of their own. x86-64 alone.
 *
 * A collection is one function: gc_collect_main, `collect` up to 3.9, or the clones of it that the compiler made
 * (".constprop"). It is local, so a stripped file does not say where it is. It ends at its return instructions; one that
 * may leave in another way is not taken, because some of its ends would not be met.
 *
 * An import that was not found among the loaded modules is a call of the import system's own `_find_and_load`, from
 * PyImport_ImportModuleLevelObject, by PyObject_CallMethodObjArgs(importlib, name of the method, name of the module, ...);
 * up to 3.10 by _PyObject_CallMethodIdObjArgs. All of them are exported. `_handle_fromlist` is called in the same way, so
 * the method's name is looked at, as the file has it: a string object among the static ones of _PyRuntime (3.11 and
 * later), or a _Py_Identifier. The call is the begin, what stands behind it the end.
 */
#include <errno.h>

#include "symbolizer/dynamic.h"
#include "symbolizer/plt.h"
#include "symbolizer/python.h"
#include "symbolizer/x86_code.h"

#define FUNCTION_MAX 65536
#define CALLEES_MAX 8
#define RSI 6
#define TEXT_OLD 48 /* of a PyASCIIObject; 40 from 3.12 on */
#define METHOD "_find_and_load"

struct function {
	uint64_t address;
	const uint8_t *code;
	size_t size;
};

static void add(struct fnp_python_places *places, enum fnp_python_place_kind kind, uint64_t address)
{
	if (places->n < FNP_PYTHON_PLACES_MAX)
		places->list[places->n++] = (struct fnp_python_place_at){.kind = kind, .address = address};
}

static bool read_function(const struct fnp_object *object, uint64_t address, uint64_t size, struct function *ret)
{
	*ret = (struct function){.address = address, .size = size};
	return size > 0 && size <= FUNCTION_MAX &&
	       fnp_object_read_address(object, address, size, &ret->code) == 0;
}

static uint64_t target_of(const struct function *f, size_t next, const struct fnp_x86 *x)
{
	return f->address + next + (uint64_t)x->immediate;
}

/* ---- collections --------------------------------------------------------------------------------------------- */

static bool is_plain(const struct fnp_x86 *x, uint8_t opcode)
{
	return x->map == 0 && !x->vex && x->opcode == opcode;
}

/*
 * Over to another function for good. The part that was split off from this one comes back; a call's jump through memory
 * or a register cannot be told from a switch's.
 */
static bool leaves_by_jump(const struct function *f, size_t next, const struct fnp_x86 *x,
			   const struct function *cold)
{
	uint64_t to = target_of(f, next, x);

	if (is_plain(x, 0xff) && (x->group == 4 || x->group == 5))
		return true;
	if (!is_plain(x, 0xe9) && !is_plain(x, 0xeb))
		return false;
	return to - f->address >= f->size && to - cold->address >= cold->size;
}

/* All places where a function returns; false when it may leave in another way, or cannot be read to its end. */
static bool add_returns(const struct function *f, const struct function *cold, struct fnp_python_places *places)
{
	struct fnp_x86 x;
	size_t before = places->n;

	for (size_t at = 0; at < f->size; at += x.size) {
		if (fnp_x86_decode(f->code + at, f->size - at, &x) < 0 ||
		    leaves_by_jump(f, at + x.size, &x, cold))
			return false;
		if (is_plain(&x, 0xc3))
			add(places, FNP_PYTHON_COLLECT_END, f->address + at);
	}
	return places->n > before && places->n < FNP_PYTHON_PLACES_MAX;
}

/* "gc_collect_main" or "gc_collect_main.constprop.0"; what it is: itself, its cold part. */
static bool is_collect(const struct fnp_symbol_source *source, const Elf64_Sym *symbol, const char *name,
		       bool *ret_cold)
{
	struct fnp_cursor names = source->names;
	size_t len = strlen(name);
	const char *text;

	if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF ||
	    fnp_cursor_seek(&names, symbol->st_name) < 0 || fnp_cursor_string(&names, &text) < 0 ||
	    strncmp(text, name, len) != 0 || (text[len] != '\0' && text[len] != '.'))
		return false;
	*ret_cold = strstr(text + len, ".cold") != NULL;
	return true;
}

static void find_collect(const struct fnp_object *object, const char *name, struct fnp_python_places *places)
{
	struct function bodies[4], cold = {0};
	struct fnp_python_places found = *places;
	struct fnp_symbol_source source;
	size_t n = 0;
	bool is_cold;

	if (fnp_symbol_source_symtab(object, &source) < 0)
		return;
	for (size_t i = 0; i < source.n_symbols; i++) {
		Elf64_Sym symbol;

		memcpy(&symbol, source.symbols + i * sizeof(symbol), sizeof(symbol));
		if (!is_collect(&source, &symbol, name, &is_cold))
			continue;
		if (is_cold)
			cold = (struct function){.address = symbol.st_value, .size = symbol.st_size};
		else if (n == FNP_ARRAY_SIZE(bodies) ||
			 !read_function(object, symbol.st_value, symbol.st_size, &bodies[n++]))
			return;
	}
	for (size_t i = 0; i < n; i++) {
		add(&found, FNP_PYTHON_COLLECT_BEGIN, bodies[i].address);
		if (!add_returns(&bodies[i], &cold, &found))
			return;
	}
	*places = found;
}

/* ---- imports ------------------------------------------------------------------------------------------------- */

/* The functions that call a method, and the stubs that lead there. */
struct callees {
	uint64_t address[CALLEES_MAX];
	size_t n;
};

static void find_callees(const struct fnp_object *object, struct callees *ret)
{
	static const char *const names[] = {"PyObject_CallMethodObjArgs", "_PyObject_CallMethodIdObjArgs"};
	fnp_plt_stubs stubs = {0};
	struct fnp_object_symbol symbol;

	ret->n = 0;
	if (fnp_plt_find_stubs(object, &stubs) < 0)
		stubs.len = 0;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(names); i++) {
		if (fnp_object_find_symbol(object, names[i], &symbol) == 0 && ret->n < CALLEES_MAX)
			ret->address[ret->n++] = symbol.address;
		for (size_t s = 0; s < stubs.len && ret->n < CALLEES_MAX; s++) {
			if (stubs.items[s].target && strcmp(stubs.items[s].target, names[i]) == 0)
				ret->address[ret->n++] = stubs.items[s].address;
		}
	}
	fnp_vec_deinit(&stubs);
}

static bool is_text_at(const struct fnp_object *object, uint64_t address)
{
	const uint8_t *bytes;

	return fnp_object_read_address(object, address, sizeof(METHOD), &bytes) == 0 &&
	       memcmp(bytes, METHOD, sizeof(METHOD)) == 0;
}

/* What a pointer in the file will be: what stands there, or what the loader puts there. */
static uint64_t pointer_at(const struct fnp_object *object, uint64_t address)
{
	struct fnp_rela_table table;
	const uint8_t *bytes;
	uint64_t word = 0;

	if (fnp_object_read_address(object, address, sizeof(word), &bytes) == 0)
		memcpy(&word, bytes, sizeof(word));
	if (word || fnp_rela_table_dyn(object, &table) < 0)
		return word;
	for (size_t i = 0; i < table.n_rows; i++) {
		Elf64_Rela rela;

		memcpy(&rela, table.rows + i * sizeof(rela), sizeof(rela));
		if (rela.r_offset == address && ELF64_R_TYPE(rela.r_info) == R_X86_64_RELATIVE)
			return (uint64_t)rela.r_addend;
	}
	return 0;
}

/* A string object, or a _Py_Identifier: {char *string; ...}, up to 3.9 {next, char *string, ...}. */
static bool names_method(const struct fnp_object *object, uint64_t address)
{
	if (!address)
		return false;
	return is_text_at(object, address + TEXT_OLD) || is_text_at(object, address + TEXT_OLD - 8) ||
	       is_text_at(object, pointer_at(object, address)) ||
	       is_text_at(object, pointer_at(object, address + 8));
}

/* What an instruction puts into rsi: the address of something static, else 0. `ret`: whether it writes there. */
static uint64_t second_argument(const struct function *f, size_t next, const struct fnp_x86 *x,
				uint64_t runtime, bool *ret)
{
	*ret = (is_plain(x, 0x8d) || is_plain(x, 0x8b)) && x->reg == RSI;
	if (is_plain(x, 0x8d) && x->reg == RSI && x->rip)
		return f->address + next + (uint64_t)(int64_t)x->displacement;
	if (is_plain(x, 0x8d) && x->reg == RSI && !x->indexed && runtime)
		return runtime + (uint64_t)(int64_t)x->displacement;
	if (x->map == 0 && !x->vex && (x->opcode & 0xf8) == 0xb8 && x->reg == RSI) {
		*ret = true;
		return (uint64_t)x->immediate;
	}
	return 0;
}

static bool is_callee(const struct callees *callees, uint64_t address)
{
	for (size_t i = 0; i < callees->n; i++) {
		if (callees->address[i] == address)
			return true;
	}
	return false;
}

static void find_calls(const struct fnp_object *object, const struct function *f,
		       const struct callees *callees, struct fnp_python_places *places)
{
	struct fnp_object_symbol runtime = {0};
	uint64_t second = 0, value;
	struct fnp_x86 x;
	bool written;

	if (fnp_python_find_runtime(object, &runtime) < 0)
		runtime.address = 0;
	for (size_t at = 0; at < f->size; at += x.size) {
		if (fnp_x86_decode(f->code + at, f->size - at, &x) < 0)
			return;
		value = second_argument(f, at + x.size, &x, runtime.address, &written);
		if (written)
			second = value;
		if (!is_plain(&x, 0xe8))
			continue;
		if (is_callee(callees, target_of(f, at + x.size, &x)) && names_method(object, second) &&
		    places->n + 2 <= FNP_PYTHON_PLACES_MAX) {
			add(places, FNP_PYTHON_IMPORT_BEGIN, f->address + at);
			add(places, FNP_PYTHON_IMPORT_END, f->address + at + x.size);
		}
		second = 0;
	}
}

static void find_imports(const struct fnp_object *object, struct fnp_python_places *places)
{
	static const char *const names[] = {"PyImport_ImportModuleLevelObject", "import_find_and_load"};
	struct fnp_object_symbol symbol;
	struct callees callees;
	struct function f;

	find_callees(object, &callees);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(names); i++) {
		if (fnp_object_find_symbol(object, names[i], &symbol) == 0 &&
		    read_function(object, symbol.address, symbol.size, &f))
			find_calls(object, &f, &callees, places);
	}
}

void fnp_python_find_places(const struct fnp_object *object, struct fnp_python_places *ret)
{
	*ret = (struct fnp_python_places){0};
	if (fnp_object_header(object)->e_machine != EM_X86_64)
		return;
	find_collect(object, "gc_collect_main", ret);
	if (ret->n == 0)
		find_collect(object, "collect", ret);
	find_imports(object, ret);
}
