/* SPDX-License-Identifier: Apache-2.0 */
/* `doctor`: the table of features, row by row, and the one thing to do for each gap. */
#include "base/memory.h"
#include "base/text.h"
#include "profiler/commands/options.h"
#include "profiler/features.h"

extern const struct fnp_command_ops fnp_command_doctor;

static const char *mark_of(const struct fnp_feature *feature, enum fnp_feature_state state)
{
	switch (state) {
	case FNP_FEATURE_THERE:
		return "ok";
	case FNP_FEATURE_LESS:
		return "less";
	case FNP_FEATURE_MISSING:
		break;
	}
	return feature->required ? "MISSING" : "missing";
}

static void print_row(const struct fnp_feature *feature, struct fnp_feature_result *result)
{
	fnp_text_make_printable(result->found, strlen(result->found));
	printf("%-8s %-15s %s\n", mark_of(feature, result->state), feature->name, result->found);
	if (result->state == FNP_FEATURE_THERE)
		return;
	printf("%-8s %-15s   for: %s\n", "", "", feature->needed_for);
	if (result->remedy[0])
		printf("%-8s %-15s   do:  %s\n", "", "", result->remedy);
}

static int examine(void)
{
	size_t missing = 0, less = 0;

	for (size_t i = 0; i < fnp_n_features; i++) {
		struct fnp_feature_result result = {0};

		fnp_features[i].probe(&result);
		print_row(&fnp_features[i], &result);
		missing += fnp_features[i].required && result.state == FNP_FEATURE_MISSING;
		less += result.state != FNP_FEATURE_THERE;
	}
	if (missing)
		printf("\nfnprof cannot record here: %zu of what it needs %s missing.\n", missing,
		       missing == 1 ? "is" : "are");
	else if (less)
		printf("\nfnprof can record here; %zu thing%s could be better.\n", less, less == 1 ? "" : "s");
	else
		printf("\nfnprof can record here.\n");
	printf("It runs on hosts on which one may load BPF: your own Kubernetes nodes or VMs, OpenFaaS, "
	       "Knative,\n"
	       "container images with the runtime interface emulator, CI. Not inside managed Lambda.\n");
	return missing ? FNP_EXIT_FAILED : FNP_EXIT_OK;
}

static int run(int argc, char **argv)
{
	const struct fnp_options options = {.command = &fnp_command_doctor};
	struct fnp_arguments words;
	int status = fnp_options_parse(&options, argc, argv, &words);

	return status != FNP_OPTIONS_GO_ON ? status : examine();
}

const struct fnp_command_ops fnp_command_doctor = {
	.name = "doctor",
	.synopsis = "fnprof doctor",
	.description = "what this kernel and these privileges allow, and the one thing to do for each gap",
	.details = "Exits with 1 when something is missing without which nothing can be recorded.",
	.run = run,
};
