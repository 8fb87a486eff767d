/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/runtime_layouts.h"

#include <bpf/bpf.h>
#include <errno.h>

void fnp_runtime_layouts_deinit(struct fnp_runtime_layouts *layouts)
{
	fnp_map_deinit(&layouts->of_objects);
}

static int put(int fd, uint32_t number, const struct fnp_runtime_ops *ops, const struct fnp_runtime *runtime)
{
	size_t size;
	const void *layout = ops->layout(runtime, &size);

	return bpf_map_update_elem(fd, &number, layout, BPF_ANY) < 0 ? -errno : 0;
}

int fnp_runtime_layouts_put(struct fnp_runtime_layouts *layouts, const struct fnp_runtime_ops *ops,
			    const struct fnp_runtime *runtime, const struct fnp_object *object, uint64_t *ret)
{
	uint64_t key = (uint64_t)(uintptr_t)object;
	const uint64_t *known = fnp_map_find(&layouts->of_objects, key);
	int fd = layouts->fd(layouts->self, ops->layouts);
	int r;

	if (known) {
		*ret = *known;
		return 0;
	}
	if (fd < 0)
		return -ENOENT;
	r = put(fd, layouts->n_objects, ops, runtime);
	if (r == 0)
		r = fnp_map_set(&layouts->of_objects, key, layouts->n_objects);
	if (r < 0)
		return r;
	*ret = layouts->n_objects++;
	return 0;
}

int fnp_runtime_layouts_put_own(struct fnp_runtime_layouts *layouts, const struct fnp_runtime_ops *ops,
				const struct fnp_runtime *runtime, uint32_t *number)
{
	int fd = layouts->fd(layouts->self, ops->layouts);

	if (fd < 0)
		return -ENOENT;
	for (uint32_t i = 0; i < FNP_RUNTIME_LAYOUTS_OF_PROCESSES && *number == FNP_RUNTIME_LAYOUT_NONE; i++) {
		if (!layouts->of_processes[i])
			*number = i;
	}
	if (*number == FNP_RUNTIME_LAYOUT_NONE)
		return -ENOSPC;
	layouts->of_processes[*number] = true;
	return put(fd, *number, ops, runtime);
}

void fnp_runtime_layouts_release(struct fnp_runtime_layouts *layouts, uint32_t number)
{
	if (number < FNP_RUNTIME_LAYOUTS_OF_PROCESSES)
		layouts->of_processes[number] = false;
}
