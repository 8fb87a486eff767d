/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A turn has two passes over all open rows: the first copies what they refer to and may fail, the second writes the new
 * numbers and cannot.
 */
#include "profiler/stack_table.h"

#include <errno.h>

#define TABLE_BYTES_MAX (48 << 20)
#define TURN_BYTES (6 << 20)
#define TURN_BYTES_MAX (TABLE_BYTES_MAX / 4 * 3)
#define SCARCE_BYTES (TABLE_BYTES_MAX / 6 * 5) /* of stacks */
#define REST 32 /* rounds until it is tried again, when rows kept most of a table */
#define NOT_MOVED UINT32_MAX

struct turn {
	const struct fnp_stack_epoch *from;
	struct fnp_stack_epoch *to;
	/* New numbers, by old number. */
	uint32_t *stacks, *strings, *managed;
	FNP_VEC(struct fnp_frame) frames; /* the stack that is being moved */
	FNP_VEC(uint64_t) name;		  /* the managed frame, likewise */
	int error;			  /* the first that happened; then nothing more is done */
};

bool fnp_frame_is_named(const struct fnp_frame *frame)
{
	return frame->kind == FNP_FRAME_PYTHON || frame->kind == FNP_FRAME_JVM ||
	       frame->kind == FNP_FRAME_V8 || (frame->kind == FNP_FRAME_NATIVE && frame->tier == FNP_TIER_JIT);
}

int fnp_stack_epoch_create(struct fnp_stack_epoch **ret)
{
	FNP_CLEANUP(fnp_stack_epoch_destroyp) struct fnp_stack_epoch *epoch = calloc(1, sizeof(*epoch));
	int r;

	if (!epoch)
		return -ENOMEM;
	r = fnp_intern_create(TABLE_BYTES_MAX, &epoch->stacks);
	r = r ?: fnp_intern_create(TABLE_BYTES_MAX, &epoch->strings);
	r = r ?: fnp_intern_create(TABLE_BYTES_MAX, &epoch->managed);
	if (r < 0)
		return r;
	epoch->turn_bytes = TURN_BYTES;
	*ret = TAKE_PTR(epoch);
	return 0;
}

void fnp_stack_epoch_destroy(struct fnp_stack_epoch *epoch)
{
	if (!epoch)
		return;
	fnp_intern_destroy(epoch->stacks);
	fnp_intern_destroy(epoch->strings);
	fnp_intern_destroy(epoch->managed);
	free(epoch);
}

bool fnp_stack_epoch_is_scarce(const struct fnp_stack_epoch *epoch)
{
	return fnp_intern_bytes(epoch->stacks) > SCARCE_BYTES;
}

size_t fnp_stack_epoch_bytes(const struct fnp_stack_epoch *epoch)
{
	return sizeof(*epoch) + fnp_intern_bytes(epoch->stacks) + fnp_intern_bytes(epoch->strings) +
	       fnp_intern_bytes(epoch->managed);
}

static void move_string(struct turn *turn, uint32_t *id)
{
	uint32_t *moved = &turn->strings[*id];

	if (turn->error == 0 && *moved == NOT_MOVED) {
		size_t len;
		const char *text = fnp_intern_get(turn->from->strings, *id, &len);
		turn->error = fnp_intern_add(turn->to->strings, text, len, moved);
	}
	if (turn->error == 0)
		*id = *moved;
}

static void move_managed(struct turn *turn, uint32_t *id)
{
	uint32_t *moved = &turn->managed[*id];
	struct fnp_managed_frame *frame;
	const void *old;
	size_t len;

	if (turn->error == 0 && *moved == NOT_MOVED) {
		old = fnp_intern_get(turn->from->managed, *id, &len);
		turn->error = fnp_vec_reserve(&turn->name, len / sizeof(uint64_t) + 1);
		if (turn->error < 0)
			return;
		frame = memcpy(turn->name.items, old, len);
		move_string(turn, &frame->mapping);
		for (uint32_t i = 0; i < frame->n_lines; i++) {
			move_string(turn, &frame->lines[i].name);
			move_string(turn, &frame->lines[i].file);
		}
		if (turn->error == 0)
			turn->error = fnp_intern_add(turn->to->managed, frame, len, moved);
	}
	if (turn->error == 0)
		*id = *moved;
}

static void move_stack(struct turn *turn, uint32_t id)
{
	uint32_t *moved = &turn->stacks[id];
	const void *old;
	size_t len;

	if (turn->error < 0 || *moved != NOT_MOVED)
		return;
	old = fnp_intern_get(turn->from->stacks, id, &len);
	turn->error = fnp_vec_reserve(&turn->frames, len / sizeof(struct fnp_frame));
	if (turn->error < 0)
		return;
	memcpy(turn->frames.items, old, len);
	for (size_t i = 0; i < len / sizeof(struct fnp_frame); i++) {
		if (fnp_frame_is_named(&turn->frames.items[i]))
			move_managed(turn, &turn->frames.items[i].object);
	}
	if (turn->error == 0)
		turn->error = fnp_intern_add(turn->to->stacks, turn->frames.items, len, moved);
}

static void copy_one(void *self, struct fnp_row_stack *one)
{
	struct turn *turn = self;
	uint32_t comm = one->comm;

	move_stack(turn, one->stack);
	move_string(turn, &comm);
}

static void renumber_one(void *self, struct fnp_row_stack *one)
{
	const struct turn *turn = self;

	one->stack = turn->stacks[one->stack];
	one->comm = turn->strings[one->comm];
}

/* Room for the new numbers of a table, none of them known. */
static int new_numbers(const struct fnp_intern *table, uint32_t **ret)
{
	size_t n = fnp_intern_count(table);
	uint32_t *numbers = malloc((n + 1) * sizeof(*numbers));

	if (!numbers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		numbers[i] = NOT_MOVED;
	*ret = numbers;
	return 0;
}

static int copy_all(struct turn *turn, struct fnp_invocations *invocations)
{
	int r = new_numbers(turn->from->stacks, &turn->stacks);

	r = r ?: new_numbers(turn->from->strings, &turn->strings);
	r = r ?: new_numbers(turn->from->managed, &turn->managed);
	if (r < 0)
		return r;
	fnp_invocations_each_stack(invocations, NULL, copy_one, turn);
	return turn->error;
}

static void turn_deinit(struct turn *turn)
{
	free(turn->stacks);
	free(turn->strings);
	free(turn->managed);
	fnp_vec_deinit(&turn->frames);
	fnp_vec_deinit(&turn->name);
}

int fnp_stack_epoch_turn(struct fnp_stack_epoch **epoch, struct fnp_invocations *invocations)
{
	FNP_CLEANUP(fnp_stack_epoch_destroyp) struct fnp_stack_epoch *next = NULL;
	FNP_CLEANUP(turn_deinit) struct turn turn = {.from = *epoch};
	size_t bytes = fnp_stack_epoch_bytes(*epoch);
	int r;

	if (bytes < (*epoch)->turn_bytes)
		return 0;
	if ((*epoch)->rest > 0) {
		(*epoch)->rest--;
		return 0;
	}
	(*epoch)->rest = REST; /* should this one fail */
	r = fnp_stack_epoch_create(&next);
	if (r < 0)
		return r;
	turn.to = next;
	r = copy_all(&turn, invocations);
	if (r < 0)
		return r;
	fnp_invocations_each_stack(invocations, next, renumber_one, &turn);
	/* Below where it is full, or what left later would never make room. */
	next->turn_bytes = FNP_MAX((size_t)TURN_BYTES, 2 * fnp_stack_epoch_bytes(next));
	next->turn_bytes = FNP_MIN(next->turn_bytes, (size_t)TURN_BYTES_MAX);
	next->rest = fnp_stack_epoch_bytes(next) > bytes / 2 ? REST : 0;
	fnp_stack_epoch_destroy(*epoch);
	*epoch = TAKE_PTR(next);
	return 0;
}
