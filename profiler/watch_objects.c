/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that nobody refers to any more are closed: a host that builds or deploys runs ever new ones, and each takes memory,
 * and, when it was deleted, its place on the disk.
 *
 * Numbers of objects stand in the mappings of processes, which are kept until the last samples of a dead one are in, and in
 * the stacks of open rows. What is in neither is kept a while, since many programs come back, and then closed. What knows an
 * object by its address forgets it first. Files of runtimes, and those that probes sit on, stay: they are few, and layouts
 * in the kernel and links to it are made of them.
 */
#include "base/clock.h"
#include "profiler/watch_state.h"

#define SWEEP_NS (10 * FNP_NS_PER_S)
#define KEPT_SWEEPS 3 /* a file is closed 20 to 30 s after it was last referred to */
#define OBJECTS_MANY                                                                                         \
	1024 /* then at once: each takes 10 to 20 KiB, and the kernel bounds how many are mapped */

static void mark_process(void *self, struct fnp_process *process)
{
	struct fnp_watch *watch = self;

	fnp_objects_mark(watch->objects, process->program_object);
	for (size_t i = 0; i < process->mappings.len; i++)
		fnp_objects_mark(watch->objects, process->mappings.items[i].object);
}

static void mark_stack(void *self, struct fnp_row_stack *one)
{
	struct fnp_watch *watch = self;
	size_t bytes;
	const struct fnp_frame *frames = fnp_intern_get(fnp_samples_epoch(watch->samples)->stacks, one->stack,
							&bytes);

	for (size_t i = 0; i < bytes / sizeof(*frames); i++) {
		if (frames[i].kind == FNP_FRAME_NATIVE && !fnp_frame_is_named(&frames[i]))
			fnp_objects_mark(watch->objects, frames[i].object);
	}
}

static bool may_go(void *self, const struct fnp_target_object *object)
{
	struct fnp_watch *watch = self;

	if (object->elf && !(fnp_probes_let_go(watch->probes, object->elf) &&
			     fnp_runtimes_let_go(watch->runtimes, object->elf)))
		return false;
	fnp_tables_forget(fnp_spaces_tables(watch->spaces), object->id);
	return true;
}

void fnp_watch_sweep_objects(struct fnp_watch *watch)
{
	struct fnp_objects_sweep how = {.sweeps = KEPT_SWEEPS, .may_go = may_go, .self = watch};
	size_t many = FNP_MAX(watch->sweep_at, (size_t)OBJECTS_MANY);

	if (fnp_objects_count(watch->objects) >= many)
		how.sweeps = 1;
	else if (watch->now_ns < watch->swept_ns + SWEEP_NS)
		return;
	watch->swept_ns = watch->now_ns;
	fnp_processes_each(watch->processes, mark_process, watch);
	fnp_invocations_each_stack(watch->invocations, NULL, mark_stack, watch);
	fnp_objects_sweep(watch->objects, &how);
	fnp_profiles_forget_closed(watch->profiles);
	watch->sweep_at = 2 * fnp_objects_count(watch->objects);
}
