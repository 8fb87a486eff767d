/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of WebAssembly's functions. They stand in the section "name" of the module's own bytes, which begin with "\0asm"; what
 * has none is called by its number, as V8 does. How many functions are imported stands in another section.
 *
 * A module may have tens of megabytes, of which these two sections are a small part: they are read once, the others are passed
 * over, and both are kept one behind the other, as the bytes of a smaller module. V8 may put another module where one was: what
 * is kept is believed as long as the first bytes and the last are the same.
 */
#include "base/buffer.h"
#include "base/text.h"
#include "base/vec.h"
#include "symbolizer/v8.h"

#define MODULES_MAX 16
#define KEPT_BYTES_MAX (8U << 20) /* of all modules */
#define SECTIONS_MAX 4096
#define EDGE 64		      /* bytes by which a module is known again, at both ends */
#define SECTION_HEAD_MAX 16   /* bytes: id, size, title's size, title */
#define HEAD_BYTES 8	      /* of a module */
#define FUNCTIONS_MAX 1000000 /* of a module: the standard's own limit for implementations */
#define NAME_MAX_BYTES 256

/* ---- what the bytes say ------------------------------------------------------------------------------------- */

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

/* ---- modules ------------------------------------------------------------------------------------------------ */

struct module {
	uint64_t at, size; /* in the process */
	uint8_t edges[2 * EDGE];
	uint8_t *bytes; /* of what is kept */
	size_t n_bytes;
};

struct fnp_v8_modules {
	FNP_VEC(struct module) all;
	size_t bytes;
};

int fnp_v8_modules_create(struct fnp_v8_modules **ret)
{
	struct fnp_v8_modules *modules = calloc(1, sizeof(*modules));

	if (!modules)
		return -ENOMEM;
	*ret = modules;
	return 0;
}

static void forget_all(struct fnp_v8_modules *modules)
{
	for (size_t i = 0; i < modules->all.len; i++)
		free(modules->all.items[i].bytes);
	modules->all.len = 0;
	modules->bytes = 0;
}

void fnp_v8_modules_destroy(struct fnp_v8_modules *modules)
{
	if (!modules)
		return;
	forget_all(modules);
	fnp_vec_deinit(&modules->all);
	free(modules);
}

static int read_edges(const struct fnp_v8_view *view, uint64_t at, uint64_t size, uint8_t ret[2 * EDGE])
{
	size_t n = FNP_MIN(size, (uint64_t)EDGE);

	memset(ret, 0, 2 * EDGE);
	return fnp_runtime_read(view->pid, at, ret, n) < 0 ||
			       fnp_runtime_read(view->pid, at + size - n, ret + EDGE, n) < 0
		       ? -ESRCH
		       : 0;
}

/* One section of a module that lies in a process: what is kept of it is appended. Its bytes; negative: none. */
static int64_t keep_section(const struct fnp_v8_view *view, const struct module *module, uint64_t offset,
			    struct fnp_buffer *kept)
{
	uint8_t head[SECTION_HEAD_MAX] = {0}, id = 0;
	uint64_t left = module->size - offset, size = 0, all;
	struct fnp_cursor c = fnp_cursor_of(head, FNP_MIN(left, (uint64_t)sizeof(head)));

	if (left == 0 || fnp_runtime_read(view->pid, module->at + offset, head, fnp_cursor_left(&c)) < 0 ||
	    fnp_cursor_u8(&c, &id) < 0 || fnp_cursor_uleb128(&c, &size) < 0)
		return -ENODATA;
	all = (uint64_t)(c.pos - head);
	if (size > left - all)
		return -ENODATA;
	all += size;
	if ((id == 2 || (id == 0 && size > 5 && memcmp(c.pos, "\4name", 5) == 0)) &&
	    all <= KEPT_BYTES_MAX - kept->len) {
		uint8_t *room = fnp_buffer_room(kept, all);

		if (!room)
			return -ENOMEM;
		if (fnp_runtime_read(view->pid, module->at + offset, room, all) < 0)
			return -ENODATA;
		kept->len += all;
	}
	return (int64_t)all;
}

static int read_module(const struct fnp_v8_view *view, struct module *module)
{
	fnp_autobuffer struct fnp_buffer kept = {0};
	uint64_t offset = HEAD_BYTES;
	int64_t size = 0;

	fnp_buffer_append(&kept, "\0asm\1\0\0\0", HEAD_BYTES);
	for (int i = 0; size >= 0 && i < SECTIONS_MAX && offset < module->size; i++, offset += (uint64_t)size)
		size = keep_section(view, module, offset, &kept);
	if (size == -ENOMEM || kept.error)
		return -ENOMEM;
	module->n_bytes = kept.len;
	module->bytes = TAKE_PTR(kept.data);
	return 0;
}

/* Finds or reads one; it stands until the next call. -ESRCH. */
static int get_module(struct fnp_v8_modules *modules, const struct fnp_v8_view *view,
		      const struct fnp_v8_wasm *wasm, const struct module **ret)
{
	struct module module = {.at = wasm->bytes, .size = wasm->size};
	int r = wasm->bytes ? read_edges(view, module.at, module.size, module.edges) : -ESRCH;

	if (r < 0)
		return r;
	for (size_t i = 0; i < modules->all.len; i++) {
		const struct module *known = &modules->all.items[i];

		if (known->at == module.at && known->size == module.size &&
		    memcmp(known->edges, module.edges, sizeof(module.edges)) == 0) {
			*ret = known;
			return 0;
		}
	}
	r = read_module(view, &module);
	if (r < 0)
		return r;
	if (modules->all.len >= MODULES_MAX || modules->bytes + module.n_bytes > KEPT_BYTES_MAX)
		forget_all(modules);
	r = fnp_vec_push(&modules->all, module);
	if (r < 0) {
		free(module.bytes);
		return r;
	}
	modules->bytes += module.n_bytes;
	*ret = &modules->all.items[modules->all.len - 1];
	return 0;
}

int fnp_v8_modules_name(struct fnp_v8_modules *modules, const struct fnp_v8_view *view,
			const struct fnp_v8_wasm *wasm, int32_t function, char **ret)
{
	const struct module *module;
	const uint8_t *text = NULL;
	size_t size = 0;

	if (function < 0 || function > FUNCTIONS_MAX)
		return -ENOENT;
	if (get_module(modules, view, wasm, &module) == 0) {
		struct fnp_cursor c = fnp_cursor_of(module->bytes, module->n_bytes);
		if (fnp_v8_wasm_is_import(c, (uint32_t)function))
			return -ENOENT;
		fnp_v8_wasm_name(c, (uint32_t)function, &text, &size);
	}
	if (!text || size == 0)
		return asprintf(ret, "wasm-function[%d]", function) < 0 ? -ENOMEM : 0;
	char *name = strndup((const char *)text, FNP_MIN(size, (size_t)NAME_MAX_BYTES));
	if (!name)
		return -ENOMEM;
	fnp_text_make_printable(name, strlen(name));
	*ret = name;
	return 0;
}
