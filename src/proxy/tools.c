/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.c - see tools.h; how a flow gets to the route, and from there to the broker
 *
 * A stream is asked for when a request has passed every check, so that the broker never hears of
 * one that was refused, and is kept for the next request of the same connection.  The broker's link
 * does not block: while it is full, flows wait, and go on when it has room.
 */
#include "proxy/tools.h"

#include "ipc/broker_link.h"
#include "proxy/denial.h"
#include "proxy/local.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOOLS_PORT 80

static const struct cv_str server_name = CV_STR("host.openshell.internal");
static const struct cv_str name[] = { CV_STR("tools.local"), CV_STR("host.cove.internal") };

bool cv_tools_is_ours(struct cv_str host)
{
	return cv_str_eq(host, name[0]) || cv_str_eq(host, name[1]);
}

/* ---- how connections get here ---- */

struct cv_verdict cv_tools_verdict(const struct cv_flow *f)
{
	const bool is_known = f->who && f->who->facts.is_known;

	return (struct cv_verdict){
		.action = is_known ? CV_ACTION_ALLOW : CV_ACTION_DENY,
		.reason = is_known ? CV_REASON_NONE : CV_REASON_IDENTITY_UNKNOWN,
		.obligations = CV_OBLIGE_INSPECT,
		.entry = CV_POLICY_NONE,
		.endpoint = CV_POLICY_NONE,
		.rule = CV_POLICY_NONE,
		.settings = CV_POLICY_NONE,
	};
}

void cv_tools_place_answer(struct cv_proxy *p, struct cv_flow *f, bool is_head)
{
	cv_deny_json(p, f, 400,
		CV_STR("{\"error\":\"invalid_tools_address\",\"detail\":\"host tools are asked by "
		       "http://tools.local on port 80 only, without TLS: nothing leaves this "
		       "machine\"}"),
		is_head);
}

static bool place_refuse(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.request = r->form == CV_H1_FORM_AUTHORITY ? NULL : r,
		.engine = "tools",
		.reason_code = "invalid_tools_address",
		.reason = CV_STR("host tools are asked by http:// on port 80 only"),
		.status = 400,
	};

	cv_decide_connect(p, f); /* so that the record names a policy */
	cv_decide_record(p, f, &fact);
	cv_tools_place_answer(p, f, cv_str_eq(r->method, CV_STR("HEAD")));
	return true;
}

static bool unknown_refuse(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	const struct cv_tools_refusal why = {
		.status = 403,
		.code = "policy_denied",
		.detail = cv_decide_reason(p, f, &f->verdict, NULL, CV_STR_NONE),
		.reason = cv_reason_code(f->verdict.reason),
		.action = CV_AUDIT_ACTION_DENY,
	};

	cv_tools_refuse(p, f, r->form == CV_H1_FORM_AUTHORITY ? NULL : r, CV_STR_NONE, &why);
	return true;
}

bool cv_tools_explicit(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	const bool is_connect = r->form == CV_H1_FORM_AUTHORITY;
	const uint16_t port = r->authority.port ? r->authority.port
			      : r->is_https     ? 443
						: TOOLS_PORT;
	const bool was_ours = f->is_tools;

	f->is_tools = false;
	if (!cv_tools_is_ours(cv_host_str(&r->authority.host))) {
		if (was_ours) {
			cv_flow_drop_server(f);
			cv_cred_end(f); /* what was released for this route */
		}
		return false;
	}
	if (!was_ours)
		cv_flow_drop_server(f);
	f->host = r->authority.host;
	f->port = port;
	if (port != TOOLS_PORT || r->is_https)
		return place_refuse(p, f, r);
	f->is_tools = true;
	if (!cv_decide_connect(p, f))
		return unknown_refuse(p, f, r);
	if (is_connect) {
		f->is_tunnel = true;
		cv_leg_take(&f->client, r->head_bytes);
		cv_leg_put(&f->client, CV_STR("HTTP/1.1 200 Connection Established\r\n\r\n"));
	}
	cv_http_start(f); /* else the head stays in the buffer */
	cv_flow_set_state(f, CV_FLOW_HTTP, p->loop.now_ms);
	return true;
}

void cv_tools_transparent(struct cv_flow *f)
{
	f->is_tools = cv_tools_is_ours(cv_host_str(&f->host)) && f->port == TOOLS_PORT;
}

/* ---- the stream ---- */

static void fail(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, int status,
	const char *code, const char *why)
{
	const struct cv_tools_refusal refusal = {
		.status = status,
		.code = code,
		.detail = cv_str_of(why),
		.action = CV_AUDIT_ACTION_NONE,
	};

	cv_tools_refuse(p, f, r, CV_STR_NONE, &refusal);
}

void cv_tools_upstream_fail(struct cv_proxy *p, struct cv_flow *f, const char *why)
{
	(void)why;
	fail(p, f, NULL, 503, "broker_unavailable",
		"the broker of host tools went away during the call; it was not made again");
}

bool cv_tools_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	if (!f->http.is_decided && (f->http.phase != CV_HTTP_EXCHANGE || f->http.has_response))
		return false;
	if (f->http.phase == CV_HTTP_EXCHANGE)
		fail(p, f, NULL, 504, "broker_timeout",
			"the broker of host tools did not answer in time");
	else
		fail(p, f, NULL, 503, "broker_unavailable",
			"the broker of host tools takes no calls now");
	return true;
}

/* Who calls, as it is known from the connection. */
static bool open_put(const struct cv_flow *f, enum cv_broker_target target, struct cv_buf *b)
{
	const struct cv_who *who = f->who;
	struct cv_proxy_identity id = {
		.pid = who->pid,
		.exe = who->facts.exe,
		.ancestor_count =
			CV_MIN(who->facts.ancestor_count, (size_t)CV_IDENTITY_ANCESTORS_MAX),
	};

	for (size_t i = 0; i < id.ancestor_count; i++)
		id.ancestors[i] = who->facts.ancestors[i];
	cv_ipc_put_u32(b, target);
	cv_ipc_put_u32(b, f->port);
	return cv_proxy_identity_put(b, &id);
}

static cv_code open_send(
	struct cv_proxy *p, const struct cv_flow *f, enum cv_broker_target target, int theirs)
{
	cv_code code = CV_LIMIT;
	struct cv_buf b;

	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	if (open_put(f, target, &b))
		code = cv_ipc_send(p->broker, CV_BROKER_REQ_OPEN, cv_buf_str(&b), &theirs, 1, NULL);
	cv_buf_fini(&b);
	return code;
}

/* One end is the broker's, the other f's upstream.  CV_UNAVAILABLE: the link is full. */
static cv_code pair_open(struct cv_proxy *p, struct cv_flow *f, enum cv_broker_target target)
{
	const struct cv_watch w = { .kind = CV_WATCH_SERVER, .ref = cv_flow_ref(f) };
	cv_code code = CV_SYSTEM;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0) {
		code = open_send(p, f, target, pair[1]);
		close(pair[1]);
		if (code != CV_OK)
			close(pair[0]);
	}
	if (code != CV_OK)
		return code;
	cv_leg_open(&f->server, &p->io, pair[0]);
	f->server.can_read = f->server.can_write = true;
	f->server.is_private = true; /* it says who calls */
	if (cv_loop_add(&p->loop, pair[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, w, NULL) ==
		CV_OK)
		return CV_OK;
	cv_flow_drop_server(f);
	return CV_SYSTEM;
}

bool cv_tools_is_server(const struct cv_proxy *p, const struct cv_flow *f)
{
	return p->has_tools && cv_str_eq(cv_host_str(&f->host), server_name) &&
	       cv_toolmap_has_port(&p->toolmap, f->port);
}

bool cv_tools_server_connect(struct cv_proxy *p, struct cv_flow *f)
{
	return p->broker >= 0 && pair_open(p, f, CV_BROKER_SERVER) == CV_OK;
}

static enum cv_tools_step stream_open(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	if (p->broker < 0) {
		fail(p, f, r, 503, "broker_unavailable", "the broker of host tools is not there");
		return CV_TOOLS_ANSWERED;
	}
	const cv_code code = pair_open(p, f, CV_BROKER_TOOLS);
	if (code == CV_UNAVAILABLE)
		return CV_TOOLS_WAIT; /* cv_tools_broker_event() */
	if (code == CV_OK)
		return CV_TOOLS_OK;
	fail(p, f, r, 503, "broker_unavailable", "the broker of host tools can't be reached");
	return CV_TOOLS_ANSWERED;
}

enum cv_tools_step cv_tools_connect(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	/* One that was kept, and has ended meanwhile or said something unasked, is not used again. */
	if (cv_leg_is_open(&f->server) &&
		(cv_leg_fill(&f->server) || f->server.is_eof || cv_leg_text(&f->server).n))
		cv_flow_drop_server(f);
	return cv_leg_is_open(&f->server) ? CV_TOOLS_OK : stream_open(p, f, r);
}

/* ---- the broker's link ---- */

bool cv_tools_map_take(struct cv_proxy *p, struct cv_str text)
{
	p->has_tools = true;
	return cv_toolmap_load(text, &p->toolmap, NULL) == CV_OK;
}

static void broker_drop(struct cv_proxy *p)
{
	if (p->broker >= 0)
		close(p->broker); /* the loop forgets it with that */
	p->broker = -1;
}

void cv_tools_broker_watch(struct cv_proxy *p)
{
	const struct cv_watch w = { .kind = CV_WATCH_BROKER };

	if (p->broker < 0)
		return;
	if (fcntl(p->broker, F_SETFL, fcntl(p->broker, F_GETFL) | O_NONBLOCK) < 0 ||
		cv_loop_add(&p->loop, p->broker, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, w,
			NULL) != CV_OK)
		broker_drop(p);
}

void cv_tools_broker_take(struct cv_proxy *p, int fd)
{
	broker_drop(p);
	p->broker = fd;
	if (p->is_ready)
		cv_tools_broker_watch(p);
}

void cv_tools_broker_event(struct cv_proxy *p)
{
	char byte;

	/* It has nothing to say there: whatever can be read is its end. */
	if (p->broker >= 0 && (recv(p->broker, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0))
		broker_drop(p);
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state == CV_FLOW_HTTP && f->is_tools && f->http.is_decided)
			cv_proxy_queue(p, f);
	}
}
