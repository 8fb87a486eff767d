/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the HotSpot walker must know of one process: offsets from the JVM's published tables, and where its code heaps,
 * its interpreter and the call stub are.
 *
 * What is not published is where in the interpreter's method entries the frame is made. It is found by the instructions
 * themselves: `pop rax; lea r14, [rsp + rcx * 8 - 8]` takes the return address away, and `push rax; push rbp; mov rbp,
 * rsp` begins the frame.
 */
#include "symbolizer/hotspot.h"

#define INTERPRETER_MAX (4 << 20)
#define ENTRY_SIZE 64 /* of a ContinuationEntry, up to 25 */

/* An offset in a struct of which the walker reads at most `limit` bytes. */
static int offset(const struct fnp_hotspot_tables *t, enum fnp_hotspot_field field, unsigned limit,
		  uint16_t *ret)
{
	uint64_t value = t->values[field];

	if (value >= limit)
		return -EOPNOTSUPP;
	*ret = (uint16_t)value;
	return 0;
}

/* The same of a blob's head, which is read up to the last field that is asked for. */
static int head_offset(const struct fnp_hotspot_tables *t, enum fnp_hotspot_field field,
		       struct fnp_hotspot_layout *l, uint16_t *ret)
{
	int r = offset(t, field, FNP_HOTSPOT_HEAD_MAX - 7, ret);

	if (r == 0 && *ret + 8U > l->read_size)
		l->read_size = (uint16_t)((*ret + 8U + 7U) & ~7U);
	if (l->read_size > FNP_HOTSPOT_HEAD_MAX)
		l->read_size = FNP_HOTSPOT_HEAD_MAX;
	return r;
}

static int read_blob(const struct fnp_hotspot_tables *t, struct fnp_hotspot_layout *l)
{
	bool pointers = fnp_hotspot_has(t, FNP_HOTSPOT_BLOB_CODE_BEGIN);
	enum fnp_hotspot_field deopt = FNP_HOTSPOT_DEOPT, handle = FNP_HOTSPOT_DEOPT_HANDLE;
	int r = head_offset(t, FNP_HOTSPOT_BLOB_NAME, l, &l->blob_name);

	if (pointers) {
		deopt = FNP_HOTSPOT_OLD_DEOPT;
		handle = FNP_HOTSPOT_OLD_DEOPT_HANDLE;
		l->flags |= FNP_HOTSPOT_CODE_POINTERS;
	} else if (!fnp_hotspot_has(t, deopt)) {
		deopt = FNP_HOTSPOT_DEOPT_ENTRY;
	}
	r = r
		    ?: head_offset(t, pointers ? FNP_HOTSPOT_BLOB_CODE_BEGIN : FNP_HOTSPOT_BLOB_CODE_OFFSET,
				   l, &l->blob_code);
	r = r ?: head_offset(t, FNP_HOTSPOT_BLOB_FRAME_SIZE, l, &l->blob_frame_size);
	r = r ?: head_offset(t, FNP_HOTSPOT_BLOB_FRAME_COMPLETE, l, &l->blob_complete);
	r = r ?: head_offset(t, FNP_HOTSPOT_COMPILE_ID, l, &l->compile_id);
	r = r ?: head_offset(t, FNP_HOTSPOT_ORIGINAL_PC, l, &l->original_pc);
	r = r ?: head_offset(t, deopt, l, &l->deopt);
	if (r == 0 && fnp_hotspot_has(t, handle))
		r = head_offset(t, handle, l, &l->deopt_handle);
	if (r == 0 && fnp_hotspot_has(t, FNP_HOTSPOT_BLOB_KIND)) {
		r = head_offset(t, FNP_HOTSPOT_BLOB_KIND, l, &l->blob_kind);
		/* Both came with the same change: blobs became smaller. */
		l->flags |= FNP_HOTSPOT_COMPLETE_SHORT;
	}
	return r;
}

int fnp_hotspot_layout_read(const struct fnp_hotspot_tables *t, struct fnp_hotspot_layout *ret)
{
	struct fnp_hotspot_layout l = {0};
	int r = read_blob(t, &l);

	r = r ?: offset(t, FNP_HOTSPOT_SIZEOF_BLOCK, 64, &l.block_header);
	r = r ?: offset(t, FNP_HOTSPOT_METHOD_CONST, 256, &l.method_const);
	r = r ?: offset(t, FNP_HOTSPOT_SIZEOF_CONST, 256, &l.const_size);
	r = r ?: offset(t, FNP_HOTSPOT_CONST_POOL, FNP_HOTSPOT_CONST_MAX - 7, &l.const_pool);
	r = r ?: offset(t, FNP_HOTSPOT_CONST_CODE_SIZE, FNP_HOTSPOT_CONST_MAX - 7, &l.const_code_size);
	r = r ?: offset(t, FNP_HOTSPOT_CONST_NAME, FNP_HOTSPOT_CONST_MAX - 7, &l.const_name);
	r = r ?: offset(t, FNP_HOTSPOT_POOL_HOLDER, 256, &l.pool_holder);
	r = r ?: offset(t, FNP_HOTSPOT_CLASS_NAME, 1024, &l.class_name);
	if (r < 0)
		return r;
	*ret = l;
	return 0;
}

/* ---- places ------------------------------------------------------------------------------------------------- */

static uint64_t word_at(const struct fnp_hotspot_place *place, uint64_t address)
{
	uint64_t word;

	return fnp_runtime_read(place->pid, address, &word, sizeof(word)) == 0 ? word : 0;
}

/* The value of a static field; 0 as long as it is not set. */
static uint64_t static_word(const struct fnp_hotspot_place *place, const struct fnp_hotspot_tables *t,
			    enum fnp_hotspot_field field)
{
	return fnp_hotspot_has(t, field) ? word_at(place, t->values[field]) : 0;
}

static int read_heap(const struct fnp_hotspot_place *place, const struct fnp_hotspot_tables *t, uint64_t heap,
		     struct fnp_hotspot_layout *l, struct fnp_hotspot_heap *ret)
{
	const uint64_t *v = t->values;
	uint64_t memory = heap + v[FNP_HOTSPOT_HEAP_MEMORY];
	uint64_t shift = word_at(place, heap + v[FNP_HOTSPOT_HEAP_SHIFT]) & UINT32_MAX;
	struct fnp_hotspot_heap h = {
		.start = word_at(place, memory + v[FNP_HOTSPOT_SPACE_LOW_BOUNDARY]),
		.end = word_at(place, memory + v[FNP_HOTSPOT_SPACE_HIGH_BOUNDARY]),
		.segments = word_at(place, heap + v[FNP_HOTSPOT_HEAP_SEGMENTS] + v[FNP_HOTSPOT_SPACE_LOW]),
	};

	if (h.start == 0 || h.end <= h.start || h.segments == 0 || shift < 4 || shift > 12)
		return -EAGAIN;
	l->segment_shift = (uint16_t)shift;
	*ret = h;
	return 0;
}

static int read_heaps(const struct fnp_hotspot_place *place, const struct fnp_hotspot_tables *t,
		      struct fnp_hotspot_layout *l)
{
	uint64_t array = static_word(place, t, FNP_HOTSPOT_CODE_HEAPS), data, n;
	uint64_t length_at = fnp_hotspot_has(t, FNP_HOTSPOT_ARRAY_LENGTH)
				     ? t->values[FNP_HOTSPOT_ARRAY_LENGTH]
				     : t->values[FNP_HOTSPOT_OLD_ARRAY_LENGTH];
	int r = 0;

	if (array == 0 || length_at == FNP_HOTSPOT_ABSENT || !fnp_hotspot_has(t, FNP_HOTSPOT_ARRAY_DATA))
		return -EAGAIN;
	n = word_at(place, array + length_at) & UINT32_MAX;
	data = word_at(place, array + t->values[FNP_HOTSPOT_ARRAY_DATA]);
	if (n == 0 || n > FNP_HOTSPOT_HEAPS_MAX || data == 0)
		return -EAGAIN;
	for (uint64_t i = 0; i < n && r == 0; i++)
		r = read_heap(place, t, word_at(place, data + 8 * i), l, &l->heaps[i]);
	return r;
}

/* Looks a run of bytes up in one codelet; its offset there or SIZE_MAX. */
static size_t find_bytes(const uint8_t *code, size_t size, const char *bytes, size_t n)
{
	const uint8_t *hit = memmem(code, size, bytes, n);

	return hit ? (size_t)(hit - code) : SIZE_MAX;
}

static void take_entry(struct fnp_hotspot_layout *l, const uint8_t *code, size_t start, size_t size)
{
	size_t popped = find_bytes(code + start, size, "\x58\x4c\x8d\x74", 4);
	size_t pushed = find_bytes(code + start, size, "\x50\x55\x48\x8b\xec", 5);

	if (l->entries_start == 0)
		l->entries_start = l->interpreter + start;
	l->entries_end = l->interpreter + start + size;
	if (popped == SIZE_MAX || pushed == SIZE_MAX || pushed < popped)
		return;
	for (size_t i = 0; i < FNP_HOTSPOT_ENTRIES_MAX; i++) {
		if (l->entries[i].end)
			continue;
		l->entries[i] = (struct fnp_hotspot_entry){.start = (uint32_t)start,
							   .popped = (uint32_t)(start + popped),
							   .pushed = (uint32_t)(start + pushed),
							   .end = (uint32_t)(start + size)};
		return;
	}
}

static bool is_entry(const struct fnp_hotspot_place *place, uint64_t description)
{
	char text[20];

	if (fnp_runtime_read(place->pid, description, text, sizeof(text)) < 0)
		return false;
	return memcmp(text, "method entry point", 18) == 0 || memcmp(text, "native method entry", 19) == 0;
}

static int read_interpreter(const struct fnp_hotspot_place *place, const struct fnp_hotspot_tables *t,
			    struct fnp_hotspot_layout *l)
{
	const uint64_t *v = t->values;
	uint64_t queue = static_word(place, t, FNP_HOTSPOT_INTERPRETER);
	uint64_t start, size;
	uint32_t codelet_size;

	if (queue == 0)
		return -EAGAIN;
	start = word_at(place, queue + v[FNP_HOTSPOT_QUEUE_BUFFER]);
	size = word_at(place, queue + v[FNP_HOTSPOT_QUEUE_END]) & UINT32_MAX;
	if (start == 0 || size == 0 || size > INTERPRETER_MAX)
		return -EAGAIN;
	/* The queue ends behind the last codelet that is whole. */
	if (start == l->interpreter && start + size == l->interpreter_end && l->entries[0].end)
		return 0;
	fnp_autofree uint8_t *code = malloc(size);
	if (!code)
		return -ENOMEM;
	if (fnp_runtime_read(place->pid, start, code, size) < 0)
		return -EAGAIN;
	l->interpreter = start;
	l->interpreter_end = start + size;
	l->entries_start = l->entries_end = 0;
	memset(l->entries, 0, sizeof(l->entries));
	for (size_t at = 0; at + 32 < size; at += codelet_size) {
		uint64_t description;

		memcpy(&codelet_size, code + at + v[FNP_HOTSPOT_CODELET_SIZE], sizeof(codelet_size));
		memcpy(&description, code + at + v[FNP_HOTSPOT_CODELET_DESCRIPTION], sizeof(description));
		if (codelet_size < 16 || codelet_size > size - at)
			break;
		if (is_entry(place, description))
			take_entry(l, code, at, codelet_size);
	}
	return l->entries[0].end ? 0 : -EAGAIN;
}

/* A static number that is an offset in a chunk of frames, or its head's size. */
static int chunk_offset(const struct fnp_hotspot_place *place, const struct fnp_hotspot_tables *t,
			enum fnp_hotspot_field field, uint16_t *ret)
{
	uint64_t value = static_word(place, t, field) & UINT32_MAX;

	if (value < 8 || value > FNP_HOTSPOT_CHUNK_MAX)
		return -EAGAIN;
	*ret = (uint16_t)value;
	return 0;
}

/* How references stand in the heap. */
static int read_references(const struct fnp_hotspot_place *place, const struct fnp_hotspot_tables *t,
			   struct fnp_hotspot_layout *l)
{
	bool is_old = !fnp_hotspot_has(t, FNP_HOTSPOT_NARROW_BASE);
	uint64_t shift = static_word(place, t,
				     is_old ? FNP_HOTSPOT_OLD_NARROW_SHIFT : FNP_HOTSPOT_NARROW_SHIFT);

	if (!fnp_hotspot_has(t, FNP_HOTSPOT_NARROW) || (shift & UINT32_MAX) > 7)
		return -EOPNOTSUPP;
	if ((static_word(place, t, FNP_HOTSPOT_NARROW) & 0xff) == 0)
		return 0;
	l->flags |= FNP_HOTSPOT_NARROW_REFERENCES;
	l->narrow_shift = (uint16_t)(shift & 7);
	l->narrow_base = static_word(place, t, is_old ? FNP_HOTSPOT_OLD_NARROW_BASE : FNP_HOTSPOT_NARROW_BASE);
	return 0;
}

/* Chunks of frames in the heap, from 21 on; without them such frames are not followed. */
static void read_chunks(const struct fnp_hotspot_place *place, const struct fnp_hotspot_tables *t,
			struct fnp_hotspot_layout *l)
{
	uint64_t entry = t->values[FNP_HOTSPOT_SIZEOF_ENTRY];
	int r;

	l->flags &= (uint16_t) ~(FNP_HOTSPOT_CHUNKS | FNP_HOTSPOT_NARROW_REFERENCES);
	l->thaw_return = static_word(place, t, FNP_HOTSPOT_THAW_RETURN);
	r = chunk_offset(place, t, FNP_HOTSPOT_CHUNK_PARENT, &l->chunk_parent);
	r = r ?: chunk_offset(place, t, FNP_HOTSPOT_CHUNK_SIZE, &l->chunk_size);
	r = r ?: chunk_offset(place, t, FNP_HOTSPOT_CHUNK_SP, &l->chunk_sp);
	r = r ?: chunk_offset(place, t, FNP_HOTSPOT_CHUNK_BOTTOM, &l->chunk_bottom);
	r = r ?: chunk_offset(place, t, FNP_HOTSPOT_CHUNK_PC, &l->chunk_pc);
	r = r ?: chunk_offset(place, t, FNP_HOTSPOT_CHUNK_STACK, &l->chunk_stack);
	r = r ?: chunk_offset(place, t, FNP_HOTSPOT_CONTINUATION_TAIL, &l->continuation_tail);
	r = r ?: read_references(place, t, l);
	if (r < 0)
		return;
	/* Published from 26 on; the frame is kept at a multiple of 16. */
	l->entry_size = entry < 256 ? (uint16_t)((entry + 15) & ~UINT64_C(15)) : ENTRY_SIZE;
	l->flags |= FNP_HOTSPOT_CHUNKS;
}

int fnp_hotspot_layout_places(const struct fnp_hotspot_place *place, const struct fnp_hotspot_tables *t,
			      struct fnp_hotspot_layout *layout)
{
	struct fnp_hotspot_layout l = *layout;
	int r;

	for (int field = FNP_HOTSPOT_HEAP_MEMORY; field <= FNP_HOTSPOT_CALL_STUB_RETURN; field++) {
		if (!fnp_hotspot_has(t, field))
			return -EOPNOTSUPP;
	}
	if (!fnp_hotspot_has(t, FNP_HOTSPOT_CODE_HEAPS))
		return -EOPNOTSUPP;
	if (t->values[FNP_HOTSPOT_CODELET_SIZE] > 12 || t->values[FNP_HOTSPOT_CODELET_DESCRIPTION] > 8)
		return -EOPNOTSUPP;
	r = read_heaps(place, t, &l);
	r = r ?: read_interpreter(place, t, &l);
	l.call_stub_return = static_word(place, t, FNP_HOTSPOT_CALL_STUB_RETURN);
	l.continuation_return = static_word(place, t, FNP_HOTSPOT_CONTINUATION_RETURN);
	read_chunks(place, t, &l);
	if (r == 0 && l.call_stub_return == 0)
		r = -EAGAIN;
	if (r < 0)
		return r;
	*layout = l;
	return 0;
}
