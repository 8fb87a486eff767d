/* SPDX-License-Identifier: Apache-2.0 */
/* Every text of a target passes through one of these before it reaches a terminal, a file or a path. */
#include "base/text.h"

#include <errno.h>

#include <xxhash.h>

#define FILE_NAME_CUT 100

/* Length of the well-formed UTF-8 sequence at p, or 0 (Unicode 15, table 3-7). */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (len > left || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	}
	return len;
}

void fnp_text_make_printable(char *text, size_t len)
{
	unsigned char *p = (unsigned char *)text;

	for (size_t i = 0; i < len; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f)
			p[i] = '?';
		else if (p[i] == 0xc2 && i + 1 < len && p[i + 1] >= 0x80 && p[i + 1] <= 0x9f)
			p[i] = p[i + 1] = '?';
	}
}

bool fnp_text_is_utf8(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence(p + i, len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

size_t fnp_text_to_utf8(const char *text, size_t len, char *ret)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t out = 0;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence(p + i, len - i);
		if (n == 0) {
			ret[out++] = '?';
			i++;
			continue;
		}
		memcpy(ret + out, text + i, n);
		out += n;
		i += n;
	}
	ret[out] = '\0';
	return out;
}

static bool plain_in_file_name(unsigned char c, bool first)
{
	if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		return true;
	return c == '_' || c == '-' || (c == '.' && !first);
}

void fnp_text_file_name(const char *text, size_t len, char *ret)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t out = 0, i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		size_t need = plain_in_file_name(c, i == 0) ? 1 : 3;

		if (out > FILE_NAME_CUT - need)
			break;
		if (need == 1) {
			ret[out++] = (char)c;
		} else {
			ret[out++] = '%';
			ret[out++] = hex[c >> 4];
			ret[out++] = hex[c & 15];
		}
	}
	if (len == 0)
		ret[out++] = '%';
	ret[out] = '\0';
	if (i < len)
		snprintf(ret + out, FNP_FILE_NAME_MAX + 1 - out, "-%08x", (unsigned int)XXH3_64bits(text, len));
}

int fnp_text_parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		uint64_t digit = (uint64_t)(*p - '0');
		if (digit > max || value > (max - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	*ret = value;
	return 0;
}

const char *fnp_text_duration(uint64_t ns, char ret[static 16])
{
	static const struct {
		double ns;
		const char *unit;
	} units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};

	for (size_t i = 0; i < FNP_ARRAY_SIZE(units); i++) {
		double value = (double)ns / units[i].ns;
		if (value >= 0.9995) {
			int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
			snprintf(ret, 16, "%.*f %s", decimals, value, units[i].unit);
			return ret;
		}
	}
	snprintf(ret, 16, "%u ns", (unsigned int)ns);
	return ret;
}
