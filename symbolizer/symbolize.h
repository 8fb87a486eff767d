/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an address in an object to function names, source lines and inlined callers.
 *
 * Everything is lazy: an object's tables are read at its first resolve, the debug data of a compilation unit when an
 * address needs it. One thread resolves through one symbolizer; objects may be shared with threads that only read
 * them, but not between two symbolizers.
 */
#ifndef FNP_SYMBOLIZER_SYMBOLIZE_H
#define FNP_SYMBOLIZER_SYMBOLIZE_H

#include "symbolizer/debug_file.h"
#include "symbolizer/debuginfod.h"
#include "symbolizer/disk_cache.h"
#include "symbolizer/object.h"

struct fnp_symbolizer;

struct fnp_symbolizer_options {
	/* Folders with debug files, before /usr/lib/debug, which is always looked at. Copied. */
	struct fnp_debug_roots debug_roots;
	/*
	 * How many bytes of what was read of an object's debug data are kept; 0: 64 MiB, which all of a JVM's takes. Less
	 * costs reading it again.
	 */
	size_t unit_bytes_max;
	struct fnp_disk_cache *cache; /* where what was resolved is kept for the next time; NULL: nowhere */
	struct fnp_debuginfod *debuginfod; /* where debug files are asked for; NULL: nowhere; not owned */
	bool no_debug_data;		   /* names from symbol tables alone: no lines, no inlined callers */
};

/* One function at an address. Strings live as long as the object. */
struct fnp_symbol {
	const char *name; /* for people: demangled, without outermost parameters, version or Rust hash */
	const char *system_name; /* as the linker knows it; the name where there is no other */
	const char *file;	 /* "" when not known */
	uint32_t line;		 /* at the address (in callers: of the inlined call); 0 when not known */
	uint32_t start_line;	 /* where the function is declared; 0 when not known */
};

/* The innermost inlined function first; the last one is the function that exists. */
struct fnp_symbol_chain {
	const struct fnp_symbol *symbols; /* valid until the next resolve of the same symbolizer */
	uint32_t n;
};

/* `options` may be NULL. */
int fnp_symbolizer_create(const struct fnp_symbolizer_options *options, struct fnp_symbolizer **ret);
void fnp_symbolizer_destroy(struct fnp_symbolizer *symbolizer);

FNP_DEFINE_CLEANUP(fnp_symbolizer_destroyp, struct fnp_symbolizer *, fnp_symbolizer_destroy)

/*
 * Names an address as the ELF file counts it (fnp_object_address_of_offset). For a return address pass it minus one.
 * -ENOENT when nothing is known: then the frame is fnp_symbolizer_fallback_name().
 */
int fnp_symbolizer_resolve(struct fnp_symbolizer *symbolizer, struct fnp_object *object, uint64_t address,
			   struct fnp_symbol_chain *ret);

/*
 * With debuginfod: this object will be resolved, so what it needs may be fetched already. Does not wait.
 */
void fnp_symbolizer_expect(struct fnp_symbolizer *symbolizer, struct fnp_object *object);

/*
 * Until when (CLOCK_MONOTONIC) a resolve may wait for what debuginfod fetches; until this is called: not at all. A
 * resolve that did not wait long enough takes what is there; later ones look again.
 */
void fnp_symbolizer_wait_until(struct fnp_symbolizer *symbolizer, uint64_t until_ns);

/*
 * Looks up many addresses of an object, and sorts them for that: neighbours lie in the same part of its debug data, which
 * is read once then. Afterwards fnp_symbolizer_resolve() has each at hand.
 */
void fnp_symbolizer_resolve_all(struct fnp_symbolizer *symbolizer, struct fnp_object *object,
				uint64_t *addresses, size_t n);

/* Writes "[object+0xaddress]" with the base name of `object_name`, cut to fit; control characters become '?'. */
void fnp_symbolizer_fallback_name(const char *object_name, uint64_t address, char *ret, size_t size);

#endif
