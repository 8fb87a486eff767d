// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sampler: on each tick of a CPU's timer, the stack of the watched thread that runs there.
 *
 * The timer runs on idle CPUs too, so that the time since the last tick is the time that a tick stands for. A tick is
 * counted before anything else is tried; what becomes of it is counted by others (a record by its reader, a loss by
 * cause), and the two sides must agree in the end.
 */
#include "bpf/sample.h"
#include "bpf/weights.h"

char LICENSE[] SEC("license") = "GPL";

FNP_WALK_MAP(fnp_cpu_walks);

int fnp_tick_continued(struct bpf_perf_event_data *ctx);

/* A deep stack is walked by several programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(fnp_u32));
	__array(values, int(void *));
} fnp_cpu_programs SEC(".maps") = {.values = {[0] = (void *)&fnp_tick_continued}};

static __always_inline struct fnp_walk *current_walk(void)
{
	fnp_u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&fnp_cpu_walks, &cpu);
}

static __always_inline int finish(void *ctx, struct fnp_walk *walk, bool walked)
{
	fnp_u32 pid = ((struct sample_head *)walk->head)->record.head.pid;
	struct fnp_target *target;

	sample_complete(ctx, walk, walked);
	if (sample_send(walk) == 0)
		return 0;
	target = bpf_map_lookup_elem(&targets, &pid);
	if (target)
		__sync_fetch_and_add(&target->lost[FNP_LOSS_RING_FULL], 1);
	return 0;
}

/* The context's words are the verifier's, whole and in their old places, whatever struct pt_regs is by now. */
static __always_inline bool was_in_user_mode(struct bpf_perf_event_data *ctx)
{
	const volatile fnp_u64 *words = (void *)ctx;

#if defined(__TARGET_ARCH_x86)
	return words[17] & 3; /* cs */
#else
	return (words[33] & 0xf) == 0; /* pstate */
#endif
}

SEC("perf_event")
int fnp_tick(struct bpf_perf_event_data *ctx)
{
	fnp_u64 now_ns = bpf_ktime_get_ns();
	struct on_cpu *slot = slot_of_cpu(bpf_get_smp_processor_id());
	fnp_u64 weight_ns = weight_of_tick(slot, now_ns);
	fnp_u32 pid = current_pid();
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	struct fnp_walk *walk;

	if (!target || !weight_ns || !(target->flags & FNP_TARGET_SAMPLED) ||
	    (target->flags & FNP_TARGET_WAIT_EXEC))
		return 0;
	__sync_fetch_and_add(&target->ticks, 1);
	walk = current_walk();
	if (!walk)
		return 0;
	sample_begin(walk, target, pid, now_ns);
	((struct sample_head *)walk->head)->record.weight_ns = weight_ns + weight_claimed(slot, pid);
	sample_walk(ctx, walk, pid, !was_in_user_mode(ctx), &fnp_cpu_programs);
	return finish(ctx, walk, false);
}

SEC("perf_event")
int fnp_tick_continued(struct bpf_perf_event_data *ctx)
{
	struct fnp_walk *walk = current_walk();

	if (!walk)
		return 0;
	if (fnp_walk_run(walk))
		bpf_tail_call(ctx, &fnp_cpu_programs, 0);
	fnp_walk_end(walk);
	return finish(ctx, walk, true);
}
