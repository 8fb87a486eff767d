/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probes of runtimes that are on without being asked for: which they are, and what a hit means. They are those
 * that are hit once a collection, a class, an import: what is hit once a call is never among them.
 */
#ifndef FNP_PROFILER_PROBE_MEANINGS_H
#define FNP_PROFILER_PROBE_MEANINGS_H

#include <stdbool.h>

#include "bpf/layout/probe.h"

/* What a hit does to the events of its thread. */
enum fnp_probe_role {
	FNP_PROBE_MOMENT, /* is an event without length */
	FNP_PROBE_BEGIN,
	FNP_PROBE_END,		/* of the last one of its pair that is open in this thread */
	FNP_PROBE_CANCEL,	/* likewise, and it was nothing */
	FNP_PROBE_NOTE,		/* tells more of the open one of its pair */
	FNP_PROBE_MARK_AUDIT,	/* text 0 says which: "fnprof.begin", "fnprof.end", "fnprof.mark" */
	FNP_PROBE_MARK_WRITTEN, /* likewise, text 0 is all: "fnprof.begin NAME" */
	FNP_PROBE_PHASE,  /* a phase of the process's start ends; of several of one name the first counts */
	FNP_PROBE_SILENT, /* for the kernel side alone: there is no record */
};

/* A begin and its end are of one pair. */
enum fnp_probe_pair {
	FNP_PAIR_NONE,
	FNP_PAIR_GC,
	FNP_PAIR_JIT,
	FNP_PAIR_IMPORT,
	FNP_PAIR_CLASS,
	FNP_PAIR_MARK,
	FNP_PAIRS,
};

/* How name and cause are made of what was read. */
enum fnp_probe_naming {
	FNP_NAMING_NONE,
	FNP_NAMING_LABEL,	   /* the meaning's own */
	FNP_NAMING_TEXT,	   /* the first text is the name */
	FNP_NAMING_PYTHON_GC,	   /* "generation 2" */
	FNP_NAMING_PYTHON_COLLECT, /* the same from the function's arguments, where it has them */
	FNP_NAMING_PYTHON_STR,	   /* the first text is an object of Python's that is the name */
	FNP_NAMING_IMPORTED,	   /* the name again, and whether it was found */
	FNP_NAMING_JVM_CLASS,	   /* "java/lang/String"; the label is the cause */
	FNP_NAMING_JVM_GC,	   /* the collector's name, and the cause that was peeked */
	FNP_NAMING_JVM_METHOD,	   /* class, method; the compiler is the cause */
	FNP_NAMING_V8_GC,	   /* numbers of the kind and the reason */
	FNP_NAMING_V8_PATH, /* the texts are a string of V8's heap: itself, and the parts that it may have */
	FNP_NAMING_ASKED,   /* "provider:name" and its arguments */
};

struct fnp_probe_meaning {
	const char *provider; /* NULL: no note, a function */
	const char *name;     /* of a function: its symbol, or the begin of it when it ends in '*' */
	const char *what;
	enum fnp_probe_role role;
	enum fnp_probe_pair pair;
	enum fnp_probe_naming naming;
	uint8_t flags; /* enum fnp_probe_flags */
	uint8_t n_texts;
	struct fnp_probe_text texts[FNP_PROBE_SPEC_TEXTS];
	bool peeks_cause; /* of the JVM's heap */
	bool rare;	  /* hit seldom: it may sit on an instruction that must be stepped over */
	const char *label;
};

/* The meaning of a note, NULL: it is not on by itself. */
const struct fnp_probe_meaning *fnp_probe_meaning_of(const char *provider, const char *name);

/* The functions that are probed in files of a runtime ("v8"), ended by one without a name. */
const struct fnp_probe_meaning *fnp_probe_functions(const char *runtime);

/* The meaning of a place in CPython's code (enum fnp_python_place_kind). */
const struct fnp_probe_meaning *fnp_probe_python_place(unsigned int kind);

/* What a probe means that was asked for by name and has no meaning of its own. */
extern const struct fnp_probe_meaning fnp_probe_asked;

/* A datagram that is a mark. */
extern const struct fnp_probe_meaning fnp_probe_written;

#endif
