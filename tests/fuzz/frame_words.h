/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of the words of any walk, whatever memory it met. */
#ifndef FNP_TESTS_FUZZ_FRAME_WORDS_H
#define FNP_TESTS_FUZZ_FRAME_WORDS_H

#include <stdlib.h>

#include "bpf/walk/walk.h"

/* Frames of `kind` have `n` words, each frame is whole, and the last is a marker where the walk did not reach a root. */
static inline void check_words(const struct fnp_walk *walk, uint32_t kind, uint32_t n)
{
	uint32_t i = 0;

	if (walk->n_words == 0 || walk->n_words > FNP_USER_WORDS_MAX)
		abort();
	while (i < walk->n_words) {
		uint64_t more = walk->words[i] >> FNP_WORD_MORE_SHIFT & 7;
		if (walk->words[i] >> FNP_WORD_KIND_SHIFT == kind && more != n - 1)
			abort();
		i += 1 + (uint32_t)more;
	}
	if (i != walk->n_words)
		abort();
	if (walk->truncation != FNP_TRUNCATION_NONE &&
	    walk->words[walk->n_words - 1] >> FNP_WORD_KIND_SHIFT != FNP_WORD_MARKER)
		abort();
}

#endif
