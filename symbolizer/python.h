/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the CPython runtime: finding it (python_recognise.c), what its walker must know (python_layout.c),
 * names and lines (python_names.c). python.c ties them to the seam.
 */
#ifndef FNP_SYMBOLIZER_PYTHON_H
#define FNP_SYMBOLIZER_PYTHON_H

#include "symbolizer/runtime.h"

/* As fnp_runtime_ops.recognise. */
int fnp_python_recognise(const struct fnp_object *object, struct fnp_runtime_id *ret);

/* `_PyRuntime`: by its name, else by its section (3.11 and later). -ENOENT. */
int fnp_python_find_runtime(const struct fnp_object *object, struct fnp_object_symbol *ret);

#endif
