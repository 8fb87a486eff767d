/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the Python walker must know of one interpreter file.
 *
 * From 3.13 on CPython publishes the offsets of its structs at the start of `_PyRuntime` (_Py_DebugOffsets, an array
 * of 64-bit numbers whose order is fixed for each minor version); the file holds them before the program runs. Earlier
 * versions froze their structs for each minor version, so a table by version serves; that it is the right one shows when
 * the first word of each code object is the address of PyCode_Type. How a thread's state is found: python_thread.c.
 */
#include "symbolizer/python.h"

#include "base/log.h"

/* Where things are in each version that does not publish it: the public and internal headers of CPython. */
struct version_layout {
	uint16_t minor;
	uint32_t current, key; /* in _PyRuntime */
	struct fnp_python_layout layout;
};

#define OLD_CODE                                                                                             \
	.code_type_offset = 8, .code_first_line = 40, .code_file = 104, .code_name = 112, .code_table = 120, \
	.code_size = 128, .text_size = 48, .text_wide = 72
#define OLD_FRAME .tstate_thread_id = 176, .tstate_frame = 24, .frame_back = 24, .frame_code = 32

static const struct version_layout versions[] = {
	{8,
	 1368,
	 1392,
	 {OLD_CODE, OLD_FRAME, .frame_instruction = 104, .frame_size = 112, .chain = FNP_PYTHON_ONE}},
	{9, 568, 584, {OLD_CODE, OLD_FRAME, .frame_instruction = 104, .frame_size = 112, .chain = FNP_PYTHON_ONE}},
	{10,
	 568,
	 584,
	 {OLD_CODE, OLD_FRAME, .frame_instruction = 96, .frame_entry = 108, .frame_size = 112,
	  .chain = FNP_PYTHON_ONE, .flags = FNP_PYTHON_INSTRUCTION_DOUBLE, .tstate_cframe = 48,
	  .cframe_frame = 0xffff, .cframe_previous = 8}},
	{11,
	 576,
	 592,
	 {.tstate_thread_id = 152,
	  .tstate_cframe = 56,
	  .cframe_frame = 8,
	  .cframe_previous = 16,
	  .frame_back = 48,
	  .frame_code = 32,
	  .frame_instruction = 56,
	  .frame_entry = 68,
	  .frame_size = 72,
	  .code_type_offset = 8,
	  .code_first_line = 72,
	  .code_file = 112,
	  .code_name = 128,
	  .code_table = 136,
	  .code_bytes = 184,
	  .code_size = 144,
	  .text_size = 48,
	  .text_wide = 72,
	  .chain = FNP_PYTHON_ENTRY_FLAG,
	  .flags = FNP_PYTHON_INSTRUCTION_POINTER}},
	{12,
	 0,
	 1544,
	 {.tstate_thread_id = 136,
	  .tstate_cframe = 56,
	  .cframe_frame = 0,
	  .cframe_previous = 8,
	  .frame_back = 8,
	  .frame_code = 0,
	  .frame_instruction = 56,
	  .frame_entry = 70,
	  .frame_size = 72,
	  .code_type_offset = 8,
	  .code_first_line = 68,
	  .code_file = 112,
	  .code_name = 128,
	  .code_table = 136,
	  .code_bytes = 192,
	  .code_size = 144,
	  .text_size = 40,
	  .text_wide = 56,
	  .chain = FNP_PYTHON_ENTRY_SHIM,
	  .flags = FNP_PYTHON_INSTRUCTION_POINTER,
	  .shim_owner = 3}},
};

/* The same of asyncio, beside what 3.14 and later publish of generators. What a free-threaded build adds is 0 in others. */
static const struct version_tasks {
	uint16_t minor, free_threaded;
	struct fnp_python_tasks tasks;
} version_tasks[] = {
#define OLD_CALLBACK .task_callback = 24
	{8,
	 0,
	 {.task_coroutine = 112,
	  OLD_CALLBACK,
	  .callback_self = 16,
	  .function_closure = 48,
	  .coroutine_frame = 16,
	  .frame_coroutine = 96,
	  .frame_top = 72,
	  .awaited_back = 8}},
	{9,
	 0,
	 {.task_coroutine = 152,
	  OLD_CALLBACK,
	  .callback_self = 16,
	  .function_closure = 48,
	  .coroutine_frame = 16,
	  .frame_coroutine = 96,
	  .frame_top = 72,
	  .awaited_back = 8}},
	{10,
	 0,
	 {.task_coroutine = 160,
	  OLD_CALLBACK,
	  .callback_self = 24,
	  .function_closure = 72,
	  .coroutine_frame = 16,
	  .frame_coroutine = 88,
	  .frame_top = 80,
	  .frame_stack = 64,
	  .frame_stack_elsewhere = 1,
	  .awaited_back = 8}},
	{11,
	 0,
	 {.task_coroutine = 136,
	  OLD_CALLBACK,
	  .callback_self = 24,
	  .function_closure = 72,
	  .coroutine_frame = 80,
	  .frame_owner = 69,
	  .frame_top = 64,
	  .frame_stack = 72,
	  .awaited_back = 8}},
	{12,
	 0,
	 {.task_coroutine = 136,
	  OLD_CALLBACK,
	  .callback_self = 24,
	  .function_closure = 72,
	  .coroutine_frame = 72,
	  .frame_top = 64,
	  .frame_stack = 72,
	  .awaited_back = 8}},
	{13,
	 0,
	 {.task_coroutine = 120,
	  OLD_CALLBACK,
	  .callback_self = 24,
	  .function_closure = 72,
	  .coroutine_frame = 72,
	  .frame_top = 64,
	  .frame_stack = 72,
	  .awaited_back = 8}},
	{13,
	 1,
	 {.task_coroutine = 136,
	  .task_callback = 40,
	  .callback_self = 40,
	  .function_closure = 88,
	  .coroutine_frame = 88,
	  .frame_top = 64,
	  .frame_stack = 72,
	  .awaited_back = 8}},
	{14,
	 0,
	 {.task_coroutine = 128,
	  .task_awaiter = 96,
	  .task_awaiters = 109,
	  .coroutine_frame = 72,
	  .frame_top = 64,
	  .awaited_back = 8}},
	{14,
	 1,
	 {.task_coroutine = 144,
	  .task_awaiter = 112,
	  .task_awaiters = 125,
	  .coroutine_frame = 88,
	  .frame_top = 64,
	  .awaited_back = 8}},
	{15,
	 0,
	 {.task_coroutine = 128,
	  .task_awaiter = 96,
	  .task_awaiters = 109,
	  .coroutine_frame = 72,
	  .frame_top = 64,
	  .awaited_back = 16}},
#undef OLD_CALLBACK
};

/* Indexes in _Py_DebugOffsets of the first number (the size) of each struct that is of use. */
struct published {
	uint16_t minor;
	uint8_t tstate, thread_id, frame, code, object, bytes, unicode, has_copies;
};

static const struct published published[] = {
	{13, 19, 5, 28, 34, 44, 64, 67, 0},
	{14, 22, 5, 31, 39, 50, 74, 77, 1},
	{15, 22, 8, 39, 47, 58, 86, 89, 1},
};

/* Numbers within a struct of the above. */
enum { TSTATE_FRAME = 4 };
enum { FRAME_PREVIOUS = 1, FRAME_EXECUTABLE = 2, FRAME_INSTRUCTION = 3, FRAME_OWNER = 5, FRAME_COPY = 7 };
enum {
	CODE_FILE = 1,
	CODE_QUALNAME = 3,
	CODE_TABLE = 4,
	CODE_FIRST_LINE = 5,
	CODE_BYTES = 9,
	CODE_COPIES = 10
};
enum { BYTES_SIZE = 1, BYTES_DATA = 2 };
enum { UNICODE_STATE = 1, UNICODE_LENGTH = 2, UNICODE_ASCII_SIZE = 3 };

#define NUMBERS_MAX 94 /* as many as the newest version has in use */

/* One offset: -EBADMSG when a field of `size` bytes at it does not lie in the first `limit` bytes of its struct. */
static int offset(const uint64_t *numbers, unsigned index, unsigned size, unsigned limit, uint16_t *ret)
{
	if (index >= NUMBERS_MAX || numbers[index] > limit || size > limit - numbers[index])
		return -EBADMSG;
	*ret = (uint16_t)numbers[index];
	return 0;
}

static int published_frame(const uint64_t *n, const struct published *at, struct fnp_python_layout *l)
{
	unsigned f = at->frame;
	int r = offset(n, f + FRAME_PREVIOUS, 8, FNP_PYTHON_FRAME_MAX, &l->frame_back);

	r = r ?: offset(n, f + FRAME_EXECUTABLE, 8, FNP_PYTHON_FRAME_MAX, &l->frame_code);
	r = r ?: offset(n, f + FRAME_INSTRUCTION, 8, FNP_PYTHON_FRAME_MAX, &l->frame_instruction);
	r = r ?: offset(n, f + FRAME_OWNER, 1, FNP_PYTHON_FRAME_MAX, &l->frame_entry);
	if (!r && at->has_copies && n[2])
		r = offset(n, f + FRAME_COPY, 4, FNP_PYTHON_FRAME_MAX, &l->frame_copy);
	if (r < 0)
		return r;
	uint16_t last = FNP_MAX(FNP_MAX(l->frame_back, l->frame_code),
				FNP_MAX(l->frame_instruction, l->frame_copy));
	l->frame_size = (uint16_t)(FNP_MAX(last + 8, l->frame_entry + 1) + 7) & ~7;
	return 0;
}

static int published_code(const uint64_t *n, const struct published *at, struct fnp_python_layout *l)
{
	unsigned c = at->code;
	int r = offset(n, c + CODE_FILE, 8, FNP_PYTHON_CODE_MAX, &l->code_file);

	r = r ?: offset(n, c + CODE_QUALNAME, 8, FNP_PYTHON_CODE_MAX, &l->code_name);
	r = r ?: offset(n, c + CODE_TABLE, 8, FNP_PYTHON_CODE_MAX, &l->code_table);
	r = r ?: offset(n, c + CODE_FIRST_LINE, 4, FNP_PYTHON_CODE_MAX, &l->code_first_line);
	r = r ?: offset(n, c + CODE_BYTES, 0, 4096, &l->code_bytes);
	r = r ?: offset(n, at->object + 1, 8, FNP_PYTHON_CODE_MAX, &l->code_type_offset);
	if (!r && at->has_copies && n[2])
		r = offset(n, c + CODE_COPIES, 8, 4096, &l->code_copies);
	if (r < 0)
		return r;
	uint16_t last = FNP_MAX(FNP_MAX(l->code_file, l->code_name),
				FNP_MAX(l->code_table, l->code_first_line));
	l->code_size = (uint16_t)((last + 8 + 7) & ~7);
	return l->code_size > FNP_PYTHON_CODE_MAX ? -EBADMSG : 0;
}

static int published_layout(const uint64_t *n, const struct published *at, struct fnp_python_layout *ret)
{
	struct fnp_python_layout l = {.chain = FNP_PYTHON_ENTRY_SHIM,
				      .flags = FNP_PYTHON_INSTRUCTION_POINTER,
				      .shim_owner = 3,
				      .text_kind_bit = n[2] && at->minor >= 14 ? 8 : 2};
	int r = offset(n, at->tstate + TSTATE_FRAME, 8, 4096, &l.tstate_frame);

	r = r ?: offset(n, at->tstate + at->thread_id, 8, 4096, &l.tstate_thread_id);
	r = r ?: published_frame(n, at, &l);
	r = r ?: published_code(n, at, &l);
	r = r ?: offset(n, at->bytes + BYTES_SIZE, 8, 64, &l.bytes_size);
	r = r ?: offset(n, at->bytes + BYTES_DATA, 0, 64, &l.bytes_data);
	r = r ?: offset(n, at->unicode + UNICODE_STATE, 4, 64, &l.text_state);
	r = r ?: offset(n, at->unicode + UNICODE_LENGTH, 8, 64, &l.text_length);
	r = r ?: offset(n, at->unicode + UNICODE_ASCII_SIZE, 0, 64, &l.text_size);
	if (r < 0)
		return r;
	l.text_wide = l.text_size + 16;
	*ret = l;
	return 0;
}

static int read_published(const struct fnp_object *object, uint64_t runtime, uint16_t minor,
			  struct fnp_python_layout *ret)
{
	const struct published *at = &published[FNP_ARRAY_SIZE(published) - 1];
	uint64_t numbers[NUMBERS_MAX];
	const uint8_t *bytes;

	for (size_t i = 0; i < FNP_ARRAY_SIZE(published); i++) {
		if (published[i].minor == minor)
			at = &published[i];
	}
	int r = fnp_object_read_address(object, runtime, sizeof(numbers), &bytes);
	if (r < 0)
		return r;
	memcpy(numbers, bytes, sizeof(numbers));
	if (memcmp(numbers, "xdebugpy", 8) != 0 || numbers[2] > 1)
		return -EBADMSG;
	return published_layout(numbers, at, ret);
}

static int read_table(uint64_t runtime, uint16_t minor, struct fnp_python_layout *ret)
{
	for (size_t i = 0; i < FNP_ARRAY_SIZE(versions); i++) {
		if (versions[i].minor != minor)
			continue;
		*ret = versions[i].layout;
		ret->current = versions[i].current ? runtime + versions[i].current : 0;
		ret->key = runtime + versions[i].key + 4; /* Py_tss_t: initialised, key */
		ret->text_kind_bit = 2;
		ret->text_length = 16;
		ret->text_state = 32;
		ret->bytes_size = 16;
		ret->bytes_data = 32;
		return 0;
	}
	return -EOPNOTSUPP;
}

/* Which C library the file is linked with: its loader's name, or what a library says that it needs. */
static bool uses_musl(const struct fnp_object *object)
{
	static const char loader[] = "/ld-musl-", library[] = "libc.musl-";
	struct fnp_section names;
	const uint8_t *bytes;
	Elf64_Phdr ph;

	for (size_t i = 0; fnp_object_program_header(object, i, &ph) == 0; i++) {
		if (ph.p_type == PT_INTERP &&
		    fnp_object_read_address(object, ph.p_vaddr, ph.p_filesz, &bytes) == 0)
			return memmem(bytes, ph.p_filesz, loader, sizeof(loader) - 1) != NULL;
	}
	return fnp_object_find_section(object, ".dynstr", &names) == 0 && names.data &&
	       memmem(names.data, names.size, library, sizeof(library) - 1) != NULL;
}

/* Is the JIT built in, whether it is on or not? It is asked for by this variable of the environment. */
static bool has_jit(const struct fnp_object *object)
{
	static const char variable[] = "PYTHON_JIT";
	struct fnp_cursor c;

	for (size_t piece = 0; fnp_runtime_constants(object, piece, &c) == 0; piece++) {
		if (memmem(c.pos, fnp_cursor_left(&c), variable, sizeof(variable)))
			return true;
	}
	return false;
}

/* Places of asyncio's structs hold for the released layouts of frames, and stay unknown for others. */
static void find_tasks(const struct fnp_object *object, uint16_t minor, struct fnp_python_layout *l)
{
	static const char *const names[] = {"PyCoro_Type"};
	bool free_threaded = l->code_type_offset != 8;
	struct fnp_object_symbol type;

	for (size_t i = 0; i < FNP_ARRAY_SIZE(version_tasks); i++) {
		const struct version_tasks *at = &version_tasks[i];

		if (at->minor != minor || at->free_threaded != free_threaded ||
		    at->tasks.frame_top > l->frame_size - 8u ||
		    fnp_runtime_symbols(object, names, 1, &type) != 1)
			continue;
		l->tasks = at->tasks;
		l->tasks.coroutine_type = type.address;
		if (minor >= 12)
			l->tasks.frame_owner = l->frame_entry;
	}
}

int fnp_python_layout_read(const struct fnp_object *object, const struct fnp_runtime_id *id,
			   struct fnp_python_layout *ret)
{
	static const char *const names[] = {"PyCode_Type"};
	struct fnp_object_symbol runtime, type;
	struct fnp_python_layout layout = {0};
	int r;

	if (fnp_object_header(object)->e_machine != EM_X86_64)
		return -EOPNOTSUPP;
	if (id->major != 3 || fnp_python_find_runtime(object, &runtime) < 0)
		return -EOPNOTSUPP;
	if (id->minor >= 13)
		r = read_published(object, runtime.address, id->minor, &layout);
	else
		r = read_table(runtime.address, id->minor, &layout);
	if (r < 0)
		return -EOPNOTSUPP;
	fnp_python_find_thread(object, &runtime, id->minor, &layout);
	if (id->minor >= 13 && has_jit(object))
		layout.flags |= FNP_PYTHON_JIT;
	if (uses_musl(object))
		layout.flags |= FNP_PYTHON_MUSL;
	if (!layout.running.offset && !layout.running.got && !layout.bound.offset && !layout.bound.got &&
	    !layout.key)
		return -EOPNOTSUPP;
	if (fnp_runtime_symbols(object, names, 1, &type) == 1)
		layout.code_type = type.address;
	/* Free-threaded builds have none, or one that comes and goes. */
	if (id->minor < 12 ? layout.current != 0
			   : layout.code_type_offset == 8 && (layout.running.offset || layout.running.got))
		layout.flags |= FNP_PYTHON_GIL;
	find_tasks(object, id->minor, &layout);
	/* co_version, which nothing publishes: it stands at the same distance in all releases that have it. */
	if (id->minor >= 12 && id->minor <= 15)
		layout.code_version = layout.code_first_line + 24;
	*ret = layout;
	return 0;
}
