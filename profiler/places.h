/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions at places in native code. Each place is looked up once and kept; many are looked up together, in the order of
 * their addresses.
 */
#ifndef FNP_PROFILER_PLACES_H
#define FNP_PROFILER_PLACES_H

#include "profiler/targets/objects.h"
#include "symbolizer/symbolize.h"

struct fnp_places;

struct fnp_places_options {
	struct fnp_objects *objects;	   /* not owned */
	struct fnp_disk_cache *cache;	   /* names of the last time; NULL: none */
	struct fnp_debuginfod *debuginfod; /* asked for debug data; NULL: not; not owned */
	/* Called now and then while many places are looked up, which may take long; NULL: nobody minds. */
	void (*pause)(void *self);
	void *self;
};

/* Texts are the symbolizer's, which live as long as the objects. */
struct fnp_place {
	uint64_t address;
	uint32_t object;
	uint32_t n;		     /* 0: nothing is known */
	struct fnp_symbol symbols[]; /* the innermost inlined function first */
};

int fnp_places_create(const struct fnp_places_options *options, struct fnp_places **ret);
void fnp_places_destroy(struct fnp_places *places);
FNP_DEFINE_CLEANUP(fnp_places_destroyp, struct fnp_places *, fnp_places_destroy)

/* With debuginfod: asks for the debug data of objects that are new. */
void fnp_places_expect(struct fnp_places *places);

/*
 * With debuginfod: until when looking up may wait for what is under way (CLOCK_MONOTONIC). What has arrived since the last
 * call makes all places be looked up anew.
 */
void fnp_places_wait_until(struct fnp_places *places, uint64_t until_ns);

/* What is kept of a place, or what is found out now; valid until the next call. -ENOMEM. */
int fnp_places_find(struct fnp_places *places, const struct fnp_target_object *object, uint64_t address,
		    const struct fnp_place **ret);

/* This place of an object (by its number) will be asked for; nothing is looked up yet, but when many wait. */
int fnp_places_want(struct fnp_places *places, uint32_t object, uint64_t address);

/* Looks up all that is wanted. */
int fnp_places_find_wanted(struct fnp_places *places);

/* Forgets the places of objects that are closed, whose texts are gone. */
void fnp_places_forget_closed(struct fnp_places *places);

/* A hash of a place, for maps of what is made of it. */
static inline uint64_t fnp_place_key(uint32_t object, uint64_t address)
{
	return address * UINT64_C(0x9E3779B97F4A7C15) ^ object;
}

#endif
