/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small steps to build a profile in a test: each adds one thing and gives its number; a failure fails the test.
 */
#ifndef FNP_TESTS_FORMATS_BUILD_H
#define FNP_TESTS_FORMATS_BUILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/format.h"
#include "formats/mapping_names.h"
#include "formats/profile.h"

static inline struct fnp_profile *build_profile(void)
{
	struct fnp_profile *profile = NULL;

	assert_int_equal(fnp_profile_create(&profile), 0);
	profile->time_ns = INT64_C(1700000000123456789);
	profile->duration_ns = 25000000;
	profile->period_ns = 10101010;
	return profile;
}

static inline uint32_t build_string(struct fnp_profile *profile, const char *text)
{
	uint32_t n = 0;

	assert_int_equal(fnp_profile_add_string(profile, text, &n), 0);
	return n;
}

static inline uint32_t build_mapping(struct fnp_profile *profile, const char *file, uint64_t start,
				     uint64_t limit)
{
	struct fnp_profile_mapping mapping = {
		.start = start, .limit = limit, .file = build_string(profile, file)};
	uint32_t n = 0;

	mapping.build_id = file[0] == '/' ? build_string(profile, "00ff17") : 0;
	assert_int_equal(fnp_profile_add_mapping(profile, &mapping, &n), 0);
	return n;
}

static inline uint32_t build_pseudo(struct fnp_profile *profile, const char *name)
{
	uint32_t n = 0;

	assert_int_equal(fnp_profile_add_pseudo_mapping(profile, name, &n), 0);
	return n;
}

static inline struct fnp_profile_line build_line(struct fnp_profile *profile, const char *name, uint32_t line)
{
	struct fnp_profile_function function = {.name = build_string(profile, name)};
	struct fnp_profile_line one = {.line = line};

	function.system_name = function.name;
	function.file = build_string(profile, "main.c");
	assert_int_equal(fnp_profile_add_function(profile, &function, &one.function), 0);
	return one;
}

/* A location of one function. */
static inline uint32_t build_frame(struct fnp_profile *profile, uint32_t mapping, uint64_t address,
				   const char *name)
{
	struct fnp_profile_location location = {.address = address, .mapping = mapping};
	struct fnp_profile_line line = build_line(profile, name, 0);
	uint32_t n = 0;

	assert_int_equal(fnp_profile_add_location(profile, &location, &line, 1, &n), 0);
	return n;
}

/* A location of `outer` into which `inner` was inlined. */
static inline uint32_t build_inlined(struct fnp_profile *profile, uint32_t mapping, uint64_t address,
				     const char *inner, const char *outer)
{
	struct fnp_profile_location location = {.address = address, .mapping = mapping};
	struct fnp_profile_line lines[2] = {build_line(profile, inner, 7), build_line(profile, outer, 3)};
	uint32_t n = 0;

	assert_int_equal(fnp_profile_add_location(profile, &location, lines, 2, &n), 0);
	return n;
}

static inline struct fnp_profile_label build_text_label(struct fnp_profile *profile, const char *key,
							const char *text)
{
	return (struct fnp_profile_label){.key = build_string(profile, key),
					  .text = build_string(profile, text),
					  .unit = FNP_LABEL_TEXT};
}

static inline struct fnp_profile_label build_number_label(struct fnp_profile *profile, const char *key,
							  int64_t number)
{
	return (struct fnp_profile_label){.key = build_string(profile, key),
					  .number = number,
					  .unit = build_string(profile, "nanoseconds")};
}

/* One look at a stack, leaf first, for `ns`. */
#define build_sample(profile, ns, thread, ...)                                                               \
	do {                                                                                                 \
		const uint32_t stack_[] = {__VA_ARGS__};                                                     \
		struct fnp_profile_label label_ = build_text_label(profile, "thread", thread);               \
		assert_int_equal(fnp_profile_add_sample(profile, stack_, FNP_ARRAY_SIZE(stack_), &label_, 1, \
							(int64_t[FNP_PROFILE_VALUES_MAX]){1, ns}),           \
				 0);                                                                         \
	} while (0)

/*
 * One of everything: kernel, native with an inlined function, Python, both JVM tiers, V8, an awaiting frame and a
 * marker; two threads; what two samples share; 95,000,000 ns in all.
 */
static inline struct fnp_profile *build_mixed(void)
{
	struct fnp_profile *p = build_profile();
	uint32_t program = build_mapping(p, "/usr/bin/python3.12", 0x400000, 0x800000);
	uint32_t libc = build_mapping(p, "/lib/libc.so.6", 0x7f0000001000, 0x7f0000002000);
	uint32_t kernel = build_mapping(p, FNP_MAPPING_KERNEL, 0xffffffff81000000, 0xffffffff82000000);
	uint32_t root = build_frame(p, program, 0x401000, "_start");
	uint32_t eval = build_frame(p, build_pseudo(p, FNP_MAPPING_PYTHON), 0, "handler");
	uint32_t wait = build_frame(p, build_pseudo(p, FNP_MAPPING_PYTHON_AWAITING), 0, "Task.run");
	uint32_t inlined = build_inlined(p, libc, 0x7f0000001500, "memcpy_small", "read");
	uint32_t entry = build_frame(p, kernel, 0xffffffff81000010, "do_syscall_64");
	uint32_t jit = build_frame(p, build_pseudo(p, FNP_MAPPING_JVM_C2), 0, "com.a.B.run");
	uint32_t slow = build_frame(p, build_pseudo(p, FNP_MAPPING_JVM_INTERPRETER), 0, "com.a.B.<init>");
	uint32_t v8 = build_frame(p, build_pseudo(p, FNP_MAPPING_V8_TURBOFAN), 0, "#p");
	uint32_t cut = build_frame(p, build_pseudo(p, FNP_MAPPING_MARKER), 0, "[truncated: depth]");
	struct fnp_profile_label common[] = {build_text_label(p, "function", "orders"),
					     build_text_label(p, "request_id", "8476a536-e9f4"),
					     build_number_label(p, "duration", 25000000)};

	for (size_t i = 0; i < FNP_ARRAY_SIZE(common); i++)
		assert_int_equal(fnp_profile_add_common_label(p, &common[i]), 0);
	build_sample(p, 10000000, "main", inlined, eval, root);
	build_sample(p, 10000000, "main", inlined, eval, root);
	build_sample(p, 20000000, "worker;1", entry, inlined, eval, wait, root);
	build_sample(p, 5000000, "worker;1", inlined, eval, root);
	build_sample(p, 30000000, "main", jit, slow, cut);
	build_sample(p, 20000000, "main", v8, root);
	return p;
}

#endif
