/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts: what they are called, and where their lines end. V8 counts lines only when somebody asks, so they are counted
 * here, once a script, from its source. Each isolate gives its own ids, so a script is known by id, name and length of its
 * source, and found quickly by where that lies now. When there are too many, all are forgotten.
 */
#include "base/map.h"
#include "symbolizer/v8.h"

#define SCRIPTS_MAX 4096
#define SOURCE_MAX (32 << 20)
#define FILE_MAX_CHARACTERS 256
#define MAPS_MAX_BYTES ((size_t)128 << 20)

struct fnp_v8_script {
	struct fnp_v8_script *next;
	uint32_t id;
	uint64_t source; /* where it was last */
	uint32_t length; /* of the source, in characters */
	int32_t line_offset;
	char *file;
	uint32_t *ends; /* of its lines, ascending; NULL: not known */
	size_t n_ends;
	struct fnp_v8_source *made_of; /* NULL: itself, as far as is known */
};

struct fnp_v8_scripts {
	struct fnp_map all; /* id to a list */
	size_t n;
	bool source_maps;
	size_t map_bytes; /* of all source maps */
	uint64_t age;	  /* how often all were forgotten */
};

int fnp_v8_scripts_create(bool source_maps, struct fnp_v8_scripts **ret)
{
	struct fnp_v8_scripts *scripts = calloc(1, sizeof(*scripts));

	if (!scripts)
		return -ENOMEM;
	scripts->source_maps = source_maps;
	*ret = scripts;
	return 0;
}

static void script_destroy(struct fnp_v8_script *script)
{
	if (!script)
		return;
	fnp_v8_source_destroy(script->made_of);
	free(script->file);
	free(script->ends);
	free(script);
}
FNP_DEFINE_CLEANUP(script_destroyp, struct fnp_v8_script *, script_destroy)

static void forget_all(struct fnp_v8_scripts *scripts)
{
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&scripts->all, slot));) {
		for (struct fnp_v8_script *s = (void *)(uintptr_t)slot->value, *next; s; s = next) {
			next = s->next;
			script_destroy(s);
		}
	}
	fnp_map_deinit(&scripts->all);
	*scripts = (struct fnp_v8_scripts){.source_maps = scripts->source_maps, .age = scripts->age + 1};
}

uint64_t fnp_v8_scripts_age(const struct fnp_v8_scripts *scripts)
{
	return scripts->age;
}

void fnp_v8_scripts_destroy(struct fnp_v8_scripts *scripts)
{
	if (!scripts)
		return;
	forget_all(scripts);
	free(scripts);
}

static uint32_t character(const uint8_t *bytes, size_t i, unsigned width)
{
	return width == 1 ? bytes[i] : (uint32_t)(bytes[2 * i] | bytes[2 * i + 1] << 8);
}

/* Lines end as in JavaScript: by LF, CR, CR LF, and U+2028 and U+2029. */
static bool ends_line(const uint8_t *bytes, size_t i, size_t length, unsigned width)
{
	uint32_t c = character(bytes, i, width);

	if (c == '\r')
		return i + 1 >= length || character(bytes, i + 1, width) != '\n';
	return c == '\n' || c == 0x2028 || c == 0x2029;
}

/* One that cannot be read, or has no more room, is as good as none. */
static void open_map(const struct fnp_v8_view *view, struct fnp_v8_scripts *scripts,
		     const struct fnp_v8_text *text, struct fnp_v8_script *script)
{
	if (!scripts->source_maps || scripts->map_bytes > MAPS_MAX_BYTES || script->line_offset != 0 ||
	    fnp_v8_source_open(view->pid, script->file ?: "", text, &script->made_of) < 0)
		return;
	scripts->map_bytes += fnp_v8_source_size(script->made_of);
}

static int count_lines(const struct fnp_v8_view *view, struct fnp_v8_scripts *scripts,
		       struct fnp_v8_script *script)
{
	fnp_autofree uint8_t *bytes = NULL;
	size_t length, n = 0;
	unsigned width;
	int r = fnp_v8_characters(view, script->source, SOURCE_MAX, &bytes, &length, &width);

	if (r < 0)
		return r;
	for (size_t i = 0; i < length; i++)
		n += ends_line(bytes, i, length, width);
	script->ends = malloc((n + 1) * sizeof(script->ends[0]));
	if (!script->ends)
		return -ENOMEM;
	for (size_t i = 0; i < length; i++) {
		if (ends_line(bytes, i, length, width))
			script->ends[script->n_ends++] = (uint32_t)i;
	}
	script->ends[script->n_ends++] = (uint32_t)length;
	open_map(view, scripts, &(struct fnp_v8_text){.bytes = bytes, .length = length, .width = width},
		 script);
	return 0;
}

static int read_script(const struct fnp_v8_view *view, uint64_t object, uint32_t id, uint64_t source,
		       struct fnp_v8_script **ret)
{
	FNP_CLEANUP(script_destroyp) struct fnp_v8_script *script = calloc(1, sizeof(*script));
	const int32_t *v = view->tables.values;
	uint64_t name, offset, length = 0;
	int r;

	if (!script)
		return -ENOMEM;
	script->id = id;
	script->source = source;
	r = fnp_v8_field(view, source, v[FNP_V8_STRING_LENGTH], &length);
	script->length = (uint32_t)length;
	r = r ?: fnp_v8_field(view, object, v[FNP_V8_SCRIPT_NAME], &name);
	r = r ?: fnp_v8_field(view, object, v[FNP_V8_SCRIPT_NAME] + 8, &offset);
	if (r < 0)
		return r;
	script->line_offset = (int32_t)(offset >> 32);
	if (fnp_v8_type(view, name) >= 0)
		fnp_v8_string(view, name, FILE_MAX_CHARACTERS, &script->file);
	*ret = TAKE_PTR(script);
	return 0;
}

/* The same script, whose source was moved. */
static struct fnp_v8_script *find_moved(struct fnp_v8_script *first, const struct fnp_v8_script *like)
{
	while (first && (first->length != like->length || first->line_offset != like->line_offset ||
			 strcmp(first->file ?: "", like->file ?: "") != 0))
		first = first->next;
	return first;
}

static int add(struct fnp_v8_scripts *scripts, struct fnp_v8_script *script)
{
	if (scripts->n >= SCRIPTS_MAX)
		forget_all(scripts);
	script->next = fnp_map_find_ptr(&scripts->all, script->id);
	int r = fnp_map_set_ptr(&scripts->all, script->id, script);
	scripts->n += r == 0;
	return r;
}

int fnp_v8_scripts_get(struct fnp_v8_scripts *scripts, const struct fnp_v8_view *view, uint64_t script,
		       uint32_t id, const struct fnp_v8_script **ret)
{
	FNP_CLEANUP(script_destroyp) struct fnp_v8_script *new = NULL;
	struct fnp_v8_script *first = fnp_map_find_ptr(&scripts->all, id), *found = first;
	uint64_t source, word;
	int r = fnp_v8_field(view, script, view->layout.script_id + 1, &word);

	r = r ?: fnp_v8_field(view, script, view->tables.values[FNP_V8_SCRIPT_SOURCE], &source);
	if (r < 0 || word >> 32 != id)
		return -ESRCH;
	while (found && found->source != source)
		found = found->next;
	if (!found) {
		r = read_script(view, script, id, source, &new);
		if (r < 0)
			return r;
		found = find_moved(first, new);
		if (found)
			found->source = source;
	}
	if (!found) {
		r = count_lines(view, scripts, new);
		r = r == -ENOMEM ? r : add(scripts, new);
		if (r < 0)
			return r;
		found = TAKE_PTR(new);
	}
	*ret = found;
	return 0;
}

const char *fnp_v8_script_file(const struct fnp_v8_script *script)
{
	return script->file ?: "";
}

/* The index of the line of a position; n_ends: not known. */
static size_t find_line(const struct fnp_v8_script *script, int32_t position)
{
	size_t low = 0, high = script->n_ends;

	if (position < 0 || script->n_ends == 0 || (uint32_t)position > script->ends[script->n_ends - 1])
		return script->n_ends;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (script->ends[middle] < (uint32_t)position)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32_t fnp_v8_script_line(const struct fnp_v8_script *script, int32_t position)
{
	size_t at = find_line(script, position);

	if (at >= script->n_ends)
		return 0;
	int64_t line = (int64_t)at + script->line_offset + 1;
	return line > 0 && line < INT32_MAX ? (uint32_t)line : 0;
}

/* -ENOENT: it is nowhere. */
static int find_place(const struct fnp_v8_script *script, int32_t position, struct fnp_v8_start *ret)
{
	size_t at = script->made_of ? find_line(script, position) : script->n_ends;

	if (at >= script->n_ends)
		return -ENOENT;
	*ret = (struct fnp_v8_start){.position = (uint32_t)position,
				     .line = (uint32_t)at,
				     .column = (uint32_t)position - (at ? script->ends[at - 1] + 1 : 0)};
	return 0;
}

int fnp_v8_script_original(const struct fnp_v8_script *script, int32_t position, char **ret_file,
			   uint32_t *ret_line)
{
	struct fnp_v8_start at;
	int r = find_place(script, position, &at);

	return r ?: fnp_v8_source_place(script->made_of, at.line, at.column, ret_file, ret_line);
}

const char *fnp_v8_script_original_name(const struct fnp_v8_script *script, int32_t start, const char *name)
{
	struct fnp_v8_start at;

	return find_place(script, start, &at) < 0 ? NULL : fnp_v8_source_name(script->made_of, &at, name);
}
