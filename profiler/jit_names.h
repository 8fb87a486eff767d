/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of code that no ELF file holds, as its process tells them: in a jitdump, which knows times and lines, or in a perf
 * map (/tmp/perf-PID.map).
 */
#ifndef FNP_PROFILER_JIT_NAMES_H
#define FNP_PROFILER_JIT_NAMES_H

#include "profiler/targets/processes.h"
#include "symbolizer/jitdump.h"
#include "symbolizer/perf_map.h"

/* Of one process. All zero at first. */
struct fnp_jit_names {
	struct fnp_jitdump *jitdump;
	uint64_t jitdump_looked; /* maps_generation of the process when one was looked for */
	struct fnp_perf_map *perf_map;
	uint64_t perf_map_looked_ns; /* for one; 0: never */
};

void fnp_jit_names_deinit(struct fnp_jit_names *names);

/* The newest mapping of a process's present image that may be a jitdump; NULL. JITs map their dump so that it is found. */
const struct fnp_mapping *fnp_jit_names_dump_of(const struct fnp_objects *objects,
						const struct fnp_process *process);

/* Opens the dump that is mapped there, once for each state of the mappings. At once, for the process may be short. */
void fnp_jit_names_open_dump(struct fnp_jit_names *names, const struct fnp_objects *objects,
			     const struct fnp_process *process, const struct fnp_mapping *mapping);

/*
 * Which code lies at an address at a time; strings are valid until the next call. The map is looked for at the first such
 * address, and again after a second. -ENOENT.
 */
int fnp_jit_names_find(struct fnp_jit_names *names, uint32_t pid, uint64_t address, uint64_t time_ns,
		       struct fnp_jitdump_place *ret);

#endif
