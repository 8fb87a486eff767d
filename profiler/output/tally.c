/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/tally.h"

/* Names are a few dozen bytes: room for some ten thousand different ones. */
#define NAMES_MAX_BYTES (2u << 20)

void fnp_tally_deinit(struct fnp_tally *tally)
{
	for (size_t i = 0; i < FNP_TALLY_SLOWEST; i++) {
		free(tally->slowest[i].id);
		free(tally->slowest[i].function);
	}
	fnp_intern_destroy(tally->names);
	tally->names = NULL;
	fnp_vec_deinit(&tally->times);
}

/* Keeps `slowest` sorted; the last one falls out. */
static int note_invocation(struct fnp_tally *tally, const struct fnp_row *row)
{
	struct fnp_tally_invocation *last = &tally->slowest[FNP_TALLY_SLOWEST - 1];
	size_t at = FNP_TALLY_SLOWEST - 1;

	if (last->id && last->duration_ns >= row->duration_ns)
		return 0;
	fnp_autofree char *id = strdup(row->id ? row->id : "");
	fnp_autofree char *function = strdup(row->function ? row->function : "");
	if (!id || !function)
		return -ENOMEM;

	free(last->id);
	free(last->function);
	for (; at > 0; at--) {
		const struct fnp_tally_invocation *before = &tally->slowest[at - 1];
		if (before->id && before->duration_ns >= row->duration_ns)
			break;
		tally->slowest[at] = *before;
	}
	tally->slowest[at] = (struct fnp_tally_invocation){
		.id = TAKE_PTR(id),
		.function = TAKE_PTR(function),
		.duration_ns = row->duration_ns,
		.cpu_ns = row->cpu_ns,
		.outcome = row->outcome,
		.cold = row->cold == FNP_TRUE,
	};
	return 0;
}

/* "[libc.so.6+0x1f]": all that is known of a frame without a name. */
static bool is_address_only(const char *name, uint8_t kind)
{
	return kind != FNP_FRAME_MARKER && name[0] == '[' && strstr(name, "+0x");
}

/* The times of a name; NULL in `ret` past the bound of names. */
static int times_of(struct fnp_tally *tally, const char *name, uint8_t kind, struct fnp_tally_time **ret)
{
	size_t len = FNP_MIN(strlen(name), (size_t)510);
	uint8_t key[512];
	uint32_t id;
	int r;

	key[0] = kind;
	memcpy(key + 1, name, len);
	r = fnp_intern_add(tally->names, key, len + 1, &id);
	if (r == -ENOSPC) {
		*ret = NULL;
		return 0;
	}
	if (r == 0 && id >= tally->times.len)
		r = fnp_vec_push(&tally->times, (struct fnp_tally_time){0});
	if (r < 0)
		return r;
	*ret = &tally->times.items[id];
	return 0;
}

static const char *line_name(const struct fnp_profile *profile, uint32_t line)
{
	uint32_t function = profile->lines.items[line].function;

	return fnp_profile_string(profile, profile->functions.items[function].name);
}

static int add_self(struct fnp_tally *tally, const char *name, uint8_t kind, uint64_t ns)
{
	struct fnp_tally_time *times;
	int r = times_of(tally, name, kind, &times);

	if (r < 0)
		return r;
	if (is_address_only(name, kind))
		tally->unnamed_ns += ns;
	if (times)
		times->self_ns += ns;
	else
		tally->other_ns += ns;
	return 0;
}

/* Adds to the total of every function in the stack, inlined ones, too. */
static int add_totals(struct fnp_tally *tally, const struct fnp_profile *profile,
		      const struct fnp_profile_sample *sample, uint64_t ns)
{
	const uint32_t *stack = profile->stacks.items + sample->first_location;

	for (uint32_t i = 0; i < sample->n_locations; i++) {
		const struct fnp_profile_location *location = &profile->locations.items[stack[i]];
		for (uint32_t l = 0; l < location->n_lines; l++) {
			struct fnp_tally_time *times;
			int r = times_of(tally, line_name(profile, location->first_line + l), location->kind,
					 &times);
			if (r < 0)
				return r;
			if (!times || times->last_sample == tally->n_samples_seen)
				continue;
			times->last_sample = tally->n_samples_seen;
			times->total_ns += ns;
		}
	}
	return 0;
}

int fnp_tally_add_profile(struct fnp_tally *tally, const struct fnp_profile *profile)
{
	int r = tally->names ? 0 : fnp_intern_create(NAMES_MAX_BYTES, &tally->names);

	for (size_t i = 0; i < profile->samples.len && r == 0; i++) {
		const struct fnp_profile_sample *sample = &profile->samples.items[i];
		uint64_t ns = (uint64_t)sample->values[profile->default_value];
		const struct fnp_profile_location *leaf;

		if (sample->n_locations == 0 || !fnp_profile_sample_counts(profile, sample))
			continue;
		tally->n_samples_seen++;
		leaf = &profile->locations.items[profile->stacks.items[sample->first_location]];
		r = add_self(tally, line_name(profile, leaf->first_line), leaf->kind, ns);
		if (r == 0 && tally->with_totals)
			r = add_totals(tally, profile, sample, ns);
	}
	return r;
}

int fnp_tally_add(struct fnp_tally *tally, const struct fnp_row *row, const struct fnp_profile *profile)
{
	tally->rows[row->kind]++;
	tally->samples += row->samples;
	tally->sampled_ns += row->sampled_ns;
	for (size_t i = 0; i < FNP_ATTRIBUTIONS; i++)
		tally->attribution[i] += row->attribution[i];
	for (size_t i = 0; i < FNP_TRUNCATION_MAX; i++)
		tally->truncated[i] += row->truncated[i];
	if (row->kind == FNP_ROW_INVOCATION) {
		tally->outcomes[row->outcome]++;
		tally->cold += row->cold == FNP_TRUE;
		int r = note_invocation(tally, row);
		if (r < 0)
			return r;
	}
	return profile && profile->samples.len > 0 ? fnp_tally_add_profile(tally, profile) : 0;
}

size_t fnp_tally_hottest(const struct fnp_tally *tally, size_t max, struct fnp_tally_frame *ret)
{
	size_t found = 0;

	for (size_t id = 0; id < tally->times.len; id++) {
		uint64_t ns = tally->times.items[id].self_ns;
		size_t at = found;

		if (ns == 0 || (found == max && ret[max - 1].self_ns >= ns))
			continue;
		if (found == max)
			at--;
		else
			found++;
		for (; at > 0 && ret[at - 1].self_ns < ns; at--)
			ret[at] = ret[at - 1];
		ret[at].self_ns = ns;
		ret[at].total_ns = tally->times.items[id].total_ns;
		ret[at].name = (uint32_t)id;
		ret[at].kind = *(const uint8_t *)fnp_intern_get(tally->names, (uint32_t)id, &(size_t){0});
	}
	return found;
}

const char *fnp_tally_name(const struct fnp_tally *tally, const struct fnp_tally_frame *frame)
{
	return fnp_intern_get_text(tally->names, frame->name) + 1;
}
