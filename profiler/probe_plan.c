/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/probe_plan.h"

#include <fnmatch.h>

#include "symbolizer/dynamic.h"
#include "symbolizer/python.h"

#define PROBES_MAX 1024 /* of one file */

/* The first four integer arguments of a function, as words of struct pt_regs. */
static const uint8_t x86_parameters[] = {14, 13, 12, 11}; /* rdi, rsi, rdx, rcx */
#define X86_RAX 10

struct patterns {
	const char *const *list;
	size_t n;
};

/* The number of the first that means this probe; -1: none does. */
static int pattern_of(const struct patterns *asked, const char *provider, const char *name)
{
	char full[512];

	snprintf(full, sizeof(full), "%s:%s", provider, name);
	for (size_t i = 0; i < asked->n; i++) {
		if (fnmatch(asked->list[i], full, 0) == 0)
			return (int)i;
	}
	return -1;
}

static void fill_spec(const struct fnp_probe_meaning *meaning, uint64_t address, struct fnp_probe_spec *ret)
{
	ret->address = address;
	ret->flags = meaning->flags;
	ret->n_texts = meaning->n_texts;
	memcpy(ret->texts, meaning->texts, sizeof(ret->texts));
}

static int add_note(struct fnp_probe_plan *plan, const struct fnp_usdt_place *place, int asked)
{
	const struct fnp_probe_meaning *meaning = fnp_probe_meaning_of(place->provider, place->name);
	struct fnp_planned_probe probe = {.provider = place->provider,
					  .name = place->name,
					  .asked = asked,
					  .offset = place->offset,
					  .instruction = place->instruction};

	if (!meaning && asked < 0)
		return 0;
	/* Who asks for one that only the kernel side would hear of wants to see its hits. */
	probe.meaning = meaning && (asked < 0 || meaning->role != FNP_PROBE_SILENT) ? meaning
										    : &fnp_probe_asked;
	/* What one did not ask for must be cheap. */
	if (asked < 0 && place->instruction != FNP_USDT_NOP && place->instruction != FNP_USDT_CHEAP)
		return 0;
	if (place->semaphore == FNP_USDT_SEMAPHORE_GOOD)
		probe.semaphore_offset = place->semaphore_offset;
	fill_spec(probe.meaning, place->address, &probe.spec);
	probe.spec.n_arguments = (uint8_t)place->n_arguments;
	memcpy(probe.spec.arguments, place->parsed, sizeof(probe.spec.arguments));
	plan->peeks = plan->peeks || probe.meaning->peeks_cause;
	return fnp_vec_push(&plan->probes, probe);
}

/* Where a call's arguments are at the function's first instruction, and behind it what it returned. */
static void fill_registers(struct fnp_planned_probe *probe, bool arm64)
{
	struct fnp_probe_argument *arguments = probe->spec.arguments;

	for (uint8_t i = 0; i < FNP_ARRAY_SIZE(x86_parameters); i++)
		arguments[i] = (struct fnp_probe_argument){.kind = FNP_PROBE_REGISTER,
							   .size = i == 0 || i == 3 ? 8 : 4,
							   .base = arm64 ? i : x86_parameters[i],
							   .index = FNP_PROBE_NO_REGISTER};
	probe->spec.n_arguments = FNP_ARRAY_SIZE(x86_parameters);
	/* A handle: it points to where the object's address stands. */
	if (probe->meaning->naming == FNP_NAMING_V8_PATH) {
		arguments[probe->meaning->texts[0].argument].kind = FNP_PROBE_MEMORY;
		arguments[probe->meaning->texts[0].argument].size = 8;
	}
	/* An object of Python's, or whether there is one. */
	if (probe->meaning->naming == FNP_NAMING_PYTHON_STR)
		arguments[2].size = 8;
	if (probe->meaning->naming == FNP_NAMING_IMPORTED) {
		arguments[1].size = 8;
		arguments[1].base = X86_RAX;
	}
}

/* A place that no note tells of. */
static int add_place(struct fnp_probe_plan *plan, const struct fnp_probe_meaning *meaning, uint64_t address,
		     const struct patterns *asked)
{
	bool arm64 = fnp_object_header(plan->object)->e_machine == EM_AARCH64;
	struct fnp_planned_probe probe = {.meaning = meaning,
					  .name = meaning->name,
					  .asked = pattern_of(asked, plan->runtime, meaning->what),
					  .instruction = fnp_usdt_instruction_at(plan->object, address)};

	for (size_t i = 0; i < plan->probes.len; i++) {
		if (plan->probes.items[i].spec.address == address)
			return 0; /* another name of it */
	}
	if (probe.instruction != FNP_USDT_NOP && probe.instruction != FNP_USDT_CHEAP &&
	    !(meaning->rare && probe.instruction == FNP_USDT_STEPPED))
		return 0;
	if (fnp_usdt_offset_of(plan->object, address, PF_X, &probe.offset) < 0)
		return 0;
	fill_spec(meaning, address, &probe.spec);
	fill_registers(&probe, arm64);
	return fnp_vec_push(&plan->probes, probe);
}

/* True when the symbol's name is `name`, or begins so where that ends in '*'; not the parts that are split off. */
static bool is_named(struct fnp_cursor names, uint32_t at, const char *name)
{
	size_t len = strcspn(name, "*");
	const char *text;

	if (fnp_cursor_seek(&names, at) < 0 || len > fnp_cursor_left(&names) ||
	    memcmp(names.pos, name, len) != 0 || fnp_cursor_string(&names, &text) < 0)
		return false;
	return name[len] == '*' ? !strstr(text, ".cold") : text[len] == '\0';
}

static int add_functions(struct fnp_probe_plan *plan, const struct fnp_probe_meaning *meanings,
			 const struct patterns *asked)
{
	struct fnp_symbol_source source;
	int r = 0;

	if (!meanings->name || (fnp_symbol_source_symtab(plan->object, &source) < 0 &&
				fnp_symbol_source_dynsym(plan->object, &source) < 0))
		return 0;
	for (size_t i = 0; i < source.n_symbols && r == 0 && plan->probes.len < PROBES_MAX; i++) {
		Elf64_Sym symbol;

		memcpy(&symbol, source.symbols + i * sizeof(symbol), sizeof(symbol));
		if (symbol.st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol.st_info) != STT_FUNC)
			continue;
		for (const struct fnp_probe_meaning *m = meanings; m->name && r == 0; m++) {
			if (is_named(source.names, symbol.st_name, m->name))
				r = add_place(plan, m, symbol.st_value, asked);
		}
	}
	return r;
}

static bool has(const struct fnp_probe_plan *plan, enum fnp_probe_pair pair, enum fnp_probe_role role)
{
	for (size_t i = 0; i < plan->probes.len; i++) {
		if (plan->probes.items[i].meaning->pair == pair && plan->probes.items[i].meaning->role == role)
			return true;
	}
	return false;
}

/* What a Python without probes does not tell is taken from its code; pairs that it tells are left to its notes. */
static int add_python(struct fnp_probe_plan *plan, const struct patterns *asked)
{
	bool gc = has(plan, FNP_PAIR_GC, FNP_PROBE_BEGIN), import = has(plan, FNP_PAIR_IMPORT, FNP_PROBE_BEGIN);
	struct fnp_python_places places;
	int r = 0;

	if (gc && import)
		return 0;
	fnp_python_find_places(plan->object, &places);
	for (size_t i = 0; i < places.n && r == 0; i++) {
		const struct fnp_probe_meaning *meaning = fnp_probe_python_place(places.list[i].kind);

		if (meaning->pair == FNP_PAIR_GC ? !gc : !import)
			r = add_place(plan, meaning, places.list[i].address, asked);
	}
	return r;
}

/* Of functions, a begin without an end, or the other way round, would tell nothing. */
static void drop_halves(struct fnp_probe_plan *plan)
{
	bool whole[FNP_PAIRS];
	size_t kept = 0;

	for (unsigned int pair = 0; pair < FNP_PAIRS; pair++)
		whole[pair] = has(plan, pair, FNP_PROBE_BEGIN) && has(plan, pair, FNP_PROBE_END);
	for (size_t i = 0; i < plan->probes.len; i++) {
		const struct fnp_probe_meaning *meaning = plan->probes.items[i].meaning;

		if ((meaning->role != FNP_PROBE_BEGIN && meaning->role != FNP_PROBE_END) ||
		    whole[meaning->pair] || plan->probes.items[i].provider)
			plan->probes.items[kept++] = plan->probes.items[i];
	}
	plan->probes.len = kept;
}

int fnp_probe_plan_make(const struct fnp_object *object, const struct fnp_runtime_id *id,
			const char *const *asked_list, size_t n_asked, struct fnp_probe_plan *ret)
{
	const struct patterns asked = {asked_list, n_asked};
	struct fnp_probe_plan plan = {.object = object,
				      .runtime = id->ops ? id->ops->name : NULL,
				      .version = id->major,
				      .minor = id->minor};
	struct fnp_usdt_places places = {0};
	int r = id->ops ? add_functions(&plan, fnp_probe_functions(id->ops->name), &asked) : 0;

	r = r ?: fnp_usdt_read(object, &places);
	for (size_t i = 0; i < places.list.len && r == 0 && plan.probes.len < PROBES_MAX; i++) {
		const struct fnp_usdt_place *place = &places.list.items[i];

		r = add_note(&plan, place, pattern_of(&asked, place->provider, place->name));
	}
	fnp_usdt_places_deinit(&places);
	if (r == 0 && id->ops && strcmp(id->ops->name, "python") == 0)
		r = add_python(&plan, &asked);
	drop_halves(&plan);
	if (r < 0) {
		fnp_probe_plan_deinit(&plan);
		return r;
	}
	*ret = plan;
	return 0;
}

void fnp_probe_plan_deinit(struct fnp_probe_plan *plan)
{
	fnp_vec_deinit(&plan->probes);
}
