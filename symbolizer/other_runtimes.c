/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runtimes that are recognised only to be named as what they are, so that nobody takes them for a runtime whose
 * frames we walk: OpenJ9 (a JVM without HotSpot's tables) and images that GraalVM compiled ahead of time.
 */
#include "symbolizer/runtime.h"

enum { OPENJ9_SHARED, OPENJ9_VM, N_NAMES };

static int recognise(const struct fnp_object *object, struct fnp_runtime_id *ret)
{
	static const char *const names[N_NAMES] = {
		[OPENJ9_SHARED] = "j9sysinfo_get_number_CPUs_by_type",
		[OPENJ9_VM] = "J9_CreateJavaVM",
	};
	struct fnp_object_symbol symbols[N_NAMES];
	struct fnp_section section;
	struct fnp_runtime_id id = {0};

	if (fnp_object_find_section(object, ".svm_heap", &section) == 0)
		snprintf(id.text, sizeof(id.text), "graalvm-native");
	else if (fnp_runtime_exports(object, names, N_NAMES, symbols) > 0)
		snprintf(id.text, sizeof(id.text), "openj9");
	else
		return -ENOENT;
	*ret = id;
	return 0;
}

const struct fnp_runtime_ops fnp_runtime_other_runtimes = {
	.name = "other",
	.recognise = recognise,
};
