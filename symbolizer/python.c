/* SPDX-License-Identifier: Apache-2.0 */
/* The CPython runtime's table of functions. */
#include "symbolizer/python.h"

const struct fnp_runtime_ops fnp_runtime_python = {
	.name = "python",
	.recognise = fnp_python_recognise,
};
