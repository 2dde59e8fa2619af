/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2.h - HTTP/2: connections that carry streams, and streams that are flows
 *
 *     sandbox ==TLS==> D ---- stream --> V ---- stream --> U ==TLS==> upstream (h2)
 *                      |                 V'--------------------TLS==> upstream (http/1.1)
 *                      session           (a virtual flow)  session
 *
 * D is the flow that was accepted, in state H2.  Each request on it becomes V, an ordinary flow in
 * state HTTP whose client leg is no socket: what the stream brings is put there as the text of
 * HTTP/1.1, and the text that V answers becomes frames.  So one machine (http.c) judges, records,
 * rewrites and answers, whatever the connection speaks.  U is a flow without a client: one
 * connection to D's upstream, made when the first stream of a bond (bond.h) may pass; if the upstream
 * chose h2, V's server leg is virtual too, joined to a stream of the U of its bond; if not, each V has
 * a connection.  A U that D leaves behind is kept for a moment, for the next D (idle.h).
 *
 * Flow control is end to end: a window is opened again only as far as text was taken from it, and
 * text is made only while the leg has room.
 *
 * Ownership: D owns its V and U, one D at a time; a kept U has none.  V owns its links.  A session
 *            and a link know each other, and either may go first.
 * Limits:    CV_H2_* in limits.h: what a peer sends beyond them ends its session.
 */
#pragma once
#include "proxy/flow.h"
#include "wire/h2_frame.h"
#include "wire/h2_head.h"
#include "wire/h2_ids.h"

#include <nghttp2/nghttp2.h>

struct cv_proxy;

enum cv_h2_out {
	CV_H2_OUT_HEAD, /* the text that is put starts with a head */
	CV_H2_OUT_BODY, /* ... is a body's */
	CV_H2_OUT_DONE,
};

/* What joins a virtual leg to a stream. */
struct cv_h2_link {
	struct cv_h2 *h2;               /* NULL: the session is gone */
	struct cv_h2_link *prev, *next; /* of the session's */
	struct cv_flow *flow;
	struct cv_leg *leg;
	struct cv_bond bond; /* up: of the request */
	int32_t id;          /* of the stream; -1: not opened yet, or closed */

	/* towards the flow */
	struct cv_ioq raw; /* data that is no text yet */
	struct cv_buf trailers;
	enum cv_h1_body in_kind;
	uint64_t in_left;    /* LENGTH */
	bool is_in_ended;    /* all of it is here */
	bool is_in_told;     /* ... and the text says so */
	bool is_in_cut;      /* no more will come, and it was not the end */
	bool has_in_head;    /* of a response: the final one has come */
	struct cv_buf retry; /* a request without a body, until its response has come */
	bool is_waiting;     /* to be sent once more, on the next connection */
	bool has_retried;

	/* towards the peer */
	enum cv_h2_out out;
	size_t scanned;
	struct cv_body body;
	enum cv_h1_asked asked;
	bool is_deferred;
	uint32_t error; /* that the peer's RST_STREAM gave */
};

/* Of a virtual flow. */
struct cv_stream {
	struct cv_ref owner; /* D */
	struct cv_h2_link down, up;
	bool is_grpc, wants_trailers;
	bool has_dialled; /* its own connection, to an upstream of HTTP/1.1 */
};

struct cv_h2_rate { /* a bucket of tokens: what is left, in thousandths */
	int64_t left, at_ms;
};

enum cv_h2_upstream { CV_H2_UPSTREAM_UNKNOWN, CV_H2_UPSTREAM_H2, CV_H2_UPSTREAM_H1 };

/* Of D or U. */
struct cv_h2 {
	struct cv_proxy *p;
	struct cv_flow *flow;
	nghttp2_session *session; /* NULL: of U, until it is known that it speaks h2 */
	bool is_client;           /* U */
	bool is_dirty;            /* frames may wait to be sent */
	bool is_over;             /* GOAWAY was said by us; nothing new is taken */
	bool is_draining;         /* GOAWAY was said by the peer */
	struct cv_h2_link *links;
	uint32_t link_count;

	struct cv_h2_fields fields; /* of the block that is being read */
	bool has_block;
	struct cv_h2_scan scan;
	struct cv_h2_ids ids;
	uint32_t continuations;
	struct cv_h2_rate control, resets;
	const char *abuse;    /* not NULL: what the peer overdid, or did wrong */
	uint32_t abuse_error; /* ... which: what it did wrong */

	enum cv_h2_upstream upstream;          /* D */
	struct cv_ref up[CV_H2_UPSTREAMS_MAX]; /* D: its U of several bonds; UINT32_MAX: none */
	uint32_t up_next;                      /* ... to be forgotten for another */
	struct cv_ref owner;                   /* U: its D; UINT32_MAX: kept */
	struct cv_bond bond;                   /* U: of all its streams */
	bool is_private;                       /* U: never kept */
	bool is_untried;                       /* U: was kept, and has said nothing since */
	int64_t since_ms;                      /* U: when it was kept */
};

struct cv_h2_kept { /* sessions that nobody uses just now */
	struct cv_ref v[CV_PROXY_IDLE_SESSIONS_MAX];
	uint32_t count; /* an upper bound */
};

/* ---- h2.c: sessions of either side ---- */

CV_MUST bool cv_h2_new(struct cv_proxy *p, struct cv_flow *f, bool is_client);
CV_MUST bool cv_h2_session_start(struct cv_h2 *h2);
/* Links stay, cut off; frames that were not sent are lost. */
void cv_h2_free(struct cv_flow *f);
/* Reads what leg has; false when the session can't go on. */
bool cv_h2_receive(struct cv_h2 *h2, struct cv_leg *leg);
/* In the phase of sends: frames into leg, and leg to its socket. */
void cv_h2_send(struct cv_h2 *h2);
void cv_h2_send_all(struct cv_proxy *p); /* of all sessions that are dirty */
void cv_h2_mark(struct cv_h2 *h2);       /* it is */
/* Says GOAWAY and ends all streams. */
void cv_h2_terminate(struct cv_h2 *h2, uint32_t error);
/* Counts; false when the peer overdid it. */
bool cv_h2_rate_take(struct cv_h2_rate *r, int64_t now_ms, int64_t per_s, int64_t max);
void cv_h2_link_add(struct cv_h2 *h2, struct cv_h2_link *link);
void cv_h2_idle(
	struct cv_h2 *h2); /* its last link went: from now on it has a deadline of its own */

/* ---- h2_down.c ---- */

void cv_h2_down_start(struct cv_proxy *p, struct cv_flow *f); /* f speaks HTTP/2 from here on */
bool cv_h2_down_step(struct cv_proxy *p, struct cv_flow *f);
void cv_h2_down_timeout(struct cv_proxy *p, struct cv_flow *f);
void cv_h2_down_head(struct cv_h2 *h2, int32_t id, bool is_ended); /* fields has a request */
/* Ends what f owns; before its own end is recorded, so that the counts are whole. */
void cv_h2_down_drop(struct cv_proxy *p, struct cv_flow *f);
/* The counts of f's server leg, of a V or U, are its owner's. */
void cv_h2_count(struct cv_proxy *p, struct cv_flow *f);
/* A stream's, or an upstream connection's, with d's facts; NULL when there is none left. */
struct cv_flow *cv_h2_inner_new(struct cv_proxy *p, const struct cv_flow *d);
void cv_h2_stream_end(struct cv_proxy *p, struct cv_flow *v); /* both its legs */

/* ---- h2_up.c ---- */

/* V's upstream, as cv_tls_server_shake() for it. */
enum cv_tls_step cv_h2_upstream(struct cv_proxy *p, struct cv_flow *v);
bool cv_h2_up_step(struct cv_proxy *p, struct cv_flow *u);
/* U could not be connected: its streams are told.  reason is of the step's arena. */
void cv_h2_up_fail(struct cv_proxy *p, struct cv_flow *u, unsigned denial, const char *word);
void cv_h2_up_timeout(struct cv_proxy *p, struct cv_flow *u);
/* u's session runs: the streams that wait for it are told. */
void cv_h2_up_run(struct cv_proxy *p, struct cv_flow *u);
void cv_h2_up_drop(struct cv_proxy *p, struct cv_flow *u); /* its streams are cut off */
/* The upstream never looked at the request: once more, on a connection that takes streams. */
void cv_h2_up_rejoin(struct cv_proxy *p, struct cv_h2_link *link);
void cv_h2_up_head(struct cv_h2_link *link, bool is_ended); /* fields has a response */

/* ---- h2_kept.c ---- */

/* u's owner goes: u is kept instead of ended, if it may be. */
CV_MUST bool cv_h2_keep(struct cv_proxy *p, struct cv_flow *u);
/* A session is kept that d's streams, or those of the D that d may become, might take. */
bool cv_h2_kept_is_there(struct cv_proxy *p, struct cv_flow *d);
/* u, whose addresses are checked, takes a kept session in place of its own, if there is one for it. */
CV_MUST bool cv_h2_kept_take(struct cv_proxy *p, struct cv_flow *u);
/* Ends those that are kept: all, or those whose bonds are over. */
void cv_h2_kept_clear(struct cv_proxy *p, bool is_over_only);

/* ---- vleg.c: virtual legs ---- */

void cv_vleg_open(struct cv_leg *leg, struct cv_iopool *pool, struct cv_h2_link *link);
void cv_vleg_close(struct cv_leg *leg, bool is_reset);
bool cv_vleg_fill(struct cv_leg *leg);
void cv_vleg_flush(struct cv_leg *leg);
bool cv_vleg_has_more(const struct cv_leg *leg);

/* From the session: what the stream brought.  False: that can't be (too much, or no room). */
CV_MUST bool cv_vleg_data(struct cv_h2_link *link, struct cv_str data);
CV_MUST bool cv_vleg_trailers(struct cv_h2_link *link, const struct cv_h2_fields *f);
CV_MUST bool cv_vleg_end(struct cv_h2_link *link);
void cv_vleg_cut(struct cv_h2_link *link, uint32_t error);
/* Of a session that broke before it said a word: the request is sent once more, by another. */
CV_MUST bool cv_vleg_repeat(struct cv_h2_link *link);
/* The stream is closed: nothing can be sent any more. */
void cv_vleg_closed(struct cv_h2_link *link, uint32_t error);
