/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the V8 runtime: what it is (v8_recognise.c), what it publishes and where its code lies (v8_layout.c), what its
 * builtins tell (v8_builtins.c),
 * objects of its heap (v8_heap.c), scripts and their lines (v8_script.c), what a pc of compiled code stands for
 * (v8_code.c, v8_units.c), at which position of the source it is (v8_positions.c), functions of WebAssembly (v8_wasm.c,
 * v8_module.c). v8_names.c makes lines of them, v8.c ties them to the seam.
 *
 * Everything is read from the memory of a process that runs on and moves its objects meanwhile: what was read may be
 * torn or gone. So each answer is checked against what the kernel side saw, and no answer is the answer in doubt.
 *
 * Pointers into the heap are tagged (they end in 01, weak ones in 11). Offsets of fields are kept less the tag, so that
 * they are added to a tagged pointer as it is.
 */
#ifndef FNP_SYMBOLIZER_V8_H
#define FNP_SYMBOLIZER_V8_H

#include "bpf/layout/v8.h"
#include "symbolizer/runtime.h"

int fnp_v8_recognise(const struct fnp_object *object, struct fnp_runtime_id *ret);

/*
 * Constants that are of use; X(name, default, spellings...). V8 names a field with its type, which changes. Without a
 * default (ABSENT) V8 must say it.
 */
#define FNP_V8_ABSENT INT32_MIN
#define FNP_V8_CONSTANTS(X)                                                                                   \
	X(TAGGED_SIZE, 8, "TaggedSize")                                                                       \
	X(SMI_SHIFT, 31, "SmiShiftSize")                                                                      \
	X(MAP_TYPE, FNP_V8_ABSENT, "class_Map__instance_type__uint16_t")                                      \
	X(FUNCTION_SHARED, FNP_V8_ABSENT, "class_JSFunction__shared__SharedFunctionInfo",                     \
	  "class_JSFunction__shared__Tagged_SharedFunctionInfo_")                                             \
	X(SHARED_DATA, 8, "class_SharedFunctionInfo__function_data__Object")                                  \
	X(SHARED_NAME, FNP_V8_ABSENT, "class_SharedFunctionInfo__name_or_scope_info__Object",                 \
	  "class_SharedFunctionInfo__name_or_scope_info__Tagged_Object_",                                     \
	  "class_SharedFunctionInfo__name_or_scope_info__Tagged_NameOrScopeInfoT_")                           \
	X(SHARED_SCRIPT, FNP_V8_ABSENT, "class_SharedFunctionInfo__script__Tagged_HeapObject_",               \
	  "class_SharedFunctionInfo__raw_script__Tagged_Object_",                                             \
	  "class_SharedFunctionInfo__script_or_debug_info__HeapObject")                                       \
	X(SHARED_FLAGS, FNP_V8_ABSENT, "class_SharedFunctionInfo__flags__int")                                \
	X(SHARED_LENGTH, FNP_V8_ABSENT, "class_SharedFunctionInfo__length__uint16_t")                         \
	X(SCRIPT_SOURCE, FNP_V8_ABSENT, "class_Script__source__Object")                                       \
	X(SCRIPT_NAME, FNP_V8_ABSENT, "class_Script__name__Object")                                           \
	X(SCRIPT_LINE_ENDS, FNP_V8_ABSENT, "class_Script__line_ends__Object")                                 \
	X(STRING_LENGTH, FNP_V8_ABSENT, "class_String__length__int32_t")                                      \
	X(STRING_ONE_BYTE, 16, "class_SeqOneByteString__chars__char")                                         \
	X(STRING_TWO_BYTE, 16, "class_SeqTwoByteString__chars__char")                                         \
	X(CONS_FIRST, 16, "class_ConsString__first__String")                                                  \
	X(CONS_SECOND, 24, "class_ConsString__second__String")                                                \
	X(SLICED_PARENT, 16, "class_SlicedString__parent__String")                                            \
	X(SLICED_OFFSET, 24, "class_SlicedString__offset__SMI")                                               \
	X(THIN_ACTUAL, 16, "class_ThinString__actual__String")                                                \
	X(EXTERNAL_RESOURCE, 16, "class_ExternalString__resource__Object")                                    \
	X(FIRST_NO_STRING, 128, "FirstNonstringType")                                                         \
	X(ARRAY_LENGTH, 8, "class_FixedArrayBase__length__SMI")                                               \
	X(ARRAY_DATA, 16, "class_FixedArray__data__uintptr_t")                                                \
	X(BYTECODE_DATA, FNP_V8_ABSENT, "class_BytecodeArray__data__uintptr_t")                               \
	X(BYTECODE_WRAPPER, FNP_V8_ABSENT, "class_BytecodeArray__wrapper__Tagged_BytecodeWrapper_")           \
	X(UNCOMPILED_INFERRED, 8, "class_UncompiledData__inferred_name__String")                              \
	X(UNCOMPILED_START, 16, "class_UncompiledData__start_position__int32_t")                              \
	X(SCOPE_FIRST_VARS, FNP_V8_ABSENT, "scopeinfo_idx_first_vars")                                        \
	X(CODE_START, FNP_V8_ABSENT, "class_Code__instruction_start__Address")                                \
	X(CODE_OLD_START, FNP_V8_ABSENT, "class_Code__instruction_start__uintptr_t")                          \
	X(CODE_SIZE, FNP_V8_ABSENT, "class_Code__instruction_size__int")                                      \
	X(CODE_FLAGS, FNP_V8_ABSENT, "class_Code__flags__uint32_t")                                           \
	X(STREAM_START, FNP_V8_ABSENT, "class_InstructionStream__instruction_start__uintptr_t")               \
	X(KIND_INTERPRETED, FNP_V8_ABSENT, "CodeKindInterpretedFunction")                                     \
	X(KIND_BASELINE, FNP_V8_ABSENT, "CodeKindBaseline")                                                   \
	X(DEOPT_LITERALS, 2, "DeoptimizationDataLiteralArrayIndex")                                           \
	X(DEOPT_SHARED, 6, "DeoptimizationDataSharedFunctionInfoIndex")                                       \
	X(DEOPT_WRAPPED_SHARED, FNP_V8_ABSENT, "DeoptimizationDataWrappedSharedFunctionInfoIndex")            \
	X(DEOPT_INLINING, 7, "DeoptimizationDataInliningPositionsIndex")                                      \
	X(SLOT_CONTEXT, -8, "off_fp_context")                                                                 \
	X(SLOT_FUNCTION, -16, "off_fp_function")                                                              \
	X(SLOT_BYTECODE, -32, "off_fp_bytecode_array")                                                        \
	X(SLOT_OFFSET, -40, "off_fp_bytecode_offset")                                                         \
	X(FRAME_REGEXP, FNP_V8_ABSENT, "frametype_IrregexpFrame")                                             \
	X(FRAME_WASM, FNP_V8_ABSENT, "frametype_WasmFrame")                                                   \
	X(FRAME_WASM_TO_JS, FNP_V8_ABSENT, "frametype_WasmToJsFrame")                                         \
	X(FRAME_JS_TO_WASM, FNP_V8_ABSENT, "frametype_JsToWasmFrame")                                         \
	X(TYPE_SHARED, FNP_V8_ABSENT, "type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE")                   \
	X(TYPE_SCRIPT, FNP_V8_ABSENT, "type_Script__SCRIPT_TYPE")                                             \
	X(TYPE_SCOPE, FNP_V8_ABSENT, "type_ScopeInfo__SCOPE_INFO_TYPE")                                       \
	X(TYPE_BYTECODE, FNP_V8_ABSENT, "type_BytecodeArray__BYTECODE_ARRAY_TYPE")                            \
	X(TYPE_INTERPRETER_DATA, FNP_V8_ABSENT, "type_InterpreterData__INTERPRETER_DATA_TYPE")                \
	X(TYPE_CODE, FNP_V8_ABSENT, "type_Code__CODE_TYPE")                                                   \
	X(TYPE_STREAM, FNP_V8_ABSENT, "type_InstructionStream__INSTRUCTION_STREAM_TYPE")                      \
	X(TYPE_WASM_EXPORT, FNP_V8_ABSENT, "type_WasmExportedFunctionData__WASM_EXPORTED_FUNCTION_DATA_TYPE") \
	X(FUNCTION_CONTEXT, FNP_V8_ABSENT, "class_JSFunction__context__Context",                              \
	  "class_JSFunction__context__Tagged_Context_")                                                       \
	X(TYPE_ASYNC_FUNCTION, FNP_V8_ABSENT, "type_JSAsyncFunctionObject__JS_ASYNC_FUNCTION_OBJECT_TYPE")    \
	X(TYPE_ASYNC_GENERATOR, FNP_V8_ABSENT, "type_JSAsyncGeneratorObject__JS_ASYNC_GENERATOR_OBJECT_TYPE") \
	X(TYPE_REQUEST, FNP_V8_ABSENT, "type_AsyncGeneratorRequest__ASYNC_GENERATOR_REQUEST_TYPE")            \
	X(TYPE_PROMISE, FNP_V8_ABSENT, "type_JSPromise__JS_PROMISE_TYPE")                                     \
	X(TYPE_REACTION, FNP_V8_ABSENT, "type_PromiseReaction__PROMISE_REACTION_TYPE")                        \
	X(TYPE_CAPABILITY, FNP_V8_ABSENT, "type_PromiseCapability__PROMISE_CAPABILITY_TYPE")                  \
	X(TYPE_UNCOMPILED_A, FNP_V8_ABSENT,                                                                   \
	  "type_UncompiledDataWithPreparseData__UNCOMPILED_DATA_WITH_PREPARSE_DATA_TYPE")                     \
	X(TYPE_UNCOMPILED_B, FNP_V8_ABSENT,                                                                   \
	  "type_UncompiledDataWithoutPreparseData__UNCOMPILED_DATA_WITHOUT_PREPARSE_DATA_TYPE")

#define FNP_X_V8_CONSTANT(name, ...) FNP_V8_##name,
enum fnp_v8_constant { FNP_V8_CONSTANTS(FNP_X_V8_CONSTANT) FNP_V8_CONSTANTS_MAX };

#define FNP_V8_BYTECODES_MAX 256
#define FNP_V8_DEOPTS_MAX 4

/* The constants of one file, and what follows from them. */
struct fnp_v8_tables {
	int32_t values[FNP_V8_CONSTANTS_MAX];
	uint16_t code_deopt, code_positions; /* of a Code; the first one is the bytecode of baseline code */
	uint16_t code_start, code_flags, code_size;
	uint16_t stream_code;  /* of an InstructionStream: its Code; 0: it is the Code itself */
	uint16_t stream_start; /* bytes from the object's address to its first instruction */
	uint16_t bytecode_positions;
	uint16_t type_stream;
	uint16_t position_shift; /* of distances in tables of positions: from 14 on their lowest bit is a flag */
	uint16_t n_bytecodes;	 /* 0: their sizes are not known */
	uint8_t bytecode_sizes[3 * FNP_V8_BYTECODES_MAX]; /* n_bytecodes for operands of 1 byte, then of 2, then of 4 */
	uint16_t wasm_size, wasm_index;			  /* of a WasmCode; 0: not known */
	/* Of it, too, all or none: tables one behind the other, and how long the first four of these are. */
	uint16_t wasm_tables, wasm_trapping, wasm_relocation, wasm_positions, wasm_inlinings;
	/* Addresses as the file counts them; 0: not known. */
	uint64_t wasm_manager; /* of the pointer to it */
	uint64_t builtins_at;  /* of the pointer to them, where they are not known otherwise */
	uint64_t builtins, builtins_size, trampoline, trampoline_end;
	/* Where entries of the deoptimizer take the stack apart, counted from the builtins. */
	struct {
		uint32_t start, end;
	} deopts[FNP_V8_DEOPTS_MAX];
	uint16_t n_deopts, deopt_input, deopt_content; /* see the layout */
};

static inline bool fnp_v8_has(const struct fnp_v8_tables *t, enum fnp_v8_constant constant)
{
	return t->values[constant] != FNP_V8_ABSENT;
}

/* -EOPNOTSUPP: something that is needed is not published. */
int fnp_v8_tables_read(const struct fnp_object *object, uint16_t node_major, struct fnp_v8_tables *ret);

/* The number behind a symbol; one that is zero may have no bytes in the file. */
int32_t fnp_v8_value_at(const struct fnp_object *object, uint64_t address);

/* Sets what the builtins' code tells, where there are symbols for it (v8_builtins.c). */
void fnp_v8_builtins_find(const struct fnp_object *object, uint16_t node_major, struct fnp_v8_tables *ret);

/* What the walker is told that does not depend on the process. -EOPNOTSUPP: constants that cannot be. */
int fnp_v8_layout_read(const struct fnp_v8_tables *t, struct fnp_v8_layout *ret);

#define FNP_V8_RANGES_MAX 96
#define FNP_V8_COPIES_MAX 16

/* Where code lies in a process now. */
struct fnp_v8_places {
	struct fnp_runtime_range ranges[FNP_V8_RANGES_MAX];
	size_t n_ranges;
	uint64_t builtins, builtins_size;   /* in the file, as it counts addresses; 0: not known */
	uint64_t copies[FNP_V8_COPIES_MAX]; /* of them, in memory without a file: where they begin */
	size_t n_copies;
};

int fnp_v8_places_read(pid_t pid, const struct fnp_v8_tables *tables, uint64_t bias,
		       const struct fnp_object *object, struct fnp_v8_places *ret);

/* ---- objects of the heap ------------------------------------------------------------------------------------ */

struct fnp_v8_view {
	pid_t pid;
	struct fnp_v8_tables tables;
	struct fnp_v8_layout layout;
	uint64_t *stream_map; /* where the map of code objects is kept once it is known (0 before); NULL: nowhere */
};

static inline bool fnp_v8_is_object(uint64_t value)
{
	return (value & 1) && value >> 47 == 0 && value > 4096;
}

/* A word at a tagged pointer plus an offset. -ESRCH. */
int fnp_v8_field(const struct fnp_v8_view *view, uint64_t object, int32_t offset, uint64_t *ret);

/* The instance type of an object; negative when it is none that can be read. */
int fnp_v8_type(const struct fnp_v8_view *view, uint64_t object);

/* The text of a String as UTF-8, owned; cut at `max` characters. -ESRCH: it is none. */
int fnp_v8_string(const struct fnp_v8_view *view, uint64_t string, size_t max, char **ret);

/*
 * The characters of a string as they lie in memory, owned: `width` bytes each. Only flat ones, or such that lead to one.
 * -E2BIG past `max` bytes.
 */
int fnp_v8_characters(const struct fnp_v8_view *view, uint64_t string, size_t max, uint8_t **ret,
		      size_t *ret_length, unsigned *ret_width);

/* What a SharedFunctionInfo says. */
struct fnp_v8_function {
	uint64_t ids; /* script << 32 | function */
	uint32_t cookie;
	uint64_t script;   /* tagged */
	uint64_t bytecode; /* tagged; 0: none now */
	int32_t start;	   /* position in the source; -1: not known */
	char *name;	   /* owned; NULL: none */
};

void fnp_v8_function_deinit(struct fnp_v8_function *function);

/* `shared` is tagged. -ESRCH: it is none, or none of a script. */
int fnp_v8_function_read(const struct fnp_v8_view *view, uint64_t shared, struct fnp_v8_function *ret);

/* ---- scripts ------------------------------------------------------------------------------------------------ */

struct fnp_v8_scripts;

/* `source_maps`: what scripts were made of is looked for, too. */
int fnp_v8_scripts_create(bool source_maps, struct fnp_v8_scripts **ret);
void fnp_v8_scripts_destroy(struct fnp_v8_scripts *scripts);

struct fnp_v8_script;

/* A script by its object and the id that it must have; kept. -ESRCH. */
int fnp_v8_scripts_get(struct fnp_v8_scripts *scripts, const struct fnp_v8_view *view, uint64_t script,
		       uint32_t id, const struct fnp_v8_script **ret);

/* A script stands as long as this number does. */
uint64_t fnp_v8_scripts_age(const struct fnp_v8_scripts *scripts);

/* Its name; "" when it has none. */
const char *fnp_v8_script_file(const struct fnp_v8_script *script);

/* The line of a position in its source, from 1 on; 0 when that is not known. */
uint32_t fnp_v8_script_line(const struct fnp_v8_script *script, int32_t position);

/*
 * What a position was made of, by the script's source map: file, owned, and line. -ENOENT: it has none, or does not say.
 */
int fnp_v8_script_original(const struct fnp_v8_script *script, int32_t position, char **ret_file,
			   uint32_t *ret_line);

/* What the function that starts there, and is called `name` in the script, was called in the source; NULL: the same. */
const char *fnp_v8_script_original_name(const struct fnp_v8_script *script, int32_t start, const char *name);

/* ---- source maps (v8_source.c) ------------------------------------------------------------------------------ */

struct fnp_v8_source;

/* The characters of a script, `width` bytes each. */
struct fnp_v8_text {
	const uint8_t *bytes;
	size_t length;
	unsigned width;
};

/* Where a function begins: at its parameters. Line and column from 0 on. */
struct fnp_v8_start {
	uint32_t position, line, column;
};

/* The source map of a script of this name. -ENOENT, -EBADMSG: none that can be read. */
int fnp_v8_source_open(pid_t pid, const char *script, const struct fnp_v8_text *text,
		       struct fnp_v8_source **ret);
void fnp_v8_source_destroy(struct fnp_v8_source *source);

/* Bytes of memory that it takes. */
size_t fnp_v8_source_size(const struct fnp_v8_source *source);

/* Line and column from 0 on; the file is owned, its line is from 1 on. -ENOENT. */
int fnp_v8_source_place(const struct fnp_v8_source *source, uint32_t line, uint32_t column, char **ret_file,
			uint32_t *ret_line);
const char *fnp_v8_source_name(const struct fnp_v8_source *source, const struct fnp_v8_start *start,
			       const char *name);

/* ---- code --------------------------------------------------------------------------------------------------- */

enum fnp_v8_tier {
	FNP_V8_TIER_OTHER,
	FNP_V8_TIER_REGEXP,
	FNP_V8_TIER_SPARKPLUG,
	FNP_V8_TIER_MAGLEV,
	FNP_V8_TIER_TURBOFAN,
};

/* A code object that lies in a process now. */
struct fnp_v8_head {
	uint64_t address; /* of the object that begins before the instructions */
	uint64_t start;	  /* of its instructions */
	uint32_t size;
	enum fnp_v8_tier tier;
	uint64_t deopt, positions; /* baseline code: its bytecode, and the table of lengths */
};

/* The one around a pc. -ESRCH. */
int fnp_v8_head_find(const struct fnp_v8_view *view, uint64_t pc, struct fnp_v8_head *ret);

/* The same where it is known where that begins, if it is still there. -ESRCH. */
int fnp_v8_head_at(const struct fnp_v8_view *view, uint64_t address, uint64_t pc, struct fnp_v8_head *ret);

/* A function that code was made of, and its script as long as that is remembered. */
struct fnp_v8_member {
	int32_t literal; /* -1: the one that was compiled */
	bool is_known;
	struct fnp_v8_function function;
	const struct fnp_v8_script *script;
	uint64_t age; /* of the scripts, when that was one of them */
};

/* One level of inlining at a pc. */
struct fnp_v8_scope {
	const struct fnp_v8_member *member;
	int32_t position; /* in the source; -1: not known */
};

struct fnp_v8_code {
	struct fnp_v8_scope scopes[FNP_RUNTIME_LINES_MAX]; /* innermost first; the last is the function that exists */
	size_t n;					   /* 0 unless optimized */
	enum fnp_v8_tier tier;
	uint64_t bytecode; /* of baseline code; 0: not known any more */
	int32_t position;  /* of code that is one function's alone, in its source; -1: not known */
	bool is_own;	   /* it is the frame's function's, whatever bytecode that has */
};

/* Where in code a frame is, as it was seen. */
struct fnp_v8_where {
	uint64_t pc;
	uint64_t next; /* where the instruction begins that runs next: the pc itself, or what a call returns to */
	uint32_t hash; /* of the code there */
	uint64_t own;  /* ids of the function whose frame it is; 0: not known */
	bool is_left;  /* the pc tells the code alone, not the place: it must have nothing inlined anywhere */
};

/* Code that was read once, as a whole: it tells of all its places, also when it is gone (v8_units.c). */
struct fnp_v8_units;

int fnp_v8_units_create(struct fnp_v8_units **ret);
void fnp_v8_units_destroy(struct fnp_v8_units *units);

/* What code stands for at a place; stands until the next call. -ESRCH: none that is understood. */
int fnp_v8_units_read(struct fnp_v8_units *units, const struct fnp_v8_view *view,
		      struct fnp_v8_scripts *scripts, const struct fnp_v8_where *where,
		      struct fnp_v8_code *ret);

/* ---- WebAssembly -------------------------------------------------------------------------------------------- */

/* A place in a module's code. */
struct fnp_v8_wasm {
	/* Functions, innermost first, what was inlined before what exists; the last -1: code of no function's. */
	int32_t functions[FNP_RUNTIME_LINES_MAX];
	size_t n;
	uint64_t module;      /* the NativeModule */
	uint64_t bytes, size; /* of the module; 0: not found */
	bool exact;	      /* set by who asks: the pc is no return address */
};

/* What holds a pc, by the manager of all code. -ESRCH: it is none of WebAssembly, or not understood. */
int fnp_v8_wasm_find(const struct fnp_v8_view *view, uint64_t manager, uint64_t pc, struct fnp_v8_wasm *ret);

/* What is remembered of modules (v8_module.c). */
struct fnp_v8_modules;

int fnp_v8_modules_create(struct fnp_v8_modules **ret);
void fnp_v8_modules_destroy(struct fnp_v8_modules *modules);

/* What a function is called, owned. -ENOENT: it is none of the module's own. */
int fnp_v8_modules_name(struct fnp_v8_modules *modules, const struct fnp_v8_view *view,
			const struct fnp_v8_wasm *wasm, int32_t function, char **ret);

/* The name of a function in the bytes of a module, not ended by NUL. -ENOENT. */
int fnp_v8_wasm_name(struct fnp_cursor module, uint32_t index, const uint8_t **ret, size_t *ret_size);

/* Is this number that of an imported function? */
bool fnp_v8_wasm_is_import(struct fnp_cursor module, uint32_t index);

/* ---- positions ---------------------------------------------------------------------------------------------- */

/* One entry of a table of positions. */
struct fnp_v8_position {
	uint32_t code;
	int32_t source;	 /* -1: none */
	int32_t inlined; /* number of the inlining; -1: not inlined */
};

/* Sets `source` and `inlined` by a position as V8 encodes it. */
void fnp_v8_position_set(uint64_t raw, struct fnp_v8_position *position);

/* Reads the next entry; `shift` is position_shift, `state` begins as zeros, `raw` too. 0, -ENODATA at the end, -EBADMSG. */
int fnp_v8_position_next(struct fnp_cursor *c, unsigned shift, uint64_t *raw, struct fnp_v8_position *state);

/* The last entry of a table at or before an offset; what stands before the first one has none. -EBADMSG: no table. */
int fnp_v8_position_find(struct fnp_cursor table, unsigned shift, uint32_t offset, struct fnp_v8_position *ret);

/* The bytes of one of V8's arrays of bytes, owned. -ESRCH. */
int fnp_v8_byte_array(const struct fnp_v8_view *view, uint64_t array, uint8_t **ret, size_t *ret_size);

/* The position in the source of a bytecode, by the BytecodeArray's own table; -1: not known. */
int32_t fnp_v8_bytecode_position(const struct fnp_v8_view *view, uint64_t bytecode, uint32_t offset);

/* The same of a pc of baseline code, counted from its first instruction; `table` is that of its lengths. */
int32_t fnp_v8_baseline_position(const struct fnp_v8_view *view, uint64_t bytecode, uint64_t table,
				 uint32_t pc);

/* Which bytecode a pc of baseline code was made of: its offset. -ESRCH: of none, or the tables do not fit. */
int fnp_v8_baseline_find(const struct fnp_v8_tables *t, struct fnp_cursor lengths, const uint8_t *bytecode,
			 size_t size, uint32_t pc, uint32_t *ret);

#endif
