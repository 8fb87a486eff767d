/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `inspect process`: what recording would make of a process: its source, its runtime, the files that its code runs
 * from; what was found, what was not, and why.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "profiler/commands/options.h"
#include "profiler/commands/pids.h"
#include "profiler/output/report.h"
#include "profiler/sources/source.h"
#include "profiler/targets/processes.h"
#include "symbolizer/runtime.h"
#include "symbolizer/unwind.h"

extern const struct fnp_command_ops fnp_command_inspect_process;

#define PROC_FILE_MAX (1u << 20)
#define VALUE_WIDTH 160

struct inspection {
	struct fnp_objects *objects;
	struct fnp_processes *processes;
	struct fnp_process *process;
	FNP_VEC(struct fnp_runtime_mapping) mappings; /* executable or not, of files, ordered by address */
};

static void inspection_deinit(struct inspection *in)
{
	fnp_vec_deinit(&in->mappings);
	fnp_processes_destroy(in->processes);
	fnp_objects_destroy(in->objects);
}

static void fact(const char *name, const char *value)
{
	fnp_autobuffer struct fnp_buffer line = {0};

	fnp_report_name(&line, value, VALUE_WIDTH, false);
	fnp_buffer_byte(&line, '\0');
	printf("%-12s%s\n", name, line.error ? "" : (const char *)line.data);
}

static int read_proc(uint32_t pid, const char *name, struct fnp_buffer *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	return fnp_file_read_at(AT_FDCWD, path, PROC_FILE_MAX, ret);
}

static void print_command(uint32_t pid)
{
	fnp_autobuffer struct fnp_buffer line = {0};

	if (read_proc(pid, "cmdline", &line) < 0 || line.len == 0)
		return;
	for (size_t i = 0; i + 1 < line.len; i++) {
		if (line.data[i] == '\0')
			line.data[i] = ' ';
	}
	fact("command", (const char *)line.data);
}

/* ---- source ------------------------------------------------------------------------------------------------- */

static void print_claim(const struct fnp_claim *claim)
{
	char text[128];

	fact("source", claim->source->name);
	if (claim->identity.function)
		fact("function", claim->identity.function);
	if (claim->identity.version)
		fact("version", claim->identity.version);
	if (claim->kind == FNP_CLAIM_PROCESS) {
		fact("invocation", claim->identity.id ? claim->identity.id : "the whole process");
		return;
	}
	snprintf(text, sizeof(text), "HTTP messages, %s port %u%s",
		 claim->role == FNP_HTTP_CLIENT ? "to" : "at", (unsigned int)claim->port,
		 claim->concurrent ? ", several at a time" : "");
	fact("invocations", claim->port ? text : "HTTP messages on all its connections");
}

static void print_source(uint32_t pid)
{
	fnp_autobuffer struct fnp_buffer bytes = {0};
	fnp_autoclaim struct fnp_claim claim = {0};
	int r = read_proc(pid, "environ", &bytes);
	struct fnp_environment environment = {.data = (const char *)bytes.data, .size = bytes.len};
	char text[160];

	if (r < 0) {
		snprintf(text, sizeof(text), "not known: /proc/%u/environ cannot be read: %s", pid,
			 strerror(-r));
		fact("source", text);
	} else if (fnp_sources_claim(&environment, &claim)) {
		print_claim(&claim);
	} else {
		fact("source",
		     "none: its environment is no platform's; with -p it has a row of kind process");
	}
}

/* ---- runtime ------------------------------------------------------------------------------------------------ */

static int compare_mappings(const void *a, const void *b)
{
	const struct fnp_runtime_mapping *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int collect_mappings(struct inspection *in)
{
	for (size_t i = 0; i < in->process->mappings.len; i++) {
		const struct fnp_mapping *mapping = &in->process->mappings.items[i];
		const struct fnp_target_object *object = fnp_objects_get(in->objects, mapping->object);
		int r = fnp_vec_push(&in->mappings, (struct fnp_runtime_mapping){
							    .start = mapping->start,
							    .limit = mapping->end,
							    .offset = mapping->offset,
							    .object = object ? object->elf : NULL,
							    .executable = true,
						    });
		if (r < 0)
			return r;
	}
	if (in->mappings.len > 0)
		qsort(in->mappings.items, in->mappings.len, sizeof(in->mappings.items[0]), compare_mappings);
	return 0;
}

static void print_frames(const struct fnp_runtime_process *process, const struct fnp_runtime_match *match)
{
	struct fnp_runtime *runtime = NULL;
	int r;

	if (!match->id.ops || !match->id.ops->attach) {
		fact("frames", match->id.ops && match->id.ops->word_kind
				       ? "native and kernel; frames of this language are not understood yet"
				       : "native and kernel");
		return;
	}
	r = match->id.ops->attach(process, match, &runtime);
	if (r == 0)
		match->id.ops->detach(runtime);
	if (r == -EOPNOTSUPP)
		fact("frames", "native and kernel; this version of the runtime is not understood");
	else if (r < 0)
		fact("frames", "native and kernel; the runtime's memory could not be read");
	else
		fact("frames", "kernel, native and of the language");
}

static void print_runtime(const struct inspection *in)
{
	struct fnp_runtime_match matches[FNP_RUNTIME_MATCHES_MAX];
	struct fnp_runtime_process process = {.pid = (pid_t)in->process->pid,
					      .mappings = in->mappings.items,
					      .n_mappings = in->mappings.len};
	size_t n = fnp_runtime_find(&process, NULL, NULL, matches);

	if (n == 0) {
		fact("runtime", "native: none of the runtimes that are known is mapped");
		fact("frames", "native and kernel");
	}
	for (size_t i = 0; i < n; i++) {
		char text[256];
		snprintf(text, sizeof(text), "%s%s%s, in %.140s", matches[i].id.text,
			 *matches[i].id.version ? ", version " : "", matches[i].id.version,
			 fnp_object_name(matches[i].object));
		fact("runtime", text);
		print_frames(&process, &matches[i]);
	}
}

/* ---- files -------------------------------------------------------------------------------------------------- */

static const char *names_of(const struct fnp_object *elf)
{
	static const struct {
		const char *section, *text;
	} ways[] = {
		{".debug_info", "DWARF"},
		{".symtab", "symbols"},
		{".gnu_debugdata", "mini symbols"},
		{".dynsym", "exports only"},
	};

	for (size_t i = 0; i < FNP_ARRAY_SIZE(ways); i++) {
		struct fnp_section section;
		if (fnp_object_find_section(elf, ways[i].section, &section) == 0 && section.data)
			return ways[i].text;
	}
	return "no names";
}

static void print_object(const struct fnp_target_object *object)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	fnp_autobuffer struct fnp_buffer line = {0};
	char rows[32], text[64];

	fnp_buffer_text(&line, "  ");
	fnp_report_name(&line, object->path, 70, true);
	if (!object->elf) {
		fnp_buffer_printf(&line, "  %s",
				  object->deleted ? "deleted, and not to be opened any more"
						  : "could not be opened as an ELF file");
	} else {
		int r = fnp_unwind_build(object->elf, &unwind);
		if (r == 0)
			snprintf(text, sizeof(text), "%s rows", fnp_report_number(unwind->rows, rows));
		else
			snprintf(text, sizeof(text), "no unwind rows");
		fnp_buffer_printf(&line, "  %-12s  %-14s  %s%s", names_of(object->elf), text,
				  *object->build_id ? object->build_id : "no build id",
				  object->deleted ? ", deleted" : "");
	}
	fnp_buffer_byte(&line, '\0');
	if (!line.error)
		puts((const char *)line.data);
}

static void print_objects(const struct inspection *in)
{
	uint64_t anonymous = 0;

	printf("\nFiles that its code runs from (names, unwind rows, build id)\n");
	for (uint32_t id = 1; id <= fnp_objects_last(in->objects); id++)
		print_object(fnp_objects_get(in->objects, id));
	for (size_t i = 0; i < in->process->mappings.len; i++) {
		const struct fnp_mapping *mapping = &in->process->mappings.items[i];
		if (mapping->object == FNP_OBJECT_NONE)
			anonymous += mapping->end - mapping->start;
	}
	if (anonymous)
		printf("  and %llu kB of code in memory that is no file\n",
		       (unsigned long long)anonymous >> 10);
}

static int inspect(uint32_t pid)
{
	FNP_CLEANUP(inspection_deinit) struct inspection in = {0};
	char text[32];
	int r = fnp_objects_create(&in.objects);

	r = r ?: fnp_processes_create(in.objects, &in.processes);
	r = r ?: fnp_processes_add(in.processes, pid, 0, &in.process);
	if (r < 0)
		return fnp_error(r, "out of memory");
	r = fnp_processes_read_maps(in.processes, in.process);
	if (r < 0)
		return fnp_error(r, "cannot read the mappings of process %u: %s%s", pid, strerror(-r),
				 r == -EACCES || r == -EPERM ? "; run as root or with CAP_SYS_PTRACE" : "");
	r = collect_mappings(&in);
	if (r < 0)
		return fnp_error(r, "out of memory");
	snprintf(text, sizeof(text), "%u", pid);
	fact("process", text);
	fact("program", in.process->path && *in.process->path ? in.process->path : in.process->program);
	print_command(pid);
	print_source(pid);
	print_runtime(&in);
	print_objects(&in);
	return 0;
}

static int run(int argc, char **argv)
{
	const struct fnp_options options = {
		.command = &fnp_command_inspect_process, .min_arguments = 1, .max_arguments = 1};
	FNP_CLEANUP(fnp_pids_deinit) struct fnp_pids pids = {0};
	struct fnp_arguments words;
	int status = fnp_options_parse(&options, argc, argv, &words);

	if (status != FNP_OPTIONS_GO_ON)
		return status;
	if (fnp_pids_parse(words.items[0], &pids) < 0 || pids.list.len != 1)
		return fnp_options_mistake(&fnp_command_inspect_process, "\"%s\" is no process number",
					   words.items[0]);
	if (fnp_pids_check(pids.list.items[0]) < 0 || inspect(pids.list.items[0]) < 0)
		return FNP_EXIT_FAILED;
	return FNP_EXIT_OK;
}

const struct fnp_command_ops fnp_command_inspect_process = {
	.name = "process",
	.synopsis = "fnprof inspect process PID",
	.description = "runtime, version, source, what was found and what was not, and why",
	.run = run,
};
