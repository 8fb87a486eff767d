/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/kallsyms.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"

static char path[] = "/tmp/fnp-kallsyms-XXXXXX";

static struct fnp_kallsyms *with_text(const char *text)
{
	struct fnp_kallsyms *kallsyms = NULL;
	fnp_autoclose int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fnp_file_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fnp_kallsyms_create(path, &kallsyms), 0);
	return kallsyms;
}

static void functions_are_found_by_address(void **state)
{
	FNP_CLEANUP(fnp_kallsyms_destroyp)
	struct fnp_kallsyms *kallsyms = with_text("ffffffff81000100 T second\n"
						  "ffffffff81000000 t local_alias\n"
						  "ffffffff81000000 T first\n"
						  "ffffffff81000080 D data\n"
						  "ffffffffc0001000 t probe\t[thing]\n"
						  "not a line\n"
						  "ffffffffc0002000 t probe\t[other]\n");
	struct fnp_kernel_symbol symbol;

	(void)state;
	assert_int_equal(fnp_kallsyms_find(kallsyms, 0xffffffff81000001, &symbol), 0);
	assert_string_equal(symbol.name, "first");
	assert_string_equal(symbol.module, "");
	assert_int_equal(fnp_kallsyms_find(kallsyms, 0xffffffff81000100, &symbol), 0);
	assert_string_equal(symbol.name, "second");
	assert_int_equal(fnp_kallsyms_find(kallsyms, 0xffffffffc0001fff, &symbol), 0);
	assert_string_equal(symbol.name, "probe");
	assert_string_equal(symbol.module, "thing");
	assert_int_equal(symbol.start, 0xffffffffc0001000);
	assert_int_equal(fnp_kallsyms_find(kallsyms, 0xffffffffc0002000, &symbol), 0);
	assert_string_equal(symbol.module, "other");
}

static void holes_have_no_name(void **state)
{
	FNP_CLEANUP(fnp_kallsyms_destroyp)
	struct fnp_kallsyms *kallsyms = with_text("ffffffff81000000 T first\n");
	struct fnp_kernel_symbol symbol;

	(void)state;
	assert_int_equal(fnp_kallsyms_find(kallsyms, 0xffffffff80ffffff, &symbol), -ENOENT);
	assert_int_equal(fnp_kallsyms_find(kallsyms, 0xffffffffc0000000, &symbol), -ENOENT);
}

static void hidden_addresses_name_nothing(void **state)
{
	FNP_CLEANUP(fnp_kallsyms_destroyp)
	struct fnp_kallsyms *kallsyms = with_text("0000000000000000 T first\n");
	struct fnp_kernel_symbol symbol;

	(void)state;
	assert_int_equal(fnp_kallsyms_find(kallsyms, 0x10, &symbol), -ENOENT);
	assert_int_equal(fnp_kallsyms_bytes(kallsyms), 0);
}

static void missing_file_names_nothing(void **state)
{
	FNP_CLEANUP(fnp_kallsyms_destroyp) struct fnp_kallsyms *kallsyms = NULL;
	struct fnp_kernel_symbol symbol;

	(void)state;
	assert_int_equal(fnp_kallsyms_create("/nonexistent", &kallsyms), 0);
	assert_int_equal(fnp_kallsyms_find(kallsyms, 0xffffffff81000000, &symbol), -ENOENT);
}

static void this_kernels_table_is_small(void **state)
{
	FNP_CLEANUP(fnp_kallsyms_destroyp) struct fnp_kallsyms *kallsyms = NULL;
	struct fnp_kernel_symbol symbol;

	(void)state;
	assert_int_equal(fnp_kallsyms_create(NULL, &kallsyms), 0);
	(void)fnp_kallsyms_find(kallsyms, 1, &symbol);
	assert_true(fnp_kallsyms_bytes(kallsyms) < (size_t)6 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_are_found_by_address),
		cmocka_unit_test(holes_have_no_name),
		cmocka_unit_test(hidden_addresses_name_nothing),
		cmocka_unit_test(missing_file_names_nothing),
		cmocka_unit_test(this_kernels_table_is_small),
	};
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return r;
}
