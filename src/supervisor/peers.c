/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers.c - the keeper and the proxy of a run
 *
 *     supervisor ---control--- keeper        CA certificate; the proxy's link, handed over
 *         |                      |
 *         +-------- proxy -------+
 *
 * With a network both are started while the sandbox is being built, and nobody waits for the
 * proxy: connections wait in the listeners, which the supervisor keeps.  Without one, and in the
 * service of a gateway, whose sandboxes are many and mostly idle, the proxy is started by the first
 * connection, or by a policy that has to be judged.
 *
 * A proxy that dies is started again with the same listeners, once there is a keeper with its CA.
 * A keeper that dies takes its CA key with it: the new one has another CA, which first goes into
 * the sandbox beside the former (ca.c); then the proxy, which went on, gets the new link.  Who dies
 * too often ends the run.
 */
#include "supervisor/supervisor.h"

#include "supervisor/helper.h"
#include "supervisor/limits.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- their link ---- */

static void link_drop(struct supervisor *s)
{
	if (s->keeper_for_proxy >= 0)
		close(s->keeper_for_proxy);
	s->keeper_for_proxy = -1;
}

/* A new link between keeper and proxy: the keeper gets its end with a message of that type, the other
 * waits for the proxy. */
static cv_code link_make(
	struct supervisor *s, enum cv_keeper_control type, struct cv_str body, struct cv_err *err)
{
	int pair[2];
	cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	code = cv_ipc_send(s->keeper.link, type, body, &pair[1], 1, err);
	close(pair[1]);
	link_drop(s);
	s->keeper_for_proxy = pair[0];
	if (code != CV_OK)
		link_drop(s);
	return code;
}

/* The end that waits, if there is one, to the proxy. */
cv_code keeper_link_send(struct supervisor *s, struct cv_err *err)
{
	const cv_code code = s->keeper_for_proxy < 0
				     ? CV_OK
				     : cv_ipc_send(s->proxy.link, CV_PROXY_REQ_KEEPER, CV_STR_NONE,
					       &s->keeper_for_proxy, 1, err);

	link_drop(s);
	return code;
}

/* ---- the proxy ---- */

/* The keeper stays when a proxy dies: it has what can't be had twice, the CA and the tokens that
 * were renewed. */
cv_code proxy_start(struct supervisor *s, struct cv_err *err)
{
	cv_code code = CV_OK;

	if (s->proxy.pid)
		return CV_OK;
	if (s->keeper.pid && s->keeper_for_proxy < 0)
		code = link_make(s, CV_KEEPER_CONTROL_PROXY, CV_STR_NONE, err);
	/* A keeper that died is found by who reads its link; the next one's CA starts the proxy. */
	if (code != CV_OK && helper_is_gone(&s->keeper))
		return CV_OK;
	if (code == CV_OK)
		code = helper_start(&s->proxy, s->plan.exe_proxy, cv_proxy_reply_rule,
			CV_PROXY_REPLY_COUNT, err);
	if (code == CV_OK)
		code = proxy_configure(s, err);
	/* One that died already, or said why it can't run, is found by who reads its link. */
	if (code != CV_OK && s->proxy.pid && helper_is_gone(&s->proxy))
		return CV_OK;
	return code == CV_OK ? code : cv_wrap(err, "start the proxy");
}

static void proxy_died(struct supervisor *s)
{
	const bool was_ready = s->proxy.rules.state == CV_PROXY_READY;
	struct cv_err err;

	helper_stop(&s->proxy);
	push_proxy_died(s);
	approve_drop(s, ASKER_PROXY);
	cv_fail(&err, CV_UNAVAILABLE,
		was_ready ? "the proxy dies again and again" : "the proxy did not start");
	if (!helper_may_restart(&s->proxy)) {
		run_fail(s, &err);
		return;
	}
	say("the proxy died; a new one is started, connections in flight are reset");
	if (!keeper_is_away(s) && proxy_start(s, &err) != CV_OK)
		run_fail(s, &err);
}

static void policy_result(struct supervisor *s, struct cv_ipc_reader *r)
{
	const uint32_t code = cv_ipc_get_u32(r);
	const struct cv_str text = cv_ipc_get_str(r);
	struct cv_err err;

	if (s->proxy.rules.state == CV_PROXY_NEW) {
		if (code == CV_OK)
			return;
		cv_fail(&err, CV_INVALID, "policy: %.*s", CV_STR_ARG(text));
		run_fail(s, &err);
	} else if (push_result(s, code, text)) {
		return; /* the gateway was answered */
	} else if (code == CV_OK) {
		if (!(s->plan.flags & CV_PLAN_QUIET))
			say("policy reloaded");
	} else {
		say("policy not reloaded, the old one stays:\n%.*s", CV_STR_ARG(text));
	}
}

static void proxy_handle(struct supervisor *s, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct cv_str text;
	struct cv_err err;

	switch ((enum cv_proxy_reply)m->type) {
	case CV_PROXY_REPLY_READY:
		s->proxy.rules.state = CV_PROXY_READY;
		push_look(s);
		break;
	case CV_PROXY_REPLY_DENIED: events_denial(s, m->body); break;
	case CV_PROXY_REPLY_PROPOSE: service_propose(s, m->body); break;
	case CV_PROXY_REPLY_COUNTS: events_counts(s, m->body); break;
	case CV_PROXY_REPLY_POLICY_RESULT: policy_result(s, &r); break;
	case CV_PROXY_REPLY_RESOLVE: resolve_answer(s, m->body); break;
	case CV_PROXY_REPLY_REPORT_TEXT:
		free(s->report);
		s->report = cv_str_dup(cv_ipc_get_str(&r));
		break;
	case CV_PROXY_REPLY_FATAL:
		text = cv_ipc_get_str(&r);
		cv_fail(&err, CV_UNAVAILABLE, "proxy: %.*s", CV_STR_ARG(text));
		run_fail(s, &err);
		break;
	case CV_PROXY_REPLY_ASK: approve_ask(s, ASKER_PROXY, m->body); break;
	case CV_PROXY_REPLY_ASK_END: approve_ask_end(s, ASKER_PROXY, m->body); break;
	case CV_PROXY_REPLY_COUNT: break;
	}
}

void proxy_read(struct supervisor *s)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	const cv_code code = cv_ipc_recv(s->proxy.link, &s->proxy.rules, s->message, &m, &err);

	if (code == CV_OK) {
		proxy_handle(s, &m);
		cv_ipc_msg_fini(&m);
	} else if (code != CV_UNAVAILABLE) {
		if (code == CV_PROTO)
			say("proxy: %s", err.msg);
		proxy_died(s);
	}
}

void proxy_report(struct supervisor *s)
{
	const int64_t until = cv_clock_ms() + SUP_REPORT_MS;

	if (!s->proxy.pid || s->proxy.rules.state != CV_PROXY_READY ||
		cv_ipc_send(s->proxy.link, CV_PROXY_REQ_REPORT, CV_STR_NONE, NULL, 0, NULL) !=
			CV_OK)
		return;
	while (!s->report && s->proxy.pid) {
		struct pollfd w = { s->proxy.link, POLLIN, 0 };
		struct cv_ipc_msg m;

		if (poll(&w, 1, (int)CV_MAX(until - cv_clock_ms(), 0)) <= 0 ||
			cv_ipc_recv(s->proxy.link, &s->proxy.rules, s->message, &m, NULL) != CV_OK)
			return;
		proxy_handle(s, &m);
		cv_ipc_msg_fini(&m);
	}
}

/* ---- the keeper ---- */

bool proxy_is_late(const struct supervisor *s)
{
	return s->service.is_on;
}

bool keeper_is_away(const struct supervisor *s)
{
	return s->keeper.pid && s->keeper.rules.state != CV_KEEPER_READY;
}

/* Each has all that the first one had.  What that one had renewed meanwhile is lost. */
static cv_code keeper_configure(struct supervisor *s, struct cv_err *err)
{
	cv_code code = CV_OK;
	struct cv_buf b;
	char name[32];

	if (s->credentials >= 0)
		code = cv_ipc_send(s->keeper.link, CV_KEEPER_CONTROL_SECRETS, CV_STR_NONE,
			&s->credentials, 1, err);
	if (code == CV_OK && s->credentials >= 0 && s->ca_count)
		code = cv_ipc_send(
			s->keeper.link, CV_KEEPER_CONTROL_AGAIN, CV_STR_NONE, NULL, 0, err);
	if (code == CV_OK && s->upstream >= 0)
		code = cv_ipc_send(s->keeper.link, CV_KEEPER_CONTROL_UPSTREAM, CV_STR_NONE,
			&s->upstream, 1, err);
	/* Who looks for a CA by its name must not find the wrong one. */
	snprintf(name, sizeof(name), "cove-%d", (int)getpid());
	if (s->ca_count)
		snprintf(name, sizeof(name), "cove-%d-%u", (int)getpid(), s->ca_count + 1);
	cv_buf_init(&b, 256);
	cv_ipc_put_str(&b, cv_str_of(name));
	if (code == CV_OK)
		code = link_make(s, CV_KEEPER_CONTROL_START, cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

cv_code keeper_start(struct supervisor *s, struct cv_err *err)
{
	cv_code code = CV_OK;

	if (s->keeper_given >= 0)
		helper_adopt(&s->keeper, cv_take_fd(s->keeper_given), cv_keeper_control_reply_rule,
			CV_KEEPER_CONTROL_REPLY_COUNT);
	else
		code = helper_start(&s->keeper, s->plan.exe_keeper, cv_keeper_control_reply_rule,
			CV_KEEPER_CONTROL_REPLY_COUNT, err);
	if (code == CV_OK)
		code = keeper_configure(s, err);
	if (code == CV_OK)
		code = courier_join(s, err);
	if (code == CV_OK)
		code = broker_keeper_join(s, err);
	/* One that died already is found by who reads its link. */
	if (code != CV_OK && s->keeper.pid && helper_is_gone(&s->keeper))
		return CV_OK;
	return code == CV_OK ? code : cv_wrap(err, "start the keeper");
}

cv_code keeper_catalog_renew(struct supervisor *s, struct cv_err *err)
{
	cv_code code;

	if (!s->proxy.pid) {
		link_drop(s); /* the next one gets one of its own */
		return CV_OK;
	}
	/* Before the keeper gets another link, and ends the former. */
	code = cv_ipc_send(s->proxy.link, CV_PROXY_REQ_CREDENTIALS, CV_STR_NONE, NULL, 0, err);
	if (code == CV_OK)
		code = link_make(s, CV_KEEPER_CONTROL_PROXY, CV_STR_NONE, err);
	return code == CV_OK ? keeper_link_send(s, err) : code;
}

/* First into the sandbox, then to the proxy: nobody is to meet a leaf whose CA he can't find. */
static void ca_take(struct supervisor *s, struct cv_str pem)
{
	struct cv_err err;

	s->keeper.rules.state = CV_KEEPER_READY;
	cv_code code = ca_add(s, pem, &err);
	if (code != CV_OK || !s->is_built) {
		if (code != CV_OK)
			run_fail(s, &err);
		return;
	}
	code = ca_files_write(s, &err);
	if (code == CV_OK && !proxy_is_late(s))
		code = proxy_start(s, &err);
	if (code == CV_OK && s->proxy.pid)
		code = keeper_link_send(s, &err);
	/* A proxy that died is found by who reads its link. */
	if (code != CV_OK && !(s->proxy.pid && helper_is_gone(&s->proxy)))
		run_fail(s, &err);
	inside_command(s);
	push_look(s);
}

static void keeper_died(struct supervisor *s)
{
	const bool was_ready = s->keeper.rules.state == CV_KEEPER_READY;
	struct cv_err err;

	helper_stop(&s->keeper);
	push_keeper_died(s);
	cv_fail(&err, CV_UNAVAILABLE,
		was_ready ? "the keeper dies again and again" : "the keeper did not start");
	if (!helper_may_restart(&s->keeper)) {
		run_fail(s, &err);
		return;
	}
	say("the keeper died; a new one is started, with a new certificate authority");
	if (keeper_start(s, &err) != CV_OK)
		run_fail(s, &err);
}

void keeper_read(struct supervisor *s)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	const cv_code code = cv_ipc_recv(s->keeper.link, &s->keeper.rules, s->message, &m, &err);

	if (code == CV_UNAVAILABLE)
		return;
	if (code != CV_OK) {
		keeper_died(s);
		return;
	}
	struct cv_ipc_reader r = { .rest = m.body };
	if (m.type == CV_KEEPER_CONTROL_REPLY_CA) {
		ca_take(s, cv_ipc_get_str(&r));
		push_keeper_look(s);
	} else if (m.type == CV_KEEPER_CONTROL_REPLY_BORN) {
		s->keeper.pidfd = cv_take_fd(m.fds[0]);
	} else if (m.type == CV_KEEPER_CONTROL_REPLY_SECRETS_RESULT) {
		push_keeper_result(s, m.body);
	} else {
		cv_fail(&err, CV_UNAVAILABLE, "keeper: %.*s", CV_STR_ARG(m.body));
		run_fail(s, &err);
	}
	cv_ipc_msg_fini(&m);
}
