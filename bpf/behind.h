/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * How far one clock is behind another, from looks that come late by what passed since the slower one was read. It is what the
 * smallest of them say. For switches (targets.h), and for tests: it needs nothing of the kernel.
 *
 * Of two clocks that drift either may be ahead: all differences are in the ring of 64 bits. (Where the scheduler's clock
 * overtook the other one, a difference below zero was once quartered as if it were a large one. All times of that CPU were random
 * from then on, and each switch weighed four periods.)
 */
#ifndef FNP_BPF_BEHIND_H
#define FNP_BPF_BEHIND_H

#include "bpf/walk/seam.h"
#include "bpf/wire.h"

#define FNP_BEHIND_KNOWN_NS 20000000 /* how long one clock stays as far behind another as it was */

/* All zeros: nothing is known yet. */
struct fnp_behind {
	fnp_u64 ns;    /* so far ... */
	fnp_u64 at_ns; /* ... then */
};

/*
 * The time, by the clock that says `now_ns`, at which the other one said `clock_ns`. `is_fresh`: that was just read, so that
 * the difference may also have grown.
 */
FNP_INLINE fnp_u64 fnp_behind_time(struct fnp_behind *behind, fnp_u64 clock_ns, fnp_u64 now_ns, bool is_fresh)
{
	fnp_u64 seen = now_ns - clock_ns;

	if ((fnp_s64)(seen - behind->ns) < 0 || now_ns - behind->at_ns > FNP_BEHIND_KNOWN_NS)
		behind->ns = seen;
	else if (is_fresh)
		behind->ns += (seen - behind->ns) / 4;
	if (is_fresh || seen == behind->ns)
		behind->at_ns = now_ns;
	return clock_ns + behind->ns;
}

#endif
