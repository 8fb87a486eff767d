/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A "kernel" that is compiled here, with its debug data below a root of its own, and a table of names that says it was loaded
 * elsewhere than it was linked. Without gcc and objcopy it is skipped.
 */
#include "symbolizer/kernel_lines.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define DISTANCE UINT64_C(0xfffffffe3de00000)

static char root[] = "/tmp/fnp-kernel-lines-XXXXXX";

static const char script[] = "cd %s && mkdir -p sys/kernel usr/lib/debug/boot && "
			     "printf 'int _stext(int x)\\n{\\n\\treturn x + 1;\\n}\\nint handler(int "
			     "x)\\n{\\n\\treturn _stext(x) * 3;\\n}\\n' >kernel.c && "
			     "{ gcc -g -O1 -fno-inline -ffreestanding -nostdlib -static -Wl,-e,_stext "
			     "-Wl,--build-id=sha1 kernel.c -o vmlinux && "
			     "objcopy -O binary -j .note.gnu.build-id vmlinux sys/kernel/notes && "
			     "cp vmlinux usr/lib/debug/boot/vmlinux-$(uname -r); } >/dev/null 2>&1";

struct kernel {
	struct fnp_kallsyms *kallsyms;
	struct fnp_kernel_lines *lines;
	uint64_t handler; /* where it runs */
};

static int set_up(void **state)
{
	struct kernel *k = calloc(1, sizeof(*k));
	struct fnp_object_symbol stext, handler;
	struct fnp_object *object = NULL;
	char path[256];
	FILE *f;

	assert_non_null(k);
	snprintf(path, sizeof(path), "%s/vmlinux", root);
	assert_int_equal(fnp_object_open_path(path, &object), 0);
	assert_int_equal(fnp_object_find_symbol(object, "_stext", &stext), 0);
	assert_int_equal(fnp_object_find_symbol(object, "handler", &handler), 0);
	fnp_object_unref(object);
	snprintf(path, sizeof(path), "%s/kallsyms", root);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "%lx T _stext\n%lx t handler\n", stext.address + DISTANCE, handler.address + DISTANCE);
	fclose(f);
	k->handler = handler.address + DISTANCE;
	assert_int_equal(fnp_kallsyms_create(path, &k->kallsyms), 0);
	assert_int_equal(fnp_kernel_lines_create(k->kallsyms, root, &k->lines), 0);
	*state = k;
	return 0;
}

static int tear_down(void **state)
{
	struct kernel *k = *state;

	fnp_kernel_lines_destroy(k->lines);
	fnp_kallsyms_destroy(k->kallsyms);
	free(k);
	return 0;
}

static void a_function_of_the_kernel_has_its_line(void **state)
{
	struct kernel *k = *state;
	struct fnp_symbol symbol;

	assert_int_equal(fnp_kernel_lines_find(k->lines, k->handler, &symbol), 0);
	assert_string_equal(symbol.name, "handler");
	assert_non_null(strstr(symbol.file, "/kernel.c"));
	assert_true(symbol.line >= 6 && symbol.line <= 7);
	assert_int_equal(symbol.start_line, 5);
	/* As the file counts it nothing runs. */
	assert_int_equal(fnp_kernel_lines_find(k->lines, k->handler - DISTANCE, &symbol), -ENOENT);
}

static void debug_data_of_another_kernel_is_not_taken(void **state)
{
	struct kernel *k = *state;
	struct fnp_symbol symbol;
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/sys/kernel/notes", root);
	f = fopen(path, "r+e");
	assert_non_null(f);
	assert_int_equal(fseek(f, 20, SEEK_SET), 0); /* in the build id */
	int was = fgetc(f);
	assert_int_equal(fseek(f, 20, SEEK_SET), 0);
	fputc(was ^ 1, f);
	fclose(f);
	assert_int_equal(fnp_kernel_lines_find(k->lines, k->handler, &symbol), -ENOENT);
}

static void without_debug_data_there_are_no_lines(void **state)
{
	struct kernel *k = *state;
	struct fnp_kernel_lines *lines = NULL;
	struct fnp_symbol symbol;

	assert_int_equal(fnp_kernel_lines_create(k->kallsyms, "/nonexistent", &lines), 0);
	assert_int_equal(fnp_kernel_lines_find(lines, k->handler, &symbol), -ENOENT);
	fnp_kernel_lines_destroy(lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_function_of_the_kernel_has_its_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_debug_data_there_are_no_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(debug_data_of_another_kernel_is_not_taken, set_up, tear_down),
	};
	char command[2048];
	int r = 77;

	if (!mkdtemp(root))
		return 1;
	snprintf(command, sizeof(command), script, root);
	if (system(command) == 0)
		r = cmocka_run_group_tests(tests, NULL, NULL);
	else
		fprintf(stderr, "no gcc and objcopy here: skipped\n");
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command) == 0 ? r : 1;
}
