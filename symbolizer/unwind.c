/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind.h"

#include <dwarf.h>
#include <errno.h>

#include "symbolizer/section_data.h"
#include "symbolizer/unwind_cfi.h"
#include "symbolizer/unwind_code.h"
#include "symbolizer/unwind_flat.h"
#include "symbolizer/unwind_go.h"
#include "symbolizer/unwind_known.h"
#include "symbolizer/unwind_rows.h"

#define SECTION_MAX (256ULL << 20)

/* What is gathered of an object before it is compiled. */
struct build {
	const struct fnp_object *object;
	struct fnp_cfi eh, debug;
	struct fnp_section_data debug_frame;
	struct fnp_rows rows;
	bool has_much_code; /* it is not read for every function */
};

static void build_deinit(struct build *b)
{
	fnp_cfi_deinit(&b->eh);
	fnp_cfi_deinit(&b->debug);
	fnp_section_data_deinit(&b->debug_frame);
	fnp_rows_deinit(&b->rows);
}

static int machine_of(const struct fnp_object *object, struct fnp_cfi_machine *ret)
{
	switch (fnp_object_header(object)->e_machine) {
	case EM_X86_64:
		*ret = (struct fnp_cfi_machine){.sp = 7, .fp = 6, .ra = 16};
		return 0;
	case EM_AARCH64:
		*ret = (struct fnp_cfi_machine){.sp = 31, .fp = 29, .ra = 30, .ra_in_register = true};
		return 0;
	}
	return -ENOEXEC;
}

/* .eh_frame by its section. */
static int eh_frame_by_section(const struct fnp_object *object, struct fnp_cfi_section *ret)
{
	struct fnp_section section;

	if (fnp_object_find_section(object, ".eh_frame", &section) < 0 || !section.data)
		return -ENOENT;
	if (section.size > SECTION_MAX)
		return -EFBIG;
	*ret = (struct fnp_cfi_section){
		.bytes = fnp_cursor_of(section.data, section.size), .address = section.address, .eh = true};
	return 0;
}

/* .eh_frame by PT_GNU_EH_FRAME, for files without section headers: it begins there, and ends at a terminator. */
static int eh_frame_by_header(const struct fnp_object *object, struct fnp_cfi_section *ret)
{
	const struct fnp_segment *segments;
	size_t n = fnp_object_segments(object, &segments);
	const uint8_t *header, *data;
	uint64_t address, size;
	int32_t relative;
	Elf64_Phdr phdr;

	for (size_t i = 0;; i++) {
		if (fnp_object_program_header(object, i, &phdr) < 0)
			return -ENOENT;
		if (phdr.p_type == PT_GNU_EH_FRAME)
			break;
	}
	if (fnp_object_read_address(object, phdr.p_vaddr, 8, &header) < 0)
		return -ENOENT;
	/* Every linker writes the pointer in this form. */
	if (header[0] != 1 || header[1] != (DW_EH_PE_pcrel | DW_EH_PE_sdata4))
		return -ENOENT;
	memcpy(&relative, header + 4, sizeof(relative));
	address = phdr.p_vaddr + 4 + (uint64_t)(int64_t)relative;
	for (size_t i = 0; i < n; i++) {
		if (address < segments[i].address || address - segments[i].address >= segments[i].file_size)
			continue;
		size = segments[i].file_size - (address - segments[i].address);
		if (size > SECTION_MAX)
			return -EFBIG;
		if (fnp_object_read_address(object, address, size, &data) < 0)
			return -ENOENT;
		*ret = (struct fnp_cfi_section){
			.bytes = fnp_cursor_of(data, size), .address = address, .eh = true, .open_ended = true};
		return 0;
	}
	return -ENOENT;
}

static int read_eh_frame(struct build *b)
{
	struct fnp_cfi_section section;
	int r = eh_frame_by_section(b->object, &section);

	if (r == -ENOENT)
		r = eh_frame_by_header(b->object, &section);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return fnp_cfi_read(&b->eh, &section);
}

static int read_debug_frame(struct build *b)
{
	struct fnp_cfi_section section = {0};
	int r = fnp_section_data_load(b->object, ".debug_frame", SECTION_MAX, &b->debug_frame);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return 0; /* broken or missing: .eh_frame has to do */
	section.bytes = b->debug_frame.bytes;
	return fnp_cfi_read(&b->debug, &section);
}

/* The segment of code that an address is in, NULL: entries of functions that the linker threw away begin at 0. */
static const struct fnp_segment *code_segment(const struct fnp_object *object, uint64_t address)
{
	const struct fnp_segment *segments;
	size_t n = fnp_object_segments(object, &segments);

	for (size_t i = 0; i < n; i++) {
		if ((segments[i].flags & PF_X) && address >= segments[i].address &&
		    address - segments[i].address < segments[i].memory_size)
			return &segments[i];
	}
	return NULL;
}

/* Keeps what lies in code, ends where its segment ends, sorted; of several entries for one start the first. */
static void put_in_order(const struct fnp_object *object, struct fnp_cfi *cfi)
{
	const struct fnp_segment *segment = NULL;
	bool sorted = true;
	size_t n = 0;

	for (size_t i = 0; i < cfi->fdes.len; i++) {
		struct fnp_cfi_fde fde = cfi->fdes.items[i];

		if (!segment || fde.start < segment->address ||
		    fde.start - segment->address >= segment->memory_size)
			segment = code_segment(object, fde.start);
		if (!segment)
			continue;
		fde.end = FNP_MIN(fde.end, segment->address + segment->memory_size);
		sorted = sorted && (n == 0 || cfi->fdes.items[n - 1].start <= fde.start);
		cfi->fdes.items[n++] = fde;
	}
	cfi->fdes.len = n;
	if (!sorted)
		fnp_cfi_sort(cfi);
}

static int emit_row(void *self, uint64_t address, const struct fnp_rule *rule)
{
	return fnp_rows_add(self, address, rule);
}

static int compile_one(struct build *b, const struct fnp_cfi *cfi, const struct fnp_cfi_fde *fde,
		       uint64_t end, uint64_t *covered)
{
	int r = 0;

	if (*covered < fde->start)
		r = fnp_rows_end(&b->rows, *covered);
	if (r < 0)
		return r;
	*covered = FNP_MIN(end, fde->end);
	r = fnp_cfi_run(cfi, fde, *covered, emit_row, &b->rows);
	if (r == 0 && !cfi->machine.ra_in_register)
		r = fnp_flat_doubt(b->object, &b->rows, fde->start, *covered, !b->has_much_code);
	return r;
}

/* Of several entries for one start the first holds, and an entry ends where the next one begins, whatever it says. */
static size_t next_entry(const struct fnp_cfi *cfi, size_t i, uint64_t *ret_start)
{
	uint64_t start = cfi->fdes.items[i].start;

	while (i < cfi->fdes.len && cfi->fdes.items[i].start == start)
		i++;
	*ret_start = i < cfi->fdes.len ? cfi->fdes.items[i].start : UINT64_MAX;
	return i;
}

/* Entries of both sections in one order; those of .debug_frame only where .eh_frame has nothing. */
static int compile(struct build *b)
{
	uint64_t covered = b->rows.base, end;
	size_t e = 0, d = 0;
	int r = 0;

	while (r == 0 && (e < b->eh.fdes.len || d < b->debug.fdes.len)) {
		uint64_t eh = e < b->eh.fdes.len ? b->eh.fdes.items[e].start : UINT64_MAX;
		size_t this = d;

		if (d == b->debug.fdes.len || eh <= b->debug.fdes.items[d].start) {
			this = e;
			e = next_entry(&b->eh, e, &end);
			r = compile_one(b, &b->eh, &b->eh.fdes.items[this], end, &covered);
			continue;
		}
		d = next_entry(&b->debug, d, &end);
		if (b->debug.fdes.items[this].start >= covered)
			r = compile_one(b, &b->debug, &b->debug.fdes.items[this], FNP_MIN(end, eh), &covered);
	}
	return r < 0 ? r : fnp_rows_end(&b->rows, covered);
}

static uint64_t first_address(const struct build *b)
{
	const struct fnp_segment *segments;
	size_t n = fnp_object_segments(b->object, &segments);
	uint64_t first = UINT64_MAX;

	/* Gaps before the first entry count, too: a PLT, or a hand-made entry point. */
	for (size_t i = 0; i < n; i++) {
		if (segments[i].flags & PF_X)
			first = FNP_MIN(first, segments[i].address);
	}
	return first == UINT64_MAX ? 0 : first & ~UINT64_C(0xff);
}

static uint32_t count_expressions(const struct fnp_rows *rows)
{
	uint32_t n = 0;

	for (size_t i = 0; i < rows->rows.len; i++) {
		const struct fnp_rule *rule = &rows->rules.items[rows->rows.items[i].rule];

		n += rule->cfa_kind == FNP_CFA_EXPRESSION || (rule->saved & 15) == FNP_SAVED_EXPRESSION ||
		     rule->saved >> 4 == FNP_SAVED_EXPRESSION;
	}
	return n;
}

static int finish(struct build *b, struct fnp_unwind **ret)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = calloc(1, sizeof(*unwind));
	int r;

	if (!unwind)
		return -ENOMEM;
	r = fnp_rows_pack(&b->rows, &unwind->table, &unwind->lines, &unwind->n_lines);
	if (r < 0)
		return r;
	unwind->rows = (uint32_t)b->rows.rows.len;
	unwind->expressions = count_expressions(&b->rows);
	unwind->skipped = (uint32_t)(b->eh.skipped + b->debug.skipped);
	unwind->degraded = (uint32_t)(b->rows.degraded + b->rows.too_far);
	*ret = TAKE_PTR(unwind);
	return 0;
}

/* Go's compiler does, in all code of an object that has its table of functions. */
static bool keeps_frame_pointers(const struct fnp_object *object)
{
	struct fnp_section section;

	return fnp_object_find_section(object, ".gopclntab", &section) == 0 ||
	       fnp_object_find_section(object, ".data.rel.ro.gopclntab", &section) == 0;
}

int fnp_unwind_build(const struct fnp_object *object, struct fnp_unwind **ret)
{
	FNP_CLEANUP(build_deinit) struct build b = {.object = object};
	int r = machine_of(object, &b.eh.machine);
	bool described;
	size_t before;

	if (r < 0)
		return r;
	b.debug.machine = b.eh.machine;
	r = read_eh_frame(&b);
	if (r == 0)
		r = read_debug_frame(&b);
	if (r < 0)
		return r;
	put_in_order(object, &b.eh);
	put_in_order(object, &b.debug);
	described = b.eh.fdes.len > 0 || b.debug.fdes.len > 0;
	r = fnp_known_add_entries(object, &b.eh, &b.debug);
	if (r < 0)
		return r;
	put_in_order(object, &b.eh);
	b.has_much_code = fnp_object_has_much_code(object);
	r = fnp_rows_init(&b.rows, first_address(&b));
	r = r ?: compile(&b);
	before = b.rows.rows.len;
	r = r ?: fnp_unwind_go_fill(object, &b.rows);
	described = described || b.rows.rows.len > before;
	if (r == 0 && !described && keeps_frame_pointers(object))
		return -ENOENT;
	r = r ?: fnp_known_overlay(object, &b.eh, &b.rows);
	before = b.rows.rows.len;
	r = r ?: fnp_unwind_code_fill(object, &b.rows);
	/* Nothing was described and nothing understood. */
	if (r == 0 && !described && b.rows.rows.len == before)
		return -ENOENT;
	return r < 0 ? r : finish(&b, ret);
}

void fnp_unwind_destroy(struct fnp_unwind *unwind)
{
	if (!unwind)
		return;
	free(unwind->lines);
	free(unwind);
}
