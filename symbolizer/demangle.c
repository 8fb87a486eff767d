/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libiberty demangles; this file keeps it within bounds. A name of 200 bytes can demangle to gigabytes (each
 * substitution may double the text), so the printing form with a callback is used, which takes no heap, and the
 * callback leaves by longjmp when the text is too long: what lies between is the demangler's own stack, nothing else.
 */
#include "symbolizer/demangle.h"

#include <errno.h>
#include <setjmp.h>

#include <libiberty/demangle.h>

#define MANGLED_MAX 4096 /* the demangler's stack grows by about 100 bytes for each */
#define DEMANGLED_MAX 16384

struct text {
	jmp_buf too_long;
	size_t len;
	char bytes[DEMANGLED_MAX];
};

static void append(const char *bytes, size_t len, void *opaque)
{
	struct text *text = opaque;

	if (len > sizeof(text->bytes) - text->len)
		longjmp(text->too_long, 1);
	memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
}

static bool demangle(const char *name, struct text *text)
{
	if (setjmp(text->too_long))
		return false;
	text->len = 0;
	if (rust_demangle_callback(name, 0, append, text))
		return true;
	text->len = 0;
	return name[1] == 'Z' && cplus_demangle_v3_callback(name, 0, append, text);
}

int fnp_demangle(const char *name, struct fnp_buffer *ret)
{
	const char *at = name[0] ? strchr(name + 1, '@') : NULL;
	size_t len = at ? (size_t)(at - name) : strlen(name);
	struct text text;

	if (fnp_demangle_is_mangled(name) && len < MANGLED_MAX) {
		char mangled[MANGLED_MAX];

		memcpy(mangled, name, len);
		mangled[len] = '\0';
		if (demangle(mangled, &text) && text.len > 0) {
			fnp_buffer_append(ret, text.bytes, text.len);
			fnp_buffer_byte(ret, 0);
			return ret->error;
		}
	}
	fnp_buffer_append(ret, name, len);
	fnp_buffer_byte(ret, 0);
	return ret->error;
}
