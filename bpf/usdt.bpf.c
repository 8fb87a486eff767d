// SPDX-License-Identifier: GPL-2.0-only
/*
 * Probes: a thread of a watched process came to a place that user space put a probe on. One program serves all places;
 * the cookie of the attachment names the spec (bpf/layout/probe.h) that says what to read there.
 *
 * A record carries the number of the last event, as a sample does, and goes into a ring of its own: a flood of hits
 * costs hits and nothing else. Hits that became no record are counted in the target.
 *
 * A program on a uprobe may be preempted, and another hit on this CPU may come meanwhile; so each CPU has a few places
 * to put a record together, taken and given back by an atomic flag.
 */
#include "bpf/layout/probe.h"
#include "bpf/probes_ring.h"
#include "bpf/targets.h"

char LICENSE[] SEC("license") = "GPL";

#define SCRATCHES_A_CPU 4
#define SECTIONS_MASK 1023
#define CLOCKS_BYTES (sizeof(struct fnp_wire_section) + sizeof(struct fnp_clocks))
#define SLEEP_SLACK_NS 10000000 /* a sleep is over by then at the latest, also when nobody says so */
#define SLEEP_MS_MAX 1000000000

struct probe_scratch {
	fnp_u32 busy;
	fnp_u32 pad;
	struct fnp_probe_record record;
	char sections[SECTIONS_MASK + 1 + sizeof(struct fnp_wire_section) + FNP_PROBE_TEXT_BYTES + CLOCKS_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* user space: SCRATCHES_A_CPU for each CPU */
	__type(key, fnp_u32);
	__type(value, struct probe_scratch);
} probe_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FNP_PROBE_SPECS_MAX);
	__type(key, fnp_u32);
	__type(value, struct fnp_probe_spec);
} probe_specs SEC(".maps");

/* Hits of each spec on the whole host, watched or not: user space switches off what comes too often. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FNP_PROBE_SPECS_MAX);
	__type(key, fnp_u32);
	__type(value, fnp_u64);
} probe_hits SEC(".maps");

static __always_inline fnp_u64 ip_of(struct pt_regs *regs)
{
	fnp_u64 ip = 0;

	bpf_probe_read_kernel(&ip, sizeof(ip),
			      (void *)regs + bpf_core_field_offset(struct pt_regs,
#if defined(__TARGET_ARCH_x86)
								   ip
#else
								   pc
#endif
								   ));
	return ip;
}

static __always_inline fnp_u64 register_value(struct pt_regs *regs, fnp_u8 which, fnp_u64 bias)
{
	fnp_u64 value = 0;

	if (which == FNP_PROBE_BIAS)
		return bias;
	if (which >= FNP_PROBE_REGISTERS)
		return 0;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)regs + 8 * (fnp_u64)which);
	return value;
}

static __always_inline fnp_u64 resize(fnp_u64 value, fnp_u8 size, bool is_signed)
{
	fnp_u8 shift = 64 - 8 * (size & 15);

	if (size >= 8 || size == 0)
		return value;
	value <<= shift & 63;
	return is_signed ? (fnp_u64)((fnp_s64)value >> (shift & 63)) : value >> (shift & 63);
}

static __noinline int read_argument(struct pt_regs *regs, const struct fnp_probe_argument *argument,
				    fnp_u64 bias, fnp_u64 *ret)
{
	fnp_u64 value = argument->offset, index;

	switch (argument->kind) {
	case FNP_PROBE_CONSTANT:
		break;
	case FNP_PROBE_REGISTER:
		value = register_value(regs, argument->base, bias) >> (argument->shift & 63);
		break;
	case FNP_PROBE_MEMORY:
		value += register_value(regs, argument->base, bias);
		index = register_value(regs, argument->index, bias);
		if (argument->index_form != FNP_PROBE_INDEX_64)
			index = resize(index, 4, argument->index_form == FNP_PROBE_INDEX_S32);
		value += index << (argument->scale & 7);
		if (bpf_probe_read_user(ret, sizeof(*ret), (void *)value) == 0) {
			value = *ret;
			break;
		}
		/* The last bytes before memory that is not there. */
		*ret = 0;
		if (argument->size == 4 && bpf_probe_read_user(ret, 4, (void *)value) == 0)
			value = *ret;
		else if (argument->size == 2 && bpf_probe_read_user(ret, 2, (void *)value) == 0)
			value = *ret;
		else if (argument->size == 1 && bpf_probe_read_user(ret, 1, (void *)value) == 0)
			value = *ret;
		else
			return -1;
		break;
	default:
		*ret = 0;
		return -1;
	}
	*ret = resize(value, argument->size, argument->is_signed);
	return 0;
}

/* Every argument into the record. */
static __always_inline void read_arguments(struct pt_regs *regs, const struct fnp_probe_spec *spec,
					   struct fnp_probe_record *record)
{
	fnp_u64 bias = record->ip - spec->address;

	record->unknown = 0;
	for (fnp_u32 i = 0; i < FNP_PROBE_SPEC_ARGUMENTS; i++) {
		fnp_u64 value = 0;

		if (i < spec->n_arguments && read_argument(regs, &spec->arguments[i], bias, &value) < 0)
			record->unknown |= 1 << i;
		record->arguments[i] = value;
	}
}

static __always_inline fnp_u64 address_of_text(const struct fnp_probe_record *record,
					       const struct fnp_probe_text *text)
{
	fnp_u64 address = record->arguments[text->argument < FNP_PROBE_SPEC_ARGUMENTS ? text->argument : 0];

	if (address && text->through)
		bpf_probe_read_user(&address, sizeof(address), (void *)(address + text->through));
	return address;
}

/* Puts a section with one text at `at`; the bytes it took. */
static __noinline fnp_u32 put_text(char *at, const struct fnp_probe_record *record,
				   const struct fnp_probe_text *text)
{
	struct fnp_wire_section *section = (void *)at;
	void *from = (void *)address_of_text(record, text);
	bool is_long = text->kind == FNP_PROBE_TEXT_RAW_LONG;
	fnp_u64 length = is_long ? FNP_PROBE_TEXT_LONG_BYTES : FNP_PROBE_TEXT_RAW_BYTES;
	long n = 0;

	section->type = FNP_SECTION_PROBE_TEXT;
	section->truncated = 0;
	section->size = 0;
	if (!from)
		return sizeof(*section);
	if (text->kind == FNP_PROBE_TEXT_STRING) {
		n = bpf_probe_read_user_str(at + sizeof(*section), FNP_PROBE_TEXT_BYTES, from);
		n = n > 0 ? n - 1 : 0;
		section->truncated = n == FNP_PROBE_TEXT_BYTES - 1;
	} else {
		if (text->kind == FNP_PROBE_TEXT_SIZED)
			length = record->arguments[text->length < FNP_PROBE_SPEC_ARGUMENTS ? text->length : 0];
		if (length > FNP_PROBE_TEXT_BYTES - 1) {
			length = FNP_PROBE_TEXT_BYTES - 1;
			section->truncated = 1;
		}
		length &= FNP_PROBE_TEXT_BYTES - 1;
		if (bpf_probe_read_user(at + sizeof(*section), length, from) == 0)
			n = length;
		/* Before memory that is not there half of it may do. */
		else if (text->kind != FNP_PROBE_TEXT_SIZED &&
			 bpf_probe_read_user(at + sizeof(*section), FNP_PROBE_TEXT_RAW_BYTES / 2, from) == 0)
			n = FNP_PROBE_TEXT_RAW_BYTES / 2;
	}
	section->size = n & (FNP_PROBE_TEXT_BYTES - 1);
	return sizeof(*section) + ((section->size + 7) & ~7U);
}

static __always_inline fnp_u64 peek(const struct fnp_probe_spec *spec, fnp_u64 bias)
{
	fnp_u64 pointer = 0;
	fnp_u32 value = 0;

	if (!spec->peek || bpf_probe_read_user(&pointer, sizeof(pointer), (void *)(spec->peek + bias)) != 0)
		return 0;
	if (bpf_probe_read_user(&value, sizeof(value), (void *)(pointer + spec->peek_offset)) != 0)
		return 0;
	return (fnp_u64)value + 1;
}

/* True when this hit is to be told: of a place of marks only marks are. */
static __always_inline bool is_wanted(struct pt_regs *regs, const struct fnp_probe_spec *spec)
{
	fnp_u64 address = 0, begin = 0;

	if (!(spec->flags & FNP_PROBE_MARKS))
		return true;
	read_argument(regs, &spec->arguments[0], ip_of(regs) - spec->address, &address);
	bpf_probe_read_user(&begin, sizeof(begin), (void *)address);
	return is_mark(begin);
}

static __always_inline struct probe_scratch *take_scratch(void)
{
	fnp_u32 first = bpf_get_smp_processor_id() * SCRATCHES_A_CPU;

	for (fnp_u32 i = 0; i < SCRATCHES_A_CPU; i++) {
		fnp_u32 key = first + i;
		struct probe_scratch *scratch = bpf_map_lookup_elem(&probe_scratch, &key);

		if (scratch && __sync_lock_test_and_set(&scratch->busy, 1) == 0)
			return scratch;
	}
	return NULL;
}

static __always_inline void send(struct fnp_target *target, struct probe_scratch *scratch, fnp_u32 used)
{
	fnp_u64 flags = BPF_RB_NO_WAKEUP;

	if (bpf_ringbuf_query(&probes, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&probes, BPF_RB_RING_SIZE) / 8)
		flags = BPF_RB_FORCE_WAKEUP;
	if (used > sizeof(scratch->sections))
		used = sizeof(scratch->sections);
	used += sizeof(scratch->record);
	scratch->record.head.size = used;
	if (bpf_ringbuf_output(&probes, &scratch->record, used, flags) != 0)
		__sync_fetch_and_add(&target->probes_lost, 1);
}

static __always_inline void begin_record(struct pt_regs *regs, struct fnp_target *target, fnp_u32 pid,
					 struct fnp_probe_record *record)
{
	if (!target->process)
		target->process = process_of(bpf_get_current_task_btf());
	record->head.type = FNP_RECORD_PROBE;
	record->head.time_ns = bpf_ktime_get_ns();
	record->head.pid = pid;
	record->head.tid = current_tid();
	record->head.process = target->process;
	record->head.seq = target->seq;
	record->ip = ip_of(regs);
}

/* A runtime whose sleep is a system call of locks says when it sleeps. */
static __always_inline void note_sleep(struct pt_regs *regs, const struct fnp_probe_spec *spec)
{
	fnp_u32 tid = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&threads, &tid);
	fnp_u64 ms = 0;

	if (!thread)
		return;
	if (spec->flags & FNP_PROBE_SLEEP_END) {
		thread->sleeps_until = 0;
		return;
	}
	read_argument(regs, &spec->arguments[0], ip_of(regs) - spec->address, &ms);
	if (ms > SLEEP_MS_MAX)
		ms = SLEEP_MS_MAX;
	thread->sleeps_until = bpf_ktime_get_ns() + ms * 1000000 + SLEEP_SLACK_NS;
}

/*
 * The clocks of the thread's process, behind the texts; the bytes they took. The program may be preempted, so the slot of
 * its CPU is read, not changed, and only while it names the thread.
 */
static __noinline fnp_u32 put_clocks(char *at, struct fnp_target *target, fnp_u64 now_ns)
{
	struct on_cpu *slot = slot_of_cpu(bpf_get_smp_processor_id());
	fnp_u32 tid = bpf_get_current_pid_tgid();
	fnp_u64 in_ns = now_ns, stolen = 0;
	struct queue queue;

	if (!target)
		return 0;
	if (slot && slot->tid == tid) {
		in_ns = slot->in_ns;
		fnp_queue_read(&queue);
		stolen = queue.stolen_ns - slot->stolen_at_in;
	}
	return clocks_put(at, target, bpf_map_lookup_elem(&threads, &tid), now_ns, in_ns, stolen);
}

static __always_inline int take_hit(struct pt_regs *regs)
{
	fnp_u32 pid, key = bpf_get_attach_cookie(regs), used = 0;
	fnp_u64 *hits = bpf_map_lookup_elem(&probe_hits, &key);
	struct fnp_probe_spec *spec = bpf_map_lookup_elem(&probe_specs, &key);
	struct probe_scratch *scratch;
	struct fnp_target *target;

	if (!hits || !spec)
		return 0;
	__sync_fetch_and_add(hits, 1);
	pid = current_pid();
	target = bpf_map_lookup_elem(&targets, &pid);
	if (!target || (target->flags & FNP_TARGET_WAIT_EXEC) || !is_wanted(regs, spec))
		return 0;
	if (spec->flags & (FNP_PROBE_SLEEP_BEGIN | FNP_PROBE_SLEEP_END)) {
		note_sleep(regs, spec);
		return 0;
	}
	scratch = take_scratch();
	if (!scratch) {
		__sync_fetch_and_add(&target->probes_lost, 1);
		return 0;
	}
	begin_record(regs, target, pid, &scratch->record);
	scratch->record.spec = key;
	scratch->record.n_arguments = spec->n_arguments;
	read_arguments(regs, spec, &scratch->record);
	scratch->record.peeked = peek(spec, scratch->record.ip - spec->address);
	scratch->record.head.n_sections = spec->n_texts < FNP_PROBE_SPEC_TEXTS ? spec->n_texts
									       : FNP_PROBE_SPEC_TEXTS;
	for (fnp_u32 i = 0; i < FNP_PROBE_SPEC_TEXTS; i++) {
		if (i < spec->n_texts)
			used += put_text(scratch->sections + (used & SECTIONS_MASK), &scratch->record,
					 &spec->texts[i]);
	}
	if (spec->flags & FNP_PROBE_CLOCKS) {
		used += put_clocks(scratch->sections + (used & SECTIONS_MASK), target,
				   scratch->record.head.time_ns);
		scratch->record.head.n_sections++;
	}
	send(target, scratch, used);
	__sync_lock_test_and_set(&scratch->busy, 0);
	return 0;
}

/* The same twice: kernels from 6.6 on attach many places at once, to a program that is loaded for that. */
SEC("uprobe")
int fnp_probe(struct pt_regs *regs)
{
	return take_hit(regs);
}

SEC("uprobe")
int fnp_probe_many(struct pt_regs *regs)
{
	return take_hit(regs);
}
