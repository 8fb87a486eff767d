/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JavaScript frames of a process whose memory is anything: the walker over a stack of frame pointers whose slots are
 * the input; then the reader of names, scripts, code and positions over a heap that is the input. The heap lies in this
 * process's own memory, words that look like tagged pointers are made to point into it, and constants may lie, too.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "bpf/walk/walk.h"
#include "symbolizer/v8.h"
#include "tests/fuzz/frame_words.h"

#define STACK 0x7ffc00000000ULL
#define STACK_BYTES 0x100000ULL
#define CODE 0x400000ULL
#define FRAME 64 /* bytes of a frame */
#define HEAP_WORDS 2048

static _Alignas(4096) uint64_t heap[HEAP_WORDS];

struct memory {
	const uint8_t *bytes;
	size_t size;
};

static uint64_t input_word(const struct memory *m, uint64_t address)
{
	uint64_t word = 0;

	for (size_t i = 0; m->size && i < sizeof(word); i++)
		word |= (uint64_t)m->bytes[(address + i) % m->size] << 8 * i;
	return word;
}

/* Frame pointers and return addresses that go on, in code, builtins and other code in turn; slots are the input. */
static uint64_t stack_word(const struct memory *m, uint64_t address)
{
	uint64_t frame = address & ~(uint64_t)(FRAME - 1);

	if ((address & (FRAME - 1)) == 0)
		return frame + FRAME;
	if ((address & (FRAME - 1)) == 8)
		return CODE + (input_word(m, address) & 3) * 0x10000 + 0x100;
	return input_word(m, address);
}

static int read_any(void *context, void *to, size_t size, fnp_u64 address)
{
	const struct memory *m = context;
	uint8_t *out = to;

	if (m->size == 0 || address >> 47)
		return -1;
	for (size_t done = 0; done < size; done += 8) {
		bool in_stack = address >= STACK && address < STACK + STACK_BYTES;
		uint64_t word = in_stack ? stack_word(m, address + done) : input_word(m, address + done);
		memcpy(out + done, &word, FNP_MIN(size - done, sizeof(word)));
	}
	return 0;
}

static void *find_ref(const struct fnp_walk_map *map, const void *key)
{
	(void)key;
	return map->values;
}

static struct fnp_v8_layout layout_of_24(void)
{
	return (struct fnp_v8_layout){.map_type = 11,
				      .function_shared = 31,
				      .shared_name = 23,
				      .shared_script = 39,
				      .shared_shape = 47,
				      .shared_literal = 59,
				      .script_id = 63,
				      .bytecode_data = 63,
				      .type_shared = 282,
				      .type_script = 167,
				      .type_bytecode = 186,
				      .slot_context = 8,
				      .slot_function = 16,
				      .slot_bytecode = 32,
				      .slot_offset = 40};
}

static struct fnp_walk walk;

static void walk_all(struct fnp_cursor c)
{
	struct fnp_v8_layout layout = layout_of_24();
	struct fnp_code_range ranges[4] = {
		{.start = CODE, .end = CODE + 0x10000, .kind = FNP_CODE_V8},
		{.start = CODE + 0x10000, .end = CODE + 0x20000, .kind = FNP_CODE_V8, .data = 1},
		{.start = CODE + 0x20000, .end = CODE + 0x30000, .kind = FNP_CODE_V8, .data = 2},
		{.start = CODE + 0x30000, .end = CODE + 0x40000, .object = 1},
	};
	struct fnp_table tables[2] = {{0}, {.pages = FNP_TABLE_FRAME_POINTERS}};
	struct fnp_space space = {.count = 4, .version = 1};
	struct fnp_space_ref ref = {.version = 1};
	uint8_t which = 0;

	fnp_cursor_u8(&c, &which);
	/* Types that the input's words have often, and a layout of anything. */
	if (which & 1)
		layout.type_shared = layout.type_script = layout.type_bytecode = which;
	if (which & 2)
		fnp_cursor_copy(&c, &layout, sizeof(layout));
	layout.shared_data = 15;
	layout.data_bytecode = 7;
	layout.late = which >> 4 & 1;
	struct memory memory = {c.pos, fnp_cursor_left(&c)};
	struct fnp_walk_map maps[] = {
		{"fnp_pid_spaces", &ref, 1, sizeof(ref), find_ref},
		{"fnp_spaces", &space, 1, sizeof(space), NULL},
		{"fnp_code_ranges", ranges, FNP_ARRAY_SIZE(ranges), sizeof(ranges[0]), NULL},
		{"fnp_native_tables", tables, FNP_ARRAY_SIZE(tables), sizeof(tables[0]), NULL},
		{"fnp_v8_layouts", &layout, 1, sizeof(layout), NULL},
	};
	struct fnp_walk_env env = {
		.maps = maps, .n_maps = FNP_ARRAY_SIZE(maps), .read = read_any, .context = &memory};

	fnp_walk_env = &env;
	fnp_walk_v8_on = true;
	memset(&walk, 0, sizeof(walk));
	walk.pc = CODE + (which >> 2 & 3) * 0x10000 + 0x40;
	walk.sp = STACK + 8;
	walk.fp = STACK + FRAME;
	fnp_walk_init(&walk, 1);
	for (int i = 0; i <= FNP_WALK_CONTINUATIONS && fnp_walk_run(&walk); i++)
		;
	fnp_walk_end(&walk);
	fnp_walk_env = NULL;
}

/* Fills the heap with the input; odd words become pointers into it. */
static void fill_heap(struct fnp_cursor c)
{
	uint64_t word;

	memset(heap, 0, sizeof(heap));
	for (size_t i = 0; i < HEAP_WORDS && fnp_cursor_copy(&c, &word, sizeof(word)) == 0; i++) {
		if ((word & 3) == 1)
			word = (uint64_t)(uintptr_t)&heap[(word >> 3) % HEAP_WORDS] + 1;
		heap[i] = word;
	}
}

static uint32_t hash_around(uint64_t next)
{
	uint64_t around[2];

	memcpy(around, (const uint8_t *)(uintptr_t)next - 8, sizeof(around));
	return fnp_v8_code_hash(around[0], around[1]);
}

static void read_all(struct fnp_cursor c)
{
	uint64_t stream_map = (uint64_t)(uintptr_t)&heap[8] + 1;
	struct fnp_v8_view view = {.pid = getpid(), .layout = layout_of_24(), .stream_map = &stream_map};
	static struct fnp_v8_code code;
	struct fnp_v8_scripts *scripts = NULL;
	struct fnp_v8_units *units = NULL;
	uint8_t byte = 0;

	for (size_t i = 0; i < FNP_V8_CONSTANTS_MAX; i++) {
		fnp_cursor_u8(&c, &byte);
		view.tables.values[i] = byte;
	}
	view.tables.values[FNP_V8_FIRST_NO_STRING] = 128;
	view.tables.code_deopt = 8;
	view.tables.code_positions = 16;
	view.tables.code_start = byte & 1 ? 40 : 24;
	view.tables.code_flags = 52;
	view.tables.code_size = 56;
	view.tables.stream_code = byte & 2 ? 8 : 0;
	view.tables.stream_start = 32;
	view.tables.bytecode_positions = 24;
	view.tables.type_stream = byte;
	fill_heap(c);
	if (fnp_v8_scripts_create(false, &scripts) < 0 || fnp_v8_units_create(&units) < 0)
		abort();
	for (size_t i = 0; i < 64; i++) {
		FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
		uint64_t object = (uint64_t)(uintptr_t)&heap[i * 8] + 1;
		const struct fnp_v8_script *script;
		char *text = NULL;

		if (fnp_v8_string(&view, object, 256, &text) == 0 && !text)
			abort();
		free(text);
		fnp_v8_function_read(&view, object, &function);
		for (uint32_t id = 0; id < 2; id++) {
			if (fnp_v8_scripts_get(scripts, &view, object, id, &script) == 0)
				fnp_v8_script_line(script, (int32_t)i);
		}
		fnp_v8_bytecode_position(&view, object, (uint32_t)i);
		if (i % 16 == 0)
			fnp_v8_units_read(units, &view, scripts,
					  &(struct fnp_v8_where){.pc = object + 200,
								 .next = object + 201,
								 .hash = hash_around(object + 201),
								 .own = function.ids},
					  &code);
		if (code.n > FNP_RUNTIME_LINES_MAX)
			abort();
	}
	fnp_v8_units_destroy(units);
	fnp_v8_scripts_destroy(scripts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fnp_cursor c = fnp_cursor_of(data, size);

	walk_all(c);
	check_words(&walk, FNP_WORD_V8, FNP_V8_WORDS);
	read_all(c);
	return 0;
}
