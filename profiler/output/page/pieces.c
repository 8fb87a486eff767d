/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/output/page/pieces.h"

#define PIECE_BYTES (256u << 10) /* before they are deflated */

void fnp_page_pieces_deinit(struct fnp_page_pieces *pieces)
{
	fnp_buffer_deinit(&pieces->raw);
	fnp_buffer_deinit(&pieces->deflated);
	fnp_vec_deinit(&pieces->ends);
}

int fnp_page_pieces_flush(struct fnp_page_pieces *pieces, struct fnp_page_out *out)
{
	int r = pieces->raw.error;

	if (r < 0 || pieces->raw.len == 0)
		return r;
	r = fnp_page_deflate(out, pieces->raw.data, pieces->raw.len, &pieces->deflated);
	if (r == 0)
		r = fnp_vec_push(&pieces->ends, (struct fnp_page_piece){pieces->deflated.len,
									pieces->raw_items, pieces->raw_empty});
	pieces->raw.len = 0;
	pieces->raw_items = pieces->raw_empty = 0;
	return r;
}

int fnp_page_pieces_next(struct fnp_page_pieces *pieces, struct fnp_page_out *out)
{
	pieces->raw_items++;
	return pieces->raw.len >= PIECE_BYTES ? fnp_page_pieces_flush(pieces, out) : 0;
}

size_t fnp_page_pieces_bytes(const struct fnp_page_pieces *pieces)
{
	return pieces->deflated.len / 3 * 4 + pieces->ends.len * fnp_page_block_bytes(3);
}

size_t fnp_page_pieces_write(const struct fnp_page_pieces *pieces, struct fnp_page_out *out, const char *name,
			     size_t room)
{
	size_t begin = 0, i;

	for (i = 0; i < pieces->ends.len; i++) {
		size_t len = pieces->ends.items[i].end - begin, bytes = fnp_page_block_bytes(len);
		if (bytes > room)
			break;
		fnp_page_out_block(out, name, pieces->deflated.data + begin, len);
		begin = pieces->ends.items[i].end;
		room -= bytes;
	}
	return i;
}
