/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of mappings that are no file on disk, and what they say of the frames in them.
 *
 * pprof has no field for the kind of a frame, nor for how it ran; it has mappings. So the name of a location's
 * mapping is the one place where both are written, and where they are read back from:
 *
 *	file of the mapping	kind	tier
 *	[kernel.kallsyms]	kernel		the kernel itself
 *	[kernel.NAME]		kernel		a module, or "bpf" for BPF programs and trampolines
 *	[python]		python		an interpreter that has no JIT
 *	[python interpreter]	python	0	the interpreter of a build that has one
 *	[python jit]		python	j
 *	[python awaiting]	python	a	a coroutine or task that awaits and is not on the stack
 *	[jvm interpreter]	jvm	0
 *	[jvm c1] [jvm c2]	jvm	j
 *	[jvm compiled]		jvm	j	compiled, the compiler is not known
 *	[jvm]			jvm		stubs and native wrappers; methods whose tier is not known
 *	[v8 ignition]		v8	0
 *	[v8 sparkplug] [v8 maglev] [v8 turbofan] [v8 wasm]	v8	j
 *	[v8 awaiting]		v8	a
 *	[v8]			v8		builtins; functions whose tier is not known
 *	[jit]			native	j	code that a perf map names
 *	[marker]		marker		"[gc]", "[truncated: why]"
 *	anything else		native		a path, "[vdso]", "[anon]"
 *
 * A name of a known runtime with a second word that is not in this table (a later version wrote it) keeps the kind
 * and has no tier. Paths from /proc begin with a slash, so no file can pose as one of these.
 */
#ifndef FNP_FORMATS_MAPPING_NAMES_H
#define FNP_FORMATS_MAPPING_NAMES_H

#include "formats/profile.h"

#define FNP_MAPPING_KERNEL "[kernel.kallsyms]"
#define FNP_MAPPING_KERNEL_BPF "[kernel.bpf]"
#define FNP_MAPPING_KERNEL_MODULE_FORMAT "[kernel.%s]"

#define FNP_MAPPING_PYTHON "[python]"
#define FNP_MAPPING_PYTHON_INTERPRETER "[python interpreter]"
#define FNP_MAPPING_PYTHON_JIT "[python jit]"
#define FNP_MAPPING_PYTHON_AWAITING "[python awaiting]"

#define FNP_MAPPING_JVM "[jvm]"
#define FNP_MAPPING_JVM_INTERPRETER "[jvm interpreter]"
#define FNP_MAPPING_JVM_C1 "[jvm c1]"
#define FNP_MAPPING_JVM_C2 "[jvm c2]"
#define FNP_MAPPING_JVM_COMPILED "[jvm compiled]"

#define FNP_MAPPING_V8 "[v8]"
#define FNP_MAPPING_V8_IGNITION "[v8 ignition]"
#define FNP_MAPPING_V8_SPARKPLUG "[v8 sparkplug]"
#define FNP_MAPPING_V8_MAGLEV "[v8 maglev]"
#define FNP_MAPPING_V8_TURBOFAN "[v8 turbofan]"
#define FNP_MAPPING_V8_WASM "[v8 wasm]"
#define FNP_MAPPING_V8_AWAITING "[v8 awaiting]"

#define FNP_MAPPING_JIT "[jit]"
#define FNP_MAPPING_MARKER "[marker]"

/* What a mapping's name says of its frames. */
struct fnp_mapping_meaning {
	enum fnp_frame_kind kind;
	enum fnp_frame_tier tier;
	bool pseudo; /* has no addresses of its own: the profile's builder numbers its frames */
};

struct fnp_mapping_meaning fnp_mapping_meaning(const char *file);

#endif
