/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/targets/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <xxhash.h>

#include "base/log.h"
#include "base/map.h"
#include "base/vec.h"

#define VDSO_BYTES_MAX (64 * 1024)

/* An object, and since when nobody has named it. */
struct entry {
	struct fnp_target_object object;
	unsigned int unmarked; /* sweeps in a row; a mark makes it 0 */
};

struct fnp_objects {
	uint32_t last_id;
	struct fnp_map by_id;	    /* id -> struct entry *, owned */
	struct fnp_map by_identity; /* hash of the identity -> id */
	struct fnp_map by_build_id; /* hash of the build id's text -> id */
};

static void entry_destroy(struct entry *entry)
{
	if (!entry)
		return;
	fnp_object_unref(entry->object.elf);
	free(entry->object.path);
	free(entry);
}
FNP_DEFINE_CLEANUP(entry_destroyp, struct entry *, entry_destroy)

int fnp_objects_create(struct fnp_objects **ret)
{
	struct fnp_objects *objects = calloc(1, sizeof(*objects));

	if (!objects)
		return -ENOMEM;
	*ret = objects;
	return 0;
}

void fnp_objects_destroy(struct fnp_objects *objects)
{
	if (!objects)
		return;
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&objects->by_id, s));)
		entry_destroy((struct entry *)(uintptr_t)s->value);
	fnp_map_deinit(&objects->by_id);
	fnp_map_deinit(&objects->by_identity);
	fnp_map_deinit(&objects->by_build_id);
	free(objects);
}

static void build_id_text(const struct fnp_file_identity *identity, char *ret)
{
	for (size_t i = 0; i < identity->build_id_size; i++)
		snprintf(ret + 2 * i, 3, "%02x", identity->build_id[i]);
	ret[2 * identity->build_id_size] = '\0';
}

static uint64_t identity_key(const struct fnp_map_event *mapping)
{
	const struct fnp_file_identity *id = &mapping->identity;
	uint64_t words[3] = {(uint64_t)id->major << 32 | id->minor, id->inode, 0};

	if (id->build_id_size)
		return XXH3_64bits(id->build_id, id->build_id_size);
	if (id->inode == 0)
		words[2] = XXH3_64bits(mapping->path, strlen(mapping->path));
	return XXH3_64bits(words, sizeof(words));
}

static bool is_file(const char *path)
{
	return path[0] == '/' && strncmp(path, "//anon", 6) != 0 && strncmp(path, "/dev/zero", 9) != 0 &&
	       strncmp(path, "/SYSV", 5) != 0;
}

/* Does this open file hold what was mapped? Without a build id in the record, device and inode must agree. */
static bool same_file(int fd, const struct fnp_object *elf, const struct fnp_map_event *mapping)
{
	const struct fnp_file_identity *id = &mapping->identity;
	char text[2 * FNP_BUILD_ID_MAX + 1];
	struct stat st;

	if (id->build_id_size) {
		build_id_text(id, text);
		return elf && strcmp(fnp_object_build_id(elf), text) == 0;
	}
	return fstat(fd, &st) == 0 && st.st_ino == id->inode && major(st.st_dev) == id->major &&
	       minor(st.st_dev) == id->minor;
}

/* One way to the file: 0 and the ELF (or NULL when it is the file, but no ELF), or -errno. */
static int try_path(const char *path, bool trusted, const struct fnp_map_event *mapping, struct fnp_object **ret)
{
	fnp_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *elf = NULL;
	int own;

	if (fd < 0)
		return -errno;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	if (fnp_object_open_fd(own, mapping->path, &elf) < 0)
		elf = NULL;
	if (!trusted && !same_file(fd, elf, mapping))
		return -ESTALE;
	*ret = TAKE_PTR(elf);
	return 0;
}

/* The kernel's own link to the mapped file, the target's view of the path, our view of it. */
static struct fnp_object *open_elf(const struct fnp_map_event *mapping)
{
	struct fnp_object *elf = NULL;
	char path[PATH_MAX + 64];
	bool no_identity = mapping->identity.build_id_size == 0 && mapping->identity.inode == 0;

	snprintf(path, sizeof(path), "/proc/%u/map_files/%lx-%lx", mapping->pid, mapping->start, mapping->end);
	if (try_path(path, mapping->identity.build_id_size == 0, mapping, &elf) == 0)
		return elf;
	snprintf(path, sizeof(path), "/proc/%u/root%s", mapping->pid, mapping->path);
	if (!no_identity && try_path(path, false, mapping, &elf) == 0)
		return elf;
	if (!no_identity && try_path(mapping->path, false, mapping, &elf) == 0)
		return elf;
	return NULL;
}

/* The vdso is the same in all 64-bit processes of a kernel: ours will do. */
static struct fnp_object *open_vdso(void)
{
	const uint8_t *vdso = (const uint8_t *)getauxval(AT_SYSINFO_EHDR); // NOLINT: an address from the kernel
	struct fnp_object *elf = NULL;
	Elf64_Ehdr header;
	size_t size;

	if (!vdso)
		return NULL;
	memcpy(&header, vdso, sizeof(header));
	size = header.e_shoff + (size_t)header.e_shnum * header.e_shentsize;
	if (size > VDSO_BYTES_MAX || fnp_object_open_memory(vdso, size, "[vdso]", &elf) < 0)
		return NULL;
	return elf;
}

static int entry_create(const struct fnp_map_event *mapping, struct entry **ret)
{
	FNP_CLEANUP(entry_destroyp) struct entry *entry = calloc(1, sizeof(*entry));
	bool vdso = strcmp(mapping->path, "[vdso]") == 0;
	struct fnp_target_object *object;
	const char *slash;

	if (!entry)
		return -ENOMEM;
	object = &entry->object;
	object->path = strdup(mapping->path);
	if (!object->path)
		return -ENOMEM;
	slash = strrchr(object->path, '/');
	object->name = vdso ? "vdso" : slash && slash[1] ? slash + 1 : object->path;
	object->elf = vdso ? open_vdso() : open_elf(mapping);
	build_id_text(&mapping->identity, object->build_id);
	if (object->elf && !object->build_id[0])
		snprintf(object->build_id, sizeof(object->build_id), "%s", fnp_object_build_id(object->elf));
	*ret = TAKE_PTR(entry);
	return 0;
}

static struct entry *entry_of(const struct fnp_objects *objects, uint64_t id)
{
	return fnp_map_find_ptr(&objects->by_id, id);
}

/* The same file may be met by build id and by inode (the kernel reads build ids only from memory that is there). */
static uint32_t known_by_build_id(struct fnp_objects *objects, const struct fnp_target_object *object)
{
	uint64_t *id;

	if (!object->build_id[0])
		return 0;
	id = fnp_map_find(&objects->by_build_id, XXH3_64bits(object->build_id, strlen(object->build_id)));
	return id ? (uint32_t)*id : 0;
}

/* Gives it a number. */
static int add(struct fnp_objects *objects, struct entry *taken, uint32_t *ret)
{
	FNP_CLEANUP(entry_destroyp) struct entry *entry = taken;
	const char *build_id = entry->object.build_id;
	uint32_t id = objects->last_id + 1;

	if (id == FNP_OBJECT_NONE)
		return -ENOSPC;
	if (build_id[0] && fnp_map_set(&objects->by_build_id, XXH3_64bits(build_id, strlen(build_id)), id) < 0)
		return -ENOMEM;
	entry->object.id = id;
	if (fnp_map_set_ptr(&objects->by_id, id, entry) < 0)
		return -ENOMEM;
	TAKE_PTR(entry);
	*ret = objects->last_id = id;
	return 0;
}

int fnp_objects_find(struct fnp_objects *objects, const struct fnp_map_event *mapping, uint32_t *ret)
{
	FNP_CLEANUP(entry_destroyp) struct entry *fresh = NULL;
	struct entry *known;
	uint64_t key, *number;
	uint32_t id;
	int r;

	if (!is_file(mapping->path) && strcmp(mapping->path, "[vdso]") != 0) {
		*ret = FNP_OBJECT_NONE;
		return 0;
	}
	key = identity_key(mapping);
	number = fnp_map_find(&objects->by_identity, key);
	known = number ? entry_of(objects, *number) : NULL;
	/* What could not be opened once may be there in another process. */
	if (known && known->object.elf) {
		*ret = known->object.id;
		return 0;
	}
	r = entry_create(mapping, &fresh);
	if (r < 0)
		return r;
	if (known) {
		known->object.elf = TAKE_PTR(fresh->object.elf);
		*ret = known->object.id;
		return 0;
	}
	id = known_by_build_id(objects, &fresh->object);
	if (!id)
		r = add(objects, TAKE_PTR(fresh), &id);
	r = r ?: fnp_map_set(&objects->by_identity, key, id);
	if (r < 0)
		return r;
	*ret = id;
	return 0;
}

const struct fnp_target_object *fnp_objects_get(const struct fnp_objects *objects, uint32_t id)
{
	const struct entry *entry = entry_of(objects, id);

	return entry ? &entry->object : NULL;
}

void fnp_objects_release_pages(const struct fnp_objects *objects)
{
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&objects->by_id, s));) {
		const struct entry *entry = (const struct entry *)(uintptr_t)s->value;
		if (entry->object.elf)
			fnp_object_release_pages(entry->object.elf);
	}
}

uint32_t fnp_objects_last(const struct fnp_objects *objects)
{
	return objects->last_id;
}

size_t fnp_objects_count(const struct fnp_objects *objects)
{
	return objects->by_id.len;
}

/* ---- closing ------------------------------------------------------------------------------------------------- */

void fnp_objects_mark(struct fnp_objects *objects, uint32_t id)
{
	struct entry *entry = entry_of(objects, id);

	if (entry)
		entry->unmarked = 0;
}

/* Removes the keys under which objects were found that are not there any more. */
static void forget_keys(const struct fnp_objects *objects, struct fnp_map *keys)
{
	FNP_VEC(uint64_t) gone = {0};

	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(keys, s));) {
		if (!entry_of(objects, s->value) && fnp_vec_push(&gone, s->key) < 0)
			break; /* the next sweep meets it again */
	}
	for (size_t i = 0; i < gone.len; i++)
		fnp_map_remove(keys, gone.items[i]);
	fnp_vec_deinit(&gone);
}

void fnp_objects_sweep(struct fnp_objects *objects, const struct fnp_objects_sweep *how)
{
	FNP_VEC(struct entry *) gone = {0};

	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&objects->by_id, s));) {
		struct entry *entry = (struct entry *)(uintptr_t)s->value;
		if (++entry->unmarked > how->sweeps && fnp_vec_push(&gone, entry) < 0)
			break;
	}
	for (size_t i = 0; i < gone.len; i++) {
		struct entry *entry = gone.items[i];
		if (!how->may_go(how->self, &entry->object))
			continue;
		fnp_map_remove(&objects->by_id, entry->object.id);
		entry_destroy(entry);
	}
	if (gone.len) {
		forget_keys(objects, &objects->by_identity);
		forget_keys(objects, &objects->by_build_id);
	}
	fnp_vec_deinit(&gone);
}
