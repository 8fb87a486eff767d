/* SPDX-License-Identifier: Apache-2.0 */
/* `inspect object`: what is known of an ELF file; with --rows the unwind rows that the kernel side uses, decoded. */
#include <errno.h>

#include "base/log.h"
#include "profiler/commands/options.h"
#include "profiler/output/report.h"
#include "symbolizer/debug_file.h"
#include "symbolizer/runtime.h"
#include "symbolizer/unwind.h"
#include "symbolizer/usdt.h"

extern const struct fnp_command_ops fnp_command_inspect_object;

static int open_object(const char *path, struct fnp_object **ret)
{
	int r = fnp_object_open_path(path, ret);

	if (r == -ENOEXEC)
		return fnp_error(r, "\"%s\" is no 64-bit little-endian ELF file", path);
	if (r == -EINVAL)
		return fnp_error(r, "\"%s\" is no regular file", path);
	return r < 0 ? fnp_error(r, "cannot open \"%s\": %s", path, strerror(-r)) : 0;
}

static const char *has_section(const struct fnp_object *object, const char *name)
{
	struct fnp_section section;

	return fnp_object_find_section(object, name, &section) == 0 && section.data ? "yes" : "no";
}

static void print_unwind(const struct fnp_object *object)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	int r = fnp_unwind_build(object, &unwind);
	char rows[32], bytes[32];

	if (r < 0) {
		printf("unwind rows       none: %s\n",
		       r == -ENOENT ? "the file has no call frame information" : strerror(-r));
		return;
	}
	printf("unwind rows       %s in %s bytes", fnp_report_number(unwind->rows, rows),
	       fnp_report_number((uint64_t)unwind->n_lines * sizeof(unwind->lines[0]), bytes));
	printf("; %u by a DWARF expression, %u entries unreadable, %u rows without room\n",
	       unwind->expressions, unwind->skipped, unwind->degraded);
}

static void print_facts(const struct fnp_object *object)
{
	static const char *const sections[] = {".symtab",     ".dynsym",   ".gnu_debugdata", ".debug_info",
					       ".debug_line", ".eh_frame", ".debug_frame"};
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *debug = NULL;
	struct fnp_debug_roots roots = {.paths = (const char *const[]){"/usr/lib/debug"}, .n = 1};
	fnp_autobuffer struct fnp_buffer name = {0};
	const char *build_id = fnp_object_build_id(object);
	struct fnp_runtime_id runtime = {0};

	fnp_runtime_recognise(object, &runtime);
	printf("build id          %s\n", *build_id ? build_id : "none");
	printf("runtime           %s%s%s\n", runtime.text, *runtime.version ? ", version " : "",
	       runtime.version);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(sections); i++)
		printf("%-18s%s\n", sections[i], has_section(object, sections[i]));
	if (fnp_debug_file_find(object, roots, &debug) == 0)
		fnp_report_name(&name, fnp_object_name(debug), 4096, false);
	fnp_buffer_byte(&name, '\0');
	printf("debug file        %s\n", debug && !name.error ? (const char *)name.data : "none found");
	print_unwind(object);
}

static int print_rows(const struct fnp_object *object, const char *path)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	int r = fnp_unwind_build(object, &unwind);

	if (r == -ENOENT)
		return fnp_error(r, "\"%s\" has no call frame information (.eh_frame, .debug_frame)", path);
	if (r < 0)
		return fnp_error(r, "cannot compile the unwind rows of \"%s\": %s", path, strerror(-r));
	return fnp_unwind_print(unwind, fnp_object_header(object)->e_machine, stdout);
}

/* A line for each place of a probe, and one for each thing that cannot be as the file says. */
static int print_usdt(const struct fnp_object *object, const char *path)
{
	struct fnp_usdt_places places = {0};
	int r = fnp_usdt_read(object, &places);

	if (r < 0)
		return fnp_error(r, "cannot read the USDT notes of \"%s\": %s", path, strerror(-r));
	for (size_t i = 0; i < places.list.len; i++) {
		static const char *const semaphores[] = {"", "  semaphore", "  semaphore in read-only memory"};
		const struct fnp_usdt_place *p = &places.list.items[i];
		fnp_autobuffer struct fnp_buffer text = {0};

		fnp_report_name(&text, p->provider, 256, false);
		fnp_buffer_byte(&text, ':');
		fnp_report_name(&text, p->name, 256, false);
		fnp_buffer_byte(&text, '\t');
		fnp_report_name(&text, p->arguments, 1024, false);
		fnp_buffer_byte(&text, '\0');
		if (!text.error)
			printf("0x%lx\t%s\t%s%s\n", p->address, (const char *)text.data,
			       fnp_usdt_instruction_name(p->instruction), semaphores[p->semaphore]);
	}
	if (places.list.len == 0)
		printf("no USDT probes\n");
	if (places.lying)
		printf("%u notes are not as they should be and were passed over\n", places.lying);
	fnp_usdt_places_deinit(&places);
	return 0;
}

static int run(int argc, char **argv)
{
	bool rows = false, usdt = false;
	const struct fnp_option table[] = {
		{0, "rows", NULL, "the compiled unwind rows: LOC CFA rbp ra", FNP_OPTION_FLAG, &rows},
		{0, "usdt", NULL, "its USDT probes: address, provider:name, arguments, instruction",
		 FNP_OPTION_FLAG, &usdt},
	};
	const struct fnp_options options = {.command = &fnp_command_inspect_object,
					    .table = table,
					    .n = FNP_ARRAY_SIZE(table),
					    .min_arguments = 1,
					    .max_arguments = 1};
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	struct fnp_arguments words;
	int status = fnp_options_parse(&options, argc, argv, &words);

	if (status != FNP_OPTIONS_GO_ON)
		return status;
	if (open_object(words.items[0], &object) < 0)
		return FNP_EXIT_FAILED;
	if (rows)
		return print_rows(object, words.items[0]) < 0 ? FNP_EXIT_FAILED : FNP_EXIT_OK;
	if (usdt)
		return print_usdt(object, words.items[0]) < 0 ? FNP_EXIT_FAILED : FNP_EXIT_OK;
	print_facts(object);
	return FNP_EXIT_OK;
}

const struct fnp_command_ops fnp_command_inspect_object = {
	.name = "object",
	.synopsis = "fnprof inspect object FILE [--rows | --usdt]",
	.description = "what is known of an ELF file: build id, runtime, symbols, unwind rows",
	.details = "--rows prints the table that the kernel side walks by, decoded: LOC CFA rbp ra, as\n"
		   "readelf --debug-dump=frames-interp writes them; \"exp\" for what the table cannot hold.",
	.run = run,
};
