/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/usdt.h"

#define NOTE_TYPE_STAPSDT 3
#define OWNER "stapsdt"
#define SYMBOL_LOOKUPS_MAX 256 /* places whose operands name symbols: each look-up reads the whole table */

/* The notes of one file that is being read. */
struct reader {
	const struct fnp_object *object;
	uint64_t base; /* of .stapsdt.base; 0: the file has none */
	unsigned int lookups;
};

static uint64_t padded(uint64_t size)
{
	return (size + 3) & ~3ULL;
}

int fnp_usdt_offset_of(const struct fnp_object *object, uint64_t address, uint32_t flags, uint64_t *ret)
{
	const struct fnp_segment *segments;
	size_t n = fnp_object_segments(object, &segments);

	for (size_t i = 0; i < n; i++) {
		const struct fnp_segment *s = &segments[i];

		if ((s->flags & flags) != flags || address < s->address || address - s->address >= s->file_size)
			continue;
		if (s->offset > UINT64_MAX - (address - s->address))
			return -ENOENT;
		*ret = s->offset + (address - s->address);
		return 0;
	}
	return -ENOENT;
}

/* ---- instructions ------------------------------------------------------------------------------------------- */

static enum fnp_usdt_instruction x86_instruction(const uint8_t *code, size_t size)
{
	size_t at = 0;

	/* Operand-size and segment prefixes, as assemblers lengthen nops with; endbr64 is no nop to the kernel. */
	while (at < size && at < 6 && (code[at] == 0x66 || code[at] == 0x2e))
		at++;
	if (at >= size || code[at] == 0xcc || code[at] == 0xf4)
		return FNP_USDT_TRAP;
	if (code[at] == 0x90)
		return FNP_USDT_NOP;
	if (code[at] == 0x0f && size - at > 1 && code[at + 1] == 0x1f)
		return FNP_USDT_NOP;
	if (at == 0 && ((code[0] & 0xf0) == 0x50 && code[0] < 0x58))
		return FNP_USDT_CHEAP;
	if (at == 0 && size > 1 && code[0] == 0x41 && (code[1] & 0xf8) == 0x50)
		return FNP_USDT_CHEAP;
	if (at == 0 && (code[0] == 0xe8 || code[0] == 0xe9 || code[0] == 0xeb || (code[0] & 0xf0) == 0x70))
		return FNP_USDT_CHEAP;
	if (at == 0 && size > 1 && code[0] == 0x0f && (code[1] & 0xf0) == 0x80)
		return FNP_USDT_CHEAP;
	return FNP_USDT_STEPPED;
}

static enum fnp_usdt_instruction arm64_instruction(const uint8_t *code, size_t size)
{
	uint32_t word;

	if (size < sizeof(word))
		return FNP_USDT_TRAP;
	memcpy(&word, code, sizeof(word));
	if ((word & 0xffe0001f) == 0xd4200000 || word == 0)
		return FNP_USDT_TRAP; /* brk, udf */
	if ((word & 0xfffff01f) == 0xd503201f)
		return FNP_USDT_NOP; /* nop and the other hints */
	/* b, bl; b.cond; cbz, cbnz, tbz, tbnz: done by the kernel. */
	if ((word & 0x7c000000) == 0x14000000 || (word & 0xff000010) == 0x54000000 ||
	    (word & 0x7c000000) == 0x34000000)
		return FNP_USDT_CHEAP;
	return FNP_USDT_STEPPED;
}

enum fnp_usdt_instruction fnp_usdt_instruction_at(const struct fnp_object *object, uint64_t address)
{
	const uint8_t *code = NULL;
	uint64_t size = 10;

	/* The last instruction of a segment is shorter than the longest one. */
	while (size > 0 && fnp_object_read_address(object, address, size, &code) < 0)
		size--;
	if (size == 0)
		return FNP_USDT_TRAP;
	if (fnp_object_header(object)->e_machine == EM_AARCH64)
		return address % 4 ? FNP_USDT_TRAP : arm64_instruction(code, size);
	return x86_instruction(code, size);
}

const char *fnp_usdt_instruction_name(enum fnp_usdt_instruction instruction)
{
	static const char *const names[] = {
		[FNP_USDT_NOP] = "nop", [FNP_USDT_CHEAP] = "cheap", [FNP_USDT_STEPPED] = "stepped", [FNP_USDT_TRAP] = "trap"};
	return names[instruction];
}

/* ---- notes -------------------------------------------------------------------------------------------------- */

static int check_place(const struct fnp_object *object, struct fnp_usdt_place *place, uint64_t semaphore)
{
	int r = fnp_usdt_offset_of(object, place->address, PF_X, &place->offset);

	if (r < 0)
		return r;
	place->instruction = fnp_usdt_instruction_at(object, place->address);
	if (semaphore == 0)
		place->semaphore = FNP_USDT_SEMAPHORE_NONE;
	else if (fnp_usdt_offset_of(object, semaphore, PF_W, &place->semaphore_offset) == 0)
		place->semaphore = FNP_USDT_SEMAPHORE_GOOD;
	else
		place->semaphore = FNP_USDT_SEMAPHORE_BAD;
	return 0;
}

/* The object to look symbols up in; NULL when that was done too often. */
static const struct fnp_object *for_symbols(struct reader *reader, const char *arguments)
{
	if (!strstr(arguments, "(%rip)") || reader->lookups >= SYMBOL_LOOKUPS_MAX)
		return NULL;
	reader->lookups++;
	return reader->object;
}

/* The description of one note: three addresses, then three texts. */
static int read_description(struct reader *reader, struct fnp_cursor description, struct fnp_usdt_place *ret)
{
	struct fnp_usdt_place place = {0};
	uint64_t noted_base, semaphore, moved = 0;
	int r = fnp_cursor_u64(&description, &place.address);

	r = r ?: fnp_cursor_u64(&description, &noted_base);
	r = r ?: fnp_cursor_u64(&description, &semaphore);
	r = r ?: fnp_cursor_string(&description, &place.provider);
	r = r ?: fnp_cursor_string(&description, &place.name);
	r = r ?: fnp_cursor_string(&description, &place.arguments);
	if (r < 0)
		return r;
	if (noted_base && reader->base)
		moved = reader->base - noted_base;
	place.address += moved;
	r = check_place(reader->object, &place, semaphore ? semaphore + moved : 0);
	if (r < 0)
		return r;
	place.n_arguments = fnp_usdt_arguments(place.arguments, fnp_object_header(reader->object)->e_machine,
					       for_symbols(reader, place.arguments), place.parsed);
	*ret = place;
	return 0;
}

/* One note: 0 and the cursor behind it, also when it is none of ours (`ret_mine`); an error ends the section. */
static int next_note(struct fnp_cursor *notes, struct fnp_cursor *ret_description, bool *ret_mine)
{
	struct fnp_cursor at = *notes, name, description;
	uint32_t name_size, description_size, type;
	int r = fnp_cursor_u32(&at, &name_size);

	r = r ?: fnp_cursor_u32(&at, &description_size);
	r = r ?: fnp_cursor_u32(&at, &type);
	r = r ?: fnp_cursor_sub(&at, padded(name_size), &name);
	r = r ?: fnp_cursor_sub(&at, description_size, &description);
	if (r < 0)
		return r;
	/* The last note of a section may lack its padding. */
	if (fnp_cursor_skip(&at, padded(description_size) - description_size) < 0)
		at.pos = at.end;
	*ret_mine = type == NOTE_TYPE_STAPSDT && name_size == sizeof(OWNER) &&
		    memcmp(name.pos, OWNER, sizeof(OWNER)) == 0;
	*ret_description = description;
	*notes = at;
	return 0;
}

int fnp_usdt_read(const struct fnp_object *object, struct fnp_usdt_places *ret)
{
	struct reader reader = {.object = object};
	struct fnp_usdt_places places = {0};
	struct fnp_cursor notes, description;
	struct fnp_usdt_place place;
	struct fnp_section section;
	bool mine;

	if (fnp_object_find_section(object, ".note.stapsdt", &section) < 0 || !section.data) {
		*ret = places;
		return 0;
	}
	notes = fnp_cursor_of(section.data, section.size);
	if (fnp_object_find_section(object, ".stapsdt.base", &section) == 0)
		reader.base = section.address;
	while (fnp_cursor_left(&notes) > 0 && places.list.len < FNP_USDT_PLACES_MAX) {
		if (next_note(&notes, &description, &mine) < 0) {
			places.lying++;
			break;
		}
		if (mine && read_description(&reader, description, &place) < 0)
			places.lying++;
		else if (mine && fnp_vec_push(&places.list, place) < 0) {
			fnp_usdt_places_deinit(&places);
			return -ENOMEM;
		}
	}
	*ret = places;
	return 0;
}

void fnp_usdt_places_deinit(struct fnp_usdt_places *places)
{
	fnp_vec_deinit(&places->list);
}
