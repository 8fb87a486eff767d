/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of pprof on anything, packed or plain; what it accepts must be a profile that every format can write,
 * and what we wrote must be read back to the same bytes and sums. The first writing may tidy what a stranger wrote
 * (two value types of one name, say), so the second one is held to the third.
 */
#include "formats/format.h"
#include "formats/pprof_reader.h"

#define MAX_BYTES (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Writes and reads again; the bytes are the caller's, too. */
static struct fnp_profile *rewrite(const struct fnp_profile *profile, struct fnp_buffer *bytes)
{
	struct fnp_profile *again = NULL;

	if (fnp_pprof_encode_plain(profile, bytes) < 0 ||
	    fnp_pprof_read(bytes->data, bytes->len, bytes->len, &again) < 0)
		abort();
	return again;
}

static void check(const struct fnp_profile *profile)
{
	fnp_autobuffer struct fnp_buffer first = {0}, second = {0}, third = {0}, other = {0};
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *again = rewrite(profile, &first);
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *more = rewrite(again, &second);

	if (fnp_pprof_encode_plain(more, &third) < 0 || second.len != third.len ||
	    memcmp(second.data, third.data, second.len) != 0)
		abort();
	for (uint32_t i = 0; i < again->n_value_types; i++) {
		if (fnp_profile_sum(again, i) != fnp_profile_sum(more, i))
			abort();
	}
	for (size_t i = 0; fnp_formats[i]; i++) {
		if (fnp_formats[i]->encode(again, &other) < 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;

	if (fnp_pprof_read(data, len, MAX_BYTES, &profile) == 0)
		check(profile);
	return 0;
}
