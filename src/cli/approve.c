/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approve.c - see approve.h
 *
 * A directory counts only if it is the user's own and nobody else may write to it: /tmp is everybody's,
 * and somebody else's socket could show questions of his own making.  A socket that nobody listens on
 * is of a run that was killed, and removed.
 */
#include "cli/approve.h"

#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_usable(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       access(path, W_OK | X_OK) == 0;
}

size_t approve_dirs(char ret[APPROVE_DIRS][PATH_MAX])
{
	const char *own = getenv("XDG_RUNTIME_DIR");
	char usual[64];
	size_t n = 0;

	if (own && *own == '/' && strlen(own) < PATH_MAX - 16 && is_usable(own))
		snprintf(ret[n++], PATH_MAX, "%s/cove", own);
	snprintf(usual, sizeof(usual), "/run/user/%u", (unsigned)geteuid());
	if (is_usable(usual))
		snprintf(ret[n++], PATH_MAX, "%s/cove", usual);
	snprintf(ret[n++], PATH_MAX, "/tmp/cove-%u", (unsigned)geteuid());
	return n;
}

/* ---- connections ---- */

static int dir_open(const char *path)
{
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077))
		return -1;
	return cv_take_fd(fd);
}

static int socket_connect(int dir, const char *name)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	CV_AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/%s", dir,
			      name) >= (int)sizeof(to.sun_path))
		return -1;
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		if (errno == ECONNREFUSED)
			unlinkat(dir, name, 0);
		return -1;
	}
	return cv_take_fd(fd);
}

static cv_code list_send(int fd, bool wants_later)
{
	struct cv_buf b;

	cv_buf_init(&b, 4);
	cv_ipc_put_u32(&b, wants_later);
	const cv_code code = cv_ipc_send(fd, CV_APPROVE_REQ_LIST, cv_buf_str(&b), NULL, 0, NULL);
	cv_buf_fini(&b);
	return code;
}

static bool is_asked_for(const char *socket_name, const char *name)
{
	return !name || !strcmp(socket_name, name) ||
	       (!strncmp(socket_name, "cove-", 5) && !strcmp(socket_name + 5, name));
}

static struct approve_run *run_find(struct approve_run *run, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(run[i].name, name))
			return &run[i];
	return NULL;
}

static size_t dir_connect(struct approve_run run[APPROVE_RUNS_MAX], size_t n, const char *path,
	const char *name, bool wants_later)
{
	CV_AUTO_FD int dir = dir_open(path);
	DIR *list = dir < 0 ? NULL : fdopendir(dup(dir));
	const struct dirent *e;

	while (list && (e = readdir(list)) && n < APPROVE_RUNS_MAX) {
		struct approve_run *to = run_find(run, n, e->d_name);

		if (strncmp(e->d_name, "cove-", 5) != 0 || strlen(e->d_name) >= sizeof(to->name) ||
			!is_asked_for(e->d_name, name) || (to && to->fd >= 0))
			continue;
		const int fd = socket_connect(dir, e->d_name);
		if (fd < 0)
			continue;
		if (list_send(fd, wants_later) != CV_OK) {
			close(fd);
			continue;
		}
		if (!to)
			to = &run[n++];
		*to = (struct approve_run){
			.fd = fd,
			.rules = { cv_approve_reply_rule, CV_APPROVE_REPLY_COUNT, CV_APPROVE_OPEN,
				0 },
		};
		snprintf(to->name, sizeof(to->name), "%s", e->d_name);
	}
	if (list)
		closedir(list);
	return n;
}

size_t approve_connect(
	struct approve_run run[APPROVE_RUNS_MAX], size_t n, const char *name, bool wants_later)
{
	static char dir[APPROVE_DIRS][PATH_MAX];
	const size_t dirs = approve_dirs(dir);

	for (size_t i = 0; i < dirs; i++)
		n = dir_connect(run, n, dir[i], name, wants_later);
	return n;
}

void approve_disconnect(struct approve_run *run)
{
	if (run->fd >= 0)
		close(run->fd);
	run->fd = -1;
}

/* ---- messages ---- */

static void message_take(
	struct approve_run *run, const struct cv_ipc_msg *m, struct approve_event *ret)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct cv_str text;

	switch ((enum cv_approve_reply)m->type) {
	case CV_APPROVE_REPLY_RUN:
		(void)cv_ipc_get_str(&r); /* its name, which is the socket's */
		text = cv_str_slice(cv_ipc_get_str(&r), 0, sizeof(run->command) - 1);
		snprintf(run->command, sizeof(run->command), "%.*s", CV_STR_ARG(text));
		return;
	case CV_APPROVE_REPLY_HELD:
		if (cv_ask_get(m->body, &ret->ask))
			ret->what = APPROVE_HELD;
		return;
	case CV_APPROVE_REPLY_LISTED:
		run->is_listed = true;
		ret->what = APPROVE_LISTED;
		return;
	case CV_APPROVE_REPLY_ENDED:
	case CV_APPROVE_REPLY_RESULT:
		ret->id = cv_ipc_get_u64(&r);
		ret->what = APPROVE_ENDED;
		if (m->type == CV_APPROVE_REPLY_RESULT) {
			ret->what = APPROVE_RESULT;
			ret->result = (enum cv_approve_result)cv_ipc_get_u32(&r);
		}
		return;
	case CV_APPROVE_REPLY_COUNT: break;
	}
}

void approve_receive(struct approve_run *run, int ms, char *buf, struct approve_event *ret)
{
	struct pollfd w = { run->fd, POLLIN, 0 };
	struct cv_ipc_msg m;

	ret->what = APPROVE_NOTHING;
	if (run->fd < 0 || poll(&w, 1, ms) <= 0)
		return;
	if (cv_ipc_recv(run->fd, &run->rules, buf, &m, NULL) != CV_OK) {
		approve_disconnect(run);
		ret->what = APPROVE_CLOSED;
		return;
	}
	message_take(run, &m, ret);
	cv_ipc_msg_fini(&m);
}

cv_code approve_send(struct approve_run *run, uint64_t id, enum cv_approval_answer answer,
	bool is_for_all, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 16);
	cv_ipc_put_u64(&b, id);
	cv_ipc_put_u32(&b, answer);
	cv_ipc_put_u32(&b, is_for_all);
	const cv_code code = run->fd < 0 ? cv_fail(err, CV_NOT_FOUND, "%s has ended", run->name)
					 : cv_ipc_send(run->fd, CV_APPROVE_REQ_ANSWER,
						   cv_buf_str(&b), NULL, 0, err);
	cv_buf_fini(&b);
	return code;
}
