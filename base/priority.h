/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who goes first of our own threads. Linux has priorities of threads (setpriority(2), "C library/kernel differences"), and a new
 * thread has its creator's.
 */
#ifndef FNP_BASE_PRIORITY_H
#define FNP_BASE_PRIORITY_H

/*
 * The calling thread goes before what we watch: names are in memory of processes that may soon be gone, and rings fill. Not
 * where we may not, or were started with another priority.
 */
void fnp_priority_raise(void);

/* Back to what is usual, of a thread whose creator went first. */
void fnp_priority_normal(void);

#endif
