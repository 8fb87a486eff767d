/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recording as a whole: what summary.json says beside what the directory counts itself from the rows that it
 * wrote (samples, truncated stacks, processes).
 */
#ifndef FNP_PROFILER_OUTPUT_SUMMARY_H
#define FNP_PROFILER_OUTPUT_SUMMARY_H

#include "profiler/invocations/row.h"

/* What recording cost. */
struct fnp_summary_cost {
	uint64_t agent_cpu_ns;
	uint64_t bpf_ns;
	bool has_bpf_ns; /* false where the kernel does not count it: then it is absent */
	uint64_t rss_max_bytes;
	uint64_t bpf_map_bytes;
};

struct fnp_summary {
	uint64_t start_ns; /* CLOCK_MONOTONIC, of fnp_directory_begin() */
	uint64_t duration_ns;
	uint32_t rate_hz;
	uint64_t ticks;		       /* timer ticks that met a watched thread on a CPU */
	uint64_t losses[FNP_LOSS_MAX]; /* ticks; ticks = samples of all rows + losses */
	uint64_t ticks_missed;	       /* that never came: throttling, steal */
	uint64_t events_lost;	       /* lost records that are no ticks */
	uint64_t off_cpu_times;	       /* that watched threads left a CPU */
	uint64_t off_cpu_stacks;       /* of these, taken with a stack */
	uint64_t off_cpu_refused;      /* chosen, but there was no room */
	uint64_t off_cpu_refused_ns;   /* what those would have stood for, as it was expected */
	struct fnp_ledger_counts ledgers;
	uint64_t probes_late_processes; /* that ran code of a file before its probes sat */
	uint64_t probes_late_max_ns;
	struct fnp_summary_cost cost;
};

/* A process with its rows' CPU time; kept by the directory. */
struct fnp_summary_process {
	uint32_t pid;
	uint64_t process;	  /* with pid: which one (struct fnp_record) */
	char *function, *runtime; /* owned; NULL when not known */
	uint64_t cpu_ns;	  /* its own, counted apart from its rows */
	bool has_cpu;
	bool has_kind[FNP_ROW_KINDS];
	uint64_t rows_ns[FNP_ROW_KINDS]; /* cpu_ns of its rows, by kind */
};

/* What the directory counted. */
struct fnp_summary_counts {
	uint64_t samples;     /* sum over the index */
	uint64_t not_written; /* samples of rows that could not be written; a cause of loss */
	uint64_t truncated[FNP_TRUNCATION_MAX];
	const struct fnp_summary_process *processes;
	size_t n_processes;
	uint64_t processes_omitted; /* rows of processes past the table's bound */
	int64_t utc_offset_ns;
};

/* The text of summary.json, malloc'ed; 0 or -ENOMEM. */
int fnp_summary_encode(const struct fnp_summary *summary, const struct fnp_summary_counts *counts, char **ret);

const char *fnp_loss_name(enum fnp_loss_cause cause);
const char *fnp_truncation_name(enum fnp_truncation_cause cause);

#endif
