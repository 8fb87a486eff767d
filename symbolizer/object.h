/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object: one ELF file that code runs from, known by its build id.
 *
 * An object is immutable once it is open (so any thread may read it) and has one count of owners: who opens it has
 * one, fnp_object_ref() gives another, the last fnp_object_unref() closes it. Nothing in the file is believed: every
 * access is bounded by the bytes that are there, and a file that shrinks while it is mapped reads as zeros.
 * Only 64-bit little-endian ELF is understood (-ENOEXEC for the rest).
 */
#ifndef FNP_SYMBOLIZER_OBJECT_H
#define FNP_SYMBOLIZER_OBJECT_H

#include <elf.h>
#include <stdbool.h>

#include "base/cursor.h"

struct fnp_object;

/* A loadable segment (PT_LOAD). */
struct fnp_segment {
	uint64_t offset, file_size;    /* in the file */
	uint64_t address, memory_size; /* as the ELF file counts addresses */
	uint32_t flags;		       /* PF_R, PF_W, PF_X */
};

struct fnp_section {
	const char *name;    /* inside the object */
	const uint8_t *data; /* NULL where the file has no bytes for it (SHT_NOBITS, or a header that lies) */
	uint64_t size;	     /* of the section; bytes at `data` where that is not NULL */
	uint64_t address, offset, flags, entry_size;
	uint32_t index, type, link, info;
};

/* A symbol by name; see fnp_object_find_symbol(). */
struct fnp_object_symbol {
	uint64_t address, size; /* for STT_TLS the address is an offset in the TLS segment */
	uint8_t type;		/* STT_* */
	bool is_found;
};

#define FNP_OBJECT_NAMES_MAX 8

/*
 * Opens the ELF file behind `fd`, which is taken in every case (closed on an error, too). `name` is its path as
 * people know it: for messages, display, and to look for its debug file beside it. Regular files only. -ENOEXEC when
 * it is no ELF file that we read, -errno; without a message, since many mapped files are not ELF.
 */
int fnp_object_open_fd(int fd, const char *name, struct fnp_object **ret);

/* The same by path on our own side; follows symbolic links, never blocks on a FIFO. */
int fnp_object_open_path(const char *path, struct fnp_object **ret);

/* The same over a copy of bytes, e.g. the vdso's. */
int fnp_object_open_memory(const void *data, size_t size, const char *name, struct fnp_object **ret);

struct fnp_object *fnp_object_ref(struct fnp_object *object);
void fnp_object_unref(struct fnp_object *object);

FNP_DEFINE_CLEANUP(fnp_object_unrefp, struct fnp_object *, fnp_object_unref)

const char *fnp_object_name(const struct fnp_object *object);

/* The last component of the name: how frames without a name show their object. */
const char *fnp_object_base_name(const struct fnp_object *object);

/* Lower-case hexadecimal, "" where there is none. */
const char *fnp_object_build_id(const struct fnp_object *object);

const Elf64_Ehdr *fnp_object_header(const struct fnp_object *object);

/* All bytes of the file. */
struct fnp_cursor fnp_object_bytes(const struct fnp_object *object);

/* The loadable segments in file order; their number is returned. */
size_t fnp_object_segments(const struct fnp_object *object, const struct fnp_segment **ret);

/* There is more than 4 MiB of code in a segment: who looks at every function brings in very much of the file. */
bool fnp_object_has_much_code(const struct fnp_object *object);

/* The number'th program header of any type; -ENOENT past the last. */
int fnp_object_program_header(const struct fnp_object *object, size_t number, Elf64_Phdr *ret);

/* 0 where the file has no section headers. */
size_t fnp_object_section_count(const struct fnp_object *object);
int fnp_object_section(const struct fnp_object *object, size_t index, struct fnp_section *ret);

/* The first section with this name; -ENOENT. Compressed sections come as they are: see section_data.h. */
int fnp_object_find_section(const struct fnp_object *object, const char *name, struct fnp_section *ret);

/*
 * The address, as the ELF file counts it, of what stands at an offset of the file: by the executable PT_LOAD that
 * has it, else by another PT_LOAD. Works where p_offset and p_vaddr differ by anything. -ENOENT.
 */
int fnp_object_address_of_offset(const struct fnp_object *object, uint64_t offset, uint64_t *ret);

/* The file's bytes at an address, `size` of them inside one segment; -ENOENT. Relocations are not applied. */
int fnp_object_read_address(const struct fnp_object *object, uint64_t address, uint64_t size,
			    const uint8_t **ret);

/*
 * A defined symbol by its exact name (without version) in .symtab, then in .dynsym (without section headers through
 * PT_DYNAMIC). Linear in the number of symbols: for a handful of look-ups when a runtime is found. -ENOENT.
 */
int fnp_object_find_symbol(const struct fnp_object *object, const char *name, struct fnp_object_symbol *ret);

/* Up to FNP_OBJECT_NAMES_MAX of them in one look at each symbol; of what is not there `is_found` is false. */
void fnp_object_find_symbols(const struct fnp_object *object, const char *const *names, size_t n,
			     struct fnp_object_symbol *ret);

/*
 * Gives back the memory that reading the file's bytes took (its pages count as ours once they were touched). Pointers
 * into the file stay valid.
 */
void fnp_object_release_pages(const struct fnp_object *object);

/*
 * A value of the symbolizer's that lives and dies with the object. `destroy` is called when the last owner leaves.
 * One slot; set it once, from the thread that resolves.
 */
void fnp_object_set_attachment(struct fnp_object *object, void *attachment, void (*destroy)(void *attachment));
void *fnp_object_attachment(const struct fnp_object *object);

#endif
