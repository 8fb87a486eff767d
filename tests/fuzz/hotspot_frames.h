/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzzers of Java frames share: the walk, and names of all that it found. */
#ifndef FNP_TESTS_FUZZ_HOTSPOT_FRAMES_H
#define FNP_TESTS_FUZZ_HOTSPOT_FRAMES_H

#include <stdlib.h>

#include "bpf/walk/walk.h"
#include "symbolizer/hotspot.h"
#include "tests/fuzz/frame_words.h"

static struct fnp_walk walk;

static void *find_ref(const struct fnp_walk_map *map, const void *key)
{
	(void)key;
	return map->values;
}

/* Walks from the registers in `walk`. */
static void walk_java(struct fnp_code_range *ranges, size_t n_ranges, struct fnp_hotspot_layout *layout,
		      bool is_leaf, int (*read)(void *context, void *to, size_t size, fnp_u64 address))
{
	struct fnp_table table = {0};
	struct fnp_space space = {.count = (uint32_t)n_ranges, .version = 1};
	struct fnp_space_ref ref = {.version = 1};
	struct fnp_walk_map maps[] = {
		{"fnp_pid_spaces", &ref, 1, sizeof(ref), find_ref},
		{"fnp_spaces", &space, 1, sizeof(space), NULL},
		{"fnp_code_ranges", ranges, n_ranges, sizeof(*ranges), NULL},
		{"fnp_native_tables", &table, 1, sizeof(table), NULL},
		{"fnp_hotspot_layouts", layout, 1, sizeof(*layout), NULL},
	};
	struct fnp_walk_env env = {.maps = maps, .n_maps = FNP_ARRAY_SIZE(maps), .read = read};

	fnp_walk_env = &env;
	fnp_walk_hotspot_on = true;
	fnp_walk_init(&walk, 1);
	walk.exact = walk.leaf = is_leaf;
	for (int i = 0; i <= FNP_WALK_CONTINUATIONS && fnp_walk_run(&walk); i++)
		;
	fnp_walk_end(&walk);
	fnp_walk_env = NULL;
}

/* Frames are named as hotspot.c does it: by address and cookie or compile id, right or not. */
static void name_all(const struct fnp_hotspot_view *view)
{
	FNP_CLEANUP(fnp_hotspot_cache_clear) struct fnp_hotspot_cache cache = {0};
	struct fnp_hotspot_chain chain;

	for (uint32_t i = 0; i + 1 < walk.n_words; i += 1 + (walk.words[i] >> FNP_WORD_MORE_SHIFT & 7)) {
		uint64_t address = walk.words[i] & FNP_WORD_VALUE_MASK & ~7ULL;
		uint32_t mark = (uint32_t)(walk.words[i + 1] >> 32), start;
		const struct fnp_hotspot_method *method;
		const struct fnp_hotspot_code *code;

		if (walk.words[i] >> FNP_WORD_KIND_SHIFT != FNP_WORD_HOTSPOT)
			continue;
		if (fnp_hotspot_cache_method(&cache, view, address, mark, &method) == 0) {
			if (!method->name || method->cookie != mark)
				abort();
			fnp_hotspot_method_line(view, method, (uint32_t)walk.words[i + 1], &start);
		}
		if (fnp_hotspot_cache_code(&cache, view, address, mark, &code) < 0)
			continue;
		fnp_hotspot_code_at(code, (uint32_t)walk.words[i + 1], &chain);
		for (uint32_t offset = 0; offset < 4096; offset += 61) {
			fnp_hotspot_code_at(code, offset | (offset & 1 ? FNP_HOTSPOT_LEAF : 0), &chain);
			if (chain.n == 0 || chain.n > FNP_RUNTIME_LINES_MAX || !chain.scopes[chain.n - 1].method)
				abort();
		}
	}
}

#endif
