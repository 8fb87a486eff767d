/* SPDX-License-Identifier: Apache-2.0 */
/* `show`: one invocation, or all that were chosen together: facts, ledger, hottest frames. */
#include <math.h>

#include "base/intern.h"
#include "base/log.h"
#include "base/text.h"
#include "profiler/commands/selection.h"
#include "profiler/output/report.h"

extern const struct fnp_command_ops fnp_command_show;

#define SINGLES_MAX 5 /* rows of one id that are shown one by one */
#define HOTTEST_DEFAULT 20
#define HOTTEST_MAX 32
#define VALUE_WIDTH 200

/* ---- one row ------------------------------------------------------------------------------------------------ */

static void fact(struct fnp_buffer *b, const char *name, const char *value)
{
	if (!value)
		return;
	fnp_buffer_printf(b, "  %-13s", name);
	fnp_report_name(b, value, VALUE_WIDTH, false);
	fnp_buffer_byte(b, '\n');
}

static void duration_fact(struct fnp_buffer *b, const char *name, const json_t *line, const char *key)
{
	char text[16];

	if (json_is_integer(json_object_get(line, key)))
		fact(b, name, fnp_text_duration(fnp_recording_get_u64(line, key), text));
}

/* {"exact": 3, "shared": 0} as "3 exact"; durations where `ns`. Nothing when all is 0 or absent. */
static void counts_fact(struct fnp_buffer *b, const char *name, const json_t *object, bool ns)
{
	fnp_autobuffer struct fnp_buffer text = {0};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		uint64_t number = json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
		char room[32], duration[16];
		if (number == 0)
			continue;
		fnp_buffer_printf(&text, "%s%s %s", text.len ? ", " : "",
				  ns ? fnp_text_duration(number, duration) : fnp_report_number(number, room),
				  key);
	}
	fnp_buffer_byte(&text, '\0');
	if (text.len > 1 && !text.error)
		fact(b, name, (const char *)text.data);
}

static void print_facts(const json_t *line, struct fnp_buffer *b)
{
	static const char *const texts[] = {"function", "version", "source",   "runtime", "start",
					    "outcome",	"init",	   "trace_id", "deadline"};
	const json_t *cold = json_object_get(line, "cold");
	char room[32];

	fnp_report_name(b, fnp_recording_get_text(line, "kind"), 20, false);
	fnp_buffer_byte(b, ' ');
	fnp_report_name(b, fnp_recording_get_text(line, "id"), VALUE_WIDTH, false);
	fnp_buffer_byte(b, '\n');
	for (size_t i = 0; i < FNP_ARRAY_SIZE(texts); i++)
		fact(b, texts[i], fnp_recording_get_text(line, texts[i]));
	if (json_is_boolean(cold))
		fact(b, "cold", json_is_true(cold) ? "yes" : "no");
	snprintf(room, sizeof(room), "%llu", (unsigned long long)fnp_recording_get_u64(line, "pid"));
	fact(b, "pid", room);
	duration_fact(b, "duration", line, "duration_ns");
	duration_fact(b, "CPU", line, "cpu_ns");
	duration_fact(b, "children", line, "children_cpu_ns");
	duration_fact(b, "after answer", line, "post_cpu_ns");
	duration_fact(b, "sampled", line, "sampled_ns");
	fact(b, "samples", fnp_report_number(fnp_recording_get_u64(line, "samples"), room));
	counts_fact(b, "known how", json_object_get(line, "attribution"), false);
	counts_fact(b, "lost ticks", json_object_get(line, "losses"), false);
	counts_fact(b, "cut stacks", json_object_get(line, "truncated"), false);
	counts_fact(b, "ledger", json_object_get(line, "ledger"), true);
	fact(b, "pprof", fnp_recording_get_text(line, "pprof"));
	fact(b, "folded", fnp_recording_get_text(line, "folded"));
}

static void print_singles(const struct fnp_selection *selection, struct fnp_buffer *b)
{
	for (size_t i = 0; i < selection->rows.list.len; i++) {
		json_auto_t *line = NULL;

		if (fnp_recording_line(&selection->recording, &selection->rows.list.items[i], &line) < 0)
			continue;
		if (i > 0)
			fnp_buffer_byte(b, '\n');
		print_facts(line, b);
	}
}

/* ---- many rows ---------------------------------------------------------------------------------------------- */

/* What the rows of one function come to. */
struct group {
	FNP_VEC(uint64_t) durations;
	uint64_t errors, cold, cpu_ns, samples;
};

struct groups {
	struct fnp_intern *names;
	FNP_VEC(struct group) list; /* by number in names */
};

static void groups_deinit(struct groups *groups)
{
	for (size_t i = 0; i < groups->list.len; i++)
		fnp_vec_deinit(&groups->list.items[i].durations);
	fnp_vec_deinit(&groups->list);
	fnp_intern_destroy(groups->names);
}

static int add_to_group(struct groups *groups, const struct fnp_recording_row *row, const json_t *line)
{
	const char *outcome = fnp_recording_get_text(line, "outcome");
	uint32_t id;
	int r = fnp_intern_text(groups->names, fnp_recording_get_text(line, "function") ?: "", &id);

	if (r == 0 && id >= groups->list.len)
		r = fnp_vec_push(&groups->list, (struct group){0});
	if (r < 0)
		return r;
	struct group *group = &groups->list.items[id];
	r = fnp_vec_push(&group->durations, row->duration_ns);
	group->errors += outcome && strcmp(outcome, "ok") != 0;
	group->cold += json_is_true(json_object_get(line, "cold"));
	group->cpu_ns += row->cpu_ns;
	group->samples += row->samples;
	return r;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Nearest rank: the smallest value that at least `share` of all are not above. */
static uint64_t percentile(const struct group *group, double share)
{
	size_t n = group->durations.len;
	size_t rank = (size_t)ceil(share * (double)n);

	return group->durations.items[rank > 0 ? rank - 1 : 0];
}

static void print_group(struct group *group, const char *name, struct fnp_buffer *b)
{
	char p50[16], p95[16], max[16], cpu[16];

	qsort(group->durations.items, group->durations.len, sizeof(uint64_t), compare_u64);
	fnp_buffer_printf(b, "  %7zu  %6llu  %5llu  %8s  %8s  %8s  %8s  ", group->durations.len,
			  (unsigned long long)group->errors, (unsigned long long)group->cold,
			  fnp_text_duration(percentile(group, 0.5), p50),
			  fnp_text_duration(percentile(group, 0.95), p95),
			  fnp_text_duration(percentile(group, 1.0), max),
			  fnp_text_duration(group->cpu_ns, cpu));
	fnp_report_name(b, name, VALUE_WIDTH, false);
	fnp_buffer_byte(b, '\n');
}

static int print_groups(const struct fnp_selection *selection, struct fnp_buffer *b)
{
	FNP_CLEANUP(groups_deinit) struct groups groups = {0};
	int r = fnp_intern_create(0, &groups.names);

	for (size_t i = 0; i < selection->rows.list.len && r == 0; i++) {
		const struct fnp_recording_row *row = &selection->rows.list.items[i];
		json_auto_t *line = NULL;
		r = fnp_recording_line(&selection->recording, row, &line);
		r = r ?: add_to_group(&groups, row, line);
	}
	if (r < 0)
		return fnp_error(r, "cannot read \"%s/index.jsonl\": %s", selection->recording.path,
				 strerror(-r));
	fnp_buffer_printf(b, "  %7s  %6s  %5s  %8s  %8s  %8s  %8s  %s\n", "count", "not ok", "cold", "p50",
			  "p95", "longest", "CPU", "function");
	for (size_t i = 0; i < groups.list.len; i++)
		print_group(&groups.list.items[i], fnp_intern_get_text(groups.names, (uint32_t)i), b);
	return 0;
}

/* ---- frames ------------------------------------------------------------------------------------------------- */

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
	fnp_report_hottest(&tally, max, b);
	return 0;
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
		r = print_groups(selection, &b);
	r = r ?: print_hottest(selection, max, &b);
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
	.synopsis = "fnprof show [DIR] [ID] [--filter KEY=TEXT]... [--kind KIND]",
	.description = "one invocation, or all of a function's together",
	.details = "DIR is a recording; without it, the newest fnprof-* in this folder. ID is an "
		   "invocation's id, or the\n"
		   "beginning of one, or a function's name: then all of its invocations are shown together.",
	.run = run,
};
