/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/session.h"

#include <errno.h>

#include "base/log.h"

int fnp_session_run(const struct fnp_session_options *options, int *ret_exit_status)
{
	(void)options;
	(void)ret_exit_status;
	return fnp_error(-ENOSYS, "this build cannot record yet");
}
