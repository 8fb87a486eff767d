/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that came from elsewhere: made printable, made valid UTF-8, made a file name.
 */
#ifndef FNP_BASE_TEXT_H
#define FNP_BASE_TEXT_H

#include <stdbool.h>

#include "base/memory.h"

/* Replaces control characters (also DEL and the C1 range in UTF-8) by '?', in place. Tabs and newlines, too. */
void fnp_text_make_printable(char *text, size_t len);

/* True when the bytes are well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF). */
bool fnp_text_is_utf8(const char *text, size_t len);

/*
 * Copies `len` bytes to `ret` with every byte that is not part of well-formed UTF-8 replaced by '?', and a NUL
 * after. `ret` has at least len + 1 bytes; the result has at most len bytes, and its length is returned.
 */
size_t fnp_text_to_utf8(const char *text, size_t len, char *ret);

#define FNP_FILE_NAME_MAX 109 /* 100 bytes, '-', 8 hexadecimal digits */

/*
 * Writes a name that is safe in any directory: every byte but A-Za-z0-9._- , and a leading dot, becomes %XX;
 * a name of more than 100 bytes is cut there and ends in '-' and 8 hexadecimal digits of a hash of all of `text`.
 * Never empty: the empty text becomes "%". `ret` has FNP_FILE_NAME_MAX + 1 bytes.
 */
void fnp_text_file_name(const char *text, size_t len, char *ret);

/* A whole decimal number without sign, spaces or rest; -EINVAL, or -ERANGE past max. */
int fnp_text_parse_u64(const char *text, uint64_t max, uint64_t *ret);

/* "12.3 ms", "1.20 s", "850 ns": three figures, for people. Returns ret. */
const char *fnp_text_duration(uint64_t ns, char ret[static 16]);

#endif
