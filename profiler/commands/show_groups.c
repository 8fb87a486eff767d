/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/commands/show.h"

#include "base/intern.h"
#include "base/log.h"
#include "base/text.h"
#include "profiler/output/ledger_table.h"
#include "profiler/output/report.h"

#define NAME_WIDTH 200

struct group_row {
	uint64_t duration_ns;
	size_t at; /* in the selection */
};

/* What the rows of one function come to. */
struct group {
	FNP_VEC(struct group_row) rows;
	FNP_VEC(struct group_row) with_ledger;
	uint64_t errors, cold, cpu_ns, samples;
};

struct groups {
	struct fnp_intern *names;
	FNP_VEC(struct group) list; /* by number in names */
};

static void groups_deinit(struct groups *groups)
{
	for (size_t i = 0; i < groups->list.len; i++) {
		fnp_vec_deinit(&groups->list.items[i].rows);
		fnp_vec_deinit(&groups->list.items[i].with_ledger);
	}
	fnp_vec_deinit(&groups->list);
	fnp_intern_destroy(groups->names);
}

static int add_to_group(struct groups *groups, const struct fnp_recording_row *row, size_t at,
			const json_t *line)
{
	const char *outcome = fnp_recording_get_text(line, "outcome");
	struct group_row one = {.duration_ns = row->duration_ns, .at = at};
	uint32_t id;
	int r = fnp_intern_text(groups->names, fnp_recording_get_text(line, "function") ?: "", &id);

	if (r == 0 && id >= groups->list.len)
		r = fnp_vec_push(&groups->list, (struct group){0});
	if (r < 0)
		return r;
	struct group *group = &groups->list.items[id];
	r = fnp_vec_push(&group->rows, one);
	if (r == 0 && json_object_size(json_object_get(line, "ledger")) > 0)
		r = fnp_vec_push(&group->with_ledger, one);
	group->errors += outcome && strcmp(outcome, "ok") != 0;
	group->cold += json_is_true(json_object_get(line, "cold"));
	group->cpu_ns += row->cpu_ns;
	group->samples += row->samples;
	return r;
}

static int by_duration(const void *a, const void *b)
{
	const struct group_row *x = a, *y = b;

	return x->duration_ns < y->duration_ns ? -1 : x->duration_ns > y->duration_ns;
}

/* Nearest rank: the smallest value that at least `percent` of all are not above. */
static uint64_t percentile(const struct group *group, size_t percent)
{
	size_t rank = (group->rows.len * percent + 99) / 100;

	return group->rows.items[rank > 0 ? rank - 1 : 0].duration_ns;
}

static void print_group(struct group *group, const char *name, struct fnp_buffer *b)
{
	char p50[16], p95[16], max[16], cpu[16];

	fnp_buffer_printf(
		b, "  %7zu  %6llu  %5llu  %8s  %8s  %8s  %8s  ", group->rows.len,
		(unsigned long long)group->errors, (unsigned long long)group->cold,
		fnp_text_duration(percentile(group, 50), p50), fnp_text_duration(percentile(group, 95), p95),
		fnp_text_duration(percentile(group, 100), max), fnp_text_duration(group->cpu_ns, cpu));
	fnp_report_name(b, name, NAME_WIDTH, false);
	fnp_buffer_byte(b, '\n');
}

/* Adds the ledgers of some ranks of the group, sorted by duration, to a column. */
static int add_ranks(const struct fnp_selection *selection, const struct group *group,
		     struct fnp_ledger_ranks ranks, unsigned int column, struct fnp_ledger_table *table)
{
	int r = 0;

	for (size_t i = ranks.begin; i < ranks.end && r == 0; i++) {
		size_t at = group->with_ledger.items[i].at;
		json_auto_t *line = NULL;
		r = fnp_recording_line(&selection->recording, &selection->rows.list.items[at], &line);
		if (r == 0)
			fnp_ledger_table_add(table, column, line);
	}
	return r;
}

static int print_ledgers(const struct fnp_selection *selection, struct group *group, struct fnp_buffer *b)
{
	static const char *const titles[] = {"median", "p99", "mean of all"};
	size_t n = group->with_ledger.len;
	struct fnp_ledger_ranks median = fnp_ledger_ranks_at(n, 50), p99 = fnp_ledger_ranks_at(n, 99);
	struct fnp_ledger_table table = {0};
	int r;

	if (n == 0) {
		fnp_buffer_text(b, "\nWhere the time went is not known: no invocation has a ledger.\n");
		return 0;
	}
	qsort(group->with_ledger.items, n, sizeof(struct group_row), by_duration);
	r = add_ranks(selection, group, median, 0, &table);
	r = r ?: add_ranks(selection, group, p99, 1, &table);
	r = r ?: add_ranks(selection, group, (struct fnp_ledger_ranks){.end = n}, 2, &table);
	if (r < 0)
		return r;
	fnp_buffer_printf(b, "\nWhere the time went (%zu around the median, %zu around p99, %zu in all",
			  median.end - median.begin, p99.end - p99.begin, n);
	if (n < group->rows.len)
		fnp_buffer_printf(b, "; %zu without a ledger", group->rows.len - n);
	fnp_buffer_text(b, ")\n");
	fnp_ledger_table_print_means(&table, titles, FNP_ARRAY_SIZE(titles), b);
	return 0;
}

static int read_groups(const struct fnp_selection *selection, struct groups *groups)
{
	int r = fnp_intern_create(0, &groups->names);

	for (size_t i = 0; i < selection->rows.list.len && r == 0; i++) {
		const struct fnp_recording_row *row = &selection->rows.list.items[i];
		json_auto_t *line = NULL;
		r = fnp_recording_line(&selection->recording, row, &line);
		r = r ?: add_to_group(groups, row, i, line);
	}
	return r;
}

int fnp_show_groups(const struct fnp_selection *selection, struct fnp_buffer *ret)
{
	FNP_CLEANUP(groups_deinit) struct groups groups = {0};
	int r = read_groups(selection, &groups);

	if (r == 0)
		fnp_buffer_printf(ret, "  %7s  %6s  %5s  %8s  %8s  %8s  %8s  %s\n", "count", "not ok", "cold",
				  "p50", "p95", "longest", "CPU", "function");
	for (size_t i = 0; i < groups.list.len && r == 0; i++) {
		struct group *group = &groups.list.items[i];
		qsort(group->rows.items, group->rows.len, sizeof(struct group_row), by_duration);
		print_group(group, fnp_intern_get_text(groups.names, (uint32_t)i), ret);
	}
	if (r == 0 && groups.list.len == 1)
		r = print_ledgers(selection, &groups.list.items[0], ret);
	if (r < 0)
		return fnp_error(r, "cannot read \"%s/index.jsonl\": %s", selection->recording.path,
				 strerror(-r));
	return 0;
}
