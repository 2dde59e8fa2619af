/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway.c - the link to the gateway that the sandbox belongs to
 *
 *     dial --HELLO--> ACCEPTED --commands, READY--> open
 *      ^                                              |
 *      +---- backoff 100 ms .. 2 s <---- broken ------+
 *
 * Whether a gateway is there changes nothing for the sandbox.  No message is kept for one that is
 * away: what it must learn is state, of which it is told when it comes (commands in exec.c, the end
 * here); only the log has a queue of its own (events.c).  A gateway that does not read loses its
 * link and is told anew.
 *
 * A gateway that is there and closes without ACCEPTED says that the sandbox is none of its own: its
 * record was removed or replaced meanwhile, or another supervisor has its workspace.  Then, and when
 * the directory of the socket is gone, nobody could ever end it; after a while it ends itself.
 *
 * The other end is another process of our user, found by a path in a directory of his; it is asked
 * who it is before it is shown the token.
 */
#include "supervisor/supervisor.h"

#include "supervisor/helper.h"
#include "supervisor/limits.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#define TURN_MAX 64 /* messages of one turn of the loop */

_Static_assert(CV_GATEWAY_TOKEN_BYTES == CV_PLAN_GATEWAY_TOKEN_BYTES, "one token");

static bool is_open(const struct service *v)
{
	return v->link >= 0 && v->rules.state == CV_GATEWAY_LINK_OPEN;
}

/* ---- dial ---- */

static void redial_later(struct service *v)
{
	v->backoff_ms = v->backoff_ms ? CV_MIN(2 * v->backoff_ms, (int64_t)SUP_REDIAL_MS_MAX)
				      : SUP_REDIAL_MS;
	v->redial_ms = cv_clock_ms() + v->backoff_ms;
}

static void nobodys(struct service *v, bool is_it)
{
	if (!is_it)
		v->nobodys_ms = 0;
	else if (!v->nobodys_ms)
		v->nobodys_ms = cv_clock_ms();
}

/* Its `run` still has our instance (driver/local.c): no other supervisor took the sandbox over, and nobody
 * deleted it.  So the gateway has another store than it had, a backup's perhaps, and not for ever. */
static bool is_misplaced(const struct cv_plan_gateway *g)
{
	const struct cv_str state = cv_str_slice(g->socket, 0, cv_str_rfind_byte(g->socket, '/'));
	char path[PATH_MAX], text[128];

	snprintf(path, sizeof(path), "%.*s/sandboxes/%.*s/run", CV_STR_ARG(state),
		CV_STR_ARG(g->sandbox));
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : 0;
	return n > 0 && cv_str_has_prefix((struct cv_str){ text, (size_t)n }, g->instance);
}

static bool is_nobodys(const struct supervisor *s)
{
	const struct service *v = &s->service;
	const int64_t since_ms = v->nobodys_ms ? cv_clock_ms() - v->nobodys_ms : 0;

	return since_ms >= SUP_MISPLACED_MS ||
	       (since_ms >= SUP_NOBODYS_MS && !(v->is_known && is_misplaced(&s->plan.gateway)));
}

/* A gateway that is down takes its socket away, but not its directory. */
static bool is_homeless(const struct cv_plan_gateway *g)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const struct cv_str path = cv_str_slice(g->socket, 0, cv_str_rfind_byte(g->socket, '/'));

	return path.n && cv_str_to_cstr(path, dir, sizeof(dir)) && access(dir, F_OK) < 0 &&
	       errno == ENOENT;
}

static void drop(struct supervisor *s)
{
	struct service *v = &s->service;

	if (v->link >= 0 && v->rules.state == CV_GATEWAY_LINK_NEW)
		nobodys(v, true);
	cv_fd_cleanup(&v->link);
	v->link = -1;
	cv_ipc_outbox_clear(&v->out);
	dial_drop(s);
	kept_pace_none(s);
	cv_buf_reset(&v->parts);
	if (s->plan.gateway.flags & CV_PLAN_GATEWAY_SPARE)
		claim_never(s);
	else
		redial_later(v);
}

/* A stranger's process at that path must not get the token. */
static bool is_ours(int sock)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static int connected(const struct cv_plan_gateway *g)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	CV_AUTO_FD int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (sock < 0 || !cv_str_to_cstr(g->socket, at.sun_path, sizeof(at.sun_path)) ||
		connect(sock, (const struct sockaddr *)&at, sizeof(at)) < 0 || !is_ours(sock))
		return -1;
	return cv_take_fd(sock);
}

static void hello(struct supervisor *s)
{
	const struct cv_plan_gateway *g = &s->plan.gateway;
	struct cv_buf b;
	struct cv_err err;

	cv_buf_init(&b, 512);
	cv_ipc_put_u32(&b, CV_GATEWAY_LINK_VERSION);
	cv_ipc_put_str(&b, g->sandbox);
	cv_ipc_put_str(&b, g->instance);
	cv_ipc_put_str(&b, (struct cv_str){ (const char *)g->token, sizeof(g->token) });
	cv_ipc_put_u32(&b, (uint32_t)getpid());
	cv_ipc_put_u64(&b, s->service.policy.revision);
	if (b.is_overflown ||
		cv_ipc_outbox_put(&s->service.out, s->service.link, CV_GATEWAY_REPLY_HELLO,
			cv_buf_str(&b), NULL, 0, &err) != CV_OK)
		drop(s);
	cv_buf_wipe(&b);
}

static void dial(struct supervisor *s)
{
	struct service *v = &s->service;

	v->redial_ms = 0;
	v->link = connected(&s->plan.gateway);
	v->rules = (struct cv_ipc_link){ cv_gateway_req_rule, CV_GATEWAY_REQ_COUNT,
		CV_GATEWAY_LINK_NEW, 0 };
	if (v->link < 0) {
		nobodys(v, is_homeless(&s->plan.gateway));
		drop(s);
	} else {
		hello(s);
	}
}

/* Many commands are many descriptors; what the sandbox may have is its own rlimit. */
static void descriptors_allow(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		say("few commands can run at once: the limit of descriptors stays");
}

void service_await(struct supervisor *s)
{
	s->service.may_propose = s->plan.gateway.flags & CV_PLAN_GATEWAY_PROPOSALS;
	s->service.is_known = !(s->plan.gateway.flags & CV_PLAN_GATEWAY_AWAIT);
	s->service.known_by_ms = s->service.is_known ? 0 : cv_clock_ms() + SUP_KNOWN_MS;
}

cv_code service_start(struct supervisor *s, struct cv_err *err)
{
	struct service *v = &s->service;

	v->is_on = s->plan.gateway.socket.n > 0;
	if (!v->is_on)
		return CV_OK;
	descriptors_allow();
	service_await(s);
	cv_code code = exec_init(s, err);
	if (code == CV_OK)
		code = kept_init(s, err);
	if (code == CV_OK)
		code = dial_init(s, err);
	if (code == CV_OK)
		dial(s);
	return code;
}

/* ---- what is told ---- */

void service_tell(
	struct supervisor *s, uint32_t type, struct cv_str body, const int *fds, size_t fd_count)
{
	struct cv_err err;

	if (is_open(&s->service) && cv_ipc_outbox_put(&s->service.out, s->service.link, type, body,
					    fds, fd_count, &err) != CV_OK)
		drop(s);
}

static void settings(struct supervisor *s, struct cv_ipc_reader *r)
{
	struct cv_err err;

	s->service.may_propose = cv_ipc_get_u32(r) & CV_GATEWAY_SETTING_PROPOSALS;
	if (s->proxy.pid && advice_send(s, &err) != CV_OK && !helper_is_gone(&s->proxy))
		say("proxy: %s", err.msg);
}

/* A proxy that is gone asks no more. */
static void proposed(struct supervisor *s, struct cv_str body)
{
	if (s->proxy.pid && s->proxy.rules.state == CV_PROXY_READY)
		(void)!cv_ipc_send_now(s->proxy.link, CV_PROXY_REQ_PROPOSED, body, NULL);
}

void service_propose(struct supervisor *s, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint64_t tag = cv_ipc_get_u64(&r);
	struct cv_buf b;

	if (is_open(&s->service)) {
		service_tell(s, CV_GATEWAY_REPLY_PROPOSE, body, NULL, 0);
		return;
	}
	cv_buf_init(&b, 1024);
	cv_ipc_put_u64(&b, tag);
	cv_ipc_put_u32(&b, 503);
	cv_ipc_put_u32(&b, false);
	cv_ipc_put_str(&b, s->service.is_on
				   ? CV_STR("{\"error\":\"gateway_unavailable\",\"detail\":"
					    "\"the gateway is away; try again\"}")
				   : CV_STR("{\"error\":\"gateway_unavailable\",\"detail\":"
					    "\"this sandbox was started by cove run: nobody "
					    "is there to approve a proposal\"}"));
	proposed(s, cv_buf_str(&b));
	cv_buf_fini(&b);
}

static void ended_tell(struct supervisor *s)
{
	const struct service *v = &s->service;
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_ipc_put_u32(&b, (uint32_t)s->status);
	cv_ipc_put_u32(&b, v->why != NULL);
	cv_ipc_put_str(&b, cv_str_slice(cv_str_of(v->why ? v->why : ""), 0, 4000));
	service_tell(s, CV_GATEWAY_REPLY_ENDED, cv_buf_str(&b), NULL, 0);
	cv_buf_fini(&b);
}

void service_ready(struct supervisor *s)
{
	if (!s->service.is_on || s->service.is_ready)
		return;
	s->service.is_ready = true;
	service_tell(s, CV_GATEWAY_REPLY_READY, CV_STR_NONE, NULL, 0);
}

void service_why(struct supervisor *s, struct cv_str why)
{
	if (s->service.is_on && !s->service.why)
		s->service.why = cv_str_dup(why);
}

/* Nobody takes it back any more. */
static void known(struct supervisor *s)
{
	s->service.is_known = true;
	s->service.known_by_ms = 0;
	if (s->outcome == OUTCOME_NONE)
		inside_command(s);
}

static void accepted(struct supervisor *s)
{
	struct service *v = &s->service;

	v->rules.state = CV_GATEWAY_LINK_OPEN;
	v->backoff_ms = 0;
	nobodys(v, false);
	exec_retell(s);
	if (v->is_ready)
		service_tell(s, CV_GATEWAY_REPLY_READY, CV_STR_NONE, NULL, 0);
	approve_retell(s);
	if (v->is_ended)
		ended_tell(s);
	events_send(s);
	known(s);
}

/* ---- the end ---- */

void service_stop(struct supervisor *s, uint32_t grace_ms)
{
	struct service *v = &s->service;

	if (!v->is_on || s->outcome != OUTCOME_NONE)
		return;
	v->is_stopping = true;
	s->deadline_ms = cv_clock_ms() + CV_MAX(grace_ms, 1u);
	if (v->is_ready)
		exec_stop_all(s);
	service_stop_look(s);
}

void service_stop_look(struct supervisor *s)
{
	/* A main command that ends says so itself. */
	if (!s->service.is_stopping || exec_running(s) || s->outcome != OUTCOME_NONE)
		return;
	s->outcome = OUTCOME_STATUS;
	s->status = 0;
}

/* ---- what comes ---- */

static void settled(struct supervisor *s, struct cv_ipc_reader *r)
{
	const uint32_t what = cv_ipc_get_u32(r), id = cv_ipc_get_u32(r);

	if (what == CV_GATEWAY_REPLY_EXITED || what == CV_GATEWAY_REPLY_FAILED ||
		what == CV_GATEWAY_REPLY_KEPT)
		exec_settled(s, id);
	else if (what == CV_GATEWAY_REPLY_ENDED && s->service.is_ended)
		s->service.is_ended_settled = true;
}

static void dial_ask(struct supervisor *s, struct cv_ipc_reader *r)
{
	const uint32_t channel = cv_ipc_get_u32(r), port = cv_ipc_get_u32(r);

	dial_open(s, channel, port);
}

static void signal_ask(struct supervisor *s, struct cv_ipc_reader *r)
{
	const uint32_t id = cv_ipc_get_u32(r), number = cv_ipc_get_u32(r);

	exec_signal(s, id, number);
}

static void pace_ask(struct supervisor *s, struct cv_ipc_reader *r)
{
	const uint32_t id = cv_ipc_get_u32(r);
	const uint64_t place = cv_ipc_get_u64(r);

	kept_pace(s, id, place);
}

static void handle(struct supervisor *s, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };

	switch ((enum cv_gateway_req)m->type) {
	case CV_GATEWAY_REQ_ACCEPTED: accepted(s); break;
	case CV_GATEWAY_REQ_PART: exec_part(s, m->body); break;
	case CV_GATEWAY_REQ_EXEC: exec_run(s, m->body); break;
	case CV_GATEWAY_REQ_EXEC_KEPT: exec_kept(s, m->body, cv_take_fd(m->fds[0])); break;
	case CV_GATEWAY_REQ_KEPT_PACE: pace_ask(s, &r); break;
	case CV_GATEWAY_REQ_SIGNAL: signal_ask(s, &r); break;
	case CV_GATEWAY_REQ_DIAL: dial_ask(s, &r); break;
	case CV_GATEWAY_REQ_POLICY:
		push_policy(s, cv_ipc_get_u64(&r), cv_take_fd(m->fds[0]));
		break;
	case CV_GATEWAY_REQ_CLAIM: claim(s, cv_take_fd(m->fds[0]), -1); break;
	case CV_GATEWAY_REQ_CLAIM_SET:
		claim(s, cv_take_fd(m->fds[0]), cv_take_fd(m->fds[1]));
		break;
	case CV_GATEWAY_REQ_LAYER: push_layer(s, cv_take_fd(m->fds[0])); break;
	case CV_GATEWAY_REQ_CREDENTIALS:
		push_credentials(s, cv_ipc_get_u64(&r), cv_take_fd(m->fds[0]));
		break;
	case CV_GATEWAY_REQ_ROUTES: push_routes(s, cv_take_fd(m->fds[0])); break;
	case CV_GATEWAY_REQ_STOP: service_stop(s, cv_ipc_get_u32(&r)); break;
	case CV_GATEWAY_REQ_SETTLED: settled(s, &r); break;
	case CV_GATEWAY_REQ_STDIN_END: exec_stdin_end(s, cv_ipc_get_u32(&r)); break;
	case CV_GATEWAY_REQ_ANSWER: approve_gateway_answer(s, m->body); break;
	case CV_GATEWAY_REQ_SETTINGS: settings(s, &r); break;
	case CV_GATEWAY_REQ_GO: known(s); break;
	case CV_GATEWAY_REQ_PROPOSED: proposed(s, m->body); break;
	case CV_GATEWAY_REQ_COUNT: break;
	}
}

static void read_all(struct supervisor *s)
{
	struct cv_ipc_msg m;
	struct cv_err err;

	for (int i = 0; i < TURN_MAX && s->service.link >= 0; i++) {
		const cv_code code =
			cv_ipc_recv(s->service.link, &s->service.rules, s->message, &m, &err);

		if (code == CV_UNAVAILABLE)
			return;
		if (code != CV_OK) {
			if (code == CV_PROTO)
				say("gateway: %s", err.msg);
			drop(s);
			return;
		}
		handle(s, &m);
		cv_ipc_msg_fini(&m);
		if (s->outcome != OUTCOME_NONE && !s->service.is_ended)
			return;
	}
}

/* ---- the loop's side ---- */

short service_interest(const struct supervisor *s)
{
	const struct service *v = &s->service;
	const bool has_more = !cv_ipc_outbox_is_empty(&v->out) ||
			      (is_open(v) && !cv_ipc_outbox_is_empty(&v->events));

	return (short)(POLLIN | (has_more ? POLLOUT : 0));
}

void service_serve(struct supervisor *s, short events)
{
	struct cv_err err;

	if ((events & POLLOUT) &&
		cv_ipc_outbox_flush(&s->service.out, s->service.link, &err) != CV_OK)
		drop(s);
	if (events & POLLOUT)
		events_send(s);
	if (events & ~POLLOUT)
		read_all(s);
}

int64_t service_due_ms(const struct supervisor *s)
{
	const int64_t due[] = { dial_due_ms(s), kept_due_ms(s), s->service.redial_ms,
		s->service.known_by_ms };
	int64_t first = 0;

	for (size_t i = 0; s->service.is_on && i < CV_ARRAY_LEN(due); i++)
		if (due[i] && (!first || due[i] < first))
			first = due[i];
	return first;
}

void service_due(struct supervisor *s)
{
	if (s->service.redial_ms && cv_clock_ms() >= s->service.redial_ms)
		dial(s);
	if (is_nobodys(s) && s->outcome == OUTCOME_NONE && !s->service.is_stopping) {
		say("the sandbox belongs to no gateway any more: it ends");
		service_stop(s, SUP_STOP_MS);
	}
	if (s->service.known_by_ms && cv_clock_ms() >= s->service.known_by_ms) {
		say("no gateway has written the sandbox down: it ends");
		s->service.known_by_ms = 0;
		service_stop(s, SUP_STOP_MS);
	}
	dial_due(s);
	kept_due(s);
}

/* All of the run is over and gone.  A gateway that is away may come back to ask what became of it;
 * one that never comes finds a sandbox without supervisor, which tells it less. */
void service_end(struct supervisor *s)
{
	struct service *v = &s->service;
	const int64_t until = cv_clock_ms() + SUP_ENDED_MS;

	if (!v->is_on || (s->plan.gateway.flags & CV_PLAN_GATEWAY_SPARE))
		return;
	exec_end_all(s);
	v->is_ended = true;
	v->is_ready = false;
	ended_tell(s);
	while (!v->is_ended_settled && !is_nobodys(s) && cv_clock_ms() < until) {
		struct pollfd w = { v->link, service_interest(s), 0 };
		const int64_t due = v->redial_ms ? CV_MIN(v->redial_ms, until) : until;

		if (poll(&w, 1, (int)CV_MAX(due - cv_clock_ms(), (int64_t)0)) > 0 && w.revents)
			service_serve(s, w.revents);
		service_due(s);
	}
	/* What is left of the log, as far as the gateway takes it at once. */
	events_send(s);
}
