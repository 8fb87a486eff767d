/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/mapping_names.h"

static const struct {
	const char *file;
	enum fnp_frame_kind kind;
	enum fnp_frame_tier tier;
} names[] = {
	{FNP_MAPPING_PYTHON_INTERPRETER, FNP_FRAME_PYTHON, FNP_TIER_INTERPRETED},
	{FNP_MAPPING_PYTHON_JIT, FNP_FRAME_PYTHON, FNP_TIER_JIT},
	{FNP_MAPPING_PYTHON_AWAITING, FNP_FRAME_PYTHON, FNP_TIER_AWAITING},
	{FNP_MAPPING_JVM_INTERPRETER, FNP_FRAME_JVM, FNP_TIER_INTERPRETED},
	{FNP_MAPPING_JVM_C1, FNP_FRAME_JVM, FNP_TIER_JIT},
	{FNP_MAPPING_JVM_C2, FNP_FRAME_JVM, FNP_TIER_JIT},
	{FNP_MAPPING_JVM_COMPILED, FNP_FRAME_JVM, FNP_TIER_JIT},
	{FNP_MAPPING_V8_IGNITION, FNP_FRAME_V8, FNP_TIER_INTERPRETED},
	{FNP_MAPPING_V8_SPARKPLUG, FNP_FRAME_V8, FNP_TIER_JIT},
	{FNP_MAPPING_V8_MAGLEV, FNP_FRAME_V8, FNP_TIER_JIT},
	{FNP_MAPPING_V8_TURBOFAN, FNP_FRAME_V8, FNP_TIER_JIT},
	{FNP_MAPPING_V8_WASM, FNP_FRAME_V8, FNP_TIER_JIT},
	{FNP_MAPPING_V8_AWAITING, FNP_FRAME_V8, FNP_TIER_AWAITING},
	{FNP_MAPPING_JIT, FNP_FRAME_NATIVE, FNP_TIER_JIT},
	{FNP_MAPPING_MARKER, FNP_FRAME_MARKER, FNP_TIER_NONE},
};

static const struct {
	const char *word; /* between the bracket and a blank or the closing bracket */
	enum fnp_frame_kind kind;
} runtimes[] = {
	{"python", FNP_FRAME_PYTHON},
	{"jvm", FNP_FRAME_JVM},
	{"v8", FNP_FRAME_V8},
};

static bool is_of_runtime(const char *file, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len > n + 1 && strncmp(file + 1, word, n) == 0 && (file[1 + n] == ' ' || file[1 + n] == ']');
}

struct fnp_mapping_meaning fnp_mapping_meaning(const char *file)
{
	static const char kernel[] = "[kernel.";
	size_t len = strlen(file);

	if (file[0] != '[' || file[len - 1] != ']')
		return (struct fnp_mapping_meaning){.kind = FNP_FRAME_NATIVE};
	if (strncmp(file, kernel, sizeof(kernel) - 1) == 0)
		return (struct fnp_mapping_meaning){.kind = FNP_FRAME_KERNEL};
	for (size_t i = 0; i < FNP_ARRAY_SIZE(names); i++) {
		if (strcmp(file, names[i].file) == 0)
			return (struct fnp_mapping_meaning){names[i].kind, names[i].tier, .pseudo = true};
	}
	for (size_t i = 0; i < FNP_ARRAY_SIZE(runtimes); i++) {
		if (is_of_runtime(file, len, runtimes[i].word))
			return (struct fnp_mapping_meaning){.kind = runtimes[i].kind, .pseudo = true};
	}
	return (struct fnp_mapping_meaning){.kind = FNP_FRAME_NATIVE};
}
