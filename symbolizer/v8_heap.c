/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of V8's heap: strings, and what a SharedFunctionInfo says of its function.
 *
 * A string is flat (one or two bytes a character), external (its characters lie outside of the heap), or leads to others:
 * two joined, a part of one, another name of one. A SharedFunctionInfo has its name itself until it is compiled;
 * then it has a ScopeInfo, whose fields come and go by bits of its flags: the function's name, if the function has one
 * of its own, and the name that V8 inferred from what it was assigned to.
 */
#include "symbolizer/v8.h"

#include "base/text.h"

#define STRING_DEPTH 24
#define NAME_MAX_CHARACTERS 256
#define INLINED_NAMES_MAX 75 /* more context variables stand in a table */

/* How a string is kept: low bits of its instance type. */
#define STRING_ENCODING 8
#define STRING_SHAPE 7
enum { SHAPE_SEQUENTIAL = 0, SHAPE_CONS = 1, SHAPE_EXTERNAL = 2, SHAPE_SLICED = 3, SHAPE_THIN = 5 };

/* Bits of a ScopeInfo's flags. */
#define SCOPE_SAVED_CLASS (1U << 10)
#define SCOPE_FUNCTION_NAME (3U << 12)
#define SCOPE_INFERRED_NAME (1U << 14)

int fnp_v8_field(const struct fnp_v8_view *view, uint64_t object, int32_t offset, uint64_t *ret)
{
	if (!fnp_v8_is_object(object))
		return -ESRCH;
	return fnp_runtime_read(view->pid, object - 1 + (uint64_t)offset, ret, sizeof(*ret)) < 0 ? -ESRCH : 0;
}

int fnp_v8_type(const struct fnp_v8_view *view, uint64_t object)
{
	uint16_t type;
	uint64_t map;
	int r = (object & 3) == 1 ? fnp_v8_field(view, object, 0, &map) : -ESRCH;

	if (r < 0 || (map & 3) != 1 || !fnp_v8_is_object(map) ||
	    fnp_runtime_read(view->pid, map + view->layout.map_type, &type, sizeof(type)) < 0)
		return -ESRCH;
	return type;
}

/* ---- strings ------------------------------------------------------------------------------------------------ */

/* Characters of a string that is being put together. */
struct text {
	uint16_t *units;
	size_t n, max;
};

/* Part of a string: `n` characters from `first` on. */
struct part {
	uint64_t string;
	size_t first, n;
};

static int string_head(const struct fnp_v8_view *view, uint64_t string, int *ret_type, uint32_t *ret_length)
{
	const int32_t *v = view->tables.values;
	uint64_t word;
	int type = fnp_v8_type(view, string);

	if (type < 0 || type >= v[FNP_V8_FIRST_NO_STRING])
		return -ESRCH;
	int r = fnp_v8_field(view, string, v[FNP_V8_STRING_LENGTH], &word);
	if (r == 0) {
		*ret_type = type;
		*ret_length = (uint32_t)word;
	}
	return r;
}

/* Where a flat string's characters are. */
static int string_data(const struct fnp_v8_view *view, uint64_t string, int type, uint64_t *ret)
{
	const int32_t *v = view->tables.values;

	if ((type & STRING_SHAPE) == SHAPE_EXTERNAL)
		return fnp_v8_field(view, string, v[FNP_V8_EXTERNAL_RESOURCE] + 8, ret);
	*ret = string - 1 +
	       (uint64_t)v[type & STRING_ENCODING ? FNP_V8_STRING_ONE_BYTE : FNP_V8_STRING_TWO_BYTE];
	return 0;
}

static int append_flat(const struct fnp_v8_view *view, const struct part *part, int type, struct text *text)
{
	bool is_narrow = type & STRING_ENCODING;
	uint8_t narrow[NAME_MAX_CHARACTERS];
	uint64_t data;
	size_t n = FNP_MIN(part->n, text->max - text->n);
	int r = string_data(view, part->string, type, &data);

	if (r < 0 || n > sizeof(narrow))
		return -ESRCH;
	if (!is_narrow)
		r = fnp_runtime_read(view->pid, data + 2 * part->first, text->units + text->n, 2 * n);
	else
		r = fnp_runtime_read(view->pid, data + part->first, narrow, n);
	for (size_t i = 0; r == 0 && is_narrow && i < n; i++)
		text->units[text->n + i] = narrow[i];
	if (r < 0)
		return -ESRCH;
	text->n += n;
	return 0;
}

/* Goes from a string that is another's part or name to that one. 1: it is neither. */
static int follow(const struct fnp_v8_view *view, int type, struct part *part)
{
	const int32_t *v = view->tables.values;
	uint64_t next, offset = 0;
	int r;

	switch (type & STRING_SHAPE) {
	case SHAPE_THIN:
		r = fnp_v8_field(view, part->string, v[FNP_V8_THIN_ACTUAL], &next);
		break;
	case SHAPE_SLICED:
		r = fnp_v8_field(view, part->string, v[FNP_V8_SLICED_PARENT], &next);
		r = r ?: fnp_v8_field(view, part->string, v[FNP_V8_SLICED_OFFSET], &offset);
		break;
	default:
		return 1;
	}
	if (r < 0)
		return r;
	part->string = next;
	part->first += offset >> 32;
	return 0;
}

/* Joined strings, the second of which goes on `todo`. */
static int split(const struct fnp_v8_view *view, struct part *part, struct part *ret_second)
{
	const int32_t *v = view->tables.values;
	uint64_t first, second;
	uint32_t length = 0;
	int type = 0, r = fnp_v8_field(view, part->string, v[FNP_V8_CONS_FIRST], &first);

	r = r ?: fnp_v8_field(view, part->string, v[FNP_V8_CONS_SECOND], &second);
	r = r ?: string_head(view, first, &type, &length);
	if (r < 0)
		return r;
	*ret_second = (struct part){.string = second, .n = 0};
	if (part->first >= length) {
		*part = (struct part){.string = second, .first = part->first - length, .n = part->n};
		return 0;
	}
	if (part->n > length - part->first) {
		ret_second->n = part->n - (length - part->first);
		part->n = length - part->first;
	}
	part->string = first;
	return 0;
}

/* Appends a string's characters, as many as fit. */
static int append(const struct fnp_v8_view *view, uint64_t string, struct text *text)
{
	struct part todo[STRING_DEPTH] = {{.string = string}};
	size_t n = 1;
	uint32_t length = 0;
	int type = 0, r = string_head(view, string, &type, &length);

	todo[0].n = length;
	for (int steps = 0; r == 0 && n > 0 && text->n < text->max; steps++) {
		struct part *part = &todo[n - 1], second;

		if (steps > 16 * STRING_DEPTH)
			return -ESRCH;
		r = string_head(view, part->string, &type, &length);
		if (r == 0 && (part->first > length || part->n > length - part->first))
			r = -ESRCH;
		if (r < 0)
			break;
		if ((type & STRING_SHAPE) == SHAPE_CONS) {
			r = split(view, part, &second);
			if (r == 0 && second.n && n < STRING_DEPTH) {
				todo[n] = *part;
				todo[n - 1] = second;
				n++;
			}
			continue;
		}
		r = follow(view, type, part);
		if (r > 0) {
			r = append_flat(view, part, type, text);
			n--;
		}
	}
	return r;
}

/* UTF-16 to UTF-8; half a pair becomes U+FFFD. The bytes written, without NUL. */
static size_t to_utf8(const uint16_t *units, size_t n, char *ret)
{
	uint8_t *out = (uint8_t *)ret;

	for (size_t i = 0; i < n; i++) {
		uint32_t c = units[i];

		if ((c & 0xfc00) == 0xd800 && i + 1 < n && (units[i + 1] & 0xfc00) == 0xdc00)
			c = 0x10000 + ((c & 0x3ff) << 10) + (units[++i] & 0x3ff);
		else if ((c & 0xf800) == 0xd800)
			c = 0xfffd;
		if (c < 0x80) {
			*out++ = (uint8_t)c;
		} else if (c < 0x800) {
			*out++ = (uint8_t)(0xc0 | c >> 6);
			*out++ = (uint8_t)(0x80 | (c & 0x3f));
		} else if (c < 0x10000) {
			*out++ = (uint8_t)(0xe0 | c >> 12);
			*out++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
			*out++ = (uint8_t)(0x80 | (c & 0x3f));
		} else {
			*out++ = (uint8_t)(0xf0 | c >> 18);
			*out++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
			*out++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
			*out++ = (uint8_t)(0x80 | (c & 0x3f));
		}
	}
	return (size_t)(out - (uint8_t *)ret);
}

int fnp_v8_string(const struct fnp_v8_view *view, uint64_t string, size_t max, char **ret)
{
	uint16_t units[NAME_MAX_CHARACTERS];
	struct text text = {.units = units, .max = FNP_MIN(max, (size_t)NAME_MAX_CHARACTERS)};
	int r = append(view, string, &text);
	char *utf8;

	if (r < 0)
		return r;
	utf8 = malloc(3 * text.n + 1);
	if (!utf8)
		return -ENOMEM;
	utf8[to_utf8(units, text.n, utf8)] = '\0';
	fnp_text_make_printable(utf8, strlen(utf8));
	*ret = utf8;
	return 0;
}

int fnp_v8_characters(const struct fnp_v8_view *view, uint64_t string, size_t max, uint8_t **ret,
		      size_t *ret_length, unsigned *ret_width)
{
	struct part part = {.string = string};
	fnp_autofree uint8_t *bytes = NULL;
	uint32_t length, whole = 0;
	uint64_t data;
	int type = 0, r = string_head(view, string, &type, &whole);
	unsigned width;

	for (int i = 0; r == 0 && i < STRING_DEPTH; i++) {
		r = follow(view, type, &part);
		if (r > 0)
			break;
		r = r ?: string_head(view, part.string, &type, &length);
	}
	if (r < 0 || (type & STRING_SHAPE) == SHAPE_CONS)
		return -ESRCH;
	width = type & STRING_ENCODING ? 1 : 2;
	if ((uint64_t)whole * width > max)
		return -E2BIG;
	r = string_data(view, part.string, type, &data);
	bytes = malloc((size_t)whole * width + 1);
	if (!bytes)
		return -ENOMEM;
	if (r < 0 || fnp_runtime_read(view->pid, data + part.first * width, bytes, (size_t)whole * width) < 0)
		return -ESRCH;
	*ret = TAKE_PTR(bytes);
	*ret_length = whole;
	*ret_width = width;
	return 0;
}

/* ---- functions ---------------------------------------------------------------------------------------------- */

void fnp_v8_function_deinit(struct fnp_v8_function *function)
{
	free(function->name);
	*function = (struct fnp_v8_function){0};
}

/* A name that says something. */
static int read_name(const struct fnp_v8_view *view, uint64_t string, char **ret)
{
	char *name = NULL;
	int type = fnp_v8_type(view, string);

	if (type < 0 || type >= view->tables.values[FNP_V8_FIRST_NO_STRING])
		return 0;
	int r = fnp_v8_string(view, string, NAME_MAX_CHARACTERS, &name);
	if (r < 0)
		return r;
	if (name[0] == '\0')
		free(name);
	else
		*ret = name;
	return 0;
}

/*
 * Name and start of a compiled function. Fields: map, flags, parameters, context variables, [from 24 on: start, end,]
 * names and kinds of the variables, [the class's variable,] [name of the function, its place,] [inferred name,]
 * [before: start, end,] ...
 */
static int read_scope(const struct fnp_v8_view *view, uint64_t scope, struct fnp_v8_function *ret)
{
	int32_t first = 8 * (1 + (fnp_v8_has(&view->tables, FNP_V8_SCOPE_FIRST_VARS)
					  ? view->tables.values[FNP_V8_SCOPE_FIRST_VARS]
					  : 3));
	bool starts_early = first > 8 * 4;
	uint64_t flags, count, value = 0, start = UINT64_MAX;
	int r = fnp_v8_field(view, scope, 8, &flags);

	r = r ?: fnp_v8_field(view, scope, 24, &count);
	if (r < 0)
		return r;
	flags = (uint32_t)flags ? (uint32_t)flags : flags >> 32;
	count >>= 32;
	if (count > 1 << 20)
		return -ESRCH;
	int32_t at = first + 8 * (int32_t)(count + (count > INLINED_NAMES_MAX ? 1 : count));
	if (flags & SCOPE_SAVED_CLASS)
		at += 8;
	if (flags & SCOPE_FUNCTION_NAME) {
		r = fnp_v8_field(view, scope, at, &value);
		r = r ?: read_name(view, value, &ret->name);
		at += 16;
	}
	if (r == 0 && (flags & SCOPE_INFERRED_NAME)) {
		r = fnp_v8_field(view, scope, at, &value);
		if (r == 0 && !ret->name)
			r = read_name(view, value, &ret->name);
		at += 8;
	}
	r = r ?: fnp_v8_field(view, scope, starts_early ? first - 16 : at, &start);
	if (r == 0 && (uint32_t)start == 0)
		ret->start = (int32_t)(start >> 32);
	return r;
}

static int read_uncompiled(const struct fnp_v8_view *view, uint64_t data, struct fnp_v8_function *ret)
{
	const int32_t *v = view->tables.values;
	uint64_t name, start;
	int r = fnp_v8_field(view, data, v[FNP_V8_UNCOMPILED_START], &start);

	if (r == 0)
		ret->start = (int32_t)start;
	if (r == 0 && !ret->name) {
		r = fnp_v8_field(view, data, v[FNP_V8_UNCOMPILED_INFERRED], &name);
		r = r ?: read_name(view, name, &ret->name);
	}
	return r;
}

/* The bytecode that stands behind a function's data, directly or behind its baseline code; what is not compiled. */
static int read_data(const struct fnp_v8_view *view, uint64_t data, struct fnp_v8_function *ret)
{
	const struct fnp_v8_tables *t = &view->tables;
	int type = fnp_v8_type(view, data), r = 0;

	if (type == t->values[FNP_V8_TYPE_UNCOMPILED_A] || type == t->values[FNP_V8_TYPE_UNCOMPILED_B])
		return read_uncompiled(view, data, ret);
	/* The way into a function of WebAssembly, which V8 names by its number. */
	if (type >= 0 && type == t->values[FNP_V8_TYPE_WASM_EXPORT]) {
		free(ret->name);
		ret->name = strdup("(js to wasm)");
		return ret->name ? 0 : -ENOMEM;
	}
	if (type == t->values[FNP_V8_TYPE_CODE]) {
		r = fnp_v8_field(view, data, t->code_deopt, &data);
		type = r == 0 ? fnp_v8_type(view, data) : -1;
	}
	if (r == 0 && type == t->values[FNP_V8_TYPE_INTERPRETER_DATA]) {
		r = fnp_v8_field(view, data, 8, &data);
		type = r == 0 ? fnp_v8_type(view, data) : -1;
	}
	if (r == 0 && type == t->values[FNP_V8_TYPE_BYTECODE])
		ret->bytecode = data;
	return 0;
}

int fnp_v8_function_read(const struct fnp_v8_view *view, uint64_t shared, struct fnp_v8_function *ret)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function f = {.start = -1};
	const struct fnp_v8_layout *l = &view->layout;
	uint64_t name, script, shape, id, literal, data;
	int type = fnp_v8_type(view, shared);

	if (type != l->type_shared)
		return -ESRCH;
	int r = fnp_v8_field(view, shared, l->shared_name + 1, &name);
	r = r ?: fnp_v8_field(view, shared, l->shared_script + 1, &script);
	r = r ?: fnp_v8_field(view, shared, l->shared_literal + 1, &literal);
	r = r ?: fnp_v8_field(view, shared, view->tables.values[FNP_V8_SHARED_DATA], &data);
	if (r < 0 || fnp_v8_type(view, script) != l->type_script)
		return -ESRCH;
	r = fnp_v8_field(view, script, l->script_id + 1, &id);
	r = r ?: fnp_v8_field(view, shared, l->shared_shape + 1, &shape);
	if (r < 0)
		return r;
	f.script = script;
	f.ids = id >> 32 << 32 | (uint32_t)literal;
	f.cookie = fnp_v8_cookie(f.ids, name, shape);
	type = fnp_v8_type(view, name);
	if (type == view->tables.values[FNP_V8_TYPE_SCOPE])
		r = read_scope(view, name, &f);
	else if (type >= 0)
		r = read_name(view, name, &f.name);
	r = r ?: read_data(view, data, &f);
	if (r < 0)
		return r;
	*ret = f;
	f = (struct fnp_v8_function){0};
	return 0;
}
