/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/runtimes.h"

#include <errno.h>

#include "base/map.h"

#define MAPPINGS_MAX 1024

struct fnp_runtimes {
	struct fnp_objects *objects;
	struct fnp_map ids; /* struct fnp_object * -> struct fnp_runtime_id *, owned */
};

int fnp_runtimes_create(struct fnp_objects *objects, struct fnp_runtimes **ret)
{
	struct fnp_runtimes *runtimes = calloc(1, sizeof(*runtimes));

	if (!runtimes)
		return -ENOMEM;
	runtimes->objects = objects;
	*ret = runtimes;
	return 0;
}

void fnp_runtimes_destroy(struct fnp_runtimes *runtimes)
{
	if (!runtimes)
		return;
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&runtimes->ids, s));)
		free((void *)(uintptr_t)s->value);
	fnp_map_deinit(&runtimes->ids);
	free(runtimes);
}

/* Recognising a file takes milliseconds; the answer is kept as long as we run. */
static const struct fnp_runtime_id *id_of(struct fnp_runtimes *runtimes, const struct fnp_object *object)
{
	uint64_t key = (uint64_t)(uintptr_t)object;
	struct fnp_runtime_id *id = fnp_map_find_ptr(&runtimes->ids, key);

	if (id)
		return id;
	id = calloc(1, sizeof(*id));
	if (!id)
		return NULL;
	fnp_runtime_recognise(object, id);
	if (fnp_map_set_ptr(&runtimes->ids, key, id) < 0) {
		free(id);
		return NULL;
	}
	return id;
}

static void recognise(void *self, const struct fnp_object *object, struct fnp_runtime_id *ret)
{
	const struct fnp_runtime_id *id = id_of(self, object);

	if (id)
		*ret = *id;
}

static int by_start(const void *a, const void *b)
{
	uint64_t x = ((const struct fnp_runtime_mapping *)a)->start, y = ((const struct fnp_runtime_mapping *)b)->start;
	return x < y ? -1 : x > y;
}

/* The mappings of the present image, as the symbolizer wants them. */
static size_t list_mappings(struct fnp_runtimes *runtimes, const struct fnp_process *process,
			    struct fnp_runtime_mapping ret[MAPPINGS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < process->mappings.len && n < MAPPINGS_MAX; i++) {
		const struct fnp_mapping *m = &process->mappings.items[i];
		const struct fnp_target_object *object = fnp_objects_get(runtimes->objects, m->object);

		if (m->from_ns < process->image_ns || !object || !object->elf)
			continue;
		ret[n++] = (struct fnp_runtime_mapping){.start = m->start, .limit = m->end, .offset = m->offset,
							.object = object->elf, .executable = true};
	}
	qsort(ret, n, sizeof(ret[0]), by_start);
	return n;
}

const char *fnp_runtimes_process_name(struct fnp_runtimes *runtimes, const struct fnp_process *process)
{
	struct fnp_runtime_mapping mappings[MAPPINGS_MAX];
	struct fnp_runtime_match matches[FNP_RUNTIME_MATCHES_MAX];
	struct fnp_runtime_process view = {.pid = (pid_t)process->pid, .mappings = mappings};

	view.n_mappings = list_mappings(runtimes, process, mappings);
	if (view.n_mappings == 0)
		return NULL;
	if (fnp_runtime_find(&view, recognise, runtimes, matches) == 0)
		return "native";
	return id_of(runtimes, matches[0].object)->text;
}

const struct fnp_runtime_frame *fnp_runtimes_name(struct fnp_runtimes *runtimes, const struct fnp_process *process,
						  const uint64_t *words, size_t n_words)
{
	(void)runtimes;
	(void)process;
	(void)words;
	(void)n_words;
	return NULL;
}
