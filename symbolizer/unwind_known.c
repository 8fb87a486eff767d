/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_known.h"

#include <errno.h>

#include "symbolizer/unwind_binding.h"
#include "symbolizer/unwind_handover.h"

#define PLT_ENTRY 16
#define SIGNAL_SEARCH_MAX (4U << 20)
#define SAVED(fp, ra) ((fp) | (ra) << 4)

static const struct fnp_rule root = {.cfa_kind = FNP_CFA_REG,
				     .cfa_reg = 7,
				     .cfa_offset = 8,
				     .saved = SAVED(FNP_SAVED_SAME, FNP_SAVED_UNDEFINED)};

/* rsp plus an offset, the return address below the frame's address. */
static struct fnp_rule plain(int offset)
{
	return (struct fnp_rule){.cfa_kind = FNP_CFA_REG,
				 .cfa_reg = 7,
				 .cfa_offset = offset,
				 .ra_offset = -8,
				 .saved = SAVED(FNP_SAVED_SAME, FNP_SAVED_AT_CFA)};
}

static const struct fnp_rule by_frame_pointer = {.cfa_kind = FNP_CFA_REG,
						 .cfa_reg = 6,
						 .cfa_offset = 16,
						 .fp_offset = -16,
						 .ra_offset = -8,
						 .saved = SAVED(FNP_SAVED_AT_CFA, FNP_SAVED_AT_CFA)};

/* What the kernel leaves on the stack: a ucontext_t, its registers at 40, in the order of <sys/ucontext.h>. */
static const struct fnp_rule signal_return = {.cfa_kind = FNP_CFA_DEREF,
					      .cfa_reg = 7,
					      .cfa_offset = 160,
					      .fp_offset = 120,
					      .ra_offset = 168,
					      .saved = SAVED(FNP_SAVED_AT_SP, FNP_SAVED_AT_SP),
					      .flags = FNP_RULE_SIGNAL};

static int add(struct fnp_cfi *cfi, uint64_t start, uint64_t end, const struct fnp_rule *rule)
{
	static const uint8_t no_instructions[1];
	struct fnp_cfi_cie cie = {.initial = *rule, .signal = rule->flags & FNP_RULE_SIGNAL};
	struct fnp_cfi_fde fde = {
		.start = start, .end = end, .instructions = no_instructions, .cie = (uint32_t)cfi->cies.len};

	if (end <= start)
		return 0;
	if (fnp_vec_push(&cfi->cies, cie) < 0 || fnp_vec_push(&cfi->fdes, fde) < 0)
		return -ENOMEM;
	return 0;
}

/* The entry among the first `n`, which are sorted, that covers an address. */
static const struct fnp_cfi_fde *covering(const struct fnp_cfi *cfi, size_t n, uint64_t address)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (cfi->fdes.items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && address < cfi->fdes.items[low - 1].end ? &cfi->fdes.items[low - 1] : NULL;
}

/* Where the file's own entries are. */
struct known {
	const struct fnp_object *object;
	struct fnp_cfi *cfi;
	const struct fnp_cfi *other;
	size_t n; /* of cfi, before anything was added */
};

static bool is_covered(const struct known *k, uint64_t address)
{
	return covering(k->cfi, k->n, address) || covering(k->other, k->other->fdes.len, address);
}

/* A section of stubs that push nothing. */
static int add_direct_plt(const struct known *k, const char *name)
{
	struct fnp_rule rule = plain(8);
	struct fnp_section section;

	if (fnp_object_find_section(k->object, name, &section) < 0 || is_covered(k, section.address) ||
	    section.size > UINT32_MAX || section.size > UINT64_MAX - section.address)
		return 0;
	return add(k->cfi, section.address, section.address + section.size, &rule);
}

/* Lazy stubs: the first entry has both words pushed, the others push the index in their middle. */
static int add_lazy_plt(const struct known *k)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	struct fnp_rule rule = {.cfa_kind = FNP_CFA_PLT,
				.cfa_offset = 8,
				.ra_offset = -8,
				.saved = SAVED(FNP_SAVED_SAME, FNP_SAVED_AT_CFA)};
	struct fnp_rule pushed = plain(16), both = plain(24);
	struct fnp_section section;
	int r;

	if (fnp_object_find_section(k->object, ".plt", &section) < 0 || !section.data ||
	    is_covered(k, section.address) || section.size < 2 * PLT_ENTRY || section.size > UINT32_MAX ||
	    section.size > UINT64_MAX - section.address)
		return 0;
	/* A static program's .plt holds direct jumps, as .plt.got does: no entry pushes anything first. */
	if (section.data[0] != 0xff || section.data[1] != 0x35)
		return add_direct_plt(k, ".plt");
	rule.cfa_reg = memcmp(section.data + PLT_ENTRY, endbr64, sizeof(endbr64)) == 0 ? 9 : 11;
	r = add(k->cfi, section.address, section.address + 6, &pushed);
	r = r ?: add(k->cfi, section.address + 6, section.address + PLT_ENTRY, &both);
	return r ?: add(k->cfi, section.address + PLT_ENTRY, section.address + section.size, &rule);
}

static int add_entry_point(const struct known *k)
{
	/* The dynamic linker's: mov rsp, rdi; call _dl_start; and behind it what runs constructors, to its jump. */
	static const uint8_t linker[] = {0x48, 0x89, 0xe7, 0xe8};
	uint64_t entry = fnp_object_header(k->object)->e_entry;
	const uint8_t *code;
	bool is_linker;

	/* Shared objects have 0, or an entry that has its rules. */
	if (entry == 0 || entry > UINT64_MAX - 64 || is_covered(k, entry))
		return 0;
	is_linker = fnp_object_read_address(k->object, entry, sizeof(linker), &code) == 0 &&
		    memcmp(code, linker, sizeof(linker)) == 0;
	return add(k->cfi, entry, entry + (is_linker ? 64 : 32), &root);
}

int fnp_known_add_entries(const struct fnp_object *object, struct fnp_cfi *cfi, const struct fnp_cfi *other)
{
	struct known k = {.object = object, .cfi = cfi, .other = other, .n = cfi->fdes.len};
	int r;

	if (fnp_object_header(object)->e_machine != EM_X86_64)
		return 0;
	r = add_lazy_plt(&k);
	r = r ?: add_direct_plt(&k, ".plt.got");
	r = r ?: add_direct_plt(&k, ".plt.sec");
	r = r ?: add_direct_plt(&k, ".iplt");
	return r ?: add_entry_point(&k);
}

/* ---- over the file's rows ---- */

/*
 * mov $15, %rax; syscall (in two encodings): return from a signal. The byte before it belongs to it, because there the
 * handler's return address is looked up. One that is described as such is left alone, and so is one in the middle of
 * code that has rows: a system call by number.
 */
static int overlay_signal_return(struct fnp_rows *rows, uint64_t address, size_t size)
{
	const struct fnp_rule *here = fnp_rows_rule_at(rows, address);

	if (here && ((here->flags & FNP_RULE_SIGNAL) || here->cfa_kind != FNP_CFA_REG || here->cfa_offset != 8))
		return 0;
	/* The kernel stands behind the system call while it takes the registers back. */
	if (!fnp_rows_rule_at(rows, address + size))
		size++;
	return fnp_rows_overlay(rows, address - 1, address + size, &signal_return);
}

static int overlay_signal_returns(const struct fnp_object *object, struct fnp_rows *rows)
{
	static const uint8_t patterns[][9] = {
		{0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05},
		{0xb8, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05},
	};
	static const size_t sizes[] = {9, 7};
	const struct fnp_segment *segments;
	size_t n = fnp_object_segments(object, &segments);
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t size = segments[i].file_size;
		const uint8_t *code;

		/* C libraries and small static programs; more code than that is not read for this. */
		if (!(segments[i].flags & PF_X) || size > SIGNAL_SEARCH_MAX ||
		    fnp_object_read_address(object, segments[i].address, size, &code) < 0)
			continue;
		for (size_t p = 0; p < FNP_ARRAY_SIZE(patterns); p++) {
			const uint8_t *at = code, *end = code + size;

			while (r == 0 && (at = memmem(at, (size_t)(end - at), patterns[p], sizes[p]))) {
				r = overlay_signal_return(rows, segments[i].address + (uint64_t)(at - code),
							  sizes[p]);
				at += sizes[p];
			}
		}
	}
	return r;
}

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
	struct fnp_rule rule = by_frame_pointer;
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
	return r ?: fnp_rows_overlay(rows, child, symbol.address + symbol.size, &root);
}

/*
 * Where goroutines and Go's threads begin, and where a goroutine goes over to the thread's own stack: what stands above
 * on the stack is not a caller.
 */
static int overlay_go(const struct fnp_object *object, struct fnp_rows *rows)
{
	static const char *const roots[] = {"runtime.goexit",	 "runtime.mstart",	"runtime.rt0_go",
					    "runtime.mcall",	 "runtime.systemstack", "runtime.morestack",
					    "runtime.asmcgocall"};
	static const char *const vdso_calls[] = {"runtime.nanotime1", "runtime.walltime", "time.now"};
	struct fnp_object_symbol symbol;
	struct fnp_section section;
	int r = 0;

	if (fnp_object_find_section(object, ".gopclntab", &section) < 0 &&
	    fnp_object_find_section(object, ".data.rel.ro.gopclntab", &section) < 0)
		return 0;
	for (size_t i = 0; r == 0 && i < FNP_ARRAY_SIZE(roots); i++) {
		if (find_go_function(object, roots[i], &symbol))
			r = fnp_rows_overlay(rows, symbol.address, symbol.address + symbol.size, &root);
	}
	for (size_t i = 0; r == 0 && i < FNP_ARRAY_SIZE(vdso_calls); i++)
		r = overlay_go_vdso_call(object, rows, vdso_calls[i]);
	r = r ?: overlay_go_preemption(object, rows);
	r = r ?: overlay_go_clone(object, rows);
	if (r == 0 && (find_go_function(object, "runtime.sigreturn__sigaction", &symbol) ||
		       find_go_function(object, "runtime.sigreturn", &symbol)))
		r = fnp_rows_overlay(rows, symbol.address - 1, symbol.address + symbol.size, &signal_return);
	return r;
}

/*
 * V8's builtins and bytecode handlers, which are compiled into the program without call frame information: all run
 * under a frame pointer, their own or that of the JavaScript frame that they work for.
 */
static int overlay_v8_builtins(const struct fnp_object *object, struct fnp_rows *rows)
{
	struct fnp_object_symbol code, size_symbol;
	const uint8_t *bytes;
	uint32_t size;

	if (fnp_object_find_symbol(object, "v8_Default_embedded_blob_code_", &code) < 0 ||
	    fnp_object_find_symbol(object, "v8_Default_embedded_blob_code_size_", &size_symbol) < 0 ||
	    fnp_object_read_address(object, size_symbol.address, sizeof(size), &bytes) < 0)
		return 0;
	memcpy(&size, bytes, sizeof(size));
	if (size > UINT64_MAX - code.address || fnp_rows_rule_at(rows, code.address))
		return 0;
	return fnp_rows_overlay(rows, code.address, code.address + size, &by_frame_pointer);
}

/*
 * Where V8's collector saves all registers and looks at the stack, written by hand: push rbp; mov rbp, rsp; push a
 * mark; ... Every collection stands below it.
 */
static int overlay_v8_push_registers(const struct fnp_object *object, struct fnp_rows *rows)
{
	static const uint8_t start[] = {0x55, 0x48, 0x89, 0xe5, 0x68, 0xcd, 0xcd, 0xcd, 0x00};
	static const uint8_t end[] = {0x48, 0x83, 0xc4, 0x30, 0x5d, 0xc3};
	struct fnp_object_symbol symbol;
	const uint8_t *code, *last;

	if (fnp_object_find_symbol(object, "PushAllRegistersAndIterateStack", &symbol) < 0 ||
	    fnp_object_read_address(object, symbol.address, 64, &code) < 0 ||
	    memcmp(code, start, sizeof(start)) != 0 || fnp_rows_rule_at(rows, symbol.address))
		return 0;
	last = memmem(code, 64, end, sizeof(end));
	if (!last)
		return 0;
	return fnp_rows_overlay(rows, symbol.address + 4, symbol.address + (uint64_t)(last - code) + 5,
				&by_frame_pointer);
}

int fnp_known_overlay(const struct fnp_object *object, const struct fnp_cfi *cfi, struct fnp_rows *rows)
{
	int r;

	if (fnp_object_header(object)->e_machine != EM_X86_64)
		return 0;
	r = overlay_signal_returns(object, rows);
	r = r ?: fnp_handover_overlay(object, cfi, rows);
	r = r ?: fnp_binding_overlay(object, rows);
	r = r ?: overlay_go(object, rows);
	r = r ?: overlay_v8_builtins(object, rows);
	return r ?: overlay_v8_push_registers(object, rows);
}
