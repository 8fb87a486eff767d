/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Equal stacks of a thread are merged, so that a row of an hour is as big as its variety. Most invocations have a
 * handful of stacks, which a look along the vector finds; from SCAN_MAX on there is an index.
 */
#include "profiler/invocations/row.h"

#define SCAN_MAX 16

struct fnp_row *fnp_row_create(enum fnp_row_kind kind)
{
	struct fnp_row *row = calloc(1, sizeof(*row));

	if (row)
		row->kind = kind;
	return row;
}

void fnp_row_destroy(struct fnp_row *row)
{
	if (!row)
		return;
	free(row->id);
	free(row->function);
	free(row->version);
	free(row->source);
	free(row->runtime);
	free(row->init);
	free(row->trace_id);
	free(row->parent_span_id);
	for (size_t i = 0; i < row->events.len; i++) {
		free(row->events.items[i].name);
		free(row->events.items[i].cause);
		free(row->events.items[i].arguments);
	}
	fnp_vec_deinit(&row->events);
	fnp_vec_deinit(&row->stacks);
	fnp_vec_deinit(&row->times);
	fnp_map_deinit(&row->index);
	free(row);
}

static uint64_t key_of(const struct fnp_row_stack *one)
{
	return (uint64_t)one->tid << 32 | one->stack;
}

static bool same(const struct fnp_row_stack *a, const struct fnp_row_stack *b)
{
	return a->stack == b->stack && a->tid == b->tid && a->comm == b->comm &&
	       a->count <= UINT32_MAX - b->count;
}

static struct fnp_row_stack *find(struct fnp_row *row, const struct fnp_row_stack *one)
{
	uint64_t *at;

	if (row->index.len == 0) {
		for (size_t i = 0; i < row->stacks.len; i++) {
			if (same(&row->stacks.items[i], one))
				return &row->stacks.items[i];
		}
		return NULL;
	}
	at = fnp_map_find(&row->index, key_of(one));
	/* A thread that was renamed: the index knows its newest name alone. */
	if (!at || !same(&row->stacks.items[*at], one))
		return NULL;
	return &row->stacks.items[*at];
}

/* Without an index equal stacks stand twice, which costs size and nothing else. */
static void index_from(struct fnp_row *row, size_t first)
{
	int r = 0;

	for (size_t i = first; i < row->stacks.len && r == 0; i++)
		r = fnp_map_set(&row->index, key_of(&row->stacks.items[i]), i);
	if (r < 0)
		fnp_map_deinit(&row->index);
}

static int append(struct fnp_row *row, const struct fnp_row_stack *one)
{
	size_t first = row->index.len ? row->stacks.len : 0;
	int r = fnp_vec_push(&row->stacks, *one);

	if (r == 0 && row->stacks.len > SCAN_MAX)
		index_from(row, first);
	return r;
}

void fnp_row_reindex(struct fnp_row *row)
{
	fnp_map_deinit(&row->index);
	if (row->stacks.len > SCAN_MAX)
		index_from(row, 0);
}

int fnp_row_add_sample(struct fnp_row *row, const struct fnp_row_stack *one, enum fnp_attribution attribution,
		       enum fnp_truncation_cause truncation)
{
	struct fnp_row_stack *have = find(row, one);

	if (have) {
		have->count += one->count;
		have->weight_ns += one->weight_ns;
	} else {
		int r = append(row, one);
		if (r < 0)
			return r;
		have = &row->stacks.items[row->stacks.len - 1];
	}
	row->newest = (uint32_t)(have - row->stacks.items);
	row->samples += one->count;
	row->sampled_ns += one->weight_ns;
	row->attribution[attribution] += one->count;
	if (truncation != FNP_TRUNCATION_NONE && truncation < FNP_TRUNCATION_MAX)
		row->truncated[truncation] += one->count;
	return 0;
}

int fnp_row_add_off_cpu(struct fnp_row *row, const struct fnp_row_stack *one)
{
	struct fnp_row_stack *have = find(row, one);

	if (!have)
		return append(row, one);
	have->off_cpu_ns += one->off_cpu_ns;
	have->run_queue_ns += one->run_queue_ns;
	return 0;
}

void fnp_row_add_time(struct fnp_row *row, uint64_t t_ns)
{
	const struct fnp_row_time time = {.t_ns = t_ns, .at = row->newest};

	if (row->kind == FNP_ROW_IDLE || row->kind == FNP_ROW_SHARED || row->times.len == FNP_ROW_TIMES_MAX)
		return;
	if (fnp_vec_reserve(&row->times, row->times.len + 1) == 0)
		row->times.items[row->times.len++] = time;
}

static int copy_text(const char *text, char **ret)
{
	*ret = text ? strndup(text, FNP_ROW_EVENT_TEXT_MAX) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

static int add_event(struct fnp_row *row, const struct fnp_row_event *event)
{
	fnp_autofree char *name = NULL, *cause = NULL, *arguments = NULL;
	struct fnp_row_event copy = *event;
	int r = row->events.len < FNP_ROW_EVENTS_MAX ? 0 : -ENOSPC;

	r = r ?: copy_text(event->name, &name);
	r = r ?: copy_text(event->cause, &cause);
	r = r ?: copy_text(event->arguments, &arguments);
	r = r ?: fnp_vec_reserve(&row->events, row->events.len + 1);
	if (r < 0)
		return r;
	copy.name = TAKE_PTR(name);
	copy.cause = TAKE_PTR(cause);
	copy.arguments = TAKE_PTR(arguments);
	row->events.items[row->events.len++] = copy;
	return 0;
}

int fnp_row_add_event(struct fnp_row *row, const struct fnp_row_event *event)
{
	int r = add_event(row, event);

	if (r < 0)
		row->events_lost++;
	return r;
}

static int by_begin(const void *a, const void *b)
{
	const struct fnp_row_event *x = a, *y = b;

	if (x->t_ns != y->t_ns)
		return x->t_ns < y->t_ns ? -1 : 1;
	if (x->duration_ns != y->duration_ns)
		return x->duration_ns > y->duration_ns ? -1 : 1;
	return 0;
}

void fnp_row_sort_events(struct fnp_row *row)
{
	if (row->events.len > 1)
		qsort(row->events.items, row->events.len, sizeof(row->events.items[0]), by_begin);
}

const char *fnp_event_how_name(enum fnp_event_how how)
{
	static const char *const names[FNP_EVENT_HOWS] = {
		[FNP_EVENT_USDT] = "usdt",
		[FNP_EVENT_UPROBE] = "uprobe",
		[FNP_EVENT_SAMPLES] = "samples",
		[FNP_EVENT_WRITE] = "write",
	};
	return names[how];
}

const char *fnp_row_kind_name(enum fnp_row_kind kind)
{
	static const char *const names[] = {
		[FNP_ROW_INVOCATION] = "invocation", [FNP_ROW_INIT] = "init",	    [FNP_ROW_IDLE] = "idle",
		[FNP_ROW_SHARED] = "shared",	     [FNP_ROW_PROCESS] = "process",
	};
	return names[kind];
}

const char *fnp_outcome_name(enum fnp_outcome outcome)
{
	static const char *const names[] = {
		[FNP_OUTCOME_OK] = "ok",
		[FNP_OUTCOME_ERROR] = "error",
		[FNP_OUTCOME_TIMEOUT] = "timeout",
		[FNP_OUTCOME_KILLED] = "killed",
		[FNP_OUTCOME_UNFINISHED] = "unfinished",
	};
	return names[outcome];
}
