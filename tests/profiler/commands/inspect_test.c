/* SPDX-License-Identifier: Apache-2.0 */
/* `inspect` on this test itself. */
#include <signal.h>
#include <sys/wait.h>

#include "symbolizer/object.h"
#include "tests/profiler/commands/run.h"

/* Runs `inspect symbols` on our own file with this standard input. */
static int run_symbols(const char *input)
{
	FILE *f = tmpfile();
	int saved = dup(STDIN_FILENO), status;

	assert_non_null(f);
	fputs(input, f);
	rewind(f);
	fflush(stdin);
	dup2(fileno(f), STDIN_FILENO);
	clearerr(stdin);
	status = RUN("inspect", "symbols", "/proc/self/exe");
	dup2(saved, STDIN_FILENO);
	close(saved);
	fclose(f);
	return status;
}

static void symbols_names_functions_and_falls_back_to_addresses(void **state)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	struct fnp_object_symbol symbol;
	char input[64];

	(void)state;
	assert_int_equal(fnp_object_open_path("/proc/self/exe", &object), 0);
	assert_int_equal(fnp_object_find_symbol(object, "main", &symbol), 0);
	snprintf(input, sizeof(input), "0x%llx\n1\n", (unsigned long long)symbol.address);
	assert_int_equal(run_symbols(input), 0);
	assert_memory_equal(text(), "main", 4);
	assert_true(text()[4] == '\n' || strncmp(text() + 4, " at ", 4) == 0);
	assert_true(has("\n\n[exe+0x1]\n\n"));
}

static void symbols_refuses_what_is_no_address(void **state)
{
	static const char *const bad[] = {"hello\n", "0x\n", "-1\n", "12345678901234567\n", "10 20\n"};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(bad); i++)
		assert_int_equal(run_symbols(bad[i]), 1);
}

static void object_says_build_id_and_rows(void **state)
{
	(void)state;
	assert_int_equal(RUN("inspect", "object", "/proc/self/exe"), 0);
	assert_true(has("build id  "));
	assert_true(has("unwind rows  "));
	assert_int_equal(RUN("inspect", "object", "--rows", "/proc/self/exe"), 0);
	assert_true(has("LOC "));
	assert_true(has(" c-8\n"));
}

static void object_refuses_what_is_no_elf_file(void **state)
{
	(void)state;
	assert_int_equal(RUN("inspect", "object", "/etc/passwd"), 1);
	assert_int_equal(RUN("inspect", "object", "/tmp"), 1);
	assert_int_equal(RUN("inspect", "object", "/no/such/file"), 1);
	assert_int_equal(RUN("inspect", "object"), 2);
}

static void process_is_told_by_source_runtime_and_files(void **state)
{
	char pid[16];
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		execle("/bin/sleep", "sleep", "30", (char *)NULL,
		       (char *[]){(char *)"AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001",
				  (char *)"AWS_LAMBDA_FUNCTION_NAME=resize", NULL});
		_exit(127);
	}
	/* The new image is whole when its loader has mapped the C library. */
	for (int i = 0; i < 5000; i++) {
		fnp_autobuffer struct fnp_buffer maps = {0};
		char path[64];
		snprintf(path, sizeof(path), "/proc/%d/maps", child);
		if (fnp_file_read_at(AT_FDCWD, path, 1u << 20, &maps) == 0 && maps.len > 0 &&
		    strstr((char *)maps.data, "/sleep") && strstr((char *)maps.data, "/libc.so"))
			break;
		usleep(1000);
	}
	snprintf(pid, sizeof(pid), "%d", child);
	int status = RUN("inspect", "process", pid);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(status, 0);
	assert_true(has("source      lambda\n"));
	assert_true(has("function    resize\n"));
	assert_true(has("to port 9001"));
	assert_true(has("runtime     native"));
	assert_true(has("libc.so.6"));
}

static void process_refuses_numbers_of_nothing(void **state)
{
	(void)state;
	assert_int_equal(RUN("inspect", "process", "4194304"), 1);
	assert_int_equal(RUN("inspect", "process", "1,2"), 2);
	assert_int_equal(RUN("inspect", "process", "abc"), 2);
	assert_int_equal(RUN("inspect", "process"), 2);
	assert_int_equal(RUN("inspect", "proces", "1"), 2);
	assert_int_equal(RUN("inspect"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(symbols_names_functions_and_falls_back_to_addresses),
		cmocka_unit_test(symbols_refuses_what_is_no_address),
		cmocka_unit_test(object_says_build_id_and_rows),
		cmocka_unit_test(object_refuses_what_is_no_elf_file),
		cmocka_unit_test(process_is_told_by_source_runtime_and_files),
		cmocka_unit_test(process_refuses_numbers_of_nothing),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	fnp_buffer_deinit(&out);
	return failed;
}
