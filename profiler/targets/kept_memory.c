/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/targets/kept_memory.h"

#include <errno.h>

#define BYTES_MAX (4 << 20)
#define PIECE_BYTES 64 /* about, beside its bytes: the piece, its slot, what malloc adds */

struct piece {
	struct piece *next; /* of those with equal keys */
	uint64_t process, address;
	size_t size;
	uint8_t bytes[];
};

static uint64_t key_of(uint64_t process, uint64_t address, size_t size)
{
	return (process * 0x9e3779b97f4a7c15ULL ^ address) * 0xff51afd7ed558ccdULL ^ size;
}

static struct piece *find(const struct fnp_kept_memory *kept, uint64_t process, uint64_t address, size_t size)
{
	struct piece *piece = fnp_map_find_ptr(&kept->pieces, key_of(process, address, size));

	while (piece && (piece->process != process || piece->address != address || piece->size != size))
		piece = piece->next;
	return piece;
}

void fnp_kept_memory_put(struct fnp_kept_memory *kept, uint64_t process, uint64_t address, const void *bytes,
			 size_t size)
{
	uint64_t key = key_of(process, address, size);
	struct piece *known = find(kept, process, address, size);

	if (known) {
		memcpy(known->bytes, bytes, size);
		return;
	}
	if (kept->bytes > BYTES_MAX || size > BYTES_MAX)
		return;
	fnp_autofree struct piece *piece = malloc(sizeof(*piece) + size);
	if (!piece)
		return;
	*piece = (struct piece){.next = fnp_map_find_ptr(&kept->pieces, key),
				.process = process,
				.address = address,
				.size = size};
	memcpy(piece->bytes, bytes, size);
	if (fnp_map_set_ptr(&kept->pieces, key, piece) < 0)
		return;
	kept->bytes += PIECE_BYTES + size;
	TAKE_PTR(piece);
}

int fnp_kept_memory_get(const struct fnp_kept_memory *kept, uint64_t process, uint64_t address, void *ret,
			size_t size)
{
	const struct piece *piece = find(kept, process, address, size);

	if (!piece)
		return -ENOENT;
	memcpy(ret, piece->bytes, size);
	return 0;
}

void fnp_kept_memory_clear(struct fnp_kept_memory *kept)
{
	for (struct fnp_map_slot *slot = NULL; (slot = fnp_map_next(&kept->pieces, slot));) {
		for (struct piece *piece = (struct piece *)(uintptr_t)slot->value, *next; piece; piece = next) {
			next = piece->next;
			free(piece);
		}
	}
	fnp_map_deinit(&kept->pieces);
	*kept = (struct fnp_kept_memory){0};
}
