/* SPDX-License-Identifier: Apache-2.0 */
/* The table of collectors, from the list in CMakeLists.txt. */
#include "profiler/collectors/collector.h"

#define FNP_REGISTER(name) extern const struct fnp_collector_ops fnp_collector_##name;
#include "collectors_registry.inc"
#undef FNP_REGISTER

const struct fnp_collector_ops *const fnp_collectors[] = {
#define FNP_REGISTER(name) &fnp_collector_##name,
#include "collectors_registry.inc"
#undef FNP_REGISTER
	NULL,
};
