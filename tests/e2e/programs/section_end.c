/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes where a section and the program's last page of code end: one on the last instruction but one, one on the last byte, which
 * is never run, and one of five bytes at the section's begin. Waits 600 ms, so that the probes sit; then passes each 1,000 times.
 */
void begins(long value);
void ends(long value);

__asm__(".macro note name place\n"
	".pushsection .note.stapsdt, \"\", \"note\"\n"
	".balign 4\n"
	".4byte 2f - 1f, 4f - 3f, 3\n"
	"1: .asciz \"stapsdt\"\n"
	"2: .balign 4\n"
	"3: .8byte \\place, 0, 0\n"
	".asciz \"edge\"\n"
	".asciz \"\\name\"\n"
	".asciz \"-8@%rdi\"\n"
	"4: .balign 4\n"
	".popsection\n"
	".endm\n"
	".pushsection zlast, \"ax\", @progbits\n"
	".balign 4096\n"
	".globl begins\n"
	"begins: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
	"ret\n"
	".skip 4096 - 6 - 3, 0xcc\n"
	".globl ends\n"
	"ends: nop\n"
	"ret\n"
	"last: nop\n"
	".popsection\n"
	"note begins begins\n"
	"note ends ends\n"
	"note last last\n");

static long call(long number, long first, long second)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(number), "D"(first), "S"(second), "d"(0)
			 : "rcx", "r11", "memory");
	return ret;
}

void _start(void);
void _start(void)
{
	long time[2] = {0, 600000000};

	call(35, (long)time, 0);
	for (long i = 0; i < 1000; i++) {
		begins(i);
		ends(i);
	}
	call(60, 0, 0);
}
