/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The builder of profiles: every table finds an equal entry by a hash, so that a number is a thing.
 *
 * There is one index a table: open addressing, a slot holds 32 bits of the hash and the entry's number + 1. An
 * index never compares by itself; it hands out the numbers that share a hash, and the table's own function decides.
 */
#include "formats/profile.h"

#include <xxhash.h>

#include "base/text.h"
#include "formats/mapping_names.h"

/*
 * Pseudo-mappings get ranges where neither user space nor the kernel has any (x86-64 with 4-level page tables ends
 * user space at 2^47), 2^32 addresses each, so that no two mappings of a profile overlap by our doing.
 */
#define PSEUDO_BASE (UINT64_C(1) << 47)
#define PSEUDO_SIZE (UINT64_C(1) << 32)
#define PSEUDO_END (PSEUDO_BASE * 2)

struct index {
	uint64_t *slots; /* hash << 32 | number + 1, or 0 */
	size_t n_slots;	 /* a power of two, or 0 */
	size_t used;
};

struct fnp_profile_index {
	struct index mappings, functions, locations, samples;
	/* What mapping names say, by mapping: asked for once each. */
	FNP_VEC(struct fnp_mapping_meaning) meanings;
	uint32_t n_pseudo;
};

static int index_grow(struct index *ix)
{
	size_t n_slots = ix->n_slots ? ix->n_slots * 2 : 64;
	uint64_t *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < ix->n_slots; i++) {
		if (!ix->slots[i])
			continue;
		size_t at = (ix->slots[i] >> 32) & (n_slots - 1);
		while (slots[at])
			at = (at + 1) & (n_slots - 1);
		slots[at] = ix->slots[i];
	}
	free(ix->slots);
	ix->slots = slots;
	ix->n_slots = n_slots;
	return 0;
}

/* Room for one entry more; after this index_add cannot fail. */
static int index_reserve(struct index *ix)
{
	return (ix->used + 1) * 4 > ix->n_slots * 3 ? index_grow(ix) : 0;
}

static void index_add(struct index *ix, uint32_t hash, uint32_t number)
{
	size_t at = hash & (ix->n_slots - 1);

	while (ix->slots[at])
		at = (at + 1) & (ix->n_slots - 1);
	ix->slots[at] = (uint64_t)hash << 32 | (number + 1);
	ix->used++;
}

/* Steps through the numbers with this hash: `at` begins as the hash; false at the end. */
static bool index_next(const struct index *ix, uint32_t hash, size_t *at, uint32_t *ret)
{
	if (ix->n_slots == 0)
		return false;
	for (;;) {
		uint64_t slot = ix->slots[*at & (ix->n_slots - 1)];
		if (!slot)
			return false;
		++*at;
		if (slot >> 32 == hash) {
			*ret = (uint32_t)slot - 1;
			return true;
		}
	}
}

static uint32_t hash_words(const uint64_t *words, size_t n)
{
	return (uint32_t)XXH3_64bits(words, n * sizeof(*words));
}

int fnp_profile_create(struct fnp_profile **ret)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = calloc(1, sizeof(*profile));
	uint32_t empty, n;
	int r;

	if (!profile)
		return -ENOMEM;
	profile->index = calloc(1, sizeof(*profile->index));
	if (!profile->index)
		return -ENOMEM;
	r = fnp_intern_create(0, &profile->strings);
	if (r == 0)
		r = fnp_intern_add(profile->strings, "", 0, &empty);
	if (r == 0)
		r = fnp_profile_add_value_type(profile, "samples", "count", &n);
	if (r == 0)
		r = fnp_profile_add_value_type(profile, "cpu", "nanoseconds", &profile->default_value);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(profile);
	return 0;
}

static void index_free(struct fnp_profile_index *index)
{
	if (!index)
		return;
	free(index->mappings.slots);
	free(index->functions.slots);
	free(index->locations.slots);
	free(index->samples.slots);
	fnp_vec_deinit(&index->meanings);
	free(index);
}

void fnp_profile_destroy(struct fnp_profile *profile)
{
	if (!profile)
		return;
	index_free(profile->index);
	fnp_intern_destroy(profile->strings);
	fnp_vec_deinit(&profile->mappings);
	fnp_vec_deinit(&profile->functions);
	fnp_vec_deinit(&profile->lines);
	fnp_vec_deinit(&profile->locations);
	fnp_vec_deinit(&profile->stacks);
	fnp_vec_deinit(&profile->labels);
	fnp_vec_deinit(&profile->common_labels);
	fnp_vec_deinit(&profile->samples);
	fnp_vec_deinit(&profile->times);
	free(profile);
}

int fnp_profile_add_value_type(struct fnp_profile *profile, const char *type, const char *unit, uint32_t *ret)
{
	struct fnp_profile_value_type one;
	int r;

	if (profile->n_value_types == FNP_PROFILE_VALUES_MAX)
		return -ENOSPC;
	r = fnp_profile_add_string(profile, type, &one.type);
	if (r == 0)
		r = fnp_profile_add_string(profile, unit, &one.unit);
	if (r < 0)
		return r;
	*ret = profile->n_value_types;
	profile->value_types[profile->n_value_types++] = one;
	return 0;
}

int fnp_profile_add_text(struct fnp_profile *profile, const char *text, size_t len, uint32_t *ret)
{
	fnp_autofree char *repaired = NULL;
	size_t n;

	if (!memchr(text, 0, len) && fnp_text_is_utf8(text, len))
		return fnp_intern_add(profile->strings, text, len, ret);
	repaired = malloc(len + 1);
	if (!repaired)
		return -ENOMEM;
	n = fnp_text_to_utf8(text, len, repaired);
	for (size_t i = 0; i < n; i++) {
		if (repaired[i] == '\0')
			repaired[i] = '?';
	}
	return fnp_intern_add(profile->strings, repaired, n, ret);
}

int fnp_profile_add_string(struct fnp_profile *profile, const char *text, uint32_t *ret)
{
	return fnp_profile_add_text(profile, text, strlen(text), ret);
}

const char *fnp_profile_string(const struct fnp_profile *profile, uint32_t id)
{
	return fnp_intern_get_text(profile->strings, id);
}

static bool is_string(const struct fnp_profile *profile, uint32_t id)
{
	return id < fnp_intern_count(profile->strings);
}

/* ---- mappings ----------------------------------------------------------------------------------------------- */

static void mapping_hold(struct fnp_profile_mapping *mapping, uint64_t start, uint64_t limit)
{
	mapping->start = FNP_MIN(mapping->start, start);
	mapping->limit = FNP_MAX(mapping->limit, limit);
}

static uint32_t mapping_hash(const struct fnp_profile_mapping *m)
{
	return hash_words((uint64_t[]){(uint64_t)m->file << 32 | m->build_id, m->offset}, 2);
}

static bool mapping_find(const struct fnp_profile *profile, const struct fnp_profile_mapping *m, uint32_t *ret)
{
	uint32_t hash = mapping_hash(m), number;

	for (size_t at = hash; index_next(&profile->index->mappings, hash, &at, &number);) {
		const struct fnp_profile_mapping *have = &profile->mappings.items[number];
		if (have->file == m->file && have->build_id == m->build_id && have->offset == m->offset) {
			*ret = number;
			return true;
		}
	}
	return false;
}

int fnp_profile_add_mapping(struct fnp_profile *profile, const struct fnp_profile_mapping *mapping,
			    uint32_t *ret)
{
	struct fnp_profile_index *index = profile->index;
	struct fnp_mapping_meaning meaning;
	uint32_t number;

	if (mapping->start >= mapping->limit || !is_string(profile, mapping->file) ||
	    !is_string(profile, mapping->build_id))
		return -EINVAL;
	if (mapping_find(profile, mapping, &number)) {
		mapping_hold(&profile->mappings.items[number], mapping->start, mapping->limit);
		*ret = number;
		return 0;
	}
	if (index_reserve(&index->mappings) < 0 ||
	    fnp_vec_reserve(&index->meanings, index->meanings.len + 1) < 0 ||
	    fnp_vec_reserve(&profile->mappings, profile->mappings.len + 1) < 0)
		return -ENOMEM;
	meaning = fnp_mapping_meaning(fnp_profile_string(profile, mapping->file));
	index->n_pseudo += meaning.pseudo;
	index->meanings.items[index->meanings.len++] = meaning;
	number = (uint32_t)profile->mappings.len;
	profile->mappings.items[profile->mappings.len++] = *mapping;
	index_add(&index->mappings, mapping_hash(mapping), number);
	*ret = number;
	return 0;
}

int fnp_profile_add_pseudo_mapping(struct fnp_profile *profile, const char *name, uint32_t *ret)
{
	struct fnp_profile_mapping mapping = {0};
	uint32_t number;
	int r = fnp_profile_add_string(profile, name, &mapping.file);

	if (r < 0)
		return r;
	if (mapping_find(profile, &mapping, &number)) {
		*ret = number;
		return 0;
	}
	mapping.start = PSEUDO_BASE + profile->index->n_pseudo * PSEUDO_SIZE;
	mapping.limit = mapping.start + 1;
	return fnp_profile_add_mapping(profile, &mapping, ret);
}

/* ---- functions ---------------------------------------------------------------------------------------------- */

int fnp_profile_add_function(struct fnp_profile *profile, const struct fnp_profile_function *function,
			     uint32_t *ret)
{
	struct index *index = &profile->index->functions;
	uint32_t hash = (uint32_t)XXH3_64bits(function, sizeof(*function)), number;

	if (!is_string(profile, function->name) || !is_string(profile, function->system_name) ||
	    !is_string(profile, function->file))
		return -EINVAL;
	for (size_t at = hash; index_next(index, hash, &at, &number);) {
		if (memcmp(&profile->functions.items[number], function, sizeof(*function)) == 0) {
			*ret = number;
			return 0;
		}
	}
	number = (uint32_t)profile->functions.len;
	if (index_reserve(index) < 0 || fnp_vec_push(&profile->functions, *function) < 0)
		return -ENOMEM;
	index_add(index, hash, number);
	*ret = number;
	return 0;
}

_Static_assert(sizeof(struct fnp_profile_function) == 4 * sizeof(uint32_t), "hashed as bytes: no padding");
_Static_assert(sizeof(struct fnp_profile_line) == 2 * sizeof(uint32_t), "hashed as bytes: no padding");

/* ---- locations ---------------------------------------------------------------------------------------------- */

static int location_check(const struct fnp_profile *profile, const struct fnp_profile_location *location,
			  const struct fnp_profile_line *lines, uint32_t n_lines)
{
	if (location->mapping >= profile->mappings.len || location->address == UINT64_MAX || n_lines == 0 ||
	    n_lines > UINT16_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < n_lines; i++) {
		if (lines[i].function >= profile->functions.len)
			return -EINVAL;
	}
	return 0;
}

static bool location_is(const struct fnp_profile *profile, uint32_t number,
			const struct fnp_profile_location *asked, const struct fnp_profile_line *lines)
{
	const struct fnp_profile_location *have = &profile->locations.items[number];

	return have->mapping == asked->mapping && have->n_lines == asked->n_lines &&
	       have->numbered == asked->numbered && (asked->numbered || have->address == asked->address) &&
	       memcmp(&profile->lines.items[have->first_line], lines, asked->n_lines * sizeof(*lines)) == 0;
}

/* A frame without an address, or one that a builder has numbered before (it was read back, or comes from another). */
static bool is_numbered(const struct fnp_mapping_meaning *meaning, uint64_t address)
{
	return meaning->pseudo && (address == 0 || (address >= PSEUDO_BASE && address < PSEUDO_END));
}

/* Takes a location over that is known to be new. Nothing changes on failure. */
static int location_push(struct fnp_profile *profile, struct fnp_profile_location *new,
			 const struct fnp_profile_line *lines)
{
	struct fnp_profile_mapping *mapping = &profile->mappings.items[new->mapping];

	if (profile->lines.len > UINT32_MAX - new->n_lines)
		return -ENOSPC;
	if (new->numbered && mapping->limit == UINT64_MAX)
		return -ENOSPC;
	new->first_line = (uint32_t)profile->lines.len;
	if (fnp_vec_reserve(&profile->locations, profile->locations.len + 1) < 0 ||
	    fnp_vec_append(&profile->lines, lines, new->n_lines) < 0)
		return -ENOMEM;
	if (new->address == 0 && new->numbered)
		new->address = mapping->limit;
	mapping_hold(mapping, new->address, new->address + 1);
	profile->locations.items[profile->locations.len++] = *new;
	return 0;
}

int fnp_profile_add_location(struct fnp_profile *profile, const struct fnp_profile_location *location,
			     const struct fnp_profile_line *lines, uint32_t n_lines, uint32_t *ret)
{
	struct index *index = &profile->index->locations;
	struct fnp_profile_location new;
	uint32_t hash, number;
	int r = location_check(profile, location, lines, n_lines);

	if (r < 0)
		return r;
	const struct fnp_mapping_meaning *meaning = &profile->index->meanings.items[location->mapping];
	new = (struct fnp_profile_location){.address = location->address,
					    .mapping = location->mapping,
					    .n_lines = (uint16_t)n_lines,
					    .kind = (uint8_t)meaning->kind,
					    .tier = (uint8_t)meaning->tier,
					    .numbered = is_numbered(meaning, location->address)};
	hash = hash_words((uint64_t[]){new.numbered ? 0 : new.address,
				       (uint64_t) new.mapping << 32 | new.numbered,
				       XXH3_64bits(lines, n_lines * sizeof(*lines))},
			  3);
	for (size_t at = hash; index_next(index, hash, &at, &number);) {
		if (location_is(profile, number, &new, lines)) {
			*ret = number;
			return 0;
		}
	}
	number = (uint32_t)profile->locations.len;
	r = index_reserve(index);
	if (r == 0)
		r = location_push(profile, &new, lines);
	if (r < 0)
		return r;
	index_add(index, hash, number);
	*ret = number;
	return 0;
}

/* ---- samples and labels ------------------------------------------------------------------------------------- */

static bool label_is_text(const struct fnp_profile_label *label)
{
	return label->unit == FNP_LABEL_TEXT;
}

static bool label_is_valid(const struct fnp_profile *profile, const struct fnp_profile_label *label)
{
	return is_string(profile, label->key) &&
	       is_string(profile, label_is_text(label) ? label->text : label->unit);
}

static bool labels_have(const struct fnp_profile_label *labels, size_t n, uint32_t key)
{
	for (size_t i = 0; i < n; i++) {
		if (labels[i].key == key)
			return true;
	}
	return false;
}

static bool label_is(const struct fnp_profile_label *a, const struct fnp_profile_label *b)
{
	return a->key == b->key && a->unit == b->unit &&
	       (label_is_text(a) ? a->text == b->text : a->number == b->number);
}

static int sample_check(const struct fnp_profile *profile, const uint32_t *locations, uint32_t n_locations,
			const struct fnp_profile_label *labels, uint32_t n_labels)
{
	if (n_locations == 0)
		return -EINVAL;
	for (uint32_t i = 0; i < n_locations; i++) {
		if (locations[i] >= profile->locations.len)
			return -EINVAL;
	}
	for (uint32_t i = 0; i < n_labels; i++) {
		if (!label_is_valid(profile, &labels[i]))
			return -EINVAL;
		if (labels_have(labels, i, labels[i].key) ||
		    labels_have(profile->common_labels.items, profile->common_labels.len, labels[i].key))
			return -EEXIST;
	}
	return 0;
}

static uint32_t sample_hash(const uint32_t *locations, uint32_t n_locations,
			    const struct fnp_profile_label *labels, uint32_t n_labels)
{
	uint64_t hash = XXH3_64bits(locations, n_locations * sizeof(*locations));

	for (uint32_t i = 0; i < n_labels; i++) {
		uint64_t value = label_is_text(&labels[i]) ? labels[i].text : (uint64_t)labels[i].number;
		hash = XXH3_64bits((uint64_t[]){hash, (uint64_t)labels[i].key << 32 | labels[i].unit, value},
				   3 * sizeof(uint64_t));
	}
	return (uint32_t)hash;
}

static bool sample_is(const struct fnp_profile *profile, const struct fnp_profile_sample *have,
		      const struct fnp_profile_sample *asked, const uint32_t *locations,
		      const struct fnp_profile_label *labels)
{
	if (have->n_locations != asked->n_locations || have->n_labels != asked->n_labels)
		return false;
	if (memcmp(&profile->stacks.items[have->first_location], locations,
		   have->n_locations * sizeof(*locations)) != 0)
		return false;
	for (uint32_t i = 0; i < have->n_labels; i++) {
		if (!label_is(&profile->labels.items[have->first_label + i], &labels[i]))
			return false;
	}
	return true;
}

static int64_t add_saturated(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return b > 0 ? INT64_MAX : INT64_MIN;
	return sum;
}

/* A sample without values; nothing changes on failure. */
static int sample_push(struct fnp_profile *profile, struct fnp_profile_sample *new, const uint32_t *locations,
		       const struct fnp_profile_label *labels)
{
	if (profile->stacks.len > UINT32_MAX - new->n_locations ||
	    profile->labels.len > UINT32_MAX - new->n_labels)
		return -ENOSPC;
	new->first_location = (uint32_t)profile->stacks.len;
	new->first_label = (uint32_t)profile->labels.len;
	if (fnp_vec_reserve(&profile->samples, profile->samples.len + 1) < 0 ||
	    fnp_vec_reserve(&profile->labels, profile->labels.len + new->n_labels) < 0 ||
	    fnp_vec_append(&profile->stacks, locations, new->n_locations) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < new->n_labels; i++)
		profile->labels.items[profile->labels.len++] = labels[i];
	profile->samples.items[profile->samples.len++] = *new;
	return 0;
}

int fnp_profile_add_sample(struct fnp_profile *profile, const uint32_t *locations, uint32_t n_locations,
			   const struct fnp_profile_label *labels, uint32_t n_labels, const int64_t *values)
{
	struct index *index = &profile->index->samples;
	struct fnp_profile_sample new = {.n_locations = n_locations, .n_labels = n_labels}, *sample = NULL;
	uint32_t hash, number;
	int r = sample_check(profile, locations, n_locations, labels, n_labels);

	if (r < 0)
		return r;
	hash = sample_hash(locations, n_locations, labels, n_labels);
	for (size_t at = hash; !sample && index_next(index, hash, &at, &number);) {
		if (sample_is(profile, &profile->samples.items[number], &new, locations, labels))
			sample = &profile->samples.items[number];
	}
	if (!sample) {
		number = (uint32_t)profile->samples.len;
		r = index_reserve(index);
		if (r == 0)
			r = sample_push(profile, &new, locations, labels);
		if (r < 0)
			return r;
		index_add(index, hash, number);
		sample = &profile->samples.items[number];
	}
	for (uint32_t i = 0; i < profile->n_value_types; i++)
		sample->values[i] = add_saturated(sample->values[i], values[i]);
	profile->last_sample = number;
	return 0;
}

int fnp_profile_add_time(struct fnp_profile *profile, const struct fnp_profile_time *time)
{
	return time->sample < profile->samples.len ? fnp_vec_push(&profile->times, *time) : -EINVAL;
}

int fnp_profile_add_common_label(struct fnp_profile *profile, const struct fnp_profile_label *label)
{
	if (!label_is_valid(profile, label))
		return -EINVAL;
	if (labels_have(profile->common_labels.items, profile->common_labels.len, label->key) ||
	    labels_have(profile->labels.items, profile->labels.len, label->key))
		return -EEXIST;
	return fnp_vec_push(&profile->common_labels, *label);
}

bool fnp_profile_sample_counts(const struct fnp_profile *profile, const struct fnp_profile_sample *sample)
{
	if (sample->values[profile->default_value] != 0 || sample->values[0] != 0)
		return true;
	for (uint32_t i = 1; i < profile->n_value_types; i++) {
		if (sample->values[i] != 0)
			return false;
	}
	return true;
}

int64_t fnp_profile_sum(const struct fnp_profile *profile, uint32_t value_type)
{
	int64_t sum = 0;

	for (size_t i = 0; i < profile->samples.len; i++)
		sum = add_saturated(sum, profile->samples.items[i].values[value_type]);
	return sum;
}
