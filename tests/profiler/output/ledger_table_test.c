/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/ledger_table.h"

#include "tests/profiler/output/rows.h"

static bool add(struct fnp_ledger_table *table, unsigned int column, const char *line)
{
	json_auto_t *object = json_loads(line, 0, NULL);

	assert_non_null(object);
	return fnp_ledger_table_add(table, column, object);
}

static const char *text_of(struct fnp_buffer *b)
{
	assert_int_equal(b->error, 0);
	fnp_buffer_byte(b, '\0');
	return (const char *)b->data;
}

static void row_has_shares_times_and_bars(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	struct fnp_ledger_table table = {0};

	(void)state;
	assert_true(add(&table, 0, "{\"ledger\":{\"gc\":0,\"on_cpu\":3000000,\"lock\":1000000}}"));
	fnp_ledger_table_print_row(&table, 59, &b); /* the bar of the whole would be 20 wide */
	assert_string_equal(text_of(&b), "   75.0 %   3.00 ms  on_cpu            ###############\n"
					 "   25.0 %   1.00 ms  lock              #####\n");
}

static void means_are_of_each_columns_own_rows(void **state)
{
	static const char *const titles[] = {"one", "two"};
	fnp_autobuffer struct fnp_buffer b = {0};
	struct fnp_ledger_table table = {0};

	(void)state;
	add(&table, 0, "{\"ledger\":{\"on_cpu\":4000}}");
	add(&table, 1, "{\"ledger\":{\"on_cpu\":1000,\"disk\":5000}}");
	add(&table, 1, "{\"ledger\":{\"on_cpu\":1000,\"disk\":1000}}");
	fnp_ledger_table_print_means(&table, titles, 2, &b);
	assert_string_equal(text_of(&b), "               one               two\n"
					 "   4.00 us 100.0 %   1.00 us  25.0 %  on_cpu\n"
					 "         -           3.00 us  75.0 %  disk\n"
					 "   4.00 us 100.0 %   4.00 us 100.0 %  in all\n");
}

static void what_is_no_ledger_is_left_out(void **state)
{
	struct fnp_ledger_table table = {0};

	(void)state;
	assert_false(add(&table, 0, "{}"));
	assert_false(add(&table, 0, "{\"ledger\":[1]}"));
	assert_false(add(&table, 0, "{\"ledger\":{}}"));
	assert_int_equal(table.rows[0], 0);
	assert_true(add(&table, 0, "{\"ledger\":{\"lock\":-5,\"disk\":\"many\",\"pipe\":7}}"));
	assert_true(table.lines[0].ns[0] == 0 && table.lines[1].ns[0] == 0 && table.lines[2].ns[0] == 7);
}

static void more_lines_than_there_is_room_for_are_dropped(void **state)
{
	fnp_autobuffer struct fnp_buffer line = {0};
	struct fnp_ledger_table table = {0};

	(void)state;
	fnp_buffer_text(&line, "{\"ledger\":{\"");
	for (int i = 0; i < 60; i++)
		fnp_buffer_byte(&line, 'x'); /* longer than a name may be */
	for (int i = 0; i < 40; i++)
		fnp_buffer_printf(&line, "\":1,\"n%d", i);
	fnp_buffer_text(&line, "\":1}}");
	assert_true(add(&table, 0, text_of(&line)));
	assert_int_equal(table.n_lines, FNP_LEDGER_LINES_MAX);
	assert_int_equal(strlen(table.lines[0].name), FNP_LEDGER_NAME_MAX - 1);
}

static void ranks_stand_around_their_quantile(void **state)
{
	static const struct {
		size_t n;
		unsigned int percentile;
		size_t begin, end;
	} cases[] = {{0, 50, 0, 0},   {1, 50, 0, 1},	 {1, 99, 0, 1},	     {10, 50, 4, 5},
		     {10, 99, 9, 10}, {100, 50, 44, 55}, {100, 99, 97, 100}, {1000, 99, 979, 1000}};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(cases); i++) {
		struct fnp_ledger_ranks ranks = fnp_ledger_ranks_at(cases[i].n, cases[i].percentile);
		assert_int_equal(ranks.begin, cases[i].begin);
		assert_int_equal(ranks.end, cases[i].end);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row_has_shares_times_and_bars),
		cmocka_unit_test(means_are_of_each_columns_own_rows),
		cmocka_unit_test(what_is_no_ledger_is_left_out),
		cmocka_unit_test(more_lines_than_there_is_room_for_are_dropped),
		cmocka_unit_test(ranks_stand_around_their_quantile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
