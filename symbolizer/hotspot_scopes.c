/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a place in compiled Java code stands for: the method that was compiled and those that were inlined there.
 *
 * The compilers leave descriptions at the places where the JVM may have to look at a frame: calls and safepoints. Each
 * has an offset of code (that behind the call) and leads to a chain of scopes, innermost first, in a stream of numbers:
 * where the caller's scope is, which of the nmethod's metadata is the method, which bytecode. A place between them is
 * described by the next one, which is nearly always right, and exact for every frame but the leaf.
 */
#include "symbolizer/hotspot.h"

#define PCS_MAX 65536
#define SCOPES_MAX (4 << 20)
#define PROLOGUE_MAX 4096
#define START_BYTES 12	  /* of the first comparison */
#define LOOP_END_BYTES 24 /* of a comparison and a jump back */
#define PC_BYTES 16	  /* struct PcDesc: offset of code, of the scope, of objects, flags */

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

/* The descriptions around an offset of code: their scopes, 0 where there is none. */
struct around {
	int32_t next_code, next_scope; /* the first one at or behind it */
	int32_t before_code, before_scope;
};

static int find_scopes(const struct fnp_hotspot_view *view, const struct parts *parts, uint32_t offset,
		       struct around *ret)
{
	fnp_autofree uint8_t *pcs = NULL;
	struct around a = {.next_code = INT32_MAX, .before_code = -1};
	int r = read_part(view, parts->pcs, parts->pcs_end, (uint64_t)PCS_MAX * PC_BYTES, &pcs);

	if (r < 0)
		return r;
	for (uint64_t at = 0; at + PC_BYTES <= parts->pcs_end - parts->pcs; at += PC_BYTES) {
		int32_t code, scope;
		memcpy(&code, pcs + at, sizeof(code));
		memcpy(&scope, pcs + at + 4, sizeof(scope));
		if (code >= 0 && (uint32_t)code >= offset && code < a.next_code) {
			a.next_code = code;
			a.next_scope = scope;
		} else if (code >= 0 && (uint32_t)code < offset && code > a.before_code) {
			a.before_code = code;
			a.before_scope = scope;
		}
	}
	*ret = a;
	return 0;
}

/* One scope of the stream at `offset`; leaves where its caller's is there, 0 at the end. */
static int read_scope(const struct fnp_hotspot_view *view, struct fnp_cursor stream,
		      const struct parts *parts, uint32_t *offset, struct fnp_hotspot_scope *ret)
{
	bool without_zero = view->version >= 20;
	uint32_t sender, index, bci;
	uint64_t at;
	int r = fnp_cursor_seek(&stream, *offset);

	r = r ?: fnp_hotspot_unsigned5(&stream, without_zero, &sender);
	r = r ?: fnp_hotspot_unsigned5(&stream, without_zero, &index);
	r = r ?: fnp_hotspot_unsigned5(&stream, without_zero, &bci);
	if (r < 0 || index == 0)
		return -ESRCH;
	at = parts->metadata + 8 * (uint64_t)(index - 1);
	if (at >= parts->metadata_end ||
	    fnp_runtime_read(view->place.pid, at, &ret->method, sizeof(ret->method)) < 0)
		return -ESRCH;
	/* Bit 0 says "execute again"; the bytecode index is kept from -1 on. */
	ret->bci = (uint32_t)((int32_t)(bci >> 1) - 1);
	*offset = sender;
	return 0;
}

/* All scopes from one of the stream on. */
static int read_chain(const struct fnp_hotspot_view *view, struct fnp_cursor stream,
		      const struct parts *parts, int32_t scope, struct fnp_hotspot_compiled *ret)
{
	uint32_t offset = scope > 0 ? (uint32_t)scope : 0;

	ret->n = 0;
	while (offset && ret->n < FNP_RUNTIME_LINES_MAX) {
		int r = read_scope(view, stream, parts, &offset, &ret->scopes[ret->n]);
		if (r < 0)
			return r;
		ret->n++;
	}
	return ret->n ? 0 : -ENOENT;
}

/* Does `inner` stand for methods inlined into the place that `outer` stands for? */
static bool is_inside(const struct fnp_hotspot_compiled *inner, const struct fnp_hotspot_compiled *outer)
{
	if (inner->n <= outer->n)
		return false;
	for (size_t i = 0; i < outer->n; i++) {
		if (inner->scopes[inner->n - outer->n + i].method != outer->scopes[i].method)
			return false;
	}
	return true;
}

/*
 * A place behind a poll or call, near it: the end of a loop is described by the poll in it, not by what follows.
 */
static bool is_loop_end(const struct around *a, uint32_t offset)
{
	return a->before_code >= 0 && (uint32_t)a->next_code != offset &&
	       offset - (uint32_t)a->before_code <= LOOP_END_BYTES;
}

/* Where a method begins it is itself, whatever was inlined behind that. */
static bool is_start(const struct fnp_hotspot_view *view, const struct head *head, uint32_t offset)
{
	uint32_t complete = half_of(head, view->layout.blob_complete);

	if (view->layout.flags & FNP_HOTSPOT_COMPLETE_SHORT)
		complete &= 0xffff;
	return complete < PROLOGUE_MAX && offset <= complete + START_BYTES;
}

static int read_scopes(const struct fnp_hotspot_view *view, const struct head *head, uint32_t code_offset,
		       struct fnp_hotspot_compiled *ret)
{
	fnp_autofree uint8_t *scopes = NULL;
	uint32_t offset = code_offset & ~FNP_HOTSPOT_LEAF;
	struct fnp_hotspot_compiled before;
	struct parts parts;
	struct around a = {0};
	int r = find_parts(view, head, &parts);

	r = r ?: find_scopes(view, &parts, offset, &a);
	r = r ?: read_part(view, parts.scopes, parts.scopes_end, SCOPES_MAX, &scopes);
	if (r < 0)
		return r;
	struct fnp_cursor stream = fnp_cursor_of(scopes, parts.scopes_end - parts.scopes);
	r = read_chain(view, stream, &parts, a.next_scope, ret);
	if (r == 0 && (code_offset & FNP_HOTSPOT_LEAF) && is_loop_end(&a, offset) &&
	    read_chain(view, stream, &parts, a.before_scope, &before) == 0 &&
	    (is_inside(&before, ret) || offset - (uint32_t)a.before_code <= (uint32_t)a.next_code - offset)) {
		memcpy(ret->scopes, before.scopes, before.n * sizeof(before.scopes[0]));
		ret->n = before.n;
	}
	if (r == 0 && (code_offset & FNP_HOTSPOT_LEAF) && is_start(view, head, offset) &&
	    (uint32_t)a.next_code != offset) {
		ret->scopes[0] = (struct fnp_hotspot_scope){.method = ret->scopes[ret->n - 1].method};
		ret->n = 1;
	}
	return r;
}

static int read_head(const struct fnp_hotspot_view *view, uint64_t nmethod, struct head *ret)
{
	ret->address = nmethod;
	return fnp_runtime_read(view->place.pid, nmethod, ret->bytes, sizeof(ret->bytes)) < 0 ? -ESRCH : 0;
}

int fnp_hotspot_compiled_read(const struct fnp_hotspot_view *view, uint64_t nmethod, uint32_t offset,
			      struct fnp_hotspot_compiled *ret)
{
	const uint64_t *v = view->tables.values;
	struct head head, again;
	uint64_t method;
	int r = read_head(view, nmethod, &head);

	if (r < 0)
		return r;
	method = word_of(
		&head,
		v[fnp_hotspot_has(&view->tables, FNP_HOTSPOT_COMPILED_METHOD) ? FNP_HOTSPOT_COMPILED_METHOD
									      : FNP_HOTSPOT_OLD_METHOD]);
	ret->compile_id = half_of(&head, v[FNP_HOTSPOT_COMPILE_ID]);
	ret->level = (int8_t)half_of(&head, v[FNP_HOTSPOT_COMPILE_LEVEL]);
	r = read_scopes(view, &head, offset, ret);
	/* Wrappers of native methods have none, nor has code before the first of them. */
	if (r == -ENOENT || r == -EOPNOTSUPP || (r == 0 && ret->n == 0)) {
		ret->scopes[0] = (struct fnp_hotspot_scope){.method = method, .bci = UINT32_MAX};
		ret->n = 1;
		r = 0;
	} else if (r == 0 && ret->scopes[ret->n - 1].method != method && ret->n < FNP_RUNTIME_LINES_MAX) {
		return -ESRCH;
	}
	if (r == 0 && (read_head(view, nmethod, &again) < 0 ||
		       half_of(&again, v[FNP_HOTSPOT_COMPILE_ID]) != ret->compile_id))
		return -ESRCH;
	return r;
}
