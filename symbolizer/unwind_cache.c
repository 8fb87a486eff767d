/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_cache.h"

#include <errno.h>
#include <xxhash.h>

#define FORMAT 19	/* counts up with every change of what is compiled, or how it is laid out */
#define ROWS_MIN 10000U /* smaller tables are compiled as fast as they are read */
#define LINES_MAX (1U << 22)

struct packed {
	struct fnp_table table;
	uint32_t n_lines, rows, expressions, skipped, degraded, pad;
};

int fnp_unwind_pack(const struct fnp_unwind *unwind, struct fnp_buffer *ret)
{
	struct packed packed = {.table = unwind->table,
				.n_lines = (uint32_t)unwind->n_lines,
				.rows = unwind->rows,
				.expressions = unwind->expressions,
				.skipped = unwind->skipped,
				.degraded = unwind->degraded};

	fnp_buffer_append(ret, &packed, sizeof(packed));
	fnp_buffer_append(ret, unwind->lines, unwind->n_lines * FNP_BLOCK_BYTES);
	return ret->error;
}

/* Every part where and as large as the others say. */
static bool is_table(const struct packed *p)
{
	const struct fnp_table *t = &p->table;

	return t->arena == 0 && t->index == 0 && t->pages > 0 && t->pages < FNP_TABLE_REFUSED / 64 &&
	       t->page_shift >= 8 && t->page_shift <= 16 && p->n_lines <= LINES_MAX &&
	       t->blocks == (t->pages + 1 + 15) / 16 && t->rules > t->blocks && t->rules <= p->n_lines &&
	       p->n_lines - t->rules == (t->n_rules + 3U) / 4;
}

/* The rules that the rows of a block name are there. */
static bool names_rules(const struct fnp_block *block, uint32_t n_rules)
{
	bool wide = block->base & FNP_BLOCK_IS_WIDE;
	size_t n = wide ? FNP_BLOCK_WIDE : FNP_BLOCK_NARROW;

	for (size_t i = 0; i < n; i++) {
		uint16_t distance = wide ? block->wide.distance[i] : block->narrow.distance[i];
		uint32_t rule = wide ? block->wide.rule[i] : block->narrow.rule[i];

		if ((i == 0 || distance <= FNP_BLOCK_DISTANCE_MAX) && rule >= n_rules)
			return false;
	}
	return true;
}

/* The page index names blocks in order, and the blocks' addresses rise. */
static bool is_ordered(const struct fnp_table *table, const struct fnp_block *lines)
{
	const uint32_t *index = (const uint32_t *)lines;
	uint32_t n_blocks = table->rules - table->blocks, last = 0;

	for (uint32_t page = 0; page <= table->pages; page++) {
		if (index[page] < last || index[page] >= n_blocks)
			return false;
		last = index[page];
	}
	last = 0;
	for (uint32_t i = 0; i < n_blocks; i++) {
		uint32_t base = lines[table->blocks + i].base & ~FNP_BLOCK_IS_WIDE;

		if (base < last || !names_rules(&lines[table->blocks + i], table->n_rules))
			return false;
		last = base;
	}
	return true;
}

int fnp_unwind_unpack(const void *data, size_t size, struct fnp_unwind **ret)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	struct packed packed;

	if (size < sizeof(packed))
		return -EBADMSG;
	memcpy(&packed, data, sizeof(packed));
	if (!is_table(&packed) || size - sizeof(packed) != (uint64_t)packed.n_lines * FNP_BLOCK_BYTES)
		return -EBADMSG;
	unwind = calloc(1, sizeof(*unwind));
	if (!unwind)
		return -ENOMEM;
	unwind->lines = aligned_alloc(FNP_BLOCK_BYTES, (size_t)packed.n_lines * FNP_BLOCK_BYTES);
	if (!unwind->lines)
		return -ENOMEM;
	memcpy(unwind->lines, (const uint8_t *)data + sizeof(packed), (size_t)packed.n_lines * FNP_BLOCK_BYTES);
	if (!is_ordered(&packed.table, unwind->lines))
		return -EBADMSG;
	unwind->table = packed.table;
	unwind->n_lines = packed.n_lines;
	unwind->rows = packed.rows;
	unwind->expressions = packed.expressions;
	unwind->skipped = packed.skipped;
	unwind->degraded = packed.degraded;
	*ret = TAKE_PTR(unwind);
	return 0;
}

/* Of what the rows are made of: two files with one build id are not believed to be the same. */
static uint64_t hash_of(const struct fnp_object *object)
{
	static const char *const names[] = {".eh_frame", ".debug_frame", ".text"};
	uint64_t hash = XXH3_64bits(fnp_object_header(object), sizeof(Elf64_Ehdr));

	for (size_t i = 0; i < FNP_ARRAY_SIZE(names); i++) {
		struct fnp_section section = {0};

		(void)fnp_object_find_section(object, names[i], &section);
		hash = XXH3_64bits_withSeed(&section.size, sizeof(section.size), hash ^ section.address);
		if (i == 0 && section.data)
			hash = XXH3_64bits_withSeed(section.data, section.size, hash);
	}
	return hash;
}

static bool name_of(const struct fnp_object *object, char *ret, size_t size)
{
	const char *build_id = fnp_object_build_id(object);

	if (strlen(build_id) < 16)
		return false;
	return snprintf(ret, size, "unwind-%d-%.64s-%016llx", FORMAT, build_id,
			(unsigned long long)hash_of(object)) < (int)size;
}

int fnp_unwind_build_cached(const struct fnp_object *object, struct fnp_disk_cache *cache,
			    struct fnp_unwind **ret)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};
	char name[FNP_DISK_CACHE_NAME_MAX];
	int r;

	if (!cache || !name_of(object, name, sizeof(name)))
		return fnp_unwind_build(object, ret);
	if (fnp_disk_cache_load(cache, name, FNP_DISK_CACHE_ENTRY_MAX, &bytes) == 0 &&
	    fnp_unwind_unpack(bytes.data, bytes.len, ret) == 0)
		return 0;
	r = fnp_unwind_build(object, ret);
	if (r < 0 || (*ret)->rows < ROWS_MIN)
		return r;
	bytes.len = 0;
	if (fnp_unwind_pack(*ret, &bytes) == 0)
		(void)fnp_disk_cache_store(cache, name, bytes.data, bytes.len); /* it is compiled again, then */
	return 0;
}
