/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hand-written assembly says of itself, for ever: the stack pointer put by on a stack that was aligned anew, the same
 * behind an array, and a frame that stands on rax also while a loop is called that leaves rax alone. Stops itself once
 * everything has been called.
 */
#include <signal.h>
#include <unistd.h>

__asm__(".text\n"
	".type loop, @function\n"
	"loop: .cfi_startproc\n"
	"	mov $20, %ecx\n"
	"1:	push %rbx\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	mov $-1, %rbx\n"
	"	pop %rbx\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	dec %ecx\n"
	"	jnz 1b\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size loop, . - loop\n"

	".type put_by, @function\n"
	"put_by: .cfi_startproc\n"
	"	mov %rsp, %rax\n"
	"	.cfi_def_cfa_register %rax\n"
	"	push %rbx\n"
	"	.cfi_offset %rbx, -16\n"
	"	push %rbp\n"
	"	.cfi_offset %rbp, -24\n"
	"	sub $200, %rsp\n"
	"	and $-128, %rsp\n"
	"	mov %rax, 152(%rsp)\n"
	"	.cfi_escape 0x0f,0x06,0x77,0x98,0x01,0x06,0x23,0x08\n" /* *(rsp + 152) + 8 */
	"	mov $-1, %rax\n"
	"	mov $-1, %rbp\n"
	"	call loop\n"
	"	mov 152(%rsp), %rsi\n"
	"	.cfi_def_cfa %rsi, 8\n"
	"	mov -16(%rsi), %rbp\n"
	"	.cfi_restore %rbp\n"
	"	mov -8(%rsi), %rbx\n"
	"	.cfi_restore %rbx\n"
	"	mov %rsi, %rsp\n"
	"	.cfi_def_cfa_register %rsp\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size put_by, . - put_by\n"

	".type behind_array, @function\n"
	"behind_array: .cfi_startproc\n"
	"	mov %rsp, %rax\n"
	"	.cfi_def_cfa_register %rax\n"
	"	push %rbp\n"
	"	.cfi_offset %rbp, -16\n"
	"	mov $32, %r9d\n"
	"	sub $288, %rsp\n"
	"	and $-64, %rsp\n"
	"	mov %rax, 8(%rsp,%r9,8)\n"
	"	.cfi_escape 0x0f,0x0a,0x77,0x08,0x79,0x00,0x38,0x1e,0x22,0x06,0x23,0x08\n" /* *(rsp + 8 + r9*8) + 8 */
	"	mov $-1, %rax\n"
	"	mov $-1, %rbp\n"
	"	mov $30, %ecx\n"
	"1:	dec %ecx\n"
	"	jnz 1b\n"
	"	mov 8(%rsp,%r9,8), %rsi\n"
	"	.cfi_def_cfa %rsi, 8\n"
	"	mov -8(%rsi), %rbp\n"
	"	.cfi_restore %rbp\n"
	"	mov %rsi, %rsp\n"
	"	.cfi_def_cfa_register %rsp\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size behind_array, . - behind_array\n"

	".type on_rax, @function\n"
	"on_rax: .cfi_startproc\n"
	"	mov %rsp, %rax\n"
	"	.cfi_def_cfa_register %rax\n"
	"	push %rbp\n"
	"	.cfi_offset %rbp, -16\n"
	"	sub $96, %rsp\n"
	"	and $-128, %rsp\n"
	"	mov $-1, %rbp\n"
	"	call loop\n"
	"	mov -8(%rax), %rbp\n"
	"	.cfi_restore %rbp\n"
	"	mov %rax, %rsp\n"
	"	.cfi_def_cfa_register %rsp\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size on_rax, . - on_rax\n");

void put_by(void);
void behind_array(void);
void on_rax(void);

volatile unsigned long sink;

__attribute__((noinline)) static void work(int round)
{
	if (round == 3)
		raise(SIGSTOP);
	put_by();
	behind_array();
	on_rax();
	sink++;
}

int main(void)
{
	alarm(120);
	for (int round = 0;; round++)
		work(round);
}
