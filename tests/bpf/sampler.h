/* SPDX-License-Identifier: Apache-2.0 */
/* Samples one program through the walker in the kernel: for tests and bench. Needs root; -EPERM else. */
#ifndef FNP_TESTS_BPF_SAMPLER_H
#define FNP_TESTS_BPF_SAMPLER_H

#include <sys/types.h>

#include "profiler/targets/resume.h"
#include "symbolizer/runtime.h"

struct fnp_sampler;

struct fnp_sampled_stack {
	const uint64_t *words;
	uint32_t n_words;
	uint32_t truncation;
	bool resumed;
};

struct fnp_sampler_options {
	pid_t pid;
	uint64_t period_ns;
	bool keep_words;
	bool get_stack;	     /* bpf_get_stack instead of the walker */
	bool runtimes;	     /* frames of the process's language runtime, too; -ENOENT when it has none */
	bool without_tables; /* nothing is loaded: everything is left to user space */
};

int fnp_sampler_create(const struct fnp_sampler_options *options, struct fnp_sampler **ret);
void fnp_sampler_destroy(struct fnp_sampler *sampler);

/* Samples for a while; `visit` gets each stack when words are kept. */
int fnp_sampler_run(struct fnp_sampler *sampler, unsigned int ms,
		    void (*visit)(void *self, const struct fnp_sampled_stack *stack), void *self);

/* Names one frame of a runtime, as fnp_runtime_ops.name_frame; -ENOENT for other frames. */
int fnp_sampler_name(struct fnp_sampler *sampler, const uint64_t *words, size_t n_words,
		     struct fnp_runtime_frame *ret);

/* Samples so far, and BPF run time in them. */
void fnp_sampler_cost(const struct fnp_sampler *sampler, uint64_t *ret_samples, uint64_t *ret_ns);
uint64_t fnp_sampler_load_ns(const struct fnp_sampler *sampler);
uint64_t fnp_sampler_resumed(const struct fnp_sampler *sampler);
void fnp_sampler_causes(const struct fnp_sampler *sampler, uint64_t ret[16]);

/* Starts a program from the build's folder of test programs; its pid. */
pid_t fnp_sampler_start(const char *program, const char *argument);
void fnp_sampler_stop(pid_t pid);

#endif
