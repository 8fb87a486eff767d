/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a bundled or translated script was made of, by its source map: the last comment "//# sourceMappingURL=" has the map
 * itself (data:...;base64,) or says where it lies, beside the script and below the process's root.
 *
 * A function's name is read where it stands in the script: just before the function, where V8's own name is found again;
 * what the map has for exactly that place is the name. Where the map has none, nothing was renamed.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "symbolizer/source_map.h"
#include "symbolizer/v8.h"

#define PATH_BYTES_MAX 4096
#define BEFORE_MAX 96 /* characters before a function in which its name stands */

struct fnp_v8_source {
	struct fnp_source_map *map;
	char *folder; /* of the map: sources are counted from there; ends in a slash, or is empty */
	char *text;   /* of the script; what is no byte is 0xff */
	size_t length;
};

void fnp_v8_source_destroy(struct fnp_v8_source *source)
{
	if (!source)
		return;
	fnp_source_map_destroy(source->map);
	free(source->folder);
	free(source->text);
	free(source);
}
FNP_DEFINE_CLEANUP(source_destroyp, struct fnp_v8_source *, fnp_v8_source_destroy)

size_t fnp_v8_source_size(const struct fnp_v8_source *source)
{
	return source->length + fnp_source_map_size(source->map);
}

/* One byte for each character. */
static char *narrow(const uint8_t *bytes, size_t length, unsigned width)
{
	char *text = malloc(length + 1);

	for (size_t i = 0; text && i < length; i++)
		text[i] = (char)(width == 1 ? bytes[i] : bytes[2 * i + 1] ? 0xff : bytes[2 * i]);
	if (text)
		text[length] = '\0';
	return text;
}

/* The URL of the last comment that has one; its length, 0: there is none. */
static size_t find_url(const char *text, size_t length, const char **ret)
{
	static const char mark[] = "# sourceMappingURL=";
	const char *end = text + length, *at = text, *found = NULL;
	size_t n = 0;

	while ((at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1))) {
		if (at - text >= 2 && at[-2] == '/' && (at[-1] == '/' || at[-1] == '*'))
			found = at + sizeof(mark) - 1;
		at++;
	}
	while (found && found + n < end && (uint8_t)found[n] > ' ' && found[n] != '"' && found[n] != '\'')
		n++;
	*ret = found;
	return n;
}

/* The folder of a path, with its slash. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
}

/* The file of a script's name or of a URL; NULL: it is none of this host. */
static const char *path_of(const char *name)
{
	if (strncmp(name, "file://", 7) == 0)
		return name + 7;
	return strstr(name, "://") ? NULL : name;
}

/* Below the process's own root, where symbolic links lead nowhere else. */
static int read_below_root(pid_t pid, const char *path, struct fnp_buffer *ret)
{
	struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	char root_path[64];

	snprintf(root_path, sizeof(root_path), "/proc/%d/root", (int)pid);
	fnp_autoclose int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fnp_autoclose int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : fnp_file_read_fd(fd, FNP_SOURCE_MAP_MAX, ret);
}

static int read_beside(pid_t pid, const char *script, const char *url, size_t n, struct fnp_v8_source *source)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};
	fnp_autofree char *name = strndup(url, strcspn(url, "?#") < n ? strcspn(url, "?#") : n), *path = NULL;
	const char *file = name ? path_of(name) : NULL;
	int r;

	if (!name)
		return -ENOMEM;
	if (!file || !*script || n > PATH_BYTES_MAX)
		return -ENOENT;
	fnp_autofree char *folder = folder_of(script);
	if (!folder || asprintf(&path, "%s%s", *file == '/' ? "" : folder, file) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = *path == '/' ? read_below_root(pid, path, &bytes) : -ENOENT;
	r = r ?: fnp_source_map_parse(bytes.data, bytes.len, &source->map);
	if (r < 0)
		return r;
	source->folder = folder_of(path);
	return source->folder ? 0 : -ENOMEM;
}

static int read_inline(const char *script, const char *url, size_t n, struct fnp_v8_source *source)
{
	static const char mark[] = ";base64,";
	const char *at = memmem(url, FNP_MIN(n, 200u), mark, sizeof(mark) - 1);
	fnp_autofree uint8_t *bytes = NULL;
	size_t size;
	int r;

	if (!at)
		return -EBADMSG;
	at += sizeof(mark) - 1;
	r = fnp_source_map_base64(at, n - (size_t)(at - url), &bytes, &size);
	r = r ?: fnp_source_map_parse(bytes, size, &source->map);
	if (r < 0)
		return r;
	source->folder = folder_of(script);
	return source->folder ? 0 : -ENOMEM;
}

int fnp_v8_source_open(pid_t pid, const char *script, const struct fnp_v8_text *text, struct fnp_v8_source **ret)
{
	FNP_CLEANUP(source_destroyp) struct fnp_v8_source *source = calloc(1, sizeof(*source));
	const char *url, *file = path_of(script) ?: "";
	size_t n;
	int r;

	if (source)
		source->text = narrow(text->bytes, text->length, text->width);
	if (!source || !source->text)
		return -ENOMEM;
	source->length = text->length;
	n = find_url(source->text, source->length, &url);
	if (n == 0)
		return -ENOENT;
	r = n > 5 && strncmp(url, "data:", 5) == 0 ? read_inline(file, url, n, source)
						   : read_beside(pid, file, url, n, source);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(source);
	return 0;
}

/* Takes "./" and "name/../" out of a path, in place. */
static void straighten(char *path)
{
	char *to = path;

	for (const char *from = path; *from;) {
		size_t n = strcspn(from, "/");
		bool is_last = from[n] == '\0', is_up = n == 2 && memcmp(from, "..", 2) == 0;

		if (n == 1 && *from == '.') {
			from += n + !is_last;
			continue;
		}
		if (is_up && to - path >= 2) {
			char *back = to - 1;
			while (back > path && back[-1] != '/')
				back--;
			if (strncmp(back, "../", 3) != 0 && back < to - 1) {
				to = back;
				from += n + !is_last;
				continue;
			}
		}
		memmove(to, from, n + !is_last);
		to += n + !is_last;
		from += n + !is_last;
	}
	*to = '\0';
}

int fnp_v8_source_place(const struct fnp_v8_source *source, uint32_t line, uint32_t column, char **ret_file,
			uint32_t *ret_line)
{
	struct fnp_source_place place;
	char *file;
	int r = fnp_source_map_find(source->map, line, column, &place);

	if (r < 0)
		return r;
	const char *path = path_of(place.file);
	if (path && *path != '/') {
		if (asprintf(&file, "%s%s", source->folder, path) < 0)
			return -ENOMEM;
		straighten(file);
	} else {
		file = strdup(path ?: place.file);
	}
	if (!file)
		return -ENOMEM;
	*ret_file = file;
	*ret_line = place.line;
	return 0;
}

static bool is_word(char c)
{
	return c == '$' || c == '_' || (uint8_t)c >= 0x80 || (c >= '0' && c <= '9') ||
	       (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* May this stand between a function's name and the function itself? */
static bool is_between(const char *text, size_t n)
{
	static const char *const words[] = {"function", "async"};

	for (size_t i = 0; i < n;) {
		size_t len = 0;

		while (i + len < n && is_word(text[i + len]))
			len++;
		if (len == 0 && !strchr(" \t\n=:*(", text[i]))
			return false;
		if (len && !(len == strlen(words[0]) && memcmp(text + i, words[0], len) == 0) &&
		    !(len == strlen(words[1]) && memcmp(text + i, words[1], len) == 0))
			return false;
		i += len ?: 1;
	}
	return true;
}

const char *fnp_v8_source_name(const struct fnp_v8_source *source, const struct fnp_v8_start *start,
			       const char *name)
{
	const char *own = strrchr(name, '.') ? strrchr(name, '.') + 1 : name;
	size_t len = strlen(own), at = start->position;
	struct fnp_source_place place;

	if (!len || at > source->length)
		return NULL;
	for (size_t back = len; back <= FNP_MIN(at, (size_t)BEFORE_MAX) && back <= start->column; back++) {
		const char *text = source->text + at - back;
		uint32_t column = start->column - (uint32_t)back;

		if (memcmp(text, own, len) != 0 || is_word(text[len]) || (at > back && is_word(text[-1])))
			continue;
		if (!is_between(text + len, back - len) ||
		    fnp_source_map_find(source->map, start->line, column, &place) < 0 || place.column != column)
			return NULL;
		return place.name;
	}
	return NULL;
}
