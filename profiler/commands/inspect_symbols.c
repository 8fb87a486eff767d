/* SPDX-License-Identifier: Apache-2.0 */
/* `inspect symbols`: addresses on standard input to names, by the code that recording uses. */
#include <errno.h>

#include "base/log.h"
#include "base/text.h"
#include "profiler/commands/options.h"
#include "symbolizer/symbolize.h"

extern const struct fnp_command_ops fnp_command_inspect_symbols;

#define LINE_BYTES 256

static void print_text(const char *text)
{
	size_t len = strlen(text);
	fnp_autofree char *clean = strdup(text);

	if (!clean)
		return;
	fnp_text_make_printable(clean, len);
	fputs(clean, stdout);
}

static void print_symbol(const struct fnp_symbol *symbol)
{
	print_text(symbol->name);
	if (*symbol->file && symbol->line) {
		fputs(" at ", stdout);
		print_text(symbol->file);
		printf(":%u", symbol->line);
	}
	putchar('\n');
}

static void answer(struct fnp_symbolizer *symbolizer, struct fnp_object *object, uint64_t address)
{
	struct fnp_symbol_chain chain = {0};

	if (fnp_symbolizer_resolve(symbolizer, object, address, &chain) < 0 || chain.n == 0) {
		char name[512];
		fnp_symbolizer_fallback_name(fnp_object_name(object), address, name, sizeof(name));
		puts(name);
	}
	for (uint32_t i = 0; i < chain.n; i++)
		print_symbol(&chain.symbols[i]);
	putchar('\n');
}

/* A hexadecimal number, with or without 0x, and nothing else. */
static bool parse_address(const char *text, uint64_t *ret)
{
	uint64_t value = 0;
	size_t digits = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (; *text; text++, digits++) {
		const char *hex = "0123456789abcdef";
		const char *digit = strchr(hex, *text >= 'A' && *text <= 'F' ? *text - 'A' + 'a' : *text);
		if (!digit || value >> 60)
			return false;
		value = value << 4 | (uint64_t)(digit - hex);
	}
	*ret = value;
	return digits > 0;
}

static int answer_all(struct fnp_symbolizer *symbolizer, struct fnp_object *object)
{
	char line[LINE_BYTES];

	/* Whoever writes an address may wait for its answer before the next one. */
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t address;
		size_t len = strcspn(line, "\r\n");
		bool whole = line[len] || feof(stdin);

		line[len] = '\0';
		if (len == 0)
			continue;
		if (!whole || !parse_address(line, &address)) {
			fnp_error(0, "\"%s\" is no hexadecimal address", line);
			return FNP_EXIT_FAILED;
		}
		answer(symbolizer, object, address);
		if (fflush(stdout) != 0)
			return FNP_EXIT_FAILED;
	}
	return FNP_EXIT_OK;
}

static int run(int argc, char **argv)
{
	const struct fnp_options options = {
		.command = &fnp_command_inspect_symbols, .min_arguments = 1, .max_arguments = 1};
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	FNP_CLEANUP(fnp_symbolizer_destroyp) struct fnp_symbolizer *symbolizer = NULL;
	struct fnp_arguments words;
	int status = fnp_options_parse(&options, argc, argv, &words);
	int r;

	if (status != FNP_OPTIONS_GO_ON)
		return status;
	r = fnp_object_open_path(words.items[0], &object);
	if (r < 0) {
		fnp_error(r, "cannot read \"%s\" as an ELF file: %s", words.items[0], strerror(-r));
		return FNP_EXIT_FAILED;
	}
	r = fnp_symbolizer_create(NULL, &symbolizer);
	if (r < 0) {
		fnp_error(r, "out of memory");
		return FNP_EXIT_FAILED;
	}
	return answer_all(symbolizer, object);
}

const struct fnp_command_ops fnp_command_inspect_symbols = {
	.name = "symbols",
	.synopsis = "fnprof inspect symbols FILE",
	.description = "addresses on standard input to names, by the code that recording uses",
	.details =
		"Takes hexadecimal addresses as the ELF file counts them, one a line. Answers \"function at "
		"file:line\",\n"
		"innermost first, inlined callers on the next lines, and an empty line after each address.",
	.run = run,
};
