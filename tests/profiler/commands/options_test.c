/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "profiler/commands/options.h"
#include "profiler/commands/suggest.h"

static const struct fnp_command_ops command = {
	.name = "try",
	.synopsis = "fnprof try [-o DIR] [-- CMD]",
	.description = "a verb for tests",
};

/* What the last parse gave. */
static const char *dir;
static uint64_t rate;
static bool json;
static struct fnp_arguments arguments;

static int parse(bool dashes, char *const *words)
{
	const struct fnp_option table[] = {
		{'o', "output", "DIR", "", FNP_OPTION_TEXT, &dir},
		{'F', "rate", "HZ", "", FNP_OPTION_NUMBER, &rate, 1, 10000},
		{'j', "json", NULL, "", FNP_OPTION_FLAG, &json},
	};
	const struct fnp_options options = {
		.command = &command,
		.table = table,
		.n = 3,
		.max_arguments = dashes ? -1 : 2,
		.dashes_before_arguments = dashes,
	};
	static char *argv[16];
	int argc = 0;

	dir = NULL;
	rate = 99;
	json = false;
	arguments = (struct fnp_arguments){0};
	for (; words[argc]; argc++)
		argv[argc] = words[argc];
	argv[argc] = NULL;
	return fnp_options_parse(&options, argc, argv, &arguments);
}

#define PARSE(...) parse(false, (char *[]){"try", __VA_ARGS__, NULL})
#define PARSE_COMMAND(...) parse(true, (char *[]){"try", __VA_ARGS__, NULL})

static void each_way_to_write_a_value_is_understood(void **state)
{
	static const char *const ways[][3] = {
		{"-o", "x"}, {"-ox"}, {"--output", "x"}, {"--output=x"}, {"-jox"}, {"-jo", "x"},
	};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(ways); i++) {
		char *words[] = {(char *)"try", (char *)ways[i][0], (char *)ways[i][1], NULL};
		assert_int_equal(parse(false, words), FNP_OPTIONS_GO_ON);
		assert_string_equal(dir, "x");
		assert_int_equal(json, i >= 4);
	}
}

static void words_and_options_may_be_mixed(void **state)
{
	(void)state;
	assert_int_equal(PARSE("a", "-F", "5", "b"), FNP_OPTIONS_GO_ON);
	assert_int_equal(arguments.n, 2);
	assert_string_equal(arguments.items[0], "a");
	assert_string_equal(arguments.items[1], "b");
	assert_int_equal(rate, 5);
}

static void after_dashes_nothing_is_an_option(void **state)
{
	(void)state;
	assert_int_equal(PARSE_COMMAND("-F", "5", "--", "ls", "-o", "--help", "--"), FNP_OPTIONS_GO_ON);
	assert_int_equal(arguments.n, 4);
	assert_string_equal(arguments.items[1], "-o");
	assert_string_equal(arguments.items[3], "--");
	assert_null(arguments.items[4]);
	assert_null(dir);
}

static void command_without_dashes_is_bad_use(void **state)
{
	(void)state;
	assert_int_equal(PARSE_COMMAND("ls", "-l"), FNP_EXIT_USAGE);
	assert_int_equal(PARSE_COMMAND("--"), FNP_EXIT_USAGE);
}

static void bad_numbers_are_bad_use(void **state)
{
	static char *const bad[] = {
		"0", "10001", "-1", "12abc", "", " 5", "0x10", "1e3", "99999999999999999999999"};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(bad); i++) {
		assert_int_equal(PARSE("-F", bad[i]), FNP_EXIT_USAGE);
		assert_int_equal(rate, 99);
	}
	assert_int_equal(PARSE("-F", "10000"), FNP_OPTIONS_GO_ON);
	assert_int_equal(rate, 10000);
}

static void unknown_and_incomplete_options_are_bad_use(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--outptu", "x"), FNP_EXIT_USAGE);
	assert_int_equal(PARSE("-x"), FNP_EXIT_USAGE);
	assert_int_equal(PARSE("-o"), FNP_EXIT_USAGE);
	assert_int_equal(PARSE("--output"), FNP_EXIT_USAGE);
	assert_int_equal(PARSE("--json=1"), FNP_EXIT_USAGE);
	assert_int_equal(PARSE("--out", "x"), FNP_EXIT_USAGE); /* no silent abbreviations: scripts would break */
	assert_int_equal(PARSE("a", "b", "c"), FNP_EXIT_USAGE);
}

static void help_ends_well(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--help"), FNP_EXIT_OK);
	assert_int_equal(PARSE("-h", "--nonsense"), FNP_EXIT_OK);
}

static void likely_words_are_suggested(void **state)
{
	static const char *const verbs[] = {"record", "ls", "show", "export", "demo", "doctor", "inspect"};
	static const struct {
		const char *word, *meant;
	} cases[] = {
		{"recrod", "record"}, {"recor", "record"}, {"shwo", "show"},
		{"exprot", "export"}, {"list", "ls"},	   {"xyzzy", NULL},
		{"", NULL},	      {"insp", "inspect"}, {"l", "ls"},
	};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(cases); i++) {
		const char *meant = fnp_suggest(cases[i].word, verbs, FNP_ARRAY_SIZE(verbs));
		if (cases[i].meant) {
			assert_non_null(meant);
			assert_string_equal(meant, cases[i].meant);
		} else {
			assert_null(meant);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_way_to_write_a_value_is_understood),
		cmocka_unit_test(words_and_options_may_be_mixed),
		cmocka_unit_test(after_dashes_nothing_is_an_option),
		cmocka_unit_test(command_without_dashes_is_bad_use),
		cmocka_unit_test(bad_numbers_are_bad_use),
		cmocka_unit_test(unknown_and_incomplete_options_are_bad_use),
		cmocka_unit_test(help_ends_well),
		cmocka_unit_test(likely_words_are_suggested),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
