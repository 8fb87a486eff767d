/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A debug file that belongs to another build gives wrong names, so none is taken on its name alone. Paths inside
 * an object are what its builder wrote: they only ever choose which file of ours is opened and checked.
 */
#include "symbolizer/debug_file.h"

#include <limits.h>

#include <libdeflate.h>

#include "base/vec.h"

static int open_with_build_id(const char *path, const char *build_id, struct fnp_object **ret)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	int r = fnp_object_open_path(path, &object);

	if (r < 0)
		return r;
	if (strcmp(fnp_object_build_id(object), build_id) != 0)
		return -ENOENT;
	*ret = TAKE_PTR(object);
	return 0;
}

static int find_by_build_id(const char *build_id, struct fnp_debug_roots roots, struct fnp_object **ret)
{
	char path[PATH_MAX];

	if (strlen(build_id) < 4)
		return -ENOENT;
	for (size_t i = 0; i < roots.n; i++) {
		int n = snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", roots.paths[i], build_id,
				 build_id + 2);
		if (n > 0 && (size_t)n < sizeof(path) && open_with_build_id(path, build_id, ret) == 0)
			return 0;
	}
	return -ENOENT;
}

static int find_fetched(const char *build_id, struct fnp_debug_roots roots, struct fnp_object **ret)
{
	char path[PATH_MAX];
	int n;

	if (!roots.debuginfod || !build_id[0])
		return -ENOENT;
	n = snprintf(path, sizeof(path), "%s/%s/debuginfo", roots.debuginfod, build_id);
	return n > 0 && (size_t)n < sizeof(path) && open_with_build_id(path, build_id, ret) == 0 ? 0 : -ENOENT;
}

struct link {
	const char *name;
	uint32_t crc;
};

/* .gnu_debuglink: a file name, a NUL, padding to 4 bytes, the CRC-32 of the whole file. */
static int read_debuglink(const struct fnp_object *object, struct link *ret)
{
	struct fnp_section section;

	if (fnp_object_find_section(object, ".gnu_debuglink", &section) < 0 || !section.data)
		return -ENOENT;
	struct fnp_cursor c = fnp_cursor_of(section.data, section.size);
	struct link link;
	if (fnp_cursor_string(&c, &link.name) < 0 || fnp_cursor_skip(&c, -fnp_cursor_offset(&c) & 3) < 0 ||
	    fnp_cursor_u32(&c, &link.crc) < 0)
		return -EBADMSG;
	/* A name with a folder in it is not what the format means. */
	if (link.name[0] == '\0' || strchr(link.name, '/'))
		return -EBADMSG;
	*ret = link;
	return 0;
}

static bool belongs(const struct fnp_object *object, const struct fnp_object *debug, uint32_t crc)
{
	const char *ours = fnp_object_build_id(object), *theirs = fnp_object_build_id(debug);
	struct fnp_cursor bytes = fnp_object_bytes(debug);

	if (ours[0] && theirs[0])
		return strcmp(ours, theirs) == 0;
	return libdeflate_crc32(0, bytes.pos, fnp_cursor_left(&bytes)) == crc;
}

static int try_link(const struct fnp_object *object, const struct link *link, const char *path,
		    struct fnp_object **ret)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *debug = NULL;
	int r = fnp_object_open_path(path, &debug);

	if (r < 0)
		return r;
	if (!belongs(object, debug, link->crc))
		return -ENOENT;
	*ret = TAKE_PTR(debug);
	return 0;
}

static int find_by_link(const struct fnp_object *object, struct fnp_debug_roots roots, struct fnp_object **ret)
{
	const char *name = fnp_object_name(object), *slash = strrchr(name, '/');
	int dir_len = slash ? (int)(slash - name) : 0;
	char path[PATH_MAX];
	struct link link;
	int r = read_debuglink(object, &link);

	if (r < 0 || !slash || slash - name > PATH_MAX)
		return -ENOENT;
	snprintf(path, sizeof(path), "%.*s/%s", dir_len, name, link.name);
	if (strcmp(path, name) != 0 && try_link(object, &link, path, ret) == 0)
		return 0;
	snprintf(path, sizeof(path), "%.*s/.debug/%s", dir_len, name, link.name);
	if (try_link(object, &link, path, ret) == 0)
		return 0;
	for (size_t i = 0; i < roots.n && name[0] == '/'; i++) {
		snprintf(path, sizeof(path), "%s%.*s/%s", roots.paths[i], dir_len, name, link.name);
		if (try_link(object, &link, path, ret) == 0)
			return 0;
	}
	return -ENOENT;
}

int fnp_debug_file_find(const struct fnp_object *object, struct fnp_debug_roots roots, struct fnp_object **ret)
{
	const char *build_id = fnp_object_build_id(object);

	if (find_by_build_id(build_id, roots, ret) == 0 || find_by_link(object, roots, ret) == 0)
		return 0;
	return find_fetched(build_id, roots, ret);
}

/* .gnu_debugaltlink: a path, a NUL, the build id as bytes. */
static int read_alt_link(const struct fnp_object *object, const char **ret_path,
			 char ret_build_id[static FNP_BUILD_ID_TEXT_MAX])
{
	struct fnp_section section;

	if (fnp_object_find_section(object, ".gnu_debugaltlink", &section) < 0 || !section.data)
		return -ENOENT;
	struct fnp_cursor c = fnp_cursor_of(section.data, section.size);
	if (fnp_cursor_string(&c, ret_path) < 0 || c.pos == c.end)
		return -ENOENT;
	for (size_t i = 0; c.pos < c.end && i + 2 < FNP_BUILD_ID_TEXT_MAX; i += 2)
		snprintf(ret_build_id + i, 3, "%02x", *c.pos++);
	return 0;
}

int fnp_debug_file_alt_build_id(const struct fnp_object *object, char ret[static FNP_BUILD_ID_TEXT_MAX])
{
	const char *path;

	return read_alt_link(object, &path, ret);
}

/* A relative path counts from the file that has it. */
int fnp_debug_file_find_alt(const struct fnp_object *object, struct fnp_debug_roots roots,
			    struct fnp_object **ret)
{
	const char *name = fnp_object_name(object), *slash = strrchr(name, '/'), *alt;
	char build_id[FNP_BUILD_ID_TEXT_MAX], path[PATH_MAX];

	if (read_alt_link(object, &alt, build_id) < 0)
		return -ENOENT;
	if (find_by_build_id(build_id, roots, ret) == 0)
		return 0;
	int n = alt[0] == '/' ? snprintf(path, sizeof(path), "%s", alt)
			      : snprintf(path, sizeof(path), "%.*s/%s", slash ? (int)(slash - name) : 1,
					 slash ? name : ".", alt);
	if (n >= 0 && (size_t)n < sizeof(path) && open_with_build_id(path, build_id, ret) == 0)
		return 0;
	return find_fetched(build_id, roots, ret);
}
