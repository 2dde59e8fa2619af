/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow.h - one connection of the sandbox, and the one to its destination
 *
 * Ownership: a flow belongs to the proxy's pool; events and queues hold its index and generation.
 * Limits:    CV_PROXY_FLOWS_MAX, CV_PROXY_STREAMS_MAX; times per state in the table below.
 */
#pragma once
#include "ipc/broker_link.h"
#include "policy/policy.h"
#include "proxy/body.h"
#include "proxy/hold.h"
#include "proxy/identity.h"
#include "proxy/leg.h"
#include "sys/loop.h"
#include "wire/dns.h"
#include "wire/host.h"

/* clang-format off */
/* State, how long it may last (0: its owner sets the deadline), and the states that may follow.
 *
 * HEAD     the explicit proxy waits for a request's head (which stays in the buffer until sent on)
 * QUIET    a transparent connection was refused; it gets words if it turns out to speak HTTP
 * RESOLVE  policy said yes; addresses are looked up, then checked
 * HELD     everything said yes; its audit event is written at the end of this turn
 * DIAL     the checked addresses are raced
 * FORWARD  connected to an upstream proxy, which was asked for the destination
 * PEEK     connected; whoever speaks first shows what is spoken
 * LEAF     TLS for a name whose leaf the keeper was asked for
 * ACCEPT   TLS handshake with the sandbox
 * HTTP     requests and responses, one after the other
 * RELAY    bytes, both ways
 * H2       a connection that carries streams, each a flow of its own (h2.h)
 * H2_UP    the connection to their upstream; it has no client
 * WEBSOCKET  frames, both ways, taken apart and written anew
 * PG       PostgreSQL: its own phases are in postgres_int.h
 * DNS      queries over TCP
 * CLOSING  last bytes towards the sandbox; what still comes from it is thrown away
 * DYING    freed at the end of the turn */
#define CV_FLOW_STATES(X)                                                                      \
	X(FREE,    0, BIT(HEAD) | BIT(QUIET) | BIT(RESOLVE) | BIT(DNS) | BIT(DYING) |          \
			   BIT(HTTP) | BIT(H2_UP) | BIT(PEEK))                                             \
	X(HEAD,    0, BIT(RESOLVE) | BIT(HTTP) | BIT(HELD) | BIT(PEEK))                                    \
	X(QUIET,   CV_PROXY_QUIET_MS, 0)                                                       \
	X(RESOLVE, CV_PROXY_RESOLVE_MS, BIT(HELD) | BIT(QUIET))                                \
	X(HELD,    0, BIT(DIAL))                                                               \
	X(DIAL,    CV_PROXY_DIAL_MS, BIT(PEEK) | BIT(HTTP) | BIT(RELAY) | BIT(H2_UP) |         \
				     BIT(PG) | BIT(FORWARD))                                   \
	X(FORWARD, CV_PROXY_FORWARD_MS, BIT(PEEK) | BIT(HTTP) | BIT(RELAY) | BIT(H2_UP) |      \
					BIT(PG))                                               \
	X(PEEK,    CV_PROXY_IDLE_MS, BIT(LEAF) | BIT(ACCEPT) | BIT(HTTP) | BIT(RELAY) |        \
				     BIT(H2))                                                  \
	X(LEAF,    CV_PROXY_HANDSHAKE_MS, BIT(ACCEPT))                                         \
	X(ACCEPT,  CV_PROXY_HANDSHAKE_MS, BIT(PEEK) | BIT(H2) | BIT(PG))                       \
	X(HTTP,    CV_PROXY_IDLE_MS, BIT(HEAD) | BIT(RELAY) | BIT(RESOLVE) | BIT(WEBSOCKET)) \
	X(RELAY,   CV_PROXY_IDLE_MS, 0)                                                        \
	X(H2,      CV_PROXY_IDLE_MS, 0)                                                        \
	X(H2_UP,   CV_PROXY_HANDSHAKE_MS, 0)                                                   \
	X(WEBSOCKET, CV_PROXY_IDLE_MS, 0)                                                      \
	X(PG,      CV_PROXY_PG_START_MS, BIT(LEAF))                                            \
	X(DNS,     CV_PROXY_HEAD_MS, 0)                                                        \
	X(CLOSING, CV_PROXY_IDLE_MS, 0)                                                        \
	X(DYING,   0, BIT(FREE))
/* CLOSING and DYING may follow any state but FREE and DYING. */
/* clang-format on */

#define CV_FLOW_ENUM(name, ms, to) CV_FLOW_##name,
enum cv_flow_state { CV_FLOW_STATES(CV_FLOW_ENUM) CV_FLOW_STATE_COUNT };
#undef CV_FLOW_ENUM

const char *cv_flow_state_name(enum cv_flow_state s);

enum cv_http_phase {
	CV_HTTP_REQUEST_HEAD, /* waiting for a head, or for the upstream that it needs */
	CV_HTTP_EXCHANGE,     /* request sent on; bodies and responses pass */
};

enum cv_server_tls {
	CV_SERVER_PLAIN,
	CV_SERVER_TLS_LATER, /* before anything is said to it */
	CV_SERVER_SHAKING,
	CV_SERVER_TLS,
	CV_SERVER_TLS_FAILED, /* for good: flow.failure says why */
};

/* A request that waits for a person, or has: approve.h. */
struct cv_approval {
	enum { CV_APPROVAL_NONE, CV_APPROVAL_HELD, CV_APPROVAL_ANSWERED } state;
	enum cv_approval_answer answer;
	uint64_t id; /* of ASK */
};

struct cv_http {
	enum cv_http_phase phase;
	size_t scanned, response_scanned; /* of the heads */
	struct cv_body up, down;
	enum cv_h1_asked asked;
	bool is_decided;     /* the head in the buffer may pass; only the upstream is missing */
	bool is_tool_judged; /* the route to host tools lets it pass */
	bool is_tool_call;   /* ... to the broker, who records each call */
	bool is_counted;     /* by budgets: a head that waits is judged again, and counted once */
	bool has_response;   /* its head has passed */
	bool is_late;        /* the request waits for a connection that is looked for only now */
	bool is_repeatable;  /* ... and may be sent twice */
	bool wants_new;      /* ... which nobody has used before: it asks for another protocol */
	bool is_replayed;    /* it is being sent a second time */
	bool client_closes;  /* after this response the sandbox's side is closed */
	bool server_closes;
	bool wants_upgrade; /* 101 may be answered */
	bool is_minted;     /* the response's tokens were taken in: it may pass */
	bool to_http10;     /* the request was HTTP/1.0: no chunks towards the sandbox */
	uint32_t count;     /* requests sent on */
	size_t kept_bytes; /* of the head, still in the buffer: until the upstream says something */
	struct cv_str method, path,
		query; /* of the exchange, where requests are decided; owned, one block */
	struct cv_verdict verdict; /* of the request, where requests are decided */
	struct cv_approval approval;
};

struct cv_attempt {   /* a socket that is being connected */
	int fd;       /* owned */
	uint8_t addr; /* of flow.addr */
	int64_t since_ms;
};

struct cv_call_routes;
struct cv_local;
struct cv_mint;

struct cv_flow {
	enum cv_flow_state state;
	uint32_t index, gen, next_free;
	bool is_queued, is_touched; /* in the run queue; in this turn's list */
	bool is_decided; /* in this turn something was allowed, and its event is not written yet */
	bool is_transparent;
	bool is_tunnel;    /* CONNECT was answered, or transparent: what follows is the tunnel's */
	bool is_allowed;   /* an event said so: its end is recorded too */
	bool is_tools;     /* towards the broker of host tools: its verdict is given */
	bool is_routed;    /* ours towards a route of inference.local: its verdict is given */
	bool is_forwarded; /* connected by way of the upstream proxy */
	uint32_t
		forward_tag; /* FORWARD: the keeper is asked what to show it; 0: not, or it has said */
	bool is_leaf_asked;
	bool is_tls;              /* the sandbox's side speaks TLS that we end */
	bool is_inner;            /* a stream of HTTP/2 or its upstream: part of another flow */
	struct cv_stream *stream; /* owned; not NULL: a virtual flow */
	struct cv_h2 *h2;         /* owned; not NULL: carries streams */
	enum cv_server_tls server_tls;

	struct cv_leg client, server;
	struct cv_hold *hold;      /* owned; NULL: the request is in the client's buffer */
	struct cv_mint *mint;      /* owned; NULL: no answer with tokens is held */
	struct cv_flow_cred *cred; /* owned; NULL: no credential was asked for */
	struct cv_flow_middleware *middleware; /* owned; NULL: none concerns the request */
	struct cv_who *who;                    /* owned, except by inner flows; NULL: no record */
	const char *who_problem;
	struct cv_ip src_ip, dst_ip; /* of the accepted socket */
	uint16_t src_port, dst_port;

	/* The destination that was decided on. */
	struct cv_host host;
	uint16_t port;
	struct cv_policy *policy;      /* referenced: the snapshot that decided */
	struct cv_call_routes *routes; /* referenced: with is_routed, those that it was made from */
	struct cv_verdict verdict;

	struct cv_ip addr[CV_DNS_ADDRS_MAX]; /* checked; or the upstream proxy's */
	uint8_t addr_count, addr_next;
	struct cv_ip dialled; /* of the destination, also when forwarded */
	struct cv_attempt attempt[CV_PROXY_ATTEMPTS_MAX]; /* DIAL: oldest first */
	uint8_t attempt_count;
	int64_t attempt_next_ms; /* when one more address is tried */

	struct cv_http http;
	struct cv_local *local;  /* owned; NULL unless answered here (local.h) */
	struct cv_websocket *ws; /* owned; NULL: none asked for */
	struct cv_pg *pg;        /* owned; NULL where PostgreSQL is not spoken */
	int64_t deadline_ms, started_ms;
	bool is_lingering;    /* CLOSING: all is sent, and the moment of grace has begun */
	size_t drained;       /* ... and so much was thrown away */
	uint64_t bytes_spent; /* what budgets have counted */
	uint64_t closed_up, closed_down; /* of server legs that this flow has had before */
	char failure[160];               /* why the upstream's TLS failed; for the 502 */
};

struct cv_flow_pool {
	struct cv_flow *v; /* max of them, touched only as they are used */
	uint32_t max, used;
	uint32_t inner, accepted_max; /* used by inner flows; the most that may not be inner */
	uint32_t free;                /* the slot to use next; max when there is none */
	uint32_t high;                /* slots that were ever used: none behind is touched */
};

CV_MUST cv_code cv_flow_pool_init(struct cv_flow_pool *pool, uint32_t max, struct cv_err *err);

/* Connections are accepted only while this holds. */
static inline bool cv_flow_pool_has_room(const struct cv_flow_pool *pool)
{
	return pool->used - pool->inner < pool->accepted_max && pool->used < pool->max;
}
void cv_flow_pool_fini(struct cv_flow_pool *pool);

/* A zeroed flow in state FREE, or NULL when all are in use. */
struct cv_flow *cv_flow_new(struct cv_flow_pool *pool);
struct cv_flow *cv_flow_new_inner(struct cv_flow_pool *pool);
void cv_flow_free(struct cv_flow_pool *pool, struct cv_flow *f); /* must be DYING */

/* The flow that ref names, or NULL if it ended. */
struct cv_flow *cv_flow_get(struct cv_flow_pool *pool, struct cv_ref ref);

static inline struct cv_ref cv_flow_ref(const struct cv_flow *f)
{
	return (struct cv_ref){ f->index, f->gen };
}

/* The only writer of the state; sets the state's deadline. */
void cv_flow_set_state(struct cv_flow *f, enum cv_flow_state next, int64_t now_ms);
