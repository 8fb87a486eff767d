/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a closed row to a profile: its stacks, named. Names are looked up once for each place in code and kept.
 */
#ifndef FNP_PROFILER_PROFILES_H
#define FNP_PROFILER_PROFILES_H

#include "formats/profile.h"
#include "profiler/invocations/row.h"
#include "profiler/runtimes.h"

struct fnp_profiles;

struct fnp_profiles_options {
	struct fnp_objects *objects;	   /* not owned */
	struct fnp_runtimes *runtimes;	   /* not owned */
	struct fnp_disk_cache *cache;	   /* names of the last time; NULL: none */
	struct fnp_debuginfod *debuginfod; /* asked for debug data; NULL: not; not owned */
	int64_t utc_offset_ns;
	int64_t period_ns;
	/* Called every now and then while a profile is built, which may take long; NULL: nobody minds. */
	void (*pause)(void *self);
	void *self;
};

int fnp_profiles_create(const struct fnp_profiles_options *options, struct fnp_profiles **ret);
void fnp_profiles_destroy(struct fnp_profiles *profiles);
FNP_DEFINE_CLEANUP(fnp_profiles_destroyp, struct fnp_profiles *, fnp_profiles_destroy)

/* With debuginfod: asks for the debug data of objects that are new, so that it is there when rows close. */
void fnp_profiles_expect(struct fnp_profiles *profiles);

/* With debuginfod: until when building may wait for debug data that is under way (CLOCK_MONOTONIC). */
void fnp_profiles_wait_until(struct fnp_profiles *profiles, uint64_t until_ns);

/* Objects were closed: forgets what was known of them. */
void fnp_profiles_forget_closed(struct fnp_profiles *profiles);

/* `process` is the row's, NULL when it is not known any more; its program is mapping 1. */
int fnp_profiles_build(struct fnp_profiles *profiles, const struct fnp_row *row,
		       const struct fnp_process *process, struct fnp_profile **ret);

#endif
