/* SPDX-License-Identifier: Apache-2.0 */
/* `inspect symbols`: addresses on standard input to names, by the code that recording uses. */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/vec.h"
#include "profiler/commands/options.h"
#include "symbolizer/symbolize.h"

extern const struct fnp_command_ops fnp_command_inspect_symbols;

#define CACHE_BYTES_MAX ((uint64_t)256 << 20)
#define LINE_BYTES 256
#define FETCH_NS (120 * FNP_NS_PER_S)

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

/* One line, which is no longer than LINE_BYTES when it says anything. 1: an address, 0: empty, negative: neither. */
static int read_line(const char *text, size_t len, char line[LINE_BYTES], uint64_t *ret)
{
	while (len > 0 && text[len - 1] == '\r')
		len--;
	if (len == 0)
		return 0;
	snprintf(line, LINE_BYTES, "%.*s", (int)FNP_MIN(len, (size_t)LINE_BYTES - 1), text);
	return len < LINE_BYTES && parse_address(line, ret) ? 1 : -EINVAL;
}

/* The answer to one line. 0 or negative. */
static int answer_line(struct fnp_symbolizer *symbolizer, struct fnp_object *object, const char *text,
		       size_t len)
{
	char line[LINE_BYTES];
	uint64_t address;
	int r = read_line(text, len, line, &address);

	if (r < 0)
		return fnp_error(r, "\"%s\" is no hexadecimal address", line);
	if (r > 0)
		answer(symbolizer, object, address);
	return 0;
}

/* Looks up what all whole lines ask for, in the order that costs least. */
static void look_ahead(struct fnp_symbolizer *symbolizer, struct fnp_object *object, const char *text,
		       size_t len)
{
	FNP_VEC(uint64_t) addresses = {0};
	const char *end;

	for (size_t at = 0; (end = memchr(text + at, '\n', len - at)); at = (size_t)(end - text) + 1) {
		char line[LINE_BYTES];
		uint64_t address;

		if (read_line(text + at, (size_t)(end - text) - at, line, &address) > 0 &&
		    fnp_vec_push(&addresses, address) < 0)
			break;
	}
	fnp_symbolizer_resolve_all(symbolizer, object, addresses.items, addresses.len);
	fnp_vec_deinit(&addresses);
}

/* Whoever writes an address may wait for its answer before the next one: all that came is answered at once. */
static int answer_all(struct fnp_symbolizer *symbolizer, struct fnp_object *object)
{
	char text[65536];
	size_t len = 0, at;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(STDIN_FILENO, text + len, sizeof(text) - len)) != 0) {
		const char *end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return FNP_EXIT_FAILED;
		len += (size_t)n;
		look_ahead(symbolizer, object, text, len);
		for (at = 0; r == 0 && (end = memchr(text + at, '\n', len - at)); at = (size_t)(end - text) + 1)
			r = answer_line(symbolizer, object, text + at, (size_t)(end - text) - at);
		if (r == 0 && at == 0 && len == sizeof(text))
			r = answer_line(symbolizer, object, text, len); /* no line is so long */
		memmove(text, text + at, len - at);
		len -= at;
		if (fflush(stdout) != 0)
			return FNP_EXIT_FAILED;
	}
	r = r ?: answer_line(symbolizer, object, text, len);
	return r == 0 && fflush(stdout) == 0 ? FNP_EXIT_OK : FNP_EXIT_FAILED;
}

static int run(int argc, char **argv)
{
	bool fetch = false;
	const struct fnp_option table[] = {
		{0, "debuginfod", NULL,
		 "fetch debug data: tells the build id to the servers of $DEBUGINFOD_URLS", FNP_OPTION_FLAG,
		 &fetch},
	};
	const struct fnp_options options = {.command = &fnp_command_inspect_symbols,
					    .table = table,
					    .n = FNP_ARRAY_SIZE(table),
					    .min_arguments = 1,
					    .max_arguments = 1};
	FNP_CLEANUP(fnp_debuginfod_destroyp) struct fnp_debuginfod *debuginfod = NULL;
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	FNP_CLEANUP(fnp_symbolizer_destroyp) struct fnp_symbolizer *symbolizer = NULL;
	FNP_CLEANUP(fnp_disk_cache_unrefp) struct fnp_disk_cache *cache = NULL;
	struct fnp_symbolizer_options how = {0};
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
	(void)fnp_disk_cache_open(NULL, CACHE_BYTES_MAX, &cache);
	how.cache = cache;
	if (fetch && fnp_debuginfod_create(&debuginfod) < 0)
		return FNP_EXIT_FAILED;
	how.debuginfod = debuginfod;
	r = fnp_symbolizer_create(&how, &symbolizer);
	if (r < 0) {
		fnp_error(r, "out of memory");
		return FNP_EXIT_FAILED;
	}
	fnp_symbolizer_wait_until(symbolizer, fnp_clock_ns() + FETCH_NS);
	return answer_all(symbolizer, object);
}

const struct fnp_command_ops fnp_command_inspect_symbols = {
	.name = "symbols",
	.synopsis = "fnprof inspect symbols [--debuginfod] FILE",
	.description = "addresses on standard input to names, by the code that recording uses",
	.details =
		"Takes hexadecimal addresses as the ELF file counts them, one a line. Answers \"function at "
		"file:line\",\n"
		"innermost first, inlined callers on the next lines, and an empty line after each address.",
	.run = run,
};
