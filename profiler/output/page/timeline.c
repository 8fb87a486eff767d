/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is read twice where it holds more events than are kept: first to see how long those are that will be
 * left out, then to take the others. So memory is bounded by numbers, not by names.
 */
#include "profiler/output/page/timeline.h"

#include <errno.h>

#include "base/text.h"
#include "profiler/output/page/blocks.h"

#define TEXTS_BYTES_MAX (2u << 20)
#define TEXT_MAX 400 /* of one name; the file beside the page has the rest */
#define KINDS_MAX 32
#define LENGTHS_MAX (1u << 18) /* events of one row that are weighed */
#define FIRST UINT64_MAX       /* the weight of what is kept before all others */

struct kind {
	uint32_t what;
	uint64_t count, total_ns, longest_ns;
};

struct told {
	uint64_t t_ns, duration_ns;
	uint32_t tid, what, name, cause, how;
};

/* The events of the row that is being told. */
struct events {
	struct fnp_page_timelines *timelines;
	struct kind kinds[KINDS_MAX];
	size_t n_kinds;
	FNP_VEC(uint64_t) weights;
	uint64_t least;	 /* weight of the lightest that is kept */
	size_t at_least; /* how many of exactly that weight may still be kept */
	FNP_VEC(struct told) kept;
};

static void events_deinit(struct events *events)
{
	fnp_vec_deinit(&events->weights);
	fnp_vec_deinit(&events->kept);
}

int fnp_page_timelines_init(struct fnp_page_timelines *timelines, int dirfd)
{
	uint32_t empty;
	int r;

	*timelines = (struct fnp_page_timelines){.dirfd = dirfd};
	r = fnp_intern_create(TEXTS_BYTES_MAX, &timelines->texts);
	return r ?: fnp_intern_text(timelines->texts, "", &empty);
}

void fnp_page_timelines_deinit(struct fnp_page_timelines *timelines)
{
	fnp_intern_destroy(timelines->texts);
	timelines->texts = NULL;
}

/* The number of a text; that of "" when the table is full. 0 or -ENOMEM. */
static int add_text(struct fnp_page_timelines *timelines, const char *text, uint32_t *ret)
{
	char clean[TEXT_MAX];
	size_t len = text ? strlen(text) : 0, cut = FNP_MIN(len, sizeof(clean));
	int r;

	/* Not in the middle of a character. */
	while (len > cut && cut > sizeof(clean) - 4 && ((unsigned char)text[cut] & 0xc0) == 0x80)
		cut--;
	len = fnp_text_to_utf8(text ? text : "", cut, clean);
	fnp_text_make_printable(clean, len);
	r = fnp_intern_add(timelines->texts, clean, len, ret);
	if (r == -ENOSPC)
		*ret = 0;
	return r == -ENOSPC ? 0 : r;
}

/* ---- events ------------------------------------------------------------------------------------------------- */

static uint64_t weight_of(const struct fnp_event_line *event)
{
	static const char *const first[] = {"mark", "phase", "gc", "on_cpu", "off_cpu"};

	for (size_t i = 0; i < FNP_ARRAY_SIZE(first); i++) {
		if (strcmp(event->what, first[i]) == 0)
			return FIRST;
	}
	return FNP_MIN(event->duration_ns, FIRST - 1);
}

static void count_kind(struct events *events, uint32_t what, uint64_t duration_ns)
{
	struct kind *kind = NULL;

	for (size_t i = 0; i < events->n_kinds && !kind; i++)
		kind = events->kinds[i].what == what ? &events->kinds[i] : NULL;
	if (!kind && events->n_kinds == KINDS_MAX)
		kind = &events->kinds[KINDS_MAX - 1];
	if (!kind) {
		kind = &events->kinds[events->n_kinds++];
		*kind = (struct kind){.what = what};
	}
	kind->count++;
	if (__builtin_add_overflow(kind->total_ns, duration_ns, &kind->total_ns))
		kind->total_ns = UINT64_MAX;
	kind->longest_ns = FNP_MAX(kind->longest_ns, duration_ns);
}

static int weigh(void *context, const struct fnp_event_line *event)
{
	struct events *events = context;
	uint32_t what;
	int r = add_text(events->timelines, event->what, &what);

	if (r < 0)
		return r;
	count_kind(events, what, event->duration_ns);
	return events->weights.len < LENGTHS_MAX ? fnp_vec_push(&events->weights, weight_of(event)) : 0;
}

static int heaviest_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x > y ? -1 : x < y;
}

static void choose(struct events *events)
{
	size_t n = FNP_MIN(events->weights.len, (size_t)FNP_PAGE_TIMELINE_EVENTS_MAX);

	if (n == 0)
		return;
	qsort(events->weights.items, events->weights.len, sizeof(uint64_t), heaviest_first);
	events->least = events->weights.items[n - 1];
	for (size_t i = n; i > 0 && events->weights.items[i - 1] == events->least; i--)
		events->at_least++;
}

static int keep(void *context, const struct fnp_event_line *event)
{
	struct events *events = context;
	struct told told = {.t_ns = event->t_ns, .duration_ns = event->duration_ns, .tid = event->tid};
	uint64_t weight = weight_of(event);
	int r;

	if (weight < events->least || (weight == events->least && events->at_least == 0) ||
	    events->kept.len == FNP_PAGE_TIMELINE_EVENTS_MAX)
		return 0;
	events->at_least -= weight == events->least;
	r = add_text(events->timelines, event->what, &told.what);
	r = r ?: add_text(events->timelines, event->name, &told.name);
	r = r ?: add_text(events->timelines, event->cause, &told.cause);
	r = r ?: add_text(events->timelines, event->how, &told.how);
	return r ?: fnp_vec_push(&events->kept, told);
}

/* ---- bytes -------------------------------------------------------------------------------------------------- */

static void put_signed(struct fnp_buffer *b, int64_t value)
{
	fnp_page_varint(b, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void put_kinds(const struct events *events, struct fnp_buffer *b)
{
	fnp_page_varint(b, events->n_kinds);
	for (size_t i = 0; i < events->n_kinds; i++) {
		fnp_page_varint(b, events->kinds[i].what);
		fnp_page_varint(b, events->kinds[i].count);
		fnp_page_varint(b, events->kinds[i].total_ns);
		fnp_page_varint(b, events->kinds[i].longest_ns);
	}
}

static void put_events(const struct events *events, uint64_t start_ns, struct fnp_buffer *b)
{
	uint64_t before = start_ns;

	fnp_page_varint(b, events->kept.len);
	for (size_t i = 0; i < events->kept.len; i++) {
		const struct told *one = &events->kept.items[i];
		put_signed(b, (int64_t)(one->t_ns - before));
		before = one->t_ns;
		fnp_page_varint(b, one->duration_ns);
		fnp_page_varint(b, one->tid);
		fnp_page_varint(b, one->what);
		fnp_page_varint(b, one->name);
		fnp_page_varint(b, one->cause);
		fnp_page_varint(b, one->how);
	}
}

static int tell_events(struct fnp_page_timelines *timelines, const struct fnp_page_timeline_row *row,
		       struct fnp_buffer *ret, bool *ret_any)
{
	FNP_CLEANUP(events_deinit) struct events events = {.timelines = timelines};
	uint64_t unreadable = 0, again;
	int r = 0;

	if (row->events)
		r = fnp_event_lines_read(timelines->dirfd, row->events, weigh, &events, &unreadable);
	if (r == 0 && events.weights.len > 0) {
		choose(&events);
		r = fnp_event_lines_read(timelines->dirfd, row->events, keep, &events, &again);
	}
	if (r == -ENOMEM)
		return r;
	unreadable += r < 0;
	put_kinds(&events, ret);
	put_events(&events, row->start_ns, ret);
	fnp_page_varint(ret, unreadable);
	*ret_any = *ret_any || events.n_kinds > 0 || unreadable > 0;
	return 0;
}

/* ---- samples ------------------------------------------------------------------------------------------------ */

static int by_time(const void *a, const void *b)
{
	const struct fnp_profile_time *x = a, *y = b;

	if (x->offset_ns != y->offset_ns)
		return x->offset_ns < y->offset_ns ? -1 : 1;
	return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static int by_thread(const void *a, const void *b)
{
	const struct fnp_profile_time *x = a, *y = b;

	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

/* The text of a sample's label `thread`; NULL when it has none. */
static const char *thread_name(const struct fnp_profile *profile, uint32_t sample)
{
	const struct fnp_profile_sample *s = &profile->samples.items[sample];

	for (uint32_t i = 0; i < s->n_labels; i++) {
		const struct fnp_profile_label *label = &profile->labels.items[s->first_label + i];
		if (label->unit == FNP_LABEL_TEXT &&
		    strcmp(fnp_profile_string(profile, label->key), "thread") == 0)
			return fnp_profile_string(profile, label->text);
	}
	return NULL;
}

/* `times` in the order of threads; one name a thread. */
static int put_threads(struct fnp_page_timelines *timelines, const struct fnp_profile *profile,
		       const struct fnp_profile_time *times, size_t n, struct fnp_buffer *b)
{
	size_t threads = 0;

	for (size_t i = 0; i < n; i++)
		threads += i == 0 || times[i].tid != times[i - 1].tid;
	fnp_page_varint(b, threads);
	for (size_t i = 0; i < n; i++) {
		uint32_t name;
		if (i > 0 && times[i].tid == times[i - 1].tid)
			continue;
		int r = add_text(timelines, thread_name(profile, times[i].sample), &name);
		if (r < 0)
			return r;
		fnp_page_varint(b, times[i].tid);
		fnp_page_varint(b, name);
	}
	return 0;
}

static void put_samples(const struct fnp_page_timeline_row *row, const struct fnp_profile_time *times,
			size_t n, struct fnp_buffer *b)
{
	int64_t time_before = 0, node_before = 0;

	fnp_page_varint(b, n);
	for (size_t i = 0; i < n; i++) {
		int64_t node = row->nodes[times[i].sample];
		put_signed(b, (int64_t)((uint64_t)times[i].offset_ns - (uint64_t)time_before));
		fnp_page_varint(b, times[i].tid);
		put_signed(b, node - node_before);
		time_before = times[i].offset_ns;
		node_before = node;
	}
}

static int tell_samples(struct fnp_page_timelines *timelines, const struct fnp_page_timeline_row *row,
			struct fnp_buffer *ret, bool *ret_any)
{
	size_t n = row->profile ? row->profile->times.len : 0;
	fnp_autofree struct fnp_profile_time *times = calloc(n + 1, sizeof(*times));
	int r;

	if (!times)
		return -ENOMEM;
	if (n > 0)
		memcpy(times, row->profile->times.items, n * sizeof(*times));
	qsort(times, n, sizeof(*times), by_thread);
	r = put_threads(timelines, row->profile, times, n, ret);
	qsort(times, n, sizeof(*times), by_time);
	put_samples(row, times, n, ret);
	*ret_any = n > 0;
	return r;
}

int fnp_page_timeline_add(struct fnp_page_timelines *timelines, const struct fnp_page_timeline_row *row,
			  struct fnp_buffer *ret, bool *ret_any)
{
	int r = tell_samples(timelines, row, ret, ret_any);

	r = r ?: tell_events(timelines, row, ret, ret_any);
	return r ?: ret->error;
}

void fnp_page_timelines_encode_texts(const struct fnp_page_timelines *timelines, struct fnp_buffer *ret)
{
	for (uint32_t i = 0; i < fnp_intern_count(timelines->texts); i++) {
		size_t len;
		const void *text = fnp_intern_get(timelines->texts, i, &len);
		fnp_page_varint(ret, len);
		fnp_buffer_append(ret, text, len);
	}
}
