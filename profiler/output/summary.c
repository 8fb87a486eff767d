/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/summary.h"

#include <errno.h>
#include <sys/utsname.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/text.h"

const char *fnp_loss_name(enum fnp_loss_cause cause)
{
#define FNP_X_TEXT(n, name, text) [n] = text,
	static const char *const names[FNP_LOSS_MAX] = {FNP_LOSS_CAUSES(FNP_X_TEXT)};

	return names[cause];
}

const char *fnp_truncation_name(enum fnp_truncation_cause cause)
{
	static const char *const names[FNP_TRUNCATION_MAX] = {FNP_TRUNCATION_CAUSES(FNP_X_TEXT)};

	return names[cause];
}

static int set_u64(json_t *object, const char *key, uint64_t value)
{
	/* JSON's numbers are signed here; nothing we count comes near the bound. */
	return json_object_set_new(object, key, json_integer((json_int_t)FNP_MIN(value, (uint64_t)INT64_MAX)));
}

static int set_text(json_t *object, const char *key, const char *text)
{
	size_t len = strlen(text);
	fnp_autofree char *repaired = malloc(len + 1);

	if (!repaired)
		return -1;
	fnp_text_to_utf8(text, len, repaired);
	return json_object_set_new(object, key, json_string(repaired));
}

static json_t *losses_of(const struct fnp_summary *summary, const struct fnp_summary_counts *counts)
{
	json_auto_t *losses = json_object();
	int r = losses ? 0 : -1;

	for (size_t i = 0; i < FNP_LOSS_MAX && r == 0; i++) {
		if (summary->losses[i])
			r = set_u64(losses, fnp_loss_name(i), summary->losses[i]);
	}
	if (r == 0 && counts->not_written)
		r = set_u64(losses, "not_written", counts->not_written);
	return r == 0 ? TAKE_PTR(losses) : NULL;
}

static json_t *truncated_of(const struct fnp_summary_counts *counts)
{
	json_auto_t *truncated = json_object();
	int r = truncated ? 0 : -1;

	for (size_t i = FNP_TRUNCATION_NONE + 1; i < FNP_TRUNCATION_MAX && r == 0; i++) {
		if (counts->truncated[i])
			r = set_u64(truncated, fnp_truncation_name(i), counts->truncated[i]);
	}
	return r == 0 ? TAKE_PTR(truncated) : NULL;
}

static json_t *cost_of(const struct fnp_summary_cost *cost)
{
	json_auto_t *object = json_object();

	if (!object || set_u64(object, "agent_cpu_ns", cost->agent_cpu_ns) < 0)
		return NULL;
	if (cost->has_bpf_ns && set_u64(object, "bpf_ns", cost->bpf_ns) < 0)
		return NULL;
	if (set_u64(object, "rss_max_bytes", cost->rss_max_bytes) < 0 ||
	    set_u64(object, "bpf_map_bytes", cost->bpf_map_bytes) < 0)
		return NULL;
	return TAKE_PTR(object);
}

static json_t *process_of(const struct fnp_summary_process *process)
{
	json_auto_t *object = json_object();
	json_auto_t *rows = json_object();
	int r = object && rows ? set_u64(object, "pid", process->pid) : -1;

	if (r == 0 && process->function)
		r = set_text(object, "function", process->function);
	if (r == 0 && process->runtime)
		r = set_text(object, "runtime", process->runtime);
	if (r == 0 && process->has_cpu)
		r = set_u64(object, "cpu_ns", process->cpu_ns);
	for (size_t i = 0; i < FNP_ROW_KINDS && r == 0; i++) {
		if (process->has_kind[i])
			r = set_u64(rows, fnp_row_kind_name(i), process->rows_ns[i]);
	}
	if (r < 0 || json_object_set_new(object, "rows", TAKE_PTR(rows)) < 0)
		return NULL;
	return TAKE_PTR(object);
}

static json_t *processes_of(const struct fnp_summary_counts *counts)
{
	json_auto_t *array = json_array();

	if (!array)
		return NULL;
	for (size_t i = 0; i < counts->n_processes; i++) {
		if (json_array_append_new(array, process_of(&counts->processes[i])) < 0)
			return NULL;
	}
	return TAKE_PTR(array);
}

static json_t *off_cpu_of(const struct fnp_summary *summary)
{
	json_auto_t *object = json_object();
	int r = object ? 0 : -1;

	r = r ?: set_u64(object, "times", summary->off_cpu_times);
	r = r ?: set_u64(object, "stacks", summary->off_cpu_stacks);
	r = r ?: set_u64(object, "refused", summary->off_cpu_refused);
	r = r ?: set_u64(object, "refused_ns", summary->off_cpu_refused_ns);
	if (r < 0)
		return NULL;
	return TAKE_PTR(object);
}

static json_t *ledgers_of(const struct fnp_ledger_counts *ledgers)
{
	json_auto_t *object = json_object();
	int r = object ? 0 : -1;

	r = r ?: set_u64(object, "rows", ledgers->rows);
	r = r ?: set_u64(object, "mended_rows", ledgers->mended_rows);
	r = r ?: set_u64(object, "mended_ns", ledgers->mended_ns);
	r = r ?: set_u64(object, "mended_max_ns", ledgers->mended_max_ns);
	if (r < 0)
		return NULL;
	return TAKE_PTR(object);
}

static json_t *probes_of(const struct fnp_summary *summary)
{
	json_auto_t *object = json_object();
	int r = object ? 0 : -1;

	r = r ?: set_u64(object, "late_processes", summary->probes_late_processes);
	r = r ?: set_u64(object, "late_max_ns", summary->probes_late_max_ns);
	if (r < 0)
		return NULL;
	return TAKE_PTR(object);
}

static int set_head(json_t *root, const struct fnp_summary *summary, const struct fnp_summary_counts *counts)
{
	char start[FNP_CLOCK_TEXT_MAX];
	struct utsname name;
	int r;

	fnp_clock_format_rfc3339((int64_t)summary->start_ns + counts->utc_offset_ns, start);
	r = set_u64(root, "format", 1);
	r = r ?: set_text(root, "start", start);
	r = r ?: set_u64(root, "duration_ns", summary->duration_ns);
	if (r == 0 && uname(&name) == 0)
		r = set_text(root, "kernel", name.release);
	r = r ?: set_u64(root, "rate_hz", summary->rate_hz);
	r = r ?: set_u64(root, "ticks", summary->ticks);
	r = r ?: set_u64(root, "samples", counts->samples);
	return r;
}

int fnp_summary_encode(const struct fnp_summary *summary, const struct fnp_summary_counts *counts, char **ret)
{
	json_auto_t *root = json_object();
	char *text;
	int r = root ? set_head(root, summary, counts) : -1;

	/* jansson frees a value that it refuses, and refuses NULL: one check stands for both. */
	r = r ?: json_object_set_new(root, "losses", losses_of(summary, counts));
	r = r ?: set_u64(root, "ticks_missed", summary->ticks_missed);
	r = r ?: set_u64(root, "events_lost", summary->events_lost);
	r = r ?: json_object_set_new(root, "off_cpu", off_cpu_of(summary));
	r = r ?: json_object_set_new(root, "ledgers", ledgers_of(&summary->ledgers));
	r = r ?: json_object_set_new(root, "probes", probes_of(summary));
	r = r ?: json_object_set_new(root, "truncated", truncated_of(counts));
	r = r ?: json_object_set_new(root, "cost", cost_of(&summary->cost));
	r = r ?: json_object_set_new(root, "processes", processes_of(counts));
	if (r == 0 && counts->processes_omitted)
		r = set_u64(root, "processes_omitted", counts->processes_omitted);
	text = r == 0 ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}
