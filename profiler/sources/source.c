/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of sources, and the two forms in which platforms write trace identities. */
#include "profiler/sources/source.h"

#include <ctype.h>

#define FNP_REGISTER(name) extern const struct fnp_source_ops fnp_source_##name;
#include "sources_registry.inc"
#undef FNP_REGISTER

#define FNP_REGISTER(name) &fnp_source_##name,
static const struct fnp_source_ops *const sources[] = {
#include "sources_registry.inc"
};
#undef FNP_REGISTER

void fnp_identity_deinit(struct fnp_identity *identity)
{
	free(identity->id);
	free(identity->function);
	free(identity->version);
	free(identity->trace_id);
	free(identity->parent_span_id);
	*identity = (struct fnp_identity){0};
}

void fnp_claim_deinit(struct fnp_claim *claim)
{
	fnp_identity_deinit(&claim->identity);
	*claim = (struct fnp_claim){0};
}

bool fnp_sources_claim(const struct fnp_environment *environment, struct fnp_claim *ret)
{
	for (size_t i = 0; i < FNP_ARRAY_SIZE(sources); i++) {
		fnp_autoclaim struct fnp_claim claim = {0};

		if (!sources[i]->claim(environment, &claim))
			continue;
		claim.source = sources[i];
		*ret = claim;
		claim = (struct fnp_claim){0};
		return true;
	}
	return false;
}

bool fnp_sources_wants_process(const struct fnp_environment *environment)
{
	fnp_autoclaim struct fnp_claim claim = {0};

	return fnp_sources_claim(environment, &claim);
}

/* Takes `n` hexadecimal digits from the front of `from` as lower case to `at`; all zero is no identity. */
static bool take_hex(struct fnp_span *from, size_t n, char *at)
{
	if (n > from->len)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isxdigit((unsigned char)from->data[i]))
			return false;
		at[i] = (char)tolower((unsigned char)from->data[i]);
	}
	at[n] = '\0';
	from->data += n;
	from->len -= n;
	return true;
}

static bool take_byte(struct fnp_span *from, char byte)
{
	if (from->len == 0 || from->data[0] != byte)
		return false;
	from->data++;
	from->len--;
	return true;
}

static bool any_bit(const char *hex)
{
	return hex[strspn(hex, "0")] != '\0';
}

static void replace(char **at, const char *text)
{
	free(*at);
	*at = strdup(text);
}

bool fnp_identity_set_traceparent(struct fnp_identity *identity, struct fnp_span value)
{
	char version[3], trace[33], parent[17], flags[3];

	if (!value.data || !take_hex(&value, 2, version) || !take_byte(&value, '-') ||
	    !take_hex(&value, 32, trace) || !take_byte(&value, '-') || !take_hex(&value, 16, parent) ||
	    !take_byte(&value, '-') || !take_hex(&value, 2, flags))
		return false;
	if (strcmp(version, "ff") == 0 || !any_bit(trace) || !any_bit(parent))
		return false;
	replace(&identity->trace_id, trace);
	replace(&identity->parent_span_id, parent);
	return true;
}

static void set_xray_part(struct fnp_identity *identity, struct fnp_span part)
{
	char hex[33];

	if (fnp_span_starts_with(part, "Root=1-")) {
		part.data += 7;
		part.len -= 7;
		if (take_hex(&part, 8, hex) && take_byte(&part, '-') && take_hex(&part, 24, hex + 8) &&
		    part.len == 0)
			replace(&identity->trace_id, hex);
	} else if (fnp_span_starts_with(part, "Parent=")) {
		part.data += 7;
		part.len -= 7;
		if (take_hex(&part, 16, hex) && part.len == 0)
			replace(&identity->parent_span_id, hex);
	}
}

void fnp_identity_set_xray(struct fnp_identity *identity, struct fnp_span value)
{
	while (value.len > 0) {
		const char *end = memchr(value.data, ';', value.len);
		struct fnp_span part = {.data = value.data,
					.len = end ? (size_t)(end - value.data) : value.len};
		size_t used = end ? part.len + 1 : part.len;

		value.data += used;
		value.len -= used;
		while (take_byte(&part, ' '))
			continue;
		set_xray_part(identity, part);
	}
}
