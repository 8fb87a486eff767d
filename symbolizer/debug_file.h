/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the debug data of an object is when it is not in the object itself: a separate file found by build id or by
 * .gnu_debuglink, and the alternate file that dwz puts shared data into.
 */
#ifndef FNP_SYMBOLIZER_DEBUG_FILE_H
#define FNP_SYMBOLIZER_DEBUG_FILE_H

#include "symbolizer/object.h"

struct fnp_debug_roots {
	const char *const *paths; /* folders such as /usr/lib/debug, in the order to look */
	size_t n;
	const char *debuginfod; /* folder of what debuginfod fetched: BUILD_ID/debuginfo; looked at last; or NULL */
};

/*
 * The separate debug file: `ROOT/.build-id/xx/yyyy.debug` with this build id, else the file that .gnu_debuglink names,
 * in the object's own folder, its `.debug` folder, or below a root; that one only when the build ids are equal, or,
 * where one has none, when its CRC is right. -ENOENT.
 */
int fnp_debug_file_find(const struct fnp_object *object, struct fnp_debug_roots roots, struct fnp_object **ret);

#define FNP_BUILD_ID_TEXT_MAX 129

/* The build id, as text, of the alternate file that .gnu_debugaltlink names. -ENOENT. */
int fnp_debug_file_alt_build_id(const struct fnp_object *object, char ret[static FNP_BUILD_ID_TEXT_MAX]);

/* The file that .gnu_debugaltlink of `object` names, with the build id that it says. -ENOENT. */
int fnp_debug_file_find_alt(const struct fnp_object *object, struct fnp_debug_roots roots,
			    struct fnp_object **ret);

#endif
