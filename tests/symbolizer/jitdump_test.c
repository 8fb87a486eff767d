/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/jitdump.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"

#define PID 77
#define FIRST_NS 1000 /* long ago: no test is quicker than this clock */
#define EVER UINT64_MAX

/* A dump that is written as a JIT does, and read at the same time. */
struct writer {
	int fd;
	struct fnp_buffer bytes;
	struct fnp_jitdump *dump;
};

static void u32(struct writer *w, uint32_t value)
{
	fnp_buffer_append(&w->bytes, &value, sizeof(value));
}

static void u64(struct writer *w, uint64_t value)
{
	fnp_buffer_append(&w->bytes, &value, sizeof(value));
}

static void text(struct writer *w, const char *value)
{
	fnp_buffer_append(&w->bytes, value, strlen(value) + 1);
}

/* What was put together so far goes to the file's end. */
static void flush(struct writer *w)
{
	assert_int_equal(w->bytes.error, 0);
	assert_int_equal(fnp_file_write_all(w->fd, w->bytes.data, w->bytes.len), 0);
	w->bytes.len = 0;
}

static void head(struct writer *w, uint32_t magic, uint64_t flags)
{
	u32(w, magic);
	u32(w, 1);
	u32(w, 40);
	u32(w, 62);
	u32(w, 0);
	u32(w, PID);
	u64(w, 1);
	u64(w, flags);
}

static void record(struct writer *w, uint32_t id, size_t body, uint64_t time)
{
	u32(w, id);
	u32(w, (uint32_t)(16 + body));
	u64(w, time);
}

struct load {
	uint64_t address, size, time;
	const char *name;
	uint32_t pid; /* 0: PID */
	uint64_t index;
};

static void load(struct writer *w, const struct load *l)
{
	record(w, 0, 40 + strlen(l->name) + 1 + l->size, l->time);
	u32(w, l->pid ? l->pid : PID);
	u32(w, PID);
	u64(w, l->address);
	u64(w, l->address);
	u64(w, l->size);
	u64(w, l->index);
	text(w, l->name);
	for (uint64_t i = 0; i < l->size; i++)
		fnp_buffer_byte(&w->bytes, 0xc3);
}

#define LOAD(w, ...) load(w, &(struct load){__VA_ARGS__})

/* Two lines, 10 and 20, of a function: at its start, and 16 bytes later. */
static void two_lines(struct writer *w, uint64_t address, uint64_t shift)
{
	record(w, 2, 16 + 16 + 5 + 16 + 2, 1);
	u64(w, address);
	u64(w, 2);
	u64(w, address + shift);
	u32(w, 10);
	u32(w, 0);
	text(w, "a.js");
	u64(w, address + shift + 16);
	u32(w, 20);
	u32(w, 0);
	text(w, "\xff");
}

static void open_dump(struct writer *w)
{
	struct fnp_jit_process process = {.uid = getuid(), .pid = PID, .start_ns = FIRST_NS + 500};

	flush(w);
	assert_int_equal(fnp_jitdump_open_fd(dup(w->fd), &process, &w->dump), 0);
}

static void begin(struct writer *w)
{
	w->fd = memfd_create("jit", MFD_CLOEXEC);
	assert_true(w->fd >= 0);
	head(w, 0x4a695444, 0);
}

static void end(struct writer *w)
{
	fnp_jitdump_destroy(w->dump);
	fnp_buffer_deinit(&w->bytes);
	close(w->fd);
}

/* "name file:line" at an address and a time, "" without a name. */
static const char *at(struct writer *w, uint64_t address, uint64_t time_ns)
{
	static char shown[2048];
	struct fnp_jitdump_place place;

	if (fnp_jitdump_find(w->dump, address, time_ns, &place) < 0)
		return "";
	assert_true(place.start <= address);
	if (!place.line)
		return place.name;
	snprintf(shown, sizeof(shown), "%s %s:%u", place.name, place.file, place.line);
	return shown;
}

static void code_is_found_by_address(void **state)
{
	struct writer w = {0};

	(void)state;
	begin(&w);
	LOAD(&w, 0x1000, 32, 1, "first");
	LOAD(&w, 0x1020, 16, 2, "second function");
	open_dump(&w);
	assert_string_equal(at(&w, 0xfff, EVER), "");
	assert_string_equal(at(&w, 0x1000, EVER), "first");
	assert_string_equal(at(&w, 0x101f, EVER), "first");
	assert_string_equal(at(&w, 0x1020, EVER), "second function");
	assert_string_equal(at(&w, 0x1030, EVER), "");
	end(&w);
}

static void memory_that_was_used_again_is_told_apart_by_time(void **state)
{
	uint64_t second_ns = 1000000000;
	struct writer w = {0};

	(void)state;
	begin(&w);
	LOAD(&w, 0x1000, 32, second_ns, "old");
	LOAD(&w, 0x1010, 32, 3 * second_ns, "new");
	open_dump(&w);
	assert_string_equal(at(&w, 0x1018, 2 * second_ns), "old");
	assert_string_equal(at(&w, 0x1018, 3 * second_ns), "new");
	assert_string_equal(at(&w, 0x1000, 4 * second_ns), "old");
	/* Before the first one: a record comes a little late, but not half a second. */
	assert_string_equal(at(&w, 0x1000, second_ns - 1000), "old");
	assert_string_equal(at(&w, 0x1000, second_ns / 2), "");
	assert_string_equal(at(&w, 0x1028, second_ns), "");
	end(&w);
}

static void times_of_another_clock_are_none(void **state)
{
	struct writer w = {0};

	(void)state;
	w.fd = memfd_create("jit", MFD_CLOEXEC);
	head(&w, 0x4a695444, 1);
	LOAD(&w, 0x1000, 32, 9000000000000000, "first");
	open_dump(&w);
	assert_string_equal(at(&w, 0x1000, 5), "first");
	end(&w);
	w = (struct writer){0};
	begin(&w);
	LOAD(&w, 0x1000, 32, UINT64_C(1800000000) * FNP_NS_PER_S, "since 1970");
	open_dump(&w);
	assert_string_equal(at(&w, 0x1000, 5), "since 1970");
	end(&w);
}

static void code_moves(void **state)
{
	struct writer w = {0};

	(void)state;
	begin(&w);
	two_lines(&w, 0x1000, 0);
	LOAD(&w, 0x1000, 32, 1, "f", 0, 5);
	record(&w, 1, 48, 2);
	u32(&w, PID);
	u32(&w, PID);
	u64(&w, 0x5000);
	u64(&w, 0x1000);
	u64(&w, 0x5000);
	u64(&w, 32);
	u64(&w, 5);
	/* Of a function that was never told. */
	record(&w, 1, 48, 2);
	u32(&w, PID);
	u32(&w, PID);
	u64(&w, 0x6000);
	u64(&w, 0x1000);
	u64(&w, 0x6000);
	u64(&w, 32);
	u64(&w, 6);
	open_dump(&w);
	assert_string_equal(at(&w, 0x5011, EVER), "f a.js:20");
	assert_string_equal(at(&w, 0x6000, EVER), "");
	end(&w);
}

static void lines_belong_to_the_code_told_next(void **state)
{
	struct writer w = {0};

	(void)state;
	begin(&w);
	two_lines(&w, 0x1000, 0);
	LOAD(&w, 0x1000, 32, 1, "f");
	LOAD(&w, 0x1000, 32, 2, "without");
	two_lines(&w, 0x3000, 0);
	LOAD(&w, 0x2000, 32, 3, "another");
	open_dump(&w);
	assert_string_equal(at(&w, 0x100f, 1), "f a.js:10");
	assert_string_equal(at(&w, 0x1010, 1), "f a.js:20");
	assert_string_equal(at(&w, 0x1010, EVER), "without");
	assert_string_equal(at(&w, 0x2010, EVER), "another");
	end(&w);
}

static void writers_that_count_from_an_elf_header_are_known(void **state)
{
	struct writer w = {0};

	(void)state;
	begin(&w);
	two_lines(&w, 0x1000, 64);
	LOAD(&w, 0x1000, 32, 1, "f");
	two_lines(&w, 0x2000, 64 + 8);
	LOAD(&w, 0x2000, 128, 1, "g");
	open_dump(&w);
	assert_string_equal(at(&w, 0x1000, EVER), "f a.js:10");
	assert_string_equal(at(&w, 0x1010, EVER), "f a.js:20");
	assert_string_equal(at(&w, 0x2000, EVER), "g");
	assert_string_equal(at(&w, 0x2008, EVER), "g a.js:10");
	end(&w);
}

static void lines_that_may_be_either_are_left_out(void **state)
{
	struct writer w = {0};

	(void)state;
	begin(&w);
	two_lines(&w, 0x1000, 64 + 8);
	LOAD(&w, 0x1000, 128, 1, "f");
	open_dump(&w);
	assert_string_equal(at(&w, 0x1050, EVER), "f");
	end(&w);
}

static void what_the_file_grows_by_is_read_when_it_is_whole(void **state)
{
	struct writer w = {0};

	(void)state;
	begin(&w);
	open_dump(&w);
	assert_string_equal(at(&w, 0x1000, EVER), "");
	LOAD(&w, 0x1000, 32, 1, "f");
	size_t half = w.bytes.len / 2;
	assert_int_equal(fnp_file_write_all(w.fd, w.bytes.data, half), 0);
	assert_int_equal(fnp_jitdump_refresh(w.dump), 0);
	assert_string_equal(at(&w, 0x1000, EVER), "");
	assert_int_equal(fnp_file_write_all(w.fd, w.bytes.data + half, w.bytes.len - half), 0);
	assert_int_equal(fnp_jitdump_refresh(w.dump), 0);
	assert_string_equal(at(&w, 0x1000, EVER), "f");
	end(&w);
}

static void a_head_may_come_after_the_mapping(void **state)
{
	struct writer w = {.fd = memfd_create("jit", MFD_CLOEXEC)};

	(void)state;
	open_dump(&w);
	assert_string_equal(at(&w, 0x1000, EVER), "");
	head(&w, 0x4a695444, 0);
	LOAD(&w, 0x1000, 32, 1, "f");
	flush(&w);
	assert_int_equal(fnp_jitdump_refresh(w.dump), 0);
	assert_string_equal(at(&w, 0x1000, EVER), "f");
	end(&w);
	w = (struct writer){.fd = memfd_create("jit", MFD_CLOEXEC)};
	open_dump(&w);
	head(&w, 0x12345678, 0);
	LOAD(&w, 0x1000, 32, 1, "f");
	flush(&w);
	assert_int_equal(fnp_jitdump_refresh(w.dump), -EBADMSG);
	assert_string_equal(at(&w, 0x1000, EVER), "");
	end(&w);
}

static void records_larger_than_what_is_read_at_once(void **state)
{
	struct writer w = {0};

	(void)state;
	begin(&w);
	LOAD(&w, 0x100000, 3 << 20, 1, "large");
	record(&w, 2, 16 + 5000 * (16 + 8), 1);
	u64(&w, 0x1000);
	u64(&w, 5000);
	for (uint32_t i = 0; i < 5000; i++) {
		u64(&w, 0x1000 + i);
		u32(&w, i + 1);
		u32(&w, 0);
		text(&w, "long.js");
	}
	LOAD(&w, 0x1000, 5000, 1, "many lines");
	record(&w, 2, 2 << 20, 1); /* more than is read of one function */
	for (int i = 0; i < 2 << 20; i++)
		fnp_buffer_byte(&w.bytes, 1);
	LOAD(&w, 0x9000, 16, 1, "last");
	open_dump(&w);
	assert_string_equal(at(&w, 0x100000 + (2 << 20), EVER), "large");
	assert_string_equal(at(&w, 0x1000 + 4321, EVER), "many lines long.js:4322");
	assert_string_equal(at(&w, 0x9000, EVER), "last");
	end(&w);
}

static void code_of_other_processes_is_left_out_unless_it_was_forked(void **state)
{
	struct writer w = {0};

	(void)state;
	begin(&w);
	LOAD(&w, 0x1000, 32, FIRST_NS, "before the fork", PID - 1);
	LOAD(&w, 0x2000, 32, FIRST_NS + 1000, "after the fork", PID - 1);
	LOAD(&w, 0x3000, 32, 0, "without a time", PID - 1);
	open_dump(&w);
	assert_string_equal(at(&w, 0x1000, EVER), "before the fork");
	assert_string_equal(at(&w, 0x2000, EVER), "");
	assert_string_equal(at(&w, 0x3000, EVER), "");
	end(&w);
}

static void unsound_records_are_left_out(void **state)
{
	struct writer w = {0};

	(void)state;
	begin(&w);
	LOAD(&w, UINT64_MAX - 4, 32, 1, "wraps");
	LOAD(&w, 0x1000, 0, 1, "empty");
	record(&w, 0, 4, 1);
	u32(&w, PID);
	record(&w, 2, 24, 1); /* 2^60 lines, of which one is there, without an end */
	u64(&w, 0x1000);
	u64(&w, UINT64_C(1) << 60);
	u64(&w, 0x1000);
	record(&w, 99, 3, 1);
	fnp_buffer_append(&w.bytes, "new", 3);
	LOAD(&w, 0x2000, 32, 1, "good");
	record(&w, 0, UINT32_MAX - 16, 1); /* never whole */
	open_dump(&w);
	assert_string_equal(at(&w, 0x1000, EVER), "");
	assert_string_equal(at(&w, UINT64_MAX - 2, EVER), "");
	assert_string_equal(at(&w, 0x2000, EVER), "good");
	end(&w);
}

static void what_is_no_jitdump_is_refused(void **state)
{
	struct fnp_jit_process process = {.uid = getuid(), .pid = PID};
	struct fnp_jitdump *dump = NULL;
	struct writer w = {0};
	int pipes[2];

	(void)state;
	w.fd = memfd_create("jit", MFD_CLOEXEC);
	head(&w, 0x4454694a, 0); /* the other byte order */
	flush(&w);
	assert_int_equal(fnp_jitdump_open_fd(dup(w.fd), &process, &dump), -EBADMSG);
	end(&w);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fnp_jitdump_open_fd(pipes[0], &process, &dump), -EINVAL);
	close(pipes[1]);
	w = (struct writer){0};
	begin(&w);
	flush(&w);
	if (getuid() == 0)
		assert_int_equal(fchown(w.fd, 1234, 1234), 0);
	process.uid = 4321;
	assert_int_equal(fnp_jitdump_open_fd(dup(w.fd), &process, &dump), -EACCES);
	end(&w);
	assert_null(dump);
}

static void sparse_terabyte_costs_nothing(void **state)
{
	struct writer w = {0};

	(void)state;
	begin(&w);
	LOAD(&w, 0x1000, 32, 1, "f");
	flush(&w);
	if (ftruncate(w.fd, (off_t)1 << 40) < 0)
		skip();
	open_dump(&w);
	assert_string_equal(at(&w, 0x1000, EVER), "f");
	end(&w);
}

static void dump_that_a_process_mapped_is_found(void **state)
{
	char path[] = "/tmp/fnp-jitdump-XXXXXX", name[80], map[80];
	struct writer w = {0};

	(void)state;
	begin(&w);
	close(w.fd);
	assert_non_null(mkdtemp(path));
	snprintf(name, sizeof(name), "%s/jit-%d.dump", path, getpid());
	w.fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	LOAD(&w, 0x1000, 32, 1, "f", (uint32_t)getpid());
	flush(&w);
	uint8_t *bytes = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, w.fd, 0);
	uint64_t start = (uint64_t)(uintptr_t)bytes;
	snprintf(map, sizeof(map), "%s", name);
	int r = fnp_jitdump_open(getpid(), start, start + 4096, map, &w.dump);
	/* By its path, which is what remains without the privilege for the kernel's own link. */
	fnp_jitdump_destroy(w.dump);
	w.dump = NULL;
	int by_path = fnp_jitdump_open(getpid(), start, start + 1, map, &w.dump);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(symlink("/etc/passwd", name), 0);
	struct fnp_jitdump *none = NULL;
	int by_link = fnp_jitdump_open(getpid(), start, start + 1, map, &none);
	unlink(name);
	rmdir(path);
	assert_int_equal(r, 0);
	assert_int_equal(by_path, 0);
	assert_int_equal(by_link, -ELOOP);
	assert_string_equal(at(&w, 0x1000, EVER), "f");
	munmap(bytes, 4096);
	end(&w);
}

static void dumps_are_known_by_name(void **state)
{
	(void)state;
	assert_true(fnp_jitdump_is_name("/tmp/x/jit-12.dump"));
	assert_true(fnp_jitdump_is_name("jit-1.dump"));
	assert_false(fnp_jitdump_is_name("/tmp/jit-.dump"));
	assert_false(fnp_jitdump_is_name("/tmp/jit-12.dump.old"));
	assert_false(fnp_jitdump_is_name("/tmp/jit-12.dump/x"));
	assert_false(fnp_jitdump_is_name("/tmp/xjit-12.dump"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_is_found_by_address),
		cmocka_unit_test(memory_that_was_used_again_is_told_apart_by_time),
		cmocka_unit_test(times_of_another_clock_are_none),
		cmocka_unit_test(code_moves),
		cmocka_unit_test(lines_belong_to_the_code_told_next),
		cmocka_unit_test(writers_that_count_from_an_elf_header_are_known),
		cmocka_unit_test(lines_that_may_be_either_are_left_out),
		cmocka_unit_test(what_the_file_grows_by_is_read_when_it_is_whole),
		cmocka_unit_test(a_head_may_come_after_the_mapping),
		cmocka_unit_test(records_larger_than_what_is_read_at_once),
		cmocka_unit_test(code_of_other_processes_is_left_out_unless_it_was_forked),
		cmocka_unit_test(unsound_records_are_left_out),
		cmocka_unit_test(what_is_no_jitdump_is_refused),
		cmocka_unit_test(sparse_terabyte_costs_nothing),
		cmocka_unit_test(dump_that_a_process_mapped_is_found),
		cmocka_unit_test(dumps_are_known_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
