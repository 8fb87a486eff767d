/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host must offer: a row for each feature of kernel, privileges and place, with what it is needed for, a probe
 * and the one thing to do about a gap. `doctor` prints the table, `record` refuses with the first gap that it cannot
 * do without, and collectors choose their programs by it between open and load.
 *
 * A feature is one row in features.c. Probes change nothing on the host; each takes milliseconds at most.
 */
#ifndef FNP_PROFILER_FEATURES_H
#define FNP_PROFILER_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

enum fnp_feature_state {
	FNP_FEATURE_THERE,
	FNP_FEATURE_LESS,    /* recording works, with less: `found` says what */
	FNP_FEATURE_MISSING, /* what needs it does not work */
};

struct fnp_feature_result {
	enum fnp_feature_state state;
	char found[192];  /* what is there, or what is not */
	char remedy[256]; /* "" where nothing is to be done */
};

struct fnp_feature {
	const char *name;
	const char *needed_for;
	bool required; /* nothing can be recorded without it */
	bool quick;    /* a look at a file: record checks it, too */
	void (*probe)(struct fnp_feature_result *ret);
};

extern const struct fnp_feature fnp_features[];
extern const size_t fnp_n_features;

/* Says the first required feature that is missing, with its remedy: -EPERM; else 0. The quick ones alone. */
int fnp_features_check(void);

/* True when CAP_SYS_PTRACE is held: else only processes of one's own user can be read. */
bool fnp_features_may_read_others(void);

/*
 * True when the kernel's BTF has a tracepoint of this name: then a tp_btf program can be attached to it. The BTF, some
 * megabytes, is kept until fnp_features_forget().
 */
bool fnp_features_has_tracepoint(const char *name);
void fnp_features_forget(void);

#endif
