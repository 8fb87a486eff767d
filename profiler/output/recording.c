/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/recording.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "formats/pprof_reader.h"

#define LINE_MAX_BYTES (1u << 20)
#define CHUNK_BYTES (64u << 10)
#define PROFILE_BYTES_MAX (64u << 20)
#define PROFILE_UNPACKED_MAX (256u << 20)

/* ---- opening ------------------------------------------------------------------------------------------------ */

bool fnp_recording_is_one(const char *path)
{
	fnp_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && faccessat(fd, "index.jsonl", F_OK, 0) == 0;
}

/* Names of one host's recordings sort by time; folders that were moved or named by hand go by their index's time. */
static char *newest_here(void)
{
	struct timespec best = {0};
	char *found = NULL;
	DIR *here = opendir(".");

	for (struct dirent *e; here && (e = readdir(here));) {
		char index[300];
		struct stat st;

		if (strncmp(e->d_name, "fnprof-", 7) != 0)
			continue;
		snprintf(index, sizeof(index), "%s/index.jsonl", e->d_name);
		if (stat(index, &st) < 0)
			continue;
		if (found && (st.st_mtim.tv_sec < best.tv_sec ||
			      (st.st_mtim.tv_sec == best.tv_sec && st.st_mtim.tv_nsec <= best.tv_nsec)))
			continue;
		free(found);
		found = strdup(e->d_name);
		best = st.st_mtim;
	}
	if (here)
		closedir(here);
	return found;
}

bool fnp_recording_is_any_here(void)
{
	fnp_autofree char *newest = newest_here();

	return newest != NULL;
}

int fnp_recording_open(const char *path, struct fnp_recording *ret)
{
	fnp_autofree char *own = path ? strdup(path) : newest_here();
	fnp_autoclose int dirfd = -1, index_fd = -1;
	int r;

	if (!own)
		return path ? fnp_error(-ENOMEM, "out of memory")
			    : fnp_error(-ENOENT, "there is no recording (fnprof-*) in this folder; name one");
	dirfd = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0) {
		r = -errno;
		return fnp_error(r, "cannot open \"%s\": %s", own, strerror(-r));
	}
	index_fd = openat(dirfd, "index.jsonl", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (index_fd < 0) {
		r = -errno;
		return fnp_error(r, "\"%s\" is no recording: cannot open index.jsonl: %s", own, strerror(-r));
	}
	struct stat st;
	if (fstat(index_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return fnp_error(-EINVAL, "\"%s\" is no recording: index.jsonl is no regular file", own);
	*ret = (struct fnp_recording){
		.path = TAKE_PTR(own), .dirfd = TAKE_FD(dirfd), .index_fd = TAKE_FD(index_fd)};
	return 0;
}

void fnp_recording_deinit(struct fnp_recording *recording)
{
	if (!recording->path)
		return;
	close(recording->dirfd);
	close(recording->index_fd);
	free(TAKE_PTR(recording->path));
}

void fnp_recording_rows_deinit(struct fnp_recording_rows *rows)
{
	fnp_vec_deinit(&rows->list);
}

/* ---- lines -------------------------------------------------------------------------------------------------- */

const char *fnp_recording_get_text(const json_t *line, const char *key)
{
	return json_string_value(json_object_get(line, key));
}

uint64_t fnp_recording_get_u64(const json_t *line, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(line, key));

	return value > 0 ? (uint64_t)value : 0;
}

static bool kind_of(const json_t *line, uint32_t *ret)
{
	const char *text = fnp_recording_get_text(line, "kind");

	for (uint32_t kind = 0; text && kind < FNP_ROW_KINDS; kind++) {
		if (strcmp(text, fnp_row_kind_name(kind)) == 0) {
			*ret = kind;
			return true;
		}
	}
	return false;
}

/* State of a scan: the bytes of the index that are not yet taken apart. */
struct scan {
	bool (*keep)(const json_t *line, void *context);
	void *context;
	struct fnp_recording_rows rows;
	struct fnp_buffer pending; /* the beginning of a line */
	uint64_t offset;	   /* of pending in the file */
	bool skipping;		   /* the line is longer than any of ours: passed over up to its end */
};

static int take_line(struct scan *scan, const char *text, size_t len)
{
	json_auto_t *line = len <= LINE_MAX_BYTES ? json_loadb(text, len, JSON_ALLOW_NUL, NULL) : NULL;
	struct fnp_recording_row row = {.offset = scan->offset, .len = (uint32_t)len};

	if (!line || !kind_of(line, &row.kind) || !fnp_recording_get_text(line, "id") ||
	    !fnp_recording_get_text(line, "pprof")) {
		scan->rows.unreadable++;
		return 0;
	}
	if (scan->keep && !scan->keep(line, scan->context))
		return 0;
	row.start_ns = fnp_recording_get_u64(line, "start_ns");
	row.duration_ns = fnp_recording_get_u64(line, "duration_ns");
	row.cpu_ns = fnp_recording_get_u64(line, "cpu_ns");
	row.samples = fnp_recording_get_u64(line, "samples");
	row.sampled_ns = fnp_recording_get_u64(line, "sampled_ns");
	return fnp_vec_push(&scan->rows.list, row);
}

/* Takes the whole lines out of what is pending; what follows the last newline stays. */
static int take_lines(struct scan *scan)
{
	const char *text = (const char *)scan->pending.data;
	size_t at = 0, left = scan->pending.len;

	for (const char *end; left > 0 && (end = memchr(text + at, '\n', left)); left = scan->pending.len - at) {
		size_t len = (size_t)(end - (text + at));
		int r = 0;

		if (scan->skipping)
			scan->skipping = false;
		else
			r = take_line(scan, text + at, len);
		if (r < 0)
			return r;
		scan->offset += len + 1;
		at += len + 1;
	}
	if (left > LINE_MAX_BYTES) {
		scan->rows.unreadable += !scan->skipping;
		scan->skipping = true;
		scan->offset += left;
		at += left;
		left = 0;
	}
	if (at > 0)
		memmove(scan->pending.data, scan->pending.data + at, left);
	scan->pending.len = left;
	return 0;
}

static int scan_file(int fd, struct scan *scan)
{
	uint64_t at = 0;

	for (;;) {
		uint8_t *room = fnp_buffer_room(&scan->pending, CHUNK_BYTES);
		if (!room)
			return -ENOMEM;
		ssize_t n = pread(fd, room, CHUNK_BYTES, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0; /* a last line without newline is no line */
		at += (size_t)n;
		scan->pending.len += (size_t)n;
		int r = take_lines(scan);
		if (r < 0)
			return r;
	}
}

int fnp_recording_scan(const struct fnp_recording *recording, bool (*keep)(const json_t *line, void *context),
		       void *context, struct fnp_recording_rows *ret)
{
	struct scan scan = {.keep = keep, .context = context};
	int r = scan_file(recording->index_fd, &scan);

	fnp_buffer_deinit(&scan.pending);
	if (r < 0) {
		fnp_recording_rows_deinit(&scan.rows);
		return fnp_error(r, "cannot read \"%s/index.jsonl\": %s", recording->path, strerror(-r));
	}
	*ret = scan.rows;
	return 0;
}

int fnp_recording_text(const struct fnp_recording *recording, const struct fnp_recording_row *row,
		       struct fnp_buffer *ret)
{
	uint8_t *room = fnp_buffer_room(ret, row->len);

	if (!room)
		return -ENOMEM;
	if (pread(recording->index_fd, room, row->len, (off_t)row->offset) != (ssize_t)row->len)
		return -EBADMSG;
	ret->len += row->len;
	return 0;
}

int fnp_recording_line(const struct fnp_recording *recording, const struct fnp_recording_row *row, json_t **ret)
{
	fnp_autobuffer struct fnp_buffer text = {0};
	int r = fnp_recording_text(recording, row, &text);
	json_t *line = r == 0 ? json_loadb((const char *)text.data, text.len, JSON_ALLOW_NUL, NULL) : NULL;

	if (!line)
		return r < 0 ? r : -EBADMSG;
	*ret = line;
	return 0;
}

/* ---- profiles ----------------------------------------------------------------------------------------------- */

/* "profiles/FOLDER/FILE", and nothing else: each part is opened below the one before, following no link. */
static int open_profile(int dirfd, const char *path)
{
	fnp_autoclose int at = -1;

	for (const char *p = path;; p++) {
		size_t len = strcspn(p, "/");
		char part[256];

		if (len == 0 || len >= sizeof(part) || p[0] == '.')
			return -EBADMSG;
		memcpy(part, p, len);
		part[len] = '\0';
		p += len;
		int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (*p ? O_DIRECTORY : 0);
		int fd = openat(at < 0 ? dirfd : at, part, flags);
		if (fd < 0)
			return -errno;
		fnp_closep(&at);
		at = fd;
		if (!*p)
			return TAKE_FD(at);
	}
}

static int read_profile(int dirfd, const char *path, struct fnp_profile **ret)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};
	fnp_autoclose int fd = open_profile(dirfd, path);
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	r = fnp_file_read_fd(fd, PROFILE_BYTES_MAX, &bytes);
	return r < 0 ? r : fnp_pprof_read(bytes.data, bytes.len, PROFILE_UNPACKED_MAX, ret);
}

int fnp_recording_profile(const struct fnp_recording *recording, const struct fnp_recording_row *row,
			  struct fnp_profile **ret)
{
	json_auto_t *line = NULL;
	int r = fnp_recording_line(recording, row, &line);
	const char *path = r == 0 ? fnp_recording_get_text(line, "pprof") : NULL;

	if (!path)
		return fnp_error(r < 0 ? r : -EBADMSG,
				 "a line of \"%s/index.jsonl\" changed while it was read", recording->path);
	r = read_profile(recording->dirfd, path, ret);
	if (r == -EBADMSG || r == -ELOOP)
		return fnp_error(r, "\"%s/%s\" is no whole profile of this recording", recording->path, path);
	return r < 0 ? fnp_error(r, "cannot read \"%s/%s\": %s", recording->path, path, strerror(-r)) : 0;
}
