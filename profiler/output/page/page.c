/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One way through the recording: rows in the order of their claim to a graph of their own (rows.h), one profile in
 * memory at a time. Each is added to the tree; its line goes to the list and its own graph to a chunk, as long as
 * there is room. At the end the tables are written, and then as many chunks as the size of the page allows: because
 * of the order, what does not fit are the rows with the least claim.
 */
#include "profiler/output/page/page.h"

#include <errno.h>
#include <fcntl.h>

#include "base/file.h"
#include "profiler/output/page/pieces.h"
#include "profiler/output/page/recording.h"
#include "profiler/output/page/rows.h"
#include "profiler/output/page/template.h"
#include "profiler/output/page/timeline.h"
#include "profiler/output/page/tree.h"

#define GRAPHS_DEFLATED_MAX (20u << 20) /* kept until the size of the tables is known */
#define ROWS_DEFLATED_MAX (12u << 20)
#define STORIES_DEFLATED_MAX (6u << 20)
#define ROW_TEXT_MAX (16u << 10) /* longer lines are listed with their main facts only */
#define GROUPS_MAX 4096

/* What stands in the place of a row's chunk number when it has no graph; page/data.js reads these. */
enum { NO_SAMPLES = -1, UNREADABLE = -2, LEFT_OUT = -3 };

/* Where a row's own data stands: numbers of pieces and places in them, or one of the above. */
struct place {
	int64_t chunk, offset; /* its graph */
	int64_t story_chunk, story_offset;
	uint32_t group;
};

struct page {
	int dirfd;
	size_t max_bytes;
	struct fnp_page_out out;
	struct fnp_page_rows rows;
	struct fnp_page_tree tree;
	struct fnp_intern *groups; /* kind, NUL, function */
	FNP_VEC(uint64_t) group_rows;
	struct fnp_page_timelines timelines;
	struct fnp_page_pieces list, graphs, stories; /* stories: timelines of rows */
	struct fnp_page_counts counts;
};

static void page_deinit(struct page *page)
{
	fnp_page_out_deinit(&page->out);
	fnp_page_rows_deinit(&page->rows);
	fnp_page_tree_deinit(&page->tree);
	fnp_intern_destroy(page->groups);
	fnp_vec_deinit(&page->group_rows);
	fnp_page_timelines_deinit(&page->timelines);
	fnp_page_pieces_deinit(&page->list);
	fnp_page_pieces_deinit(&page->graphs);
	fnp_page_pieces_deinit(&page->stories);
}

/* The row's group; past GROUPS_MAX functions all others of a kind are one, whose function is "". */
static int group_of(struct page *page, const json_t *row, uint32_t *ret)
{
	fnp_autobuffer struct fnp_buffer key = {0};
	const json_t *function = json_object_get(row, "function");
	uint32_t n;
	int r;

	fnp_buffer_text(&key, json_string_value(json_object_get(row, "kind")));
	key.len = FNP_MIN(key.len, (size_t)32);
	fnp_buffer_byte(&key, '\0');
	if (fnp_intern_count(page->groups) < GROUPS_MAX)
		fnp_buffer_append(&key, json_string_value(function), json_string_length(function));
	if (key.error)
		return key.error;
	r = fnp_intern_add(page->groups, key.data, key.len, &n);
	if (r < 0)
		return r;
	if (n == page->group_rows.len) {
		r = fnp_page_tree_add_group(&page->tree, n);
		if (r == 0)
			r = fnp_vec_push(&page->group_rows, 0);
		if (r < 0)
			return r;
	}
	page->group_rows.items[n]++;
	*ret = n;
	return 0;
}

/* The row's profile; NULL with `ret_chunk` saying why. */
static int read_profile(struct page *page, const json_t *row, struct fnp_profile **ret, int64_t *ret_chunk)
{
	const char *path = json_string_value(json_object_get(row, "pprof"));
	int r = path ? fnp_page_profile_read(page->dirfd, path, ret) : -ENOENT;

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		page->counts.unreadable++;
		*ret_chunk = UNREADABLE;
		return 0;
	}
	*ret_chunk = (*ret)->samples.len ? LEFT_OUT : NO_SAMPLES;
	return 0;
}

/* Adds the samples to the tree, and the row's own graph to the open chunk while there is room. */
static int add_samples(struct page *page, const struct fnp_profile *profile, uint32_t group, struct place *place)
{
	struct fnp_buffer *graph = NULL;

	if (!profile || profile->samples.len == 0)
		return 0;
	if (page->list.deflated.len < ROWS_DEFLATED_MAX &&
	    page->graphs.deflated.len < FNP_MIN((size_t)GRAPHS_DEFLATED_MAX, page->max_bytes)) {
		graph = &page->graphs.raw;
		place->chunk = (int64_t)page->graphs.ends.len;
		place->offset = (int64_t)graph->len;
	}
	return fnp_page_tree_add(&page->tree, group, profile, graph);
}

static uint64_t number(const json_t *row, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(row, key));

	return n > 0 ? (uint64_t)n : 0;
}

/* Adds what the row has of a timeline, while there is room. */
static int add_story(struct page *page, const json_t *row, const struct fnp_profile *profile,
		     struct place *place)
{
	const struct fnp_page_timeline_row told = {
		.events = json_string_value(json_object_get(row, "events")),
		.start_ns = number(row, "start_ns"),
		.profile = profile,
		.nodes = page->tree.sample_nodes.items,
	};
	size_t before = page->stories.raw.len;
	bool any = false;
	int r;

	place->story_chunk = NO_SAMPLES;
	if (!told.events && (!profile || profile->times.len == 0))
		return 0;
	place->story_chunk = LEFT_OUT;
	if (page->list.deflated.len >= ROWS_DEFLATED_MAX || page->stories.deflated.len >= STORIES_DEFLATED_MAX)
		return 0;
	r = fnp_page_timeline_add(&page->timelines, &told, &page->stories.raw, &any);
	if (r < 0)
		return r;
	place->story_chunk = any ? (int64_t)page->stories.ends.len : NO_SAMPLES;
	place->story_offset = (int64_t)before;
	if (!any)
		page->stories.raw.len = before;
	return 0;
}

/* Main facts of a row whose line is too long for the list. */
static json_t *shorten(const json_t *row)
{
	static const char *const keys[] = {"kind",	 "id",		"function", "start",
					   "start_ns",	 "duration_ns", "cpu_ns",   "samples",
					   "sampled_ns", "pid",		"cold",	    "outcome"};
	json_t *ret = json_object();

	for (size_t i = 0; i < FNP_ARRAY_SIZE(keys); i++) {
		json_t *value = json_object_get(row, keys[i]);
		if (json_string_length(value) > 4096)
			continue;
		json_object_set(ret, keys[i], value);
	}
	json_object_set_new(ret, "shortened", json_true());
	return ret;
}

/* A line of the list: [chunk, offset in it, group, chunk and offset of its timeline, row]. */
static int list_row(struct page *page, const json_t *row, const struct place *place)
{
	struct fnp_buffer *b = &page->list.raw;
	char *text = json_dumps(row, JSON_COMPACT);

	if (text && strlen(text) > ROW_TEXT_MAX) {
		json_t *shortened = shorten(row);
		free(text);
		text = json_dumps(shortened, JSON_COMPACT);
		json_decref(shortened);
	}
	if (!text)
		return -ENOMEM;
	fnp_buffer_printf(b, "[%lld,%lld,%u,%lld,%lld,", (long long)place->chunk, (long long)place->offset,
			  place->group, (long long)place->story_chunk, (long long)place->story_offset);
	fnp_buffer_text(b, text);
	fnp_buffer_text(b, "]\n");
	free(text);
	page->list.raw_empty += place->chunk == NO_SAMPLES;
	return fnp_page_pieces_next(&page->list, &page->out);
}

static int add_row(struct page *page, const json_t *row)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;
	struct place place = {0};
	int r = group_of(page, row, &place.group);

	r = r ?: read_profile(page, row, &profile, &place.chunk);
	r = r ?: add_samples(page, profile, place.group, &place);
	r = r ?: add_story(page, row, profile, &place);
	if (r == 0 && page->list.deflated.len < ROWS_DEFLATED_MAX)
		r = list_row(page, row, &place);
	if (r == 0 && place.chunk >= 0)
		r = fnp_page_pieces_next(&page->graphs, &page->out);
	if (r == 0 && place.story_chunk >= 0)
		r = fnp_page_pieces_next(&page->stories, &page->out);
	return r;
}

static int read_recording(struct page *page)
{
	int r = fnp_page_rows_init(&page->rows, page->dirfd);

	if (r == 0)
		r = fnp_page_rows_order(&page->rows);
	if (r < 0)
		return r;
	page->counts.rows = page->rows.items.len + page->rows.unreadable;
	page->counts.unreadable = page->rows.unreadable;
	for (size_t i = 0; i < page->rows.items.len; i++) {
		json_t *row;
		r = fnp_page_rows_read(&page->rows, &page->rows.items.items[i], &row);
		if (r == -EBADMSG) {
			page->counts.unreadable++;
			continue;
		}
		if (r < 0)
			return r;
		r = add_row(page, row);
		json_decref(row);
		if (r < 0)
			return r;
	}
	r = fnp_page_pieces_flush(&page->list, &page->out);
	r = r ?: fnp_page_pieces_flush(&page->graphs, &page->out);
	return r ?: fnp_page_pieces_flush(&page->stories, &page->out);
}

static json_t *text_of(const char *text, size_t len)
{
	json_t *ret = json_stringn(text, len);

	return ret ? ret : json_string("?");
}

static json_t *describe_groups(const struct page *page)
{
	json_t *groups = json_array();

	for (uint32_t i = 0; i < page->group_rows.len; i++) {
		size_t len;
		const char *key = fnp_intern_get(page->groups, i, &len);
		size_t kind = strlen(key);
		json_t *group = json_object();
		json_object_set_new(group, "kind", text_of(key, kind));
		json_object_set_new(group, "function", text_of(key + kind + 1, len - kind - 1));
		json_object_set_new(group, "rows", json_integer((json_int_t)page->group_rows.items[i]));
		json_array_append_new(groups, group);
	}
	return groups;
}

/* The table of contents, which the page's script reads first. */
static int write_head(struct page *page, size_t n_chunks)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	json_t *head = json_object(), *types = json_array(), *summary = NULL;

	if (fnp_page_summary_read(page->dirfd, &summary) == 0)
		json_object_set_new(head, "summary", summary);
	for (uint32_t i = 0; i < fnp_intern_count(page->tree.value_types); i++)
		json_array_append_new(types, json_string(fnp_intern_get_text(page->tree.value_types, i)));
	json_object_set_new(head, "format", json_integer(1));
	json_object_set_new(head, "value_types", types);
	json_object_set_new(head, "groups", describe_groups(page));
	json_object_set_new(head, "rows", json_integer((json_int_t)page->counts.rows));
	json_object_set_new(head, "listed", json_integer((json_int_t)page->counts.listed));
	json_object_set_new(head, "unreadable", json_integer((json_int_t)page->counts.unreadable));
	json_object_set_new(head, "cut", json_integer((json_int_t)page->tree.cut));
	json_object_set_new(head, "chunks", json_integer((json_int_t)n_chunks));
	char *text = json_dumps(head, JSON_COMPACT);
	json_decref(head);
	if (!text)
		return -ENOMEM;
	fnp_buffer_text(&b, text);
	free(text);
	fnp_page_out_table(&page->out, "head", &b);
	return page->out.error;
}

/* Writes one table and forgets it, so that only one is in memory. */
static void write_table(struct page *page, const char *name,
			void (*encode)(const struct fnp_page_tree *tree, struct fnp_buffer *ret))
{
	fnp_autobuffer struct fnp_buffer b = {0};

	encode(&page->tree, &b);
	fnp_page_out_table(&page->out, name, &b);
}

static int write_sums(struct page *page)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	int r = fnp_page_tree_encode_sums(&page->tree, (uint32_t)page->group_rows.len, &b);

	if (r == 0)
		fnp_page_out_table(&page->out, "sums", &b);
	return r;
}

/* What is left of the page, but for the table of contents and the script, which come last. */
static size_t room_left(const struct page *page)
{
	size_t used = page->out.bytes + (1u << 20);

	return page->max_bytes - FNP_MIN(used, page->max_bytes);
}

/*
 * List, single graphs and timelines share what the tables left of the page's size: the list may have three quarters,
 * and what the others do not need; timelines a quarter of the rest, and what the graphs do not need. Returns how many
 * pieces of graphs were written.
 */
static size_t write_rows(struct page *page)
{
	size_t graphs = fnp_page_pieces_bytes(&page->graphs), stories = fnp_page_pieces_bytes(&page->stories);
	size_t room = room_left(page);
	size_t n = fnp_page_pieces_write(&page->list, &page->out, "rows",
					 room - FNP_MIN(graphs + stories, room / 4));

	for (size_t i = 0; i < n; i++) {
		page->counts.listed += page->list.ends.items[i].items;
		page->counts.singles += page->list.ends.items[i].empty;
	}
	room = room_left(page);
	n = fnp_page_pieces_write(&page->graphs, &page->out, "graphs", room - FNP_MIN(stories, room / 4));
	for (size_t i = 0; i < n; i++)
		page->counts.singles += page->graphs.ends.items[i].items;
	page->counts.singles = FNP_MIN(page->counts.singles, page->counts.listed);
	fnp_page_pieces_write(&page->stories, &page->out, "stories", room_left(page));
	return n;
}

static void write_texts(struct page *page)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	fnp_page_timelines_encode_texts(&page->timelines, &b);
	fnp_page_out_table(&page->out, "texts", &b);
}

static int write_page(struct page *page)
{
	int r;

	fnp_page_out_bytes(&page->out, fnp_page_template_head, fnp_page_template_head_len);
	write_table(page, "strings", fnp_page_tree_encode_strings);
	write_table(page, "frames", fnp_page_tree_encode_frames);
	write_table(page, "nodes", fnp_page_tree_encode_nodes);
	write_texts(page);
	r = write_sums(page);
	if (r < 0)
		return r;
	r = write_head(page, write_rows(page));
	fnp_page_out_bytes(&page->out, fnp_page_template_tail, fnp_page_template_tail_len);
	return r < 0 ? r : page->out.error;
}

static int make(struct page *page, FILE *file)
{
	int r = fnp_page_out_init(&page->out, file);

	if (r == 0)
		r = fnp_page_tree_init(&page->tree);
	if (r == 0)
		r = fnp_intern_create(0, &page->groups);
	if (r == 0)
		r = fnp_page_timelines_init(&page->timelines, page->dirfd);
	if (r == 0)
		r = read_recording(page);
	if (r == 0)
		r = write_page(page);
	if (r == 0 && fflush(file) != 0)
		r = -errno;
	return r;
}

/* The page beside its final name, renamed when it is whole. */
static int make_file(struct page *page, int dirfd, const char *path)
{
	fnp_autofclose FILE *file = NULL;
	fnp_autoclose int fd = -1;
	int r = fnp_file_begin_at(dirfd, path, &fd);

	if (r < 0)
		return r;
	file = fdopen(fd, "w");
	if (!file) {
		r = -errno;
	} else {
		TAKE_FD(fd);
		r = make(page, file);
	}
	if (r == 0)
		return fnp_file_commit_at(dirfd, path);
	fnp_file_abort_at(dirfd, path);
	return r;
}

int fnp_page_write(int dirfd, const struct fnp_page_options *options, struct fnp_page_counts *ret)
{
	static const struct fnp_page_options defaults;
	FNP_CLEANUP(page_deinit) struct page page = {.dirfd = dirfd, .rows.fd = -1};
	int r;

	if (!options)
		options = &defaults;
	page.max_bytes = FNP_MAX(options->max_bytes ? options->max_bytes : FNP_PAGE_BYTES_MAX, 2u << 20);
	if (options->stream)
		r = make(&page, options->stream);
	else if (options->path)
		r = make_file(&page, AT_FDCWD, options->path);
	else
		r = make_file(&page, dirfd, "index.html");
	if (r == 0 && ret) {
		page.counts.bytes = page.out.bytes;
		*ret = page.counts;
	}
	return r;
}
