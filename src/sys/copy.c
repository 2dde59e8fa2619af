/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy.c - trees and files, copied while somebody changes them; see copy.h
 *
 * Whoever is in the sandbox may rename, replace and grow everything while it is read.  So nothing is
 * looked at twice by name: a directory is opened without following a link and is walked by its
 * descriptor, a file is opened the same way and then asked what it is.  What it is decides before
 * the open too, since to open a device or a FIFO can already do something; the open does not block
 * in any case.
 *
 * Where a symlink leads can't be told from its text (a "x/.." leads anywhere when x is a link), so
 * the links are judged when all is copied and nobody changes it any more: the kernel resolves each
 * beneath the copy's own directory, and one that leaves it is refused.  One that leads nowhere is
 * fine, as it is in the sandbox.
 *
 * How what was copied gets its place in a sandbox is copy_out.c.
 */
#include "sys/copy_int.h"

#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PIECE_BYTES 131072

static volatile sig_atomic_t is_stopped;

void cv_copy_stop(void)
{
	is_stopped = 1;
}

/* ---- what is wrong ---- */

cv_code copy_fail(struct copy *c, cv_code code, const char *what)
{
	return cv_fail(c->err, code, "%s: %s", c->path_n ? c->path : ".", what);
}

cv_code copy_fail_errno(struct copy *c)
{
	const int number = errno;

	if (number == ELOOP || number == EXDEV)
		return copy_fail(c, CV_DENIED, "a symlink is in the way");
	if (number == ENOENT || number == ENOTDIR)
		return copy_fail(c, CV_NOT_FOUND, strerror(number));
	if (number == EACCES || number == EPERM || number == EROFS)
		return copy_fail(c, CV_DENIED, strerror(number));
	return copy_fail(c, CV_SYSTEM, strerror(number));
}

/* Messages show the name, so it is made harmless even where it is refused. */
bool copy_path_push(struct copy *c, const char *name, size_t *ret_before)
{
	const size_t n = strlen(name), before = c->path_n;

	*ret_before = before;
	if (before + n + 2 > sizeof(c->path))
		return false;
	if (before)
		c->path[c->path_n++] = '/';
	for (size_t i = 0; i < n; i++)
		c->path[c->path_n++] =
			(unsigned char)name[i] < 0x20 || name[i] == 0x7f ? '?' : name[i];
	c->path[c->path_n] = 0;
	return true;
}

static void path_pop(struct copy *c, size_t before)
{
	c->path_n = before;
	c->path[before] = 0;
}

bool copy_name_is_plain(const char *name)
{
	return !cv_str_has_control(cv_str_of(name));
}

/* File systems whose files are not data but ways to ask the kernel something. */
bool copy_is_pseudo(int fd)
{
	struct statfs s;

	if (fstatfs(fd, &s) < 0)
		return true;
	switch ((unsigned long)s.f_type) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case DEVPTS_SUPER_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case BPF_FS_MAGIC:
	case BINFMTFS_MAGIC:
	case NSFS_MAGIC: return true;
	default: return false;
	}
}

cv_code copy_device_check(struct copy *c, int fd, dev_t device)
{
	if (c->has_device && c->device == device)
		return CV_OK;
	if (copy_is_pseudo(fd))
		return copy_fail(c, CV_DENIED, "files of the kernel can't be copied");
	c->device = device;
	c->has_device = true;
	return CV_OK;
}

static cv_code stop_check(struct copy *c)
{
	return is_stopped ? copy_fail(c, CV_UNAVAILABLE, "it was told to stop") : CV_OK;
}

static cv_code entry_count(struct copy *c)
{
	if (stop_check(c) != CV_OK)
		return c->err->code;
	if (c->count.files >= c->limits.files_max)
		return cv_fail(c->err, CV_LIMIT, "more than %u files", c->limits.files_max);
	c->count.files++;
	return CV_OK;
}

cv_code copy_fail_bytes(struct copy *c)
{
	return cv_fail(c->err, CV_LIMIT, "%s: more than %llu bytes in all",
		c->path_n ? c->path : "it", (unsigned long long)c->limits.bytes_max);
}

/* ---- files ---- */

static bool write_all(int fd, const char *p, size_t n)
{
	while (n) {
		const ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

/* Until its end or the limit, whatever its size was said to be. */
cv_code copy_bytes(struct copy *c, int from, int to)
{
	static char piece[PIECE_BYTES]; /* one process copies one tree */

	for (;;) {
		if (stop_check(c) != CV_OK)
			return c->err->code;
		const ssize_t n = read(from, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return copy_fail_errno(c);
		if (n == 0)
			return CV_OK;
		if ((uint64_t)n > c->limits.bytes_max - c->count.bytes)
			return copy_fail_bytes(c);
		c->count.bytes += (uint64_t)n;
		if (!write_all(to, piece, (size_t)n))
			return copy_fail_errno(c);
	}
}

static void times_copy(int to, const struct stat *st)
{
	const struct timespec t[2] = { st->st_mtim, st->st_mtim };

	(void)futimens(to, t); /* only caches would like it better */
}

static cv_code file_copy(struct copy *c, int from, int to_dir, const char *name)
{
	struct stat st;

	if (fstat(from, &st) < 0)
		return copy_fail_errno(c);
	if (!S_ISREG(st.st_mode))
		return copy_fail(c, CV_DENIED, "not a regular file");
	if (copy_device_check(c, from, st.st_dev) != CV_OK)
		return c->err->code;
	if ((uint64_t)st.st_size > c->limits.bytes_max - c->count.bytes)
		return copy_fail_bytes(c);
	CV_AUTO_FD int to =
		openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return copy_fail_errno(c);
	if (copy_bytes(c, from, to) != CV_OK)
		return c->err->code;
	if (fchmod(to, (st.st_mode & 0777) | 0600) < 0)
		return copy_fail_errno(c);
	times_copy(to, &st);
	return CV_OK;
}

static cv_code link_copy(struct copy *c, int from_dir, int to_dir, const char *name)
{
	char target[PATH_MAX];
	const ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (n < 0 && errno == EINVAL)
		return copy_fail(c, CV_DENIED, "it became something else while it was copied");
	if (n < 0)
		return copy_fail_errno(c);
	target[n] = 0;
	if (target[0] == '/')
		return copy_fail(c, CV_DENIED, "a symlink with an absolute target leads out");
	if (symlinkat(target, to_dir, name) < 0)
		return copy_fail_errno(c);
	return CV_OK;
}

/* ---- directories ---- */

static cv_code subdir_copy(
	struct copy *c, int from_dir, int to_dir, const char *name, unsigned depth)
{
	struct stat st;
	CV_AUTO_FD int from = openat(from_dir, name, DIR_FLAGS);

	if (from < 0 || fstat(from, &st) < 0)
		return copy_fail_errno(c);
	if (depth == CV_COPY_DEPTH_MAX)
		return copy_fail(c, CV_LIMIT, "directories are too deep in one another");
	if (copy_device_check(c, from, st.st_dev) != CV_OK)
		return c->err->code;
	if (mkdirat(to_dir, name, 0700) < 0)
		return copy_fail_errno(c);
	CV_AUTO_FD int to = openat(to_dir, name, DIR_FLAGS);
	if (to < 0)
		return copy_fail_errno(c);
	const cv_code code = copy_dir(c, from, to, depth + 1);
	if (code == CV_OK) {
		(void)fchmod(to, (st.st_mode & 0777) | 0700);
		times_copy(to, &st);
	}
	return code;
}

static cv_code entry_copy(struct copy *c, int from, int to, const char *name, unsigned depth)
{
	struct stat st;

	if (!copy_name_is_plain(name))
		return copy_fail(c, CV_DENIED, "a name with control characters");
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return copy_fail_errno(c);
	if (entry_count(c) != CV_OK)
		return c->err->code;
	if (S_ISDIR(st.st_mode))
		return subdir_copy(c, from, to, name, depth);
	if (S_ISLNK(st.st_mode))
		return link_copy(c, from, to, name);
	if (!S_ISREG(st.st_mode))
		return copy_fail(c, CV_DENIED, "neither a file nor a directory nor a symlink");
	CV_AUTO_FD int fd = openat(from, name, FILE_FLAGS);
	if (fd < 0)
		return copy_fail_errno(c);
	return file_copy(c, fd, to, name);
}

bool copy_is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

typedef cv_code each_fn(struct copy *c, int from, int to, const char *name, unsigned depth);

/* Calls it for each entry of a directory that is open. */
static cv_code each(struct copy *c, int from, int to, unsigned depth, each_fn *fn)
{
	cv_code code = CV_OK;
	const struct dirent *e;
	size_t before;
	DIR *d;
	const int own = openat(from, ".", DIR_FLAGS);

	if (own < 0)
		return copy_fail_errno(c);
	if (!(d = fdopendir(own))) {
		close(own);
		return copy_fail_errno(c);
	}
	while (code == CV_OK && (errno = 0, e = readdir(d)) != NULL) {
		if (copy_is_dots(e->d_name))
			continue;
		if (!copy_path_push(c, e->d_name, &before)) {
			code = copy_fail(c, CV_LIMIT, "a path in it is too long");
			break;
		}
		code = fn(c, from, to, e->d_name, depth);
		path_pop(c, before);
	}
	if (code == CV_OK && errno)
		code = copy_fail_errno(c);
	closedir(d);
	return code;
}

cv_code copy_dir(struct copy *c, int from, int to, unsigned depth)
{
	return each(c, from, to, depth, entry_copy);
}

/* ---- links, when nobody changes them any more ---- */

/* from is the top of the copy, to the directory at hand. */
static cv_code link_check(struct copy *c, int top, int dir, const char *name, unsigned depth);

cv_code copy_links_check(struct copy *c, int top, int dir, unsigned depth)
{
	cv_code code = CV_OK;
	const struct dirent *e;
	size_t before;
	const int own = openat(dir, ".", DIR_FLAGS);
	DIR *d = own < 0 ? NULL : fdopendir(own);

	if (!d) {
		if (own >= 0)
			close(own);
		return copy_fail_errno(c);
	}
	while (code == CV_OK && (e = readdir(d)) != NULL)
		if (!copy_is_dots(e->d_name) && copy_path_push(c, e->d_name, &before)) {
			code = link_check(c, top, dir, e->d_name, depth);
			path_pop(c, before);
		}
	closedir(d);
	return code;
}

static cv_code link_check(struct copy *c, int top, int dir, const char *name, unsigned depth)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return copy_fail_errno(c);
	if (S_ISDIR(st.st_mode)) {
		CV_AUTO_FD int sub = openat(dir, name, DIR_FLAGS);

		return sub < 0 ? copy_fail_errno(c) : copy_links_check(c, top, sub, depth + 1);
	}
	if (!S_ISLNK(st.st_mode))
		return CV_OK;
	CV_AUTO_FD int fd =
		cv_openat2(top, c->path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
	if (fd < 0 && errno == EXDEV)
		return copy_fail(c, CV_DENIED, "a symlink that leads out");
	return CV_OK;
}

/* ---- in ---- */

void copy_begin(struct copy *c, const struct cv_copy_limits *limits, struct cv_err *err)
{
	*c = (struct copy){ .limits = *limits, .err = err };
}

/* A path that the sandbox wrote, for messages and as the top of c->path. */
static cv_code top_fail(struct copy *c, const char *path)
{
	size_t before;

	if (!copy_path_push(c, path, &before))
		return cv_fail(c->err, CV_LIMIT, "the path is too long");
	return copy_fail_errno(c);
}

cv_code cv_copy_in(int root, const char *path, int to, const struct cv_copy_limits *limits,
	struct cv_copy_count *ret, struct cv_err *err)
{
	struct copy c;
	struct stat st;

	copy_begin(&c, limits, err);
	CV_AUTO_FD int from = cv_openat2(root, path, O_RDONLY | O_DIRECTORY, IN_SANDBOX);
	if (from < 0 || fstat(from, &st) < 0)
		return top_fail(&c, path);
	if (copy_device_check(&c, from, st.st_dev) != CV_OK)
		return err->code;
	cv_code code = copy_dir(&c, from, to, 0);
	if (code == CV_OK)
		code = copy_links_check(&c, to, to, 0);
	if (code == CV_OK)
		*ret = c.count;
	return code;
}

cv_code cv_copy_file_in(int root, const char *path, int to, const char *name, uint64_t bytes_max,
	struct cv_copy_count *ret, struct cv_err *err)
{
	const struct cv_copy_limits limits = { bytes_max, 1 };
	struct copy c;
	struct stat st;

	copy_begin(&c, &limits, err);
	/* What it is is asked without opening it. */
	CV_AUTO_FD int at = cv_openat2(root, path, O_PATH, IN_SANDBOX);
	if (at < 0 || fstat(at, &st) < 0)
		return top_fail(&c, path);
	if (!S_ISREG(st.st_mode))
		return cv_fail(err, CV_DENIED, "%s: not a regular file", path);
	CV_AUTO_FD int from = cv_openat2(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, IN_SANDBOX);
	if (from < 0)
		return top_fail(&c, path);
	c.count.files = 1;
	const cv_code code = file_copy(&c, from, to, name);
	if (code == CV_OK)
		*ret = c.count;
	return code;
}

/* ---- how large ---- */

static uint64_t usage_of(int dir, uint64_t max, unsigned depth)
{
	const int own = openat(dir, ".", DIR_FLAGS);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	const struct dirent *e;
	uint64_t n = 0;
	struct stat st;

	if (!d) {
		if (own >= 0)
			close(own);
		return 0;
	}
	while (n < max && (e = readdir(d)) != NULL) {
		if (copy_is_dots(e->d_name) ||
			fstatat(own, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		n += (uint64_t)st.st_blocks * 512;
		if (!S_ISDIR(st.st_mode) || depth == 0)
			continue;
		CV_AUTO_FD int sub = openat(own, e->d_name, DIR_FLAGS);
		if (sub >= 0)
			n += usage_of(sub, max - CV_MIN(n, max), depth - 1);
	}
	closedir(d);
	return n;
}

uint64_t cv_copy_usage(int dir, uint64_t max)
{
	return usage_of(dir, max, 256);
}
