/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files_work.c - a copy between a directory of the host and a sandbox
 *
 * Both ends are descriptors of a root, and every path is resolved in one: links on the way are errors,
 * and nothing leads out.  What is at the path is opened once, without an effect (O_PATH), asked what
 * it is, and only then opened to be read, by that descriptor: a FIFO or a device put in its place
 * meanwhile is never opened.  The copy itself, which whoever is in the sandbox may try to confuse, is
 * sys/copy.h's: beside its destination first, then there at a stroke.
 *
 * The process gives up all that the sandbox's user does not have, in both directions: neither reads
 * nor writes the tool what its user could not.  Told to end, it takes back what is half done.
 */
#include "broker/files_int.h"

#include "base/buf.h"
#include "broker/worker.h"
#include "sys/caps.h"
#include "sys/copy.h"
#include "sys/fd.h"
#include "sys/openat2.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INSIDE (RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

struct end { /* of the copy: a root, and what is meant in it */
	int root;
	char path[FILES_PATH_BYTES_MAX + 1];
};

/* ---- what it says ---- */

static int say(const struct files_work *w, int status, const char *code, const char *detail,
	const struct cv_copy_count *count)
{
	struct cv_buf b;
	int rc = 1;

	cv_buf_init(&b, FILES_RESULT_BYTES_MAX);
	cv_buf_printf(&b, "%d %s\n%s\n", status, code, detail);
	if (count)
		cv_buf_printf(&b, "\"files\":%u,\"bytes\":%llu,", count->files,
			(unsigned long long)count->bytes);
	cv_buf_put(&b, CV_STR("\"dest\":\""));
	cv_buf_put_json(&b, w->dest);
	cv_buf_put_byte(&b, '"');
	const struct cv_str s = cv_buf_str(&b);
	if (!b.is_overflown && write(1, s.p, s.n) == (ssize_t)s.n) /* a pipe takes it whole */
		rc = 0;
	cv_buf_fini(&b);
	return rc;
}

/* One line of it, as a person can read it. */
CV_PRINTF(4, 5)
static int refuse(const struct files_work *w, int status, const char *code, const char *fmt, ...)
{
	char detail[512];
	va_list ap;

	va_start(ap, fmt);
	worker_detail(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return say(w, status, code, detail, NULL);
}

static int refuse_copy(const struct files_work *w, const struct cv_err *err)
{
	switch ((int)err->code) {
	case CV_LIMIT: return refuse(w, 413, "files_too_large", "%s", err->msg);
	case CV_NOT_FOUND: return refuse(w, 404, "files_not_found", "%s", err->msg);
	case CV_DENIED: return refuse(w, 422, "files_rejected", "%s", err->msg);
	default: return refuse(w, 502, "backend_failed", "%s", err->msg);
	}
}

/* ---- both ends; -1: go on, else the exit status ---- */

static bool is_missing(int number)
{
	return number == ENOENT || number == ENOTDIR;
}

static int refuse_source(const struct files_work *w, const struct end *from)
{
	const int number = errno;

	if (is_missing(number))
		return refuse(w, 404, "files_not_found", "path: there is no %s", from->path);
	return refuse(w, 422, "files_rejected", "path: %s: %s", from->path,
		number == ELOOP || number == EXDEV ? "a symlink is in the way" : strerror(number));
}

static int source_open(
	const struct files_work *w, const struct end *from, bool *ret_is_dir, int *ret)
{
	char self[64];
	struct stat st;
	CV_AUTO_FD int at = cv_openat2(from->root, from->path, O_PATH | O_NOFOLLOW, INSIDE);

	if (at < 0 || fstat(at, &st) < 0)
		return refuse_source(w, from);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return refuse(w, 422, "files_rejected",
			"path: %s is neither a regular file nor a directory", from->path);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
	*ret_is_dir = S_ISDIR(st.st_mode);
	*ret = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return *ret < 0 ? refuse_source(w, from) : -1;
}

/* What can't be read is not known to have something in it. */
static bool is_full(int dir, const char *name)
{
	const int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int n = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (n < 3 && readdir(d))
		n++;
	closedir(d);
	return n == 3; /* "." and ".." and more */
}

/* What is said about dest is said before anything is read; sys/copy.h judges once more, at the end. */
static int dest_check(const struct files_work *w, const struct end *to, bool is_dir)
{
	char parent[sizeof(to->path)];
	const char *slash = strrchr(to->path, '/');
	const bool is_store = w->tool->operation == CV_TOOL_FILES_STORE;
	struct stat st;

	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - to->path) : 0, to->path);
	CV_AUTO_FD int dir =
		cv_openat2(to->root, parent[0] ? parent : "/", O_RDONLY | O_DIRECTORY, INSIDE);
	if (dir < 0)
		return refuse(w, 409, "dest_refused", "dest: %s: %s", to->path,
			is_missing(errno) ? "the directory that it is in is not there"
			: errno == ELOOP  ? "a symlink is in the way"
					  : strerror(errno));
	if (faccessat(dir, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return refuse(w, 409, "dest_refused", "dest: %s: %s", to->path, strerror(errno));
	if (fstatat(dir, slash ? slash + 1 : to->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (is_dir && !is_store && S_ISDIR(st.st_mode))
		return is_full(dir, slash ? slash + 1 : to->path)
			       ? refuse(w, 409, "dest_refused",
					 "dest: %s is there, and is not empty", to->path)
			       : -1;
	if (!is_dir && w->tool->may_overwrite && S_ISREG(st.st_mode))
		return -1;
	return refuse(w, 409, "dest_refused", "dest: %s is there", to->path);
}

/* ---- all of it ---- */

static int copy(const struct files_work *w, const struct end *from, const struct end *to)
{
	const struct cv_copy_limits limits = { w->tool->bytes_max, w->tool->files_max };
	struct cv_copy_count count = { 0 };
	struct cv_err err;
	bool is_dir = false;
	CV_AUTO_FD int fd = -1;
	int rc = source_open(w, from, &is_dir, &fd);

	if (rc >= 0 || (rc = dest_check(w, to, is_dir)) >= 0)
		return rc;
	const cv_code code =
		is_dir ? cv_copy_tree_out(fd, to->root, to->path, &limits, &count, &err)
		       : cv_copy_file_out(fd, to->root, to->path, limits.bytes_max,
				 w->tool->may_overwrite, &count, &err);
	if (code == CV_OK)
		return say(w, 200, "ok", "", &count);
	return refuse_copy(w, &err);
}

static void on_term(int signal_number)
{
	(void)signal_number;
	cv_copy_stop();
}

int files_run(const void *work)
{
	const struct files_work *w = work;
	const struct sigaction act = { .sa_handler = on_term };
	char path[FILES_PATH_BYTES_MAX + 1];
	struct end host, box = { .root = SPAWN_KEEP_FD };
	struct cv_err err;

	const bool is_fetch = w->tool->operation == CV_TOOL_FILES_FETCH;
	sigaction(SIGTERM, &act, NULL);
	if (!cv_str_to_cstr(w->tool->root, path, sizeof(path)) ||
		!cv_str_to_cstr(w->path, (is_fetch ? &host : &box)->path, sizeof(host.path)) ||
		!cv_str_to_cstr(w->dest, (is_fetch ? &box : &host)->path, sizeof(host.path)))
		return refuse(w, 502, "backend_failed", "a path is too long");
	if (cv_caps_drop_own(&err) != CV_OK)
		return refuse(w, 502, "backend_failed", "%s", err.msg);
	host.root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (host.root < 0)
		return refuse(
			w, 502, "backend_failed", "the tool's directory: %s", strerror(errno));
	const int rc = is_fetch ? copy(w, &host, &box) : copy(w, &box, &host);
	close(host.root);
	return rc;
}
