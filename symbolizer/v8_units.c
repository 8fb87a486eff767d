/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a place in compiled code stands for: the function, and the functions inlined there.
 *
 * Optimized code has a table of positions (v8_positions.c), whose entries say in which inlining they are; each inlining
 * says which function it is, where it was called and in which inlining.
 *
 * V8 throws code away when what it assumed is no longer so, and a busy machine may let us look only then. So when code is
 * first seen all is read that its other places need: its bytes, its tables, its functions. What is there now goes first; a
 * unit that is kept tells of a place alone when nothing is there that fits, its bytes do, and the frame is of the very function
 * that it was made of. Units are many, their bytes are bounded: when there are too many, all are forgotten.
 *
 * Code that is thrown away may stay for a while, but not whole. In Node.js 26 its instructions are overwritten by
 * breakpoints: then it is believed when its tables say that it was made of the frame's function. Up to Node.js 18 it loses
 * its functions, and keeps its positions, which tell at least where nothing was inlined.
 */
#include "base/vec.h"
#include "symbolizer/v8.h"

#define KEPT_BYTES_MAX (256 << 10)	/* of one unit's code; bigger code is read anew for each place */
#define ALL_BYTES_MAX ((size_t)4 << 20) /* of all that is kept */
#define AROUND 8			/* bytes of code before and behind it */
#define OVERWRITTEN UINT64_C(0xcccccccccccccccc)
#define INLININGS_MAX 4096
#define MEMBERS_MAX 256

struct inlining {
	uint64_t position;
	int32_t function;
	int32_t pad;
};
_Static_assert(sizeof(struct inlining) == 16, "inlining");

struct unit {
	struct fnp_v8_head head; /* as it was */
	uint8_t *bytes;		 /* from AROUND before the code to AROUND behind it; NULL: not kept */
	uint8_t *positions;
	size_t positions_size;
	struct inlining *inlinings;
	size_t n_inlinings;
	struct fnp_v8_member *members; /* the first one is what was compiled; none of baseline code */
	size_t n_members;
	uint64_t own; /* ids of what was compiled; 0: not known */
	bool is_bare; /* optimized code without its functions */
};

struct fnp_v8_units {
	FNP_VEC(struct unit *) all; /* by where they begin; of two at one place the newer one comes later */
	size_t bytes;
	struct unit *last; /* one that is not kept; stands until the next is read */
};

static void unit_destroy(struct unit *unit)
{
	if (!unit)
		return;
	for (size_t i = 0; i < unit->n_members; i++)
		fnp_v8_function_deinit(&unit->members[i].function);
	free(unit->members);
	free(unit->inlinings);
	free(unit->positions);
	free(unit->bytes);
	free(unit);
}
FNP_DEFINE_CLEANUP(unit_destroyp, struct unit *, unit_destroy)

int fnp_v8_units_create(struct fnp_v8_units **ret)
{
	struct fnp_v8_units *units = calloc(1, sizeof(*units));

	if (!units)
		return -ENOMEM;
	*ret = units;
	return 0;
}

static void forget_all(struct fnp_v8_units *units)
{
	for (size_t i = 0; i < units->all.len; i++)
		unit_destroy(units->all.items[i]);
	units->all.len = 0;
	units->bytes = 0;
}

void fnp_v8_units_destroy(struct fnp_v8_units *units)
{
	if (!units)
		return;
	forget_all(units);
	fnp_vec_deinit(&units->all);
	unit_destroy(units->last);
	free(units);
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

/* An element of one of V8's arrays. */
static int element(const struct fnp_v8_view *view, uint64_t array, uint64_t index, uint64_t *ret)
{
	const int32_t *v = view->tables.values;
	uint64_t length;
	int r = fnp_v8_field(view, array, v[FNP_V8_ARRAY_LENGTH], &length);

	if (r < 0 || (uint32_t)length || index >= length >> 32)
		return -ESRCH;
	return fnp_v8_field(view, array, v[FNP_V8_ARRAY_DATA] + 8 * (int32_t)index, ret);
}

/* The function that was compiled. */
static int own_function(const struct fnp_v8_view *view, uint64_t deopt, uint64_t *ret)
{
	const struct fnp_v8_tables *t = &view->tables;
	bool is_wrapped = fnp_v8_has(t, FNP_V8_DEOPT_WRAPPED_SHARED);
	int r = element(view, deopt,
			(uint64_t)t->values[is_wrapped ? FNP_V8_DEOPT_WRAPPED_SHARED : FNP_V8_DEOPT_SHARED],
			ret);

	return r ?: is_wrapped ? fnp_v8_field(view, *ret, 8, ret) : 0;
}

static const struct fnp_v8_member *find_member(const struct unit *unit, int32_t literal)
{
	for (size_t i = 0; i < unit->n_members; i++) {
		if (unit->members[i].literal == literal)
			return &unit->members[i];
	}
	return NULL;
}

/* There is room for one more. A function that cannot be read is one that is not known. */
static int add_member(const struct fnp_v8_view *view, struct fnp_v8_scripts *scripts, uint64_t shared,
		      struct unit *unit)
{
	struct fnp_v8_member *member = &unit->members[unit->n_members];
	struct fnp_v8_function *f = &member->function;
	int r = fnp_v8_function_read(view, shared & ~UINT64_C(2), f);

	if (r == -ENOMEM)
		return r;
	unit->n_members++;
	member->is_known = r == 0;
	if (r < 0 || fnp_v8_scripts_get(scripts, view, f->script, (uint32_t)(f->ids >> 32), &member->script) < 0)
		member->script = NULL;
	member->age = fnp_v8_scripts_age(scripts);
	return 0;
}

/* All functions of optimized code. */
static int read_members(const struct fnp_v8_view *view, struct fnp_v8_scripts *scripts, struct unit *unit)
{
	uint64_t literals, shared;
	int r = own_function(view, unit->head.deopt, &shared);

	r = r ?: element(view, unit->head.deopt, (uint64_t)view->tables.values[FNP_V8_DEOPT_LITERALS], &literals);
	if (r < 0)
		return r;
	unit->members = calloc(FNP_MIN(unit->n_inlinings + 1, (size_t)MEMBERS_MAX), sizeof(unit->members[0]));
	if (!unit->members)
		return -ENOMEM;
	unit->members[0].literal = -1;
	r = add_member(view, scripts, shared, unit);
	for (size_t i = 0; r == 0 && i < unit->n_inlinings; i++) {
		int32_t literal = FNP_MAX(unit->inlinings[i].function, -1);

		if (find_member(unit, literal))
			continue;
		if (unit->n_members == MEMBERS_MAX)
			return -ESRCH;
		unit->members[unit->n_members].literal = literal;
		r = element(view, literals, (uint64_t)literal, &shared);
		r = r ?: add_member(view, scripts, shared, unit);
	}
	return r;
}

static int read_tables(const struct fnp_v8_view *view, struct unit *unit)
{
	uint64_t inlinings;
	size_t size;
	int r = fnp_v8_byte_array(view, unit->head.positions, &unit->positions, &unit->positions_size);

	r = r
		    ?: element(view, unit->head.deopt, (uint64_t)view->tables.values[FNP_V8_DEOPT_INLINING],
			       &inlinings);
	r = r ?: fnp_v8_byte_array(view, inlinings, (uint8_t **)&unit->inlinings, &size);
	if (r < 0)
		return r;
	unit->n_inlinings = size / sizeof(struct inlining);
	return unit->n_inlinings > INLININGS_MAX ? -ESRCH : 0;
}

static bool is_optimized(const struct unit *unit)
{
	return unit->head.tier == FNP_V8_TIER_MAGLEV || unit->head.tier == FNP_V8_TIER_TURBOFAN;
}

/* What was taken from code that is thrown away is an empty array. */
static bool has_lost_functions(const struct fnp_v8_view *view, const struct unit *unit)
{
	uint64_t length;

	return fnp_v8_field(view, unit->head.deopt, view->tables.values[FNP_V8_ARRAY_LENGTH], &length) == 0 &&
	       length == 0 && unit->positions_size;
}

static int read_optimized(const struct fnp_v8_view *view, struct fnp_v8_scripts *scripts, struct unit *unit)
{
	int r = read_tables(view, unit);

	unit->is_bare = r == -ESRCH && has_lost_functions(view, unit);
	return unit->is_bare ? 0 : r ?: read_members(view, scripts, unit);
}

static int read_unit(const struct fnp_v8_view *view, struct fnp_v8_scripts *scripts,
		     const struct fnp_v8_head *head, struct unit **ret)
{
	FNP_CLEANUP(unit_destroyp) struct unit *unit = calloc(1, sizeof(*unit));
	int r = 0;

	if (!unit)
		return -ENOMEM;
	unit->head = *head;
	if (head->size <= KEPT_BYTES_MAX) {
		unit->bytes = calloc(1, head->size + 2 * AROUND);
		if (!unit->bytes)
			return -ENOMEM;
		r = fnp_runtime_read(view->pid, head->start - AROUND, unit->bytes, head->size + 2 * AROUND);
		if (r < 0) /* behind it no page may come */
			r = fnp_runtime_read(view->pid, head->start - AROUND, unit->bytes, head->size + AROUND);
	}
	if (r == 0 && is_optimized(unit))
		r = read_optimized(view, scripts, unit);
	if (r == 0)
		*ret = TAKE_PTR(unit);
	return r == -ENOMEM ? r : r < 0 ? -ESRCH : 0;
}

/* ---- keeping ------------------------------------------------------------------------------------------------ */

/* The first unit that begins behind an address. */
static size_t find_behind(const struct fnp_v8_units *units, uint64_t address)
{
	size_t low = 0, high = units->all.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (units->all.items[middle]->head.start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t size_of(const struct unit *unit)
{
	return sizeof(*unit) + unit->head.size + unit->positions_size +
	       unit->n_inlinings * sizeof(unit->inlinings[0]) +
	       unit->n_members * (sizeof(unit->members[0]) + 32);
}

/* Takes it over, also when it is not kept. */
static void keep(struct fnp_v8_units *units, struct unit *unit)
{
	size_t at;

	unit_destroy(units->last);
	units->last = NULL;
	if (units->bytes + size_of(unit) > ALL_BYTES_MAX)
		forget_all(units);
	if (!unit->bytes || fnp_vec_reserve(&units->all, units->all.len + 1) < 0) {
		units->last = unit;
		return;
	}
	at = find_behind(units, unit->head.start);
	memmove(&units->all.items[at + 1], &units->all.items[at],
		(units->all.len - at) * sizeof(units->all.items[0]));
	units->all.items[at] = unit;
	units->all.len++;
	units->bytes += size_of(unit);
}

static bool is_same(const struct fnp_v8_head *a, const struct fnp_v8_head *b)
{
	return a->address == b->address && a->start == b->start && a->size == b->size && a->tier == b->tier &&
	       a->deopt == b->deopt && a->positions == b->positions;
}

/* The newest unit around a pc for which `fits` says so; NULL. */
static struct unit *find(const struct fnp_v8_units *units, uint64_t pc,
			 bool (*fits)(const struct unit *unit, const void *what), const void *what)
{
	for (size_t i = find_behind(units, pc); i-- > 0;) {
		struct unit *unit = units->all.items[i];

		if (pc - unit->head.start > KEPT_BYTES_MAX)
			break;
		if (pc - unit->head.start < unit->head.size && fits(unit, what))
			return unit;
	}
	return NULL;
}

static bool any(const struct unit *unit, const void *what)
{
	(void)unit;
	(void)what;
	return true;
}

static bool has_head(const struct unit *unit, const void *what)
{
	return is_same(&unit->head, what);
}

/* Is this code what the frame ran, although it is not there any more? */
static bool is_gone(const struct unit *unit, const void *what)
{
	const struct fnp_v8_where *where = what;
	uint64_t around[2], offset = where->next - unit->head.start;

	if (!where->own || unit->own != where->own || offset > unit->head.size)
		return false;
	memcpy(around, unit->bytes + AROUND + offset - 8, sizeof(around));
	return fnp_v8_code_is_same(fnp_v8_code_hash(around[0], around[1]), where->hash);
}

/* Is this the frame's function's code, and nobody else's? */
static bool is_alone(const struct unit *unit, const void *what)
{
	const struct fnp_v8_where *where = what;

	return where->own && unit->own == where->own && unit->n_members && unit->n_inlinings == 0;
}

/* ---- places ------------------------------------------------------------------------------------------------- */

/* Code whose place is not known, of one function. */
static int set_alone(const struct unit *unit, struct fnp_v8_code *ret)
{
	ret->n = 0;
	ret->tier = unit->head.tier;
	ret->bytecode = 0;
	ret->position = -1;
	ret->is_own = true;
	return 0;
}

/* Code that lost its functions: where none was inlined, the frame's own is all. */
static int set_bare(const struct fnp_v8_view *view, const struct unit *unit, uint32_t offset,
		    struct fnp_v8_code *ret)
{
	struct fnp_v8_position at;
	int r = fnp_v8_position_find(fnp_cursor_of(unit->positions, unit->positions_size),
				     view->tables.position_shift, offset, &at);

	if (r < 0 || at.inlined >= 0)
		return -ESRCH;
	ret->is_own = true;
	ret->position = at.source;
	return 0;
}

static int set_scopes(const struct fnp_v8_view *view, const struct unit *unit, uint32_t offset,
		      struct fnp_v8_code *ret)
{
	struct fnp_v8_position at;
	int r = fnp_v8_position_find(fnp_cursor_of(unit->positions, unit->positions_size),
				     view->tables.position_shift, offset, &at);

	if (r < 0)
		return -ESRCH;
	for (ret->n = 0; at.inlined >= 0; ret->n++) {
		const struct fnp_v8_member *member;

		if (ret->n >= FNP_RUNTIME_LINES_MAX - 1 || (size_t)at.inlined >= unit->n_inlinings)
			return -ESRCH;
		member = find_member(unit, FNP_MAX(unit->inlinings[at.inlined].function, -1));
		if (!member || !member->is_known)
			return -ESRCH;
		ret->scopes[ret->n] = (struct fnp_v8_scope){.member = member, .position = at.source};
		fnp_v8_position_set(unit->inlinings[at.inlined].position, &at);
	}
	if (!unit->members[0].is_known)
		return -ESRCH;
	ret->scopes[ret->n++] = (struct fnp_v8_scope){.member = &unit->members[0], .position = at.source};
	return 0;
}

static int set_code(const struct fnp_v8_view *view, const struct unit *unit, uint64_t pc, bool is_there,
		    struct fnp_v8_code *ret)
{
	const struct fnp_v8_head *head = &unit->head;
	uint32_t offset = (uint32_t)(pc - head->start);

	ret->n = 0;
	ret->tier = head->tier;
	ret->bytecode = 0;
	ret->position = -1;
	ret->is_own = false;
	if (unit->is_bare)
		return set_bare(view, unit, offset, ret);
	if (is_optimized(unit))
		return set_scopes(view, unit, offset, ret);
	if (head->tier == FNP_V8_TIER_SPARKPLUG && is_there) {
		ret->bytecode = head->deopt;
		ret->position = fnp_v8_baseline_position(view, head->deopt, head->positions, offset);
	}
	return 0;
}

/* The unit of what lies there now. -ESRCH: none that is understood. */
static int unit_there(struct fnp_v8_units *units, const struct fnp_v8_view *view,
		      struct fnp_v8_scripts *scripts, const struct fnp_v8_where *where, struct unit **ret)
{
	struct unit *unit = find(units, where->pc, any, NULL);
	struct fnp_v8_head head, again;
	int r = unit ? fnp_v8_head_at(view, unit->head.address, where->pc, &head) : -ESRCH;

	if (r < 0)
		r = fnp_v8_head_find(view, where->pc, &head);
	if (r < 0)
		return r;
	unit = find(units, where->pc, has_head, &head);
	if (!unit) {
		r = read_unit(view, scripts, &head, &unit);
		if (r < 0)
			return r;
		/* All that was read must be of one code. */
		if (fnp_v8_head_at(view, head.address, where->pc, &again) < 0 || !is_same(&head, &again)) {
			unit_destroy(unit);
			return -ESRCH;
		}
		unit->own = unit->n_members == 0	? where->own
			    : unit->members[0].is_known ? unit->members[0].function.ids
							: 0;
		keep(units, unit);
	}
	*ret = unit;
	return 0;
}

/* By what lies there now. -ESRCH: it is not what was seen; -ESTALE: it may have been, and is overwritten. */
static int read_there(const struct unit *unit, const struct fnp_v8_view *view,
		      const struct fnp_v8_where *where, struct fnp_v8_code *ret)
{
	uint64_t around[2];
	int r = set_code(view, unit, where->pc, true, ret);

	if (r < 0)
		return r;
	/* Last: the code that is there now. */
	if (fnp_runtime_read(view->pid, where->next - 8, around, sizeof(around)) < 0)
		return -ESRCH;
	if (fnp_v8_code_is_same(fnp_v8_code_hash(around[0], around[1]), where->hash))
		return 0;
	return around[1] == OVERWRITTEN && unit->n_members && where->own && unit->own == where->own ? -ESTALE
												    : -ESRCH;
}

int fnp_v8_units_read(struct fnp_v8_units *units, const struct fnp_v8_view *view,
		      struct fnp_v8_scripts *scripts, const struct fnp_v8_where *where, struct fnp_v8_code *ret)
{
	struct unit *there = NULL;
	const struct unit *unit;
	int r = unit_there(units, view, scripts, where, &there);

	if (where->is_left && r != -ENOMEM) {
		unit = find(units, where->pc, is_alone, where);
		return unit ? set_alone(unit, ret) : -ESRCH;
	}
	r = r ?: read_there(there, view, where, ret);
	if (r != -ESRCH && r != -ESTALE)
		return r;
	unit = find(units, where->pc, is_gone, where);
	if (!unit && r == -ESTALE)
		unit = there;
	return unit ? set_code(view, unit, where->pc, false, ret) : -ESRCH;
}
