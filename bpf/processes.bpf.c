// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes as they come and go: fork, exec and exit of watched ones, and in host-wide recording every exec, because
 * what a program is for stands in its environment, which exists from its exec on.
 *
 * A child is watched from its fork, in the kernel, so that nothing of it is missed. A process that is watched only
 * provisionally is sampled until user space has read its environment and decided.
 */
#include "bpf/targets.h"
#include "bpf/walk/spaces.h"

char LICENSE[] SEC("license") = "GPL";

#define FILE_NAME_MAX 1024
#define ARGUMENTS_MAX 4096
#define ENVIRONMENT_MAX 32768

/* An exec record of full size; one a CPU, because it does not fit the stack. */
struct exec_scratch {
	struct fnp_exec_record record;
	char sections[4 * sizeof(struct fnp_wire_section) + FILE_NAME_MAX + ARGUMENTS_MAX +
		      2 * ENVIRONMENT_MAX + sizeof(struct fnp_clocks)];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY); /* one a CPU: values of per-CPU maps end at 32 KiB */
	__uint(max_entries, 1);		  /* user space: number of CPUs */
	__type(key, fnp_u32);
	__type(value, struct exec_scratch);
} exec_scratch SEC(".maps");

/*
 * To wake user space takes an interrupt of this CPU and perhaps another one of user space's, 30 us of the program that is to
 * be told of, also when nobody wants to know more of it. For some time after an exec user space looks every 2 ms by itself
 * (NEWBORN_NS in profiler/watch.c): where programs follow one another it is woken for the first.
 */
#define AWAKE_NS 20000000
static volatile fnp_u64 last_exec_ns;

static __always_inline bool sleeps(fnp_u64 now_ns)
{
	return now_ns - last_exec_ns > AWAKE_NS;
}

static __always_inline void head_init(struct fnp_record *head, fnp_u16 type, fnp_u32 size)
{
	head->type = type;
	head->n_sections = 0;
	head->size = size;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(fnp_process_fork, struct task_struct *parent, struct task_struct *child)
{
	fnp_u32 pid = pid_of(parent), child_pid = pid_of(child);
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	struct fnp_fork_record record = {};
	fnp_u32 global_tid = child->pid;
	struct teller teller;

	if (!target || !child_pid || (target->flags & FNP_TARGET_WAIT_EXEC))
		return 0; /* a process that waits for its exec starts nothing that we want to see */
	record.child_pid = child_pid;
	record.child_tid = tid_of(child);
	record.child_process = process_of(child);
	if (child_pid != pid) {
		struct fnp_target fresh = {
			.process = record.child_process, .flags = target->flags, .port = target->port};

		bpf_map_update_elem(&targets, &child_pid, &fresh, BPF_ANY);
		fnp_space_fork(pid, child_pid);
	}
	thread_bear(global_tid, child_pid, child_pid == pid ? target : NULL, bpf_ktime_get_ns());
	head_init(&record.head, FNP_RECORD_FORK, sizeof(record));
	teller = event_begin(target, pid, &record.head, &record.cpu);
	event_send(target, &record.head, sizeof(record), child_pid != pid && sleeps(record.head.time_ns),
		   &teller);
	return 0;
}

/* Puts a section with up to `max` bytes of [start, end) of user memory at `at`; the bytes it took, padded to 8. */
static __always_inline fnp_u32 put_user_section(char *at, fnp_u16 type, unsigned long start,
						unsigned long end, fnp_u32 max)
{
	struct fnp_wire_section *section = (void *)at;
	unsigned long want = end - start;
	fnp_u32 size;

	section->type = type;
	section->truncated = 0;
	section->size = 0;
	if (end <= start)
		return sizeof(*section);
	if (want > max - 1) {
		want = max - 1;
		section->truncated = 1;
	}
	size = want;
	/* The mask tells the verifier the bound; max is a power of two. */
	if (bpf_probe_read_user(at + sizeof(*section), size & (max - 1), (void *)start) != 0)
		return sizeof(*section);
	section->size = size;
	return sizeof(*section) + ((size + 7) & ~7U);
}

static __always_inline fnp_u32 put_file_name(char *at, struct linux_binprm *bprm)
{
	struct fnp_wire_section *section = (void *)at;
	long n = bpf_probe_read_kernel_str(at + sizeof(*section), FILE_NAME_MAX, BPF_CORE_READ(bprm, filename));

	section->type = FNP_SECTION_FILE_NAME;
	section->truncated = n == FILE_NAME_MAX;
	section->size = n > 0 ? n - 1 : 0;
	return sizeof(*section) + ((section->size + 7) & (2 * FILE_NAME_MAX - 8));
}

static __always_inline struct fnp_target *target_of_exec(fnp_u32 pid)
{
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);

	if (target || !watch_every_exec || !pid)
		return target;
	struct fnp_target fresh = {.flags = FNP_TARGET_SAMPLED | FNP_TARGET_SOCKETS | FNP_TARGET_PROVISIONAL};

	thread_bear(bpf_get_current_pid_tgid(), pid, NULL, 0); /* fork to exec counts */
	bpf_map_update_elem(&targets, &pid, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&targets, &pid);
}

/* An exec by another thread than the first: it has taken the first one's number, and the first one is no more. */
static __always_inline void rename_thread(fnp_u32 old_tid)
{
	struct on_cpu *slot = slot_of_cpu(bpf_get_smp_processor_id());
	struct thread *thread = bpf_map_lookup_elem(&threads, &old_tid);
	fnp_u32 tid = bpf_get_current_pid_tgid();

	if (old_tid == tid || !thread)
		return;
	bpf_map_update_elem(&threads, &tid, thread, BPF_ANY);
	bpf_map_delete_elem(&threads, &old_tid);
	if (slot && slot->tid == old_tid)
		slot->tid = tid;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(fnp_process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	fnp_u32 pid = current_pid(), cpu = bpf_get_smp_processor_id(), used;
	struct fnp_target *target = target_of_exec(pid);
	struct exec_scratch *scratch = bpf_map_lookup_elem(&exec_scratch, &cpu);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct teller teller;
	bool wake;

	if (!target || !scratch)
		return 0;
	/* What the new program is for is not known yet: all its connections are seen until user space has decided. */
	target->flags = (target->flags & ~FNP_TARGET_WAIT_EXEC) | FNP_TARGET_SOCKETS;
	target->port = 0;
	fnp_space_exec(pid);
	rename_thread(old_pid);
	head_init(&scratch->record.head, FNP_RECORD_EXEC, 0);
	teller = event_begin(target, pid, &scratch->record.head, &scratch->record.cpu);
	scratch->record.parent_pid = pid_of(task->real_parent);
	scratch->record.old_tid = old_pid;
	scratch->record.head.n_sections = 4;
	used = put_file_name(scratch->sections, bprm);
	used += put_user_section(scratch->sections + (used & (2 * FILE_NAME_MAX - 1)), FNP_SECTION_ARGUMENTS,
				 BPF_CORE_READ(mm, arg_start), BPF_CORE_READ(mm, arg_end), ARGUMENTS_MAX);
	used += put_user_section(scratch->sections + (used & (2 * ARGUMENTS_MAX - 1)), FNP_SECTION_ENVIRONMENT,
				 BPF_CORE_READ(mm, env_start), BPF_CORE_READ(mm, env_end), ENVIRONMENT_MAX);
	used += event_put_clocks(scratch->sections + (used & (2 * ENVIRONMENT_MAX - 1)), target,
				 &scratch->record.head, &teller);
	used += sizeof(scratch->record);
	if (used > sizeof(*scratch))
		return 0;
	scratch->record.head.size = used;
	wake = sleeps(scratch->record.head.time_ns);
	last_exec_ns = scratch->record.head.time_ns;
	event_send(target, &scratch->record.head, used, wake, &teller);
	return 0;
}

/* An exit record and the clocks; it does not fit the stack either. */
struct exit_scratch {
	struct fnp_exit_record record;
	char section[sizeof(struct fnp_wire_section) + sizeof(struct fnp_clocks)];
};
_Static_assert(sizeof(struct exit_scratch) <= sizeof(struct exec_scratch), "they share their memory");

SEC("tp_btf/sched_process_exit")
int BPF_PROG(fnp_process_exit, struct task_struct *task)
{
	fnp_u32 pid = current_pid(), cpu = bpf_get_smp_processor_id(), size;
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);
	struct exit_scratch *scratch = bpf_map_lookup_elem(&exec_scratch, &cpu);
	struct teller teller;

	if (!target || !scratch || (target->flags & FNP_TARGET_WAIT_EXEC))
		return 0;
	scratch->record.exit_code = task->exit_code;
	/* do_exit() counts down `live` before this tracepoint, on every kernel since 2.6. */
	scratch->record.last = BPF_CORE_READ(task, signal, live.counter) == 0;
	__sync_fetch_and_add(&target->exits, 1);
	head_init(&scratch->record.head, FNP_RECORD_EXIT, 0);
	scratch->record.head.n_sections = 1;
	teller = event_begin(target, pid, &scratch->record.head, &scratch->record.cpu);
	size = sizeof(scratch->record) +
	       event_put_clocks(scratch->section, target, &scratch->record.head, &teller);
	if (size > sizeof(*scratch))
		return 0; /* cannot be; the verifier wants to see it */
	scratch->record.head.size = size;
	event_send(target, &scratch->record.head, size,
		   scratch->record.last && sleeps(scratch->record.head.time_ns), &teller);
	return 0;
}

/* Run by user space, never attached: a target's filter is changed in place, beside the counters. */
SEC("syscall")
int fnp_set_filter(struct fnp_filter_request *request)
{
	fnp_u32 pid = request->pid;
	struct fnp_target *target = bpf_map_lookup_elem(&targets, &pid);

	if (!target)
		return 0;
	target->flags = request->flags | (target->flags & FNP_TARGET_WAIT_EXEC);
	target->port = request->port;
	return 0;
}
