/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy.c - see copy.h
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
 */
#include "sys/copy.h"

#include "sys/fd.h"
#include "sys/openat2.h"
#include "sys/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PIECE_BYTES 131072
#define DIR_FLAGS   (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FILE_FLAGS  (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define IN_SANDBOX  (RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

struct copy {
	struct cv_copy_limits limits;
	struct cv_copy_count count;
	char path[CV_COPY_NAME_MAX]; /* of what is being copied, below the top */
	size_t path_n;
	dev_t device; /* the last that was looked at and is fine */
	bool has_device;
	struct cv_err *err;
};

static volatile sig_atomic_t is_stopped;

void cv_copy_stop(void)
{
	is_stopped = 1;
}

/* ---- what is wrong ---- */

static cv_code fail_at(struct copy *c, cv_code code, const char *what)
{
	return cv_fail(c->err, code, "%s: %s", c->path_n ? c->path : ".", what);
}

static cv_code fail_errno_at(struct copy *c)
{
	const int number = errno;

	if (number == ELOOP || number == EXDEV)
		return fail_at(c, CV_DENIED, "a symlink is in the way");
	if (number == ENOENT || number == ENOTDIR)
		return fail_at(c, CV_NOT_FOUND, strerror(number));
	if (number == EACCES || number == EPERM || number == EROFS)
		return fail_at(c, CV_DENIED, strerror(number));
	return fail_at(c, CV_SYSTEM, strerror(number));
}

/* Messages show the name, so it is made harmless even where it is refused. */
static bool path_push(struct copy *c, const char *name, size_t *ret_before)
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

static bool name_is_plain(const char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name < 0x20 || *name == 0x7f)
			return false;
	return true;
}

/* File systems whose files are not data but ways to ask the kernel something. */
static bool is_pseudo(int fd)
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

static cv_code device_check(struct copy *c, int fd, dev_t device)
{
	if (c->has_device && c->device == device)
		return CV_OK;
	if (is_pseudo(fd))
		return fail_at(c, CV_DENIED, "files of the kernel can't be copied");
	c->device = device;
	c->has_device = true;
	return CV_OK;
}

static cv_code stop_check(struct copy *c)
{
	return is_stopped ? fail_at(c, CV_UNAVAILABLE, "it was told to stop") : CV_OK;
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

static cv_code fail_bytes(struct copy *c)
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
static cv_code bytes_copy(struct copy *c, int from, int to)
{
	static char piece[PIECE_BYTES]; /* one process copies one tree */

	for (;;) {
		if (stop_check(c) != CV_OK)
			return c->err->code;
		const ssize_t n = read(from, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno_at(c);
		if (n == 0)
			return CV_OK;
		if ((uint64_t)n > c->limits.bytes_max - c->count.bytes)
			return fail_bytes(c);
		c->count.bytes += (uint64_t)n;
		if (!write_all(to, piece, (size_t)n))
			return fail_errno_at(c);
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
		return fail_errno_at(c);
	if (!S_ISREG(st.st_mode))
		return fail_at(c, CV_DENIED, "not a regular file");
	if (device_check(c, from, st.st_dev) != CV_OK)
		return c->err->code;
	if ((uint64_t)st.st_size > c->limits.bytes_max - c->count.bytes)
		return fail_bytes(c);
	CV_AUTO_FD int to =
		openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return fail_errno_at(c);
	if (bytes_copy(c, from, to) != CV_OK)
		return c->err->code;
	if (fchmod(to, (st.st_mode & 0777) | 0600) < 0)
		return fail_errno_at(c);
	times_copy(to, &st);
	return CV_OK;
}

static cv_code link_copy(struct copy *c, int from_dir, int to_dir, const char *name)
{
	char target[PATH_MAX];
	const ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (n < 0 && errno == EINVAL)
		return fail_at(c, CV_DENIED, "it became something else while it was copied");
	if (n < 0)
		return fail_errno_at(c);
	target[n] = 0;
	if (target[0] == '/')
		return fail_at(c, CV_DENIED, "a symlink with an absolute target leads out");
	if (symlinkat(target, to_dir, name) < 0)
		return fail_errno_at(c);
	return CV_OK;
}

/* ---- directories ---- */

static cv_code dir_copy(struct copy *c, int from, int to, unsigned depth);

static cv_code subdir_copy(
	struct copy *c, int from_dir, int to_dir, const char *name, unsigned depth)
{
	struct stat st;
	CV_AUTO_FD int from = openat(from_dir, name, DIR_FLAGS);

	if (from < 0 || fstat(from, &st) < 0)
		return fail_errno_at(c);
	if (depth == CV_COPY_DEPTH_MAX)
		return fail_at(c, CV_LIMIT, "directories are too deep in one another");
	if (device_check(c, from, st.st_dev) != CV_OK)
		return c->err->code;
	if (mkdirat(to_dir, name, 0700) < 0)
		return fail_errno_at(c);
	CV_AUTO_FD int to = openat(to_dir, name, DIR_FLAGS);
	if (to < 0)
		return fail_errno_at(c);
	const cv_code code = dir_copy(c, from, to, depth + 1);
	if (code == CV_OK) {
		(void)fchmod(to, (st.st_mode & 0777) | 0700);
		times_copy(to, &st);
	}
	return code;
}

static cv_code entry_copy(struct copy *c, int from, int to, const char *name, unsigned depth)
{
	struct stat st;

	if (!name_is_plain(name))
		return fail_at(c, CV_DENIED, "a name with control characters");
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_errno_at(c);
	if (entry_count(c) != CV_OK)
		return c->err->code;
	if (S_ISDIR(st.st_mode))
		return subdir_copy(c, from, to, name, depth);
	if (S_ISLNK(st.st_mode))
		return link_copy(c, from, to, name);
	if (!S_ISREG(st.st_mode))
		return fail_at(c, CV_DENIED, "neither a file nor a directory nor a symlink");
	CV_AUTO_FD int fd = openat(from, name, FILE_FLAGS);
	if (fd < 0)
		return fail_errno_at(c);
	return file_copy(c, fd, to, name);
}

static bool is_dots(const char *name)
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
		return fail_errno_at(c);
	if (!(d = fdopendir(own))) {
		close(own);
		return fail_errno_at(c);
	}
	while (code == CV_OK && (errno = 0, e = readdir(d)) != NULL) {
		if (is_dots(e->d_name))
			continue;
		if (!path_push(c, e->d_name, &before)) {
			code = fail_at(c, CV_LIMIT, "a path in it is too long");
			break;
		}
		code = fn(c, from, to, e->d_name, depth);
		path_pop(c, before);
	}
	if (code == CV_OK && errno)
		code = fail_errno_at(c);
	closedir(d);
	return code;
}

static cv_code dir_copy(struct copy *c, int from, int to, unsigned depth)
{
	return each(c, from, to, depth, entry_copy);
}

/* ---- links, when nobody changes them any more ---- */

/* from is the top of the copy, to the directory at hand. */
static cv_code link_check(struct copy *c, int top, int dir, const char *name, unsigned depth);

static cv_code links_check(struct copy *c, int top, int dir, unsigned depth)
{
	cv_code code = CV_OK;
	const struct dirent *e;
	size_t before;
	const int own = openat(dir, ".", DIR_FLAGS);
	DIR *d = own < 0 ? NULL : fdopendir(own);

	if (!d) {
		if (own >= 0)
			close(own);
		return fail_errno_at(c);
	}
	while (code == CV_OK && (e = readdir(d)) != NULL)
		if (!is_dots(e->d_name) && path_push(c, e->d_name, &before)) {
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
		return fail_errno_at(c);
	if (S_ISDIR(st.st_mode)) {
		CV_AUTO_FD int sub = openat(dir, name, DIR_FLAGS);

		return sub < 0 ? fail_errno_at(c) : links_check(c, top, sub, depth + 1);
	}
	if (!S_ISLNK(st.st_mode))
		return CV_OK;
	CV_AUTO_FD int fd =
		cv_openat2(top, c->path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
	if (fd < 0 && errno == EXDEV)
		return fail_at(c, CV_DENIED, "a symlink that leads out");
	return CV_OK;
}

/* ---- in ---- */

static void begin(struct copy *c, const struct cv_copy_limits *limits, struct cv_err *err)
{
	*c = (struct copy){ .limits = *limits, .err = err };
}

/* A path that the sandbox wrote, for messages and as the top of c->path. */
static cv_code top_fail(struct copy *c, const char *path)
{
	size_t before;

	if (!path_push(c, path, &before))
		return cv_fail(c->err, CV_LIMIT, "the path is too long");
	return fail_errno_at(c);
}

cv_code cv_copy_in(int root, const char *path, int to, const struct cv_copy_limits *limits,
	struct cv_copy_count *ret, struct cv_err *err)
{
	struct copy c;
	struct stat st;

	begin(&c, limits, err);
	CV_AUTO_FD int from = cv_openat2(root, path, O_RDONLY | O_DIRECTORY, IN_SANDBOX);
	if (from < 0 || fstat(from, &st) < 0)
		return top_fail(&c, path);
	if (device_check(&c, from, st.st_dev) != CV_OK)
		return err->code;
	cv_code code = dir_copy(&c, from, to, 0);
	if (code == CV_OK)
		code = links_check(&c, to, to, 0);
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

	begin(&c, &limits, err);
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

/* ---- out ---- */

/* "/a/b" is "/a" and "b".  False: there is no name at its end. */
static bool path_split(const char *path, char *dir, size_t size, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	const size_t n = slash ? (size_t)(slash - path) : 0;

	*ret_name = slash ? slash + 1 : path;
	if (!**ret_name || is_dots(*ret_name) || strlen(*ret_name) > NAME_MAX || n + 2 > size)
		return false;
	memcpy(dir, path, n);
	memcpy(dir + n, n ? "" : "/", n ? 1 : 2);
	return true;
}

static bool temporary_name(char *ret, size_t size)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return false;
	snprintf(ret, size, ".cove-%016llx", (unsigned long long)random);
	return true;
}

/* Neither name is followed if it became a link by now: rename(2) moves and replaces links, link(2)
 * makes another name of one.  Not every file system can rename to a name that must be new. */
static bool file_place(int dir, const char *temporary, const char *name, bool may_replace)
{
	if (may_replace)
		return renameat(dir, temporary, dir, name) == 0;
	if (renameat2(dir, temporary, dir, name, RENAME_NOREPLACE) == 0)
		return true;
	return errno == EINVAL && linkat(dir, temporary, dir, name, 0) == 0 &&
	       unlinkat(dir, temporary, 0) == 0;
}

static cv_code put(
	struct copy *c, int from, int dir, const char *name, mode_t mode, bool may_replace)
{
	char temporary[32];
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		!(may_replace && S_ISREG(st.st_mode)))
		return cv_fail(c->err, CV_DENIED, "%s is there%s", c->path,
			may_replace ? ", and is not a regular file" : "");
	if (!temporary_name(temporary, sizeof(temporary)))
		return cv_fail_errno(c->err, "getrandom");
	CV_AUTO_FD int to =
		openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return fail_errno_at(c);
	cv_code code = bytes_copy(c, from, to);
	if (code == CV_OK && fchmod(to, mode) < 0)
		code = fail_errno_at(c);
	if (code == CV_OK && !file_place(dir, temporary, name, may_replace))
		code = errno == EEXIST ? cv_fail(c->err, CV_DENIED, "%s is there", c->path)
				       : fail_errno_at(c);
	if (code != CV_OK)
		unlinkat(dir, temporary, 0);
	return code;
}

static cv_code file_out(struct copy *c, int from, int root, const char *path, mode_t mode,
	bool may_replace, struct cv_copy_count *ret)
{
	char parent[CV_COPY_NAME_MAX];
	const char *name;
	struct stat st;
	size_t before;

	if (!path_split(path, parent, sizeof(parent), &name) || !name_is_plain(path) ||
		!path_push(c, path, &before))
		return cv_fail(c->err, CV_INVALID, "this can't be the path of a file");
	CV_AUTO_FD int dir = cv_openat2(root, parent, O_RDONLY | O_DIRECTORY, IN_SANDBOX);
	if (dir < 0 || fstat(dir, &st) < 0)
		return fail_errno_at(c);
	if (device_check(c, dir, st.st_dev) != CV_OK)
		return c->err->code;
	const cv_code code = put(c, from, dir, name, mode, may_replace);
	if (code == CV_OK)
		*ret = c->count;
	return code;
}

cv_code cv_copy_out(int from, int root, const char *path, uint64_t bytes_max,
	struct cv_copy_count *ret, struct cv_err *err)
{
	const struct cv_copy_limits limits = { bytes_max, 1 };
	struct copy c;

	begin(&c, &limits, err);
	return file_out(&c, from, root, path, 0644, true, ret);
}

cv_code cv_copy_file_out(int from, int root, const char *path, uint64_t bytes_max, bool may_replace,
	struct cv_copy_count *ret, struct cv_err *err)
{
	const struct cv_copy_limits limits = { bytes_max, 1 };
	struct copy c;
	struct stat st;

	begin(&c, &limits, err);
	if (fstat(from, &st) < 0)
		return cv_fail_errno(err, "fstat");
	if (!S_ISREG(st.st_mode))
		return cv_fail(err, CV_DENIED, "not a regular file");
	if (is_pseudo(from))
		return cv_fail(err, CV_DENIED, "files of the kernel can't be copied");
	if ((uint64_t)st.st_size > bytes_max) /* before all that fits is written */
		return fail_bytes(&c);
	c.count.files = 1;
	return file_out(&c, from, root, path, (st.st_mode & 0777) | 0600, may_replace, ret);
}

/* What was copied so far goes; what others put there meanwhile is theirs to see. */
static void tree_drop(int dir, const char *name)
{
	char path[64 + NAME_MAX];
	struct cv_err ignored;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
	(void)!cv_tree_remove(path, &ignored);
}

/* rename(2) of a directory replaces an empty one and nothing else. */
static cv_code tree_place(struct copy *c, int dir, const char *temporary, const char *name)
{
	if (renameat(dir, temporary, dir, name) == 0)
		return CV_OK;
	if (errno == ENOTEMPTY || errno == EEXIST)
		return cv_fail(c->err, CV_DENIED, "%s is there, and is not empty", c->path);
	if (errno == ENOTDIR)
		return cv_fail(c->err, CV_DENIED, "%s is there, and is not a directory", c->path);
	if (errno == EBUSY)
		return cv_fail(c->err, CV_DENIED, "%s is a mount point", c->path);
	return fail_errno_at(c);
}

static cv_code tree_put(struct copy *c, int from, int dir, const char *name)
{
	char temporary[32], shown[CV_COPY_NAME_MAX];
	const size_t shown_n = c->path_n;
	struct stat st;

	/* Seen now, it need not be copied first; what counts is rename(2). */
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
		return cv_fail(c->err, CV_DENIED, "%s is there, and is not a directory", c->path);
	if (!temporary_name(temporary, sizeof(temporary)))
		return cv_fail_errno(c->err, "getrandom");
	if (mkdirat(dir, temporary, 0700) < 0)
		return fail_errno_at(c);
	CV_AUTO_FD int to = openat(dir, temporary, DIR_FLAGS);
	if (to < 0)
		return fail_errno_at(c);
	memcpy(shown, c->path, shown_n + 1);
	c->path_n = 0; /* of what is in it, from now on */
	c->path[0] = 0;
	cv_code code = dir_copy(c, from, to, 0);
	if (code == CV_OK)
		code = links_check(c, to, to, 0);
	if (code == CV_OK && fchmod(to, 0755) < 0)
		code = fail_errno_at(c);
	memcpy(c->path, shown, shown_n + 1);
	c->path_n = shown_n;
	if (code == CV_OK)
		code = tree_place(c, dir, temporary, name);
	if (code != CV_OK)
		tree_drop(dir, temporary);
	return code;
}

cv_code cv_copy_tree_out(int from, int root, const char *path, const struct cv_copy_limits *limits,
	struct cv_copy_count *ret, struct cv_err *err)
{
	char parent[CV_COPY_NAME_MAX];
	const char *name;
	struct copy c;
	struct stat st;
	size_t before;

	begin(&c, limits, err);
	if (!path_split(path, parent, sizeof(parent), &name) || !name_is_plain(path) ||
		!path_push(&c, path, &before))
		return cv_fail(err, CV_INVALID, "this can't be the path of a directory");
	CV_AUTO_FD int dir = cv_openat2(root, parent, O_RDONLY | O_DIRECTORY, IN_SANDBOX);
	if (dir < 0 || fstat(dir, &st) < 0)
		return fail_errno_at(&c);
	if (is_pseudo(dir) || is_pseudo(from))
		return fail_at(&c, CV_DENIED, "files of the kernel can't be copied or made");
	const cv_code code = tree_put(&c, from, dir, name);
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
		if (is_dots(e->d_name) || fstatat(own, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
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
