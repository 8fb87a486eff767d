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
#include "profiler/output/page/blocks.h"
#include "profiler/output/page/recording.h"
#include "profiler/output/page/rows.h"
#include "profiler/output/page/template.h"
#include "profiler/output/page/tree.h"

#define PIECE_BYTES (256u << 10)	/* of rows or graphs that are deflated together */
#define GRAPHS_DEFLATED_MAX (20u << 20) /* kept until the size of the tables is known */
#define ROWS_DEFLATED_MAX (12u << 20)
#define ROW_TEXT_MAX (16u << 10) /* longer lines are listed with their main facts only */
#define GROUPS_MAX 4096

/* What stands in the place of a row's chunk number when it has no graph; page/data.js reads these. */
enum { NO_SAMPLES = -1, UNREADABLE = -2, LEFT_OUT = -3 };

struct piece {
	size_t end;	       /* in the deflated bytes */
	uint64_t items, empty; /* rows or graphs; rows without samples */
};

/* Deflated pieces, one after the other. */
struct pieces {
	struct fnp_buffer raw; /* not deflated yet */
	uint64_t raw_items, raw_empty;
	struct fnp_buffer deflated;
	FNP_VEC(struct piece) ends;
};

struct page {
	int dirfd;
	size_t max_bytes;
	struct fnp_page_out out;
	struct fnp_page_rows rows;
	struct fnp_page_tree tree;
	struct fnp_intern *groups; /* kind, NUL, function */
	FNP_VEC(uint64_t) group_rows;
	struct pieces list, graphs;
	struct fnp_page_counts counts;
};

static void pieces_deinit(struct pieces *pieces)
{
	fnp_buffer_deinit(&pieces->raw);
	fnp_buffer_deinit(&pieces->deflated);
	fnp_vec_deinit(&pieces->ends);
}

static void page_deinit(struct page *page)
{
	fnp_page_out_deinit(&page->out);
	fnp_page_rows_deinit(&page->rows);
	fnp_page_tree_deinit(&page->tree);
	fnp_intern_destroy(page->groups);
	fnp_vec_deinit(&page->group_rows);
	pieces_deinit(&page->list);
	pieces_deinit(&page->graphs);
}

static int pieces_flush(struct page *page, struct pieces *pieces)
{
	int r = pieces->raw.error;

	if (r < 0 || pieces->raw.len == 0)
		return r;
	r = fnp_page_deflate(&page->out, pieces->raw.data, pieces->raw.len, &pieces->deflated);
	if (r == 0)
		r = fnp_vec_push(&pieces->ends,
				 (struct piece){pieces->deflated.len, pieces->raw_items, pieces->raw_empty});
	pieces->raw.len = 0;
	pieces->raw_items = pieces->raw_empty = 0;
	return r;
}

/* One more item stands in `raw`. */
static int pieces_next(struct page *page, struct pieces *pieces)
{
	pieces->raw_items++;
	return pieces->raw.len >= PIECE_BYTES ? pieces_flush(page, pieces) : 0;
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

/* Adds the row's samples to the tree, and its own graph to the open chunk while there is room. `ret`: its chunk. */
static int add_samples(struct page *page, const json_t *row, uint32_t group, int64_t *ret)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = NULL;
	const char *path = json_string_value(json_object_get(row, "pprof"));
	struct fnp_buffer *graph = NULL;
	int r = path ? fnp_page_profile_read(page->dirfd, path, &profile) : -ENOENT;

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		page->counts.unreadable++;
		*ret = UNREADABLE;
		return 0;
	}
	*ret = NO_SAMPLES;
	if (profile->samples.len == 0)
		return 0;
	*ret = LEFT_OUT;
	if (page->list.deflated.len < ROWS_DEFLATED_MAX &&
	    page->graphs.deflated.len < FNP_MIN((size_t)GRAPHS_DEFLATED_MAX, page->max_bytes)) {
		graph = &page->graphs.raw;
		*ret = (int64_t)page->graphs.ends.len;
	}
	return fnp_page_tree_add(&page->tree, group, profile, graph);
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

/* A line of the list: [chunk, offset in it, group, row]. */
static int list_row(struct page *page, const json_t *row, const int64_t place[static 3])
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
	fnp_buffer_printf(b, "[%lld,%lld,%lld,", (long long)place[0], (long long)place[1], (long long)place[2]);
	fnp_buffer_text(b, text);
	fnp_buffer_text(b, "]\n");
	free(text);
	page->list.raw_empty += place[0] == NO_SAMPLES;
	return pieces_next(page, &page->list);
}

static int add_row(struct page *page, const json_t *row)
{
	int64_t place[3] = {0, (int64_t)page->graphs.raw.len, 0};
	uint32_t group = 0;
	int r = group_of(page, row, &group);

	if (r == 0)
		r = add_samples(page, row, group, &place[0]);
	if (r < 0)
		return r;
	place[2] = group;
	if (page->list.deflated.len < ROWS_DEFLATED_MAX)
		r = list_row(page, row, place);
	if (r == 0 && place[0] >= 0)
		r = pieces_next(page, &page->graphs);
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
	r = pieces_flush(page, &page->list);
	return r < 0 ? r : pieces_flush(page, &page->graphs);
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

/* Writes pieces until they take more than `room`; returns how many. */
static size_t write_pieces(struct page *page, const char *name, const struct pieces *pieces, size_t room)
{
	size_t begin = 0, i;

	for (i = 0; i < pieces->ends.len; i++) {
		size_t len = pieces->ends.items[i].end - begin, bytes = fnp_page_block_bytes(len);
		if (bytes > room)
			break;
		fnp_page_out_block(&page->out, name, pieces->deflated.data + begin, len);
		begin = pieces->ends.items[i].end;
		room -= bytes;
	}
	return i;
}

/* What is left of the page, but for the table of contents and the script, which come last. */
static size_t room_left(const struct page *page)
{
	size_t used = page->out.bytes + (1u << 20);

	return page->max_bytes - FNP_MIN(used, page->max_bytes);
}

/*
 * The list and the single graphs share what the tables left of the page's size: the list may have
 * three quarters, and what the graphs do not need. Returns how many pieces of graphs were written.
 */
static size_t write_rows(struct page *page)
{
	size_t all_graphs = page->graphs.deflated.len / 3 * 4 + page->graphs.ends.len * fnp_page_block_bytes(3);
	size_t room = room_left(page);
	size_t n = write_pieces(page, "rows", &page->list, room - FNP_MIN(all_graphs, room / 4));

	for (size_t i = 0; i < n; i++) {
		page->counts.listed += page->list.ends.items[i].items;
		page->counts.singles += page->list.ends.items[i].empty;
	}
	n = write_pieces(page, "graphs", &page->graphs, room_left(page));
	for (size_t i = 0; i < n; i++)
		page->counts.singles += page->graphs.ends.items[i].items;
	page->counts.singles = FNP_MIN(page->counts.singles, page->counts.listed);
	return n;
}

static int write_page(struct page *page)
{
	int r;

	fnp_page_out_bytes(&page->out, fnp_page_template_head, fnp_page_template_head_len);
	write_table(page, "strings", fnp_page_tree_encode_strings);
	write_table(page, "frames", fnp_page_tree_encode_frames);
	write_table(page, "nodes", fnp_page_tree_encode_nodes);
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
