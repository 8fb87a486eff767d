/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds runtimes by what files hold, never by what they are called, and lends the runtimes a few tools to look.
 *
 * Symbols first (a runtime exports what its extensions and debuggers need, and stripping leaves that), then sections,
 * then constants. Looking through constants is the slow part, tens of megabytes in one node: it is done only for the
 * version of an object that is known to be a runtime.
 */
#include "symbolizer/runtime.h"

#include <ctype.h>
#include <sys/uio.h>

#include "symbolizer/dynamic.h"

/* A program has tens of megabytes: pages that were looked through are given back on the way. */
#define RELEASE_BYTES ((size_t)2 << 20)
#define RELEASE_SYMBOLS 2048

#define FNP_REGISTER(name) extern const struct fnp_runtime_ops fnp_runtime_##name;
#include "runtimes_registry.inc"
#undef FNP_REGISTER

#define FNP_REGISTER(name) &fnp_runtime_##name,
const struct fnp_runtime_ops *const fnp_runtimes[] = {
#include "runtimes_registry.inc"
	NULL,
};
#undef FNP_REGISTER

void fnp_runtime_recognise(const struct fnp_object *object, struct fnp_runtime_id *ret)
{
	struct fnp_runtime_id id = {.text = "native"};

	for (size_t i = 0; fnp_runtimes[i]; i++) {
		struct fnp_runtime_id found = {0};
		if (fnp_runtimes[i]->recognise(object, &found) == 0) {
			found.ops = fnp_runtimes[i];
			id = found;
			break;
		}
	}
	*ret = id;
}

/* The address at which the mapping's first byte stands by the file's own count, or -ENOENT. */
static int bias_of(const struct fnp_runtime_mapping *mapping, uint64_t *ret)
{
	uint64_t address;
	int r = fnp_object_address_of_offset(mapping->object, mapping->offset, &address);

	if (r == 0)
		*ret = mapping->start - address;
	return r;
}

/* Puts a match where its rank says: the program's own first, else as they come in the registry. */
static void insert_match(struct fnp_runtime_match *matches, size_t *n, const struct fnp_runtime_match *match,
			 const struct fnp_object *program)
{
	size_t at = 0;

	for (; at < *n; at++) {
		if (matches[at].object == match->object)
			return;
	}
	for (at = 0; at < *n; at++) {
		if (matches[at].object == program)
			continue;
		if (match->object == program)
			break;
		size_t mine = 0, its = 0;
		for (size_t i = 0; fnp_runtimes[i]; i++) {
			mine = fnp_runtimes[i] == match->id.ops ? i : mine;
			its = fnp_runtimes[i] == matches[at].id.ops ? i : its;
		}
		if (mine < its)
			break;
	}
	if (at == FNP_RUNTIME_MATCHES_MAX)
		return;
	if (*n == FNP_RUNTIME_MATCHES_MAX)
		(*n)--;
	memmove(&matches[at + 1], &matches[at], (*n - at) * sizeof(matches[0]));
	matches[at] = *match;
	(*n)++;
}

/*
 * The program itself: the lowest mapping of an object that has an interpreter or no dynamic loader at all. A loader
 * started by hand ("ld.so ./program") has neither; then no object is preferred.
 */
static const struct fnp_object *program_of(const struct fnp_runtime_process *process)
{
	for (size_t i = 0; i < process->n_mappings; i++) {
		const struct fnp_object *object = process->mappings[i].object;
		Elf64_Phdr ph;

		if (!object)
			continue;
		if (fnp_object_header(object)->e_type == ET_EXEC)
			return object;
		for (size_t p = 0; fnp_object_program_header(object, p, &ph) == 0; p++) {
			if (ph.p_type == PT_INTERP)
				return object;
		}
	}
	return NULL;
}

static void recognise_now(void *context FNP_UNUSED, const struct fnp_object *object, struct fnp_runtime_id *ret)
{
	fnp_runtime_recognise(object, ret);
}

size_t fnp_runtime_find(const struct fnp_runtime_process *process, fnp_runtime_recogniser *recognise,
			void *context, struct fnp_runtime_match ret[FNP_RUNTIME_MATCHES_MAX])
{
	struct fnp_runtime_match matches[FNP_RUNTIME_MATCHES_MAX + 1] = {0};
	const struct fnp_object *program = program_of(process), *last = NULL;
	size_t n = 0;

	if (!recognise)
		recognise = recognise_now;
	for (size_t i = 0; i < process->n_mappings; i++) {
		const struct fnp_runtime_mapping *mapping = &process->mappings[i];
		struct fnp_runtime_match match = {.object = mapping->object};

		if (!mapping->object || !mapping->executable || mapping->object == last)
			continue;
		last = mapping->object;
		recognise(context, mapping->object, &match.id);
		if (match.id.ops && bias_of(mapping, &match.bias) == 0)
			insert_match(matches, &n, &match, program);
	}
	memcpy(ret, matches, n * sizeof(ret[0]));
	return n;
}

/* The number of a name that was not found yet, or n_names. */
static size_t find_wanted(const char *name, const char *const *names, size_t n_names,
			  const struct fnp_object_symbol *found)
{
	size_t k = 0;

	/* Most names differ early. */
	while (k < n_names && (found[k].address || names[k][0] != name[0] || strcmp(names[k], name) != 0))
		k++;
	return k;
}

/* One pass over a symbol table for names whose type is still STT_NOTYPE. */
static size_t scan_symbols(const struct fnp_object *object, const struct fnp_symbol_source *source,
			   const char *const *names, size_t n_names, struct fnp_object_symbol *ret)
{
	bool begins[256] = {false};
	size_t found = 0;

	for (size_t k = 0; k < n_names; k++)
		begins[(uint8_t)names[k][0]] = true;
	for (size_t i = 0; i < source->n_symbols && found < n_names; i++) {
		struct fnp_cursor c = source->names;
		const char *name;
		Elf64_Sym sym;

		if (i % RELEASE_SYMBOLS == RELEASE_SYMBOLS - 1)
			fnp_object_release_pages(object);
		memcpy(&sym, source->symbols + i * sizeof(sym), sizeof(sym));
		/* Only of what may be wanted is the whole text asked for. */
		if (sym.st_shndx == SHN_UNDEF || fnp_cursor_seek(&c, sym.st_name) < 0 ||
		    fnp_cursor_left(&c) == 0 || !begins[c.pos[0]] || fnp_cursor_string(&c, &name) < 0)
			continue;
		size_t k = find_wanted(name, names, n_names, ret);
		if (k == n_names)
			continue;
		ret[k] = (struct fnp_object_symbol){
			.address = sym.st_value, .size = sym.st_size, .type = ELF64_ST_TYPE(sym.st_info)};
		found++;
	}
	return found;
}

size_t fnp_runtime_exports(const struct fnp_object *object, const char *const *names, size_t n_names,
			   struct fnp_object_symbol *ret)
{
	struct fnp_symbol_source source;

	memset(ret, 0, n_names * sizeof(*ret));
	return fnp_symbol_source_dynsym(object, &source) == 0
		       ? scan_symbols(object, &source, names, n_names, ret)
		       : 0;
}

size_t fnp_runtime_symbols(const struct fnp_object *object, const char *const *names, size_t n_names,
			   struct fnp_object_symbol *ret)
{
	struct fnp_symbol_source source;
	size_t found = fnp_runtime_exports(object, names, n_names, ret);

	if (found < n_names && fnp_symbol_source_symtab(object, &source) == 0)
		found += scan_symbols(object, &source, names, n_names, ret);
	return found;
}

int fnp_runtime_constants(const struct fnp_object *object, size_t piece, struct fnp_cursor *ret)
{
	struct fnp_section section;
	const struct fnp_segment *segments;
	const uint8_t *bytes;

	if (fnp_object_find_section(object, ".rodata", &section) == 0 && section.data) {
		if (piece > 0)
			return -ENOENT;
		*ret = fnp_cursor_of(section.data, section.size);
		return 0;
	}
	size_t n = fnp_object_segments(object, &segments);
	for (size_t i = 0; i < n; i++) {
		if (segments[i].flags & PF_W || segments[i].file_size == 0 || piece-- > 0)
			continue;
		int r = fnp_object_read_address(object, segments[i].address, segments[i].file_size, &bytes);
		if (r == 0)
			*ret = fnp_cursor_of(bytes, segments[i].file_size);
		return r;
	}
	return -ENOENT;
}

const uint8_t *fnp_runtime_search(const struct fnp_object *object, struct fnp_cursor c, const void *bytes,
				  size_t size)
{
	const uint8_t *hit = NULL;

	while (!hit && fnp_cursor_left(&c) >= size) {
		size_t left = fnp_cursor_left(&c), piece = FNP_MIN(left, RELEASE_BYTES + size - 1);

		hit = memmem(c.pos, piece, bytes, size);
		if (!hit)
			fnp_object_release_pages(object);
		c.pos += FNP_MIN(left, RELEASE_BYTES);
	}
	return hit;
}

/* The version at the cursor, or -ENOENT when there is none. */
static int copy_version(struct fnp_cursor c, char *ret, size_t size)
{
	size_t n = 0, left = fnp_cursor_left(&c);

	while (n < left && n < size - 1 && (isalnum(c.pos[n]) || strchr("._+-", c.pos[n])) && c.pos[n] != '\0')
		n++;
	if (n == 0 || c.pos[0] < '1' || c.pos[0] > '9')
		return -ENOENT;
	memcpy(ret, c.pos, n);
	ret[n] = '\0';
	return 0;
}

int fnp_runtime_version_after(const struct fnp_object *object, const char *before, char *ret, size_t size)
{
	size_t len = strlen(before);
	struct fnp_cursor c;

	for (size_t piece = 0; fnp_runtime_constants(object, piece, &c) == 0; piece++) {
		const uint8_t *hit;
		while ((hit = fnp_runtime_search(object, c, before, len))) {
			c.pos = hit + len;
			if (copy_version(c, ret, size) == 0)
				return 0;
		}
	}
	return -ENOENT;
}

/* At most four digits: a number that does not fit is none. */
static uint16_t parse_number(const char **text)
{
	unsigned value = 0;

	for (int i = 0; i < 4 && isdigit((unsigned char)**text); i++)
		value = value * 10 + (unsigned)(*(*text)++ - '0');
	return (uint16_t)value;
}

void fnp_runtime_parse_version(const char *text, uint16_t *ret_major, uint16_t *ret_minor)
{
	uint16_t major = parse_number(&text), minor = 0;

	if (*text == '.') {
		text++;
		minor = parse_number(&text);
	}
	*ret_major = major;
	*ret_minor = minor;
}

int fnp_runtime_read(pid_t pid, uint64_t address, void *ret, size_t size)
{
	struct iovec local = {.iov_base = ret, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
	ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EFAULT;
}
