/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.c - the control link: what whoever started the broker says, from the first message to the end
 *
 * It is trusted: a message that makes no sense ends the broker, which is a bug found.  What each
 * message does is in configure.c, until GO, and in sandbox.c.
 */
#include "broker/link_int.h"

#include "base/assert.h"
#include "broker/mcp_client.h"
#include "broker/server.h"
#include "broker/spawn.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>

void link_nonblocking_set(int fd)
{
	const int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		broker_die(CV_SYSTEM, "a descriptor can't be made non-blocking");
}

char *link_text_take(int fd, size_t max, size_t *ret_n, const char *what)
{
	struct cv_err err;
	char *text;

	if (cv_ipc_fd_read_all(fd, max, &text, ret_n, &err) != CV_OK)
		broker_die(err.code, "%s: %s", what, err.msg);
	return text;
}

static bool take_keeper(struct broker *b, struct cv_ipc_msg *m)
{
	keys_link_set(b, cv_take_fd(m->fds[0]));
	return true;
}

static bool take_answer(struct broker *b, struct cv_ipc_msg *m)
{
	return hold_answer(b, m->body);
}

/* clang-format off */
static bool (*const take[CV_BROKER_CONTROL_COUNT])(struct broker *b, struct cv_ipc_msg *m) = {
	[CV_BROKER_CONTROL_CATALOG] = take_catalog,
	[CV_BROKER_CONTROL_STATE] = take_state,
	[CV_BROKER_CONTROL_AUDIT_SINK] = take_sink,
	[CV_BROKER_CONTROL_KEEPER] = take_keeper,
	[CV_BROKER_CONTROL_ENV] = take_env,
	[CV_BROKER_CONTROL_GO] = take_go,
	[CV_BROKER_CONTROL_SANDBOX] = take_sandbox,
	[CV_BROKER_CONTROL_LINK] = take_link,
	[CV_BROKER_CONTROL_POLICY] = take_policy,
	[CV_BROKER_CONTROL_ROOT] = take_root,
	[CV_BROKER_CONTROL_SANDBOX_END] = take_end,
	[CV_BROKER_CONTROL_ANSWER] = take_answer,
	[CV_BROKER_CONTROL_ROOTS] = take_roots,
	[CV_BROKER_CONTROL_PIN] = take_pin,
	[CV_BROKER_CONTROL_ABOUT] = take_about,
	[CV_BROKER_CONTROL_HOLD] = take_hold,
	[CV_BROKER_CONTROL_HIDE] = take_hide,
	[CV_BROKER_CONTROL_SLOTS] = take_slots,
};
/* clang-format on */

/* Every tool ends before the broker does. */
static CV_NORETURN void end(struct broker *b)
{
	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);

		if (j)
			job_free(b, j); /* who comes after finds what they were */
	}
	mcps_stop(b);
	servers_stop(b);
	spawn_wait_all();
	(void)!cv_audit_sinks_flush(&b->sinks);
	cv_store_close(b->store);
	_exit(0);
}

/* One message; false when there is none now. */
static bool control_read(struct broker *b)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	const cv_code code = cv_ipc_recv(CV_BROKER_CONTROL_FD, &b->control, b->message, &m, &err);

	if (code == CV_UNAVAILABLE)
		return false;
	if (code == CV_NOT_FOUND)
		end(b);
	if (code != CV_OK)
		broker_die(code, "%s", err.msg);
	const uint32_t type = m.type;
	const bool is_good = take[type](b, &m);
	cv_ipc_msg_fini(&m);
	if (!is_good)
		broker_die(CV_PROTO, "%s makes no sense", cv_broker_control_rule[type].name);
	return true;
}

void link_control_read(struct broker *b)
{
	while (control_read(b))
		;
}

/* How long whoever started us has to wait for our end. */
static void end_announce(const struct broker *b)
{
	const uint32_t ms = servers_stop_ms(b);
	struct cv_buf body;

	if (!ms)
		return;
	cv_buf_init(&body, 4);
	cv_ipc_put_u32(&body, ms + BROKER_GRACE_MS);
	(void)!cv_ipc_send_now(
		CV_BROKER_CONTROL_FD, CV_BROKER_CONTROL_REPLY_ENDS_IN, cv_buf_str(&body), NULL);
	cv_buf_fini(&body);
}

void link_ready_check(struct broker *b)
{
	struct cv_err err;

	if (b->is_ready_said || !servers_are_ready(b) || !mcps_are_ready(b))
		return;
	b->is_ready_said = true;
	if (cv_ipc_send_now(CV_BROKER_CONTROL_FD, CV_BROKER_CONTROL_REPLY_READY, CV_STR_NONE,
		    &err) != CV_OK)
		broker_die(err.code, "%s", err.msg);
}

void link_start(struct broker *b)
{
	struct cv_err err;

	b->control = (struct cv_ipc_link){
		.rules = cv_broker_control_rule,
		.rule_count = CV_BROKER_CONTROL_COUNT,
		.state = CV_BROKER_NEW,
	};
	b->message = malloc(CV_IPC_BODY_BYTES_MAX + 8);
	cv_assert(b->message);
	while (b->control.state == CV_BROKER_NEW)
		control_read(b); /* the link blocks until then */
	for (uint32_t i = 0; i < b->sandboxes.top; i++)
		if (pool_at(&b->sandboxes, i))
			jobs_restore(b, pool_at(&b->sandboxes, i));
	link_nonblocking_set(CV_BROKER_CONTROL_FD);
	if (cv_loop_add(&b->loop, CV_BROKER_CONTROL_FD, EPOLLIN,
		    (struct cv_watch){ WATCH_CONTROL, { 0, 0 } }, &err) != CV_OK)
		broker_die(err.code, "%s", err.msg);
	end_announce(b);
	servers_start(b);
	mcps_start(b);
	link_ready_check(b);
}
