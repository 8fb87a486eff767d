/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program (and, with -shared, a library) with USDT notes whose arguments are of every form that x86-64 has, and known.
 *
 *	notes N [LIBRARY]	N rounds of all probes, then N of the library's, which is loaded only then
 *	notes watch		for each line on standard input: the semaphore's value on standard output
 *	notes many N		N rounds of 200 probes, shop:many0 to shop:many199, with the number as argument
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

/* A note for the address of the nop that it leaves in the code. */
#define NOTE(name, semaphore, arguments)                                                                     \
	"990: nop\n"                                                                                         \
	".pushsection .note.stapsdt,\"\",\"note\"\n"                                                         \
	".balign 4\n"                                                                                        \
	".4byte 992f-991f, 994f-993f, 3\n"                                                                   \
	"991: .asciz \"stapsdt\"\n"                                                                          \
	"992: .balign 4\n"                                                                                   \
	"993: .8byte 990b, _.stapsdt.base, " semaphore "\n"                                                  \
	".asciz \"shop\"\n"                                                                                  \
	".asciz \"" name "\"\n"                                                                              \
	".asciz \"" arguments "\"\n"                                                                         \
	"994: .balign 4\n"                                                                                   \
	".popsection\n"                                                                                      \
	".ifndef _.stapsdt.base\n"                                                                           \
	".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                              \
	".weak _.stapsdt.base\n"                                                                             \
	".hidden _.stapsdt.base\n"                                                                           \
	"_.stapsdt.base: .space 1\n"                                                                         \
	".size _.stapsdt.base, 1\n"                                                                          \
	".popsection\n"                                                                                      \
	".endif\n"

__attribute__((section(".probes"), visibility("hidden"), used)) volatile uint16_t sale_semaphore;
__attribute__((section(".rodata.locked"), visibility("hidden"), used)) const uint16_t locked_semaphore = 0;
__attribute__((visibility("hidden"), used)) volatile int32_t counter[2] = {-41, 42};

static int64_t table[4] = {1001, -1002, 1003, -1004};

/* Registers and memory as the arguments say; r12 holds the round. */
__attribute__((noinline)) static void sell(uint64_t round)
{
	__asm__ volatile(
		"mov %0, %%r12\n"
		"mov $0x1122334455667788, %%rax\n"
		"mov $-5, %%rbx\n"
		"mov $0xff85, %%rcx\n"
		"mov $2, %%rdx\n"
		"mov %1, %%rsi\n"
		"mov $0xfffffffffffff1f0, %%r8\n" NOTE("sale", "sale_semaphore",
						       "8@%%r12 8@%%rax -4@%%ebx 2@%%cx -1@%%cl 1@%%ah "
						       "-8@$-9 8@(%%rsi) -8@8(%%rsi) -8@-8(%%rsi,%%rdx,8) "
						       "-4@counter(%%rip) 4@counter+4(%%rip)")
			NOTE("more",
			     "0", "-8@%%r8 1@%%r8b -2@%%r8w 8@0(,%%rsi,1) -4@24(%%rsi) 8f@%%xmm0 8@$0x7fffffffffffffff")
				NOTE("locked", "locked_semaphore", "4@%%r12d") NOTE("none", "0", "")
		/* One form each, for tools that take few arguments or none behind one that they do not know. */
		NOTE("form0", "0", "-8@$-9") NOTE("form1", "0", "8@(%%rsi)") NOTE("form2", "0", "-8@8(%%rsi)")
			NOTE("form3", "0", "-8@-8(%%rsi,%%rdx,8)") NOTE("form4", "0", "-4@counter(%%rip)")
				NOTE("form5", "0", "4@counter+4(%%rip)") NOTE("form6", "0", "8@0(,%%rsi,1)")
					NOTE("form7", "0", "1@%%ah") NOTE("form8", "0", "-4@24(%%rsi)")
						NOTE("form9", "0", "-4@%%ebx") NOTE("form10", "0", "2@%%cx")
							NOTE("form11", "0", "-1@%%cl")
		:
		: "r"(round), "r"(table)
		: "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r12", "memory");
}

__attribute__((visibility("default"))) void sell_here(uint64_t rounds);

void sell_here(uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++)
		sell(i);
}

#define MANY(n)                                                                                              \
	__asm__ volatile("mov $" TEXT(n) ", %%rax\n" NOTE("many" TEXT(n), "0", "8@%%rax")::                  \
				 : "rax", "memor"                                                            \
					  "y");
#define MANY_10(t)                                                                                           \
	MANY(t##0)                                                                                           \
	MANY(t##1) MANY(t##2) MANY(t##3) MANY(t##4) MANY(t##5) MANY(t##6) MANY(t##7) MANY(t##8) MANY(t##9)

static void sell_many(void)
{
	MANY_10()
	MANY_10(1)
	MANY_10(2)
	MANY_10(3)
	MANY_10(4)
	MANY_10(5)
	MANY_10(6)
	MANY_10(7)
	MANY_10(8)
	MANY_10(9)
	MANY_10(10)
	MANY_10(11)
	MANY_10(12) MANY_10(13) MANY_10(14) MANY_10(15) MANY_10(16) MANY_10(17) MANY_10(18) MANY_10(19)
}

static void watch(void)
{
	char line[16];

	while (fgets(line, sizeof(line), stdin)) {
		printf("%u\n", sale_semaphore);
		fflush(stdout);
	}
}

static void sell_in(const char *path, uint64_t rounds)
{
	void *library = dlopen(path, RTLD_NOW);
	void (*there)(uint64_t) = library ? (void (*)(uint64_t))dlsym(library, "sell_here") : NULL;

	if (!there) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	/* What was mapped a moment ago gets its probes when it was seen. */
	usleep(400000);
	there(rounds);
}

int main(int argc, char **argv)
{
	uint64_t rounds = argc > 1 ? strtoull(argv[argc > 2 && strcmp(argv[1], "many") == 0 ? 2 : 1], NULL, 10)
				   : 1;

	if (argc > 1 && strcmp(argv[1], "watch") == 0) {
		watch();
	} else if (argc > 1 && strcmp(argv[1], "many") == 0) {
		for (uint64_t i = 0; i < rounds; i++)
			sell_many();
	} else {
		sell_here(rounds);
		if (argc > 2)
			sell_in(argv[2], rounds);
	}
	return 0;
}
