/* SPDX-License-Identifier: Apache-2.0 */
/* How fast unwind tables are compiled, what a row takes, and how much memory that needs: unwind_build_bench FILE... */
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "base/log.h"
#include "symbolizer/unwind.h"

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	printf("%-60s %9s %9s %9s %8s %8s %8s\n", "file", "rows", "cold ms", "warm ms", "M rows/s", "B a row",
	       "RSS MiB");
	for (int i = 1; i < argc; i++) {
		FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
		FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL, *again = NULL;
		struct rusage usage;
		double begin, cold, warm;
		int r = fnp_object_open_path(argv[i], &object);

		begin = cpu_ms();
		r = r ?: fnp_unwind_build(object, &unwind);
		cold = cpu_ms() - begin;
		begin = cpu_ms();
		r = r ?: fnp_unwind_build(object, &again);
		warm = cpu_ms() - begin;
		if (r < 0)
			return fnp_error(1, "cannot compile \"%s\": %s", argv[i], strerror(-r));
		getrusage(RUSAGE_SELF, &usage);
		printf("%-60s %9u %9.1f %9.1f %8.1f %8.2f %8.1f\n", argv[i], unwind->rows, cold, warm,
		       (double)unwind->rows / warm / 1e3,
		       (double)unwind->n_lines * FNP_BLOCK_BYTES / unwind->rows,
		       (double)usage.ru_maxrss / 1024);
	}
	return 0;
}
