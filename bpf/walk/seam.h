/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The seam of helpers: everything by which a walker touches the kernel. Walkers are written against these names alone,
 * so that the same C also runs in user space: on recorded memory, under a debugger, sanitizers and fuzzers, and to go
 * on with a walk that the kernel side had to leave.
 *
 * In BPF a map is a map; it must have the name that is said here, because user space makes each map once and hands it
 * to all objects by name (fnp_tables_share). In user space a map is the struct fnp_walk_map that a test or the
 * resumer fills, reached through one thread-local environment.
 *
 *	fnp_read_user(to, size, address)	0 or negative; `to` is not to be used after an error
 *	fnp_array_at(map, index)		the element, or NULL
 *	fnp_hash_at(map, &key)			the value, or NULL
 *	FNP_ARRAY(name, type, n)		declares a map that walkers read
 *	FNP_HASH(name, key type, type, n)
 *	FNP_SWITCH(name)			a constant that user space sets before loading: walkers that nobody
 *						needs are cut off by the verifier at their first line
 *	FNP_SUBPROGRAM				a function that the verifier takes by itself
 *	fnp_thread_pointer()			of the current thread: fs base, tpidr_el0
 *	fnp_pac_mask()				bits of a return address that are no address (arm64); 0
 */
#ifndef FNP_BPF_WALK_SEAM_H
#define FNP_BPF_WALK_SEAM_H

#include "bpf/layout/native.h"
#include "bpf/wire.h"

#ifdef __bpf__

#include "bpf/kernel.h"

#define FNP_INLINE static __always_inline
#define FNP_SUBPROGRAM __noinline

#define FNP_ARRAY(name_, type_, n_)                                                                          \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                            \
		__uint(map_flags, BPF_F_MMAPABLE);                                                           \
		__uint(max_entries, n_);                                                                     \
		__type(key, fnp_u32);                                                                        \
		__type(value, type_);                                                                        \
	} name_ SEC(".maps")
#define FNP_HASH(name_, key_, type_, n_)                                                                     \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_HASH);                                                             \
		__uint(max_entries, n_);                                                                     \
		__type(key, key_);                                                                           \
		__type(value, type_);                                                                        \
	} name_ SEC(".maps")
#define FNP_SWITCH(name_) const volatile bool name_ = false

#define fnp_array_at(map, index)                                                                             \
	({                                                                                                   \
		fnp_u32 index_ = (index);                                                                    \
		bpf_map_lookup_elem(&map, &index_);                                                          \
	})
#define fnp_hash_at(map, key) bpf_map_lookup_elem(&map, key)
#define fnp_read_user(to, size, address) bpf_probe_read_user(to, size, (const void *)(address))

struct thread_struct___tls {
	unsigned long fsbase;
	struct {
		unsigned long tp_value;
	} uw;
} __attribute__((preserve_access_index));
struct task_struct___tls {
	struct thread_struct___tls thread;
} __attribute__((preserve_access_index));

FNP_INLINE fnp_u64 fnp_thread_pointer(void)
{
	struct task_struct___tls *task = (void *)bpf_get_current_task();

#if defined(__TARGET_ARCH_arm64)
	return BPF_CORE_READ(task, thread.uw.tp_value);
#else
	return BPF_CORE_READ(task, thread.fsbase);
#endif
}

#if defined(__TARGET_ARCH_arm64)
#define fnp_pac_mask() 0x007f000000000000ULL /* 48-bit user addresses */
#else
#define fnp_pac_mask() 0ULL
#endif

#else /* user space */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define FNP_INLINE static inline __attribute__((always_inline, unused))
#define FNP_SUBPROGRAM static __attribute__((noinline, unused))
#define FNP_SWITCH(name_) static __thread bool name_ __attribute__((unused))

struct fnp_walk_map {
	const char *name;
	void *values;
	size_t n, value_size;
	/* Of a hash: finds the value. Of an array: NULL. */
	void *(*find)(const struct fnp_walk_map *map, const void *key);
};

struct fnp_walk_arena {
	const struct fnp_block *blocks;
	size_t n;
};

/* What stands in the kernel's place; maps are found by name. */
struct fnp_walk_env {
	const struct fnp_walk_map *maps;
	size_t n_maps;
	const struct fnp_walk_arena *arenas;
	size_t n_arenas;
	int (*read)(void *context, void *to, size_t size, fnp_u64 address);
	void *context;
	fnp_u64 thread_pointer, pac_mask;
};

static __thread const struct fnp_walk_env *fnp_walk_env __attribute__((unused));

#define FNP_ARRAY(name_, type_, n_)                                                                          \
	static inline __attribute__((unused)) type_ *name_##_lookup(fnp_u64 i)                               \
	{                                                                                                    \
		const struct fnp_walk_map *m = fnp_walk_map_named(#name_, sizeof(type_));                    \
		return m && i < m->n ? (type_ *)m->values + i : NULL;                                        \
	}                                                                                                    \
	_Static_assert(sizeof(type_) > 0, #name_)
#define FNP_HASH(name_, key_, type_, n_)                                                                     \
	static inline __attribute__((unused)) type_ *name_##_lookup_key(const key_ *key)                     \
	{                                                                                                    \
		const struct fnp_walk_map *m = fnp_walk_map_named(#name_, sizeof(type_));                    \
		return m && m->find ? m->find(m, key) : NULL;                                                \
	}                                                                                                    \
	_Static_assert(sizeof(type_) > 0, #name_)

static inline __attribute__((unused)) const struct fnp_walk_map *fnp_walk_map_named(const char *name,
										    size_t value_size)
{
	for (size_t i = 0; fnp_walk_env && i < fnp_walk_env->n_maps; i++) {
		const struct fnp_walk_map *m = &fnp_walk_env->maps[i];
		if (m->value_size == value_size && strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

#define fnp_array_at(map, index) map##_lookup(index)
#define fnp_hash_at(map, key) map##_lookup_key(key)
#define fnp_read_user(to, size, address) fnp_walk_env->read(fnp_walk_env->context, to, size, address)
#define fnp_thread_pointer() (fnp_walk_env->thread_pointer)
#define fnp_pac_mask() (fnp_walk_env->pac_mask)

#endif

#endif
