/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Numbers of fixed width for both compilers, named as in bpf/wire.h, for layouts that need nothing else of it. */
#ifndef FNP_BPF_LAYOUT_TYPES_H
#define FNP_BPF_LAYOUT_TYPES_H

#ifdef __bpf__
typedef unsigned char fnp_u8;
typedef unsigned short fnp_u16;
typedef unsigned int fnp_u32;
typedef unsigned long long fnp_u64;
typedef long long fnp_s64;
#else
#include <stdint.h>
typedef uint8_t fnp_u8;
typedef uint16_t fnp_u16;
typedef uint32_t fnp_u32;
typedef uint64_t fnp_u64;
typedef int64_t fnp_s64;
#endif

#endif
