/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about an object hangs on the object (its attachment), so that names live as long as it does and go
 * with it. Resolved chains are kept there by address, because samples meet the same addresses again and again.
 */
#include "symbolizer/symbolize.h"

#include "base/buffer.h"
#include "base/intern.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"
#include "base/vec.h"
#include "symbolizer/demangle.h"
#include "symbolizer/symbol_table.h"

#define STRINGS_MAX ((size_t)48 << 20)
#define CHAINS_MAX ((size_t)1 << 17) /* frames kept an object; past that they are forgotten and found again */

struct fnp_symbolizer {
	FNP_VEC(char *) roots;
	bool no_debug_data;
	struct fnp_buffer scratch;
};

/* What is known about one object. */
struct names {
	struct fnp_object *debug; /* separate debug file, or NULL */
	struct fnp_symbol_table *table;
	struct fnp_intern *strings;
	struct fnp_map chains; /* address -> first frame in `frames` << 16 | their number */
	FNP_VEC(struct fnp_symbol) frames;
};

static void destroy_names(void *attachment)
{
	struct names *names = attachment;

	fnp_symbol_table_destroy(names->table);
	fnp_object_unref(names->debug);
	fnp_intern_destroy(names->strings);
	fnp_map_deinit(&names->chains);
	fnp_vec_deinit(&names->frames);
	free(names);
}

static void destroy_namesp(struct names **names)
{
	if (*names)
		destroy_names(*names);
}

int fnp_symbolizer_create(const struct fnp_symbolizer_options *options, struct fnp_symbolizer **ret)
{
	static const struct fnp_symbolizer_options defaults;
	FNP_CLEANUP(fnp_symbolizer_destroyp)
	struct fnp_symbolizer *symbolizer = calloc(1, sizeof(*symbolizer));

	if (!symbolizer)
		return -ENOMEM;
	if (!options)
		options = &defaults;
	symbolizer->no_debug_data = options->no_debug_data;
	for (size_t i = 0; i <= options->debug_roots.n; i++) {
		bool own = i == options->debug_roots.n;
		fnp_autofree char *path = strdup(own ? "/usr/lib/debug" : options->debug_roots.paths[i]);
		int r = path ? fnp_vec_push(&symbolizer->roots, path) : -ENOMEM;
		if (r < 0)
			return r;
		path = NULL;
	}
	*ret = TAKE_PTR(symbolizer);
	return 0;
}

void fnp_symbolizer_destroy(struct fnp_symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	for (size_t i = 0; i < symbolizer->roots.len; i++)
		free(symbolizer->roots.items[i]);
	fnp_vec_deinit(&symbolizer->roots);
	fnp_buffer_deinit(&symbolizer->scratch);
	free(symbolizer);
}

static int names_of(const struct fnp_symbolizer *symbolizer, struct fnp_object *object, struct names **ret)
{
	struct fnp_debug_roots roots = {.paths = (const char *const *)symbolizer->roots.items,
					.n = symbolizer->roots.len};
	FNP_CLEANUP(destroy_namesp) struct names *names = fnp_object_attachment(object);
	int r;

	if (names) {
		*ret = TAKE_PTR(names);
		return 0;
	}
	names = calloc(1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	(void)fnp_debug_file_find(object, roots, &names->debug); /* most objects have none */
	r = fnp_intern_create(STRINGS_MAX, &names->strings);
	if (r < 0)
		return r;
	r = fnp_symbol_table_create(object, names->debug, &names->table);
	if (r < 0)
		fnp_warning("%s: its symbol tables cannot be read (%s); frames in it stay without names",
			    fnp_object_name(object), strerror(-r));
	*ret = names;
	fnp_object_set_attachment(object, TAKE_PTR(names), destroy_names);
	return 0;
}

/* The name for people, interned. */
static int display_name(struct fnp_symbolizer *symbolizer, struct names *names, const char *system_name,
			const char **ret)
{
	uint32_t id;
	int r;

	symbolizer->scratch.len = 0;
	r = fnp_demangle(system_name, &symbolizer->scratch);
	if (r == 0)
		r = fnp_intern_add(names->strings, symbolizer->scratch.data, symbolizer->scratch.len - 1, &id);
	if (r < 0)
		return r;
	*ret = fnp_intern_get_text(names->strings, id);
	return 0;
}

/* The PLT's own names are not mangled as a whole: `_Zfoo@plt`. */
static int table_name(struct fnp_symbolizer *symbolizer, struct names *names, const char *name, const char **ret)
{
	size_t len = strlen(name);
	const char *plain;
	uint32_t id;
	int r = display_name(symbolizer, names, name, &plain);

	if (r < 0 || len < 4 || strcmp(name + len - 4, "@plt") != 0) {
		if (r == 0)
			*ret = plain;
		return r;
	}
	symbolizer->scratch.len = 0;
	fnp_buffer_printf(&symbolizer->scratch, "%s@plt", plain);
	r = symbolizer->scratch.error;
	if (r == 0)
		r = fnp_intern_add(names->strings, symbolizer->scratch.data, symbolizer->scratch.len, &id);
	if (r == 0)
		*ret = fnp_intern_get_text(names->strings, id);
	return r;
}

static int look_up(struct fnp_symbolizer *symbolizer, struct names *names, uint64_t address)
{
	struct fnp_table_symbol found;
	struct fnp_symbol symbol = {.file = ""};
	int r = names->table ? fnp_symbol_table_find(names->table, address, &found) : -ENOENT;

	if (r == 0)
		r = table_name(symbolizer, names, found.name, &symbol.name);
	if (r < 0)
		return r;
	symbol.system_name = found.name;
	return fnp_vec_push(&names->frames, symbol);
}

static struct fnp_symbol_chain chain_at(const struct names *names, uint64_t packed)
{
	return (struct fnp_symbol_chain){.symbols = names->frames.items + (packed >> 16),
					 .n = (uint32_t)(packed & 0xffff)};
}

int fnp_symbolizer_resolve(struct fnp_symbolizer *symbolizer, struct fnp_object *object, uint64_t address,
			   struct fnp_symbol_chain *ret)
{
	struct names *names;
	int r = names_of(symbolizer, object, &names);

	if (r < 0)
		return r;
	uint64_t *known = fnp_map_find(&names->chains, address);
	if (known) {
		*ret = chain_at(names, *known);
		return ret->n > 0 ? 0 : -ENOENT;
	}
	if (names->frames.len > CHAINS_MAX || names->chains.len > CHAINS_MAX) {
		fnp_map_deinit(&names->chains);
		names->frames.len = 0;
	}
	uint64_t first = names->frames.len;
	r = look_up(symbolizer, names, address);
	if (r < 0 && r != -ENOENT) {
		names->frames.len = first;
		return r;
	}
	uint64_t packed = first << 16 | (names->frames.len - first);
	int set = fnp_map_set(&names->chains, address, packed);
	if (set < 0)
		return set;
	if (r == 0)
		*ret = chain_at(names, packed);
	return r;
}

void fnp_symbolizer_fallback_name(const char *object_name, uint64_t address, char *ret, size_t size)
{
	const char *slash = strrchr(object_name, '/');
	char tail[32];
	int tail_len = snprintf(tail, sizeof(tail), "+0x%llx]", (unsigned long long)address);

	if (slash && slash[1])
		object_name = slash + 1;
	if (size < (size_t)tail_len + 2) {
		snprintf(ret, size, "[%s", tail + 1);
		return;
	}
	snprintf(ret, size, "[%.*s%s", (int)(size - (size_t)tail_len - 2), object_name, tail);
	fnp_text_make_printable(ret, strlen(ret));
}
