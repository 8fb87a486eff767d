/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/hotspot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The file says that its second page lies at BASE: a method there, what it points to behind it, and many more pointers. */
#define BASE 0x800000000ULL
#define SIZE 16384
#define PAGE 4096

enum { METHOD = 0, CONSTANT = 64, POOL = 192, CLASS = 256, CLASS_NAME = 320, METHOD_NAME = 352, MANY = 512 };

static void put(uint8_t *image, size_t at, uint64_t word)
{
	memcpy(image + at, &word, sizeof(word));
}

static void put_symbol(uint8_t *image, size_t at, const char *text)
{
	uint16_t n = (uint16_t)strlen(text);

	memcpy(image + at, &n, sizeof(n));
	memcpy(image + at + 2, text, n);
}

/* With pointers for a place in memory. */
static void fill(uint8_t *image, uint64_t base)
{
	memset(image, 0, SIZE);
	put(image, METHOD + 8, base + CONSTANT);
	put(image, CONSTANT + 8, base + POOL);
	put(image, CONSTANT + 16, 1); /* its name, by number */
	put(image, POOL + 24, base + CLASS);
	put(image, POOL + 32 + 8, base + METHOD_NAME);
	put(image, CLASS + 16, base + CLASS_NAME);
	put_symbol(image, CLASS_NAME, "a/Klass");
	put_symbol(image, METHOD_NAME, "run");
	for (size_t i = 0; i < 64; i++)
		put(image, MANY + 8 * i, base + METHOD);
}

static void describe(struct fnp_hotspot_view *view)
{
	for (size_t i = 0; i < FNP_HOTSPOT_FIELDS_MAX; i++)
		view->tables.values[i] = FNP_HOTSPOT_ABSENT;
	view->tables.values[FNP_HOTSPOT_SYMBOL_LENGTH] = 0;
	view->tables.values[FNP_HOTSPOT_SYMBOL_BODY] = 2;
	view->tables.values[FNP_HOTSPOT_SIZEOF_POOL] = 32;
	view->layout.method_const = view->layout.const_pool = 8;
	view->layout.const_name = view->layout.class_name = 16;
	view->layout.pool_holder = 24;
}

/* A process that has ended. */
static pid_t gone(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

/* The archive, mapped by this process as a JVM does: moved to where it lies. NULL: that cannot be looked at here. */
static uint8_t *map_archive(struct fnp_hotspot_archive *ret)
{
	static uint8_t image[PAGE + SIZE];
	char path[] = "/tmp/fnp_test_XXXXXX.jsa";
	int fd = mkstemps(path, 4), r;
	uint8_t *memory;

	assert_true(fd >= 0);
	fill(image + PAGE, BASE);
	assert_int_equal(write(fd, image, sizeof(image)), sizeof(image));
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
	assert_true(memory != MAP_FAILED);
	r = fnp_hotspot_archive_find(getpid(), ret);
	if (r == -EAGAIN) { /* nothing was moved yet; else no privilege, or nothing of it in /proc */
		fill(memory, (uintptr_t)memory);
		r = fnp_hotspot_archive_find(getpid(), ret);
	}
	unlink(path);
	close(fd);
	if (r < 0) {
		munmap(memory, SIZE);
		return NULL;
	}
	return memory;
}

static void methods_of_a_process_that_is_gone_are_named_from_its_archive(void **state FNP_UNUSED)
{
	struct fnp_hotspot_view view = {0};
	struct fnp_hotspot_identity living, dead;
	struct fnp_hotspot_method method = {0};
	uint8_t *memory = map_archive(&view.archive);
	uint64_t address = (uintptr_t)memory;

	if (!memory)
		skip();
	describe(&view);
	view.place.pid = getpid();
	assert_int_equal(fnp_hotspot_method_identify(&view, address, &living), 0);
	view.place.pid = gone();
	assert_int_equal(fnp_hotspot_method_identify(&view, address, &dead), 0);
	assert_int_equal(dead.cookie, living.cookie);
	assert_int_equal(dead.class_name, address + CLASS_NAME);
	assert_int_equal(fnp_hotspot_method_read(&view, &dead, &method), 0);
	assert_string_equal(method.name, "a.Klass.run");
	fnp_hotspot_method_deinit(&method);

	/* Behind its end nothing is known. */
	assert_int_equal(fnp_hotspot_method_identify(&view, address + SIZE, &dead), -ESRCH);
	assert_int_equal(fnp_hotspot_method_identify(&view, address + SIZE - 12, &dead), -ESRCH);
	fnp_hotspot_archive_close(&view.archive);
	assert_int_equal(fnp_hotspot_method_identify(&view, address, &dead), -ESRCH);
	munmap(memory, SIZE);
}

static void pointers_that_do_not_agree_tell_no_place(void **state FNP_UNUSED)
{
	struct fnp_hotspot_archive archive = {.low = 0x10000, .high = 0x20000};
	uint64_t file[40], memory[40], moved = 7;

	for (size_t i = 0; i < 40; i++) {
		file[i] = 0x5000 + i;
		memory[i] = 0x10000 + 2 * i;
	}
	assert_int_equal(fnp_hotspot_archive_moved(file, memory, 40, &archive, &moved), -EAGAIN);
	assert_int_equal(moved, 7);
	for (size_t i = 0; i < 30; i++)
		memory[i] = file[i] + 0xb000;
	assert_int_equal(fnp_hotspot_archive_moved(file, memory, 40, &archive, &moved), 0);
	assert_int_equal(moved, 0xb000);
	/* A few are chance; what was not moved yet points elsewhere. */
	assert_int_equal(fnp_hotspot_archive_moved(file, memory, 10, &archive, &moved), -EAGAIN);
	assert_int_equal(fnp_hotspot_archive_moved(file, file, 40, &archive, &moved), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(methods_of_a_process_that_is_gone_are_named_from_its_archive),
		cmocka_unit_test(pointers_that_do_not_agree_tell_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
