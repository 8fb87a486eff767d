// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sampler: on each tick of a CPU's timer, the stack of the watched thread that runs there.
 *
 * The timer runs on idle CPUs too, so that the time since the last tick is the time that a tick stands for. A tick is
 * counted before anything else is tried; what becomes of it is counted by others (a record by its reader, a loss by
 * cause), and the two sides must agree in the end.
 *
 * The record is made in place in the walk's own memory: fixed part, user stack, then, where that ends, the kernel's
 * stack and what user space needs to go on with the walk.
 */
#include "bpf/targets.h"
#include "bpf/walk/walk.h"

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

FNP_WALK_MAP(fnp_cpu_walks);

int fnp_tick_continued(struct bpf_perf_event_data *ctx);

/* A deep stack is walked by several programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(fnp_u32));
	__array(values, int(void *));
} fnp_cpu_programs SEC(".maps") = {.values = {[0] = (void *)&fnp_tick_continued}};

struct sample_head {
	struct fnp_sample_record record;
	struct fnp_wire_section user;
};
_Static_assert(sizeof(struct sample_head) == 8 * FNP_WALK_HEAD_WORDS,
	       "the record begins where the walk leaves room");

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

static __always_inline struct fnp_walk *current_walk(void)
{
	fnp_u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&fnp_cpu_walks, &cpu);
}

/*
 * Kernel threads have no user stack, nor has a process whose memory is gone (exit) or not yet its own (in the middle of
 * an exec the registers still belong to the old image).
 */
static __always_inline bool has_user_stack(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (!BPF_CORE_READ(task, mm) || (BPF_CORE_READ(task, flags) & FNP_PF_KTHREAD))
		return false;
	return !bpf_core_field_exists(task->in_execve) || !BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
}

static __always_inline void head_fill(struct fnp_walk *walk, struct fnp_target *target, fnp_u32 pid,
				      fnp_u64 now_ns)
{
	struct sample_head *head = (void *)walk->head;

	if (!target->process)
		target->process = process_of((void *)bpf_get_current_task());
	head->record.head.type = FNP_RECORD_SAMPLE;
	head->record.head.time_ns = now_ns;
	head->record.head.pid = pid;
	head->record.head.tid = current_tid();
	head->record.head.process = target->process;
	head->record.head.seq = target->seq;
	head->record.cpu = bpf_get_smp_processor_id();
	bpf_get_current_comm(head->record.comm, sizeof(head->record.comm));
}

/* The kernel's stack as a section at words[at]; the number of words. */
static __always_inline fnp_u32 put_kernel_stack(void *ctx, struct fnp_walk *walk, fnp_u32 at)
{
	struct fnp_wire_section *section = (void *)&walk->words[at & (2 * FNP_USER_WORDS_MAX - 1)];
	long n;

	if (at > FNP_USER_WORDS_MAX)
		return 0;
	n = bpf_get_stack(ctx, section + 1, FNP_KERNEL_FRAMES_MAX * 8, 0);
	section->type = FNP_SECTION_KERNEL_STACK;
	section->truncated = n == FNP_KERNEL_FRAMES_MAX * 8;
	section->size = n > 0 ? n : 0;
	return 1 + section->size / 8;
}

static __always_inline void send(struct fnp_walk *walk, fnp_u32 pid, fnp_u32 size)
{
	fnp_u64 flags = BPF_RB_NO_WAKEUP;
	struct fnp_target *target;

	if (bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&samples, BPF_RB_RING_SIZE) / 4)
		flags = BPF_RB_FORCE_WAKEUP;
	if (bpf_ringbuf_output(&samples, walk->head, size, flags) == 0)
		return;
	target = bpf_map_lookup_elem(&targets, &pid);
	if (target)
		__sync_fetch_and_add(&target->lost[FNP_LOSS_RING_FULL], 1);
}

/* The walk is over: everything behind the user stack, and off it goes. */
static __always_inline int finish(void *ctx, struct fnp_walk *walk)
{
	struct sample_head *head = (void *)walk->head;
	fnp_u32 words = walk->n_words, resume, names, size;

	head->user.type = FNP_SECTION_USER_STACK;
	head->user.truncated = 0;
	head->user.size = 8 * words;
	head->record.truncation = walk->truncation;
	words += put_kernel_stack(ctx, walk, words);
	resume = fnp_walk_resume(walk, words);
	words += resume;
	names = fnp_walk_python_names(walk, words, head->record.head.process);
	words += names;
	head->record.head.n_sections = 2 + (resume != 0) + (names != 0);
	size = sizeof(*head) + 8 * words;
	if (size > sizeof(walk->head) + sizeof(walk->words))
		size = sizeof(walk->head) + sizeof(walk->words); /* cannot be; the verifier wants to see it */
	head->record.head.size = size;
	send(walk, head->record.head.pid, size);
	return 0;
}

SEC("perf_event")
int fnp_tick(struct bpf_perf_event_data *ctx)
{
	fnp_u64 now_ns = bpf_ktime_get_ns();
	fnp_u64 weight_ns = weight_of_tick(now_ns, ctx->sample_period);
	fnp_u32 pid = current_pid();
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	struct fnp_walk *walk;

	if (!target || !(target->flags & FNP_TARGET_SAMPLED) || (target->flags & FNP_TARGET_WAIT_EXEC))
		return 0;
	__sync_fetch_and_add(&target->ticks, 1);
	walk = current_walk();
	if (!walk)
		return 0;
	head_fill(walk, target, pid, now_ns);
	((struct sample_head *)walk->head)->record.weight_ns = weight_ns;
	if (!has_user_stack()) {
		walk->n_words = walk->truncation = walk->resumable = 0;
		return finish(ctx, walk);
	}
	fnp_walk_begin(walk, pid);
	if (fnp_walk_run(walk))
		bpf_tail_call(ctx, &fnp_cpu_programs, 0);
	fnp_walk_end(walk);
	return finish(ctx, walk);
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
	return finish(ctx, walk);
}
