/* SPDX-License-Identifier: Apache-2.0 */
/* How frames and profiles are called where a format has text alone: folded stacks, flame graphs, titles. */
#ifndef FNP_FORMATS_FRAME_TEXT_H
#define FNP_FORMATS_FRAME_TEXT_H

#include "base/buffer.h"
#include "formats/profile.h"

/* What is shown for a function that has no name at all. */
#define FNP_FRAME_NO_NAME "[unknown]"

/*
 * Appends the name of one line of a location (0 is the innermost), control characters replaced, and its suffix:
 * _[i] inlined, else _[k] kernel, else by tier _[j], _[0], _[a], else none.
 */
void fnp_frame_text(const struct fnp_profile *profile, const struct fnp_profile_location *location,
		    uint32_t line, struct fnp_buffer *ret);

/* Appends what the profile is of, on one line: function and request, else the program. */
void fnp_profile_title(const struct fnp_profile *profile, struct fnp_buffer *ret);

/* Appends text as a JSON string with its quotes; `<`, `>` and `&` are escaped, so that it may stand in HTML, too. */
void fnp_format_json_text(struct fnp_buffer *ret, const char *text);

/* Appends text for HTML content and quoted attributes; control characters become '?'. */
void fnp_format_html_text(struct fnp_buffer *ret, const char *text);

#endif
