/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places are kept by a hash of object and address; two that share one take turns. Neighbours lie in the same part of an object's
 * debug data, of which little is kept read, so what is wanted is looked up in order.
 */
#include "profiler/places.h"

#include <errno.h>

#include "base/map.h"
#include "base/vec.h"

#define PLACES_MAX 200000	 /* that are kept */
#define WANTED_MAX 8192		 /* that are looked up together */
#define UNIT_BYTES_MAX (8 << 20) /* debug data of one object that is kept read */

struct wanted {
	uint64_t address;
	uint32_t object;
};

struct fnp_places {
	struct fnp_places_options options;
	struct fnp_symbolizer *symbolizer;
	uint32_t expected;    /* objects up to this number were looked at */
	uint32_t arrived;     /* debug files when `known` was last emptied for them */
	struct fnp_map known; /* fnp_place_key -> struct fnp_place, owned */
	FNP_VEC(struct wanted) wanted;
};

static void forget(struct fnp_places *places)
{
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&places->known, s));)
		free((void *)(uintptr_t)s->value);
	fnp_map_deinit(&places->known);
}

int fnp_places_create(const struct fnp_places_options *options, struct fnp_places **ret)
{
	FNP_CLEANUP(fnp_places_destroyp) struct fnp_places *places = calloc(1, sizeof(*places));
	const struct fnp_symbolizer_options symbolizer = {
		.unit_bytes_max = UNIT_BYTES_MAX, .cache = options->cache, .debuginfod = options->debuginfod};
	int r;

	if (!places)
		return -ENOMEM;
	places->options = *options;
	r = fnp_symbolizer_create(&symbolizer, &places->symbolizer);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(places);
	return 0;
}

void fnp_places_destroy(struct fnp_places *places)
{
	if (!places)
		return;
	forget(places);
	fnp_symbolizer_destroy(places->symbolizer);
	fnp_vec_deinit(&places->wanted);
	free(places);
}

/* ---- debug data that is fetched ------------------------------------------------------------------------------ */

void fnp_places_expect(struct fnp_places *places)
{
	if (!places->options.debuginfod)
		return;
	while (places->expected < fnp_objects_last(places->options.objects)) {
		const struct fnp_target_object *object = fnp_objects_get(places->options.objects,
									 ++places->expected);
		if (object && object->elf)
			fnp_symbolizer_expect(places->symbolizer, object->elf);
	}
}

void fnp_places_wait_until(struct fnp_places *places, uint64_t until_ns)
{
	if (!places->options.debuginfod)
		return;
	fnp_symbolizer_wait_until(places->symbolizer, until_ns);
	uint32_t arrived = fnp_debuginfod_arrived(places->options.debuginfod);
	if (arrived != places->arrived)
		forget(places);
	places->arrived = arrived;
}

/* ---- one place ----------------------------------------------------------------------------------------------- */

static const struct fnp_place *find_known(const struct fnp_places *places, uint32_t object, uint64_t address)
{
	const struct fnp_place *place = fnp_map_find_ptr(&places->known, fnp_place_key(object, address));

	return place && place->object == object && place->address == address ? place : NULL;
}

/* Takes the place; frees another one with this hash. */
static int keep(struct fnp_places *places, struct fnp_place *place)
{
	uint64_t key = fnp_place_key(place->object, place->address);

	if (places->known.len >= PLACES_MAX)
		forget(places);
	free(fnp_map_find_ptr(&places->known, key));
	if (fnp_map_set_ptr(&places->known, key, place) < 0) {
		free(place);
		return -ENOMEM;
	}
	return 0;
}

static int look_up(struct fnp_places *places, const struct fnp_target_object *object, uint64_t address,
		   const struct fnp_place **ret)
{
	struct fnp_symbol_chain chain = {0};
	struct fnp_place *place;
	int r;

	if (object->elf && fnp_symbolizer_resolve(places->symbolizer, object->elf, address, &chain) < 0)
		chain.n = 0;
	place = calloc(1, sizeof(*place) + chain.n * sizeof(place->symbols[0]));
	if (!place)
		return -ENOMEM;
	place->address = address;
	place->object = object->id;
	place->n = chain.n;
	if (chain.n)
		memcpy(place->symbols, chain.symbols, chain.n * sizeof(place->symbols[0]));
	r = keep(places, place);
	if (r == 0)
		*ret = place;
	return r;
}

int fnp_places_find(struct fnp_places *places, const struct fnp_target_object *object, uint64_t address,
		    const struct fnp_place **ret)
{
	const struct fnp_place *place = find_known(places, object->id, address);

	if (!place)
		return look_up(places, object, address, ret);
	*ret = place;
	return 0;
}

/* ---- many ---------------------------------------------------------------------------------------------------- */

int fnp_places_want(struct fnp_places *places, uint32_t object, uint64_t address)
{
	int r;

	if (find_known(places, object, address) || !fnp_objects_get(places->options.objects, object))
		return 0;
	r = fnp_vec_push(&places->wanted, (struct wanted){address, object});
	return r == 0 && places->wanted.len >= WANTED_MAX ? fnp_places_find_wanted(places) : r;
}

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	return x->address < y->address ? -1 : x->address > y->address;
}

int fnp_places_find_wanted(struct fnp_places *places)
{
	const struct fnp_place *place;
	int r = 0;

	if (places->wanted.len > 1)
		qsort(places->wanted.items, places->wanted.len, sizeof(struct wanted), compare_wanted);
	for (size_t i = 0; r == 0 && i < places->wanted.len; i++) {
		const struct wanted *wanted = &places->wanted.items[i];

		r = fnp_places_find(places, fnp_objects_get(places->options.objects, wanted->object),
				    wanted->address, &place);
		if (places->options.pause)
			places->options.pause(places->options.self);
	}
	places->wanted.len = 0;
	return r;
}

/* ---- closed objects ------------------------------------------------------------------------------------------ */

void fnp_places_forget_closed(struct fnp_places *places)
{
	FNP_VEC(struct fnp_place *) gone = {0};

	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&places->known, s));) {
		struct fnp_place *place = (struct fnp_place *)(uintptr_t)s->value;
		/* What is not freed now is found by nobody: numbers of objects are given once. */
		if (!fnp_objects_get(places->options.objects, place->object) && fnp_vec_push(&gone, place) < 0)
			break;
	}
	for (size_t i = 0; i < gone.len; i++) {
		fnp_map_remove(&places->known, fnp_place_key(gone.items[i]->object, gone.items[i]->address));
		free(gone.items[i]);
	}
	fnp_vec_deinit(&gone);
}
