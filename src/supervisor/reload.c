/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c - the policy file changes while the sandbox runs
 *
 * Editors write a new file and rename it over the old one, so the directory is watched and not the
 * file.  The text goes to the proxy as it is; the proxy judges it and keeps the old one when the
 * new one is bad (POLICY_RESULT).  A file that is being written is seen at its close.
 *
 * The watch begins SUP_WATCH_AFTER_MS into the run; until then the file is looked at every
 * SUP_LOOK_MS.  For the last close of an inotify descriptor that watched anything waits for a grace
 * period of the kernel (fsnotify_destroy_group(), about 20 ms), which would be most of what a short
 * run takes.  Where there is no descriptor to be had (fs.inotify.max_user_instances is 128), the
 * file is looked at every SUP_LOOK_SLOWLY_MS.
 *
 * A policy that lies where the sandbox works is read-only in there (plan/named.h), and what was read
 * counts only if it still is afterwards: a mount that is gone never comes back, so then it was there
 * all the time, and nobody inside wrote a byte of what was read.  Whatever replaces the file on the
 * host (an editor that renames) takes the mount away; then the text that was read last holds for the
 * rest of the run.
 */
#include "supervisor/supervisor.h"

#include "supervisor/helper.h"
#include "supervisor/limits.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/openat2.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Another file, or the same with another content, is another number.  Zeros: there is none. */
static struct policy_mark mark_of(const struct stat *st)
{
	return (struct policy_mark){
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
	};
}

static bool mark_is(const struct policy_mark *a, const struct policy_mark *b)
{
	return a->ino == b->ino && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec && a->ctime.tv_sec == b->ctime.tv_sec &&
	       a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static cv_code copy_of(int fd, int *ret, struct cv_err *err)
{
	*ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *ret < 0 ? cv_fail_errno(err, "a copy of the policy") : CV_OK;
}

/* Nobody inside can have written to it. */
static bool is_out_of_reach(const struct supervisor *s)
{
	struct statfs fs;

	for (uint32_t i = 0; s->is_commanded && i < s->plan.op_count; i++) {
		const struct cv_plan_op *op = &s->plan.ops[i];

		if (!(op->flags & CV_PLAN_POLICY))
			continue;
		CV_AUTO_FD int fd = cv_openat2(s->built[CV_BUILT_ROOT], op->dst.p + 1, O_PATH,
			RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
		if (fd < 0 || fstatfs(fd, &fs) < 0 || !(fs.f_flags & ST_RDONLY))
			return false;
	}
	return true;
}

static cv_code file_read(struct supervisor *s, int *ret, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(s->plan.policy_file.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *text;
	size_t n;

	/* The mark is taken first: what is written while we read is a change. */
	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "policy %.*s", CV_STR_ARG(s->plan.policy_name));
	s->policy_mark = mark_of(&st);
	cv_code code = cv_ipc_fd_read_all(fd, SUP_POLICY_BYTES_MAX, &text, &n, err);
	if (code != CV_OK)
		return cv_wrap(err, "policy %.*s", CV_STR_ARG(s->plan.policy_name));
	if (is_out_of_reach(s))
		code = cv_ipc_memfd("cove-policy", (struct cv_str){ text, n }, ret, err);
	else
		code = cv_fail(err, CV_DENIED,
			"policy not reloaded, the old one stays: %.*s was replaced by another file, and "
			"the sandbox may write there now; keep a policy that changes elsewhere",
			CV_STR_ARG(s->plan.policy_name));
	free(text);
	return code;
}

cv_code policy_read(struct supervisor *s, int *ret, struct cv_err *err)
{
	/* What a gateway sent holds, and no file. */
	if (s->service.policy.text >= 0)
		return copy_of(s->service.policy.text, ret, err);
	/* Providers without a policy: their rules lie over an empty one. */
	if (!s->plan.policy_file.n)
		return cv_ipc_memfd("cove-policy", CV_STR(CV_PLAN_NO_POLICY_TEXT), ret, err);
	cv_code code = file_read(s, ret, err);
	if (code == CV_DENIED && s->policy_text >= 0) {
		if (!s->is_policy_lost)
			say("%s", err->msg);
		s->is_policy_lost = true;
		return copy_of(s->policy_text, ret, err);
	}
	if (code != CV_OK)
		return code;
	cv_fd_cleanup(&s->policy_text);
	s->policy_text = -1;
	code = copy_of(*ret, &s->policy_text, err);
	if (code != CV_OK)
		close(*ret);
	return code;
}

cv_code policy_fd_send(struct supervisor *s, int fd, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_ipc_put_str(&b, cv_str_slice(s->plan.policy_name, 0, 4000));
	const cv_code code =
		cv_ipc_send(s->proxy.link, CV_PROXY_REQ_POLICY, cv_buf_str(&b), &fd, 1, err);
	cv_buf_fini(&b);
	return code;
}

cv_code policy_send(struct supervisor *s, struct cv_err *err)
{
	int fd;
	cv_code code = policy_read(s, &fd, err);

	if (code != CV_OK)
		return code;
	code = policy_fd_send(s, fd, err);
	close(fd);
	return code;
}

void reload_start(struct supervisor *s)
{
	if (!s->plan.policy_file.n)
		return;
	s->watch_ms = cv_clock_ms() + SUP_WATCH_AFTER_MS;
	s->look_ms = cv_clock_ms() + SUP_LOOK_MS;
}

static bool is_changed(struct supervisor *s)
{
	struct stat st;
	const struct policy_mark now =
		stat(s->plan.policy_file.p, &st) == 0 ? mark_of(&st) : s->policy_mark;

	const bool is_new = !mark_is(&now, &s->policy_mark);

	s->policy_mark = now; /* said once, also when it can't be read */
	return is_new;
}

static void watch_begin(struct supervisor *s)
{
	char dir[PATH_MAX];
	const size_t slash = cv_str_rfind_byte(s->plan.policy_file, '/');

	if (!cv_str_to_cstr(cv_str_slice(s->plan.policy_file, 0, CV_MAX(slash, (size_t)1)), dir,
		    sizeof(dir)))
		return;
	s->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->watch >= 0 && inotify_add_watch(s->watch, dir, IN_CLOSE_WRITE | IN_MOVED_TO) < 0) {
		close(s->watch);
		s->watch = -1;
	}
}

void reload_look(struct supervisor *s)
{
	const bool is_late = cv_clock_ms() >= s->watch_ms;

	if (is_late)
		watch_begin(s);
	s->look_ms =
		s->watch >= 0 ? 0 : cv_clock_ms() + (is_late ? SUP_LOOK_SLOWLY_MS : SUP_LOOK_MS);
	if (is_changed(s))
		reload_event(s, true);
}

/* Whether any of the waiting events is about our file; all are consumed. */
static bool is_ours(struct supervisor *s)
{
	_Alignas(struct inotify_event) char events[4096];
	const struct cv_str path = s->plan.policy_file;
	const struct cv_str name = cv_str_slice(path, cv_str_rfind_byte(path, '/') + 1, path.n);
	bool is_found = false;
	ssize_t n;

	while (s->watch >= 0 && (n = read(s->watch, events, sizeof(events))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(events + at);
			/* What a flood of other files' events pushed out may have been ours. */
			if ((e->mask & IN_Q_OVERFLOW) ||
				(e->len && cv_str_eq(cv_str_of(e->name), name)))
				is_found = true;
			at += (ssize_t)sizeof(*e) + e->len;
		}
	return is_found;
}

void reload_event(struct supervisor *s, bool is_forced)
{
	struct cv_err err;

	/* Without a proxy there is nothing to tell: the next one reads the file as it is then. */
	if ((!is_ours(s) && !is_forced) || s->proxy.pid == 0 || s->is_policy_lost)
		return;
	if (policy_send(s, &err) != CV_OK)
		say("policy not reloaded, the old one stays: %s", err.msg);
	else if (broker_policy_send(s, &err) != CV_OK && !helper_is_gone(&s->broker))
		say("policy not reloaded for host tools: %s", err.msg);
}
