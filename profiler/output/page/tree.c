/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/page/tree.h"

#include <errno.h>

#include <xxhash.h>

#include "base/text.h"
#include "profiler/output/page/blocks.h"

/*
 * The bounds. With all of them reached, and nothing that deflates, the tables are 28 MB of the page; single graphs
 * get what is left of its size.
 */
#define STRING_BYTES_MAX (6u << 20)
#define FRAMES_MAX (1u << 18)
#define NODES_MAX (1u << 20)
#define SUMS_MAX (1u << 19)
#define TEXT_MAX 4096 /* of one name; longer ones are cut and end in a hash */
#define NO_FRAME UINT32_MAX

int fnp_page_tree_init(struct fnp_page_tree *tree)
{
	struct fnp_page_frame root = {0};
	uint32_t n;
	int r;

	*tree = (struct fnp_page_tree){0};
	r = fnp_intern_create(STRING_BYTES_MAX, &tree->strings);
	if (r == 0)
		r = fnp_intern_create(0, &tree->value_types);
	if (r == 0)
		r = fnp_intern_create(FRAMES_MAX * sizeof(struct fnp_page_frame), &tree->frames);
	if (r == 0)
		r = fnp_intern_text(tree->strings, "", &n);
	if (r == 0)
		r = fnp_intern_text(tree->value_types, "samples/count", &n);
	if (r == 0)
		r = fnp_intern_text(tree->value_types, "cpu/nanoseconds", &n);
	if (r == 0)
		r = fnp_intern_add(tree->frames, &root, sizeof(root), &n);
	if (r == 0)
		r = fnp_vec_push(&tree->lines, (struct fnp_page_lines){0});
	if (r == 0)
		r = fnp_pairs_add(&tree->nodes, (struct fnp_pair){0, 0}, NODES_MAX, &n);
	if (r < 0)
		fnp_page_tree_deinit(tree);
	return r;
}

void fnp_page_tree_deinit(struct fnp_page_tree *tree)
{
	fnp_intern_destroy(tree->strings);
	fnp_intern_destroy(tree->value_types);
	fnp_intern_destroy(tree->frames);
	fnp_vec_deinit(&tree->lines);
	fnp_pairs_deinit(&tree->nodes);
	fnp_pairs_deinit(&tree->sum_keys);
	fnp_vec_deinit(&tree->sums);
	fnp_vec_deinit(&tree->line_frames);
	fnp_vec_deinit(&tree->sample_nodes);
	*tree = (struct fnp_page_tree){0};
}

/* A text made fit to be shown, at most TEXT_MAX bytes; of two long ones that begin alike the hashes differ. */
static size_t clean_text(const char *text, char ret[static TEXT_MAX + 16])
{
	size_t len = strlen(text), cut = FNP_MIN(len, (size_t)TEXT_MAX);

	/* Not in the middle of a character. */
	while (len > cut && cut > TEXT_MAX - 4 && ((unsigned char)text[cut] & 0xc0) == 0x80)
		cut--;
	size_t n = fnp_text_to_utf8(text, cut, ret);
	fnp_text_make_printable(ret, n);
	if (len > cut)
		n += (size_t)snprintf(ret + n, 16, "...%08x", (uint32_t)XXH3_64bits(text, len));
	return n;
}

static int add_string(struct fnp_page_tree *tree, const char *text, uint32_t *ret)
{
	char clean[TEXT_MAX + 16];

	return fnp_intern_add(tree->strings, clean, clean_text(text, clean), ret);
}

/* Where a profile's texts, functions and mappings are numbered anew. */
static int add_frame(struct fnp_page_tree *tree, const struct fnp_profile *profile,
		     const struct fnp_profile_location *location, uint32_t line, uint32_t *ret)
{
	const struct fnp_profile_line *l = &profile->lines.items[line];
	const struct fnp_profile_function *function = &profile->functions.items[l->function];
	struct fnp_page_frame frame = {
		.start_line = function->start_line,
		.kind = location->kind,
		.tier = location->tier,
		.inlined = line + 1 < location->first_line + location->n_lines,
	};
	uint32_t n;
	int r = add_string(tree, fnp_profile_string(profile, function->name), &frame.name);

	if (r == 0)
		r = add_string(tree, fnp_profile_string(profile, function->file), &frame.file);
	if (r == 0 && (location->kind == FNP_FRAME_NATIVE || location->kind == FNP_FRAME_KERNEL)) {
		const struct fnp_profile_mapping *mapping = &profile->mappings.items[location->mapping];
		r = add_string(tree, fnp_profile_string(profile, mapping->file), &frame.object);
	}
	if (r == 0)
		r = fnp_vec_reserve(&tree->lines, (size_t)fnp_intern_count(tree->frames) + 1);
	if (r == 0)
		r = fnp_intern_add(tree->frames, &frame, sizeof(frame), &n);
	if (r < 0)
		return r;
	if (n == tree->lines.len)
		tree->lines.items[tree->lines.len++] = (struct fnp_page_lines){0};
	struct fnp_page_lines *seen = &tree->lines.items[n];
	if (l->line && (!seen->min || l->line < seen->min))
		seen->min = l->line;
	seen->max = FNP_MAX(seen->max, l->line);
	*ret = n;
	return 0;
}

static int add_frames(struct fnp_page_tree *tree, const struct fnp_profile *profile)
{
	int r = fnp_vec_reserve(&tree->line_frames, profile->lines.len);

	if (r < 0)
		return r;
	tree->line_frames.len = profile->lines.len;
	for (size_t i = 0; i < profile->locations.len; i++) {
		const struct fnp_profile_location *location = &profile->locations.items[i];
		for (uint32_t j = 0; j < location->n_lines; j++) {
			uint32_t line = location->first_line + j;
			r = add_frame(tree, profile, location, line, &tree->line_frames.items[line]);
			if (r == -ENOSPC)
				tree->line_frames.items[line] = NO_FRAME;
			else if (r < 0)
				return r;
		}
	}
	return 0;
}

/* The node of a sample's stack, from the root down; inlined functions stand below the one that holds them. */
static int add_stack(struct fnp_page_tree *tree, const struct fnp_profile *profile,
		     const struct fnp_profile_sample *sample, uint32_t *ret, bool *ret_cut)
{
	const uint32_t *stack = profile->stacks.items + sample->first_location;
	uint32_t node = 0;

	*ret_cut = false;
	for (uint32_t i = sample->n_locations; i > 0; i--) {
		const struct fnp_profile_location *location = &profile->locations.items[stack[i - 1]];
		for (uint32_t j = location->n_lines; j > 0; j--) {
			uint32_t frame = tree->line_frames.items[location->first_line + j - 1];
			int r = frame == NO_FRAME ? -ENOSPC
						  : fnp_pairs_add(&tree->nodes, (struct fnp_pair){node, frame},
								  NODES_MAX, &node);
			if (r == -ENOSPC) {
				*ret_cut = true;
				*ret = node;
				return 0;
			}
			if (r < 0)
				return r;
		}
	}
	*ret = node;
	return 0;
}

int fnp_page_tree_add_group(struct fnp_page_tree *tree, uint32_t group)
{
	uint32_t n;
	int r = fnp_vec_reserve(&tree->sums, tree->sum_keys.items.len + 1);

	if (r == 0)
		r = fnp_pairs_add(&tree->sum_keys, (struct fnp_pair){group, 0}, SIZE_MAX, &n);
	if (r == 0 && n == tree->sums.len)
		tree->sums.items[tree->sums.len++] = (struct fnp_page_sum){0};
	return r;
}

static int64_t saturating_add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* Adds to the group's sum at this node or, with no room for a new one, at the nearest caller that has one. */
static int add_sum(struct fnp_page_tree *tree, struct fnp_pair key, const int64_t *values, bool *ret_cut)
{
	uint32_t n;
	int r = fnp_vec_reserve(&tree->sums, tree->sum_keys.items.len + 1);

	if (r == 0)
		r = fnp_pairs_add(&tree->sum_keys, key, SUMS_MAX, &n);
	while (r == -ENOSPC || r == -ENOENT) {
		*ret_cut = true;
		key.b = tree->nodes.items.items[key.b].a;
		r = fnp_pairs_find(&tree->sum_keys, key, &n);
	}
	if (r < 0)
		return r;
	if (n == tree->sums.len)
		tree->sums.items[tree->sums.len++] = (struct fnp_page_sum){0};
	for (uint32_t i = 0; i < FNP_PAGE_VALUES_MAX; i++)
		tree->sums.items[n].values[i] = saturating_add(tree->sums.items[n].values[i], values[i]);
	return 0;
}

/* Which of the page's values each of the profile's is; FNP_PAGE_VALUES_MAX for those that the page has no room for. */
static int map_values(struct fnp_page_tree *tree, const struct fnp_profile *profile,
		      uint32_t ret[static FNP_PROFILE_VALUES_MAX])
{
	for (uint32_t i = 0; i < profile->n_value_types; i++) {
		char name[128], clean[TEXT_MAX + 16];
		uint32_t n = 0, known = fnp_intern_count(tree->value_types);
		snprintf(name, sizeof(name), "%s/%s", fnp_profile_string(profile, profile->value_types[i].type),
			 fnp_profile_string(profile, profile->value_types[i].unit));
		size_t len = clean_text(name, clean);
		if (known < FNP_PAGE_VALUES_MAX) {
			int r = fnp_intern_add(tree->value_types, clean, len, &n);
			if (r < 0)
				return r;
			ret[i] = n;
			continue;
		}
		for (; n < known; n++) {
			if (strcmp(fnp_intern_get_text(tree->value_types, n), clean) == 0)
				break;
		}
		ret[i] = n;
	}
	return 0;
}

int fnp_page_tree_add(struct fnp_page_tree *tree, uint32_t group, const struct fnp_profile *profile,
		      struct fnp_buffer *ret)
{
	uint32_t value_of[FNP_PROFILE_VALUES_MAX], before = 0;
	int r = map_values(tree, profile, value_of);

	if (r == 0)
		r = add_frames(tree, profile);
	if (r == 0)
		r = fnp_vec_reserve(&tree->sample_nodes, profile->samples.len);
	if (r < 0)
		return r;
	tree->sample_nodes.len = 0;
	uint32_t n_values = fnp_intern_count(tree->value_types);
	if (ret) {
		fnp_page_varint(ret, n_values);
		fnp_page_varint(ret, profile->samples.len);
	}
	for (size_t i = 0; i < profile->samples.len; i++) {
		const struct fnp_profile_sample *sample = &profile->samples.items[i];
		int64_t values[FNP_PAGE_VALUES_MAX] = {0};
		bool cut, sum_cut = false;
		uint32_t node;

		for (uint32_t j = 0; j < profile->n_value_types; j++) {
			if (value_of[j] < FNP_PAGE_VALUES_MAX)
				values[value_of[j]] = FNP_MAX(sample->values[j], 0);
		}
		r = add_stack(tree, profile, sample, &node, &cut);
		if (r == 0)
			r = add_sum(tree, (struct fnp_pair){group, node}, values, &sum_cut);
		if (r < 0)
			return r;
		tree->sample_nodes.items[tree->sample_nodes.len++] = node;
		if (cut || sum_cut)
			tree->cut += (uint64_t)values[0];
		if (!ret)
			continue;
		/* Zigzag: nodes do not come in order. */
		int64_t step = (int64_t)node - before;
		fnp_page_varint(ret, (uint64_t)step << 1 ^ (uint64_t)(step >> 63));
		for (uint32_t j = 0; j < n_values; j++)
			fnp_page_varint(ret, (uint64_t)values[j]);
		before = node;
	}
	return ret ? ret->error : 0;
}

void fnp_page_tree_encode_strings(const struct fnp_page_tree *tree, struct fnp_buffer *ret)
{
	for (uint32_t i = 0; i < fnp_intern_count(tree->strings); i++) {
		size_t len;
		const void *text = fnp_intern_get(tree->strings, i, &len);
		fnp_page_varint(ret, len);
		fnp_buffer_append(ret, text, len);
	}
}

/* Each: name, file, object, start line, first and last line seen, kind | tier << 3 | inlined << 6. */
void fnp_page_tree_encode_frames(const struct fnp_page_tree *tree, struct fnp_buffer *ret)
{
	for (uint32_t i = 0; i < fnp_intern_count(tree->frames); i++) {
		size_t len;
		const struct fnp_page_frame *f = fnp_intern_get(tree->frames, i, &len);
		fnp_page_varint(ret, f->name);
		fnp_page_varint(ret, f->file);
		fnp_page_varint(ret, f->object);
		fnp_page_varint(ret, f->start_line);
		fnp_page_varint(ret, tree->lines.items[i].min);
		fnp_page_varint(ret, tree->lines.items[i].max - tree->lines.items[i].min);
		fnp_buffer_byte(ret, (uint8_t)(f->kind | f->tier << 3 | f->inlined << 6));
	}
}

/* Each but the root: how far before it its parent is (parents come first), and its frame. */
void fnp_page_tree_encode_nodes(const struct fnp_page_tree *tree, struct fnp_buffer *ret)
{
	for (size_t i = 1; i < tree->nodes.items.len; i++) {
		fnp_page_varint(ret, i - tree->nodes.items.items[i].a);
		fnp_page_varint(ret, tree->nodes.items.items[i].b);
	}
}

static int compare_sums(const void *a, const void *b, void *tree_)
{
	const struct fnp_page_tree *tree = tree_;
	const struct fnp_pair *x = &tree->sum_keys.items.items[*(const uint32_t *)a];
	const struct fnp_pair *y = &tree->sum_keys.items.items[*(const uint32_t *)b];

	if (x->a != y->a)
		return x->a < y->a ? -1 : 1;
	return x->b < y->b ? -1 : x->b > y->b;
}

/* For each group the same bytes as a row's own graph. */
int fnp_page_tree_encode_sums(const struct fnp_page_tree *tree, uint32_t n_groups, struct fnp_buffer *ret)
{
	uint32_t n_values = fnp_intern_count(tree->value_types);
	size_t n = tree->sums.len, at = 0;
	fnp_autofree uint32_t *order = calloc(n + 1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, n, sizeof(*order), compare_sums, (void *)tree);
	for (uint32_t group = 0; group < n_groups; group++) {
		size_t end = at;
		uint32_t before = 0;
		while (end < n && tree->sum_keys.items.items[order[end]].a == group)
			end++;
		fnp_page_varint(ret, n_values);
		fnp_page_varint(ret, end - at);
		for (; at < end; at++) {
			uint32_t node = tree->sum_keys.items.items[order[at]].b;
			fnp_page_varint(ret, (uint64_t)(node - before) << 1);
			for (uint32_t j = 0; j < n_values; j++)
				fnp_page_varint(ret, (uint64_t)tree->sums.items[order[at]].values[j]);
			before = node;
		}
	}
	return ret->error;
}
