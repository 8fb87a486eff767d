/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders of functions are not kept open and not remembered: a file is created by its path, and only when its folder
 * is not there the folder is made. So 100,000 functions need no table, and the usual row costs no further call.
 */
#include "profiler/output/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "formats/format.h"
#include "profiler/output/events.h"
#include "profiler/output/index.h"
#include "profiler/output/page/page.h"
#include "profiler/output/process_sums.h"
#include "profiler/output/syncer.h"

struct fnp_directory {
	char *path;
	int fd;
	int index_fd; /* -1 before begin */
	bool made;    /* by us: removed again when nothing began */
	bool dirty;   /* something was written since the last sync */
	int error;
	int64_t utc_offset_ns;
	uint64_t index_size; /* bytes of whole lines */
	uint64_t not_written;
	const struct fnp_format_ops *pprof, *folded;
	struct fnp_syncer *syncer;
	struct fnp_tally tally;
	struct fnp_process_sums processes;
	struct fnp_buffer line;
};

/* The first failure is said; the rest is silence. */
static int fail(struct fnp_directory *dir, int code, const char *what)
{
	if (dir->error == 0)
		fnp_error(
			code,
			"cannot write \"%s/%s\": %s; what was written before is whole, nothing more is kept",
			dir->path, what, strerror(-code));
	dir->error = dir->error ?: code;
	return dir->error;
}

static bool is_empty(int fd, int *ret_error)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = own >= 0 ? fdopendir(own) : NULL;
	size_t entries = 0;

	*ret_error = stream ? 0 : -errno;
	if (!stream) {
		if (own >= 0)
			close(own);
		return false;
	}
	while (readdir(stream))
		entries++;
	closedir(stream);
	return entries <= 2; /* "." and ".." */
}

/* The folder in which `path` is to be made. */
static bool has_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	fnp_autofree char *parent = slash ? strndup(path, (size_t)(slash - path) + 1) : NULL;

	return !slash || (parent && access(parent, F_OK) == 0);
}

/* Says what is in the way of making `path`; `code` is mkdir's. */
static int explain_mkdir(int code, const char *path)
{
	switch (code) {
	case -ENOENT: /* also what /proc says to whoever wants to make something there */
		if (has_parent(path))
			return fnp_error(code,
					 "cannot make \"%s\": its file system takes no folder there; "
					 "choose another place with -o",
					 path);
		return fnp_error(code, "cannot make \"%s\": the folder above it does not exist", path);
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return fnp_error(code, "cannot make \"%s\": %s; choose another place with -o", path,
				 strerror(-code));
	default:
		return fnp_error(code, "cannot make \"%s\": %s", path, strerror(-code));
	}
}

/* What is there already must be an empty folder. */
static int open_empty(const char *path, int *ret_fd)
{
	fnp_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0 && errno == ENOTDIR)
		return fnp_error(-ENOTDIR,
				 "\"%s\" is there already and is no folder; give another name to -o", path);
	if (fd < 0) {
		r = -errno;
		return fnp_error(r, "cannot open \"%s\": %s", path, strerror(-r));
	}
	if (!is_empty(fd, &r)) {
		if (r < 0)
			return fnp_error(r, "cannot read \"%s\": %s", path, strerror(-r));
		return fnp_error(-EEXIST, "\"%s\" is there already and is not empty; give another name to -o",
				 path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int fnp_directory_check(const char *path)
{
	fnp_autoclose int fd = -1;

	return path && access(path, F_OK) == 0 ? open_empty(path, &fd) : 0;
}

/* Opens `path` as the place to write to. */
static int open_place(const char *path, bool *ret_made, int *ret_fd)
{
	bool made = mkdir(path, 0755) == 0;
	fnp_autoclose int fd = -1;
	int r;

	if (!made && errno != EEXIST)
		return explain_mkdir(-errno, path);
	r = open_empty(path, &fd);
	if (r < 0)
		return r;
	/* Of two that begin in one empty folder at the same time, the second one fails here. */
	if (mkdirat(fd, "profiles", 0755) < 0) {
		r = -errno;
		if (made)
			rmdir(path);
		return fnp_error(r, "cannot write to \"%s\": %s", path, strerror(-r));
	}
	*ret_made = made;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* "fnprof-20261122T101530Z"; with a number after it when that is taken. */
static char *default_path(void)
{
	time_t now = time(NULL);
	char stem[40], *path = NULL;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(stem, sizeof(stem), "fnprof-%Y%m%dT%H%M%SZ", &tm);
	if (access(stem, F_OK) < 0)
		return strdup(stem);
	for (int n = 2; n < 1000; n++) {
		if (asprintf(&path, "%s-%d", stem, n) < 0)
			return NULL;
		if (access(path, F_OK) < 0)
			break;
		fnp_freep(&path);
	}
	return path;
}

int fnp_directory_create(const char *path, struct fnp_directory **ret)
{
	FNP_CLEANUP(fnp_directory_destroyp) struct fnp_directory *dir = calloc(1, sizeof(*dir));
	int r;

	if (!dir)
		return fnp_error(-ENOMEM, "out of memory");
	dir->fd = dir->index_fd = -1;
	dir->pprof = fnp_format_find("pprof");
	dir->folded = fnp_format_find("folded");
	dir->utc_offset_ns = fnp_clock_utc_offset_ns();
	if (!dir->pprof || !dir->folded)
		return fnp_error(-ENOSYS, "this fnprof was built without the formats pprof and folded");
	if (path && !*path)
		return fnp_error(-EINVAL, "the name of the directory is empty");
	dir->path = path ? strdup(path) : default_path();
	if (!dir->path)
		return fnp_error(-ENOMEM, "out of memory");
	for (size_t len = strlen(dir->path); len > 1 && dir->path[len - 1] == '/'; len--)
		dir->path[len - 1] = '\0';
	r = open_place(dir->path, &dir->made, &dir->fd);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(dir);
	return 0;
}

void fnp_directory_destroy(struct fnp_directory *dir)
{
	if (!dir)
		return;
	fnp_syncer_destroy(dir->syncer);
	if (dir->fd >= 0 && dir->index_fd < 0) {
		unlinkat(dir->fd, "profiles", AT_REMOVEDIR);
		if (dir->made)
			rmdir(dir->path);
	}
	if (dir->index_fd >= 0)
		close(dir->index_fd);
	if (dir->fd >= 0)
		close(dir->fd);
	fnp_tally_deinit(&dir->tally);
	fnp_process_sums_deinit(&dir->processes);
	fnp_buffer_deinit(&dir->line);
	free(dir->path);
	free(dir);
}

const char *fnp_directory_path(const struct fnp_directory *dir)
{
	return dir->path;
}

int64_t fnp_directory_utc_offset_ns(const struct fnp_directory *dir)
{
	return dir->utc_offset_ns;
}

int fnp_directory_error(const struct fnp_directory *dir)
{
	return dir->error;
}

const struct fnp_tally *fnp_directory_tally(const struct fnp_directory *dir)
{
	return &dir->tally;
}

struct fnp_report fnp_directory_report(const struct fnp_directory *dir, const struct fnp_summary *summary)
{
	return (struct fnp_report){
		.dir = dir->path,
		.page = faccessat(dir->fd, "index.html", F_OK, 0) == 0,
		.tally = &dir->tally,
		.summary = summary,
		.not_written = dir->not_written,
	};
}

int fnp_directory_begin(struct fnp_directory *dir)
{
	int r = fnp_syncer_create(dir->fd, &dir->syncer);

	if (r < 0)
		return fnp_error(r, "cannot start a thread: %s", strerror(-r));
	dir->index_fd = openat(dir->fd, "index.jsonl", O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
			       0644);
	return dir->index_fd < 0 ? fail(dir, -errno, "index.jsonl") : 0;
}

void fnp_directory_abandon(struct fnp_directory *dir)
{
	if (dir->index_fd < 0 || dir->index_size > 0)
		return;
	unlinkat(dir->fd, "index.jsonl", 0);
	fnp_closep(&dir->index_fd);
}

/* Writes one file of a row, and makes its folder when that is what is missing. */
static int write_file(struct fnp_directory *dir, const char *path, const struct fnp_index_paths *paths,
		      const struct fnp_buffer *bytes)
{
	char folder[FNP_INDEX_PATH_MAX];
	int r = bytes->error ?: fnp_file_write_at(dir->fd, path, bytes->data, bytes->len);

	if (r != -ENOENT)
		return r;
	snprintf(folder, sizeof(folder), "%.*s", (int)paths->folder_len, path);
	r = fnp_file_mkdir_at(dir->fd, folder);
	return r < 0 ? r : fnp_file_write_at(dir->fd, path, bytes->data, bytes->len);
}

static int write_encoded(struct fnp_directory *dir, const struct fnp_format_ops *format, const char *path,
			 const struct fnp_index_paths *paths, const struct fnp_profile *profile)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};
	int r = format->encode(profile, &bytes);

	return r < 0 ? r : write_file(dir, path, paths, &bytes);
}

static int write_events(struct fnp_directory *dir, const struct fnp_row *row,
			const struct fnp_index_paths *paths)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};

	if (!paths->events[0])
		return 0;
	fnp_events_lines(row, &bytes);
	return write_file(dir, paths->events, paths, &bytes);
}

static void take_back(struct fnp_directory *dir, const struct fnp_index_paths *paths)
{
	unlinkat(dir->fd, paths->pprof, 0);
	unlinkat(dir->fd, paths->folded, 0);
	if (paths->events[0])
		unlinkat(dir->fd, paths->events, 0);
}

/* A line that the disk has no room for is taken back, so that the next reader meets whole lines only. */
static int append_line(struct fnp_directory *dir)
{
	int r = dir->line.error;

	if (r == 0)
		r = fnp_file_write_all(dir->index_fd, dir->line.data, dir->line.len);
	if (r == 0)
		dir->index_size += dir->line.len;
	else if (ftruncate(dir->index_fd, (off_t)dir->index_size) < 0)
		fnp_debug("the last line of the index has no end: %s", strerror(errno));
	return r;
}

static int write_row(struct fnp_directory *dir, const struct fnp_row *row, const struct fnp_profile *profile)
{
	struct fnp_index_paths paths;
	int r;

	fnp_index_paths_of(row, dir->utc_offset_ns, &paths);
	r = write_encoded(dir, dir->pprof, paths.pprof, &paths, profile);
	if (r < 0)
		return fail(dir, r, paths.pprof);
	r = write_encoded(dir, dir->folded, paths.folded, &paths, profile);
	if (r < 0) {
		take_back(dir, &paths);
		return fail(dir, r, paths.folded);
	}
	r = write_events(dir, row, &paths);
	if (r < 0) {
		take_back(dir, &paths);
		return fail(dir, r, paths.events);
	}
	dir->line.len = 0;
	fnp_index_line(row, dir->utc_offset_ns, &paths, &dir->line);
	r = append_line(dir);
	if (r < 0) {
		take_back(dir, &paths);
		return fail(dir, r, "index.jsonl");
	}
	dir->dirty = true;
	return 0;
}

int fnp_directory_write(struct fnp_directory *dir, const struct fnp_row *row, const struct fnp_profile *profile)
{
	int r = dir->error ?: write_row(dir, row, profile);

	if (r < 0) {
		dir->not_written += row->samples;
		return r;
	}
	r = fnp_tally_add(&dir->tally, row, profile);
	if (r == 0)
		r = fnp_process_sums_add_row(&dir->processes, row);
	return r < 0 ? fail(dir, r, "summary.json") : 0;
}

int fnp_directory_add_process(struct fnp_directory *dir, uint32_t pid, uint64_t process, uint64_t cpu_ns)
{
	int r = fnp_process_sums_set_cpu(&dir->processes, pid, process, cpu_ns);

	return r < 0 ? fail(dir, r, "summary.json") : 0;
}

int fnp_directory_sync(struct fnp_directory *dir)
{
	int r;

	if (!dir->dirty || !dir->syncer)
		return dir->error;
	dir->dirty = false;
	r = fnp_syncer_kick(dir->syncer);
	return r < 0 ? fail(dir, r, "index.jsonl") : dir->error;
}

static int write_summary(struct fnp_directory *dir, const struct fnp_summary *summary)
{
	struct fnp_summary_counts counts = {
		.samples = dir->tally.samples,
		.not_written = dir->not_written,
		.processes = dir->processes.list.items,
		.n_processes = dir->processes.list.len,
		.processes_omitted = dir->processes.omitted,
		.utc_offset_ns = dir->utc_offset_ns,
	};
	fnp_autofree char *text = NULL;
	int r;

	memcpy(counts.truncated, dir->tally.truncated, sizeof(counts.truncated));
	r = fnp_summary_encode(summary, &counts, &text);
	if (r == 0)
		r = fnp_file_write_at(dir->fd, "summary.json", text, strlen(text));
	return r < 0 ? fail(dir, r, "summary.json") : 0;
}

int fnp_directory_finish(struct fnp_directory *dir, const struct fnp_summary *summary)
{
	int r = write_summary(dir, summary);

	/* The page is made from the files: after an error it would show a part as the whole. */
	if (r == 0 && dir->error == 0) {
		r = fnp_page_write(dir->fd, NULL, NULL);
		if (r < 0)
			r = fail(dir, r, "index.html");
	}
	if (r == 0 && syncfs(dir->fd) < 0)
		r = fail(dir, -errno, "summary.json");
	return dir->error ?: r;
}
