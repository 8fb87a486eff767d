/* SPDX-License-Identifier: Apache-2.0 */
/* `show`: one invocation, or all that were chosen together: facts, ledger, hottest frames. */
#include "profiler/commands/show.h"
#include "base/log.h"
#include "profiler/output/report.h"
#include "profiler/output/terminal.h"

extern const struct fnp_command_ops fnp_command_show;

#define SINGLES_MAX 5 /* rows of one id that are shown one by one */
#define HOTTEST_DEFAULT 20
#define HOTTEST_MAX 32

static void print_singles(const struct fnp_selection *selection, struct fnp_buffer *b)
{
	for (size_t i = 0; i < selection->rows.list.len; i++) {
		json_auto_t *line = NULL;

		if (fnp_recording_line(&selection->recording, &selection->rows.list.items[i], &line) < 0)
			continue;
		if (i > 0)
			fnp_buffer_byte(b, '\n');
		fnp_show_row(&selection->recording, line, b);
	}
}

static int print_hottest(const struct fnp_selection *selection, size_t max, struct fnp_buffer *b)
{
	FNP_CLEANUP(fnp_tally_deinit) struct fnp_tally tally = {.with_totals = true};

	for (size_t i = 0; i < selection->rows.list.len; i++) {
		const struct fnp_recording_row *row = &selection->rows.list.items[i];
		FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;
		if (row->samples == 0)
			continue;
		int r = fnp_recording_profile(&selection->recording, row, &profile);
		r = r ?: fnp_tally_add_profile(&tally, profile);
		if (r < 0)
			return r;
	}
	fnp_report_hottest(&tally, max, fnp_terminal_columns(STDOUT_FILENO), b);
	return 0;
}

static void print_init(const struct fnp_selection *selection, struct fnp_buffer *b)
{
	json_auto_t *line = NULL;

	if (fnp_recording_line(&selection->recording, &selection->rows.list.items[0], &line) == 0)
		fnp_show_init(&selection->recording, line, b);
}

static int show(const struct fnp_selection *selection, size_t max)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	int r = 0;

	if (selection->rows.list.len == 0) {
		fnp_info("no invocations in \"%s\"; --kind all shows its other rows",
			 selection->recording.path);
		return FNP_EXIT_OK;
	}
	if (selection->rows.list.len == 1 || (selection->id && selection->rows.list.len <= SINGLES_MAX))
		print_singles(selection, &b);
	else
		r = fnp_show_groups(selection, &b);
	r = r ?: print_hottest(selection, max, &b);
	if (selection->rows.list.len == 1)
		print_init(selection, &b);
	if (b.error || fwrite(b.data, 1, b.len, stdout) != b.len)
		return FNP_EXIT_FAILED;
	return r < 0 ? FNP_EXIT_FAILED : FNP_EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct fnp_selection_request request = {.default_kind = "invocation"};
	uint64_t max = HOTTEST_DEFAULT;
	const struct fnp_option table[] = {
		FNP_SELECTION_OPTIONS(&request),
		{'n', "limit", "N", "at most N functions (default 20)", FNP_OPTION_NUMBER, &max, 1, HOTTEST_MAX},
	};
	const struct fnp_options options = {
		.command = &fnp_command_show, .table = table, .n = FNP_ARRAY_SIZE(table), .max_arguments = 2};
	FNP_CLEANUP(fnp_selection_deinit) struct fnp_selection selection = {0};
	struct fnp_arguments words;
	int status = fnp_options_parse(&options, argc, argv, &words);

	if (status != FNP_OPTIONS_GO_ON)
		return status;
	status = fnp_selection_open(&fnp_command_show, &words, &request, &selection);
	return status != FNP_OPTIONS_GO_ON ? status : show(&selection, max);
}

const struct fnp_command_ops fnp_command_show = {
	.name = "show",
	.synopsis = "fnprof show [DIR] [ID] [-n N] [--filter KEY=TEXT]... [--kind KIND]",
	.description = "one invocation, or all of a function's together",
	.details = "DIR is a recording; without it, the newest fnprof-* in this folder. ID is an "
		   "invocation's id, or the\n"
		   "beginning of one, or a function's name: then all of its invocations are shown together.",
	.run = run,
};
