/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/process_sums.h"

void fnp_process_sums_deinit(struct fnp_process_sums *processes)
{
	for (size_t i = 0; i < processes->list.len; i++) {
		free(processes->list.items[i].function);
		free(processes->list.items[i].runtime);
	}
	fnp_vec_deinit(&processes->list);
	fnp_map_deinit(&processes->by_identity);
}

/* Start times are nanoseconds since boot: the top 22 bits hold a pid for the first 50 days; past that they mix. */
static uint64_t key_of(uint32_t pid, uint64_t process)
{
	return process ^ (uint64_t)pid << 42;
}

/* The entry of this process; a new one where there is none. NULL in `ret` past the bound. */
static int find_or_add(struct fnp_process_sums *processes, uint32_t pid, uint64_t process,
		       struct fnp_summary_process **ret)
{
	uint64_t key = key_of(pid, process);
	uint64_t *index = fnp_map_find(&processes->by_identity, key);
	int r;

	if (index) {
		*ret = &processes->list.items[*index];
		return 0;
	}
	if (processes->list.len >= FNP_PROCESS_SUMS_MAX) {
		*ret = NULL;
		return 0;
	}
	r = fnp_vec_reserve(&processes->list, processes->list.len + 1);
	if (r == 0)
		r = fnp_map_set(&processes->by_identity, key, processes->list.len);
	if (r < 0)
		return r;
	*ret = &processes->list.items[processes->list.len++];
	**ret = (struct fnp_summary_process){.pid = pid, .process = process};
	return 0;
}

static int keep_text(char **kept, const char *text)
{
	if (*kept || !text)
		return 0;
	*kept = strdup(text);
	return *kept ? 0 : -ENOMEM;
}

int fnp_process_sums_add_row(struct fnp_process_sums *processes, const struct fnp_row *row)
{
	struct fnp_summary_process *one;
	int r = find_or_add(processes, row->pid, row->process, &one);

	if (r < 0)
		return r;
	if (!one) {
		processes->omitted++;
		return 0;
	}
	one->has_kind[row->kind] = true;
	one->rows_ns[row->kind] += row->cpu_ns;
	r = keep_text(&one->function, row->function);
	return r < 0 ? r : keep_text(&one->runtime, row->runtime);
}

int fnp_process_sums_set_cpu(struct fnp_process_sums *processes, uint32_t pid, uint64_t process, uint64_t cpu_ns)
{
	struct fnp_summary_process *one;
	int r = find_or_add(processes, pid, process, &one);

	if (r < 0 || !one)
		return r;
	one->cpu_ns = cpu_ns;
	one->has_cpu = true;
	return 0;
}
