/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.c - who connects: from seccomp notifications to the proxy
 *
 * For each connect() in the sandbox sys/identity.h makes a record, and the record is in the
 * proxy's socket buffer before the call proceeds: so before the connection can be accepted.  A
 * proxy that does not read for a while makes callers wait, not us: nothing more is read from the
 * notification descriptor until the link takes the waiting record.
 *
 * Without a network the first record starts the proxy.  A record that was given to a proxy that
 * died is lost with it, and the connection is then denied as unknown; that is the safe side.
 */
#include "supervisor/supervisor.h"

#include "sys/fd.h"
#include "sys/identity.h"

#include <sys/socket.h>

void identity_open(struct supervisor *s, int notify)
{
	struct cv_err err;

	if (s->notify >= 0 ||
		(!s->identity && cv_identity_new(s->sandbox.pid, &s->identity, &err) != CV_OK)) {
		/* Closed: connect() fails in the sandbox (ENOSYS), nothing is let through. */
		say("identities of connections are not available: %s",
			s->notify >= 0 ? "there is one command" : err.msg);
		close(notify);
		return;
	}
	cv_identity_prepare(notify);
	s->notify = notify;
}

void identity_close(struct supervisor *s)
{
	if (s->notify >= 0)
		close(s->notify);
	s->notify = -1;
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

static void after(struct supervisor *s, cv_code code, const struct cv_err *err)
{
	s->is_identity_waiting = code == CV_UNAVAILABLE;
	if (code == CV_OK || code == CV_UNAVAILABLE)
		return;
	say("identities of connections ended: %s", err->msg);
	identity_close(s);
}

void identity_serve(struct supervisor *s)
{
	struct cv_err err = { 0 };

	after(s, cv_identity_serve(s->identity, s->notify, take, s, &err), &err);
}

void identity_resume(struct supervisor *s)
{
	struct cv_err err = { 0 };

	after(s, cv_identity_resume(s->identity, s->notify, take, s, &err), &err);
}
