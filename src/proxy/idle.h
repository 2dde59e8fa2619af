/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle.h - connections to upstreams that nobody uses just now
 *
 * A connection that has carried whole exchanges of HTTP/1.1 and waits for another is kept for a moment
 * after its flow, and becomes the next flow's that wants exactly this one: the same host and port, in
 * TLS (verified for that host) or not, by the upstream proxy or not, of the same bond (T22:
 * bond.h), and to one of the addresses that this flow's own look-up gave and that were checked for
 * it (A6: the name's answer may have changed).  Calls by the routes of inference.local have
 * connections of their own, which end with the set of routes that they were made for.
 *
 * What may be kept is decided in one place, cv_idle_put(): nothing that the server or the protocol gave
 * another state (a switch of protocols, NTLM, HTTP/1.0, a HEAD's answer, whose body is a matter of
 * belief), nothing whose credential the server refused or that is another one by now, nothing with a
 * byte in it that was not asked for.  And what says anything while it is idle, its own end among it, is
 * closed.
 *
 * Sessions of HTTP/2 are kept under the same rules, but by their own flows, which go on listening:
 * their peers may say what HTTP/2 lets them (h2_up.c).
 *
 * A server may close at the moment in which a request is on its way to it.  Such a request is sent once
 * more, by a new connection, if that changes nothing (cv_idle_is_repeatable); another takes only a
 * connection that was in use a moment ago.
 *
 * Ownership: a kept connection belongs to the proxy; flows own what they take.
 * Limits:    CV_PROXY_IDLE_UPSTREAMS_MAX, CV_PROXY_IDLE_SESSIONS_MAX, CV_PROXY_IDLE_UPSTREAM_MS,
 *            CV_PROXY_IDLE_REUSE_MS
 */
#pragma once
#include "proxy/leg.h"
#include "sys/loop.h"
#include "wire/h1.h"
#include "wire/host.h"

struct cv_proxy;
struct cv_flow;

struct cv_idle {
	struct cv_leg leg;
	struct cv_host host;
	struct cv_ip ip; /* of the destination, also by way of the upstream proxy */
	uint16_t port;
	bool is_used, is_forwarded, is_routed;
	int64_t since_ms;
	uint32_t gen;
};

struct cv_idles {
	struct cv_idle v[CV_PROXY_IDLE_UPSTREAMS_MAX];
	uint32_t count;
	int64_t next_ms; /* when the first is too old; INT64_MAX: there is none */
};

/* f is about to close its upstream connection: kept instead, if it may be. */
void cv_idle_put(struct cv_proxy *p, struct cv_flow *f);

/* Whether one is kept that f, once it is known what f speaks, may take.  Then f->dialled is its
 * address. */
bool cv_idle_is_there(struct cv_proxy *p, struct cv_flow *f);

/* ... and one whose server was offered HTTP/2 and chose HTTP/1.1, so that f's streams need not ask. */
bool cv_idle_is_h1_only(const struct cv_proxy *p, const struct cv_flow *f);

/* f, which has a request, gets a connection, if there is one for it. */
CV_MUST bool cv_idle_take(struct cv_proxy *p, struct cv_flow *f);

/* Whether r may be sent twice: nothing of it has to be kept for that but the head in the buffer, and
 * twice is as good as once (RFC 9110 9.2.2). */
bool cv_idle_is_repeatable(const struct cv_flow *f, const struct cv_h1_request *r);

/* Whether a connection that was in use at since_ms may carry f's request: what can't be sent twice
 * takes none that its server may have given up. */
bool cv_idle_is_fresh(const struct cv_proxy *p, const struct cv_flow *f, int64_t since_ms);

/* Whether f's look-up gave that address, of the destination, and it was checked. */
bool cv_idle_is_checked(const struct cv_flow *f, const struct cv_ip *ip);

/* Whether the fields name a scheme that authenticates a connection instead of a request. */
bool cv_idle_is_private(const struct cv_h1_header *headers, size_t n);
/* f's upstream connection is never kept. */
void cv_idle_seal(struct cv_flow *f);

void cv_idle_event(struct cv_proxy *p, struct cv_ref ref); /* it said something: closed */
void cv_idle_sweep(struct cv_proxy *p);
void cv_idle_clear(struct cv_proxy *p); /* policy changed: what it forbids stays open no longer */
void cv_idle_clear_routed(struct cv_proxy *p); /* those of the routes of inference.local */
void cv_idle_clear_over(struct cv_proxy *p);   /* those whose bonds are over */
