/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/symbolize.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/symbolizer/elf_writer.h"

static const uint8_t text[256];

struct fixture {
	struct fnp_symbolizer *symbolizer;
	struct elf_writer writer;
	struct fnp_object *object;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(fnp_symbolizer_create(NULL, &f->symbolizer), 0);
	elf_writer_segment(&f->writer, 0x1000, 0x1000, text, sizeof(text), PF_R | PF_X);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fnp_object_unref(f->object);
	fnp_symbolizer_destroy(f->symbolizer);
	free(f);
	return 0;
}

static void function(struct fixture *f, const char *name, uint64_t address, uint64_t size)
{
	elf_writer_symbol(&f->writer, name, address, size, STT_FUNC, STB_GLOBAL);
}

/* The single name at an address; "" when nothing is known. */
static const char *name_at(struct fixture *f, uint64_t address)
{
	struct fnp_symbol_chain chain;

	if (!f->object) {
		struct fnp_buffer file = elf_writer_finish(&f->writer);
		assert_int_equal(fnp_object_open_memory(file.data, file.len, "/a/thing", &f->object), 0);
		fnp_buffer_deinit(&file);
	}
	int r = fnp_symbolizer_resolve(f->symbolizer, f->object, address, &chain);
	if (r == -ENOENT)
		return "";
	assert_int_equal(r, 0);
	assert_int_equal(chain.n, 1);
	return chain.symbols[0].name;
}

static void symbol_ends_where_its_size_ends(void **state)
{
	struct fixture *f = *state;

	function(f, "first", 0x1000, 16);
	function(f, "second", 0x1040, 16);
	assert_string_equal(name_at(f, 0x1000), "first");
	assert_string_equal(name_at(f, 0x100f), "first");
	assert_string_equal(name_at(f, 0x1010), "");
	assert_string_equal(name_at(f, 0x103f), "");
	assert_string_equal(name_at(f, 0x1040), "second");
	assert_string_equal(name_at(f, 0xfff), "");
	/* Asked again, from the cache. */
	assert_string_equal(name_at(f, 0x1010), "");
	assert_string_equal(name_at(f, 0x100f), "first");
}

static void of_aliases_the_sized_then_the_global_then_the_shortest_is_shown(void **state)
{
	struct fixture *f = *state;

	elf_writer_symbol(&f->writer, "x", 0x1000, 0, STT_NOTYPE, STB_GLOBAL);
	elf_writer_symbol(&f->writer, "loc", 0x1000, 16, STT_FUNC, STB_LOCAL);
	elf_writer_symbol(&f->writer, "__longer", 0x1000, 16, STT_FUNC, STB_GLOBAL);
	elf_writer_symbol(&f->writer, "short", 0x1000, 16, STT_FUNC, STB_WEAK);
	assert_string_equal(name_at(f, 0x1008), "short");
}

static void of_nested_symbols_the_inner_one_is_shown_and_the_outer_goes_on(void **state)
{
	struct fixture *f = *state;

	function(f, "outer", 0x1000, 64);
	function(f, "inner", 0x1010, 16);
	assert_string_equal(name_at(f, 0x100f), "outer");
	assert_string_equal(name_at(f, 0x1010), "inner");
	assert_string_equal(name_at(f, 0x1020), "outer");
	assert_string_equal(name_at(f, 0x1040), "");
}

static void longer_alias_goes_on_after_the_shorter(void **state)
{
	struct fixture *f = *state;

	function(f, "ab", 0x1000, 16);
	function(f, "abc", 0x1000, 32);
	assert_string_equal(name_at(f, 0x1000), "ab");
	assert_string_equal(name_at(f, 0x1010), "abc");
	assert_string_equal(name_at(f, 0x1020), "");
}

static void sizeless_symbol_counts_up_to_the_next_or_its_section_end(void **state)
{
	struct fixture *f = *state;

	elf_writer_symbol(&f->writer, "assembly", 0x1000, 0, STT_NOTYPE, STB_LOCAL);
	function(f, "sized", 0x1020, 16);
	elf_writer_symbol(&f->writer, "inside", 0x1024, 0, STT_NOTYPE, STB_LOCAL);
	elf_writer_symbol(&f->writer, "last", 0x1080, 0, STT_FUNC, STB_GLOBAL);
	assert_string_equal(name_at(f, 0x101f), "assembly");
	assert_string_equal(name_at(f, 0x1028), "sized");
	assert_string_equal(name_at(f, 0x1030), "");
	assert_string_equal(name_at(f, 0x10ff), "last");
	assert_string_equal(name_at(f, 0x1100), "");
}

static void sizeless_dynamic_symbol_counts_nothing(void **state)
{
	struct fixture *f = *state;

	f->writer.symbol_type = SHT_DYNSYM;
	elf_writer_symbol(&f->writer, "exported", 0x1000, 0, STT_FUNC, STB_GLOBAL);
	function(f, "sized", 0x1020, 16);
	assert_string_equal(name_at(f, 0x1000), "");
	assert_string_equal(name_at(f, 0x1020), "sized");
}

static void size_past_the_section_is_cut(void **state)
{
	struct fixture *f = *state;

	function(f, "liar", 0x10f0, UINT64_MAX);
	assert_string_equal(name_at(f, 0x10ff), "liar");
	assert_string_equal(name_at(f, 0x1100), "");
}

static void data_and_undefined_symbols_are_no_functions(void **state)
{
	struct fixture *f = *state;

	elf_writer_symbol(&f->writer, "table", 0x1000, 64, STT_OBJECT, STB_GLOBAL);
	elf_writer_symbol(&f->writer, "$x", 0x1000, 64, STT_NOTYPE, STB_LOCAL);
	elf_writer_symbol(&f->writer, "far", 0x9000, 64, STT_FUNC, STB_GLOBAL);
	assert_string_equal(name_at(f, 0x1000), "");
	assert_string_equal(name_at(f, 0x9000), "");
}

static void names_are_demangled_and_the_mangled_one_is_kept(void **state)
{
	struct fixture *f = *state;
	struct fnp_symbol_chain chain;

	function(f, "_ZN3foo3barEi@@LIB_1", 0x1000, 16);
	assert_string_equal(name_at(f, 0x1000), "foo::bar");
	assert_int_equal(fnp_symbolizer_resolve(f->symbolizer, f->object, 0x1000, &chain), 0);
	assert_string_equal(chain.symbols[0].system_name, "_ZN3foo3barEi@@LIB_1");
	assert_string_equal(chain.symbols[0].file, "");
}

static void fallback_name_has_base_name_and_address(void **state)
{
	char name[64], tiny[12];

	(void)state;
	fnp_symbolizer_fallback_name("/usr/lib/libc.so.6", 0x1a2b, name, sizeof(name));
	assert_string_equal(name, "[libc.so.6+0x1a2b]");
	fnp_symbolizer_fallback_name("vdso\n", 0xf, name, sizeof(name));
	assert_string_equal(name, "[vdso?+0xf]");
	fnp_symbolizer_fallback_name("/usr/lib/libc.so.6", 0x1a2b, tiny, sizeof(tiny));
	assert_string_equal(tiny, "[li+0x1a2b]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(symbol_ends_where_its_size_ends),
		TEST(of_aliases_the_sized_then_the_global_then_the_shortest_is_shown),
		TEST(of_nested_symbols_the_inner_one_is_shown_and_the_outer_goes_on),
		TEST(longer_alias_goes_on_after_the_shorter),
		TEST(sizeless_symbol_counts_up_to_the_next_or_its_section_end),
		TEST(sizeless_dynamic_symbol_counts_nothing),
		TEST(size_past_the_section_is_cut),
		TEST(data_and_undefined_symbols_are_no_functions),
		TEST(names_are_demangled_and_the_mangled_one_is_kept),
		cmocka_unit_test(fallback_name_has_base_name_and_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
