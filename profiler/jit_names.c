/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/jit_names.h"

#include <errno.h>

#include "base/clock.h"

#define PERF_MAP_AGAIN_NS FNP_NS_PER_S

void fnp_jit_names_deinit(struct fnp_jit_names *names)
{
	fnp_jitdump_destroy(names->jitdump);
	fnp_perf_map_destroy(names->perf_map);
}

const struct fnp_mapping *fnp_jit_names_dump_of(const struct fnp_objects *objects,
						const struct fnp_process *process)
{
	for (size_t i = process->mappings.len; i-- > 0;) {
		const struct fnp_mapping *m = &process->mappings.items[i];
		const struct fnp_target_object *object = fnp_objects_get(objects, m->object);

		if (m->from_ns >= process->image_ns && object && !object->elf &&
		    fnp_jitdump_is_name(object->path))
			return m;
	}
	return NULL;
}

void fnp_jit_names_open_dump(struct fnp_jit_names *names, const struct fnp_objects *objects,
			     const struct fnp_process *process, const struct fnp_mapping *mapping)
{
	const struct fnp_target_object *object = fnp_objects_get(objects, mapping->object);

	if (!object || names->jitdump || names->jitdump_looked == process->maps_generation)
		return;
	names->jitdump_looked = process->maps_generation;
	if (fnp_jitdump_open((pid_t)process->pid, mapping->start, mapping->end, object->path,
			     &names->jitdump) < 0)
		names->jitdump = NULL;
}

static struct fnp_perf_map *perf_map_of(struct fnp_jit_names *names, uint32_t pid)
{
	uint64_t now_ns = fnp_clock_ns();

	if (!names->perf_map && now_ns - names->perf_map_looked_ns >= PERF_MAP_AGAIN_NS) {
		names->perf_map_looked_ns = now_ns;
		if (fnp_perf_map_open((pid_t)pid, &names->perf_map) < 0)
			names->perf_map = NULL;
	}
	return names->perf_map;
}

int fnp_jit_names_find(struct fnp_jit_names *names, uint32_t pid, uint64_t address, uint64_t time_ns,
		       struct fnp_jitdump_place *ret)
{
	struct fnp_jitdump_place place = {.file = ""};
	struct fnp_perf_map *map;

	if (names->jitdump && fnp_jitdump_find(names->jitdump, address, time_ns, ret) == 0)
		return 0;
	map = perf_map_of(names, pid);
	if (!map || fnp_perf_map_find(map, address, &place.name, &place.start) < 0)
		return -ENOENT;
	*ret = place;
	return 0;
}
