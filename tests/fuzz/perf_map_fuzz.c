/* SPDX-License-Identifier: Apache-2.0 */
/* A map of JIT code that lies; the second half arrives while the first is in use. */
#include "symbolizer/perf_map.h"

#include <sys/mman.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FNP_CLEANUP(fnp_perf_map_destroyp) struct fnp_perf_map *map = NULL;
	fnp_autoclose int fd = memfd_create("map", 0);
	uint64_t start;

	if (fd < 0 || fnp_file_write_all(fd, data, size / 2) < 0)
		return 0;
	if (fnp_perf_map_open_fd(dup(fd), getuid(), &map) < 0)
		return 0;
	for (uint64_t address = 0; address < 0x4000; address += 0x111) {
		const char *name = "";
		if (address == 0x2220 && (fnp_file_write_all(fd, data + size / 2, size - size / 2) < 0 ||
					  fnp_perf_map_refresh(map) < 0))
			return 0;
		if (fnp_perf_map_find(map, address, &name, &start) == 0)
			__asm__ volatile("" : : "r"(strlen(name)));
	}
	return 0;
}
