/* SPDX-License-Identifier: Apache-2.0 */
/* `export`: a recording, or a part of it, in one of the formats; made from its files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "formats/format.h"
#include "profiler/commands/selection.h"
#include "profiler/commands/suggest.h"
#include "profiler/output/merge.h"
#include "profiler/output/page/page.h"

extern const struct fnp_command_ops fnp_command_export;

#define FORMATS_MAX 32

static int unknown_format(const char *name)
{
	fnp_autobuffer struct fnp_buffer list = {0};
	const char *names[FORMATS_MAX];
	size_t n = 0;

	for (; fnp_formats[n] && n < FORMATS_MAX; n++) {
		names[n] = fnp_formats[n]->name;
		fnp_buffer_printf(&list, "%s%s", n ? ", " : "", names[n]);
	}
	fnp_buffer_text(&list, ", page");
	fnp_buffer_byte(&list, '\0');
	names[n < FORMATS_MAX ? n++ : n - 1] = "page";
	const char *near = name ? fnp_suggest(name, names, n) : NULL;
	if (near)
		return fnp_options_mistake(&fnp_command_export, "unknown format \"%s\"; did you mean \"%s\"?",
					   name, near);
	if (name)
		return fnp_options_mistake(&fnp_command_export, "unknown format \"%s\"; there are %s", name,
					   (const char *)list.data);
	return fnp_options_mistake(&fnp_command_export, "--format is missing; there are %s",
				   (const char *)list.data);
}

static int merge(const struct fnp_selection *selection, struct fnp_profile **ret)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *whole = NULL;
	int r;

	if (selection->rows.list.len == 1)
		return fnp_recording_profile(&selection->recording, &selection->rows.list.items[0], ret);
	r = fnp_profile_create(&whole);
	for (size_t i = 0; i < selection->rows.list.len && r == 0; i++) {
		FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *one = NULL;
		r = fnp_recording_profile(&selection->recording, &selection->rows.list.items[i], &one);
		if (r < 0)
			return r;
		r = fnp_merge_add(whole, one);
	}
	if (r < 0)
		return fnp_error(r, "cannot put the profiles together: %s", strerror(-r));
	*ret = TAKE_PTR(whole);
	return 0;
}

/* A device or a pipe is written to as it is; anything else is replaced when the new file is whole. */
static int write_output(const char *path, const struct fnp_buffer *bytes)
{
	struct stat st;
	int r;

	if (!path || strcmp(path, "-") == 0)
		return fwrite(bytes->data, 1, bytes->len, stdout) == bytes->len ? 0 : -EIO; /* said at the end */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		fnp_autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
		r = fd < 0 ? -errno : fnp_file_write_all(fd, bytes->data, bytes->len);
	} else {
		r = fnp_file_write_at(AT_FDCWD, path, bytes->data, bytes->len);
	}
	return r < 0 ? fnp_error(r, "cannot write \"%s\": %s", path, strerror(-r)) : 0;
}

static int export_rows(const struct fnp_selection *selection, const struct fnp_format_ops *format,
		       const char *path)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;
	fnp_autobuffer struct fnp_buffer bytes = {0};
	int r;

	if (selection->rows.list.len == 0) {
		fnp_error(0, "no row of \"%s\" was chosen: there is nothing to export",
			  selection->recording.path);
		return FNP_EXIT_FAILED;
	}
	r = merge(selection, &profile);
	if (r < 0)
		return FNP_EXIT_FAILED;
	r = format->encode(profile, &bytes);
	if (r < 0) {
		fnp_error(r, "cannot encode as %s: %s", format->name, strerror(-r));
		return FNP_EXIT_FAILED;
	}
	if (memchr(bytes.data ?: (uint8_t *)"", '\0', bytes.len) && !path && isatty(STDOUT_FILENO))
		return fnp_options_mistake(&fnp_command_export,
					   "%s is not for a terminal; give a file with -o", format->name);
	return write_output(path, &bytes) < 0 ? FNP_EXIT_FAILED : FNP_EXIT_OK;
}

/* Where a page goes that is not to be renamed into place: standard output, a device, a pipe; else `ret` is NULL. */
static int open_stream(const char *path, FILE **ret)
{
	struct stat st;

	if (!path || strcmp(path, "-") == 0)
		*ret = stdout;
	else if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		*ret = fopen(path, "we");
	else
		return 0;
	return *ret ? 0 : -errno;
}

static int write_page(const struct fnp_recording *recording, const char *path)
{
	struct fnp_page_options options = {.path = path};
	struct fnp_page_counts counts = {0};
	int r = open_stream(path, &options.stream);

	r = r ?: fnp_page_write(recording->dirfd, &options, &counts);
	if (options.stream && options.stream != stdout && fclose(options.stream) != 0)
		r = r ?: -errno;
	if (r < 0)
		return fnp_error(r, "cannot make the page of \"%s\": %s", recording->path, strerror(-r));
	if (counts.unreadable)
		fnp_warning("%llu rows of \"%s\" could not be read and are left out",
			    (unsigned long long)counts.unreadable, recording->path);
	return 0;
}

/* The page is made of a whole recording, from its files. */
static int export_page(const struct fnp_arguments *words, const struct fnp_selection_request *request,
		       const char *path)
{
	FNP_CLEANUP(fnp_recording_deinit) struct fnp_recording recording = {0};

	if (words->n > 1 || request->filters.n > 0 || request->kind)
		return fnp_options_mistake(
			&fnp_command_export,
			"the page shows a whole recording: leave out id, --filter and --kind");
	if (!path && isatty(STDOUT_FILENO))
		return fnp_options_mistake(&fnp_command_export,
					   "the page is not for a terminal; give a file with -o");
	if (fnp_recording_open(words->n > 0 ? words->items[0] : NULL, &recording) < 0)
		return FNP_EXIT_FAILED;
	return write_page(&recording, path) < 0 ? FNP_EXIT_FAILED : FNP_EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct fnp_selection_request request = {.default_kind = "all"};
	const char *format_name = NULL, *path = NULL;
	const struct fnp_option table[] = {
		{'f', "format", "FORMAT", "pprof, folded, flamegraph, speedscope or page", FNP_OPTION_TEXT,
		 &format_name},
		{'o', "output", "FILE", "where to write (default: standard output)", FNP_OPTION_TEXT, &path},
		FNP_SELECTION_OPTIONS(&request),
	};
	const struct fnp_options options = {
		.command = &fnp_command_export, .table = table, .n = FNP_ARRAY_SIZE(table), .max_arguments = 2};
	FNP_CLEANUP(fnp_selection_deinit) struct fnp_selection selection = {0};
	const struct fnp_format_ops *format;
	struct fnp_arguments words;
	int status = fnp_options_parse(&options, argc, argv, &words);

	if (status != FNP_OPTIONS_GO_ON)
		return status;
	if (format_name && strcmp(format_name, "page") == 0)
		return export_page(&words, &request, path);
	format = format_name ? fnp_format_find(format_name) : NULL;
	if (!format)
		return unknown_format(format_name);
	status = fnp_selection_open(&fnp_command_export, &words, &request, &selection);
	return status != FNP_OPTIONS_GO_ON ? status : export_rows(&selection, format, path);
}

const struct fnp_command_ops fnp_command_export = {
	.name = "export",
	.synopsis = "fnprof export [DIR] [ID] --format FORMAT [-o FILE] [--filter KEY=TEXT]... [--kind KIND]",
	.description = "a recording, or a part of it, in one of the formats",
	.details = "DIR is a recording; without it, the newest fnprof-* in this folder. ID is an "
		   "invocation's id, or the\n"
		   "beginning of one, or a function's name. Of several rows one profile is made; each of its "
		   "samples\n"
		   "keeps its labels.",
	.run = run,
};
