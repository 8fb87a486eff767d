/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What V8 publishes, and where its code lies in a process.
 *
 * The constants are 32-bit numbers behind exported symbols v8dbg_*, also in stripped files. They are read once a file.
 * What they leave out is told by the shape of the others: up to V8 10 a Code is one object with its instructions; from
 * 11 on those are an InstructionStream that has a Code beside it; from 12 on the fields of a Code have their own names.
 *
 * Generated code lies in anonymous memory: each isolate reserves a range, of which a part is executable; WebAssembly
 * reserves others. The embedded builtins lie in the file's own code; V8 maps them a second time beside a code range, or, up to
 * Node.js 18, copies them to the end of one that lies far from them, as where workers come and go.
 */
#include "symbolizer/v8.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/file.h"

#define SPELLINGS_MAX 3
#define PREFIX "v8dbg_"
#define NAMES_MAX (FNP_V8_CONSTANTS_MAX * SPELLINGS_MAX)
#define NAME_MAX_BYTES 120
#define RESERVED_MAX (UINT64_C(4) << 30)
#define TAG 1
#define PAGE 4096
#define COMPARED 64 /* bytes at both ends of a copy */

static const struct {
	int32_t otherwise;
	const char *spellings[SPELLINGS_MAX];
} constants[] = {
#define FNP_X_V8_ENTRY(name, otherwise, ...) {otherwise, {__VA_ARGS__}},
	FNP_V8_CONSTANTS(FNP_X_V8_ENTRY)
#undef FNP_X_V8_ENTRY
};

int32_t fnp_v8_value_at(const struct fnp_object *object, uint64_t address)
{
	const uint8_t *bytes;
	int32_t value = 0;

	if (fnp_object_read_address(object, address, sizeof(value), &bytes) == 0)
		memcpy(&value, bytes, sizeof(value));
	return value;
}

static void read_constants(const struct fnp_object *object, struct fnp_v8_tables *ret)
{
	static char texts[NAMES_MAX][NAME_MAX_BYTES];
	static const char *names[NAMES_MAX];
	struct fnp_object_symbol symbols[NAMES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < FNP_V8_CONSTANTS_MAX; i++) {
		for (size_t k = 0; k < SPELLINGS_MAX && constants[i].spellings[k]; k++, n++) {
			snprintf(texts[n], sizeof(texts[n]), PREFIX "%s", constants[i].spellings[k]);
			names[n] = texts[n];
		}
	}
	fnp_runtime_exports(object, names, n, symbols);
	n = 0;
	for (size_t i = 0; i < FNP_V8_CONSTANTS_MAX; i++) {
		bool found = false;
		ret->values[i] = constants[i].otherwise;
		for (size_t k = 0; k < SPELLINGS_MAX && constants[i].spellings[k]; k++, n++) {
			if (symbols[n].address && !found)
				ret->values[i] = fnp_v8_value_at(object, symbols[n].address);
			found |= symbols[n].address != 0;
		}
	}
}

/* The fields that have no constant, by the shape of those that have one. */
static int find_shape(struct fnp_v8_tables *t)
{
	const int32_t *v = t->values;

	t->type_stream = (uint16_t)v[fnp_v8_has(t, FNP_V8_TYPE_STREAM) ? FNP_V8_TYPE_STREAM : FNP_V8_TYPE_CODE];
	t->bytecode_positions = fnp_v8_has(t, FNP_V8_BYTECODE_WRAPPER) ? 24 : 32;
	if (!fnp_v8_has(t, FNP_V8_TYPE_STREAM)) {
		if (!fnp_v8_has(t, FNP_V8_CODE_OLD_START) || !fnp_v8_has(t, FNP_V8_CODE_SIZE))
			return -EOPNOTSUPP;
		t->stream_start = (uint16_t)v[FNP_V8_CODE_OLD_START];
		t->code_deopt = 16;
		t->code_positions = 24;
		t->code_size = (uint16_t)v[FNP_V8_CODE_SIZE];
		t->code_flags = (uint16_t)v[FNP_V8_CODE_FLAGS];
		return 0;
	}
	if (!fnp_v8_has(t, FNP_V8_STREAM_START))
		return -EOPNOTSUPP;
	t->stream_start = (uint16_t)v[FNP_V8_STREAM_START];
	t->stream_code = 8;
	t->code_start = 40;
	if (!fnp_v8_has(t, FNP_V8_CODE_START)) {
		t->code_deopt = 16;
		t->code_positions = 24;
		t->code_flags = 48;
		t->code_size = 56;
		return 0;
	}
	t->code_start = (uint16_t)v[FNP_V8_CODE_START];
	t->code_deopt = 8;
	t->code_positions = 16;
	t->code_flags = (uint16_t)v[FNP_V8_CODE_FLAGS];
	t->code_size = (uint16_t)v[FNP_V8_CODE_SIZE];
	return 0;
}

int fnp_v8_tables_read(const struct fnp_object *object, uint16_t node_major, struct fnp_v8_tables *ret)
{
	static const enum fnp_v8_constant needed[] = {
		FNP_V8_MAP_TYPE,	 FNP_V8_FUNCTION_SHARED, FNP_V8_SHARED_NAME,
		FNP_V8_SHARED_SCRIPT,	 FNP_V8_SHARED_FLAGS,	 FNP_V8_SCRIPT_SOURCE,
		FNP_V8_SCRIPT_LINE_ENDS, FNP_V8_STRING_LENGTH,	 FNP_V8_BYTECODE_DATA,
		FNP_V8_TYPE_SHARED,	 FNP_V8_TYPE_SCRIPT,	 FNP_V8_TYPE_BYTECODE,
		FNP_V8_TYPE_SCOPE,	 FNP_V8_TYPE_CODE,	 FNP_V8_KIND_BASELINE,
		FNP_V8_KIND_INTERPRETED};
	struct fnp_v8_tables t = {0};

	read_constants(object, &t);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(needed); i++) {
		if (!fnp_v8_has(&t, needed[i]))
			return -EOPNOTSUPP;
	}
	/* Electron and Deno keep pointers in 32 bits. */
	if (t.values[FNP_V8_TAGGED_SIZE] != 8 || t.values[FNP_V8_SMI_SHIFT] != 31)
		return -EOPNOTSUPP;
	/* Nothing that is published tells of this change; 25.0 and 25.9 have it. */
	t.position_shift = node_major >= 25;
	fnp_v8_builtins_find(object, node_major, &t);
	int r = find_shape(&t);
	if (r == 0)
		*ret = t;
	return r;
}

/* A field that must lie whole in the first `size` bytes of its object, less the tag. */
static bool set_field(int32_t offset, size_t bytes, size_t size, uint16_t *ret)
{
	if (offset < TAG || (size_t)offset > size - bytes)
		return false;
	*ret = (uint16_t)(offset - TAG);
	return true;
}

static bool set_slot(int32_t offset, uint16_t *ret)
{
	*ret = (uint16_t)-offset;
	return offset <= -8 && offset >= -64 && offset % 8 == 0;
}

/* What it takes to find who awaits; all or nothing. */
static void set_await(const struct fnp_v8_tables *t, struct fnp_v8_layout *ret)
{
	static const enum fnp_v8_constant needed[] = {FNP_V8_FUNCTION_CONTEXT,	   FNP_V8_TYPE_ASYNC_FUNCTION,
						      FNP_V8_TYPE_ASYNC_GENERATOR, FNP_V8_TYPE_REQUEST,
						      FNP_V8_TYPE_PROMISE,	   FNP_V8_TYPE_REACTION,
						      FNP_V8_TYPE_CAPABILITY};
	const int32_t *v = t->values;

	for (size_t i = 0; i < FNP_ARRAY_SIZE(needed); i++) {
		if (v[needed[i]] <= 0 || v[needed[i]] > UINT16_MAX)
			return;
	}
	if (!set_field(v[FNP_V8_FUNCTION_CONTEXT], 8, FNP_V8_FUNCTION_MAX, &ret->function_context))
		return;
	ret->type_async_function = (uint16_t)v[FNP_V8_TYPE_ASYNC_FUNCTION];
	ret->type_async_generator = (uint16_t)v[FNP_V8_TYPE_ASYNC_GENERATOR];
	ret->type_request = (uint16_t)v[FNP_V8_TYPE_REQUEST];
	ret->type_promise = (uint16_t)v[FNP_V8_TYPE_PROMISE];
	ret->type_reaction = (uint16_t)v[FNP_V8_TYPE_REACTION];
	ret->type_capability = (uint16_t)v[FNP_V8_TYPE_CAPABILITY];
}

/* Offsets, types and numbers of fields are: with these no sum of some of them is too big. */
static bool are_small(const struct fnp_v8_tables *t)
{
	for (size_t i = 0; i < FNP_V8_CONSTANTS_MAX; i++) {
		if (t->values[i] != FNP_V8_ABSENT && (t->values[i] > UINT16_MAX || t->values[i] < -UINT16_MAX))
			return false;
	}
	return true;
}

int fnp_v8_layout_read(const struct fnp_v8_tables *t, struct fnp_v8_layout *ret)
{
	const int32_t *v = t->values;
	struct fnp_v8_layout l = {.knows_trampoline = t->trampoline != 0,
				  .data_bytecode = (uint16_t)(t->code_deopt - TAG),
				  .deopt_input = t->deopt_input,
				  .deopt_content = t->deopt_content,
				  .type_shared = (uint16_t)v[FNP_V8_TYPE_SHARED],
				  .type_script = (uint16_t)v[FNP_V8_TYPE_SCRIPT],
				  .type_bytecode = (uint16_t)v[FNP_V8_TYPE_BYTECODE]};
	bool good;

	if (!are_small(t))
		return -EOPNOTSUPP;
	/* The function's number stands behind its flags, the script's id behind the ends of its lines. */
	good = set_field(v[FNP_V8_MAP_TYPE], 2, 64, &l.map_type) &&
	       set_field(v[FNP_V8_FUNCTION_SHARED], 8, FNP_V8_FUNCTION_MAX, &l.function_shared) &&
	       set_field(v[FNP_V8_SHARED_DATA], 8, FNP_V8_SHARED_MAX, &l.shared_data) &&
	       set_field(v[FNP_V8_SHARED_NAME], 8, FNP_V8_SHARED_MAX, &l.shared_name) &&
	       set_field(v[FNP_V8_SHARED_SCRIPT], 8, FNP_V8_SHARED_MAX, &l.shared_script) &&
	       set_field(v[FNP_V8_SHARED_FLAGS] + 4, 4, FNP_V8_SHARED_MAX, &l.shared_literal) &&
	       set_field(v[FNP_V8_SHARED_LENGTH], 8, FNP_V8_SHARED_MAX, &l.shared_shape) &&
	       set_field(v[FNP_V8_SCRIPT_LINE_ENDS] + 8, 8, FNP_V8_SCRIPT_MAX, &l.script_id) &&
	       set_field(v[FNP_V8_BYTECODE_DATA], 1, 256, &l.bytecode_data) &&
	       set_slot(v[FNP_V8_SLOT_CONTEXT], &l.slot_context) &&
	       set_slot(v[FNP_V8_SLOT_FUNCTION], &l.slot_function) &&
	       set_slot(v[FNP_V8_SLOT_BYTECODE], &l.slot_bytecode) &&
	       set_slot(v[FNP_V8_SLOT_OFFSET], &l.slot_offset);

	if (!good)
		return -EOPNOTSUPP;
	set_await(t, &l);
	*ret = l;
	return 0;
}

/* ---- places ------------------------------------------------------------------------------------------------- */

/* One line of /proc/PID/maps. */
struct mapping {
	uint64_t start, end, offset;
	char access[8];
	bool is_anonymous;
};

/* Neighbours of one reservation, of which a part can be executed. */
struct run {
	uint64_t start, end;
	bool executable;
};

static bool parse(const char *line, struct mapping *ret)
{
	int path = 0;

	if (sscanf(line, "%lx-%lx %7s %lx %*s %*u %n", &ret->start, &ret->end, ret->access, &ret->offset,
		   &path) != 4)
		return false;
	ret->is_anonymous = path && (line[path] == '\0' || strncmp(line + path, "[anon:", 6) == 0);
	return ret->end > ret->start;
}

static void add(struct fnp_v8_places *places, uint64_t start, uint64_t end, enum fnp_v8_range data)
{
	if (places->n_ranges < FNP_V8_RANGES_MAX)
		places->ranges[places->n_ranges++] = (struct fnp_runtime_range){
			.start = start, .end = end, .data = data};
}

static void close_run(struct run *run, struct fnp_v8_places *ret)
{
	if (run->executable && run->end - run->start <= RESERVED_MAX)
		add(ret, run->start, run->end, FNP_V8_RANGE_CODE);
	*run = (struct run){0};
}

static void add_builtins(uint64_t start, const struct fnp_v8_tables *t, struct fnp_v8_places *ret)
{
	for (size_t i = 0; i < ret->n_ranges; i++) {
		if (ret->ranges[i].start == start)
			return;
	}
	add(ret, start, start + t->builtins_size, FNP_V8_RANGE_BUILTINS);
	if (t->trampoline)
		add(ret, start + (t->trampoline - t->builtins), start + (t->trampoline_end - t->builtins),
		    FNP_V8_RANGE_TRAMPOLINE);
	for (size_t i = 0; i < t->n_deopts; i++)
		add(ret, start + t->deopts[i].start, start + t->deopts[i].end, FNP_V8_RANGE_DEOPT);
}

/*
 * The builtins in a mapping of the file itself, or of a copy of them. In a stripped file the copy tells where they are:
 * it lies inside of a code range.
 */
static void look_for_builtins(const struct mapping *m, bool in_range, struct fnp_v8_tables *t,
			      const struct fnp_object *object, struct fnp_v8_places *ret)
{
	uint64_t address;

	if (fnp_object_address_of_offset(object, m->offset, &address) < 0)
		return;
	if (!t->builtins && in_range) {
		t->builtins = address;
		t->builtins_size = m->end - m->start;
	}
	if (!t->builtins)
		return;
	if (address > t->builtins || m->end - m->start < t->builtins_size ||
	    t->builtins - address > m->end - m->start - t->builtins_size)
		return;
	add_builtins(m->start + (t->builtins - address), t, ret);
}

/* What goes on from line to line. */
struct scan {
	pid_t pid;
	struct fnp_v8_tables tables;
	const struct fnp_object *object;
	struct run run;
	uint64_t copy_end; /* of the copy of the builtins seen last */
	struct fnp_v8_places places;
};

/* Anonymous memory that holds what the file's builtins begin and end with. */
static bool is_copy_of_builtins(const struct scan *scan, const struct mapping *m)
{
	const struct fnp_v8_tables *t = &scan->tables;
	uint8_t there[COMPARED];
	const uint8_t *bytes;
	uint64_t last;

	if (!m->is_anonymous || t->builtins_size < COMPARED || m->end - m->start < t->builtins_size ||
	    m->end - m->start - t->builtins_size >= PAGE || !t->builtins ||
	    fnp_object_read_address(scan->object, t->builtins, t->builtins_size, &bytes) < 0)
		return false;
	last = t->builtins_size - COMPARED;
	return fnp_runtime_read(scan->pid, m->start, there, COMPARED) == 0 &&
	       memcmp(there, bytes, COMPARED) == 0 &&
	       fnp_runtime_read(scan->pid, m->start + last, there, COMPARED) == 0 &&
	       memcmp(there, bytes + last, COMPARED) == 0;
}

static void add_copy(uint64_t start, const struct fnp_v8_tables *t, struct fnp_v8_places *ret)
{
	add_builtins(start, t, ret);
	if (ret->n_copies < FNP_V8_COPIES_MAX)
		ret->copies[ret->n_copies++] = start;
}

/* Code ranges are whole reservations: a part is made executable only when there is code for it. */
static void take_mapping(struct scan *scan, const struct mapping *m, bool is_own)
{
	bool executable = m->access[2] == 'x', is_copy = executable && is_copy_of_builtins(scan, m),
	     reserved = m->is_anonymous && !is_copy && (m->access[0] == '-' || executable);
	struct run *run = &scan->run;

	if ((is_own && executable) || is_copy) {
		bool in_range = run->end == m->start;

		/* What has a copy of the builtins in its middle is a code range. */
		run->executable |= in_range;
		scan->copy_end = in_range ? m->end : 0;
		if (is_copy)
			add_copy(m->start, &scan->tables, &scan->places);
		else
			look_for_builtins(m, in_range, &scan->tables, scan->object, &scan->places);
	}
	if (m->start != run->end || !reserved)
		close_run(run, &scan->places);
	if (!reserved)
		return;
	run->executable |= executable || m->start == scan->copy_end;
	run->start = run->end ? run->start : m->start;
	run->end = m->end;
}

/* Where the pointer to the builtins leads, once the dynamic linker has set it. */
static void follow_builtins(pid_t pid, uint64_t bias, const struct fnp_object *object, struct fnp_v8_tables *t)
{
	const uint8_t *bytes;
	uint64_t address;

	if (t->builtins || !t->builtins_at ||
	    fnp_runtime_read(pid, t->builtins_at + bias, &address, sizeof(address)) < 0 || address < bias ||
	    fnp_object_read_address(object, address - bias, t->builtins_size, &bytes) < 0)
		return;
	t->builtins = address - bias;
}

int fnp_v8_places_read(pid_t pid, const struct fnp_v8_tables *tables, uint64_t bias,
		       const struct fnp_object *object, struct fnp_v8_places *ret)
{
	struct scan scan = {.pid = pid, .tables = *tables, .object = object};
	fnp_autobuffer struct fnp_buffer text = {0};
	const char *name = strrchr(fnp_object_name(object), '/');
	char path[64], *rest = NULL;
	int r;

	follow_builtins(pid, bias, object, &scan.tables);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	r = fnp_file_read_at(AT_FDCWD, path, 16 << 20, &text);
	if (r < 0)
		return r;
	for (char *line = strtok_r((char *)text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		struct mapping m;

		if (parse(line, &m))
			take_mapping(&scan, &m, name && strstr(line, name));
	}
	close_run(&scan.run, &scan.places);
	if (scan.tables.builtins)
		add_builtins(scan.tables.builtins + bias, &scan.tables, &scan.places);
	scan.places.builtins = scan.tables.builtins;
	scan.places.builtins_size = scan.tables.builtins_size;
	*ret = scan.places;
	return 0;
}
