/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, files and lines of Java methods, from the JVM's memory, or, when that is gone, from the file of its archive.
 *
 *	Method -> ConstMethod -> ConstantPool -> Klass: the class's name; the ConstMethod has the method's as an index into
 *	the constants. Behind a ConstMethod stand its bytecodes, and behind them its line table.
 *
 * Texts are modified UTF-8: NUL has two bytes, and what lies beyond U+FFFF two surrogates of three bytes each.
 */
#include "symbolizer/hotspot.h"

#define SYMBOL_MAX 4096
#define TABLE_MAX 65536

void fnp_hotspot_method_deinit(struct fnp_hotspot_method *method)
{
	free(method->name);
	free(method->file);
	free(method->table);
	*method = (struct fnp_hotspot_method){0};
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

/* 0, or 1: the process is gone, and these are the bytes of its archive's file. */
static int read_bytes(const struct fnp_hotspot_view *view, uint64_t address, void *ret, size_t size)
{
	if (fnp_runtime_read(view->place.pid, address, ret, size) == 0)
		return 0;
	return fnp_hotspot_archive_read(&view->archive, address, ret, size) < 0 ? -ESRCH : 1;
}

static uint64_t word_of(const uint8_t *bytes, uint64_t at)
{
	uint64_t word;

	memcpy(&word, bytes + at, sizeof(word));
	return word;
}

static int read_pointer(const struct fnp_hotspot_view *view, uint64_t address, uint64_t *ret)
{
	uint64_t word;
	int r = read_bytes(view, address, &word, sizeof(word));

	if (r < 0)
		return r;
	*ret = r ? fnp_hotspot_archive_pointer(&view->archive, word) : word;
	return 0;
}

/* ---- texts -------------------------------------------------------------------------------------------------- */

/* A surrogate of three bytes, or 0. */
static uint32_t surrogate(const uint8_t *p, size_t left, uint32_t base)
{
	uint32_t value;

	if (left < 3 || p[0] != 0xed || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
		return 0;
	value = 0xd000U | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
	return value >= base && value < base + 0x400 ? value : 0;
}

/* From modified UTF-8, in place; the length that is left. */
static size_t to_utf8(char *text, size_t n)
{
	uint8_t *to = (uint8_t *)text;
	const uint8_t *p = (const uint8_t *)text, *end = p + n;

	while (p < end) {
		size_t left = (size_t)(end - p);
		uint32_t high = surrogate(p, left, 0xd800);
		uint32_t low = high ? surrogate(p + 3, left - 3, 0xdc00) : 0;

		if (low) {
			uint32_t c = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
			*to++ = (uint8_t)(0xf0 | c >> 18);
			*to++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
			*to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
			*to++ = (uint8_t)(0x80 | (c & 0x3f));
			p += 6;
		} else if (left >= 2 && p[0] == 0xc0 && p[1] == 0x80) {
			*to++ = '?';
			p += 2;
		} else {
			*to++ = *p++;
		}
	}
	return (size_t)(to - (uint8_t *)text);
}

/* A symbol's text, owned. */
static int read_symbol(const struct fnp_hotspot_view *view, uint64_t symbol, char **ret)
{
	const uint64_t *v = view->tables.values;
	uint16_t length;
	int r = read_bytes(view, symbol + v[FNP_HOTSPOT_SYMBOL_LENGTH], &length, sizeof(length));

	if (r < 0 || length > SYMBOL_MAX)
		return -ESRCH;
	fnp_autofree char *text = malloc(length + 1U);
	if (!text)
		return -ENOMEM;
	if (length && read_bytes(view, symbol + v[FNP_HOTSPOT_SYMBOL_BODY], text, length) < 0)
		return -ESRCH;
	text[to_utf8(text, length)] = '\0';
	*ret = TAKE_PTR(text);
	return 0;
}

/* "0x0000000800c03000", up to the end of the text. */
static bool is_address(const char *text)
{
	return strncmp(text, "0x", 2) == 0 && text[2] && text[2 + strspn(text + 2, "0123456789abcdef")] == '\0';
}

void fnp_hotspot_class_name(char *name)
{
	char *lambda = strstr(name, "$$Lambda");

	for (char *p = name; *p; p++) {
		/* The address of a hidden class, which is another one in each run. */
		if ((*p == '+' || *p == '/') && is_address(p + 1)) {
			*p = '\0';
			break;
		}
		if (*p == '/')
			*p = '.';
	}
	/* "$$Lambda$14" */
	if (lambda && lambda[8] == '$')
		lambda[8] = '\0';
}

/* ---- methods ------------------------------------------------------------------------------------------------ */

/* The text of a constant of the pool. */
static int read_constant(const struct fnp_hotspot_view *view, uint64_t pool, uint32_t index, char **ret)
{
	uint64_t symbol;
	int r = read_pointer(view, pool + view->tables.values[FNP_HOTSPOT_SIZEOF_POOL] + 8 * (uint64_t)index,
			     &symbol);

	return r ?: read_symbol(view, symbol & ~UINT64_C(1), ret);
}

/* "package.Class.method" */
static int read_name(const struct fnp_hotspot_view *view, uint64_t class_name, uint64_t pool, uint32_t index,
		     char **ret)
{
	fnp_autofree char *class = NULL, *method = NULL, *whole = NULL;
	int r = read_symbol(view, class_name, &class);

	r = r ?: read_constant(view, pool, index, &method);
	if (r < 0)
		return r;
	fnp_hotspot_class_name(class);
	if (asprintf(&whole, "%s.%s", class, method) < 0) {
		whole = NULL;
		return -ENOMEM;
	}
	*ret = TAKE_PTR(whole);
	return 0;
}

/* Where the index of the source file's name is: from 12 on in the constants, before that in the class. */
static uint64_t file_at(const struct fnp_hotspot_view *view, const struct fnp_hotspot_identity *identity)
{
	const struct fnp_hotspot_tables *t = &view->tables;

	if (fnp_hotspot_has(t, FNP_HOTSPOT_POOL_SOURCE_FILE))
		return identity->pool + t->values[FNP_HOTSPOT_POOL_SOURCE_FILE];
	if (fnp_hotspot_has(t, FNP_HOTSPOT_CLASS_SOURCE_FILE))
		return identity->holder + t->values[FNP_HOTSPOT_CLASS_SOURCE_FILE];
	return 0;
}

/*
 * NULL where there is none: a method that the JVM made for itself (MethodHandle.linkToStatic and its kin) has a pool of its
 * own, of a few constants, and no index in it that leads anywhere.
 */
static int read_file(const struct fnp_hotspot_view *view, const struct fnp_hotspot_identity *identity,
		     char **ret)
{
	uint64_t at = file_at(view, identity), length_at = view->tables.values[FNP_HOTSPOT_POOL_LENGTH];
	uint16_t index;
	uint32_t length = UINT32_MAX;
	int r;

	if (at == 0)
		return 0;
	r = read_bytes(view, at, &index, sizeof(index));
	if (r >= 0 && length_at != FNP_HOTSPOT_ABSENT)
		r = read_bytes(view, identity->pool + length_at, &length, sizeof(length));
	if (r < 0)
		return r;
	r = index && index < length ? read_constant(view, identity->pool, index, ret) : 0;
	return r == -ENOMEM ? r : 0;
}

/* The line table begins behind the bytecodes; how long it is only its end tells. */
static int read_table(const struct fnp_hotspot_view *view, uint64_t constant, const uint8_t *head,
		      struct fnp_hotspot_method *ret)
{
	const uint64_t *v = view->tables.values;
	bool is_new = fnp_hotspot_has(&view->tables, FNP_HOTSPOT_HAS_LINES);
	uint64_t flags_at = v[is_new ? FNP_HOTSPOT_CONST_NEW_FLAGS : FNP_HOTSPOT_CONST_FLAGS];
	uint64_t bit = v[is_new ? FNP_HOTSPOT_HAS_LINES : FNP_HOTSPOT_OLD_HAS_LINES];
	uint64_t start = v[FNP_HOTSPOT_SIZEOF_CONST] + (word_of(head, view->layout.const_code_size) & 0xffff);
	uint64_t size;

	if (flags_at > FNP_HOTSPOT_CONST_MAX - 8 || bit == FNP_HOTSPOT_ABSENT ||
	    !fnp_hotspot_has(&view->tables, FNP_HOTSPOT_CONST_WORDS) ||
	    v[FNP_HOTSPOT_CONST_WORDS] > FNP_HOTSPOT_CONST_MAX - 8 || !(word_of(head, flags_at) & bit & 0xffff))
		return 0;
	size = (word_of(head, v[FNP_HOTSPOT_CONST_WORDS]) & UINT32_MAX) * 8;
	if (size <= start || size - start > TABLE_MAX)
		return 0;
	ret->table = malloc(size - start);
	if (!ret->table)
		return -ENOMEM;
	ret->table_size = size - start;
	return FNP_MIN(read_bytes(view, constant + start, ret->table, ret->table_size), 0);
}

int fnp_hotspot_method_identify(const struct fnp_hotspot_view *view, uint64_t method,
				struct fnp_hotspot_identity *ret)
{
	const struct fnp_hotspot_layout *l = &view->layout;
	struct fnp_hotspot_identity id = {0};
	int r = read_pointer(view, method + l->method_const, &id.constant);

	r = r ?: read_bytes(view, id.constant, id.head, sizeof(id.head));
	if (r < 0)
		return r;
	id.pool = word_of(id.head, l->const_pool);
	if (r > 0)
		id.pool = fnp_hotspot_archive_pointer(&view->archive, id.pool);
	id.name = word_of(id.head, l->const_name) & 0xffff;
	r = read_pointer(view, id.pool + l->pool_holder, &id.holder);
	r = r ?: read_pointer(view, id.holder + l->class_name, &id.class_name);
	if (r < 0)
		return r;
	id.cookie = fnp_hotspot_cookie(id.constant, id.class_name, id.name);
	*ret = id;
	return 0;
}

int fnp_hotspot_method_read(const struct fnp_hotspot_view *view, const struct fnp_hotspot_identity *identity,
			    struct fnp_hotspot_method *ret)
{
	FNP_CLEANUP(fnp_hotspot_method_deinit) struct fnp_hotspot_method m = {.cookie = identity->cookie};
	int r = read_name(view, identity->class_name, identity->pool, identity->name, &m.name);

	r = r ?: read_file(view, identity, &m.file);
	r = r ?: read_table(view, identity->constant, identity->head, &m);
	if (r < 0)
		return r;
	*ret = m;
	m = (struct fnp_hotspot_method){0};
	return 0;
}

/* ---- lines -------------------------------------------------------------------------------------------------- */

int fnp_hotspot_unsigned5(struct fnp_cursor *c, bool without_zero, uint32_t *ret)
{
	uint32_t sum = 0;

	/* Bytes from 192 on say that there is more, in both forms; from 20 on no byte is 0, so each stands for one less. */
	for (int i = 0; i < 5; i++) {
		uint8_t byte;
		int r = fnp_cursor_u8(c, &byte);
		if (r < 0)
			return r;
		if (without_zero && byte == 0)
			return -EBADMSG;
		sum += (uint32_t)(byte - without_zero) << (6 * i);
		if (byte < 192)
			break;
	}
	*ret = sum;
	return 0;
}

static int read_signed(struct fnp_cursor *c, bool without_zero, int32_t *ret)
{
	uint32_t value;
	int r = fnp_hotspot_unsigned5(c, without_zero, &value);

	if (r == 0)
		*ret = (int32_t)(value >> 1) ^ -(int32_t)(value & 1);
	return r;
}

uint32_t fnp_hotspot_method_line(const struct fnp_hotspot_view *view, const struct fnp_hotspot_method *method,
				 uint32_t bci, uint32_t *ret_start)
{
	struct fnp_cursor c = fnp_cursor_of(method->table, method->table_size);
	bool without_zero = view->version >= 20;
	uint32_t line = 0, best = 0, first = 0, best_bci = 0, at = 0;
	bool found = false;
	uint8_t byte;

	while (fnp_cursor_u8(&c, &byte) == 0 && byte != 0) {
		if (byte == 0xff) {
			int32_t more_bci = 0, more_line = 0;
			if (read_signed(&c, without_zero, &more_bci) < 0 ||
			    read_signed(&c, without_zero, &more_line) < 0)
				break;
			at += (uint32_t)more_bci;
			line += (uint32_t)more_line;
		} else {
			at += byte >> 3;
			line += byte & 7;
		}
		if (first == 0)
			first = line;
		/* Not always in order; the last entry at or before the bytecode, the nearest one. */
		if (at <= bci && (!found || at >= best_bci)) {
			best = line;
			best_bci = at;
			found = true;
		}
	}
	*ret_start = first;
	return bci == UINT32_MAX ? 0 : best;
}
