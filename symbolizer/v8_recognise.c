/* SPDX-License-Identifier: Apache-2.0 */
/*
 * V8 and the programs that are made of it: recognised by the constants that it exports for debuggers, or by the API
 * that embedders and addons link to.
 *
 * Node has its version in the address of its own source archive; Electron, Deno and a plain V8 are named as what
 * they are.
 */
#include "symbolizer/v8.h"

enum { V8DBG, V8_VERSION, NODE_REGISTER, NODE_API, N_NAMES };

/* "2.9.6" of "2.9.6+e518" and of texts that go on without a gap. */
static void keep_numbers(char *version)
{
	version[strspn(version, "0123456789.")] = '\0';
	size_t len = strlen(version);
	while (len > 0 && version[len - 1] == '.')
		version[--len] = '\0';
}

static int name_after(const struct fnp_object *object, const char *name, const char *before,
		      struct fnp_runtime_id *ret)
{
	int r = fnp_runtime_version_after(object, before, ret->version, sizeof(ret->version));

	if (r < 0)
		return r;
	keep_numbers(ret->version);
	fnp_runtime_parse_version(ret->version, &ret->major, &ret->minor);
	snprintf(ret->text, sizeof(ret->text), "%s%u", name, ret->major);
	return 0;
}

/* "v20.20.2" as a text of its own: builds that say nowhere where their source is. */
static int find_version_text(const struct fnp_object *object, char *ret, size_t size)
{
	struct fnp_cursor c;

	for (size_t piece = 0; fnp_runtime_constants(object, piece, &c) == 0; piece++) {
		const uint8_t *hit;
		while ((hit = fnp_runtime_search(object, c, "\0v", 2))) {
			unsigned major, minor, patch;
			char text[16] = "", again[16];

			c.pos = hit + 1;
			memcpy(text, c.pos, FNP_MIN(fnp_cursor_left(&c), sizeof(text) - 1));
			if (sscanf(text, "v%3u.%3u.%3u", &major, &minor, &patch) != 3 || major < 4)
				continue;
			snprintf(again, sizeof(again), "v%u.%u.%u", major, minor, patch);
			if (strcmp(text, again) != 0)
				continue;
			snprintf(ret, size, "%s", text + 1);
			return 0;
		}
	}
	return -ENOENT;
}

/*
 * ".../v20.20.2/node-v20.20.2.tar.gz": where the sources of this build are. Whose site it is tells Electron from Node.
 * The sources also quote "node-v0.x-archive", which is no version.
 */
static int find_archive(const struct fnp_object *object, char *ret, size_t size, bool *ret_electron)
{
	static const char before[] = "/node-v", site[] = "electronjs.org/";
	struct fnp_cursor c;

	for (size_t piece = 0; fnp_runtime_constants(object, piece, &c) == 0; piece++) {
		const uint8_t *hit;
		while ((hit = fnp_runtime_search(object, c, before, sizeof(before) - 1))) {
			size_t back = FNP_MIN((size_t)(hit - c.start), 64u);
			c.pos = hit + sizeof(before) - 1;
			if (fnp_cursor_left(&c) == 0 || c.pos[0] < '1' || c.pos[0] > '9')
				continue;
			size_t n = FNP_MIN(fnp_cursor_left(&c), size - 1);
			memcpy(ret, c.pos, n);
			ret[n] = '\0';
			keep_numbers(ret);
			*ret_electron = memmem(hit - back, back, site, sizeof(site) - 1) != NULL;
			return 0;
		}
	}
	return -ENOENT;
}

static void name_node(const struct fnp_object *object, struct fnp_runtime_id *ret)
{
	bool electron = false;

	if (find_archive(object, ret->version, sizeof(ret->version), &electron) < 0)
		find_version_text(object, ret->version, sizeof(ret->version));
	fnp_runtime_parse_version(ret->version, &ret->major, &ret->minor);
	const char *name = electron ? "electron" : "node";
	if (ret->major)
		snprintf(ret->text, sizeof(ret->text), "%s%u", name, ret->major);
	else
		snprintf(ret->text, sizeof(ret->text), "%s", name);
}

int fnp_v8_recognise(const struct fnp_object *object, struct fnp_runtime_id *ret)
{
	static const char *const names[N_NAMES] = {
		[V8DBG] = "v8dbg_FirstNonstringType",
		[V8_VERSION] = "_ZN2v82V810GetVersionEv",
		[NODE_REGISTER] = "node_module_register",
		[NODE_API] = "napi_create_function",
	};
	struct fnp_object_symbol symbols[N_NAMES];
	struct fnp_runtime_id id = {0};

	if (fnp_runtime_exports(object, names, N_NAMES, symbols) == 0)
		return -ENOENT;
	bool v8 = symbols[V8DBG].address || symbols[V8_VERSION].address;
	if (v8 && symbols[NODE_REGISTER].address)
		name_node(object, &id);
	else if (v8)
		snprintf(id.text, sizeof(id.text), "v8");
	else if (name_after(object, "deno", "Deno/", &id) < 0 && name_after(object, "bun", "Bun/", &id) < 0)
		return -ENOENT;
	*ret = id;
	return 0;
}
