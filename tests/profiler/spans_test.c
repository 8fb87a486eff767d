/* SPDX-License-Identifier: Apache-2.0 */
/* Hits as the kernel side sends them, and the events that come of them. */
#include "profiler/spans.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "profiler/probe_plan.h"
#include "profiler/span_names.h"

#define TOLD_MAX 64

struct stage {
	struct fnp_spans *spans;
	struct {
		struct fnp_invocations_place at;
		uint64_t t_ns, duration_ns;
		char what[32], name[64], cause[64], arguments[64];
	} told[TOLD_MAX];
	size_t n;
};

/* A record with room for its sections. */
struct hit {
	struct fnp_probe_record record;
	uint64_t sections[256];
};

static void keep(void *self, const struct fnp_invocations_place *at, const struct fnp_row_event *event)
{
	struct stage *s = self;

	assert_true(s->n < TOLD_MAX);
	s->told[s->n].at = *at;
	s->told[s->n].t_ns = event->t_ns;
	s->told[s->n].duration_ns = event->duration_ns;
	snprintf(s->told[s->n].what, 32, "%s", event->what);
	snprintf(s->told[s->n].name, 64, "%s", event->name ? event->name : "");
	snprintf(s->told[s->n].cause, 64, "%s", event->cause ? event->cause : "");
	snprintf(s->told[s->n].arguments, 64, "%s", event->arguments ? event->arguments : "");
	s->n++;
}

static void begin(struct stage *s)
{
	*s = (struct stage){0};
	assert_int_equal(fnp_spans_create(keep, s, &s->spans), 0);
}

static struct hit hit_at(uint32_t tid, uint64_t time_ns)
{
	return (struct hit){.record.head = {.type = FNP_RECORD_PROBE,
					    .size = sizeof(struct fnp_probe_record),
					    .pid = 10,
					    .process = 5,
					    .tid = tid,
					    .seq = time_ns,
					    .time_ns = time_ns}};
}

static void add_text(struct hit *hit, const void *text, size_t size)
{
	uint8_t *at = (uint8_t *)&hit->record + hit->record.head.size;
	struct fnp_wire_section section = {.type = FNP_SECTION_PROBE_TEXT, .size = (uint32_t)size};

	memcpy(at, &section, sizeof(section));
	memcpy(at + sizeof(section), text, size);
	hit->record.head.size += (uint32_t)(sizeof(section) + ((size + 7) & ~7UL));
	hit->record.head.n_sections++;
}

static void take(struct stage *s, const char *provider, const char *name, const struct hit *hit)
{
	const struct fnp_probe_meaning *meaning = fnp_probe_meaning_of(provider, name);
	struct fnp_spans_hit view = {.meaning = meaning ? meaning : &fnp_probe_asked,
				     .provider = provider,
				     .name = name,
				     .version = 17};

	fnp_spans_take(s->spans, &view, &hit->record);
}

static void take_named(struct stage *s, const char *name, uint32_t tid, uint64_t time_ns, const char *text)
{
	struct hit hit = hit_at(tid, time_ns);

	add_text(&hit, text, strlen(text));
	take(s, strncmp(name, "import", 6) == 0 ? "python" : "fnprof", name, &hit);
}

static void begin_and_end_of_a_thread_make_a_span_of_the_begin(void **state)
{
	struct stage s;
	struct hit first = hit_at(11, 100), second = hit_at(12, 110), end_second = hit_at(12, 150),
		   end_first = hit_at(11, 400);

	(void)state;
	begin(&s);
	first.record.n_arguments = second.record.n_arguments = 1;
	second.record.arguments[0] = 2;
	take(&s, "python", "gc__start", &first);
	take(&s, "python", "gc__start", &second);
	take(&s, "python", "gc__done", &end_second);
	take(&s, "python", "gc__done", &end_first);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.told[0].name, "generation 2");
	assert_int_equal(s.told[0].duration_ns, 40);
	assert_int_equal(s.told[1].t_ns, 100);
	assert_int_equal(s.told[1].duration_ns, 300);
	assert_int_equal(s.told[1].at.seq, 100);
	assert_int_equal(s.told[1].at.tid, 11);
	fnp_spans_destroy(s.spans);
}

static void imports_nest_and_end_by_name(void **state)
{
	struct stage s;
	struct hit done = hit_at(10, 50);

	(void)state;
	begin(&s);
	take_named(&s, "import__find__load__start", 10, 10, "json");
	take_named(&s, "import__find__load__start", 10, 20, "json.nothing");
	done.record.n_arguments = 2; /* found: 0 */
	add_text(&done, "json.nothing", 12);
	take(&s, "python", "import__find__load__done", &done);
	take_named(&s, "import__find__load__done", 10, 90, "json");
	assert_int_equal(s.n, 2);
	assert_string_equal(s.told[0].name, "json.nothing");
	assert_string_equal(s.told[0].cause, "not found");
	assert_string_equal(s.told[1].name, "json");
	assert_string_equal(s.told[1].cause, "");
	assert_int_equal(s.told[1].duration_ns, 80);
	fnp_spans_destroy(s.spans);
}

static void take_class(struct stage *s, const char *step, uint64_t time_ns, const char *class)
{
	struct hit hit = hit_at(11, time_ns);
	char name[64];

	snprintf(name, sizeof(name), "class__initialization__%s", step);
	add_text(&hit, class, strlen(class));
	take(s, "hotspot", name, &hit);
}

static void class_that_is_under_way_already_is_no_event(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	take_class(&s, "required", 100, "java/lang/Object");
	take_class(&s, "required", 110, "Sub");
	take_class(&s, "required", 120, "Sub");
	take_class(&s, "recursive", 130, "Sub");
	take_class(&s, "error", 140, "Sub");
	take_class(&s, "end", 150, "java/lang/Object");
	assert_int_equal(s.n, 2);
	assert_string_equal(s.told[0].name, "Sub");
	assert_string_equal(s.told[0].cause, "failed");
	assert_int_equal(s.told[0].duration_ns, 30);
	assert_string_equal(s.told[1].name, "java.lang.Object");
	assert_string_equal(s.told[1].cause, "");
	assert_int_equal(s.told[1].duration_ns, 50);
	fnp_spans_destroy(s.spans);
}

static void marks_may_overlap_and_end_in_another_thread(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	take_named(&s, "begin", 10, 10, "a");
	take_named(&s, "begin", 10, 20, "b");
	take_named(&s, "end", 10, 30, "a");
	take_named(&s, "end", 77, 40, "b");
	take_named(&s, "end", 10, 50, "c");
	take_named(&s, "mark", 10, 60, "m");
	assert_int_equal(s.n, 3);
	assert_string_equal(s.told[0].name, "a");
	assert_string_equal(s.told[1].name, "b");
	assert_int_equal(s.told[1].duration_ns, 20);
	assert_string_equal(s.told[2].name, "m");
	assert_int_equal(s.told[2].duration_ns, 0);
	fnp_spans_destroy(s.spans);
}

static void end_without_a_begin_is_nothing(void **state)
{
	struct stage s;
	struct hit end = hit_at(10, 10);

	(void)state;
	begin(&s);
	take(&s, "hotspot", "gc__end", &end);
	assert_int_equal(s.n, 0);
	fnp_spans_destroy(s.spans);
}

static void collection_of_the_jvm_gets_its_collector_and_cause_on_the_way(void **state)
{
	struct stage s;
	struct hit start = hit_at(10, 10), note = hit_at(10, 11), end = hit_at(10, 30);

	(void)state;
	begin(&s);
	start.record.peeked = 14 + 1; /* no_gc */
	add_text(&note, "G1 Young Generation", 19);
	note.record.peeked = 22 + 1;
	take(&s, "hotspot", "gc__begin", &start);
	take(&s, "hotspot", "mem__pool__gc__begin", &note);
	take(&s, "hotspot", "mem__pool__gc__begin", &note);
	take(&s, "hotspot", "gc__end", &end);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.told[0].name, "G1 Young Generation");
	assert_string_equal(s.told[0].cause, "G1 Evacuation Pause");
	fnp_spans_destroy(s.spans);
}

static void class_and_compiled_method_have_names_of_the_language(void **state)
{
	struct stage s;
	struct hit loaded = hit_at(10, 10), compile = hit_at(10, 20), end = hit_at(10, 25);

	(void)state;
	begin(&s);
	add_text(&loaded, "java/lang/String", 16);
	take(&s, "hotspot", "class__loaded", &loaded);
	add_text(&compile, "java/util/ArrayList", 19);
	add_text(&compile, "add", 3);
	add_text(&compile, "C2", 2);
	take(&s, "hotspot", "method__compile__begin", &compile);
	take(&s, "hotspot", "method__compile__end", &end);
	assert_string_equal(s.told[0].name, "java.lang.String");
	assert_string_equal(s.told[0].what, "class_load");
	assert_string_equal(s.told[1].name, "java.util.ArrayList.add");
	assert_string_equal(s.told[1].cause, "C2");
	fnp_spans_destroy(s.spans);
}

/* As PyUnicode lays text out: 3.11 has a NULL where 3.12 begins. */
static void python_object(uint8_t ret[128], bool old, const char *text)
{
	uint64_t length = strlen(text);
	uint32_t state = 1 << 2 | 1 << 5 | 1 << 6;

	memset(ret, 0, 128);
	memcpy(ret + 16, &length, sizeof(length));
	memcpy(ret + 32, &state, sizeof(state));
	memcpy(ret + (old ? 48 : 40), text, length);
}

static void audit_marks_are_read_from_both_layouts_of_str(void **state)
{
	for (int old = 0; old < 2; old++) {
		struct stage s;
		struct hit start = hit_at(10, 10), end = hit_at(10, 30);
		uint8_t object[128];

		(void)state;
		begin(&s);
		python_object(object, old, "phase");
		add_text(&start, "fnprof.begin", 12);
		add_text(&start, object, sizeof(object));
		add_text(&end, "fnprof.end", 10);
		add_text(&end, object, 0);
		take(&s, "python", "audit", &start);
		take(&s, "python", "audit", &end);
		assert_int_equal(s.n, 1);
		assert_string_equal(s.told[0].name, "phase");
		fnp_spans_destroy(s.spans);
	}
}

static void memory_that_is_no_str_has_no_name(void **state)
{
	uint8_t object[128];
	char text[64];

	(void)state;
	python_object(object, true, "x");
	for (size_t size = 0; size <= 48; size++) {
		fnp_span_python_text(object, size, text, sizeof(text));
		assert_string_equal(text, "");
	}
	object[32] = 0;
	fnp_span_python_text(object, sizeof(object), text, sizeof(text));
	assert_string_equal(text, "");
	memset(object, 0xff, sizeof(object));
	fnp_span_python_text(object, sizeof(object), text, sizeof(text));
	assert_string_equal(text, "");
}

static void probe_that_was_asked_for_tells_its_arguments(void **state)
{
	struct stage s;
	struct hit hit = hit_at(10, 10);

	(void)state;
	begin(&s);
	hit.record.n_arguments = 3;
	hit.record.unknown = 2;
	hit.record.arguments[0] = (uint64_t)-7;
	hit.record.arguments[2] = 9;
	take(&s, "shop", "sale", &hit);
	assert_string_equal(s.told[0].what, "usdt");
	assert_string_equal(s.told[0].name, "shop:sale");
	assert_string_equal(s.told[0].arguments, "-7 ? 9");
	fnp_spans_destroy(s.spans);
}

static void what_is_open_when_its_process_ends_lasts_to_that_end(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	take_named(&s, "begin", 10, 10, "a");
	fnp_spans_end_process(s.spans, 10, 6, 100); /* another process of this pid */
	assert_int_equal(s.n, 0);
	fnp_spans_end_process(s.spans, 10, 5, 100);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.told[0].duration_ns, 90);
	fnp_spans_end_process(s.spans, 0, 0, 200);
	assert_int_equal(s.n, 1);
	fnp_spans_destroy(s.spans);
}

static void open_spans_of_a_pair_that_is_told_no_more_are_forgotten(void **state)
{
	struct stage s;
	struct hit gc = hit_at(11, 100);

	(void)state;
	begin(&s);
	take(&s, "python", "gc__start", &gc);
	take_named(&s, "import__find__load__start", 11, 110, "json");
	fnp_spans_forget(s.spans, FNP_PAIR_GC);
	fnp_spans_end_process(s.spans, 0, 0, 500);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.told[0].name, "json");
	fnp_spans_destroy(s.spans);
}

static void open_spans_are_bounded_and_the_oldest_go(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	for (uint32_t i = 0; i < 20000; i++)
		take_named(&s, "begin", i, i, "a");
	assert_int_equal(fnp_spans_lost(s.spans), 20000 - 16384);
	fnp_spans_destroy(s.spans);
}

/* A string object of V8 from its second byte on, with these bytes behind its length. */
static void add_v8_string(struct hit *hit, uint32_t length, const void *rest, size_t size)
{
	uint8_t object[248] = {0};

	memcpy(object + 11, &length, sizeof(length));
	memcpy(object + 15, rest, size);
	add_text(hit, object, sizeof(object));
}

static void add_v8_parts(struct hit *hit, uint32_t length, const char *first, const char *second)
{
	const uint64_t parts[] = {0x3f0012345671, 0x3f0012345699};

	add_v8_string(hit, length, parts, sizeof(parts));
	add_v8_string(hit, (uint32_t)strlen(first), first, strlen(first));
	if (second)
		add_v8_string(hit, (uint32_t)strlen(second), second, strlen(second));
}

static void path_of_a_module_is_read_from_each_kind_of_string(void **state)
{
	static const uint16_t wide[] = {'/', 'a', '/', 0xe9, '/', 'x', '.', 'j', 's'};
	const struct fnp_probe_meaning *meaning = fnp_probe_functions("v8");
	struct hit hits[7];
	struct stage s;

	(void)state;
	while (strcmp(meaning->what, "module_load") != 0)
		meaning++;
	begin(&s);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(hits); i++)
		hits[i] = hit_at(10, 10 + i);
	add_v8_string(&hits[0], 19, "/srv/app/handler.js", 19);
	add_v8_string(&hits[1], 4, "/a.j", 4);
	add_v8_parts(&hits[2], 26, "file:///srv/app/handler.js", NULL);
	add_v8_parts(&hits[3], 19, "/srv/app/", "handler.js");
	add_v8_parts(&hits[4], 30, "/srv/app/", "handler.js"); /* they are not what it is made of */
	add_v8_string(&hits[5], 9, wide, sizeof(wide));
	add_v8_string(&hits[6], 9,
		      "/a/\xe9"
		      "/x.js",
		      9);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(hits); i++)
		fnp_spans_take(s.spans, &(struct fnp_spans_hit){.meaning = meaning}, &hits[i].record);
	/* What could not be read is none: Node.js compiles other things there, too. */
	assert_int_equal(s.n, FNP_ARRAY_SIZE(hits) - 2);
	assert_string_equal(s.told[0].name, "/srv/app/handler.js");
	assert_string_equal(s.told[1].name, "/a.j");
	assert_string_equal(s.told[2].name, "/srv/app/handler.js");
	assert_string_equal(s.told[3].name, "/srv/app/handler.js");
	assert_string_equal(s.told[4].name, "/a/\xc3\xa9"
					    "/x.js");
	fnp_spans_destroy(s.spans);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begin_and_end_of_a_thread_make_a_span_of_the_begin),
		cmocka_unit_test(imports_nest_and_end_by_name),
		cmocka_unit_test(class_that_is_under_way_already_is_no_event),
		cmocka_unit_test(marks_may_overlap_and_end_in_another_thread),
		cmocka_unit_test(end_without_a_begin_is_nothing),
		cmocka_unit_test(collection_of_the_jvm_gets_its_collector_and_cause_on_the_way),
		cmocka_unit_test(class_and_compiled_method_have_names_of_the_language),
		cmocka_unit_test(audit_marks_are_read_from_both_layouts_of_str),
		cmocka_unit_test(memory_that_is_no_str_has_no_name),
		cmocka_unit_test(path_of_a_module_is_read_from_each_kind_of_string),
		cmocka_unit_test(probe_that_was_asked_for_tells_its_arguments),
		cmocka_unit_test(what_is_open_when_its_process_ends_lasts_to_that_end),
		cmocka_unit_test(open_spans_of_a_pair_that_is_told_no_more_are_forgotten),
		cmocka_unit_test(open_spans_are_bounded_and_the_oldest_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
