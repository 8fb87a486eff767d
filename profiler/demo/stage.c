/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/demo/stage.h"

#include <errno.h>
#include <poll.h>
#include <sys/random.h>

#include "base/clock.h"
#include "profiler/demo/runtime_api.h"

#define VERSION "1"
#define TIMEOUT_MS 30000
#define START_TIMEOUT_NS (60 * FNP_NS_PER_S)
#define ROUND_MS 5

/* What each function is asked, over and over, and the pause before it. */
static const struct {
	const char *payload;
	uint32_t pause_ms;
} plan[] = {
	{"{\"kind\":\"fast\"}", 20},
	{"{\"kind\":\"fast\"}", 20},
	{"{\"kind\":\"slow\",\"ms\":60}", 20},
	{"{\"kind\":\"native\",\"ms\":80}", 20},
	{"{\"kind\":\"fast\"}", 20},
	{"{\"kind\":\"sleep\",\"ms\":60}", 20},
	{"{\"kind\":\"slow\",\"ms\":25}", 20},
	{"{\"kind\":\"error\"}", 20},
	{"{\"kind\":\"fast\"}", 20},
	{"{\"kind\":\"threads\",\"ms\":20}", 20},
	{"{\"kind\":\"big\",\"bytes\":200000}", 20},
	{"{\"kind\":\"slow\",\"ms\":250}", 20},
	{"{\"kind\":\"after\",\"ms\":30}", 20},
	{"{\"kind\":\"fast\"}", 60},
};

/* One function on the stage. */
struct actor {
	const char *function;
	struct fnp_runtime_api *api;
	struct fnp_stage_state state;
	uint64_t begin_ns; /* when it first asked; 0 before */
	uint64_t next_ns;  /* not asked anything before */
	size_t number;	   /* of the plan's next line */
};

struct fnp_stage {
	struct actor actors[FNP_STAGE_MAX];
	size_t n;
};

static void take_result(void *self, const struct fnp_runtime_api_result *result)
{
	struct actor *actor = self;

	actor->state.answered++;
	actor->state.errors += result->error;
	actor->next_ns = fnp_clock_ns() +
			 plan[actor->number % FNP_ARRAY_SIZE(plan)].pause_ms * UINT64_C(1000000);
}

static void take_init_failed(void *self)
{
	((struct actor *)self)->state.init_failed = true;
}

int fnp_stage_create(const char *const *functions, size_t n, struct fnp_stage **ret)
{
	FNP_CLEANUP(fnp_stage_destroyp) struct fnp_stage *stage = calloc(1, sizeof(*stage));

	if (!stage)
		return -ENOMEM;
	for (size_t i = 0; i < n && i < FNP_STAGE_MAX; i++) {
		struct actor *actor = &stage->actors[i];
		int r = fnp_runtime_api_create(
			&(struct fnp_runtime_api_options){
				.self = actor, .done = take_result, .init_failed = take_init_failed},
			&actor->api);
		if (r < 0)
			return r;
		actor->function = functions[i];
		stage->n++;
	}
	*ret = TAKE_PTR(stage);
	return 0;
}

void fnp_stage_destroy(struct fnp_stage *stage)
{
	if (!stage)
		return;
	for (size_t i = 0; i < stage->n; i++)
		fnp_runtime_api_destroy(stage->actors[i].api);
	free(stage);
}

const char *fnp_stage_address(const struct fnp_stage *stage, size_t function)
{
	return fnp_runtime_api_address(stage->actors[function].api);
}

/* An invocation with an identity of its own, of the plan's next kind. */
static int offer(struct actor *actor)
{
	char id[40], trace_id[40], parent[20];
	uint32_t r[10];

	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return -EIO;
	snprintf(id, sizeof(id), "%08x-%04x-4%03x-8%03x-%08x%04x", r[0], r[1] >> 16, r[1] & 0xfff,
		 r[2] & 0xfff, r[3], r[2] >> 16);
	/* X-Ray's trace ids begin with the time in seconds. */
	uint64_t utc_ns = fnp_clock_ns() + (uint64_t)fnp_clock_utc_offset_ns();
	snprintf(trace_id, sizeof(trace_id), "%08x%08x%08x%08x", (uint32_t)(utc_ns / FNP_NS_PER_S), r[4],
		 r[5], r[6]);
	snprintf(parent, sizeof(parent), "%08x%08x", r[7], r[8]);
	return fnp_runtime_api_offer(actor->api,
				     &(struct fnp_runtime_api_work){
					     .id = id,
					     .function = actor->function,
					     .version = VERSION,
					     .trace_id = trace_id,
					     .parent_span_id = parent,
					     .payload = plan[actor->number++ % FNP_ARRAY_SIZE(plan)].payload,
					     .timeout_ms = TIMEOUT_MS,
				     });
}

static bool is_busy(const struct actor *actor)
{
	return fnp_runtime_api_active(actor->api) > 0 || fnp_runtime_api_queued(actor->api) > 0;
}

/* Gives the function its next work when it is time; true when it has none to do any more. */
static int direct(struct actor *actor, uint64_t stage_begin_ns, uint64_t duration_ns, bool *ret_over)
{
	uint64_t now = fnp_clock_ns();

	*ret_over = false;
	if (actor->begin_ns == 0 && fnp_runtime_api_waiting(actor->api) > 0) {
		actor->begin_ns = now;
		actor->state.asked = true;
	}
	if (actor->begin_ns == 0) {
		*ret_over = actor->state.init_failed || now - stage_begin_ns > START_TIMEOUT_NS;
		return 0;
	}
	if (is_busy(actor)) {
		/* One that died at work never answers. */
		*ret_over = now - actor->begin_ns > duration_ns + START_TIMEOUT_NS;
		return 0;
	}
	*ret_over = now - actor->begin_ns >= duration_ns;
	return *ret_over || now < actor->next_ns ? 0 : offer(actor);
}

int fnp_stage_run(struct fnp_stage *stage, uint64_t duration_ns, struct fnp_stage_state *states)
{
	uint64_t begin_ns = fnp_clock_ns();
	struct pollfd fds[FNP_STAGE_MAX] = {0};
	bool all_over = false;

	for (size_t i = 0; i < stage->n; i++)
		fds[i] = (struct pollfd){.fd = fnp_runtime_api_fd(stage->actors[i].api), .events = POLLIN};
	while (!all_over) {
		if (poll(fds, stage->n, ROUND_MS) < 0 && errno != EINTR)
			return -errno;
		all_over = true;
		for (size_t i = 0; i < stage->n; i++) {
			bool over;
			int r = fnp_runtime_api_run(stage->actors[i].api, 0);
			r = r < 0 ? r : direct(&stage->actors[i], begin_ns, duration_ns, &over);
			if (r < 0)
				return r;
			all_over = all_over && over;
			states[i] = stage->actors[i].state;
		}
	}
	return 0;
}
