/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_go.h"

#include <errno.h>

#include "symbolizer/go_table.h"
#include "symbolizer/unwind_known.h"

#define FUNCTION_MAX 65536 /* bytes of any function that is named here */

/* X(NAME, function): those of Go's runtime that are of interest. */
#define GO_FUNCTIONS(X)                                                                                      \
	X(GOEXIT, "runtime.goexit")                                                                          \
	X(MSTART, "runtime.mstart")                                                                          \
	X(RT0, "runtime.rt0_go")                                                                             \
	X(MCALL, "runtime.mcall")                                                                            \
	X(SYSTEMSTACK, "runtime.systemstack")                                                                \
	X(MORESTACK, "runtime.morestack")                                                                    \
	X(ASMCGOCALL, "runtime.asmcgocall")                                                                  \
	X(NANOTIME, "runtime.nanotime1")                                                                     \
	X(WALLTIME, "runtime.walltime")                                                                      \
	X(TIME_NOW, "time.now")                                                                              \
	X(CGO_SIGACTION, "runtime.callCgoSigaction")                                                         \
	X(CGO_MMAP, "runtime.callCgoMmap")                                                                   \
	X(CGO_MUNMAP, "runtime.callCgoMunmap")                                                               \
	X(ASYNC_PREEMPT, "runtime.asyncPreempt")                                                             \
	X(CLONE, "runtime.clone")                                                                            \
	X(SIGRETURN_SIGACTION, "runtime.sigreturn__sigaction")                                               \
	X(SIGRETURN, "runtime.sigreturn")

#define X_NAME(name, text) GO_##name,
enum go_function { GO_FUNCTIONS(X_NAME) GO_FUNCTION_COUNT };
#define X_TEXT(name, text) [GO_##name] = text,
static const char *const names[] = {GO_FUNCTIONS(X_TEXT)};

/* What is looked at, and where its functions lie. */
struct go_code {
	const struct fnp_object *object;
	struct fnp_rows *rows;
	struct place {
		uint64_t address, size; /* 0: there is none */
	} places[GO_FUNCTION_COUNT];
};

/* By its symbol, with or without the suffix that says how it is called. */
static void find_symbol(struct go_code *go, enum go_function function)
{
	struct fnp_object_symbol symbol;
	char abi0[64];

	snprintf(abi0, sizeof(abi0), "%s.abi0", names[function]);
	if ((fnp_object_find_symbol(go->object, abi0, &symbol) == 0 ||
	     fnp_object_find_symbol(go->object, names[function], &symbol) == 0) &&
	    symbol.size < FUNCTION_MAX && symbol.address <= UINT64_MAX - symbol.size)
		go->places[function] = (struct place){symbol.address, symbol.size};
}

/* In Go's own table, which stripped programs have, too. A wrapper has its function's name, and is smaller. */
static int find_in_table(struct go_code *go)
{
	FNP_CLEANUP(fnp_go_table_destroyp) struct fnp_go_table *table = NULL;
	struct fnp_go_code code;
	int r = fnp_go_table_create(go->object, &table);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (uint64_t i = 0; fnp_go_table_code(table, i, &code) == 0; i++) {
		uint64_t size = code.end - code.start;

		if ((code.name[0] != 'r' && code.name[0] != 't') || size >= FUNCTION_MAX)
			continue;
		for (size_t k = 0; k < GO_FUNCTION_COUNT; k++) {
			if (size > go->places[k].size && strcmp(code.name, names[k]) == 0)
				go->places[k] = (struct place){code.start, size};
		}
	}
	return 0;
}

static int find_functions(struct go_code *go)
{
	bool any = false;

	for (size_t i = 0; i < GO_FUNCTION_COUNT; i++) {
		find_symbol(go, (enum go_function)i);
		any |= go->places[i].size > 0;
	}
	return any ? 0 : find_in_table(go);
}

/* Where a function lies, and its bytes; false when it is not there. */
static bool find_go_function(const struct go_code *go, enum go_function function, struct place *ret,
			     const uint8_t **ret_code)
{
	*ret = go->places[function];
	return ret->size > 0 && fnp_object_read_address(go->object, ret->address, ret->size, ret_code) == 0;
}

/* Between `mov rsp, r12` and `mov r12, rsp` these run on the thread's own stack; the frame pointer stays. */
static int overlay_go_vdso_call(const struct go_code *go, enum go_function function)
{
	static const uint8_t save[] = {0x49, 0x89, 0xe4}, restore[] = {0x4c, 0x89, 0xe4};
	struct fnp_rule rule = fnp_known_frame_pointer;
	const uint8_t *code, *from, *to;
	struct place place;

	if (!find_go_function(go, function, &place, &code))
		return 0;
	from = memmem(code, place.size, save, sizeof(save));
	to = from ? memmem(from, place.size - (size_t)(from - code), restore, sizeof(restore)) : NULL;
	if (!to)
		return 0;
	rule.flags = FNP_RULE_OTHER_STACK;
	return fnp_rows_overlay(go->rows, place.address + (uint64_t)(from - code),
				place.address + (uint64_t)(to - code) + 3, &rule);
}

/*
 * A goroutine is stopped by a call of this that a signal handler makes it do between any two instructions: who called
 * stands where it was interrupted, not behind a call.
 */
static int overlay_go_preemption(const struct go_code *go)
{
	const struct place *place = &go->places[GO_ASYNC_PREEMPT];
	struct fnp_rule rule;
	uint64_t end;
	int r = 0;

	for (uint64_t at = place->address; r == 0 && at < place->address + place->size; at = end) {
		const struct fnp_rule *here = fnp_rows_rule_at(go->rows, at);

		for (end = at + 1; end < place->address + place->size; end++) {
			if (fnp_rows_rule_at(go->rows, end) != here)
				break;
		}
		if (!here)
			continue;
		rule = *here;
		rule.flags |= FNP_RULE_SIGNAL;
		r = fnp_rows_overlay(go->rows, at, end, &rule);
	}
	return r;
}

/*
 * A new thread comes out of the system call of runtime.clone on a stack that nobody called from, and what happens to
 * lie above is no return address. Up to the jump that tells it from its parent, nothing does; behind, the thread begins.
 */
static int overlay_go_clone(const struct go_code *go)
{
	static const struct fnp_rule unknown = {.cfa_kind = FNP_CFA_EXPRESSION};
	static const uint8_t syscall[] = {0x0f, 0x05, 0x48, 0x83, 0xf8, 0x00, 0x74}; /* cmp $0, rax; je */
	const uint8_t *code, *at;
	uint64_t returned, child;
	struct place place;
	int r;

	if (!find_go_function(go, GO_CLONE, &place, &code))
		return 0;
	at = memmem(code, place.size, syscall, sizeof(syscall));
	if (!at || (size_t)(at - code) > place.size - sizeof(syscall) - 1 || at[sizeof(syscall)] > 0x7f)
		return 0;
	returned = place.address + (uint64_t)(at - code) + 2;
	child = returned + sizeof(syscall) - 1 + at[sizeof(syscall)];
	r = fnp_rows_overlay(go->rows, returned, returned + sizeof(syscall) - 1, &unknown);
	return r ?: fnp_rows_overlay(go->rows, child, place.address + place.size, &fnp_known_root);
}

/*
 * Calls of the C library through cgo align the stack in the middle of the function; its frame pointer stays, and is
 * believed from `and $-16, rsp` to where rsp is taken back: mov rbx, rsp, or mov (rsp), rsp.
 */
static int overlay_go_c_call(const struct go_code *go, enum go_function function)
{
	static const uint8_t align[] = {0x48, 0x89, 0xe3, 0x48, 0x83, 0xe4, 0xf0};
	static const uint8_t restores[][4] = {{0x48, 0x89, 0xdc}, {0x48, 0x8b, 0x24, 0x24}};
	static const size_t sizes[] = {3, 4};
	const uint8_t *code, *from, *to = NULL;
	struct place place;

	if (!find_go_function(go, function, &place, &code))
		return 0;
	from = memmem(code, place.size, align, sizeof(align));
	for (size_t i = 0; from && !to && i < FNP_ARRAY_SIZE(restores); i++) {
		to = memmem(from, place.size - (size_t)(from - code), restores[i], sizes[i]);
		to = to ? to + sizes[i] : NULL;
	}
	if (!to)
		return 0;
	return fnp_rows_overlay(go->rows, place.address + (uint64_t)(from - code) + 3,
				place.address + (uint64_t)(to - code), &fnp_known_frame_pointer);
}

/*
 * Where goroutines and Go's threads begin, and where a goroutine goes over to the thread's own stack: what stands above
 * on the stack is not a caller.
 */
int fnp_unwind_go_overlay(const struct fnp_object *object, struct fnp_rows *rows)
{
	struct go_code go = {.object = object, .rows = rows};
	const struct place *back;
	struct fnp_section section;
	int r;

	if (fnp_object_find_section(object, ".gopclntab", &section) < 0 &&
	    fnp_object_find_section(object, ".data.rel.ro.gopclntab", &section) < 0)
		return 0;
	r = find_functions(&go);
	for (enum go_function i = GO_GOEXIT; r == 0 && i <= GO_ASMCGOCALL; i++)
		r = fnp_rows_overlay(rows, go.places[i].address, go.places[i].address + go.places[i].size,
				     &fnp_known_root);
	for (enum go_function i = GO_NANOTIME; r == 0 && i <= GO_TIME_NOW; i++)
		r = overlay_go_vdso_call(&go, i);
	for (enum go_function i = GO_CGO_SIGACTION; r == 0 && i <= GO_CGO_MUNMAP; i++)
		r = overlay_go_c_call(&go, i);
	r = r ?: overlay_go_preemption(&go);
	r = r ?: overlay_go_clone(&go);
	back = &go.places[go.places[GO_SIGRETURN_SIGACTION].size ? GO_SIGRETURN_SIGACTION : GO_SIGRETURN];
	if (r == 0 && back->size)
		r = fnp_rows_overlay(rows, back->address - 1, back->address + back->size,
				     &fnp_known_signal_return);
	return r;
}
