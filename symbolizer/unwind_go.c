/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_go.h"

#include "symbolizer/unwind_known.h"

/* A function by its name, with or without the suffix that says how it is called. */
static bool find_go_function(const struct fnp_object *object, const char *name, struct fnp_object_symbol *ret)
{
	char abi0[64];

	snprintf(abi0, sizeof(abi0), "%s.abi0", name);
	if (fnp_object_find_symbol(object, abi0, ret) < 0 && fnp_object_find_symbol(object, name, ret) < 0)
		return false;
	return ret->size > 0 && ret->size < 65536 && ret->address <= UINT64_MAX - ret->size;
}

/* Between `mov rsp, r12` and `mov r12, rsp` these run on the thread's own stack; the frame pointer stays. */
static int overlay_go_vdso_call(const struct fnp_object *object, struct fnp_rows *rows, const char *name)
{
	static const uint8_t save[] = {0x49, 0x89, 0xe4}, restore[] = {0x4c, 0x89, 0xe4};
	struct fnp_rule rule = fnp_known_frame_pointer;
	const uint8_t *code, *from, *to;
	struct fnp_object_symbol symbol;

	if (!find_go_function(object, name, &symbol) ||
	    fnp_object_read_address(object, symbol.address, symbol.size, &code) < 0)
		return 0;
	from = memmem(code, symbol.size, save, sizeof(save));
	to = from ? memmem(from, symbol.size - (size_t)(from - code), restore, sizeof(restore)) : NULL;
	if (!to)
		return 0;
	rule.flags = FNP_RULE_OTHER_STACK;
	return fnp_rows_overlay(rows, symbol.address + (uint64_t)(from - code),
				symbol.address + (uint64_t)(to - code) + 3, &rule);
}

/*
 * A goroutine is stopped by a call of this that a signal handler makes it do between any two instructions: who called
 * stands where it was interrupted, not behind a call.
 */
static int overlay_go_preemption(const struct fnp_object *object, struct fnp_rows *rows)
{
	struct fnp_object_symbol symbol;
	struct fnp_rule rule;
	uint64_t end;
	int r = 0;

	if (!find_go_function(object, "runtime.asyncPreempt", &symbol))
		return 0;
	for (uint64_t at = symbol.address; r == 0 && at < symbol.address + symbol.size; at = end) {
		const struct fnp_rule *here = fnp_rows_rule_at(rows, at);

		for (end = at + 1; end < symbol.address + symbol.size; end++) {
			if (fnp_rows_rule_at(rows, end) != here)
				break;
		}
		if (!here)
			continue;
		rule = *here;
		rule.flags |= FNP_RULE_SIGNAL;
		r = fnp_rows_overlay(rows, at, end, &rule);
	}
	return r;
}

/*
 * A new thread comes out of the system call of runtime.clone on a stack that nobody called from, and what happens to
 * lie above is no return address. Up to the jump that tells it from its parent, nothing does; behind, the thread begins.
 */
static int overlay_go_clone(const struct fnp_object *object, struct fnp_rows *rows)
{
	static const struct fnp_rule unknown = {.cfa_kind = FNP_CFA_EXPRESSION};
	static const uint8_t syscall[] = {0x0f, 0x05, 0x48, 0x83, 0xf8, 0x00, 0x74}; /* cmp $0, rax; je */
	struct fnp_object_symbol symbol;
	const uint8_t *code, *at;
	uint64_t returned, child;
	int r;

	if (!find_go_function(object, "runtime.clone", &symbol) ||
	    fnp_object_read_address(object, symbol.address, symbol.size, &code) < 0)
		return 0;
	at = memmem(code, symbol.size, syscall, sizeof(syscall));
	if (!at || (size_t)(at - code) > symbol.size - sizeof(syscall) - 1 || at[sizeof(syscall)] > 0x7f)
		return 0;
	returned = symbol.address + (uint64_t)(at - code) + 2;
	child = returned + sizeof(syscall) - 1 + at[sizeof(syscall)];
	r = fnp_rows_overlay(rows, returned, returned + sizeof(syscall) - 1, &unknown);
	return r ?: fnp_rows_overlay(rows, child, symbol.address + symbol.size, &fnp_known_root);
}

/*
 * Calls of the C library through cgo align the stack in the middle of the function; its frame pointer stays, and is
 * believed from `and $-16, rsp` to where rsp is taken back: mov rbx, rsp, or mov (rsp), rsp.
 */
static int overlay_go_c_call(const struct fnp_object *object, struct fnp_rows *rows, const char *name)
{
	static const uint8_t align[] = {0x48, 0x89, 0xe3, 0x48, 0x83, 0xe4, 0xf0};
	static const uint8_t restores[][4] = {{0x48, 0x89, 0xdc}, {0x48, 0x8b, 0x24, 0x24}};
	static const size_t sizes[] = {3, 4};
	struct fnp_object_symbol symbol;
	const uint8_t *code, *from, *to = NULL;

	if (!find_go_function(object, name, &symbol) ||
	    fnp_object_read_address(object, symbol.address, symbol.size, &code) < 0)
		return 0;
	from = memmem(code, symbol.size, align, sizeof(align));
	for (size_t i = 0; from && !to && i < FNP_ARRAY_SIZE(restores); i++) {
		to = memmem(from, symbol.size - (size_t)(from - code), restores[i], sizes[i]);
		to = to ? to + sizes[i] : NULL;
	}
	if (!to)
		return 0;
	return fnp_rows_overlay(rows, symbol.address + (uint64_t)(from - code) + 3,
				symbol.address + (uint64_t)(to - code), &fnp_known_frame_pointer);
}

/*
 * Where goroutines and Go's threads begin, and where a goroutine goes over to the thread's own stack: what stands above
 * on the stack is not a caller.
 */
int fnp_unwind_go_overlay(const struct fnp_object *object, struct fnp_rows *rows)
{
	static const char *const roots[] = {"runtime.goexit",	 "runtime.mstart",	"runtime.rt0_go",
					    "runtime.mcall",	 "runtime.systemstack", "runtime.morestack",
					    "runtime.asmcgocall"};
	static const char *const vdso_calls[] = {"runtime.nanotime1", "runtime.walltime", "time.now"};
	static const char *const c_calls[] = {"runtime.callCgoSigaction", "runtime.callCgoMmap",
					      "runtime.callCgoMunmap"};
	struct fnp_object_symbol symbol;
	struct fnp_section section;
	int r = 0;

	if (fnp_object_find_section(object, ".gopclntab", &section) < 0 &&
	    fnp_object_find_section(object, ".data.rel.ro.gopclntab", &section) < 0)
		return 0;
	for (size_t i = 0; r == 0 && i < FNP_ARRAY_SIZE(roots); i++) {
		if (find_go_function(object, roots[i], &symbol))
			r = fnp_rows_overlay(rows, symbol.address, symbol.address + symbol.size,
					     &fnp_known_root);
	}
	for (size_t i = 0; r == 0 && i < FNP_ARRAY_SIZE(vdso_calls); i++)
		r = overlay_go_vdso_call(object, rows, vdso_calls[i]);
	for (size_t i = 0; r == 0 && i < FNP_ARRAY_SIZE(c_calls); i++)
		r = overlay_go_c_call(object, rows, c_calls[i]);
	r = r ?: overlay_go_preemption(object, rows);
	r = r ?: overlay_go_clone(object, rows);
	if (r == 0 && (find_go_function(object, "runtime.sigreturn__sigaction", &symbol) ||
		       find_go_function(object, "runtime.sigreturn", &symbol)))
		r = fnp_rows_overlay(rows, symbol.address - 1, symbol.address + symbol.size,
				     &fnp_known_signal_return);
	return r;
}
