/* SPDX-License-Identifier: Apache-2.0 */
/* Names come from the program that was watched: the writer of JSON makes valid UTF-8 of them and escapes them. */
#include "profiler/output/events.h"

#include "profiler/output/json.h"

static void write_line(const struct fnp_row_event *event, struct fnp_buffer *b)
{
	fnp_json_open(b, NULL);
	fnp_json_u64(b, "t_ns", event->t_ns);
	fnp_json_u64(b, "duration_ns", event->duration_ns);
	fnp_json_u64(b, "tid", event->tid);
	fnp_json_text(b, "what", event->what);
	if (event->name)
		fnp_json_text(b, "name", event->name);
	if (event->cause)
		fnp_json_text(b, "cause", event->cause);
	if (event->arguments)
		fnp_json_text(b, "arguments", event->arguments);
	fnp_json_text(b, "how", fnp_event_how_name(event->how));
	fnp_json_close(b);
	fnp_buffer_byte(b, '\n');
}

void fnp_events_lines(const struct fnp_row *row, struct fnp_buffer *ret)
{
	for (size_t i = 0; i < row->events.len; i++)
		write_line(&row->events.items[i], ret);
}
