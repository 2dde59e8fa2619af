/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.c - who connects: from seccomp notifications to the proxy
 *
 * For each connect() in the sandbox sys/identity.h makes a record, and the record is in the
 * proxy's socket buffer before the call proceeds: so before the connection can be accepted.  A
 * proxy that does not read for a while makes callers wait, not us: nothing more is read from the
 * notification descriptor until the link takes the waiting record.
 *
 * Each command has a descriptor of its own (a filter is a process's, and its children's), and all
 * are in one epoll: the loop watches that.  A record that waits is of one of them, and no other is
 * read meanwhile.
 *
 * Without a network the first record starts the proxy.  A record that was given to a proxy that
 * died is lost with it, and the connection is then denied as unknown; that is the safe side.
 */
#include "supervisor/supervisor.h"

#include "supervisor/limits.h"
#include "sys/fd.h"
#include "sys/identity.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#define TURN_MAX 16 /* notifications of one turn of the loop, which has other things to do */

static cv_code watch(struct supervisor *s, int notify, struct cv_err *err)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = notify };

	if (s->notify_count >= SUP_LISTENERS_MAX)
		return cv_fail(err, CV_LIMIT, "too many commands were started and left something");
	if (s->notify < 0)
		s->notify = epoll_create1(EPOLL_CLOEXEC);
	if (s->notify < 0 || epoll_ctl(s->notify, EPOLL_CTL_ADD, notify, &e) < 0)
		return cv_fail_errno(err, "epoll");
	s->notify_count++;
	return CV_OK;
}

void identity_open(struct supervisor *s, int notify)
{
	struct cv_err err;
	cv_code code = CV_OK;

	if (!s->identity)
		code = cv_identity_new(s->sandbox.pid, &s->identity, &err);
	if (code == CV_OK)
		code = watch(s, notify, &err);
	if (code != CV_OK) {
		/* Closed: connect() fails in the sandbox (ENOSYS), nothing is let through. */
		say("identities of connections are not available: %s", err.msg);
		close(notify);
		return;
	}
	cv_identity_prepare(notify);
}

static void forget(struct supervisor *s, int notify)
{
	epoll_ctl(s->notify, EPOLL_CTL_DEL, notify, NULL);
	close(notify);
	s->notify_count--;
}

/* False when the link is full.  Sending never blocks: the supervisor has other things to do. */
static bool take(const struct cv_identity_record *r, void *arg)
{
	struct supervisor *s = arg;
	struct cv_proxy_identity id = { .cookie = r->cookie,
		.pid = r->pid,
		.unknown_reason = r->unknown_reason,
		.changed_path = r->changed_path,
		.exe = r->exe,
		.ancestor_count = CV_MIN(r->ancestor_count, (size_t)CV_IDENTITY_ANCESTORS_MAX) };
	struct cv_buf b;
	struct cv_err err;

	for (size_t i = 0; i < id.ancestor_count; i++)
		id.ancestors[i] = r->ancestors[i];
	if (proxy_start(s, &err) != CV_OK) {
		run_fail(s, &err);
		return true;
	}
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	cv_code code = CV_LIMIT;
	if (cv_proxy_identity_put(&b, &id))
		code = cv_ipc_send_now(s->proxy.link, CV_PROXY_REQ_IDENTITY, cv_buf_str(&b), &err);
	cv_buf_fini(&b);
	return code !=
	       CV_UNAVAILABLE; /* other failures: the proxy is gone, and the record with it */
}

static void after(struct supervisor *s, int notify, cv_code code, const struct cv_err *err)
{
	s->notify_waiting = code == CV_UNAVAILABLE ? notify : -1;
	if (code == CV_OK || code == CV_UNAVAILABLE)
		return;
	say("identities of connections ended: %s", err->msg);
	forget(s, notify);
}

void identity_serve(struct supervisor *s)
{
	struct epoll_event e[TURN_MAX];
	struct cv_err err = { 0 };
	const int n = epoll_wait(s->notify, e, CV_ARRAY_LEN(e), 0);

	for (int i = 0; i < n && s->notify_waiting < 0; i++) {
		const int notify = e[i].data.fd;

		if (e[i].events & EPOLLIN)
			after(s, notify, cv_identity_serve(s->identity, notify, take, s, &err),
				&err);
		else
			forget(s, notify); /* nobody with this filter is left */
	}
}

void identity_resume(struct supervisor *s)
{
	const int notify = s->notify_waiting;
	struct cv_err err = { 0 };

	if (notify >= 0)
		after(s, notify, cv_identity_resume(s->identity, notify, take, s, &err), &err);
}
