/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/spans.h"

#include <errno.h>

#include "base/vec.h"
#include "profiler/records.h"
#include "profiler/span_names.h"

#define OPEN_MAX 16384
#define MARK_BEGIN "fnprof.begin"
#define MARK_END "fnprof.end"
#define MARK_MOMENT "fnprof.mark"

/* A span that has begun; texts are its own. */
struct open_span {
	struct fnp_invocations_place at;
	struct fnp_row_event event;
	enum fnp_probe_pair pair;
	struct fnp_clocks *clocks; /* at its begin; NULL: not told. Few spans have them. */
	bool silent; /* no event: a function that was called within itself and then does nothing, or it was cancelled */
};

struct fnp_spans {
	void (*tell)(void *self, const struct fnp_invocations_place *at, const struct fnp_row_event *event);
	void *self;
	FNP_VEC(struct open_span) open; /* in the order of their begins */
	uint64_t lost;
};

int fnp_spans_create(void (*tell)(void *self, const struct fnp_invocations_place *at,
				  const struct fnp_row_event *event),
		     void *self, struct fnp_spans **ret)
{
	struct fnp_spans *spans = calloc(1, sizeof(*spans));

	if (!spans)
		return -ENOMEM;
	spans->tell = tell;
	spans->self = self;
	*ret = spans;
	return 0;
}

static void forget(struct open_span *span)
{
	fnp_freep(&span->event.name);
	fnp_freep(&span->event.cause);
	fnp_freep(&span->event.arguments);
	free(span->clocks);
}

void fnp_spans_destroy(struct fnp_spans *spans)
{
	if (!spans)
		return;
	for (size_t i = 0; i < spans->open.len; i++)
		forget(&spans->open.items[i]);
	fnp_vec_deinit(&spans->open);
	free(spans);
}

uint64_t fnp_spans_lost(const struct fnp_spans *spans)
{
	return spans->lost;
}

/* ---- one hit ------------------------------------------------------------------------------------------------- */

static struct fnp_invocations_place place_of(const struct fnp_probe_record *record)
{
	const struct fnp_record *head = &record->head;

	return (struct fnp_invocations_place){.pid = head->pid,
					      .tid = head->tid,
					      .process = head->process,
					      .seq = head->seq,
					      .time_ns = head->time_ns};
}

static char *known(char *text)
{
	return text[0] ? text : NULL;
}

static void take_moment(struct fnp_spans *spans, const struct fnp_spans_hit *hit,
			const struct fnp_probe_record *record, struct fnp_span_names *names)
{
	struct fnp_invocations_place at = place_of(record);
	struct fnp_row_event event = {.t_ns = at.time_ns,
				      .tid = at.tid,
				      .how = hit->how,
				      .what = hit->meaning->what,
				      .name = known(names->name),
				      .cause = known(names->cause),
				      .arguments = known(names->arguments)};

	spans->tell(spans->self, &at, &event);
}

/* The oldest is given up: its end was lost, or never comes. */
static void make_room(struct fnp_spans *spans)
{
	forget(&spans->open.items[0]);
	memmove(spans->open.items, spans->open.items + 1, (spans->open.len - 1) * sizeof(spans->open.items[0]));
	spans->open.len--;
	spans->lost++;
}

static bool same_process(const struct open_span *span, const struct fnp_record *head)
{
	return span->at.pid == head->pid && span->at.process == head->process;
}

/* The newest open span of this pair, of this thread (0: any) and name (NULL: any); -1 when there is none. */
static ssize_t find_open(const struct fnp_spans *spans, const struct fnp_record *head,
			 enum fnp_probe_pair pair, uint32_t tid, const char *name)
{
	for (size_t i = spans->open.len; i-- > 0;) {
		const struct open_span *span = &spans->open.items[i];

		if (span->pair != pair || !same_process(span, head) || (tid && span->at.tid != tid))
			continue;
		if (!name || (span->event.name && strcmp(span->event.name, name) == 0))
			return (ssize_t)i;
	}
	return -1;
}

/* Times that an estimate was taken back in are none. */
static uint64_t since(uint64_t end, uint64_t begin)
{
	return (int64_t)(end - begin) > 0 ? end - begin : 0;
}

static void take_begin(struct fnp_spans *spans, const struct fnp_spans_hit *hit,
		       const struct fnp_probe_record *record, struct fnp_span_names *names)
{
	struct open_span span = {.at = place_of(record), .pair = hit->meaning->pair};
	struct fnp_clocks clocks;

	span.event = (struct fnp_row_event){
		.t_ns = span.at.time_ns, .tid = span.at.tid, .how = hit->how, .what = hit->meaning->what};
	if (fnp_record_clocks(&record->head, &clocks))
		span.clocks = malloc(sizeof(clocks));
	if (span.clocks)
		*span.clocks = clocks;
	span.silent = hit->meaning->naming == FNP_NAMING_PYTHON_COLLECT &&
		      find_open(spans, &record->head, FNP_PAIR_GC, span.at.tid, NULL) >= 0;
	if (spans->open.len >= OPEN_MAX)
		make_room(spans);
	span.event.name = names->name[0] ? strdup(names->name) : NULL;
	span.event.cause = names->cause[0] ? strdup(names->cause) : NULL;
	if (fnp_vec_push(&spans->open, span) < 0) {
		forget(&span);
		spans->lost++;
	}
}

/* What its process's clocks moved on by between begin and end. */
static struct fnp_event_spent spent_between(const struct open_span *span, const struct fnp_record *end)
{
	struct fnp_event_spent spent = {0};
	struct fnp_clocks clocks;

	if (!end || !span->clocks || !fnp_record_clocks(end, &clocks))
		return spent;
	spent.known = true;
	spent.stolen_ns = since(clocks.stolen_ns, span->clocks->stolen_ns);
	spent.on_cpu_ns = since(clocks.on_cpu_ns, span->clocks->on_cpu_ns);
	spent.stolen_ns = FNP_MIN(spent.stolen_ns, spent.on_cpu_ns);
	spent.on_cpu_ns -= spent.stolen_ns;
	spent.run_queue_ns = since(clocks.run_queue_ns, span->clocks->run_queue_ns);
	return spent;
}

/* `end`: the record that ends it, NULL: its process is over. */
static void end_span(struct fnp_spans *spans, size_t i, uint64_t time_ns, const struct fnp_record *end)
{
	struct open_span span = spans->open.items[i];

	memmove(&spans->open.items[i], &spans->open.items[i + 1], (spans->open.len - i - 1) * sizeof(span));
	spans->open.len--;
	span.event.duration_ns = time_ns - FNP_MIN(time_ns, span.event.t_ns);
	span.event.spent = spent_between(&span, end);
	if (!span.silent)
		spans->tell(spans->self, &span.at, &span.event);
	forget(&span);
}

/*
 * Ends by name where there is one: imports and marks. A mark may end in another thread than it began in. Without a name
 * of its own an end takes the newest.
 */
static void take_end(struct fnp_spans *spans, const struct fnp_spans_hit *hit,
		     const struct fnp_probe_record *record, const struct fnp_span_names *names)
{
	const char *name = names->name[0] ? names->name : NULL;
	ssize_t i = find_open(spans, &record->head, hit->meaning->pair, record->head.tid, name);

	if (i < 0 && name && hit->meaning->pair == FNP_PAIR_MARK)
		i = find_open(spans, &record->head, hit->meaning->pair, 0, name);
	if (i < 0)
		return; /* it began before we came */
	if (names->cause[0] && !spans->open.items[i].event.cause)
		spans->open.items[i].event.cause = strdup(names->cause);
	if (hit->meaning->role == FNP_PROBE_CANCEL)
		spans->open.items[i].silent = true;
	end_span(spans, (size_t)i, record->head.time_ns, &record->head);
}

static void take_note(struct fnp_spans *spans, const struct fnp_spans_hit *hit,
		      const struct fnp_probe_record *record, const struct fnp_span_names *names)
{
	ssize_t i = find_open(spans, &record->head, hit->meaning->pair, record->head.tid, NULL);
	struct fnp_row_event *event;

	if (i < 0)
		return;
	event = &spans->open.items[i].event;
	if (!event->name && names->name[0])
		event->name = strdup(names->name);
	if (names->cause[0]) {
		free(event->cause);
		event->cause = strdup(names->cause);
	}
}

/* `what` says which of the three it is; anything else is nothing. */
static void take_mark(struct fnp_spans *spans, const struct fnp_spans_hit *hit,
		      const struct fnp_probe_record *record, struct fnp_span_names *names, const char *what)
{
	if (strcmp(what, MARK_BEGIN) == 0)
		take_begin(spans, hit, record, names);
	else if (strcmp(what, MARK_END) == 0)
		take_end(spans, hit, record, names);
	else if (strcmp(what, MARK_MOMENT) == 0)
		take_moment(spans, hit, record, names);
}

/* "fnprof.begin NAME", with or without a line's end. */
static void take_written(struct fnp_spans *spans, const struct fnp_spans_hit *hit,
			 const struct fnp_probe_record *record, struct fnp_span_names *names)
{
	char what[FNP_PROBE_TEXT_BYTES];
	char *space;

	fnp_span_text(record, 0, what);
	what[strcspn(what, "\r\n")] = '\0';
	space = strchr(what, ' ');
	if (space)
		*space++ = '\0';
	snprintf(names->name, sizeof(names->name), "%s", space ? space : "");
	take_mark(spans, hit, record, names, what);
}

/* sys.audit("fnprof.begin", name): the first text says what, the second is the name as an object of Python's. */
static void take_audit(struct fnp_spans *spans, const struct fnp_spans_hit *hit,
		       const struct fnp_probe_record *record, struct fnp_span_names *names)
{
	struct fnp_record_part object = fnp_record_nth_section(&record->head, FNP_SECTION_PROBE_TEXT, 1);
	char what[FNP_PROBE_TEXT_BYTES];

	fnp_span_text(record, 0, what);
	fnp_span_python_text(object.data, object.size, names->name, sizeof(names->name));
	take_mark(spans, hit, record, names, what);
}

void fnp_spans_take(struct fnp_spans *spans, const struct fnp_spans_hit *hit,
		    const struct fnp_probe_record *record)
{
	struct fnp_span_names names;

	fnp_span_names_make(hit, record, &names);
	switch (hit->meaning->role) {
	case FNP_PROBE_MOMENT:
	case FNP_PROBE_PHASE:
		/* Node.js also compiles what it only wants to know the syntax of, without a path. */
		if (hit->meaning->naming == FNP_NAMING_V8_PATH && !names.name[0])
			break;
		take_moment(spans, hit, record, &names);
		break;
	case FNP_PROBE_BEGIN:
		take_begin(spans, hit, record, &names);
		break;
	case FNP_PROBE_END:
	case FNP_PROBE_CANCEL:
		take_end(spans, hit, record, &names);
		break;
	case FNP_PROBE_NOTE:
		take_note(spans, hit, record, &names);
		break;
	case FNP_PROBE_MARK_AUDIT:
		take_audit(spans, hit, record, &names);
		break;
	case FNP_PROBE_MARK_WRITTEN:
		take_written(spans, hit, record, &names);
		break;
	case FNP_PROBE_SILENT:
		break;
	}
}

void fnp_spans_end_process(struct fnp_spans *spans, uint32_t pid, uint64_t process, uint64_t time_ns)
{
	const struct fnp_record head = {.pid = pid, .process = process};

	for (size_t i = spans->open.len; i-- > 0;) {
		if (pid == 0 || same_process(&spans->open.items[i], &head))
			end_span(spans, i, time_ns, NULL);
	}
}

void fnp_spans_forget(struct fnp_spans *spans, enum fnp_probe_pair pair)
{
	size_t kept = 0;

	for (size_t i = 0; i < spans->open.len; i++) {
		if (spans->open.items[i].pair == pair)
			forget(&spans->open.items[i]);
		else
			spans->open.items[kept++] = spans->open.items[i];
	}
	spans->open.len = kept;
}
