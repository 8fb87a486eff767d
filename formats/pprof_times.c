/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Written number by number, read character by character: it is the one text within a pprof file that has a grammar.
 */
#include "formats/pprof_times.h"

#include <inttypes.h>

/* The times by sample. */
struct times {
	uint32_t *first;   /* by sample, and one more: into `numbers` */
	uint32_t *numbers; /* in the profile's times */
};

static void times_deinit(struct times *times)
{
	free(times->first);
	free(times->numbers);
}

/* Brings the times into the order of their samples, by counting. */
static int sort_times(const struct fnp_profile *profile, struct times *ret)
{
	size_t n = profile->times.len;

	if (n > UINT32_MAX)
		return -ENOSPC;
	ret->first = calloc(profile->samples.len + 1, sizeof(*ret->first));
	ret->numbers = calloc(n, sizeof(*ret->numbers));
	if (!ret->first || !ret->numbers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ret->first[profile->times.items[i].sample]++;
	for (size_t i = 1; i <= profile->samples.len; i++)
		ret->first[i] += ret->first[i - 1];
	/* Each stands at its end now, and moves to its begin. */
	for (size_t i = n; i-- > 0;)
		ret->numbers[--ret->first[profile->times.items[i].sample]] = (uint32_t)i;
	return 0;
}

int fnp_pprof_times_write(const struct fnp_profile *profile, struct fnp_buffer *ret)
{
	FNP_CLEANUP(times_deinit) struct times times = {0};
	char text[64];
	int r;

	if (profile->times.len == 0)
		return 0;
	r = sort_times(profile, &times);
	if (r < 0)
		return r;
	fnp_buffer_append(ret, FNP_PPROF_TIMES_BEGIN, strlen(FNP_PPROF_TIMES_BEGIN));
	for (size_t number = 0; number < profile->samples.len; number++) {
		uint32_t begin = times.first[number], end = times.first[number + 1];
		int n = begin < end ? snprintf(text, sizeof(text), "%zu", number + 1) : 0;

		fnp_buffer_append(ret, text, (size_t)n);
		for (uint32_t i = begin; i < end; i++) {
			const struct fnp_profile_time *time = &profile->times.items[times.numbers[i]];
			n = snprintf(text, sizeof(text), " %" PRIu32 " %" PRId64, time->tid, time->offset_ns);
			fnp_buffer_append(ret, text, (size_t)n);
		}
		if (begin < end)
			fnp_buffer_append(ret, "|", 1);
	}
	return ret->error;
}

/* A decimal number and the one character after it; false at what is none. */
static bool read_decimal(struct fnp_cursor *text, int64_t *ret, char *ret_after)
{
	bool negative = false, any = false;
	uint64_t value = 0;
	uint8_t c;

	while (fnp_cursor_u8(text, &c) == 0) {
		if (c == '-' && !negative && !any) {
			negative = true;
		} else if (c >= '0' && c <= '9') {
			if (value >= INT64_MAX / 10)
				return false;
			value = value * 10 + (uint64_t)(c - '0');
			any = true;
		} else {
			*ret = negative ? -(int64_t)value : (int64_t)value;
			*ret_after = (char)c;
			return any;
		}
	}
	return false;
}

/* The times of one sample, up to its bar. */
static int read_sample(struct fnp_cursor *text, const uint32_t *samples, size_t n_samples,
		       struct fnp_profile *profile)
{
	struct fnp_profile_time one = {0};
	int64_t number, tid;
	char after;
	int e = 0;

	if (!read_decimal(text, &number, &after) || number < 1 || (uint64_t)number > n_samples)
		return -EBADMSG;
	one.sample = samples[number - 1];
	while (e == 0 && after == ' ') {
		if (!read_decimal(text, &tid, &after) || after != ' ' || tid < 0 || tid > UINT32_MAX ||
		    !read_decimal(text, &one.offset_ns, &after))
			return -EBADMSG;
		one.tid = (uint32_t)tid;
		e = fnp_profile_add_time(profile, &one);
	}
	return e == 0 && after != '|' ? -EBADMSG : e;
}

int fnp_pprof_times_read(struct fnp_cursor text, const uint32_t *samples, size_t n_samples,
			 struct fnp_profile *ret)
{
	size_t len = strlen(FNP_PPROF_TIMES_BEGIN);
	const uint8_t *begin;
	int e = 0;

	if (fnp_cursor_bytes(&text, len, &begin) < 0 || memcmp(begin, FNP_PPROF_TIMES_BEGIN, len) != 0)
		return 0;
	while (e == 0 && fnp_cursor_left(&text))
		e = read_sample(&text, samples, n_samples, ret);
	return e == -ENOMEM ? e : 0;
}
