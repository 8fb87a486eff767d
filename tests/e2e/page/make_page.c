/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_page DIR [OUT [BYTES]]: writes the page of a recording and says on one line what came of it, with this process's own
 * CPU time and peak memory, for the tests beside it.
 */
#include <fcntl.h>

#include "base/clock.h"
#include "profiler/output/page/page.h"

/* VmHWM: getrusage would also count the parent's memory between fork and exec. */
static long peak_kb(void)
{
	fnp_autofclose FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	long kb = -1;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmHWM: %ld", &kb) == 1)
			break;
	}
	return kb;
}

int main(int argc, char **argv)
{
	struct fnp_page_options options = {.path = argc > 2 ? argv[2] : NULL,
					   .max_bytes = argc > 3 ? strtoul(argv[3], NULL, 10) : 0};
	struct fnp_page_counts counts = {0};

	if (argc < 2)
		return 2;
	fnp_autoclose int dirfd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dirfd < 0 ? -1 : fnp_page_write(dirfd, &options, &counts);
	if (r < 0) {
		fprintf(stderr, "make_page: \"%s\": %s\n", argv[1], strerror(-r));
		return 1;
	}
	printf("{\"rows\":%llu,\"unreadable\":%llu,\"listed\":%llu,\"singles\":%llu,\"bytes\":%llu,\"cpu_"
	       "ms\":%llu,"
	       "\"rss_kb\":%ld}\n",
	       (unsigned long long)counts.rows, (unsigned long long)counts.unreadable,
	       (unsigned long long)counts.listed, (unsigned long long)counts.singles,
	       (unsigned long long)counts.bytes, (unsigned long long)(fnp_clock_own_cpu_ns() / 1000000),
	       peak_kb());
	return 0;
}
