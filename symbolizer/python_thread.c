/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a thread of CPython keeps its state, and how to come from one state to the others: read from the code of exported
 * functions that do nothing else than return it. What looks different stays 0 in the layout.
 */
#include "symbolizer/python.h"

#define CODE_LOOKED_AT 48

static int32_t s32_at(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/*
 * The thread-local variable that a function of a few instructions returns: `mov %fs:N,%rax` in programs,
 * `lea GOT(%rip),%rdi; call __tls_get_addr` with the padding of the psABI in libraries.
 */
static void find_local(const struct fnp_object *object, const struct fnp_object_symbol *function,
		       struct fnp_python_tls *ret)
{
	static const uint8_t fixed[] = {0x64, 0x48, 0x8b, 0x04, 0x25}, dynamic[] = {0x66, 0x48, 0x8d, 0x3d};
	const uint8_t *code, *p;

	if (!function->address || fnp_object_read_address(object, function->address, CODE_LOOKED_AT, &code) < 0)
		return;
	p = memmem(code, CODE_LOOKED_AT - 4, fixed, sizeof(fixed));
	if (p && s32_at(p + sizeof(fixed)) < 0) {
		ret->offset = s32_at(p + sizeof(fixed));
		return;
	}
	p = memmem(code, CODE_LOOKED_AT - 8, dynamic, sizeof(dynamic));
	if (p && p[8] == 0x66 && p[9] == 0x66 && p[10] == 0x48 && p[11] == 0xe8)
		ret->got = function->address + (uint64_t)(p - code) + 8 + (uint64_t)(int64_t)s32_at(p + 4);
}

/*
 * The address that an instruction puts together of `_PyRuntime` and an offset in it, whatever register it is put into; 0
 * for others. `code` has 12 bytes, the first of them at `address`.
 */
static uint64_t address_of_field(const uint8_t *code, uint64_t address, uint64_t runtime)
{
	bool wide = code[0] == 0x48 || code[0] == 0x4c;

	if (code[0] == 0x83 && code[1] == 0x3d && code[6] == 0) /* cmpl $0,key(%rip) */
		return address + 7 + (uint64_t)(int64_t)s32_at(code + 2);
	if (wide && code[1] == 0x8d && (code[2] & 0xc7) == 0x05) /* lea key(%rip),REG */
		return address + 7 + (uint64_t)(int64_t)s32_at(code + 3);
	/* lea N(REG),REG after loading the address of _PyRuntime; not from %rsp, which has one byte more */
	if (wide && code[1] == 0x8d && (code[2] & 0xc0) == 0x80 && (code[2] & 7) != 4)
		return runtime + (uint64_t)(int64_t)s32_at(code + 3);
	if (code[0] == 0x48 && (code[1] == 0x05 || (code[1] == 0x81 && (code[2] & 0xf8) == 0xc0))) /* add $N,REG */
		return runtime + (uint64_t)(int64_t)s32_at(code + (code[1] == 0x05 ? 2 : 3));
	/* mov $N,REG; add _PyRuntime@GOT(%rip),REG */
	if ((code[0] & 0xf8) == 0xb8 && code[5] == 0x48 && code[6] == 0x03)
		return runtime + (uint64_t)(int64_t)s32_at(code + 1);
	if ((code[0] & 0xf8) == 0xb8) /* mov $key,REG: a program at fixed addresses */
		return (uint32_t)s32_at(code + 1);
	return 0;
}

/* `_PyRuntime.autoTSSkey` as PyGILState_GetThisThreadState addresses it; 0 when the code looks different. */
static uint64_t find_key(const struct fnp_object *object, const struct fnp_object_symbol *function,
			 const struct fnp_object_symbol *runtime)
{
	const uint8_t *code;

	if (!function->address || fnp_object_read_address(object, function->address, CODE_LOOKED_AT, &code) < 0)
		return 0;
	for (size_t i = 0; i + 12 < CODE_LOOKED_AT; i++) {
		if (i > 0 && code[i - 1] == 0x48 && code[i] == 0x83) /* of 64 bits: another field, a pointer */
			continue;
		uint64_t key = address_of_field(code + i, function->address + i, runtime->address);
		if (key > runtime->address && key - runtime->address < runtime->size && key % 4 == 0)
			return key;
	}
	return 0;
}

/*
 * The offset in `mov N(BASE),%rax; ret`, after a frame pointer was saved or not; negative for other code. `code` has 16
 * bytes; BASE is %rdi (7) or %rax (0).
 */
static int64_t offset_of_accessor(const uint8_t *code, uint8_t base)
{
	int64_t value;
	size_t n;

	if (code[0] != 0x48 || code[1] != 0x8b || (code[2] & 0x3f) != base)
		return -1;
	if (code[2] >> 6 == 0) {
		value = 0;
		n = 3;
	} else if (code[2] >> 6 == 1) {
		value = (int8_t)code[3];
		n = 4;
	} else if (code[2] >> 6 == 2) {
		value = s32_at(code + 3);
		n = 7;
	} else {
		return -1;
	}
	if (code[n] == 0x5d) /* pop %rbp */
		n++;
	return code[n] == 0xc3 && value >= 0 && value <= UINT16_MAX ? value : -1;
}

/* The instructions of a short function behind what all begin with; NULL. At least 24 bytes. */
static const uint8_t *body_of(const struct fnp_object *object, const struct fnp_object_symbol *function)
{
	static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa}, frame[] = {0x55, 0x48, 0x89, 0xe5};
	const uint8_t *code;

	if (!function->address || fnp_object_read_address(object, function->address, 32, &code) < 0)
		return NULL;
	if (memcmp(code, endbr, sizeof(endbr)) == 0)
		code += sizeof(endbr);
	return memcmp(code, frame, sizeof(frame)) == 0 ? code + sizeof(frame) : code;
}

/* The address of `_PyRuntime.interpreters.head`, as PyInterpreterState_Head() returns what is there; 0. */
static uint64_t find_interpreters(const struct fnp_object *object, const struct fnp_object_symbol *function,
				  const struct fnp_object_symbol *runtime)
{
	const uint8_t *code = body_of(object, function), *begin;
	uint64_t address;
	int64_t offset;

	if (!code || fnp_object_read_address(object, function->address, 32, &begin) < 0 || code[0] != 0x48 ||
	    (code[1] != 0x8b && code[1] != 0x8d) || code[2] != 0x05)
		return 0;
	address = function->address + (uint64_t)(code - begin) + 7 + (uint64_t)(int64_t)s32_at(code + 3);
	offset = offset_of_accessor(code + 7, 0);
	if (offset >= 0) /* from the address of _PyRuntime, as it stands or loaded */
		address = (code[1] == 0x8b ? runtime->address : address) + (uint64_t)offset;
	else if (code[1] != 0x8b || (code[7] != 0xc3 && (code[7] != 0x5d || code[8] != 0xc3)))
		return 0;
	return address >= runtime->address && address - runtime->address < runtime->size ? address : 0;
}

/* The lists of interpreters and their threads, from the functions that go through them; all or nothing. */
static void find_lists(const struct fnp_object *object, const struct fnp_object_symbol *runtime,
		       struct fnp_python_layout *l)
{
	enum { HEAD, NEXT, THREADS, THREAD_NEXT, N };
	static const char *const names[N] = {
		[HEAD] = "PyInterpreterState_Head",
		[NEXT] = "PyInterpreterState_Next",
		[THREADS] = "PyInterpreterState_ThreadHead",
		[THREAD_NEXT] = "PyThreadState_Next",
	};
	struct fnp_object_symbol symbols[N];
	int64_t offsets[N] = {0};
	uint64_t head;

	fnp_runtime_symbols(object, names, N, symbols);
	head = find_interpreters(object, &symbols[HEAD], runtime);
	if (!head)
		return;
	for (int i = NEXT; i < N; i++) {
		const uint8_t *code = body_of(object, &symbols[i]);
		offsets[i] = code ? offset_of_accessor(code, 7) : -1;
		if (offsets[i] < 0)
			return;
	}
	l->interpreters = head;
	l->interpreter_next = (uint16_t)offsets[NEXT];
	l->interpreter_threads = (uint16_t)offsets[THREADS];
	l->tstate_next = (uint16_t)offsets[THREAD_NEXT];
}

void fnp_python_find_thread(const struct fnp_object *object, const struct fnp_object_symbol *runtime,
			    uint16_t minor, struct fnp_python_layout *l)
{
	enum { CURRENT, UNCHECKED, BOUND, N };
	static const char *const names[N] = {
		[CURRENT] = "_PyThreadState_GetCurrent",
		[UNCHECKED] = "PyThreadState_GetUnchecked",
		[BOUND] = "PyGILState_GetThisThreadState",
	};
	struct fnp_object_symbol symbols[N];

	fnp_runtime_symbols(object, names, N, symbols);
	if (minor >= 12) {
		find_local(object, &symbols[CURRENT], &l->running);
		if (!l->running.offset && !l->running.got)
			find_local(object, &symbols[UNCHECKED], &l->running);
		find_local(object, &symbols[BOUND], &l->bound);
	}
	uint64_t key = find_key(object, &symbols[BOUND], runtime);
	/* Where every build had it; a state that is found there must say that it is this thread's. */
	if (!key && minor == 13)
		key = runtime->address + 2160;
	if (!key && minor == 14)
		key = runtime->address + 2336;
	if (key)
		l->key = key + 4;
	find_lists(object, runtime, l);
}
