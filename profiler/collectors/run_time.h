/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long our programs run in the kernel. To count it costs each run of each BPF program of the host two looks at the
 * clock, about 70 ns: as much as what a context switch of a program that nobody watches pays besides. So it is counted a tenth of
 * the time, a second in ten, and what was counted then stands for the whole. Not more often: to begin and to end stops all
 * processors for a moment, which costs us a millisecond.
 */
#ifndef FNP_PROFILER_COLLECTORS_RUN_TIME_H
#define FNP_PROFILER_COLLECTORS_RUN_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* When it is counted. Zeros: not begun. */
struct fnp_duty {
	uint64_t begun_ns, turned_ns; /* turned: on or off, since then */
	uint64_t on_ns;		      /* time that it was on, before this turn */
	bool on;
};

/* Whether it is to be on from now on; the first call begins. */
bool fnp_duty_turn(struct fnp_duty *duty, uint64_t now_ns);

/* What `counted` while it was on comes to for the whole time until now. */
uint64_t fnp_duty_scale(const struct fnp_duty *duty, uint64_t now_ns, uint64_t counted);

struct fnp_run_time {
	struct fnp_duty duty; /* of what comes after the first second */
	uint64_t begun_ns;
	uint64_t first_counted_ns; /* in the first second, which stands for itself: beginnings are dear */
	int stats_fd;		   /* the kernel counts while it is open; others may have it count, too */
	bool refused;		   /* this kernel counts for none of us */
	uint64_t at_on_ns;	   /* the programs' sum when counting began last */
	uint64_t counted_ns;	   /* in the times that the duty was on, before this turn */
};
#define FNP_RUN_TIME_NONE ((struct fnp_run_time){.stats_fd = -1})

/* To be called some ten times a second. `programs`: descriptors. */
void fnp_run_time_turn(struct fnp_run_time *run_time, uint64_t now_ns, const int *programs, size_t n_programs);

/* The estimate up to now; false when there is none. */
bool fnp_run_time_read(const struct fnp_run_time *run_time, uint64_t now_ns, const int *programs,
		       size_t n_programs, uint64_t *ret_ns);

void fnp_run_time_deinit(struct fnp_run_time *run_time);

#endif
