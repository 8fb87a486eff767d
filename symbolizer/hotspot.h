/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the HotSpot runtime: what the JVM publishes (hotspot_tables.c), what its walker must know
 * (hotspot_layout.c), names and lines of methods (hotspot_methods.c), those of processes that are gone
 * (hotspot_archive.c), what a pc of compiled code stands for
 * (hotspot_scopes.c), what the JVM's own code is called (hotspot_stubs.c), and what of that is kept (hotspot_cache.c).
 * hotspot.c ties them to the seam.
 *
 * Everything is read from the memory of a process that runs on meanwhile: what was read may be torn or gone. So each
 * answer is checked against what the kernel side saw (a cookie, a compile id), and no answer is the answer in doubt.
 */
#ifndef FNP_SYMBOLIZER_HOTSPOT_H
#define FNP_SYMBOLIZER_HOTSPOT_H

#include "base/map.h"
#include "base/vec.h"
#include "bpf/layout/hotspot.h"
#include "symbolizer/hotspot_archive.h"
#include "symbolizer/runtime.h"

/* A process and where libjvm lies in it. */
struct fnp_hotspot_place {
	pid_t pid;
	uint64_t bias;
	const struct fnp_object *object;
};

/* Fields, sizes and constants of the JVM's tables that are of use. X(name, type, field) */
#define FNP_HOTSPOT_FIELDS(X)                                                                                \
	X(CODE_HEAPS, "CodeCache", "_heaps")                                                                 \
	X(ARRAY_LENGTH, "GrowableArrayBase", "_len")                                                         \
	X(OLD_ARRAY_LENGTH, "GenericGrowableArray", "_len")                                                  \
	X(ARRAY_DATA, "GrowableArray<int>", "_data")                                                         \
	X(HEAP_MEMORY, "CodeHeap", "_memory")                                                                \
	X(HEAP_SEGMENTS, "CodeHeap", "_segmap")                                                              \
	X(HEAP_SHIFT, "CodeHeap", "_log2_segment_size")                                                      \
	X(SPACE_LOW, "VirtualSpace", "_low")                                                                 \
	X(SPACE_LOW_BOUNDARY, "VirtualSpace", "_low_boundary")                                               \
	X(SPACE_HIGH_BOUNDARY, "VirtualSpace", "_high_boundary")                                             \
	X(INTERPRETER, "AbstractInterpreter", "_code")                                                       \
	X(QUEUE_BUFFER, "StubQueue", "_stub_buffer")                                                         \
	X(QUEUE_LIMIT, "StubQueue", "_buffer_limit")                                                         \
	X(QUEUE_END, "StubQueue", "_queue_end")                                                              \
	X(CODELET_SIZE, "InterpreterCodelet", "_size")                                                       \
	X(CODELET_DESCRIPTION, "InterpreterCodelet", "_description")                                         \
	X(CALL_STUB_RETURN, "StubRoutines", "_call_stub_return_address")                                     \
	X(CONTINUATION_RETURN, "ContinuationEntry", "_return_pc")                                            \
	/* frames of virtual threads; most of it is not published, but what they are set from has symbols */ \
	X(THAW_RETURN, "StubRoutines", "_cont_returnBarrier")                                                \
	X(CONTINUATION_TAIL, "jdk_internal_vm_Continuation", "_tail_offset")                                 \
	X(CHUNK_PARENT, "jdk_internal_vm_StackChunk", "_parent_offset")                                      \
	X(CHUNK_SIZE, "jdk_internal_vm_StackChunk", "_size_offset")                                          \
	X(CHUNK_SP, "jdk_internal_vm_StackChunk", "_sp_offset")                                              \
	X(CHUNK_BOTTOM, "jdk_internal_vm_StackChunk", "_bottom_offset")                                      \
	X(CHUNK_PC, "jdk_internal_vm_StackChunk", "_pc_offset")                                              \
	X(CHUNK_STACK, "InstanceStackChunkKlass", "_offset_of_stack")                                        \
	/* descriptions of the JVM's own code */                                                             \
	X(STUBS, "StubCodeDesc", "_list")                                                                    \
	X(NARROW, "", "UseCompressedOops")                                                                   \
	X(DETAILED, "", "DebugNonSafepoints")                                                                \
	X(NARROW_BASE, "CompressedOops", "_base")                                                            \
	X(NARROW_SHIFT, "CompressedOops", "_shift")                                                          \
	X(OLD_NARROW_BASE, "CompressedOops", "_narrow_oop._base")                                            \
	X(OLD_NARROW_SHIFT, "CompressedOops", "_narrow_oop._shift")                                          \
	X(BLOB_KIND, "CodeBlob", "_kind")                                                                    \
	X(BLOB_NAME, "CodeBlob", "_name")                                                                    \
	X(BLOB_CODE_BEGIN, "CodeBlob", "_code_begin")                                                        \
	X(BLOB_CODE_OFFSET, "CodeBlob", "_code_offset")                                                      \
	X(BLOB_FRAME_SIZE, "CodeBlob", "_frame_size")                                                        \
	X(BLOB_FRAME_COMPLETE, "CodeBlob", "_frame_complete_offset")                                         \
	X(BLOB_RELOCATION_SIZE, "CodeBlob", "_relocation_size")                                              \
	X(BLOB_MUTABLE_DATA, "CodeBlob", "_mutable_data")                                                    \
	X(BLOB_OOP_MAPS, "CodeBlob", "_oop_maps")                                                            \
	X(BLOB_MUTABLE_SIZE, "CodeBlob", "_mutable_data_size")                                               \
	X(OLD_METHOD, "CompiledMethod", "_method")                                                           \
	X(OLD_DEOPT, "CompiledMethod", "_deopt_handler_begin")                                               \
	X(OLD_DEOPT_HANDLE, "CompiledMethod", "_deopt_mh_handler_begin")                                     \
	X(OLD_SCOPES_DATA, "CompiledMethod", "_scopes_data_begin")                                           \
	X(COMPILED_METHOD, "nmethod", "_method")                                                             \
	X(DEOPT, "nmethod", "_deopt_handler_offset")                                                         \
	X(DEOPT_ENTRY, "nmethod", "_deopt_handler_entry_offset")                                             \
	X(DEOPT_HANDLE, "nmethod", "_deopt_mh_handler_offset")                                               \
	X(ORIGINAL_PC, "nmethod", "_orig_pc_offset")                                                         \
	X(COMPILE_ID, "nmethod", "_compile_id")                                                              \
	X(COMPILE_LEVEL, "nmethod", "_comp_level")                                                           \
	X(METADATA, "nmethod", "_metadata_offset")                                                           \
	X(SCOPES_PCS, "nmethod", "_scopes_pcs_offset")                                                       \
	X(SCOPES_DATA, "nmethod", "_scopes_data_offset")                                                     \
	X(DEPENDENCIES, "nmethod", "_dependencies_offset")                                                   \
	X(IMMUTABLE_DATA, "nmethod", "_immutable_data")                                                      \
	X(IMMUTABLE_SIZE, "nmethod", "_immutable_data_size")                                                 \
	X(METHOD_CONST, "Method", "_constMethod")                                                            \
	X(CONST_POOL, "ConstMethod", "_constants")                                                           \
	X(CONST_FLAGS, "ConstMethod", "_flags")                                                              \
	X(CONST_NEW_FLAGS, "ConstMethod", "_flags._flags")                                                   \
	X(CONST_CODE_SIZE, "ConstMethod", "_code_size")                                                      \
	X(CONST_NAME, "ConstMethod", "_name_index")                                                          \
	X(CONST_WORDS, "ConstMethod", "_constMethod_size")                                                   \
	X(POOL_HOLDER, "ConstantPool", "_pool_holder")                                                       \
	X(POOL_LENGTH, "ConstantPool", "_length")                                                            \
	X(POOL_SOURCE_FILE, "ConstantPool", "_source_file_name_index")                                       \
	X(CLASS_SOURCE_FILE, "InstanceKlass", "_source_file_name_index")                                     \
	X(CLASS_NAME, "Klass", "_name")                                                                      \
	X(SYMBOL_LENGTH, "Symbol", "_length")                                                                \
	X(SYMBOL_BODY, "Symbol", "_body")                                                                    \
	X(HEAP, "Universe", "_collectedHeap")                                                                \
	X(HEAP_COLLECTIONS, "CollectedHeap", "_total_collections")                                           \
	/* sizes of types */                                                                                 \
	X(SIZEOF_BLOCK, "HeapBlock", NULL)                                                                   \
	X(SIZEOF_CONST, "ConstMethod", NULL)                                                                 \
	X(SIZEOF_POOL, "ConstantPool", NULL)                                                                 \
	X(SIZEOF_ENTRY, "ContinuationEntry", NULL)                                                           \
	/* constants */                                                                                      \
	X(OLD_HAS_LINES, NULL, "ConstMethod::_has_linenumber_table")                                         \
	X(HAS_LINES, NULL, "ConstMethodFlags::_misc_has_linenumber_table")

#define FNP_X_HOTSPOT_FIELD(name, type, field) FNP_HOTSPOT_##name,
enum fnp_hotspot_field { FNP_HOTSPOT_FIELDS(FNP_X_HOTSPOT_FIELD) FNP_HOTSPOT_FIELDS_MAX };

#define FNP_HOTSPOT_ABSENT UINT64_MAX

/* Offsets of fields, addresses (in the process) of static ones, sizes, values; FNP_HOTSPOT_ABSENT. */
struct fnp_hotspot_tables {
	uint64_t values[FNP_HOTSPOT_FIELDS_MAX];
};

/* -EAGAIN: the library is not ready to be read (it is being loaded). */
int fnp_hotspot_tables_read(const struct fnp_hotspot_place *place, struct fnp_hotspot_tables *ret);

/*
 * Adds addresses of static fields that are not published, where the file has symbols of them: what frames of virtual threads
 * and names of stubs need. Of one thread alone. Takes some milliseconds for a file that is new.
 */
void fnp_hotspot_symbols_read(const struct fnp_hotspot_place *place, struct fnp_hotspot_tables *tables);

static inline bool fnp_hotspot_has(const struct fnp_hotspot_tables *t, enum fnp_hotspot_field field)
{
	return t->values[field] != FNP_HOTSPOT_ABSENT;
}

/* What does not depend on how far the JVM has come. -EOPNOTSUPP: something that is needed is not published. */
int fnp_hotspot_layout_read(const struct fnp_hotspot_tables *t, struct fnp_hotspot_layout *ret);

/* Heaps, interpreter and stubs as they are now. -EAGAIN: the JVM has not made them yet. */
int fnp_hotspot_layout_places(const struct fnp_hotspot_place *place, const struct fnp_hotspot_tables *t,
			      struct fnp_hotspot_layout *layout);

/* What is in a process, for names. */
struct fnp_hotspot_view {
	struct fnp_hotspot_place place;
	struct fnp_hotspot_tables tables;
	struct fnp_hotspot_layout layout;
	struct fnp_hotspot_archive archive;
	uint16_t version; /* major */
	bool is_detailed; /* compiled code is described at every instruction (DebugNonSafepoints) */
};

/* A method's texts, owned. All zero is empty. */
struct fnp_hotspot_method {
	char *name, *file;
	uint8_t *table; /* the compressed line table */
	size_t table_size;
	uint32_t cookie; /* as the walker makes it */
};

/* What identifies the method at an address now: its cookie, and where its texts are. */
struct fnp_hotspot_identity {
	uint64_t constant, pool, holder, class_name;
	uint32_t name; /* index into the pool */
	uint32_t cookie;
	uint8_t head[FNP_HOTSPOT_CONST_MAX]; /* of the ConstMethod */
};

int fnp_hotspot_method_identify(const struct fnp_hotspot_view *view, uint64_t method,
				struct fnp_hotspot_identity *ret);

void fnp_hotspot_method_deinit(struct fnp_hotspot_method *method);

/* -ESRCH: what lies there is no Method (any more). */
int fnp_hotspot_method_read(const struct fnp_hotspot_view *view, const struct fnp_hotspot_identity *identity,
			    struct fnp_hotspot_method *ret);

/* The line of a bytecode, 0 when it has none; that of the first one in `ret_start`. */
uint32_t fnp_hotspot_method_line(const struct fnp_hotspot_view *view, const struct fnp_hotspot_method *method,
				 uint32_t bci, uint32_t *ret_start);

/* The class's name as people write it, from the JVM's: dots, no address of a hidden class. In place. */
void fnp_hotspot_class_name(char *name);

/* UNSIGNED5 as the JVM's version has it (without zero bytes from 20 on). */
int fnp_hotspot_unsigned5(struct fnp_cursor *c, bool without_zero, uint32_t *ret);

/* ---- what was read once (hotspot_cache.c) ---------------------------------------------------------------------- */

/* A method at its address, as it was when its cookie was this. */
struct fnp_hotspot_named {
	struct fnp_hotspot_named *next; /* of those with equal keys */
	uint64_t address;
	struct fnp_hotspot_method method;
};

/*
 * Methods and compiled code of one process, as they were when first seen, so that frames can still be named when the
 * process or its class is gone. All zero is empty. What it gave is the cache's, and valid until it is cleared.
 */
struct fnp_hotspot_cache {
	struct fnp_map methods, codes;
	size_t bytes; /* about */
};

void fnp_hotspot_cache_clear(struct fnp_hotspot_cache *cache);

/* The method at an address. -ESRCH: it is not (any more) the one with this cookie. */
int fnp_hotspot_cache_method(struct fnp_hotspot_cache *cache, const struct fnp_hotspot_view *view,
			     uint64_t address, uint32_t cookie, const struct fnp_hotspot_method **ret);

/* The method that is at an address now. */
int fnp_hotspot_cache_present(struct fnp_hotspot_cache *cache, const struct fnp_hotspot_view *view,
			      uint64_t address, const struct fnp_hotspot_method **ret);

struct fnp_hotspot_code;

/* The code of an nmethod. -ESRCH: it is not (any more) the one with this compile id. */
int fnp_hotspot_cache_code(struct fnp_hotspot_cache *cache, const struct fnp_hotspot_view *view,
			   uint64_t nmethod, uint32_t compile_id, const struct fnp_hotspot_code **ret);

/* ---- compiled code (hotspot_scopes.c) ---------------------------------------------------------------------------- */

/* One level of inlining: a method at a bytecode; `bci` UINT32_MAX, `line` 0: not known. */
struct fnp_hotspot_scope {
	const struct fnp_hotspot_method *method;
	uint32_t bci, line;
	uint32_t caller; /* number of its caller's scope; FNP_HOTSPOT_NO_SCOPE */
};

#define FNP_HOTSPOT_NO_SCOPE UINT32_MAX

/* A place that the compiler described: an offset from the first instruction. */
struct fnp_hotspot_spot {
	uint32_t code;
	uint32_t scope; /* the innermost one there; FNP_HOTSPOT_NO_SCOPE */
};

/* Instructions that stand for one scope, up to an offset; FNP_HOTSPOT_NO_SCOPE or more: the compiled method itself. */
struct fnp_hotspot_stretch {
	uint32_t end;
	uint32_t scope : 31;
	uint32_t is_vague : 1; /* the line is not known */
};

struct fnp_hotspot_code {
	struct fnp_hotspot_code *next; /* of those with equal keys in a cache */
	uint64_t address;
	uint32_t compile_id;
	int level;	  /* 1 to 3: C1, 4: C2, 0: a native wrapper */
	bool is_detailed; /* described between calls and polls, too: spots tell all */
	const struct fnp_hotspot_method *method;
	struct fnp_hotspot_spot *spots; /* by offset */
	size_t n_spots;
	struct fnp_hotspot_scope *scopes;
	size_t n_scopes;
	struct fnp_hotspot_stretch *stretches; /* by offset; none where spots tell all, or nothing is certain */
	size_t n_stretches;
};

/* What a place in compiled code stands for. */
struct fnp_hotspot_chain {
	struct fnp_hotspot_scope scopes[FNP_RUNTIME_LINES_MAX]; /* innermost first */
	size_t n;						/* at least 1 */
};

/* Reads an nmethod, with the methods that stand in it; owned. -ESRCH as above. */
int fnp_hotspot_code_read(struct fnp_hotspot_cache *methods, const struct fnp_hotspot_view *view,
			  uint64_t nmethod, uint32_t compile_id, struct fnp_hotspot_code **ret);
void fnp_hotspot_code_destroy(struct fnp_hotspot_code *code);
FNP_DEFINE_CLEANUP(fnp_hotspot_code_destroyp, struct fnp_hotspot_code *, fnp_hotspot_code_destroy)

/*
 * Fills the stretches of code whose spots and scopes are read, from its instructions. -EOPNOTSUPP: it is too big, or
 * nothing can be said of it; -ESRCH: its scopes are none.
 */
int fnp_hotspot_flow(struct fnp_hotspot_code *code, const uint8_t *bytes, size_t size);

/* `offset` as the walker says it, with FNP_HOTSPOT_LEAF. Needs no process. */
void fnp_hotspot_code_at(const struct fnp_hotspot_code *code, uint32_t offset, struct fnp_hotspot_chain *ret);

/* ---- the JVM's own code (hotspot_stubs.c) ------------------------------------------------------------------------ */

#define FNP_HOTSPOT_STUB_NAME_MAX 64

struct fnp_hotspot_stub {
	uint64_t begin, end;
	char name[FNP_HOTSPOT_STUB_NAME_MAX];
};

typedef FNP_VEC(struct fnp_hotspot_stub) fnp_hotspot_stub_vec;

/* Of one process, by address. All zero is empty. */
struct fnp_hotspot_stubs {
	fnp_hotspot_stub_vec all;
	uint64_t first; /* the list's front when it was read */
};

/* "jbyte_disjoint_arraycopy"; NULL: nobody describes what lies there. The name stands until the next call. */
const char *fnp_hotspot_stub_name(struct fnp_hotspot_stubs *stubs, const struct fnp_hotspot_view *view,
				  uint64_t address);
void fnp_hotspot_stubs_clear(struct fnp_hotspot_stubs *stubs);

/* ---- collections (hotspot_causes.c) ------------------------------------------------------------------------------ */

/*
 * Where a process tells why it collects: a pointer at `ret_heap` (as the object counts), and the 32 bits that stand
 * `ret_offset` behind where it points. -EAGAIN: the library is being loaded; -ENOENT: it is not published, or not known
 * of this major version.
 */
int fnp_hotspot_cause_place(const struct fnp_hotspot_place *place, unsigned int major, uint64_t *ret_heap,
			    uint32_t *ret_offset);

/* The words of -Xlog:gc for such a number of this major version; NULL: none, or not known. */
const char *fnp_hotspot_cause(unsigned int major, uint64_t number);

#endif
