/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that publishes what HotSpot publishes, of a heap with one method in it, and runs that method: `jvm_liar LIE
 * MS`, for so much CPU time. With LIE "none" all of it is true. Else one thing is a lie, from the beginning or, with "changing", again and again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define HEAP_BYTES 65536
#define SHIFT 7
#define STUB_AT 1024
#define NOWHERE ((void *)0x10)

struct space { /* VirtualSpace */
	void *low_boundary, *high_boundary, *low;
};
struct heap {
	struct space memory, segments;
	int32_t shift;
};
struct array {
	int32_t length;
	void *data;
};
struct queue {
	void *buffer;
	int32_t limit, end;
};
struct codelet {
	const char *description;
	int32_t size;
};
struct symbol {
	uint16_t length;
	char body[94];
};
struct klass {
	struct symbol *name;
};
struct pool {
	struct klass *holder;
	struct symbol *constants[2]; /* behind the pool itself */
};
struct constant {
	struct pool *pool;
	uint16_t code_size, name;
	uint8_t room[64];
};
struct method {
	struct constant *constant;
};
struct blob {
	const char *name;
	int32_t code_offset, frame_size, compile_id, original_pc, deopt;
	uint16_t complete;
	uint8_t kind;
	struct method *method;
};

#define LATE_MS 60

static struct symbol class_symbol = {10, "liar/Class"}, method_symbol = {6, "method"};
static struct klass klass = {&class_symbol};
static struct pool pool = {&klass, {NULL, &method_symbol}};
static struct constant constant = {&pool, 8, 1, {0}};
static struct method method = {&constant};
static uint8_t segments[HEAP_BYTES >> SHIFT];
static struct heap heap = {.shift = SHIFT};
static void *heap_list[4] = {&heap};
static struct array array = {1, heap_list}, *heaps = &array;
static struct queue queue, *interpreter = &queue;
static void *call_stub_return;

struct entry {
	const char *type, *field;
	uint64_t is_static, offset;
	void *address;
};
#define FIELD(type, field, struct_, member)                                                                  \
	{                                                                                                    \
		type, field, 0, offsetof(struct struct_, member), NULL                                       \
	}
#define STATIC(type, field, what)                                                                            \
	{                                                                                                    \
		type, field, 1, 0, &(what)                                                                   \
	}
static struct entry fields[64] = {
	STATIC("CodeCache", "_heaps", heaps),
	FIELD("GrowableArrayBase", "_len", array, length),
	FIELD("GrowableArray<int>", "_data", array, data),
	FIELD("CodeHeap", "_memory", heap, memory),
	FIELD("CodeHeap", "_segmap", heap, segments),
	FIELD("CodeHeap", "_log2_segment_size", heap, shift),
	FIELD("VirtualSpace", "_low", space, low),
	FIELD("VirtualSpace", "_low_boundary", space, low_boundary),
	FIELD("VirtualSpace", "_high_boundary", space, high_boundary),
	STATIC("AbstractInterpreter", "_code", interpreter),
	FIELD("StubQueue", "_stub_buffer", queue, buffer),
	FIELD("StubQueue", "_buffer_limit", queue, limit),
	FIELD("StubQueue", "_queue_end", queue, end),
	FIELD("InterpreterCodelet", "_size", codelet, size),
	FIELD("InterpreterCodelet", "_description", codelet, description),
	STATIC("StubRoutines", "_call_stub_return_address", call_stub_return),
	FIELD("CodeBlob", "_kind", blob, kind),
	FIELD("CodeBlob", "_name", blob, name),
	FIELD("CodeBlob", "_code_offset", blob, code_offset),
	FIELD("CodeBlob", "_frame_size", blob, frame_size),
	FIELD("CodeBlob", "_frame_complete_offset", blob, complete),
	FIELD("nmethod", "_method", blob, method),
	FIELD("nmethod", "_compile_id", blob, compile_id),
	FIELD("nmethod", "_orig_pc_offset", blob, original_pc),
	FIELD("nmethod", "_deopt_handler_offset", blob, deopt),
	FIELD("Method", "_constMethod", method, constant),
	FIELD("ConstMethod", "_constants", constant, pool),
	FIELD("ConstMethod", "_code_size", constant, code_size),
	FIELD("ConstMethod", "_name_index", constant, name),
	FIELD("ConstantPool", "_pool_holder", pool, holder),
	FIELD("Klass", "_name", klass, name),
	FIELD("Symbol", "_length", symbol, length),
	FIELD("Symbol", "_body", symbol, body),
};
static struct entry types[8] = {
	{"HeapBlock", NULL, 0, 16, NULL},
	{"ConstMethod", NULL, 0, sizeof(struct constant) - 64, NULL},
	{"ConstantPool", NULL, 0, sizeof(struct klass *), NULL},
};
static struct entry numbers[2] = {{NULL, "ConstMethod::_has_linenumber_table", 0, 1, NULL}};

#define PUBLISH(name, value) uint64_t gHotSpotVM##name = (value)
struct entry *gHotSpotVMStructs = fields, *gHotSpotVMTypes = types, *gHotSpotVMIntConstants = numbers;
PUBLISH(StructEntryArrayStride, sizeof(struct entry));
PUBLISH(StructEntryTypeNameOffset, offsetof(struct entry, type));
PUBLISH(StructEntryFieldNameOffset, offsetof(struct entry, field));
PUBLISH(StructEntryIsStaticOffset, offsetof(struct entry, is_static));
PUBLISH(StructEntryOffsetOffset, offsetof(struct entry, offset));
PUBLISH(StructEntryAddressOffset, offsetof(struct entry, address));
PUBLISH(TypeEntryArrayStride, sizeof(struct entry));
PUBLISH(TypeEntryTypeNameOffset, offsetof(struct entry, type));
PUBLISH(TypeEntrySizeOffset, offsetof(struct entry, offset));
PUBLISH(IntConstantEntryArrayStride, sizeof(struct entry));
PUBLISH(IntConstantEntryNameOffset, offsetof(struct entry, field));
PUBLISH(IntConstantEntryValueOffset, offsetof(struct entry, offset));
int JNI_CreateJavaVM(void)
{
	return 0;
}

/* push rbp; sub rsp, 16; as often as edi says: dec edi; add rsp, 16; pop rbp; ret */
static const uint8_t loop[] = {0x55, 0x48, 0x83, 0xec, 0x10, 0xff, 0xcf, 0x75,
			       0xfc, 0x48, 0x83, 0xc4, 0x10, 0x5d, 0xc3};
/* push rbp; mov rbp, rsp; mov rax, rdi; mov edi, esi; call rax; pop rbp; ret */
static const uint8_t call[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf8, 0x89, 0xf7, 0xff, 0xd0, 0x5d, 0xc3};
#define CALL_RETURN 11

static void put_blob(uint8_t *at, const struct blob *blob, const uint8_t *code, size_t size)
{
	memcpy(at, blob, sizeof(*blob));
	memcpy(at + blob->code_offset, code, size);
}

static uint8_t *make_heap(void)
{
	uint8_t *code = mmap(NULL, HEAP_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct blob compiled = {"nmethod", 256, 4, 7, 0, 300, 5, 1, &method};
	struct blob stub = {"StubRoutines", 256, 0, 0, 0, 0, 0, 2, NULL};
	struct codelet codelet = {"method entry point (kind = zerolocals)", 64};
	uint8_t *entry = code + HEAP_BYTES / 2;

	put_blob(code + 16, &compiled, loop, sizeof(loop));
	put_blob(code + STUB_AT + 16, &stub, call, sizeof(call));
	for (size_t i = 0; i < sizeof(segments); i++)
		segments[i] = (uint8_t)(i % (STUB_AT >> SHIFT));
	memcpy(entry, &codelet, sizeof(codelet));
	memcpy(entry + 20, "\x58\x4c\x8d\x74", 4);
	memcpy(entry + 30, "\x50\x55\x48\x8b\xec", 5);
	queue = (struct queue){entry, 64, 64};
	heap.memory = (struct space){code, code + HEAP_BYTES, code};
	heap.segments = (struct space){segments, segments + sizeof(segments), segments};
	call_stub_return = code + STUB_AT + 16 + 256 + CALL_RETURN;
	return code;
}

static struct entry *field(const char *type, const char *name)
{
	for (struct entry *e = fields;; e++) {
		if (strcmp(e->type, type) == 0 && strcmp(e->field, name) == 0)
			return e;
	}
}

static struct entry late; /* there the table ends until it is whole, as those that constructors fill */

/* Makes the lie; for some a table without an end is needed, or one that memory ends in. */
static void lie(const char *what, uint8_t *code)
{
	size_t many = (size_t)17000 * sizeof(struct entry);

	if (strcmp(what, "nowhere") == 0) {
		gHotSpotVMStructs = NOWHERE;
	} else if (strcmp(what, "endless") == 0) {
		gHotSpotVMStructs = malloc(many);
		for (size_t i = 0; i < 17000; i++)
			gHotSpotVMStructs[i] = fields[i % 30];
	} else if (strcmp(what, "stride") == 0) {
		gHotSpotVMStructEntryArrayStride = 17;
	} else if (strcmp(what, "texts") == 0) {
		fields[4].type = (const char *)code;
		fields[5].field = (const char *)(uintptr_t)-16;
	} else if (strcmp(what, "offsets") == 0) {
		for (struct entry *e = fields; e->type; e++)
			e->offset = e->is_static ? 0 : 1ULL << 60;
	} else if (strcmp(what, "heads") == 0) {
		field("CodeBlob", "_frame_size")->offset = 360;
		field("ConstMethod", "_name_index")->offset = 56;
	} else if (strcmp(what, "heaps") == 0) {
		array.length = 4;
		heap_list[1] = heap_list[2] = heap_list[3] = NOWHERE;
	} else if (strcmp(what, "all") == 0) { /* every address is in the heap */
		heap.memory = (struct space){(void *)4096, (void *)0x7fffffffe000, (void *)4096};
	} else if (strcmp(what, "interpreter") == 0) {
		queue = (struct queue){code, HEAP_BYTES, HEAP_BYTES};
	} else if (strcmp(what, "frames") == 0) {
		((struct blob *)(code + 16))->frame_size = 0x7fffffff;
	} else if (strcmp(what, "names") == 0) {
		memcpy(class_symbol.body, "a;b\n\x1b[31m\xff\xfe c", 13);
		class_symbol.length = 13;
	} else if (strcmp(what, "lengths") == 0) {
		method_symbol.length = 65535;
	} else if (strcmp(what, "methods") == 0) {
		((struct blob *)(code + 16))->method = NOWHERE;
	} else if (strcmp(what, "segments") == 0) {
		memset(segments, 0xfe, sizeof(segments));
	} else if (strcmp(what, "late") == 0) {
		late = fields[20];
		fields[20] = (struct entry){0};
	} else if (strcmp(what, "none") != 0 && strcmp(what, "changing") != 0) {
		fprintf(stderr, "no such lie: %s\n", what);
		exit(2);
	}
}

static void change(uint8_t *code, unsigned turn)
{
	struct blob *blob = (struct blob *)(code + 16);

	blob->compile_id++;
	class_symbol.body[0] = (char)('a' + turn % 26);
	array.length = (int32_t)(turn % 6);
	blob->method = turn % 3 ? &method : NOWHERE;
}

static uint64_t used_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	uint8_t *code = make_heap();
	void (*run)(void *, int) = (void (*)(void *, int))(void *)(code + STUB_AT + 16 + 256);
	uint64_t end;

	if (argc != 3)
		return 2;
	lie(argv[1], code);
	end = used_ms() + strtoull(argv[2], NULL, 10);
	for (unsigned turn = 0; used_ms() < end; turn++) {
		run(code + 16 + 256, 1000000);
		if (strcmp(argv[1], "changing") == 0)
			change(code, turn);
		if (late.type && used_ms() > LATE_MS)
			fields[20] = late;
	}
	return 0;
}
