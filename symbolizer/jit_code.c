/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list is swept once from low to high addresses, with a heap of the pieces that have the present address and the
 * newest on top: the result says for each stretch of addresses which piece counts, and a binary search reads it.
 */
#include "symbolizer/jit_code.h"

void fnp_jit_code_deinit(struct fnp_jit_code *code)
{
	fnp_vec_deinit(&code->pieces);
	fnp_vec_deinit(&code->stretches);
}

bool fnp_jit_piece_is_sound(uint64_t start, uint64_t size)
{
	return size > 0 && size <= FNP_JIT_PIECE_BYTES_MAX && start <= UINT64_MAX - size;
}

int fnp_jit_code_add(struct fnp_jit_code *code, const struct fnp_jit_piece *piece)
{
	return code->pieces.len >= FNP_JIT_PIECES_MAX ? -ENOSPC : fnp_vec_push(&code->pieces, *piece);
}

struct sweep {
	const struct fnp_jit_code *code;
	uint32_t *heap; /* numbers of pieces, the newest on top */
	size_t n;
};

static void heap_push(struct sweep *s, uint32_t piece)
{
	size_t at = s->n++;

	for (; at > 0 && s->heap[(at - 1) / 2] < piece; at = (at - 1) / 2)
		s->heap[at] = s->heap[(at - 1) / 2];
	s->heap[at] = piece;
}

static void heap_pop(struct sweep *s)
{
	uint32_t last = s->heap[--s->n];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= s->n)
			break;
		if (child + 1 < s->n && s->heap[child + 1] > s->heap[child])
			child++;
		if (s->heap[child] <= last)
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = last;
}

static int add_stretch(struct fnp_jit_code *code, uint64_t start, uint32_t piece)
{
	struct fnp_jit_stretch *last = code->stretches.len > 0
					       ? &code->stretches.items[code->stretches.len - 1]
					       : NULL;

	if (last && last->piece == piece)
		return 0;
	if (last && last->start == start) {
		last->piece = piece;
		return 0;
	}
	return fnp_vec_push(&code->stretches, (struct fnp_jit_stretch){.start = start, .piece = piece});
}

/* Writes the stretches up to `until`, where the next piece begins. */
static int sweep_to(struct sweep *s, struct fnp_jit_code *code, uint64_t until)
{
	while (s->n > 0) {
		const struct fnp_jit_piece *top = &code->pieces.items[s->heap[0]];
		uint64_t end = top->start + top->size;

		if (end > until)
			return 0;
		/* Those below that ended earlier, too, must not come back to life. */
		while (s->n > 0 &&
		       code->pieces.items[s->heap[0]].start + code->pieces.items[s->heap[0]].size <= end)
			heap_pop(s);
		int r = add_stretch(code, end, s->n > 0 ? s->heap[0] : UINT32_MAX);
		if (r < 0)
			return r;
	}
	return 0;
}

struct by_start {
	uint64_t start;
	uint32_t piece;
};

static int compare_starts(const void *a, const void *b)
{
	const struct by_start *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->piece < y->piece ? -1 : x->piece > y->piece;
}

int fnp_jit_code_sort(struct fnp_jit_code *code)
{
	size_t n = code->pieces.len;
	fnp_autofree struct by_start *order = malloc(FNP_MAX(n, (size_t)1) * sizeof(*order));
	fnp_autofree uint32_t *heap = malloc(FNP_MAX(n, (size_t)1) * sizeof(*heap));
	struct sweep s = {.code = code, .heap = heap};
	int r = order && heap ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++)
		order[i] = (struct by_start){.start = code->pieces.items[i].start, .piece = i};
	qsort(order, n, sizeof(*order), compare_starts);
	code->stretches.len = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = sweep_to(&s, code, order[i].start);
		heap_push(&s, order[i].piece);
		if (r == 0)
			r = add_stretch(code, order[i].start, heap[0]);
	}
	return r < 0 ? r : sweep_to(&s, code, UINT64_MAX);
}

int fnp_jit_code_find(const struct fnp_jit_code *code, uint64_t address, uint32_t *ret)
{
	size_t low = 0, high = code->stretches.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (code->stretches.items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || code->stretches.items[low - 1].piece == UINT32_MAX)
		return -ENOENT;
	*ret = code->stretches.items[low - 1].piece;
	return 0;
}
