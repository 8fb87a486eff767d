/* SPDX-License-Identifier: Apache-2.0 */
/* The budget of off-CPU stacks, which the switch collector spends. */
#ifndef FNP_PROFILER_COLLECTORS_OFFCPU_H
#define FNP_PROFILER_COLLECTORS_OFFCPU_H

#include <stdint.h>

/* What may be spent on a CPU in 100 ms. */
struct fnp_off_cpu_budget {
	uint32_t stacks;   /* 0: none at all */
	uint32_t least_ns; /* so much time in any case */
	uint32_t share;	   /* of what watched threads ran, in 2^-20 */
};

/*
 * At this sampling rate: as many stacks as take (at 99 Hz) 0.15 % of what watched threads run, or 0.05 % of the processor, and
 * twice as many as there are ticks at most. FNPROF_OFF_CPU=0 in the environment takes none at all, any other number is how
 * many, whatever time they take.
 */
struct fnp_off_cpu_budget fnp_off_cpu_budget(uint32_t rate_hz);

#endif
