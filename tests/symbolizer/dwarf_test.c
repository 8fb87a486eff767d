/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs compiled here in the ways that debug data comes in; what their addresses are named is known from the
 * source below. Compilers that are missing are skipped.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "symbolizer/symbolize.h"

static char folder[] = "/tmp/fnp-dwarf-XXXXXX";

static const char source[] =
	"int opaque(int x);\n" /* 1 */
	"namespace space { template <class T> struct Box { T v; int get(int k); }; }\n"
	"template <class T> __attribute__((noinline)) int space::Box<T>::get(int k)\n"
	"{ return opaque(k) + v; }\n"					      /* 4 */
	"static inline __attribute__((always_inline)) int innermost(int x)\n" /* 5 */
	"{\n"
	"	return opaque(x) * 3;\n" /* 7 */
	"}\n"
	"static inline __attribute__((always_inline)) int middle(int x)\n" /* 9 */
	"{\n"
	"	return innermost(x + 1) + 2;\n" /* 11 */
	"}\n"
	"extern \"C\" __attribute__((noinline)) int outer(int x)\n" /* 13 */
	"{\n"
	"	return middle(x) + 5;\n" /* 15 */
	"}\n"
	"__attribute__((noinline)) int opaque(int x) { __asm__ volatile(\"\"); return x; }\n"
	"int main(int argc, char **) { space::Box<int> b{argc}; return outer(argc) + b.get(1); }\n";

/* Runs a command in the folder; false when it failed. */
static bool run(const char *fmt, ...) FNP_PRINTF(1, 2);
static bool run(const char *fmt, ...)
{
	char command[1024], line[1200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	snprintf(line, sizeof(line), "cd %s && (%s) >/dev/null 2>&1", folder, command);
	return system(line) == 0;
}

struct fixture {
	struct fnp_symbolizer *symbolizer;
	struct fnp_object *object;
	uint64_t start, end; /* of the function that was asked for */
};

static void open_program(struct fixture *f, const char *function)
{
	char path[PATH_MAX];
	const char *roots[] = {folder};
	struct fnp_symbolizer_options options = {.debug_roots = {.paths = roots, .n = 1}};
	struct fnp_object_symbol symbol;

	snprintf(path, sizeof(path), "%s/program", folder);
	assert_int_equal(fnp_symbolizer_create(&options, &f->symbolizer), 0);
	assert_int_equal(fnp_object_open_path(path, &f->object), 0);
	if (!function)
		return;
	assert_int_equal(fnp_object_find_symbol(f->object, function, &symbol), 0);
	f->start = symbol.address;
	f->end = symbol.address + symbol.size;
}

static void close_program(struct fixture *f)
{
	fnp_object_unref(f->object);
	fnp_symbolizer_destroy(f->symbolizer);
	*f = (struct fixture){0};
}

static bool is_source(const struct fnp_symbol *symbol, uint32_t line)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/program.cc", folder);
	return strcmp(symbol->file, path) == 0 && symbol->line == line;
}

/* Every address of outer() ends in outer(); where innermost() was inlined the whole chain stands, with its lines. */
static void check_inlined(void)
{
	struct fixture f = {0};
	size_t chains = 0;

	open_program(&f, "outer");
	for (uint64_t address = f.start; address < f.end; address++) {
		struct fnp_symbol_chain chain;
		assert_int_equal(fnp_symbolizer_resolve(f.symbolizer, f.object, address, &chain), 0);
		assert_true(chain.n >= 1);
		assert_string_equal(chain.symbols[chain.n - 1].name, "outer");
		assert_int_equal(chain.symbols[chain.n - 1].start_line, 13);
		if (chain.n < 3)
			continue;
		chains++;
		assert_int_equal(chain.n, 3);
		assert_string_equal(chain.symbols[0].name, "innermost");
		assert_true(strncmp(chain.symbols[0].system_name, "_ZL9innermosti", 14) == 0 ||
			    strcmp(chain.symbols[0].system_name, "innermost") == 0);
		assert_true(is_source(&chain.symbols[0], 7));
		assert_int_equal(chain.symbols[0].start_line, 5);
		assert_string_equal(chain.symbols[1].name, "middle");
		assert_true(is_source(&chain.symbols[1], 11));
		assert_true(is_source(&chain.symbols[2], 15));
	}
	assert_true(chains > 0);
	close_program(&f);
}

/* Compiles with each compiler that is there; how many there were. */
static size_t for_each_compiler(const char *flags, const char *then)
{
	static const char *const compilers[] = {"g++", "clang++"};
	size_t n = 0;

	for (size_t i = 0; i < FNP_ARRAY_SIZE(compilers); i++) {
		for (int version = 4; version <= 5; version++) {
			if (!run("%s -O2 -gdwarf-%d %s -Wl,--build-id %s/program.cc -o program", compilers[i],
				 version, flags, folder) ||
			    !run("%s", then))
				continue;
			check_inlined();
			n++;
		}
	}
	return n;
}

static void skip_unless(bool there)
{
	if (!there)
		skip();
}

static void inlined_chains_and_lines_come_from_dwarf_4_and_5(void **state)
{
	(void)state;
	skip_unless(for_each_compiler("-g", "true") > 0);
}

static void unoptimised_code_has_its_lines(void **state)
{
	(void)state;
	skip_unless(for_each_compiler("-g -O0", "true") > 0);
}

static void compressed_sections_are_read(void **state)
{
	(void)state;
	skip_unless(for_each_compiler("-g -Wl,--compress-debug-sections=zlib", "true") > 0);
}

static void old_zdebug_sections_are_read(void **state)
{
	(void)state;
	skip_unless(for_each_compiler("-g -Wl,--compress-debug-sections=zlib-gnu", "true") > 0);
}

static void split_units_are_read(void **state)
{
	(void)state;
	skip_unless(for_each_compiler("-g -gsplit-dwarf", "true") > 0);
}

static void alternate_files_of_dwz_are_read(void **state)
{
	struct fixture f = {0};
	struct fnp_section link;

	(void)state;
	skip_unless(run("g++ -O2 -g program.cc -o program && g++ -O2 -g -DSECOND program.cc -o second && "
			"dwz -m common -M %s/common program second",
			folder));
	open_program(&f, NULL);
	assert_int_equal(fnp_object_find_section(f.object, ".gnu_debugaltlink", &link), 0);
	close_program(&f);
	check_inlined();
}

static void debug_file_is_found_by_build_id(void **state)
{
	(void)state;
	skip_unless(for_each_compiler("-g",
				      "rm -rf .build-id && objcopy --only-keep-debug program d && "
				      "id=$(readelf -n program | sed -n 's/.*Build ID: //p') && "
				      "tail=${id#??} && head=${id%%$tail} && mkdir -p .build-id/$head && "
				      "mv d .build-id/$head/$tail.debug && objcopy --strip-debug program") > 0);
	assert_true(run("rm -rf .build-id"));
}

static void debug_file_is_found_by_link_with_the_right_crc(void **state)
{
	(void)state;
	skip_unless(for_each_compiler("-g -Wl,--build-id=none",
				      "rm -f d && objcopy --only-keep-debug program d && "
				      "objcopy --strip-debug --add-gnu-debuglink=d program") > 0);
}

static void debug_file_with_a_wrong_crc_is_not_taken(void **state)
{
	struct fixture f = {0};
	struct fnp_symbol_chain chain;

	(void)state;
	skip_unless(run("g++ -O2 -g -Wl,--build-id=none program.cc -o program && rm -f d && "
			"objcopy --only-keep-debug program d && "
			"objcopy --strip-debug --add-gnu-debuglink=d program && printf x >> d"));
	open_program(&f, "outer");
	assert_int_equal(fnp_symbolizer_resolve(f.symbolizer, f.object, f.start, &chain), 0);
	assert_int_equal(chain.n, 1);
	assert_string_equal(chain.symbols[0].name, "outer");
	assert_string_equal(chain.symbols[0].file, "");
	close_program(&f);
}

static void minidebuginfo_names_local_functions(void **state)
{
	struct fixture f = {0};
	struct fnp_symbol_chain chain;
	struct fnp_object_symbol gone;

	(void)state;
	skip_unless(run(
		"g++ -O2 -g program.cc -o program && rm -f mini* && objcopy --strip-debug program mini && "
		"xz mini"));
	open_program(&f, "outer");
	uint64_t address = f.start;
	close_program(&f);
	skip_unless(run("strip program && objcopy --add-section .gnu_debugdata=mini.xz program"));
	open_program(&f, NULL);
	assert_int_equal(fnp_object_find_symbol(f.object, "outer", &gone), -ENOENT);
	assert_int_equal(fnp_symbolizer_resolve(f.symbolizer, f.object, address, &chain), 0);
	assert_string_equal(chain.symbols[0].name, "outer");
	close_program(&f);
}

static void templates_have_qualified_names(void **state)
{
	struct fixture f = {0};
	struct fnp_symbol_chain chain;

	(void)state;
	skip_unless(run("g++ -O2 -g program.cc -o program"));
	open_program(&f, "_ZN5space3BoxIiE3getEi");
	assert_int_equal(fnp_symbolizer_resolve(f.symbolizer, f.object, f.start, &chain), 0);
	assert_string_equal(chain.symbols[chain.n - 1].name, "space::Box<int>::get");
	assert_string_equal(chain.symbols[chain.n - 1].system_name, "_ZN5space3BoxIiE3getEi");
	close_program(&f);
}

static void plt_stubs_are_named_after_their_target(void **state)
{
	static const char *const flags[] = {"", "-fcf-protection=full -Wl,-z,ibtplt", "-Wl,-z,now -fno-plt"};
	size_t found = 0;

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(flags); i++) {
		struct fixture f = {0};
		struct fnp_section plt;

		if (!run("printf 'int puts(const char *); int main() { return puts(\"x\"); }' > p.c && gcc "
			 "-O2 %s p.c "
			 "-o program && strip program",
			 flags[i]))
			continue;
		open_program(&f, NULL);
		for (size_t s = 0; fnp_object_section(f.object, s, &plt) == 0; s++) {
			for (uint64_t at = 0; strncmp(plt.name, ".plt", 4) == 0 && at < plt.size; at++) {
				struct fnp_symbol_chain chain;
				if (fnp_symbolizer_resolve(f.symbolizer, f.object, plt.address + at, &chain) ==
				    0)
					found += strcmp(chain.symbols[0].name, "puts@plt") == 0;
			}
		}
		close_program(&f);
	}
	skip_unless(run("gcc --version"));
	assert_true(found >= 16);
}

static void rust_names_have_no_hash(void **state)
{
	struct fixture f = {0};
	struct fnp_symbol_chain chain;

	(void)state;
	skip_unless(run(
		"printf '#[no_mangle] #[inline(never)] pub extern \"C\" fn outer(x: u64) -> u64 "
		"{ inside::work(x) + 1 }\\nmod inside { #[inline(never)] pub fn work(x: u64) -> u64 "
		"{ std::hint::black_box(x) * 3 } }\\nfn main() { println!(\"{}\", outer(3)); }\\n' > r.rs && "
		"rustc -O -g r.rs -o program && nm program | sed -n 's/.* \\([^ ]*inside4work[^ "
		"]*\\)$/\\1/p' "
		"> symbol"));
	fnp_autobuffer struct fnp_buffer symbol = {0};
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/symbol", folder);
	assert_int_equal(fnp_file_read_at(-1, path, 4096, &symbol), 0);
	assert_true(symbol.len > 1);
	symbol.data[symbol.len - 1] = '\0';
	open_program(&f, (const char *)symbol.data);
	assert_int_equal(fnp_symbolizer_resolve(f.symbolizer, f.object, f.start, &chain), 0);
	assert_string_equal(chain.symbols[chain.n - 1].name, "r::inside::work");
	assert_int_equal(chain.symbols[chain.n - 1].start_line, 2);
	close_program(&f);
}

/* With a budget for one unit's data at most, everything is read again and again, and says the same. */
static void small_budget_changes_no_answer(void **state)
{
	struct fnp_symbolizer_options options = {.unit_bytes_max = 1};
	struct fnp_symbolizer *small = NULL;
	struct fixture f = {0};
	struct fnp_object *again = NULL;

	(void)state;
	skip_unless(run("g++ -O2 -g program.cc -o program"));
	open_program(&f, "outer");
	assert_int_equal(fnp_symbolizer_create(&options, &small), 0);
	assert_int_equal(fnp_object_open_path(fnp_object_name(f.object), &again), 0);
	for (uint64_t address = f.start; address < f.end; address++) {
		struct fnp_symbol_chain a, b;
		assert_int_equal(fnp_symbolizer_resolve(f.symbolizer, f.object, address, &a), 0);
		assert_int_equal(fnp_symbolizer_resolve(small, again, address, &b), 0);
		assert_int_equal(a.n, b.n);
		for (uint32_t i = 0; i < a.n; i++) {
			assert_string_equal(a.symbols[i].name, b.symbols[i].name);
			assert_string_equal(a.symbols[i].file, b.symbols[i].file);
			assert_int_equal(a.symbols[i].line, b.symbols[i].line);
		}
	}
	fnp_object_unref(again);
	fnp_symbolizer_destroy(small);
	close_program(&f);
}

static int set_up(void **state)
{
	char path[PATH_MAX];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/program.cc", folder);
	return fnp_file_write_at(-1, path, source, sizeof(source) - 1);
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inlined_chains_and_lines_come_from_dwarf_4_and_5),
		cmocka_unit_test(unoptimised_code_has_its_lines),
		cmocka_unit_test(compressed_sections_are_read),
		cmocka_unit_test(old_zdebug_sections_are_read),
		cmocka_unit_test(split_units_are_read),
		cmocka_unit_test(alternate_files_of_dwz_are_read),
		cmocka_unit_test(debug_file_is_found_by_build_id),
		cmocka_unit_test(debug_file_is_found_by_link_with_the_right_crc),
		cmocka_unit_test(debug_file_with_a_wrong_crc_is_not_taken),
		cmocka_unit_test(minidebuginfo_names_local_functions),
		cmocka_unit_test(templates_have_qualified_names),
		cmocka_unit_test(plt_stubs_are_named_after_their_target),
		cmocka_unit_test(rust_names_have_no_hash),
		cmocka_unit_test(small_budget_changes_no_answer),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
