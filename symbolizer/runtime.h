/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam of language runtimes: which one runs in a process, what its walker is told, what its frames are called.
 *
 * A runtime is one file (and its helpers) that defines `const struct fnp_runtime_ops fnp_runtime_NAME`, its walker
 * bpf/walk/NAME.h, the layout that this walker reads, bpf/layout/NAME.h, and one word in the list of
 * symbolizer/CMakeLists.txt. Nothing else is edited.
 *
 * Three steps, each needing more of the process than the one before:
 *   recognise  a file alone: is this the runtime, in which version? The answer may be kept by build id.
 *   attach     a process and one of its mappings: fill the layout, get ready to name frames.
 *   name       one frame of a sample to its lines.
 * Files and memory of a target are hostile: every step bounds what it reads and how long it looks.
 */
#ifndef FNP_SYMBOLIZER_RUNTIME_H
#define FNP_SYMBOLIZER_RUNTIME_H

#include <stdbool.h>
#include <sys/types.h>

#include "symbolizer/object.h"

struct fnp_runtime_ops;

/* What a file was recognised as. */
struct fnp_runtime_id {
	const struct fnp_runtime_ops *ops; /* NULL: no runtime that we know */
	char text[32];			   /* as rows show it: "python3.12", "jvm21", "node24", "native" */
	char version[48];      /* as long as the file tells: "3.12.1", "17.0.9+9"; "" when it does not */
	uint16_t major, minor; /* 0 when not known */
};

/* One mapping of a process, as /proc/PID/maps has it. */
struct fnp_runtime_mapping {
	uint64_t start, limit, offset;
	const struct fnp_object *object; /* NULL: anonymous, or no ELF file that could be opened */
	bool executable;
};

/* What is known of a process; borrowed for the call. */
struct fnp_runtime_process {
	pid_t pid;
	const struct fnp_runtime_mapping *mappings; /* ordered by address */
	size_t n_mappings;
	bool source_maps; /* names and lines of what its code was translated from, where that is said */
};

/* Where in a process a runtime was found. */
struct fnp_runtime_match {
	struct fnp_runtime_id id;
	const struct fnp_object *object;
	uint64_t bias; /* add it to addresses as the object counts them to get the process's */
};

/* Code that does not stand for itself, but for a runtime's frames; addresses as the object counts them. */
struct fnp_runtime_range {
	uint64_t start, end;
	uint16_t data; /* the walker's own */
};

/* What one attached process is to its runtime; each runtime has its own. */
struct fnp_runtime;

/* How a frame ran, as far as it is shown. */
enum fnp_runtime_tier {
	FNP_RUNTIME_TIER_NONE,
	FNP_RUNTIME_TIER_JIT,
	FNP_RUNTIME_TIER_INTERPRETED, /* only where a JIT exists */
	FNP_RUNTIME_TIER_AWAITING,    /* awaits, but is not on the stack */
};

#define FNP_RUNTIME_LINES_MAX 64

struct fnp_runtime_line {
	const char *name;	   /* never NULL */
	const char *file;	   /* "" when not known */
	uint32_t start_line, line; /* 0 when not known */
};

/* A named frame: lines innermost first, the last one is the function that exists. */
struct fnp_runtime_frame {
	struct fnp_runtime_line lines[FNP_RUNTIME_LINES_MAX];
	size_t n_lines; /* at least 1 */
	enum fnp_runtime_tier tier;
	const char *mapping; /* pseudo-mapping: "[python]", "[jvm c2]" */
	uint64_t address;    /* in that mapping; equal for equal places in code */
};

/* How a native frame is shown in a process of a runtime. */
enum fnp_runtime_native {
	FNP_RUNTIME_NATIVE_SHOWN,
	FNP_RUNTIME_NATIVE_HIDDEN, /* the runtime's own machinery: not shown unless asked for */
	FNP_RUNTIME_NATIVE_GC,	   /* its collector: a run of them is one marker "[gc]" */
};

struct fnp_runtime_ops {
	const char *name;    /* of the file and of the walker: "python" */
	uint8_t word_kind;   /* enum fnp_word_kind of its frames; 0: has none */
	uint8_t code_kind;   /* enum fnp_code_kind of its ranges and of its words in struct fnp_space */
	const char *layouts; /* the walker's map of layouts: "fnp_python_layouts" */
	/* The layout is of one process, not of all that have the file, and `ranges` are addresses of the process. */
	bool of_process;
	/*
	 * It makes code without a file while it starts, before refresh() says 1 for the first time: stacks through such code
	 * wait for that.
	 */
	bool code_comes_first;
	/* Is this object the runtime? 0 and `ret`, -ENOENT when it is not. Reads the file alone. */
	int (*recognise)(const struct fnp_object *object, struct fnp_runtime_id *ret);
	/*
	 * Gets ready for one process; NULL where frames are not understood yet. -EOPNOTSUPP, with a warning that was
	 * said once: this version cannot be walked, its native frames are still right.
	 */
	int (*attach)(const struct fnp_runtime_process *process, const struct fnp_runtime_match *match,
		      struct fnp_runtime **ret);
	void (*detach)(struct fnp_runtime *runtime);
	/*
	 * Of a runtime that makes its code only after it was loaded; else NULL. Looks again: 1 when layout or ranges are
	 * new, 0 when all is known and as it was, -EAGAIN when it must be asked again, another error when there is no
	 * hope. Layout and ranges have no meaning before the first 1.
	 */
	int (*refresh)(struct fnp_runtime *runtime);
	/* The process's mappings changed: the next refresh() has something to look at. May be NULL. */
	void (*remapped)(struct fnp_runtime *runtime);
	/*
	 * What the walker reads, a struct of bpf/layout/NAME.h: the same bytes for every process of this file, so it is
	 * put once into the map `layouts`. The space's words of this runtime are then {its number there, the match's
	 * bias, 0, ...}. Lives as long as the runtime.
	 */
	const void *(*layout)(const struct fnp_runtime *runtime, size_t *ret_size);
	/* Ranges of the match's object that have the kind `code_kind`; their number. Lives as long as the runtime. */
	size_t (*ranges)(const struct fnp_runtime *runtime, const struct fnp_runtime_range **ret);
	/*
	 * Has the process started it? Asked where several files of this runtime are in one process: then the walker is told
	 * of the one that runs. May be NULL: yes.
	 */
	bool (*in_use)(const struct fnp_runtime *runtime);
	/* Does code without a file belong to this runtime's walker, too? May be NULL: no. */
	bool (*makes_code)(const struct fnp_runtime *runtime);
	/*
	 * A record of the kernel side about names (see the layout header), without its fnp_record head: kept for
	 * frames that come after it. 0, -EBADMSG.
	 */
	int (*learn)(struct fnp_runtime *runtime, const void *data, size_t size);
	/*
	 * Names one frame: its head word and the words after it. Texts are the runtime's and stand until its next
	 * call. -ESRCH: the code is not any more what was seen, so there is no name, never another's.
	 */
	int (*name_frame)(struct fnp_runtime *runtime, const uint64_t *words, size_t n_words,
			  struct fnp_runtime_frame *ret);
	/*
	 * What to do with a native frame of this process whose code lies in `object`; `name` is its symbol or NULL.
	 * The slot may be NULL: all are shown.
	 */
	enum fnp_runtime_native (*native)(const struct fnp_runtime *runtime, const struct fnp_object *object,
					  const char *name);
	/*
	 * Where memory without a file holds a copy of the object's code: the process's address of what lies there in the
	 * object's own mapping; 0: it is no copy. May be NULL.
	 */
	uint64_t (*original)(const struct fnp_runtime *runtime, uint64_t address);
	/* Is this its collector's code, also where a stripped file has no name for it? May be NULL: asked by name alone. */
	bool (*collects)(const struct fnp_runtime *runtime, const struct fnp_object *object, uint64_t address);
};

/* All runtimes that were built in, ended by NULL. */
extern const struct fnp_runtime_ops *const fnp_runtimes[];

/* What this file is; "native" when it is no runtime. Milliseconds for a big file: keep the answer by build id. */
void fnp_runtime_recognise(const struct fnp_object *object, struct fnp_runtime_id *ret);

/* Looks an object up where its answer is kept; the default is fnp_runtime_recognise. */
typedef void fnp_runtime_recogniser(void *context, const struct fnp_object *object, struct fnp_runtime_id *ret);

#define FNP_RUNTIME_MATCHES_MAX 4

/*
 * All runtimes in a process, the one that it is named by first: the program's own, then JVM, V8, Python (a program
 * that embeds one of them by a library). Their number; 0 means native. `recognise` may be NULL.
 */
size_t fnp_runtime_find(const struct fnp_runtime_process *process, fnp_runtime_recogniser *recognise,
			void *context, struct fnp_runtime_match ret[FNP_RUNTIME_MATCHES_MAX]);

/* ---- for runtimes ------------------------------------------------------------------------------------------- */

/*
 * Looks several defined symbols up in one pass of .dynsym, then those that are missing in .symtab; ret[i].type is
 * STT_NOTYPE and its address 0 for what is not there. The number found.
 */
size_t fnp_runtime_symbols(const struct fnp_object *object, const char *const *names, size_t n_names,
			   struct fnp_object_symbol *ret);

/* The same, in .dynsym alone: what a stripped file still has. */
size_t fnp_runtime_exports(const struct fnp_object *object, const char *const *names, size_t n_names,
			   struct fnp_object_symbol *ret);

/* The read-only data of an object (.rodata, else its segments that are not written), piece by piece; -ENOENT. */
int fnp_runtime_constants(const struct fnp_object *object, size_t piece, struct fnp_cursor *ret);

/* Looks for bytes from a cursor of the object's on; NULL. Cursors and what they point to stand. */
const uint8_t *fnp_runtime_search(const struct fnp_object *object, struct fnp_cursor c, const void *bytes,
				  size_t size);

/*
 * The version number that stands in the constants after `before`: digits, dots, and up to the first byte that a
 * version does not have. The first one with major >= 1. -ENOENT.
 */
int fnp_runtime_version_after(const struct fnp_object *object, const char *before, char *ret, size_t size);

/* "17.0.9+9" to 17 and 0. */
void fnp_runtime_parse_version(const char *text, uint16_t *ret_major, uint16_t *ret_minor);

/* Reads memory of a process, all of it or nothing: 0, -EFAULT, -ESRCH, -EPERM. */
int fnp_runtime_read(pid_t pid, uint64_t address, void *ret, size_t size);

#endif
