/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that claim to be a kernel's BTF. */
#include "profiler/collectors/kernel_types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"task_struct", "a"};
	FNP_CLEANUP(fnp_kernel_types_deinit) struct fnp_kernel_types types = {0};

	if (fnp_kernel_types_parse(data, size, names, FNP_ARRAY_SIZE(names), &types) == 0)
		(void)fnp_kernel_types_tracepoint(&types, "sched_switch");
	return 0;
}
