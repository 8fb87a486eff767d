/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walker over memory, registers and tables that anyone may have written: it must end, stay inside what it was
 * given, and leave room for its marker.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "bpf/walk/walk.h"

#define STACK 0x7ffc00000000ULL
#define CODE 0x400000ULL

struct memory {
	const uint8_t *bytes;
	size_t size;
};

static int read_stack(void *context, void *to, size_t size, fnp_u64 address)
{
	const struct memory *m = context;

	if (address < STACK || address - STACK > m->size || size > m->size - (address - STACK))
		return -1;
	memcpy(to, m->bytes + (address - STACK), size);
	return 0;
}

static void *find_ref(const struct fnp_walk_map *map, const void *key)
{
	(void)key;
	return map->values;
}

static struct fnp_walk walk;
static struct fnp_block lines[64];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fnp_cursor c = fnp_cursor_of(data, size);
	struct fnp_code_range ranges[3] = {{0}};
	struct fnp_table tables[4] = {{0}};
	struct fnp_space space = {.count = 3, .version = 1};
	struct fnp_space_ref ref = {.version = 1};
	struct fnp_walk_arena arena = {.blocks = lines, .n = FNP_ARRAY_SIZE(lines)};
	uint16_t registers[4];
	struct memory memory;

	if (fnp_cursor_copy(&c, registers, sizeof(registers)) < 0 ||
	    fnp_cursor_copy(&c, ranges, sizeof(ranges)) < 0 ||
	    fnp_cursor_copy(&c, tables, sizeof(tables)) < 0 || fnp_cursor_copy(&c, lines, sizeof(lines)) < 0)
		return 0;
	memory = (struct memory){c.pos, fnp_cursor_left(&c)};
	for (size_t i = 0; i < FNP_ARRAY_SIZE(ranges); i++) { /* ascending, as user space writes them */
		ranges[i].start = CODE + i * 0x10000;
		ranges[i].end = ranges[i].start + (ranges[i].end & 0xffff);
		ranges[i].kind &= 7;
	}
	struct fnp_walk_map maps[] = {
		{"fnp_pid_spaces", &ref, 1, sizeof(ref), find_ref},
		{"fnp_spaces", &space, 1, sizeof(space), NULL},
		{"fnp_code_ranges", ranges, FNP_ARRAY_SIZE(ranges), sizeof(ranges[0]), NULL},
		{"fnp_native_tables", tables, FNP_ARRAY_SIZE(tables), sizeof(tables[0]), NULL},
	};
	struct fnp_walk_env env = {.maps = maps,
				   .n_maps = FNP_ARRAY_SIZE(maps),
				   .arenas = &arena,
				   .n_arenas = 1,
				   .read = read_stack,
				   .context = &memory};
	fnp_walk_env = &env;
	memset(&walk, 0, sizeof(walk));
	memcpy(walk.regs, data, FNP_MIN(sizeof(walk.regs), size));
	walk.pc = CODE + registers[0];
	walk.sp = STACK + registers[1];
	walk.fp = STACK + registers[2];
	fnp_walk_init(&walk, 1);
	for (int i = 0; i <= FNP_WALK_CONTINUATIONS && fnp_walk_run(&walk); i++)
		;
	fnp_walk_end(&walk);
	if (walk.n_words == 0 || walk.n_words > FNP_USER_WORDS_MAX)
		abort();
	if (walk.truncation != FNP_TRUNCATION_NONE && walk.words[walk.n_words - 1] >> 60 != FNP_WORD_MARKER)
		abort();
	fnp_walk_env = NULL;
	return 0;
}
