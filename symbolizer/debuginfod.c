/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker takes build ids from a queue. The library is asked to stop by the function that it calls about once a
 * second while it waits; when it does not come back all the same (a name server that hangs), the thread is left behind.
 */
#include "symbolizer/debuginfod.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/vec.h"
#include "symbolizer/debug_file.h"

#define LIBRARY "libdebuginfod.so.1"
#define URLS_FILES "/etc/debuginfod/*.urls"
#define URLS_MAX 4096
#define FILE_BYTES_MAX (INT64_C(2) << 30)
#define FETCH_NS (120 * FNP_NS_PER_S)
#define FAILURES_MAX 3
#define STOP_NS (3 * FNP_NS_PER_S)

/* elfutils/debuginfod.h, ABI of version 1. */
struct client;
struct library {
	struct client *(*begin)(void);
	void (*end)(struct client *);
	int (*find)(struct client *, const unsigned char *build_id, int build_id_len, char **path);
	void (*set_progress)(struct client *, int (*)(struct client *, long done, long all));
};

enum state { ASKED = 1, SETTLED };

struct fnp_debuginfod {
	struct library library;
	pthread_mutex_t lock;
	pthread_cond_t work, done; /* on CLOCK_MONOTONIC */
	pthread_t worker;
	bool has_worker, stop;
	struct fnp_map states; /* hash of a build id -> enum state */
	FNP_VEC(char *) queue;
	char *folder;
	uint32_t arrived;
	unsigned int failures; /* one after the other; the worker's */
};

/* What the worker is at; the library's progress function has no argument for it. */
struct fetch {
	struct fnp_debuginfod *debuginfod;
	uint64_t until_ns;
};
static _Thread_local struct fetch *fetching;

static uint64_t key_of(const char *build_id)
{
	return XXH3_64bits(build_id, strlen(build_id));
}

/* ---- the worker ---------------------------------------------------------------------------------------------- */

static bool must_stop(struct fnp_debuginfod *debuginfod)
{
	pthread_mutex_lock(&debuginfod->lock);
	bool stop = debuginfod->stop;
	pthread_mutex_unlock(&debuginfod->lock);
	return stop;
}

/* Not 0: give it up. */
static int on_progress(struct client *client, long done, long all)
{
	struct fetch *fetch = fetching;

	(void)client;
	return done > FILE_BYTES_MAX || all > FILE_BYTES_MAX || fnp_clock_ns() > fetch->until_ns ||
	       must_stop(fetch->debuginfod);
}

/* The cache's folder is two above the file. */
static void take_folder(struct fnp_debuginfod *debuginfod, const char *path)
{
	const char *slash = strrchr(path, '/');

	while (slash && slash > path && *--slash != '/')
		;
	if (!slash || slash == path)
		return;
	pthread_mutex_lock(&debuginfod->lock);
	debuginfod->arrived++;
	if (!debuginfod->folder)
		debuginfod->folder = strndup(path, (size_t)(slash - path));
	pthread_mutex_unlock(&debuginfod->lock);
}

/* A server may send anything. What is wrong is not kept in the cache, where debuggers look, too. */
static int check(const char *path, const char *build_id, char ret_alt[FNP_BUILD_ID_TEXT_MAX])
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	int r = fnp_object_open_path(path, &object);

	if (r == 0 && strcmp(fnp_object_build_id(object), build_id) != 0)
		r = -EBADMSG;
	if (r < 0) {
		fnp_warning_once(
			"debuginfod: what came for the build id %s is another file, or none; it is not used",
			build_id);
		unlink(path);
		return r;
	}
	if (fnp_debug_file_alt_build_id(object, ret_alt) < 0)
		ret_alt[0] = '\0';
	return 0;
}

static void count_failure(struct fnp_debuginfod *debuginfod, int error)
{
	if (error == 0 || error == ENOENT) {
		debuginfod->failures = 0;
		return;
	}
	debuginfod->failures++;
	if (debuginfod->failures == FAILURES_MAX)
		fnp_warning("debuginfod: its servers do not answer (%s); no more debug data is fetched",
			    strerror(error));
}

/* One file; the build id of its alternate file, "" without one. 0 or -errno. */
static int fetch_one(struct fnp_debuginfod *debuginfod, const char *build_id,
		     char ret_alt[FNP_BUILD_ID_TEXT_MAX])
{
	const struct library *library = &debuginfod->library;
	struct fetch fetch = {.debuginfod = debuginfod, .until_ns = fnp_clock_ns() + FETCH_NS};
	fnp_autofree char *path = NULL;
	struct client *client;

	if (debuginfod->failures >= FAILURES_MAX)
		return -ECONNREFUSED;
	client = library->begin();
	if (!client)
		return -ENOMEM;
	fetching = &fetch;
	library->set_progress(client, on_progress);
	int fd = library->find(client, (const unsigned char *)build_id, 0, &path);
	library->end(client);
	fetching = NULL;
	if (fd >= 0)
		close(fd);
	if (!must_stop(debuginfod))
		count_failure(debuginfod, fd < 0 ? -fd : 0);
	if (fd < 0 || !path)
		return fd < 0 ? fd : -ENOENT;
	int r = check(path, build_id, ret_alt);
	if (r == 0)
		take_folder(debuginfod, path);
	return r;
}

static void fetch_both(struct fnp_debuginfod *debuginfod, const char *build_id)
{
	char alt[FNP_BUILD_ID_TEXT_MAX] = "", none[FNP_BUILD_ID_TEXT_MAX];

	if (fetch_one(debuginfod, build_id, alt) == 0 && alt[0])
		(void)fetch_one(debuginfod, alt, none); /* without it some names are missing */
}

static void *work(void *self)
{
	struct fnp_debuginfod *debuginfod = self;

	pthread_mutex_lock(&debuginfod->lock);
	for (;;) {
		while (!debuginfod->stop && debuginfod->queue.len == 0)
			pthread_cond_wait(&debuginfod->work, &debuginfod->lock);
		if (debuginfod->stop)
			break;
		fnp_autofree char *build_id = debuginfod->queue.items[0];
		memmove(debuginfod->queue.items, debuginfod->queue.items + 1,
			--debuginfod->queue.len * sizeof(debuginfod->queue.items[0]));
		pthread_mutex_unlock(&debuginfod->lock);
		fetch_both(debuginfod, build_id);
		pthread_mutex_lock(&debuginfod->lock);
		(void)fnp_map_set(&debuginfod->states, key_of(build_id), SETTLED); /* the key is there already */
		pthread_cond_broadcast(&debuginfod->done);
	}
	pthread_mutex_unlock(&debuginfod->lock);
	return NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

/* As a login shell would put them into $DEBUGINFOD_URLS, which sudo takes away. */
static void take_urls(void)
{
	fnp_autobuffer struct fnp_buffer urls = {0};
	const char *own = getenv("DEBUGINFOD_URLS");
	glob_t files = {0};

	if ((own && *own) || glob(URLS_FILES, 0, NULL, &files) != 0)
		return;
	for (size_t i = 0; i < files.gl_pathc; i++) {
		fnp_autobuffer struct fnp_buffer text = {0};
		if (fnp_file_read_at(AT_FDCWD, files.gl_pathv[i], URLS_MAX, &text) < 0)
			continue;
		fnp_buffer_append(&urls, text.data, text.len);
		fnp_buffer_byte(&urls, ' ');
	}
	globfree(&files);
	fnp_buffer_byte(&urls, '\0');
	if (urls.error)
		return;
	for (size_t i = 0; i + 1 < urls.len; i++)
		urls.data[i] = urls.data[i] < ' ' ? ' ' : urls.data[i];
	setenv("DEBUGINFOD_URLS", (const char *)urls.data, 1);
}

/* Whoever set these means it. */
static void set_defaults(void)
{
	setenv("DEBUGINFOD_TIMEOUT", "10", 0); /* seconds in which 100 KB must come */
	setenv("DEBUGINFOD_RETRY_LIMIT", "0", 0);
}

static int load_library(struct library *ret)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	struct library library;

	if (!handle)
		return fnp_error(
			-ENOENT, "--debuginfod needs the library libdebuginfod.so.1 (Debian's package libdebuginfod1): %s",
			dlerror());
	*(void **)&library.begin = dlsym(handle, "debuginfod_begin");
	*(void **)&library.end = dlsym(handle, "debuginfod_end");
	*(void **)&library.find = dlsym(handle, "debuginfod_find_debuginfo");
	*(void **)&library.set_progress = dlsym(handle, "debuginfod_set_progressfn");
	if (!library.begin || !library.end || !library.find || !library.set_progress) {
		dlclose(handle);
		return fnp_error(-ENOENT, "--debuginfod: \"%s\" is not the library that it says", LIBRARY);
	}
	*ret = library; /* and stays loaded: a thread may be left in it */
	return 0;
}

int fnp_debuginfod_create(struct fnp_debuginfod **ret)
{
	FNP_CLEANUP(fnp_debuginfod_destroyp) struct fnp_debuginfod *debuginfod = NULL;
	pthread_condattr_t monotonic;
	const char *urls;
	int r;

	take_urls();
	set_defaults();
	urls = getenv("DEBUGINFOD_URLS");
	if (!urls || !urls[strspn(urls, " ")])
		return fnp_error(-ENOENT, "--debuginfod: no server is known; name some in $DEBUGINFOD_URLS");
	debuginfod = calloc(1, sizeof(*debuginfod));
	if (!debuginfod)
		return -ENOMEM;
	pthread_mutex_init(&debuginfod->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&debuginfod->work, NULL);
	pthread_cond_init(&debuginfod->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = load_library(&debuginfod->library);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(debuginfod);
	return 0;
}

/* False: it is somewhere in the library, and what it uses must stay. */
static bool end_worker(struct fnp_debuginfod *debuginfod)
{
	struct timespec until;

	pthread_mutex_lock(&debuginfod->lock);
	debuginfod->stop = true;
	pthread_cond_broadcast(&debuginfod->work);
	pthread_mutex_unlock(&debuginfod->lock);
	if (!debuginfod->has_worker)
		return true;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(STOP_NS / FNP_NS_PER_S);
	if (pthread_timedjoin_np(debuginfod->worker, NULL, &until) == 0)
		return true;
	pthread_detach(debuginfod->worker);
	return false;
}

void fnp_debuginfod_destroy(struct fnp_debuginfod *debuginfod)
{
	if (!debuginfod || !end_worker(debuginfod))
		return;
	for (size_t i = 0; i < debuginfod->queue.len; i++)
		free(debuginfod->queue.items[i]);
	fnp_vec_deinit(&debuginfod->queue);
	fnp_map_deinit(&debuginfod->states);
	pthread_mutex_destroy(&debuginfod->lock);
	pthread_cond_destroy(&debuginfod->work);
	pthread_cond_destroy(&debuginfod->done);
	free(debuginfod->folder);
	free(debuginfod);
}

/* ---- asking -------------------------------------------------------------------------------------------------- */

static int enqueue(struct fnp_debuginfod *debuginfod, const char *build_id)
{
	fnp_autofree char *own = strdup(build_id);
	int r = own ? fnp_vec_push(&debuginfod->queue, own) : -ENOMEM;

	if (r == 0)
		own = NULL;
	if (r == 0 && !debuginfod->has_worker) {
		r = -pthread_create(&debuginfod->worker, NULL, work, debuginfod);
		debuginfod->has_worker = r == 0;
	}
	return r;
}

void fnp_debuginfod_ask(struct fnp_debuginfod *debuginfod, const char *build_id)
{
	uint64_t key = key_of(build_id);

	pthread_mutex_lock(&debuginfod->lock);
	/* Without memory or a thread for it there is nothing to wait for. */
	if (build_id[0] && !fnp_map_find(&debuginfod->states, key) &&
	    fnp_map_set(&debuginfod->states, key, ASKED) == 0 && enqueue(debuginfod, build_id) < 0)
		(void)fnp_map_set(&debuginfod->states, key, SETTLED);
	pthread_cond_signal(&debuginfod->work);
	pthread_mutex_unlock(&debuginfod->lock);
}

bool fnp_debuginfod_wait(struct fnp_debuginfod *debuginfod, const char *build_id, uint64_t until_ns)
{
	const uint64_t *state;
	struct timespec until;
	int r = 0;

	fnp_clock_to_timespec(until_ns, &until);
	pthread_mutex_lock(&debuginfod->lock);
	while ((state = fnp_map_find(&debuginfod->states, key_of(build_id))) && *state == ASKED && r == 0)
		r = pthread_cond_timedwait(&debuginfod->done, &debuginfod->lock, &until);
	bool settled = !state || *state == SETTLED;
	pthread_mutex_unlock(&debuginfod->lock);
	return settled;
}

uint32_t fnp_debuginfod_arrived(struct fnp_debuginfod *debuginfod)
{
	pthread_mutex_lock(&debuginfod->lock);
	uint32_t arrived = debuginfod->arrived;
	pthread_mutex_unlock(&debuginfod->lock);
	return arrived;
}

const char *fnp_debuginfod_folder(struct fnp_debuginfod *debuginfod)
{
	pthread_mutex_lock(&debuginfod->lock);
	const char *folder = debuginfod->folder;
	pthread_mutex_unlock(&debuginfod->lock);
	return folder;
}
