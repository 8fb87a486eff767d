/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_known.h"

#include <errno.h>

#include "symbolizer/unwind_binding.h"
#include "symbolizer/unwind_fcontext.h"
#include "symbolizer/unwind_go.h"
#include "symbolizer/unwind_handover.h"
#include "symbolizer/unwind_places.h"

#define PLT_ENTRY 16
/* crt1.o's _start up to behind its call of main's caller, by any kind of call; the next function may begin behind it. */
#define START_SIZE 43
#define LINKER_START_SIZE 64
#define SAVED(fp, ra) ((fp) | (ra) << 4)

const struct fnp_rule fnp_known_root = {.cfa_kind = FNP_CFA_REG,
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

const struct fnp_rule fnp_known_frame_pointer = {.cfa_kind = FNP_CFA_REG,
						 .cfa_reg = 6,
						 .cfa_offset = 16,
						 .fp_offset = -16,
						 .ra_offset = -8,
						 .saved = SAVED(FNP_SAVED_AT_CFA, FNP_SAVED_AT_CFA)};

/* What the kernel leaves on the stack: a ucontext_t, its registers at 40, in the order of <sys/ucontext.h>. */
const struct fnp_rule fnp_known_signal_return = {.cfa_kind = FNP_CFA_DEREF,
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

/* Where the file's own entries are. */
struct known {
	const struct fnp_object *object;
	struct fnp_cfi *cfi;
	const struct fnp_cfi *other;
	size_t n; /* of cfi, before anything was added */
};

static bool is_covered(const struct known *k, uint64_t address)
{
	return fnp_cfi_find(k->cfi, k->n, address) || fnp_cfi_find(k->other, k->other->fdes.len, address);
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
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	uint64_t entry = fnp_object_header(k->object)->e_entry, size = START_SIZE;
	const uint8_t *code;

	/* Shared objects have 0, or an entry that has its rules. */
	if (entry == 0 || entry > UINT64_MAX - 64 || is_covered(k, entry))
		return 0;
	if (fnp_object_read_address(k->object, entry, sizeof(linker), &code) == 0) {
		if (memcmp(code, linker, sizeof(linker)) == 0)
			size = LINKER_START_SIZE;
		else if (memcmp(code, endbr64, sizeof(endbr64)) == 0)
			size += sizeof(endbr64);
	}
	return add(k->cfi, entry, entry + size, &fnp_known_root);
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

	/* The kernel stands behind the system call while it takes the registers back. */
	size_t behind = fnp_rows_rule_at(rows, address + size) ? 0 : 1;

	if (here && (here->flags & FNP_RULE_SIGNAL)) {
		struct fnp_rule rule = *here;

		return fnp_rows_overlay(rows, address + size, address + size + behind, &rule);
	}
	if (here && (here->cfa_kind != FNP_CFA_REG || here->cfa_offset != 8))
		return 0;
	size += behind;
	return fnp_rows_overlay(rows, address - 1, address + size, &fnp_known_signal_return);
}

/*
 * Where a context of makecontext() begins: glibc's function returns to code that was never called, so the byte before it
 * is looked up, which nobody describes. The pattern stands at its start, or behind endbr64.
 */
static int overlay_context_start(const struct fnp_cfi *cfi, struct fnp_rows *rows, uint64_t address)
{
	const struct fnp_cfi_fde *fde = fnp_cfi_find(cfi, cfi->fdes.len, address);

	if (!fde || address - fde->start > 4 || fnp_rows_rule_at(rows, fde->start - 1))
		return 0;
	return fnp_rows_overlay(rows, fde->start - 1, fde->end, &fnp_known_root);
}

/* In setcontext() and swapcontext() nothing says who called while rsp is another's, up to the push of where it goes on. */
static int overlay_context_change(struct fnp_rows *rows, const struct fnp_unwind_place *place)
{
	static const struct fnp_rule unknown = {.cfa_kind = FNP_CFA_EXPRESSION};
	static const uint8_t last[] = {0x48, 0x8b, 0x8a, 0xa8, 0x00, 0x00, 0x00, 0x51}; /* push rcx */
	const uint8_t *end = memmem(place->code, FNP_MIN(place->left, (size_t)64), last, sizeof(last));

	if (!end)
		return 0;
	return fnp_rows_overlay(rows, place->address + 7,
				place->address + (uint64_t)(end - place->code) + sizeof(last), &unknown);
}

/*
 * The function that a greenlet begins with, and never returns from. It was called on the stack of who switched to it
 * first, which others have written over since.
 */
static int overlay_greenlet_start(const struct fnp_object *object, const struct fnp_cfi *cfi,
				  struct fnp_rows *rows)
{
	static const char *const names[] = {
		"_ZN8greenlet12UserGreenlet15inner_bootstrapEP9_greenletP7_object",
		"_ZN8greenlet12UserGreenlet15inner_bootstrapERNS_4refs14_OwnedGreenletI9_greenlet"
		"XadL_ZNS1_15GreenletCheckerEPvEEEERNS1_14OwnedReferenceI7_objectXadL_ZNS1_11NoOpCheckerES4_"
		"EEEE"};
	struct fnp_object_symbol symbol;

	if (fnp_object_find_symbol(object, "_ZN8greenlet12UserGreenlet13g_initialstubEPv", &symbol) < 0)
		return 0;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(names); i++) {
		const struct fnp_cfi_fde *fde;

		if (fnp_object_find_symbol(object, names[i], &symbol) < 0)
			continue;
		fde = fnp_cfi_find(cfi, cfi->fdes.len, symbol.address);
		return fde ? fnp_rows_overlay(rows, fde->start, fde->end, &fnp_known_root) : 0;
	}
	return 0;
}

/*
 * Where greenlets change: rsp is already the new one's while its stack is copied back to where it points, so nothing there
 * says who called. From then on to the function's end the stack is the new one's, and the interpreter's frames, on versions
 * that have no trace of them on the stack, still those of the old one: no stack there is shown.
 */
static int overlay_greenlet_change(const struct fnp_object *object, const struct fnp_cfi *cfi,
				   struct fnp_rows *rows, const struct fnp_unwind_place *place)
{
	static const struct fnp_rule unknown = {.cfa_kind = FNP_CFA_EXPRESSION};
	const struct fnp_cfi_fde *fde = fnp_cfi_find(cfi, cfi->fdes.len, place->address);
	uint8_t call = place->left > 6 ? place->code[6] : 0;
	int r;

	if (call != 0xe8)
		return 0;
	r = fnp_rows_overlay(rows, place->address + 3, fde ? fde->end : place->address + 11, &unknown);
	return r ?: overlay_greenlet_start(object, cfi, rows);
}

static int overlay_place(const struct fnp_object *object, const struct fnp_cfi *cfi, struct fnp_rows *rows,
			 const struct fnp_unwind_place *place)
{
	switch (place->pattern) {
	case FNP_PATTERN_SIGNAL_RETURN:
	case FNP_PATTERN_SIGNAL_RETURN_SHORT:
		return overlay_signal_return(rows, place->address, fnp_pattern_size(place->pattern));
	case FNP_PATTERN_CONTEXT_START:
		return overlay_context_start(cfi, rows, place->address);
	case FNP_PATTERN_CONTEXT_CHANGE:
		return overlay_context_change(rows, place);
	case FNP_PATTERN_GREENLET_CHANGE:
		return overlay_greenlet_change(object, cfi, rows, place);
	case FNP_PATTERN_LEAVE_BY_JUMP:
	case FNP_PATTERN_LEAVE_BY_RETURN:
		return fnp_handover_overlay(object, cfi, rows, place);
	case FNP_PATTERN_BINDING:
		return fnp_binding_overlay(object, rows, place->address + fnp_pattern_size(place->pattern) - 1);
	case FNP_PATTERN_FCONTEXT_BEGIN:
	case FNP_PATTERN_FCONTEXT_CHANGE:
		return fnp_fcontext_overlay(rows, place);
	case FNP_PATTERN_COUNT:
		break;
	}
	return 0;
}

/*
 * V8's builtins and bytecode handlers, which are compiled into the program without call frame information: all run
 * under a frame pointer, their own or that of the JavaScript frame that they work for.
 */
static int overlay_v8_builtins(const struct fnp_object *object, struct fnp_rows *rows,
			       const struct fnp_object_symbol *code)
{
	struct fnp_object_symbol size_symbol;
	const uint8_t *bytes;
	uint32_t size;

	if (fnp_object_find_symbol(object, "v8_Default_embedded_blob_code_size_", &size_symbol) < 0 ||
	    fnp_object_read_address(object, size_symbol.address, sizeof(size), &bytes) < 0)
		return 0;
	memcpy(&size, bytes, sizeof(size));
	if (size > UINT64_MAX - code->address || fnp_rows_rule_at(rows, code->address))
		return 0;
	return fnp_rows_overlay(rows, code->address, code->address + size, &fnp_known_frame_pointer);
}

/*
 * Where V8's collector saves all registers and looks at the stack, written by hand: push rbp; mov rbp, rsp; push a
 * mark; ... Every collection stands below it.
 */
static int overlay_v8_push_registers(const struct fnp_object *object, struct fnp_rows *rows,
				     const struct fnp_object_symbol *symbol)
{
	static const uint8_t start[] = {0x55, 0x48, 0x89, 0xe5, 0x68, 0xcd, 0xcd, 0xcd, 0x00};
	static const uint8_t end[] = {0x48, 0x83, 0xc4, 0x30, 0x5d, 0xc3};
	struct fnp_rule rule = plain(8); /* of the return */
	const uint8_t *code, *last;
	uint64_t leave;
	int r;

	if (fnp_object_read_address(object, symbol->address, 64, &code) < 0 ||
	    memcmp(code, start, sizeof(start)) != 0 || fnp_rows_rule_at(rows, symbol->address))
		return 0;
	last = memmem(code, 64, end, sizeof(end));
	if (!last)
		return 0;
	leave = symbol->address + (uint64_t)(last - code) + sizeof(end) - 1;
	r = fnp_rows_overlay(rows, symbol->address + 4, leave, &fnp_known_frame_pointer);
	return r ?: fnp_rows_overlay(rows, leave, leave + 1, &rule);
}

/* What is known by its name, of large programs that have the names. */
static int overlay_named(const struct fnp_object *object, struct fnp_rows *rows,
			 const struct fnp_object_symbol *named)
{
	int r = 0;

	if (named[FNP_NAMED_V8_BUILTINS].is_found)
		r = overlay_v8_builtins(object, rows, &named[FNP_NAMED_V8_BUILTINS]);
	if (r == 0 && named[FNP_NAMED_V8_PUSH_REGISTERS].is_found)
		r = overlay_v8_push_registers(object, rows, &named[FNP_NAMED_V8_PUSH_REGISTERS]);
	return r;
}

int fnp_known_overlay(const struct fnp_object *object, const struct fnp_cfi *cfi, struct fnp_rows *rows)
{
	FNP_CLEANUP(fnp_unwind_places_deinit) struct fnp_unwind_places places = {0};
	int r;

	if (fnp_object_header(object)->e_machine != EM_X86_64)
		return 0;
	r = fnp_unwind_places_find(object, &places);
	for (size_t i = 0; r == 0 && i < places.items.len; i++)
		r = overlay_place(object, cfi, rows, &places.items.items[i]);
	r = r ?: fnp_unwind_go_overlay(object, rows);
	return r ?: overlay_named(object, rows, places.named);
}
