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

static void cut_end(struct text *text, const char *end)
{
	size_t len = strlen(end);

	if (text->len > len && memcmp(text->bytes + text->len - len, end, len) == 0)
		text->len -= len;
}

/* " [clone .part.0]", as often as it stands there. */
static void cut_clones(struct text *text)
{
	while (text->len > 0 && text->bytes[text->len - 1] == ']') {
		size_t at = text->len - 1;
		while (at > 0 && text->bytes[at] != '[')
			at--;
		if (at == 0 || text->len - at < 8 || memcmp(text->bytes + at - 1, " [clone ", 8) != 0)
			return;
		text->len = at - 1;
	}
}

/*
 * Cuts qualifiers of the function and its parameters, those of the whole name only: the demangler's own way to leave
 * them out also loses those of functions that are named inside, as template arguments.
 */
static void cut_parameters(struct text *text)
{
	static const char *const qualifiers[] = {"&", "&", " ", " volatile", " const", " "};
	static const char name[] = "operator";
	size_t depth = 0, at;

	cut_clones(text);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(qualifiers); i++)
		cut_end(text, qualifiers[i]);
	if (text->len == 0 || text->bytes[text->len - 1] != ')')
		return;
	for (at = text->len; at-- > 0;) {
		depth += text->bytes[at] == ')';
		depth -= text->bytes[at] == '(';
		if (depth == 0)
			break;
	}
	/* Data named operator() has parentheses, but no parameters. */
	if (depth > 0 || at == 0 ||
	    (text->len - at == 2 && at >= sizeof(name) - 1 &&
	     memcmp(text->bytes + at - (sizeof(name) - 1), name, sizeof(name) - 1) == 0))
		return;
	text->len = at;
}

static bool demangle(const char *name, struct text *text)
{
	if (setjmp(text->too_long))
		return false;
	text->len = 0;
	if (rust_demangle_callback(name, 0, append, text))
		return true;
	text->len = 0;
	if (name[1] != 'Z' || !cplus_demangle_v3_callback(name, DMGL_PARAMS | DMGL_RET_DROP, append, text))
		return false;
	cut_parameters(text);
	return true;
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
