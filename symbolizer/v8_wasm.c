/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of WebAssembly. Their code is no object of the heap: V8's one WasmCodeManager has a std::map from regions of
 * memory to modules (NativeModule), each of those a std::map from where code begins to its WasmCode. Where these maps lie in
 * their owners changes with every version, so they are looked for by their shape: a map's root points back to the
 * map, and WasmCode says itself whose it is and where its code begins. Of a WasmCode only size and index are at places that
 * are known by version. Names stand in the section "name" of the module's own bytes, which begin with "\0asm"; what has
 * none is called by its number, as V8 does.
 *
 * Nothing is remembered here: V8 throws code away and puts other code there.
 */
#include "symbolizer/v8.h"

#include "base/text.h"

#define STATE_WORDS 48	 /* of the manager, in which the map of regions is looked for */
#define MODULE_WORDS 192 /* of a module, likewise */
#define TREE_DEPTH 64
#define PENDING_MAX (1 << 16) /* code that was compiled and is not in its map yet */
#define NAMES_BYTES_MAX (64U << 20)
#define CODE_BYTES_MAX (1U << 30)
#define FUNCTIONS_MAX 1000000 /* of a module: the standard's own limit for implementations */
#define NAME_MAX_BYTES 256

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

/* What is taken of a WasmCode, when it says that it is of this module and holds the pc. */
static int read_code(const struct fnp_v8_view *view, uint64_t code, uint64_t module, uint64_t pc, int32_t *ret)
{
	const struct fnp_v8_tables *t = &view->tables;
	uint64_t words[10];
	int32_t size, index;
	int r = read_words(view, code, FNP_ARRAY_SIZE(words), words);

	if (r < 0 || words[0] != module)
		return -ESRCH;
	memcpy(&size, (const uint8_t *)words + t->wasm_size, sizeof(size));
	memcpy(&index, (const uint8_t *)words + t->wasm_index, sizeof(index));
	if (size <= 0 || (uint32_t)size > CODE_BYTES_MAX || pc < words[1] || pc - words[1] >= (uint32_t)size)
		return -ESRCH;
	*ret = index;
	return 0;
}

/* Code that was compiled a moment ago stands in a vector until somebody asks. */
static int find_pending(const struct fnp_v8_view *view, const uint64_t *words, uint64_t module, uint64_t pc,
			int32_t *ret)
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

	if (read_words(view, word, 2, owned) < 0 || owned[1] < 8 || owned[1] > NAMES_BYTES_MAX ||
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
	struct fnp_v8_wasm found = {0};
	bool has_code = false;
	int r = read_words(view, module, MODULE_WORDS, words);

	for (size_t i = 0; r == 0 && i + 5 <= MODULE_WORDS; i++) {
		if (found.bytes == 0)
			is_bytes(view, words[i], &found);
		if (!has_code && is_map(view, module + 8 * i, &words[i]))
			has_code = find_node(view, words[i + NODE_PARENT], pc, node) == 0 &&
				   read_code(view, node[NODE_VALUE], module, pc, &found.index) == 0;
		if (!has_code)
			has_code = find_pending(view, &words[i], module, pc, &found.index) == 0;
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

/* ---- names -------------------------------------------------------------------------------------------------- */

/* The content of the next section. -ENODATA at the end. */
static int next_section(struct fnp_cursor *c, uint8_t *ret_id, struct fnp_cursor *ret)
{
	uint64_t size = 0;
	int r;

	if (fnp_cursor_left(c) == 0)
		return -ENODATA;
	r = fnp_cursor_u8(c, ret_id);
	r = r ?: fnp_cursor_uleb128(c, &size);
	return r ?: fnp_cursor_sub(c, size, ret);
}

static int next_text(struct fnp_cursor *c, const uint8_t **ret, uint64_t *ret_size)
{
	int r = fnp_cursor_uleb128(c, ret_size);

	return r ?: fnp_cursor_bytes(c, *ret_size, ret);
}

/* The name of a function in a map of names. */
static int find_name(struct fnp_cursor names, uint32_t index, const uint8_t **ret, uint64_t *ret_size)
{
	uint64_t n = 0, one = 0, size = 0;
	const uint8_t *text = NULL;
	int r = fnp_cursor_uleb128(&names, &n);

	for (uint64_t i = 0; r == 0 && i < n; i++) {
		r = fnp_cursor_uleb128(&names, &one);
		r = r ?: next_text(&names, &text, &size);
		if (r == 0 && one == index) {
			*ret = text;
			*ret_size = size;
			return 0;
		}
	}
	return -ENOENT;
}

int fnp_v8_wasm_name(struct fnp_cursor module, uint32_t index, const uint8_t **ret, size_t *ret_size)
{
	struct fnp_cursor section, names;
	const uint8_t *title = NULL;
	uint64_t size = 0;
	uint8_t id;

	if (fnp_cursor_skip(&module, 8) < 0)
		return -ENOENT;
	while (next_section(&module, &id, &section) == 0) {
		if (id != 0 || next_text(&section, &title, &size) < 0 || size != 4 ||
		    memcmp(title, "name", 4) != 0)
			continue;
		while (next_section(&section, &id, &names) == 0) {
			if (id == 1 && find_name(names, index, ret, &size) == 0) {
				*ret_size = size;
				return 0;
			}
		}
	}
	return -ENOENT;
}

bool fnp_v8_wasm_is_import(struct fnp_cursor module, uint32_t index)
{
	struct fnp_cursor section;
	uint64_t n = 0, size = 0, functions = 0;
	const uint8_t *text = NULL;
	uint8_t id, kind;

	if (fnp_cursor_skip(&module, 8) < 0)
		return false;
	while (next_section(&module, &id, &section) == 0) {
		if (id != 2)
			continue;
		if (fnp_cursor_uleb128(&section, &n) < 0)
			return false;
		/* Functions only: what else is imported ends the count, and with it what is known. */
		for (uint64_t i = 0; i < n && functions <= index; i++) {
			if (next_text(&section, &text, &size) < 0 || next_text(&section, &text, &size) < 0 ||
			    fnp_cursor_u8(&section, &kind) < 0 || kind != 0 ||
			    fnp_cursor_uleb128(&section, &size) < 0)
				break;
			functions++;
		}
		return index < functions;
	}
	return false;
}

int fnp_v8_wasm_read_name(const struct fnp_v8_view *view, const struct fnp_v8_wasm *wasm, char **ret)
{
	fnp_autofree uint8_t *bytes = NULL;
	const uint8_t *text = NULL;
	size_t size = 0;

	if (wasm->index < 0 || wasm->index > FUNCTIONS_MAX)
		return -ENOENT;
	bytes = wasm->bytes ? malloc(wasm->size) : NULL;
	if (bytes && fnp_runtime_read(view->pid, wasm->bytes, bytes, wasm->size) == 0) {
		struct fnp_cursor c = fnp_cursor_of(bytes, wasm->size);
		if (fnp_v8_wasm_is_import(c, (uint32_t)wasm->index))
			return -ENOENT;
		fnp_v8_wasm_name(c, (uint32_t)wasm->index, &text, &size);
	}
	if (!text || size == 0)
		return asprintf(ret, "wasm-function[%d]", wasm->index) < 0 ? -ENOMEM : 0;
	char *name = strndup((const char *)text, FNP_MIN(size, (size_t)NAME_MAX_BYTES));
	if (!name)
		return -ENOMEM;
	fnp_text_make_printable(name, strlen(name));
	*ret = name;
	return 0;
}
