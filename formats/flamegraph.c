/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flame graph of one profile: one HTML file with an SVG, to attach or to open; nothing is fetched. (The page of a
 * whole recording is another thing: profiler/output.)
 *
 * Samples are put into a tree, a node for each way to a frame, numbered so that a parent stands before its children.
 * Children are laid out by name; a node's place is a share of the whole, so the graph is as wide as its window.
 * Frames below SHARE_MIN of the whole are not drawn, and the page says how many: they would be less than a third of
 * a pixel, and millions of them no browser can hold.
 */
#include "formats/format.h"

#include "base/map.h"
#include "formats/flamegraph_page.h"
#include "formats/frame_text.h"

#define SHARE_MIN 0.0002
#define ROW_PX 18
#define ROOT 0

struct node {
	uint32_t parent; /* a smaller number; of the root itself */
	uint32_t name;	 /* in encoder.names */
	uint32_t depth;
	uint8_t kind;  /* enum fnp_frame_kind */
	int64_t value; /* with its children */
	int64_t place; /* what stands before it: sum of values */
};

struct encoder {
	const struct fnp_profile *profile;
	struct fnp_intern *names; /* with suffix; node 0's is the title */
	struct fnp_map children;  /* parent << 32 | name to number */
	FNP_VEC(struct node) nodes;
	uint32_t *order; /* numbers by parent, then name */
	struct fnp_buffer text;
	uint32_t depth_max;
};

static void encoder_deinit(struct encoder *e)
{
	fnp_intern_destroy(e->names);
	fnp_map_deinit(&e->children);
	fnp_vec_deinit(&e->nodes);
	free(e->order);
	fnp_buffer_deinit(&e->text);
}

/* ---- the tree ----------------------------------------------------------------------------------------------- */

static int add_root(struct encoder *e)
{
	struct node root = {.kind = FNP_FRAME_MARKER};
	int r;

	fnp_profile_title(e->profile, &e->text);
	if (e->text.error)
		return e->text.error;
	r = fnp_intern_add(e->names, e->text.data, e->text.len, &root.name);
	return r < 0 ? r : fnp_vec_push(&e->nodes, root);
}

/* The child of `parent` with the name that stands in e->text, made when there is none. */
static int child(struct encoder *e, uint32_t parent, uint8_t kind, uint32_t *ret)
{
	struct node new = {.parent = parent, .kind = kind, .depth = e->nodes.items[parent].depth + 1};
	const uint64_t *have;
	uint64_t key;
	int r = fnp_intern_add(e->names, e->text.data, e->text.len, &new.name);

	if (r < 0)
		return r;
	key = (uint64_t)parent << 32 | new.name;
	have = fnp_map_find(&e->children, key);
	if (have) {
		*ret = (uint32_t)*have;
		return 0;
	}
	if (e->nodes.len == UINT32_MAX)
		return -ENOSPC;
	r = fnp_map_set(&e->children, key, e->nodes.len);
	if (r == 0)
		r = fnp_vec_push(&e->nodes, new);
	if (r < 0)
		return r;
	e->depth_max = FNP_MAX(e->depth_max, new.depth);
	*ret = (uint32_t)e->nodes.len - 1;
	return 0;
}

/* Nothing is as wide as less than nothing, and a sum that does not fit stays at the largest. */
static void widen(struct node *node, int64_t value)
{
	if (value > 0 && __builtin_add_overflow(node->value, value, &node->value))
		node->value = INT64_MAX;
}

static int add_sample(struct encoder *e, const struct fnp_profile_sample *sample)
{
	const uint32_t *stack = &e->profile->stacks.items[sample->first_location];
	int64_t value = sample->values[e->profile->default_value];
	uint32_t at = ROOT;

	widen(&e->nodes.items[ROOT], value);
	for (uint32_t i = sample->n_locations; i-- > 0;) {
		const struct fnp_profile_location *location = &e->profile->locations.items[stack[i]];
		for (uint32_t line = location->n_lines; line-- > 0;) {
			e->text.len = 0;
			fnp_frame_text(e->profile, location, line, &e->text);
			int r = e->text.error ? e->text.error : child(e, at, location->kind, &at);
			if (r < 0)
				return r;
			widen(&e->nodes.items[at], value);
		}
	}
	return 0;
}

static int by_parent_and_name(const void *a, const void *b, void *encoder)
{
	const struct encoder *e = encoder;
	const struct node *x = &e->nodes.items[*(const uint32_t *)a],
			  *y = &e->nodes.items[*(const uint32_t *)b];

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return strcmp(fnp_intern_get_text(e->names, x->name), fnp_intern_get_text(e->names, y->name));
}

/* In this order a node's parent has its place before the node has. */
static int lay_out(struct encoder *e)
{
	int64_t place = 0;
	size_t n = e->nodes.len - 1;

	e->order = calloc(n + 1, sizeof(*e->order));
	if (!e->order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		e->order[i] = (uint32_t)i + 1;
	qsort_r(e->order, n, sizeof(*e->order), by_parent_and_name, e);
	for (size_t i = 0; i < n; i++) {
		struct node *node = &e->nodes.items[e->order[i]];
		if (i == 0 || node->parent != e->nodes.items[e->order[i - 1]].parent)
			place = e->nodes.items[node->parent].place;
		node->place = place;
		if (__builtin_add_overflow(place, node->value, &place))
			place = INT64_MAX;
	}
	return 0;
}

/* ---- the file ----------------------------------------------------------------------------------------------- */

static const char *const kind_names[FNP_FRAME_KINDS] = {
	[FNP_FRAME_NATIVE] = "native", [FNP_FRAME_KERNEL] = "kernel", [FNP_FRAME_PYTHON] = "python",
	[FNP_FRAME_JVM] = "jvm",       [FNP_FRAME_V8] = "v8",	      [FNP_FRAME_MARKER] = "marker",
};

static void put_frame(const struct encoder *e, const struct node *node, struct fnp_buffer *b)
{
	double whole = (double)FNP_MAX(e->nodes.items[ROOT].value, (int64_t)1);
	const char *name = fnp_intern_get_text(e->names, node->name);
	double share = 100.0 * (double)node->value / whole;

	fnp_buffer_printf(
		b, "<svg class=\"%s\" tabindex=\"0\" data-frame x=\"%.4f%%\" y=\"%u\" width=\"%.4f%%\" height=\"%d\">",
		kind_names[node->kind], 100.0 * (double)node->place / whole,
		(e->depth_max - node->depth) * ROW_PX, share, ROW_PX - 1);
	fnp_buffer_text(b, "<title>");
	fnp_format_html_text(b, name);
	fnp_buffer_printf(
		b, " (%.3f ms, %.2f %%)</title><rect width=\"100%%\" height=\"100%%\"/><text x=\"3\" y=\"13\">",
		(double)node->value / 1e6, share);
	fnp_format_html_text(b, name);
	fnp_buffer_text(b, "</text></svg>\n");
}

static uint32_t put_frames(const struct encoder *e, struct fnp_buffer *b)
{
	double least = SHARE_MIN * (double)e->nodes.items[ROOT].value;
	uint32_t left_out = 0;

	put_frame(e, &e->nodes.items[ROOT], b);
	for (size_t i = 0; i + 1 < e->nodes.len; i++) {
		const struct node *node = &e->nodes.items[e->order[i]];
		if (node->value > 0 && (double)node->value >= least)
			put_frame(e, node, b);
		else
			left_out++;
	}
	return left_out;
}

static void put_page(const struct encoder *e, struct fnp_buffer *b)
{
	const char *title = fnp_intern_get_text(e->names, e->nodes.items[ROOT].name);
	uint32_t left_out;

	fnp_buffer_text(b, FNP_FLAMEGRAPH_HEAD "<title>");
	fnp_format_html_text(b, title);
	fnp_buffer_text(b, "</title>" FNP_FLAMEGRAPH_STYLE "<header><h1>");
	fnp_format_html_text(b, title);
	fnp_buffer_text(b, "</h1>" FNP_FLAMEGRAPH_TOOLS "</header>\n");
	fnp_buffer_printf(b, "<svg id=\"graph\" width=\"100%%\" height=\"%u\">\n", (e->depth_max + 1) * ROW_PX);
	left_out = put_frames(e, b);
	fnp_buffer_text(b, "</svg>\n<footer>");
	if (left_out)
		fnp_buffer_printf(b, "%u frames below %.2f %% of the whole are not drawn. ", left_out,
				  100 * SHARE_MIN);
	fnp_buffer_text(b, FNP_FLAMEGRAPH_LEGEND "</footer>\n" FNP_FLAMEGRAPH_SCRIPT);
}

static int encode(const struct fnp_profile *profile, struct fnp_buffer *ret)
{
	FNP_CLEANUP(encoder_deinit) struct encoder e = {.profile = profile};
	fnp_autobuffer struct fnp_buffer page = {0};
	int r = fnp_intern_create(0, &e.names);

	if (r == 0)
		r = add_root(&e);
	for (size_t i = 0; r == 0 && i < profile->samples.len; i++) {
		if (fnp_profile_sample_counts(profile, &profile->samples.items[i]))
			r = add_sample(&e, &profile->samples.items[i]);
	}
	if (r == 0)
		r = lay_out(&e);
	if (r < 0)
		return r;
	put_page(&e, &page);
	if (page.error)
		return page.error;
	fnp_buffer_append(ret, page.data, page.len);
	return ret->error;
}

const struct fnp_format_ops fnp_format_flamegraph = {
	.name = "flamegraph",
	.suffix = ".html",
	.description = "a flame graph in one HTML file that fetches nothing",
	.encode = encode,
};
