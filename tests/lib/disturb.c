/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disturb.c - a worse machine for one process: a clock that was set, a disk that is slow or fails
 *
 * Preloaded (LD_PRELOAD) into a dynamic program by tests/lib/disturb.py, which writes the numbers
 * below into the file that CV_DISTURB names, at any time: the program under test has no hook for it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct numbers {
	int64_t wall_ms;    /* added to CLOCK_REALTIME */
	int64_t sync_ms;    /* before each fsync() and fdatasync() */
	int64_t sync_errno; /* what they end with, if not 0 */
	int64_t sync_count; /* counted here */
};

static volatile struct numbers none, *now = &none;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("CV_DISTURB");
	const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, sizeof(none), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
			  : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	if (p != MAP_FAILED)
		now = p;
}

int clock_gettime(clockid_t which, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	const int rc = real(which, t);
	if (rc == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
		const int64_t ms = now->wall_ms;

		t->tv_sec += ms / 1000;
		t->tv_nsec += ms % 1000 * 1000000;
		if (t->tv_nsec >= 1000000000) {
			t->tv_sec++;
			t->tv_nsec -= 1000000000;
		} else if (t->tv_nsec < 0) {
			t->tv_sec--;
			t->tv_nsec += 1000000000;
		}
	}
	return rc;
}

time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	ret->tv_sec = t.tv_sec;
	ret->tv_usec = t.tv_nsec / 1000;
	return 0;
}

static int disturbed(const char *name, int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	const int64_t ms = now->sync_ms;
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	__atomic_add_fetch(&now->sync_count, 1, __ATOMIC_RELAXED);
	if (ms > 0)
		nanosleep(&t, NULL);
	if (now->sync_errno) {
		errno = (int)now->sync_errno;
		return -1;
	}
	return real(fd);
}

int fsync(int fd)
{
	return disturbed("fsync", fd);
}

int fdatasync(int fd)
{
	return disturbed("fdatasync", fd);
}
