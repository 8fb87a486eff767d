/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded late, and deleted while it is in use. */
__attribute__((noinline)) static unsigned long library_inner(unsigned long (*back)(unsigned long),
							     unsigned long n)
{
	return back(n) + 1;
}

unsigned long library_enter(unsigned long (*back)(unsigned long), unsigned long n);

unsigned long library_enter(unsigned long (*back)(unsigned long), unsigned long n)
{
	return library_inner(back, n) * 3;
}
