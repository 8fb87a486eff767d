/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was read of a JVM, kept: methods by address and cookie, compiled code by address and compile id.
 *
 * Both are read when a sample first shows them, which is while they live; later samples, also those that are looked at
 * when the process is gone or the class was unloaded, are named from here. An address that serves another method or
 * another compilation in the meantime has another cookie or id, and is another entry.
 */
#include "symbolizer/hotspot.h"

#define METHOD_BYTES 160 /* about, beside its texts: the entry, its slot, what malloc adds */
#define CODE_BYTES 160

static uint64_t key_of(uint64_t address, uint32_t mark)
{
	return address * 0x9e3779b97f4a7c15ULL ^ mark;
}

void fnp_hotspot_cache_clear(struct fnp_hotspot_cache *cache)
{
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&cache->methods, slot));) {
		for (struct fnp_hotspot_named *named = (void *)(uintptr_t)slot->value, *next; named;
		     named = next) {
			next = named->next;
			fnp_hotspot_method_deinit(&named->method);
			free(named);
		}
	}
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&cache->codes, slot));) {
		for (struct fnp_hotspot_code *code = (void *)(uintptr_t)slot->value, *next; code; code = next) {
			next = code->next;
			fnp_hotspot_code_destroy(code);
		}
	}
	fnp_map_deinit(&cache->methods);
	fnp_map_deinit(&cache->codes);
	*cache = (struct fnp_hotspot_cache){0};
}

static const struct fnp_hotspot_method *find_method(const struct fnp_hotspot_cache *cache, uint64_t address,
						    uint32_t cookie)
{
	struct fnp_hotspot_named *named = fnp_map_find_ptr(&cache->methods, key_of(address, cookie));

	while (named && (named->address != address || named->method.cookie != cookie))
		named = named->next;
	return named ? &named->method : NULL;
}

static int add_method(struct fnp_hotspot_cache *cache, const struct fnp_hotspot_view *view, uint64_t address,
		      const struct fnp_hotspot_identity *identity, const struct fnp_hotspot_method **ret)
{
	FNP_CLEANUP(fnp_hotspot_method_deinit) struct fnp_hotspot_method method = {0};
	uint64_t key = key_of(address, identity->cookie);
	int r = fnp_hotspot_method_read(view, identity, &method);

	if (r < 0)
		return r;
	fnp_autofree struct fnp_hotspot_named *named = calloc(1, sizeof(*named));
	if (!named)
		return -ENOMEM;
	named->address = address;
	named->next = fnp_map_find_ptr(&cache->methods, key);
	r = fnp_map_set_ptr(&cache->methods, key, named);
	if (r < 0)
		return r;
	cache->bytes += METHOD_BYTES + strlen(method.name) + method.table_size;
	named->method = method;
	method = (struct fnp_hotspot_method){0};
	*ret = &TAKE_PTR(named)->method;
	return 0;
}

int fnp_hotspot_cache_method(struct fnp_hotspot_cache *cache, const struct fnp_hotspot_view *view,
			     uint64_t address, uint32_t cookie, const struct fnp_hotspot_method **ret)
{
	const struct fnp_hotspot_method *known = find_method(cache, address, cookie);
	struct fnp_hotspot_identity identity;
	int r;

	if (known) {
		*ret = known;
		return 0;
	}
	r = fnp_hotspot_method_identify(view, address, &identity);
	if (r == 0 && identity.cookie != cookie)
		r = -ESRCH;
	return r ?: add_method(cache, view, address, &identity, ret);
}

int fnp_hotspot_cache_present(struct fnp_hotspot_cache *cache, const struct fnp_hotspot_view *view,
			      uint64_t address, const struct fnp_hotspot_method **ret)
{
	const struct fnp_hotspot_method *known;
	struct fnp_hotspot_identity identity;
	int r = fnp_hotspot_method_identify(view, address, &identity);

	if (r < 0)
		return r;
	known = find_method(cache, address, identity.cookie);
	if (!known)
		return add_method(cache, view, address, &identity, ret);
	*ret = known;
	return 0;
}

int fnp_hotspot_cache_code(struct fnp_hotspot_cache *cache, const struct fnp_hotspot_view *view,
			   uint64_t nmethod, uint32_t compile_id, const struct fnp_hotspot_code **ret)
{
	FNP_CLEANUP(fnp_hotspot_code_destroyp) struct fnp_hotspot_code *read = NULL;
	uint64_t key = key_of(nmethod, compile_id);
	struct fnp_hotspot_code *first = fnp_map_find_ptr(&cache->codes, key), *code = first;
	int r;

	while (code && (code->address != nmethod || code->compile_id != compile_id))
		code = code->next;
	if (code) {
		*ret = code;
		return 0;
	}
	r = fnp_hotspot_code_read(cache, view, nmethod, compile_id, &read);
	if (r < 0)
		return r;
	read->next = first;
	r = fnp_map_set_ptr(&cache->codes, key, read);
	if (r < 0)
		return r;
	cache->bytes += CODE_BYTES + read->n_spots * sizeof(read->spots[0]) +
			read->n_scopes * sizeof(read->scopes[0]);
	*ret = TAKE_PTR(read);
	return 0;
}
