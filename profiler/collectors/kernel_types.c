/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two passes over the types: the first notes where each begins and which are asked for; the second copies those, and what
 * they hold by value, under new numbers. Types are taken in the order in which they are first referred to, from a queue, so
 * nothing is recursive.
 */
#include "profiler/collectors/kernel_types.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <xxhash.h>

#include "base/file.h"
#include "base/vec.h"

#define KERNEL_BTF "/sys/kernel/btf/vmlinux"
#define KERNEL_BTF_BYTES_MAX (64U << 20)
#define TYPES_MAX (1U << 21)
#define NEW_STRINGS_MAX (16U << 20)
#define TRACE_PREFIX "btf_trace_"

struct reader {
	const uint8_t *types;
	size_t types_size;
	const char *strings; /* ends with a NUL */
	size_t strings_size;
	FNP_VEC(uint32_t) at;	 /* by number: offset in `types`; [0] is void */
	FNP_VEC(uint32_t) queue; /* numbers of those that are kept, in their new order */
	uint32_t *number;	 /* by number: the new one, 0: not kept */
	struct fnp_buffer new_types, new_strings;
};

static void reader_deinit(struct reader *reader)
{
	fnp_vec_deinit(&reader->at);
	fnp_vec_deinit(&reader->queue);
	fnp_buffer_deinit(&reader->new_types);
	fnp_buffer_deinit(&reader->new_strings);
	free(reader->number);
}

void fnp_kernel_types_deinit(struct fnp_kernel_types *types)
{
	fnp_buffer_deinit(&types->btf);
	fnp_map_deinit(&types->tracepoints);
}

static uint64_t hash_of(const char *name)
{
	return XXH3_64bits(name, strlen(name));
}

/* ---- the first pass ---- */

static int open_sections(const uint8_t *data, size_t size, struct reader *ret)
{
	struct btf_header head;
	size_t left;

	if (size < sizeof(head))
		return -EBADMSG;
	memcpy(&head, data, sizeof(head));
	if (head.magic != BTF_MAGIC || head.version != BTF_VERSION || head.hdr_len < sizeof(head) ||
	    head.hdr_len > size)
		return -EBADMSG;
	left = size - head.hdr_len;
	if (head.type_off > left || head.type_len > left - head.type_off || head.str_off > left ||
	    head.str_len > left - head.str_off || head.str_len == 0)
		return -EBADMSG;
	ret->types = data + head.hdr_len + head.type_off;
	ret->types_size = head.type_len;
	ret->strings = (const char *)data + head.hdr_len + head.str_off;
	ret->strings_size = head.str_len;
	/* Types are whole words long, so all of them lie as the first one does. */
	return ret->strings[head.str_len - 1] == '\0' && (uintptr_t)ret->types % sizeof(uint32_t) == 0
		       ? 0
		       : -EBADMSG;
}

/* Bytes that follow a type's fixed part. */
static int extra_bytes(const struct btf_type *type, size_t *ret)
{
	size_t n = BTF_INFO_VLEN(type->info);

	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		*ret = 0;
		return 0;
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		*ret = sizeof(uint32_t);
		return 0;
	case BTF_KIND_ARRAY:
		*ret = sizeof(struct btf_array);
		return 0;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		*ret = n * sizeof(struct btf_member);
		return 0;
	case BTF_KIND_ENUM:
		*ret = n * sizeof(struct btf_enum);
		return 0;
	case BTF_KIND_ENUM64:
		*ret = n * sizeof(struct btf_enum64);
		return 0;
	case BTF_KIND_FUNC_PROTO:
		*ret = n * sizeof(struct btf_param);
		return 0;
	case BTF_KIND_DATASEC:
		*ret = n * sizeof(struct btf_var_secinfo);
		return 0;
	default:
		return -EBADMSG;
	}
}

static const struct btf_type *type_at(const struct reader *reader, uint32_t number)
{
	return (const void *)(reader->types + reader->at.items[number]);
}

/* "" for what has none. */
static const char *name_of(const struct reader *reader, uint32_t offset)
{
	return offset < reader->strings_size ? reader->strings + offset : "";
}

static int find_types(struct reader *reader)
{
	int r = fnp_vec_push(&reader->at, 0);

	for (size_t at = 0; r == 0 && at < reader->types_size;) {
		const struct btf_type *type = (const void *)(reader->types + at);
		size_t extra;

		if (sizeof(*type) > reader->types_size - at)
			return -EBADMSG;
		r = extra_bytes(type, &extra);
		if (r < 0)
			return r;
		if (extra > reader->types_size - at - sizeof(*type) || reader->at.len >= TYPES_MAX)
			return -EBADMSG;
		r = fnp_vec_push(&reader->at, (uint32_t)at);
		at += sizeof(*type) + extra;
	}
	return r;
}

/* ---- the second pass ---- */

/* The new number of a type; it is copied later. 0 stays what it is: void. */
static int keep(struct reader *reader, uint32_t number, uint32_t *ret)
{
	int r;

	if (number >= reader->at.len)
		return -EBADMSG;
	if (number && !reader->number[number]) {
		r = fnp_vec_push(&reader->queue, number);
		if (r < 0)
			return r;
		reader->number[number] = (uint32_t)reader->queue.len;
	}
	*ret = reader->number[number];
	return 0;
}

static uint32_t copy_name(struct reader *reader, uint32_t offset)
{
	const char *name = name_of(reader, offset);
	size_t at = reader->new_strings.len;

	if (!*name)
		return 0;
	fnp_buffer_append(&reader->new_strings, name, strlen(name) + 1);
	return (uint32_t)at;
}

static int copy_array(struct reader *reader, const struct btf_array *from)
{
	struct btf_array array = *from;
	int r = keep(reader, from->type, &array.type);

	r = r ?: keep(reader, from->index_type, &array.index_type);
	fnp_buffer_append(&reader->new_types, &array, sizeof(array));
	return r;
}

static int copy_members(struct reader *reader, const struct btf_member *from, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct btf_member member = from[i];

		member.name_off = copy_name(reader, from[i].name_off);
		r = keep(reader, from[i].type, &member.type);
		fnp_buffer_append(&reader->new_types, &member, sizeof(member));
	}
	return r;
}

/* Enumerators: a name, then one word or two. */
static void copy_values(struct reader *reader, const uint8_t *from, size_t n, size_t size)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t words[3];

		memcpy(words, from + i * size, size);
		words[0] = copy_name(reader, words[0]);
		fnp_buffer_append(&reader->new_types, words, size);
	}
}

static int copy_type(struct reader *reader, const struct btf_type *from)
{
	struct btf_type type = *from;
	const void *extra = from + 1;
	size_t n = BTF_INFO_VLEN(from->info), kind = BTF_INFO_KIND(from->info);
	int r = 0;

	type.name_off = copy_name(reader, from->name_off);
	if (kind == BTF_KIND_PTR)
		type.type = 0;
	else if (kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_VOLATILE || kind == BTF_KIND_CONST ||
		 kind == BTF_KIND_RESTRICT || kind == BTF_KIND_TYPE_TAG)
		r = keep(reader, from->type, &type.type);
	fnp_buffer_append(&reader->new_types, &type, sizeof(type));
	if (r < 0)
		return r;
	switch (kind) {
	case BTF_KIND_INT:
		fnp_buffer_append(&reader->new_types, extra, sizeof(uint32_t));
		return 0;
	case BTF_KIND_ARRAY:
		return copy_array(reader, extra);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return copy_members(reader, extra, n);
	case BTF_KIND_ENUM:
		copy_values(reader, extra, n, sizeof(struct btf_enum));
		return 0;
	case BTF_KIND_ENUM64:
		copy_values(reader, extra, n, sizeof(struct btf_enum64));
		return 0;
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	default: /* functions and variables are no part of a structure */
		return -EBADMSG;
	}
}

/* ---- what is asked for ---- */

static bool has_fields(const struct btf_type *type)
{
	uint32_t kind = BTF_INFO_KIND(type->info);

	return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_ENUM ||
	       kind == BTF_KIND_ENUM64;
}

static int note_tracepoint(const char *name, uint32_t number, struct fnp_kernel_types *ret)
{
	if (strncmp(name, TRACE_PREFIX, strlen(TRACE_PREFIX)) != 0)
		return 0;
	return fnp_map_set(&ret->tracepoints, hash_of(name + strlen(TRACE_PREFIX)), number);
}

static int choose(struct reader *reader, const char *const names[], size_t n, struct fnp_kernel_types *ret)
{
	FNP_CLEANUP(fnp_map_deinit) struct fnp_map wanted = {0};
	uint32_t ignored;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = fnp_map_set(&wanted, hash_of(names[i]), 1);
	for (uint32_t i = 1; r == 0 && i < reader->at.len; i++) {
		const struct btf_type *type = type_at(reader, i);
		const char *name = name_of(reader, type->name_off);

		if (*name && BTF_INFO_KIND(type->info) == BTF_KIND_TYPEDEF)
			r = note_tracepoint(name, i, ret);
		else if (*name && has_fields(type) && fnp_map_find(&wanted, hash_of(name)))
			r = keep(reader, i, &ignored);
	}
	return r;
}

static int write_btf(struct reader *reader, struct fnp_buffer *ret)
{
	struct btf_header head = {.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(head)};

	head.type_len = head.str_off = (uint32_t)reader->new_types.len;
	head.str_len = (uint32_t)reader->new_strings.len;
	fnp_buffer_append(ret, &head, sizeof(head));
	fnp_buffer_append(ret, reader->new_types.data, reader->new_types.len);
	fnp_buffer_append(ret, reader->new_strings.data, reader->new_strings.len);
	return reader->new_types.error ?: reader->new_strings.error ?: ret->error;
}

int fnp_kernel_types_parse(const void *data, size_t size, const char *const names[], size_t n,
			   struct fnp_kernel_types *ret)
{
	FNP_CLEANUP(reader_deinit) struct reader reader = {0};
	FNP_CLEANUP(fnp_kernel_types_deinit) struct fnp_kernel_types types = {0};
	int r = open_sections(data, size, &reader);

	r = r ?: find_types(&reader);
	if (r < 0)
		return r;
	reader.number = calloc(reader.at.len, sizeof(*reader.number));
	if (!reader.number)
		return -ENOMEM;
	fnp_buffer_byte(&reader.new_strings, '\0');
	r = choose(&reader, names, n, &types);
	for (size_t i = 0; r == 0 && i < reader.queue.len; i++)
		r = reader.new_strings.len > NEW_STRINGS_MAX
			    ? -EBADMSG
			    : copy_type(&reader, type_at(&reader, reader.queue.items[i]));
	r = r ?: write_btf(&reader, &types.btf);
	if (r < 0)
		return r;
	*ret = types;
	types = (struct fnp_kernel_types){0};
	return 0;
}

static const char *const names_in_bpf[] = {
#include "bpf/kernel_types.inc"
};

int fnp_kernel_types_read(struct fnp_kernel_types *ret)
{
	fnp_autoclose int fd = open(KERNEL_BTF, O_RDONLY | O_CLOEXEC);
	fnp_autobuffer struct fnp_buffer bytes = {0};
	struct stat st;
	void *mapped;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* The file can be mapped since 6.16; before that it is copied. */
	mapped = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapped != MAP_FAILED) {
		r = fnp_kernel_types_parse(mapped, (size_t)st.st_size, names_in_bpf,
					   FNP_ARRAY_SIZE(names_in_bpf), ret);
		munmap(mapped, (size_t)st.st_size);
		return r;
	}
	r = fnp_file_read_fd(fd, KERNEL_BTF_BYTES_MAX, &bytes);
	return r
		       ?: fnp_kernel_types_parse(bytes.data, bytes.len, names_in_bpf,
						 FNP_ARRAY_SIZE(names_in_bpf), ret);
}

uint32_t fnp_kernel_types_tracepoint(const struct fnp_kernel_types *types, const char *name)
{
	const uint64_t *number = fnp_map_find(&types->tracepoints, hash_of(name));

	return number ? (uint32_t)*number : 0;
}
