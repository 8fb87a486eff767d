/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layouts of runtimes in their walkers' maps: under which number the kernel side finds each.
 *
 * Most are of a file, and stay as long as we run; those of runtimes that say so (fnp_runtime_ops.of_process) are of one
 * process, and their numbers are used again.
 */
#ifndef FNP_PROFILER_RUNTIME_LAYOUTS_H
#define FNP_PROFILER_RUNTIME_LAYOUTS_H

#include "base/map.h"
#include "symbolizer/runtime.h"

#define FNP_RUNTIME_LAYOUTS_OF_PROCESSES 256
#define FNP_RUNTIME_LAYOUT_NONE UINT32_MAX

/* All zero at first, but for the callback. */
struct fnp_runtime_layouts {
	/* The file descriptor of a walker's map of layouts, by its name; negative: that walker is not loaded. */
	int (*fd)(void *self, const char *name);
	void *self;
	struct fnp_map of_objects; /* struct fnp_object * -> number */
	uint32_t n_objects;
	bool of_processes[FNP_RUNTIME_LAYOUTS_OF_PROCESSES]; /* numbers in use */
};

void fnp_runtime_layouts_deinit(struct fnp_runtime_layouts *layouts);

/* The number of a file's layout; put there when it is new. -ENOENT: the walker is not loaded; -errno. */
int fnp_runtime_layouts_put(struct fnp_runtime_layouts *layouts, const struct fnp_runtime_ops *ops,
			    const struct fnp_runtime *runtime, const struct fnp_object *object, uint64_t *ret);

/*
 * Puts a process's own layout, under the number in *number; where that is FNP_RUNTIME_LAYOUT_NONE it gets one first, also
 * when putting fails then. It is the caller's until fnp_runtime_layouts_release(). -ENOENT as above, -ENOSPC, -errno.
 */
int fnp_runtime_layouts_put_own(struct fnp_runtime_layouts *layouts, const struct fnp_runtime_ops *ops,
				const struct fnp_runtime *runtime, uint32_t *number);
void fnp_runtime_layouts_release(struct fnp_runtime_layouts *layouts, uint32_t number);

#endif
