/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record of lines comes before the code that it is of. Addresses of lines: perf once put code behind the 64 bytes of an
 * ELF header, and writers that were made for it (LLVM, V8) add these 64 bytes to every address of their lines; others do
 * not, and no record says so. Which kind a writer is shows at the first function that it can be seen at; until then
 * there are no lines.
 */
#include "symbolizer/jitdump_records.h"

#include "base/clock.h"

#define LINES_MAX ((size_t)2 << 20)
#define NAME_MAX_BYTES 1024 /* longer names are cut */
#define ELF_HEADER_BYTES 64
#define LATE_NS UINT64_C(10000000) /* a record may be written this much after its code began to run */
#define AHEAD_NS FNP_NS_PER_S	   /* a later time than that is none of our clock */
#define BACK_MAX 65536		   /* pieces that one look-up goes back through */

void fnp_jitdump_records_deinit(struct fnp_jitdump_records *records)
{
	fnp_intern_destroy(records->texts);
	fnp_jit_code_deinit(&records->code);
	fnp_vec_deinit(&records->details);
	fnp_vec_deinit(&records->lines);
}

static int take_text(struct fnp_jitdump_records *records, struct fnp_cursor *c, uint32_t *ret)
{
	const char *text;
	int r = fnp_cursor_string(c, &text);

	return r < 0 ? r
		     : fnp_intern_add(records->texts, text, FNP_MIN(strlen(text), (size_t)NAME_MAX_BYTES), ret);
}

/* {u64 address, u32 line, u32 column, name}; a name of "\xff" is that of the entry before it. */
static int take_line(struct fnp_jitdump_records *records, struct fnp_cursor *c, uint64_t base, uint32_t *file)
{
	uint32_t number, column;
	uint64_t address;

	if (fnp_cursor_u64(c, &address) < 0 || fnp_cursor_u32(c, &number) < 0 || fnp_cursor_u32(c, &column) < 0)
		return -EBADMSG;
	if (fnp_cursor_left(c) >= 2 && c->pos[0] == 0xff && c->pos[1] == 0)
		c->pos += 2;
	else if (take_text(records, c, file) < 0)
		return -EBADMSG;
	if (address < base || address - base > FNP_JIT_PIECE_BYTES_MAX)
		return 0;
	struct fnp_jitdump_line line = {.offset = (uint32_t)(address - base), .line = number, .file = *file};
	return records->lines.len >= LINES_MAX ? -ENOSPC : fnp_vec_push(&records->lines, line);
}

static int compare_lines(const void *a, const void *b)
{
	const struct fnp_jitdump_line *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* What cannot be read leaves the function without lines. */
static int take_debug_info(struct fnp_jitdump_records *records, struct fnp_cursor c)
{
	size_t first = records->lines.len;
	uint64_t address, n;
	uint32_t file = 0;
	int r = 0;

	records->pending.n = 0;
	if (fnp_cursor_u64(&c, &address) < 0 || fnp_cursor_u64(&c, &n) < 0)
		return 0;
	for (uint64_t i = 0; r == 0 && i < n && fnp_cursor_left(&c) > 0; i++)
		r = take_line(records, &c, address, &file);
	if (r < 0) {
		records->lines.len = first;
		return r == -ENOMEM ? r : 0;
	}
	if (records->lines.len > first)
		qsort(records->lines.items + first, records->lines.len - first,
		      sizeof(struct fnp_jitdump_line), compare_lines);
	records->pending_address = address;
	records->pending = (struct fnp_jitdump_lines){.first = (uint32_t)first,
						      .n = (uint32_t)(records->lines.len - first)};
	return 0;
}

/* Which kind of writer made these lines of a function of `size` bytes? */
static enum fnp_jitdump_shift shift_of(const struct fnp_jitdump_line *lines, uint32_t n, uint64_t size)
{
	if (lines[0].offset < ELF_HEADER_BYTES)
		return FNP_JITDUMP_SHIFT_NONE;
	/* The end of the last line's code may have an entry, too. */
	if (lines[n - 1].offset > size || lines[0].offset == ELF_HEADER_BYTES)
		return FNP_JITDUMP_SHIFT_ELF_HEADER;
	return FNP_JITDUMP_SHIFT_UNKNOWN;
}

/* The lines of the function that is told now, when there are any; sorted, and counted from its start. */
static struct fnp_jitdump_lines take_pending(struct fnp_jitdump_records *records, uint64_t address,
					     uint64_t size)
{
	struct fnp_jitdump_lines lines = records->pending;

	records->pending.n = 0;
	if (lines.n == 0 || records->pending_address != address)
		return (struct fnp_jitdump_lines){0};
	struct fnp_jitdump_line *items = records->lines.items + lines.first;
	if (records->shift == FNP_JITDUMP_SHIFT_UNKNOWN)
		records->shift = shift_of(items, lines.n, size);
	if (records->shift == FNP_JITDUMP_SHIFT_UNKNOWN)
		return (struct fnp_jitdump_lines){0};
	for (uint32_t i = 0; records->shift == FNP_JITDUMP_SHIFT_ELF_HEADER && i < lines.n; i++)
		items[i].offset -= FNP_MIN(items[i].offset, (uint32_t)ELF_HEADER_BYTES);
	return lines;
}

/* When it was written, on our clock; 0 when that is not known. */
static uint64_t time_of(const struct fnp_jitdump_records *records, const struct fnp_jitdump_record *record)
{
	return records->has_times && record->time <= records->now_ns + AHEAD_NS ? record->time : 0;
}

/* Code of a process that this one was forked from is in its memory, too; of any other it is not. */
static bool is_ours(const struct fnp_jitdump_records *records, uint32_t pid, uint64_t time_ns)
{
	return pid == records->process.pid || (time_ns > 0 && time_ns <= records->process.start_ns);
}

static int add_piece(struct fnp_jitdump_records *records, const struct fnp_jit_piece *piece,
		     const struct fnp_jitdump_detail *detail)
{
	int r = fnp_vec_reserve(&records->details, records->details.len + 1);

	if (r == 0)
		r = fnp_jit_code_add(&records->code, piece);
	if (r == 0)
		records->details.items[records->details.len++] = *detail;
	return r;
}

/* {u32 pid, tid; u64 vma, address, size, index}, the name, the code. */
static int take_load(struct fnp_jitdump_records *records, const struct fnp_jitdump_record *record,
		     struct fnp_cursor c)
{
	struct fnp_jitdump_detail detail = {.time_ns = time_of(records, record)};
	struct fnp_jit_piece piece = {0};
	uint32_t pid, tid;
	uint64_t vma, size;
	int r;

	if (fnp_cursor_u32(&c, &pid) < 0 || fnp_cursor_u32(&c, &tid) < 0 || fnp_cursor_u64(&c, &vma) < 0 ||
	    fnp_cursor_u64(&c, &piece.start) < 0 || fnp_cursor_u64(&c, &size) < 0 ||
	    fnp_cursor_u64(&c, &detail.index) < 0 || !fnp_jit_piece_is_sound(piece.start, size) ||
	    !is_ours(records, pid, detail.time_ns))
		return 0;
	r = take_text(records, &c, &piece.name);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	piece.size = (uint32_t)size;
	detail.lines = take_pending(records, piece.start, size);
	return add_piece(records, &piece, &detail);
}

/* {u32 pid, tid; u64 vma, old address, new address, size, index}: the function with this index has a new place. */
static int take_move(struct fnp_jitdump_records *records, const struct fnp_jitdump_record *record,
		     struct fnp_cursor c)
{
	uint64_t vma, old_address, new_address, size, index;
	uint32_t pid, tid;
	size_t at = records->details.len, least = at > BACK_MAX ? at - BACK_MAX : 0;

	if (fnp_cursor_u32(&c, &pid) < 0 || fnp_cursor_u32(&c, &tid) < 0 || fnp_cursor_u64(&c, &vma) < 0 ||
	    fnp_cursor_u64(&c, &old_address) < 0 || fnp_cursor_u64(&c, &new_address) < 0 ||
	    fnp_cursor_u64(&c, &size) < 0 || fnp_cursor_u64(&c, &index) < 0 ||
	    !fnp_jit_piece_is_sound(new_address, size) || !is_ours(records, pid, time_of(records, record)))
		return 0;
	while (at > least && (records->details.items[at - 1].index != index ||
			      records->code.pieces.items[at - 1].start != old_address))
		at--;
	if (at == least)
		return 0;
	struct fnp_jitdump_detail detail = records->details.items[at - 1];
	struct fnp_jit_piece piece = records->code.pieces.items[at - 1];
	detail.time_ns = time_of(records, record);
	piece.start = new_address;
	piece.size = (uint32_t)size;
	return add_piece(records, &piece, &detail);
}

int fnp_jitdump_records_take(struct fnp_jitdump_records *records, const struct fnp_jitdump_record *record,
			     struct fnp_cursor body)
{
	switch (record->id) {
	case FNP_JITDUMP_LOAD:
		return take_load(records, record, body);
	case FNP_JITDUMP_MOVE:
		return take_move(records, record, body);
	case FNP_JITDUMP_DEBUG_INFO:
		return take_debug_info(records, body);
	default:
		return 0; /* unwinding data, the end, and what came after version 1 */
	}
}

/*
 * The newest piece is younger than the sample: an older one had the address then. When there was none, its record may
 * just have come a little late.
 */
static int find_older(const struct fnp_jitdump_records *records, uint64_t address, uint64_t time_ns,
		      uint32_t *number)
{
	uint32_t least = *number > BACK_MAX ? *number - BACK_MAX : 0, earliest = *number;

	for (uint32_t i = *number; i-- > least;) {
		const struct fnp_jit_piece *piece = &records->code.pieces.items[i];
		if (address < piece->start || address - piece->start >= piece->size)
			continue;
		earliest = i;
		if (records->details.items[i].time_ns <= time_ns)
			break;
	}
	if (records->details.items[earliest].time_ns > time_ns &&
	    records->details.items[earliest].time_ns - time_ns > LATE_NS)
		return -ENOENT;
	*number = earliest;
	return 0;
}

static const struct fnp_jitdump_line *line_at(const struct fnp_jitdump_records *records,
					      const struct fnp_jitdump_lines *lines, uint64_t offset)
{
	const struct fnp_jitdump_line *items = records->lines.items;
	size_t first = lines->first, low = first, high = first + lines->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (items[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low > first && items[low - 1].line > 0 ? &items[low - 1] : NULL;
}

int fnp_jitdump_records_find(const struct fnp_jitdump_records *records, uint64_t address, uint64_t time_ns,
			     struct fnp_jitdump_place *ret)
{
	uint32_t number;
	int r;

	r = fnp_jit_code_find(&records->code, address, &number);
	if (r == 0 && records->details.items[number].time_ns > time_ns)
		r = find_older(records, address, time_ns, &number);
	if (r < 0)
		return r;
	const struct fnp_jit_piece *piece = &records->code.pieces.items[number];
	const struct fnp_jitdump_line *line = line_at(records, &records->details.items[number].lines,
						      address - piece->start);
	*ret = (struct fnp_jitdump_place){
		.name = fnp_intern_get_text(records->texts, piece->name),
		.file = line ? fnp_intern_get_text(records->texts, line->file) : "",
		.line = line ? line->line : 0,
		.start = piece->start,
	};
	return 0;
}
