/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and profiles for the tests of output, and a folder of their own to write to. */
#ifndef FNP_TESTS_PROFILER_OUTPUT_ROWS_H
#define FNP_TESTS_PROFILER_OUTPUT_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/profile.h"
#include "profiler/invocations/row.h"

/* An invocation of `function` that was answered; two samples of 10 ms. */
static inline struct fnp_row *test_row(const char *function, const char *id)
{
	struct fnp_row *row = fnp_row_create(FNP_ROW_INVOCATION);

	assert_non_null(row);
	row->function = strdup(function);
	row->id = strdup(id);
	row->pid = 77;
	row->process = 4200;
	row->start_ns = 1000000000;
	row->duration_ns = 25000000;
	row->outcome = FNP_OUTCOME_OK;
	row->samples = 2;
	row->sampled_ns = 20000000;
	row->cpu_ns = 19500000;
	row->attribution[FNP_ATTRIBUTION_EXACT] = 2;
	return row;
}

static inline uint32_t test_string(struct fnp_profile *profile, const char *text)
{
	uint32_t id;

	assert_int_equal(fnp_profile_add_string(profile, text, &id), 0);
	return id;
}

/* Adds one sample of one native frame. */
static inline void test_profile_add(struct fnp_profile *profile, const char *name, int64_t ns)
{
	uint32_t mapping, function, location;
	int64_t values[FNP_PROFILE_VALUES_MAX] = {1, ns};

	assert_int_equal(
		fnp_profile_add_mapping(profile,
					&(struct fnp_profile_mapping){.start = 0x1000,
								      .limit = 0x9000,
								      .file = test_string(profile, "/bin/x"),
								      .build_id = test_string(profile, "")},
					&mapping),
		0);
	assert_int_equal(fnp_profile_add_function(
				 profile,
				 &(struct fnp_profile_function){.name = test_string(profile, name),
								.system_name = test_string(profile, name),
								.file = test_string(profile, "")},
				 &function),
			 0);
	assert_int_equal(fnp_profile_add_location(profile,
						  &(struct fnp_profile_location){.address = 0x1000 + function,
										 .mapping = mapping,
										 .kind = FNP_FRAME_NATIVE},
						  &(struct fnp_profile_line){.function = function}, 1,
						  &location),
			 0);
	assert_int_equal(fnp_profile_add_sample(profile, &location, 1, NULL, 0, values), 0);
}

static inline struct fnp_profile *test_profile(void)
{
	struct fnp_profile *profile = NULL;

	assert_int_equal(fnp_profile_create(&profile), 0);
	test_profile_add(profile, "main", 10000000);
	test_profile_add(profile, "work", 10000000);
	return profile;
}

#endif
