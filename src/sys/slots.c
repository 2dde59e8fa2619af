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

cv_code cv_slot_take(
	const char *path, struct cv_str name, uint32_t max, int *ret_fd, struct cv_err *err)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first_of(name), .l_len = 1
	};
	CV_AUTO_FD int fd = -1;

	cv_assert(max && max <= CV_SLOTS_MAX);
	*ret_fd = -1;
	const cv_code code = file_open(path, &fd, err);
	if (code != CV_OK)
		return code;
	for (uint32_t i = 0; i < max; i++, lock.l_start++) {
		if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
			*ret_fd = cv_take_fd(fd);
			return CV_OK;
		}
		if (errno != EAGAIN && errno != EACCES)
			return cv_fail_errno(err, "lock %s", path);
	}
	return CV_OK;
}
