/* SPDX-License-Identifier: Apache-2.0 */
/* The budget of off-CPU stacks, which the switch collector spends. */
#ifndef FNP_PROFILER_COLLECTORS_OFFCPU_H
#define FNP_PROFILER_COLLECTORS_OFFCPU_H

#include <stdint.h>

/*
 * Stacks a CPU in 100 ms at this sampling rate: twice as many as there are ticks. FNPROF_OFF_CPU=0 in the environment
 * takes none at all, any other number is the budget.
 */
uint32_t fnp_off_cpu_budget(uint32_t rate_hz);

#endif
