/* SPDX-License-Identifier: Apache-2.0 */
/* Runtimes are told apart by what their files hold; programs of this machine are a second witness. */
#include "symbolizer/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <glob.h>
#include <unistd.h>

#include "tests/symbolizer/elf_writer.h"

/* Opens what was written; the writer is empty then. */
static struct fnp_object *open_written(struct elf_writer *w)
{
	struct fnp_buffer file = elf_writer_finish(w);
	struct fnp_object *object = NULL;

	assert_int_equal(fnp_object_open_memory(file.data, file.len, "made", &object), 0);
	fnp_buffer_deinit(&file);
	return object;
}

/* An object with these constants and exported names (ended by NULL) for them. */
static struct fnp_object *object_with(const char *constants, size_t size, const char *const *names)
{
	struct elf_writer w = {.symbol_type = SHT_DYNSYM};

	elf_writer_segment(&w, 0x1000, 0x401000, constants, size, PF_R);
	for (; *names; names++)
		elf_writer_symbol(&w, *names, 0x401000, 8, STT_OBJECT, STB_GLOBAL);
	return open_written(&w);
}

#define OBJECT(constants, ...)                                                                               \
	object_with(constants, sizeof(constants), (const char *const[]){__VA_ARGS__, NULL})

static void assert_text(struct fnp_object *object, const char *text, const char *version)
{
	struct fnp_runtime_id id;

	fnp_runtime_recognise(object, &id);
	assert_string_equal(id.text, text);
	assert_string_equal(id.version, version);
	assert_int_equal(strcmp(text, "native") == 0, id.ops == NULL);
	fnp_object_unref(object);
}

static void python_is_known_by_its_state_and_version_constant(void **state FNP_UNUSED)
{
	assert_text(OBJECT("\xf0\x01\x0c\x03", "_PyRuntime", "Py_Version"), "python3.12", "3.12.1");
	assert_text(OBJECT("\xc2\x00\x0f\x03", "_PyRuntime", "Py_Version"), "python3.15", "3.15.0rc2");
}

static void python_before_3_11_is_known_by_the_folder_of_its_library(void **state FNP_UNUSED)
{
	assert_text(OBJECT("python3.zip\0lib/python3.9-x\0lib/python3.9\0", "_PyRuntime"), "python3.9", "3.9");
	assert_text(OBJECT("python2.7\0", "PyEval_EvalCode", "Py_InitializeEx"), "python2.7", "2.7");
}

static void python_without_a_version_is_python(void **state FNP_UNUSED)
{
	assert_text(OBJECT("nothing", "_PyRuntime"), "python", "");
	assert_text(OBJECT("\xff\xff\xff\xff", "_PyRuntime", "Py_Version"), "python", "");
}

static void stripped_python_is_known_by_its_section(void **state FNP_UNUSED)
{
	static const uint8_t header[24] = "xdebugpy\xf0\x05\x0d\x03";
	struct elf_writer w = {0};

	elf_writer_segment(&w, 0x2000, 0x402000, header, sizeof(header), PF_R | PF_W);
	elf_writer_section(&w, ".PyRuntime", SHT_PROGBITS, header, sizeof(header));
	w.sections[w.n_sections - 1].address = 0x402000;
	w.sections[w.n_sections - 1].offset = 0x2000;
	struct fnp_object *object = open_written(&w);
	assert_text(object, "python3.13", "3.13.5");
}

static void pypy_is_named_apart_from_cpython(void **state FNP_UNUSED)
{
	/* It exports much of CPython's interface, too. */
	assert_text(OBJECT("lib/python3.9\0", "pypy_execute_source", "Py_InitializeEx", "PyEval_EvalCode"),
		    "pypy", "");
}

static void an_extension_module_is_no_python(void **state FNP_UNUSED)
{
	assert_text(OBJECT("lib/python3.9\0", "PyInit_thing"), "native", "");
}

static void hotspot_is_known_by_its_tables_and_build_text(void **state FNP_UNUSED)
{
	assert_text(
		OBJECT("OpenJDK 64-Bit Server VM (21.0.4+7-LTS) for linux-amd64 JRE (21.0.4+7-LTS), built",
		       "gHotSpotVMStructs", "gHotSpotVMTypes", "JNI_CreateJavaVM"),
		"jvm21", "21.0.4+7-LTS");
	assert_text(OBJECT("JRE (1.8.0_412-b08), built JRE (1.8.0_412-b08), built", "gHotSpotVMStructs",
			   "gHotSpotVMTypes", "JNI_CreateJavaVM"),
		    "jvm8", "1.8.0_412-b08");
	assert_text(OBJECT("x", "gHotSpotVMStructs", "gHotSpotVMTypes", "JNI_CreateJavaVM"), "jvm", "");
}

static void node_is_known_by_v8_and_its_own_api(void **state FNP_UNUSED)
{
	assert_text(
		OBJECT("node-v0.x-archive https://nodejs.org/download/release/v22.3.1/node-v22.3.1.tar.gz",
		       "v8dbg_FirstNonstringType", "node_module_register"),
		"node22", "22.3.1");
	assert_text(OBJECT("\0v9.9.9.9\0v24.1.0-x\0v20.19.2\0", "_ZN2v82V810GetVersionEv",
			   "node_module_register"),
		    "node20", "20.19.2");
	assert_text(OBJECT("x", "v8dbg_FirstNonstringType"), "v8", "");
}

static void relatives_of_node_are_named_as_what_they_are(void **state FNP_UNUSED)
{
	assert_text(OBJECT("https://www.electronjs.org/headers/v29.1.0/node-v29.1.0-headers.tar.gz",
			   "v8dbg_FirstNonstringType", "node_module_register"),
		    "electron29", "29.1.0");
	assert_text(OBJECT("Exporter-Deno/0.80.0 Deno/2.9.6Deno/2.9.6+e5", "napi_create_function"), "deno2",
		    "2.9.6");
	assert_text(OBJECT("Bun/1.4.5", "napi_create_function"), "bun1", "1.4.5");
	assert_text(OBJECT("an addon", "napi_create_function"), "native", "");
}

static void other_jvms_and_images_are_not_hotspot(void **state FNP_UNUSED)
{
	assert_text(OBJECT("x", "J9_CreateJavaVM"), "openj9", "");
}

static void versions_are_numbers_of_four_digits_at_most(void **state FNP_UNUSED)
{
	uint16_t major, minor;

	fnp_runtime_parse_version("17.0.9+9", &major, &minor);
	assert_int_equal(major, 17);
	assert_int_equal(minor, 0);
	fnp_runtime_parse_version("99999999999.5", &major, &minor);
	assert_int_equal(major, 9999);
	assert_int_equal(minor, 0);
	fnp_runtime_parse_version("", &major, &minor);
	assert_int_equal(major, 0);
}

static void a_program_is_named_by_its_own_runtime_before_that_of_a_library(void **state FNP_UNUSED)
{
	struct fnp_object *python = OBJECT("\xf0\x01\x0c\x03", "_PyRuntime", "Py_Version");
	struct fnp_object *jvm = OBJECT("x", "gHotSpotVMStructs", "gHotSpotVMTypes", "JNI_CreateJavaVM");
	const struct fnp_runtime_mapping mappings[] = {
		{.start = 0x10000, .limit = 0x20000, .offset = 0x1000, .object = python, .executable = true},
		{.start = 0x30000, .limit = 0x40000, .object = NULL, .executable = true},
		{.start = 0x50000, .limit = 0x60000, .offset = 0x1000, .object = jvm, .executable = true},
		{.start = 0x60000, .limit = 0x70000, .object = jvm, .executable = true},
	};
	struct fnp_runtime_process process = {.pid = 1, .mappings = mappings, .n_mappings = 4};
	struct fnp_runtime_match matches[FNP_RUNTIME_MATCHES_MAX];

	/* Neither is a program (no interpreter asked for), so the rank decides. */
	assert_int_equal(fnp_runtime_find(&process, NULL, NULL, matches), 2);
	assert_string_equal(matches[0].id.text, "jvm");
	assert_int_equal(matches[0].bias, 0x50000 - 0x401000);
	assert_string_equal(matches[1].id.text, "python3.12");
	assert_int_equal(matches[1].bias, 0x10000 - 0x401000);
	fnp_object_unref(python);
	fnp_object_unref(jvm);
}

static void our_own_memory_is_read_whole_or_not_at_all(void **state FNP_UNUSED)
{
	char buffer[16] = "";

	assert_int_equal(fnp_runtime_read(getpid(), (uintptr_t) "a constant text", buffer, sizeof(buffer)), 0);
	assert_string_equal(buffer, "a constant text");
	assert_int_equal(fnp_runtime_read(getpid(), 8, buffer, sizeof(buffer)), -EFAULT);
}

/* What stands on this machine is recognised as its folder says; 0 when nothing of it is there. */
static size_t check_files(const char *pattern, const char *text)
{
	glob_t files = {0};
	size_t n = 0;

	if (glob(pattern, 0, NULL, &files) == 0) {
		for (size_t i = 0; i < files.gl_pathc; i++) {
			struct fnp_object *object = NULL;
			struct fnp_runtime_id id;
			if (fnp_object_open_path(files.gl_pathv[i], &object) < 0)
				continue;
			fnp_runtime_recognise(object, &id);
			fnp_object_unref(object);
			assert_string_equal(id.text, text);
			n++;
		}
	}
	globfree(&files);
	return n;
}

static void runtimes_of_this_machine_are_recognised(void **state FNP_UNUSED)
{
	size_t n = 0;

	for (int minor = 7; minor <= 15; minor++) {
		char pattern[512], text[32];
		snprintf(text, sizeof(text), "python3.%d", minor);
		snprintf(pattern, sizeof(pattern), "%s/.pyenv/versions/3.%d.*/lib/libpython3.%d*.so.1.0",
			 getenv("HOME") ?: "/nowhere", minor, minor);
		n += check_files(pattern, text);
		snprintf(pattern, sizeof(pattern), "/usr/bin/python3.%d", minor);
		n += check_files(pattern, text);
	}
	for (int major = 8; major <= 30; major++) {
		char pattern[128], text[32];
		snprintf(text, sizeof(text), "jvm%d", major);
		snprintf(pattern, sizeof(pattern), "/usr/lib/jvm/*-%d-*/lib/server/libjvm.so", major);
		n += check_files(pattern, text);
	}
	n += check_files("/lib/*-linux-gnu/libc.so.6", "native");
	if (n == 0)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(python_is_known_by_its_state_and_version_constant),
		cmocka_unit_test(python_before_3_11_is_known_by_the_folder_of_its_library),
		cmocka_unit_test(python_without_a_version_is_python),
		cmocka_unit_test(stripped_python_is_known_by_its_section),
		cmocka_unit_test(pypy_is_named_apart_from_cpython),
		cmocka_unit_test(an_extension_module_is_no_python),
		cmocka_unit_test(hotspot_is_known_by_its_tables_and_build_text),
		cmocka_unit_test(node_is_known_by_v8_and_its_own_api),
		cmocka_unit_test(relatives_of_node_are_named_as_what_they_are),
		cmocka_unit_test(other_jvms_and_images_are_not_hotspot),
		cmocka_unit_test(versions_are_numbers_of_four_digits_at_most),
		cmocka_unit_test(a_program_is_named_by_its_own_runtime_before_that_of_a_library),
		cmocka_unit_test(our_own_memory_is_read_whole_or_not_at_all),
		cmocka_unit_test(runtimes_of_this_machine_are_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
