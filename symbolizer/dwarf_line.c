/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line program is a byte code that writes rows (address, file, line); runs of rows with rising addresses are
 * sequences, which come in any order. Rows that say the same as the one before are not kept. The header has tables of
 * directories and files: fixed columns before DWARF 5, described columns since.
 */
#include "symbolizer/dwarf_line.h"

#include <dwarf.h>

#include "symbolizer/dwarf_form.h"

struct header {
	uint16_t version;
	uint8_t address_size, offset_size;
	uint8_t min_instruction, opcode_base, line_range;
	int8_t line_base;
	const uint8_t *opcode_lengths; /* opcode_base - 1 of them */
	struct fnp_cursor tables;      /* at the directories */
	struct fnp_cursor program;
};

static int read_header_fields(struct fnp_cursor *c, struct header *h)
{
	uint64_t tables_size;
	uint8_t skipped, line_base = 0;

	if (fnp_cursor_u16(c, &h->version) < 0 || h->version < 2 || h->version > 5)
		return -EBADMSG;
	if (h->version >= 5 && (fnp_cursor_u8(c, &h->address_size) < 0 || fnp_cursor_u8(c, &skipped) < 0))
		return -EBADMSG;
	if (fnp_dwarf_offset(c, h->offset_size, &tables_size) < 0)
		return -EBADMSG;
	h->program = *c;
	if (fnp_cursor_skip(&h->program, tables_size) < 0 || fnp_cursor_u8(c, &h->min_instruction) < 0 ||
	    (h->version >= 4 && fnp_cursor_u8(c, &skipped) < 0) || /* operations an instruction: 1 on our machines */
	    fnp_cursor_u8(c, &skipped) < 0 || fnp_cursor_u8(c, &line_base) < 0 ||
	    fnp_cursor_u8(c, &h->line_range) < 0 || fnp_cursor_u8(c, &h->opcode_base) < 0 ||
	    h->opcode_base == 0 || fnp_cursor_bytes(c, h->opcode_base - 1u, &h->opcode_lengths) < 0)
		return -EBADMSG;
	h->line_base = (int8_t)line_base;
	h->tables = *c;
	h->tables.end = h->program.pos > c->pos ? h->program.pos : c->pos;
	return 0;
}

static int read_header(const struct fnp_dwarf_unit *unit, struct header *ret)
{
	const struct fnp_dwarf_unit *main = unit->skeleton ? unit->skeleton : unit;
	struct fnp_cursor all = fnp_dwarf_section(main->file, FNP_DWARF_LINE), c;
	struct header h = {.offset_size = 4};
	uint32_t length32;
	uint64_t length;

	if (main->line_offset == UINT64_MAX)
		return -ENOENT;
	if (fnp_cursor_seek(&all, main->line_offset) < 0 || fnp_cursor_u32(&all, &length32) < 0)
		return -EBADMSG;
	length = length32;
	if (length32 == UINT32_MAX) {
		h.offset_size = 8;
		if (fnp_cursor_u64(&all, &length) < 0)
			return -EBADMSG;
	}
	if (fnp_cursor_sub(&all, length, &c) < 0)
		return -EBADMSG;
	int r = read_header_fields(&c, &h);
	if (r == 0)
		*ret = h;
	return r;
}

struct machine {
	const struct fnp_dwarf_unit *unit;
	const struct header *header;
	struct fnp_dwarf_code code;
	fnp_dwarf_rows rows;
	size_t sequence;		     /* where the present one begins in rows */
	FNP_VEC(struct fnp_range) sequences; /* start: first address; end, value: rows [end, value) */
	uint64_t address, file, last_file;
	int64_t line, last_line;
	struct {
		uint16_t address;
		int16_t line;
	} special[256]; /* by opcode; 255 also says what DW_LNS_const_add_pc adds */
};

static void start_sequence(struct machine *m)
{
	m->sequence = m->rows.len;
	m->address = 0;
	m->file = 1;
	m->line = 1;
	m->last_file = UINT64_MAX;
}

static int write_new_row(struct machine *m, bool end)
{
	struct fnp_dwarf_row row = {.file = end ? FNP_DWARF_END_OF_SEQUENCE
						: (uint32_t)FNP_MIN(m->file, (uint64_t)UINT32_MAX - 1),
				    .line = (uint32_t)m->line};
	struct fnp_dwarf_row *last = m->rows.len > m->sequence ? &m->rows.items[m->rows.len - 1] : NULL;

	/* What the linker threw away begins at 0 or -1, not in our code. */
	if (m->address < m->code.start || m->address > m->code.end || (!last && m->address == m->code.end))
		return 0;
	row.address = (uint32_t)(m->address - m->code.start);
	if (last && last->address == row.address) {
		*last = row;
		return 0;
	}
	return fnp_vec_push(&m->rows, row);
}

/* Most rows differ from the one before in their column alone. */
static inline int write_row(struct machine *m)
{
	if (m->file == m->last_file && m->line == m->last_line)
		return 0;
	m->last_file = m->file;
	m->last_line = m->line;
	return write_new_row(m, false);
}

static int end_sequence(struct machine *m)
{
	int r = write_new_row(m, true);

	if (r == 0 && m->rows.len > m->sequence) {
		struct fnp_range sequence = {.start = m->rows.items[m->sequence].address,
					     .end = (uint32_t)m->sequence,
					     .value = (uint32_t)m->rows.len};
		r = fnp_vec_push(&m->sequences, sequence);
	}
	start_sequence(m);
	return r;
}

static int run_extended(struct machine *m, struct fnp_cursor *c)
{
	struct fnp_cursor body;
	uint64_t size;
	uint8_t opcode;

	if (fnp_dwarf_uleb128(c, &size) < 0 || fnp_cursor_sub(c, size, &body) < 0)
		return -EBADMSG;
	if (fnp_cursor_u8(&body, &opcode) < 0)
		return 0;
	if (opcode == DW_LNE_end_sequence)
		return end_sequence(m);
	if (opcode == DW_LNE_set_address)
		return fnp_cursor_u64(&body, &m->address);
	return 0; /* discriminators, and what nobody writes any more */
}

static void advance(struct machine *m, uint64_t operations)
{
	m->address += operations * m->header->min_instruction;
}

static int skip_numbers(uint8_t n, struct fnp_cursor *c)
{
	uint64_t number;

	for (uint8_t i = 0; i < n; i++) {
		if (fnp_dwarf_uleb128(c, &number) < 0)
			return -EBADMSG;
	}
	return 0;
}

static int run_standard(struct machine *m, uint8_t opcode, struct fnp_cursor *c)
{
	uint64_t number;
	int64_t signed_number;
	uint16_t short_number;

	switch (opcode) {
	case DW_LNS_copy:
		return write_row(m);
	case DW_LNS_advance_pc:
		if (fnp_dwarf_uleb128(c, &number) < 0)
			return -EBADMSG;
		advance(m, number);
		return 0;
	case DW_LNS_advance_line:
		if (fnp_dwarf_sleb128(c, &signed_number) < 0)
			return -EBADMSG;
		m->line = (int64_t)((uint64_t)m->line + (uint64_t)signed_number);
		return 0;
	case DW_LNS_set_file:
		return fnp_dwarf_uleb128(c, &m->file);
	case DW_LNS_set_column:
		return fnp_dwarf_uleb128(c, &number);
	case DW_LNS_negate_stmt:
		return 0;
	case DW_LNS_const_add_pc:
		m->address += m->special[255].address;
		return 0;
	case DW_LNS_fixed_advance_pc:
		if (fnp_cursor_u16(c, &short_number) < 0)
			return -EBADMSG;
		m->address += short_number;
		return 0;
	default:
		return skip_numbers(m->header->opcode_lengths[opcode - 1], c);
	}
}

/* What each special opcode adds; most opcodes are special, so they are divided once. */
static int fill_special(struct machine *m)
{
	const struct header *h = m->header;

	if (h->line_range == 0)
		return -EBADMSG;
	for (unsigned int opcode = h->opcode_base; opcode < 256; opcode++) {
		unsigned int special = opcode - h->opcode_base;
		m->special[opcode].address = (uint16_t)(special / h->line_range * h->min_instruction);
		m->special[opcode].line = (int16_t)(h->line_base + (int)(special % h->line_range));
	}
	return 0;
}

static inline int skip_number(struct fnp_cursor *c)
{
	while (c->pos < c->end) {
		if (*c->pos++ < 0x80)
			return 0;
	}
	return -EBADMSG;
}

/*
 * The opcodes that nearly all of a program consists of, up to the first other one. What they work on is held in locals,
 * which is worth a factor of two.
 */
static int run_common(struct machine *m, struct fnp_cursor *program)
{
	struct fnp_cursor c = *program;
	uint64_t address = m->address;
	int64_t line = m->line, delta = 0;
	const uint8_t base = m->header->opcode_base;
	int r = 0;

	for (; r == 0 && c.pos < c.end; program->pos = c.pos) {
		uint8_t opcode = *c.pos++;
		bool row = false;

		if (opcode >= base) {
			address += m->special[opcode].address;
			line += m->special[opcode].line;
			row = true;
		} else if (opcode == DW_LNS_set_column) {
			r = skip_number(&c);
		} else if (opcode == DW_LNS_advance_line) {
			r = fnp_dwarf_sleb128(&c, &delta);
			line = (int64_t)((uint64_t)line + (uint64_t)delta);
		} else if (opcode == DW_LNS_copy) {
			row = true;
		} else if (opcode != DW_LNS_negate_stmt) {
			break;
		}
		if (!row || (line == m->last_line && m->file == m->last_file))
			continue;
		m->address = address;
		m->line = line;
		r = write_row(m);
	}
	m->address = address;
	m->line = line;
	return r;
}

static int run(struct machine *m)
{
	struct fnp_cursor c = m->header->program;
	int r = fill_special(m);

	/* Each opcode takes a byte, so the work is known before it begins. */
	if (r == 0)
		r = fnp_dwarf_burn(m->unit->file, fnp_cursor_left(&c));
	start_sequence(m);
	while (r == 0) {
		uint8_t opcode;

		r = m->header->opcode_base > DW_LNS_negate_stmt ? run_common(m, &c) : 0;
		if (r < 0 || fnp_cursor_u8(&c, &opcode) < 0)
			return r;
		if (opcode == 0) {
			r = run_extended(m, &c);
		} else if (opcode < m->header->opcode_base) {
			r = run_standard(m, opcode, &c);
		} else {
			m->address += m->special[opcode].address;
			m->line += m->special[opcode].line;
			r = write_row(m);
		}
	}
	return r;
}

/* Rows in the order of their sequences' addresses. */
static int sort_sequences(struct machine *m, fnp_dwarf_rows *ret)
{
	bool sorted = true;
	int r = 0;

	for (size_t i = 1; i < m->sequences.len; i++)
		sorted = sorted && m->sequences.items[i - 1].start <= m->sequences.items[i].start;
	/* The usual case: rows that are in order are handed on as they are, if they are all whole sequences. */
	if (sorted && m->rows.len == m->sequence && ret->len == 0) {
		free(ret->items);
		ret->items = m->rows.items;
		ret->len = m->rows.len;
		ret->cap = m->rows.cap;
		memset(&m->rows, 0, sizeof(m->rows));
		fnp_vec_shrink(ret);
		return 0;
	}
	if (!sorted)
		qsort(m->sequences.items, m->sequences.len, sizeof(struct fnp_range), fnp_ranges_compare);
	r = fnp_vec_reserve(ret, ret->len + m->rows.len);
	for (size_t i = 0; r == 0 && i < m->sequences.len; i++) {
		const struct fnp_range *s = &m->sequences.items[i];
		r = fnp_vec_append(ret, m->rows.items + s->end, s->value - s->end);
	}
	fnp_vec_shrink(ret);
	return r;
}

int fnp_dwarf_rows_read(const struct fnp_dwarf_unit *unit, struct fnp_dwarf_code code, fnp_dwarf_rows *ret)
{
	struct header header;
	int r = read_header(unit, &header);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	struct machine m = {.unit = unit, .header = &header, .code = code};
	/* A row takes about eight bytes of program; growing by doubling would copy them all. */
	r = fnp_vec_reserve(&m.rows, fnp_cursor_left(&header.program) / 8);
	if (r == 0)
		r = run(&m);
	/* Sequences that ended before a broken opcode are right. */
	if (r == 0 || r == -EBADMSG)
		r = sort_sequences(&m, ret);
	fnp_vec_deinit(&m.rows);
	fnp_vec_deinit(&m.sequences);
	return r;
}

const struct fnp_dwarf_row *fnp_dwarf_row_find(const struct fnp_dwarf_row *rows, size_t n, uint64_t address)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (rows[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && rows[low - 1].file != FNP_DWARF_END_OF_SEQUENCE ? &rows[low - 1] : NULL;
}

/* One row of a described table: its path and directory; the other columns are passed over. */
struct entry {
	const char *path;
	uint64_t directory;
};

struct columns {
	uint8_t n;
	struct {
		uint64_t content, form;
	} items[UINT8_MAX];
};

static int read_columns(struct fnp_cursor *c, struct columns *ret)
{
	if (fnp_cursor_u8(c, &ret->n) < 0)
		return -EBADMSG;
	for (uint8_t i = 0; i < ret->n; i++) {
		if (fnp_dwarf_uleb128(c, &ret->items[i].content) < 0 ||
		    fnp_dwarf_uleb128(c, &ret->items[i].form) < 0)
			return -EBADMSG;
	}
	return 0;
}

static int read_entry(const struct fnp_dwarf_unit *unit, const struct columns *columns, struct fnp_cursor *c,
		      struct entry *ret)
{
	*ret = (struct entry){.path = ""};
	for (uint8_t i = 0; i < columns->n; i++) {
		struct fnp_dwarf_attribute attribute = {.form = (uint16_t)columns->items[i].form};
		struct fnp_dwarf_value value;
		int r = fnp_dwarf_form_read(unit, &attribute, c, &value);

		if (r < 0 || columns->items[i].form > UINT16_MAX)
			return -EBADMSG;
		if (columns->items[i].content == DW_LNCT_directory_index)
			ret->directory = value.number;
		if (columns->items[i].content != DW_LNCT_path)
			continue;
		ret->path = fnp_dwarf_string(unit, &value);
		if (!ret->path)
			return -EBADMSG;
	}
	return 0;
}

/* The number'th entry of the table at the cursor, which is then past the table when `number` is past its end. */
static int described_entry(const struct fnp_dwarf_unit *unit, struct fnp_cursor *c, uint64_t number,
			   struct entry *ret)
{
	struct columns columns;
	uint64_t count;

	if (read_columns(c, &columns) < 0 || fnp_dwarf_uleb128(c, &count) < 0)
		return -EBADMSG;
	for (uint64_t i = 0; i < count; i++) {
		int r = read_entry(unit, &columns, c, ret);
		if (r == 0)
			r = fnp_dwarf_burn(unit->file, 1);
		if (r < 0)
			return r;
		if (i == number)
			return 0;
	}
	return -ENOENT;
}

static int find_described(const struct fnp_dwarf_unit *unit, const struct header *h, uint64_t file,
			  struct entry *ret, const char **ret_directory)
{
	struct fnp_cursor directories = h->tables, files = h->tables;
	struct entry directory;

	if (described_entry(unit, &files, UINT64_MAX, &directory) != -ENOENT ||
	    described_entry(unit, &files, file, ret) < 0)
		return -ENOENT;
	*ret_directory = described_entry(unit, &directories, ret->directory, &directory) == 0 ? directory.path
											      : "";
	return 0;
}

/* Before DWARF 5: strings up to an empty one; then files {name, directory, time, size}. Both count from 1. */
static int find_listed(const struct header *h, uint64_t file, struct entry *ret, const char **ret_directory)
{
	struct fnp_cursor c = h->tables, directories = h->tables;
	uint64_t time, size;
	const char *text;

	do {
		if (fnp_cursor_string(&c, &text) < 0)
			return -ENOENT;
	} while (text[0]);
	for (uint64_t i = 1;; i++) {
		if (fnp_cursor_string(&c, &ret->path) < 0 || !ret->path[0] ||
		    fnp_dwarf_uleb128(&c, &ret->directory) < 0 || fnp_dwarf_uleb128(&c, &time) < 0 ||
		    fnp_dwarf_uleb128(&c, &size) < 0)
			return -ENOENT;
		if (i == file)
			break;
	}
	*ret_directory = "";
	for (uint64_t i = 1; i <= ret->directory; i++) {
		if (fnp_cursor_string(&directories, &text) < 0 || !text[0])
			return 0;
		if (i == ret->directory)
			*ret_directory = text;
	}
	return 0;
}

static void append_component(struct fnp_buffer *path, const char *component)
{
	if (!component[0])
		return;
	if (path->len > 0 && path->data[path->len - 1] != '/')
		fnp_buffer_byte(path, '/');
	fnp_buffer_text(path, component);
}

int fnp_dwarf_file_path(const struct fnp_dwarf_unit *unit, uint64_t file, struct fnp_buffer *ret)
{
	const struct fnp_dwarf_unit *main = unit->skeleton ? unit->skeleton : unit;
	const char *directory = "";
	struct entry entry = {0};
	struct header header;
	int r = read_header(unit, &header);

	if (r == 0)
		r = header.version >= 5 ? find_described(main, &header, file, &entry, &directory)
					: find_listed(&header, file, &entry, &directory);
	if (r < 0)
		return -ENOENT;
	if (entry.path[0] != '/') {
		/*
		 * Directory 0 of DWARF 5 is the unit's own already, so one that is relative is written twice here.
		 * Debuggers and other symbolizers do the same, and a path must be found under one name.
		 */
		if (directory[0] != '/')
			append_component(ret, main->comp_dir);
		append_component(ret, directory);
	}
	append_component(ret, entry.path);
	fnp_buffer_byte(ret, 0);
	return ret->error;
}
