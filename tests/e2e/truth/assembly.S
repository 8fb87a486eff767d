# SPDX-License-Identifier: Apache-2.0
# Hand-written functions: with call frame information, with some that is wrong, and four kinds without it.
	.text

	.globl asm_with_cfi
	.type asm_with_cfi, @function
asm_with_cfi:
	.cfi_startproc
	push %rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	push %rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	xor %ebp, %ebp
	sub $40, %rsp
	.cfi_adjust_cfa_offset 40
	mov %rdi, %rbx
1:	add %rbx, %rbp
	dec %rbx
	jnz 1b
	call called_by_asm
	add %rbp, %rax
	add $40, %rsp
	.cfi_adjust_cfa_offset -40
	pop %rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	pop %rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	ret
	.cfi_endproc
	.size asm_with_cfi, . - asm_with_cfi

# Touches neither the stack nor rbp.
	.globl asm_leaf
	.type asm_leaf, @function
asm_leaf:
	xor %eax, %eax
1:	add %rdi, %rax
	dec %rdi
	jnz 1b
	ret
	.size asm_leaf, . - asm_leaf

# Pushes, uses rbp for something else, and calls.
	.globl asm_pushes
	.type asm_pushes, @function
asm_pushes:
	push %rbx
	push %rbp
	sub $24, %rsp
	mov %rdi, %rbx
	xor %ebp, %ebp
1:	add %rbx, %rbp
	dec %rbx
	jnz 1b
	cmp $3, %rdi
	jb 2f
	call called_by_asm
	add %rbp, %rax
2:	add $24, %rsp
	pop %rbp
	pop %rbx
	ret
	.size asm_pushes, . - asm_pushes

# Keeps a frame pointer, and makes room that only the frame pointer knows.
	.globl asm_frame_pointer
	.type asm_frame_pointer, @function
asm_frame_pointer:
	push %rbp
	mov %rsp, %rbp
	mov %rdi, %rax
	and $-16, %rax
	sub %rax, %rsp
	mov %rdi, %rcx
1:	dec %rcx
	jnz 1b
	and $-16, %rsp
	call called_by_asm
	leave
	ret
	.size asm_frame_pointer, . - asm_frame_pointer

# Described as a leaf, and is none.
	.globl asm_lies
	.type asm_lies, @function
asm_lies:
	.cfi_startproc
	push %rbx
	push %rbp
	xor %ebp, %ebp
	mov %rdi, %rbx
1:	add %rbx, %rbp
	dec %rbx
	jnz 1b
	mov %rbp, %rax
	pop %rbp
	pop %rbx
	ret
	.cfi_endproc
	.size asm_lies, . - asm_lies

# What only a table leads to, without names: three beginnings, and one end that lies between them.
	.p2align 4
.Lcount:
	mov %rdi, %rcx
.Lcount_again:
	add %rcx, %rax
	dec %rcx
	jnz .Lcount_again
	ret
	.p2align 4
.Lshares_1:
	call .Lcount
	jmp .Lshared
	.p2align 4
.Lshares_2:
	call .Lcount
	mov %rdi, %rcx
	call .Lcount_again
	jmp .Lshared
	.p2align 4
.Lshares_3:
	call .Lcount
	nop
.Lshared:
	mov %rdi, %rdx
1:	lea (%rax, %rdx), %rax
	dec %rdx
	jnz 1b
	ret
	.p2align 4
.Lshares_4:
	call .Lcount
	mov %rdi, %rcx
	call .Lcount_again
	jmp .Lshared

	.section .data.rel.ro, "aw", @progbits
	.globl asm_sharing
	.type asm_sharing, @object
	.p2align 3
asm_sharing:
	.quad .Lshares_1, .Lshares_2, .Lshares_3, .Lshares_4
	.size asm_sharing, . - asm_sharing

	.section .note.GNU-stack, "", @progbits
