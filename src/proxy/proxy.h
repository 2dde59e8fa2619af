/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy.h - what cove-proxy holds, and the order in which a turn of its loop goes
 *
 *     wait for events -> mark whom they concern -> step each of those (read, decide, write into
 *     buffers) -> write the audit events of this turn -> send the buffers -> free what ended
 *
 * The struct is the process: made in main.c, handed to the parts.  Each part has its own header
 * and its own struct; they are gathered here only so that a flow's step can reach them.
 */
#pragma once
#include "ipc/keeper_link.h"
#include "plan/forward.h"
#include "plan/toolmap.h"
#include "policy/policy.h"
#include "proxy/budget.h"
#include "proxy/cred.h"
#include "proxy/flow.h"
#include "proxy/h2.h"
#include "proxy/identity.h"
#include "proxy/idle.h"
#include "proxy/middleware.h"
#include "proxy/names.h"
#include "proxy/resolve.h"
#include "proxy/scrub.h"
#include "proxy/sink.h"
#include "proxy/spool.h"
#include "sys/loop.h"
#include "sys/netns.h"
#include "tls/client.h"
#include "tls/leaves.h"
#include "tls/server.h"
#include "wire/h1.h"

enum cv_watch_kind { /* of the loop */
	CV_WATCH_LINK,
	CV_WATCH_KEEPER,
	CV_WATCH_TCP,    /* index: which listener */
	CV_WATCH_UDP,    /* index: which socket */
	CV_WATCH_CLIENT, /* ref: the flow */
	CV_WATCH_SERVER, /* ref: the flow */
	CV_WATCH_LOOKUP, /* ref: the lookup */
	CV_WATCH_IDLE,   /* ref: the kept connection */
	CV_WATCH_BROKER,
};

struct cv_leaf_wait { /* a name that the keeper was asked for */
	struct cv_host host;
	uint32_t tag; /* 0: free */
};

struct cv_forwarding {            /* forward.c */
	struct cv_forward *words; /* owned; NULL: every destination is connected to directly */
	bool has_secret;          /* the keeper has: it is asked for each connection */
	bool is_by_name;
	uint32_t tag;
};

struct cv_proxy {
	struct cv_loop loop;
	struct cv_iopool io;
	struct cv_flow_pool flows;
	struct cv_idles idles;
	struct cv_h2_kept h2_kept;

	/* Indices of flows: to be stepped, and stepped in this turn. */
	uint32_t queue[2 * CV_PROXY_POOL_MAX], touched[CV_PROXY_POOL_MAX];
	size_t queue_count, touched_count;
	uint32_t dirty[CV_PROXY_POOL_MAX]; /* flows whose HTTP/2 session may have frames to send */
	size_t dirty_count;
	int64_t next_sweep_ms;

	int link, keeper, diag, broker; /* -1: none */
	bool has_keeper; /* this run has one; keeper is -1 while it is started anew */
	enum cv_interception interception;          /* which decides where a destination is found */
	int tcp[2 + 2 * CV_NETNS_MORE_MAX], udp[2]; /* IPv4, IPv6, in turns */
	uint32_t tcp_count;
	bool is_accepting;
	int64_t accept_after_ms; /* not before: there was no descriptor left */
	struct cv_ipc_link link_in, keeper_in;
	bool is_ready; /* GO came */
	bool is_done;  /* the supervisor is gone */

	struct cv_policy *policy;   /* what the next decision uses; NULL until the first came */
	struct cv_str policy_layer; /* owned; of the run's providers, p NULL without any */
	struct cv_str policy_file, policy_text; /* owned: compiled again when links are resolved */
	struct cv_str
		resolved; /* owned: the supervisor's last answer about them, a RESOLVED body */
	struct cv_identities ids;
	struct cv_sinks sinks;
	struct cv_resolver resolver;

	struct cv_names *names;
	struct cv_tls_server *tls_server;
	struct cv_tls_client *tls_client; /* NULL until the first upstream TLS */
	struct cv_leaves *leaves;
	struct cv_leaf_wait leaf_wait[CV_PROXY_LEAF_WAITS_MAX];
	uint32_t leaf_tag;
	struct cv_creds creds;
	struct cv_scrubs scrubs;
	struct cv_middlewares middlewares;
	uint32_t cred_tag;
	uint32_t bond_age;                      /* of connections that carry a credential: bond.h */
	int roots_fd[CV_PROXY_ROOTS_FILES_MAX]; /* read when the first upstream speaks TLS */
	size_t roots_count;
	struct cv_str roots, hosts; /* owned */

	struct cv_forwarding forward;
	struct cv_str facts[CV_PROXY_FACT_COUNT]; /* of metadata servers; borrow from facts_text */
	char *facts_text;                         /* owned; NULL: no such server */
	struct cv_budgets budgets;
	struct cv_call_routes *routes; /* of inference.local; NULL: not configured */
	struct cv_toolmap toolmap;     /* of host tools */
	bool has_tools;                /* the run has a broker, be it there or not */
	uint64_t ask_id;               /* of the last request that was held for a person */
	uint32_t asks_held;
	bool may_propose;           /* somebody decides proposals of rules: denials say how */
	uint64_t proposal_tag;      /* of the last PROPOSE */
	int64_t proposals_since_ms; /* they are counted by the minute */
	uint32_t proposals;
	size_t local_bytes;                 /* held by answers of our own, of all flows */
	struct cv_spool spool;              /* bodies on disk */
	uint32_t ws_assemblies, ws_waiting; /* WebSockets that hold, or wait for, an assembly */

	/* Scratch of one step: no two uses overlap. */
	struct cv_h1_request request;
	struct cv_h1_response response;
	struct cv_buf h2_names; /* of an HTTP/2 header list on its way out */
	struct cv_buf head;     /* written anew, perhaps with the first of its body */
	struct cv_buf filtered; /* what a body's filter made in one step */
	struct cv_buf stage;    /* of a body on its way */
	struct cv_arena arena;  /* texts of one step's denial */
	char *message;          /* of a link: CV_IPC_BODY_BYTES_MAX + 8 */
};

/* ---- main.c: the loop ---- */

/* f will be stepped in this turn, or the next if this one's stepping is over. */
void cv_proxy_queue(struct cv_proxy *p, struct cv_flow *f);

/* Non-blocking, and told of when it can be read; does nothing for -1. */
void cv_proxy_watch(struct cv_proxy *p, int fd, enum cv_watch_kind kind, uint32_t index);

/* Ends the process: nothing can be done any more.  The supervisor is told why. */
CV_NORETURN void cv_proxy_die(struct cv_proxy *p, const char *why);

/* ---- link.c: the supervisor ---- */

/* Reads what the supervisor sent, as far as it is there. */
void cv_link_drain(struct cv_proxy *p);
void cv_link_start(struct cv_proxy *p); /* everything up to GO, waiting for it */
void cv_link_say(struct cv_proxy *p, uint32_t reply, struct cv_str text);

/* ---- reload.c ---- */

/* POLICY: the old policy stays unless all is well with the new one; POLICY_RESULT is sent. */
void cv_reload_policy(struct cv_proxy *p, struct cv_str file, int fd);
void cv_reload_default(struct cv_proxy *p); /* without a policy, one that allows nothing */
/* RESOLVED: where the literal binaries of the policy lead. */
void cv_reload_aliases(struct cv_proxy *p, struct cv_str body);

/* ---- forward.c: the upstream proxy ---- */

/* From the supervisor.  False: it makes no sense. */
CV_MUST bool cv_forward_take(struct cv_proxy *p, struct cv_str body);
/* From the keeper: what the upstream proxy has to be shown, for one connection. */
CV_MUST bool cv_forward_value_take(struct cv_proxy *p, struct cv_str body);
void cv_forward_keeper_lost(struct cv_proxy *p);
bool cv_forward_wants(
	const struct cv_proxy *p, const struct cv_flow *f, const struct cv_addresses *a);
void cv_forward_choose(struct cv_flow *f, const struct cv_addresses *a); /* f goes by it */
void cv_forward_start(struct cv_proxy *p, struct cv_flow *f);            /* from DIAL */
bool cv_forward_step(struct cv_proxy *p, struct cv_flow *f);
void cv_forward_timeout(struct cv_proxy *p, struct cv_flow *f);

/* ---- keeper.c: leaves ---- */

/* From the supervisor: the run's keeper, or the one that comes after it. */
void cv_keeper_take(struct cv_proxy *p, int link);
void cv_keeper_drain(struct cv_proxy *p);
/* The leaf of f's host, or NULL: then it is waited for (*ret_waits), or can't be had. */
X509 *cv_keeper_leaf(struct cv_proxy *p, struct cv_flow *f, bool *ret_waits);

/* A connection to f's destination that another flow made, or is about to. */
void cv_server_move(struct cv_proxy *p, struct cv_flow *from, struct cv_flow *to);

/* ---- decide.c: policy, and the audit event of each decision ---- */

/* May the caller connect to f->host and f->port?  Sets f->policy and f->verdict; writes nothing. */
bool cv_decide_connect(struct cv_proxy *p, struct cv_flow *f);
/* May this request pass?  path is canonical; writes the event. */
struct cv_verdict cv_decide_request(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path);
/* Every address of a set, against the verdict on its name.  NULL, or the word for the client; then
 * ret_reason (256 bytes) has the sentence. */
const char *cv_decide_addresses(
	struct cv_flow *f, const struct cv_addresses *a, char *ret_reason, size_t size);

/* One fact of a flow, for the record. */
struct cv_fact {
	enum cv_audit_action action;
	enum cv_audit_activity activity;     /* of NET */
	const struct cv_h1_request *request; /* not NULL: an event of HTTP */
	struct cv_str path;                  /* canonical, of request; empty: as it came */
	uint16_t status;                     /* that the sandbox got; 0: not known yet */
	const struct cv_verdict *verdict;    /* NULL: f's */
	const char *engine, *reason_code;
	struct cv_str reason, sni, host; /* host empty: f's */
	bool has_counts;
	const struct cv_audit_pair *extra;
	size_t extra_count;
	struct cv_str protocol;
};
void cv_decide_record(struct cv_proxy *p, struct cv_flow *f, const struct cv_fact *fact);
/* The same of what breaks its protocol's rules; status 0: none was answered. */
void cv_decide_record_refusal(struct cv_proxy *p, struct cv_flow *f, const char *engine,
	const char *slug, const char *text, unsigned status);
/* The sentence of a denial; request NULL: of a connection.  Lives until the step ends. */
struct cv_str cv_decide_reason(struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_verdict *v, const struct cv_h1_request *request, struct cv_str path);
void cv_decide_facts(
	const struct cv_proxy *p, const struct cv_flow *f, enum cv_op op, struct cv_facts *ret);
/* After a new policy: does the flow, which passes bytes unseen, still stand? */
bool cv_decide_again(struct cv_proxy *p, struct cv_flow *f);
/* The same for the exchange under way, which keeps the policy it began with; false: recorded. */
bool cv_decide_exchange_again(struct cv_proxy *p, struct cv_flow *f);

/* ---- accept.c ---- */

void cv_accept(struct cv_proxy *p, unsigned listener);
/* Listeners are watched while there is a free flow. */
void cv_accept_watch(struct cv_proxy *p, bool want);
/* Says in the audit what this sandbox's interception lacks, if it does. */
void cv_accept_record(struct cv_proxy *p);
uint16_t cv_accept_port(int listener); /* 0: unknown */

/* ---- dnsd.c ---- */

void cv_dnsd_read(struct cv_proxy *p, unsigned socket);
bool cv_dnsd_step(struct cv_proxy *p, struct cv_flow *f); /* TCP */

/* ---- flow steps: true when something moved, so that another round is worth it ---- */

bool cv_step(struct cv_proxy *p, struct cv_flow *f);
void cv_flow_timeout(struct cv_proxy *p, struct cv_flow *f);
/* Both sides closed; its end is recorded.  reset: the sandbox sees a reset. */
void cv_flow_end(struct cv_proxy *p, struct cv_flow *f, bool reset);
/* What the sandbox's side was given is sent, then it is closed; the upstream is closed now. */
void cv_flow_finish(struct cv_proxy *p, struct cv_flow *f);
void cv_flow_drop_server(struct cv_flow *f);

bool cv_explicit_step(struct cv_proxy *p, struct cv_flow *f);    /* HEAD */
bool cv_transparent_step(struct cv_proxy *p, struct cv_flow *f); /* QUIET */
void cv_transparent_start(struct cv_proxy *p, struct cv_flow *f);
bool cv_resolve_step(struct cv_proxy *p, struct cv_flow *f);
bool cv_dial_step(struct cv_proxy *p, struct cv_flow *f);
void cv_dial_start(struct cv_proxy *p, struct cv_flow *f); /* from HELD */
/* f's request, whole in its buffer, waits for an upstream connection: one that is kept, or a new
 * one.  From HTTP, and back to it. */
void cv_dial_late(struct cv_proxy *p, struct cv_flow *f);
void cv_dial_stop(struct cv_flow *f); /* attempts that are under way are given up */
/* Connected all the way: what comes next. */
void cv_dial_done(struct cv_proxy *p, struct cv_flow *f);
/* denial is a cv_denial; why may be of the step's arena. */
void cv_dial_fail(struct cv_proxy *p, struct cv_flow *f, unsigned denial, const char *why);
bool cv_peek_step(struct cv_proxy *p, struct cv_flow *f);
bool cv_tls_leaf_step(struct cv_proxy *p, struct cv_flow *f);
void cv_tls_leaf_timeout(struct cv_proxy *p, struct cv_flow *f);
bool cv_tls_accept_step(struct cv_proxy *p, struct cv_flow *f);
bool cv_http_step(struct cv_proxy *p, struct cv_flow *f);
bool cv_relay_step(struct cv_proxy *p, struct cv_flow *f);
bool cv_postgres_step(struct cv_proxy *p, struct cv_flow *f);

/* Starts the upstream's TLS where there is to be one, and goes on with it.  DONE also without;
 * FAILED: f->failure says why, and nothing may be sent. */
enum cv_tls_step cv_tls_server_shake(struct cv_proxy *p, struct cv_flow *f);
void cv_http_start(struct cv_flow *f); /* the state is HTTP: a first request may come */
