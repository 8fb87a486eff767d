/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring records, checked: nobody above this file sees a length that was not compared with what is there.
 *
 * Records come from the kernel side of a target that we do not trust, and in tests from a fuzzer. A record that
 * passed fnp_record_check may be read through its own struct, and its sections through fnp_record_section, without
 * any further check of sizes. What the sections hold is still input.
 */
#ifndef FNP_PROFILER_RECORDS_H
#define FNP_PROFILER_RECORDS_H

#include <stdbool.h>

#include "base/memory.h"
#include "bpf/wire.h"

/*
 * True of a record whose type is known, which stands in `size` bytes at an 8-byte aligned address, is as long as its
 * type's fixed part at least, and whose sections lie within it. `ret` is the same memory, seen as its head.
 */
int fnp_record_check(const void *data, size_t size, const struct fnp_record **ret);

/* One section of a record; `data` is NULL when the record has none of this type. */
struct fnp_record_part {
	const void *data;
	size_t size;
	bool truncated; /* there was more than `size` */
};

/* The first section of this type of a checked record. */
struct fnp_record_part fnp_record_section(const struct fnp_record *record, enum fnp_section_type type);

/* The nth one of this type, from 0. */
struct fnp_record_part fnp_record_nth_section(const struct fnp_record *record, enum fnp_section_type type,
					      unsigned int nth);

/* Bytes before the sections of a record of this type; 0 for a type that is not known. */
size_t fnp_record_fixed_size(enum fnp_record_type type);

/* True of records that have a number of their own, and CPU times; the others carry that of the event before them. */
bool fnp_record_is_event(const struct fnp_record *record);

/* The CPU times of a checked event; NULL for a sample or a probe. */
const struct fnp_cpu_times *fnp_record_cpu_times(const struct fnp_record *record);

/*
 * When something happened, told by number and by exact CPU time: what is left of an event when its bytes are gone.
 * The difference of two moments of one process is what the process spent between them.
 */
struct fnp_moment {
	uint64_t seq;
	uint64_t time_ns;
	uint64_t process_ns;
	uint64_t thread_ns; /* of `tid` */
	uint32_t tid;
	bool has_clocks;
	struct fnp_clocks clocks;
};

/* The clocks that a record brings; false, and `ret` untouched, when it brings none. */
bool fnp_record_clocks(const struct fnp_record *record, struct fnp_clocks *ret);

/* The moment of a checked event. */
struct fnp_moment fnp_record_moment(const struct fnp_record *record);

#endif
