/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/report.h"

#include "base/text.h"

#define HOTTEST_MAX 32
#define HOTTEST_SHOWN 10
#define NAME_WIDTH 60
#define FUNCTION_WIDTH 24
#define ID_WIDTH 36

const char *fnp_report_number(uint64_t number, char ret[static 32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
	size_t out = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			ret[out++] = ',';
		ret[out++] = digits[i];
	}
	ret[out] = '\0';
	return ret;
}

/* Bytes of the longest beginning that has at most `columns` characters, one column each; how many it has. */
static size_t cut(const char *text, size_t columns, size_t *ret_columns)
{
	size_t used = 0, i = 0;

	while (text[i]) {
		bool starts = ((unsigned char)text[i] & 0xc0) != 0x80;
		if (starts && used == columns)
			break;
		used += starts;
		i++;
	}
	*ret_columns = used;
	return i;
}

void fnp_report_name(struct fnp_buffer *b, const char *text, size_t width, bool pad)
{
	size_t len = strlen(text), columns, bytes;
	fnp_autofree char *clean = malloc(len + 1);

	if (!clean)
		return;
	len = fnp_text_to_utf8(text, len, clean);
	fnp_text_make_printable(clean, len);
	bytes = cut(clean, width, &columns);
	if (bytes < len && width > 3) {
		bytes = cut(clean, width - 3, &columns);
		fnp_buffer_append(b, clean, bytes);
		fnp_buffer_text(b, "...");
		columns += 3;
	} else {
		fnp_buffer_append(b, clean, bytes);
	}
	for (; pad && columns < width; columns++)
		fnp_buffer_byte(b, ' ');
}

static void count(struct fnp_buffer *b, uint64_t n, const char *one, const char *many)
{
	char number[32];

	fnp_buffer_printf(b, "%s %s", fnp_report_number(n, number), n == 1 ? one : many);
}

static uint64_t sum(const uint64_t *values, size_t n)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += values[i];
	return total;
}

void fnp_report_line(const struct fnp_report *report, struct fnp_buffer *ret)
{
	const struct fnp_tally *tally = report->tally;
	uint64_t lost = sum(report->summary->losses, FNP_LOSS_MAX) + report->not_written;
	char duration[16];

	count(ret, tally->rows[FNP_ROW_INVOCATION], "invocation", "invocations");
	if (tally->rows[FNP_ROW_PROCESS]) {
		fnp_buffer_text(ret, " and ");
		count(ret, tally->rows[FNP_ROW_PROCESS], "other process", "other processes");
	}
	fnp_buffer_printf(ret, " in %s, ", fnp_text_duration(report->summary->duration_ns, duration));
	count(ret, tally->samples, "sample", "samples");
	if (lost) {
		fnp_buffer_text(ret, ", ");
		count(ret, lost, "tick lost", "ticks lost");
	}
	if (report->summary->events_lost) {
		fnp_buffer_text(ret, ", ");
		count(ret, report->summary->events_lost, "event", "events");
		fnp_buffer_text(ret, " lost (invocations may be missing or joined)");
	}
	fnp_buffer_text(ret, "; files in ");
	fnp_report_name(ret, report->dir, 4096, false);
	fnp_buffer_byte(ret, '\n');
}

/* What of a line is left for a name beside `taken` columns. */
static size_t name_width(size_t columns, size_t taken, size_t least, size_t most)
{
	size_t left = columns > taken ? columns - taken : 0;

	return columns == 0 ? most : FNP_MAX(least, FNP_MIN(left, most));
}

static void slowest(const struct fnp_tally *tally, size_t columns, struct fnp_buffer *b)
{
	size_t width = name_width(columns, strlen("    1.50 s    1.50 s    ") + ID_WIDTH + strlen("  ok, cold"),
				  10, FUNCTION_WIDTH);
	char duration[16], cpu[16];

	if (!tally->slowest[0].id)
		return;
	fnp_buffer_text(b, "\nSlowest invocations (duration, CPU time)\n");
	for (size_t i = 0; i < FNP_TALLY_SLOWEST && tally->slowest[i].id; i++) {
		const struct fnp_tally_invocation *one = &tally->slowest[i];
		const char *outcome = fnp_outcome_name(one->outcome);

		fnp_buffer_printf(b, "  %8s  %8s  ", fnp_text_duration(one->duration_ns, duration),
				  fnp_text_duration(one->cpu_ns, cpu));
		fnp_report_name(b, one->function, width, true);
		fnp_buffer_text(b, "  ");
		fnp_report_name(b, one->id, ID_WIDTH, true);
		fnp_buffer_printf(b, "  %s%s\n", outcome ? outcome : "", one->cold ? ", cold" : "");
	}
}

static const char *kind_text(uint8_t kind)
{
	static const char *const texts[FNP_FRAME_KINDS] = {
		[FNP_FRAME_NATIVE] = "native", [FNP_FRAME_KERNEL] = "kernel", [FNP_FRAME_PYTHON] = "python",
		[FNP_FRAME_JVM] = "jvm",       [FNP_FRAME_V8] = "v8",	      [FNP_FRAME_MARKER] = "",
	};

	return kind < FNP_FRAME_KINDS ? texts[kind] : "";
}

void fnp_report_hottest(const struct fnp_tally *tally, size_t max, size_t columns, struct fnp_buffer *ret)
{
	size_t width = name_width(columns, strlen("   50.0 %   10.0 ms  native  "), 30, NAME_WIDTH);
	struct fnp_tally_frame frames[HOTTEST_MAX];
	size_t n = fnp_tally_hottest(tally, FNP_MIN(max, (size_t)HOTTEST_MAX), frames);
	uint64_t total = tally->other_ns;
	char duration[16];

	if (n == 0)
		return;
	for (size_t i = 0; i < tally->times.len; i++)
		total += tally->times.items[i].self_ns;
	total = FNP_MAX(total, (uint64_t)1);
	fnp_buffer_text(ret, "\nHottest functions, by their own CPU time");
	fnp_buffer_text(ret, tally->with_totals ? " (then: with all that they called)\n" : "\n");
	for (size_t i = 0; i < n; i++) {
		fnp_buffer_printf(ret, "  %5.1f %%  %8s  %-6s  ",
				  100.0 * (double)frames[i].self_ns / (double)total,
				  fnp_text_duration(frames[i].self_ns, duration), kind_text(frames[i].kind));
		fnp_report_name(ret, fnp_tally_name(tally, &frames[i]), width, false);
		fnp_buffer_byte(ret, '\n');
	}
}

/* One line for each thing that is missing, with its cause; the heading comes with the first. */
static void missing(struct fnp_buffer *b, bool *heading, uint64_t n, const char *noun, const char *rest)
{
	char number[32];

	if (n == 0)
		return;
	if (!*heading)
		fnp_buffer_text(b, "\nWhat could not be known\n");
	*heading = true;
	fnp_buffer_printf(b, "  %s %s%s %s\n", fnp_report_number(n, number), noun, n == 1 ? "" : "s", rest);
}

static void unknowns(const struct fnp_report *report, struct fnp_buffer *b)
{
	const struct fnp_summary *summary = report->summary;
	const struct fnp_tally *tally = report->tally;
	bool heading = false;
	char why[96];

	for (size_t i = 0; i < FNP_LOSS_MAX; i++) {
		snprintf(why, sizeof(why), "without a sample: %s", fnp_loss_name(i));
		missing(b, &heading, summary->losses[i], "tick", why);
	}
	missing(b, &heading, report->not_written, "sample", "that could not be written");
	missing(b, &heading, summary->ticks_missed, "tick", "that never came (kept by the host or the kernel)");
	missing(b, &heading, summary->events_lost, "event", "lost: invocations may be missing or joined");
	for (size_t i = FNP_TRUNCATION_NONE + 1; i < FNP_TRUNCATION_MAX; i++) {
		snprintf(why, sizeof(why), "with a cut stack: %s", fnp_truncation_name(i));
		missing(b, &heading, tally->truncated[i], "sample", why);
	}
	missing(b, &heading, tally->attribution[FNP_ATTRIBUTION_SHARED], "sample",
		"of several invocations at once, which nothing told apart");
	missing(b, &heading, tally->outcomes[FNP_OUTCOME_UNFINISHED], "invocation",
		"without an end when recording ended");
	if (tally->sampled_ns && tally->unnamed_ns * 1000 / tally->sampled_ns > 0) {
		if (!heading)
			fnp_buffer_text(b, "\nWhat could not be known\n");
		fnp_buffer_printf(b, "  names for %.1f %% of the time, shown as [object+0xaddress]%s\n",
				  100.0 * (double)tally->unnamed_ns / (double)tally->sampled_ns,
				  report->debuginfod ? "" : " (try --debuginfod)");
	}
}

static void own_cost(const struct fnp_summary *summary, struct fnp_buffer *b)
{
	const struct fnp_summary_cost *cost = &summary->cost;
	double seconds = (double)FNP_MAX(summary->duration_ns, (uint64_t)1);
	char agent[16], bpf[16];

	fnp_buffer_printf(b, "\nfnprof itself: %s of CPU (%.2f %%)",
			  fnp_text_duration(cost->agent_cpu_ns, agent),
			  100.0 * (double)cost->agent_cpu_ns / seconds);
	if (cost->has_bpf_ns)
		fnp_buffer_printf(b, ", %s in the kernel (%.2f %%)", fnp_text_duration(cost->bpf_ns, bpf),
				  100.0 * (double)cost->bpf_ns / seconds);
	fnp_buffer_printf(b, ", %.0f MB\n", (double)(cost->rss_max_bytes + cost->bpf_map_bytes) / 1e6);
}

/* One word of a shell's, to be copied from the terminal; `tail` belongs to it. */
static void shell_word(struct fnp_buffer *b, const char *text, const char *tail)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+,=-";
	bool quoted = text[strspn(text, plain)] != '\0';

	if (quoted)
		fnp_buffer_byte(b, '\'');
	for (const char *at = text; *at;) {
		size_t len = strcspn(at, "'");
		fnp_autofree char *part = strndup(at, len);

		if (part)
			fnp_report_name(b, part, 4096, false);
		at += len;
		if (*at) {
			fnp_buffer_text(b, "'\\''");
			at++;
		}
	}
	fnp_buffer_text(b, tail);
	if (quoted)
		fnp_buffer_byte(b, '\'');
}

static void where_line(const struct fnp_report *report, const char *what, const char *verb,
		       struct fnp_buffer *b)
{
	fnp_buffer_printf(b, "  %-18s", what);
	shell_word(b, report->program ?: "fnprof", "");
	fnp_buffer_printf(b, " %s ", verb);
	shell_word(b, report->dir, "");
}

static void where(const struct fnp_report *report, struct fnp_buffer *b)
{
	fnp_buffer_text(b, "\n");
	if (report->page) {
		fnp_buffer_text(b, "  flame graphs      open ");
		shell_word(b, report->dir, "/index.html");
		fnp_buffer_byte(b, '\n');
	}
	where_line(report, "all invocations", "ls", b);
	fnp_buffer_byte(b, '\n');
	where_line(report, "one of them", "show", b);
	fnp_buffer_text(b, " ID\n");
}

void fnp_report_summary(const struct fnp_report *report, struct fnp_buffer *ret)
{
	fnp_report_line(report, ret);
	slowest(report->tally, report->columns, ret);
	fnp_report_hottest(report->tally, HOTTEST_SHOWN, report->columns, ret);
	unknowns(report, ret);
	own_cost(report->summary, ret);
	where(report, ret);
}
