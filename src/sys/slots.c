/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.c - see slots.h
 */
#include "sys/slots.h"

#include "base/assert.h"
#include "base/sha256.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define TURN_TRIES 50
#define TURN_US    100

static off_t first_of(struct cv_str name)
{
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_sha256 hash;
	uint64_t at;

	cv_sha256_init(&hash);
	cv_sha256_update(&hash, name.p, name.n);
	cv_sha256_final(&hash, digest);
	memcpy(&at, digest, sizeof(at));
	return (off_t)(at & (INT64_MAX >> 1)); /* what is behind it fits too */
}

static cv_code file_open(const char *path, int *ret_fd, struct cv_err *err)
{
	CV_AUTO_FD int fd =
		open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return cv_fail(
			err, CV_DENIED, "%s is not a file of this user's alone (0600)", path);
	*ret_fd = cv_take_fd(fd);
	return CV_OK;
}

static int byte_lock(int fd, int how, off_t at, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	return fcntl(fd, how, &lock);
}

/* How many of the bytes from lo up to hi others hold; no more are looked for than max. */
static cv_code held_count(int fd, off_t lo, off_t hi, uint32_t max, uint32_t *count)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = lo, .l_len = hi - lo
	};

	if (lo >= hi || *count >= max)
		return CV_OK;
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return CV_SYSTEM;
	if (lock.l_type == F_UNLCK)
		return CV_OK;
	++*count; /* which of several it told of, nobody says (fcntl(2)) */
	return held_count(fd, lo, lock.l_start, max, count) == CV_OK &&
			       held_count(fd, lock.l_start + 1, hi, max, count) == CV_OK
		       ? CV_OK
		       : CV_SYSTEM;
}

/* Others have it for some microseconds, unless one is stopped in them. */
static bool turn_take(int fd, off_t at)
{
	for (int i = 0; i < TURN_TRIES; i++) {
		if (byte_lock(fd, F_OFD_SETLK, at, F_WRLCK) == 0)
			return true;
		if (errno != EAGAIN && errno != EACCES)
			return false;
		usleep(TURN_US);
	}
	errno = EAGAIN;
	return false;
}

cv_code cv_slot_take(
	const char *path, struct cv_str name, uint32_t max, int *ret_fd, struct cv_err *err)
{
	const off_t turn = first_of(name), first = turn + 1;
	CV_AUTO_FD int fd = -1;
	uint32_t held = 0;

	cv_assert(max && max <= CV_SLOTS_MAX);
	*ret_fd = -1;
	const cv_code code = file_open(path, &fd, err);
	if (code != CV_OK)
		return code;
	if (!turn_take(fd, turn))
		return errno == EAGAIN ? CV_OK : cv_fail_errno(err, "lock %s", path);
	if (held_count(fd, first, first + CV_SLOTS_MAX, max, &held) != CV_OK)
		return cv_fail_errno(err, "look at the locks of %s", path);
	for (uint32_t i = 0; held < max && i <= held; i++) /* one of these is free */
		if (byte_lock(fd, F_OFD_SETLK, first + i, F_WRLCK) == 0) {
			(void)byte_lock(fd, F_OFD_SETLK, turn, F_UNLCK);
			*ret_fd = cv_take_fd(fd);
			break;
		}
	return CV_OK;
}

void cv_slot_give(int fd)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (fd < 0)
		return;
	(void)fcntl(fd, F_OFD_SETLK, &all);
	close(fd);
}
