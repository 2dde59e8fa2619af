/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell.c - see cell.h; namespaces(7), pid_namespaces(7), user_namespaces(7)
 *
 *     caller --vfork--> helper: setns(user namespace), clone3(new pid, new mounts, CLONE_PARENT)
 *        |                                                            |
 *        +----------------------- its child, PID 1 there <------------+
 *
 * The helper exists because a process can't leave the user namespace that it entered; it shares the
 * caller's memory, so nothing is copied for it, and CLONE_PARENT makes its child the caller's.  Root
 * enters none, and has the helper all the same: a caller that makes the namespaces itself got through a
 * third fewer calls.
 *
 * What the user namespace takes away from a program: programs that are set-user-ID (sudo, newuidmap),
 * and the owner of files that are not the user's, who are all "nobody" inside.
 *
 * In the child the mounts are made slaves first, so that none of them is seen outside.  What is
 * covered stays covered: mounts that come from a namespace of more rights can't be taken away one by
 * one in one of less (mount_namespaces(7)).  Root itself can undo it, as it can undo everything.
 */
#include "sys/cell.h"

#include "sys/child.h"
#include "sys/fd.h"
#include "sys/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COVER_FLAGS  (MS_NOSUID | MS_NODEV)
#define COVER_MODE   "mode=0711"
#define FILES_BESIDE 16 /* directories on the way to the one that is bounded */

/* ---- the user namespace ---- */

/* In a child: one user, who is called inside what he is called outside. */
static bool userns_enter(void)
{
	const unsigned uid = geteuid(), gid = getegid();
	char uid_map[64], gid_map[64];

	snprintf(uid_map, sizeof(uid_map), "%u %u 1", uid, uid);
	snprintf(gid_map, sizeof(gid_map), "%u %u 1", gid, gid);
	/* The files of one that is not dumpable are root's, and it could not write its own maps. */
	return unshare(CLONE_NEWUSER) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0 &&
	       cv_userns_write("/proc/self/setgroups", "deny", NULL) == CV_OK &&
	       cv_userns_write("/proc/self/uid_map", uid_map, NULL) == CV_OK &&
	       cv_userns_write("/proc/self/gid_map", gid_map, NULL) == CV_OK;
}

static CV_NORETURN void userns_hold(int said, int until)
{
	const int result = userns_enter() ? 0 : errno ? errno : EPERM;
	char c;

	if (write(said, &result, sizeof(result)) != sizeof(result))
		_exit(1);
	(void)!read(until, &c, 1);
	_exit(0);
}

/* It stays as long as somebody has it open. */
static cv_code userns_make(int *ret, struct cv_err *err)
{
	int said[2], until[2], result = EPIPE;
	char path[64];

	if (pipe2(said, O_CLOEXEC) < 0)
		return cv_fail_errno(err, "pipe");
	CV_AUTO_FD int said_out = said[0], said_in = said[1];
	if (pipe2(until, O_CLOEXEC) < 0)
		return cv_fail_errno(err, "pipe");
	CV_AUTO_FD int until_out = until[0], until_in = until[1];
	const pid_t pid = fork();
	if (pid == 0) {
		close(until_in);
		userns_hold(said_in, until_out);
	}
	close(cv_take_fd(said_in));
	if (pid < 0)
		return cv_fail_errno(err, "fork");
	(void)!read(said_out, &result, sizeof(result));
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	if (result == 0) {
		*ret = open(path, O_RDONLY | O_CLOEXEC);
		result = *ret < 0 ? errno : 0;
	}
	close(cv_take_fd(until_in));
	(void)cv_child_wait(pid, NULL);
	errno = result;
	return result ? cv_fail_errno(err, "a user namespace") : CV_OK;
}

/* ---- the first process ---- */

/* It tells its end as the helper would: exit_signal has to be 0 with CLONE_PARENT (clone(2)). */
static pid_t clone_new(void)
{
	const struct clone_args args = { .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PARENT };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

pid_t cv_cell_fork(const struct cv_cells *c)
{
	volatile pid_t pid = -1;
	volatile int failure = EPERM;
	const pid_t helper = vfork();
	if (helper == 0) {
		/* Ours until _exit(): the caller waits.  The new process returns with a copy of it. */
		if (c->userns < 0 || setns(c->userns, CLONE_NEWUSER) == 0)
			pid = clone_new();
		if (pid == 0)
			return 0;
		failure = errno;
		_exit(0);
	}
	if (helper < 0)
		return -1;
	(void)cv_child_wait(helper, NULL);
	errno = failure;
	return pid;
}

/* ---- what it sees ---- */

bool cv_cell_is_beneath(const char *path, const char *dir)
{
	const size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == 0);
}

/* The directories on the way from `dir`, which is there, to path, and path. */
static cv_code way_make(const char *dir, const char *path, struct cv_err *err)
{
	char part[PATH_MAX];
	const size_t n = strlen(path);

	if (n >= sizeof(part))
		return cv_fail(err, CV_LIMIT, "the path is too long: %s", path);
	for (size_t i = strlen(dir) + 1; i <= n; i++) {
		if (path[i] && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (mkdir(part, 0711) < 0 && errno != EEXIST)
			return cv_fail_errno(err, "make %s", part);
	}
	return CV_OK;
}

static cv_code cover(
	const char *dir, const struct cv_cell_view *v, bool is_owns, struct cv_err *err)
{
	char options[128] = "size=64k,nr_inodes=64," COVER_MODE;

	if (is_owns && !v->is_kept)
		snprintf(options, sizeof(options), "size=%llu,nr_inodes=%llu," COVER_MODE,
			(unsigned long long)v->bytes,
			(unsigned long long)(v->files ? v->files + FILES_BESIDE : 0));
	if (mount("cove", dir, "tmpfs", COVER_FLAGS, options) == 0)
		return CV_OK;
	/* Others' is gone with the last of them, at any moment: nothing is left to be seen. */
	return errno == ENOENT && !is_owns ? CV_OK : cv_fail_errno(err, "cover %s", dir);
}

static cv_code own_make(const char *dir, const struct cv_cell_view *v, int kept, struct cv_err *err)
{
	if (way_make(dir, v->own, err) != CV_OK)
		return err->code;
	if (v->is_kept)
		return syscall(SYS_move_mount, kept, "", AT_FDCWD, v->own,
			       MOVE_MOUNT_F_EMPTY_PATH) < 0
			       ? cv_fail_errno(err, "show %s", v->own)
			       : CV_OK;
	if (chmod(v->own, 0700) < 0 ||
		((v->uid != geteuid() || v->gid != getegid()) && chown(v->own, v->uid, v->gid) < 0))
		return cv_fail_errno(err, "give %s away", v->own);
	return CV_OK;
}

cv_code cv_cell_enter(const struct cv_cell_view *v, struct cv_err *err)
{
	CV_AUTO_FD int kept = -1;
	bool is_made = !v->own;

	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return cv_fail_errno(err, "take the mounts apart");
	if (v->own && v->is_kept) {
		kept = (int)syscall(
			SYS_open_tree, AT_FDCWD, v->own, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (kept < 0)
			return cv_fail_errno(err, "open %s", v->own);
	}
	for (size_t i = 0; i < v->hide_count; i++) {
		const bool is_owns = !is_made && cv_cell_is_beneath(v->own, v->hide[i]);

		if (cover(v->hide[i], v, is_owns, err) != CV_OK ||
			(is_owns && own_make(v->hide[i], v, kept, err) != CV_OK))
			return err->code;
		is_made = is_made || is_owns;
	}
	if (!is_made)
		return cv_fail(err, CV_INVALID, "%s is beneath nothing that is hidden", v->own);
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return cv_fail_errno(err, "a new /proc");
	return CV_OK;
}

/* ---- whether there can be any ---- */

/* The steps that a host may refuse, in one that ends at once. */
static cv_code cells_try(const struct cv_cells *c, struct cv_err *err)
{
	static const char *const hide[] = { "/tmp" };
	const struct cv_cell_view view = { .hide = hide, .hide_count = 1 };
	int said[2], status = 0;

	if (pipe2(said, O_CLOEXEC) < 0)
		return cv_fail_errno(err, "pipe");
	CV_AUTO_FD int out = said[0], in = said[1];
	const pid_t pid = cv_cell_fork(c);
	if (pid == 0) {
		const cv_code code = cv_cell_enter(&view, err);

		if (code != CV_OK && write(in, err, sizeof(*err)) != sizeof(*err))
			_exit(2);
		_exit(code != CV_OK);
	}
	if (pid < 0)
		return cv_fail_errno(err, "new pid and mount namespaces");
	(void)cv_child_wait(pid, &status);
	if (status == 0)
		return CV_OK;
	close(cv_take_fd(in));
	if (read(out, err, sizeof(*err)) != sizeof(*err))
		return cv_fail(err, CV_SYSTEM, "one that was tried died");
	return err->code;
}

cv_code cv_cells_open(struct cv_cells *ret, struct cv_err *err)
{
	*ret = (struct cv_cells){ .userns = -1 };
	cv_code code = CV_DENIED;

	if (geteuid() == 0) /* who may lack what makes it root all the same */
		code = cells_try(ret, err);
	if (code != CV_OK) {
		code = userns_make(&ret->userns, err);
		if (code == CV_OK)
			code = cells_try(ret, err);
	}
	if (code != CV_OK) {
		cv_cells_close(ret);
		return code;
	}
	ret->is_open = true;
	return CV_OK;
}

void cv_cells_close(struct cv_cells *c)
{
	if (c->userns >= 0)
		close(c->userns);
	*c = (struct cv_cells){ .userns = -1 };
}
