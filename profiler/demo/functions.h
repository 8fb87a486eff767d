/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo's functions, one a runtime: how its client is prepared and started. A runtime is one row of the table in
 * functions.c.
 */
#ifndef FNP_PROFILER_DEMO_FUNCTIONS_H
#define FNP_PROFILER_DEMO_FUNCTIONS_H

#include <stdbool.h>

#include "base/memory.h"

struct fnp_demo_function {
	const char *name;     /* "orders-python" */
	const char *runtime;  /* for people: "Python" */
	const char *programs; /* that must be in PATH, with spaces between */
	const char *file;     /* of the function's source below its folder */
	const char *source;   /* its text */
	const char *said;     /* what preparing does, for people */
	bool quick;	      /* prepared without asking; the others with --all */
	/* For /bin/sh, in the folder of the client, which is new but for `client_file`: makes it. */
	const char *prepare;
	const char *client_file, *client_source; /* NULL: none */
	/* Likewise, in the folder of the function, with CLIENT the client's folder: gets it ready; NULL: nothing to do. */
	const char *build;
	/* Likewise: becomes the function. */
	const char *start;
};

extern const struct fnp_demo_function fnp_demo_functions[];
extern const size_t fnp_n_demo_functions;

/*
 * The folder of the function's client, malloc'ed: below the user's cache directory, prepared now when it is not there
 * yet and `may_prepare`. -ENOENT: its runtime is not there, or it is not prepared; other errors have been said.
 */
int fnp_demo_function_prepare(const struct fnp_demo_function *function, bool may_prepare, char **ret);

/* Writes the function's source into `folder`, which exists, and builds it. What goes wrong has been said. */
int fnp_demo_function_build(const struct fnp_demo_function *function, const char *client, const char *folder);

/* True when its programs are in PATH. */
bool fnp_demo_function_is_here(const struct fnp_demo_function *function);

#endif
