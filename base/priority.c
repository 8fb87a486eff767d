/* SPDX-License-Identifier: Apache-2.0 */
#include "base/priority.h"

#include <sys/resource.h>

#define RAISED (-10)

void fnp_priority_raise(void)
{
	if (getpriority(PRIO_PROCESS, 0) == 0)
		(void)setpriority(PRIO_PROCESS, 0, RAISED);
}

void fnp_priority_normal(void)
{
	if (getpriority(PRIO_PROCESS, 0) < 0)
		(void)setpriority(PRIO_PROCESS, 0, 0);
}
