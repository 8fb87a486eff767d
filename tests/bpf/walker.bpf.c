// SPDX-License-Identifier: GPL-2.0-only
/* The frame loop by itself, for tests and bench: walks a process on each tick and keeps the last result. */
#include "bpf/walk/walk.h"

char LICENSE[] SEC("license") = "GPL";

const volatile fnp_u32 watched_pid = 0;

FNP_WALK_MAP(walks);

fnp_u64 n_walks, n_frames, n_whole, n_by_cause[16];
fnp_u32 last_resume_words;

int walk_on(struct bpf_perf_event_data *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, fnp_u32);
	__array(values, int(void *));
} programs SEC(".maps") = {
	.values = {[0] = (void *)&walk_on},
};

static __always_inline void finish(struct fnp_walk *walk)
{
	fnp_walk_end(walk);
	last_resume_words = fnp_walk_resume(walk, walk->n_words & (FNP_USER_WORDS_MAX - 1));
	__sync_fetch_and_add(&n_walks, 1);
	__sync_fetch_and_add(&n_frames, walk->n_words);
	__sync_fetch_and_add(&n_by_cause[walk->truncation & 15], 1);
}

SEC("perf_event")
int walk_on(struct bpf_perf_event_data *ctx)
{
	fnp_u32 cpu = bpf_get_smp_processor_id();
	struct fnp_walk *walk = bpf_map_lookup_elem(&walks, &cpu);

	if (!walk)
		return 0;
	if (fnp_walk_run(walk))
		bpf_tail_call(ctx, &programs, 0);
	finish(walk);
	return 0;
}

SEC("perf_event")
int walk_begin(struct bpf_perf_event_data *ctx)
{
	fnp_u32 cpu = bpf_get_smp_processor_id(), pid = bpf_get_current_pid_tgid() >> 32;
	struct fnp_walk *walk;

	if (pid != watched_pid)
		return 0;
	walk = bpf_map_lookup_elem(&walks, &cpu);
	if (!walk)
		return 0;
	fnp_walk_begin(walk, pid);
	if (fnp_walk_run(walk))
		bpf_tail_call(ctx, &programs, 0);
	finish(walk);
	return 0;
}
