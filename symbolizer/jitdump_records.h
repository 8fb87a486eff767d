/* SPDX-License-Identifier: Apache-2.0 */
/* What a jitdump's records say, kept so that it is found by address and time. For jitdump.c. */
#ifndef FNP_SYMBOLIZER_JITDUMP_RECORDS_H
#define FNP_SYMBOLIZER_JITDUMP_RECORDS_H

#include "base/cursor.h"
#include "base/intern.h"
#include "symbolizer/jit_code.h"
#include "symbolizer/jitdump.h"

/* "jitdump-specification.txt": ids of records. */
enum { FNP_JITDUMP_LOAD, FNP_JITDUMP_MOVE, FNP_JITDUMP_DEBUG_INFO };

struct fnp_jitdump_record {
	uint32_t id, size; /* with its head */
	uint64_t time;
};

struct fnp_jitdump_line {
	uint32_t offset; /* from the function's start */
	uint32_t line;
	uint32_t file; /* a text */
};

struct fnp_jitdump_lines {
	uint32_t first, n; /* in struct fnp_jitdump_records.lines, by ascending offset */
};

/* What a piece of code has besides its place. */
struct fnp_jitdump_detail {
	uint64_t time_ns; /* 0: from the beginning, as far as we know */
	uint64_t index;	  /* the writer's number of this function */
	struct fnp_jitdump_lines lines;
};

enum fnp_jitdump_shift {
	FNP_JITDUMP_SHIFT_UNKNOWN,
	FNP_JITDUMP_SHIFT_NONE,
	FNP_JITDUMP_SHIFT_ELF_HEADER,
};

/* In the storage of its owner, who sets process, has_times, now_ns and texts. */
struct fnp_jitdump_records {
	struct fnp_jit_process process;
	bool has_times;
	uint64_t now_ns; /* when they are read */
	enum fnp_jitdump_shift shift;
	struct fnp_intern *texts; /* owned */
	struct fnp_jit_code code;
	FNP_VEC(struct fnp_jitdump_detail) details; /* one for each piece of `code` */
	FNP_VEC(struct fnp_jitdump_line) lines;
	/* Lines whose code is told next: their offsets are still as they were written. */
	uint64_t pending_address;
	struct fnp_jitdump_lines pending;
};

void fnp_jitdump_records_deinit(struct fnp_jitdump_records *records);

/*
 * Takes what stands after a record's head; of code only its name. What is not sound is left out. -ENOSPC when there
 * is too much, -ENOMEM.
 */
int fnp_jitdump_records_take(struct fnp_jitdump_records *records, const struct fnp_jitdump_record *record,
			     struct fnp_cursor body);

/* The code at an address at a time, of what was sorted (fnp_jit_code_sort); -ENOENT. */
int fnp_jitdump_records_find(const struct fnp_jitdump_records *records, uint64_t address, uint64_t time_ns,
			     struct fnp_jitdump_place *ret);

#endif
