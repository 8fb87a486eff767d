/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `demo`: real functions under their real runtime clients, invoked and recorded for some seconds.
 *
 * Three parties. The stage, a process forked before recording begins, serves the Runtime API and sends the
 * invocations. The functions run below a small shell script that is what is recorded (as `record -- CMD` would); its
 * standard input is a pipe from the stage, and its end means that all is done. This process records, and cleans up.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/vec.h"
#include "profiler/commands/options.h"
#include "profiler/demo/functions.h"
#include "profiler/demo/stage.h"
#include "profiler/features.h"
#include "profiler/output/directory.h"
#include "profiler/session.h"

extern const struct fnp_command_ops fnp_command_demo;

#define ACTORS_MAX FNP_STAGE_MAX
#define WORDS_EACH 5 /* of the script, for each function */
#define FIRST_WORD 4 /* sh -c SCRIPT sh */
#define FUNCTION_VERSION "1"

/* Words: folder, server, name, client, what becomes the function. One exec for each, so that its init is its own. */
static const char script[] =
	"pids=\n"
	"while [ $# -ge 5 ]; do\n"
	"	(\n"
	"		cd \"$1\" || exit\n"
	"		export AWS_LAMBDA_RUNTIME_API=\"$2\" AWS_LAMBDA_FUNCTION_NAME=\"$3\"\n"
	"		export AWS_LAMBDA_FUNCTION_VERSION=" FUNCTION_VERSION " LAMBDA_TASK_ROOT=\"$1\"\n"
	"		export AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512 AWS_REGION=eu-central-1 CLIENT=\"$4\"\n"
	"		export _HANDLER=handler.handler PYTHONDONTWRITEBYTECODE=1\n"
	"		eval \"$5\"\n"
	"	) </dev/null >\"$1/output.log\" 2>&1 &\n"
	"	pids=\"$pids $!\"\n"
	"	shift 5\n"
	"done\n"
	"read -r over\n"
	"kill $pids\n"
	"wait\n"
	"exit 0\n";

/* One function of this run. */
struct actor {
	const struct fnp_demo_function *function;
	char *client, *folder; /* owned */
};

struct play {
	char folder[64]; /* everything of this run, removed at its end; "" before there is one */
	struct actor actors[ACTORS_MAX];
	size_t n;
	struct fnp_stage *stage;
	struct fnp_stage_state *states; /* one an actor, shared with the stage's process */
	pid_t stage_pid;		/* 0: none */
	bool keep;			/* the folder: it holds what went wrong */
};

static void remove_folder(const char *path)
{
	pid_t child = fork();

	if (child == 0) {
		execl("/bin/rm", "rm", "-rf", "--", path, (char *)NULL);
		_exit(127);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void play_deinit(struct play *play)
{
	if (play->stage_pid > 0) {
		kill(play->stage_pid, SIGKILL);
		waitpid(play->stage_pid, NULL, 0);
	}
	fnp_stage_destroy(play->stage);
	for (size_t i = 0; i < play->n; i++) {
		free(play->actors[i].client);
		free(play->actors[i].folder);
	}
	if (play->states)
		munmap(play->states, ACTORS_MAX * sizeof(*play->states));
	if (*play->folder && !play->keep)
		remove_folder(play->folder);
}

/* ---- before ------------------------------------------------------------------------------------------------- */

/* Adds the functions whose clients are there, or may be prepared. Only the first one's absence is a failure. */
static int choose_actors(struct play *play, bool all)
{
	for (size_t i = 0; i < fnp_n_demo_functions && play->n < ACTORS_MAX; i++) {
		const struct fnp_demo_function *function = &fnp_demo_functions[i];
		int r = fnp_demo_function_prepare(function, function->quick || all,
						  &play->actors[play->n].client);

		if (r == 0)
			play->actors[play->n++].function = function;
		else if (r == -ENOENT && i == 0)
			return fnp_error(r, "the demo needs %s (%s)", function->runtime, function->programs);
		else if (r < 0 && r != -ENOENT && i == 0)
			return r;
		else if (r == -ENOENT && fnp_demo_function_is_here(function))
			fnp_info("%s is here, too: `fnprof demo --all` prepares its client (%s) and shows it "
				 "beside",
				 function->runtime, function->said);
	}
	return 0;
}

static int make_folder(const struct play *play, struct actor *actor)
{
	int r;

	if (asprintf(&actor->folder, "%s/%s", play->folder, actor->function->name) < 0) {
		actor->folder = NULL;
		return -ENOMEM;
	}
	r = fnp_file_mkdir_at(AT_FDCWD, actor->folder);
	if (r < 0)
		return fnp_error(r, "cannot make \"%s\": %s", actor->folder, strerror(-r));
	return fnp_demo_function_build(actor->function, actor->client, actor->folder);
}

/* A function that cannot be built plays no part; the first one must. */
static int make_folders(struct play *play)
{
	size_t kept = 0;

	snprintf(play->folder, sizeof(play->folder), "/tmp/fnprof-demo-XXXXXX");
	if (!mkdtemp(play->folder)) {
		int r = -errno;
		play->folder[0] = '\0';
		return fnp_error(r, "cannot make a folder in /tmp: %s", strerror(-r));
	}
	for (size_t i = 0; i < play->n; i++) {
		int r = make_folder(play, &play->actors[i]);
		if (r == 0) {
			play->actors[kept++] = play->actors[i];
			continue;
		}
		play->keep = true;
		if (i == 0)
			return r;
		fnp_freep(&play->actors[i].client);
		fnp_freep(&play->actors[i].folder);
	}
	play->n = kept;
	return 0;
}

static int build_stage(struct play *play)
{
	const char *names[ACTORS_MAX];
	int r;

	for (size_t i = 0; i < play->n; i++)
		names[i] = play->actors[i].function->name;
	r = fnp_stage_create(names, play->n, &play->stage);
	return r < 0 ? fnp_error(r, "cannot listen on 127.0.0.1: %s", strerror(-r)) : 0;
}

/* ---- the stage's process -------------------------------------------------------------------------------------- */

/* Serves until all is done, closes the pipe, and then stays: a client that waits for work is not to see us go. */
static void stage(struct play *play, uint64_t duration_ns, int done_fd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fnp_stage_run(play->stage, duration_ns, play->states) < 0)
		_exit(1);
	close(done_fd);
	for (;;)
		pause();
}

/* Forks the stage; the pipe's other end becomes our standard input, and so the script's. */
static int open_stage(struct play *play, uint64_t duration_ns)
{
	int ends[2];

	play->states = mmap(NULL, ACTORS_MAX * sizeof(*play->states), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (play->states == MAP_FAILED) {
		play->states = NULL;
		return fnp_error(-ENOMEM, "out of memory");
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fnp_error(-errno, "cannot make a pipe");
	fnp_autoclose int read_end = ends[0];
	fnp_autoclose int write_end = ends[1];

	fflush(stdout);
	play->stage_pid = fork();
	if (play->stage_pid < 0) {
		play->stage_pid = 0;
		return fnp_error(-EAGAIN, "cannot start a process");
	}
	if (play->stage_pid == 0)
		stage(play, duration_ns, write_end);
	return dup2(read_end, STDIN_FILENO) < 0 ? -errno : 0;
}

/* ---- recording ---------------------------------------------------------------------------------------------- */

static int record(struct play *play, struct fnp_session_options *options)
{
	const char *words[FIRST_WORD + ACTORS_MAX * WORDS_EACH + 1] = {"/bin/sh", "-c", script, "functions"};
	size_t n = FIRST_WORD;
	int status = 0;

	for (size_t i = 0; i < play->n; i++) {
		const struct actor *actor = &play->actors[i];
		words[n++] = actor->folder;
		words[n++] = fnp_stage_address(play->stage, i);
		words[n++] = actor->function->name;
		words[n++] = actor->client;
		words[n++] = actor->function->start;
	}
	words[n] = NULL;
	options->command = (char *const *)words;
	int r = fnp_session_run(options, &status);
	return r < 0 ? r : status;
}

/* Says which functions did nothing, and where their own words are. */
static int check_actors(struct play *play)
{
	int r = 0;

	for (size_t i = 0; i < play->n; i++) {
		const struct actor *actor = &play->actors[i];
		if (play->states[i].answered > 0)
			continue;
		play->keep = true;
		r = fnp_error(-EIO, "the %s function %s; what it said stands in \"%s/output.log\"",
			      actor->function->runtime,
			      play->states[i].asked ? "answered nothing" : "never asked for work",
			      actor->folder);
	}
	return r;
}

static int perform(const struct fnp_session_options *request, uint64_t duration_ns, bool all)
{
	FNP_CLEANUP(play_deinit) struct play play = {0};
	struct fnp_session_options options = *request;
	int r = choose_actors(&play, all);

	r = r ?: make_folders(&play);
	r = r ?: build_stage(&play);
	r = r ?: open_stage(&play, duration_ns);
	if (r < 0)
		return FNP_EXIT_FAILED;
	fnp_info("recording %zu real function%s for %llu s", play.n, play.n == 1 ? "" : "s",
		 (unsigned long long)(duration_ns / FNP_NS_PER_S));
	r = record(&play, &options);
	if (r == 0)
		r = check_actors(&play);
	return r == 0 ? FNP_EXIT_OK : FNP_EXIT_FAILED;
}

static int run(int argc, char **argv)
{
	struct fnp_session_options session = {.always_summary = true};
	uint64_t duration_s = 10, rate_hz = 997;
	bool all = false;
	const struct fnp_option table[] = {
		{'o', "output", "DIR", "where to write; new or empty (default fnprof-<UTC time>)",
		 FNP_OPTION_TEXT, &session.dir},
		{'d', "duration", "SECONDS", "how long to invoke the functions (default 10)",
		 FNP_OPTION_NUMBER, &duration_s, 1, 3600},
		{'F', "rate", "HZ", "samples a second and CPU, 1 to 10000 (default 997)", FNP_OPTION_NUMBER,
		 &rate_hz, 1, FNP_SESSION_RATE_HZ_MAX},
		{0, "all", NULL, "prepare the clients of all runtimes that are here", FNP_OPTION_FLAG, &all},
	};
	const struct fnp_options options = {
		.command = &fnp_command_demo, .table = table, .n = FNP_ARRAY_SIZE(table)};
	struct fnp_arguments words;
	int status = fnp_options_parse(&options, argc, argv, &words);

	if (status != FNP_OPTIONS_GO_ON)
		return status;
	if (fnp_directory_check(session.dir) < 0 || fnp_features_check() < 0)
		return FNP_EXIT_FAILED;
	session.rate_hz = (uint32_t)rate_hz;
	return perform(&session, duration_s * FNP_NS_PER_S, all);
}

const struct fnp_command_ops fnp_command_demo = {
	.name = "demo",
	.synopsis = "fnprof demo [-o DIR] [-d SECONDS] [-F HZ] [--all]",
	.description = "a real function runtime, invoked for a few seconds, and where to look",
	.details = "Runs a Python function under AWS Lambda's own runtime interface client, with a small "
		   "Runtime API\n"
		   "server, and records it: fast and slow invocations, errors, threads, work after the "
		   "answer, a cold\n"
		   "start. Node.js and Java functions join when their clients are prepared. Clients are "
		   "prepared once,\n"
		   "below the user's cache directory.",
	.run = run,
};
