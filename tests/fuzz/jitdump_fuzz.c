/* SPDX-License-Identifier: Apache-2.0 */
/* A jitdump that lies; the second half arrives while the first is in use. */
#include "symbolizer/jitdump.h"

#include <sys/mman.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FNP_CLEANUP(fnp_jitdump_destroyp) struct fnp_jitdump *dump = NULL;
	fnp_autoclose int fd = memfd_create("dump", 0);
	struct fnp_jit_process process = {.uid = getuid(), .pid = 77, .start_ns = 1000};

	if (fd < 0 || fnp_file_write_all(fd, data, size / 2) < 0)
		return 0;
	if (fnp_jitdump_open_fd(dup(fd), &process, &dump) < 0)
		return 0;
	for (uint64_t address = 0; address < 0x4000; address += 0x111) {
		struct fnp_jitdump_place place;
		if (address == 0x2220 && (fnp_file_write_all(fd, data + size / 2, size - size / 2) < 0 ||
					  fnp_jitdump_refresh(dump) < 0))
			return 0;
		if (fnp_jitdump_find(dump, address, address * 3, &place) == 0)
			__asm__ volatile("" : : "r"(strlen(place.name) + strlen(place.file)));
	}
	return 0;
}
