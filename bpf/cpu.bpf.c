// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sampler: on each tick of a CPU's timer, the stack of the watched thread that runs there.
 *
 * The timer runs on idle CPUs too, so that the time since the last tick is the time that a tick stands for. A tick is
 * counted before anything else is tried; what becomes of it is counted by others (a record by its reader, a loss by
 * cause), and the two sides must agree in the end.
 */
#include "bpf/targets.h"

char LICENSE[] SEC("license") = "GPL";

#define WEIGHT_PERIODS_MAX 4

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} samples SEC(".maps");

struct tick_state {
	fnp_u64 last_ns;
	fnp_u64 missed; /* ticks that never came: the host took the CPU, or the timer was throttled */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, fnp_u32);
	__type(value, struct tick_state);
} tick_states SEC(".maps");

/* A record as it is sent: user stack first, then the kernel's, whose place depends on the first one's length. */
struct sample_scratch {
	struct fnp_sample_record record;
	struct fnp_section user;
	fnp_u64 words[2 * FNP_USER_WORDS_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY); /* one a CPU: values of per-CPU maps end at 32 KiB */
	__uint(max_entries, 1);		  /* user space: number of CPUs */
	__type(key, fnp_u32);
	__type(value, struct sample_scratch);
} sample_scratch SEC(".maps");

static __always_inline fnp_u64 weight_of_tick(fnp_u64 now_ns, fnp_u64 period_ns)
{
	fnp_u32 zero = 0;
	struct tick_state *state = bpf_map_lookup_elem(&tick_states, &zero);
	fnp_u64 weight = period_ns;

	if (!state)
		return weight;
	if (state->last_ns)
		weight = now_ns - state->last_ns;
	state->last_ns = now_ns;
	if (period_ns && weight > 2 * period_ns)
		state->missed += weight / period_ns - 1;
	return weight > WEIGHT_PERIODS_MAX * period_ns ? WEIGHT_PERIODS_MAX * period_ns : weight;
}

static __always_inline void send(struct fnp_target *target, struct sample_scratch *scratch, fnp_u32 size)
{
	fnp_u64 flags = BPF_RB_NO_WAKEUP;

	if (bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&samples, BPF_RB_RING_SIZE) / 4)
		flags = BPF_RB_FORCE_WAKEUP;
	if (bpf_ringbuf_output(&samples, scratch, size, flags) != 0)
		__sync_fetch_and_add(&target->lost[FNP_LOSS_RING_FULL], 1);
}

SEC("perf_event")
int fnp_tick(struct bpf_perf_event_data *ctx)
{
	fnp_u64 now_ns = bpf_ktime_get_ns();
	fnp_u64 weight_ns = weight_of_tick(now_ns, ctx->sample_period);
	fnp_u32 pid = current_pid(), cpu = bpf_get_smp_processor_id(), user_bytes, size;
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	struct sample_scratch *scratch;
	struct fnp_section *kernel;
	long n;

	if (!target || !(target->flags & FNP_TARGET_SAMPLED) || (target->flags & FNP_TARGET_WAIT_EXEC))
		return 0;
	__sync_fetch_and_add(&target->ticks, 1);
	scratch = bpf_map_lookup_elem(&sample_scratch, &cpu);
	if (!scratch)
		return 0;
	if (!target->process)
		target->process = process_of((void *)bpf_get_current_task());
	scratch->record.head.type = FNP_RECORD_SAMPLE;
	scratch->record.head.n_sections = 2;
	scratch->record.head.time_ns = now_ns;
	scratch->record.head.pid = pid;
	scratch->record.head.tid = current_tid();
	scratch->record.head.process = target->process;
	scratch->record.head.seq = target->seq;
	scratch->record.weight_ns = weight_ns;
	scratch->record.cpu = cpu;
	scratch->record.truncation = FNP_TRUNCATION_NONE;
	bpf_get_current_comm(scratch->record.comm, sizeof(scratch->record.comm));

	n = bpf_get_stack(ctx, scratch->words, FNP_KERNEL_FRAMES_MAX * 8, BPF_F_USER_STACK);
	user_bytes = n > 0 ? n : 0;
	scratch->user.type = FNP_SECTION_USER_STACK;
	scratch->user.truncated = 0;
	scratch->user.size = user_bytes;

	kernel = (void *)scratch->words + (user_bytes & (8 * FNP_USER_WORDS_MAX - 1));
	n = bpf_get_stack(ctx, kernel + 1, FNP_KERNEL_FRAMES_MAX * 8, 0);
	kernel->type = FNP_SECTION_KERNEL_STACK;
	kernel->truncated = n == FNP_KERNEL_FRAMES_MAX * 8;
	kernel->size = n > 0 ? n : 0;
	size = sizeof(scratch->record) + sizeof(scratch->user) + user_bytes + sizeof(*kernel) + kernel->size;
	if (size > sizeof(*scratch))
		return 0;
	scratch->record.head.size = size;
	send(target, scratch, size);
	return 0;
}
