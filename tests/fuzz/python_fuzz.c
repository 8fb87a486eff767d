/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Python frames of an interpreter whose memory is anything: the walker over a native stack that is right, thread
 * states, frames and code objects that are not, code that the interpreter made, and layouts that were published wrong; then what the kernel side would
 * send as names, and line tables.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "bpf/walk/walk.h"
#include "symbolizer/python.h"
#include "tests/fuzz/frame_words.h"

#define STACK 0x7ffc00000000ULL
#define STACK_BYTES 0x100000ULL
#define CODE 0x400000ULL
#define FRAME 64 /* bytes of a native frame */

struct memory {
	const uint8_t *bytes;
	size_t size;
};

/* A stack of frame pointers without end, with code of the loop and other code in turn. */
static uint64_t stack_word(uint64_t address)
{
	uint64_t frame = address & ~(uint64_t)(FRAME - 1);

	switch (address & (FRAME - 1)) {
	case 0:
		return frame + FRAME;
	case 8:
		return CODE + (frame / FRAME) % 4 * 0x10000 + 0x100;
	default:
		return address - 24; /* what looks like a struct of the frame */
	}
}

/* Everything else is the input, again and again, so that chains go on and meet themselves. */
static int read_any(void *context, void *to, size_t size, fnp_u64 address)
{
	const struct memory *m = context;
	uint8_t *out = to;

	if (address >= STACK && address < STACK + STACK_BYTES) {
		for (size_t i = 0; i < size; i += 8) {
			uint64_t word = stack_word(address + i);
			memcpy(out + i, &word, FNP_MIN(size - i, sizeof(word)));
		}
		return 0;
	}
	if (m->size == 0 || address >> 48)
		return -1;
	for (size_t done = 0, at = address % m->size; done < size; at = 0) {
		size_t n = FNP_MIN(size - done, m->size - at);
		memcpy(out + done, m->bytes + at, n);
		done += n;
	}
	return 0;
}

static void *find_ref(const struct fnp_walk_map *map, const void *key)
{
	(void)key;
	return map->values;
}

/* The layout of a version, or one of the input's bytes. */
static struct fnp_python_layout choose_layout(struct fnp_cursor *c)
{
	struct fnp_python_layout old = {.key = 64,
					.tstate_frame = 24,
					.tstate_thread_id = 176,
					.frame_back = 24,
					.frame_code = 32,
					.frame_instruction = 104,
					.frame_size = 112,
					.code_first_line = 40,
					.code_file = 104,
					.code_name = 112,
					.code_table = 120,
					.code_size = 128,
					.chain = FNP_PYTHON_ONE};
	struct fnp_python_layout new = {.running = {.offset = -24},
					.tstate_cframe = 56,
					.cframe_previous = 8,
					.frame_back = 8,
					.frame_instruction = 56,
					.frame_entry = 70,
					.frame_size = 72,
					.code_first_line = 68,
					.code_file = 112,
					.code_name = 128,
					.code_table = 136,
					.code_size = 144,
					.chain = FNP_PYTHON_ENTRY_SHIM,
					.shim_owner = 3,
					.flags = FNP_PYTHON_INSTRUCTION_POINTER};
	struct fnp_python_layout wild = new;
	uint8_t which = 0;

	fnp_cursor_u8(c, &which);
	if (which & 1)
		return old;
	if (which & 2)
		new.chain = FNP_PYTHON_ENTRY_FLAG;
	if (which & 8)
		new.flags |= FNP_PYTHON_JIT;
	if (which & 16) {
		new.frame_copy = 64;
		new.code_copies = 224;
	}
	if (which & 32) {
		new.flags |= FNP_PYTHON_GIL;
		new.tasks = (struct fnp_python_tasks){.coroutine_type = 1,
						      .task_coroutine = 136,
						      .task_callback = 24,
						      .callback_self = 24,
						      .function_closure = 72,
						      .coroutine_frame = 72,
						      .frame_owner = 70,
						      .frame_top = 64,
						      .frame_stack = 72,
						      .awaited_back = 8};
	}
	if (which & 64) {
		new.interpreters = 0x30000;
		new.interpreter_threads = 72;
		new.tstate_next = 8;
	}
	if (which & 4)
		fnp_cursor_copy(c, &wild, sizeof(wild));
	return which & 4 ? wild : new;
}

static struct fnp_walk walk;

static void walk_all(struct fnp_cursor c)
{
	struct fnp_python_layout layout = choose_layout(&c);
	struct fnp_code_range ranges[4] = {
		{.start = CODE, .end = CODE + 0x10000, .object = 1, .kind = FNP_CODE_PYTHON},
		{.start = CODE + 0x10000, .end = CODE + 0x20000, .object = 1},
		{.start = CODE + 0x20000, .end = CODE + 0x30000, .object = 1, .kind = FNP_CODE_PYTHON},
		{.start = CODE + 0x30000, .end = CODE + 0x40000, .kind = FNP_CODE_PYTHON, .data = FNP_PYTHON_MADE},
	};
	struct fnp_table tables[2] = {{0}, {.pages = FNP_TABLE_FRAME_POINTERS}};
	struct fnp_space space = {.count = 4, .version = 1};
	struct fnp_space_ref ref = {.version = 1};
	struct memory memory = {c.pos, fnp_cursor_left(&c)};
	struct fnp_walk_map maps[] = {
		{"fnp_pid_spaces", &ref, 1, sizeof(ref), find_ref},
		{"fnp_spaces", &space, 1, sizeof(space), NULL},
		{"fnp_code_ranges", ranges, FNP_ARRAY_SIZE(ranges), sizeof(ranges[0]), NULL},
		{"fnp_native_tables", tables, FNP_ARRAY_SIZE(tables), sizeof(tables[0]), NULL},
		{"fnp_python_layouts", &layout, 1, sizeof(layout), NULL},
	};
	struct fnp_walk_env env = {.maps = maps,
				   .n_maps = FNP_ARRAY_SIZE(maps),
				   .read = read_any,
				   .context = &memory,
				   .thread_pointer = 0x10000};

	fnp_walk_env = &env;
	fnp_walk_python_on = true;
	memset(&walk, 0, sizeof(walk));
	walk.pc = CODE + (memory.size & 1 ? 0x30040 : 0x40);
	walk.sp = STACK;
	walk.fp = STACK;
	fnp_walk_init(&walk, 1);
	for (int i = 0; i <= FNP_WALK_CONTINUATIONS && fnp_walk_run(&walk); i++)
		;
	fnp_walk_end(&walk);
	fnp_walk_env = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fnp_cursor c = fnp_cursor_of(data, size);
	struct fnp_python_code_info raw = {
		.table = (uint8_t *)(uintptr_t)data, .table_size = size, .first_line = 1};

	walk_all(c);
	check_words(&walk, FNP_WORD_PYTHON, FNP_PYTHON_WORDS);
	while (fnp_cursor_left(&c) > 0) {
		FNP_CLEANUP(fnp_python_code_info_deinit) struct fnp_python_code_info info = {0};
		struct fnp_python_code head;
		int r = fnp_python_code_info_take(&c, &head, &info);
		if (r == -ENODATA)
			continue;
		if (r < 0)
			break;
		if (!info.name || !info.file)
			abort();
		fnp_python_line(&info, 12, 40);
	}
	for (uint16_t minor = 8; minor <= 15; minor++)
		fnp_python_line(&raw, minor, (int32_t)(size * minor));
	return 0;
}
