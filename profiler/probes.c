/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/probes.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "profiler/probe_plan.h"
#include "symbolizer/hotspot.h"

#define SEEN_MAX 65536
#define INODES_MAX 65536
#define ASKED_MAX 64
#define PEEK_ATTEMPTS 64
#define LIBRARIES_MAX 4
#define HITS_A_SECOND_MAX 5000 /* of one that is on by itself: half a percent of a processor */
#define STEPS_A_SECOND_MAX 500 /* likewise, where each hit may cost 10 us */
#define BUSY_SECONDS 3	       /* a start may be busy */
#define CODE_BYTES 4	       /* that must be the same in the file and in what is known of it */

/* A probe that sits somewhere. */
struct sitting {
	struct fnp_probe_plan *plan; /* NULL: this number is free */
	uint32_t probe;		     /* of the plan */
	uint32_t busy;		     /* seconds in a row that it was hit too often */
	uint64_t hits;
	bool away; /* it was taken away: what still comes of it is nothing */
};

struct fnp_probes {
	struct fnp_probes_options options;
	struct fnp_spans *spans;
	struct fnp_map plans;  /* struct fnp_object * -> struct fnp_probe_plan *, owned */
	struct fnp_map seen;   /* (process, object): looked at */
	struct fnp_map inodes; /* that have their probes: since when */
	struct fnp_probes_late late;
	FNP_VEC(struct fnp_object *) expected; /* owned */
	struct sitting sitting[FNP_PROBE_SPECS_MAX];
	uint32_t met[ASKED_MAX]; /* places of each pattern */
	uint64_t tended_ns;
};

int fnp_probes_create(const struct fnp_probes_options *options, struct fnp_probes **ret)
{
	FNP_CLEANUP(fnp_probes_destroyp) struct fnp_probes *probes = calloc(1, sizeof(*probes));
	int r;

	if (!probes)
		return -ENOMEM;
	probes->options = *options;
	probes->options.n_asked = FNP_MIN(options->n_asked, (size_t)ASKED_MAX);
	r = fnp_spans_create(options->tell, options->self, &probes->spans);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(probes);
	return 0;
}

void fnp_probes_destroy(struct fnp_probes *probes)
{
	if (!probes)
		return;
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&probes->plans, s));) {
		struct fnp_probe_plan *plan = (void *)(uintptr_t)s->value;
		fnp_probe_plan_deinit(plan);
		free(plan);
	}
	for (size_t i = 0; i < probes->expected.len; i++)
		fnp_object_unref(probes->expected.items[i]);
	fnp_vec_deinit(&probes->expected);
	fnp_map_deinit(&probes->plans);
	fnp_map_deinit(&probes->seen);
	fnp_map_deinit(&probes->inodes);
	fnp_spans_destroy(probes->spans);
	free(probes);
}

int fnp_probes_check_name(const char *name)
{
	const char *colon = strchr(name, ':');

	return colon && colon > name && colon[1] && !strchr(colon + 1, ':') ? 0 : -EINVAL;
}

/* ---- putting them there -------------------------------------------------------------------------------------- */

static struct fnp_probe_plan *plan_of(struct fnp_probes *probes, const struct fnp_object *object)
{
	uint64_t key = (uint64_t)(uintptr_t)object;
	struct fnp_probe_plan *plan = fnp_map_find_ptr(&probes->plans, key);
	const struct fnp_runtime_id *id;

	if (plan)
		return plan;
	plan = calloc(1, sizeof(*plan));
	id = fnp_runtimes_id(probes->options.runtimes, object);
	if (!plan || !id ||
	    fnp_probe_plan_make(object, id, probes->options.asked, probes->options.n_asked, plan) < 0) {
		free(plan);
		return NULL;
	}
	fnp_object_release_pages(object); /* a table of symbols was read from end to end */
	if (fnp_map_set_ptr(&probes->plans, key, plan) < 0) {
		fnp_probe_plan_deinit(plan);
		free(plan);
		return NULL;
	}
	return plan;
}

/* The file may be another than the one that was read: one that was written over, or one of the same build id. */
static bool same_code(int fd, const struct fnp_object *object, const struct fnp_planned_probe *probe)
{
	uint8_t bytes[CODE_BYTES];
	const uint8_t *known;
	size_t n = sizeof(bytes);

	while (n > 0 && fnp_object_read_address(object, probe->spec.address, n, &known) < 0)
		n--;
	return n > 0 && pread(fd, bytes, n, (off_t)probe->offset) == (ssize_t)n && memcmp(bytes, known, n) == 0;
}

static const char *label(const struct fnp_planned_probe *probe, char ret[256])
{
	snprintf(ret, 256, "%s%s%s", probe->provider ? probe->provider : "", probe->provider ? ":" : "",
		 probe->name);
	return ret;
}

static int check(const struct fnp_probe_plan *plan, const struct fnp_planned_probe *probe, int fd)
{
	const char *file = fnp_object_base_name(plan->object);
	char text[256];

	if (!same_code(fd, plan->object, probe))
		return -ESTALE;
	if (probe->instruction == FNP_USDT_TRAP)
		return fnp_error(-EINVAL, "the probe %s of %s is not on an instruction that can have one",
				 label(probe, text), file);
	if (probe->instruction == FNP_USDT_STEPPED && !probe->meaning->rare)
		fnp_warning("the probe %s of %s sits on an instruction that the kernel must step over: "
			    "each hit may cost 10 us",
			    label(probe, text), file);
	return 0;
}

static void take_result(struct fnp_probes *probes, struct fnp_probe_plan *plan, uint32_t index,
			const struct fnp_usdt_place_of *place)
{
	const struct fnp_planned_probe *probe = &plan->probes.items[index];
	const char *file = fnp_object_base_name(plan->object);
	char text[256];

	if (place->error < 0 && probe->asked >= 0)
		fnp_error(place->error, "cannot put the probe %s on %s: %s", label(probe, text), file,
			  strerror(-place->error));
	else if (place->error < 0)
		fnp_debug("cannot put the probe %s on %s: %s", label(probe, text), file,
			  strerror(-place->error));
	if (place->error < 0)
		return;
	probes->sitting[place->number] = (struct sitting){.plan = plan, .probe = index};
	if (probe->asked >= 0)
		probes->met[probe->asked]++;
}

#define ASKED_GROUP FNP_PAIRS
#define GROUPS (FNP_PAIRS + 1)

/* What is attached together is taken away together, when one of it is hit too often: what tells of one kind of event. */
static unsigned int group_of(const struct fnp_planned_probe *probe)
{
	return probe->asked >= 0 ? ASKED_GROUP : probe->meaning->pair;
}

static void attach_group(struct fnp_probes *probes, struct fnp_probe_plan *plan, int fd, unsigned int group)
{
	fnp_autofree struct fnp_usdt_place_of *places = calloc(plan->probes.len, sizeof(*places));
	fnp_autofree uint32_t *indices = calloc(plan->probes.len, sizeof(*indices));
	char path[64];
	uint32_t n = 0;

	if (!places || !indices)
		return;
	for (uint32_t i = 0; i < plan->probes.len; i++) {
		const struct fnp_planned_probe *probe = &plan->probes.items[i];

		if (group_of(probe) != group || check(plan, probe, fd) < 0)
			continue;
		indices[n] = i;
		places[n++] = (struct fnp_usdt_place_of){.offset = probe->offset,
							 .semaphore_offset = probe->semaphore_offset,
							 .spec = &probe->spec};
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fnp_usdt_attach(probes->options.usdt, path, places, n);
	for (uint32_t i = 0; i < n; i++)
		take_result(probes, plan, indices[i], &places[i]);
}

static void attach(struct fnp_probes *probes, struct fnp_probe_plan *plan, int fd)
{
	for (unsigned int group = 0; group < GROUPS; group++)
		attach_group(probes, plan, fd, group);
}

/* A process may have come to places of a file before probes sat there. */
static void note_late(struct fnp_probes *probes, uint64_t mapped_ns, uint64_t since_ns)
{
	if (mapped_ns == 0 || mapped_ns >= since_ns)
		return;
	probes->late.processes++;
	probes->late.max_ns = FNP_MAX(probes->late.max_ns, since_ns - mapped_ns);
}

/*
 * Puts a plan's probes on the file behind `fd`, once an inode; `mapped_ns` is since when a process may have come to them, 0:
 * none has.
 */
static void attach_plan(struct fnp_probes *probes, struct fnp_probe_plan *plan, int fd, uint64_t mapped_ns)
{
	struct stat st;
	uint64_t key, *since, now_ns;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	key = (uint64_t)st.st_ino * 0x9e3779b97f4a7c15ULL ^ (uint64_t)st.st_dev;
	since = fnp_map_find(&probes->inodes, key);
	if (since) {
		note_late(probes, mapped_ns, *since);
		return;
	}
	if (probes->inodes.len >= INODES_MAX) {
		fnp_warning_once("probes sit on %u files, which is as many as there may be", INODES_MAX);
		return;
	}
	if (fnp_map_set(&probes->inodes, key, 1) < 0)
		return;
	attach(probes, plan, fd);
	now_ns = fnp_clock_ns();
	fnp_map_set(&probes->inodes, key, now_ns); /* it has its place there */
	note_late(probes, mapped_ns, now_ns);
}

static uint64_t key_of(const struct fnp_process *process, uint32_t object)
{
	return (((uint64_t)process->pid << 32 | object) ^ process->image_ns) * 0x9e3779b97f4a7c15ULL;
}

/* True the first time for a process's image and a file. */
static bool is_new(struct fnp_probes *probes, const struct fnp_process *process, uint32_t object)
{
	uint64_t key = key_of(process, object);

	if (fnp_map_find(&probes->seen, key))
		return false;
	if (probes->seen.len >= SEEN_MAX)
		fnp_map_deinit(&probes->seen); /* some are looked at twice */
	fnp_map_set(&probes->seen, key, 1);
	return true;
}

/*
 * The kernel's own link to what is mapped: whatever stands at the path now may be another file. Of a process that is
 * gone already the file at the path, when it has the same build id; its code is compared in any case.
 */
static int open_mapped(const struct fnp_process *process, const struct fnp_mapping *mapping,
		       const struct fnp_target_object *object)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *there = NULL;
	fnp_autoclose int fd = -1;
	char path[96];
	int own;

	snprintf(path, sizeof(path), "/proc/%u/map_files/%lx-%lx", process->pid, mapping->start, mapping->end);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0)
		return TAKE_FD(fd);
	if (!object->build_id[0])
		return -ESRCH;
	fd = open(object->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	own = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (own < 0 || fnp_object_open_fd(own, object->path, &there) < 0 ||
	    strcmp(fnp_object_build_id(there), object->build_id) != 0)
		return -ESTALE;
	return TAKE_FD(fd);
}

static void update_mapping(struct fnp_probes *probes, const struct fnp_process *process,
			   const struct fnp_mapping *mapping)
{
	const struct fnp_target_object *object = fnp_objects_get(probes->options.objects, mapping->object);
	struct fnp_probe_plan *plan;

	if (!object || !object->elf || !is_new(probes, process, mapping->object))
		return;
	plan = plan_of(probes, object->elf);
	if (!plan || plan->probes.len == 0)
		return;
	fnp_autoclose int fd = open_mapped(process, mapping, object);
	if (fd >= 0)
		attach_plan(probes, plan, fd, mapping->from_ns);
	else
		fnp_map_remove(&probes->seen, key_of(process, mapping->object));
}

void fnp_probes_update(struct fnp_probes *probes, struct fnp_process *process)
{
	if (!probes->options.usdt)
		return;
	for (size_t i = 0; i < process->mappings.len; i++) {
		const struct fnp_mapping *mapping = &process->mappings.items[i];

		if (mapping->from_ns >= process->image_ns && mapping->object != FNP_OBJECT_NONE)
			update_mapping(probes, process, mapping);
	}
}

void fnp_probes_expect(struct fnp_probes *probes, const char *path)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	fnp_autoclose int fd = -1;
	struct fnp_probe_plan *plan;
	int own;

	if (!probes->options.usdt || !path)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	own = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (own < 0 || fnp_object_open_fd(own, path, &object) < 0)
		return;
	if (fnp_vec_reserve(&probes->expected, probes->expected.len + 1) < 0)
		return;
	plan = plan_of(probes, object);
	probes->expected.items[probes->expected.len++] = TAKE_PTR(object);
	if (plan && plan->probes.len > 0)
		attach_plan(probes, plan, fd, 0);
}

/* As execvp() would find it. */
static char *find_program(const char *program)
{
	const char *path = getenv("PATH");
	char file[4096];

	if (strchr(program, '/'))
		return realpath(program, NULL);
	for (const char *p = path ? path : "/bin:/usr/bin"; *p;) {
		size_t len = strcspn(p, ":");

		snprintf(file, sizeof(file), "%.*s%s%s", (int)len, p, len ? "/" : "./", program);
		if (access(file, X_OK) == 0)
			return realpath(file, NULL);
		p += len + (p[len] == ':');
	}
	return NULL;
}

/* The library of the runtime that a program is the launcher of, where such installations have it. */
static void expect_library(struct fnp_probes *probes, const char *folder, const char *pattern)
{
	char path[4200];
	glob_t found;

	snprintf(path, sizeof(path), "%s/%s", folder, pattern);
	if (glob(path, GLOB_NOSORT, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < FNP_MIN(found.gl_pathc, (size_t)LIBRARIES_MAX); i++)
		fnp_probes_expect(probes, found.gl_pathv[i]);
	globfree(&found);
}

void fnp_probes_expect_program(struct fnp_probes *probes, const char *program)
{
	fnp_autofree char *path = program ? find_program(program) : NULL;
	static const char *const python[] = {"../lib/libpython3.[0-9]*.so.1.0",
					     "../lib/*-linux-gnu/libpython3.[0-9]*.so.1.0",
					     "../libpython3.[0-9]*.so.1.0", "libpython3.[0-9]*.so.1.0"};
	char *slash;

	if (!path)
		return;
	fnp_probes_expect(probes, path);
	slash = strrchr(path, '/');
	*slash = '\0';
	if (strcmp(slash + 1, "java") == 0)
		expect_library(probes, path, "../lib/server/libjvm.so");
	else if (strncmp(slash + 1, "python", strlen("python")) == 0) {
		for (size_t i = 0; i < FNP_ARRAY_SIZE(python); i++)
			expect_library(probes, path, python[i]);
	}
}

bool fnp_probes_let_go(struct fnp_probes *probes, const struct fnp_object *object)
{
	uint64_t key = (uint64_t)(uintptr_t)object;
	struct fnp_probe_plan *plan = fnp_map_find_ptr(&probes->plans, key);

	if (plan && plan->probes.len > 0)
		return false;
	fnp_map_remove(&probes->plans, key);
	if (plan)
		fnp_probe_plan_deinit(plan);
	free(plan);
	return true;
}

/* ---- hits ---------------------------------------------------------------------------------------------------- */

/* Where the JVM tells why it collects is known once it runs; then the kernel side is told to look there. */
static void find_cause(struct fnp_probes *probes, struct fnp_probe_plan *plan,
		       const struct fnp_probe_record *record, uint64_t bias)
{
	struct fnp_hotspot_place place = {.pid = (pid_t)record->head.pid, .bias = bias, .object = plan->object};
	uint64_t heap;
	uint32_t offset;
	int r = fnp_hotspot_cause_place(&place, plan->version, &heap, &offset);

	plan->peeked = r == 0 || r == -ENOENT || ++plan->peek_attempts >= PEEK_ATTEMPTS;
	if (r < 0)
		return;
	for (uint32_t number = 0; number < FNP_PROBE_SPECS_MAX; number++) {
		struct sitting *one = &probes->sitting[number];
		struct fnp_planned_probe *probe = one->plan == plan ? &plan->probes.items[one->probe] : NULL;

		if (!probe || !probe->meaning->peeks_cause)
			continue;
		probe->spec.peek = heap;
		probe->spec.peek_offset = offset;
		fnp_usdt_change(probes->options.usdt, number, &probe->spec);
	}
}

void fnp_probes_take(struct fnp_probes *probes, const struct fnp_probe_record *record)
{
	struct sitting *one = record->spec < FNP_PROBE_SPECS_MAX ? &probes->sitting[record->spec] : NULL;
	const struct fnp_planned_probe *probe;
	struct fnp_spans_hit hit;

	if (record->spec == FNP_PROBE_WRITTEN) {
		hit = (struct fnp_spans_hit){.meaning = &fnp_probe_written, .how = FNP_EVENT_WRITE};
		fnp_spans_take(probes->spans, &hit, record);
	}
	if (!one || !one->plan || one->away)
		return;
	probe = &one->plan->probes.items[one->probe];
	if (one->plan->peeks && !one->plan->peeked)
		find_cause(probes, one->plan, record, record->ip - probe->spec.address);
	hit = (struct fnp_spans_hit){.meaning = probe->meaning,
				     .provider = probe->provider,
				     .name = probe->name,
				     .how = probe->provider ? FNP_EVENT_USDT : FNP_EVENT_UPROBE,
				     .version = one->plan->version,
				     .minor = one->plan->minor};
	fnp_spans_take(probes->spans, &hit, record);
}

void fnp_probes_end_process(struct fnp_probes *probes, uint32_t pid, uint64_t process, uint64_t time_ns)
{
	fnp_spans_end_process(probes->spans, pid, process, time_ns);
}

struct fnp_probes_late fnp_probes_late(const struct fnp_probes *probes)
{
	return probes->late;
}

/* ---- once a second ------------------------------------------------------------------------------------------- */

static void say_busy(const struct sitting *one, uint64_t a_second)
{
	const struct fnp_planned_probe *probe = &one->plan->probes.items[one->probe];
	const char *file = fnp_object_base_name(one->plan->object);
	char text[256];

	if (probe->provider)
		fnp_warning("the probe %s of %s was hit %lu times a second: '%s' is not told any more; "
			    "--usdt '%s' keeps it, at 1 us a hit",
			    label(probe, text), file, a_second, probe->meaning->what, text);
	else
		fnp_warning(
			"'%s' came %lu times a second from %s, which has no USDT probes: it is not told any "
			"more; --usdt '%s:%s' keeps it, at up to 17 us each",
			probe->meaning->what, a_second, file, one->plan->runtime, probe->meaning->what);
}

/* With all that was attached with it. Records of them may be on the way, and what is open has no end any more. */
static void retire(struct fnp_probes *probes, uint32_t number)
{
	const struct sitting *one = &probes->sitting[number];
	unsigned int group = group_of(&one->plan->probes.items[one->probe]);

	for (uint32_t i = 0; i < FNP_PROBE_SPECS_MAX; i++) {
		struct sitting *other = &probes->sitting[i];
		const struct fnp_planned_probe *probe;

		if (other->plan != one->plan)
			continue;
		probe = &other->plan->probes.items[other->probe];
		if (group_of(probe) != group)
			continue;
		other->away = true;
		if (probe->meaning->role == FNP_PROBE_BEGIN)
			fnp_spans_forget(probes->spans, probe->meaning->pair);
		fnp_usdt_detach(probes->options.usdt, i);
	}
}

/* One that is on by itself must not cost anything. */
static void tend_one(struct fnp_probes *probes, uint32_t number, uint64_t passed_ns)
{
	struct sitting *one = &probes->sitting[number];
	const struct fnp_planned_probe *probe = &one->plan->probes.items[one->probe];
	uint64_t hits = fnp_usdt_hits(probes->options.usdt, number);
	uint64_t a_second = (hits - one->hits) * FNP_NS_PER_S / passed_ns;
	bool stepped = probe->instruction == FNP_USDT_STEPPED;

	one->hits = hits;
	one->busy = a_second > (stepped ? STEPS_A_SECOND_MAX : HITS_A_SECOND_MAX) ? one->busy + 1 : 0;
	if (probe->asked >= 0 || one->away || one->busy < (stepped ? 1 : BUSY_SECONDS))
		return;
	say_busy(one, a_second);
	/* Its plan stays, and the number is given to nobody else. */
	retire(probes, number);
}

void fnp_probes_tend(struct fnp_probes *probes, uint64_t now_ns)
{
	uint64_t passed_ns = now_ns - probes->tended_ns;

	if (!probes->options.usdt || passed_ns < FNP_NS_PER_S)
		return;
	for (uint32_t i = 0; i < FNP_PROBE_SPECS_MAX && probes->tended_ns; i++) {
		if (probes->sitting[i].plan)
			tend_one(probes, i, passed_ns);
	}
	probes->tended_ns = now_ns;
}

void fnp_probes_finish(struct fnp_probes *probes)
{
	if (probes->options.n_asked && probes->late.processes)
		fnp_warning(
			"%lu processes ran up to %lu ms before the probes of their files sat: what they hit "
			"until then is missing",
			probes->late.processes, probes->late.max_ns / 1000000);
	for (size_t i = 0; i < probes->options.n_asked; i++) {
		if (!probes->options.usdt)
			fnp_warning("the probe '%s' could not be put anywhere: this kernel refused what is "
				    "needed",
				    probes->options.asked[i]);
		else if (probes->met[i] == 0)
			fnp_warning("no file of a watched process has a probe '%s'; `fnprof inspect object "
				    "--usdt FILE` shows what a file has",
				    probes->options.asked[i]);
	}
}
