/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel lies elsewhere than its file says by one distance, chosen at boot: that between the two places of _stext.
 */
#include "symbolizer/kernel_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/utsname.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"

#define NOTES_MAX 65536
#define BUILD_ID_BYTES 64
#define UNIT_BYTES_MAX (8 << 20) /* debug data that is kept read */
#define TEXT_SYMBOL "_stext"

struct fnp_kernel_lines {
	struct fnp_symbolizer *symbolizer; /* NULL: there is nothing to resolve */
	struct fnp_kallsyms *kallsyms;
	char *root;
	bool tried;
	struct fnp_object *vmlinux; /* NULL: there is none */
	uint64_t distance;	    /* of addresses of the running kernel from those of the file */
};

int fnp_kernel_lines_create(struct fnp_kallsyms *kallsyms, const char *root, struct fnp_kernel_lines **ret)
{
	struct fnp_kernel_lines *lines = calloc(1, sizeof(*lines));

	if (!lines)
		return -ENOMEM;
	lines->kallsyms = kallsyms;
	lines->root = strdup(root ? root : "");
	if (!lines->root) {
		free(lines);
		return -ENOMEM;
	}
	*ret = lines;
	return 0;
}

void fnp_kernel_lines_destroy(struct fnp_kernel_lines *lines)
{
	if (!lines)
		return;
	fnp_symbolizer_destroy(lines->symbolizer);
	fnp_object_unref(lines->vmlinux);
	free(lines->root);
	free(lines);
}

/* The running kernel's build id, as text. -ENOENT. */
static int running_build_id(const struct fnp_kernel_lines *lines, char ret[static FNP_BUILD_ID_TEXT_MAX])
{
	fnp_autobuffer struct fnp_buffer b = {0};
	struct fnp_cursor c, name, description;
	char path[512];
	Elf64_Nhdr head;

	snprintf(path, sizeof(path), "%s/sys/kernel/notes", lines->root);
	if (fnp_file_read_at(AT_FDCWD, path, NOTES_MAX, &b) < 0)
		return -ENOENT;
	c = fnp_cursor_of(b.data, b.len);
	while (fnp_cursor_copy(&c, &head, sizeof(head)) == 0 &&
	       fnp_cursor_sub(&c, ((uint64_t)head.n_namesz + 3) & ~UINT64_C(3), &name) == 0 &&
	       fnp_cursor_sub(&c, ((uint64_t)head.n_descsz + 3) & ~UINT64_C(3), &description) == 0) {
		if (head.n_type != NT_GNU_BUILD_ID || head.n_namesz != sizeof("GNU") ||
		    memcmp(name.pos, "GNU", sizeof("GNU")) != 0 || head.n_descsz < 2 ||
		    head.n_descsz > BUILD_ID_BYTES)
			continue;
		for (uint32_t i = 0; i < head.n_descsz; i++)
			snprintf(ret + (size_t)2 * i, 3, "%02x", description.pos[i]);
		return 0;
	}
	return -ENOENT;
}

/* A file that is this kernel, and has debug data. */
static bool take(struct fnp_kernel_lines *lines, const char *path, const char *build_id)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	const struct fnp_symbolizer_options options = {.unit_bytes_max = UNIT_BYTES_MAX};
	struct fnp_object_symbol text;
	struct fnp_section section;
	uint64_t running;

	if (fnp_object_open_path(path, &object) < 0 || strcmp(fnp_object_build_id(object), build_id) != 0 ||
	    (fnp_object_find_section(object, ".debug_info", &section) < 0 &&
	     fnp_object_find_section(object, ".zdebug_info", &section) < 0) ||
	    fnp_object_find_symbol(object, TEXT_SYMBOL, &text) < 0 ||
	    fnp_kallsyms_text(lines->kallsyms, &running) < 0 ||
	    fnp_symbolizer_create(&options, &lines->symbolizer) < 0)
		return false;
	lines->distance = running - text.address;
	lines->vmlinux = TAKE_PTR(object);
	return true;
}

static void look_for_file(struct fnp_kernel_lines *lines)
{
	static const struct {
		const char *before, *behind;
	} places[] = {{"/usr/lib/debug/boot/vmlinux-", ""},
		      {"/usr/lib/debug/lib/modules/", "/vmlinux"},
		      {"/usr/lib/debug/usr/lib/modules/", "/vmlinux"},
		      {"/lib/modules/", "/build/vmlinux"},
		      {"/boot/vmlinux-", ""}};
	char id[FNP_BUILD_ID_TEXT_MAX], path[1024];
	struct utsname host;

	if (running_build_id(lines, id) < 0 || uname(&host) < 0)
		return;
	snprintf(path, sizeof(path), "%s/usr/lib/debug/.build-id/%.2s/%s.debug", lines->root, id, id + 2);
	for (size_t i = 0; !take(lines, path, id) && i < FNP_ARRAY_SIZE(places); i++)
		snprintf(path, sizeof(path), "%s%s%s%s", lines->root, places[i].before, host.release,
			 places[i].behind);
}

int fnp_kernel_lines_find(struct fnp_kernel_lines *lines, uint64_t address, struct fnp_symbol *ret)
{
	struct fnp_symbol_chain chain;

	if (!lines->tried)
		look_for_file(lines);
	lines->tried = true;
	if (!lines->vmlinux ||
	    fnp_symbolizer_resolve(lines->symbolizer, lines->vmlinux, address - lines->distance, &chain) < 0 ||
	    chain.n == 0)
		return -ENOENT;
	*ret = chain.symbols[chain.n - 1];
	return 0;
}
