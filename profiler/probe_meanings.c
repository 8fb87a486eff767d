/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/probe_meanings.h"

#include <string.h>

#include "base/memory.h"
#include "profiler/invocations/row.h"
#include "symbolizer/python.h"

#define STRING(argument)                                                                                     \
	{                                                                                                    \
		(argument), FNP_PROBE_TEXT_STRING, 0, 0                                                      \
	}
#define SIZED(argument)                                                                                      \
	{                                                                                                    \
		(argument), FNP_PROBE_TEXT_SIZED, (argument) + 1, 0                                          \
	}
#define CLASS_INIT(step, role_, label_)                                                                      \
	{                                                                                                    \
		"hotspot", "class__initialization__" step, "class_init", role_, FNP_PAIR_CLASS,              \
			FNP_NAMING_JVM_CLASS, .n_texts = 1, .texts = {SIZED(0)}, .label = label_             \
	}
/* An object of V8's, and those that its first two fields may point to (symbolizer/v8_heap.h has the layouts). */
#define V8_STRING(argument)                                                                                  \
	{(argument), FNP_PROBE_TEXT_RAW_LONG, 0, 0}, {(argument), FNP_PROBE_TEXT_RAW_LONG, 0, 15},           \
	{                                                                                                    \
		(argument), FNP_PROBE_TEXT_RAW_LONG, 0, 23                                                   \
	}
#define TUPLE_FIRST 24 /* PyTupleObject.ob_item, CPython 3.8 to 3.14 */

const struct fnp_probe_meaning fnp_probe_asked = {.what = "usdt", .naming = FNP_NAMING_ASKED};
const struct fnp_probe_meaning fnp_probe_written = {
	.what = "mark", .role = FNP_PROBE_MARK_WRITTEN, .pair = FNP_PAIR_MARK};

static const struct fnp_probe_meaning notes[] = {
	/* CPython, where it was configured with --with-dtrace (Include/pydtrace.d) */
	{"python", "gc__start", "gc", FNP_PROBE_BEGIN, FNP_PAIR_GC, FNP_NAMING_PYTHON_GC,
	 .flags = FNP_PROBE_CLOCKS},
	{"python", "gc__done", "gc", FNP_PROBE_END, FNP_PAIR_GC, FNP_NAMING_NONE, .flags = FNP_PROBE_CLOCKS},
	{"python", "import__find__load__start", "import", FNP_PROBE_BEGIN, FNP_PAIR_IMPORT, FNP_NAMING_TEXT,
	 .n_texts = 1, .texts = {STRING(0)}},
	{"python", "import__find__load__done", "import", FNP_PROBE_END, FNP_PAIR_IMPORT, FNP_NAMING_IMPORTED,
	 .n_texts = 1, .texts = {STRING(0)}},
	{"python", "audit", "mark", FNP_PROBE_MARK_AUDIT, FNP_PAIR_MARK, FNP_NAMING_NONE,
	 .flags = FNP_PROBE_MARKS, .n_texts = 2, .texts = {STRING(0), {1, FNP_PROBE_TEXT_RAW, 0, TUPLE_FIRST}}},
	/* HotSpot, where it was built with --enable-dtrace (src/hotspot/os/posix/dtrace/hotspot.d) */
	{"hotspot", "gc__begin", "gc", FNP_PROBE_BEGIN, FNP_PAIR_GC, FNP_NAMING_JVM_GC, .peeks_cause = true,
	 .flags = FNP_PROBE_CLOCKS},
	{"hotspot", "gc__end", "gc", FNP_PROBE_END, FNP_PAIR_GC, FNP_NAMING_NONE, .flags = FNP_PROBE_CLOCKS},
	{"hotspot", "mem__pool__gc__begin", "gc", FNP_PROBE_NOTE, FNP_PAIR_GC, FNP_NAMING_JVM_GC,
	 .n_texts = 1, .texts = {SIZED(0)}, .peeks_cause = true},
	{"hotspot", "class__loaded", "class_load", FNP_PROBE_MOMENT, FNP_PAIR_CLASS, FNP_NAMING_JVM_CLASS,
	 .n_texts = 1, .texts = {SIZED(0)}},
	/* A class is initialized when it is first used: what that takes, its superclasses' included. */
	CLASS_INIT("required", FNP_PROBE_BEGIN, NULL),
	CLASS_INIT("end", FNP_PROBE_END, NULL),
	CLASS_INIT("recursive", FNP_PROBE_CANCEL, NULL),
	CLASS_INIT("concurrent", FNP_PROBE_END, "another thread did it"),
	CLASS_INIT("error", FNP_PROBE_END, "failed"),
	CLASS_INIT("erroneous", FNP_PROBE_END, "failed"),
	CLASS_INIT("super__failed", FNP_PROBE_END, "failed"),
	{"hotspot", "method__compile__begin", "jit", FNP_PROBE_BEGIN, FNP_PAIR_JIT, FNP_NAMING_JVM_METHOD,
	 .n_texts = 3, .texts = {SIZED(2), SIZED(4), SIZED(0)}},
	{"hotspot", "method__compile__end", "jit", FNP_PROBE_END, FNP_PAIR_JIT, FNP_NAMING_NONE},
	{"hotspot", "thread__start", "thread_start", FNP_PROBE_MOMENT, FNP_PAIR_NONE, FNP_NAMING_TEXT,
	 .n_texts = 1, .texts = {SIZED(0)}},
	{"hotspot", "thread__stop", "thread_stop", FNP_PROBE_MOMENT, FNP_PAIR_NONE, FNP_NAMING_TEXT,
	 .n_texts = 1, .texts = {SIZED(0)}},
	{"hotspot", "vm__init__begin", FNP_PHASE, FNP_PROBE_PHASE, FNP_PAIR_NONE, FNP_NAMING_LABEL,
	 .label = FNP_PHASE_LINKED},
	{"hotspot", "vm__init__end", FNP_PHASE, FNP_PROBE_PHASE, FNP_PAIR_NONE, FNP_NAMING_LABEL,
	 .label = FNP_PHASE_STARTED},
	/* Thread.sleep is a wait for a lock that nobody holds, as far as its system call tells. */
	{"hotspot", "thread__sleep__begin", "sleep", FNP_PROBE_SILENT, FNP_PAIR_NONE, FNP_NAMING_NONE,
	 .flags = FNP_PROBE_SLEEP_BEGIN},
	{"hotspot", "thread__sleep__end", "sleep", FNP_PROBE_SILENT, FNP_PAIR_NONE, FNP_NAMING_NONE,
	 .flags = FNP_PROBE_SLEEP_END},
	/* A program's own marks */
	{"fnprof", "begin", "mark", FNP_PROBE_BEGIN, FNP_PAIR_MARK, FNP_NAMING_TEXT, .n_texts = 1,
	 .texts = {STRING(0)}},
	{"fnprof", "end", "mark", FNP_PROBE_END, FNP_PAIR_MARK, FNP_NAMING_TEXT, .n_texts = 1,
	 .texts = {STRING(0)}},
	{"fnprof", "mark", "mark", FNP_PROBE_MOMENT, FNP_PAIR_MARK, FNP_NAMING_TEXT, .n_texts = 1,
	 .texts = {STRING(0)}},
};

/*
 * V8 has no notes. Heap::PerformGarbageCollection(collector, reason, ...) is the pause; on some versions it is only
 * called by a clone of itself. No return probe ends it: that would put a foreign return address on the stack that
 * samples are walked on. GCTracer::StopObservablePause is the last that happens in a pause.
 */
static const struct fnp_probe_meaning v8[] = {
	{NULL, "_ZN2v88internal4Heap24PerformGarbageCollection*", "gc", FNP_PROBE_BEGIN, FNP_PAIR_GC,
	 FNP_NAMING_V8_GC, .flags = FNP_PROBE_CLOCKS},
	{NULL, "_ZN2v88internal8GCTracer19StopObservablePause*", "gc", FNP_PROBE_END, FNP_PAIR_GC,
	 FNP_NAMING_NONE, .flags = FNP_PROBE_CLOCKS},
	/* node::Start is all that main() does, node::LoadEnvironment begins with Node's own JavaScript. */
	{NULL, "_ZN4node5StartEiPPc", FNP_PHASE, FNP_PROBE_PHASE, FNP_PAIR_NONE, FNP_NAMING_LABEL,
	 .rare = true, .label = FNP_PHASE_LINKED},
	/* Once for each file that is required or imported: its code is compiled, then it runs. */
	{NULL, "_ZN4node10contextifyL27CompileFunctionForCJSLoaderEPNS_11Environment*", "module_load",
	 FNP_PROBE_MOMENT, FNP_PAIR_IMPORT, FNP_NAMING_V8_PATH, .n_texts = 3, .texts = {V8_STRING(3)}},
	{NULL, "_ZN4node6loader10ModuleWrap23CompileSourceTextModule*", "module_load", FNP_PROBE_MOMENT,
	 FNP_PAIR_IMPORT, FNP_NAMING_V8_PATH, .n_texts = 3, .texts = {V8_STRING(2)}},
	{NULL, "_ZN4node15LoadEnvironment*", FNP_PHASE, FNP_PROBE_PHASE, FNP_PAIR_NONE, FNP_NAMING_LABEL,
	 .rare = true, .label = FNP_PHASE_STARTED},
	{0},
};

/* Exported by every CPython, stripped or not: all that main() does, and what it calls when the interpreter is ready. */
static const struct fnp_probe_meaning python[] = {
	{NULL, "Py_BytesMain", FNP_PHASE, FNP_PROBE_PHASE, FNP_PAIR_NONE, FNP_NAMING_LABEL, .rare = true,
	 .label = FNP_PHASE_LINKED},
	{NULL, "Py_RunMain", FNP_PHASE, FNP_PROBE_PHASE, FNP_PAIR_NONE, FNP_NAMING_LABEL, .rare = true,
	 .label = FNP_PHASE_STARTED},
	{0},
};

/* Where a build has no probes. An import is there for the modules that were not loaded yet, as in the notes. */
static const struct fnp_probe_meaning python_places[FNP_PYTHON_PLACE_KINDS] = {
	[FNP_PYTHON_COLLECT_BEGIN] = {NULL, "the begin of a collection", "gc", FNP_PROBE_BEGIN, FNP_PAIR_GC,
				      FNP_NAMING_PYTHON_COLLECT, .flags = FNP_PROBE_CLOCKS},
	[FNP_PYTHON_COLLECT_END] = {NULL, "the end of a collection", "gc", FNP_PROBE_END, FNP_PAIR_GC,
				    FNP_NAMING_NONE, .flags = FNP_PROBE_CLOCKS, .rare = true},
	[FNP_PYTHON_IMPORT_BEGIN] = {NULL, "the begin of an import", "import", FNP_PROBE_BEGIN,
				     FNP_PAIR_IMPORT, FNP_NAMING_PYTHON_STR, .n_texts = 1,
				     .texts = {{2, FNP_PROBE_TEXT_RAW, 0, 0}}},
	[FNP_PYTHON_IMPORT_END] = {NULL, "the end of an import", "import", FNP_PROBE_END, FNP_PAIR_IMPORT,
				   FNP_NAMING_IMPORTED, .rare = true},
};

const struct fnp_probe_meaning *fnp_probe_python_place(unsigned int kind)
{
	return &python_places[kind < FNP_PYTHON_PLACE_KINDS ? kind : 0];
}

const struct fnp_probe_meaning *fnp_probe_meaning_of(const char *provider, const char *name)
{
	for (size_t i = 0; i < FNP_ARRAY_SIZE(notes); i++) {
		if (strcmp(notes[i].provider, provider) == 0 && strcmp(notes[i].name, name) == 0)
			return &notes[i];
	}
	return NULL;
}

const struct fnp_probe_meaning *fnp_probe_functions(const char *runtime)
{
	static const struct fnp_probe_meaning none = {0};

	if (strcmp(runtime, "v8") == 0)
		return v8;
	return strcmp(runtime, "python") == 0 ? python : &none;
}
