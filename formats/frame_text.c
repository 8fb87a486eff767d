/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/frame_text.h"

#include "base/text.h"

static const char *suffix(const struct fnp_profile_location *location, bool is_inlined)
{
	if (is_inlined)
		return "_[i]";
	if (location->kind == FNP_FRAME_KERNEL)
		return "_[k]";
	switch ((enum fnp_frame_tier)location->tier) {
	case FNP_TIER_JIT:
		return "_[j]";
	case FNP_TIER_INTERPRETED:
		return "_[0]";
	case FNP_TIER_AWAITING:
		return "_[a]";
	case FNP_TIER_NONE:
		break;
	}
	return "";
}

void fnp_frame_text(const struct fnp_profile *profile, const struct fnp_profile_location *location,
		    uint32_t line, struct fnp_buffer *ret)
{
	uint32_t function = profile->lines.items[location->first_line + line].function;
	const char *name = fnp_profile_string(profile, profile->functions.items[function].name);
	size_t start = ret->len;

	fnp_buffer_text(ret, *name ? name : FNP_FRAME_NO_NAME);
	if (ret->error)
		return;
	fnp_text_make_printable((char *)ret->data + start, ret->len - start);
	fnp_buffer_text(ret, suffix(location, line + 1 < location->n_lines));
}

/* The text of a label that all samples have; what was read from a file has it on each. */
static const char *label_text(const struct fnp_profile *profile, const char *key)
{
	const struct fnp_profile_label *labels = profile->common_labels.items;
	size_t n = profile->common_labels.len;

	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < n; i++) {
			if (labels[i].unit == FNP_LABEL_TEXT &&
			    strcmp(fnp_profile_string(profile, labels[i].key), key) == 0)
				return fnp_profile_string(profile, labels[i].text);
		}
		if (profile->samples.len == 0 || profile->labels.len == 0)
			break;
		labels = profile->labels.items + profile->samples.items[0].first_label;
		n = profile->samples.items[0].n_labels;
	}
	return "";
}

void fnp_profile_title(const struct fnp_profile *profile, struct fnp_buffer *ret)
{
	const char *function = label_text(profile, "function"), *request = label_text(profile, "request_id");
	size_t start = ret->len;

	fnp_buffer_text(ret, function);
	if (*function && *request)
		fnp_buffer_byte(ret, ' ');
	fnp_buffer_text(ret, request);
	if (ret->len == start && profile->mappings.len) {
		const char *file = fnp_profile_string(profile, profile->mappings.items[0].file);
		const char *slash = strrchr(file, '/');
		fnp_buffer_text(ret, slash ? slash + 1 : file);
	}
	if (ret->len > start)
		fnp_text_make_printable((char *)ret->data + start, ret->len - start);
}

void fnp_format_json_text(struct fnp_buffer *ret, const char *text)
{
	fnp_buffer_byte(ret, '"');
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '"' || c == '\\') {
			fnp_buffer_byte(ret, '\\');
			fnp_buffer_byte(ret, c);
		} else if (c < 0x20 || c == 0x7f || c == '<' || c == '>' || c == '&') {
			fnp_buffer_printf(ret, "\\u%04x", c);
		} else {
			fnp_buffer_byte(ret, c);
		}
	}
	fnp_buffer_byte(ret, '"');
}

void fnp_format_html_text(struct fnp_buffer *ret, const char *text)
{
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
			fnp_buffer_printf(ret, "&#%u;", c);
		else
			fnp_buffer_byte(ret, c < 0x20 || c == 0x7f ? '?' : c);
	}
}
