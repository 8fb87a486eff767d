/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The walkers beyond the native one: a header each, and a line in the list, X(kind of code, name of the walker).
 */
#ifndef FNP_BPF_WALK_WALKERS_H
#define FNP_BPF_WALK_WALKERS_H

#include "bpf/walk/hotspot.h"
#include "bpf/walk/python.h"
#include "bpf/walk/v8.h"

#ifdef FNP_WALK_TEST
#include "bpf/walk/test.h"
#define FNP_WALKERS_TEST(X) X(TEST, test)
#else
#define FNP_WALKERS_TEST(X)
#endif

#define FNP_WALKERS(X) FNP_WALKERS_TEST(X) X(PYTHON, python) X(HOTSPOT, hotspot) X(V8, v8)

#endif
