/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/section_data.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/symbolizer/elf_writer.h"

#define LARGE ((size_t)5 << 20)

static char folder[] = "/tmp/fnp-section-XXXXXX";
static uint8_t *plain; /* LARGE bytes */

/* Elf64_Chdr and the first `size` bytes of `plain`, compressed. The caller frees. */
static uint8_t *compress_section(uint32_t how, size_t size, size_t *ret)
{
	Elf64_Chdr header = {.ch_type = how, .ch_size = size, .ch_addralign = 1};
	uLongf len = compressBound(size);
	uint8_t *out = malloc(sizeof(header) + len + 1024);

	assert_non_null(out);
	memcpy(out, &header, sizeof(header));
	if (how == ELFCOMPRESS_ZLIB)
		assert_int_equal(compress2(out + sizeof(header), &len, plain, size, 1), Z_OK);
	else
		len = ZSTD_compress(out + sizeof(header), len, plain, size, 1);
	*ret = sizeof(header) + len;
	return out;
}

static struct fnp_object *with_section(const char *name, uint64_t flags, const void *data, size_t size)
{
	struct elf_writer w = {0};
	struct fnp_object *object = NULL;
	uint32_t index = elf_writer_section(&w, name, SHT_PROGBITS, data, size);

	w.sections[index - 1].flags = flags;
	struct fnp_buffer file = elf_writer_finish(&w);
	assert_int_equal(fnp_object_open_memory(file.data, file.len, "thing", &object), 0);
	fnp_buffer_deinit(&file);
	return object;
}

/* What loading the section says; when it is 0 the bytes have been compared. */
static int load(struct fnp_object *object, size_t size, uint64_t max)
{
	FNP_CLEANUP(fnp_section_data_deinit) struct fnp_section_data data = {0};
	int r = fnp_section_data_load(object, ".debug_info", max, &data);

	if (r == 0) {
		assert_int_equal(fnp_cursor_left(&data.bytes), size);
		assert_memory_equal(data.bytes.pos, plain, size);
		fnp_section_data_release_pages(&data);
		assert_memory_equal(data.bytes.pos, plain, size);
	}
	return r;
}

static int load_compressed(uint32_t how, size_t size, uint64_t max)
{
	size_t len;
	fnp_autofree uint8_t *bytes = compress_section(how, size, &len);
	FNP_CLEANUP(fnp_object_unrefp)
	struct fnp_object *object = with_section(".debug_info", SHF_COMPRESSED, bytes, len);

	return load(object, size, max);
}

static void small_sections_are_decompressed(void **state)
{
	(void)state;
	assert_int_equal(load_compressed(ELFCOMPRESS_ZLIB, 5000, 5000), 0);
	assert_int_equal(load_compressed(2, 5000, 5000), 0);
	assert_int_equal(load_compressed(ELFCOMPRESS_ZLIB, 5000, 4999), -EFBIG);
}

static void plain_sections_are_handed_on(void **state)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = with_section(".debug_info", 0, plain, 100);

	(void)state;
	assert_int_equal(load(object, 100, 100), 0);
	assert_int_equal(load(object, 100, 99), -EFBIG);
}

static void missing_section_is_said(void **state)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = with_section(".debug_str", 0, plain, 100);

	(void)state;
	assert_int_equal(load(object, 0, 100), -ENOENT);
}

static void promised_size_that_cannot_be_is_refused_before_memory_is_taken(void **state)
{
	Elf64_Chdr header = {.ch_type = ELFCOMPRESS_ZLIB, .ch_size = (uint64_t)1 << 29};
	FNP_CLEANUP(fnp_object_unrefp)
	struct fnp_object *object = with_section(".debug_info", SHF_COMPRESSED, &header, sizeof(header));

	(void)state;
	assert_int_equal(load(object, 0, UINT64_C(1) << 30), -EBADMSG);
}

/* Zeros, a thousand times smaller when they are compressed; the stream itself is sound. */
static void bomb_is_refused_before_it_goes_off(void **state)
{
	size_t size = (size_t)64 << 20;
	fnp_autofree uint8_t *zeros = calloc(1, size), *stream = malloc(sizeof(Elf64_Chdr) + (size >> 7));
	Elf64_Chdr header = {.ch_type = ELFCOMPRESS_ZLIB, .ch_size = size, .ch_addralign = 1};
	uLongf len = size >> 7;
	FNP_CLEANUP(fnp_section_data_deinit) struct fnp_section_data data = {0};

	(void)state;
	assert_true(zeros && stream);
	memcpy(stream, &header, sizeof(header));
	assert_int_equal(compress2(stream + sizeof(header), &len, zeros, size, 1), Z_OK);
	FNP_CLEANUP(fnp_object_unrefp)
	struct fnp_object *object = with_section(".debug_info", SHF_COMPRESSED, stream, sizeof(header) + len);
	assert_int_equal(fnp_section_data_load(object, ".debug_info", UINT64_MAX, &data), -EBADMSG);
	header.ch_size = UINT64_C(100) << 30;
	memcpy(stream, &header, sizeof(header));
	FNP_CLEANUP(fnp_object_unrefp)
	struct fnp_object *huge = with_section(".debug_info", SHF_COMPRESSED, stream, sizeof(header) + len);
	assert_int_equal(fnp_section_data_load(huge, ".debug_info", UINT64_MAX, &data), -EBADMSG);
}

static void stream_that_ends_early_is_refused(void **state)
{
	size_t len;
	fnp_autofree uint8_t *small = compress_section(ELFCOMPRESS_ZLIB, 5000, &len);
	FNP_CLEANUP(fnp_object_unrefp)
	struct fnp_object *a = with_section(".debug_info", SHF_COMPRESSED, small, len - 10);
	fnp_autofree uint8_t *large = compress_section(ELFCOMPRESS_ZLIB, LARGE, &len);
	FNP_CLEANUP(fnp_object_unrefp)
	struct fnp_object *b = with_section(".debug_info", SHF_COMPRESSED, large, len - 10);

	(void)state;
	assert_int_equal(load(a, 5000, LARGE), -EBADMSG);
	assert_int_equal(load(b, LARGE, LARGE), -EBADMSG);
}

/* The one file of the cache; its descriptor, and its name where that is asked for. */
static int open_only_kept(int flags, char *name)
{
	char path[128];
	int fd = -1;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/fnprof/sections", folder);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *d; (d = readdir(dir));) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		assert_true(d->d_name[0] != '.');
		n++;
		fd = openat(dirfd(dir), d->d_name, flags | O_CLOEXEC);
		if (name)
			snprintf(name, 256, "%s/%.100s", path, d->d_name);
	}
	closedir(dir);
	assert_int_equal(n, 1);
	assert_true(fd >= 0);
	return fd;
}

static ino_t inode_of_only_kept(void)
{
	fnp_autoclose int fd = open_only_kept(O_RDONLY, NULL);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	return st.st_ino;
}

static void empty_cache(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s/fnprof", folder);
	assert_int_equal(system(command), 0);
}

static void large_sections_are_kept_and_found_again(void **state)
{
	static const uint32_t hows[] = {ELFCOMPRESS_ZLIB, 2};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(hows); i++) {
		empty_cache();
		assert_int_equal(load_compressed(hows[i], LARGE, LARGE), 0);
		ino_t inode = inode_of_only_kept();
		assert_int_equal(load_compressed(hows[i], LARGE, LARGE), 0);
		assert_int_equal(inode_of_only_kept(), inode);
	}
}

static void torn_file_of_the_cache_is_made_again(void **state)
{
	(void)state;
	empty_cache();
	assert_int_equal(load_compressed(ELFCOMPRESS_ZLIB, LARGE, LARGE), 0);
	ino_t inode = inode_of_only_kept();
	fnp_autoclose int fd = open_only_kept(O_RDWR, NULL);
	assert_int_equal(ftruncate(fd, 1000), 0);
	assert_int_equal(load_compressed(ELFCOMPRESS_ZLIB, LARGE, LARGE), 0);
	assert_int_not_equal(inode_of_only_kept(), inode);
}

static void symbolic_link_in_the_cache_is_not_followed(void **state)
{
	char name[256];
	struct stat st;

	(void)state;
	empty_cache();
	assert_int_equal(load_compressed(ELFCOMPRESS_ZLIB, LARGE, LARGE), 0);
	close(open_only_kept(O_RDONLY, name));
	assert_int_equal(unlink(name), 0);
	assert_int_equal(symlink("/etc/passwd", name), 0);
	assert_int_equal(load_compressed(ELFCOMPRESS_ZLIB, LARGE, LARGE), 0);
	assert_int_equal(lstat(name, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void without_a_cache_a_temporary_file_does(void **state)
{
	(void)state;
	setenv("XDG_CACHE_HOME", "/proc/nothing", 1);
	int r = load_compressed(ELFCOMPRESS_ZLIB, LARGE, LARGE);
	setenv("XDG_CACHE_HOME", folder, 1);
	assert_int_equal(r, 0);
}

/* The bound of a reader rests on this figure: it follows what is read, and what is given back. */
static void memory_of_mapped_files_is_counted(void **state)
{
	size_t len;
	fnp_autofree uint8_t *bytes = compress_section(ELFCOMPRESS_ZLIB, LARGE, &len);
	FNP_CLEANUP(fnp_object_unrefp)
	struct fnp_object *object = with_section(".debug_info", SHF_COMPRESSED, bytes, len);
	FNP_CLEANUP(fnp_section_data_deinit) struct fnp_section_data data = {0};

	(void)state;
	assert_int_equal(fnp_section_data_load(object, ".debug_info", LARGE, &data), 0);
	fnp_section_data_release_pages(&data);
	uint64_t before = fnp_mapped_files_resident();
	assert_memory_equal(data.bytes.pos, plain, LARGE);
	uint64_t after = fnp_mapped_files_resident();
	/* Counters of a CPU are added up in batches, so a few pages may be missing. */
	assert_in_range(after - before, LARGE - (LARGE >> 3), LARGE + (LARGE >> 1));
	fnp_section_data_release_pages(&data);
	assert_in_range(fnp_mapped_files_resident(), 1, before + (LARGE >> 3));
}

static void xz_is_bounded(void **state)
{
	static uint8_t out[65536];
	fnp_autobuffer struct fnp_buffer b = {0};
	size_t len = 0;

	(void)state;
	assert_int_equal(
		lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, plain, 100000, out, &len, sizeof(out)),
		LZMA_OK);
	assert_int_equal(fnp_section_data_unxz(fnp_cursor_of(out, len), 99999, &b), -EFBIG);
	assert_int_equal(fnp_section_data_unxz(fnp_cursor_of(out, len - 5), 100000, &b), -EBADMSG);
	assert_int_equal(fnp_section_data_unxz(fnp_cursor_of(out, len), 100000, &b), 0);
	assert_int_equal(b.len, 100000);
	assert_memory_equal(b.data, plain, b.len);
}

static int set_up(void **state)
{
	(void)state;
	plain = malloc(LARGE);
	if (!plain || !mkdtemp(folder))
		return -1;
	/* Four random bits a byte: half of it is left when it is compressed. */
	for (uint64_t i = 0, x = 1; i < LARGE; i++) {
		x = x * UINT64_C(6364136223846793005) + 1;
		plain[i] = (uint8_t)(x >> 60);
	}
	return setenv("XDG_CACHE_HOME", folder, 1);
}

static int tear_down(void **state)
{
	(void)state;
	empty_cache();
	free(plain);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_sections_are_decompressed),
		cmocka_unit_test(plain_sections_are_handed_on),
		cmocka_unit_test(missing_section_is_said),
		cmocka_unit_test(promised_size_that_cannot_be_is_refused_before_memory_is_taken),
		cmocka_unit_test(bomb_is_refused_before_it_goes_off),
		cmocka_unit_test(stream_that_ends_early_is_refused),
		cmocka_unit_test(large_sections_are_kept_and_found_again),
		cmocka_unit_test(torn_file_of_the_cache_is_made_again),
		cmocka_unit_test(symbolic_link_in_the_cache_is_not_followed),
		cmocka_unit_test(without_a_cache_a_temporary_file_does),
		cmocka_unit_test(memory_of_mapped_files_is_counted),
		cmocka_unit_test(xz_is_bounded),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
