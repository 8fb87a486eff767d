/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/targets/spaces.h"

#include <bpf/bpf.h>
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

#define CATCH_UP_NS (FNP_NS_PER_S / 10)
#define NO_ADDRESS UINT16_MAX /* in fnp_code_range.data: a mapping of a file's part that no segment has */

/* A watched process. */
struct member {
	uint32_t pid;
	uint32_t space; /* index; of meaning when `published` */
	bool published;
	uint64_t image_ns;	/* the image that `special` was said of */
	uint64_t told_image_ns; /* the image that the kernel side was told of last */
	uint64_t generation;
	bool is_expecting; /* a runtime that will take code without a file */
	bool is_behind;	   /* there was no room for what it has mapped since */
	FNP_VEC(struct fnp_code_special) special;
	struct fnp_space_words words;
};

struct fnp_spaces {
	struct fnp_objects *objects;
	struct fnp_tables *tables;
	int pids_fd;
	struct fnp_space_pool *pool;
	struct fnp_map members; /* pid -> struct member */
	fnp_code_range_vec scratch;
	uint32_t n_behind;
	uint64_t catch_up_ns; /* not before */
};

int fnp_spaces_create(const struct fnp_spaces_fds *fds, struct fnp_objects *objects, struct fnp_spaces **ret)
{
	FNP_CLEANUP(fnp_spaces_destroyp) struct fnp_spaces *spaces = calloc(1, sizeof(*spaces));
	int r;

	if (!spaces)
		return -ENOMEM;
	spaces->objects = objects;
	spaces->pids_fd = fds->fnp_pid_spaces;
	r = fnp_tables_create(fds->fnp_native_tables, fds->fnp_arenas, FNP_SPACES_TABLE_BYTES_MAX,
			      &spaces->tables);
	if (r == 0)
		r = fnp_space_pool_create(fds->fnp_spaces, fds->fnp_code_ranges, spaces->tables, &spaces->pool);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(spaces);
	return 0;
}

static void member_destroy(struct member *member)
{
	if (!member)
		return;
	fnp_vec_deinit(&member->special);
	free(member);
}

void fnp_spaces_destroy(struct fnp_spaces *spaces)
{
	if (!spaces)
		return;
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&spaces->members, s));)
		member_destroy((struct member *)(uintptr_t)s->value);
	fnp_map_deinit(&spaces->members);
	fnp_vec_deinit(&spaces->scratch);
	fnp_space_pool_destroy(spaces->pool);
	fnp_tables_destroy(spaces->tables);
	free(spaces);
}

struct fnp_tables *fnp_spaces_tables(struct fnp_spaces *spaces)
{
	return spaces->tables;
}

/* ---- from mappings to code ranges ---- */

/* Which code a mapping shows: rows of its object, or, where it has no file, code that a JIT wrote. */
static struct fnp_code_range range_of(const struct fnp_spaces *spaces, const struct member *member,
				      const struct fnp_mapping *mapping)
{
	struct fnp_code_range range = {.start = mapping->start, .end = mapping->end};
	const struct fnp_target_object *object = fnp_objects_get(spaces->objects, mapping->object);
	uint64_t address;

	if (!object) {
		range.kind = FNP_CODE_FRAME_POINTER;
		for (uint16_t i = 0; member && i < FNP_SPACE_RUNTIMES; i++) {
			if (member->words.runtime[i][FNP_SPACE_RUNTIME_ANONYMOUS]) {
				range.kind = FNP_CODE_PYTHON + i;
				range.data = FNP_SPACE_ANONYMOUS;
			}
		}
		if (member && member->is_expecting && range.kind == FNP_CODE_FRAME_POINTER) {
			range.kind = FNP_CODE_NATIVE; /* of an object without a table */
			range.data = FNP_SPACE_EXPECTED;
		}
		return range;
	}
	range.kind = FNP_CODE_NATIVE;
	range.object = mapping->object; /* becomes the table's slot once the ranges are final */
	if (object->elf && fnp_object_address_of_offset(object->elf, mapping->offset, &address) == 0)
		range.bias = mapping->start - address;
	else if (object->elf)
		range.data = NO_ADDRESS;
	return range;
}

static int paint_special(fnp_code_range_vec *ranges, const struct member *member)
{
	for (size_t i = 0; i < member->special.len; i++) {
		const struct fnp_code_special *s = &member->special.items[i];
		struct fnp_code_range new = {.start = s->start, .end = s->end, .kind = s->kind, .data = s->data};

		for (size_t k = 0; k < ranges->len; k++) {
			const struct fnp_code_range *r = &ranges->items[k];
			if (r->start <= s->start && s->start < r->end) {
				new.object = r->object;
				new.bias = r->bias;
				break;
			}
		}
		if (s->end > s->start && fnp_code_ranges_paint(ranges, &new) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* From numbers of objects to slots of tables, with a user each. */
static void use_tables(struct fnp_spaces *spaces, fnp_code_range_vec *ranges)
{
	for (size_t i = 0; i < ranges->len; i++) {
		struct fnp_code_range *range = &ranges->items[i];
		const struct fnp_target_object *object = fnp_objects_get(spaces->objects, range->object);

		if (range->data == NO_ADDRESS && object)
			range->object = FNP_TABLES_SLOT_NEVER;
		else
			range->object = object ? fnp_tables_use(spaces->tables, range->object, object->elf) : 0;
	}
}

void fnp_spaces_release_ranges(struct fnp_spaces *spaces, fnp_code_range_vec *ranges)
{
	fnp_space_pool_drop(spaces->pool, ranges);
}

int fnp_spaces_ranges_at(struct fnp_spaces *spaces, const struct fnp_process *process, uint64_t time_ns,
			 fnp_code_range_vec *ret)
{
	const struct member *member = fnp_map_find_ptr(&spaces->members, process->pid);
	const struct member *known = member && member->image_ns == process->image_ns ? member : NULL;
	int r = 0;

	ret->len = 0;
	for (size_t i = 0; r == 0 && i < process->mappings.len; i++) {
		const struct fnp_mapping *m = &process->mappings.items[i];
		struct fnp_code_range range;

		/* [vsyscall] stands among the kernel's addresses; nothing can be walked from there. */
		if (m->from_ns > time_ns || m->end <= m->start || m->end >> 63 ||
		    (m->from_ns < process->image_ns && process->image_ns <= time_ns))
			continue;
		range = range_of(spaces, known, m);
		r = fnp_code_ranges_paint(ret, &range);
	}
	if (r == 0 && known)
		r = paint_special(ret, known);
	if (r < 0) {
		ret->len = 0;
		return r;
	}
	fnp_code_ranges_merge(ret);
	use_tables(spaces, ret);
	return 0;
}

void fnp_spaces_runtime_words(const struct fnp_spaces *spaces, uint32_t pid,
			      uint64_t ret[FNP_SPACE_RUNTIMES][FNP_SPACE_RUNTIME_WORDS])
{
	const struct member *member = fnp_map_find_ptr(&spaces->members, pid);

	memset(ret, 0, sizeof(member->words.runtime));
	if (member)
		memcpy(ret, member->words.runtime, sizeof(member->words.runtime));
}

/* ---- members ---- */

static struct member *member_of(struct fnp_spaces *spaces, uint32_t pid)
{
	struct member *member = fnp_map_find_ptr(&spaces->members, pid);

	if (member)
		return member;
	member = calloc(1, sizeof(*member));
	if (!member)
		return NULL;
	member->pid = pid;
	if (fnp_map_set_ptr(&spaces->members, pid, member) < 0) {
		free(member);
		return NULL;
	}
	return member;
}

/*
 * Does the kernel side have another space for the process than this one? It has where a parent forked after it had mapped
 * something and before we published that: its child was given the space of before, and nobody else would mend that.
 */
static bool kernel_is_behind(const struct fnp_spaces *spaces, uint32_t pid, const struct fnp_space_ref *ref)
{
	struct fnp_space_ref there;

	return bpf_map_lookup_elem(spaces->pids_fd, &pid, &there) == 0 && there.space < FNP_SPACES_MAX &&
	       (there.space != ref->space || there.version != ref->version);
}

/*
 * The kernel side copies a parent's reference at fork and leaves a tombstone at exec. What we learn about an image late
 * must not bring it back: for the image that was told of before, a tombstone stays.
 */
static int tell_kernel(struct fnp_spaces *spaces, struct member *member, uint32_t index, bool same_image)
{
	struct fnp_space_ref ref = {.space = index, .version = fnp_space_pool_version(spaces->pool, index)};

	member->told_image_ns = member->image_ns;
	if (spaces->pids_fd < 0)
		return 0;
	if (bpf_map_update_elem(spaces->pids_fd, &member->pid, &ref, same_image ? BPF_NOEXIST : BPF_ANY) == 0)
		return 0;
	if (!same_image || errno != EEXIST)
		return -errno;
	if (!kernel_is_behind(spaces, member->pid, &ref))
		return 0;
	return bpf_map_update_elem(spaces->pids_fd, &member->pid, &ref, BPF_ANY) < 0 ? -errno : 0;
}

static int publish(struct fnp_spaces *spaces, struct member *member, fnp_code_range_vec *ranges)
{
	uint32_t index, old = member->space;
	bool had = member->published;
	int r;

	if (had && fnp_space_pool_is(spaces->pool, old, ranges, &member->words)) {
		fnp_spaces_release_ranges(spaces, ranges);
		return tell_kernel(spaces, member, old, member->told_image_ns == member->image_ns);
	}
	r = fnp_space_pool_take(spaces->pool, ranges, &member->words, &index);
	if (r < 0)
		return r;
	r = tell_kernel(spaces, member, index, false);
	if (r < 0) {
		fnp_space_pool_give(spaces->pool, index);
		return r;
	}
	member->space = index;
	member->published = true;
	if (had)
		fnp_space_pool_give(spaces->pool, old);
	return 0;
}

static void set_behind(struct fnp_spaces *spaces, struct member *member, bool is_behind)
{
	if (is_behind && !member->is_behind)
		spaces->n_behind++;
	if (!is_behind && member->is_behind)
		spaces->n_behind--;
	member->is_behind = is_behind;
}

/* Is all that the member's published space says true of these ranges, too? Then it only lacks something. */
static bool still_holds(const struct fnp_spaces *spaces, const struct member *member,
			const fnp_code_range_vec *ranges)
{
	const struct fnp_code_range *published;
	uint32_t count;
	size_t k = 0;

	if (!member->published || !fnp_space_pool_has_words(spaces->pool, member->space, &member->words))
		return false;
	published = fnp_space_pool_ranges(spaces->pool, member->space, &count);
	for (uint32_t i = 0; i < count; i++) {
		const struct fnp_code_range *old = &published[i];
		while (k < ranges->len && ranges->items[k].end <= old->start)
			k++;
		if (k == ranges->len || ranges->items[k].start > old->start ||
		    ranges->items[k].end < old->end || !fnp_code_range_same(old, &ranges->items[k]))
			return false;
	}
	return true;
}

/* What the kernel side has is out of date, and cannot be replaced: no space is better than a wrong one. */
static void withdraw(struct fnp_spaces *spaces, struct member *member)
{
	struct fnp_space_ref none = {.space = FNP_SPACES_MAX};

	if (spaces->pids_fd >= 0)
		bpf_map_update_elem(spaces->pids_fd, &member->pid, &none, BPF_ANY);
	if (member->published)
		fnp_space_pool_give(spaces->pool, member->space);
	member->published = false;
}

/* Nothing to do when only the last mapping is new, and it shows what was there already (JITs change protections). */
static bool nothing_new(const struct fnp_spaces *spaces, const struct member *member,
			const struct fnp_process *process)
{
	const struct fnp_code_range *published;
	const struct fnp_mapping *last;
	struct fnp_code_range range;
	uint32_t count;

	if (!member->published || process->maps_generation != member->generation + 1 ||
	    process->mappings.len == 0 || member->image_ns != process->image_ns)
		return false;
	last = &process->mappings.items[process->mappings.len - 1];
	if (last->object != FNP_OBJECT_NONE)
		return false;
	range = range_of(spaces, member, last);
	published = fnp_space_pool_ranges(spaces->pool, member->space, &count);
	for (uint32_t i = 0; i < count; i++) {
		const struct fnp_code_range *r = &published[i];
		if (r->start <= range.start && range.end <= r->end)
			return r->object == 0 && r->kind != FNP_CODE_NATIVE;
	}
	return false;
}

/* Forgets what was said of an older image. */
static void turn_to_image(struct member *member, const struct fnp_process *process)
{
	if (member->image_ns == process->image_ns)
		return;
	member->special.len = 0;
	member->words = (struct fnp_space_words){0};
	member->is_expecting = false;
	member->image_ns = process->image_ns;
}

void fnp_spaces_update(void *self, struct fnp_process *process)
{
	struct fnp_spaces *spaces = self;
	struct member *member = member_of(spaces, process->pid);
	bool same;
	int r;

	if (!member) {
		fnp_warning_once("no memory for the code ranges of process %u", process->pid);
		return;
	}
	same = nothing_new(spaces, member, process);
	member->generation = process->maps_generation;
	if (same)
		return;
	turn_to_image(member, process);
	r = fnp_spaces_ranges_at(spaces, process, UINT64_MAX, &spaces->scratch);
	if (r == 0)
		r = publish(spaces, member, &spaces->scratch);
	set_behind(spaces, member, r < 0);
	if (r < 0 && (spaces->scratch.len == 0 || !still_holds(spaces, member, &spaces->scratch)))
		withdraw(spaces, member);
	fnp_spaces_release_ranges(spaces, &spaces->scratch);
	if (r < 0)
		fnp_warning_once(
			"no room for the code ranges of process %u (%s) at the moment: stacks through what "
			"it has just mapped are walked in user space",
			process->pid, strerror(-r));
}

void fnp_spaces_catch_up(struct fnp_spaces *spaces, struct fnp_processes *processes)
{
	FNP_VEC(uint32_t) behind = {0};
	uint64_t now_ns;

	if (spaces->n_behind == 0)
		return;
	now_ns = fnp_clock_ns();
	if (now_ns < spaces->catch_up_ns)
		return;
	spaces->catch_up_ns = now_ns + CATCH_UP_NS;
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&spaces->members, s));) {
		struct member *member = (struct member *)(uintptr_t)s->value;
		if (member->is_behind && fnp_vec_push(&behind, member->pid) == 0)
			member->generation = UINT64_MAX - 1; /* whatever the mappings say, this is new */
	}
	for (size_t i = 0; i < behind.len; i++) {
		struct fnp_process *process = fnp_processes_find(processes, behind.items[i]);
		if (process)
			fnp_spaces_update(spaces, process);
	}
	fnp_vec_deinit(&behind);
}

void fnp_spaces_fork(struct fnp_spaces *spaces, uint32_t pid, uint32_t child_pid)
{
	const struct member *parent;
	struct member *child = fnp_map_find_ptr(&spaces->members, child_pid);

	if (child) { /* of an older process with this number */
		set_behind(spaces, child, false);
		if (child->published)
			fnp_space_pool_give(spaces->pool, child->space);
		fnp_map_remove(&spaces->members, child_pid);
		member_destroy(child);
	}
	child = member_of(spaces, child_pid);
	parent = fnp_map_find_ptr(&spaces->members, pid);
	if (!parent || !child || fnp_vec_append(&child->special, parent->special.items, parent->special.len) < 0)
		return;
	child->words = parent->words;
	child->image_ns = parent->image_ns;
	set_behind(spaces, child, parent->is_behind);
	if (parent->published) {
		child->space = parent->space;
		child->published = true;
		fnp_space_pool_hold(spaces->pool, child->space);
		tell_kernel(spaces, child, child->space, true);
	}
}

void fnp_spaces_remove(struct fnp_spaces *spaces, uint32_t pid)
{
	struct member *member = fnp_map_find_ptr(&spaces->members, pid);

	if (spaces->pids_fd >= 0)
		bpf_map_delete_elem(spaces->pids_fd, &pid);
	if (!member)
		return;
	set_behind(spaces, member, false);
	if (member->published)
		fnp_space_pool_give(spaces->pool, member->space);
	fnp_map_remove(&spaces->members, pid);
	member_destroy(member);
}

void fnp_spaces_expect_runtime(struct fnp_spaces *spaces, struct fnp_process *process, bool is_expected)
{
	struct member *member = member_of(spaces, process->pid);

	if (!member)
		return;
	turn_to_image(member, process);
	if (member->is_expecting == is_expected)
		return;
	member->is_expecting = is_expected;
	member->generation = UINT64_MAX - 1; /* whatever the mappings say, this is new */
	fnp_spaces_update(spaces, process);
}

int fnp_spaces_set_runtime(struct fnp_spaces *spaces, struct fnp_process *process, uint16_t kind,
			   const uint64_t words[FNP_SPACE_RUNTIME_WORDS],
			   const struct fnp_code_special *special, size_t n)
{
	struct member *member = member_of(spaces, process->pid);
	size_t kept = 0;

	if (!member)
		return -ENOMEM;
	if (kind < FNP_CODE_PYTHON || kind - FNP_CODE_PYTHON >= FNP_SPACE_RUNTIMES)
		return -EINVAL;
	turn_to_image(member, process);
	for (size_t i = 0; i < member->special.len; i++) {
		if (member->special.items[i].kind != kind)
			member->special.items[kept++] = member->special.items[i];
	}
	member->special.len = kept;
	if (fnp_vec_append(&member->special, special, n) < 0)
		return -ENOMEM;
	memcpy(member->words.runtime[kind - FNP_CODE_PYTHON], words, sizeof(member->words.runtime[0]));
	member->generation = UINT64_MAX - 1; /* whatever the mappings say, this is new */
	fnp_spaces_update(spaces, process);
	return 0;
}
