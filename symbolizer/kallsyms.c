/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is `address type name[\t[module]]`. Types t, T, w, W are code; capitals are global. The kernel shows zeros
 * for every address to who may not know them (kptr_restrict). A symbol has no size: it counts up to the next one, but
 * no further than the largest function one could meet, so that the hole after a module has no name.
 */
#include "symbolizer/kallsyms.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/cursor.h"
#include "base/log.h"
#include "base/vec.h"

#define FUNCTION_MAX (UINT64_C(256) << 10)
#define CHUNK_BYTES (256 * 1024)
#define LINE_MAX_BYTES 2048
#define SYMBOLS_MAX (UINT32_C(4) << 20)

struct entry {
	uint64_t address;
	uint32_t name;	 /* offset in names */
	uint16_t module; /* number */
	uint16_t rank;	 /* of several at one address the lowest is shown: global first, then the shortest */
};

struct fnp_kallsyms {
	char *path;
	bool loaded;
	FNP_VEC(struct entry) entries;
	struct fnp_buffer names;
	FNP_VEC(uint32_t) modules; /* names, as offsets in `names`; number 0 is the kernel */
	uint64_t text;		   /* _stext; 0: not known */
};

int fnp_kallsyms_create(const char *path, struct fnp_kallsyms **ret)
{
	FNP_CLEANUP(fnp_kallsyms_destroyp) struct fnp_kallsyms *kallsyms = calloc(1, sizeof(*kallsyms));

	if (!kallsyms)
		return -ENOMEM;
	kallsyms->path = strdup(path ? path : "/proc/kallsyms");
	if (!kallsyms->path)
		return -ENOMEM;
	*ret = TAKE_PTR(kallsyms);
	return 0;
}

void fnp_kallsyms_forget(struct fnp_kallsyms *kallsyms)
{
	fnp_vec_deinit(&kallsyms->entries);
	fnp_vec_deinit(&kallsyms->modules);
	fnp_buffer_deinit(&kallsyms->names);
	kallsyms->loaded = false;
	kallsyms->text = 0;
}

void fnp_kallsyms_destroy(struct fnp_kallsyms *kallsyms)
{
	if (!kallsyms)
		return;
	fnp_kallsyms_forget(kallsyms);
	free(kallsyms->path);
	free(kallsyms);
}

static int add_text(struct fnp_kallsyms *kallsyms, const char *text, size_t len, uint32_t *ret)
{
	size_t at = kallsyms->names.len;

	if (at > UINT32_MAX / 2)
		return -EFBIG;
	fnp_buffer_append(&kallsyms->names, text, len);
	fnp_buffer_byte(&kallsyms->names, 0);
	if (kallsyms->names.error)
		return kallsyms->names.error;
	*ret = (uint32_t)at;
	return 0;
}

/* Lines of one module stand together, so only the last one is compared. */
static int module_number(struct fnp_kallsyms *kallsyms, const char *name, size_t len, uint16_t *ret)
{
	uint32_t last = kallsyms->modules.items[kallsyms->modules.len - 1], at;
	const char *last_name = (const char *)kallsyms->names.data + last;
	int r = 0;

	if (kallsyms->modules.len > 1 && strncmp(last_name, name, len) == 0 && last_name[len] == '\0') {
		*ret = (uint16_t)(kallsyms->modules.len - 1);
		return 0;
	}
	if (kallsyms->modules.len > UINT16_MAX)
		return -EFBIG;
	r = add_text(kallsyms, name, len, &at);
	if (r == 0)
		r = fnp_vec_push(&kallsyms->modules, at);
	if (r == 0)
		*ret = (uint16_t)(kallsyms->modules.len - 1);
	return r;
}

/* One line without its newline; what is not understood is skipped. */
static int add_line(struct fnp_kallsyms *kallsyms, char *line)
{
	char *end, *name, *tab;
	struct entry entry = {.address = strtoull(line, &end, 16)};
	int r = 0;

	if (end == line || end[0] != ' ' || !end[1] || !strchr("tTwW", end[1]) || end[2] != ' ' || !end[3] ||
	    entry.address == 0)
		return 0;
	name = end + 3;
	tab = strchr(name, '\t');
	if (tab && tab[1] == '[') {
		r = module_number(kallsyms, tab + 2, strcspn(tab + 2, "]"), &entry.module);
		*tab = '\0';
	}
	size_t len = strlen(name);
	if (strcmp(name, "_stext") == 0)
		kallsyms->text = entry.address;
	entry.rank = (uint16_t)(FNP_MIN(len, (size_t)0x7fff) | (end[1] == 't' ? 0x8000 : 0));
	if (r == 0)
		r = add_text(kallsyms, name, len, &entry.name);
	if (r == 0 && kallsyms->entries.len >= SYMBOLS_MAX)
		r = -EFBIG;
	return r < 0 ? r : fnp_vec_push(&kallsyms->entries, entry);
}

/* The whole lines of `bytes`; how many bytes they were. The byte after the end is ours to write. */
static int add_lines(struct fnp_kallsyms *kallsyms, char *bytes, size_t len, size_t *ret)
{
	size_t at = 0;

	for (char *newline; (newline = memchr(bytes + at, '\n', len - at)); at = (size_t)(newline + 1 - bytes)) {
		*newline = '\0';
		int r = add_line(kallsyms, bytes + at);
		if (r < 0)
			return r;
	}
	*ret = at;
	return 0;
}

static int read_all(struct fnp_kallsyms *kallsyms, int fd)
{
	fnp_autofree char *chunk = malloc(CHUNK_BYTES + 1);
	size_t have = 0, used;

	if (!chunk)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, chunk + have, CHUNK_BYTES - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		have += (size_t)n;
		int r = add_lines(kallsyms, chunk, have, &used);
		if (r < 0)
			return r;
		memmove(chunk, chunk + used, have - used);
		have -= used;
		if (have > LINE_MAX_BYTES && have == CHUNK_BYTES)
			return -EBADMSG;
	}
}

static int compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

/* Of equal addresses the first one stays; what the vectors had in reserve is given back. */
static void finish(struct fnp_kallsyms *kallsyms)
{
	struct entry *items = kallsyms->entries.items;
	size_t kept = 0;

	if (kallsyms->entries.len == 0)
		return;
	qsort(items, kallsyms->entries.len, sizeof(*items), compare);
	for (size_t i = 0; i < kallsyms->entries.len; i++) {
		if (kept == 0 || items[kept - 1].address != items[i].address)
			items[kept++] = items[i];
	}
	kallsyms->entries.len = kept;
	struct entry *smaller = realloc(items, kept * sizeof(*items));
	if (smaller) {
		kallsyms->entries.items = smaller;
		kallsyms->entries.cap = kept;
	}
	uint8_t *names = realloc(kallsyms->names.data, kallsyms->names.len);
	if (names) {
		kallsyms->names.data = names;
		kallsyms->names.cap = kallsyms->names.len;
	}
}

static int load(struct fnp_kallsyms *kallsyms)
{
	fnp_autoclose int fd = open(kallsyms->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint32_t empty;
	int r = fd < 0 ? -errno : 0;

	if (r == 0)
		r = add_text(kallsyms, "", 0, &empty);
	if (r == 0)
		r = fnp_vec_push(&kallsyms->modules, empty);
	if (r == 0)
		r = read_all(kallsyms, fd);
	if (r < 0)
		return r;
	finish(kallsyms);
	return kallsyms->entries.len > 0 ? 0 : -EPERM;
}

/* Also after a failure: it is not tried again for every frame. */
static void load_once(struct fnp_kallsyms *kallsyms)
{
	int r = load(kallsyms);

	if (r == -EPERM)
		fnp_warning("%s hides the kernel's addresses: kernel frames have no names; run as root, or "
			    "set the "
			    "sysctl kernel.kptr_restrict to 0",
			    kallsyms->path);
	else if (r < 0)
		fnp_warning("cannot read %s (%s): kernel frames have no names", kallsyms->path, strerror(-r));
	if (r < 0)
		fnp_kallsyms_forget(kallsyms);
	kallsyms->loaded = true;
}

int fnp_kallsyms_find(struct fnp_kallsyms *kallsyms, uint64_t address, struct fnp_kernel_symbol *ret)
{
	size_t low = 0, high;

	if (!kallsyms->loaded)
		load_once(kallsyms);
	for (high = kallsyms->entries.len; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (kallsyms->entries.items[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || address - kallsyms->entries.items[low - 1].address > FUNCTION_MAX)
		return -ENOENT;
	const struct entry *entry = &kallsyms->entries.items[low - 1];
	const char *names = (const char *)kallsyms->names.data;
	ret->name = names + entry->name;
	ret->module = names + kallsyms->modules.items[entry->module];
	ret->start = entry->address;
	return 0;
}

int fnp_kallsyms_text(struct fnp_kallsyms *kallsyms, uint64_t *ret)
{
	if (!kallsyms->loaded)
		load_once(kallsyms);
	if (kallsyms->text == 0)
		return -ENOENT;
	*ret = kallsyms->text;
	return 0;
}

size_t fnp_kallsyms_bytes(const struct fnp_kallsyms *kallsyms)
{
	return kallsyms->entries.cap * sizeof(struct entry) + kallsyms->names.cap;
}
