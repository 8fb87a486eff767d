/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments of USDT notes: "SIZE@OPERAND", a space between two, the operand as the assembler of the machine writes it.
 * SIZE is the bytes of the value, negative when it is signed, with an `f` behind it for floating point.
 *
 * x86-64 (AT&T):	$-9   %eax   %ah   -16(%rbp)   8(%rax,%rbx,4)   (,%rcx,8)   counter+4(%rip)   counter
 * arm64:		-9   x0   wzr   [sp]   [x29, -12]   [x0, x1]   [x0, x1, lsl 3]   [x0, w1, sxtw 2]
 *
 * A scanner with one look ahead; it never goes back before the operand and never past the NUL. What is not of these
 * forms is unknown, and the next argument is looked for behind the next space that is in no bracket.
 */
#include "symbolizer/usdt.h"

struct scan {
	const char *at;
	const struct fnp_object *object;
};

static bool eat(struct scan *s, char c)
{
	if (*s->at != c)
		return false;
	s->at++;
	return true;
}

static void eat_spaces(struct scan *s)
{
	while (*s->at == ' ' || *s->at == '\t')
		s->at++;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '.' ||
	       c == '$';
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A whole number with its sign, decimal or 0x...; false, and nothing eaten, when there is none. Wraps at 64 bits. */
static bool number(struct scan *s, int64_t *ret)
{
	const char *at = s->at;
	bool negative = *at == '-';
	uint64_t value = 0;
	unsigned int base = 10;

	if (*at == '-' || *at == '+')
		at++;
	if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X') && hex_value(at[2]) >= 0) {
		base = 16;
		at += 2;
	}
	if (!is_digit(*at) && base == 10)
		return false;
	for (int digit; (digit = hex_value(*at)) >= 0 && digit < (int)base; at++)
		value = value * base + (unsigned int)digit;
	*ret = (int64_t)(negative ? 0 - value : value);
	s->at = at;
	return true;
}

/* A word of letters and digits into `ret`; false, and nothing eaten, when there is none or it is too long. */
static bool word(struct scan *s, char *ret, size_t size)
{
	size_t n = 0;

	while (is_name(s->at[n]))
		n++;
	if (n == 0 || n >= size)
		return false;
	memcpy(ret, s->at, n);
	ret[n] = '\0';
	s->at += n;
	return true;
}

/* ---- x86-64 -------------------------------------------------------------------------------------------------- */

/* Names by width, in the order of the words in struct pt_regs (arch/x86/include/asm/ptrace.h). */
struct x86_register {
	uint8_t word;
	const char *names[5]; /* 64, 32, 16, 8 bits; bits 8 to 15 */
};

static const struct x86_register x86_registers[] = {
	{0, {"r15", "r15d", "r15w", "r15b", NULL}}, {1, {"r14", "r14d", "r14w", "r14b", NULL}},
	{2, {"r13", "r13d", "r13w", "r13b", NULL}}, {3, {"r12", "r12d", "r12w", "r12b", NULL}},
	{4, {"rbp", "ebp", "bp", "bpl", NULL}},	    {5, {"rbx", "ebx", "bx", "bl", "bh"}},
	{6, {"r11", "r11d", "r11w", "r11b", NULL}}, {7, {"r10", "r10d", "r10w", "r10b", NULL}},
	{8, {"r9", "r9d", "r9w", "r9b", NULL}},	    {9, {"r8", "r8d", "r8w", "r8b", NULL}},
	{10, {"rax", "eax", "ax", "al", "ah"}},	    {11, {"rcx", "ecx", "cx", "cl", "ch"}},
	{12, {"rdx", "edx", "dx", "dl", "dh"}},	    {13, {"rsi", "esi", "si", "sil", NULL}},
	{14, {"rdi", "edi", "di", "dil", NULL}},    {16, {"rip", "eip", "ip", NULL, NULL}},
	{19, {"rsp", "esp", "sp", "spl", NULL}},
};

/* "%rax" and its parts; `ret_width` is the number of the name in the table. */
static bool x86_register(struct scan *s, uint8_t *ret, unsigned int *ret_width)
{
	char name[8];

	if (!eat(s, '%') || !word(s, name, sizeof(name)))
		return false;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(x86_registers); i++) {
		for (unsigned int width = 0; width < FNP_ARRAY_SIZE(x86_registers[i].names); width++) {
			const char *one = x86_registers[i].names[width];

			if (!one || strcmp(one, name) != 0)
				continue;
			*ret = x86_registers[i].word;
			*ret_width = width;
			return true;
		}
	}
	return false;
}

static bool scale_of(int64_t factor, uint8_t *ret)
{
	for (uint8_t shift = 0; shift <= 3; shift++) {
		if (factor == 1 << shift) {
			*ret = shift;
			return true;
		}
	}
	return false;
}

/* "(%rax,%rbx,4)" and its shorter forms; addresses have 64 bits, or 32 with the prefix that nobody writes. */
static bool x86_brackets(struct scan *s, struct fnp_probe_argument *ret)
{
	unsigned int width = 0;
	int64_t factor = 1;

	if (!eat(s, '('))
		return false;
	if (*s->at == '%' && (!x86_register(s, &ret->base, &width) || width != 0))
		return false;
	if (eat(s, ',')) {
		if (!x86_register(s, &ret->index, &width) || width != 0)
			return false;
		if (eat(s, ',') && !number(s, &factor))
			return false;
	}
	return scale_of(factor, &ret->scale) && eat(s, ')');
}

/* "counter", "counter+4", "counter-4": what the address of a variable is, as the object counts. */
static bool x86_symbol(struct scan *s, int64_t *ret)
{
	struct fnp_object_symbol symbol;
	char name[128];
	int64_t more = 0;

	if (is_digit(*s->at) || !word(s, name, sizeof(name)))
		return false;
	if (*s->at == '+' || *s->at == '-')
		number(s, &more);
	if (!s->object || fnp_object_find_symbol(s->object, name, &symbol) < 0 || symbol.type == STT_TLS)
		return false;
	*ret = (int64_t)((uint64_t)more + symbol.address);
	return true;
}

static bool x86_memory(struct scan *s, struct fnp_probe_argument *ret)
{
	int64_t offset = 0, more = 0;
	bool symbol = false;

	ret->kind = FNP_PROBE_MEMORY;
	ret->base = ret->index = FNP_PROBE_NO_REGISTER;
	if (!number(s, &offset) && *s->at != '(') {
		symbol = x86_symbol(s, &offset);
		if (!symbol)
			return false;
	} else if (eat(s, '+')) {
		/* "8+counter(%rip)" */
		symbol = x86_symbol(s, &more);
		if (!symbol)
			return false;
		offset = (int64_t)((uint64_t)offset + (uint64_t)more);
	}
	ret->offset = offset;
	if (*s->at == '(' && !x86_brackets(s, ret))
		return false;
	if (ret->base == 16) /* relative to the next instruction: only with a symbol it is known to what */
		ret->base = symbol ? FNP_PROBE_BIAS : FNP_PROBE_NO_REGISTER;
	else if (symbol && ret->base == FNP_PROBE_NO_REGISTER)
		ret->base = FNP_PROBE_BIAS;
	else if (symbol)
		return false; /* "table(%rax)": only in programs that are not moved, where no one writes it */
	return ret->base != FNP_PROBE_NO_REGISTER || ret->index != FNP_PROBE_NO_REGISTER || !symbol;
}

static bool x86_operand(struct scan *s, struct fnp_probe_argument *ret)
{
	unsigned int width;

	if (eat(s, '$')) {
		ret->kind = FNP_PROBE_CONSTANT;
		return number(s, &ret->offset);
	}
	if (*s->at == '%') {
		if (!x86_register(s, &ret->base, &width))
			return false;
		ret->kind = FNP_PROBE_REGISTER;
		ret->shift = width == 4 ? 8 : 0;
		return true;
	}
	const char *rip = strstr(s->at, "(%rip)");
	const char *space = strchr(s->at, ' ');
	bool bare_rip = rip && (!space || rip < space) && (is_digit(*s->at) || *s->at == '-') &&
			!memchr(s->at + 1, '+', (size_t)(rip - s->at));
	return !bare_rip && x86_memory(s, ret);
}

/* ---- arm64 --------------------------------------------------------------------------------------------------- */

/* "x0", "w30", "sp", "fp", "lr"; `ret_narrow`: its lower half. xzr and wzr are no register that can be read. */
static bool arm64_register(struct scan *s, uint8_t *ret, bool *ret_narrow)
{
	static const struct {
		const char *name;
		uint8_t word;
		bool narrow;
	} others[] = {
		{"sp", 31, false}, {"wsp", 31, true}, {"fp", 29, false}, {"lr", 30, false}, {"pc", 32, false}};
	struct scan digits;
	char name[8];
	int64_t n;

	if (!word(s, name, sizeof(name)))
		return false;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(others); i++) {
		if (strcmp(name, others[i].name) == 0) {
			*ret = others[i].word;
			*ret_narrow = others[i].narrow;
			return true;
		}
	}
	digits = (struct scan){.at = name + 1};
	if ((name[0] != 'x' && name[0] != 'w') || !is_digit(name[1]) || !number(&digits, &n) || *digits.at ||
	    n > 30)
		return false;
	*ret = (uint8_t)n;
	*ret_narrow = name[0] == 'w';
	return true;
}

/* What may stand behind an index: "lsl 3", "sxtw 2", "uxtw", "sxtx 3". */
static bool arm64_extension(struct scan *s, bool narrow, struct fnp_probe_argument *ret)
{
	char name[8];
	int64_t amount = 0;

	ret->index_form = narrow ? FNP_PROBE_INDEX_U32 : FNP_PROBE_INDEX_64;
	eat_spaces(s);
	if (!eat(s, ','))
		return !narrow; /* a narrow index must say how it is widened */
	eat_spaces(s);
	if (!word(s, name, sizeof(name)))
		return false;
	if (narrow ? strcmp(name, "sxtw") != 0 && strcmp(name, "uxtw") != 0
		   : strcmp(name, "lsl") != 0 && strcmp(name, "sxtx") != 0)
		return false;
	if (narrow && name[0] == 's')
		ret->index_form = FNP_PROBE_INDEX_S32;
	eat_spaces(s);
	eat(s, '#');
	if (*s->at != ']' && !number(s, &amount))
		return false;
	if (amount < 0 || amount > 4)
		return false;
	ret->scale = (uint8_t)amount;
	return true;
}

static bool arm64_memory(struct scan *s, struct fnp_probe_argument *ret)
{
	bool narrow;

	ret->kind = FNP_PROBE_MEMORY;
	ret->index = FNP_PROBE_NO_REGISTER;
	eat_spaces(s);
	if (!arm64_register(s, &ret->base, &narrow) || narrow)
		return false;
	eat_spaces(s);
	if (eat(s, ',')) {
		eat_spaces(s);
		eat(s, '#');
		if (!number(s, &ret->offset) &&
		    (!arm64_register(s, &ret->index, &narrow) || !arm64_extension(s, narrow, ret)))
			return false;
	}
	eat_spaces(s);
	return eat(s, ']') && *s->at != '!';
}

static bool arm64_operand(struct scan *s, struct fnp_probe_argument *ret)
{
	bool narrow;

	if (eat(s, '['))
		return arm64_memory(s, ret);
	eat(s, '#');
	ret->kind = FNP_PROBE_CONSTANT;
	if (number(s, &ret->offset))
		return true;
	if (strncmp(s->at, "xzr", 3) == 0 || strncmp(s->at, "wzr", 3) == 0) {
		s->at += 3;
		return true;
	}
	ret->kind = FNP_PROBE_REGISTER;
	return arm64_register(s, &ret->base, &narrow);
}

/* ---- both ---------------------------------------------------------------------------------------------------- */

/* To the end of this argument: a space that stands in no bracket. */
static void skip_argument(struct scan *s)
{
	unsigned int depth = 0;

	for (; *s->at && (depth > 0 || *s->at != ' '); s->at++) {
		if (*s->at == '(' || *s->at == '[')
			depth++;
		else if ((*s->at == ')' || *s->at == ']') && depth > 0)
			depth--;
	}
}

/* "-4@" */
static bool size_of(struct scan *s, struct fnp_probe_argument *ret)
{
	int64_t size;

	if (!number(s, &size))
		return false;
	eat(s, 'f'); /* its bits are taken as they are */
	if (!eat(s, '@') || (size != 1 && size != 2 && size != 4 && size != 8 && size != -1 && size != -2 &&
			     size != -4 && size != -8))
		return false;
	ret->is_signed = size < 0;
	ret->size = (uint8_t)(size < 0 ? -size : size);
	return true;
}

static struct fnp_probe_argument one_argument(struct scan *s, uint16_t machine)
{
	struct fnp_probe_argument argument = {.index = FNP_PROBE_NO_REGISTER, .base = FNP_PROBE_NO_REGISTER};
	bool good = size_of(s, &argument);

	if (good && machine == EM_X86_64)
		good = x86_operand(s, &argument);
	else if (good && machine == EM_AARCH64)
		good = arm64_operand(s, &argument);
	else
		good = false;
	if (!good || (*s->at && *s->at != ' '))
		argument = (struct fnp_probe_argument){.kind = FNP_PROBE_UNKNOWN, .size = 8};
	return argument;
}

uint32_t fnp_usdt_arguments(const char *text, uint16_t machine, const struct fnp_object *object,
			    struct fnp_probe_argument ret[FNP_PROBE_SPEC_ARGUMENTS])
{
	struct scan s = {.at = text, .object = object};
	uint32_t n = 0;

	for (eat_spaces(&s); *s.at && n < FNP_PROBE_SPEC_ARGUMENTS; eat_spaces(&s)) {
		struct scan whole = s;

		ret[n++] = one_argument(&s, machine);
		skip_argument(&whole);
		s.at = whole.at;
	}
	return n;
}
