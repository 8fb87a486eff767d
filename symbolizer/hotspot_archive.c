/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of an archive is the memory of its classes, for an address that is seldom the one where it lies in a process: then
 * the JVM has added one number to all pointers in it. That number is what most words differ by between the two.
 *
 * What is read here may be wrong, where the JVM wrote to its memory since. Who asks holds a method's cookie, made of three
 * fields of the memory that the kernel side saw, and believes a method only that has it.
 */
#include "symbolizer/hotspot_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "symbolizer/runtime.h"

#define MAPS_MAX (16 << 20)
#define BYTES 4096 /* compared at once */
#define PAGES 8
#define WORDS_MIN 16

void fnp_hotspot_archive_close(struct fnp_hotspot_archive *archive)
{
	for (size_t i = 0; i < archive->n_files; i++)
		close(archive->files[i]);
	*archive = (struct fnp_hotspot_archive){0};
}

/* ---- where it lies ------------------------------------------------------------------------------------------ */

/* A line of /proc/PID/maps: its addresses, its offset, where its path begins. */
static bool parse(const char *line, struct fnp_hotspot_piece *ret, const char **ret_path)
{
	struct fnp_hotspot_piece piece = {0};
	int path = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %n", &piece.start, &piece.end,
		   &piece.offset, &path) != 3 ||
	    path == 0 || piece.start >= piece.end)
		return false;
	*ret = piece;
	*ret_path = line + path;
	return true;
}

static bool is_archive(const char *path)
{
	size_t n = strlen(path);

	return n > 4 && strcmp(path + n - 4, ".jsa") == 0;
}

/* Opened as the process has it mapped, whatever its path means to us; negative where that is no file. */
static int open_mapped(pid_t pid, const struct fnp_hotspot_piece *piece)
{
	fnp_autoclose int fd = -1;
	struct stat st;
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid, piece->start,
		 piece->end);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	return TAKE_FD(fd);
}

static void add(pid_t pid, struct fnp_hotspot_archive *archive, struct fnp_hotspot_piece *piece, bool is_new)
{
	if (archive->n_pieces == FNP_HOTSPOT_ARCHIVE_PIECES)
		return;
	if (is_new) {
		int fd = archive->n_files < FNP_HOTSPOT_ARCHIVE_FILES ? open_mapped(pid, piece) : -1;
		if (fd < 0)
			return;
		archive->files[archive->n_files++] = fd;
	}
	piece->file = archive->n_files - 1;
	archive->low = archive->n_pieces ? FNP_MIN(archive->low, piece->start) : piece->start;
	archive->high = FNP_MAX(archive->high, piece->end);
	archive->pieces[archive->n_pieces++] = *piece;
}

/* Its pieces of one file stand together, but for those with objects, which are of no use here. */
static int find_pieces(pid_t pid, struct fnp_hotspot_archive *ret)
{
	fnp_autobuffer struct fnp_buffer text = {0};
	char path[64], *rest = NULL;
	const char *last = NULL;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	r = fnp_file_read_at(AT_FDCWD, path, MAPS_MAX, &text);
	if (r < 0)
		return r;
	for (char *line = strtok_r((char *)text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		struct fnp_hotspot_piece piece;
		const char *name;

		if (!parse(line, &piece, &name) || !is_archive(name))
			continue;
		add(pid, ret, &piece, !last || strcmp(last, name) != 0);
		last = name;
	}
	return ret->n_pieces ? 0 : -EAGAIN;
}

/* ---- pointers ----------------------------------------------------------------------------------------------- */

int fnp_hotspot_archive_moved(const uint64_t *file, const uint64_t *memory, size_t n,
			      const struct fnp_hotspot_archive *archive, uint64_t *ret)
{
	uint64_t moved = 0;
	size_t votes = 0, all = 0, same = 0;

	/* The one that has more than half of the votes, if there is one; then whether there is. */
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < n; i++) {
			if (file[i] == 0 || memory[i] < archive->low || memory[i] >= archive->high)
				continue;
			if (pass == 1) {
				all++;
				same += memory[i] - file[i] == moved;
			} else if (votes == 0 || memory[i] - file[i] == moved) {
				moved = memory[i] - file[i];
				votes++;
			} else {
				votes--;
			}
		}
	}
	if (same < WORDS_MIN || same <= all / 2)
		return -EAGAIN;
	*ret = moved;
	return 0;
}

static int find_moved(pid_t pid, struct fnp_hotspot_archive *archive)
{
	const struct fnp_hotspot_piece *largest = &archive->pieces[0];
	uint64_t file[BYTES / 8], memory[BYTES / 8];
	int r = -EAGAIN;

	for (size_t i = 1; i < archive->n_pieces; i++) {
		if (archive->pieces[i].end - archive->pieces[i].start > largest->end - largest->start)
			largest = &archive->pieces[i];
	}
	for (size_t i = 0; r == -EAGAIN && i < PAGES; i++) {
		uint64_t at = largest->start + i * sizeof(file);

		if (fnp_hotspot_archive_read(archive, at, file, sizeof(file)) < 0 ||
		    fnp_runtime_read(pid, at, memory, sizeof(memory)) < 0)
			return -EAGAIN;
		r = fnp_hotspot_archive_moved(file, memory, FNP_ARRAY_SIZE(file), archive, &archive->moved);
	}
	return r;
}

int fnp_hotspot_archive_find(pid_t pid, struct fnp_hotspot_archive *ret)
{
	FNP_CLEANUP(fnp_hotspot_archive_close) struct fnp_hotspot_archive archive = {0};
	int r = find_pieces(pid, &archive);

	r = r ?: find_moved(pid, &archive);
	if (r < 0)
		return r;
	*ret = archive;
	archive = (struct fnp_hotspot_archive){0};
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

int fnp_hotspot_archive_read(const struct fnp_hotspot_archive *archive, uint64_t address, void *ret, size_t size)
{
	for (size_t i = 0; i < archive->n_pieces; i++) {
		const struct fnp_hotspot_piece *piece = &archive->pieces[i];

		if (address < piece->start || address >= piece->end || size > piece->end - address)
			continue;
		if (pread(archive->files[piece->file], ret, size,
			  (off_t)(piece->offset + (address - piece->start))) == (ssize_t)size)
			return 0;
	}
	return -EFAULT;
}

uint64_t fnp_hotspot_archive_pointer(const struct fnp_hotspot_archive *archive, uint64_t pointer)
{
	uint64_t moved = pointer + archive->moved;

	return moved >= archive->low && moved < archive->high ? moved : pointer;
}
