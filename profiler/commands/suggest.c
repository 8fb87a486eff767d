/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/commands/suggest.h"

#include "base/memory.h"

#define WORD_MAX 32

/* Damerau's distance with neighbours swapped (optimal string alignment). Both words are short. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= a_len; i++)
		rows[i][0] = i;
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		for (size_t j = 1; j <= b_len; j++) {
			size_t change = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			size_t best = FNP_MIN(change, FNP_MIN(rows[i - 1][j], rows[i][j - 1]) + 1);

			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = FNP_MIN(best, rows[i - 2][j - 2] + 1);
			rows[i][j] = best;
		}
	}
	return rows[a_len][b_len];
}

const char *fnp_suggest(const char *word, const char *const *candidates, size_t n_candidates)
{
	size_t word_len = strlen(word), best = 3;
	const char *found = NULL;

	if (word_len == 0 || word_len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n_candidates; i++) {
		size_t len = strlen(candidates[i]);
		size_t d = len > WORD_MAX ? best : distance(word, word_len, candidates[i], len);

		/* Half of a short word changed is another word; its beginning is what people type. */
		if (word_len >= 3 && strncmp(word, candidates[i], word_len) == 0)
			d = 1;
		if (d < best && d * 2 <= FNP_MAX(word_len, len)) {
			best = d;
			found = candidates[i];
		}
	}
	return found;
}
