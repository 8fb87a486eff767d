/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of code that a JIT made, from the map that many of them write for perf: /tmp/perf-PID.map, lines of
 * `START SIZE name`, numbers hexadecimal. The file grows while the process runs; of lines for one address the last
 * counts, since code moves and memory is used again.
 *
 * It is opened in the process's own file system, by the number that the process has there, and read as hostile input:
 * a regular file, no symbolic link, owned by the process's user or root, at most 64 MiB of it. Open it while the
 * process lives; what was read stays readable after its death. One thread.
 */
#ifndef FNP_SYMBOLIZER_PERF_MAP_H
#define FNP_SYMBOLIZER_PERF_MAP_H

#include <sys/types.h>

#include "base/memory.h"

struct fnp_perf_map;

/* `pid` as we count. -ENOENT when there is no map; -EACCES or -EINVAL when it is not to be trusted, which is said once. */
int fnp_perf_map_open(pid_t pid, struct fnp_perf_map **ret);

/* The same for an open file, which is taken in every case, and which `uid` or root must own. */
int fnp_perf_map_open_fd(int fd, uid_t uid, struct fnp_perf_map **ret);

/* The same for a file of a folder. */
int fnp_perf_map_open_at(int dirfd, const char *name, uid_t uid, struct fnp_perf_map **ret);

void fnp_perf_map_destroy(struct fnp_perf_map *map);

FNP_DEFINE_CLEANUP(fnp_perf_map_destroyp, struct fnp_perf_map *, fnp_perf_map_destroy)

/*
 * The name of the code at an address of the process; -ENOENT. Reads what the file has grown by, not more often than
 * every 10 ms, and so that reading takes at most a twentieth of the time. The name is valid until the map's end.
 */
int fnp_perf_map_find(struct fnp_perf_map *map, uint64_t address, const char **ret, uint64_t *ret_start);

/* Reads what the file has grown by now; for the last look at a process that is about to go. */
int fnp_perf_map_refresh(struct fnp_perf_map *map);

#endif
