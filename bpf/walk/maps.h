/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The maps that the native walker reads; user space writes them all. See bpf/layout/native.h for what they hold.
 */
#ifndef FNP_BPF_WALK_MAPS_H
#define FNP_BPF_WALK_MAPS_H

#include "bpf/walk/seam.h"

FNP_ARRAY(fnp_code_ranges, struct fnp_code_range, FNP_CODE_RANGES_MAX);
FNP_ARRAY(fnp_spaces, struct fnp_space, FNP_SPACES_MAX);
FNP_ARRAY(fnp_native_tables, struct fnp_table, FNP_TABLES_MAX);

#ifdef __bpf__

/* Arenas of rows: an array of arrays of cache lines, so that memory is held for the objects that are in use alone. */
struct fnp_arena_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(max_entries, FNP_ARENA_BYTES / FNP_BLOCK_BYTES);
	__uint(key_size, sizeof(fnp_u32)); /* clang leaves types of inner maps undefined in BTF */
	__uint(value_size, FNP_BLOCK_BYTES);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, FNP_ARENAS_MAX);
	__type(key, fnp_u32);
	__array(values, struct fnp_arena_map);
} fnp_arenas SEC(".maps");

FNP_INLINE const struct fnp_block *fnp_block_at(fnp_u32 arena, fnp_u32 line)
{
	void *map = bpf_map_lookup_elem(&fnp_arenas, &arena);

	return map ? bpf_map_lookup_elem(map, &line) : NULL;
}

#else

FNP_INLINE const struct fnp_block *fnp_block_at(fnp_u32 arena, fnp_u32 line)
{
	const struct fnp_walk_env *e = fnp_walk_env;

	return arena < e->n_arenas && line < e->arenas[arena].n ? &e->arenas[arena].blocks[line] : NULL;
}

#endif

#endif
