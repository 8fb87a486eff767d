/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON written straight into a buffer: for lines that are written thousands of times a second.
 *
 * Members are appended in order; the comma before each is decided by the byte that stands before it, so there is
 * no state and nothing to close but what was opened. Texts are made valid UTF-8 and escaped; whatever bytes they
 * hold, a line stays one line. Files that are written once are made with jansson instead.
 */
#ifndef FNP_PROFILER_OUTPUT_JSON_H
#define FNP_PROFILER_OUTPUT_JSON_H

#include <stdbool.h>

#include "base/buffer.h"

/* Opens an object: as the value of `key`, or, with NULL, as an item or the whole. */
void fnp_json_open(struct fnp_buffer *b, const char *key);
void fnp_json_close(struct fnp_buffer *b);

/* `key` is one of ours and is not escaped. */
void fnp_json_text(struct fnp_buffer *b, const char *key, const char *text);
void fnp_json_u64(struct fnp_buffer *b, const char *key, uint64_t number);
void fnp_json_bool(struct fnp_buffer *b, const char *key, bool value);

#endif
