/* SPDX-License-Identifier: Apache-2.0 */
/* `record`: reads what is asked for; session.c does it. */
#include <errno.h>

#include "base/clock.h"
#include "profiler/commands/options.h"
#include "profiler/commands/pids.h"
#include "profiler/features.h"
#include "profiler/probes.h"
#include "profiler/session.h"

extern const struct fnp_command_ops fnp_command_record;

#define DURATION_S_MAX (100ull * 365 * 24 * 3600)

static int check_pids(const struct fnp_pids *pids)
{
	for (size_t i = 0; i < pids->list.len; i++) {
		if (fnp_pids_check(pids->list.items[i]) < 0)
			return FNP_EXIT_NOT_RECORDED;
	}
	return FNP_EXIT_OK;
}

static int record(const struct fnp_session_options *options)
{
	int status;

	return fnp_session_run(options, &status) < 0 ? FNP_EXIT_NOT_RECORDED : status;
}

/* As it was asked for, before anything is looked at. */
struct request {
	const char *dir, *pids;
	struct fnp_option_list probes;
	uint64_t rate_hz, duration_s;
	bool debuginfod;
	bool source_maps;
	struct fnp_arguments command;
};

/* FNP_OPTIONS_GO_ON, or the status to exit with. */
static int parse(int argc, char **argv, struct request *request)
{
	const struct fnp_option table[] = {
		{'o', "output", "DIR", "where to write; new or empty (default fnprof-<UTC time>)",
		 FNP_OPTION_TEXT, &request->dir},
		{'F', "rate", "HZ", "samples a second and CPU, 1 to 10000 (default 99)", FNP_OPTION_NUMBER,
		 &request->rate_hz, 1, FNP_SESSION_RATE_HZ_MAX},
		{'p', "pid", "PID,...", "profile these processes and all they start from now on",
		 FNP_OPTION_TEXT, &request->pids},
		{0, "usdt", "PROVIDER:PROBE", "each hit of these as an event, about 1 us (may be repeated)",
		 FNP_OPTION_LIST, &request->probes},
		{0, "debuginfod", NULL, "fetch debug data: tells build ids to the servers of $DEBUGINFOD_URLS",
		 FNP_OPTION_FLAG, &request->debuginfod},
		{0, "source-maps", NULL, "JavaScript by the names and lines of what it was made of",
		 FNP_OPTION_FLAG, &request->source_maps},
		{'d', "duration", "SECONDS", "end after this time", FNP_OPTION_NUMBER, &request->duration_s,
		 1, DURATION_S_MAX},
	};
	const struct fnp_options options = {
		.command = &fnp_command_record,
		.table = table,
		.n = FNP_ARRAY_SIZE(table),
		.max_arguments = -1,
		.dashes_before_arguments = true,
	};

	return fnp_options_parse(&options, argc, argv, &request->command);
}

/* What does not go together, or cannot be meant; FNP_OPTIONS_GO_ON, or the status to exit with. */
static int check(const struct request *request, struct fnp_pids *pids)
{
	if (request->pids && request->command.n > 0)
		return fnp_options_mistake(&fnp_command_record, "give either --pid or a command, not both");
	if (request->dir && !*request->dir)
		return fnp_options_mistake(&fnp_command_record, "the name of the directory is empty");
	if (request->pids && fnp_pids_parse(request->pids, pids) < 0)
		return fnp_options_mistake(&fnp_command_record,
					   "--pid takes process numbers with commas between them, not \"%s\"",
					   request->pids);
	for (size_t i = 0; i < request->probes.n; i++) {
		if (fnp_probes_check_name(request->probes.items[i]) < 0)
			return fnp_options_mistake(&fnp_command_record,
						   "--usdt takes PROVIDER:PROBE, not \"%s\"",
						   request->probes.items[i]);
	}
	return FNP_OPTIONS_GO_ON;
}

static int run(int argc, char **argv)
{
	struct request request = {.rate_hz = FNP_SESSION_RATE_HZ_DEFAULT};
	FNP_CLEANUP(fnp_pids_deinit) struct fnp_pids pids = {0};
	int status = parse(argc, argv, &request);

	if (status == FNP_OPTIONS_GO_ON)
		status = check(&request, &pids);
	if (status != FNP_OPTIONS_GO_ON)
		return status;
	status = check_pids(&pids);
	if (status != FNP_EXIT_OK)
		return status;
	if (fnp_features_check() < 0)
		return FNP_EXIT_NOT_RECORDED;
	return record(&(struct fnp_session_options){
		.dir = request.dir,
		.rate_hz = (uint32_t)request.rate_hz,
		.pids = pids.list.items,
		.n_pids = pids.list.len,
		.probes = request.probes.items,
		.n_probes = request.probes.n,
		.debuginfod = request.debuginfod,
		.duration_ns = request.duration_s * FNP_NS_PER_S,
		.source_maps = request.source_maps,
		.command = request.command.n > 0 ? request.command.items : NULL,
	});
}

const struct fnp_command_ops fnp_command_record = {
	.name = "record",
	.synopsis = "fnprof record [-o DIR] [-F HZ] [-p PID,...] [-d SECONDS] [--usdt PROVIDER:PROBE] "
		    "[--debuginfod] [--source-maps] [-- CMD ARG...]",
	.description = "profile a command, processes, or every function of this host",
	.details = "With CMD: it and all that it starts, until it ends. With -p: these processes and all "
		   "that they\n"
		   "start from now on, until they end. With neither: every process in which work for a "
		   "function is\n"
		   "seen, until Ctrl-C or -d.\n\n"
		   "Exits with CMD's status, or 128 + its signal; 125 when it could not record or write, 126 "
		   "when CMD\n"
		   "cannot be executed, 127 when there is no CMD.",
	.run = run,
};
