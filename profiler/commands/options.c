/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/commands/options.h"

#include "base/log.h"
#include "base/text.h"
#include "base/vec.h"
#include "profiler/commands/suggest.h"

#define NAMES_MAX 32

/* How far parsing has come. */
struct state {
	const struct fnp_options *options;
	char **argv;
	int argc, at;
	int status; /* FNP_OPTIONS_GO_ON until something ends it */
};

int fnp_options_mistake(const struct fnp_command_ops *command, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	/* The synopsis begins with the words that were typed: "fnprof inspect process PID". */
	const char *end = strstr(command->synopsis, command->name);
	int words = end ? (int)(end - command->synopsis + (ptrdiff_t)strlen(command->name)) : 6;
	fnp_error(0, "%s (see %.*s --help)", text, words, command->synopsis);
	return FNP_EXIT_USAGE;
}

static void print_help(const struct fnp_options *options)
{
	const struct fnp_command_ops *command = options->command;

	printf("%s\n\n%s\n", command->synopsis, command->description);
	if (command->details)
		printf("\n%s\n", command->details);
	printf("\nOptions:\n");
	for (size_t i = 0; i < options->n; i++) {
		const struct fnp_option *o = &options->table[i];
		char left[64];
		char letter[8] = "    ";

		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
			 o->argument ? o->argument : "");
		printf("  %-28s%s\n", left, o->help);
	}
	printf("  %-28s%s\n", "-h, --help", "this text");
}

static const char *suggest_option(const struct fnp_options *options, const char *name)
{
	const char *names[NAMES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < options->n && n < NAMES_MAX - 1; i++)
		names[n++] = options->table[i].name;
	names[n++] = "help";
	return fnp_suggest(name, names, n);
}

static void unknown(struct state *s, const char *word, const char *name)
{
	const char *near = suggest_option(s->options, name);

	if (near)
		s->status = fnp_options_mistake(s->options->command,
						"unknown option \"%s\"; did you mean --%s?", word, near);
	else
		s->status = fnp_options_mistake(s->options->command, "unknown option \"%s\"", word);
}

static void set_number(struct state *s, const struct fnp_option *o, const char *text)
{
	uint64_t number;
	int r = fnp_text_parse_u64(text, UINT64_MAX, &number);

	if (r == 0 && number >= o->min && number <= o->max) {
		*(uint64_t *)o->value = number;
		return;
	}
	if (r == -EINVAL)
		s->status = fnp_options_mistake(s->options->command, "--%s takes a whole number, not \"%s\"",
						o->name, text);
	else
		s->status = fnp_options_mistake(s->options->command,
						"--%s takes a number from %llu to %llu, not %s", o->name,
						(unsigned long long)o->min, (unsigned long long)o->max, text);
}

static void append(struct state *s, const struct fnp_option *o, const char *text)
{
	struct fnp_option_list *list = o->value;

	if (list->n == FNP_OPTION_LIST_MAX)
		s->status = fnp_options_mistake(s->options->command, "--%s may be given at most %d times",
						o->name, FNP_OPTION_LIST_MAX);
	else
		list->items[list->n++] = text;
}

/* `value` is what stood in the same word, or NULL: then it is the next word. */
static void set(struct state *s, const struct fnp_option *o, const char *value)
{
	if (o->type == FNP_OPTION_FLAG) {
		if (value)
			s->status = fnp_options_mistake(s->options->command, "--%s takes no value", o->name);
		else
			*(bool *)o->value = true;
		return;
	}
	if (!value && s->at < s->argc)
		value = s->argv[s->at++];
	if (!value)
		s->status = fnp_options_mistake(s->options->command, "--%s needs a value: %s", o->name,
						o->argument);
	else if (o->type == FNP_OPTION_NUMBER)
		set_number(s, o, value);
	else if (o->type == FNP_OPTION_LIST)
		append(s, o, value);
	else
		*(const char **)o->value = value;
}

static void parse_long(struct state *s, const char *word)
{
	const char *name = word + 2;
	const char *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	char plain[64];

	if (len == strlen("help") && strncmp(name, "help", len) == 0) {
		print_help(s->options);
		s->status = FNP_EXIT_OK;
		return;
	}
	for (size_t i = 0; i < s->options->n; i++) {
		const struct fnp_option *o = &s->options->table[i];
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0) {
			set(s, o, equals ? equals + 1 : NULL);
			return;
		}
	}
	snprintf(plain, sizeof(plain), "%.*s", (int)FNP_MIN(len, sizeof(plain) - 1), name);
	unknown(s, word, plain);
}

static void parse_letters(struct state *s, const char *word)
{
	for (const char *p = word + 1; *p && s->status == FNP_OPTIONS_GO_ON; p++) {
		const struct fnp_option *found = NULL;

		for (size_t i = 0; i < s->options->n && !found; i++) {
			if (s->options->table[i].letter == *p)
				found = &s->options->table[i];
		}
		if (!found && *p == 'h') {
			print_help(s->options);
			s->status = FNP_EXIT_OK;
		} else if (!found) {
			unknown(s, word, word + 1);
		} else if (found->type == FNP_OPTION_FLAG) {
			set(s, found, NULL);
		} else {
			set(s, found, p[1] ? p + 1 : NULL);
			return;
		}
	}
}

static int check_arguments(const struct fnp_options *options, const struct fnp_arguments *arguments)
{
	if (options->dashes_before_arguments && arguments->n > 0 && !arguments->after_dashes)
		return fnp_options_mistake(options->command, "write -- before the command: -- %s",
					   arguments->items[0]);
	if (options->dashes_before_arguments && arguments->n == 0 && arguments->after_dashes)
		return fnp_options_mistake(options->command, "there is no command after --");
	if (options->max_arguments >= 0 && arguments->n > options->max_arguments)
		return fnp_options_mistake(options->command,
					   "too many words: \"%s\" is one more than is known here",
					   arguments->items[options->max_arguments]);
	if (arguments->n < options->min_arguments)
		return fnp_options_mistake(options->command, "something is missing: %s",
					   options->command->synopsis);
	return FNP_OPTIONS_GO_ON;
}

int fnp_options_parse(const struct fnp_options *options, int argc, char **argv, struct fnp_arguments *ret)
{
	struct state s = {.options = options, .argv = argv, .argc = argc, .at = 1, .status = FNP_OPTIONS_GO_ON};
	struct fnp_arguments arguments = {.items = argv + 1};

	while (s.at < argc && s.status == FNP_OPTIONS_GO_ON) {
		char *word = argv[s.at++];

		/* What looks like an option of ours may be one of a command whose -- was forgotten. */
		if (options->dashes_before_arguments && arguments.n > 0)
			break;
		if (strcmp(word, "--") == 0) {
			arguments.after_dashes = true;
			break;
		}
		if (word[0] == '-' && word[1] == '-')
			parse_long(&s, word);
		else if (word[0] == '-' && word[1])
			parse_letters(&s, word);
		else
			arguments.items[arguments.n++] = word; /* never past what was read already */
	}
	if (s.status != FNP_OPTIONS_GO_ON)
		return s.status;
	while (s.at < argc)
		arguments.items[arguments.n++] = argv[s.at++];
	arguments.items[arguments.n] = NULL; /* at the latest argv's own end */
	s.status = check_arguments(options, &arguments);
	if (s.status == FNP_OPTIONS_GO_ON)
		*ret = arguments;
	return s.status;
}
