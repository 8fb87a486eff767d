/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folded stacks: `root;...;leaf N`, one line for each stack that reads differently, in the order of first
 * appearance; N is the sum of the profile's default value, nanoseconds of CPU.
 *
 * Two samples can differ in thread, address or source line and still read the same. So each different frame text
 * gets a number, and as no text has a `;` in it, two stacks read the same when their numbers are the same: lines are
 * found by their numbers, and their text is written once, when all values are known.
 */
#include "formats/format.h"
#include "formats/frame_text.h"

#define LINE_END_MAX 24 /* " N\n" */

/* A frame as it stands in a line, with the `;` after it. */
struct frame {
	size_t start; /* in encoder.texts */
	size_t len;
};

/* The frames of a location, outermost first: a piece of encoder.location_frames. */
struct piece {
	size_t start;
	uint32_t n; /* 0: not made yet */
	size_t len; /* of their texts together */
};

struct encoder {
	const struct fnp_profile *profile;
	struct piece *pieces; /* by location */
	FNP_VEC(uint32_t) location_frames;
	struct fnp_intern *names; /* of frames; their numbers index `frames` */
	FNP_VEC(struct frame) frames;
	struct fnp_buffer texts;
	struct fnp_buffer name;	  /* the one at work */
	FNP_VEC(uint32_t) stack;  /* the one at work, numbers of frames */
	struct fnp_intern *lines; /* stacks as frames' numbers */
	FNP_VEC(int64_t) values;  /* by line */
	size_t lines_len;	  /* room that the lines need */
};

static void encoder_deinit(struct encoder *e)
{
	free(e->pieces);
	fnp_vec_deinit(&e->location_frames);
	fnp_intern_destroy(e->names);
	fnp_vec_deinit(&e->frames);
	fnp_buffer_deinit(&e->texts);
	fnp_buffer_deinit(&e->name);
	fnp_vec_deinit(&e->stack);
	fnp_intern_destroy(e->lines);
	fnp_vec_deinit(&e->values);
}

/* ---- first pass: which lines there are ---------------------------------------------------------------------- */

/* Names are copied in whole steps of this many bytes, so that many bytes may be read after the last one. */
#define STEP 32

static int add_text(struct encoder *e)
{
	struct frame frame = {.start = e->texts.len, .len = e->name.len + 1};

	if (!fnp_buffer_room(&e->texts, frame.len + STEP))
		return -ENOMEM;
	fnp_buffer_append(&e->texts, e->name.data, e->name.len);
	fnp_buffer_byte(&e->texts, ';');
	memset(e->texts.data + e->texts.len, 0, STEP);
	return fnp_vec_push(&e->frames, frame);
}

static int add_frame(struct encoder *e, const struct fnp_profile_location *location, uint32_t line)
{
	uint32_t number;
	int r;

	e->name.len = 0;
	fnp_frame_text(e->profile, location, line, &e->name);
	/* A `;` separates frames, so names have none. */
	for (size_t i = 0; i < e->name.len; i++) {
		if (e->name.data[i] == ';')
			e->name.data[i] = ':';
	}
	r = e->name.error ? e->name.error : fnp_intern_add(e->names, e->name.data, e->name.len, &number);
	if (r == 0 && number == e->frames.len)
		r = add_text(e);
	return r < 0 ? r : fnp_vec_push(&e->location_frames, number);
}

static int add_piece(struct encoder *e, uint32_t number)
{
	const struct fnp_profile_location *location = &e->profile->locations.items[number];
	int r = 0;

	e->pieces[number].start = e->location_frames.len;
	for (uint32_t i = location->n_lines; r == 0 && i-- > 0;)
		r = add_frame(e, location, i);
	if (r < 0)
		return r;
	for (size_t i = e->pieces[number].start; i < e->location_frames.len; i++)
		e->pieces[number].len += e->frames.items[e->location_frames.items[i]].len;
	e->pieces[number].n = location->n_lines;
	return 0;
}

/* The stack of a sample as frames' numbers, root first, in e->stack; `ret_len` is the length of its text. */
static int stack_make(struct encoder *e, const struct fnp_profile_sample *sample, size_t *ret_len)
{
	const uint32_t *stack = &e->profile->stacks.items[sample->first_location];
	size_t len = 0;

	e->stack.len = 0;
	for (uint32_t i = sample->n_locations; i-- > 0;) {
		const struct piece *piece = &e->pieces[stack[i]];
		int r = piece->n ? 0 : add_piece(e, stack[i]);

		if (r == 0)
			r = fnp_vec_reserve(&e->stack, e->stack.len + piece->n);
		if (r < 0)
			return r;
		for (uint32_t k = 0; k < piece->n; k++)
			e->stack.items[e->stack.len++] = e->location_frames.items[piece->start + k];
		len += piece->len;
	}
	*ret_len = len;
	return 0;
}

static int add_sample(struct encoder *e, const struct fnp_profile_sample *sample)
{
	int64_t value = sample->values[e->profile->default_value];
	uint32_t line;
	size_t len;
	int r = stack_make(e, sample, &len);

	if (r == 0)
		r = fnp_intern_add(e->lines, e->stack.items, e->stack.len * sizeof(uint32_t), &line);
	if (r < 0)
		return r;
	if (line == e->values.len) {
		e->lines_len += len + LINE_END_MAX;
		return fnp_vec_push(&e->values, value);
	}
	if (__builtin_add_overflow(e->values.items[line], value, &e->values.items[line]))
		e->values.items[line] = value > 0 ? INT64_MAX : INT64_MIN;
	return 0;
}

/* ---- second pass: the text ---------------------------------------------------------------------------------- */

/* " N\n" to p, which has room for LINE_END_MAX bytes; returns the byte after. */
static uint8_t *put_line_end(uint8_t *p, int64_t value)
{
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char digits[LINE_END_MAX];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	*p++ = ' ';
	if (value < 0)
		*p++ = '-';
	memcpy(p, digits + at, sizeof(digits) - at);
	p += sizeof(digits) - at;
	*p++ = '\n';
	return p;
}

/*
 * Most names are short: copies of a fixed length are two instructions, and what they write too much is overwritten
 * by what comes next. Source and target have STEP bytes to spare.
 */
static uint8_t *put_frame(uint8_t *p, const uint8_t *text, size_t len)
{
	memcpy(p, text, STEP);
	if (len > STEP)
		memcpy(p + STEP, text + STEP, len - STEP);
	return p + len;
}

static int put_lines(const struct encoder *e, struct fnp_buffer *ret)
{
	uint8_t *p = fnp_buffer_room(ret, e->lines_len + STEP);

	if (!p)
		return -ENOMEM;
	for (uint32_t i = 0; i < e->values.len; i++) {
		size_t len;
		const uint32_t *stack = fnp_intern_get(e->lines, i, &len);
		for (size_t k = 0; k < len / sizeof(*stack); k++) {
			const struct frame *frame = &e->frames.items[stack[k]];
			p = put_frame(p, e->texts.data + frame->start, frame->len);
		}
		p = put_line_end(p - 1, e->values.items[i]);
	}
	ret->len = (size_t)(p - ret->data);
	return 0;
}

static int encode(const struct fnp_profile *profile, struct fnp_buffer *ret)
{
	FNP_CLEANUP(encoder_deinit) struct encoder e = {.profile = profile};
	int r = fnp_intern_create(0, &e.lines);

	if (r == 0)
		r = fnp_intern_create(0, &e.names);
	if (r < 0)
		return r;
	e.pieces = calloc(profile->locations.len + 1, sizeof(*e.pieces));
	if (!e.pieces)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < profile->samples.len; i++) {
		if (fnp_profile_sample_counts(profile, &profile->samples.items[i]))
			r = add_sample(&e, &profile->samples.items[i]);
	}
	return r < 0 ? r : put_lines(&e, ret);
}

const struct fnp_format_ops fnp_format_folded = {
	.name = "folded",
	.suffix = ".folded",
	.description = "one line a stack: flamegraph.pl, inferno, speedscope, grep",
	.encode = encode,
};
