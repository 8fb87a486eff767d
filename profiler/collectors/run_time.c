/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/collectors/run_time.h"

#include <bpf/bpf.h>

#include "base/clock.h"
#include "base/memory.h"

#define ON_NS FNP_NS_PER_S
#define OFF_NS (9 * FNP_NS_PER_S)

bool fnp_duty_turn(struct fnp_duty *duty, uint64_t now_ns)
{
	uint64_t since_ns = now_ns - duty->turned_ns;

	if (!duty->begun_ns) {
		*duty = (struct fnp_duty){.begun_ns = now_ns, .turned_ns = now_ns, .on = true};
	} else if (since_ns >= (duty->on ? ON_NS : OFF_NS)) {
		duty->on_ns += duty->on ? since_ns : 0;
		duty->turned_ns = now_ns;
		duty->on = !duty->on;
	}
	return duty->on;
}

uint64_t fnp_duty_scale(const struct fnp_duty *duty, uint64_t now_ns, uint64_t counted)
{
	uint64_t on_ns = duty->on_ns + (duty->on ? now_ns - duty->turned_ns : 0);

	if (on_ns == 0)
		return counted;
	return (uint64_t)((double)counted * ((double)(now_ns - duty->begun_ns) / (double)on_ns));
}

static uint64_t sum_of(const int *programs, size_t n_programs)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n_programs; i++) {
		struct bpf_prog_info info = {0};
		uint32_t size = sizeof(info);

		if (bpf_obj_get_info_by_fd(programs[i], &info, &size) == 0)
			sum += info.run_time_ns;
	}
	return sum;
}

static void count(struct fnp_run_time *run_time, uint64_t sum)
{
	run_time->at_on_ns = sum;
	run_time->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	run_time->refused = run_time->stats_fd < 0;
}

void fnp_run_time_turn(struct fnp_run_time *run_time, uint64_t now_ns, const int *programs, size_t n_programs)
{
	bool was_on = run_time->stats_fd >= 0;

	if (run_time->refused)
		return;
	if (!run_time->begun_ns) {
		run_time->begun_ns = now_ns;
		count(run_time, sum_of(programs, n_programs));
	} else if (!run_time->duty.begun_ns) {
		if (now_ns - run_time->begun_ns < ON_NS)
			return;
		fnp_duty_turn(&run_time->duty, now_ns);
		run_time->first_counted_ns = sum_of(programs, n_programs) - run_time->at_on_ns;
		run_time->at_on_ns += run_time->first_counted_ns;
	} else if (fnp_duty_turn(&run_time->duty, now_ns) != was_on) {
		uint64_t sum = sum_of(programs, n_programs);

		if (!was_on) {
			count(run_time, sum);
			return;
		}
		run_time->counted_ns += sum - run_time->at_on_ns;
		fnp_closep(&run_time->stats_fd);
	}
}

bool fnp_run_time_read(const struct fnp_run_time *run_time, uint64_t now_ns, const int *programs,
		       size_t n_programs, uint64_t *ret_ns)
{
	uint64_t counted = run_time->counted_ns;

	if (run_time->refused || !run_time->begun_ns)
		return false;
	if (run_time->stats_fd >= 0)
		counted += sum_of(programs, n_programs) - run_time->at_on_ns;
	*ret_ns = run_time->first_counted_ns +
		  (run_time->duty.begun_ns ? fnp_duty_scale(&run_time->duty, now_ns, counted) : counted);
	return true;
}

void fnp_run_time_deinit(struct fnp_run_time *run_time)
{
	fnp_closep(&run_time->stats_fd);
}
