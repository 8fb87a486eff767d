/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile: what the formats get. Interned strings, functions, locations and stacks, samples with values and
 * labels; filled through the builder functions below, then immutable.
 *
 * Numbers of strings, mappings, functions and locations start at 0 and are dense; equal things get one number.
 * A location is one frame of machine or managed code with its line, and, before it, the functions that were
 * inlined there: lines innermost first, the last one is the function that exists.
 */
#ifndef FNP_FORMATS_PROFILE_H
#define FNP_FORMATS_PROFILE_H

#include <stdbool.h>

#include "base/intern.h"
#include "base/vec.h"

enum fnp_frame_kind {
	FNP_FRAME_NATIVE,
	FNP_FRAME_KERNEL,
	FNP_FRAME_PYTHON,
	FNP_FRAME_JVM,
	FNP_FRAME_V8,
	FNP_FRAME_MARKER, /* not code: "[gc]", "[truncated: why]" */
	FNP_FRAME_KINDS,
};

/* How the frame ran, as far as it is shown: the suffixes _[j], _[0], _[a] of folded stacks. */
enum fnp_frame_tier {
	FNP_TIER_NONE,
	FNP_TIER_JIT,
	FNP_TIER_INTERPRETED, /* only where a JIT exists */
	FNP_TIER_AWAITING,    /* awaits, but is not on the stack */
};

struct fnp_profile_mapping {
	uint64_t start, limit; /* addresses as locations count them; start < limit */
	uint64_t offset;       /* of `start` in the file */
	uint32_t file;	       /* string: path, "[python]", "[kernel.kallsyms]" */
	uint32_t build_id;     /* string: lower-case hexadecimal, or "" */
};

struct fnp_profile_function {
	uint32_t name;	      /* string: for people */
	uint32_t system_name; /* string: as the linker knows it; the name where there is no other */
	uint32_t file;	      /* string, "" when not known */
	uint32_t start_line;  /* 0 when not known */
};

struct fnp_profile_line {
	uint32_t function;
	uint32_t line; /* 0 when not known */
};

struct fnp_profile_location {
	uint64_t address; /* lies in its mapping */
	uint32_t mapping;
	uint32_t first_line; /* into lines */
	uint16_t n_lines;    /* at least 1 */
	uint8_t kind;	     /* enum fnp_frame_kind; follows from the mapping's file (mapping_names.h) */
	uint8_t tier;	     /* enum fnp_frame_tier; the same */
	bool numbered;	     /* the builder chose the address */
};

struct fnp_profile_label {
	uint32_t key;  /* string */
	uint32_t text; /* string; not used when `unit` says that the label is a number */
	int64_t number;
	uint32_t unit; /* string, or FNP_LABEL_TEXT */
};

#define FNP_LABEL_TEXT UINT32_MAX

struct fnp_profile_value_type {
	uint32_t type, unit; /* strings */
};

#define FNP_PROFILE_VALUES_MAX 8

struct fnp_profile_sample {
	uint32_t first_location, n_locations; /* into stacks: location numbers, leaf first */
	uint32_t first_label, n_labels;	      /* into labels; beside the profile's common labels */
	int64_t values[FNP_PROFILE_VALUES_MAX];
};

/* When a part of a sample's count was seen, and on which thread. */
struct fnp_profile_time {
	uint32_t sample;
	uint32_t tid;
	int64_t offset_ns; /* after the profile's time_ns */
};

struct fnp_profile {
	struct fnp_intern *strings;		      /* number 0 is "" */
	FNP_VEC(struct fnp_profile_mapping) mappings; /* 0 is the program */
	FNP_VEC(struct fnp_profile_function) functions;
	FNP_VEC(struct fnp_profile_line) lines;
	FNP_VEC(struct fnp_profile_location) locations;
	FNP_VEC(uint32_t) stacks;
	FNP_VEC(struct fnp_profile_label) labels;
	FNP_VEC(struct fnp_profile_label) common_labels; /* on every sample */
	FNP_VEC(struct fnp_profile_sample) samples;
	uint32_t last_sample;			/* that fnp_profile_add_sample added to */
	FNP_VEC(struct fnp_profile_time) times; /* of some samples, or of none; in no order */
	struct fnp_profile_value_type value_types[FNP_PROFILE_VALUES_MAX];
	uint32_t n_value_types;
	uint32_t default_value; /* which of value_types is shown first; weights of folded stacks come from it */
	int64_t time_ns;	/* start, UTC nanoseconds since 1970 */
	int64_t duration_ns;
	int64_t period_ns;		 /* of the default value: time between two samples of a CPU */
	struct fnp_profile_index *index; /* builder's own: finds equal mappings, functions, locations and samples */
};

/* An empty profile with the value types samples/count and cpu/nanoseconds (the default). */
int fnp_profile_create(struct fnp_profile **ret);
void fnp_profile_destroy(struct fnp_profile *profile);
FNP_DEFINE_CLEANUP(fnp_profile_destroyp, struct fnp_profile *, fnp_profile_destroy)

/* Appends a further value type, e.g. off_cpu/nanoseconds; its index in values. -ENOSPC past the maximum. */
int fnp_profile_add_value_type(struct fnp_profile *profile, const char *type, const char *unit, uint32_t *ret);

/* The number of a text. Not UTF-8 is repaired with '?' (pprof and OTLP are UTF-8). */
int fnp_profile_add_string(struct fnp_profile *profile, const char *text, uint32_t *ret);
const char *fnp_profile_string(const struct fnp_profile *profile, uint32_t id);

/* The same for a text with a length; a NUL inside becomes '?', too. */
int fnp_profile_add_text(struct fnp_profile *profile, const char *text, size_t len, uint32_t *ret);

/*
 * Mappings are equal when file, build id and offset are; the range of an equal one grows to hold this one.
 * The first mapping added must be the program. -EINVAL unless start < limit.
 */
int fnp_profile_add_mapping(struct fnp_profile *profile, const struct fnp_profile_mapping *mapping,
			    uint32_t *ret);

/* The mapping of a name from mapping_names.h that stands for no file ("[python]"); it gets a range of its own. */
int fnp_profile_add_pseudo_mapping(struct fnp_profile *profile, const char *name, uint32_t *ret);

int fnp_profile_add_function(struct fnp_profile *profile, const struct fnp_profile_function *function,
			     uint32_t *ret);

/*
 * `location` gives address and mapping; kind and tier follow from the mapping's file; `lines` innermost first, 1 to
 * 65,535. The mapping's range grows to hold the address. Equal ones (address, mapping and lines) get one number.
 * In a pseudo-mapping address 0 means that the frame has none: the builder chooses one, and equal are those with
 * equal lines; an address that a builder chose (read back, or of another profile) is kept, and counts as none. -EINVAL for the highest address of all, which no range can hold, and for dangling numbers.
 */
int fnp_profile_add_location(struct fnp_profile *profile, const struct fnp_profile_location *location,
			     const struct fnp_profile_line *lines, uint32_t n_lines, uint32_t *ret);

/*
 * Adds values to the sample with this stack (location numbers, leaf first) and these labels in this order; a new
 * one where there is none. `values` has n_value_types entries; sums saturate. -EINVAL without a location (a stack
 * that could not be taken has a marker) and for dangling numbers, -EEXIST for a second label of one key.
 */
int fnp_profile_add_sample(struct fnp_profile *profile, const uint32_t *locations, uint32_t n_locations,
			   const struct fnp_profile_label *labels, uint32_t n_labels, const int64_t *values);

/* Says when one of a sample's ticks came. -EINVAL for a sample that is none, -ENOMEM. */
int fnp_profile_add_time(struct fnp_profile *profile, const struct fnp_profile_time *time);

/* A label on every sample. Text labels have unit FNP_LABEL_TEXT. One value a key: a second one is -EEXIST. */
int fnp_profile_add_common_label(struct fnp_profile *profile, const struct fnp_profile_label *label);

/* False of a sample that has further values alone, such as time off a CPU: what shows the default value leaves it out. */
bool fnp_profile_sample_counts(const struct fnp_profile *profile, const struct fnp_profile_sample *sample);

/* The sum of one value type over all samples; saturates. */
int64_t fnp_profile_sum(const struct fnp_profile *profile, uint32_t value_type);

#endif
