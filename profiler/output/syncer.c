/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/syncer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

struct fnp_syncer {
	int dirfd;
	pthread_t thread;
	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t changed;
	bool wanted, stop;
	int error; /* of the first sync that failed */
};

static void *run(void *arg)
{
	struct fnp_syncer *s = arg;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->wanted && !s->stop)
			pthread_cond_wait(&s->changed, &s->lock);
		if (s->stop)
			break;
		s->wanted = false;
		pthread_mutex_unlock(&s->lock);
		int r = syncfs(s->dirfd) < 0 ? -errno : 0;
		pthread_mutex_lock(&s->lock);
		if (r < 0 && s->error == 0)
			s->error = r;
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Signals are the main thread's alone. */
static int start(struct fnp_syncer *s)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int fnp_syncer_create(int dirfd, struct fnp_syncer **ret)
{
	fnp_autofree struct fnp_syncer *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->dirfd = dirfd;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	r = start(s);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void fnp_syncer_destroy(struct fnp_syncer *syncer)
{
	if (!syncer)
		return;
	pthread_mutex_lock(&syncer->lock);
	syncer->stop = true;
	pthread_cond_signal(&syncer->changed);
	pthread_mutex_unlock(&syncer->lock);
	pthread_join(syncer->thread, NULL);
	pthread_cond_destroy(&syncer->changed);
	pthread_mutex_destroy(&syncer->lock);
	free(syncer);
}

int fnp_syncer_kick(struct fnp_syncer *syncer)
{
	int r;

	pthread_mutex_lock(&syncer->lock);
	r = syncer->error;
	syncer->wanted = true;
	pthread_cond_signal(&syncer->changed);
	pthread_mutex_unlock(&syncer->lock);
	return r;
}
