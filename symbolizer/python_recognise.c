/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPython: recognised by its one global state, `_PyRuntime`, by name or by the section that holds it from 3.11 on.
 *
 * The version, best source first: the state's own header (3.13 and later publish their layout there), the constant
 * `Py_Version` (3.11 and later), the folder of the standard library as the file spells it ("lib/python3.9").
 * PyPy exports other names and is named apart, because nothing of CPython's memory is in it.
 */
#include "symbolizer/python.h"

#include <ctype.h>

enum { RUNTIME, VERSION, EVAL, INITIALIZE, PYPY, N_NAMES };

/* PY_VERSION_HEX: 0x030c01f0 is 3.12.1, its low byte the release level and serial. */
static void set_version(struct fnp_runtime_id *id, uint32_t hex)
{
	static const char levels[16] = {[0xa] = 'a', [0xb] = 'b', [0xc] = 'c'};
	char level = levels[(hex >> 4) & 15], tail[8] = "";

	id->major = (uint16_t)(hex >> 24);
	id->minor = (hex >> 16) & 0xff;
	if (level && level == 'c')
		snprintf(tail, sizeof(tail), "rc%u", hex & 15);
	else if (level)
		snprintf(tail, sizeof(tail), "%c%u", level, hex & 15);
	snprintf(id->version, sizeof(id->version), "%u.%u.%u%s", id->major, id->minor, (hex >> 8) & 0xff, tail);
}

static bool plausible(uint32_t hex)
{
	return hex >> 24 == 3 && ((hex >> 16) & 0xff) < 100;
}

/* The header of _PyRuntime as the file holds it: "xdebugpy", then PY_VERSION_HEX in 64 bits. */
static int version_of_header(const struct fnp_object *object, uint64_t address, struct fnp_runtime_id *ret)
{
	const uint8_t *bytes;
	uint64_t hex;

	if (fnp_object_read_address(object, address, 16, &bytes) < 0 || memcmp(bytes, "xdebugpy", 8) != 0)
		return -ENOENT;
	memcpy(&hex, bytes + 8, sizeof(hex));
	if (hex > UINT32_MAX || !plausible((uint32_t)hex))
		return -ENOENT;
	set_version(ret, (uint32_t)hex);
	return 0;
}

static int version_of_constant(const struct fnp_object *object, const struct fnp_object_symbol *symbol,
			       struct fnp_runtime_id *ret)
{
	const uint8_t *bytes;
	uint32_t hex;

	if (!symbol->address || fnp_object_read_address(object, symbol->address, sizeof(hex), &bytes) < 0)
		return -ENOENT;
	memcpy(&hex, bytes, sizeof(hex));
	if (!plausible(hex))
		return -ENOENT;
	set_version(ret, hex);
	return 0;
}

/* "...python3.9\0" in the constants: the name of the library's folder stands alone, other mentions go on. */
static int version_of_folder(const struct fnp_object *object, unsigned major, struct fnp_runtime_id *ret)
{
	char before[16];
	struct fnp_cursor c;

	snprintf(before, sizeof(before), "python%u.", major);
	for (size_t piece = 0; fnp_runtime_constants(object, piece, &c) == 0; piece++) {
		const uint8_t *hit;
		while ((hit = memmem(c.pos, fnp_cursor_left(&c), before, strlen(before)))) {
			unsigned minor = 0, digits = 0;
			c.pos = hit + strlen(before);
			size_t left = fnp_cursor_left(&c);
			while (digits < 3 && digits < left && isdigit(c.pos[digits]))
				minor = minor * 10 + (unsigned)(c.pos[digits++] - '0');
			if (digits == 0 || digits == 3 || digits == left || c.pos[digits] != '\0')
				continue;
			ret->major = (uint16_t)major;
			ret->minor = (uint16_t)minor;
			snprintf(ret->version, sizeof(ret->version), "%u.%u", major, minor);
			return 0;
		}
	}
	return -ENOENT;
}

int fnp_python_find_runtime(const struct fnp_object *object, struct fnp_object_symbol *ret)
{
	static const char *const names[] = {"_PyRuntime"};
	struct fnp_section section;

	if (fnp_runtime_symbols(object, names, 1, ret) == 1)
		return 0;
	if (fnp_object_find_section(object, ".PyRuntime", &section) < 0 || section.address == 0)
		return -ENOENT;
	*ret = (struct fnp_object_symbol){.address = section.address, .size = section.size, .type = STT_OBJECT};
	return 0;
}

int fnp_python_recognise(const struct fnp_object *object, struct fnp_runtime_id *ret)
{
	static const char *const names[N_NAMES] = {
		[RUNTIME] = "_PyRuntime",	  [VERSION] = "Py_Version",	  [EVAL] = "PyEval_EvalCode",
		[INITIALIZE] = "Py_InitializeEx", [PYPY] = "pypy_execute_source",
	};
	struct fnp_object_symbol symbols[N_NAMES], runtime = {0};
	struct fnp_runtime_id id = {0};

	fnp_runtime_exports(object, names, N_NAMES, symbols);
	if (symbols[PYPY].address) {
		snprintf(id.text, sizeof(id.text), "pypy");
		*ret = id;
		return 0;
	}
	runtime = symbols[RUNTIME];
	/* A program that embeds Python may export nothing; before 3.7 there was no such state. */
	if (!runtime.address && fnp_python_find_runtime(object, &runtime) < 0 &&
	    (!symbols[EVAL].address || !symbols[INITIALIZE].address))
		return -ENOENT;
	if (version_of_header(object, runtime.address, &id) < 0 &&
	    version_of_constant(object, &symbols[VERSION], &id) < 0 && version_of_folder(object, 3, &id) < 0)
		version_of_folder(object, 2, &id);
	if (id.major)
		snprintf(id.text, sizeof(id.text), "python%u.%u", id.major, id.minor);
	else
		snprintf(id.text, sizeof(id.text), "python");
	*ret = id;
	return 0;
}
