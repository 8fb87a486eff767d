/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All symbols are gathered, sorted, and painted onto the object's executable sections: the result is a list of
 * disjoint ranges with one symbol each, which a binary search reads. Painting goes through the symbols by their
 * start with a stack of those that are open, so nested and overlapping ones cost no more than neat ones.
 *
 * Addresses are kept in 32 bits, counted from the object's first segment; code more than 4 GiB after it has no name.
 */
#include "symbolizer/symbol_table.h"

#include "base/buffer.h"
#include "symbolizer/dynamic.h"
#include "symbolizer/plt.h"
#include "symbolizer/ranges.h"
#include "symbolizer/section_data.h"

#define NAME_MAX_BYTES 16384 /* longer names count as none: nobody reads them, and comparing them costs */
#define MINIDEBUG_MAX (UINT64_C(24) << 20)
#define RELEASE_BYTES ((size_t)1 << 20) /* of names that were looked at */

enum source {
	SOURCE_SYMTAB,
	SOURCE_DYNSYM,
	SOURCE_MINIDEBUG,
	SOURCE_PLT,
	SOURCES,
};

enum {
	IS_SIZED = 1,
	IS_GLOBAL = 2,
};

struct symbol {
	uint32_t start, size; /* start counts from the table's base; size 0: up to the next one */
	uint32_t name;	      /* offset in its source's names */
	uint16_t name_len;
	uint8_t source;
	uint8_t flags;
};

/* Code [start, end) that a section (or a segment, without section headers) holds. */
struct region {
	uint32_t start, end;
};

typedef FNP_VEC(struct symbol) symbol_vec;

struct fnp_symbol_table {
	uint64_t base;
	struct fnp_cursor names[SOURCES];
	struct fnp_buffer minidebug; /* the decompressed file */
	struct fnp_object *minidebug_object;
	struct fnp_buffer plt_names;
	FNP_VEC(struct region) regions; /* sorted; may touch, do not overlap */
	symbol_vec symbols;
	fnp_ranges ranges; /* value: number of the symbol */
};

static int compare_regions(const void *a, const void *b)
{
	const struct region *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int add_region(struct fnp_symbol_table *table, uint64_t address, uint64_t size)
{
	uint64_t start = address - table->base;

	if (address < table->base || start > UINT32_MAX || size == 0)
		return 0;
	uint32_t end = (uint32_t)(start + FNP_MIN(size, UINT32_MAX - start));
	return fnp_vec_push(&table->regions, (struct region){.start = (uint32_t)start, .end = end});
}

static int find_regions(struct fnp_symbol_table *table, const struct fnp_object *object)
{
	const struct fnp_segment *segments;
	size_t n_segments = fnp_object_segments(object, &segments);
	struct fnp_section section;
	int r = 0;

	table->base = UINT64_MAX;
	for (size_t i = 0; i < n_segments; i++)
		table->base = FNP_MIN(table->base, segments[i].address);
	for (size_t i = 0; r == 0 && fnp_object_section(object, i, &section) == 0; i++) {
		if ((section.flags & (SHF_ALLOC | SHF_EXECINSTR)) == (SHF_ALLOC | SHF_EXECINSTR))
			r = add_region(table, section.address, section.size);
	}
	if (r == 0 && table->regions.len == 0) {
		for (size_t i = 0; r == 0 && i < n_segments; i++) {
			if (segments[i].flags & PF_X)
				r = add_region(table, segments[i].address, segments[i].memory_size);
		}
	}
	if (r < 0 || table->regions.len == 0)
		return r;
	qsort(table->regions.items, table->regions.len, sizeof(struct region), compare_regions);
	for (size_t i = 0; i + 1 < table->regions.len; i++) {
		struct region *region = &table->regions.items[i];
		region->end = FNP_MIN(region->end, region[1].start);
	}
	return 0;
}

/* The region with this offset, or NULL. */
static const struct region *region_of(const struct fnp_symbol_table *table, uint32_t offset)
{
	size_t low = 0, high = table->regions.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (table->regions.items[middle].start <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || offset >= table->regions.items[low - 1].end)
		return NULL;
	return &table->regions.items[low - 1];
}

static int add_symbol(struct fnp_symbol_table *table, struct symbol symbol, uint64_t address, uint64_t size)
{
	const struct region *region;

	if (address < table->base || address - table->base > UINT32_MAX)
		return 0;
	symbol.start = (uint32_t)(address - table->base);
	region = region_of(table, symbol.start);
	if (!region)
		return 0;
	symbol.size = (uint32_t)FNP_MIN(size, (uint64_t)(region->end - symbol.start));
	symbol.flags |= size ? IS_SIZED : 0;
	return fnp_vec_push(&table->symbols, symbol);
}

static bool is_code(const Elf64_Sym *symbol)
{
	uint8_t type = ELF64_ST_TYPE(symbol->st_info);

	return symbol->st_shndx != SHN_UNDEF && symbol->st_shndx != SHN_ABS && symbol->st_value != 0 &&
	       (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE);
}

/* Mapping symbols of arm ($x, $d) and labels of the assembler are no functions. */
static bool is_function_name(const uint8_t *name, size_t len)
{
	return len > 0 && name[0] != '$' && !(len >= 2 && name[0] == '.' && name[1] == 'L');
}

static int compare_names(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->name < y->name ? -1 : x->name > y->name;
}

/*
 * Looks at the names of symbols from `first` on, in the order in which they lie in the file; those that are no function's are
 * taken away. In the order of the symbols all of the names would be in memory at once, tens of megabytes of some files.
 */
static void read_names(struct fnp_symbol_table *table, const struct fnp_object *file,
		       const struct fnp_cursor *names, size_t first)
{
	struct symbol *symbols = table->symbols.items;
	size_t n = first, released = 0;

	if (table->symbols.len > first)
		qsort(symbols + first, table->symbols.len - first, sizeof(symbols[0]), compare_names);
	for (size_t i = first; i < table->symbols.len; i++) {
		struct fnp_cursor c = *names;
		const uint8_t *nul = NULL;

		if (fnp_cursor_seek(&c, symbols[i].name) == 0)
			nul = memchr(c.pos, 0, FNP_MIN(fnp_cursor_left(&c), (size_t)NAME_MAX_BYTES));
		if (!nul || !is_function_name(c.pos, (size_t)(nul - c.pos)))
			continue;
		symbols[n] = symbols[i];
		symbols[n++].name_len = (uint16_t)(nul - c.pos);
		if (symbols[i].name - released > RELEASE_BYTES) {
			fnp_object_release_pages(file);
			released = symbols[i].name;
		}
	}
	table->symbols.len = n;
	fnp_object_release_pages(file);
}

static int add_source(struct fnp_symbol_table *table, const struct fnp_object *file, enum source number,
		      const struct fnp_symbol_source *source)
{
	size_t first = table->symbols.len;

	table->names[number] = source->names;
	for (size_t i = 0; i < source->n_symbols; i++) {
		Elf64_Sym elf;

		memcpy(&elf, source->symbols + i * sizeof(elf), sizeof(elf));
		if (!is_code(&elf) || (elf.st_size == 0 && number != SOURCE_SYMTAB))
			continue;
		struct symbol symbol = {.name = elf.st_name,
					.source = (uint8_t)number,
					.flags = ELF64_ST_BIND(elf.st_info) == STB_LOCAL ? 0 : IS_GLOBAL};
		int r = add_symbol(table, symbol, elf.st_value, elf.st_size);
		if (r < 0)
			return r;
	}
	read_names(table, file, &source->names, first);
	return 0;
}

/* The embedded file of .gnu_debugdata. One that is broken costs its names, no more. */
static int add_minidebug(struct fnp_symbol_table *table, const struct fnp_object *object)
{
	struct fnp_symbol_source source;
	struct fnp_section section;

	if (fnp_object_find_section(object, ".gnu_debugdata", &section) < 0 || !section.data)
		return 0;
	int r = fnp_section_data_unxz(fnp_cursor_of(section.data, section.size), MINIDEBUG_MAX,
				      &table->minidebug);
	if (r == 0)
		r = fnp_object_open_memory(table->minidebug.data, table->minidebug.len,
					   fnp_object_name(object), &table->minidebug_object);
	fnp_buffer_deinit(&table->minidebug);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (fnp_symbol_source_symtab(table->minidebug_object, &source) < 0)
		return 0;
	return add_source(table, table->minidebug_object, SOURCE_MINIDEBUG, &source);
}

static int paint(struct fnp_symbol_table *table);

/* "name@plt" into the table's own names; 0 bytes when the target has no name. */
static int add_stub(struct fnp_symbol_table *table, const struct fnp_plt_stub *stub)
{
	struct symbol symbol = {
		.source = SOURCE_PLT, .flags = IS_GLOBAL, .name = (uint32_t)table->plt_names.len};
	const char *target = stub->target;
	struct fnp_table_symbol resolver;

	if (!target && fnp_symbol_table_find(table, stub->resolver, &resolver) == 0)
		target = resolver.name;
	if (!target)
		return 0;
	size_t len = strcspn(target, "@");
	if (len > NAME_MAX_BYTES - 8 || table->plt_names.len > UINT32_MAX / 2)
		return 0;
	fnp_buffer_append(&table->plt_names, target, len);
	fnp_buffer_append(&table->plt_names, "@plt", 5);
	symbol.name_len = (uint16_t)(len + 4);
	if (table->plt_names.error)
		return table->plt_names.error;
	return add_symbol(table, symbol, stub->address, stub->size);
}

/* After the first painting, because the names of resolvers come from it. */
static int add_plt(struct fnp_symbol_table *table, const struct fnp_object *object)
{
	fnp_plt_stubs stubs = {0};
	int r = fnp_plt_find_stubs(object, &stubs);

	for (size_t i = 0; r == 0 && i < stubs.len; i++)
		r = add_stub(table, &stubs.items[i]);
	if (r == 0 && stubs.len > 0) {
		table->names[SOURCE_PLT] = fnp_cursor_of(table->plt_names.data, table->plt_names.len);
		r = paint(table);
	}
	fnp_vec_deinit(&stubs);
	return r;
}

/* By start; of those that start together the one to be shown comes last, and so on top of the painter's stack. */
static int compare_symbols(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if ((x->flags ^ y->flags) & IS_SIZED)
		return x->flags & IS_SIZED ? 1 : -1;
	if ((x->flags ^ y->flags) & IS_GLOBAL)
		return x->flags & IS_GLOBAL ? 1 : -1;
	if (x->name_len != y->name_len)
		return x->name_len > y->name_len ? -1 : 1;
	return x->name > y->name ? -1 : x->name < y->name;
}

static int paint_sized(const symbol_vec *symbols, fnp_ranges *ret)
{
	fnp_ranges intervals = {0};
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < symbols->len; i++) {
		const struct symbol *symbol = &symbols->items[i];
		struct fnp_range interval = {
			.start = symbol->start, .end = symbol->start + symbol->size, .value = i};
		if (symbol->flags & IS_SIZED)
			r = fnp_vec_push(&intervals, interval);
	}
	if (r == 0)
		r = fnp_ranges_paint(intervals.items, intervals.len, ret);
	fnp_vec_deinit(&intervals);
	return r;
}

/* Where a symbol without a size that begins in a gap ends: at the next symbol, or with its section. */
static uint32_t sizeless_end(const struct fnp_symbol_table *table, uint32_t number)
{
	const struct symbol *symbol = &table->symbols.items[number];
	const struct region *region = region_of(table, symbol->start);
	uint32_t end = region ? region->end : symbol->start;

	/* The last one at its start, so what follows begins later. */
	if (number + 1 < table->symbols.len)
		end = FNP_MIN(end, symbol[1].start);
	return end;
}

/* Puts the symbols without a size into the gaps between painted ranges. */
static int fill_gaps(struct fnp_symbol_table *table, const fnp_ranges *painted)
{
	size_t next = 0; /* of the painted ranges */
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < table->symbols.len; i++) {
		const struct symbol *symbol = &table->symbols.items[i];
		/* Of several at one start the last one is the one to be shown, and a sized one wins. */
		if ((symbol->flags & IS_SIZED) ||
		    (i + 1 < table->symbols.len && symbol[1].start == symbol->start))
			continue;
		for (; r == 0 && next < painted->len && painted->items[next].start <= symbol->start; next++)
			r = fnp_vec_push(&table->ranges, painted->items[next]);
		struct fnp_range range = {.start = symbol->start, .end = sizeless_end(table, i), .value = i};
		bool covered = next > 0 && painted->items[next - 1].end > symbol->start;
		if (r == 0 && !covered && range.end > range.start)
			r = fnp_vec_push(&table->ranges, range);
	}
	for (; r == 0 && next < painted->len; next++)
		r = fnp_vec_push(&table->ranges, painted->items[next]);
	return r;
}

static int paint(struct fnp_symbol_table *table)
{
	fnp_ranges painted = {0};
	int r;

	if (table->symbols.len > 0)
		qsort(table->symbols.items, table->symbols.len, sizeof(struct symbol), compare_symbols);
	table->ranges.len = 0;
	r = paint_sized(&table->symbols, &painted);
	if (r == 0)
		r = fill_gaps(table, &painted);
	fnp_vec_deinit(&painted);
	return r;
}

static int fill(struct fnp_symbol_table *table, const struct fnp_object *object, const struct fnp_object *debug)
{
	struct fnp_symbol_source source;
	const struct fnp_object *file = object;
	int r = find_regions(table, object);

	if (r < 0)
		return r;
	if (fnp_symbol_source_symtab(object, &source) == 0 ||
	    (debug && fnp_symbol_source_symtab(file = debug, &source) == 0)) {
		/* The linker puts everything of .dynsym into .symtab, so one is enough. */
		r = add_source(table, file, SOURCE_SYMTAB, &source);
	} else {
		if (fnp_symbol_source_dynsym(object, &source) == 0)
			r = add_source(table, object, SOURCE_DYNSYM, &source);
		if (r == 0)
			r = add_minidebug(table, object);
	}
	if (r == 0)
		r = paint(table);
	if (r == 0)
		r = add_plt(table, object);
	fnp_vec_shrink(&table->symbols);
	fnp_vec_shrink(&table->ranges);
	return r;
}

int fnp_symbol_table_create(const struct fnp_object *object, const struct fnp_object *debug,
			    struct fnp_symbol_table **ret)
{
	FNP_CLEANUP(fnp_symbol_table_destroyp) struct fnp_symbol_table *table = calloc(1, sizeof(*table));
	int r;

	if (!table)
		return -ENOMEM;
	r = fill(table, object, debug);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(table);
	return 0;
}

void fnp_symbol_table_destroy(struct fnp_symbol_table *table)
{
	if (!table)
		return;
	fnp_buffer_deinit(&table->minidebug);
	fnp_object_unref(table->minidebug_object);
	fnp_buffer_deinit(&table->plt_names);
	fnp_vec_deinit(&table->regions);
	fnp_vec_deinit(&table->symbols);
	fnp_vec_deinit(&table->ranges);
	free(table);
}

int fnp_symbol_table_find(const struct fnp_symbol_table *table, uint64_t address, struct fnp_table_symbol *ret)
{
	const struct fnp_range *range;

	if (address < table->base)
		return -ENOENT;
	range = fnp_ranges_find(table->ranges.items, table->ranges.len, address - table->base);
	if (!range)
		return -ENOENT;
	const struct symbol *symbol = &table->symbols.items[range->value];
	ret->name = (const char *)table->names[symbol->source].start + symbol->name;
	ret->start = table->base + symbol->start;
	ret->end = table->base + range->end;
	return 0;
}

size_t fnp_symbol_table_bytes(const struct fnp_symbol_table *table)
{
	return table->symbols.cap * sizeof(struct symbol) + table->ranges.cap * sizeof(struct fnp_range) +
	       table->regions.cap * sizeof(struct region) + table->plt_names.cap;
}
