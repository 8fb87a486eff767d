/* SPDX-License-Identifier: Apache-2.0 */
/* A recording in a folder of its own, made of lines and profiles; removed after each test. */
#ifndef FNP_TESTS_PAGE_FOLDER_H
#define FNP_TESTS_PAGE_FOLDER_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"

static char folder_path[64];
static int folder_fd = -1;

static inline int folder_set_up(void **state)
{
	(void)state;
	snprintf(folder_path, sizeof(folder_path), "/tmp/fnprof-test-XXXXXX");
	if (!mkdtemp(folder_path))
		return -1;
	folder_fd = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder_fd < 0 ? -1 : fnp_file_mkdir_at(folder_fd, "profiles");
}

static inline int folder_tear_down(void **state)
{
	char command[96];

	(void)state;
	fnp_closep(&folder_fd);
	snprintf(command, sizeof(command), "rm -rf -- '%s'", folder_path);
	return system(command);
}

static inline void folder_write(const char *name, const void *data, size_t len)
{
	assert_int_equal(fnp_file_write_at(folder_fd, name, data, len), 0);
}

static inline void folder_text(const char *name, const char *text)
{
	folder_write(name, text, strlen(text));
}

#endif
