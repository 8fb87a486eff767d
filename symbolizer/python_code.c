/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a code object says of itself: names and line table, from a copy that the kernel side took when it met the code
 * first, or from the memory of the living process.
 *
 * The memory may be anything by the time when we look: freed, used again, or hostile. So the object's type must be
 * right, its cookie must be that of the sample before and after the texts were read, and every length has a bound.
 */
#include "symbolizer/python.h"

#define TEXT_MAX 4096	 /* units of a text that are read */
#define TABLE_MAX 262144 /* bytes of a line table that are read */

void fnp_python_code_info_deinit(struct fnp_python_code_info *info)
{
	free(info->name);
	free(info->file);
	free(info->table);
	*info = (struct fnp_python_code_info){0};
}

static size_t put_utf8(uint32_t c, char *ret)
{
	if (c < 0x80) {
		ret[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		ret[0] = (char)(0xc0 | c >> 6);
		ret[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) { /* no character, or half of one (surrogateescape) */
		ret[0] = '?';
		return 1;
	}
	if (c < 0x10000) {
		ret[0] = (char)(0xe0 | c >> 12);
		ret[1] = (char)(0x80 | ((c >> 6) & 63));
		ret[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	ret[0] = (char)(0xf0 | c >> 18);
	ret[1] = (char)(0x80 | ((c >> 12) & 63));
	ret[2] = (char)(0x80 | ((c >> 6) & 63));
	ret[3] = (char)(0x80 | (c & 63));
	return 4;
}

char *fnp_python_text_to_utf8(const void *units, size_t n_bytes, uint8_t kind, bool cut)
{
	size_t n = kind ? n_bytes / kind : 0, len = 0;
	char *text = malloc(4 * n + sizeof("..."));

	if (!text)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		uint32_t c = 0;
		memcpy(&c, (const uint8_t *)units + i * kind, kind);
		len += put_utf8(c ?: '?', text + len);
	}
	memcpy(text + len, cut ? "..." : "", cut ? 4 : 1);
	return text;
}

/* ---- the kernel side's copy --------------------------------------------------------------------------------- */

static uint64_t padded(uint64_t n)
{
	return (n + 7) & ~UINT64_C(7);
}

static int take_text(struct fnp_cursor *c, const struct fnp_python_text *text, char **ret, bool *ret_cut)
{
	const uint8_t *bytes;

	if (text->kind != 1 && text->kind != 2 && text->kind != 4)
		return -ENODATA;
	if (text->copied % text->kind != 0 || fnp_cursor_bytes(c, padded(text->copied), &bytes) < 0)
		return -EBADMSG;
	bool cut = text->copied / text->kind < text->length;
	char *copy = fnp_python_text_to_utf8(bytes, text->copied, text->kind, cut);
	if (!copy)
		return -ENOMEM;
	*ret_cut |= cut;
	*ret = copy;
	return 0;
}

int fnp_python_code_info_take(struct fnp_cursor *c, struct fnp_python_code *ret_head,
			      struct fnp_python_code_info *ret)
{
	FNP_CLEANUP(fnp_python_code_info_deinit) struct fnp_python_code_info info = {0};
	struct fnp_cursor body, peek = *c;
	struct fnp_python_code head;
	const uint8_t *table = NULL;
	int r;

	if (fnp_cursor_copy(&peek, &head, sizeof(head)) < 0 || head.size < sizeof(head) ||
	    fnp_cursor_sub(c, head.size, &body) < 0 || fnp_cursor_skip(&body, sizeof(head)) < 0)
		return -EBADMSG;
	r = take_text(&body, &head.name, &info.name, &info.cut);
	r = r ?: take_text(&body, &head.file, &info.file, &info.cut);
	if (r == 0 && fnp_cursor_bytes(&body, head.table_copied, &table) < 0)
		r = -EBADMSG;
	if (r < 0)
		return r;
	info.table = malloc(head.table_copied + 1);
	if (!info.table)
		return -ENOMEM;
	memcpy(info.table, table, head.table_copied);
	info.table_size = head.table_copied;
	info.cut |= head.table_copied < head.table_length;
	info.first_line = head.first_line;
	*ret_head = head;
	*ret = info;
	info = (struct fnp_python_code_info){0};
	return 0;
}

/* ---- the process's memory ----------------------------------------------------------------------------------- */

static uint64_t u64_at(const uint8_t *bytes, uint16_t offset)
{
	uint64_t v;

	memcpy(&v, bytes + offset, sizeof(v));
	return v;
}

static uint32_t u32_at(const uint8_t *bytes, uint16_t offset)
{
	uint32_t v;

	memcpy(&v, bytes + offset, sizeof(v));
	return v;
}

static int read_text(pid_t pid, const struct fnp_python_layout *l, uint64_t address, char **ret, bool *ret_cut)
{
	uint8_t head[72] = {0}, units[4 * TEXT_MAX];
	uint64_t length;
	uint32_t state;

	int r = fnp_runtime_read(pid, address, head, l->text_state + 4u);
	if (r < 0)
		return r;
	length = u64_at(head, l->text_length);
	state = u32_at(head, l->text_state) >> l->text_kind_bit;
	uint8_t kind = state & 7;
	if ((kind != 1 && kind != 2 && kind != 4) || !(state & 8) || length > UINT32_MAX)
		return -EBADMSG;
	bool cut = length > TEXT_MAX;
	size_t n = cut ? TEXT_MAX : length;
	r = n ? fnp_runtime_read(pid, address + (state & 16 ? l->text_size : l->text_wide), units, n * kind)
	      : 0;
	if (r < 0)
		return r;
	char *text = fnp_python_text_to_utf8(units, n * kind, kind, cut);
	if (!text)
		return -ENOMEM;
	*ret_cut |= cut;
	*ret = text;
	return 0;
}

static int read_table(pid_t pid, const struct fnp_python_layout *l, uint64_t address,
		      struct fnp_python_code_info *info)
{
	uint8_t head[64];
	int r = fnp_runtime_read(pid, address, head, l->bytes_size + 8u);

	if (r < 0)
		return r;
	uint64_t size = u64_at(head, l->bytes_size);
	if (size > TABLE_MAX)
		return -EBADMSG;
	fnp_autofree uint8_t *table = malloc(size + 1);
	if (!table)
		return -ENOMEM;
	r = size ? fnp_runtime_read(pid, address + l->bytes_data, table, size) : 0;
	if (r < 0)
		return r;
	info->table = TAKE_PTR(table);
	info->table_size = size;
	return 0;
}

static uint32_t read_digest_bytes(pid_t pid, uint64_t from, uint64_t size)
{
	uint64_t words[FNP_PYTHON_DIGEST_MAX / 8] = {0}, n = FNP_MIN(size, FNP_PYTHON_DIGEST_MAX), digest = n;

	if (n && fnp_runtime_read(pid, from + size - n, words, n) < 0)
		return 0;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(words); i++)
		digest = fnp_python_mix(digest, words[i]);
	return (uint32_t)(digest >> 32);
}

/* As fnp_python_digest() of the walker; `begin` as its FNP_PYTHON_DIGEST_BEGIN. */
static uint32_t read_digest(pid_t pid, const struct fnp_python_layout *l, uint64_t object, bool is_text,
			    uint64_t *begin)
{
	uint8_t head[80] = {0};

	if (l->text_size + 8u > 64 || fnp_runtime_read(pid, object, head, l->text_size + 8u) < 0)
		return 0;
	*begin = u64_at(head, l->text_size);
	uint64_t length = u64_at(head, is_text ? l->text_length : l->bytes_size);
	if (!is_text)
		return read_digest_bytes(pid, object + l->bytes_data, length);
	uint64_t hash = u64_at(head, l->text_length + 8);
	if (hash != UINT64_MAX)
		return (uint32_t)(hash ^ hash >> 32);
	uint32_t state = u32_at(head, l->text_state) >> l->text_kind_bit;
	return read_digest_bytes(pid, object + (state & 16 ? l->text_size : l->text_wide),
				 length * (state & 7));
}

/* As fnp_python_identity() of the walker. */
static uint32_t read_identity(pid_t pid, const struct fnp_python_layout *l, uint64_t address,
			      const uint8_t *code)
{
	if (l->code_version)
		return u32_at(code, l->code_version);
	uint64_t name_begin = 0, begin;
	uint64_t identity = fnp_python_mix(address,
					   read_digest(pid, l, u64_at(code, l->code_name), true, &name_begin));
	identity = fnp_python_mix(identity, read_digest(pid, l, u64_at(code, l->code_file), true, &begin));
	if (fnp_python_says_nothing(name_begin))
		identity = fnp_python_mix(identity,
					  read_digest(pid, l, u64_at(code, l->code_table), false, &begin));
	return (uint32_t)(identity >> 32);
}

/* The head of the code object, if it still is the one with this cookie. */
static int read_head(const struct fnp_python_place *place, const struct fnp_python_layout *l, uint64_t code,
		     uint32_t cookie, uint8_t *ret)
{
	int r = fnp_runtime_read(place->pid, code, ret, l->code_size);

	if (r < 0)
		return -ESRCH;
	if (l->code_type && u64_at(ret, l->code_type_offset) != l->code_type + place->bias)
		return -ESRCH;
	return fnp_python_cookie(u64_at(ret, l->code_name), u64_at(ret, l->code_file),
				 u64_at(ret, l->code_table), u32_at(ret, l->code_first_line),
				 read_identity(place->pid, l, code, ret)) == cookie
		       ? 0
		       : -ESRCH;
}

int fnp_python_code_info_read(const struct fnp_python_place *place, const struct fnp_python_layout *l,
			      uint64_t code, uint32_t cookie, struct fnp_python_code_info *ret)
{
	FNP_CLEANUP(fnp_python_code_info_deinit) struct fnp_python_code_info info = {0};
	uint8_t head[FNP_PYTHON_CODE_MAX], again[FNP_PYTHON_CODE_MAX];
	int r = read_head(place, l, code, cookie, head);

	if (r < 0)
		return r;
	r = read_text(place->pid, l, u64_at(head, l->code_name), &info.name, &info.cut);
	r = r ?: read_text(place->pid, l, u64_at(head, l->code_file), &info.file, &info.cut);
	r = r ?: read_table(place->pid, l, u64_at(head, l->code_table), &info);
	r = r ?: read_head(place, l, code, cookie, again);
	if (r < 0)
		return r == -ENOMEM ? r : -ESRCH;
	info.first_line = u32_at(head, l->code_first_line);
	*ret = info;
	info = (struct fnp_python_code_info){0};
	return 0;
}
