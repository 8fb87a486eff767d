/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/ledger_table.h"

#include "base/text.h"
#include "profiler/output/report.h"

#define NAME_WIDTH 16

/* The line of this name, or a new one; NULL when there is no room for one more. */
static struct fnp_ledger_table_line *find_line(struct fnp_ledger_table *table, const char *name)
{
	struct fnp_ledger_table_line *line;

	for (size_t i = 0; i < table->n_lines; i++) {
		if (strncmp(table->lines[i].name, name, FNP_LEDGER_NAME_MAX - 1) == 0)
			return &table->lines[i];
	}
	if (table->n_lines == FNP_LEDGER_LINES_MAX)
		return NULL;
	line = &table->lines[table->n_lines++];
	snprintf(line->name, sizeof(line->name), "%s", name);
	return line;
}

bool fnp_ledger_table_add(struct fnp_ledger_table *table, unsigned int column, const json_t *line)
{
	json_t *ledger = json_object_get(line, "ledger"), *value;
	const char *name;

	if (json_object_size(ledger) == 0)
		return false;
	json_object_foreach(ledger, name, value)
	{
		struct fnp_ledger_table_line *one = find_line(table, name);
		if (one && json_integer_value(value) > 0)
			one->ns[column] += (double)json_integer_value(value);
	}
	table->rows[column]++;
	return true;
}

static double sum_of(const struct fnp_ledger_table *table, unsigned int column)
{
	double sum = 0;

	for (size_t i = 0; i < table->n_lines; i++)
		sum += table->lines[i].ns[column];
	return sum;
}

static const char *duration(double ns, char ret[static 16])
{
	return ns >= 0.5 ? fnp_text_duration((uint64_t)(ns + 0.5), ret) : "-";
}

void fnp_ledger_table_print_row(const struct fnp_ledger_table *table, size_t width, struct fnp_buffer *ret)
{
	const size_t before_bar = 2 + 7 + 2 + 8 + 2 + NAME_WIDTH + 2;
	size_t room = width > before_bar ? width - before_bar : 0;
	double whole = sum_of(table, 0);
	char text[16];

	for (size_t i = 0; i < table->n_lines; i++) {
		double share = whole > 0 ? table->lines[i].ns[0] / whole : 0;
		if (share <= 0)
			continue;
		fnp_buffer_printf(ret, "  %5.1f %%  %8s  ", 100 * share, duration(table->lines[i].ns[0], text));
		size_t bar = (size_t)(share * (double)room + 0.5);
		fnp_report_name(ret, table->lines[i].name, NAME_WIDTH, bar > 0);
		if (bar > 0)
			fnp_buffer_text(ret, "  ");
		for (; bar > 0; bar--)
			fnp_buffer_byte(ret, '#');
		fnp_buffer_byte(ret, '\n');
	}
}

static void print_means_line(const struct fnp_ledger_table *table, const double *ns, const char *name,
			     unsigned int n_columns, struct fnp_buffer *b)
{
	char text[16], share[16];

	for (unsigned int i = 0; i < n_columns; i++) {
		double rows = (double)FNP_MAX(table->rows[i], (uint64_t)1), whole = sum_of(table, i);
		snprintf(share, sizeof(share), "%5.1f %%", whole > 0 ? 100 * ns[i] / whole : 0.0);
		fnp_buffer_printf(b, "  %8s %7s", duration(ns[i] / rows, text), ns[i] > 0 ? share : "");
	}
	fnp_buffer_text(b, "  ");
	fnp_report_name(b, name, NAME_WIDTH, false);
	fnp_buffer_byte(b, '\n');
}

void fnp_ledger_table_print_means(const struct fnp_ledger_table *table, const char *const *titles,
				  unsigned int n_columns, struct fnp_buffer *ret)
{
	double whole[FNP_LEDGER_COLUMNS_MAX];

	for (unsigned int i = 0; i < n_columns; i++) {
		whole[i] = sum_of(table, i);
		fnp_buffer_printf(ret, "  %16s", titles[i]);
	}
	fnp_buffer_byte(ret, '\n');
	for (size_t i = 0; i < table->n_lines; i++) {
		double any = 0;
		for (unsigned int j = 0; j < n_columns; j++)
			any += table->lines[i].ns[j];
		if (any > 0)
			print_means_line(table, table->lines[i].ns, table->lines[i].name, n_columns, ret);
	}
	print_means_line(table, whole, "in all", n_columns, ret);
}

struct fnp_ledger_ranks fnp_ledger_ranks_at(size_t n, unsigned int percentile)
{
	size_t rank = (n * percentile + 99) / 100; /* nearest rank, from 1 */
	size_t side = n * FNP_MIN(5u, 100 - percentile) / 100;

	if (n == 0)
		return (struct fnp_ledger_ranks){0};
	rank = FNP_MAX(rank, (size_t)1) - 1;
	return (struct fnp_ledger_ranks){.begin = rank - FNP_MIN(side, rank),
					 .end = FNP_MIN(rank + side + 1, n)};
}
