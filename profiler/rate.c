/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/rate.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/text.h"

#define FILE_BYTES_MAX 4096

uint32_t fnp_rate_allowed(const char *limit_file, uint32_t wanted_hz)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};
	uint64_t limit_hz;

	if (fnp_file_read_at(AT_FDCWD, limit_file, FILE_BYTES_MAX, &bytes) < 0)
		return wanted_hz;
	((char *)bytes.data)[strcspn((char *)bytes.data, "\n")] = '\0';
	if (fnp_text_parse_u64((const char *)bytes.data, UINT32_MAX, &limit_hz) < 0 || limit_hz == 0)
		return wanted_hz;
	return (uint32_t)FNP_MIN(limit_hz, (uint64_t)wanted_hz);
}
