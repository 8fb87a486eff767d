/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/sampler.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bpf/walk/walk.h"
#include "bpf/walker.skel.h"

#define CPUS_MAX 64

struct fnp_sampler {
	struct fnp_sampler_options options;
	struct fnp_bpf_walker *skeleton;
	struct fnp_objects *objects;
	struct fnp_processes *processes;
	struct fnp_process *process;
	struct fnp_spaces *spaces;
	struct fnp_resumer *resumer;
	struct ring_buffer *ring;
	struct bpf_link *links[CPUS_MAX];
	int events[CPUS_MAX];
	struct fnp_runtime_match match;
	struct fnp_runtime *runtime;
	int n_cpus, stats_fd;
	uint64_t load_ns, resumed;
	void (*visit)(void *self, const struct fnp_sampled_stack *stack);
	void *self;
};

static int take_stack(void *context, void *data, size_t size)
{
	struct fnp_sampler *sampler = context;
	const uint64_t *head = data, *words = head + FNP_WALK_HEAD_WORDS;
	struct fnp_resume_stack resumed = {
		.words = words, .n_words = (uint32_t)head[0], .truncation = (uint32_t)head[1], .may_wait = true};
	struct fnp_sampled_stack stack = {0};

	(void)size;
	if (head[2]) {
		const struct fnp_wire_section *section = (const void *)(words + head[0]);

		sampler->resumed++;
		fnp_resumer_walk(sampler->resumer, sampler->process, UINT64_MAX, section + 1, section->size,
				 &resumed);
		stack.resumed = true;
	}
	stack.words = resumed.words;
	stack.n_words = resumed.n_words;
	stack.truncation = resumed.truncation;
	if (sampler->visit)
		sampler->visit(sampler->self, &stack);
	return 0;
}

static int load(struct fnp_sampler *sampler)
{
	uint64_t begin_ns = fnp_clock_ns();
	int r;

	sampler->skeleton = fnp_bpf_walker__open();
	if (!sampler->skeleton)
		return -errno;
	sampler->skeleton->rodata->watched_pid = (uint32_t)sampler->options.pid;
	sampler->skeleton->rodata->send_words = sampler->options.keep_words;
	sampler->skeleton->rodata->fnp_walk_python_on = sampler->options.runtimes;
	bpf_map__set_max_entries(sampler->skeleton->maps.walks, (uint32_t)libbpf_num_possible_cpus());
	r = fnp_bpf_walker__load(sampler->skeleton);
	sampler->load_ns = fnp_clock_ns() - begin_ns;
	return r;
}

#define MAPPINGS_MAX 1024

/* Finds the runtime of the process, and says to the kernel side how to walk it. */
static int attach_runtime(struct fnp_sampler *sampler)
{
	struct fnp_runtime_mapping mappings[MAPPINGS_MAX];
	struct fnp_runtime_process view = {.pid = sampler->options.pid, .mappings = mappings};
	struct fnp_runtime_match matches[FNP_RUNTIME_MATCHES_MAX];
	struct fnp_code_special special[16];
	const struct fnp_runtime_range *ranges;
	uint64_t words[FNP_SPACE_RUNTIME_WORDS] = {0};
	uint32_t number = 0;
	size_t layout_size;

	for (size_t i = 0; i < sampler->process->mappings.len && view.n_mappings < MAPPINGS_MAX; i++) {
		const struct fnp_mapping *m = &sampler->process->mappings.items[i];
		const struct fnp_target_object *object = fnp_objects_get(sampler->objects, m->object);
		if (object && object->elf)
			mappings[view.n_mappings++] = (struct fnp_runtime_mapping){.start = m->start,
										   .limit = m->end,
										   .offset = m->offset,
										   .object = object->elf,
										   .executable = true};
	}
	if (fnp_runtime_find(&view, NULL, NULL, matches) == 0 || !matches[0].id.ops->attach)
		return -ENOENT;
	sampler->match = matches[0];
	const struct fnp_runtime_ops *ops = sampler->match.id.ops;
	int r = ops->attach(&view, &sampler->match, &sampler->runtime);
	if (r < 0)
		return r;
	const void *layout = ops->layout(sampler->runtime, &layout_size);
	r = bpf_map__update_elem(bpf_object__find_map_by_name(sampler->skeleton->obj, ops->layouts), &number,
				 sizeof(number), layout, layout_size, BPF_ANY);
	words[0] = number;
	words[1] = sampler->match.bias;
	size_t n = FNP_MIN(ops->ranges(sampler->runtime, &ranges), FNP_ARRAY_SIZE(special));
	for (size_t i = 0; i < n; i++)
		special[i] = (struct fnp_code_special){.start = ranges[i].start + sampler->match.bias,
						       .end = ranges[i].end + sampler->match.bias,
						       .kind = ops->code_kind};
	return r ?: fnp_spaces_set_runtime(sampler->spaces, sampler->process, ops->code_kind, words, special, n);
}

static int mirror(struct fnp_sampler *sampler)
{
	struct fnp_spaces_fds fds = {
		.fnp_pid_spaces = bpf_map__fd(sampler->skeleton->maps.fnp_pid_spaces),
		.fnp_spaces = bpf_map__fd(sampler->skeleton->maps.fnp_spaces),
		.fnp_code_ranges = bpf_map__fd(sampler->skeleton->maps.fnp_code_ranges),
		.fnp_native_tables = bpf_map__fd(sampler->skeleton->maps.fnp_native_tables),
		.fnp_arenas = bpf_map__fd(sampler->skeleton->maps.fnp_arenas),
	};
	int r = fnp_objects_create(&sampler->objects);

	r = r ?: fnp_processes_create(sampler->objects, &sampler->processes);
	r = r ?: fnp_spaces_create(&fds, sampler->objects, &sampler->spaces);
	r = r ?: fnp_resumer_create(sampler->spaces, &sampler->resumer);
	if (r == 0 && !sampler->options.without_tables)
		fnp_processes_on_mapping(sampler->processes, fnp_spaces_update, sampler->spaces);
	r = r ?: fnp_processes_add(sampler->processes, (uint32_t)sampler->options.pid, 0, &sampler->process);
	r = r ?: fnp_processes_read_maps(sampler->processes, sampler->process);
	if (r == 0 && sampler->options.runtimes)
		r = attach_runtime(sampler);
	for (uint32_t slot = 1; r == 0 && slot < FNP_TABLES_SLOT_NEVER; slot++)
		fnp_tables_wait(fnp_spaces_tables(sampler->spaces), slot);
	return r;
}

static int attach(struct fnp_sampler *sampler)
{
	struct bpf_program *program = sampler->options.get_stack ? sampler->skeleton->progs.get_stack
								 : sampler->skeleton->progs.walk_begin;
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = sampler->options.period_ns,
	};

	sampler->n_cpus = libbpf_num_possible_cpus();
	if (sampler->n_cpus > CPUS_MAX)
		sampler->n_cpus = CPUS_MAX;
	for (int cpu = 0; cpu < sampler->n_cpus; cpu++) {
		sampler->events[cpu] = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1,
						    PERF_FLAG_FD_CLOEXEC);
		if (sampler->events[cpu] < 0)
			return -errno;
		sampler->links[cpu] = bpf_program__attach_perf_event(program, sampler->events[cpu]);
		if (!sampler->links[cpu])
			return -errno;
	}
	return 0;
}

int fnp_sampler_create(const struct fnp_sampler_options *options, struct fnp_sampler **ret)
{
	struct fnp_sampler *sampler = calloc(1, sizeof(*sampler));
	int r;

	if (!sampler)
		return -ENOMEM;
	sampler->options = *options;
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	sampler->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	r = load(sampler);
	r = r ?: mirror(sampler);
	if (r == 0 && options->keep_words) {
		sampler->ring = ring_buffer__new(bpf_map__fd(sampler->skeleton->maps.stacks), take_stack,
						 sampler, NULL);
		r = sampler->ring ? 0 : -errno;
	}
	r = r ?: attach(sampler);
	if (r < 0) {
		fnp_sampler_destroy(sampler);
		return r;
	}
	*ret = sampler;
	return 0;
}

void fnp_sampler_destroy(struct fnp_sampler *sampler)
{
	if (!sampler)
		return;
	for (int cpu = 0; cpu < sampler->n_cpus; cpu++)
		bpf_link__destroy(sampler->links[cpu]);
	ring_buffer__free(sampler->ring);
	if (sampler->runtime)
		sampler->match.id.ops->detach(sampler->runtime);
	fnp_resumer_destroy(sampler->resumer);
	fnp_processes_destroy(sampler->processes);
	fnp_spaces_destroy(sampler->spaces);
	fnp_objects_destroy(sampler->objects);
	fnp_bpf_walker__destroy(sampler->skeleton);
	fnp_closep(&sampler->stats_fd);
	free(sampler);
}

int fnp_sampler_run(struct fnp_sampler *sampler, unsigned int ms,
		    void (*visit)(void *self, const struct fnp_sampled_stack *stack), void *self)
{
	uint64_t end_ns = fnp_clock_ns() + ms * UINT64_C(1000000);

	sampler->visit = visit;
	sampler->self = self;
	while (fnp_clock_ns() < end_ns) {
		if (!sampler->ring)
			usleep(10000);
		else if (ring_buffer__poll(sampler->ring, 10) < 0 && errno != EINTR)
			return -errno;
	}
	return 0;
}

void fnp_sampler_cost(const struct fnp_sampler *sampler, uint64_t *ret_samples, uint64_t *ret_ns)
{
	struct bpf_program *program = sampler->options.get_stack ? sampler->skeleton->progs.get_stack
								 : sampler->skeleton->progs.walk_begin;
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size);
	*ret_samples = sampler->skeleton->bss->n_walks;
	*ret_ns = info.run_time_ns;
}

int fnp_sampler_name(struct fnp_sampler *sampler, const uint64_t *words, size_t n_words,
		     struct fnp_runtime_frame *ret)
{
	if (!sampler->runtime || words[0] >> FNP_WORD_KIND_SHIFT != sampler->match.id.ops->word_kind)
		return -ENOENT;
	return sampler->match.id.ops->name_frame(sampler->runtime, words, n_words, ret);
}

uint64_t fnp_sampler_load_ns(const struct fnp_sampler *sampler)
{
	return sampler->load_ns;
}

uint64_t fnp_sampler_resumed(const struct fnp_sampler *sampler)
{
	return sampler->resumed;
}

void fnp_sampler_causes(const struct fnp_sampler *sampler, uint64_t ret[16])
{
	memcpy(ret, sampler->skeleton->bss->n_by_cause, 16 * sizeof(ret[0]));
}

pid_t fnp_sampler_start(const char *program, const char *argument)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl(program, program, argument, (char *)NULL);
		_exit(127);
	}
	usleep(100000); /* it reaches the place where it stays */
	return pid;
}

void fnp_sampler_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
