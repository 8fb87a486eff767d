/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes profiles in every format for the checks by foreign readers: DIR/mixed.* and DIR/empty.*.
 * usage: formats_emit DIR
 */
#include "tests/formats/build.h"

#include <fcntl.h>

#include "base/file.h"

static int emit(int dir, const char *name, const struct fnp_profile *profile)
{
	char path[64];

	for (size_t i = 0; fnp_formats[i]; i++) {
		fnp_autobuffer struct fnp_buffer b = {0};
		int r = fnp_formats[i]->encode(profile, &b);

		if (r < 0)
			return r;
		snprintf(path, sizeof(path), "%s%s", name, fnp_formats[i]->suffix);
		r = fnp_file_write_at(dir, path, b.data, b.len);
		if (r < 0)
			return r;
	}
	return 0;
}

static struct fnp_profile *build_empty(void)
{
	struct fnp_profile *p = build_profile();
	struct fnp_profile_label label = build_text_label(p, "function", "orders");

	build_mapping(p, "/usr/bin/python3.12", 0x400000, 0x800000);
	build_mapping(p, "/lib/libc.so.6", 0x7f0000001000, 0x7f0000002000);
	assert_int_equal(fnp_profile_add_common_label(p, &label), 0);
	return p;
}

int main(int argc, char **argv)
{
	FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *mixed = build_mixed(), *empty = build_empty();
	fnp_autoclose int dir = -1;

	if (argc != 2)
		return 2;
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 2;
	return emit(dir, "mixed", mixed) < 0 || emit(dir, "empty", empty) < 0;
}
