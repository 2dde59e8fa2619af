/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.h - the reserved route to host tools: http://tools.local, and host.cove.internal for the same
 *
 *     sandbox --http--> flow: head, fields, body, policy --stream--> cove-broker
 *                                   |                      (OPEN: one end of it, who calls)
 *                                   +--> refused, in words; the broker never hears of it
 *
 * An ordinary flow, by the explicit proxy, through CONNECT or transparent, with two differences: its
 * verdict is given (whoever is known may ask; each call is then decided by cv_policy_decide_tool()),
 * and its upstream is neither resolved nor dialled, but a socket pair whose other end the broker is
 * handed, with who calls.  The names are taken before policy, and are no network route on any port.
 *
 * What goes on was written by us: the request's line, Host, framing, and those few fields that the
 * route has a use for (kept_field[]), from a body that was held and read whole.
 */
#pragma once
#include "proxy/proxy.h"
#include "wire/path.h"

/* The name is the route's, on whatever port. */
bool cv_tools_is_ours(struct cv_str host);

/* ---- how connections get here ---- */

/* A request on the explicit proxy, CONNECT or absolute; true: it is for us, and f goes its way. */
bool cv_tools_explicit(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r);
/* A transparent connection to f->host and f->port: is_tools is set if it is ours. */
void cv_tools_transparent(struct cv_flow *f);
/* May f's caller ask at all?  For cv_decide_connect(). */
struct cv_verdict cv_tools_verdict(const struct cv_flow *f);
/* The name, on a port that is not ours or by https: answered, not recorded. */
void cv_tools_place_answer(struct cv_proxy *p, struct cv_flow *f, bool is_head);

/* ---- one request ---- */

enum cv_tools_step {
	CV_TOOLS_OK,
	CV_TOOLS_WAIT,     /* call again when the flow is stepped next */
	CV_TOOLS_AGAIN,    /* now, with the head parsed anew */
	CV_TOOLS_ANSWERED, /* recorded and refused */
};

/* Each time the head was parsed: what is no use to the route is taken out of r, and the body held. */
enum cv_tools_step cv_tools_head(
	struct cv_proxy *p, struct cv_flow *f, struct cv_h1_request *r, struct cv_str path);
/* Once the body is there, as it will be sent: may the call be made? */
enum cv_tools_step cv_tools_judge(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path);
/* The stream to the broker. */
enum cv_tools_step cv_tools_connect(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r);
/* The broker went away, or said what makes no sense, before a byte of its response passed. */
void cv_tools_upstream_fail(struct cv_proxy *p, struct cv_flow *f, const char *why);
/* The broker did not answer; false: f waits for something else. */
bool cv_tools_timeout(struct cv_proxy *p, struct cv_flow *f);

/* ---- servers of the catalog ----
 *
 * host.openshell.internal:PORT, where PORT is one that the catalog exposes, is an endpoint like any
 * other, decided by the network policy; but its name is not looked up and nothing is dialled. */

bool cv_tools_is_server(const struct cv_proxy *p, const struct cv_flow *f);
/* The stream to the broker, as f's upstream.  False: there is none. */
CV_MUST bool cv_tools_server_connect(struct cv_proxy *p, struct cv_flow *f);

/* ---- the broker's link ---- */

/* From the supervisor. */
void cv_tools_broker_take(struct cv_proxy *p, int fd);
CV_MUST bool cv_tools_map_take(struct cv_proxy *p, struct cv_str text);
void cv_tools_broker_watch(struct cv_proxy *p); /* once the loop is there */
void cv_tools_broker_event(struct cv_proxy *p);

/* ---- tools_answer.c: what is said ---- */

struct cv_tools_refusal {
	int status;
	const char *code;     /* "policy_denied" */
	struct cv_str detail; /* the sentence */
	struct cv_str tool;   /* empty: none is named */
	struct cv_str more;   /* members, each with its comma before; empty: none */
	struct cv_str allow;  /* of 405 */
	uint32_t line;        /* of the policy */
	const char *reason;   /* in the record; NULL: code */
	enum cv_audit_action action;
};

/* Recorded, with one event, and answered. */
void cv_tools_refuse(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path, const struct cv_tools_refusal *why);
/* Recorded alike; the answer is body, with a status of its own. */
void cv_tools_refuse_with(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path, const struct cv_tools_refusal *why, int status, struct cv_str body);
/* {"error":…,"detail":…} and more. */
void cv_tools_body_put(struct cv_buf *b, const struct cv_tools_refusal *why);

/* ,"allowed":[…]: what f's caller may call, and what the rules ask of it. */
void cv_tools_allowed_put(struct cv_proxy *p, const struct cv_flow *f, struct cv_buf *b);
/* ,"known":[…]: the same, names alone. */
void cv_tools_known_put(struct cv_proxy *p, const struct cv_flow *f, struct cv_buf *b);
