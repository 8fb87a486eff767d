/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a JVM's own code, made in this process's memory. */
#include "symbolizer/hotspot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

struct description {
	const struct description *next;
	const char *group, *name;
	uint64_t begin, end;
};

static const struct description *front;

static struct fnp_hotspot_view this_process(void)
{
	struct fnp_hotspot_view view = {.place = {.pid = getpid()}};

	memset(&view.tables, 0xff, sizeof(view.tables));
	view.tables.values[FNP_HOTSPOT_STUBS] = (uint64_t)(uintptr_t)&front;
	return view;
}

static void expect_name(struct fnp_hotspot_stubs *stubs, uint64_t address, const char *expected)
{
	struct fnp_hotspot_view view = this_process();
	const char *name = fnp_hotspot_stub_name(stubs, &view, address);

	if (expected)
		assert_string_equal(name, expected);
	else
		assert_null(name);
}

static void code_is_named_by_what_describes_it(void **state FNP_UNUSED)
{
	const struct description first = {NULL, "Stubs", "jint_copy", 0x1000, 0x1080};
	const struct description second = {&first, "Stubs", "sha256", 0x1100, 0x1200};
	struct fnp_hotspot_stubs stubs = {0};

	front = &second;
	expect_name(&stubs, 0x1000, "jint_copy");
	expect_name(&stubs, 0x107f, "jint_copy");
	expect_name(&stubs, 0x1080, NULL);
	expect_name(&stubs, 0x1150, "sha256");
	expect_name(&stubs, 0xfff, NULL);
	fnp_hotspot_stubs_clear(&stubs);
}

static void code_that_was_made_since_is_found(void **state FNP_UNUSED)
{
	const struct description first = {NULL, "Stubs", "jint_copy", 0x1000, 0x1080};
	const struct description made = {&first, "Stubs", "poly1305", 0x2000, 0};
	const struct description later = {&made, "Stubs", "array_sort", 0x3000, 0x3040};
	struct fnp_hotspot_stubs stubs = {0};

	front = &first;
	expect_name(&stubs, 0x3000, NULL);
	front = &later;
	expect_name(&stubs, 0x3000, "array_sort");
	expect_name(&stubs, 0x1000, "jint_copy");
	expect_name(&stubs, 0x2000, NULL); /* has no end yet */
	fnp_hotspot_stubs_clear(&stubs);
}

static void a_list_that_cannot_be_read_changes_nothing(void **state FNP_UNUSED)
{
	const struct description first = {NULL, "Stubs", "jint_copy", 0x1000, 0x1080};
	const struct description torn = {(const struct description *)16, "Stubs", "x", 0x3000, 0x3040};
	struct fnp_hotspot_stubs stubs = {0};

	front = &first;
	expect_name(&stubs, 0x1000, "jint_copy");
	front = &torn;
	expect_name(&stubs, 0x3000, NULL);
	expect_name(&stubs, 0x1000, "jint_copy");
	fnp_hotspot_stubs_clear(&stubs);
}

static void a_list_without_end_is_left(void **state FNP_UNUSED)
{
	struct description ring = {NULL, "Stubs", "ring", 0x1000, 0x1080};
	struct fnp_hotspot_stubs stubs = {0};

	ring.next = &ring;
	front = &ring;
	expect_name(&stubs, 0x1001, "ring");
	fnp_hotspot_stubs_clear(&stubs);
}

static void without_the_symbol_nothing_is_named(void **state FNP_UNUSED)
{
	struct fnp_hotspot_view view = this_process();
	struct fnp_hotspot_stubs stubs = {0};

	view.tables.values[FNP_HOTSPOT_STUBS] = FNP_HOTSPOT_ABSENT;
	assert_null(fnp_hotspot_stub_name(&stubs, &view, 0x1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_is_named_by_what_describes_it),
		cmocka_unit_test(code_that_was_made_since_is_found),
		cmocka_unit_test(a_list_that_cannot_be_read_changes_nothing),
		cmocka_unit_test(a_list_without_end_is_left),
		cmocka_unit_test(without_the_symbol_nothing_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
