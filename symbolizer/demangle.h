/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the linker's name to the name for people: C++ and both Rust manglings, without outermost parameters, symbol
 * version or Rust hash.
 */
#ifndef FNP_SYMBOLIZER_DEMANGLE_H
#define FNP_SYMBOLIZER_DEMANGLE_H

#include <stdbool.h>

#include "base/buffer.h"

/*
 * Appends the name for people and a NUL to `ret`. What is not mangled, cannot be demangled, or would become longer
 * than 16 KiB is appended as it is, without its version. Time and memory are bounded for any input.
 */
int fnp_demangle(const char *name, struct fnp_buffer *ret);

/* True when the name looks like one that fnp_demangle() changes. */
static inline bool fnp_demangle_is_mangled(const char *name)
{
	return name[0] == '_' && (name[1] == 'Z' || name[1] == 'R');
}

#endif
