/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that were named once, remembered by their words, whose cookies make them one thing; and by their functions, whose
 * words change when they are moved.
 */
#include "symbolizer/v8_frames.h"

#define FRAMES_MAX 65536

struct fnp_v8_known *fnp_v8_known_create(const uint64_t *words, size_t n_lines)
{
	struct fnp_v8_known *known = calloc(1, sizeof(*known) + n_lines * sizeof(known->lines[0]));

	if (known) {
		memcpy(known->words, words, sizeof(known->words));
		known->n_lines = n_lines;
	}
	return known;
}

void fnp_v8_known_destroy(struct fnp_v8_known *known)
{
	for (size_t i = 0; known && i < known->n_lines; i++) {
		free(known->lines[i].name);
		free(known->lines[i].file);
	}
	free(known);
}

void fnp_v8_frames_deinit(struct fnp_v8_frames *frames)
{
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&frames->all, slot));) {
		for (struct fnp_v8_known *known = (void *)(uintptr_t)slot->value, *next; known; known = next) {
			next = known->next;
			fnp_v8_known_destroy(known);
		}
	}
	fnp_map_deinit(&frames->all);
	fnp_map_deinit(&frames->functions);
	*frames = (struct fnp_v8_frames){0};
}

static uint64_t key_of(const uint64_t *words)
{
	uint64_t key = words[0];

	for (size_t i = 1; i < FNP_V8_WORDS; i++)
		key = (key ^ key >> 32) * 0x9e3779b97f4a7c15ULL ^ words[i];
	return key;
}

struct fnp_v8_known *fnp_v8_frames_find(const struct fnp_v8_frames *frames, const uint64_t *words)
{
	struct fnp_v8_known *known = fnp_map_find_ptr(&frames->all, key_of(words));

	while (known && memcmp(known->words, words, sizeof(known->words)) != 0)
		known = known->next;
	return known;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; text && *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ULL;
	return (hash ^ 0xff) * 0x100000001b3ULL;
}

/* Equal for what is shown alike: objects move, and their words change, but the place is the same. */
static uint64_t address_of(const struct fnp_v8_known *known)
{
	uint64_t hash = hash_text(0xcbf29ce484222325ULL, known->mapping);

	for (size_t i = 0; i < known->n_lines; i++) {
		const struct fnp_v8_line *line = &known->lines[i];
		hash = hash_text(hash_text(hash, line->name), line->file);
		hash = (hash ^ line->line ^ (uint64_t)line->start_line << 32) * 0xff51afd7ed558ccdULL;
	}
	return hash >> 16;
}

/* Does the frame say which function it is? What was read after its time does not. */
static bool has_function(const uint64_t *words)
{
	return fnp_v8_frame_of(words) != FNP_V8_CODE && words[1] &&
	       !(fnp_v8_frame_of(words) == FNP_V8_COMPILED && words[2] & FNP_V8_LATE);
}

static uint64_t key_of_function(const uint64_t *words)
{
	return (words[1] ^ words[1] >> 32) * 0x9e3779b97f4a7c15ULL ^ (uint32_t)words[3];
}

int fnp_v8_frames_add(struct fnp_v8_frames *frames, struct fnp_v8_known *known)
{
	uint64_t key = key_of(known->words), function = key_of_function(known->words);
	int r = 0;

	if (frames->all.len >= FRAMES_MAX)
		fnp_v8_frames_deinit(frames);
	known->next = fnp_map_find_ptr(&frames->all, key);
	known->address = address_of(known);
	if (has_function(known->words) && !fnp_map_find(&frames->functions, function))
		r = fnp_map_set_ptr(&frames->functions, function, known);
	if (r == 0)
		r = fnp_map_set_ptr(&frames->all, key, known);
	if (r < 0)
		fnp_map_remove(&frames->functions, function);
	return r;
}

const struct fnp_v8_known *fnp_v8_frames_find_function(const struct fnp_v8_frames *frames, const uint64_t *words)
{
	const struct fnp_v8_known *known = has_function(words) ? fnp_map_find_ptr(&frames->functions,
										  key_of_function(words))
							       : NULL;

	return known && known->words[1] == words[1] && (uint32_t)known->words[3] == (uint32_t)words[3] ? known
												       : NULL;
}
