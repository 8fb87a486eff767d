/* SPDX-License-Identifier: Apache-2.0 */
/* Notes built here, byte by byte, and broken one thing at a time; every form of argument. */
#include "symbolizer/usdt.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/symbolizer/elf_writer.h"

#define TEXT 0x401000
#define DATA 0x404000
#define READ_ONLY 0x406000
#define BASE 0x402000

static const uint8_t text[64] = {0x90, 0x0f, 0x1f, 0x44, 0,    0,	   0x55,
				 0x48, 0x83, 0xec, 0x10, 0xcc, [63] = 0x90};
static const uint8_t data[64];

struct file {
	struct fnp_buffer notes;
	struct fnp_buffer bytes;
	struct fnp_object *object;
	struct fnp_usdt_places places;
	uint64_t base; /* of .stapsdt.base; 0: BASE */
	uint16_t machine;
};

static void put_note(struct file *f, uint32_t type, const char *owner, const struct fnp_buffer *description)
{
	static const uint8_t zeros[4];
	uint32_t head[3] = {(uint32_t)strlen(owner) + 1, (uint32_t)description->len, type};

	fnp_buffer_append(&f->notes, head, sizeof(head));
	fnp_buffer_append(&f->notes, owner, head[0]);
	fnp_buffer_append(&f->notes, zeros, -head[0] & 3);
	fnp_buffer_append(&f->notes, description->data, description->len);
	fnp_buffer_append(&f->notes, zeros, -head[1] & 3);
}

static void describe(struct fnp_buffer *b, uint64_t address, uint64_t semaphore, const char *arguments)
{
	uint64_t words[3] = {address, BASE, semaphore};

	fnp_buffer_append(b, words, sizeof(words));
	fnp_buffer_append(b, "shop", 5);
	fnp_buffer_append(b, "sale", 5);
	fnp_buffer_append(b, arguments, strlen(arguments) + 1);
}

static void put(struct file *f, uint64_t address, uint64_t semaphore, const char *arguments)
{
	fnp_autobuffer struct fnp_buffer description = {0};

	describe(&description, address, semaphore, arguments);
	put_note(f, 3, "stapsdt", &description);
}

static void read_places(struct file *f)
{
	struct elf_writer w = {.machine = f->machine};
	uint32_t index;

	elf_writer_segment(&w, 0x1000, TEXT, text, sizeof(text), PF_R | PF_X);
	elf_writer_segment(&w, 0x2000, DATA, data, sizeof(data), PF_R | PF_W);
	elf_writer_segment(&w, 0x3000, READ_ONLY, data, sizeof(data), PF_R);
	elf_writer_section(&w, ".note.stapsdt", SHT_NOTE, f->notes.data, f->notes.len);
	index = elf_writer_section(&w, ".stapsdt.base", SHT_PROGBITS, data, 1);
	w.sections[index - 1].address = f->base ? f->base : BASE;
	elf_writer_symbol(&w, "counter", DATA + 8, 4, STT_OBJECT, STB_GLOBAL);
	f->bytes = elf_writer_finish(&w);
	assert_int_equal(fnp_object_open_memory(f->bytes.data, f->bytes.len, "test", &f->object), 0);
	assert_int_equal(fnp_usdt_read(f->object, &f->places), 0);
}

static void done(struct file *f)
{
	fnp_usdt_places_deinit(&f->places);
	fnp_object_unref(f->object);
	fnp_buffer_deinit(&f->bytes);
	fnp_buffer_deinit(&f->notes);
}

/* ---- notes --------------------------------------------------------------------------------------------------- */

static void note_says_name_place_semaphore_and_arguments(void **state)
{
	struct file f = {0};

	(void)state;
	put(&f, TEXT, DATA + 2, "-4@%edi 8@%rsi");
	put(&f, TEXT + 1, 0, "");
	read_places(&f);
	assert_int_equal(f.places.list.len, 2);
	assert_int_equal(f.places.lying, 0);
	const struct fnp_usdt_place *first = &f.places.list.items[0], *second = first + 1;
	assert_string_equal(first->provider, "shop");
	assert_string_equal(first->name, "sale");
	assert_int_equal(first->address, TEXT);
	assert_int_equal(first->offset, 0x1000);
	assert_int_equal(first->semaphore, FNP_USDT_SEMAPHORE_GOOD);
	assert_int_equal(first->semaphore_offset, 0x2002);
	assert_int_equal(first->n_arguments, 2);
	assert_int_equal(second->offset, 0x1001);
	assert_int_equal(second->semaphore, FNP_USDT_SEMAPHORE_NONE);
	assert_int_equal(second->n_arguments, 0);
	done(&f);
}

static void file_that_was_moved_has_its_places_moved(void **state)
{
	struct file f = {.base = BASE + 0x10};

	(void)state;
	put(&f, TEXT, DATA, "");
	read_places(&f);
	assert_int_equal(f.places.list.items[0].address, TEXT + 0x10);
	assert_int_equal(f.places.list.items[0].semaphore_offset, 0x2010);
	done(&f);
}

static void place_outside_of_code_is_passed_over(void **state)
{
	static const uint64_t lies[] = {0, DATA, TEXT + sizeof(text), TEXT - 1, UINT64_MAX};
	struct file f = {0};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(lies); i++)
		put(&f, lies[i], 0, "");
	put(&f, TEXT + sizeof(text) - 1, 0, ""); /* the last byte is one */
	read_places(&f);
	assert_int_equal(f.places.list.len, 1);
	assert_int_equal(f.places.lying, FNP_ARRAY_SIZE(lies));
	assert_int_equal(f.places.list.items[0].instruction, FNP_USDT_NOP);
	done(&f);
}

static void semaphore_outside_of_writable_memory_is_bad(void **state)
{
	static const uint64_t lies[] = {READ_ONLY, TEXT, 1, DATA + sizeof(data), UINT64_MAX};
	struct file f = {0};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(lies); i++)
		put(&f, TEXT, lies[i], "");
	read_places(&f);
	assert_int_equal(f.places.list.len, FNP_ARRAY_SIZE(lies));
	for (size_t i = 0; i < f.places.list.len; i++)
		assert_int_equal(f.places.list.items[i].semaphore, FNP_USDT_SEMAPHORE_BAD);
	done(&f);
}

static void note_cut_anywhere_loses_only_itself(void **state)
{
	fnp_autobuffer struct fnp_buffer description = {0};

	(void)state;
	describe(&description, TEXT, DATA, "8@%rax");
	for (size_t len = 0; len < description.len; len++) {
		struct fnp_buffer cut = description;
		struct file f = {0};

		cut.len = len;
		put_note(&f, 3, "stapsdt", &cut);
		put(&f, TEXT + 1, 0, "");
		read_places(&f);
		assert_int_equal(f.places.lying, 1);
		assert_int_equal(f.places.list.len, 1);
		assert_int_equal(f.places.list.items[0].address, TEXT + 1);
		done(&f);
	}
}

static void section_cut_anywhere_is_survived(void **state)
{
	struct file whole = {0};

	(void)state;
	put(&whole, TEXT, 0, "");
	put(&whole, TEXT, 0, "");
	for (size_t len = 0; len < whole.notes.len; len++) {
		struct file f = {0};

		fnp_buffer_append(&f.notes, whole.notes.data, len);
		if (len == 0)
			continue;
		read_places(&f);
		assert_true(f.places.list.len <= 2);
		done(&f);
	}
	fnp_buffer_deinit(&whole.notes);
}

static void sizes_that_lie_end_the_section(void **state)
{
	static const uint32_t lies[] = {0xffffffff, 0xfffffffd, 0x7fffffff, 4096};
	fnp_autobuffer struct fnp_buffer description = {0};

	(void)state;
	describe(&description, TEXT, 0, "");
	for (size_t i = 0; i < 2 * FNP_ARRAY_SIZE(lies); i++) {
		struct file f = {0};

		put_note(&f, 3, "stapsdt", &description);
		memcpy(f.notes.data + 4 * (i & 1), &lies[i / 2], 4);
		read_places(&f);
		assert_int_equal(f.places.list.len, 0);
		assert_int_equal(f.places.lying, 1);
		done(&f);
	}
}

static void notes_of_others_are_not_ours(void **state)
{
	fnp_autobuffer struct fnp_buffer description = {0};
	struct file f = {0};

	(void)state;
	describe(&description, TEXT, 0, "");
	put_note(&f, 3, "GNU", &description);
	put_note(&f, 1, "stapsdt", &description);
	put_note(&f, 3, "stapsdu", &description);
	put(&f, TEXT, 0, "");
	read_places(&f);
	assert_int_equal(f.places.list.len, 1);
	assert_int_equal(f.places.lying, 0);
	done(&f);
}

static void instruction_under_a_probe_is_told(void **state)
{
	struct file f = {0};

	(void)state;
	put(&f, TEXT, 0, "");
	read_places(&f);
	assert_int_equal(fnp_usdt_instruction_at(f.object, TEXT), FNP_USDT_NOP);
	assert_int_equal(fnp_usdt_instruction_at(f.object, TEXT + 1), FNP_USDT_NOP);
	assert_int_equal(fnp_usdt_instruction_at(f.object, TEXT + 6), FNP_USDT_CHEAP);
	assert_int_equal(fnp_usdt_instruction_at(f.object, TEXT + 7), FNP_USDT_STEPPED);
	assert_int_equal(fnp_usdt_instruction_at(f.object, TEXT + 11), FNP_USDT_TRAP);
	assert_int_equal(fnp_usdt_instruction_at(f.object, 0), FNP_USDT_TRAP);
	done(&f);
}

/* ---- arguments ----------------------------------------------------------------------------------------------- */

struct form {
	const char *text;
	struct fnp_probe_argument is;
};

#define NONE FNP_PROBE_NO_REGISTER
#define CONSTANT(n) .kind = FNP_PROBE_CONSTANT, .offset = (n), .base = NONE, .index = NONE
#define REGISTER(n) .kind = FNP_PROBE_REGISTER, .base = (n), .index = NONE
#define MEMORY(b, n) .kind = FNP_PROBE_MEMORY, .base = (b), .index = NONE, .offset = (n)
#define INDEXED(b, i, s, n) .kind = FNP_PROBE_MEMORY, .base = (b), .index = (i), .scale = (s), .offset = (n)

static void check_forms(const struct form *forms, size_t n, uint16_t machine, const struct fnp_object *object)
{
	struct fnp_probe_argument parsed[FNP_PROBE_SPEC_ARGUMENTS];
	char with_more[256];

	for (size_t i = 0; i < n; i++) {
		/* Alone, and with one before and one behind: forms do not eat their neighbours. */
		assert_int_equal(fnp_usdt_arguments(forms[i].text, machine, object, parsed), 1);
		if (memcmp(&parsed[0], &forms[i].is, sizeof(parsed[0])) != 0)
			fail_msg("%s: kind %u size %u base %u index %u scale %u offset %ld", forms[i].text,
				 parsed[0].kind, parsed[0].size, parsed[0].base, parsed[0].index,
				 parsed[0].scale, (long)parsed[0].offset);
		snprintf(with_more, sizeof(with_more), "%s %s %s", forms[0].text, forms[i].text, forms[0].text);
		assert_int_equal(fnp_usdt_arguments(with_more, machine, object, parsed), 3);
		assert_memory_equal(&parsed[1], &forms[i].is, sizeof(parsed[1]));
		assert_memory_equal(&parsed[2], &forms[0].is, sizeof(parsed[2]));
	}
}

static void every_form_of_x86_is_understood(void **state)
{
	static const struct form forms[] = {
		{"8@%rax", {REGISTER(10), .size = 8}},
		{"-8@%r15", {REGISTER(0), .size = 8, .is_signed = 1}},
		{"-4@%edi", {REGISTER(14), .size = 4, .is_signed = 1}},
		{"4@%r8d", {REGISTER(9), .size = 4}},
		{"2@%ax", {REGISTER(10), .size = 2}},
		{"-1@%sil", {REGISTER(13), .size = 1, .is_signed = 1}},
		{"1@%ah", {REGISTER(10), .size = 1, .shift = 8}},
		{"1@%bh", {REGISTER(5), .size = 1, .shift = 8}},
		{"8@%rsp", {REGISTER(19), .size = 8}},
		{"8@%rip", {REGISTER(16), .size = 8}},
		{"-4@$-9", {CONSTANT(-9), .size = 4, .is_signed = 1}},
		{"8@$0x7fffffffffffffff", {CONSTANT(INT64_MAX), .size = 8}},
		{"1@$0", {CONSTANT(0), .size = 1}},
		{"8@(%rdx)", {MEMORY(12, 0), .size = 8}},
		{"-4@-1204(%rbp)", {MEMORY(4, -1204), .size = 4, .is_signed = 1}},
		{"4@112(%rsp)", {MEMORY(19, 112), .size = 4}},
		{"2@0x10(%r12)", {MEMORY(3, 16), .size = 2}},
		{"8@(%rax,%rbx)", {INDEXED(10, 5, 0, 0), .size = 8}},
		{"8@-8(%rax,%rbx,8)", {INDEXED(10, 5, 3, -8), .size = 8}},
		{"4@16(,%rcx,4)", {INDEXED(NONE, 11, 2, 16), .size = 4}},
		{"4@counter(%rip)", {MEMORY(FNP_PROBE_BIAS, DATA + 8), .size = 4}},
		{"-4@counter+4(%rip)", {MEMORY(FNP_PROBE_BIAS, DATA + 12), .size = 4, .is_signed = 1}},
		{"4@counter-8(%rip)", {MEMORY(FNP_PROBE_BIAS, DATA), .size = 4}},
		{"4@4+counter(%rip)", {MEMORY(FNP_PROBE_BIAS, DATA + 12), .size = 4}},
		{"4@counter", {MEMORY(FNP_PROBE_BIAS, DATA + 8), .size = 4}},
		{"8f@-24(%rbp)", {MEMORY(4, -24), .size = 8}},
	};
	struct file f = {0};

	(void)state;
	put(&f, TEXT, 0, "");
	read_places(&f);
	check_forms(forms, FNP_ARRAY_SIZE(forms), EM_X86_64, f.object);
	done(&f);
}

static void every_form_of_arm64_is_understood(void **state)
{
	static const struct form forms[] = {
		{"8@x0", {REGISTER(0), .size = 8}},
		{"-4@w30", {REGISTER(30), .size = 4, .is_signed = 1}},
		{"8@sp", {REGISTER(31), .size = 8}},
		{"8@fp", {REGISTER(29), .size = 8}},
		{"8@lr", {REGISTER(30), .size = 8}},
		{"8@xzr", {CONSTANT(0), .size = 8}},
		{"4@wzr", {CONSTANT(0), .size = 4}},
		{"-4@-9", {CONSTANT(-9), .size = 4, .is_signed = 1}},
		{"4@#12", {CONSTANT(12), .size = 4}},
		{"8@[sp]", {MEMORY(31, 0), .size = 8}},
		{"-4@[x29, -12]", {MEMORY(29, -12), .size = 4, .is_signed = 1}},
		{"4@[sp,#16]", {MEMORY(31, 16), .size = 4}},
		{"8@[x0, x1]", {INDEXED(0, 1, 0, 0), .size = 8}},
		{"8@[x0, x1, lsl 3]", {INDEXED(0, 1, 3, 0), .size = 8}},
		{"8@[x0, x1, lsl #3]", {INDEXED(0, 1, 3, 0), .size = 8}},
		{"4@[x2, w1, sxtw 2]", {INDEXED(2, 1, 2, 0), .size = 4, .index_form = FNP_PROBE_INDEX_S32}},
		{"4@[x2, w1, uxtw]", {INDEXED(2, 1, 0, 0), .size = 4, .index_form = FNP_PROBE_INDEX_U32}},
		{"4@[x2, x1, sxtx 2]", {INDEXED(2, 1, 2, 0), .size = 4}},
	};

	(void)state;
	check_forms(forms, FNP_ARRAY_SIZE(forms), EM_AARCH64, NULL);
}

static void form_that_is_not_understood_costs_itself_alone(void **state)
{
	static const char *const x86[] = {"8f@%xmm0",
					  "8@%fs:16",
					  "8@nobody(%rip)",
					  "4@12(%rip)",
					  "3@%rax",
					  "8@%eaxx",
					  "%rax",
					  "8@",
					  "@%rax",
					  "8@(%rax",
					  "8@(%rax,%rbx,3)",
					  "8@$",
					  "8@(%eax)",
					  "99999999999@%rax",
					  "8@)",
					  "-@%rax"};
	static const char *const arm64[] = {"8f@d0",
					    "8@x31",
					    "8@[x0",
					    "8@[x0, x1, lsl",
					    "8@[x0, 8]!",
					    "8@[x0, w1]",
					    "8@[w0]",
					    "8@[x0, #:lo12:foo]",
					    "8@[x0, x1, lsl 9]",
					    "8@x",
					    "8@y3",
					    "4@v0"};
	struct fnp_probe_argument parsed[FNP_PROBE_SPEC_ARGUMENTS];
	char line[128];

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(x86); i++) {
		snprintf(line, sizeof(line), "%s 8@%%rax", x86[i]);
		uint32_t n = fnp_usdt_arguments(line, EM_X86_64, NULL, parsed);
		if (parsed[0].kind != FNP_PROBE_UNKNOWN)
			fail_msg("%s was taken as kind %u", x86[i], parsed[0].kind);
		if (!strchr(x86[i], '(') || strchr(x86[i], ')')) {
			assert_int_equal(n, 2);
			assert_int_equal(parsed[1].kind, FNP_PROBE_REGISTER);
		}
	}
	for (size_t i = 0; i < FNP_ARRAY_SIZE(arm64); i++) {
		fnp_usdt_arguments(arm64[i], EM_AARCH64, NULL, parsed);
		if (parsed[0].kind != FNP_PROBE_UNKNOWN)
			fail_msg("%s was taken as kind %u", arm64[i], parsed[0].kind);
	}
	assert_int_equal(fnp_usdt_arguments("8@%rax", EM_RISCV, NULL, parsed), 1);
	assert_int_equal(parsed[0].kind, FNP_PROBE_UNKNOWN);
}

static void more_than_twelve_arguments_are_cut(void **state)
{
	struct fnp_probe_argument parsed[FNP_PROBE_SPEC_ARGUMENTS];
	char line[20 * 7 + 1] = "";

	(void)state;
	for (size_t i = 0; i < 20; i++)
		memcpy(line + 7 * i, "8@%rax ", 8);
	assert_int_equal(fnp_usdt_arguments(line, EM_X86_64, NULL, parsed), FNP_PROBE_SPEC_ARGUMENTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(note_says_name_place_semaphore_and_arguments),
		cmocka_unit_test(file_that_was_moved_has_its_places_moved),
		cmocka_unit_test(place_outside_of_code_is_passed_over),
		cmocka_unit_test(semaphore_outside_of_writable_memory_is_bad),
		cmocka_unit_test(note_cut_anywhere_loses_only_itself),
		cmocka_unit_test(section_cut_anywhere_is_survived),
		cmocka_unit_test(sizes_that_lie_end_the_section),
		cmocka_unit_test(notes_of_others_are_not_ours),
		cmocka_unit_test(instruction_under_a_probe_is_told),
		cmocka_unit_test(every_form_of_x86_is_understood),
		cmocka_unit_test(every_form_of_arm64_is_understood),
		cmocka_unit_test(form_that_is_not_understood_costs_itself_alone),
		cmocka_unit_test(more_than_twelve_arguments_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
