/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording from its first to its last moment: what is loaded, attached, started, polled and closed, and in which
 * order.
 */
#ifndef FNP_PROFILER_SESSION_H
#define FNP_PROFILER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profiler/rate.h"

#define FNP_SESSION_RATE_HZ_DEFAULT 99
#define FNP_SESSION_RATE_HZ_MAX FNP_RATE_HZ_MAX

/* With neither pids nor command: every function of the host. Never both. */
struct fnp_session_options {
	const char *dir; /* NULL: a name made of the time */
	uint32_t rate_hz;
	const uint32_t *pids; /* each once */
	size_t n_pids;
	uint64_t duration_ns;	   /* 0: until something else ends it */
	const char *const *probes; /* "provider:probe" */
	size_t n_probes;
	bool debuginfod;      /* debug data is asked for at its servers */
	char *const *command; /* ended by NULL; NULL without a command */
	bool source_maps;     /* JavaScript by the names and lines of what it was made of */
	bool always_summary;  /* say the closing summary also where there is no terminal */
};

/*
 * Records. 0, and then `ret_exit_status` is what the program exits with (the command's status, 128 + its signal, 0
 * when something of ours ended it, 125 to 127 when something failed while the command ran on); -errno when nothing
 * was recorded. Whatever failed has been said.
 */
int fnp_session_run(const struct fnp_session_options *options, int *ret_exit_status);

#endif
