/* SPDX-License-Identifier: Apache-2.0 */
/* Code and static objects of a Python that is made here; places are counted by hand. */
#include "symbolizer/python.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/symbolizer/elf_writer.h"

#define TEXT 0x401000
#define DATA 0x404000
#define COLLECT 0x10 /* offsets in the text */
#define COLD 0x40
#define IMPORT 0x60
#define CALLEE 0xc0

/* push; je +1; ret; ret; jmp COLD */
static const uint8_t collect[] = {0x55, 0x74, 0x01, 0xc3, 0xc3, 0xe9, 0x26, 0, 0, 0};

struct file {
	uint8_t text[256], data[512];
	struct fnp_buffer bytes;
	struct fnp_object *object;
	struct fnp_python_places places;
};

static void put_call(struct file *f, size_t at, size_t to)
{
	int32_t distance = (int32_t)(to - at - 5);

	f->text[at] = 0xe8;
	memcpy(f->text + at + 1, &distance, sizeof(distance));
}

/* lea rsi, [rip + ...] */
static void put_second(struct file *f, size_t at, uint64_t address)
{
	int32_t distance = (int32_t)(address - (TEXT + at + 7));

	memcpy(f->text + at, (const uint8_t[]){0x48, 0x8d, 0x35}, 3);
	memcpy(f->text + at + 3, &distance, sizeof(distance));
}

static void fill(struct file *f)
{
	const uint64_t texts[2] = {DATA + 0x80, 0};

	memset(f->text, 0x90, sizeof(f->text));
	memcpy(f->text + COLLECT, collect, sizeof(collect));
	/* Two names of methods: an object with its text, and an identifier that points to one. */
	memcpy(f->data + 0x100 + 40, "_handle_fromlist", 17);
	memcpy(f->data + 0x180 + 48, "_find_and_load", 15);
	memcpy(f->data + 0x80, "_find_and_load", 15);
	memcpy(f->data + 0x48, texts, sizeof(texts));
	put_second(f, IMPORT, DATA + 0x100);
	put_call(f, IMPORT + 7, CALLEE);
	put_second(f, IMPORT + 0x20, DATA + 0x180);
	put_call(f, IMPORT + 0x28, CALLEE);
	put_second(f, IMPORT + 0x30, DATA + 0x40);
	put_call(f, IMPORT + 0x38, CALLEE);
	put_call(f, IMPORT + 0x40, CALLEE); /* nobody knows of which method */
}

static void find(struct file *f, bool has_local_symbols)
{
	struct elf_writer w = {0};
	char path[] = "/tmp/fnprof-places-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	elf_writer_segment(&w, 0x1000, TEXT, f->text, sizeof(f->text), PF_R | PF_X);
	elf_writer_segment(&w, 0x4000, DATA, f->data, sizeof(f->data), PF_R | PF_W);
	elf_writer_symbol(&w, "PyImport_ImportModuleLevelObject", TEXT + IMPORT, 0x50, STT_FUNC, STB_GLOBAL);
	elf_writer_symbol(&w, "PyObject_CallMethodObjArgs", TEXT + CALLEE, 16, STT_FUNC, STB_GLOBAL);
	if (has_local_symbols) {
		elf_writer_symbol(&w, "gc_collect_main", TEXT + COLLECT, sizeof(collect), STT_FUNC, STB_LOCAL);
		elf_writer_symbol(&w, "gc_collect_main.cold", TEXT + COLD, 16, STT_FUNC, STB_LOCAL);
	}
	f->bytes = elf_writer_finish(&w);
	assert_int_equal(write(fd, f->bytes.data, f->bytes.len), (ssize_t)f->bytes.len);
	fnp_buffer_deinit(&f->bytes);
	assert_int_equal(fnp_object_open_fd(fd, "libpython", &f->object), 0);
	fnp_python_find_places(f->object, &f->places);
	fnp_object_unref(f->object);
}

static void assert_places(const struct file *f, const struct fnp_python_place_at *expected, size_t n)
{
	assert_int_equal(f->places.n, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(f->places.list[i].kind, expected[i].kind);
		assert_int_equal(f->places.list[i].address, TEXT + expected[i].address);
	}
}

static const struct fnp_python_place_at collections[] = {{FNP_PYTHON_COLLECT_BEGIN, COLLECT},
							 {FNP_PYTHON_COLLECT_END, COLLECT + 3},
							 {FNP_PYTHON_COLLECT_END, COLLECT + 4}};
static const struct fnp_python_place_at imports[] = {{FNP_PYTHON_IMPORT_BEGIN, IMPORT + 0x28},
						     {FNP_PYTHON_IMPORT_END, IMPORT + 0x2d},
						     {FNP_PYTHON_IMPORT_BEGIN, IMPORT + 0x38},
						     {FNP_PYTHON_IMPORT_END, IMPORT + 0x3d}};

static void collections_and_imports_are_found(void **state)
{
	struct fnp_python_place_at all[FNP_ARRAY_SIZE(collections) + FNP_ARRAY_SIZE(imports)];
	struct file f = {0};

	(void)state;
	memcpy(all, collections, sizeof(collections));
	memcpy(all + FNP_ARRAY_SIZE(collections), imports, sizeof(imports));
	fill(&f);
	find(&f, true);
	assert_places(&f, all, FNP_ARRAY_SIZE(all));
}

static void a_stripped_file_has_its_imports(void **state)
{
	struct file f = {0};

	(void)state;
	fill(&f);
	find(&f, false);
	assert_places(&f, imports, FNP_ARRAY_SIZE(imports));
}

static void a_function_with_an_end_that_would_be_missed_is_left_alone(void **state)
{
	static const uint8_t endings[][5] = {
		{0xe9, 0x56, 0, 0, 0},		/* over to the import's code */
		{0xff, 0xe0, 0x90, 0x90, 0x90}, /* jmp *%rax */
		{0x06, 0x90, 0x90, 0x90, 0x90}, /* no instruction */
	};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(endings); i++) {
		struct file f = {0};

		fill(&f);
		memcpy(f.text + COLLECT + 5, endings[i], 5);
		find(&f, true);
		assert_places(&f, imports, FNP_ARRAY_SIZE(imports));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(collections_and_imports_are_found),
		cmocka_unit_test(a_stripped_file_has_its_imports),
		cmocka_unit_test(a_function_with_an_end_that_would_be_missed_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
