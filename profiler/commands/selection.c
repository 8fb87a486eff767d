/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/commands/selection.h"

#include "base/log.h"
#include "profiler/commands/suggest.h"

void fnp_selection_deinit(struct fnp_selection *selection)
{
	fnp_recording_rows_deinit(&selection->rows);
	fnp_recording_deinit(&selection->recording);
}

static int check_kind(const struct fnp_command_ops *command, const char *kind)
{
	const char *names[FNP_ROW_KINDS + 1];

	for (size_t i = 0; i < FNP_ROW_KINDS; i++)
		names[i] = fnp_row_kind_name(i);
	names[FNP_ROW_KINDS] = "all";
	for (size_t i = 0; i < FNP_ARRAY_SIZE(names); i++) {
		if (strcmp(kind, names[i]) == 0)
			return FNP_OPTIONS_GO_ON;
	}
	const char *near = fnp_suggest(kind, names, FNP_ARRAY_SIZE(names));
	if (near)
		return fnp_options_mistake(command, "unknown kind \"%s\"; did you mean \"%s\"?", kind, near);
	return fnp_options_mistake(command, "unknown kind \"%s\"", kind);
}

static int fill_filter(const struct fnp_command_ops *command, const struct fnp_selection_request *request,
		       const char *id, struct fnp_filter *ret)
{
	const char *kind = request->kind ?: id ? NULL : request->default_kind;

	for (size_t i = 0; i < request->filters.n; i++) {
		if (fnp_filter_add(ret, request->filters.items[i]) < 0)
			return fnp_options_mistake(
				command,
				"\"%s\" is no filter; write KEY=TEXT, KEY~TEXT, KEY>NUMBER or "
				"KEY<NUMBER",
				request->filters.items[i]);
	}
	if (!kind)
		return FNP_OPTIONS_GO_ON;
	int status = check_kind(command, kind);
	if (status != FNP_OPTIONS_GO_ON || strcmp(kind, "all") == 0)
		return status;
	return fnp_filter_add_equal(ret, "kind", kind) < 0 ? FNP_EXIT_FAILED : FNP_OPTIONS_GO_ON;
}

/* What an id is compared with, strongest first. A function's name stands for its invocations, where it has some. */
enum way { EXACT, FUNCTION_OF_KIND, FUNCTION, BEGINNING, WAYS };

struct search {
	struct fnp_filter *filter;
	const char *id;	  /* NULL: everything */
	const char *kind; /* that is meant by a function's name; NULL: all */
	enum way way;
};

static bool matches(const json_t *line, void *context)
{
	const struct search *search = context;
	const char *id = fnp_recording_get_text(line, "id");
	const char *function = fnp_recording_get_text(line, "function");

	if (!fnp_filter_keep(line, search->filter))
		return false;
	if (!search->id)
		return true;
	switch (search->way) {
	case EXACT:
		return strcmp(id, search->id) == 0;
	case FUNCTION_OF_KIND:
		if (search->kind && strcmp(fnp_recording_get_text(line, "kind") ?: "", search->kind) != 0)
			return false;
		return function && strcmp(function, search->id) == 0;
	case FUNCTION:
		return function && strcmp(function, search->id) == 0;
	case BEGINNING:
	case WAYS:
		break;
	}
	return strncmp(id, search->id, strlen(search->id)) == 0;
}

static int search_rows(struct search *search, struct fnp_selection *selection)
{
	for (enum way way = EXACT; way < WAYS; way++) {
		search->way = way;
		if (fnp_recording_scan(&selection->recording, matches, search, &selection->rows) < 0)
			return FNP_EXIT_FAILED;
		if (!search->id || (selection->rows.list.len > 0 && way != BEGINNING) ||
		    selection->rows.list.len == 1)
			return FNP_OPTIONS_GO_ON;
		if (selection->rows.list.len > 1)
			break;
		if (way < WAYS - 1)
			fnp_recording_rows_deinit(&selection->rows);
	}
	if (selection->rows.list.len > 1)
		fnp_error(0, "\"%s\" is the beginning of %zu ids in \"%s\"; type more of it", search->id,
			  selection->rows.list.len, selection->recording.path);
	else
		fnp_error(0, "there is neither an id nor a function \"%s\" in \"%s\"", search->id,
			  selection->recording.path);
	return FNP_EXIT_FAILED;
}

/* A recording of a plain program has no invocations: then its other rows are what there is. */
static int show_other_rows(struct fnp_selection *selection)
{
	fnp_recording_rows_deinit(&selection->rows);
	if (fnp_recording_scan(&selection->recording, NULL, NULL, &selection->rows) < 0)
		return FNP_EXIT_FAILED;
	fnp_info("there are no invocations in \"%s\"%s", selection->recording.path,
		 selection->rows.list.len ? "; these are its other rows" : ", nor other rows");
	return FNP_OPTIONS_GO_ON;
}

static const char *kind_of_function(const struct fnp_selection_request *request)
{
	return request->kind || strcmp(request->default_kind, "all") == 0 ? NULL : request->default_kind;
}

int fnp_selection_open(const struct fnp_command_ops *command, const struct fnp_arguments *words,
		       const struct fnp_selection_request *request, struct fnp_selection *ret)
{
	FNP_CLEANUP(fnp_selection_deinit) struct fnp_selection selection = {0};
	FNP_CLEANUP(fnp_filter_deinit) struct fnp_filter filter = {0};
	const char *dir = words->n > 0 ? words->items[0] : NULL;
	const char *id = words->n > 1 ? words->items[1] : NULL;

	/*
	 * A word with a slash, or of a folder, was meant as a recording, and then gets a message about that; so does any where
	 * there is none to look it up in.
	 */
	if (words->n == 1 && !strchr(dir, '/') && access(dir, F_OK) < 0 && fnp_recording_is_any_here()) {
		id = dir;
		dir = NULL;
	}
	int status = fill_filter(command, request, id, &filter);
	if (status != FNP_OPTIONS_GO_ON)
		return status;
	if (fnp_recording_open(dir, &selection.recording) < 0)
		return FNP_EXIT_FAILED;
	status = search_rows(&(struct search){.filter = &filter, .id = id, .kind = kind_of_function(request)},
			     &selection);
	if (status == FNP_OPTIONS_GO_ON && selection.rows.list.len == 0 && !request->kind &&
	    request->filters.n == 0 && strcmp(request->default_kind, "all") != 0)
		status = show_other_rows(&selection);
	if (status != FNP_OPTIONS_GO_ON)
		return status;
	if (selection.rows.unreadable)
		fnp_warning("%llu lines of \"%s/index.jsonl\" are no rows and are left out",
			    (unsigned long long)selection.rows.unreadable, selection.recording.path);
	selection.id = id;
	*ret = selection;
	selection = (struct fnp_selection){0};
	return FNP_OPTIONS_GO_ON;
}
