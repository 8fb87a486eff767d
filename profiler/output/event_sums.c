/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/event_sums.h"

#include "base/text.h"
#include "profiler/output/report.h"

#define NAME_WIDTH 80

/* The one of this text among `n`, or a new one; NULL: there is no room. */
static struct fnp_event_sum *find(struct fnp_event_sum *list, size_t *n, size_t max, const char *what)
{
	for (size_t i = 0; i < *n; i++) {
		if (strncmp(list[i].what, what, sizeof(list[i].what) - 1) == 0)
			return &list[i];
	}
	if (*n == max)
		return NULL;
	snprintf(list[*n].what, sizeof(list[*n].what), "%s", what);
	return &list[(*n)++];
}

static void count(struct fnp_event_sum *sum, uint64_t ns)
{
	sum->count++;
	if (__builtin_add_overflow(sum->total_ns, ns, &sum->total_ns))
		sum->total_ns = UINT64_MAX;
	sum->longest_ns = FNP_MAX(sum->longest_ns, ns);
}

static struct fnp_event_named named(const struct fnp_event_line *event)
{
	struct fnp_event_named ret = {.t_ns = event->t_ns, .duration_ns = event->duration_ns};

	snprintf(ret.what, sizeof(ret.what), "%s", event->what);
	snprintf(ret.name, sizeof(ret.name), "%s", event->name ? event->name : "?");
	return ret;
}

static bool is_load(const char *what)
{
	return strcmp(what, "import") == 0 || strcmp(what, "class_load") == 0 ||
	       strcmp(what, "class_init") == 0 || strcmp(what, "module_load") == 0;
}

/* Into its place among the longest; the shortest falls off the end. */
static void keep_dearest(struct fnp_event_sums *sums, const struct fnp_event_line *event)
{
	size_t at = sums->n_dearest;

	while (at > 0 && sums->dearest[at - 1].duration_ns < event->duration_ns)
		at--;
	if (at == FNP_EVENT_SUMS_DEAREST || event->duration_ns == 0)
		return;
	sums->n_dearest = FNP_MIN(sums->n_dearest + 1, (size_t)FNP_EVENT_SUMS_DEAREST);
	memmove(&sums->dearest[at + 1], &sums->dearest[at],
		(sums->n_dearest - at - 1) * sizeof(sums->dearest[0]));
	sums->dearest[at] = named(event);
}

int fnp_event_sums_add(void *sums_, const struct fnp_event_line *event)
{
	struct fnp_event_sums *sums = sums_;
	struct fnp_event_sum *kind = find(sums->kinds, &sums->n_kinds, FNP_EVENT_SUMS_KINDS_MAX, event->what);
	struct fnp_event_sum *peer = NULL;

	if (strcmp(event->what, "off_cpu") == 0 && event->cause)
		peer = find(sums->peers, &sums->n_peers, FNP_EVENT_SUMS_PEERS_MAX, event->cause);
	if (peer)
		count(peer, event->duration_ns);
	if (!kind) {
		sums->others++;
		return 0;
	}
	count(kind, event->duration_ns);
	if (is_load(event->what))
		keep_dearest(sums, event);
	if (strcmp(event->what, "phase") == 0 && sums->n_phases < FNP_EVENT_SUMS_PHASES_MAX)
		sums->phases[sums->n_phases++] = named(event);
	return 0;
}

static const char *duration(uint64_t ns, char ret[static 16])
{
	return ns ? fnp_text_duration(ns, ret) : "-";
}

static void print_list(const struct fnp_event_sum *list, size_t n, const char *what, struct fnp_buffer *b)
{
	char number[32], total[16], longest[16];

	fnp_buffer_printf(b, "  %8s  %8s  %8s  %s\n", "count", "total", "longest", what);
	for (size_t i = 0; i < n; i++) {
		fnp_buffer_printf(b, "  %8s  %8s  %8s  ", fnp_report_number(list[i].count, number),
				  duration(list[i].total_ns, total), duration(list[i].longest_ns, longest));
		fnp_report_name(b, list[i].what, sizeof(list[i].what), false);
		fnp_buffer_byte(b, '\n');
	}
}

static void print_kinds(const struct fnp_event_sums *sums, struct fnp_buffer *b)
{
	char number[32];

	fnp_buffer_text(b, "\nEvents\n");
	print_list(sums->kinds, sums->n_kinds, "what", b);
	if (sums->others)
		fnp_buffer_printf(b, "  %8s  %8s  %8s  other kinds\n",
				  fnp_report_number(sums->others, number), "", "");
}

static void print_phases(const struct fnp_event_sums *sums, uint64_t start_ns, struct fnp_buffer *b)
{
	char at[16], length[16];

	fnp_buffer_printf(b, "\nPhases\n  %8s  %8s  name\n", "after", "took");
	for (size_t i = 0; i < sums->n_phases; i++) {
		const struct fnp_event_named *phase = &sums->phases[i];
		uint64_t after = phase->t_ns > start_ns ? phase->t_ns - start_ns : 0;
		fnp_buffer_printf(b, "  %8s  %8s  ", after ? fnp_text_duration(after, at) : "0",
				  duration(phase->duration_ns, length));
		fnp_report_name(b, phase->name, NAME_WIDTH, false);
		fnp_buffer_byte(b, '\n');
	}
}

/* An import holds the imports that it made: these times do not add up. */
static void print_dearest(const struct fnp_event_sums *sums, struct fnp_buffer *b)
{
	char length[16];

	fnp_buffer_text(b, "\nDearest to load (each with what it loaded in turn)\n");
	for (size_t i = 0; i < sums->n_dearest; i++) {
		const struct fnp_event_named *one = &sums->dearest[i];
		fnp_buffer_printf(b, "  %8s  ", duration(one->duration_ns, length));
		fnp_report_name(b, one->what, 11, true);
		fnp_buffer_text(b, "  ");
		fnp_report_name(b, one->name, NAME_WIDTH, false);
		fnp_buffer_byte(b, '\n');
	}
}

void fnp_event_sums_print(const struct fnp_event_sums *sums, uint64_t start_ns, struct fnp_buffer *ret)
{
	if (sums->n_kinds > 0)
		print_kinds(sums, ret);
	if (sums->n_peers > 0) {
		fnp_buffer_text(ret, "\nWaits for the network, those of 1 ms and more\n");
		print_list(sums->peers, sums->n_peers, "peer", ret);
	}
	if (sums->n_phases > 0)
		print_phases(sums, start_ns, ret);
	if (sums->n_dearest > 0)
		print_dearest(sums, ret);
}
