/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client is prepared in a folder of its own, `<cache>/fnprof/demo/<function>`, by the ordinary package client of its
 * language. The work is done under the final name, because installers write their own path into files; a file `ready`
 * at the end says that all went well, and a folder without it is begun anew.
 */
#include "profiler/demo/functions.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/log.h"

extern const char fnp_demo_python_source[], fnp_demo_node_source[], fnp_demo_java_source[], fnp_demo_java_pom[];

const struct fnp_demo_function fnp_demo_functions[] = {
	{
		.name = "orders-python",
		.runtime = "Python",
		.programs = "python3",
		.file = "handler.py",
		.source = fnp_demo_python_source,
		.said = "a virtual environment with awslambdaric from PyPI",
		.quick = true,
		.prepare = "python3 -m venv . && ./bin/python3 -m pip install --disable-pip-version-check "
			   "awslambdaric==4.2.2",
		.start = "exec \"$CLIENT/bin/python3\" -m awslambdaric handler.handler",
	},
	{
		.name = "orders-node",
		.runtime = "Node.js",
		.programs = "node npm cmake g++ make autoconf automake libtool",
		.file = "handler.js",
		.source = fnp_demo_node_source,
		.said = "aws-lambda-ric from npm, which is compiled here (some minutes; it wants cmake, g++, "
			"make, autoconf, "
			"automake and libtool)",
		.prepare = "echo '{}' > package.json && npm install aws-lambda-ric",
		.start = "exec node \"$CLIENT/node_modules/.bin/aws-lambda-ric\" handler.handler",
	},
	{
		.name = "orders-java",
		.runtime = "Java",
		.programs = "java javac mvn",
		.file = "Handler.java",
		.source = fnp_demo_java_source,
		.said = "aws-lambda-java-runtime-interface-client from Maven Central",
		.quick = true,
		.prepare = "mvn -q -B dependency:copy-dependencies -DoutputDirectory=\"$PWD/lib\"",
		.client_file = "pom.xml",
		.client_source = fnp_demo_java_pom,
		.build = "mkdir classes && javac -cp \"$CLIENT/lib/*\" -d classes Handler.java",
		.start = "exec java -cp \"$CLIENT/lib/*:classes\" "
			 "com.amazonaws.services.lambda.runtime.api.client.AWSLambda fnprof.example.Handler",
	},
};
const size_t fnp_n_demo_functions = FNP_ARRAY_SIZE(fnp_demo_functions);

static bool is_in_path(const char *program, size_t len)
{
	const char *path = getenv("PATH");
	char candidate[4096];

	for (const char *p = path; p && *p; p += strcspn(p, ":"), p += *p == ':') {
		snprintf(candidate, sizeof(candidate), "%.*s/%.*s", (int)strcspn(p, ":"), p, (int)len, program);
		if (access(candidate, X_OK) == 0)
			return true;
	}
	return false;
}

bool fnp_demo_function_is_here(const struct fnp_demo_function *function)
{
	for (const char *p = function->programs; *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		if (!is_in_path(p, len))
			return false;
		p += len;
	}
	return true;
}

/* "<cache>/fnprof/demo/<name>", its parents made. */
static int client_folder(const struct fnp_demo_function *function, char **ret)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	fnp_autofree char *path = NULL;
	int n;

	if (cache && cache[0] == '/')
		n = asprintf(&path, "%s/fnprof/demo/%s", cache, function->name);
	else if (home && home[0] == '/')
		n = asprintf(&path, "%s/.cache/fnprof/demo/%s", home, function->name);
	else
		return fnp_error(-ENOENT,
				 "neither HOME nor XDG_CACHE_HOME says where to prepare the runtime client");
	if (n < 0) {
		path = NULL;
		return -ENOMEM;
	}
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		int r = fnp_file_mkdir_at(AT_FDCWD, path);
		*p = '/';
		if (r < 0)
			return fnp_error(r, "cannot make the cache folder for \"%s\": %s", path, strerror(-r));
	}
	*ret = TAKE_PTR(path);
	return 0;
}

/* Runs a script for /bin/sh in a folder, its output in `log`; its exit status. */
static int run_script(const char *folder, const char *script, const char *log)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -1;
	if (child == 0) {
		int out = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0644), in = open("/dev/null", O_RDONLY);
		if (out < 0 || in < 0 || chdir(folder) < 0)
			_exit(126);
		dup2(in, STDIN_FILENO);
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
		execl("/bin/sh", "sh", "-c", script, (char *)NULL);
		_exit(127);
	}
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A new, empty folder for the client, whatever was there before. */
static int renew_folder(const char *folder, const char *log)
{
	int fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : 0;

	if (r < 0)
		return fnp_error(r, "cannot write \"%s\": %s", log, strerror(-r));
	close(fd);
	setenv("CLIENT", folder, 1);
	if (run_script("/", "rm -rf -- \"$CLIENT\" && mkdir -- \"$CLIENT\"", log) != 0)
		return fnp_error(-EIO, "cannot make \"%s\"; see \"%s\"", folder, log);
	return 0;
}

static int write_source(const char *folder, const char *name, const char *text)
{
	fnp_autofree char *path = NULL;
	int r;

	if (asprintf(&path, "%s/%s", folder, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = fnp_file_write_at(AT_FDCWD, path, text, strlen(text));
	return r < 0 ? fnp_error(r, "cannot write \"%s\": %s", path, strerror(-r)) : 0;
}

static int prepare_in(const struct fnp_demo_function *function, const char *folder)
{
	fnp_autofree char *log = NULL;
	int r;

	if (asprintf(&log, "%s.log", folder) < 0) {
		log = NULL;
		return -ENOMEM;
	}
	fnp_info("preparing the %s client once, in \"%s\": %s", function->runtime, folder, function->said);
	r = renew_folder(folder, log);
	if (r == 0 && function->client_file)
		r = write_source(folder, function->client_file, function->client_source);
	if (r < 0)
		return r;
	if (run_script(folder, function->prepare, log) != 0)
		return fnp_error(-EIO, "the %s client could not be prepared; what was tried stands in \"%s\"",
				 function->runtime, log);
	return write_source(folder, "ready", "");
}

int fnp_demo_function_build(const struct fnp_demo_function *function, const char *client, const char *folder)
{
	fnp_autofree char *log = NULL;
	int r = write_source(folder, function->file, function->source);

	if (r < 0 || !function->build)
		return r;
	if (asprintf(&log, "%s/build.log", folder) < 0) {
		log = NULL;
		return -ENOMEM;
	}
	setenv("CLIENT", client, 1);
	if (run_script(folder, function->build, log) != 0)
		return fnp_error(-EIO, "the %s function could not be built; see \"%s\"", function->runtime,
				 log);
	return 0;
}

int fnp_demo_function_prepare(const struct fnp_demo_function *function, bool may_prepare, char **ret)
{
	fnp_autofree char *folder = NULL, *ready = NULL;
	int r;

	if (!fnp_demo_function_is_here(function))
		return -ENOENT;
	r = client_folder(function, &folder);
	if (r < 0)
		return r;
	if (asprintf(&ready, "%s/ready", folder) < 0) {
		ready = NULL;
		return -ENOMEM;
	}
	if (access(ready, F_OK) < 0) {
		if (!may_prepare)
			return -ENOENT;
		r = prepare_in(function, folder);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(folder);
	return 0;
}
