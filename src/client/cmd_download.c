/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_download.c - files out of a sandbox
 *
 * One command there writes what the path is and then an archive of it.  The archive is a stranger's:
 * each part of a name is opened below the destination without following links, so nothing is written
 * anywhere else, whatever links were unpacked before or lie there already (CVE-class "tar slip").
 * A file gets its place at a stroke.  Links stay links; set-user-id bits and devices do not come
 * along, and what others may do with a file the umask says.
 *
 * What the path is, the sandbox says, too, and who wants one file must not get a tree over his own:
 * for a file one entry is taken, under the name that was asked for, and a directory needs a
 * destination that was named (`openshell` has always taken it without).  A hard link leads to what this archive brought, so that no file that
 * lay here gets a second name.
 *
 * A file that could not be read there does not end the transfer: all others arrive, and then it is an
 * error.
 */
#include "client/commands.h"
#include "client/sandbox.h"
#include "client/tar.h"

#include "base/shown.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REPLY_BYTES_MAX (64u << 10)
#define LEFT_OUT_SHOWN  20
#define WORKSPACE       "/sandbox" /* what may be downloaded is below it */
#define SHUT_MAX        256        /* directories in one another that nothing could be put into */

/* $1 path, $2 workspace.  The first byte says what it is. */
static const char script[] = CL_TOOLS_SPEAK
	"r=$(realpath -- \"$1\") || exit 3\n"
	"case $r/ in \"$2\"/*) ;; *) echo \"$1 is outside the workspace $2\" >&2; exit 3 ;; esac\n"
	"if [ -d \"$r\" ]; then printf D; exec tar -c -f - -C \"$r\" .; fi\n"
	"[ -f \"$r\" ] || { echo \"$1 is neither a file nor a directory\" >&2; exit 3; }\n"
	"printf F; exec tar -c -f - -C \"${r%/*}/\" -- \"${r##*/}\"\n";

/* Directories that we made, that their owner may not write, and that the entry at hand is in: open
 * until the archive has left them.  Each is a beginning of the last one's name. */
struct shut {
	char name[PATH_MAX];
	struct {
		size_t n; /* of the name */
		mode_t mode;
	} dir[SHUT_MAX];
	size_t n;
};

struct taking {
	struct cl *c;
	const char *source, *dest; /* dest NULL: none was named */
	struct cl_tar_reader tar;
	struct cv_err err;
	cv_code code;
	char kind;        /* 'D', 'F'; 0: not known yet */
	int root;         /* what everything is below */
	const char *only; /* the name that a single file gets */
	int fd;           /* of the file that is being written, or -1 */
	int dir;          /* where it is */
	char beside[64], name[NAME_MAX + 1];
	struct timespec mtime, begun;
	mode_t mask;
	struct shut shut;
	size_t files, left_out;
};

/* ---- places below the root ---- */

/* Opens the directory that path is in, making what is missing; *ret_last is its last part.  -1, and
 * errno: a part is a link, a file, or none that a name may have. */
static int parent_open(struct taking *t, struct cv_str path, char ret_last[NAME_MAX + 1])
{
	int at = dup(t->root);

	while (path.n && at >= 0) {
		const struct cv_str part = cv_str_cut(&path, '/');
		char name[NAME_MAX + 1];

		if (!part.n || cv_str_eq(part, CV_STR(".")))
			continue;
		if (cv_str_eq(part, CV_STR("..")) || !cv_str_to_cstr(part, name, sizeof(name))) {
			close(at);
			errno = EPERM;
			return -1;
		}
		while (path.n && (path.p[0] == '/' ||
					 (path.p[0] == '.' && (path.n == 1 || path.p[1] == '/'))))
			path = cv_str_slice(path, 1, path.n);
		if (!path.n) {
			memcpy(ret_last, name, sizeof(name));
			return at;
		}
		if (mkdirat(at, name, 0777) < 0 && errno != EEXIST) {
			close(at);
			return -1;
		}
		const int next = openat(at, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_PATH);
		const int saved = errno;
		close(at);
		errno = saved;
		at = next;
	}
	if (at >= 0)
		ret_last[0] = '\0';
	return at;
}

static cv_code fail_name(struct cv_err *err, struct cv_str name)
{
	struct cv_buf b;
	const int saved = errno;

	cv_buf_init(&b, 1024);
	(void)cv_shown_put_line(&b, name, 200);
	errno = saved;
	const cv_code code = cv_fail_errno(err, "%.*s", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
	return code;
}

/* ---- a signal ---- */

/* What is written beside its place, for who ends us; dir -1: nothing is. */
static struct {
	volatile sig_atomic_t dir;
	char name[64];
} unfinished = { .dir = -1 };

static void on_signal(int sig)
{
	if (unfinished.dir >= 0)
		(void)unlinkat(unfinished.dir, unfinished.name, 0);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void signals_catch(void)
{
	static const int all[] = { SIGHUP, SIGINT, SIGTERM };
	const struct sigaction ours = { .sa_handler = on_signal };
	struct sigaction was;

	for (size_t i = 0; i < CV_ARRAY_LEN(all); i++)
		if (sigaction(all[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			(void)sigaction(all[i], &ours, NULL);
}

/* ---- directories that are shut ---- */

static cv_code dir_shut(struct taking *t, struct cv_str name, mode_t mode, struct cv_err *err)
{
	char last[NAME_MAX + 1];
	CV_AUTO_FD int at = parent_open(t, name, last);

	return at < 0 || fchmodat(at, last, mode, AT_SYMLINK_NOFOLLOW) < 0 ? fail_name(err, name)
									   : CV_OK;
}

/* Those that `next` is not below; "": all. */
static cv_code dirs_leave(struct taking *t, struct cv_str next, struct cv_err *err)
{
	struct shut *s = &t->shut;
	cv_code code = CV_OK;

	while (code == CV_OK && s->n) {
		const struct cv_str last = { s->name, s->dir[s->n - 1].n };

		if (cv_str_has_prefix(next, last) && next.n > last.n && next.p[last.n] == '/')
			break;
		s->n--;
		code = dir_shut(t, last, s->dir[s->n].mode, err);
	}
	return code;
}

static cv_code dir_open(struct taking *t, struct cv_str name, mode_t mode, struct cv_err *err)
{
	struct shut *s = &t->shut;

	if (s->n == SHUT_MAX || !cv_str_to_cstr(name, s->name, sizeof(s->name))) {
		errno = ENAMETOOLONG;
		return fail_name(err, name);
	}
	if (fchmodat(t->dir, t->name, mode | 0700, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_name(err, name);
	s->dir[s->n].n = name.n;
	s->dir[s->n++].mode = mode;
	return CV_OK;
}

/* One that is there already keeps its mode. */
static cv_code dir_make(struct taking *t, struct cv_str name, mode_t mode, struct cv_err *err)
{
	struct stat st;

	while (name.n && name.p[name.n - 1] == '/')
		name.n--;
	if (mkdirat(t->dir, t->name, mode) == 0)
		mode &= ~t->mask;
	else if (errno != EEXIST || fstatat(t->dir, t->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_name(err, name);
	else if (S_ISDIR(st.st_mode))
		mode = st.st_mode & 07777;
	else {
		errno = ENOTDIR;
		return fail_name(err, name);
	}
	return (mode & 0700) == 0700 ? CV_OK : dir_open(t, name, mode, err);
}

/* ---- entries ---- */

static cv_code file_begin(struct taking *t, const struct cl_tar_entry *e, struct cv_err *err)
{
	snprintf(t->beside, sizeof(t->beside), ".download.%d.%zu", (int)getpid(), t->files++);
	t->fd = openat(
		t->dir, t->beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (t->fd < 0)
		return fail_name(err, e->name);
	memcpy(unfinished.name, t->beside, sizeof(unfinished.name));
	unfinished.dir = t->dir;
	if (fchmod(t->fd, e->mode & 0777 & ~t->mask) < 0)
		return fail_name(err, e->name);
	t->mtime = (struct timespec){ .tv_sec = e->mtime_s };
	return CV_OK;
}

/* Made since we began.  The clock is the one that file systems take their times from. */
static bool is_ours(const struct taking *t, int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_ctim.tv_sec > t->begun.tv_sec ||
		       (st.st_ctim.tv_sec == t->begun.tv_sec &&
			       st.st_ctim.tv_nsec >= t->begun.tv_nsec));
}

static cv_code hard_make(struct taking *t, const struct cl_tar_entry *e, struct cv_err *err)
{
	char last[NAME_MAX + 1];
	CV_AUTO_FD int from = parent_open(t, e->link, last);

	if (from < 0 || !last[0])
		return fail_name(err, e->link);
	if (!is_ours(t, from, last)) {
		errno = EPERM;
		return fail_name(err, e->link);
	}
	(void)unlinkat(t->dir, t->name, 0);
	return linkat(from, last, t->dir, t->name, 0) < 0 ? fail_name(err, e->name) : CV_OK;
}

/* The first ones by name: a stranger can make millions. */
static void leave_out(struct taking *t)
{
	if (t->left_out++ < LEFT_OUT_SHOWN)
		cl_note(t->c, "! %s is no file, directory or link, and was left out",
			cl_shown(t->c, t->name));
}

static cv_code on_entry(void *arg, const struct cl_tar_entry *e, struct cv_err *err)
{
	struct taking *t = arg;
	const struct cv_str name = t->only ? cv_str_of(t->only) : e->name;
	char link[PATH_MAX];
	const cv_code code = dirs_leave(t, name, err);

	if (code != CV_OK)
		return code;
	if (t->only && (e->type != CL_TAR_FILE || t->files))
		return cv_fail(err, CV_PROTO, "the archive of a file has something else in it");
	if (t->dir >= 0)
		close(t->dir);
	if (cv_str_has_prefix(name, CV_STR("/"))) {
		errno = EPERM;
		t->dir = -1;
		return fail_name(err, name);
	}
	t->dir = parent_open(t, name, t->name);
	if (t->dir < 0)
		return fail_name(err, name);
	if (!t->name[0])
		return CV_OK; /* the root itself */
	switch (e->type) {
	case CL_TAR_FILE: return file_begin(t, e, err);
	case CL_TAR_HARD: return hard_make(t, e, err);
	case CL_TAR_DIR: return dir_make(t, name, e->mode & 0777, err);
	case CL_TAR_LINK:
		if (!cv_str_to_cstr(e->link, link, sizeof(link)))
			return cv_fail(err, CV_PROTO, "the archive has a broken link");
		(void)unlinkat(t->dir, t->name, 0);
		return symlinkat(link, t->dir, t->name) < 0 ? fail_name(err, name) : CV_OK;
	default: leave_out(t); return CV_OK;
	}
}

static cv_code on_bytes(void *arg, struct cv_str bytes, struct cv_err *err)
{
	struct taking *t = arg;

	while (bytes.n && t->fd >= 0) {
		const ssize_t n = write(t->fd, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cv_fail_errno(err, "write %s", t->name);
		bytes = cv_str_slice(bytes, (size_t)n, bytes.n);
	}
	return CV_OK;
}

static cv_code on_done(void *arg, struct cv_err *err)
{
	struct taking *t = arg;

	if (t->fd < 0)
		return CV_OK;
	const struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, t->mtime };
	(void)futimens(t->fd, times);
	const bool is_well = close(t->fd) == 0 && renameat(t->dir, t->beside, t->dir, t->name) == 0;
	unfinished.dir = -1;
	t->fd = -1;
	if (is_well)
		return CV_OK;
	const int saved = errno;
	(void)unlinkat(t->dir, t->beside, 0);
	errno = saved;
	return cv_fail_errno(err, "write %s", t->name);
}

/* ---- where it goes ---- */

/* Of the path that was asked for, whatever the sandbox says it leads to. */
static const char *name_of(struct taking *t)
{
	const char *name = basename(cl_dup(t->c, t->source));

	if (strcmp(name, "/") == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		cl_die(t->c, "name the file that %s becomes", cl_shown(t->c, t->source));
	return cl_dup(t->c, name);
}

static void root_open(struct taking *t)
{
	struct cl *c = t->c;
	struct stat st;
	const char *dest = t->dest ? t->dest : ".", *dir = dest;
	const size_t n = strlen(dest);
	const bool is_dir = stat(dest, &st) == 0 && S_ISDIR(st.st_mode);

	if (t->kind == 'D' && !t->dest && strcmp(c->program, "openshell") != 0)
		cl_die(c,
			"%s is a directory: name the one that its files go into, as in: "
			"%s sandbox download <NAME> %s .",
			cl_shown(c, t->source), c->program, cl_shown(c, t->source));
	if (t->kind == 'F' && (is_dir || (n && dest[n - 1] == '/'))) {
		t->only = name_of(t);
	} else if (t->kind == 'F') {
		t->only = cl_print(c, "%s", basename(cl_dup(c, dest)));
		dir = cl_print(c, "%s", dirname(cl_dup(c, dest)));
	}
	if (!is_dir)
		for (char *p = cl_dup(c, dir), *slash = p + 1;; slash++) { /* mkdir -p */
			slash = strchr(slash, '/');
			if (slash)
				*slash = '\0';
			if (mkdir(p, 0777) < 0 && errno != EEXIST)
				cl_die(c, "mkdir %s: %s", p, strerror(errno));
			if (!slash)
				break;
			*slash = '/';
		}
	t->root = open(dir, O_DIRECTORY | O_CLOEXEC | O_PATH);
	if (t->root < 0)
		cl_die(c, "open %s: %s", dir, strerror(errno));
}

static void on_out(void *arg, struct cv_str bytes)
{
	struct taking *t = arg;

	if (!t->kind && bytes.n) {
		t->kind = bytes.p[0];
		bytes = cv_str_slice(bytes, 1, bytes.n);
		if (t->kind != 'D' && t->kind != 'F')
			cl_die(t->c, "the sandbox's answer is no archive");
		root_open(t);
	}
	if (t->code == CV_OK && bytes.n)
		t->code = cl_tar_read(&t->tar, bytes, &t->err);
	if (t->code == CV_OK)
		return;
	if (t->fd >= 0)
		(void)unlinkat(t->dir, t->beside, 0);
	cl_die(t->c, "download failed: %s", t->err.msg);
}

static void check(struct taking *t, int status, struct cv_buf *err)
{
	if (status == 0 && t->kind)
		t->code = cl_tar_finish(&t->tar, &t->err);
	if (t->code == CV_OK && t->kind == 'D')
		t->code = dirs_leave(t, CV_STR_NONE, &t->err);
	if (t->fd >= 0)
		(void)unlinkat(t->dir, t->beside, 0);
	if (t->code != CV_OK)
		cl_die(t->c, "download failed: %s", t->err.msg);
	if (status || !t->kind)
		cl_die(t->c, "download %s: %s", t->kind == 'D' ? "is not complete" : "failed",
			cl_tools_said(t->c, cv_buf_str(err), status));
}

int cl_run_sandbox_download(struct cl *c)
{
	static const struct cl_tar_events events = { on_entry, on_bytes, on_done };
	const char *path = cl_arg(&c->w, 1), *dest = cl_arg(&c->w, 2);
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), true);
	struct taking t = { .c = c, .source = path, .dest = dest, .fd = -1, .dir = -1, .root = -1 };
	const char *const argv[] = { "/bin/sh", "-c", script, "sh", path, WORKSPACE };
	struct cv_buf err;

	cv_buf_init(&err, REPLY_BYTES_MAX);
	const struct cl_exec e = { .id = s->metadata->id,
		.argv = argv,
		.argc = CV_ARRAY_LEN(argv),
		.has_no_stdin = true,
		.out = on_out,
		.err = &err,
		.arg = &t };
	cl_note(c, "Downloading sandbox:%s -> %s", cl_shown(c, path),
		cl_shown(c, dest ? dest : "."));
	clock_gettime(CLOCK_REALTIME_COARSE, &t.begun);
	t.mask = umask(0);
	umask(t.mask);
	cl_tar_reader_init(&t.tar, &events, &t);
	signals_catch();
	const int status = cl_exec(c, &e);
	check(&t, status, &err);
	cl_tar_reader_fini(&t.tar);
	cv_buf_fini(&err);
	if (t.dir >= 0)
		close(t.dir);
	close(t.root);
	if (t.left_out > LEFT_OUT_SHOWN)
		cl_note(c, "! ... and %zu more", t.left_out - LEFT_OUT_SHOWN);
	cl_note(c, "✓ Download complete");
	return 0;
}
