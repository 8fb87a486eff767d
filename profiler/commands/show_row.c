/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "profiler/commands/show.h"
#include "profiler/output/event_sums.h"
#include "profiler/output/ledger_table.h"
#include "profiler/output/report.h"

#define VALUE_WIDTH 200
#define TABLE_WIDTH 79

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

/* {"exact": 3, "shared": 0} as "3 exact". Nothing when all is 0 or absent. */
static void counts_fact(struct fnp_buffer *b, const char *name, const json_t *object)
{
	fnp_autobuffer struct fnp_buffer text = {0};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		uint64_t number = json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
		char room[32];
		if (number == 0)
			continue;
		fnp_buffer_printf(&text, "%s%s %s", text.len ? ", " : "", fnp_report_number(number, room), key);
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
	counts_fact(b, "known how", json_object_get(line, "attribution"));
	counts_fact(b, "lost ticks", json_object_get(line, "losses"));
	counts_fact(b, "cut stacks", json_object_get(line, "truncated"));
	fact(b, "pprof", fnp_recording_get_text(line, "pprof"));
	fact(b, "folded", fnp_recording_get_text(line, "folded"));
	fact(b, "events", fnp_recording_get_text(line, "events"));
}

/* ---- where its time went ------------------------------------------------------------------------------------ */

static void print_ledger(const json_t *line, const char *heading, struct fnp_buffer *b)
{
	struct fnp_ledger_table table = {0};

	if (!fnp_ledger_table_add(&table, 0, line))
		return;
	fnp_buffer_printf(b, "\n%s\n", heading);
	fnp_ledger_table_print_row(&table, TABLE_WIDTH, b);
}

/* Only rows with a begin and an end of their own have a ledger; there its absence is worth a word. */
static void say_unknown_ledger(const json_t *line, struct fnp_buffer *b)
{
	const char *kind = fnp_recording_get_text(line, "kind");

	if (!json_object_get(line, "ledger") && kind &&
	    (strcmp(kind, fnp_row_kind_name(FNP_ROW_INVOCATION)) == 0 ||
	     strcmp(kind, fnp_row_kind_name(FNP_ROW_INIT)) == 0))
		fact(b, "ledger", "not known");
}

static void print_events(const struct fnp_recording *recording, const json_t *line, struct fnp_buffer *b)
{
	const char *path = fnp_recording_get_text(line, "events");
	struct fnp_event_sums sums = {0};
	uint64_t unreadable = 0;

	if (!path)
		return;
	if (fnp_event_lines_read(recording->dirfd, path, fnp_event_sums_add, &sums, &unreadable) < 0) {
		fnp_buffer_text(b, "\nIts events could not be read.\n");
		return;
	}
	fnp_event_sums_print(&sums, fnp_recording_get_u64(line, "start_ns"), b);
	if (unreadable)
		fnp_buffer_printf(b, "  %llu lines of the file are no events\n",
				  (unsigned long long)unreadable);
}

void fnp_show_row(const struct fnp_recording *recording, const json_t *line, struct fnp_buffer *ret)
{
	print_facts(line, ret);
	say_unknown_ledger(line, ret);
	print_ledger(line, "Where its time went", ret);
	print_events(recording, line, ret);
}

static bool is_init(const json_t *line, void *id)
{
	const char *kind = fnp_recording_get_text(line, "kind");

	return kind && strcmp(kind, fnp_row_kind_name(FNP_ROW_INIT)) == 0 &&
	       strcmp(fnp_recording_get_text(line, "id"), id) == 0;
}

void fnp_show_init(const struct fnp_recording *recording, const json_t *line, struct fnp_buffer *ret)
{
	const char *id = fnp_recording_get_text(line, "init");
	struct fnp_recording_rows rows = {0};
	json_auto_t *init = NULL;
	char heading[96], length[16];

	if (!id || !json_is_true(json_object_get(line, "cold")))
		return;
	if (fnp_recording_scan(recording, is_init, (void *)(uintptr_t)id, &rows) < 0)
		return;
	if (rows.list.len == 1 && fnp_recording_line(recording, &rows.list.items[0], &init) == 0) {
		snprintf(heading, sizeof(heading), "Before it, the init of its process took %s",
			 fnp_text_duration(rows.list.items[0].duration_ns, length));
		if (json_object_get(init, "ledger"))
			print_ledger(init, heading, ret);
		else
			fnp_buffer_printf(ret, "\n%s\n", heading);
		print_events(recording, init, ret);
	}
	fnp_recording_rows_deinit(&rows);
}
