/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler runs in the thread that read the missing page, and may only look at memory: mappings stand in a list
 * whose nodes are never freed, only reused, and a node's range is written before its `live` flag. So a handler that
 * meets a node in change sees it either live with its right range, or not live.
 */
#include "symbolizer/mapped_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct fnp_mapped_file {
	struct fnp_mapped_file *next; /* never changes once the node is in the list */
	const uint8_t *data;
	size_t size;
	bool live; /* atomic */
};

static struct fnp_mapped_file *files; /* atomic head */
static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous;

static bool put_zeros(uintptr_t address)
{
	for (struct fnp_mapped_file *f = __atomic_load_n(&files, __ATOMIC_ACQUIRE); f; f = f->next) {
		if (!__atomic_load_n(&f->live, __ATOMIC_ACQUIRE) || address - (uintptr_t)f->data >= f->size)
			continue;
		void *page = (void *)(address & ~(uintptr_t)4095);
		return mmap(page, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
		       MAP_FAILED;
	}
	return false;
}

static void on_bus_error(int signal, siginfo_t *info, void *context)
{
	if (put_zeros((uintptr_t)info->si_addr))
		return;
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(signal, info, context);
	} else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		previous.sa_handler(signal);
	} else {
		/* Not ours: let the instruction fail again, as if we had never been here. */
		sigaction(SIGBUS, &previous, NULL);
	}
}

static void install_handler(void)
{
	struct sigaction action = {.sa_sigaction = on_bus_error,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &previous);
}

/* A node of the list that nobody uses, or a new one. */
static struct fnp_mapped_file *take_node(const uint8_t *data, size_t size)
{
	struct fnp_mapped_file *node = NULL;

	pthread_mutex_lock(&files_lock);
	for (node = files; node && node->data; node = node->next)
		;
	if (!node) {
		node = calloc(1, sizeof(*node));
		if (node) {
			node->next = files;
			__atomic_store_n(&files, node, __ATOMIC_RELEASE);
		}
	}
	if (node) {
		node->data = data;
		node->size = size;
		__atomic_store_n(&node->live, true, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&files_lock);
	return node;
}

int fnp_mapped_file_create(int fd, uint64_t max, struct fnp_mapped_file **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct fnp_mapped_file *file;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size == 0)
		return -ENOEXEC;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	pthread_once(&once, install_handler);
	void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	file = take_node(data, (size_t)st.st_size);
	if (!file) {
		munmap(data, (size_t)st.st_size);
		return -ENOMEM;
	}
	*ret = file;
	return 0;
}

void fnp_mapped_file_destroy(struct fnp_mapped_file *file)
{
	if (!file)
		return;
	pthread_mutex_lock(&files_lock);
	__atomic_store_n(&file->live, false, __ATOMIC_RELEASE);
	munmap((void *)(uintptr_t)file->data, file->size);
	file->data = NULL;
	pthread_mutex_unlock(&files_lock);
}

struct fnp_cursor fnp_mapped_file_bytes(const struct fnp_mapped_file *file)
{
	return fnp_cursor_of(file->data, file->size);
}

void fnp_mapped_file_release_pages(const struct fnp_mapped_file *file)
{
	/* Where zeros were put in place of what went away, zeros come again. */
	madvise((void *)(uintptr_t)file->data, file->size, MADV_DONTNEED);
}

uint64_t fnp_mapped_files_resident(void)
{
	fnp_autoclose int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	unsigned long long pages;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* size, resident, and of these those of files; in pages. */
	if (sscanf(text, "%*u %*u %llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
