/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From two readings of a process's clocks to the lines between them. The kernel side has ordered on-CPU, run queue and
 * quiet time already, and a thread's waits count quiet time alone, so that what is left to do is to subtract.
 */
#include "profiler/invocations/ledger.h"

#include "base/memory.h"

static const enum fnp_ledger_line line_of_wait[FNP_WAIT_MAX] = {
#define FNP_X_LINE(n, name, text) [FNP_WAIT_##name] = FNP_LEDGER_##name,
	FNP_WAITS(FNP_X_LINE)
#undef FNP_X_LINE
};

const char *fnp_ledger_line_name(enum fnp_ledger_line line)
{
	static const char *const names[] = {
#define FNP_X_NAME(name, text) [FNP_LEDGER_##name] = (text),
		FNP_LEDGER(FNP_X_NAME)
#undef FNP_X_NAME
	};
	return names[line];
}

/* Estimates are taken back now and then: a difference below 0 is none. */
static uint64_t since(uint64_t end, uint64_t begin)
{
	return (int64_t)(end - begin) > 0 ? end - begin : 0;
}

/* The lines of the handling thread's waits, never more than there was quiet time. */
static uint64_t add_waits(const struct fnp_ledger_span *span, uint64_t quiet_ns, struct fnp_ledger *ledger)
{
	uint64_t left_ns = quiet_ns;

	for (int wait = 0; span->waits_begin && span->waits_end && wait < FNP_WAIT_MAX; wait++) {
		uint64_t ns = FNP_MIN(since(span->waits_end[wait], span->waits_begin[wait]), left_ns);
		enum fnp_ledger_line line = line_of_wait[wait];

		if (wait == FNP_WAIT_POLL && span->poll_is_async)
			line = FNP_LEDGER_WAITING_ASYNC;
		ledger->ns[line] += ns;
		left_ns -= ns;
	}
	return left_ns;
}

/* The lines come to `duration_ns`, by what the biggest one gives or takes. */
static void fit(struct fnp_ledger *ledger, uint64_t duration_ns)
{
	uint64_t sum = 0;

	for (int line = 0; line < FNP_LEDGER_LINES; line++)
		sum += ledger->ns[line];
	while (sum > duration_ns) {
		uint64_t *biggest = &ledger->ns[0], back;

		for (int line = 1; line < FNP_LEDGER_LINES; line++) {
			if (ledger->ns[line] > *biggest)
				biggest = &ledger->ns[line];
		}
		back = FNP_MIN(sum - duration_ns, *biggest);
		ledger->mended_ns += back;
		*biggest -= back;
		sum -= back;
	}
	ledger->ns[FNP_LEDGER_OTHER] += duration_ns - sum;
	ledger->mended_ns += duration_ns - sum;
}

void fnp_ledger_between(const struct fnp_ledger_span *span, struct fnp_ledger *ret)
{
	const struct fnp_clocks *begin = span->begin, *end = span->end;
	struct fnp_ledger ledger = {.known = true};
	uint64_t on_cpu_ns, quiet_ns;

	if (!begin || !end)
		return;
	on_cpu_ns = since(end->on_cpu_ns, begin->on_cpu_ns);
	quiet_ns = since(end->quiet_ns, begin->quiet_ns);
	ledger.ns[FNP_LEDGER_STOLEN] = FNP_MIN(since(end->stolen_ns, begin->stolen_ns), on_cpu_ns);
	ledger.ns[FNP_LEDGER_ON_CPU] = on_cpu_ns - ledger.ns[FNP_LEDGER_STOLEN];
	ledger.ns[FNP_LEDGER_RUN_QUEUE] = since(end->run_queue_ns, begin->run_queue_ns);
	quiet_ns = add_waits(span, quiet_ns, &ledger);
	ledger.ns[span->rest_is_unknown ? FNP_LEDGER_OTHER : FNP_LEDGER_WAITING_ASYNC] += quiet_ns;
	fit(&ledger, span->duration_ns);
	*ret = ledger;
}

void fnp_ledger_count(struct fnp_ledger_counts *counts, const struct fnp_ledger *ledger)
{
	if (!ledger->known)
		return;
	counts->rows++;
	counts->mended_rows += ledger->mended_ns > 0;
	counts->mended_ns += ledger->mended_ns;
	counts->mended_max_ns = FNP_MAX(counts->mended_max_ns, ledger->mended_ns);
}

/* Up to `ns` out of one line. */
static uint64_t take(struct fnp_ledger *ledger, enum fnp_ledger_line line, uint64_t ns)
{
	ns = FNP_MIN(ns, ledger->ns[line]);
	ledger->ns[line] -= ns;
	ledger->ns[FNP_LEDGER_GC] += ns;
	return ns;
}

/* What is not known of a collection: the share that it has of the time in which the row was not quiet. */
static struct fnp_ledger_gc estimate(const struct fnp_ledger *ledger, const struct fnp_ledger_gc *gc)
{
	uint64_t busy_ns = ledger->ns[FNP_LEDGER_ON_CPU] + ledger->ns[FNP_LEDGER_RUN_QUEUE] +
			   ledger->ns[FNP_LEDGER_STOLEN];
	double share = busy_ns > gc->gc_ns ? (double)gc->gc_ns / (double)busy_ns : 1;
	struct fnp_ledger_gc known = *gc;

	known.stolen_ns = (uint64_t)((double)ledger->ns[FNP_LEDGER_STOLEN] * share);
	known.run_queue_ns = (uint64_t)((double)ledger->ns[FNP_LEDGER_RUN_QUEUE] * share);
	known.on_cpu_ns = gc->gc_ns;
	return known;
}

void fnp_ledger_take_gc(struct fnp_ledger *ledger, const struct fnp_ledger_gc *gc)
{
	static const enum fnp_ledger_line quiet[] = {FNP_LEDGER_LOCK, FNP_LEDGER_PAGE_FAULT, FNP_LEDGER_OTHER,
						     FNP_LEDGER_WAITING_ASYNC, FNP_LEDGER_POLL};
	struct fnp_ledger_gc known = gc->known ? *gc : estimate(ledger, gc);
	uint64_t left_ns = gc->gc_ns;

	if (!ledger->known)
		return;
	ledger->has_gc = true;
	left_ns -= take(ledger, FNP_LEDGER_STOLEN, FNP_MIN(known.stolen_ns, left_ns));
	left_ns -= take(ledger, FNP_LEDGER_RUN_QUEUE, FNP_MIN(known.run_queue_ns, left_ns));
	left_ns -= take(ledger, FNP_LEDGER_ON_CPU, FNP_MIN(known.on_cpu_ns, left_ns));
	for (size_t i = 0; i < (gc->known ? FNP_ARRAY_SIZE(quiet) : 3); i++)
		left_ns -= take(ledger, quiet[i], left_ns);
}
