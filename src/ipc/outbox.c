/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox.c - see outbox.h
 */
#include "ipc/outbox.h"

#include "sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>

struct cv_ipc_outbox_message {
	struct cv_ipc_outbox_message *next;
	uint32_t type;
	int fds[CV_IPC_FDS_MAX];
	size_t fd_count, bytes;
	char body[];
};

static void message_free(struct cv_ipc_outbox_message *m)
{
	for (size_t i = 0; i < m->fd_count; i++)
		close(m->fds[i]);
	explicit_bzero(m->body, m->bytes); /* a variable may be secret */
	free(m);
}

static void first_drop(struct cv_ipc_outbox *o)
{
	struct cv_ipc_outbox_message *m = o->first;

	o->first = m->next;
	if (!o->first)
		o->last = NULL;
	o->count--;
	o->bytes -= m->bytes;
	message_free(m);
}

cv_code cv_ipc_outbox_keep(struct cv_ipc_outbox *o, uint32_t type, struct cv_str body,
	const int *fds, size_t fd_count, struct cv_err *err)
{
	if (o->count >= CV_IPC_OUTBOX_MAX || o->bytes + body.n > CV_IPC_OUTBOX_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "the other side of a link does not read");
	struct cv_ipc_outbox_message *m = malloc(sizeof(*m) + body.n);
	if (!m)
		return cv_fail(err, CV_LIMIT, "no memory for a message");
	*m = (struct cv_ipc_outbox_message){ .type = type, .bytes = body.n };
	if (body.n)
		memcpy(m->body, body.p, body.n);
	for (; m->fd_count < fd_count; m->fd_count++) {
		m->fds[m->fd_count] = fcntl(fds[m->fd_count], F_DUPFD_CLOEXEC, 3);
		if (m->fds[m->fd_count] < 0) {
			cv_fail_errno(err, "keep a descriptor");
			message_free(m);
			return CV_SYSTEM;
		}
	}
	if (o->last)
		o->last->next = m;
	else
		o->first = m;
	o->last = m;
	o->count++;
	o->bytes += body.n;
	return CV_OK;
}

cv_code cv_ipc_outbox_put(struct cv_ipc_outbox *o, int sock, uint32_t type, struct cv_str body,
	const int *fds, size_t fd_count, struct cv_err *err)
{
	if (o->count == 0) {
		const cv_code code = cv_ipc_send(sock, type, body, fds, fd_count, err);

		if (code != CV_UNAVAILABLE)
			return code;
	}
	return cv_ipc_outbox_keep(o, type, body, fds, fd_count, err);
}

cv_code cv_ipc_outbox_flush(struct cv_ipc_outbox *o, int sock, struct cv_err *err)
{
	while (o->first) {
		struct cv_ipc_outbox_message *m = o->first;
		const cv_code code = cv_ipc_send(sock, m->type,
			(struct cv_str){ m->body, m->bytes }, m->fds, m->fd_count, err);

		if (code != CV_OK)
			return code == CV_UNAVAILABLE ? CV_OK : code;
		first_drop(o);
	}
	return CV_OK;
}

void cv_ipc_outbox_clear(struct cv_ipc_outbox *o)
{
	while (o->first)
		first_drop(o);
}
