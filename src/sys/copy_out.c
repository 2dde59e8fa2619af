/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy_out.c - a file or a tree gets its place in a sandbox at a stroke; see copy.h
 *
 * It is copied under a random name into the directory where it will be, and then renamed: nobody
 * there sees half of it, and what fails leaves nothing.  That directory is found once, without a
 * link on the way, and held; whatever its owner puts into it meanwhile, rename(2) and link(2) follow
 * neither name.
 */
#include "sys/copy_int.h"

#include "sys/fd.h"
#include "sys/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* "/a/b" is "/a" and "b".  False: there is no name at its end. */
static bool path_split(const char *path, char *dir, size_t size, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	const size_t n = slash ? (size_t)(slash - path) : 0;

	*ret_name = slash ? slash + 1 : path;
	if (!**ret_name || copy_is_dots(*ret_name) || strlen(*ret_name) > NAME_MAX || n + 2 > size)
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
		return copy_fail_errno(c);
	cv_code code = copy_bytes(c, from, to);
	if (code == CV_OK && fchmod(to, mode) < 0)
		code = copy_fail_errno(c);
	if (code == CV_OK && !file_place(dir, temporary, name, may_replace))
		code = errno == EEXIST ? cv_fail(c->err, CV_DENIED, "%s is there", c->path)
				       : copy_fail_errno(c);
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

	if (!path_split(path, parent, sizeof(parent), &name) || !copy_name_is_plain(path) ||
		!copy_path_push(c, path, &before))
		return cv_fail(c->err, CV_INVALID, "this can't be the path of a file");
	CV_AUTO_FD int dir = cv_openat2(root, parent, O_RDONLY | O_DIRECTORY, IN_SANDBOX);
	if (dir < 0 || fstat(dir, &st) < 0)
		return copy_fail_errno(c);
	if (copy_device_check(c, dir, st.st_dev) != CV_OK)
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

	copy_begin(&c, &limits, err);
	return file_out(&c, from, root, path, 0644, true, ret);
}

cv_code cv_copy_file_out(int from, int root, const char *path, uint64_t bytes_max, bool may_replace,
	struct cv_copy_count *ret, struct cv_err *err)
{
	const struct cv_copy_limits limits = { bytes_max, 1 };
	struct copy c;
	struct stat st;

	copy_begin(&c, &limits, err);
	if (fstat(from, &st) < 0)
		return cv_fail_errno(err, "fstat");
	if (!S_ISREG(st.st_mode))
		return cv_fail(err, CV_DENIED, "not a regular file");
	if (copy_is_pseudo(from))
		return cv_fail(err, CV_DENIED, "files of the kernel can't be copied");
	if ((uint64_t)st.st_size > bytes_max) /* before all that fits is written */
		return copy_fail_bytes(&c);
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
	return copy_fail_errno(c);
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
		return copy_fail_errno(c);
	CV_AUTO_FD int to = openat(dir, temporary, DIR_FLAGS);
	if (to < 0)
		return copy_fail_errno(c);
	memcpy(shown, c->path, shown_n + 1);
	c->path_n = 0; /* of what is in it, from now on */
	c->path[0] = 0;
	cv_code code = copy_dir(c, from, to, 0);
	if (code == CV_OK)
		code = copy_links_check(c, to, to, 0);
	if (code == CV_OK && fchmod(to, 0755) < 0)
		code = copy_fail_errno(c);
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

	copy_begin(&c, limits, err);
	if (!path_split(path, parent, sizeof(parent), &name) || !copy_name_is_plain(path) ||
		!copy_path_push(&c, path, &before))
		return cv_fail(err, CV_INVALID, "this can't be the path of a directory");
	CV_AUTO_FD int dir = cv_openat2(root, parent, O_RDONLY | O_DIRECTORY, IN_SANDBOX);
	if (dir < 0 || fstat(dir, &st) < 0)
		return copy_fail_errno(&c);
	if (copy_is_pseudo(dir) || copy_is_pseudo(from))
		return copy_fail(&c, CV_DENIED, "files of the kernel can't be copied or made");
	const cv_code code = tree_put(&c, from, dir, name);
	if (code == CV_OK)
		*ret = c.count;
	return code;
}
