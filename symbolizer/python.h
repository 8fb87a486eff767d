/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the CPython runtime: finding it (python_recognise.c), what its walker must know (python_layout.c,
 * python_thread.c), names (python_code.c) and lines (python_lines.c). python.c ties them to the seam.
 */
#ifndef FNP_SYMBOLIZER_PYTHON_H
#define FNP_SYMBOLIZER_PYTHON_H

#include "bpf/layout/python.h"
#include "symbolizer/runtime.h"

/* As fnp_runtime_ops.recognise. */
int fnp_python_recognise(const struct fnp_object *object, struct fnp_runtime_id *ret);

/* `_PyRuntime`: by its name, else by its section (3.11 and later). -ENOENT. */
int fnp_python_find_runtime(const struct fnp_object *object, struct fnp_object_symbol *ret);

/*
 * Fills the walker's layout for this interpreter, which was recognised as `id`. -EOPNOTSUPP: a version or build whose
 * structs are not known.
 */
int fnp_python_layout_read(const struct fnp_object *object, const struct fnp_runtime_id *id,
			   struct fnp_python_layout *ret);

/* Fills what the walker must know to find a thread's state; `runtime` is `_PyRuntime`. */
void fnp_python_find_thread(const struct fnp_object *object, const struct fnp_object_symbol *runtime,
			    uint16_t minor, struct fnp_python_layout *l);

#define FNP_PYTHON_LOOP_PARTS 8

/* Ranges of the interpreter's loop, as the file counts addresses. */
struct fnp_python_loop {
	struct fnp_runtime_range parts[FNP_PYTHON_LOOP_PARTS];
	size_t n;
};

/* -ENOENT: the file does not say where its loop is. */
int fnp_python_find_loop(const struct fnp_object *object, struct fnp_python_loop *ret);

/*
 * Code of the collector, as the file counts, where its probes or what PyGC_Collect() calls tell; nothing is no error. A file
 * with symbols has more to say by their names.
 */
void fnp_python_find_collector(const struct fnp_object *object, struct fnp_python_loop *ret);

enum fnp_python_place_kind {
	FNP_PYTHON_COLLECT_BEGIN, /* the function's entry: (state, generation, ...) from 3.9 on */
	FNP_PYTHON_COLLECT_END,
	FNP_PYTHON_IMPORT_BEGIN, /* a call: the third argument is the module's name, a str */
	FNP_PYTHON_IMPORT_END,	 /* behind it: what was returned is NULL where it failed */
	FNP_PYTHON_PLACE_KINDS,
};

#define FNP_PYTHON_PLACES_MAX 32

struct fnp_python_place_at {
	enum fnp_python_place_kind kind;
	uint64_t address; /* as the file counts */
};

/* Where the interpreter collects and imports, as far as its code says; see python_places.c. */
struct fnp_python_places {
	struct fnp_python_place_at list[FNP_PYTHON_PLACES_MAX];
	size_t n;
};

/* None is no error. */
void fnp_python_find_places(const struct fnp_object *object, struct fnp_python_places *ret);

/* A process and where the interpreter's file lies in it. */
struct fnp_python_place {
	pid_t pid;
	uint64_t bias;
};

/* What a code object says of itself; owned texts. All zero is empty. */
struct fnp_python_code_info {
	char *name, *file; /* UTF-8 */
	uint8_t *table;
	size_t table_size;
	uint32_t first_line;
	bool cut;     /* there was more than could be copied */
	bool is_read; /* for the cache: the process's memory was asked */
};

void fnp_python_code_info_deinit(struct fnp_python_code_info *info);

/* One struct fnp_python_code with its texts at the cursor, which moves on. -EBADMSG; -ENODATA: it lacks a text. */
int fnp_python_code_info_take(struct fnp_cursor *c, struct fnp_python_code *ret_head,
			      struct fnp_python_code_info *ret);

/* From the process's memory. -ESRCH: there is no such code object any more. */
int fnp_python_code_info_read(const struct fnp_python_place *place, const struct fnp_python_layout *l,
			      uint64_t code, uint32_t cookie, struct fnp_python_code_info *ret);

/* `n_bytes` of units of `kind` bytes to UTF-8, with "..." after it when it was cut; NULL without memory. */
char *fnp_python_text_to_utf8(const void *units, size_t n_bytes, uint8_t kind, bool cut);

/* The line of the instruction at a byte offset, for Python 3.`minor`; 0 when it has none. */
uint32_t fnp_python_line(const struct fnp_python_code_info *code, uint16_t minor, int32_t instruction);

#endif
