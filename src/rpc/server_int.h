/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_int.h - what the files of the server share
 *
 *     server.c   listeners, the turn, clocks
 *     conn.c     one connection: bytes in and out, TLS, which protocol
 *     h2.c h1.c  protocols: bytes to exchanges, exchanges to bytes
 *     xchg.c     one exchange: routing, who calls, memory, the end
 *     grpc.c     an exchange as a call          call.c   what handlers of calls use
 *     pages.c    an exchange as a request, and what pages use
 *     relay.c    an exchange for another host
 *     tunnel.c   a connection of HTTP/2 within a WebSocket
 *
 * Everything happens in the turn, in rounds of three steps: connections receive (and so exchanges
 * become due), due exchanges run (handlers are called, and queue), connections send.  So no handler
 * runs inside the library's callbacks or inside another handler, and what a turn queues goes out in
 * one write.
 */
#pragma once
#include "base/buf.h"
#include "rpc/call_int.h"
#include "rpc/frame.h"
#include "rpc/limits.h"
#include "rpc/pages.h"
#include "rpc/server.h"
#include "wire/chunk.h"
#include "wire/h1.h"
#include "wire/h2_frame.h"
#include "wire/h2_ids.h"
#include "wire/ws.h"
#include "wire/ws_handshake.h"

#include <nghttp2/nghttp2.h>

struct cv_rpc_conn;

/* ---- exchanges ---- */

enum cv_rpc_xchg_kind {
	CV_RPC_XCHG_NEW,   /* its head is not judged yet */
	CV_RPC_XCHG_CALL,  /* of a method */
	CV_RPC_XCHG_PAGE,  /* of a page */
	CV_RPC_XCHG_RELAY, /* of another host */
	CV_RPC_XCHG_OVER,  /* answered without either */
};

struct cv_rpc_request { /* the part of an exchange that pages see */
	const struct cv_rpc_page *page;
	const char *route; /* NULL: page->path */
	void *state;
	int status;
	bool is_seen, is_started, is_ended;
};

struct cv_rpc_xchg {
	struct cv_rpc_server *server;
	struct cv_rpc_conn *conn;        /* NULL: the stream or the connection is gone */
	struct cv_rpc_xchg *prev, *next; /* of the connection */
	struct cv_rpc_xchg *next_due;
	int32_t id; /* of the stream; 0: HTTP/1 */
	uint8_t kind;
	bool is_due, wants_writable;

	/* The request. */
	struct cv_arena arena;
	struct cv_str method, path, query, host; /* path without query */
	struct cv_rpc_field fields[CV_RPC_FIELDS_MAX];
	size_t field_count, head_bytes;
	bool is_head_done, is_head_long, has_query;
	bool is_relay, is_upgrade; /* its host is not ours; it asks for another protocol */
	bool is_foreign;           /* what it calls this machine is not one of its own names */
	struct cv_str ws_key; /* of an upgrade to WebSocket; empty: it is none, for this reason */
	const char *ws_why;   /* NULL: it asks for no upgrade */
	struct cv_buf in;
	size_t unconsumed; /* bytes in `in` for which the peer has no new window yet */
	size_t owed;       /* of them, those for which the connection has none either */
	bool is_in_ended;
	struct cv_rpc_frame_reader frames; /* of a call */
	ProtobufCMessage *request;         /* the one of a unary call, ... */
	struct cv_arena message; /* ... unpacked here: a full arena keeps no status back */
	char request_id[CV_RPC_REQUEST_ID_BYTES_MAX + 1];
	struct cv_principal who;

	/* The response: head, then what is in out, then the end (with trailers). */
	struct cv_buf out;
	bool is_head_sent, is_out_ended, has_trailers, is_headless; /* HEAD: no body goes */
	bool is_full;                                               /* writable() is owed */
	size_t held; /* of all this, counted in the server's sum */

	struct cv_rpc_call call;
	struct cv_rpc_request page;
	int64_t began_us;    /* its head was judged; 0: never */
	int64_t read_ms;     /* the last byte of its body */
	int64_t answered_ms; /* when the answer was whole before the request was; 0 */
	size_t discarded;    /* bytes that came after that */
};

/* ---- connections ---- */

enum cv_rpc_conn_state {
	CV_RPC_CONN_HANDSHAKE,
	CV_RPC_CONN_PREFACE, /* which protocol? */
	CV_RPC_CONN_H1,
	CV_RPC_CONN_H2,
	CV_RPC_CONN_LINGER, /* our side is shut; what comes is thrown away */
};

struct cv_rpc_rate { /* a bucket; in thousandths */
	int64_t left, at_ms;
};

struct cv_rpc_tunnel { /* tunnel.c */
	struct cv_ws in;
	struct cv_buf proof; /* what was presented */
	char owner[CV_RPC_SUBJECT_BYTES_MAX];
	char pong[CV_WS_CONTROL_BYTES_MAX]; /* what is owed */
	uint8_t pong_bytes;
	bool has_pong, is_close_sent;
	uint16_t code; /* of our close frame */
};

struct cv_rpc_conn {
	struct cv_rpc_server *server;
	struct cv_rpc_conn *prev, *next, *next_dirty;
	struct cv_ref ref;
	int fd;
	SSL *ssl;
	X509 *certificate; /* verified; NULL */
	uint8_t state;
	bool can_read, can_write, has_hangup, is_eof, is_broken;
	bool is_known;            /* a call that not everybody may make was let in */
	bool has_more;            /* text of TLS that was taken from the socket already */
	uint16_t port;            /* ours, where it must be named; 0 */
	bool is_older;            /* as its listener */
	const char *const *paths; /* the same */
	bool is_dirty, is_loopback, is_ending; /* closed as soon as all is sent */
	struct cv_buf in;                      /* HTTP/1, and the preface */
	struct cv_buf out;                     /* what the socket did not take */
	struct cv_rpc_xchg *xchgs;
	uint32_t xchg_count;
	int64_t since_ms, read_ms, sent_ms; /* its state, last bytes in and out */
	int64_t idle_ms;                    /* without an exchange since */

	/* HTTP/2 */
	nghttp2_session *h2;
	struct cv_h2_scan scan;
	struct cv_h2_ids ids;
	struct cv_rpc_rate control, resets;
	uint32_t continuations;
	bool is_pinged;
	const char *abuse;
	uint32_t abuse_error;         /* what was done wrong; 0: too much was done */
	struct cv_rpc_tunnel *tunnel; /* NULL: HTTP/2 is on the connection itself */

	/* HTTP/1 */
	size_t scanned;
	struct cv_chunk *chunk; /* of a chunked body */
	uint64_t body_left;
	bool is_keep_alive, is_h1_busy, is_chunked_out, has_body_length;
	bool is_raw;       /* switched to another protocol */
	bool is_body_held; /* what is in `in` waits until a relay's handler has taken some */
	bool is_looked_at,
		is_clear; /* plaintext where TLS is spoken: for hosts that are not ours */
};

/* ---- the server ---- */

struct cv_rpc_listener {
	int fd;
	SSL_CTX *tls; /* NULL: plaintext */
	bool can_accept;
	bool is_older;            /* its clients speak dialect.h */
	const char *const *paths; /* all that is served there; NULL: everything */
};

struct cv_rpc_slot {
	struct cv_rpc_conn *conn;
	uint32_t gen, next_free;
};

struct cv_rpc_server {
	struct cv_rpc_server_config config;
	const struct cv_rpc_method **methods; /* sorted by service, then name */
	struct cv_rpc_listener listeners[CV_RPC_LISTENERS_MAX];
	size_t listener_count;
	struct cv_rpc_slot *slots;
	uint32_t slot_count, slot_free;
	struct cv_rpc_conn *conns, *dirty, **dirty_tail;
	uint32_t conn_count, conns_max, tunnel_count;
	struct cv_rpc_xchg *due, **due_tail;
	struct cv_rpc_call *timed; /* calls with a deadline */
	int64_t deadline_ms;       /* the first of theirs */
	int64_t deadline_looked_ms, sweep_ms, accept_ms;
	size_t held;
	bool is_draining;
	bool is_behind;          /* the last round's writes were slow */
	struct cv_arena message; /* of one message of a stream */
	unsigned char random[1024];
	size_t random_left;
	char io[CV_RPC_IO_BYTES];
};

/* server.c */
void cv_rpc_conn_forget(struct cv_rpc_server *s, struct cv_rpc_conn *c); /* frees its slot */
void cv_rpc_due(struct cv_rpc_xchg *x);
void cv_rpc_dirty(struct cv_rpc_conn *c);
void cv_rpc_random(struct cv_rpc_server *s, unsigned char *ret, size_t n);

/* conn.c */
struct cv_rpc_conn *cv_rpc_conn_new(struct cv_rpc_server *s, int fd, SSL_CTX *tls);
void cv_rpc_conn_free(struct cv_rpc_conn *c); /* its exchanges are told, later */
void cv_rpc_conn_receive(struct cv_rpc_conn *c);
void cv_rpc_conn_send(struct cv_rpc_conn *c);
bool cv_rpc_conn_wants_read(const struct cv_rpc_conn *c);
bool cv_rpc_conn_is_over(const struct cv_rpc_conn *c);
void cv_rpc_conn_sweep(struct cv_rpc_conn *c, int64_t now_ms);
void cv_rpc_conn_drain(struct cv_rpc_conn *c);
void cv_rpc_conn_tunnel(struct cv_rpc_conn *c); /* is HTTP/2 from now on, within frames */

/* h2.c */
CV_MUST bool cv_rpc_h2_start(struct cv_rpc_conn *c);
void cv_rpc_h2_receive(struct cv_rpc_conn *c, struct cv_str bytes);
size_t cv_rpc_h2_fill(struct cv_rpc_conn *c, char *to, size_t room);
void cv_rpc_h2_head(struct cv_rpc_xchg *x, int status, const struct cv_rpc_field *fields,
	size_t count, bool has_body);
void cv_rpc_h2_resume(struct cv_rpc_xchg *x);
void cv_rpc_h2_consume(struct cv_rpc_xchg *x, size_t n);
void cv_rpc_h2_lend(struct cv_rpc_xchg *x); /* to the connection, what the stream still owes */
void cv_rpc_h2_reset(struct cv_rpc_xchg *x, uint32_t error);
void cv_rpc_h2_sweep(struct cv_rpc_conn *c, int64_t now_ms);
void cv_rpc_h2_ping(struct cv_rpc_conn *c);
void cv_rpc_h2_goaway(struct cv_rpc_conn *c, uint32_t error);
bool cv_rpc_h2_wants_write(const struct cv_rpc_conn *c);
void cv_rpc_h2_nothing(struct cv_rpc_conn *c); /* a frame came that carries nothing */

/* tunnel.c */
#define CV_RPC_TUNNEL_CONTROL_BYTES (CV_WS_HEAD_BYTES_MAX + CV_WS_CONTROL_BYTES_MAX)
void cv_rpc_tunnel_begin(struct cv_rpc_conn *c);
void cv_rpc_tunnel_receive(struct cv_rpc_conn *c, struct cv_str bytes);
/* n bytes as a frame, in place: there is room for a head before them. */
struct cv_str cv_rpc_tunnel_frame(char *payload, size_t n);
struct cv_str cv_rpc_tunnel_control(
	struct cv_rpc_conn *c, char room[static CV_RPC_TUNNEL_CONTROL_BYTES]);
void cv_rpc_tunnel_free(struct cv_rpc_conn *c);

/* h1.c */
void cv_rpc_h1_receive(struct cv_rpc_conn *c);
void cv_rpc_h1_head(struct cv_rpc_xchg *x, int status, const struct cv_rpc_field *fields,
	size_t count, bool has_body);
void cv_rpc_h1_switch(struct cv_rpc_xchg *x, const struct cv_rpc_field *fields, size_t count);
void cv_rpc_h1_fill(struct cv_rpc_conn *c); /* moves what is queued into c->out */

/* xchg.c */
struct cv_rpc_xchg *cv_rpc_xchg_new(struct cv_rpc_conn *c, int32_t id);
bool cv_rpc_xchg_field(struct cv_rpc_xchg *x, struct cv_str name, struct cv_str value);
struct cv_str cv_rpc_xchg_get(const struct cv_rpc_xchg *x, const char *name);
struct cv_str cv_rpc_xchg_assertion(const struct cv_rpc_xchg *x);
void cv_rpc_xchg_target(struct cv_rpc_xchg *x, struct cv_str target); /* path and query */
void cv_rpc_xchg_identify(struct cv_rpc_xchg *x); /* request_id, unless it has one */
CV_MUST bool cv_rpc_xchg_data(struct cv_rpc_xchg *x, struct cv_str bytes);
void cv_rpc_xchg_detach(struct cv_rpc_xchg *x); /* its stream is gone */
void cv_rpc_xchg_run(struct cv_rpc_xchg *x);
bool cv_rpc_xchg_may_write(const struct cv_rpc_xchg *x); /* its run may wait for a disk */
void cv_rpc_xchg_account(struct cv_rpc_xchg *x);
void cv_rpc_xchg_sent(struct cv_rpc_xchg *x); /* bytes of out went */
void cv_rpc_xchg_head(struct cv_rpc_xchg *x, int status, const struct cv_rpc_field *fields,
	size_t count, bool has_body);
void cv_rpc_xchg_wake(struct cv_rpc_xchg *x); /* out has more, or its end */
void cv_rpc_xchg_late(struct cv_rpc_xchg *x); /* the rest of its request does not come */
uint32_t cv_rpc_xchg_bytes_max(const struct cv_rpc_rule *rule); /* of a message or body */
void cv_rpc_xchg_abort(struct cv_rpc_xchg *x);                  /* its answer can't go on */
enum cv_rpc_status cv_rpc_xchg_judge(
	struct cv_rpc_xchg *x, const struct cv_rpc_rule *rule, struct cv_err *err);

/* grpc.c */
extern const struct cv_rpc_carrier cv_rpc_grpc_carrier;
void cv_rpc_grpc_begin(struct cv_rpc_xchg *x, const struct cv_rpc_method *m);
void cv_rpc_grpc_unknown(struct cv_rpc_xchg *x);
void cv_rpc_grpc_run(struct cv_rpc_xchg *x);
bool cv_rpc_is_grpc(struct cv_str content_type);
/* Fills ret; returns how many. */
size_t cv_rpc_grpc_trailers(
	struct cv_rpc_xchg *x, struct cv_rpc_field ret[static CV_RPC_TRAILERS_MAX + 2]);

/* relay.c */
/* Never where a port is for some pages alone. */
bool cv_rpc_relay_claims(const struct cv_rpc_conn *c, struct cv_str host);
void cv_rpc_relay_begin(struct cv_rpc_xchg *x);
void cv_rpc_relay_run(struct cv_rpc_xchg *x);
void cv_rpc_relay_over(struct cv_rpc_xchg *x);

/* pages.c */
void cv_rpc_page_begin(struct cv_rpc_xchg *x);
void cv_rpc_page_run(struct cv_rpc_xchg *x);
void cv_rpc_page_over(struct cv_rpc_xchg *x);
/* An answer without a page. */
void cv_rpc_xchg_refuse(struct cv_rpc_xchg *x, int status, const char *text);
/* The program is told what became of a request. */
void cv_rpc_xchg_requested(const struct cv_rpc_xchg *x, const char *route, int status);
