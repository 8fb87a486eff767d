/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is the section's bytes, then a trailer with its key.
 */
#include "symbolizer/section_cache.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

#include "base/file.h"
#include "base/vec.h"

#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

#define CACHE_BYTES_MAX (UINT64_C(2) << 30)
#define OUT_BYTES ((size_t)1 << 20)
#define TRAILER_MAGIC UINT64_C(0x31636573706e6601)
#define FILES_MAX 4096
#define SAMPLES 64
#define SAMPLE_BYTES 1024
#define IN_BYTES ((size_t)16 << 20) /* of the stream, before its pages are given back */

struct trailer {
	uint64_t magic, size, hash, name_hash;
};

/* The build id says which file it is; samples guard against one that lies, without reading all. */
static uint64_t hash_stream(const struct fnp_section_cache_request *request)
{
	size_t size = fnp_cursor_left(&request->in), step = size / SAMPLES;
	uint64_t hash = size;

	if (!fnp_object_build_id(request->object)[0] || step < SAMPLE_BYTES)
		return XXH3_64bits(request->in.pos, size);
	for (size_t i = 0; i < SAMPLES; i++)
		hash = XXH3_64bits_withSeed(request->in.pos + i * step, SAMPLE_BYTES, hash);
	return XXH3_64bits_withSeed(request->in.end - SAMPLE_BYTES, SAMPLE_BYTES, hash);
}

static struct trailer trailer_of(const struct fnp_section_cache_request *request)
{
	return (struct trailer){.magic = TRAILER_MAGIC,
				.size = request->size,
				.hash = hash_stream(request),
				.name_hash = XXH3_64bits(request->name, strlen(request->name))};
}

static void file_name(const struct fnp_section_cache_request *request, const struct trailer *t,
		      char ret[static 128])
{
	snprintf(ret, 128, "%.40s-%016llx%08x", fnp_object_build_id(request->object),
		 (unsigned long long)t->hash, (unsigned int)t->name_hash);
}

/* Our folder, made where it is missing; -1 without one. */
static int open_folder(void)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char path[PATH_MAX];
	struct stat st;
	int n = cache && cache[0] == '/' ? snprintf(path, sizeof(path), "%s", cache)
		: home && home[0] == '/' ? snprintf(path, sizeof(path), "%s/.cache", home)
					 : -1;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -1;
	(void)mkdir(path, 0700); /* what fails here is seen at the next step */
	fnp_autoclose int base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return -1;
	(void)mkdirat(base, "fnprof", 0700);
	fnp_autoclose int own = openat(base, "fnprof", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (own < 0)
		return -1;
	(void)mkdirat(own, "sections", 0700);
	fnp_autoclose int fd = openat(own, "sections", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022))
		return -1;
	return TAKE_FD(fd);
}

/* A kept file that is whole and ours; -ENOENT. */
static int open_kept(int folder, const char *name, const struct trailer *want, struct fnp_mapped_file **ret)
{
	fnp_autoclose int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct trailer have;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (uint64_t)st.st_size != want->size + sizeof(have) ||
	    pread(fd, &have, sizeof(have), (off_t)want->size) != sizeof(have) ||
	    memcmp(&have, want, sizeof(have)) != 0)
		return -ENOENT;
	(void)futimens(fd, NULL); /* now the youngest; a cache that cannot be touched is still right */
	return fnp_mapped_file_create(fd, UINT64_MAX, ret);
}

static void end_inflate(z_stream *stream)
{
	inflateEnd(stream);
}

static int inflate_to(int fd, const struct fnp_section_cache_request *request, uint8_t *out)
{
	FNP_CLEANUP(end_inflate) z_stream stream = {0};
	struct fnp_cursor in = request->in;
	uint64_t done = 0, size = request->size;

	if (inflateInit(&stream) != Z_OK)
		return -ENOMEM;
	for (;;) {
		if (stream.avail_in == 0) {
			fnp_object_release_pages(request->object);
			stream.next_in = (Bytef *)(uintptr_t)in.pos;
			stream.avail_in = (uInt)FNP_MIN(fnp_cursor_left(&in), IN_BYTES);
			in.pos += stream.avail_in;
		}
		stream.next_out = out;
		stream.avail_out = (uInt)OUT_BYTES;
		int z = inflate(&stream, Z_NO_FLUSH);
		size_t got = OUT_BYTES - stream.avail_out;
		if ((z != Z_OK && z != Z_STREAM_END) || got > size - done)
			return -EBADMSG;
		int r = fnp_file_write_all(fd, out, got);
		if (r < 0)
			return r;
		done += got;
		if (z == Z_STREAM_END)
			return done == size ? 0 : -EBADMSG;
	}
}

static void free_dstream(ZSTD_DStream **stream)
{
	ZSTD_freeDStream(*stream);
}

static int unzstd_to(int fd, struct fnp_cursor in, uint8_t *out, uint64_t size)
{
	FNP_CLEANUP(free_dstream) ZSTD_DStream *stream = ZSTD_createDStream();
	ZSTD_inBuffer source = {.src = in.pos, .size = fnp_cursor_left(&in)};
	uint64_t done = 0;

	if (!stream)
		return -ENOMEM;
	while (done < size) {
		ZSTD_outBuffer sink = {.dst = out, .size = OUT_BYTES};
		size_t left = ZSTD_decompressStream(stream, &sink, &source);
		if (ZSTD_isError(left) || sink.pos == 0 || sink.pos > size - done)
			return -EBADMSG;
		int r = fnp_file_write_all(fd, out, sink.pos);
		if (r < 0)
			return r;
		done += sink.pos;
	}
	return 0;
}

static int fill(int fd, const struct fnp_section_cache_request *request, const struct trailer *trailer)
{
	fnp_autofree uint8_t *out = malloc(OUT_BYTES);
	int r = out ? -ENOTSUP : -ENOMEM;

	if (out && request->how == ELFCOMPRESS_ZLIB)
		r = inflate_to(fd, request, out);
	else if (out && request->how == ELFCOMPRESS_ZSTD)
		r = unzstd_to(fd, request->in, out, request->size);
	return r < 0 ? r : fnp_file_write_all(fd, trailer, sizeof(*trailer));
}

struct kept {
	char name[128];
	uint64_t size;
	int64_t time;
};

static int compare_age(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	return x->time < y->time ? -1 : x->time > y->time;
}

/* Throws the oldest files away until `more` bytes have room. */
static void make_room(int folder, uint64_t more)
{
	FNP_VEC(struct kept) kept = {0};
	uint64_t total = more;
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct stat st;

	if (!dir) {
		fnp_closep(&fd);
		return;
	}
	for (struct dirent *d; (d = readdir(dir)) && kept.len < FILES_MAX;) {
		struct kept file = {.size = 0};
		if (strlen(d->d_name) >= sizeof(file.name) ||
		    fstatat(folder, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		snprintf(file.name, sizeof(file.name), "%.127s", d->d_name);
		file.size = (uint64_t)st.st_size;
		file.time = st.st_mtime;
		if (fnp_vec_push(&kept, file) < 0)
			break;
		total += file.size;
	}
	closedir(dir);
	if (kept.len > 0)
		qsort(kept.items, kept.len, sizeof(struct kept), compare_age);
	for (size_t i = 0; i < kept.len && total > CACHE_BYTES_MAX; i++) {
		if (unlinkat(folder, kept.items[i].name, 0) == 0)
			total -= kept.items[i].size;
	}
	fnp_vec_deinit(&kept);
}

static int make_kept(int folder, const char *name, const struct fnp_section_cache_request *request,
		     const struct trailer *trailer)
{
	char temporary[160];
	int r;

	make_room(folder, request->size);
	snprintf(temporary, sizeof(temporary), ".%s.%d.tmp", name, getpid());
	fnp_autoclose int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				      0600);
	if (fd < 0)
		return -errno;
	r = fill(fd, request, trailer);
	if (r == 0 && renameat(folder, temporary, folder, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(folder, temporary, 0);
	return r;
}

/* A file without a name, which is gone with us. */
static int make_temporary(const struct fnp_section_cache_request *request, const struct trailer *trailer,
			  struct fnp_mapped_file **ret)
{
	const char *folder = getenv("TMPDIR");
	fnp_autoclose int fd = open(folder && folder[0] == '/' ? folder : "/tmp",
				    O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : fill(fd, request, trailer);

	return r < 0 ? r : fnp_mapped_file_create(fd, UINT64_MAX, ret);
}

int fnp_section_cache_open(const struct fnp_section_cache_request *request, struct fnp_mapped_file **ret)
{
	struct trailer trailer = trailer_of(request);
	fnp_autoclose int folder = open_folder();
	char name[128];
	int r = -ENOENT;

	file_name(request, &trailer, name);
	if (folder >= 0) {
		r = open_kept(folder, name, &trailer, ret);
		if (r == 0)
			return 0;
		r = make_kept(folder, name, request, &trailer);
		if (r == 0)
			r = open_kept(folder, name, &trailer, ret);
	}
	/* A broken stream stays broken; a full disk or a second process in the same place is worth another try. */
	return r == 0 || r == -EBADMSG || r == -ENOTSUP ? r : make_temporary(request, &trailer, ret);
}
