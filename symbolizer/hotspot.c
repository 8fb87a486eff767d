/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HotSpot JVM: recognised by the tables that it publishes for debuggers, in every build, also a stripped one.
 *
 * Its version stands in the text that `java -Xinternalversion` prints: "... for linux-amd64 JRE (21.0.4+7-LTS), ...".
 */
#include "symbolizer/runtime.h"

static int recognise(const struct fnp_object *object, struct fnp_runtime_id *ret)
{
	static const char *const names[] = {"gHotSpotVMStructs", "gHotSpotVMTypes", "JNI_CreateJavaVM"};
	struct fnp_object_symbol symbols[FNP_ARRAY_SIZE(names)];
	struct fnp_runtime_id id = {0};

	if (fnp_runtime_exports(object, names, FNP_ARRAY_SIZE(names), symbols) != FNP_ARRAY_SIZE(names))
		return -ENOENT;
	if (fnp_runtime_version_after(object, " JRE (", id.version, sizeof(id.version)) == 0)
		fnp_runtime_parse_version(id.version, &id.major, &id.minor);
	if (id.major == 1) /* "1.8.0_412-b08" */
		id.major = id.minor;
	if (id.major)
		snprintf(id.text, sizeof(id.text), "jvm%u", id.major);
	else
		snprintf(id.text, sizeof(id.text), "jvm");
	*ret = id;
	return 0;
}

const struct fnp_runtime_ops fnp_runtime_hotspot = {
	.name = "hotspot",
	.recognise = recognise,
};
