/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is a head and records, which are read one by one as it grows, through a chunk that need not hold a function's
 * bytes: these are passed over.
 */
#include "symbolizer/jitdump_records.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/openat2.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"

#define MAGIC UINT32_C(0x4a695444)
#define VERSION 1
#define HEAD_BYTES 40
#define FLAG_ARCH_TIME 1 /* times are of the processor's own counter */
#define FILE_MAX (UINT64_C(1) << 30)
#define CHUNK_BYTES ((size_t)64 << 10)
#define LINES_RECORD_MAX ((size_t)1 << 20) /* a longer one is left out */
#define TEXTS_MAX ((size_t)32 << 20)
#define CHECK_INTERVAL_NS UINT64_C(10000000)

struct fnp_jitdump {
	int fd;
	uint64_t read_bytes; /* whole records read so far, with the head; 0: there is no head yet */
	uint64_t next_check_ns;
	bool full;
	struct fnp_jitdump_records records;
};

bool fnp_jitdump_is_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (strncmp(name, "jit-", 4) != 0 || !isdigit((unsigned char)name[4]))
		return false;
	for (name += 4; isdigit((unsigned char)*name); name++)
		;
	return strcmp(name, ".dump") == 0;
}

void fnp_jitdump_destroy(struct fnp_jitdump *dump)
{
	if (!dump)
		return;
	fnp_closep(&dump->fd);
	fnp_jitdump_records_deinit(&dump->records);
	free(dump);
}

/* Bytes of the file, fewer at its end; -errno. */
static ssize_t read_at(int fd, void *ret, size_t size, uint64_t offset)
{
	ssize_t n;

	do
		n = pread(fd, ret, size, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* How much of a record must be read: code is not looked at, a name has its end early. */
static size_t wanted_bytes(const struct fnp_jitdump_record *record)
{
	size_t max = record->id == FNP_JITDUMP_DEBUG_INFO ? LINES_RECORD_MAX : CHUNK_BYTES;

	return FNP_MIN((size_t)record->size, max);
}

/* Takes the whole records that begin in these bytes of the file; *ret says where the next one begins. */
static int take_records(struct fnp_jitdump *dump, const uint8_t *bytes, size_t len, uint64_t file_size,
			uint64_t *ret)
{
	uint64_t at = 0;
	int r = 0;

	while (r == 0 && at < len) {
		struct fnp_cursor c = fnp_cursor_of(bytes + at, len - at), body;
		struct fnp_jitdump_record record;

		if (fnp_cursor_u32(&c, &record.id) < 0 || fnp_cursor_u32(&c, &record.size) < 0 ||
		    fnp_cursor_u64(&c, &record.time) < 0)
			break;
		/* Not written yet, not whole yet, or not all in these bytes. */
		if (record.size < 16 || record.size > file_size - dump->read_bytes - at ||
		    (wanted_bytes(&record) > len - at && wanted_bytes(&record) <= CHUNK_BYTES))
			break;
		if (fnp_cursor_sub(&c, wanted_bytes(&record) - 16, &body) == 0)
			r = fnp_jitdump_records_take(&dump->records, &record, body);
		else if (at > 0)
			break; /* lines that take more than the chunk: begin with them */
		at += record.size;
	}
	*ret = at;
	return r;
}

/* A chunk that has the whole of the record that it begins with, as far as that matters. */
static int read_chunk(struct fnp_jitdump *dump, struct fnp_buffer *chunk)
{
	size_t want = CHUNK_BYTES;

	for (;;) {
		uint32_t head[2];
		chunk->len = 0;
		if (!fnp_buffer_room(chunk, want))
			return -ENOMEM;
		ssize_t n = read_at(dump->fd, chunk->data, want, dump->read_bytes);
		if (n < 0)
			return (int)n;
		chunk->len = (size_t)n;
		if (chunk->len < want || want > CHUNK_BYTES)
			return 0;
		memcpy(head, chunk->data, sizeof(head));
		struct fnp_jitdump_record record = {.id = head[0], .size = head[1]};
		want = wanted_bytes(&record);
		if (want <= CHUNK_BYTES)
			return 0;
	}
}

static int read_tail(struct fnp_jitdump *dump, uint64_t file_size)
{
	fnp_autobuffer struct fnp_buffer chunk = {0};
	uint64_t used = 0;
	int r;

	do {
		r = read_chunk(dump, &chunk);
		if (r == 0)
			r = take_records(dump, chunk.data, chunk.len, file_size, &used);
		if (r < 0)
			break;
		dump->read_bytes += used;
	} while (used > 0 && dump->read_bytes < FNP_MIN(file_size, FILE_MAX));
	if (r == -ENOSPC || dump->read_bytes >= FILE_MAX) {
		fnp_warning_once("a jitdump has more code than we read; newer code in it has no names");
		dump->full = true;
	}
	return r == -ENOSPC ? 0 : r;
}

/* {u32 magic, version, size, machine, pad, pid; u64 time, flags}; magic tells byte order, too. */
static int read_head(struct fnp_jitdump *dump)
{
	uint8_t bytes[HEAD_BYTES] = {0};
	struct fnp_cursor c = fnp_cursor_of(bytes, sizeof(bytes));
	uint32_t magic, version, size;
	uint64_t flags;
	ssize_t n = read_at(dump->fd, bytes, sizeof(bytes), 0);

	if (n < 0)
		return (int)n;
	if ((size_t)n < sizeof(bytes))
		return 0; /* writers map the file before its head is flushed to it */
	if (fnp_cursor_u32(&c, &magic) < 0 || fnp_cursor_u32(&c, &version) < 0 ||
	    fnp_cursor_u32(&c, &size) < 0 || fnp_cursor_seek(&c, 32) < 0 || fnp_cursor_u64(&c, &flags) < 0 ||
	    magic != MAGIC || version != VERSION || size < HEAD_BYTES || size > CHUNK_BYTES)
		return -EBADMSG;
	dump->records.has_times = !(flags & FLAG_ARCH_TIME);
	dump->read_bytes = size;
	return 0;
}

int fnp_jitdump_refresh(struct fnp_jitdump *dump)
{
	uint64_t start_ns = fnp_clock_ns(), end_ns;
	size_t before = dump->records.code.pieces.len;
	struct stat st;
	int r = 0;

	if (fstat(dump->fd, &st) < 0)
		return -errno;
	dump->records.now_ns = start_ns;
	if (dump->read_bytes == 0)
		r = read_head(dump);
	if (r == 0 && dump->read_bytes > 0 && (uint64_t)st.st_size > dump->read_bytes && !dump->full)
		r = read_tail(dump, (uint64_t)st.st_size);
	if (dump->records.code.pieces.len > before && fnp_jit_code_sort(&dump->records.code) < 0)
		r = -ENOMEM;
	end_ns = fnp_clock_ns();
	dump->next_check_ns = end_ns + FNP_MAX(CHECK_INTERVAL_NS, 20 * (end_ns - start_ns));
	return r;
}

int fnp_jitdump_open_fd(int fd_taken, const struct fnp_jit_process *process, struct fnp_jitdump **ret)
{
	FNP_CLEANUP(fnp_jitdump_destroyp) struct fnp_jitdump *dump = NULL;
	fnp_autoclose int fd = fd_taken;
	int r = fnp_jit_process_check(fd, process->uid);

	if (r < 0)
		return r;
	dump = calloc(1, sizeof(*dump));
	if (!dump)
		return -ENOMEM;
	dump->fd = TAKE_FD(fd);
	dump->records.process = *process;
	r = fnp_intern_create(TEXTS_MAX, &dump->records.texts);
	if (r == 0)
		r = fnp_jitdump_refresh(dump);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(dump);
	return 0;
}

/* Below the process's own root, where symbolic links lead nowhere else. */
static int open_in_root(pid_t pid, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	char root_path[64];

	snprintf(root_path, sizeof(root_path), "/proc/%d/root", pid);
	fnp_autoclose int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

int fnp_jitdump_open(pid_t pid, uint64_t start, uint64_t end, const char *path, struct fnp_jitdump **ret)
{
	struct fnp_jit_process process;
	char map_file[96];
	int r = fnp_jit_process_read(pid, &process);

	if (r < 0)
		return r;
	/* The kernel's own link to the mapped file; without the privilege for it, the file's path. */
	snprintf(map_file, sizeof(map_file), "/proc/%d/map_files/%lx-%lx", pid, start, end);
	int fd = open(map_file, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		fd = open_in_root(pid, path);
	return fd < 0 ? fd : fnp_jitdump_open_fd(fd, &process, ret);
}

int fnp_jitdump_find(struct fnp_jitdump *dump, uint64_t address, uint64_t time_ns, struct fnp_jitdump_place *ret)
{
	if (fnp_clock_ns() >= dump->next_check_ns)
		(void)fnp_jitdump_refresh(dump); /* what was read before is still right */
	return fnp_jitdump_records_find(&dump->records, address, time_ns, ret);
}
