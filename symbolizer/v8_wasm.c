/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code of WebAssembly: which functions a pc stands for. Their code is no object of the heap: V8's one WasmCodeManager has a std::map from regions of
 * memory to modules (NativeModule), each of those a std::map from where code begins to its WasmCode. Where these maps lie in
 * their owners changes with every version, so they are looked for by their shape: a map's root points back to the
 * map, and WasmCode says itself whose it is and where its code begins. Of a WasmCode only sizes and index are at places that
 * are known by version.
 *
 * Functions may be inlined. Then a table of positions, as JavaScript's code has it, says in which inlining a call is, and
 * one of inlinings which function that is, where it was called, and whether for good (then its caller is there no more).
 * What lies between calls stands in no table: of a leaf there the function that exists is all that is known.
 *
 * Nothing is remembered here: V8 throws code away and puts other code there.
 */
#include "symbolizer/v8.h"

#include "base/text.h"

#define STATE_WORDS 48	 /* of the manager, in which the map of regions is looked for */
#define MODULE_WORDS 192 /* of a module, likewise */
#define TREE_DEPTH 64
#define PENDING_MAX (1 << 16) /* code that was compiled and is not in its map yet */
#define MODULE_BYTES_MAX (1U << 30)
#define CODE_BYTES_MAX (1U << 30)
#define TABLES_BYTES_MAX (4U << 20) /* of one code */
#define INLINING_BYTES 13	    /* function, is it for good, position */

/* A node of libstdc++'s std::map whose keys are addresses. */
enum { NODE_PARENT = 1, NODE_LEFT = 2, NODE_RIGHT = 3, NODE_KEY = 4, NODE_VALUE = 5, NODE_WORDS = 7 };

static int read_words(const struct fnp_v8_view *view, uint64_t address, size_t n, uint64_t *ret)
{
	if (address < 4096 || address >> 47 || address % 8)
		return -ESRCH;
	return fnp_runtime_read(view->pid, address, ret, 8 * n) < 0 ? -ESRCH : 0;
}

/* Is there a map whose head (colour, parent, left, right, count) begins at `head`? */
static bool is_map(const struct fnp_v8_view *view, uint64_t head, const uint64_t *words)
{
	uint64_t root[2];

	return (uint32_t)words[0] <= 1 && words[4] > 0 && words[4] < PENDING_MAX &&
	       read_words(view, words[1], 2, root) == 0 && root[NODE_PARENT] == head;
}

/* The last node whose key is not above `pc`, whole. */
static int find_node(const struct fnp_v8_view *view, uint64_t root, uint64_t pc, uint64_t ret[NODE_WORDS])
{
	uint64_t node[NODE_WORDS], at = root;
	int r = -ESRCH;

	for (int depth = 0; at && depth < TREE_DEPTH; depth++) {
		if (read_words(view, at, NODE_WORDS, node) < 0)
			return -ESRCH;
		if (node[NODE_KEY] <= pc) {
			memcpy(ret, node, sizeof(node));
			r = 0;
		}
		at = node[NODE_KEY] <= pc ? node[NODE_RIGHT] : node[NODE_LEFT];
	}
	return r;
}

/* A place in a WasmCode. */
struct place {
	uint32_t offset; /* of the pc */
	bool exact;	 /* it is no return address */
	int32_t own;	 /* the function that the code is of */
};

/* What was inlined at a place, by the code's tables. -ESRCH: that is not known. */
static int read_inlined(struct fnp_cursor positions, struct fnp_cursor inlinings, unsigned shift,
			const struct place *place, struct fnp_v8_wasm *ret)
{
	struct fnp_v8_position at;
	bool for_good = false;
	size_t n = 0;

	if (fnp_v8_position_find(positions, shift, place->offset, &at) < 0 ||
	    (place->exact && at.code != place->offset))
		return -ESRCH;
	while (at.inlined >= 0) {
		struct fnp_cursor c = inlinings;
		int32_t function = -1;
		uint64_t position = 0;
		uint8_t is_tail = 0;

		if (n >= FNP_RUNTIME_LINES_MAX - 1 ||
		    fnp_cursor_skip(&c, (size_t)at.inlined * INLINING_BYTES) < 0 ||
		    fnp_cursor_copy(&c, &function, sizeof(function)) < 0 || fnp_cursor_u8(&c, &is_tail) < 0 ||
		    fnp_cursor_copy(&c, &position, sizeof(position)) < 0 || function < 0)
			return -ESRCH;
		if (!for_good)
			ret->functions[n++] = function;
		for_good = is_tail;
		fnp_v8_position_set(position, &at);
	}
	if (!for_good)
		ret->functions[n++] = place->own;
	ret->n = n;
	return 0;
}

#define WASM_CODE_WORDS 10

/* The same by the WasmCode itself. -ESRCH: nothing was inlined in it, or that is not understood. */
static int read_tables(const struct fnp_v8_view *view, const uint64_t words[WASM_CODE_WORDS],
		       const struct place *place, struct fnp_v8_wasm *ret)
{
	const struct fnp_v8_tables *t = &view->tables;
	const uint16_t fields[] = {t->wasm_trapping, t->wasm_relocation, t->wasm_positions, t->wasm_inlinings};
	struct fnp_cursor c, skipped, positions, inlinings;
	fnp_autofree uint8_t *bytes = NULL;
	uint32_t sizes[FNP_ARRAY_SIZE(fields)];
	uint64_t tables, all = 0;

	if (!t->wasm_tables)
		return -ESRCH;
	memcpy(&tables, (const uint8_t *)words + t->wasm_tables, sizeof(tables));
	for (size_t i = 0; i < FNP_ARRAY_SIZE(fields); i++) {
		memcpy(&sizes[i], (const uint8_t *)words + fields[i], sizeof(sizes[i]));
		all += sizes[i];
	}
	if (sizes[3] == 0 || sizes[3] % INLINING_BYTES || all > TABLES_BYTES_MAX || tables < 4096 ||
	    tables >> 47)
		return -ESRCH;
	bytes = malloc(all);
	if (!bytes)
		return -ENOMEM;
	if (fnp_runtime_read(view->pid, tables, bytes, all) < 0)
		return -ESRCH;
	c = fnp_cursor_of(bytes, all);
	if (fnp_cursor_sub(&c, sizes[0], &skipped) < 0 || fnp_cursor_sub(&c, sizes[1], &skipped) < 0 ||
	    fnp_cursor_sub(&c, sizes[2], &positions) < 0 || fnp_cursor_sub(&c, sizes[3], &inlinings) < 0)
		return -ESRCH;
	return read_inlined(positions, inlinings, t->position_shift, place, ret);
}

/* What is taken of a WasmCode, when it says that it is of this module and holds the pc. */
static int read_code(const struct fnp_v8_view *view, uint64_t code, uint64_t module, uint64_t pc,
		     struct fnp_v8_wasm *ret)
{
	const struct fnp_v8_tables *t = &view->tables;
	uint64_t words[WASM_CODE_WORDS];
	int32_t size, index;
	int r = read_words(view, code, FNP_ARRAY_SIZE(words), words);

	if (r < 0 || words[0] != module)
		return -ESRCH;
	memcpy(&size, (const uint8_t *)words + t->wasm_size, sizeof(size));
	memcpy(&index, (const uint8_t *)words + t->wasm_index, sizeof(index));
	if (size <= 0 || (uint32_t)size > CODE_BYTES_MAX || pc < words[1] || pc - words[1] >= (uint32_t)size)
		return -ESRCH;
	struct place place = {.offset = (uint32_t)(pc - words[1]), .exact = ret->exact, .own = index};
	if (index < 0 || read_tables(view, words, &place, ret) < 0) {
		ret->functions[0] = index;
		ret->n = 1;
	}
	return 0;
}

/* Code that was compiled a moment ago stands in a vector until somebody asks. */
static int find_pending(const struct fnp_v8_view *view, const uint64_t *words, uint64_t module, uint64_t pc,
			struct fnp_v8_wasm *ret)
{
	uint64_t n = (words[1] - words[0]) / 8, code;

	if (words[0] == 0 || words[1] <= words[0] || words[2] < words[1] || n > 1024 || words[1] % 8 ||
	    words[0] % 8)
		return -ESRCH;
	for (uint64_t i = 0; i < n; i++) {
		if (read_words(view, words[0] + 8 * i, 1, &code) < 0 || code == 0)
			return -ESRCH;
		if (read_code(view, code, module, pc, ret) == 0)
			return 0;
		/* The first one tells whether this is such a vector. */
		if (i == 0 && (read_words(view, code, 1, &code) < 0 || code != module))
			return -ESRCH;
	}
	return -ESRCH;
}

/* The module's own bytes: a pointer in it to {bytes, size}. */
static bool is_bytes(const struct fnp_v8_view *view, uint64_t word, struct fnp_v8_wasm *ret)
{
	uint64_t owned[2], magic;

	if (read_words(view, word, 2, owned) < 0 || owned[1] < 8 || owned[1] > MODULE_BYTES_MAX ||
	    owned[0] >> 47 || owned[0] < 4096 ||
	    fnp_runtime_read(view->pid, owned[0], &magic, sizeof(magic)) < 0 || magic != 0x000000016d736100)
		return false;
	ret->bytes = owned[0];
	ret->size = owned[1];
	return true;
}

static int find_in_module(const struct fnp_v8_view *view, uint64_t module, uint64_t pc, struct fnp_v8_wasm *ret)
{
	uint64_t words[MODULE_WORDS], node[NODE_WORDS];
	struct fnp_v8_wasm found = {.module = module, .exact = ret->exact};
	bool has_code = false;
	int r = read_words(view, module, MODULE_WORDS, words);

	for (size_t i = 0; r == 0 && i + 5 <= MODULE_WORDS; i++) {
		if (found.bytes == 0)
			is_bytes(view, words[i], &found);
		if (!has_code && is_map(view, module + 8 * i, &words[i]))
			has_code = find_node(view, words[i + NODE_PARENT], pc, node) == 0 &&
				   read_code(view, node[NODE_VALUE], module, pc, &found) == 0;
		if (!has_code)
			has_code = find_pending(view, &words[i], module, pc, &found) == 0;
	}
	if (r < 0 || !has_code)
		return -ESRCH;
	*ret = found;
	return 0;
}

int fnp_v8_wasm_find(const struct fnp_v8_view *view, uint64_t manager, uint64_t pc, struct fnp_v8_wasm *ret)
{
	uint64_t words[STATE_WORDS], node[NODE_WORDS];
	int r = view->tables.wasm_size ? read_words(view, manager, STATE_WORDS, words) : -ESRCH;

	for (size_t i = 0; r == 0 && i + 5 <= STATE_WORDS; i++) {
		/* From where a region begins to where it ends, and whose it is. */
		if (is_map(view, manager + 8 * i, &words[i]) &&
		    find_node(view, words[i + NODE_PARENT], pc, node) == 0 && pc < node[NODE_VALUE] &&
		    find_in_module(view, node[NODE_VALUE + 1], pc, ret) == 0)
			return 0;
	}
	return -ESRCH;
}
