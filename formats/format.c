/* SPDX-License-Identifier: Apache-2.0 */
/* The table of formats, made from the list in CMakeLists.txt. */
#include "formats/format.h"

#define FNP_REGISTER(name) extern const struct fnp_format_ops fnp_format_##name;
#include "formats_registry.inc"
#undef FNP_REGISTER

#define FNP_REGISTER(name) &fnp_format_##name,
const struct fnp_format_ops *const fnp_formats[] = {
#include "formats_registry.inc"
	NULL,
};
#undef FNP_REGISTER

const struct fnp_format_ops *fnp_format_find(const char *name)
{
	for (size_t i = 0; fnp_formats[i]; i++) {
		if (strcmp(fnp_formats[i]->name, name) == 0)
			return fnp_formats[i];
	}
	return NULL;
}
