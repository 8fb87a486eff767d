/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What V8 as a runtime keeps of a process (v8.c), and its frames that were named (v8_known.c) by what they stand for
 * (v8_names.c).
 */
#ifndef FNP_SYMBOLIZER_V8_FRAMES_H
#define FNP_SYMBOLIZER_V8_FRAMES_H

#include "base/map.h"
#include "symbolizer/v8.h"

/* One named frame; those whose keys are equal stand in one list. */
struct fnp_v8_known {
	struct fnp_v8_known *next;
	uint64_t words[FNP_V8_WORDS];
	uint64_t address; /* made of what is shown: equal frames are one place */
	enum fnp_runtime_tier tier;
	const char *mapping;
	size_t n_lines;
	struct fnp_v8_line {
		char *name, *file;
		uint32_t start_line, line;
	} lines[];
};

struct fnp_v8_frames {
	struct fnp_map all;	  /* by their words */
	struct fnp_map functions; /* by their functions: one of these, whose last line is that function */
};

/* NULL: no memory. Its lines are to be filled. */
struct fnp_v8_known *fnp_v8_known_create(const uint64_t *words, size_t n_lines);
void fnp_v8_known_destroy(struct fnp_v8_known *known);
FNP_DEFINE_CLEANUP(fnp_v8_known_destroyp, struct fnp_v8_known *, fnp_v8_known_destroy)

/* NULL: not named yet. */
struct fnp_v8_known *fnp_v8_frames_find(const struct fnp_v8_frames *frames, const uint64_t *words);

/* The function of a frame under other words: it was moved between the sample and now. NULL: not known. */
const struct fnp_v8_known *fnp_v8_frames_find_function(const struct fnp_v8_frames *frames,
						       const uint64_t *words);

/* Takes it over when that succeeds. When there are too many, all others are forgotten. */
int fnp_v8_frames_add(struct fnp_v8_frames *frames, struct fnp_v8_known *known);
void fnp_v8_frames_deinit(struct fnp_v8_frames *frames);

static inline enum fnp_v8_frame fnp_v8_frame_of(const uint64_t *words)
{
	return words[0] >> FNP_V8_FRAME_SHIFT & 7;
}

#define FNP_V8_ADDRESS_MASK ((UINT64_C(1) << FNP_V8_FRAME_SHIFT) - 1)

struct fnp_runtime {
	struct fnp_v8_view view;
	const struct fnp_object *object;
	uint64_t bias;
	uint64_t stream_map; /* of the view */
	bool is_remapped, is_told;
	uint64_t not_before_ns; /* places of code are not looked for again */
	struct fnp_v8_places places;
	uint64_t copies[FNP_V8_COPIES_MAX]; /* of the builtins, also those that are gone; the newest is written last */
	size_t n_copies;
	struct fnp_v8_scripts *scripts;
	struct fnp_v8_units *units;
	struct fnp_v8_modules *modules;
	struct fnp_v8_frames frames;
	struct fnp_v8_code code; /* too big for the stack */
};

/* Names one frame, and remembers it. -ESRCH: what it was is gone. */
int fnp_v8_name(struct fnp_runtime *runtime, const uint64_t *words, struct fnp_v8_known **ret);

#endif
