/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/page/event_lines.h"

#include <stdbool.h>
#include <sys/stat.h>

#include "base/file.h"
#include "profiler/output/page/recording.h"

/* Two texts of a kilobyte, each byte escaped, and the rest. */
#define LINE_MAX_BYTES (16u << 10)

static uint64_t number(const json_t *line, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(line, key));

	return n > 0 ? (uint64_t)n : 0;
}

static const char *text(const json_t *line, const char *key)
{
	const char *value = json_string_value(json_object_get(line, key));

	return value && *value ? value : NULL;
}

static bool parse(const json_t *line, struct fnp_event_line *ret)
{
	*ret = (struct fnp_event_line){
		.t_ns = number(line, "t_ns"),
		.duration_ns = number(line, "duration_ns"),
		.tid = (uint32_t)number(line, "tid"),
		.what = text(line, "what"),
		.name = text(line, "name"),
		.cause = text(line, "cause"),
		.how = text(line, "how"),
	};
	return ret->what && json_is_integer(json_object_get(line, "t_ns"));
}

/* Without newline a line is too long, or still being written. Passes over what is left of it. */
static bool whole_line(char *line, FILE *file, size_t *ret_len)
{
	*ret_len = strlen(line);
	if (*ret_len > 0 && line[*ret_len - 1] == '\n')
		return true;
	for (int c = 0; c != EOF && c != '\n';)
		c = getc_unlocked(file);
	return false;
}

static int read_lines(FILE *file, int (*take)(void *context, const struct fnp_event_line *event),
		      void *context, uint64_t *unreadable)
{
	fnp_autofree char *line = malloc(LINE_MAX_BYTES);
	int r = 0;

	if (!line)
		return -ENOMEM;
	while (r == 0 && fgets(line, LINE_MAX_BYTES, file)) {
		struct fnp_event_line event;
		size_t len;
		json_auto_t *object = whole_line(line, file, &len) ? json_loadb(line, len, 0, NULL) : NULL;

		if (parse(object, &event))
			r = take(context, &event);
		else
			++*unreadable;
	}
	return r == 0 && ferror(file) ? -EIO : r;
}

int fnp_event_lines_read(int dirfd, const char *path,
			 int (*take)(void *context, const struct fnp_event_line *event), void *context,
			 uint64_t *ret_unreadable)
{
	fnp_autofclose FILE *file = NULL;
	uint64_t unreadable = 0;
	struct stat st;
	int fd, r = fnp_page_open_below(dirfd, path, &fd);

	if (r < 0)
		return r;
	file = fdopen(fd, "r");
	if (!file) {
		r = -errno;
		close(fd);
		return r;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EBADMSG;
	r = read_lines(file, take, context, &unreadable);
	if (ret_unreadable)
		*ret_unreadable = unreadable;
	return r;
}
