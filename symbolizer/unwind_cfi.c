/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading entries. Running them is in unwind_cfa.c.
 */
#include "symbolizer/unwind_cfi.h"

#include <dwarf.h>

#include "symbolizer/unwind_cfa.h"

/* A section while it is read. */
struct reader {
	struct fnp_cfi *cfi;
	const struct fnp_cfi_section *section;
	struct fnp_map cie_by_offset; /* offset -> index */
	uint64_t last_offset; /* of the CIE that was asked for last; most entries have the one before's */
	uint32_t last_index;
	bool has_last;
};

struct entry {
	struct fnp_cursor body; /* after the id field */
	uint64_t offset;	/* of the length field */
	uint64_t id;
	uint64_t id_offset;
	bool wide; /* 64-bit DWARF */
};

static uint64_t address_of(const struct reader *reader, const uint8_t *pos)
{
	return reader->section->address + (uint64_t)(pos - reader->section->bytes.start);
}

/* Next entry; 1: there is one, 0: end, -EBADMSG: the section cannot be read further. */
static int next_entry(const struct reader *reader, struct fnp_cursor *c, struct entry *ret)
{
	struct entry entry = {0};
	uint32_t length32, id32;
	uint64_t length;
	int r;

	do {
		entry.offset = fnp_cursor_offset(c);
		if (fnp_cursor_left(c) < 4)
			return 0;
		if (fnp_cursor_u32(c, &length32) < 0)
			return -EBADMSG;
		/* Linkers leave terminators between the parts of a section. */
	} while (length32 == 0 && !reader->section->open_ended);
	if (length32 == 0)
		return 0;
	length = length32;
	entry.wide = length32 == UINT32_MAX;
	if (entry.wide && fnp_cursor_u64(c, &length) < 0)
		return -EBADMSG;
	r = fnp_cursor_sub(c, length, &entry.body);
	if (r < 0)
		return r;
	entry.id_offset = (uint64_t)(entry.body.pos - reader->section->bytes.start);
	/* .eh_frame has 32-bit ids in 64-bit entries, too. */
	if (entry.wide && !reader->section->eh) {
		r = fnp_cursor_u64(&entry.body, &entry.id);
	} else {
		r = fnp_cursor_u32(&entry.body, &id32);
		entry.id = r < 0 ? 0 : id32;
	}
	if (r < 0)
		return 2; /* too short: skipped by the caller */
	*ret = entry;
	return 1;
}

static bool is_cie(const struct reader *reader, const struct entry *entry)
{
	if (reader->section->eh)
		return entry->id == 0;
	return entry->id == (entry->wide ? UINT64_MAX : UINT32_MAX);
}

/* Numbers of a fixed size, as read_encoded() wants them: 2 or 4 bytes, else 8. */
static int read_fixed(struct fnp_cursor *c, unsigned int size, bool is_signed, uint64_t *ret)
{
	uint32_t u32 = 0;
	uint16_t u16 = 0;
	int r;

	if (size == 2) {
		r = fnp_cursor_u16(c, &u16);
		*ret = is_signed ? (uint64_t)(int64_t)(int16_t)u16 : u16;
		return r;
	}
	if (size == 4) {
		r = fnp_cursor_u32(c, &u32);
		*ret = is_signed ? (uint64_t)(int64_t)(int32_t)u32 : u32;
		return r;
	}
	return fnp_cursor_u64(c, ret);
}

/* The number itself, by the lower half of its encoding (DW_EH_PE_*). */
static int read_format(struct fnp_cursor *c, uint8_t encoding, uint8_t address_size, uint64_t *ret)
{
	int64_t signed_value = 0;
	int r;

	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
		return read_fixed(c, address_size == 4 ? 4 : 8, false, ret);
	case DW_EH_PE_uleb128:
		return fnp_cursor_uleb128(c, ret);
	case DW_EH_PE_sleb128:
		r = fnp_cursor_sleb128(c, &signed_value);
		*ret = (uint64_t)signed_value;
		return r;
	case DW_EH_PE_udata2:
	case DW_EH_PE_sdata2:
		return read_fixed(c, 2, encoding & DW_EH_PE_signed, ret);
	case DW_EH_PE_udata4:
	case DW_EH_PE_sdata4:
		return read_fixed(c, 4, encoding & DW_EH_PE_signed, ret);
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return read_fixed(c, 8, false, ret);
	}
	return -EBADMSG;
}

static int read_encoded(const struct reader *reader, struct fnp_cursor *c, uint8_t encoding,
			uint8_t address_size, uint64_t *ret)
{
	const uint8_t *at = c->pos;
	uint64_t value = 0;
	int r = read_format(c, encoding, address_size, &value);

	if (r < 0)
		return r;
	switch (encoding & 0x70) {
	case DW_EH_PE_absptr:
		break;
	case DW_EH_PE_pcrel:
		value += address_of(reader, at);
		break;
	default:
		return -EBADMSG; /* relative to text, data or function: nobody writes these into .eh_frame */
	}
	if (encoding & DW_EH_PE_indirect)
		return -EBADMSG;
	*ret = value;
	return 0;
}

static int read_augmentation(const struct reader *reader, struct fnp_cursor *c, const char *text,
			     struct fnp_cfi_cie *cie)
{
	struct fnp_cursor data;
	uint64_t size, personality;
	uint8_t encoding;

	if (*text == '\0')
		return 0;
	if (*text != 'z')
		return -EBADMSG; /* "eh" and others of old: their length is not known */
	if (fnp_cursor_uleb128(c, &size) < 0 || fnp_cursor_sub(c, size, &data) < 0)
		return -EBADMSG;
	cie->has_augmentation_size = true;
	for (text++; *text; text++) {
		switch (*text) {
		case 'R':
			if (fnp_cursor_u8(&data, &cie->pointer_encoding) < 0)
				return -EBADMSG;
			break;
		case 'P':
			if (fnp_cursor_u8(&data, &encoding) < 0 ||
			    read_encoded(reader, &data, encoding & 0x0f, 8, &personality) < 0)
				return -EBADMSG;
			break;
		case 'L':
			if (fnp_cursor_u8(&data, &encoding) < 0)
				return -EBADMSG;
			break;
		case 'S':
			cie->signal = true;
			break;
		case 'B': /* arm64: signed with key B */
		case 'G': /* arm64: memory tagging */
			break;
		default:
			return 0; /* what is not known is skipped by its size */
		}
	}
	return 0;
}

static int read_cie(const struct reader *reader, struct entry *entry, struct fnp_cfi_cie *ret)
{
	struct fnp_cfi_cie cie = {.address_size = 8};
	struct fnp_cursor *c = &entry->body;
	const char *augmentation;
	uint8_t version, segment_size, ra8;
	uint64_t ra;

	if (fnp_cursor_u8(c, &version) < 0 || fnp_cursor_string(c, &augmentation) < 0)
		return -EBADMSG;
	if (version != 1 && version != 3 && version != 4)
		return -EBADMSG;
	if (version == 4 && (fnp_cursor_u8(c, &cie.address_size) < 0 || fnp_cursor_u8(c, &segment_size) < 0 ||
			     segment_size != 0 || (cie.address_size != 8 && cie.address_size != 4)))
		return -EBADMSG;
	if (fnp_cursor_uleb128(c, &cie.code_align) < 0 || fnp_cursor_sleb128(c, &cie.data_align) < 0)
		return -EBADMSG;
	if (version == 1) {
		if (fnp_cursor_u8(c, &ra8) < 0)
			return -EBADMSG;
		ra = ra8;
	} else if (fnp_cursor_uleb128(c, &ra) < 0) {
		return -EBADMSG;
	}
	if (ra != reader->cfi->machine.ra)
		return -EBADMSG;
	if (read_augmentation(reader, c, augmentation, &cie) < 0)
		return -EBADMSG;
	cie.instructions = fnp_cursor_of(c->pos, fnp_cursor_left(c));
	fnp_cfa_initial(&reader->cfi->machine, &cie);
	*ret = cie;
	return 0;
}

static int new_cie(struct reader *reader, uint64_t offset, uint32_t *ret)
{
	struct fnp_cursor c = reader->section->bytes;
	struct fnp_cfi_cie cie = {0};
	struct entry entry;
	int r;

	if (fnp_cursor_seek(&c, offset) < 0 || next_entry(reader, &c, &entry) != 1 ||
	    entry.offset != offset || !is_cie(reader, &entry) || read_cie(reader, &entry, &cie) < 0)
		cie.bad = true;
	r = fnp_vec_push(&reader->cfi->cies, cie);
	if (r == 0)
		r = fnp_map_set(&reader->cie_by_offset, offset, reader->cfi->cies.len - 1);
	if (r < 0)
		return r;
	*ret = (uint32_t)(reader->cfi->cies.len - 1);
	return 0;
}

static int cie_at(struct reader *reader, uint64_t offset, uint32_t *ret)
{
	uint64_t *known;
	int r = 0;

	if (reader->has_last && reader->last_offset == offset) {
		*ret = reader->last_index;
		return 0;
	}
	known = fnp_map_find(&reader->cie_by_offset, offset);
	if (known)
		*ret = (uint32_t)*known;
	else
		r = new_cie(reader, offset, ret);
	if (r < 0)
		return r;
	reader->has_last = true;
	reader->last_offset = offset;
	reader->last_index = *ret;
	return 0;
}

/* 0: added or skipped; -ENOMEM. */
static int read_fde(struct reader *reader, struct entry *entry)
{
	struct fnp_cfi_fde fde = {0};
	const struct fnp_cfi_cie *cie;
	struct fnp_cursor *c = &entry->body;
	uint64_t cie_offset = entry->id, length, size;
	int r;

	if (reader->section->eh) {
		if (entry->id > entry->id_offset)
			return 0;
		cie_offset = entry->id_offset - entry->id;
	}
	r = cie_at(reader, cie_offset, &fde.cie);
	if (r < 0)
		return r;
	cie = &reader->cfi->cies.items[fde.cie];
	reader->cfi->skipped++;
	if (cie->bad || read_encoded(reader, c, cie->pointer_encoding, cie->address_size, &fde.start) < 0 ||
	    read_encoded(reader, c, cie->pointer_encoding & 0x0f, cie->address_size, &length) < 0)
		return 0;
	if (cie->has_augmentation_size && (fnp_cursor_uleb128(c, &size) < 0 || fnp_cursor_skip(c, size) < 0))
		return 0;
	if (length > UINT64_MAX - fde.start || fnp_cursor_left(c) > UINT32_MAX)
		return 0;
	reader->cfi->skipped--;
	if (length == 0)
		return 0;
	fde.end = fde.start + length;
	fde.instructions = c->pos;
	fde.size = (uint32_t)fnp_cursor_left(c);
	return fnp_vec_push(&reader->cfi->fdes, fde);
}

int fnp_cfi_read(struct fnp_cfi *cfi, const struct fnp_cfi_section *section)
{
	struct reader reader = {.cfi = cfi, .section = section};
	struct fnp_cursor c = section->bytes;
	struct entry entry;
	int r = 0, more;

	while (r == 0 && (more = next_entry(&reader, &c, &entry)) > 0) {
		if (more == 2)
			cfi->skipped++;
		else if (!is_cie(&reader, &entry))
			r = read_fde(&reader, &entry);
	}
	fnp_map_deinit(&reader.cie_by_offset);
	return r;
}

const struct fnp_cfi_fde *fnp_cfi_find(const struct fnp_cfi *cfi, size_t n, uint64_t address)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (cfi->fdes.items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && address < cfi->fdes.items[low - 1].end ? &cfi->fdes.items[low - 1] : NULL;
}

void fnp_cfi_deinit(struct fnp_cfi *cfi)
{
	fnp_vec_deinit(&cfi->cies);
	fnp_vec_deinit(&cfi->fdes);
}
