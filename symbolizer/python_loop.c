/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The code of CPython's interpreter loop, in all of its parts, and of its collector.
 *
 * `_PyEval_EvalFrameDefault` is exported, but with profile-guided and link-time optimisation its symbol may cover only
 * a stub or the hot part: the rest stands elsewhere, without a name in a stripped file. Such a part has an entry of its
 * own in the unwind tables, and is told from other functions by two things: a jump (not a call) leads from the loop
 * into it, and its first unwind row is not that of a function's entry (CFA = rsp + 8), because the frame already exists.
 * Only .eh_frame_hdr with its usual encoding is read (a sorted table of 32-bit offsets); without it, and for x86-64
 * alone, what symbols say must do.
 *
 * The collector is one function without a name in a stripped file, or some clones of it. Its probes (gc__start, gc__done)
 * stand in it; without probes it is what PyGC_Collect() calls that is no small helper.
 */
#include "symbolizer/python.h"
#include "symbolizer/usdt.h"

#define DW_EH_PE_TABLE 0x3b   /* datarel | sdata4 */
#define DW_EH_PE_POINTER 0x1b /* pcrel | sdata4 */
#define PART_MAX (4u << 20)
#define COLLECTOR_MIN 512 /* bytes of code; what else is called there saves and restores an exception */
#define COLLECTOR_MAX 65536

/* .eh_frame_hdr's table: pairs of signed 32-bit offsets from its own address. */
struct index {
	uint64_t address;
	const uint8_t *rows;
	size_t n;
};

struct part {
	uint64_t start, end;
	bool entry; /* its first row is that of a function that was just called */
};

static int32_t s32_at(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int find_index(const struct fnp_object *object, struct index *ret)
{
	Elf64_Phdr ph = {0};
	const uint8_t *bytes;
	uint32_t n;

	for (size_t i = 0;; i++) {
		int r = fnp_object_program_header(object, i, &ph);
		if (r < 0)
			return r;
		if (ph.p_type == PT_GNU_EH_FRAME)
			break;
	}
	if (ph.p_filesz < 12 || fnp_object_read_address(object, ph.p_vaddr, ph.p_filesz, &bytes) < 0)
		return -ENOENT;
	if (bytes[0] != 1 || bytes[1] != DW_EH_PE_POINTER || bytes[2] != 0x03 || bytes[3] != DW_EH_PE_TABLE)
		return -ENOENT;
	memcpy(&n, bytes + 8, sizeof(n));
	*ret = (struct index){
		.address = ph.p_vaddr, .rows = bytes + 12, .n = FNP_MIN(n, (ph.p_filesz - 12) / 8)};
	return 0;
}

/* The address of the FDE of the last part that does not begin after `address`. */
static int find_fde(const struct index *index, uint64_t address, uint64_t *ret)
{
	size_t low = 0, high = index->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		uint64_t start = index->address + (uint64_t)(int64_t)s32_at(index->rows + 8 * middle);
		if (start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return -ENOENT;
	*ret = index->address + (uint64_t)(int64_t)s32_at(index->rows + 8 * (low - 1) + 4);
	return 0;
}

/* A CIE or FDE without its length field. */
static int read_entry(const struct fnp_object *object, uint64_t address, struct fnp_cursor *ret)
{
	const uint8_t *bytes;
	uint32_t length;

	if (fnp_object_read_address(object, address, 4, &bytes) < 0)
		return -EBADMSG;
	memcpy(&length, bytes, sizeof(length));
	if (length < 8 || length > 65536 || fnp_object_read_address(object, address + 4, length, &bytes) < 0)
		return -EBADMSG;
	*ret = fnp_cursor_of(bytes, length);
	return 0;
}

/* Runs call frame instructions to the first row's end; the CFA's offset (register and base do not matter here). */
static int first_cfa(struct fnp_cursor c, uint64_t *ret)
{
	uint64_t number;
	uint8_t op;

	while (fnp_cursor_u8(&c, &op) == 0) {
		if (op >> 6 == 1) /* DW_CFA_advance_loc: the next row */
			return 0;
		if (op >> 6 == 2) { /* DW_CFA_offset */
			if (fnp_cursor_uleb128(&c, &number) < 0)
				return -EBADMSG;
			continue;
		}
		if (op >> 6 == 3 || op == 0x00 || op == 0x0a ||
		    op == 0x0b) /* restore, nop, remember, restore state */
			continue;
		if (op >= 0x02 && op <= 0x04) /* DW_CFA_advance_loc1, 2, 4 */
			return 0;
		if (op == 0x0c) { /* DW_CFA_def_cfa */
			if (fnp_cursor_uleb128(&c, &number) < 0 || fnp_cursor_uleb128(&c, ret) < 0)
				return -EBADMSG;
		} else if (op == 0x0e) { /* DW_CFA_def_cfa_offset */
			if (fnp_cursor_uleb128(&c, ret) < 0)
				return -EBADMSG;
		} else if (op == 0x0d || op == 0x2e) { /* DW_CFA_def_cfa_register, GNU_args_size */
			if (fnp_cursor_uleb128(&c, &number) < 0)
				return -EBADMSG;
		} else {
			/* Anything else in a first row is no entry of a function. */
			*ret = 0;
			return 0;
		}
	}
	return 0;
}

/* The CIE's own instructions; only the augmentation that compilers write for C. */
static int cie_instructions(const struct fnp_object *object, uint64_t address, struct fnp_cursor *ret)
{
	struct fnp_cursor c;
	const char *augmentation;
	uint64_t number;
	uint8_t byte;

	if (read_entry(object, address, &c) < 0 || fnp_cursor_skip(&c, 4) < 0 || fnp_cursor_u8(&c, &byte) < 0 ||
	    fnp_cursor_string(&c, &augmentation) < 0 || strcmp(augmentation, "zR") != 0 ||
	    fnp_cursor_uleb128(&c, &number) < 0 || fnp_cursor_uleb128(&c, &number) < 0 ||
	    fnp_cursor_uleb128(&c, &number) < 0 || fnp_cursor_uleb128(&c, &number) < 0 || number != 1 ||
	    fnp_cursor_u8(&c, &byte) < 0 || byte != DW_EH_PE_POINTER)
		return -EBADMSG;
	*ret = c;
	return 0;
}

/* The part of code that has `address`, as the unwind tables say. */
static int find_part(const struct fnp_object *object, const struct index *index, uint64_t address,
		     struct part *ret)
{
	struct fnp_cursor c, cie;
	uint64_t fde, cie_address, cfa = 0, number;
	uint32_t back, start, size;

	if (find_fde(index, address, &fde) < 0 || read_entry(object, fde, &c) < 0 ||
	    fnp_cursor_u32(&c, &back) < 0 || fnp_cursor_u32(&c, &start) < 0 || fnp_cursor_u32(&c, &size) < 0 ||
	    fnp_cursor_uleb128(&c, &number) < 0 || fnp_cursor_skip(&c, number) < 0)
		return -EBADMSG;
	struct part part = {.start = fde + 8 + (uint64_t)(int64_t)(int32_t)start};
	part.end = part.start + size;
	if (size > PART_MAX || address < part.start || address >= part.end)
		return -ENOENT;
	cie_address = fde + 4 - back;
	if (cie_instructions(object, cie_address, &cie) < 0 || first_cfa(cie, &cfa) < 0 ||
	    first_cfa(c, &cfa) < 0)
		return -EBADMSG;
	part.entry = cfa == 8;
	*ret = part;
	return 0;
}

/* Is there, byte by byte, what could be a jump from [start, end) into [low, high)? */
static bool jumps_into(const uint8_t *code, const struct part *from, const struct part *to)
{
	for (uint64_t i = 0; i + 6 <= from->end - from->start; i++) {
		uint64_t target;
		if (code[i] == 0xe9)
			target = from->start + i + 5 + (uint64_t)(int64_t)s32_at(code + i + 1);
		else if (code[i] == 0x0f && (code[i + 1] & 0xf0) == 0x80)
			target = from->start + i + 6 + (uint64_t)(int64_t)s32_at(code + i + 2);
		else
			continue;
		if (target >= to->start && target < to->end)
			return true;
	}
	return false;
}

struct search {
	const struct fnp_object *object;
	struct index index;
	struct part parts[FNP_PYTHON_LOOP_PARTS];
	size_t n;
};

static bool is_known(const struct search *s, uint64_t address)
{
	for (size_t i = 0; i < s->n; i++) {
		if (address >= s->parts[i].start && address < s->parts[i].end)
			return true;
	}
	return false;
}

/* Adds the part at `address` when it continues `from`: no function of its own, and it jumps back. */
static void add_continuation(struct search *s, const struct part *from, uint64_t address)
{
	const uint8_t *code;
	struct part part;

	if (s->n == FNP_ARRAY_SIZE(s->parts) || is_known(s, address) ||
	    find_part(s->object, &s->index, address, &part) < 0 || part.entry ||
	    fnp_object_read_address(s->object, part.start, part.end - part.start, &code) < 0)
		return;
	if (jumps_into(code, &part, from))
		s->parts[s->n++] = part;
}

static void follow_jumps(struct search *s, size_t which)
{
	const struct part from = s->parts[which];
	const uint8_t *code;

	if (fnp_object_read_address(s->object, from.start, from.end - from.start, &code) < 0)
		return;
	for (uint64_t i = 0; i + 6 <= from.end - from.start; i++) {
		uint64_t target;
		if (code[i] == 0xe9)
			target = from.start + i + 5 + (uint64_t)(int64_t)s32_at(code + i + 1);
		else if (code[i] == 0x0f && (code[i + 1] & 0xf0) == 0x80)
			target = from.start + i + 6 + (uint64_t)(int64_t)s32_at(code + i + 2);
		else
			continue;
		if (target < from.start || target >= from.end)
			add_continuation(s, &from, target);
	}
}

int fnp_python_find_loop(const struct fnp_object *object, struct fnp_python_loop *ret)
{
	static const char *const names[] = {"_PyEval_EvalFrameDefault", "_PyEval_EvalFrameDefault.cold"};
	struct fnp_object_symbol symbols[FNP_ARRAY_SIZE(names)];
	struct search s = {.object = object};

	fnp_runtime_symbols(object, names, FNP_ARRAY_SIZE(names), symbols);
	if (!symbols[0].address)
		return -ENOENT;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(names); i++) {
		if (symbols[i].address && symbols[i].size > 0 && symbols[i].size <= PART_MAX)
			s.parts[s.n++] = (struct part){.start = symbols[i].address,
						       .end = symbols[i].address + symbols[i].size};
	}
	if (s.n == 0)
		return -ENOENT;
	if (find_index(object, &s.index) == 0) {
		for (size_t i = 0; i < s.n; i++)
			follow_jumps(&s, i);
	}
	struct fnp_python_loop loop = {.n = s.n};
	for (size_t i = 0; i < s.n; i++)
		loop.parts[i] = (struct fnp_runtime_range){.start = s.parts[i].start, .end = s.parts[i].end};
	*ret = loop;
	return 0;
}

/* ---- the collector ---- */

/* Adds the function that has `address`, and what was split off from it, or what it was split off from. */
static void add_function(struct search *s, uint64_t address)
{
	struct part part;
	size_t first = s->n;

	if (s->n == FNP_ARRAY_SIZE(s->parts) || is_known(s, address) ||
	    find_part(s->object, &s->index, address, &part) < 0 || part.end - part.start > COLLECTOR_MAX)
		return;
	s->parts[s->n++] = part;
	for (size_t i = first; i < s->n; i++)
		follow_jumps(s, i);
}

/* A part without an entry of its own came from the function that it jumps to and that jumps to it. */
static void add_origin(struct search *s, uint64_t address)
{
	const uint8_t *code, *there;
	struct part part, origin;

	if (find_part(s->object, &s->index, address, &part) < 0 || part.entry ||
	    part.end - part.start > COLLECTOR_MAX ||
	    fnp_object_read_address(s->object, part.start, part.end - part.start, &code) < 0)
		return;
	for (uint64_t i = 0; i + 5 <= part.end - part.start; i++) {
		uint64_t target = part.start + i + 5 + (uint64_t)(int64_t)s32_at(code + i + 1);
		if (code[i] != 0xe9 || (target >= part.start && target < part.end) ||
		    find_part(s->object, &s->index, target, &origin) < 0 || !origin.entry ||
		    origin.end - origin.start > COLLECTOR_MAX ||
		    fnp_object_read_address(s->object, origin.start, origin.end - origin.start, &there) < 0)
			continue;
		if (jumps_into(there, &origin, &part))
			add_function(s, origin.start);
	}
}

static void add_by_probes(struct search *s)
{
	struct fnp_usdt_places places = {0};

	if (fnp_usdt_read(s->object, &places) < 0)
		return;
	for (size_t i = 0; i < places.list.len; i++) {
		const struct fnp_usdt_place *place = &places.list.items[i];
		if (strcmp(place->provider, "python") != 0 ||
		    (strcmp(place->name, "gc__start") != 0 && strcmp(place->name, "gc__done") != 0))
			continue;
		add_origin(s, place->address);
		add_function(s, place->address);
	}
	fnp_usdt_places_deinit(&places);
}

/* The biggest function that PyGC_Collect() calls, or goes over to. */
static void add_by_calls(struct search *s)
{
	static const char *const names[] = {"PyGC_Collect"};
	struct fnp_object_symbol symbol;
	struct part part, biggest = {0};
	const uint8_t *code;

	if (fnp_runtime_exports(s->object, names, 1, &symbol) != 1 || symbol.size < 5 || symbol.size > 4096 ||
	    fnp_object_read_address(s->object, symbol.address, symbol.size, &code) < 0)
		return;
	for (uint64_t i = 0; i + 5 <= symbol.size; i++) {
		uint64_t target = symbol.address + i + 5 + (uint64_t)(int64_t)s32_at(code + i + 1);
		if ((code[i] != 0xe8 && code[i] != 0xe9) || target - symbol.address < symbol.size ||
		    find_part(s->object, &s->index, target, &part) < 0 || part.start != target || !part.entry)
			continue;
		if (part.end - part.start > biggest.end - biggest.start)
			biggest = part;
	}
	if (biggest.end - biggest.start >= COLLECTOR_MIN)
		add_function(s, biggest.start);
}

void fnp_python_find_collector(const struct fnp_object *object, struct fnp_python_loop *ret)
{
	struct search s = {.object = object};

	*ret = (struct fnp_python_loop){0};
	if (find_index(object, &s.index) < 0)
		return;
	add_by_probes(&s);
	if (s.n == 0)
		add_by_calls(&s);
	ret->n = s.n;
	for (size_t i = 0; i < s.n; i++)
		ret->parts[i] = (struct fnp_runtime_range){.start = s.parts[i].start, .end = s.parts[i].end};
}
