/* SPDX-License-Identifier: Apache-2.0 */
/* `ls`: the invocations of a recording, a line each. */
#include "base/log.h"
#include "base/text.h"
#include "profiler/commands/selection.h"
#include "profiler/commands/suggest.h"
#include "profiler/output/report.h"

extern const struct fnp_command_ops fnp_command_ls;

#define ID_WIDTH 200
#define FLUSH_BYTES (64u << 10)

/* By what lists are sorted, and which end comes first. */
static int by_start(const void *a, const void *b)
{
	const struct fnp_recording_row *x = a, *y = b;

	return x->start_ns < y->start_ns ? -1 : x->start_ns > y->start_ns;
}

#define LARGEST_FIRST(field)                                                                                 \
	static int by_##field(const void *a, const void *b)                                                  \
	{                                                                                                    \
		const struct fnp_recording_row *x = a, *y = b;                                               \
		return x->field > y->field ? -1 : x->field < y->field;                                       \
	}
LARGEST_FIRST(duration_ns)
LARGEST_FIRST(cpu_ns)
LARGEST_FIRST(samples)

static const struct {
	const char *name;
	int (*compare)(const void *, const void *);
} orders[] = {
	{"start", by_start},
	{"duration", by_duration_ns},
	{"cpu", by_cpu_ns},
	{"samples", by_samples},
};

static void order_rows(struct fnp_recording_rows *rows, int (*compare)(const void *, const void *))
{
	if (rows->list.len > 0)
		qsort(rows->list.items, rows->list.len, sizeof(rows->list.items[0]), compare);
}

/* Lines of a ledger, which lists are sorted by as well: what took longest first. */
static const char *const ledger_lines[] = {"frozen", "gc",	   "on_cpu",  "stolen", "run_queue",
					   "lock",   "poll",	   "network", "disk",	"pipe",
					   "sleep",  "page_fault", "child",   "other",	"waiting_async"};

static bool is_ledger_line(const char *order)
{
	for (size_t i = 0; order && i < FNP_ARRAY_SIZE(ledger_lines); i++) {
		if (strcmp(order, ledger_lines[i]) == 0)
			return true;
	}
	return false;
}

struct by_ledger {
	struct fnp_recording_row row;
	int64_t ns; /* -1: the row has no such line, and stands last */
};

static int by_ledger(const void *a, const void *b)
{
	const struct by_ledger *x = a, *y = b;

	if (x->ns != y->ns)
		return x->ns > y->ns ? -1 : 1;
	return x->row.offset < y->row.offset ? -1 : x->row.offset > y->row.offset;
}

static int64_t ledger_ns(const json_t *line, const char *name)
{
	const json_t *value = json_object_get(json_object_get(line, "ledger"), name);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

static int sort_by_ledger(struct fnp_selection *selection, const char *name)
{
	struct fnp_recording_rows *rows = &selection->rows;
	fnp_autofree struct by_ledger *list = calloc(rows->list.len + 1, sizeof(*list));

	if (!list)
		return FNP_EXIT_FAILED;
	for (size_t i = 0; i < rows->list.len; i++) {
		json_auto_t *line = NULL;
		list[i] = (struct by_ledger){.row = rows->list.items[i], .ns = -1};
		if (fnp_recording_line(&selection->recording, &list[i].row, &line) == 0)
			list[i].ns = ledger_ns(line, name);
	}
	qsort(list, rows->list.len, sizeof(*list), by_ledger);
	for (size_t i = 0; i < rows->list.len; i++)
		rows->list.items[i] = list[i].row;
	return FNP_OPTIONS_GO_ON;
}

static int mistaken_order(const char *order)
{
	const char *names[FNP_ARRAY_SIZE(orders) + FNP_ARRAY_SIZE(ledger_lines)];
	size_t n = 0;

	for (size_t i = 0; i < FNP_ARRAY_SIZE(orders); i++)
		names[n++] = orders[i].name;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(ledger_lines); i++)
		names[n++] = ledger_lines[i];
	const char *near = fnp_suggest(order, names, n);
	return fnp_options_mistake(&fnp_command_ls, "cannot sort by \"%s\"; write %s", order,
				   near ? near : "start, duration, cpu, samples or a line of the ledger");
}

static int sort(struct fnp_selection *selection, const char *order)
{
	for (size_t i = 0; i < FNP_ARRAY_SIZE(orders); i++) {
		if (strcmp(order, orders[i].name) != 0)
			continue;
		order_rows(&selection->rows, orders[i].compare);
		return FNP_OPTIONS_GO_ON;
	}
	return is_ledger_line(order) ? sort_by_ledger(selection, order) : mistaken_order(order);
}

/* "10:15:30.123" of "2026-11-22T10:15:30.123456789Z". */
static void time_of_day(const char *start, char ret[static 16])
{
	size_t len = start ? strlen(start) : 0;

	snprintf(ret, 16, "%.12s", len >= 23 ? start + 11 : "?");
}

/* The line of the ledger that the list is sorted by; NULL: it is not. */
static void print_ledger_line(const json_t *line, const char *name, struct fnp_buffer *b)
{
	int64_t ns = name ? ledger_ns(line, name) : -1;
	char text[16];

	if (name)
		fnp_buffer_printf(b, "%13s  ",
				  ns > 0    ? fnp_text_duration((uint64_t)ns, text)
				  : ns == 0 ? "0"
					    : "-");
}

static void print_row(const json_t *line, const struct fnp_recording_row *row, const char *ledger_line,
		      struct fnp_buffer *b)
{
	const char *outcome = fnp_recording_get_text(line, "outcome");
	const char *function = fnp_recording_get_text(line, "function");
	bool cold = json_is_true(json_object_get(line, "cold"));
	char start[16], duration[16], cpu[16], what[40];

	time_of_day(fnp_recording_get_text(line, "start"), start);
	snprintf(what, sizeof(what), "%s%s",
		 row->kind != FNP_ROW_INVOCATION ? fnp_row_kind_name(row->kind)
		 : outcome			 ? outcome
						 : "-",
		 cold ? ",cold" : "");
	fnp_report_name(b, start, 12, true);
	fnp_buffer_printf(b, "  %8s  %8s  %7llu  ", fnp_text_duration(row->duration_ns, duration),
			  fnp_text_duration(row->cpu_ns, cpu), (unsigned long long)row->samples);
	print_ledger_line(line, ledger_line, b);
	fnp_report_name(b, what, 14, true);
	fnp_buffer_text(b, "  ");
	fnp_report_name(b, function ? function : "-", 24, true);
	fnp_buffer_text(b, "  ");
	fnp_report_name(b, fnp_recording_get_text(line, "id") ?: "-", ID_WIDTH, false);
	fnp_buffer_byte(b, '\n');
}

/* JSON has no raw control characters but those of the C1 range, which only a terminal minds. */
static void print_line(const struct fnp_selection *selection, const struct fnp_recording_row *row,
		       struct fnp_buffer *b)
{
	size_t before = b->len;

	if (fnp_recording_text(&selection->recording, row, b) < 0)
		return;
	if (isatty(STDOUT_FILENO))
		fnp_text_make_printable((char *)b->data + before, b->len - before);
	fnp_buffer_byte(b, '\n');
}

static void print_head(const char *ledger_line)
{
	printf("%-12s  %8s  %8s  %7s  ", "start (UTC)", "duration", "CPU", "samples");
	if (ledger_line)
		printf("%13s  ", ledger_line);
	printf("%-14s  %-24s  %s\n", "outcome", "function", "id");
}

static int print(const struct fnp_selection *selection, size_t limit, const char *ledger_line, bool json)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	size_t n = FNP_MIN(limit, selection->rows.list.len);

	if (!json && isatty(STDOUT_FILENO))
		print_head(ledger_line);
	for (size_t i = 0; i < n; i++) {
		const struct fnp_recording_row *row = &selection->rows.list.items[i];
		json_auto_t *line = NULL;

		if (json)
			print_line(selection, row, &b);
		else if (!json && fnp_recording_line(&selection->recording, row, &line) == 0)
			print_row(line, row, ledger_line, &b);
		if (b.error)
			return FNP_EXIT_FAILED;
		if (b.len < FLUSH_BYTES && i + 1 < n)
			continue;
		if (fwrite(b.data, 1, b.len, stdout) != b.len)
			return FNP_EXIT_FAILED; /* said when the program ends */
		b.len = 0;
	}
	return FNP_EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct fnp_selection_request request = {.default_kind = "invocation"};
	const char *order = NULL;
	uint64_t slowest = 0, limit = SIZE_MAX;
	bool json = false;
	const struct fnp_option table[] = {
		{0, "sort", "KEY",
		 "by start, duration, cpu, samples or a line of the ledger (default: as they closed)",
		 FNP_OPTION_TEXT, &order},
		{0, "slowest", "N", "the N that took longest", FNP_OPTION_NUMBER, &slowest, 1, SIZE_MAX},
		{'n', "limit", "N", "at most N lines", FNP_OPTION_NUMBER, &limit, 1, SIZE_MAX},
		FNP_SELECTION_OPTIONS(&request),
		{0, "json", NULL, "the lines of the index as they are", FNP_OPTION_FLAG, &json},
	};
	const struct fnp_options options = {
		.command = &fnp_command_ls, .table = table, .n = FNP_ARRAY_SIZE(table), .max_arguments = 1};
	FNP_CLEANUP(fnp_selection_deinit) struct fnp_selection selection = {0};
	struct fnp_arguments words;
	int status = fnp_options_parse(&options, argc, argv, &words);

	if (status != FNP_OPTIONS_GO_ON)
		return status;
	status = fnp_selection_open(&fnp_command_ls, &words, &request, &selection);
	if (status != FNP_OPTIONS_GO_ON)
		return status;
	if (slowest) {
		order = order ?: "duration";
		order_rows(&selection.rows, by_duration_ns);
		selection.rows.list.len = FNP_MIN(selection.rows.list.len, slowest);
	}
	status = order ? sort(&selection, order) : FNP_OPTIONS_GO_ON;
	if (status != FNP_OPTIONS_GO_ON)
		return status;
	return print(&selection, limit, is_ledger_line(order) ? order : NULL, json);
}

const struct fnp_command_ops fnp_command_ls = {
	.name = "ls",
	.synopsis =
		"fnprof ls [DIR] [--sort KEY] [--slowest N] [--filter KEY=TEXT]... [--kind KIND] [--json]",
	.description = "the invocations of a recording, a line each",
	.details = "DIR is a recording; without it, the newest fnprof-* in this folder. A line: start (UTC), "
		   "duration,\n"
		   "CPU time, samples, outcome (or kind), function, id. Filters go by the members of "
		   "index.jsonl:\n"
		   "--filter function=resize --filter outcome=error --filter \"duration_ns>50000000\",\n"
		   "--filter \"ledger.lock>1000000\". Sorted by a line of the ledger (on_cpu, lock, network, "
		   "...) it "
		   "stands before\nthe outcome.",
	.run = run,
};
