/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout (Go's internal/abi and cmd/link; all offsets count from the header):
 *
 *	header    magic, 0, 0, least instruction, pointer size, functions, files, text start (0 in newer versions),
 *	          offsets of: function names, unit files, file names, pc values, functions
 *	functions {entry, record} pairs of 32 bits, entries counted from the text's start, and one last entry: the end
 *	record    entry, name, ..., pcsp @16, pcfile @20, pcln @24, npcdata @28, unit files @32, start line @36 (1.20), ...
 *	pc values {difference of value as zigzag, difference of pc}, both LEB128, from value -1 at the entry
 *
 * Where the text starts stands in moduledata, whose first word points to the header; in a position independent
 * program these words are made by relocations.
 */
#include "symbolizer/go_table.h"

#include "symbolizer/dynamic.h"

#define MAGIC_1_18 UINT32_C(0xfffffff0)
#define MAGIC_1_20 UINT32_C(0xfffffff1)
#define HEADER_BYTES 72
#define MODULE_MIN_PC 160 /* in moduledata: the first function, and the text's start */
#define MODULE_TEXT 176
#define INLINED_INDEX 2 /* of the tables in a record: which inlined call an address is in, -1 for none */

struct fnp_go_table {
	struct fnp_cursor bytes; /* from the header on */
	uint64_t text;
	uint64_t n_functions, names, unit_files, file_names, pc_values, functions;
	uint32_t magic;
	uint8_t min_instruction;
};

static int u32_at(const struct fnp_go_table *table, uint64_t offset, uint32_t *ret)
{
	struct fnp_cursor c = table->bytes;

	return fnp_cursor_seek(&c, offset) < 0 ? -EBADMSG : fnp_cursor_u32(&c, ret);
}

static const char *string_at(const struct fnp_go_table *table, uint64_t base, uint64_t offset)
{
	struct fnp_cursor c = table->bytes;
	const char *text;

	if (fnp_cursor_seek(&c, base) < 0 || fnp_cursor_skip(&c, offset) < 0 || fnp_cursor_string(&c, &text) < 0)
		return NULL;
	return text;
}

/* The words of moduledata that name the text, as candidates that must agree with the table. */
static bool is_text(const struct fnp_go_table *table, const struct fnp_object *object, uint64_t text,
		    uint64_t min_pc)
{
	const struct fnp_segment *segments;
	size_t n = fnp_object_segments(object, &segments);
	uint32_t first;

	if (u32_at(table, table->functions, &first) < 0 || min_pc != text + first)
		return false;
	for (size_t i = 0; i < n; i++) {
		if ((segments[i].flags & PF_X) && text >= segments[i].address &&
		    text - segments[i].address < segments[i].file_size)
			return true;
	}
	return false;
}

static uint64_t word(const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

/* Looks for moduledata in the bytes of writable segments. */
static bool find_text_in_data(struct fnp_go_table *table, const struct fnp_object *object, uint64_t header)
{
	const struct fnp_segment *segments;
	size_t n = fnp_object_segments(object, &segments);

	for (size_t i = 0; i < n; i++) {
		const uint8_t *data;
		uint64_t size = segments[i].file_size;

		if ((segments[i].flags & PF_X) || size < MODULE_TEXT + 8 ||
		    fnp_object_read_address(object, segments[i].address, size, &data) < 0)
			continue;
		for (uint64_t at = -segments[i].address & 7; at <= size - (MODULE_TEXT + 8); at += 8) {
			if (word(data + at) != header || !is_text(table, object, word(data + at + MODULE_TEXT),
								  word(data + at + MODULE_MIN_PC)))
				continue;
			table->text = word(data + at + MODULE_TEXT);
			return true;
		}
	}
	return false;
}

static bool relocated_word(const struct fnp_rela_table *relocations, uint64_t address, uint64_t *ret)
{
	for (size_t i = 0; i < relocations->n_rows; i++) {
		Elf64_Rela rela;

		memcpy(&rela, relocations->rows + i * sizeof(rela), sizeof(rela));
		if (rela.r_offset != address)
			continue;
		*ret = (uint64_t)rela.r_addend;
		return true;
	}
	return false;
}

/* The same where a loader would write the words. Few words point to the header, so few are looked at twice. */
static bool find_text_in_relocations(struct fnp_go_table *table, const struct fnp_object *object,
				     uint64_t header)
{
	struct fnp_rela_table relocations;
	int tries = 4;

	if (fnp_rela_table_dyn(object, &relocations) < 0)
		return false;
	for (size_t i = 0; i < relocations.n_rows && tries > 0; i++) {
		uint64_t text, min_pc;
		Elf64_Rela rela;

		memcpy(&rela, relocations.rows + i * sizeof(rela), sizeof(rela));
		if ((uint64_t)rela.r_addend != header)
			continue;
		tries--;
		if (!relocated_word(&relocations, rela.r_offset + MODULE_TEXT, &text) ||
		    !relocated_word(&relocations, rela.r_offset + MODULE_MIN_PC, &min_pc) ||
		    !is_text(table, object, text, min_pc))
			continue;
		table->text = text;
		return true;
	}
	return false;
}

static int read_header(struct fnp_go_table *table, const struct fnp_object *object, uint64_t address)
{
	struct fnp_cursor c = table->bytes;
	uint64_t n_files, text;
	uint16_t zero;
	uint8_t pointer_size;

	if (fnp_cursor_left(&c) < HEADER_BYTES || fnp_cursor_u32(&c, &table->magic) < 0 ||
	    fnp_cursor_u16(&c, &zero) < 0 || fnp_cursor_u8(&c, &table->min_instruction) < 0 ||
	    fnp_cursor_u8(&c, &pointer_size) < 0 || fnp_cursor_u64(&c, &table->n_functions) < 0 ||
	    fnp_cursor_u64(&c, &n_files) < 0 || fnp_cursor_u64(&c, &text) < 0 ||
	    fnp_cursor_u64(&c, &table->names) < 0 || fnp_cursor_u64(&c, &table->unit_files) < 0 ||
	    fnp_cursor_u64(&c, &table->file_names) < 0 || fnp_cursor_u64(&c, &table->pc_values) < 0 ||
	    fnp_cursor_u64(&c, &table->functions) < 0)
		return -ENOENT;
	size_t size = fnp_cursor_left(&table->bytes);
	if ((table->magic != MAGIC_1_18 && table->magic != MAGIC_1_20) || zero != 0 || pointer_size != 8 ||
	    table->functions > size || table->n_functions >= (size - table->functions) / 8)
		return -ENOENT;
	table->text = text;
	if (text != 0)
		return 0;
	return find_text_in_data(table, object, address) || find_text_in_relocations(table, object, address)
		       ? 0
		       : -ENOENT;
}

int fnp_go_table_create(const struct fnp_object *object, struct fnp_go_table **ret)
{
	FNP_CLEANUP(fnp_go_table_destroyp) struct fnp_go_table *table = NULL;
	struct fnp_section section;
	int r;

	if ((fnp_object_find_section(object, ".gopclntab", &section) < 0 &&
	     fnp_object_find_section(object, ".data.rel.ro.gopclntab", &section) < 0) ||
	    !section.data)
		return -ENOENT;
	table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	table->bytes = fnp_cursor_of(section.data, section.size);
	r = read_header(table, object, section.address);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(table);
	return 0;
}

void fnp_go_table_destroy(struct fnp_go_table *table)
{
	free(table);
}

/* The entry and the record of the function with an offset from the text's start. */
static int find_record(const struct fnp_go_table *table, uint64_t offset, uint32_t *ret_entry,
		       uint64_t *ret_record)
{
	uint64_t low = 0, high = table->n_functions;
	uint32_t entry, record;

	/* The last entry is where all functions end. */
	if (u32_at(table, table->functions + 8 * high, &entry) < 0 || offset >= entry)
		return -ENOENT;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		if (u32_at(table, table->functions + 8 * middle, &entry) < 0)
			return -ENOENT;
		if (entry <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || u32_at(table, table->functions + 8 * (low - 1), ret_entry) < 0 ||
	    u32_at(table, table->functions + 8 * (low - 1) + 4, &record) < 0)
		return -ENOENT;
	*ret_record = table->functions + record;
	return 0;
}

/* A table of values by pc, at its beginning; without bytes when there is none. */
static struct fnp_go_depths values_at(const struct fnp_go_table *table, uint32_t where)
{
	struct fnp_go_depths values = {.bytes = table->bytes, .depth = -1, .is_first = true};

	if (where == 0 || fnp_cursor_seek(&values.bytes, table->pc_values) < 0 ||
	    fnp_cursor_skip(&values.bytes, where) < 0)
		values.bytes = fnp_cursor_of(NULL, 0);
	return values;
}

bool fnp_go_depths_next(const struct fnp_go_table *table, struct fnp_go_depths *depths)
{
	uint64_t zigzag, step;

	if (fnp_cursor_uleb128(&depths->bytes, &zigzag) < 0 || (zigzag == 0 && !depths->is_first) ||
	    fnp_cursor_uleb128(&depths->bytes, &step) < 0)
		return false;
	depths->is_first = false;
	depths->depth += (int32_t)((uint32_t)zigzag >> 1 ^ -((uint32_t)zigzag & 1));
	depths->end += step * table->min_instruction;
	return true;
}

/* The value that a table has `distance` bytes into its function; -1 when it says nothing. */
static int64_t pc_value(const struct fnp_go_table *table, uint32_t where, uint64_t distance)
{
	struct fnp_go_depths values = values_at(table, where);

	while (fnp_go_depths_next(table, &values)) {
		if (distance < values.end)
			return values.depth;
	}
	return -1;
}

static bool is_inlined(const struct fnp_go_table *table, uint64_t record, uint64_t distance)
{
	uint64_t tables = record + (table->magic == MAGIC_1_20 ? 44 : 40);
	uint32_t count, where;

	if (u32_at(table, record + 28, &count) < 0 || count <= INLINED_INDEX ||
	    u32_at(table, tables + 4 * INLINED_INDEX, &where) < 0)
		return false;
	return pc_value(table, where, distance) >= 0;
}

static void read_line(const struct fnp_go_table *table, uint64_t record, uint64_t distance,
		      struct fnp_go_function *ret)
{
	uint32_t files, lines, unit, name;
	int64_t file, line;

	if (is_inlined(table, record, distance) || u32_at(table, record + 20, &files) < 0 ||
	    u32_at(table, record + 24, &lines) < 0 || u32_at(table, record + 32, &unit) < 0)
		return;
	file = pc_value(table, files, distance);
	line = pc_value(table, lines, distance);
	if (file < 0 || line <= 0 ||
	    u32_at(table, table->unit_files + 4 * ((uint64_t)unit + (uint64_t)file), &name) < 0)
		return;
	const char *path = string_at(table, table->file_names, name);
	if (!path || !path[0])
		return;
	ret->file = path;
	ret->line = (uint32_t)line;
}

int fnp_go_table_find(const struct fnp_go_table *table, uint64_t address, struct fnp_go_function *ret)
{
	struct fnp_go_function function = {.file = ""};
	uint32_t entry, name, start_line;
	uint64_t record;

	if (address < table->text || find_record(table, address - table->text, &entry, &record) < 0 ||
	    u32_at(table, record + 4, &name) < 0)
		return -ENOENT;
	function.name = string_at(table, table->names, name);
	if (!function.name || !function.name[0])
		return -ENOENT;
	if (table->magic == MAGIC_1_20 && u32_at(table, record + 36, &start_line) == 0)
		function.start_line = start_line;
	read_line(table, record, address - table->text - entry, &function);
	*ret = function;
	return 0;
}

uint64_t fnp_go_table_size(const struct fnp_go_table *table)
{
	return fnp_cursor_left(&table->bytes);
}

int fnp_go_table_code(const struct fnp_go_table *table, uint64_t number, struct fnp_go_code *ret)
{
	uint64_t at = table->functions + 8 * number;
	uint32_t start, end, record, name;
	struct fnp_go_code code = {.name = ""};
	const char *text;

	if (number >= table->n_functions || u32_at(table, at, &start) < 0 ||
	    u32_at(table, at + 4, &record) < 0 || u32_at(table, at + 8, &end) < 0 || end < start ||
	    u32_at(table, table->functions + record + 4, &name) < 0 ||
	    u32_at(table, table->functions + record + 16, &code.depths) < 0 || end > UINT64_MAX - table->text)
		return -ENOENT;
	text = string_at(table, table->names, name);
	code.name = text ? text : "";
	code.start = table->text + start;
	code.end = table->text + end;
	*ret = code;
	return 0;
}

void fnp_go_depths_begin(const struct fnp_go_table *table, const struct fnp_go_code *code,
			 struct fnp_go_depths *ret)
{
	*ret = values_at(table, code->depths);
	ret->end = code->start;
}
