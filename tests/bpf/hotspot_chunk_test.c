/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of a virtual thread in the heap, on memory that is built here: the return barrier leads through chunks and back
 * to the frame that entered the continuation. Frames are interpreted ones, because they need the least beside them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "bpf/walk/walk.h"

#define STACK 0x7ffc00000000ULL
#define HEAP 0x40000000000ULL  /* of the JVM's objects; ZGC's colours are told from addresses */
#define CODE 0x7f0000000000ULL /* its interpreter */
#define BARRIER (CODE + 0x8000)
#define CARRIER (CODE + 0x4000) /* where the entry's frame returns to */
#define METHODS 0x7e0000000000ULL
#define BYTES 0x4000ULL
#define ENTRY (STACK + 0x100)
#define CONTINUATION (HEAP + 0x40)
#define CHUNK (HEAP + 0x100)
#define PARENT (HEAP + 0x800)

/* Offsets in objects. */
enum {
	TAIL = 16,
	CHUNK_PARENT = 8,
	CHUNK_SIZE = 16,
	CHUNK_SP = 20,
	CHUNK_BOTTOM = 24,
	CHUNK_PC = 32,
	HEAD = 40
};

static uint8_t stack[BYTES], heap[BYTES], methods[BYTES];
static struct fnp_walk walk;

static void *at(uint64_t address)
{
	if (address - STACK < BYTES - 8)
		return stack + (address - STACK);
	if (address - HEAP < BYTES - 8)
		return heap + (address - HEAP);
	if (address - METHODS < BYTES - 64)
		return methods + (address - METHODS);
	return NULL;
}

static int read_memory(void *context, void *to, size_t size, fnp_u64 address)
{
	const uint8_t *from = at(address);

	(void)context;
	if (!from || !at(address + (size ? size - 1 : 0)))
		return -1;
	memcpy(to, from, size);
	return 0;
}

static void put(uint64_t address, uint64_t word)
{
	memcpy(at(address), &word, sizeof(word));
}

static void put_half(uint64_t address, uint32_t word)
{
	memcpy(at(address), &word, sizeof(word));
}

/* A Method with its ConstMethod (8 bytecodes), its pool and its class, 256 bytes each. */
static uint64_t make_method(unsigned number)
{
	uint64_t method = METHODS + 256ULL * number, constant = method + 64;

	put(method + 8, constant);
	put(constant + 8, method + 160);
	put(constant + 16, 8); /* code size */
	put(method + 160, method + 192);
	put(method + 192, 0x1234);
	return method;
}

/* An interpreted frame in a chunk, whose rbp is at `fp`; its caller's is at `caller_fp`, all in words from itself. */
static void put_frame(uint64_t fp, uint64_t caller_fp, unsigned method)
{
	put(fp, (caller_fp - fp) / 8);
	put(fp + 8, CODE + 0x100);
	put(fp - FNP_HOTSPOT_SENDER_SP, 2);
	put(fp - FNP_HOTSPOT_METHOD, make_method(method));
	put(fp - FNP_HOTSPOT_BCP, METHODS + 256ULL * method + 64 + 32);
}

/* A chunk with two frames of 12 words each. */
static void put_chunk(uint64_t chunk, uint64_t parent, unsigned method)
{
	uint64_t start = chunk + HEAD, sp = start + 8 * 6;

	put(chunk, 1);
	put(chunk + CHUNK_PARENT, parent);
	put_half(chunk + CHUNK_SIZE, 30);
	put_half(chunk + CHUNK_SP, 6);
	put_half(chunk + CHUNK_BOTTOM, 30);
	put(chunk + CHUNK_PC, CODE + 0x200);
	put(sp - 16, 12); /* the topmost frame's rbp, ten words above sp */
	put_frame(sp + 80, sp + 176, method);
	put_frame(sp + 176, 0, method + 1);
}

static void put_all(void)
{
	memset(stack, 0, sizeof(stack));
	memset(heap, 0, sizeof(heap));
	memset(methods, 0, sizeof(methods));
	put_chunk(CHUNK, PARENT, 1);
	put_chunk(PARENT, 0, 3);
	put(CONTINUATION + TAIL, CHUNK);
	put(ENTRY + FNP_HOTSPOT_ENTRY_CONTINUATION, CONTINUATION);
	put(ENTRY + 64 + 8, CARRIER);
}

static void *find_ref(const struct fnp_walk_map *map, const void *key)
{
	(void)key;
	return map->values;
}

/* Walks from the barrier, with the frames below it ending at `sp`; the methods' numbers, as a string of digits. */
static const char *walk_from(uint64_t sp, uint16_t flags)
{
	static char numbers[64];
	struct fnp_hotspot_layout layout = {
		.heaps = {{.start = CODE, .end = CODE + 0x10000}},
		.interpreter = CODE,
		.interpreter_end = CODE + 0x1000,
		.thaw_return = BARRIER,
		.flags = flags,
		.narrow_base = HEAP - 0x1000,
		.narrow_shift = 3,
		.method_const = 8,
		.const_size = 32,
		.const_pool = 8,
		.const_code_size = 16,
		.const_name = 24,
		.entry_size = 64,
		.continuation_tail = TAIL,
		.chunk_parent = CHUNK_PARENT,
		.chunk_size = CHUNK_SIZE,
		.chunk_sp = CHUNK_SP,
		.chunk_bottom = CHUNK_BOTTOM,
		.chunk_pc = CHUNK_PC,
		.chunk_stack = HEAD,
	};
	struct fnp_code_range range = {.start = CODE, .end = CODE + 0x10000, .kind = FNP_CODE_HOTSPOT};
	struct fnp_table table = {0};
	struct fnp_space space = {.count = 1, .version = 1};
	struct fnp_space_ref ref = {.version = 1};
	struct fnp_walk_map maps[] = {
		{"fnp_pid_spaces", &ref, 1, sizeof(ref), find_ref},
		{"fnp_spaces", &space, 1, sizeof(space), NULL},
		{"fnp_code_ranges", &range, 1, sizeof(range), NULL},
		{"fnp_native_tables", &table, 1, sizeof(table), NULL},
		{"fnp_hotspot_layouts", &layout, 1, sizeof(layout), NULL},
	};
	struct fnp_walk_env env = {.maps = maps, .n_maps = sizeof(maps) / sizeof(maps[0]), .read = read_memory};
	size_t n = 0;

	fnp_walk_env = &env;
	fnp_walk_hotspot_on = true;
	memset(&walk, 0, sizeof(walk));
	walk.pc = BARRIER;
	walk.sp = sp;
	walk.fp = 0xdead; /* anything */
	fnp_walk_init(&walk, 1);
	walk.exact = walk.leaf = 0;
	while (fnp_walk_run(&walk))
		;
	fnp_walk_end(&walk);
	fnp_walk_env = NULL;
	for (uint32_t i = 0; i + 1 < walk.n_words; i += 1 + (walk.words[i] >> FNP_WORD_MORE_SHIFT & 7)) {
		uint64_t method = walk.words[i] & FNP_WORD_VALUE_MASK & ~7ULL;
		if (walk.words[i] >> FNP_WORD_KIND_SHIFT == FNP_WORD_HOTSPOT && n < sizeof(numbers) - 1)
			numbers[n++] = (char)('0' + (method - METHODS) / 256);
	}
	numbers[n] = '\0';
	return numbers;
}

static void frames_of_a_chunk_and_its_parent_come_before_the_carrier(void **state FNP_UNUSED)
{
	put_all();
	assert_string_equal(walk_from(ENTRY, FNP_HOTSPOT_CHUNKS), "1234");
	assert_int_equal(walk.pc, CARRIER);
	assert_int_equal(walk.truncation, FNP_TRUNCATION_RUNTIME); /* there is no carrier in this memory */
}

static void entry_is_found_above_the_arguments_of_the_last_frame(void **state FNP_UNUSED)
{
	put_all();
	put(ENTRY + FNP_HOTSPOT_ENTRY_FLAGS, 5ULL << 32);
	assert_string_equal(walk_from(ENTRY - 48, FNP_HOTSPOT_CHUNKS), "1234");
	/* Not when it says another number of them. */
	put(ENTRY + FNP_HOTSPOT_ENTRY_FLAGS, 3ULL << 32);
	assert_string_equal(walk_from(ENTRY - 48, FNP_HOTSPOT_CHUNKS), "");
	assert_int_equal(walk.truncation, FNP_TRUNCATION_PARKED);
}

static void references_may_be_narrow_or_coloured(void **state FNP_UNUSED)
{
	put_all();
	put(CONTINUATION + TAIL, 0xffffffff00000000ULL | (CHUNK - (HEAP - 0x1000)) >> 3);
	put(CHUNK + CHUNK_PARENT, (PARENT - (HEAP - 0x1000)) >> 3);
	assert_string_equal(walk_from(ENTRY, FNP_HOTSPOT_CHUNKS | FNP_HOTSPOT_NARROW_REFERENCES), "1234");
	put(CHUNK + CHUNK_PARENT, 0);
	assert_string_equal(walk_from(ENTRY, FNP_HOTSPOT_CHUNKS | FNP_HOTSPOT_NARROW_REFERENCES), "12");
	for (unsigned bit = 0; bit < 4; bit++) {
		put(CONTINUATION + TAIL, CHUNK << (13 + bit) | 1ULL << (12 + bit) | 0x0f0);
		put(CHUNK + CHUNK_PARENT, PARENT << (13 + bit) | 1ULL << (12 + bit) | 0x0f0);
		assert_string_equal(walk_from(ENTRY, FNP_HOTSPOT_CHUNKS), "1234");
	}
}

static void moved_and_empty_chunks_lead_on(void **state FNP_UNUSED)
{
	put_all();
	memcpy(at(HEAP + 0x1000), at(CHUNK), 0x200);
	memset(at(CHUNK), 0xee, 0x200);
	put(CHUNK, (HEAP + 0x1000) | 3);
	assert_string_equal(walk_from(ENTRY, FNP_HOTSPOT_CHUNKS), "1234");
	put_half(HEAP + 0x1000 + CHUNK_SP, 30);
	assert_string_equal(walk_from(ENTRY, FNP_HOTSPOT_CHUNKS), "34");
}

static void chunk_that_contradicts_itself_ends_in_a_marker(void **state FNP_UNUSED)
{
	put_all();
	put_half(CHUNK + CHUNK_BOTTOM, 31);
	assert_string_equal(walk_from(ENTRY, FNP_HOTSPOT_CHUNKS), "");
	assert_int_equal(walk.doubt, FNP_TRUNCATION_PARKED);
	put_all();
	put(CHUNK + CHUNK_PC, 0x1000); /* no code of the JVM */
	assert_string_equal(walk_from(ENTRY, FNP_HOTSPOT_CHUNKS), "");
	assert_int_equal(walk.doubt, FNP_TRUNCATION_PARKED);
	put_all();
	put(CHUNK + CHUNK_PARENT, CHUNK); /* its own parent: bounded by the depth of a stack */
	walk_from(ENTRY, FNP_HOTSPOT_CHUNKS);
	assert_int_not_equal(walk.truncation, FNP_TRUNCATION_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_a_chunk_and_its_parent_come_before_the_carrier),
		cmocka_unit_test(entry_is_found_above_the_arguments_of_the_last_frame),
		cmocka_unit_test(references_may_be_narrow_or_coloured),
		cmocka_unit_test(moved_and_empty_chunks_lead_on),
		cmocka_unit_test(chunk_that_contradicts_itself_ends_in_a_marker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
