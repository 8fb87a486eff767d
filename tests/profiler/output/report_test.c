/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/report.h"

#include "profiler/output/terminal.h"
#include "tests/profiler/output/rows.h"

static void add(struct fnp_tally *tally, const char *function, const char *id, uint64_t duration_ns)
{
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = test_row(function, id);
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = test_profile();

	row->duration_ns = duration_ns;
	assert_int_equal(fnp_tally_add(tally, row, profile), 0);
}

static const char *text_of(struct fnp_buffer *b)
{
	assert_int_equal(b->error, 0);
	fnp_buffer_byte(b, '\0');
	return (const char *)b->data;
}

static void slowest_are_kept_in_order(void **state)
{
	FNP_CLEANUP(fnp_tally_deinit) struct fnp_tally tally = {0};
	static const uint64_t durations[] = {30, 10, 90, 50, 70, 20, 80, 50};
	static const uint64_t expected[] = {90, 80, 70, 50, 50};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(durations); i++)
		add(&tally, "f", "i", durations[i]);
	for (size_t i = 0; i < FNP_TALLY_SLOWEST; i++)
		assert_int_equal(tally.slowest[i].duration_ns, expected[i]);
	assert_int_equal(tally.rows[FNP_ROW_INVOCATION], 8);
}

static void hottest_frames_come_by_own_time(void **state)
{
	FNP_CLEANUP(fnp_tally_deinit) struct fnp_tally tally = {0};
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;
	struct fnp_tally_frame frames[3];
	char name[16];

	(void)state;
	assert_int_equal(fnp_profile_create(&profile), 0);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		test_profile_add(profile, name, (i * 7) % 40 + 1);
	}
	assert_int_equal(fnp_tally_add_profile(&tally, profile), 0);
	assert_int_equal(fnp_tally_hottest(&tally, 3, frames), 3);
	assert_int_equal(frames[0].self_ns, 40);
	assert_int_equal(frames[1].self_ns, 39);
	assert_int_equal(frames[2].self_ns, 38);
	assert_string_equal(fnp_tally_name(&tally, &frames[0]), "f17");
}

static void numbers_are_grouped(void **state)
{
	char text[32];

	(void)state;
	assert_string_equal(fnp_report_number(0, text), "0");
	assert_string_equal(fnp_report_number(999, text), "999");
	assert_string_equal(fnp_report_number(1000, text), "1,000");
	assert_string_equal(fnp_report_number(18446744073709551615u, text), "18,446,744,073,709,551,615");
}

static void names_are_cut_to_columns_and_never_carry_escapes(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"short", "short     "},       {"exactly10!", "exactly10!"}, {"eleven char", "eleven ..."},
		{"\x1b[31mred", "?[31mred  "}, {"größengröß", "größengröß"}, {"größengrößen", "größeng..."},
		{"\xff\xfe", "??        "},    {"a\nb", "a?b       "},
	};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(cases); i++) {
		fnp_autobuffer struct fnp_buffer b = {0};
		fnp_report_name(&b, cases[i].text, 10, true);
		assert_string_equal(text_of(&b), cases[i].shown);
	}
}

static void closing_line_says_counts_and_place(void **state)
{
	FNP_CLEANUP(fnp_tally_deinit) struct fnp_tally tally = {0};
	struct fnp_summary summary = {.duration_ns = 10000000000, .losses = {[FNP_LOSS_RING_FULL] = 3}};
	struct fnp_report report = {.dir = "out", .tally = &tally, .summary = &summary};
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	add(&tally, "f", "i", 5);
	fnp_report_line(&report, &b);
	assert_string_equal(text_of(&b), "1 invocation in 10.0 s, 2 samples, 3 ticks lost; files in out\n");
	fnp_buffer_deinit(&b);
	summary.events_lost = 4321;
	fnp_report_line(&report, &b);
	assert_non_null(
		strstr(text_of(&b),
		       "3 ticks lost, 4,321 events lost (invocations may be missing or joined); files"));
}

static void summary_names_what_could_not_be_known(void **state)
{
	FNP_CLEANUP(fnp_tally_deinit) struct fnp_tally tally = {0};
	struct fnp_summary summary = {.duration_ns = 10000000000, .losses = {[FNP_LOSS_RING_FULL] = 1234}};
	struct fnp_report report = {.dir = "out", .page = true, .tally = &tally, .summary = &summary};
	fnp_autobuffer struct fnp_buffer b = {0};
	const char *text;

	(void)state;
	add(&tally, "resize", "req-1", 1500000000);
	tally.truncated[FNP_TRUNCATION_NO_TABLE] = 7;
	tally.truncated[FNP_TRUNCATION_LOOP] = 1;
	fnp_report_summary(&report, &b);
	text = text_of(&b);
	assert_non_null(strstr(text, "1.50 s"));
	assert_non_null(strstr(text, "req-1"));
	assert_non_null(strstr(text, "50.0 %   10.0 ms  native  "));
	assert_non_null(strstr(text, "1,234 ticks without a sample: ring_full\n"));
	assert_non_null(strstr(text, "7 samples with a cut stack: no unwind table\n"));
	assert_non_null(strstr(text, "1 sample with a cut stack: stack goes backwards\n"));
	assert_non_null(strstr(text, "out/index.html"));
	assert_null(strstr(text, "\033"));
}

/* In columns. */
static size_t longest_line(const char *text)
{
	size_t longest = 0;

	while (*text) {
		size_t len = strcspn(text, "\n"), columns = 0;

		for (size_t i = 0; i < len; i++)
			columns += ((unsigned char)text[i] & 0xc0) != 0x80;
		longest = FNP_MAX(longest, columns);
		text += len + (text[len] == '\n');
	}
	return longest;
}

static void commands_of_the_summary_can_be_copied(void **state)
{
	FNP_CLEANUP(fnp_tally_deinit) struct fnp_tally tally = {0};
	struct fnp_summary summary = {.duration_ns = 1000};
	struct fnp_report report = {.dir = "my 'best\033' run",
				    .program = "build/release/fnprof",
				    .page = true,
				    .tally = &tally,
				    .summary = &summary};
	fnp_autobuffer struct fnp_buffer b = {0};
	const char *text;

	(void)state;
	fnp_report_summary(&report, &b);
	text = text_of(&b);
	assert_non_null(strstr(text, "open 'my '\\''best?'\\'' run/index.html'\n"));
	assert_non_null(
		strstr(text, "  all invocations   build/release/fnprof ls 'my '\\''best?'\\'' run'\n"));
	assert_non_null(strstr(text, "  one of them       build/release/fnprof show 'my "));
}

static void summary_fits_its_terminal(void **state)
{
	FNP_CLEANUP(fnp_tally_deinit) struct fnp_tally tally = {0};
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;
	struct fnp_summary summary = {.duration_ns = 10000000000,
				      .cost = {.agent_cpu_ns = 1234567890,
					       .bpf_ns = 998765432,
					       .has_bpf_ns = true,
					       .rss_max_bytes = 40000000}};
	struct fnp_report report = {.dir = "out", .page = true, .tally = &tally, .summary = &summary};
	const char *name = "a.very.long.package.of.somebody.AndAClassOfTheirs$WithAnInner.method";

	(void)state;
	add(&tally, "a-function-with-a-long-name", "8476a536-e9f4-4bf6-a2ed-1e4f2a8a0d34", 1500000000);
	assert_int_equal(fnp_profile_create(&profile), 0);
	test_profile_add(profile, name, 3);
	assert_int_equal(fnp_tally_add_profile(&tally, profile), 0);
	tally.unnamed_ns = tally.sampled_ns;
	for (size_t columns = 80; columns < 101; columns += 20) {
		fnp_autobuffer struct fnp_buffer b = {0};
		const char *text;

		report.columns = columns;
		fnp_report_summary(&report, &b);
		text = text_of(&b);
		assert_true(longest_line(text) <= columns);
		assert_non_null(strstr(text, "8476a536-e9f4-4bf6-a2ed-1e4f2a8a0d34"));
	}
}

static void summary_of_nothing_has_no_empty_headings(void **state)
{
	struct fnp_tally tally = {0};
	struct fnp_summary summary = {.duration_ns = 1000};
	struct fnp_report report = {.dir = "out", .tally = &tally, .summary = &summary};
	fnp_autobuffer struct fnp_buffer b = {0};
	const char *text;

	(void)state;
	fnp_report_summary(&report, &b);
	text = text_of(&b);
	assert_non_null(strstr(text, "0 invocations in "));
	assert_null(strstr(text, "Slowest"));
	assert_null(strstr(text, "Hottest"));
	assert_null(strstr(text, "could not be known"));
	assert_null(strstr(text, "index.html"));
}

static void live_line_fits_its_width(void **state)
{
	struct fnp_live live = {
		.elapsed_ns = 12000000000, .invocations = 3456, .samples = 1204, .own_cpu_ns = 420000000};
	struct fnp_live base = {.elapsed_ns = 2000000000, .own_cpu_ns = 400000000};
	fnp_autobuffer struct fnp_buffer wide = {0}, narrow = {0};

	(void)state;
	fnp_terminal_live_text(&live, &base, 200, &wide);
	assert_string_equal(text_of(&wide),
			    "12 s  3,456 invocations  1,204 samples  0 lost  own cost 0.20 % of a CPU");
	fnp_terminal_live_text(&live, &base, 20, &narrow);
	assert_string_equal(text_of(&narrow), "12 s  3,456 invoc...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slowest_are_kept_in_order),
		cmocka_unit_test(hottest_frames_come_by_own_time),
		cmocka_unit_test(numbers_are_grouped),
		cmocka_unit_test(names_are_cut_to_columns_and_never_carry_escapes),
		cmocka_unit_test(closing_line_says_counts_and_place),
		cmocka_unit_test(summary_names_what_could_not_be_known),
		cmocka_unit_test(commands_of_the_summary_can_be_copied),
		cmocka_unit_test(summary_fits_its_terminal),
		cmocka_unit_test(summary_of_nothing_has_no_empty_headings),
		cmocka_unit_test(live_line_fits_its_width),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
