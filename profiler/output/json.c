/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/json.h"

#include <errno.h>

#include "base/text.h"

static void key_of(struct fnp_buffer *b, const char *key)
{
	uint8_t last = b->len > 0 ? b->data[b->len - 1] : '\n';

	if (last != '{' && last != '[' && last != '\n' && last != ':')
		fnp_buffer_byte(b, ',');
	if (!key)
		return;
	fnp_buffer_byte(b, '"');
	fnp_buffer_text(b, key);
	fnp_buffer_append(b, "\":", 2);
}

void fnp_json_open(struct fnp_buffer *b, const char *key)
{
	key_of(b, key);
	fnp_buffer_byte(b, '{');
}

void fnp_json_close(struct fnp_buffer *b)
{
	fnp_buffer_byte(b, '}');
}

static void escape(struct fnp_buffer *b, unsigned char c)
{
	if (c == '"' || c == '\\') {
		fnp_buffer_byte(b, '\\');
		fnp_buffer_byte(b, c);
	} else if (c == '\n') {
		fnp_buffer_append(b, "\\n", 2);
	} else {
		fnp_buffer_printf(b, "\\u%04x", c);
	}
}

/* `text` is valid UTF-8. Runs that need no escape are copied whole. */
static void quoted(struct fnp_buffer *b, const char *text, size_t len)
{
	size_t run = 0;

	fnp_buffer_byte(b, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
			continue;
		fnp_buffer_append(b, text + run, i - run);
		escape(b, c);
		run = i + 1;
	}
	fnp_buffer_append(b, text + run, len - run);
	fnp_buffer_byte(b, '"');
}

void fnp_json_text(struct fnp_buffer *b, const char *key, const char *text)
{
	size_t len = strlen(text);

	key_of(b, key);
	if (fnp_text_is_utf8(text, len)) {
		quoted(b, text, len);
		return;
	}
	fnp_autofree char *repaired = malloc(len + 1);
	if (!repaired) {
		b->error = -ENOMEM;
		return;
	}
	quoted(b, repaired, fnp_text_to_utf8(text, len, repaired));
}

void fnp_json_u64(struct fnp_buffer *b, const char *key, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	key_of(b, key);
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	fnp_buffer_append(b, digits + at, sizeof(digits) - at);
}

void fnp_json_bool(struct fnp_buffer *b, const char *key, bool value)
{
	key_of(b, key);
	fnp_buffer_text(b, value ? "true" : "false");
}
