/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.c - see state.h
 *
 * A name for a new file is made of random letters, so that two who write at once (a command and the
 * gateway) don't take each other's; the rename decides.
 */
#include "gateway/state.h"

#include "base/hex.h"
#include "gateway/objects.h"
#include "sys/dirs.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

static cv_code dir_check(int fd, const char *name, struct cv_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return cv_fail_errno(err, "stat %s", name);
	if (st.st_uid != geteuid())
		return cv_fail(err, CV_DENIED, "%s belongs to somebody else", name);
	if ((st.st_mode & 0077) && fchmod(fd, 0700) < 0)
		return cv_fail_errno(err, "make %s private", name);
	return CV_OK;
}

cv_code cv_gw_dir_open_at(int at, const char *name, int *ret_fd, struct cv_err *err)
{
	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return cv_fail_errno(err, "make %s", name);

	CV_AUTO_FD int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return cv_fail_errno(err, "open %s", name);

	const cv_code code = dir_check(fd, name, err);

	if (code == CV_OK)
		*ret_fd = cv_take_fd(fd);
	return code;
}

cv_code cv_gw_dir_open(const char *path, int *ret_fd, struct cv_err *err)
{
	const cv_code code = cv_dirs_make(path, err);

	return code == CV_OK ? cv_gw_dir_open_at(AT_FDCWD, path, ret_fd, err) : code;
}

cv_code cv_gw_dir_lock(int dir_fd, int *ret_fd, struct cv_err *err)
{
	CV_AUTO_FD int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return cv_fail_errno(err, "open lock");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? cv_fail(err, CV_UNAVAILABLE,
					 "another gateway is running in this state directory")
			       : cv_fail_errno(err, "lock the state directory");
	*ret_fd = cv_take_fd(fd);
	return CV_OK;
}

cv_code cv_gw_file_read(int dir_fd, const char *name, struct cv_buf *ret, struct cv_err *err)
{
	CV_AUTO_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t total = 0;

	if (fd < 0 && errno == ENOENT)
		return cv_fail(err, CV_NOT_FOUND, "%s is not there", name);
	if (fd < 0)
		return cv_fail_errno(err, "open %s", name);
	for (;;) {
		char bytes[4096];
		const ssize_t n = read(fd, bytes, sizeof(bytes));

		if (n < 0)
			return cv_fail_errno(err, "read %s", name);
		if (n == 0)
			break;
		total += (size_t)n;
		cv_buf_put(ret, (struct cv_str){ bytes, (size_t)n });
		explicit_bzero(bytes, sizeof(bytes)); /* a key, perhaps */
		if (ret->is_overflown || total > CV_GW_FILE_BYTES_MAX)
			return cv_fail(err, CV_LIMIT, "%s is too large", name);
	}
	return CV_OK;
}

static bool all_written(int fd, struct cv_str s)
{
	while (s.n) {
		const ssize_t n = write(fd, s.p, s.n);

		if (n < 0)
			return false;
		s = cv_str_slice(s, (size_t)n, s.n);
	}
	return true;
}

static cv_code file_write(int dir_fd, const char *name, struct cv_str bytes, unsigned mode,
	bool is_kept, struct cv_err *err)
{
	char temporary[300];
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return cv_fail_errno(err, "getrandom");
	snprintf(temporary, sizeof(temporary), ".%.200s.%016llx", name, (unsigned long long)random);

	CV_AUTO_FD int fd =
		openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);

	if (fd < 0)
		return cv_fail_errno(err, "write %s", name);
	if (!all_written(fd, bytes) || (is_kept && fsync(fd) < 0) ||
		renameat(dir_fd, temporary, dir_fd, name) < 0) {
		const cv_code code = cv_fail_errno(err, "write %s", name);

		unlinkat(dir_fd, temporary, 0);
		return code;
	}
	return CV_OK;
}

cv_code cv_gw_file_write(
	int dir_fd, const char *name, struct cv_str bytes, unsigned mode, struct cv_err *err)
{
	return file_write(dir_fd, name, bytes, mode, true, err);
}

cv_code cv_gw_file_put(
	int dir_fd, const char *name, struct cv_str bytes, unsigned mode, struct cv_err *err)
{
	return file_write(dir_fd, name, bytes, mode, false, err);
}

cv_code cv_gw_id_read(int dir_fd, struct cv_str configured, char ret[64], struct cv_err *err)
{
	char made[CV_OBJECT_ID_BYTES + 1];
	struct cv_buf b;
	cv_code code;

	if (configured.n)
		return cv_str_to_cstr(configured, ret, 64)
			       ? CV_OK
			       : cv_fail(err, CV_INVALID, "gateway_id has more than 63 bytes");
	cv_buf_init(&b, 64);
	code = cv_gw_file_read(dir_fd, "id", &b, err);
	if (code == CV_NOT_FOUND) {
		cv_object_id_make(made);
		cv_buf_put(&b, cv_str_of(made));
		code = cv_gw_file_write(dir_fd, "id", cv_buf_str(&b), 0600, err);
	}
	if (code == CV_OK && !cv_str_to_cstr(cv_str_trim(cv_buf_str(&b)), ret, 64))
		code = cv_fail(err, CV_INVALID, "the file 'id' holds no id");
	cv_buf_fini(&b);
	return code;
}
