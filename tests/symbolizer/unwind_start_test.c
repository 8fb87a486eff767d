/* SPDX-License-Identifier: Apache-2.0 */
/* Where a program begins that was linked with start files of old compilers, which describe nothing. */
#include "symbolizer/unwind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "symbolizer/unwind_rows.h"
#include "tests/symbolizer/elf_writer.h"

#define CODE 0x1000
#define SIZE 0x100
#define START 0x88 /* not aligned, as old linkers leave it */

/* What glibc's start file has had for 20 years, up to its call of __libc_start_main, in two forms of that call. */
#define START_CODE                                                                                           \
	"\x31\xed\x49\x89\xd1\x5e\x48\x89\xe2\x48\x83\xe4\xf0\x50\x54"                                       \
	"\x4c\x8d\x05\x62\x01\x00\x00\x48\x8d\x0d\x6b\x01\x00\x00\x48\x8d\x3d\x44\xfe\xff\xff"
#define NEAR_CALL "\xe8\xf7\xfd\xff\xff"
#define FAR_CALL "\xff\x15\xf7\xfd\xff\x0f"
#define ENDBR64 "\xf3\x0f\x1e\xfa"

/* Of the other code: one entry, for the first bytes. */
static void put_frames(struct fnp_buffer *b)
{
	static const uint8_t cie[] = {16, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 3, 12, 7, 8};
	static const uint32_t fde[] = {16, sizeof(cie) + 4, CODE, 16, 0};
	static const uint32_t end;

	fnp_buffer_append(b, cie, sizeof(cie));
	fnp_buffer_append(b, fde, sizeof(fde));
	fnp_buffer_append(b, &end, sizeof(end));
}

static void expect_root_up_to(const void *start, size_t size)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	fnp_autobuffer struct fnp_buffer frames = {0};
	uint8_t code[SIZE];
	struct elf_writer w = {0};
	Elf64_Ehdr header;

	memset(code, 0xcc, sizeof(code));
	memcpy(code + START, start, size);
	code[START + size] = 0xf4; /* hlt */
	elf_writer_segment(&w, 0x1000, CODE, code, SIZE, PF_R | PF_X);
	put_frames(&frames);
	elf_writer_section(&w, ".eh_frame", SHT_PROGBITS, frames.data, frames.len);
	struct fnp_buffer file = elf_writer_finish(&w);
	memcpy(&header, file.data, sizeof(header));
	header.e_entry = CODE + START;
	memcpy(file.data, &header, sizeof(header));
	assert_int_equal(fnp_object_open_memory(file.data, file.len, "start", &object), 0);
	fnp_buffer_deinit(&file);
	assert_int_equal(fnp_unwind_build(object, &unwind), 0);
	/* The call's return address is looked up by the byte before it. */
	for (size_t at = 0; at < size; at++) {
		const struct fnp_rule *rule = fnp_unwind_find(unwind, CODE + START + at);

		assert_non_null(rule);
		assert_int_equal(rule->saved >> 4, FNP_SAVED_UNDEFINED);
	}
	const struct fnp_rule *behind = fnp_unwind_find(unwind, CODE + START + size + 6);
	assert_true(!behind || behind->saved >> 4 != FNP_SAVED_UNDEFINED);
}

static void all_of_a_start_that_nobody_describes_is_a_root(void **state)
{
	(void)state;
	expect_root_up_to(START_CODE NEAR_CALL, sizeof(START_CODE NEAR_CALL) - 1);
	expect_root_up_to(START_CODE FAR_CALL, sizeof(START_CODE FAR_CALL) - 1);
	expect_root_up_to(ENDBR64 START_CODE NEAR_CALL, sizeof(ENDBR64 START_CODE NEAR_CALL) - 1);
	expect_root_up_to(ENDBR64 START_CODE FAR_CALL, sizeof(ENDBR64 START_CODE FAR_CALL) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_a_start_that_nobody_describes_is_a_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
