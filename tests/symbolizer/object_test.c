/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/object.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/symbolizer/elf_writer.h"

static const uint8_t text[64] = {0x90, 0x91, 0x92};
static const uint8_t build_id_note[] = "\4\0\0\0\4\0\0\0\3\0\0\0GNU\0\xab\xcd\x01\xef";

static struct fnp_object *open_bytes(struct fnp_buffer *file)
{
	struct fnp_object *object = NULL;

	assert_int_equal(fnp_object_open_memory(file->data, file->len, "/lib/thing.so", &object), 0);
	fnp_buffer_deinit(file);
	return object;
}

static struct fnp_object *one_segment(uint64_t offset, uint64_t address)
{
	struct elf_writer w = {0};

	elf_writer_segment(&w, offset, address, text, sizeof(text), PF_R | PF_X);
	struct fnp_buffer file = elf_writer_finish(&w);
	return open_bytes(&file);
}

static void address_of_offset_uses_the_executable_segment(void **state)
{
	struct elf_writer w = {0};
	uint64_t address = 0;

	(void)state;
	/* Both have the same page of the file; only one is code. */
	elf_writer_segment(&w, 0x1000, 0x5000, text, sizeof(text), PF_R);
	elf_writer_segment(&w, 0x1000, 0x9000, text, sizeof(text), PF_R | PF_X);
	struct fnp_buffer file = elf_writer_finish(&w);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = open_bytes(&file);
	assert_int_equal(fnp_object_address_of_offset(object, 0x1010, &address), 0);
	assert_int_equal(address, 0x9010);
}

static void offset_and_address_need_not_be_congruent(void **state)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = one_segment(0x1234, 0x700089);
	uint64_t address = 0;

	(void)state;
	assert_int_equal(fnp_object_address_of_offset(object, 0x1234 + 5, &address), 0);
	assert_int_equal(address, 0x700089 + 5);
	/* The first page is mapped from its start. */
	assert_int_equal(fnp_object_address_of_offset(object, 0x1230, &address), 0);
	assert_int_equal(address, 0x700085);
	assert_int_equal(fnp_object_address_of_offset(object, 0x1234 + sizeof(text), &address), -ENOENT);
	assert_int_equal(fnp_object_address_of_offset(object, 0x200, &address), -ENOENT);
}

static void build_id_is_lower_case_hexadecimal(void **state)
{
	struct elf_writer w = {0};

	(void)state;
	elf_writer_segment(&w, 0x1000, 0x1000, text, sizeof(text), PF_R | PF_X);
	elf_writer_build_id(&w, build_id_note, 20);
	struct fnp_buffer file = elf_writer_finish(&w);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = open_bytes(&file);
	assert_string_equal(fnp_object_build_id(object), "abcd01ef");
	assert_string_equal(fnp_object_base_name(object), "thing.so");
}

static void build_id_is_found_without_section_headers(void **state)
{
	struct elf_writer w = {.no_section_headers = true};

	(void)state;
	elf_writer_program_header(&w, PT_NOTE, 0x200, 0x200, build_id_note, 20);
	struct fnp_buffer file = elf_writer_finish(&w);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = open_bytes(&file);
	assert_string_equal(fnp_object_build_id(object), "abcd01ef");
	assert_int_equal(fnp_object_section_count(object), 0);
}

static void truncated_note_is_no_build_id(void **state)
{
	struct elf_writer w = {0};

	(void)state;
	elf_writer_build_id(&w, build_id_note, 18);
	struct fnp_buffer file = elf_writer_finish(&w);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = open_bytes(&file);
	assert_string_equal(fnp_object_build_id(object), "");
}

static void what_is_no_elf_file_is_refused(void **state)
{
	struct fnp_object *object = NULL;
	uint8_t elf32[64] = "\177ELF\1\1\1";

	(void)state;
	assert_int_equal(fnp_object_open_memory("#!/bin/sh\n", 10, "x", &object), -ENOEXEC);
	assert_int_equal(fnp_object_open_memory(elf32, sizeof(elf32), "x", &object), -ENOEXEC);
	assert_int_equal(fnp_object_open_memory("", 0, "x", &object), -ENOEXEC);
	assert_int_equal(fnp_object_open_path("/", &object), -EINVAL);
	assert_int_equal(fnp_object_open_path("/dev/null", &object), -EINVAL);
	assert_null(object);
}

static void sections_that_lie_have_no_bytes(void **state)
{
	struct fnp_buffer file;
	struct elf_writer w = {0};
	struct fnp_section section;

	(void)state;
	elf_writer_section(&w, ".debug_info", SHT_PROGBITS, "abc", 3);
	file = elf_writer_finish(&w);
	Elf64_Ehdr *eh = (Elf64_Ehdr *)(void *)file.data;
	Elf64_Shdr *sh = (Elf64_Shdr *)(void *)(file.data + eh->e_shoff);
	sh[1].sh_size = UINT64_MAX - 8;
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = open_bytes(&file);
	assert_int_equal(fnp_object_find_section(object, ".debug_info", &section), 0);
	assert_null(section.data);
	assert_int_equal(fnp_object_find_section(object, ".debug", &section), -ENOENT);
}

static void section_table_past_the_end_counts_as_missing(void **state)
{
	struct elf_writer w = {0};
	struct fnp_section section;

	(void)state;
	elf_writer_segment(&w, 0x1000, 0x1000, text, sizeof(text), PF_R | PF_X);
	struct fnp_buffer file = elf_writer_finish(&w);
	((Elf64_Ehdr *)(void *)file.data)->e_shnum = 65000;
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = open_bytes(&file);
	assert_int_equal(fnp_object_section_count(object), 0);
	assert_int_equal(fnp_object_find_section(object, ".text", &section), -ENOENT);
}

/* As many sections as a header can say, all over the same bytes, none with a name. */
static void sixty_five_thousand_sections_are_looked_through(void **state)
{
	enum { SECTIONS = 65535 };
	Elf64_Shdr section = {.sh_type = SHT_SYMTAB, .sh_offset = 4096, .sh_size = 4096, .sh_entsize = 24};
	struct elf_writer w = {0};
	struct fnp_object_symbol symbol;
	struct fnp_section found;

	(void)state;
	elf_writer_segment(&w, 0x1000, 0x1000, text, sizeof(text), PF_R | PF_X);
	struct fnp_buffer file = elf_writer_finish(&w);
	uint64_t offset = file.len;
	for (int i = 0; i < SECTIONS; i++)
		fnp_buffer_append(&file, &section, sizeof(section));
	assert_int_equal(file.error, 0);
	Elf64_Ehdr *eh = (Elf64_Ehdr *)(void *)file.data;
	eh->e_shoff = offset;
	eh->e_shnum = SECTIONS;
	eh->e_shstrndx = SECTIONS - 1;
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = open_bytes(&file);
	assert_int_equal(fnp_object_section_count(object), SECTIONS);
	assert_int_equal(fnp_object_find_section(object, ".debug_info", &found), -ENOENT);
	assert_int_equal(fnp_object_find_symbol(object, "x", &symbol), -ENOENT);
}

/* Which one an address belongs to is open; that it is read inside the file is not. */
static void segments_that_overlap_are_read_inside_the_file(void **state)
{
	struct elf_writer w = {0};
	const uint8_t *p = NULL;
	uint64_t address;

	(void)state;
	elf_writer_segment(&w, 0x1000, 0x1000, text, sizeof(text), PF_R | PF_X);
	for (uint64_t i = 0; i < 60; i++)
		elf_writer_program_header(&w, PT_LOAD, 0x1000, 0x1000 + i, text, sizeof(text));
	struct fnp_buffer file = elf_writer_finish(&w);
	Elf64_Phdr *headers = (Elf64_Phdr *)(void *)(file.data + sizeof(Elf64_Ehdr));
	for (int i = 1; i < 60; i++) {
		headers[i].p_flags = PF_X;
		headers[i].p_filesz = UINT64_MAX - 0x1000 - (uint64_t)i; /* up to the end of all addresses */
		headers[i].p_memsz = UINT64_MAX;
	}
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = open_bytes(&file);
	assert_int_equal(fnp_object_read_address(object, 0x1000, 1, &p), 0);
	assert_int_equal(fnp_object_read_address(object, 0x100000, 1, &p), -ENOENT);
	assert_int_equal(fnp_object_address_of_offset(object, 0x1000, &address), 0);
}

static void bytes_are_read_by_address_within_one_segment(void **state)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = one_segment(0x1000, 0x401000);
	const uint8_t *p = NULL;

	(void)state;
	assert_int_equal(fnp_object_read_address(object, 0x401001, 2, &p), 0);
	assert_int_equal(p[0], 0x91);
	assert_int_equal(fnp_object_read_address(object, 0x401000, sizeof(text), &p), 0);
	assert_int_equal(fnp_object_read_address(object, 0x401001, sizeof(text), &p), -ENOENT);
	assert_int_equal(fnp_object_read_address(object, 0x401000, UINT64_MAX, &p), -ENOENT);
	assert_int_equal(fnp_object_read_address(object, 0x400fff, 1, &p), -ENOENT);
}

static void symbol_is_found_by_its_name_without_version(void **state)
{
	struct elf_writer w = {0};
	struct fnp_object_symbol symbol;

	(void)state;
	elf_writer_symbol(&w, "_PyRuntimeState", 0x100, 8, STT_OBJECT, STB_GLOBAL);
	elf_writer_symbol(&w, "_PyRuntime@@V1", 0x200, 8, STT_OBJECT, STB_GLOBAL);
	struct fnp_buffer file = elf_writer_finish(&w);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = open_bytes(&file);
	assert_int_equal(fnp_object_find_symbol(object, "_PyRuntime", &symbol), 0);
	assert_int_equal(symbol.address, 0x200);
	assert_int_equal(fnp_object_find_symbol(object, "_PyRun", &symbol), -ENOENT);
}

static void file_that_shrinks_reads_as_zeros(void **state)
{
	struct elf_writer w = {0};
	static uint8_t big[3 * 4096];
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	const uint8_t *p = NULL;

	(void)state;
	memset(big, 0xaa, sizeof(big));
	elf_writer_segment(&w, 0x1000, 0x1000, big, sizeof(big), PF_R | PF_X);
	struct fnp_buffer file = elf_writer_finish(&w);
	fnp_autoclose int fd = memfd_create("object", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, file.data, file.len), file.len);
	fnp_buffer_deinit(&file);
	assert_int_equal(fnp_object_open_fd(dup(fd), "memfd", &object), 0);
	assert_int_equal(fnp_object_read_address(object, 0x3000, 8, &p), 0);
	assert_int_equal(ftruncate(fd, 0x1000), 0);
	assert_int_equal(p[0], 0);
	assert_int_equal(p[7], 0);
}

static void the_vdso_opens_from_memory(void **state)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	struct fnp_object_symbol symbol;
	fnp_autofclose FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned long start = 0, end = 0;

	(void)state;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, "[vdso]"))
			assert_int_equal(sscanf(line, "%lx-%lx", &start, &end), 2);
	}
	if (start == 0)
		skip();
	assert_int_equal(fnp_object_open_memory((void *)start, end - start, "vdso", &object), 0);
	assert_int_equal(fnp_object_find_symbol(object, "__vdso_clock_gettime", &symbol), 0);
	assert_int_equal(symbol.type, STT_FUNC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_of_offset_uses_the_executable_segment),
		cmocka_unit_test(offset_and_address_need_not_be_congruent),
		cmocka_unit_test(build_id_is_lower_case_hexadecimal),
		cmocka_unit_test(build_id_is_found_without_section_headers),
		cmocka_unit_test(truncated_note_is_no_build_id),
		cmocka_unit_test(what_is_no_elf_file_is_refused),
		cmocka_unit_test(sections_that_lie_have_no_bytes),
		cmocka_unit_test(section_table_past_the_end_counts_as_missing),
		cmocka_unit_test(sixty_five_thousand_sections_are_looked_through),
		cmocka_unit_test(segments_that_overlap_are_read_inside_the_file),
		cmocka_unit_test(bytes_are_read_by_address_within_one_segment),
		cmocka_unit_test(symbol_is_found_by_its_name_without_version),
		cmocka_unit_test(file_that_shrinks_reads_as_zeros),
		cmocka_unit_test(the_vdso_opens_from_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
