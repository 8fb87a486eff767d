/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/records.h"

#include <errno.h>

static size_t padded(uint32_t size)
{
	return ((size_t)size + 7) & ~(size_t)7;
}

size_t fnp_record_fixed_size(enum fnp_record_type type)
{
	switch (type) {
	case FNP_RECORD_SAMPLE:
	case FNP_RECORD_OFF_CPU:
		return sizeof(struct fnp_sample_record);
	case FNP_RECORD_FORK:
		return sizeof(struct fnp_fork_record);
	case FNP_RECORD_EXEC:
		return sizeof(struct fnp_exec_record);
	case FNP_RECORD_EXIT:
		return sizeof(struct fnp_exit_record);
	case FNP_RECORD_SOCKET:
		return sizeof(struct fnp_socket_record);
	case FNP_RECORD_OFF_CPU_END:
		return sizeof(struct fnp_off_cpu_end_record);
	case FNP_RECORD_PROBE:
		return sizeof(struct fnp_probe_record);
	}
	return 0;
}

static int check_sections(const struct fnp_record *record, size_t fixed)
{
	const uint8_t *at = (const uint8_t *)record + fixed;
	size_t left = record->size - fixed;

	for (unsigned int i = 0; i < record->n_sections; i++) {
		struct fnp_wire_section section;

		if (sizeof(section) > left)
			return -EBADMSG;
		memcpy(&section, at, sizeof(section));
		at += sizeof(section);
		left -= sizeof(section);
		if (padded(section.size) > left)
			return -EBADMSG;
		at += padded(section.size);
		left -= padded(section.size);
	}
	return 0;
}

int fnp_record_check(const void *data, size_t size, const struct fnp_record **ret)
{
	const struct fnp_record *record = data;
	size_t fixed;
	int r;

	if (sizeof(*record) > size || (uintptr_t)data % 8 != 0)
		return -EBADMSG;
	fixed = fnp_record_fixed_size(record->type);
	if (fixed == 0 || record->size > size || fixed > record->size)
		return -EBADMSG;
	r = check_sections(record, fixed);
	if (r == 0)
		*ret = record;
	return r;
}

struct fnp_record_part fnp_record_section(const struct fnp_record *record, enum fnp_section_type type)
{
	return fnp_record_nth_section(record, type, 0);
}

struct fnp_record_part fnp_record_nth_section(const struct fnp_record *record, enum fnp_section_type type,
					      unsigned int nth)
{
	const uint8_t *at = (const uint8_t *)record + fnp_record_fixed_size(record->type);

	for (unsigned int i = 0; i < record->n_sections; i++) {
		const struct fnp_wire_section *section = (const void *)at;

		at += sizeof(*section);
		if (section->type == type && nth-- == 0)
			return (struct fnp_record_part){
				.data = at, .size = section->size, .truncated = section->truncated};
		at += padded(section->size);
	}
	return (struct fnp_record_part){0};
}

bool fnp_record_is_event(const struct fnp_record *record)
{
	return record->type != FNP_RECORD_SAMPLE && record->type != FNP_RECORD_PROBE &&
	       record->type != FNP_RECORD_OFF_CPU && record->type != FNP_RECORD_OFF_CPU_END;
}

const struct fnp_cpu_times *fnp_record_cpu_times(const struct fnp_record *record)
{
	/* In every event they stand right after the head. */
	if (!fnp_record_is_event(record))
		return NULL;
	return &((const struct fnp_exit_record *)(const void *)record)->cpu;
}

bool fnp_record_clocks(const struct fnp_record *record, struct fnp_clocks *ret)
{
	struct fnp_record_part part = fnp_record_section(record, FNP_SECTION_CLOCKS);

	if (part.size < offsetof(struct fnp_clocks, first))
		return false;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, part.data, part.size < sizeof(*ret) ? part.size : sizeof(*ret));
	ret->has_first = ret->has_first && part.size >= sizeof(*ret);
	return true;
}

struct fnp_moment fnp_record_moment(const struct fnp_record *record)
{
	const struct fnp_cpu_times *cpu = fnp_record_cpu_times(record);
	struct fnp_moment moment = {.seq = record->seq, .time_ns = record->time_ns, .tid = record->tid};

	if (cpu) {
		moment.process_ns = cpu->process_ns;
		moment.thread_ns = cpu->thread_ns;
		moment.has_clocks = fnp_record_clocks(record, &moment.clocks);
	}
	return moment;
}

_Static_assert(offsetof(struct fnp_fork_record, cpu) == sizeof(struct fnp_record), "times follow the head");
_Static_assert(offsetof(struct fnp_exec_record, cpu) == sizeof(struct fnp_record), "times follow the head");
_Static_assert(offsetof(struct fnp_exit_record, cpu) == sizeof(struct fnp_record), "times follow the head");
_Static_assert(offsetof(struct fnp_socket_record, cpu) == sizeof(struct fnp_record), "times follow the head");
