/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers of an ELF file are decoded when they are asked for, from bytes that may be hostile: nothing is kept but
 * where the tables are, so a file with 65,535 sections costs no memory. Program headers decide what is where in
 * memory; section headers only help (they may be missing, or lie).
 */
#include "symbolizer/object.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/vec.h"
#include "symbolizer/dynamic.h"
#include "symbolizer/mapped_file.h"

#define MUCH_CODE (4U << 20)
#define BUILD_ID_MAX 64 /* bytes; 20 is usual */
#define SEGMENTS_MAX 256
#define FILE_MAX (UINT64_C(16) << 30)

struct fnp_object {
	int owners; /* atomic */
	char *name;
	struct fnp_mapped_file *file; /* NULL for an object in memory */
	uint8_t *copy;		      /* the bytes of one in memory */
	struct fnp_cursor bytes;
	Elf64_Ehdr header;
	size_t n_program_headers, n_sections;
	const uint8_t *section_headers;
	struct fnp_cursor section_names;
	FNP_VEC(struct fnp_segment) segments;
	char build_id[2 * BUILD_ID_MAX + 1];
	void *attachment;
	void (*destroy_attachment)(void *attachment);
};

/* Bytes [offset, offset + size) of the file. */
static int range(const struct fnp_object *object, uint64_t offset, uint64_t size, const uint8_t **ret)
{
	struct fnp_cursor c = object->bytes;
	int r = fnp_cursor_seek(&c, offset);

	return r < 0 ? r : fnp_cursor_bytes(&c, size, ret);
}

int fnp_object_program_header(const struct fnp_object *object, size_t number, Elf64_Phdr *ret)
{
	const uint8_t *p;

	if (number >= object->n_program_headers ||
	    range(object, object->header.e_phoff, (number + 1) * sizeof(*ret), &p) < 0)
		return -ENOENT;
	memcpy(ret, p + number * sizeof(*ret), sizeof(*ret));
	return 0;
}

static int read_segments(struct fnp_object *object)
{
	Elf64_Phdr ph;

	for (size_t i = 0; fnp_object_program_header(object, i, &ph) == 0; i++) {
		if (ph.p_type != PT_LOAD || object->segments.len == SEGMENTS_MAX)
			continue;
		struct fnp_segment segment = {.offset = ph.p_offset,
					      .file_size = ph.p_filesz,
					      .address = ph.p_vaddr,
					      .memory_size = ph.p_memsz,
					      .flags = ph.p_flags};
		int r = fnp_vec_push(&object->segments, segment);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Where the section headers are; a table that does not fit in the file counts as missing. */
static void find_section_headers(struct fnp_object *object)
{
	const Elf64_Ehdr *eh = &object->header;
	uint64_t count = eh->e_shnum, names = eh->e_shstrndx;
	const uint8_t *first;
	Elf64_Shdr sh;

	if (eh->e_shoff == 0 || eh->e_shentsize != sizeof(sh) ||
	    range(object, eh->e_shoff, sizeof(sh), &first) < 0)
		return;
	memcpy(&sh, first, sizeof(sh));
	/* Numbers that do not fit the header's 16 bits stand in section 0 (gABI, "Section Header Table"). */
	if (count == 0)
		count = sh.sh_size;
	if (names == SHN_XINDEX)
		names = sh.sh_link;
	if (count > (uint64_t)(object->bytes.end - first) / sizeof(sh))
		return;
	object->section_headers = first;
	object->n_sections = count;
	if (names >= count)
		return;
	memcpy(&sh, first + names * sizeof(sh), sizeof(sh));
	const uint8_t *text;
	if (range(object, sh.sh_offset, sh.sh_size, &text) == 0)
		object->section_names = fnp_cursor_of(text, sh.sh_size);
}

static void take_build_id(struct fnp_object *object, const uint8_t *id, uint64_t size)
{
	for (uint64_t i = 0; i < FNP_MIN(size, (uint64_t)BUILD_ID_MAX); i++)
		snprintf(object->build_id + 2 * i, 3, "%02x", id[i]);
}

/* Notes are {name size, desc size, type} and both texts, each padded to 4 bytes, also where p_align says 8. */
static bool find_build_id_note(struct fnp_object *object, uint64_t offset, uint64_t size)
{
	const uint8_t *data;

	if (range(object, offset, size, &data) < 0)
		return false;
	for (struct fnp_cursor c = fnp_cursor_of(data, size);;) {
		uint32_t name_size, desc_size, type;
		const uint8_t *name, *desc;

		if (fnp_cursor_u32(&c, &name_size) < 0 || fnp_cursor_u32(&c, &desc_size) < 0 ||
		    fnp_cursor_u32(&c, &type) < 0 || fnp_cursor_bytes(&c, name_size, &name) < 0 ||
		    fnp_cursor_skip(&c, -name_size & 3) < 0 || fnp_cursor_bytes(&c, desc_size, &desc) < 0)
			return false;
		if (type == NT_GNU_BUILD_ID && name_size == 4 && memcmp(name, "GNU", 4) == 0 && desc_size > 0) {
			take_build_id(object, desc, desc_size);
			return true;
		}
		if (fnp_cursor_skip(&c, -desc_size & 3) < 0)
			return false;
	}
}

/* By program header, and for files that have none (debug files of some tools) by section. */
static void find_build_id(struct fnp_object *object)
{
	struct fnp_section section;
	Elf64_Phdr ph;

	for (size_t i = 0; fnp_object_program_header(object, i, &ph) == 0; i++) {
		if (ph.p_type == PT_NOTE && find_build_id_note(object, ph.p_offset, ph.p_filesz))
			return;
	}
	if (fnp_object_find_section(object, ".note.gnu.build-id", &section) == 0 && section.data)
		find_build_id_note(object, section.offset, section.size);
}

static int read_headers(struct fnp_object *object)
{
	struct fnp_cursor c = object->bytes;
	Elf64_Ehdr *eh = &object->header;
	int r;

	if (fnp_cursor_copy(&c, eh, sizeof(*eh)) < 0 || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB)
		return -ENOEXEC;
	if (eh->e_phentsize == sizeof(Elf64_Phdr))
		object->n_program_headers = eh->e_phnum;
	find_section_headers(object);
	r = read_segments(object);
	if (r < 0)
		return r;
	find_build_id(object);
	return 0;
}

static int open_bytes(struct fnp_object *object, const char *name, struct fnp_cursor bytes)
{
	object->owners = 1;
	object->bytes = bytes;
	object->section_names = fnp_cursor_of("", 0);
	object->name = strdup(name);
	if (!object->name)
		return -ENOMEM;
	return read_headers(object);
}

int fnp_object_open_fd(int fd_taken, const char *name, struct fnp_object **ret)
{
	fnp_autoclose int fd = fd_taken;
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = calloc(1, sizeof(*object));
	int r;

	if (!object)
		return -ENOMEM;
	object->owners = 1;
	r = fnp_mapped_file_create(fd, FILE_MAX, &object->file);
	if (r < 0)
		return r;
	r = open_bytes(object, name, fnp_mapped_file_bytes(object->file));
	if (r < 0)
		return r;
	*ret = TAKE_PTR(object);
	return 0;
}

int fnp_object_open_path(const char *path, struct fnp_object **ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? -errno : fnp_object_open_fd(fd, path, ret);
}

int fnp_object_open_memory(const void *data, size_t size, const char *name, struct fnp_object **ret)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = calloc(1, sizeof(*object));
	int r;

	if (!object)
		return -ENOMEM;
	object->owners = 1;
	object->copy = malloc(FNP_MAX(size, (size_t)1));
	if (!object->copy)
		return -ENOMEM;
	if (size)
		memcpy(object->copy, data, size);
	r = open_bytes(object, name, fnp_cursor_of(object->copy, size));
	if (r < 0)
		return r;
	*ret = TAKE_PTR(object);
	return 0;
}

struct fnp_object *fnp_object_ref(struct fnp_object *object)
{
	__atomic_add_fetch(&object->owners, 1, __ATOMIC_RELAXED);
	return object;
}

void fnp_object_unref(struct fnp_object *object)
{
	if (!object || __atomic_sub_fetch(&object->owners, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (object->destroy_attachment)
		object->destroy_attachment(object->attachment);
	fnp_mapped_file_destroy(object->file);
	free(object->copy);
	free(object->name);
	fnp_vec_deinit(&object->segments);
	free(object);
}

const char *fnp_object_name(const struct fnp_object *object)
{
	return object->name;
}

const char *fnp_object_base_name(const struct fnp_object *object)
{
	const char *slash = strrchr(object->name, '/');

	return slash && slash[1] ? slash + 1 : object->name;
}

const char *fnp_object_build_id(const struct fnp_object *object)
{
	return object->build_id;
}

const Elf64_Ehdr *fnp_object_header(const struct fnp_object *object)
{
	return &object->header;
}

struct fnp_cursor fnp_object_bytes(const struct fnp_object *object)
{
	return object->bytes;
}

size_t fnp_object_segments(const struct fnp_object *object, const struct fnp_segment **ret)
{
	*ret = object->segments.items;
	return object->segments.len;
}

bool fnp_object_has_much_code(const struct fnp_object *object)
{
	for (size_t i = 0; i < object->segments.len; i++) {
		if ((object->segments.items[i].flags & PF_X) && object->segments.items[i].file_size > MUCH_CODE)
			return true;
	}
	return false;
}

size_t fnp_object_section_count(const struct fnp_object *object)
{
	return object->n_sections;
}

int fnp_object_section(const struct fnp_object *object, size_t index, struct fnp_section *ret)
{
	struct fnp_cursor names = object->section_names;
	struct fnp_section section = {.name = "", .index = (uint32_t)index};
	Elf64_Shdr sh;

	if (index >= object->n_sections)
		return -ENOENT;
	memcpy(&sh, object->section_headers + index * sizeof(sh), sizeof(sh));
	if (fnp_cursor_seek(&names, sh.sh_name) == 0)
		(void)fnp_cursor_string(&names, &section.name); /* stays "" without its NUL */
	section.type = sh.sh_type;
	section.size = sh.sh_size;
	section.address = sh.sh_addr;
	section.offset = sh.sh_offset;
	section.flags = sh.sh_flags;
	section.entry_size = sh.sh_entsize;
	section.link = sh.sh_link;
	section.info = sh.sh_info;
	if (sh.sh_type != SHT_NOBITS && sh.sh_type != SHT_NULL)
		(void)range(object, sh.sh_offset, sh.sh_size, &section.data);
	*ret = section;
	return 0;
}

/* Whether the name at an offset of the names is this one; looks at no more bytes than the name has. */
static bool section_has_name(const struct fnp_object *object, uint32_t offset, const char *name, size_t len)
{
	struct fnp_cursor c = object->section_names;
	const uint8_t *text;

	return fnp_cursor_seek(&c, offset) == 0 && fnp_cursor_bytes(&c, len + 1, &text) == 0 &&
	       memcmp(text, name, len + 1) == 0;
}

int fnp_object_find_section(const struct fnp_object *object, const char *name, struct fnp_section *ret)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < object->n_sections; i++) {
		uint32_t sh_name;

		memcpy(&sh_name, object->section_headers + i * sizeof(Elf64_Shdr), sizeof(sh_name));
		if (section_has_name(object, sh_name, name, len))
			return fnp_object_section(object, i, ret);
	}
	return -ENOENT;
}

/* A segment is mapped in whole pages, so what stands before it in its first page is there, too. */
static bool segment_has_offset(const struct fnp_segment *s, uint64_t offset, uint64_t before)
{
	uint64_t start = s->offset - FNP_MIN(before, s->offset);

	return offset >= start && offset - start < s->file_size + (s->offset - start);
}

int fnp_object_address_of_offset(const struct fnp_object *object, uint64_t offset, uint64_t *ret)
{
	static const struct {
		uint32_t flags;
		bool whole_pages;
	} tries[] = {{PF_X, false}, {PF_X, true}, {0, false}, {0, true}};

	for (size_t t = 0; t < FNP_ARRAY_SIZE(tries); t++) {
		for (size_t i = 0; i < object->segments.len; i++) {
			const struct fnp_segment *s = &object->segments.items[i];
			uint64_t before = tries[t].whole_pages ? s->offset & 4095 : 0;

			if ((s->flags & tries[t].flags) != tries[t].flags ||
			    !segment_has_offset(s, offset, before))
				continue;
			*ret = s->address + (offset - s->offset);
			return 0;
		}
	}
	return -ENOENT;
}

int fnp_object_read_address(const struct fnp_object *object, uint64_t address, uint64_t size,
			    const uint8_t **ret)
{
	for (size_t i = 0; i < object->segments.len; i++) {
		const struct fnp_segment *s = &object->segments.items[i];
		uint64_t into = address - s->address;

		if (address < s->address || into > s->file_size || size > s->file_size - into ||
		    into > UINT64_MAX - s->offset)
			continue;
		if (range(object, s->offset + into, size, ret) == 0)
			return 0;
	}
	return -ENOENT;
}

/* The first bytes of a name, as far as it has them: most names are told apart by these. */
static uint64_t first_word(const void *text, size_t size)
{
	uint64_t word = 0;

	memcpy(&word, text, FNP_MIN(size, sizeof(word)));
	return word;
}

/* Whether a symbol's name is this one, with or without a version behind it. */
static bool is_name(struct fnp_cursor names, uint32_t at, const char *name)
{
	size_t len = strlen(name);
	const uint8_t *text;

	return fnp_cursor_seek(&names, at) == 0 && fnp_cursor_bytes(&names, len + 1, &text) == 0 &&
	       memcmp(text, name, len) == 0 && (text[len] == '\0' || text[len] == '@');
}

#define PREFETCH 16

/* Those of the names that are not found yet and stand in a table; each symbol is looked at once. */
static void find_in_table(const struct fnp_symbol_source *source, const char *const *names, size_t n,
			  struct fnp_object_symbol *ret)
{
	uint64_t words[FNP_OBJECT_NAMES_MAX], masks[FNP_OBJECT_NAMES_MAX];
	struct fnp_cursor c;
	Elf64_Sym symbol;

	for (size_t k = 0; k < n; k++) {
		size_t len = FNP_MIN(strlen(names[k]), sizeof(words[k]));

		words[k] = first_word(names[k], len);
		masks[k] = len == sizeof(masks[k]) ? UINT64_MAX : (UINT64_C(1) << 8 * len) - 1;
	}
	for (size_t i = 0; i < source->n_symbols; i++) {
		uint64_t word;

		/* Names stand in another order than symbols: waiting for one after another would take most of the time. */
		if (source->n_symbols - i > PREFETCH) {
			memcpy(&symbol, source->symbols + (i + PREFETCH) * sizeof(symbol), sizeof(symbol));
			/* Reads nothing, wherever it points. */
			__builtin_prefetch((const void *)((uintptr_t)source->names.start + symbol.st_name));
		}
		memcpy(&symbol, source->symbols + i * sizeof(symbol), sizeof(symbol));
		c = source->names;
		if (symbol.st_shndx == SHN_UNDEF || fnp_cursor_seek(&c, symbol.st_name) < 0)
			continue;
		if (fnp_cursor_left(&c) >= sizeof(word))
			memcpy(&word, c.pos, sizeof(word));
		else
			word = first_word(c.pos, fnp_cursor_left(&c));
		for (size_t k = 0; k < n; k++) {
			if ((word & masks[k]) != words[k] || ret[k].is_found ||
			    !is_name(source->names, symbol.st_name, names[k]))
				continue;
			ret[k] = (struct fnp_object_symbol){.address = symbol.st_value,
							    .size = symbol.st_size,
							    .type = ELF64_ST_TYPE(symbol.st_info),
							    .is_found = true};
		}
	}
}

void fnp_object_find_symbols(const struct fnp_object *object, const char *const *names, size_t n,
			     struct fnp_object_symbol *ret)
{
	struct fnp_symbol_source source;

	memset(ret, 0, n * sizeof(*ret));
	if (fnp_symbol_source_symtab(object, &source) == 0)
		find_in_table(&source, names, n, ret);
	if (fnp_symbol_source_dynsym(object, &source) == 0)
		find_in_table(&source, names, n, ret);
}

int fnp_object_find_symbol(const struct fnp_object *object, const char *name, struct fnp_object_symbol *ret)
{
	struct fnp_symbol_source source;
	struct fnp_object_symbol symbol = {0};

	if (fnp_symbol_source_symtab(object, &source) == 0)
		find_in_table(&source, &name, 1, &symbol);
	if (!symbol.is_found && fnp_symbol_source_dynsym(object, &source) == 0)
		find_in_table(&source, &name, 1, &symbol);
	if (!symbol.is_found)
		return -ENOENT;
	*ret = symbol;
	return 0;
}

void fnp_object_release_pages(const struct fnp_object *object)
{
	if (object->file)
		fnp_mapped_file_release_pages(object->file);
}

void fnp_object_set_attachment(struct fnp_object *object, void *attachment, void (*destroy)(void *attachment))
{
	object->attachment = attachment;
	object->destroy_attachment = destroy;
}

void *fnp_object_attachment(const struct fnp_object *object)
{
	return object->attachment;
}
