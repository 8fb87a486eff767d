/* SPDX-License-Identifier: Apache-2.0 */
/* Where a running JVM's library is. */
#ifndef FNP_TESTS_BPF_HOTSPOT_LIBRARY_H
#define FNP_TESTS_BPF_HOTSPOT_LIBRARY_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "symbolizer/hotspot.h"

/* The first libjvm.so that the process maps; the object is the caller's. 0 or -ENOENT. */
static inline int find_hotspot_library(pid_t pid, struct fnp_hotspot_place *ret)
{
	char path[64], line[4096], name[4000];
	unsigned long start, offset;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	fnp_autofclose FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		struct fnp_object *object = NULL;
		uint64_t address;

		if (sscanf(line, "%lx-%*x %*s %lx %*s %*s %3999[^\n]", &start, &offset, name) != 3 ||
		    !strstr(name, "libjvm.so"))
			continue;
		fnp_autoclose int fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fnp_object_open_fd(fd, name, &object) < 0 ||
		    fnp_object_address_of_offset(object, offset, &address) < 0)
			return -ENOENT;
		*ret = (struct fnp_hotspot_place){.pid = pid, .bias = start - address, .object = object};
		return 0;
	}
	return -ENOENT;
}

#endif
