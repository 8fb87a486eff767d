/* SPDX-License-Identifier: Apache-2.0 */
/* What open rows refer to outlives a turn of the stack table, under new numbers; the rest is freed. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "profiler/stack_table.h"
#include "tests/profiler/invocations/stage.h"

static uint32_t text(struct fnp_stack_epoch *epoch, const char *name)
{
	uint32_t id = 0;

	assert_int_equal(fnp_intern_text(epoch->strings, name, &id), 0);
	return id;
}

/* A stack of a Python function of this name, called by native code at `address`. */
static struct fnp_row_stack stack(struct fnp_stack_epoch *epoch, const char *name, uint64_t address)
{
	struct fnp_row_stack one = {.comm = text(epoch, "worker")};
	struct fnp_frame frames[2] = {{.kind = FNP_FRAME_PYTHON},
				      {.kind = FNP_FRAME_NATIVE, .address = address, .object = 7}};
	union {
		struct fnp_managed_frame frame;
		uint8_t bytes[sizeof(struct fnp_managed_frame) + sizeof(struct fnp_managed_line)];
	} managed = {.frame = {.address = address, .mapping = text(epoch, "[python]"), .n_lines = 1}};

	managed.frame.lines[0] = (struct fnp_managed_line){text(epoch, name), text(epoch, "app.py"), 3, 4};
	assert_int_equal(fnp_intern_add(epoch->managed, &managed, sizeof(managed), &frames[0].object), 0);
	assert_int_equal(fnp_intern_add(epoch->stacks, frames, sizeof(frames), &one.stack), 0);
	return one;
}

/* Fills the table with what no row refers to, past its mark. */
static void litter(struct fnp_stack_epoch *epoch)
{
	char name[64];

	for (uint64_t i = 0; fnp_stack_epoch_bytes(epoch) < epoch->turn_bytes; i++) {
		snprintf(name, sizeof(name), "gone_%llu", (unsigned long long)i);
		stack(epoch, name, i);
	}
}

static void expect_stack(const struct fnp_stack_epoch *epoch, const struct fnp_row_stack *one,
			 const char *name, uint64_t address)
{
	size_t size;
	const struct fnp_frame *frames = fnp_intern_get(epoch->stacks, one->stack, &size);
	const struct fnp_managed_frame *managed;

	assert_int_equal(size, 2 * sizeof(*frames));
	assert_int_equal(frames[1].address, address);
	assert_int_equal(frames[1].object, 7);
	managed = fnp_intern_get(epoch->managed, frames[0].object, &size);
	assert_int_equal(managed->n_lines, 1);
	assert_int_equal(managed->lines[0].line, 4);
	assert_string_equal(fnp_intern_get_text(epoch->strings, managed->lines[0].name), name);
	assert_string_equal(fnp_intern_get_text(epoch->strings, managed->lines[0].file), "app.py");
	assert_string_equal(fnp_intern_get_text(epoch->strings, managed->mapping), "[python]");
	assert_string_equal(fnp_intern_get_text(epoch->strings, one->comm), "worker");
}

static void sample(struct stage *s, struct fnp_stack_epoch *epoch, const char *name, uint64_t address)
{
	s->epoch = epoch;
	s->one = stack(epoch, name, address);
	take_sample(s, 10);
}

static void begin(struct stage *s, struct fnp_stack_epoch **ret)
{
	assert_int_equal(fnp_stack_epoch_create(ret), 0);
	stage_begin(s, FNP_MODE_HOST);
	play_exec(s, 10, "python3", LAMBDA);
	burn(s, 10, 5 * MS);
	play_next(s, 10, 1);
	play_work(s, 10, 1, "a");
}

static void small_table_is_left_alone(void **state)
{
	struct fnp_stack_epoch *epoch, *before;
	struct stage s;

	(void)state;
	begin(&s, &epoch);
	before = epoch;
	sample(&s, epoch, "handler", 0x10);
	assert_int_equal(fnp_stack_epoch_turn(&epoch, s.engine), 0);
	assert_ptr_equal(epoch, before);
	stage_end(&s);
	fnp_stack_epoch_destroy(epoch);
}

static void open_row_keeps_its_stacks_over_a_turn(void **state)
{
	struct fnp_stack_epoch *epoch, *before;
	size_t bytes;
	struct stage s;

	(void)state;
	begin(&s, &epoch);
	before = epoch;
	litter(epoch);
	for (uint64_t i = 0; i < 40; i++) /* so many that the row has an index */
		sample(&s, epoch, "handler", 0x1000 + i);
	bytes = fnp_stack_epoch_bytes(epoch);
	assert_int_equal(fnp_stack_epoch_turn(&epoch, s.engine), 0);
	assert_ptr_not_equal(epoch, before);
	assert_true(fnp_stack_epoch_bytes(epoch) < bytes / 50);
	for (uint64_t i = 0; i < 40; i++) /* equal stacks are still one */
		sample(&s, epoch, "handler", 0x1000 + i);
	play_answer(&s, 10, 1, "a");
	pass(&s, 2000 * MS);
	assert_int_equal(row(&s, "a")->samples, 80);
	assert_int_equal(row(&s, "a")->stacks.len, 40);
	assert_ptr_equal(row(&s, "a")->epoch, epoch);
	for (size_t i = 0; i < 40; i++) {
		assert_int_equal(row(&s, "a")->stacks.items[i].count, 2);
		expect_stack(epoch, &row(&s, "a")->stacks.items[i], "handler", 0x1000 + i);
	}
	stage_end(&s);
	fnp_stack_epoch_destroy(epoch);
}

static void waiting_sample_keeps_its_stack_over_a_turn(void **state)
{
	struct fnp_stack_epoch *epoch;
	struct stage s;

	(void)state;
	begin(&s, &epoch);
	litter(epoch);
	s.epoch = epoch;
	s.one = stack(epoch, "late", 0x20);
	take_sample_at(&s, 10, seq_of(&s, 10) + 1); /* its event has not come */
	assert_int_equal(stage_counters(&s)->samples, 0);
	assert_int_equal(fnp_stack_epoch_turn(&epoch, s.engine), 0);
	play_answer(&s, 10, 1, "a");
	pass(&s, 2000 * MS);
	assert_int_equal(row(&s, "a")->stacks.len, 1);
	expect_stack(epoch, &row(&s, "a")->stacks.items[0], "late", 0x20);
	stage_end(&s);
	fnp_stack_epoch_destroy(epoch);
}

static void rows_of_all_kinds_move_together(void **state)
{
	struct fnp_stack_epoch *epoch;
	struct stage s;

	(void)state;
	begin(&s, &epoch);
	sample(&s, epoch, "first", 0x30);
	play_answer(&s, 10, 1, "a");
	sample(&s, epoch, "after", 0x31); /* idle; the answered row is not closed yet */
	litter(epoch);
	assert_int_equal(fnp_stack_epoch_turn(&epoch, s.engine), 0);
	pass(&s, 2000 * MS);
	finish(&s);
	expect_stack(epoch, &row(&s, "a")->stacks.items[0], "first", 0x30);
	expect_stack(epoch, &row_of(&s, FNP_ROW_IDLE, 10)->stacks.items[0], "after", 0x31);
	assert_int_equal(stage_counters(&s)->losses[FNP_LOSS_STACK_TABLE_FULL], 0);
	stage_end(&s);
	fnp_stack_epoch_destroy(epoch);
}

#define DEEP 3000

/* A stack of a recursion that nobody else has; false when there is no room. */
static bool recurse(struct fnp_stack_epoch *epoch, uint64_t address, struct fnp_row_stack *ret)
{
	static struct fnp_frame frames[DEEP];

	for (size_t i = 0; i < DEEP; i++)
		frames[i] = (struct fnp_frame){.kind = FNP_FRAME_NATIVE, .address = address, .object = 7};
	*ret = (struct fnp_row_stack){.comm = text(epoch, "worker")};
	return fnp_intern_add(epoch->stacks, frames, sizeof(frames), &ret->stack) == 0;
}

static void a_table_that_was_full_has_room_again_when_its_rows_have_gone(void **state)
{
	struct fnp_stack_epoch *epoch;
	struct fnp_row_stack one;
	bool was_scarce = false;
	struct stage s;

	(void)state;
	begin(&s, &epoch);
	for (uint64_t i = 0; recurse(epoch, i, &one); i++) {
		s.epoch = epoch;
		s.one = one;
		take_sample(&s, 10);
		was_scarce = fnp_stack_epoch_is_scarce(epoch);
		assert_int_equal(fnp_stack_epoch_turn(&epoch, s.engine), 0);
		assert_true(i < 2000);
	}
	assert_true(was_scarce);
	play_answer(&s, 10, 1, "a");
	pass(&s, 2000 * MS);
	finish(&s);
	for (int i = 0; i < 40; i++)
		assert_int_equal(fnp_stack_epoch_turn(&epoch, s.engine), 0);
	assert_false(fnp_stack_epoch_is_scarce(epoch));
	assert_true(recurse(epoch, 12345, &one));
	stage_end(&s);
	fnp_stack_epoch_destroy(epoch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_table_is_left_alone),
		cmocka_unit_test(open_row_keeps_its_stacks_over_a_turn),
		cmocka_unit_test(waiting_sample_keeps_its_stack_over_a_turn),
		cmocka_unit_test(rows_of_all_kinds_move_together),
		cmocka_unit_test(a_table_that_was_full_has_room_again_when_its_rows_have_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
