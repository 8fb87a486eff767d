/* SPDX-License-Identifier: Apache-2.0 */
/* BTF that libbpf wrote is cut down, and libbpf reads the result. */
#include <setjmp.h>
#include <stdarg.h>

#include <bpf/btf.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/btf.h>

#include "profiler/collectors/kernel_types.h"

FNP_DEFINE_CLEANUP(btf_freep, struct btf *, btf__free)

static const char *const wanted[] = {"task", "state"};

/*
 * struct inner { int a; }; struct other { int z; };
 * struct task { int pid; union { struct inner in; long l; }; struct other *far; state_t state; int pairs[4]; };
 * typedef enum state { ON = 1, OFF = 7 } state_t; typedef void btf_trace_one; typedef void *btf_trace_two;
 */
static struct btf *build(void)
{
	struct btf *btf = btf__new_empty();
	int number, inner, other, task, either, state, named, far, pairs;

	assert_non_null(btf);
	number = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	other = btf__add_struct(btf, "other", 4);
	btf__add_field(btf, "z", number, 0, 0);
	assert_int_equal(btf__add_typedef(btf, "btf_trace_one", 0), other + 1);
	inner = btf__add_struct(btf, "inner", 4);
	btf__add_field(btf, "a", number, 0, 0);
	either = btf__add_union(btf, NULL, 8);
	btf__add_field(btf, "in", inner, 0, 0);
	state = btf__add_enum(btf, "state", 4);
	btf__add_enum_value(btf, "ON", 1);
	btf__add_enum_value(btf, "OFF", 7);
	named = btf__add_typedef(btf, "state_t", state);
	far = btf__add_ptr(btf, other);
	pairs = btf__add_array(btf, number, number, 4);
	btf__add_typedef(btf, "btf_trace_two", far);
	task = btf__add_struct(btf, "task", 48);
	btf__add_field(btf, "pid", number, 0, 0);
	btf__add_field(btf, NULL, either, 64, 0);
	btf__add_field(btf, "far", far, 128, 0);
	btf__add_field(btf, "state", named, 192, 0);
	btf__add_field(btf, "pairs", pairs, 224, 0);
	btf__add_field(btf, "bit", number, 352, 3);
	assert_true(task > 0);
	return btf;
}

static int cut(const struct btf *btf, const char *const names[], size_t n, struct fnp_kernel_types *ret)
{
	uint32_t size;
	const void *bytes = btf__raw_data(btf, &size);

	return fnp_kernel_types_parse(bytes, size, names, n, ret);
}

static const char *kind_and_name(const struct btf *btf, uint32_t type, uint32_t *ret_kind)
{
	const struct btf_type *t = btf__type_by_id(btf, type);

	assert_non_null(t);
	*ret_kind = btf_kind(t);
	return btf__name_by_offset(btf, t->name_off);
}

static void fields_keep_their_places_and_kinds(void **state)
{
	FNP_CLEANUP(btf_freep) struct btf *btf = build();
	FNP_CLEANUP(fnp_kernel_types_deinit) struct fnp_kernel_types types = {0};
	FNP_CLEANUP(btf_freep) struct btf *small = NULL;
	const struct btf_type *task;
	const struct btf_member *m;
	uint32_t kind;

	(void)state;
	assert_int_equal(cut(btf, wanted, FNP_ARRAY_SIZE(wanted), &types), 0);
	small = btf__new(types.btf.data, (uint32_t)types.btf.len);
	assert_non_null(small);
	task = btf__type_by_id(small, (uint32_t)btf__find_by_name_kind(small, "task", BTF_KIND_STRUCT));
	assert_non_null(task);
	assert_int_equal(task->size, 48);
	assert_int_equal(btf_vlen(task), 6);
	m = btf_members(task);
	assert_string_equal(btf__name_by_offset(small, m[0].name_off), "pid");
	assert_string_equal(kind_and_name(small, m[0].type, &kind), "int");
	assert_int_equal(kind, BTF_KIND_INT);
	assert_string_equal(btf__name_by_offset(small, m[1].name_off), "");
	assert_string_equal(kind_and_name(small, m[1].type, &kind), "");
	assert_int_equal(kind, BTF_KIND_UNION);
	assert_int_equal(m[1].offset, 64);
	/* What a pointer leads to is no part of it. */
	kind_and_name(small, m[2].type, &kind);
	assert_int_equal(kind, BTF_KIND_PTR);
	assert_int_equal(btf__type_by_id(small, m[2].type)->type, 0);
	assert_int_equal(btf__find_by_name(small, "other"), -ENOENT);
	assert_int_equal(btf__resolve_type(small, m[3].type), btf__find_by_name(small, "state"));
	assert_int_equal(btf__resolve_size(small, m[4].type), 16);
	assert_int_equal(btf_member_bit_offset(task, 5), 352);
	assert_int_equal(btf_member_bitfield_size(task, 5), 3);
	/* By value: the union's own structure. */
	assert_true(btf__find_by_name_kind(small, "inner", BTF_KIND_STRUCT) > 0);
}

static void enumerators_keep_names_and_values(void **state)
{
	FNP_CLEANUP(btf_freep) struct btf *btf = build();
	FNP_CLEANUP(fnp_kernel_types_deinit) struct fnp_kernel_types types = {0};
	FNP_CLEANUP(btf_freep) struct btf *small = NULL;
	const struct btf_type *t;

	(void)state;
	assert_int_equal(cut(btf, wanted + 1, 1, &types), 0);
	small = btf__new(types.btf.data, (uint32_t)types.btf.len);
	assert_non_null(small);
	t = btf__type_by_id(small, (uint32_t)btf__find_by_name_kind(small, "state", BTF_KIND_ENUM));
	assert_non_null(t);
	assert_int_equal(btf_vlen(t), 2);
	assert_string_equal(btf__name_by_offset(small, btf_enum(t)[1].name_off), "OFF");
	assert_int_equal(btf_enum(t)[1].val, 7);
	/* Nothing else was asked for. */
	assert_int_equal(btf__type_cnt(small), 2);
}

static void tracepoints_have_the_numbers_of_the_whole(void **state)
{
	FNP_CLEANUP(btf_freep) struct btf *btf = build();
	FNP_CLEANUP(fnp_kernel_types_deinit) struct fnp_kernel_types types = {0};

	(void)state;
	assert_int_equal(cut(btf, NULL, 0, &types), 0);
	assert_int_equal(fnp_kernel_types_tracepoint(&types, "one"), btf__find_by_name(btf, "btf_trace_one"));
	assert_int_equal(fnp_kernel_types_tracepoint(&types, "two"), btf__find_by_name(btf, "btf_trace_two"));
	assert_int_equal(fnp_kernel_types_tracepoint(&types, "three"), 0);
	assert_int_equal(fnp_kernel_types_tracepoint(&types, "btf_trace_one"), 0);
}

/* Every byte string that is shorter, or has one byte changed, is read or refused; sanitizers hold the rest. */
static void damaged_input_is_refused_or_read_within_its_bounds(void **state)
{
	FNP_CLEANUP(btf_freep) struct btf *btf = build();
	uint32_t size;
	const uint8_t *bytes = btf__raw_data(btf, &size);

	(void)state;
	for (uint32_t i = 0; i < size; i++) {
		fnp_autofree uint8_t *part = malloc(i ? i : 1), *changed = malloc(size);
		FNP_CLEANUP(fnp_kernel_types_deinit) struct fnp_kernel_types cut_off = {0}, other = {0};

		memcpy(part, bytes, i);
		assert_int_equal(fnp_kernel_types_parse(part, i, wanted, 2, &cut_off), -EBADMSG);
		memcpy(changed, bytes, size);
		changed[i] ^= 0xff;
		(void)fnp_kernel_types_parse(changed, size, wanted, 2, &other);
	}
}

/* The running kernel's task_struct, whose layout is random on some builds, by both readers. */
static void fields_of_the_running_kernel_are_where_libbpf_sees_them(void **state)
{
	FNP_CLEANUP(fnp_kernel_types_deinit) struct fnp_kernel_types types = {0};
	FNP_CLEANUP(btf_freep) struct btf *small = NULL, *whole = NULL;
	const struct btf_type *a, *b;

	(void)state;
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		skip();
	whole = btf__load_vmlinux_btf();
	assert_non_null(whole);
	assert_int_equal(fnp_kernel_types_read(&types), 0);
	assert_true(types.btf.len < 1 << 20);
	small = btf__new(types.btf.data, (uint32_t)types.btf.len);
	assert_non_null(small);
	a = btf__type_by_id(small, (uint32_t)btf__find_by_name_kind(small, "task_struct", BTF_KIND_STRUCT));
	b = btf__type_by_id(whole, (uint32_t)btf__find_by_name_kind(whole, "task_struct", BTF_KIND_STRUCT));
	assert_int_equal(a->size, b->size);
	assert_int_equal(btf_vlen(a), btf_vlen(b));
	for (uint32_t i = 0; i < btf_vlen(a); i++) {
		assert_string_equal(btf__name_by_offset(small, btf_members(a)[i].name_off),
				    btf__name_by_offset(whole, btf_members(b)[i].name_off));
		assert_int_equal(btf_member_bit_offset(a, i), btf_member_bit_offset(b, i));
		assert_int_equal(btf__resolve_size(small, btf_members(a)[i].type),
				 btf__resolve_size(whole, btf_members(b)[i].type));
	}
	assert_int_equal(fnp_kernel_types_tracepoint(&types, "sched_switch"),
			 btf__find_by_name_kind(whole, "btf_trace_sched_switch", BTF_KIND_TYPEDEF));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_keep_their_places_and_kinds),
		cmocka_unit_test(enumerators_keep_names_and_values),
		cmocka_unit_test(tracepoints_have_the_numbers_of_the_whole),
		cmocka_unit_test(damaged_input_is_refused_or_read_within_its_bounds),
		cmocka_unit_test(fields_of_the_running_kernel_are_where_libbpf_sees_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
