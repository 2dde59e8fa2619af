/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.c - see fetch.h
 *
 * The courier is started by the first request and ends when its control link closes, with us at the
 * latest.  One errand at a time is under way, and each has an end: the courier keeps the time.
 */
#include "client/fetch.h"

#include "driver/host.h"
#include "driver/spawn.h"
#include "ipc/courier_link.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOTS_BYTES_MAX   (4u << 20)  /* what the courier takes */
#define REQUEST_BYTES_MAX (48u << 10) /* a message of the link has 64 KiB */
#define BODY_BYTES_MAX    CV_COURIER_BODY_BYTES_MAX

static struct {
	bool is_there;
	int control, errands;
	uint32_t tag;
	struct cv_ipc_link replies;
	char buf[CV_IPC_BODY_BYTES_MAX + 8];
} courier;

/* ---- starting it ---- */

static cv_code roots_send(struct cl *c, struct cv_err *err)
{
	const char *env = getenv("SSL_CERT_FILE");
	const char *path = env && *env ? env : cv_driver_roots().p;
	struct cv_str text = CV_STR_NONE;

	if (path && !cl_file_slurp(c, path, ROOTS_BYTES_MAX, &text))
		return cv_fail_errno(err, "read the trusted authorities in %s", path);
	return cv_ipc_send_text(courier.control, CV_COURIER_CONTROL_ROOTS, "roots", text, err);
}

static cv_code go_send(int link, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 8);
	cv_ipc_put_u32(&b, CV_COURIER_LOOPBACK_HTTP);
	const cv_code code =
		cv_ipc_send(courier.control, CV_COURIER_CONTROL_GO, cv_buf_str(&b), &link, 1, err);
	cv_buf_fini(&b);
	return code;
}

/* READY, or what it says on its way out. */
static cv_code ready_wait(struct cv_err *err)
{
	struct cv_ipc_link link = { .rules = cv_courier_control_reply_rule,
		.rule_count = CV_COURIER_CONTROL_REPLY_COUNT,
		.state = CV_COURIER_NEW };
	struct cv_ipc_msg m;
	const cv_code code = cv_ipc_recv(courier.control, &link, courier.buf, &m, err);

	if (code != CV_OK)
		return cv_fail(err, CV_UNAVAILABLE, "cove-courier does not start");
	if (m.type == CV_COURIER_CONTROL_REPLY_FATAL)
		return cv_fail(err, CV_UNAVAILABLE, "cove-courier: %.*s", CV_STR_ARG(m.body));
	return CV_OK;
}

static cv_code courier_start(struct cl *c, struct cv_err *err)
{
	int control[2], errands[2], pidfd = -1;
	struct cv_str exe;
	pid_t pid;

	cv_code code = cv_driver_program_path("courier", "cove-courier", &c->arena, &exe, err);
	if (code == CV_OK)
		code = cv_ipc_pair(control, err);
	if (code != CV_OK)
		return code;
	courier.control = control[0];
	code = cv_driver_spawn(exe.p, (const int[]){ -1, -1, 2, control[1] }, 4, &pid, &pidfd, err);
	close(control[1]);
	if (code == CV_OK)
		close(pidfd); /* whether it is there, its links say */
	if (code == CV_OK)
		code = roots_send(c, err);
	if (code == CV_OK)
		code = cv_ipc_pair(errands, err);
	if (code == CV_OK) {
		courier.errands = errands[0];
		code = go_send(errands[1], err);
		close(errands[1]);
	}
	if (code == CV_OK)
		code = ready_wait(err);
	courier.replies = (struct cv_ipc_link){ .rules = cv_courier_reply_rule,
		.rule_count = CV_COURIER_REPLY_COUNT,
		.state = CV_COURIER_READY };
	courier.is_there = code == CV_OK;
	return code;
}

/* ---- an errand ---- */

static void header_put(struct cv_buf *b, const char *name, const char *value)
{
	cv_ipc_put_str(b, cv_str_of(name));
	cv_ipc_put_str(b, cv_str_of(value));
}

static cv_code errand_send(const struct cl_fetch *f, struct cv_err *err)
{
	const bool is_post = f->form.p != NULL;
	struct cv_buf b;

	cv_buf_init(&b, REQUEST_BYTES_MAX);
	cv_ipc_put_u32(&b, ++courier.tag);
	cv_ipc_put_str(&b, is_post ? CV_STR("POST") : CV_STR("GET"));
	cv_ipc_put_str(&b, cv_str_of(f->url));
	cv_ipc_put_u32(&b, 1 + is_post + (f->authorization != NULL));
	header_put(&b, "Accept", "application/json");
	if (is_post)
		header_put(&b, "Content-Type", "application/x-www-form-urlencoded");
	if (f->authorization)
		header_put(&b, "Authorization", f->authorization);
	cv_ipc_put_str(&b, is_post ? f->form : CV_STR(""));
	const cv_code code = b.is_overflown ? cv_fail(err, CV_LIMIT, "the request is too long")
					    : cv_ipc_send(courier.errands, CV_COURIER_REQ_FETCH,
						      cv_buf_str(&b), NULL, 0, err);
	cv_buf_wipe(&b);
	return code;
}

static cv_code body_take(struct cl *c, int fd, struct cv_str *ret, struct cv_err *err)
{
	char *text;
	size_t n;
	const cv_code code = cv_ipc_fd_read_all(fd, BODY_BYTES_MAX, &text, &n, err);

	if (code != CV_OK)
		return code;
	*ret = cv_arena_str(&c->arena, (struct cv_str){ text, n });
	explicit_bzero(text, n);
	free(text);
	return ret->p || !n ? CV_OK : cv_fail(err, CV_LIMIT, "no memory for the answer");
}

static cv_code reply_take(
	struct cl *c, const struct cv_ipc_msg *m, struct cl_fetched *ret, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t tag = cv_ipc_get_u32(&r), what = cv_ipc_get_u32(&r);

	if (r.is_bad || tag != courier.tag)
		return cv_fail(err, CV_UNAVAILABLE, "cove-courier speaks out of turn");
	if (m->type == CV_COURIER_REPLY_FAILED) {
		const struct cv_str why = cv_ipc_get_str(&r);

		return cv_fail(err, CV_UNAVAILABLE, "%.*s", CV_STR_ARG(why));
	}
	ret->status = (int)what;
	return body_take(c, m->fds[0], &ret->body, err);
}

cv_code cl_fetch(struct cl *c, const struct cl_fetch *f, struct cl_fetched *ret, struct cv_err *err)
{
	struct cv_ipc_msg m;

	*ret = (struct cl_fetched){ .status = 0 };
	cv_code code = courier.is_there ? CV_OK : courier_start(c, err);
	if (code == CV_OK)
		code = errand_send(f, err);
	if (code == CV_OK)
		code = cv_ipc_recv(courier.errands, &courier.replies, courier.buf, &m, err);
	if (code == CV_OK) {
		code = reply_take(c, &m, ret, err);
		cv_ipc_msg_fini(&m);
		explicit_bzero(courier.buf, sizeof(courier.buf));
	}
	if (code != CV_OK && err->code == CV_NOT_FOUND)
		code = cv_fail(err, CV_UNAVAILABLE, "cove-courier has ended");
	return code;
}
