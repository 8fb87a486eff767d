/* SPDX-License-Identifier: Apache-2.0 */
/* The list is taken from its end: what takes longest stands there, and is begun first. */
#include "profiler/loading.h"

#include <errno.h>
#include <pthread.h>

#define THREADS 2

struct fnp_loading {
	struct fnp_kernel *kernel;
	uint32_t chosen;
	int next;    /* place, plus one, of the one to load next; shared */
	int n_ended; /* threads; shared */
	int error;   /* of a required one; shared */
	pthread_t threads[THREADS];
	int n_threads;
	void *states[FNP_COLLECTORS_MAX];
};

static int n_collectors(void)
{
	int n = 0;

	while (n < FNP_COLLECTORS_MAX && fnp_collectors[n])
		n++;
	return n;
}

static void load_all_that_are_left(struct fnp_loading *loading)
{
	for (;;) {
		int i = __atomic_sub_fetch(&loading->next, 1, __ATOMIC_RELAXED), r;

		if (i < 0 || __atomic_load_n(&loading->error, __ATOMIC_RELAXED) < 0)
			return;
		r = loading->chosen & 1U << i ? fnp_collectors[i]->load(loading->kernel, &loading->states[i])
					      : 0;
		if (r < 0 && fnp_collectors[i]->required)
			__atomic_store_n(&loading->error, r, __ATOMIC_RELAXED);
	}
}

static void *run(void *self)
{
	struct fnp_loading *loading = self;

	load_all_that_are_left(loading);
	__atomic_add_fetch(&loading->n_ended, 1, __ATOMIC_RELEASE);
	return NULL;
}

int fnp_loading_begin(struct fnp_kernel *kernel, uint32_t chosen, struct fnp_loading **ret)
{
	struct fnp_loading *loading = calloc(1, sizeof(*loading));

	if (!loading)
		return -ENOMEM;
	loading->kernel = kernel;
	loading->chosen = chosen;
	loading->next = n_collectors();
	while (loading->n_threads < THREADS && loading->n_threads < __builtin_popcount(chosen) &&
	       pthread_create(&loading->threads[loading->n_threads], NULL, run, loading) == 0)
		loading->n_threads++;
	*ret = loading;
	return 0;
}

bool fnp_loading_is_over(const struct fnp_loading *loading)
{
	return __atomic_load_n(&loading->n_ended, __ATOMIC_ACQUIRE) == loading->n_threads;
}

int fnp_loading_finish(struct fnp_loading *loading, void *states[FNP_COLLECTORS_MAX])
{
	int r;

	for (int i = 0; i < loading->n_threads; i++)
		pthread_join(loading->threads[i], NULL);
	/* Where no thread could be started, it is done here. */
	load_all_that_are_left(loading);
	for (int i = 0; i < FNP_COLLECTORS_MAX; i++) {
		if (loading->chosen & 1U << i)
			states[i] = loading->states[i];
	}
	r = loading->error;
	free(loading);
	return r;
}
