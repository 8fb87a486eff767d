/* SPDX-License-Identifier: Apache-2.0 */
/*
 * speedscope's own JSON: one profile of type "sampled".
 * https://www.speedscope.app/file-format-schema.json
 *
 * speedscope reads pprof, too, but keeps only the outermost function of a location there; here inlined functions are
 * frames like all others. A frame is a function: equal text is one frame, and so one name in its lists. It colours
 * by file, so a function without one has its mapping's.
 */
#include "formats/format.h"
#include "formats/frame_text.h"

struct encoder {
	const struct fnp_profile *profile;
	struct fnp_intern *frames; /* each frame's JSON text */
	/* By location: its frames, outermost first, as a piece of `ids`; set when the location is first met. */
	struct {
		size_t start;
		uint32_t n;
	} * pieces;
	FNP_VEC(uint32_t) ids;
	struct fnp_buffer text; /* the frame at work */
};

static void encoder_deinit(struct encoder *e)
{
	fnp_intern_destroy(e->frames);
	free(e->pieces);
	fnp_vec_deinit(&e->ids);
	fnp_buffer_deinit(&e->text);
}

static int add_frame(struct encoder *e, const struct fnp_profile_location *location, uint32_t line)
{
	const struct fnp_profile *profile = e->profile;
	const struct fnp_profile_function *function =
		&profile->functions.items[profile->lines.items[location->first_line + line].function];
	uint32_t file = function->file ? function->file : profile->mappings.items[location->mapping].file, id;
	fnp_autobuffer struct fnp_buffer name = {0};
	int r;

	fnp_frame_text(profile, location, line, &name);
	fnp_buffer_byte(&name, '\0');
	if (name.error)
		return name.error;
	e->text.len = 0;
	fnp_buffer_text(&e->text, "{\"name\":");
	fnp_format_json_text(&e->text, (const char *)name.data);
	if (file) {
		fnp_buffer_text(&e->text, ",\"file\":");
		fnp_format_json_text(&e->text, fnp_profile_string(profile, file));
	}
	if (function->start_line)
		fnp_buffer_printf(&e->text, ",\"line\":%u", function->start_line);
	fnp_buffer_byte(&e->text, '}');
	if (e->text.error)
		return e->text.error;
	r = fnp_intern_add(e->frames, e->text.data, e->text.len, &id);
	return r < 0 ? r : fnp_vec_push(&e->ids, id);
}

static int add_location(struct encoder *e, uint32_t number)
{
	const struct fnp_profile_location *location = &e->profile->locations.items[number];
	int r = 0;

	e->pieces[number].start = e->ids.len;
	for (uint32_t i = location->n_lines; r == 0 && i-- > 0;)
		r = add_frame(e, location, i);
	if (r == 0)
		e->pieces[number].n = location->n_lines;
	return r;
}

static int put_sample(struct encoder *e, const struct fnp_profile_sample *sample, struct fnp_buffer *ret)
{
	const uint32_t *stack = &e->profile->stacks.items[sample->first_location];
	bool is_first = true;

	fnp_buffer_byte(ret, '[');
	for (uint32_t i = sample->n_locations; i-- > 0;) {
		int r = e->pieces[stack[i]].n ? 0 : add_location(e, stack[i]);
		if (r < 0)
			return r;
		for (uint32_t k = 0; k < e->pieces[stack[i]].n; k++) {
			uint32_t id = e->ids.items[e->pieces[stack[i]].start + k];
			fnp_buffer_printf(ret, is_first ? "%u" : ",%u", id);
			is_first = false;
		}
	}
	fnp_buffer_byte(ret, ']');
	return ret->error;
}

static int put_samples(struct encoder *e, struct fnp_buffer *ret)
{
	const struct fnp_profile *profile = e->profile;

	for (size_t i = 0; i < profile->samples.len; i++) {
		if (i)
			fnp_buffer_byte(ret, ',');
		int r = put_sample(e, &profile->samples.items[i], ret);
		if (r < 0)
			return r;
	}
	return 0;
}

static const char *unit(const struct fnp_profile *profile)
{
	static const char *const known[] = {"nanoseconds", "microseconds", "milliseconds", "seconds", "bytes"};
	const char *ours = fnp_profile_string(profile, profile->value_types[profile->default_value].unit);

	for (size_t i = 0; i < FNP_ARRAY_SIZE(known); i++) {
		if (strcmp(ours, known[i]) == 0)
			return known[i];
	}
	return "none";
}

static void put_weights(const struct fnp_profile *profile, struct fnp_buffer *ret)
{
	for (size_t i = 0; i < profile->samples.len; i++)
		fnp_buffer_printf(ret, i ? ",%lld" : "%lld",
				  (long long)profile->samples.items[i].values[profile->default_value]);
}

static void put_frames(const struct encoder *e, struct fnp_buffer *ret)
{
	for (uint32_t i = 0; i < fnp_intern_count(e->frames); i++) {
		fnp_buffer_text(ret, i ? ",\n" : "\n");
		fnp_buffer_text(ret, fnp_intern_get_text(e->frames, i));
	}
}

/* `samples` were written beforehand, because the frames stand before them in no order that we knew. */
static int put_file(struct encoder *e, const struct fnp_buffer *samples, struct fnp_buffer *b)
{
	fnp_autobuffer struct fnp_buffer title = {0};

	fnp_profile_title(e->profile, &title);
	fnp_buffer_byte(&title, '\0');
	if (title.error)
		return title.error;
	fnp_buffer_text(b, "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n"
			   "\"exporter\":\"fnprof\",\"activeProfileIndex\":0,\n\"name\":");
	fnp_format_json_text(b, (const char *)title.data);
	fnp_buffer_text(b, ",\n\"shared\":{\"frames\":[");
	put_frames(e, b);
	fnp_buffer_text(b, "]},\n\"profiles\":[{\"type\":\"sampled\",\"name\":");
	fnp_format_json_text(b, (const char *)title.data);
	fnp_buffer_printf(b, ",\"unit\":\"%s\",\"startValue\":0,\"endValue\":%lld,\n\"samples\":[",
			  unit(e->profile), (long long)fnp_profile_sum(e->profile, e->profile->default_value));
	fnp_buffer_append(b, samples->data, samples->len);
	fnp_buffer_text(b, "],\n\"weights\":[");
	put_weights(e->profile, b);
	fnp_buffer_text(b, "]}]}\n");
	return b->error;
}

static int encode(const struct fnp_profile *profile, struct fnp_buffer *ret)
{
	FNP_CLEANUP(encoder_deinit) struct encoder e = {.profile = profile};
	fnp_autobuffer struct fnp_buffer samples = {0}, file = {0};
	int r = fnp_intern_create(0, &e.frames);

	if (r < 0)
		return r;
	e.pieces = calloc(profile->locations.len + 1, sizeof(*e.pieces));
	if (!e.pieces)
		return -ENOMEM;
	r = put_samples(&e, &samples);
	if (r == 0)
		r = put_file(&e, &samples, &file);
	if (r < 0)
		return r;
	fnp_buffer_append(ret, file.data, file.len);
	return ret->error;
}

const struct fnp_format_ops fnp_format_speedscope = {
	.name = "speedscope",
	.suffix = ".speedscope.json",
	.description = "the JSON of speedscope, a viewer in the browser; inlined frames are kept",
	.encode = encode,
};
