/* SPDX-License-Identifier: Apache-2.0 */
/* What is not known is absent from a line, never 0 or empty. */
#include "profiler/output/index.h"

#include "base/clock.h"
#include "base/text.h"
#include "profiler/output/json.h"
#include "profiler/output/summary.h"

void fnp_index_paths_of(const struct fnp_row *row, int64_t utc_offset_ns, struct fnp_index_paths *ret)
{
	char function[FNP_FILE_NAME_MAX + 1], id[FNP_FILE_NAME_MAX + 1], start[FNP_CLOCK_TEXT_MAX];
	const char *function_text = row->function ? row->function : "";
	const char *id_text = row->id ? row->id : "";

	fnp_text_file_name(function_text, strlen(function_text), function);
	fnp_text_file_name(id_text, strlen(id_text), id);
	fnp_clock_format_compact((int64_t)row->start_ns + utc_offset_ns, start);
	snprintf(ret->pprof, sizeof(ret->pprof), "profiles/%s/%s-%s.pb.gz", function, start, id);
	snprintf(ret->folded, sizeof(ret->folded), "profiles/%s/%s-%s.folded", function, start, id);
	ret->events[0] = '\0';
	if (row->events.len > 0)
		snprintf(ret->events, sizeof(ret->events), "profiles/%s/%s-%s.events.jsonl", function, start,
			 id);
	ret->folder_len = strlen("profiles/") + strlen(function);
}

static void text_if_known(struct fnp_buffer *b, const char *key, const char *text)
{
	if (text)
		fnp_json_text(b, key, text);
}

static void identity(const struct fnp_row *row, struct fnp_buffer *b)
{
	const char *outcome = fnp_outcome_name(row->outcome);

	fnp_json_text(b, "kind", fnp_row_kind_name(row->kind));
	fnp_json_text(b, "id", row->id ? row->id : "");
	fnp_json_text(b, "function", row->function ? row->function : "");
	text_if_known(b, "version", row->version);
	text_if_known(b, "source", row->source);
	text_if_known(b, "runtime", row->runtime);
	fnp_json_u64(b, "pid", row->pid);
	if (row->cold != FNP_UNKNOWN)
		fnp_json_bool(b, "cold", row->cold == FNP_TRUE);
	text_if_known(b, "init", row->init);
	text_if_known(b, "outcome", outcome);
	text_if_known(b, "trace_id", row->trace_id);
	text_if_known(b, "parent_span_id", row->parent_span_id);
}

static void times(const struct fnp_row *row, int64_t utc_offset_ns, struct fnp_buffer *b)
{
	char text[FNP_CLOCK_TEXT_MAX];

	fnp_clock_format_rfc3339((int64_t)row->start_ns + utc_offset_ns, text);
	fnp_json_text(b, "start", text);
	fnp_json_u64(b, "start_ns", row->start_ns);
	fnp_json_u64(b, "duration_ns", row->duration_ns);
	if (row->deadline_utc_ns) {
		fnp_clock_format_rfc3339((int64_t)row->deadline_utc_ns, text);
		fnp_json_text(b, "deadline", text);
	}
	fnp_json_u64(b, "samples", row->samples);
	fnp_json_u64(b, "sampled_ns", row->sampled_ns);
	fnp_json_u64(b, "cpu_ns", row->cpu_ns);
	if (row->has_children_cpu)
		fnp_json_u64(b, "children_cpu_ns", row->children_cpu_ns);
	if (row->has_post_cpu)
		fnp_json_u64(b, "post_cpu_ns", row->post_cpu_ns);
}

static void counts(const struct fnp_row *row, struct fnp_buffer *b)
{
	static const char *const attributions[FNP_ATTRIBUTIONS] = {"exact", "inferred", "shared", "none"};
	bool truncated = false;

	fnp_json_open(b, "attribution");
	for (size_t i = 0; i < FNP_ATTRIBUTIONS; i++)
		fnp_json_u64(b, attributions[i], row->attribution[i]);
	fnp_json_close(b);
	fnp_json_open(b, "losses");
	for (size_t i = 0; i < FNP_LOSS_MAX; i++) {
		if (row->losses[i])
			fnp_json_u64(b, fnp_loss_name(i), row->losses[i]);
	}
	fnp_json_close(b);
	for (size_t i = FNP_TRUNCATION_NONE + 1; i < FNP_TRUNCATION_MAX; i++) {
		if (!row->truncated[i])
			continue;
		if (!truncated)
			fnp_json_open(b, "truncated");
		truncated = true;
		fnp_json_u64(b, fnp_truncation_name(i), row->truncated[i]);
	}
	if (truncated)
		fnp_json_close(b);
}

static void ledger(const struct fnp_ledger *ledger, struct fnp_buffer *b)
{
	if (!ledger->known)
		return;
	fnp_json_open(b, "ledger");
	for (int line = 0; line < FNP_LEDGER_LINES; line++) {
		if (line != FNP_LEDGER_GC || ledger->has_gc)
			fnp_json_u64(b, fnp_ledger_line_name(line), ledger->ns[line]);
	}
	fnp_json_close(b);
}

void fnp_index_line(const struct fnp_row *row, int64_t utc_offset_ns, const struct fnp_index_paths *paths,
		    struct fnp_buffer *ret)
{
	fnp_json_open(ret, NULL);
	identity(row, ret);
	times(row, utc_offset_ns, ret);
	ledger(&row->ledger, ret);
	counts(row, ret);
	fnp_json_text(ret, "pprof", paths->pprof);
	fnp_json_text(ret, "folded", paths->folded);
	if (paths->events[0])
		fnp_json_text(ret, "events", paths->events);
	if (row->events_lost)
		fnp_json_u64(ret, "events_lost", row->events_lost);
	fnp_json_close(ret);
	fnp_buffer_byte(ret, '\n');
}
