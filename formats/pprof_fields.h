/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field numbers of pprof's messages (package perftools.profiles), for the encoder and the reader.
 * https://github.com/google/pprof/blob/main/proto/profile.proto
 */
#ifndef FNP_FORMATS_PPROF_FIELDS_H
#define FNP_FORMATS_PPROF_FIELDS_H

enum {
	PPROF_SAMPLE_TYPE = 1,
	PPROF_SAMPLE = 2,
	PPROF_MAPPING = 3,
	PPROF_LOCATION = 4,
	PPROF_FUNCTION = 5,
	PPROF_STRING_TABLE = 6,
	PPROF_TIME_NANOS = 9,
	PPROF_DURATION_NANOS = 10,
	PPROF_PERIOD_TYPE = 11,
	PPROF_PERIOD = 12,
	PPROF_COMMENT = 13,
	PPROF_DEFAULT_SAMPLE_TYPE = 14,

	PPROF_VALUE_TYPE_TYPE = 1,
	PPROF_VALUE_TYPE_UNIT = 2,

	PPROF_SAMPLE_LOCATION_ID = 1,
	PPROF_SAMPLE_VALUE = 2,
	PPROF_SAMPLE_LABEL = 3,

	PPROF_LABEL_KEY = 1,
	PPROF_LABEL_STR = 2,
	PPROF_LABEL_NUM = 3,
	PPROF_LABEL_NUM_UNIT = 4,

	PPROF_MAPPING_ID = 1,
	PPROF_MAPPING_START = 2,
	PPROF_MAPPING_LIMIT = 3,
	PPROF_MAPPING_OFFSET = 4,
	PPROF_MAPPING_FILENAME = 5,
	PPROF_MAPPING_BUILD_ID = 6,
	PPROF_MAPPING_HAS_FUNCTIONS = 7,
	PPROF_MAPPING_HAS_FILENAMES = 8,
	PPROF_MAPPING_HAS_LINE_NUMBERS = 9,

	PPROF_LOCATION_ID = 1,
	PPROF_LOCATION_MAPPING_ID = 2,
	PPROF_LOCATION_ADDRESS = 3,
	PPROF_LOCATION_LINE = 4,

	PPROF_LINE_FUNCTION_ID = 1,
	PPROF_LINE_LINE = 2,

	PPROF_FUNCTION_ID = 1,
	PPROF_FUNCTION_NAME = 2,
	PPROF_FUNCTION_SYSTEM_NAME = 3,
	PPROF_FUNCTION_FILENAME = 4,
	PPROF_FUNCTION_START_LINE = 5,
};

/*
 * A comment that begins so has the times of samples, for a timeline: a label with the time would part samples with
 * equal stacks. Then, for each sample that has times, its place in the file (from 1), pairs of a thread's number and
 * nanoseconds after time_nanos, and a bar: "1 812 0 812 10043|4 813 -20|". Tools do not show comments that begin with #.
 */
#define PPROF_TIMES_COMMENT "#fnprof.times "

#endif
