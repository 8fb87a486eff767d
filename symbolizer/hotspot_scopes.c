/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a place in compiled Java code stands for: the method that was compiled and those that were inlined there.
 *
 * The compilers leave descriptions at the places where the JVM may have to look at a frame: calls and safepoints. Each
 * has an offset of code (that behind the call) and leads to a chain of scopes, innermost first, in a stream of numbers:
 * where the caller's scope is, which of the nmethod's metadata is the method, which bytecode. That is exact for every frame
 * but the leaf, which may be anywhere between them: what it is then its instructions tell (hotspot_flow.c), unless the
 * JVM was told to describe everything.
 *
 * An nmethod is read whole when it is first seen: places not met yet can then be named when its process is gone.
 */
#include "base/vec.h"
#include "symbolizer/hotspot.h"

#define PCS_MAX 65536
#define STREAM_MAX (4 << 20)
#define SCOPES_MAX 65536
#define CODE_MAX (1 << 20)
#define INSTRUCTION_MAX 15
#define PC_BYTES 16 /* struct PcDesc: offset of code, of the scope, of objects, flags */

/* Where in memory an nmethod's descriptions are. */
struct parts {
	uint64_t pcs, pcs_end;
	uint64_t scopes, scopes_end;
	uint64_t metadata, metadata_end;
};

struct head {
	uint8_t bytes[512];
	uint64_t address;
};

static uint64_t word_of(const struct head *head, uint64_t at)
{
	uint64_t word = 0;

	if (at <= sizeof(head->bytes) - sizeof(word))
		memcpy(&word, head->bytes + at, sizeof(word));
	return word;
}

static uint32_t half_of(const struct head *head, uint64_t at)
{
	return (uint32_t)word_of(head, at);
}

/* Up to 21: all parts follow each other behind the code. */
static int find_old_parts(const struct fnp_hotspot_view *view, const struct head *head, struct parts *ret)
{
	const uint64_t *v = view->tables.values;

	if (v[FNP_HOTSPOT_METADATA] == FNP_HOTSPOT_ABSENT || v[FNP_HOTSPOT_DEPENDENCIES] == FNP_HOTSPOT_ABSENT ||
	    v[FNP_HOTSPOT_SCOPES_PCS] == FNP_HOTSPOT_ABSENT ||
	    v[FNP_HOTSPOT_OLD_SCOPES_DATA] == FNP_HOTSPOT_ABSENT)
		return -EOPNOTSUPP;
	ret->metadata = head->address + half_of(head, v[FNP_HOTSPOT_METADATA]);
	ret->scopes = word_of(head, v[FNP_HOTSPOT_OLD_SCOPES_DATA]);
	ret->metadata_end = ret->scopes;
	ret->pcs = head->address + half_of(head, v[FNP_HOTSPOT_SCOPES_PCS]);
	ret->scopes_end = ret->pcs;
	ret->pcs_end = head->address + half_of(head, v[FNP_HOTSPOT_DEPENDENCIES]);
	return 0;
}

/* From 25 on: the descriptions in a block of their own, the metadata in another behind the relocations. */
static int find_parts(const struct fnp_hotspot_view *view, const struct head *head, struct parts *ret)
{
	const uint64_t *v = view->tables.values;
	uint64_t immutable, mutable;

	if (v[FNP_HOTSPOT_IMMUTABLE_DATA] == FNP_HOTSPOT_ABSENT)
		return find_old_parts(view, head, ret);
	if (v[FNP_HOTSPOT_BLOB_MUTABLE_DATA] == FNP_HOTSPOT_ABSENT ||
	    v[FNP_HOTSPOT_SCOPES_DATA] == FNP_HOTSPOT_ABSENT ||
	    v[FNP_HOTSPOT_BLOB_RELOCATION_SIZE] == FNP_HOTSPOT_ABSENT ||
	    v[FNP_HOTSPOT_SCOPES_PCS] == FNP_HOTSPOT_ABSENT ||
	    v[FNP_HOTSPOT_IMMUTABLE_SIZE] == FNP_HOTSPOT_ABSENT)
		return -EOPNOTSUPP;
	immutable = word_of(head, v[FNP_HOTSPOT_IMMUTABLE_DATA]);
	mutable = word_of(head, v[FNP_HOTSPOT_BLOB_MUTABLE_DATA]);
	ret->pcs = immutable + half_of(head, v[FNP_HOTSPOT_SCOPES_PCS]);
	ret->scopes = ret->pcs_end = immutable + half_of(head, v[FNP_HOTSPOT_SCOPES_DATA]);
	ret->scopes_end = immutable + half_of(head, v[FNP_HOTSPOT_IMMUTABLE_SIZE]);
	ret->metadata = mutable + half_of(head, v[FNP_HOTSPOT_BLOB_RELOCATION_SIZE]);
	ret->metadata_end = mutable + half_of(head, v[FNP_HOTSPOT_BLOB_MUTABLE_SIZE]);
	return 0;
}

/* Reads [start, end) of the process, owned. */
static int read_part(const struct fnp_hotspot_view *view, uint64_t start, uint64_t end, uint64_t max,
		     uint8_t **ret)
{
	if (end == start)
		return -ENOENT;
	if (end < start || end - start > max)
		return -ESRCH;
	fnp_autofree uint8_t *bytes = malloc(end - start);
	if (!bytes)
		return -ENOMEM;
	if (fnp_runtime_read(view->place.pid, start, bytes, end - start) < 0)
		return -ESRCH;
	*ret = TAKE_PTR(bytes);
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

/* What is needed while an nmethod is read. */
struct reading {
	struct fnp_hotspot_cache *methods;
	const struct fnp_hotspot_view *view;
	struct parts parts;
	struct fnp_cursor stream;
	const uint8_t *metadata;
	struct fnp_map numbers;	   /* offset in the stream to number + 1 */
	FNP_VEC(uint32_t) offsets; /* by number */
	FNP_VEC(struct fnp_hotspot_scope) scopes;
};

static void reading_deinit(struct reading *reading)
{
	fnp_map_deinit(&reading->numbers);
	fnp_vec_deinit(&reading->offsets);
	fnp_vec_deinit(&reading->scopes);
}

/* The number of the scope at an offset of the stream, which is read later when it is new. */
static int number_of(struct reading *reading, uint32_t offset, uint32_t *ret)
{
	uint64_t *known = fnp_map_find(&reading->numbers, offset);
	int r;

	if (offset == 0) {
		*ret = FNP_HOTSPOT_NO_SCOPE;
		return 0;
	}
	if (known) {
		*ret = (uint32_t)*known;
		return 0;
	}
	if (reading->offsets.len >= SCOPES_MAX)
		return -E2BIG;
	*ret = (uint32_t)reading->offsets.len;
	r = fnp_map_set(&reading->numbers, offset, *ret);
	return r ?: fnp_vec_push(&reading->offsets, offset);
}

static int read_scope(struct reading *reading, uint32_t offset, struct fnp_hotspot_scope *ret)
{
	struct fnp_cursor stream = reading->stream;
	bool without_zero = reading->view->version >= 20;
	uint64_t n_metadata = (reading->parts.metadata_end - reading->parts.metadata) / 8, method;
	uint32_t sender, index, bci, start;
	int r = fnp_cursor_seek(&stream, offset);

	r = r ?: fnp_hotspot_unsigned5(&stream, without_zero, &sender);
	r = r ?: fnp_hotspot_unsigned5(&stream, without_zero, &index);
	r = r ?: fnp_hotspot_unsigned5(&stream, without_zero, &bci);
	if (r < 0 || index == 0 || index > n_metadata)
		return -ESRCH;
	memcpy(&method, reading->metadata + 8 * (uint64_t)(index - 1), sizeof(method));
	r = fnp_hotspot_cache_present(reading->methods, reading->view, method, &ret->method);
	/* Bit 0 says "execute again"; the bytecode index is kept from -1 on. */
	ret->bci = (uint32_t)((int32_t)(bci >> 1) - 1);
	if (r == 0)
		ret->line = fnp_hotspot_method_line(reading->view, ret->method, ret->bci, &start);
	return r ?: number_of(reading, sender, &ret->caller);
}

static int by_code(const void *a, const void *b)
{
	uint32_t x = ((const struct fnp_hotspot_spot *)a)->code, y = ((const struct fnp_hotspot_spot *)b)->code;

	return x < y ? -1 : x > y;
}

/* The places, and the scopes that they and their callers lead to. */
static int read_spots(struct reading *reading, const uint8_t *pcs, size_t size, struct fnp_hotspot_code *code)
{
	code->spots = calloc(size / PC_BYTES + 1, sizeof(code->spots[0]));
	if (!code->spots)
		return -ENOMEM;
	for (size_t at = 0; at + PC_BYTES <= size; at += PC_BYTES) {
		struct fnp_hotspot_spot *spot = &code->spots[code->n_spots];
		int32_t offset, scope;

		memcpy(&offset, pcs + at, sizeof(offset));
		memcpy(&scope, pcs + at + 4, sizeof(scope));
		if (offset < 0)
			continue; /* the first one */
		spot->code = (uint32_t)offset;
		int r = number_of(reading, scope > 0 ? (uint32_t)scope : 0, &spot->scope);
		if (r < 0)
			return r;
		code->n_spots++;
	}
	qsort(code->spots, code->n_spots, sizeof(code->spots[0]), by_code);
	/* Those that are read name further ones: their callers. */
	for (size_t i = 0; i < reading->offsets.len; i++) {
		struct fnp_hotspot_scope scope;
		int r = read_scope(reading, reading->offsets.items[i], &scope);
		r = r ?: fnp_vec_push(&reading->scopes, scope);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_scopes(struct fnp_hotspot_cache *methods, const struct fnp_hotspot_view *view,
		       const struct head *head, struct fnp_hotspot_code *code)
{
	fnp_autofree uint8_t *pcs = NULL, *stream = NULL, *metadata = NULL;
	FNP_CLEANUP(reading_deinit) struct reading reading = {.methods = methods, .view = view};
	struct parts *parts = &reading.parts;
	int r = find_parts(view, head, parts);

	r = r ?: read_part(view, parts->pcs, parts->pcs_end, (uint64_t)PCS_MAX * PC_BYTES, &pcs);
	r = r ?: read_part(view, parts->scopes, parts->scopes_end, STREAM_MAX, &stream);
	r = r ?: read_part(view, parts->metadata, parts->metadata_end, STREAM_MAX, &metadata);
	if (r < 0)
		return r;
	reading.stream = fnp_cursor_of(stream, parts->scopes_end - parts->scopes);
	reading.metadata = metadata;
	r = read_spots(&reading, pcs, parts->pcs_end - parts->pcs, code);
	if (r < 0)
		return r;
	fnp_vec_shrink(&reading.scopes);
	code->n_scopes = reading.scopes.len;
	code->scopes = TAKE_PTR(reading.scopes.items);
	return 0;
}

static int read_head(const struct fnp_hotspot_view *view, uint64_t nmethod, struct head *ret)
{
	ret->address = nmethod;
	return fnp_runtime_read(view->place.pid, nmethod, ret->bytes, sizeof(ret->bytes)) < 0 ? -ESRCH : 0;
}

/* Fills the stretches where the spots do not tell all; code of which nothing is certain has none. */
static int read_stretches(const struct fnp_hotspot_view *view, const struct head *head,
			  struct fnp_hotspot_code *code)
{
	const struct fnp_hotspot_layout *l = &view->layout;
	fnp_autofree uint8_t *bytes = NULL;
	uint64_t start = word_of(head, l->blob_code), size;
	int r;

	if (code->is_detailed || code->n_spots == 0)
		return 0;
	if (!(l->flags & FNP_HOTSPOT_CODE_POINTERS))
		start = head->address + (uint32_t)start;
	/* The last one may be the compiler's end mark, the biggest number that there is. */
	for (size_t i = code->n_spots; i-- > 0;) {
		size = (uint64_t)code->spots[i].code + INSTRUCTION_MAX;
		if (code->spots[i].code != INT32_MAX)
			break;
	}
	r = read_part(view, start, start + size, CODE_MAX, &bytes);
	r = r ?: fnp_hotspot_flow(code, bytes, size);
	return r == -ENOMEM ? r : 0;
}

/* Is the outermost scope of all places the method that was compiled? */
static bool fits(const struct fnp_hotspot_code *code)
{
	for (size_t i = 0; i < code->n_scopes; i++) {
		if (code->scopes[i].caller == FNP_HOTSPOT_NO_SCOPE && code->scopes[i].method != code->method)
			return false;
	}
	return true;
}

int fnp_hotspot_code_read(struct fnp_hotspot_cache *methods, const struct fnp_hotspot_view *view,
			  uint64_t nmethod, uint32_t compile_id, struct fnp_hotspot_code **ret)
{
	const uint64_t *v = view->tables.values;
	bool is_new = fnp_hotspot_has(&view->tables, FNP_HOTSPOT_COMPILED_METHOD);
	uint64_t method_at = v[is_new ? FNP_HOTSPOT_COMPILED_METHOD : FNP_HOTSPOT_OLD_METHOD];
	FNP_CLEANUP(fnp_hotspot_code_destroyp) struct fnp_hotspot_code *code = calloc(1, sizeof(*code));
	struct head head, again;
	int r;

	if (!code)
		return -ENOMEM;
	r = read_head(view, nmethod, &head);
	if (r < 0 || half_of(&head, v[FNP_HOTSPOT_COMPILE_ID]) != compile_id)
		return -ESRCH;
	code->address = nmethod;
	code->compile_id = compile_id;
	code->level = (int8_t)half_of(&head, v[FNP_HOTSPOT_COMPILE_LEVEL]);
	code->is_detailed = view->is_detailed;
	r = fnp_hotspot_cache_present(methods, view, word_of(&head, method_at), &code->method);
	r = r ?: read_scopes(methods, view, &head, code);
	if (r == -ENOENT || r == -EOPNOTSUPP)
		r = 0; /* wrappers of native methods have none */
	if (r < 0)
		return r;
	if (!fits(code))
		return -ESRCH;
	r = read_stretches(view, &head, code);
	if (r < 0)
		return r;
	if (read_head(view, nmethod, &again) < 0 || half_of(&again, v[FNP_HOTSPOT_COMPILE_ID]) != compile_id)
		return -ESRCH;
	*ret = TAKE_PTR(code);
	return 0;
}

void fnp_hotspot_code_destroy(struct fnp_hotspot_code *code)
{
	if (!code)
		return;
	free(code->spots);
	free(code->scopes);
	free(code->stretches);
	free(code);
}

/* ---- asking -------------------------------------------------------------------------------------------------- */

/* The first place at or behind an offset, or NULL. */
static const struct fnp_hotspot_spot *find_next(const struct fnp_hotspot_code *code, uint32_t offset)
{
	size_t low = 0, high = code->n_spots;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (code->spots[middle].code < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low < code->n_spots ? &code->spots[low] : NULL;
}

/* The stretch that an offset lies in, or NULL. */
static const struct fnp_hotspot_stretch *find_stretch(const struct fnp_hotspot_code *code, uint32_t offset)
{
	size_t low = 0, high = code->n_stretches;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (code->stretches[middle].end <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low < code->n_stretches ? &code->stretches[low] : NULL;
}

/* A scope and its callers; the compiled method itself where there is none. */
static void follow(const struct fnp_hotspot_code *code, uint32_t number, struct fnp_hotspot_chain *ret)
{
	ret->n = 0;
	while (number < code->n_scopes && ret->n < FNP_RUNTIME_LINES_MAX) {
		ret->scopes[ret->n++] = code->scopes[number];
		number = code->scopes[number].caller;
	}
	if (ret->n == 0) {
		ret->scopes[0] = (struct fnp_hotspot_scope){.method = code->method, .bci = UINT32_MAX};
		ret->n = 1;
	}
}

void fnp_hotspot_code_at(const struct fnp_hotspot_code *code, uint32_t code_offset,
			 struct fnp_hotspot_chain *ret)
{
	uint32_t offset = code_offset & ~FNP_HOTSPOT_LEAF;

	if (!(code_offset & FNP_HOTSPOT_LEAF) || code->is_detailed) {
		const struct fnp_hotspot_spot *next = find_next(code, offset);
		follow(code, next ? next->scope : FNP_HOTSPOT_NO_SCOPE, ret);
	} else {
		const struct fnp_hotspot_stretch *stretch = find_stretch(code, offset);
		follow(code, stretch ? stretch->scope : FNP_HOTSPOT_NO_SCOPE, ret);
		if (!stretch || stretch->is_vague)
			ret->scopes[0].line = 0;
	}
}
