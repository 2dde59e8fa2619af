/* SPDX-License-Identifier: Apache-2.0 */
/*
 * external.c - sessions of supervisors that others start (ConnectSupervisor), the end of their main
 * commands (ReportMainProcessExit), and the tokens that let them in (CreateSupervisorToken)
 *
 *     waiting (STARTED) ──hello──► UP ──session ends──► LOST ──hello──► UP
 *
 * Who says hello showed a token of the sandbox; a token of another gets nothing here.  A newer session
 * takes the place of the older, whose stream ends, and is told of the connections that nobody has
 * claimed yet.  Supervisors that are gone without a word are noticed by HTTP/2's PING, so nothing is
 * asked of their heartbeats; ours are for them.
 *
 * There is no message for "end": a session is ended when the sandbox should not run, and later ones are
 * rejected with the reason.  Whoever started the supervisor ends it.
 *
 * The id of the instance that said hello is stored with the sandbox, so that what another one reports
 * is known as stale also by a gateway that came back.
 */
#include "gateway/external_int.h"

#include "base/assert.h"
#include "gateway/access.h"
#include "gateway/auth.h"
#include "gateway/log.h"
#include "gateway/pb.h"

#include "cove.pb-c.h"

#include <stdlib.h>

typedef struct external_session session;

/* ---- what is said to supervisors ---- */

static bool session_send(session *s, const Openshell__V1__GatewayMessage *m)
{
	if (s->is_over || s->is_blocked)
		return false;
	if (!cv_rpc_send(s->call, &m->base))
		s->is_blocked = true; /* this one is queued */
	return true;
}

bool external_send(struct cv_gw_box *b, const Openshell__V1__GatewayMessage *m)
{
	return b->external && b->external->session && session_send(b->external->session, m);
}

static void accepted_send(session *s)
{
	Openshell__V1__SessionAccepted accepted;
	Openshell__V1__GatewayMessage m;

	openshell__v1__gateway_message__init(&m);
	openshell__v1__session_accepted__init(&accepted);
	accepted.session_id = s->id;
	accepted.heartbeat_interval_secs = EXTERNAL_HEARTBEAT_S;
	m.payload_case = OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_SESSION_ACCEPTED;
	m.session_accepted = &accepted;
	(void)session_send(s, &m);
}

static void rejected_send(struct cv_rpc_call *c, const char *why)
{
	Openshell__V1__SessionRejected rejected;
	Openshell__V1__GatewayMessage m;

	openshell__v1__gateway_message__init(&m);
	openshell__v1__session_rejected__init(&rejected);
	rejected.reason = (char *)(uintptr_t)why;
	m.payload_case = OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_SESSION_REJECTED;
	m.session_rejected = &rejected;
	(void)cv_rpc_send(c, &m.base);
	cv_rpc_finish(c, CV_RPC_OK, NULL);
}

static void heartbeat_send(session *s)
{
	Openshell__V1__GatewayHeartbeat beat;
	Openshell__V1__GatewayMessage m;

	openshell__v1__gateway_message__init(&m);
	openshell__v1__gateway_heartbeat__init(&beat);
	m.payload_case = OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_HEARTBEAT;
	m.heartbeat = &beat;
	(void)session_send(s, &m); /* one that does not read gets no more of them */
}

/* ---- a session's life ---- */

/* It is nobody's any more; its stream ends. */
static void session_end(session *s, enum cv_rpc_status status, const char *why)
{
	if (s->is_over)
		return;
	s->is_over = true;
	if (why)
		cv_rpc_finish(s->call, status, "%s", why);
	else
		cv_rpc_finish(s->call, status, NULL);
}

/* The sandbox has none now. */
static void session_lost(session *s)
{
	struct cv_gw_box *b = cv_gw_box_get(s->g, s->box);

	if (!b || !b->external || b->external->session != s)
		return;
	b->external->session = NULL;
	external_relays_drop(b);
	cv_gw_box_log(b, "WARN", "session", "the supervisor's session ended");
	box_link_lost(b);
	box_deadline(b, 0); /* it may come back whenever it likes */
}

/* Written down before anything that the instance may report. */
static void instance_write(struct cv_gw_box *b, const char *instance)
{
	Openshell__V1__Sandbox *m;
	struct cv_err err;

	memcpy(b->external->instance, instance, strlen(instance) + 1);
	if (!strcmp(cv_gw_box_stored(b)->status->main_process_instance_id, instance))
		return;
	m = (Openshell__V1__Sandbox *)cv_object_copy(b->object);
	if (!m)
		return;
	cv_pb_str_set(&m->status->main_process_instance_id, cv_str_of(instance));
	if (cv_object_write(b->g->objects, b->object, CV_OBJECT_ANY_VERSION, &m->base, &err) !=
		CV_RPC_OK)
		cv_log(CV_LOG_ERROR, "session", CV_LOG_FIELDS({ "id", cv_str_of(b->object->id) }),
			"its instance can't be written: %s", err.msg);
}

static void sandbox_up(struct cv_gw_box *b)
{
	static const char *const step[] = { "", "starting_sandbox" };
	const bool is_first = b->is_first;

	if (b->state == CV_GW_UP)
		return;
	cv_gw_start_step(b, CV_GW_STEP_DIAL); /* whoever runs it builds it first */
	cv_gw_box_set(b, CV_GW_DIALLED);
	cv_gw_box_set(b, CV_GW_UP);
	cv_gw_start_end(b, NULL);
	if (is_first)
		watch_platform(b, "Ready", step, "Sandbox ready");
}

static void session_begin(struct cv_rpc_call *c, struct cv_gw_box *b, const char *instance)
{
	struct cv_gw_external *x = b->external;
	session *s = calloc(1, sizeof(*s)), *older = x->session;

	if (!s) {
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	*s = (session){ .next = b->g->externals->sessions, .g = b->g, .box = b->ref, .call = c };
	b->g->externals->sessions = s;
	cv_object_id_make(s->id);
	s->beat_ms = b->g->loop.now_ms + EXTERNAL_HEARTBEAT_S * 1000;
	cv_rpc_call_set_state(c, s);
	x->session = s;
	if (older)
		session_end(older, CV_RPC_OK, NULL);
	instance_write(b, instance);
	cv_gw_box_log(b, "INFO", "session",
		"a supervisor's session begins [session:%s instance:%s]%s", s->id, instance,
		older ? " in place of another" : "");
	accepted_send(s);
	if (older)
		external_relays_replay(b);
	sandbox_up(b);
	exec_ready(b);
}

/* ---- hello ---- */

static enum cv_rpc_status hello_refuse(struct cv_err *err, enum cv_rpc_status s, const char *why)
{
	cv_fail(err, CV_DENIED, "%s", why);
	return s;
}

static enum cv_rpc_status hello_check(struct cv_rpc_call *c,
	const Openshell__V1__SupervisorHello *h, struct cv_gw_box **ret, struct cv_err *err)
{
	struct cv_object *o;

	if (!*h->sandbox_id)
		return hello_refuse(err, CV_RPC_INVALID_ARGUMENT, "sandbox_id is required");
	if (!cv_gw_is_own(cv_rpc_call_principal(c), cv_str_of(h->sandbox_id)))
		return hello_refuse(err, CV_RPC_PERMISSION_DENIED,
			"the token is not of the sandbox that hello names");
	if (!*h->instance_id)
		return hello_refuse(err, CV_RPC_INVALID_ARGUMENT, "instance_id is required");
	if (strlen(h->instance_id) > EXTERNAL_INSTANCE_MAX)
		return cv_gw_invalid(err, "instance_id exceeds maximum length (%zu > %d)",
			strlen(h->instance_id), EXTERNAL_INSTANCE_MAX);
	o = cv_object_find_id(cv_gw_of(c)->objects, CV_OBJECT_SANDBOX, cv_str_of(h->sandbox_id));
	if (!o) /* since the stream began */
		return hello_refuse(err, CV_RPC_NOT_FOUND, "sandbox not found");
	*ret = cv_gw_box_of(o);
	if (cv_gw_box_want(*ret) == CV_GW_RUN && !(*ret)->external && cv_gw_box_is_external(*ret))
		return hello_refuse(err, CV_RPC_UNAVAILABLE, "the sandbox is about to be started");
	return CV_RPC_OK;
}

static void hello(struct cv_rpc_call *c, const Openshell__V1__SupervisorHello *h)
{
	struct cv_gw_box *b;
	struct cv_err err;
	const enum cv_rpc_status s = hello_check(c, h, &b, &err);

	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
	else if (cv_gw_box_want(b) != CV_GW_RUN)
		rejected_send(c, "the sandbox should not run");
	else if (!b->external)
		rejected_send(c, "the supervisor of this sandbox is the gateway's own");
	else
		session_begin(c, b, h->instance_id);
}

/* ---- ConnectSupervisor ---- */

static void result(session *s, const Openshell__V1__RelayOpenResult *r)
{
	struct cv_gw_box *b = cv_gw_box_get(s->g, s->box);

	if (b && b->external && !r->success)
		external_relay_refused(b, cv_str_of(r->channel_id));
}

static void taken_back(session *s, const Openshell__V1__RelayClose *r)
{
	struct cv_gw_box *b = cv_gw_box_get(s->g, s->box);

	/* One that is claimed ends with its own stream, whose bytes may still be on their way. */
	if (b && b->external)
		external_relay_refused(b, cv_str_of(r->channel_id));
}

static void on_message(struct cv_rpc_call *c, const ProtobufCMessage *message)
{
	const Openshell__V1__SupervisorMessage *m =
		(const Openshell__V1__SupervisorMessage *)message;
	session *s = cv_rpc_call_state(c);

	if (s && s->is_over)
		return;
	if (!s && m->payload_case != OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_HELLO) {
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT, "first message must be hello");
		return;
	}
	switch ((int)m->payload_case) {
	case OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_HELLO:
		if (s)
			session_end(s, CV_RPC_INVALID_ARGUMENT, "hello is said once");
		else
			hello(c, m->hello);
		break;
	case OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_RELAY_OPEN_RESULT:
		result(s, m->relay_open_result);
		break;
	case OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_RELAY_CLOSE:
		taken_back(s, m->relay_close);
		break;
	default: break; /* a heartbeat, or what is not known yet */
	}
}

static void on_half_closed(struct cv_rpc_call *c)
{
	session *s = cv_rpc_call_state(c);

	if (s)
		session_end(s, CV_RPC_OK, NULL);
	else
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT, "first message must be hello");
}

static void on_writable(struct cv_rpc_call *c)
{
	session *s = cv_rpc_call_state(c);

	if (s)
		s->is_blocked = false;
}

static void on_closed(struct cv_rpc_call *c)
{
	session *s = cv_rpc_call_state(c);

	if (!s)
		return;
	s->is_over = true;
	session_lost(s);
	for (session **i = &s->g->externals->sessions; *i; i = &(*i)->next)
		if (*i == s) {
			*i = s->next;
			break;
		}
	free(s);
}

/* ---- ReportMainProcessExit ---- */

/* Of an instance that is not this run's: of one before, which is known, or of another. */
static bool is_stale(const struct cv_gw_box *b, const char *instance)
{
	const char *known = b->external->instance;

	if (*known)
		return strcmp(known, instance) != 0;
	return !strcmp(cv_gw_box_stored(b)->status->main_process_instance_id, instance);
}

static void on_exit_report(struct cv_rpc_call *c, const ProtobufCMessage *message)
{
	const Openshell__V1__ReportMainProcessExitRequest *r =
		(const Openshell__V1__ReportMainProcessExitRequest *)message;
	Openshell__V1__ReportMainProcessExitResponse answer;
	struct cv_gw_box *b;
	char text[64];

	if (!cv_gw_is_own(cv_rpc_call_principal(c), cv_str_of(r->sandbox_id))) {
		cv_rpc_finish(c, CV_RPC_PERMISSION_DENIED,
			"the token is not of the sandbox that the report names");
		return;
	}
	openshell__v1__report_main_process_exit_response__init(&answer);
	const struct cv_object *o = cv_object_find_id(
		cv_gw_of(c)->objects, CV_OBJECT_SANDBOX, cv_str_of(r->sandbox_id));
	b = cv_gw_box_of(o); /* the token was judged in this turn */
	/* Our own supervisors tell it on their link; what does not count is accepted and ignored. */
	if (cv_gw_box_want(b) != CV_GW_RUN || !b->external || is_stale(b, r->instance_id)) {
		cv_rpc_reply(c, &answer.base);
		return;
	}
	snprintf(text, sizeof(text), "Main process exited with code %d", r->exit_code);
	box_fail(b, "MainProcessExited", r->exit_code < 0 ? 255 : r->exit_code, text);
	if (cv_gw_box_want(b) == CV_GW_RUN) {
		cv_rpc_finish(
			c, CV_RPC_UNAVAILABLE, "it can't be written down now; report it again");
		return;
	}
	cv_rpc_reply(c, &answer.base);
	box_settle(b);
}

/* ---- CreateSupervisorToken ---- */

static void on_token(struct cv_rpc_call *c, const ProtobufCMessage *message)
{
	const Cove__V1__CreateSupervisorTokenRequest *r =
		(const Cove__V1__CreateSupervisorTokenRequest *)message;
	Cove__V1__CreateSupervisorTokenResponse m;
	struct cv_gw_box *b;
	struct cv_buf token;
	struct cv_err err;
	enum cv_rpc_status s = cv_gw_box_open(
		c, "name", cv_str_of(r->name), cv_str_of(r->workspace), true, &b, &err);

	if (s == CV_RPC_OK && !cv_gw_box_is_external(b))
		s = hello_refuse(&err, CV_RPC_FAILED_PRECONDITION,
			"the gateway itself runs this sandbox; its supervisor needs no token");
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	cove__v1__create_supervisor_token_response__init(&m);
	cv_buf_init(&token, CV_JWT_TOKEN_BYTES_MAX);
	if (cv_gw_token_mint(cv_gw_of(c), cv_str_of(b->object->id), &token, &m.expires_at_ms,
		    &err) != CV_OK) {
		cv_rpc_finish(c, CV_RPC_INTERNAL, "%s", err.msg);
	} else {
		cv_buf_put_byte(&token, 0);
		m.token = (char *)(uintptr_t)cv_buf_str(&token).p;
		m.sandbox_id = b->object->id;
		cv_gw_box_log(b, "INFO", "session", "a token for its supervisor, for %s",
			cv_rpc_call_principal(c)->subject);
		cv_rpc_reply(c, &m.base);
	}
	cv_buf_wipe(&token);
}

/* ---- the sandbox ---- */

bool cv_gw_external_start(struct cv_gw_box *b)
{
	static const char *const step[] = { "starting_sandbox", "requesting_sandbox" };

	if (!cv_gw_box_is_external(b))
		return false;
	cv_assert(!b->external);
	b->external = calloc(1, sizeof(*b->external));
	if (!b->external) {
		cv_gw_box_set(b, CV_GW_ABSENT);
		box_fail(b, "StartFailed", -1, "no memory");
		return true;
	}
	/* Started anew, it has another instance; a gateway that came back knows the present one. */
	const struct cv_str known =
		cv_str_of(cv_gw_box_stored(b)->status->main_process_instance_id);
	if (b->is_restart ||
		!cv_str_to_cstr(known, b->external->instance, sizeof(b->external->instance)))
		b->external->instance[0] = '\0';
	box_deadline(b, 0);
	cv_gw_box_set(b, CV_GW_STARTED);
	watch_platform(b, "Started", step, "Sandbox waits for its supervisor");
	return true;
}

void cv_gw_external_stop(struct cv_gw_box *b)
{
	session *s = b->external->session;

	b->external->session = NULL;
	if (s)
		session_end(s, CV_RPC_OK, NULL);
	external_relays_end(b);
	free(b->external);
	b->external = NULL;
	box_gone(b);
}

/* ---- the part ---- */

static int64_t part_turn(struct cv_gateway *g)
{
	int64_t next = external_relay_turn(g);

	for (session *s = g->externals->sessions; s; s = s->next) {
		if (s->is_over)
			continue;
		if (g->loop.now_ms >= s->beat_ms) {
			heartbeat_send(s);
			s->beat_ms = g->loop.now_ms + EXTERNAL_HEARTBEAT_S * 1000;
		}
		next = CV_MIN(next, s->beat_ms);
	}
	return next;
}

/* Streams that never end by themselves would keep an ending gateway for as long as it may. */
static void part_drain(struct cv_gateway *g)
{
	for (session *s = g->externals->sessions; s; s = s->next)
		session_end(s, CV_RPC_UNAVAILABLE, "the gateway ends");
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	g->externals = calloc(1, sizeof(*g->externals));
	if (!g->externals)
		return cv_fail(err, CV_LIMIT, "no memory");
	g->externals->deadline_ms = INT64_MAX;
	return CV_OK;
}

static void part_stop(struct cv_gateway *g)
{
	if (!g->externals)
		return;
	external_relays_stop(g);
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_SANDBOX);
	for (size_t i = all.first; i < all.end; i++) {
		struct cv_gw_box *b = cv_gw_box_of(cv_object_at(g->objects, CV_OBJECT_SANDBOX, i));

		if (b)
			free(b->external);
		if (b)
			b->external = NULL;
	}
	free(g->externals);
	g->externals = NULL;
}

static const struct cv_gw_method methods[] = {
	{ "ConnectSupervisor", { .message = on_message,
				       .half_closed = on_half_closed,
				       .writable = on_writable,
				       .closed = on_closed } },
	{ "RelayStream", { .message = external_relay_message,
				 .half_closed = external_relay_half_closed,
				 .writable = external_relay_writable,
				 .closed = external_relay_closed } },
	{ "ReportMainProcessExit", { .message = on_exit_report } },
	{ "GetSandboxProviderEnvironment", { .message = external_env_message } },
	{ "CreateSupervisorToken", { .message = on_token } },
};

const struct cv_gw_part cv_gw_part_external = {
	.name = "external",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = part_start,
	.drain = part_drain,
	.stop = part_stop,
	.event = external_relay_event,
	.turn = part_turn,
};
