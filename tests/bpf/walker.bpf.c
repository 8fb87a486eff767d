// SPDX-License-Identifier: GPL-2.0-only
/* The frame loop by itself, for tests and bench: walks one process on each tick, and sends the words when asked to. */
#include "bpf/walk/walk.h"

char LICENSE[] SEC("license") = "GPL";

const volatile fnp_u32 watched_pid = 0;
const volatile bool send_words = false;

FNP_WALK_MAP(walks);

fnp_u64 n_walks, n_words, n_by_cause[16], n_resumable;
fnp_u64 get_stack_buffer[128];

int walk_on(struct bpf_perf_event_data *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(fnp_u32));
	__array(values, int(void *));
} programs SEC(".maps") = {.values = {[0] = (void *)&walk_on}};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} stacks SEC(".maps");

static __always_inline int finish(struct fnp_walk *walk)
{
	fnp_u32 words = walk->n_words, resume = 0, size;

	n_walks++;
	n_words += words;
	n_by_cause[walk->truncation & 15]++;
	if (!send_words)
		return 0;
	if (words > FNP_USER_WORDS_MAX)
		return 0;
	resume = fnp_walk_resume(walk, words);
	n_resumable += resume != 0;
	walk->head[0] = words;
	walk->head[1] = walk->truncation;
	walk->head[2] = resume;
	walk->head[3] = walk->regs[FNP_WALK_SLOT_SP];
	size = sizeof(walk->head) + 8 * (words + resume);
	if (size > sizeof(walk->head) + sizeof(walk->words))
		return 0;
	bpf_ringbuf_output(&stacks, walk->head, size, 0);
	return 0;
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
	fnp_walk_end(walk);
	return finish(walk);
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
	fnp_walk_begin(walk, pid, false);
	if (fnp_walk_run(walk))
		bpf_tail_call(ctx, &programs, 0);
	fnp_walk_end(walk);
	return finish(walk);
}

/* What the walk is compared with: the kernel's own walk by frame pointers. */
SEC("perf_event")
int get_stack(struct bpf_perf_event_data *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 != watched_pid)
		return 0;
	n_walks++;
	bpf_get_stack(ctx, get_stack_buffer, sizeof(get_stack_buffer) - 8, BPF_F_USER_STACK);
	return 0;
}
