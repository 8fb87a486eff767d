/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables are carried over one after the other, each number of `from` to its number in `into`; the builder finds what
 * is equal.
 */
#include "profiler/output/merge.h"

struct merge {
	struct fnp_profile *into;
	const struct fnp_profile *from;
	uint32_t *mappings, *functions, *locations; /* numbers in `into` by those in `from` */
	uint32_t values[FNP_PROFILE_VALUES_MAX];    /* likewise, of value types */
	FNP_VEC(struct fnp_profile_line) lines;
	FNP_VEC(uint32_t) stack;
	FNP_VEC(struct fnp_profile_label) labels;
};

static void merge_deinit(struct merge *m)
{
	free(m->mappings);
	free(m->functions);
	free(m->locations);
	fnp_vec_deinit(&m->lines);
	fnp_vec_deinit(&m->stack);
	fnp_vec_deinit(&m->labels);
}

static int carry_string(struct merge *m, uint32_t *string)
{
	return fnp_profile_add_string(m->into, fnp_profile_string(m->from, *string), string);
}

static int carry_value_types(struct merge *m)
{
	for (uint32_t i = 0; i < m->from->n_value_types; i++) {
		const char *type = fnp_profile_string(m->from, m->from->value_types[i].type);
		const char *unit = fnp_profile_string(m->from, m->from->value_types[i].unit);
		uint32_t at = 0;
		int r = 0;

		for (; at < m->into->n_value_types; at++) {
			if (strcmp(type, fnp_profile_string(m->into, m->into->value_types[at].type)) == 0 &&
			    strcmp(unit, fnp_profile_string(m->into, m->into->value_types[at].unit)) == 0)
				break;
		}
		if (at == m->into->n_value_types)
			r = fnp_profile_add_value_type(m->into, type, unit, &at);
		if (r < 0)
			return r;
		m->values[i] = at;
	}
	return 0;
}

static int carry_mappings(struct merge *m)
{
	for (size_t i = 0; i < m->from->mappings.len; i++) {
		struct fnp_profile_mapping one = m->from->mappings.items[i];
		int r = carry_string(m, &one.file);

		r = r ?: carry_string(m, &one.build_id);
		r = r ?: fnp_profile_add_mapping(m->into, &one, &m->mappings[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int carry_functions(struct merge *m)
{
	for (size_t i = 0; i < m->from->functions.len; i++) {
		struct fnp_profile_function one = m->from->functions.items[i];
		int r = carry_string(m, &one.name);

		r = r ?: carry_string(m, &one.system_name);
		r = r ?: carry_string(m, &one.file);
		r = r ?: fnp_profile_add_function(m->into, &one, &m->functions[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int carry_locations(struct merge *m)
{
	for (size_t i = 0; i < m->from->locations.len; i++) {
		struct fnp_profile_location one = m->from->locations.items[i];
		int r = 0;

		m->lines.len = 0;
		for (uint32_t l = 0; l < one.n_lines && r == 0; l++) {
			struct fnp_profile_line line = m->from->lines.items[one.first_line + l];
			line.function = m->functions[line.function];
			r = fnp_vec_push(&m->lines, line);
		}
		one.mapping = m->mappings[one.mapping];
		/* An address that was only a number in its profile would meet another frame's here. */
		if (one.numbered)
			one.address = 0;
		r = r ?: fnp_profile_add_location(m->into, &one, m->lines.items, one.n_lines, &m->locations[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int carry_label(struct merge *m, struct fnp_profile_label label)
{
	int r = carry_string(m, &label.key);

	if (r == 0)
		r = carry_string(m, label.unit == FNP_LABEL_TEXT ? &label.text : &label.unit);
	return r ?: fnp_vec_push(&m->labels, label);
}

static int carry_sample(struct merge *m, const struct fnp_profile_sample *sample)
{
	int64_t values[FNP_PROFILE_VALUES_MAX] = {0};
	int r = 0;

	m->stack.len = m->labels.len = 0;
	for (uint32_t i = 0; i < sample->n_locations && r == 0; i++) {
		uint32_t location = m->from->stacks.items[sample->first_location + i];
		r = fnp_vec_push(&m->stack, m->locations[location]);
	}
	for (size_t i = 0; i < m->from->common_labels.len && r == 0; i++)
		r = carry_label(m, m->from->common_labels.items[i]);
	for (uint32_t i = 0; i < sample->n_labels && r == 0; i++)
		r = carry_label(m, m->from->labels.items[sample->first_label + i]);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < m->from->n_value_types; i++)
		values[m->values[i]] = sample->values[i];
	return fnp_profile_add_sample(m->into, m->stack.items, sample->n_locations, m->labels.items,
				      (uint32_t)m->labels.len, values);
}

static void stretch_time(struct fnp_profile *into, const struct fnp_profile *from)
{
	int64_t end = from->time_ns + from->duration_ns;

	if (into->time_ns == 0) {
		into->time_ns = from->time_ns;
		into->duration_ns = from->duration_ns;
		into->period_ns = from->period_ns;
		return;
	}
	end = FNP_MAX(end, into->time_ns + into->duration_ns);
	into->time_ns = FNP_MIN(into->time_ns, from->time_ns);
	into->duration_ns = end - into->time_ns;
}

int fnp_merge_add(struct fnp_profile *into, const struct fnp_profile *from)
{
	FNP_CLEANUP(merge_deinit) struct merge m = {.into = into, .from = from};
	int r;

	m.mappings = calloc(from->mappings.len + 1, sizeof(*m.mappings));
	m.functions = calloc(from->functions.len + 1, sizeof(*m.functions));
	m.locations = calloc(from->locations.len + 1, sizeof(*m.locations));
	if (!m.mappings || !m.functions || !m.locations)
		return -ENOMEM;
	r = carry_value_types(&m);
	r = r ?: carry_mappings(&m);
	r = r ?: carry_functions(&m);
	r = r ?: carry_locations(&m);
	for (size_t i = 0; i < from->samples.len && r == 0; i++)
		r = carry_sample(&m, &from->samples.items[i]);
	if (r == 0)
		stretch_time(into, from);
	return r;
}
