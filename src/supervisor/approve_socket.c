/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approve_socket.c - the socket for `cove approve`
 *
 * It is made with the first question, in a directory that is the user's alone (0700), and goes with
 * the run.  Who connects must be the user or root (SO_PEERCRED), and, if the user, of our own user
 * and pid namespaces: a mount may bring the directory into a sandbox, where processes have the
 * user's number too, but never his namespaces.  The kernel says who it is, by a descriptor of the
 * process where it can, so a number that was used again deceives nobody.
 *
 * Nothing waits for an approver: what it is sent next follows from what it was sent last, so one that
 * reads slowly gets things later, and one that is told of an end and does not listen is let go.
 */
#include "supervisor/supervisor.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

#define DIR_TRIES 3 /* another run that ends may remove it under our hands */
#define BACKLOG   8

/* ---- the socket ---- */

/* The user's own directory, made if need be. */
static cv_code dir_open(const char *path, int *ret, struct cv_err *err)
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return cv_fail_errno(err, "make %s", path);
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "open %s", path);
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return cv_fail(err, CV_DENIED, "%s is not yours alone (0700)", path);
	*ret = cv_take_fd(fd);
	return CV_OK;
}

static cv_code socket_make(struct approvals *a, const char *path, struct cv_err *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	CV_AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CV_AUTO_FD int dir = -1;

	if (fd < 0)
		return cv_fail_errno(err, "socket");
	if (dir_open(path, &dir, err) != CV_OK)
		return err->code;
	/* of whatever length path is */
	snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/%s", dir, a->name);
	unlinkat(dir, a->name, 0); /* of a run that had our number, and was killed */
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
		fchmodat(dir, a->name, 0600, 0) < 0 || listen(fd, BACKLOG) < 0)
		return cv_fail_errno(err, "listen in %s", path);
	a->listener = cv_take_fd(fd);
	a->dir = cv_take_fd(dir);
	return CV_OK;
}

void approve_listen(struct supervisor *s)
{
	struct approvals *a = &s->approvals;
	struct cv_err err = { 0 };
	cv_code code = CV_SYSTEM;

	if (a->listener >= 0 || a->has_failed)
		return;
	snprintf(a->name, sizeof(a->name), "cove-%d", (int)getpid());
	for (int i = 0; i < DIR_TRIES && code != CV_OK; i++)
		code = socket_make(a, s->plan.approve_dir.p, &err);
	a->has_failed = code != CV_OK;
	if (a->has_failed)
		say("cove approve can't reach this run: %s", err.msg);
}

/* ---- who connects ---- */

static bool is_same_namespace(pid_t pid, const char *kind)
{
	char path[64], ours[64], theirs[64];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	const ssize_t n = readlink(path, ours, sizeof(ours));
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kind);
	return n > 0 && readlink(path, theirs, sizeof(theirs)) == n &&
	       memcmp(ours, theirs, (size_t)n) == 0;
}

/* "pts/3", by the process's controlling terminal (proc(5), tty_nr; the command's name before it may
 * hold anything but its own end). */
static void tty_name(pid_t pid, char *ret, size_t size)
{
	char path[64], text[512];
	const char *p;

	snprintf(ret, size, "no terminal");
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return;
	text[n] = 0;
	p = strrchr(text, ')');
	for (int field = 2; p && field < 7; field++)
		p = strchr(p + 1, ' ');
	const unsigned long number = p ? strtoul(p, NULL, 10) : 0;
	const unsigned long major = (number >> 8) & 0xfff;
	const unsigned long minor = (number & 0xff) | ((number >> 12) & 0xfff00);
	if (major >= 136 && major <= 143)
		snprintf(ret, size, "pts/%lu", minor + (major - 136) * 256);
	else if (major == 4)
		snprintf(ret, size, "tty%lu", minor);
	else if (number)
		snprintf(ret, size, "terminal %lu:%lu", major, minor);
}

/* The process itself, as long as the descriptor is open; -1. */
static int process_open(int fd, pid_t pid)
{
	socklen_t n = sizeof(int);
	int pidfd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &n) == 0)
		return pidfd;
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool is_alive(int pidfd)
{
	struct pollfd w = { pidfd, POLLIN, 0 };

	return pidfd >= 0 && poll(&w, 1, 0) == 0;
}

/* False: whoever it is may not even look. */
static bool who_is(int fd, char *ret, size_t size)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	char tty[48];

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.pid <= 0)
		return false;
	CV_AUTO_FD int process = process_open(fd, peer.pid);
	if (peer.uid == geteuid()) {
		if (!is_same_namespace(peer.pid, "user") || !is_same_namespace(peer.pid, "pid"))
			return false;
	} else if (peer.uid != 0) {
		return false;
	}
	tty_name(peer.pid, tty, sizeof(tty));
	if (!is_alive(process))
		return false; /* what was read may be another's */
	snprintf(ret, size, "uid %u, %s, cove approve (pid %d)", peer.uid, tty, (int)peer.pid);
	return true;
}

static struct approver *approver_place(struct approvals *a)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(a->approver); i++)
		if (a->approver[i].fd < 0)
			return &a->approver[i];
	return NULL;
}

static void let_go(struct approver *p)
{
	close(p->fd);
	*p = (struct approver){ .fd = -1 };
}

void approve_accept(struct supervisor *s)
{
	CV_AUTO_FD int fd =
		accept4(s->approvals.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct approver *p = approver_place(&s->approvals);
	char who[sizeof(p->who)];

	if (fd < 0 || !p || !who_is(fd, who, sizeof(who)))
		return;
	*p = (struct approver){
		.fd = cv_take_fd(fd),
		.rules = { cv_approve_req_rule, CV_APPROVE_REQ_COUNT, CV_APPROVE_OPEN, 0 },
	};
	memcpy(p->who, who, sizeof(who));
}

/* ---- what it is sent ---- */

static bool has_more(const struct supervisor *s, const struct approver *p)
{
	if (!p->is_listing)
		return false;
	if (!p->has_run || !p->has_list)
		return true;
	return p->wants_later && approve_next((struct supervisor *)(uintptr_t)s, p->sent) != NULL;
}

short approve_interest(const struct supervisor *s, size_t i)
{
	const struct approver *p = &s->approvals.approver[i];

	return p->fd < 0 ? 0 : (short)(POLLIN | (has_more(s, p) ? POLLOUT : 0));
}

static cv_code send_now(const struct approver *p, enum cv_approve_reply type, struct cv_buf *b)
{
	const cv_code code =
		b->is_overflown ? CV_LIMIT : cv_ipc_send_now(p->fd, type, cv_buf_str(b), NULL);
	cv_buf_fini(b);
	return code;
}

static void command_put(const struct supervisor *s, struct cv_buf *b)
{
	struct cv_buf words;

	cv_buf_init(&words, 4096);
	for (uint32_t i = 0; i < s->plan.command.argc; i++) {
		const struct cv_str word = s->plan.command.argv[i];

		cv_buf_put(&words, i ? CV_STR(" ") : CV_STR_NONE);
		cv_buf_put(&words, cv_str_slice(word, 0, 4000 - CV_MIN(cv_buf_len(&words), 4000U)));
	}
	cv_ipc_put_str(b, cv_buf_str(&words));
	cv_buf_fini(&words);
}

static cv_code run_send(const struct supervisor *s, struct approver *p)
{
	struct cv_buf b;

	cv_buf_init(&b, 8192);
	cv_ipc_put_str(&b, cv_str_of(s->approvals.name));
	command_put(s, &b);
	const cv_code code = send_now(p, CV_APPROVE_REPLY_RUN, &b);
	p->has_run = code == CV_OK;
	return code;
}

static cv_code held_send(struct approver *p, struct question *q)
{
	struct cv_buf b;

	q->ask.seconds = approve_seconds(q);
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	cv_ask_put(&b, &q->ask);
	const cv_code code = send_now(p, CV_APPROVE_REPLY_HELD, &b);
	if (code == CV_OK)
		p->sent = q->id;
	return code;
}

/* The next thing; CV_UNAVAILABLE when there is no room for it now. */
static cv_code next_send(struct supervisor *s, struct approver *p)
{
	struct question *q;
	struct cv_buf none;

	if (!p->has_run)
		return run_send(s, p);
	q = approve_next(s, p->sent);
	if (!p->has_list && (!q || q->id > p->listed)) {
		cv_buf_init(&none, 1);
		const cv_code code = send_now(p, CV_APPROVE_REPLY_LISTED, &none);
		p->has_list = code == CV_OK;
		return code;
	}
	return q ? held_send(p, q) : CV_OK;
}

static void more_send(struct supervisor *s, struct approver *p)
{
	while (p->fd >= 0 && has_more(s, p)) {
		const cv_code code = next_send(s, p);

		if (code == CV_UNAVAILABLE)
			return;
		if (code != CV_OK)
			let_go(p);
	}
}

static void number_send(
	struct approver *p, enum cv_approve_reply type, uint64_t id, const uint32_t *more)
{
	struct cv_buf b;

	cv_buf_init(&b, 16);
	cv_ipc_put_u64(&b, id);
	if (more)
		cv_ipc_put_u32(&b, *more);
	if (send_now(p, type, &b) != CV_OK)
		let_go(p);
}

void approve_tell_ended(struct supervisor *s, uint64_t id)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(s->approvals.approver); i++) {
		struct approver *p = &s->approvals.approver[i];

		if (p->fd >= 0 && p->sent >= id)
			number_send(p, CV_APPROVE_REPLY_ENDED, id, NULL);
	}
}

/* ---- what it says ---- */

static bool message_take(struct supervisor *s, struct approver *p, const struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	uint64_t id = 0;
	uint32_t what, flags;

	if (m->type == CV_APPROVE_REQ_LIST) {
		flags = cv_ipc_get_u32(&r);
		p->is_listing = true;
		p->wants_later = flags & 1;
		p->listed = s->approvals.last_id;
		return cv_ipc_reader_is_done(&r);
	}
	id = cv_ipc_get_u64(&r);
	what = cv_ipc_get_u32(&r);
	flags = cv_ipc_get_u32(&r);
	if (!cv_ipc_reader_is_done(&r) || what > CV_APPROVAL_ALLOW)
		return false;
	char who[sizeof(p->who)];
	memcpy(who, p->who, sizeof(who)); /* p may be let go meanwhile */
	what = approve_answer(s, id, (enum cv_approval_answer)what, flags & 1, cv_str_of(who));
	if (p->fd >= 0)
		number_send(p, CV_APPROVE_REPLY_RESULT, id, &what);
	return true;
}

void approve_serve(struct supervisor *s, size_t i, short events)
{
	struct approver *p = &s->approvals.approver[i];
	struct cv_ipc_msg m;

	if (p->fd < 0)
		return; /* let go in this turn */
	if (events & ~POLLOUT) {
		const cv_code code = cv_ipc_recv(p->fd, &p->rules, s->message, &m, NULL);

		if (code == CV_UNAVAILABLE)
			return;
		if (code != CV_OK || !message_take(s, p, &m)) {
			if (p->fd >= 0)
				let_go(p);
			return;
		}
	}
	if (p->fd >= 0)
		more_send(s, p);
}

void approve_close(struct supervisor *s)
{
	struct approvals *a = &s->approvals;

	for (size_t i = 0; i < CV_ARRAY_LEN(a->approver); i++)
		if (a->approver[i].fd >= 0)
			let_go(&a->approver[i]);
	if (a->listener < 0)
		return;
	unlinkat(a->dir, a->name, 0);
	close(a->listener);
	close(a->dir);
	a->listener = a->dir = -1;
	rmdir(s->plan.approve_dir.p); /* if no other run has one in it */
}
