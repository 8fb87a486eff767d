/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folded stacks: `root;...;leaf N`, one line for each stack that reads differently, in the order of first
 * appearance; N is the sum of the profile's default value, nanoseconds of CPU.
 *
 * Two samples can differ in thread, address or source line and still read the same, so equal lines are found by
 * their text. A location's text is made once (its functions, outermost first, each with its suffix and a `;`), so
 * that a stack is a run of copies.
 */
#include "formats/format.h"
#include "formats/frame_text.h"

struct fragment {
	size_t start, len; /* in encoder.texts; len 0: not made yet */
};

struct encoder {
	const struct fnp_profile *profile;
	struct fragment *fragments; /* by location */
	struct fnp_buffer texts;
	struct fnp_buffer stack;  /* the one at work */
	struct fnp_intern *lines; /* texts without value */
	FNP_VEC(int64_t) values;  /* by line */
};

static void encoder_deinit(struct encoder *e)
{
	free(e->fragments);
	fnp_buffer_deinit(&e->texts);
	fnp_buffer_deinit(&e->stack);
	fnp_intern_destroy(e->lines);
	fnp_vec_deinit(&e->values);
}

/* A `;` separates frames, so names have none. */
static void put_frame(struct encoder *e, const struct fnp_profile_location *location, uint32_t line)
{
	struct fnp_buffer *b = &e->texts;
	size_t start = b->len;

	fnp_frame_text(e->profile, location, line, b);
	for (size_t i = start; i < b->len; i++) {
		if (b->data[i] == ';')
			b->data[i] = ':';
	}
	fnp_buffer_byte(b, ';');
}

static struct fragment fragment_make(struct encoder *e, const struct fnp_profile_location *location)
{
	size_t start = e->texts.len;

	for (uint32_t i = location->n_lines; i-- > 0;)
		put_frame(e, location, i);
	return (struct fragment){start, e->texts.len - start};
}

/* The stack of a sample, root first, without the last `;`. */
static int stack_make(struct encoder *e, const struct fnp_profile_sample *sample)
{
	const uint32_t *stack = &e->profile->stacks.items[sample->first_location];

	e->stack.len = 0;
	for (uint32_t i = sample->n_locations; i-- > 0;) {
		struct fragment *fragment = &e->fragments[stack[i]];

		if (fragment->len == 0)
			*fragment = fragment_make(e, &e->profile->locations.items[stack[i]]);
		if (e->texts.error)
			return -ENOMEM;
		fnp_buffer_append(&e->stack, e->texts.data + fragment->start, fragment->len);
	}
	if (e->stack.error)
		return -ENOMEM;
	e->stack.len--;
	return 0;
}

static int add_sample(struct encoder *e, const struct fnp_profile_sample *sample)
{
	int64_t value = sample->values[e->profile->default_value];
	uint32_t line;
	int r = stack_make(e, sample);

	if (r == 0)
		r = fnp_intern_add(e->lines, e->stack.data, e->stack.len, &line);
	if (r < 0)
		return r;
	if (line == e->values.len)
		return fnp_vec_push(&e->values, value);
	if (__builtin_add_overflow(e->values.items[line], value, &e->values.items[line]))
		e->values.items[line] = value > 0 ? INT64_MAX : INT64_MIN;
	return 0;
}

/* " N\n" to p, which has room for LINE_END_MAX bytes; returns the byte after. */
#define LINE_END_MAX 24
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

static int put_lines(const struct encoder *e, struct fnp_buffer *ret)
{
	size_t len, room = 1, n = e->values.len; /* never 0: NULL would look like an error */
	uint8_t *p;

	for (size_t i = 0; i < n; i++) {
		fnp_intern_get(e->lines, (uint32_t)i, &len);
		room += len + LINE_END_MAX;
	}
	p = fnp_buffer_room(ret, room);
	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const void *text = fnp_intern_get(e->lines, (uint32_t)i, &len);
		memcpy(p, text, len);
		p = put_line_end(p + len, e->values.items[i]);
	}
	ret->len = (size_t)(p - ret->data);
	return 0;
}

static int encode(const struct fnp_profile *profile, struct fnp_buffer *ret)
{
	FNP_CLEANUP(encoder_deinit) struct encoder e = {.profile = profile};
	int r = fnp_intern_create(0, &e.lines);

	if (r < 0)
		return r;
	e.fragments = calloc(profile->locations.len + 1, sizeof(*e.fragments));
	if (!e.fragments)
		return -ENOMEM;
	for (size_t i = 0; i < profile->samples.len; i++) {
		r = add_sample(&e, &profile->samples.items[i]);
		if (r < 0)
			return r;
	}
	return put_lines(&e, ret);
}

const struct fnp_format_ops fnp_format_folded = {
	.name = "folded",
	.suffix = ".folded",
	.description = "one line a stack: flamegraph.pl, inferno, speedscope, grep",
	.encode = encode,
};
