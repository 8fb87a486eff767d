/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that have no safe use here do not compile. Included before everything else by the build.
 */
#ifndef FNP_BASE_BANNED_H
#define FNP_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol atoll mktemp tmpnam

#endif
