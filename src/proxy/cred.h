/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cred.h - placeholders in what a sandbox sends, and the credentials that go in their place
 *
 *     parsed, judged --collect--> which placeholders --RELEASE--> keeper
 *                                                    <--RELEASED-- values, for this request
 *                    --apply--> head written anew; values wiped
 *
 * Process:   cove-proxy, which knows the placeholders of its run (the keeper's CATALOG) and no value
 *            but those of requests under way.  What the keeper refuses never leaves.
 * Ownership: what a flow holds belongs to it (cv_flow_cred), wiped at the end of each request.
 */
#pragma once
#include "cred/placeholder.h"
#include "cred/rewrite.h"
#include "cred/rewrite_body.h"
#include "ipc/keeper_link.h"
#include "proxy/answers.h"
#include "proxy/bond.h"
#include "proxy/limits.h"
#include "wire/h1.h"
#include "wire/h1_write.h"
#include "wire/host.h"
#include "wire/path.h"

struct cv_proxy;
struct cv_policy_endpoint;
struct cv_scrub_set;
struct cv_scrub_filter;
struct cv_flow;

struct cv_unbound {
	struct cv_host host;
	uint16_t port; /* 0: none */
};

struct cv_creds { /* of the run */
	struct cv_arena arena;
	struct cv_arena scratch; /* of one step */
	struct cv_ph_entry *entries;
	struct cv_str *providers; /* of each entry */
	size_t count;             /* 0: a run without credentials */
	size_t given;             /* of these; those behind were minted meanwhile */
	bool has_catalog;
	bool is_changing; /* the supervisor said so: the next catalog need not be the one we have */
	/* Destinations that nobody is bound to, as the keeper said; that holds until the
	 * credentials change.  A
	 * request to one of them, without a placeholder, needs no keeper. */
	struct cv_unbound unbound[CV_PROXY_UNBOUND_MAX];
	uint32_t unbound_next;
	struct cv_ph_set set;
	struct cv_buf asks;            /* of this turn, not sent yet: RELEASES */
	uint32_t ask_count, ask_round; /* ... so many; how often some were sent */
	uint32_t ask_serial;
	struct cv_buf question;    /* scratch: one as it is sent */
	struct cv_answers answers; /* kept for the same question */
	/* What stands where in the request of this step; scratch. */
	struct cv_rewrite_plan head_plan, body_plan;
	struct cv_str planned;      /* the path of a head that they are of; p NULL: none */
	struct cv_rewrite applied;  /* to the head that is being written */
	struct cv_str applied_body; /* ... and to its body; p NULL: nothing was made */
};

enum cv_cred_state {
	CV_CRED_IDLE,
	CV_CRED_ANEW, /* what was asked, or released, is a former keeper's, or a former catalog's */
	CV_CRED_ASKED,
	CV_CRED_AWAY, /* the question waits for the next keeper */
	CV_CRED_RELEASED,
	CV_CRED_REFUSED
};

struct cv_flow_cred {
	enum cv_cred_state state;
	uint32_t tag;
	bool needs_value;   /* ASKED: some credential is to be put in */
	uint32_t ask_round; /* ASKED: goes with that one */
	uint32_t flags;     /* CV_RELEASED_ */
	bool is_unbound;    /* nobody is bound to this flow's host and port: said once */
	/* RELEASED */
	char *secrets; /* the keeper's message, which the values borrow from; wiped */
	size_t secret_bytes;
	struct cv_str values[CV_PH_ENTRIES_MAX];
	struct cv_bond bond; /* of a request with these */
	/* of the last question that was answered so: what a 401 is about */
	uint64_t epoch;
	uint32_t given[CV_KEEPER_CREDS_MAX];
	size_t given_count;
	/* REFUSED */
	enum cv_release refusal;
	char why[256];
	struct cv_ph_scan scan;         /* of the request's body */
	bool is_unscrubbable;           /* there was no memory for a set */
	struct cv_scrub_set *scrub_set; /* of what comes back: a reference, or NULL */
	struct cv_scrub_filter *scrub;  /* of the response's body; owned */
};

void cv_creds_fini(struct cv_creds *c);

/* The keeper's messages.  False: malformed. */
CV_MUST bool cv_creds_catalog_take(struct cv_proxy *p, struct cv_str body);
CV_MUST bool cv_creds_released_take(struct cv_proxy *p, struct cv_str body);
CV_MUST bool cv_creds_refused_take(struct cv_proxy *p, struct cv_str body);
CV_MUST bool cv_creds_changed_take(struct cv_proxy *p, struct cv_str body);
/* The questions of this turn go to the keeper; after the steps of all flows. */
void cv_creds_ask(struct cv_proxy *p);
/* The keeper is gone.  Requests that need a value are refused; those that only have to be judged wait
 * for the next one, as long as they would for an answer; and all do where the next one is at hand,
 * because the catalog changes. */
void cv_creds_keeper_lost(struct cv_proxy *p);
void cv_creds_keeper_back(struct cv_proxy *p);
/* The end of MINTED: entries of the catalog. */
CV_MUST bool cv_creds_minted_add(struct cv_proxy *p, struct cv_ipc_reader *r);
/* renewal.c: RENEWAL goes to the sinks. */
CV_MUST bool cv_renewal_record(struct cv_proxy *p, struct cv_str body);

enum cv_cred_step { CV_CRED_OK, CV_CRED_WAIT, CV_CRED_AGAIN, CV_CRED_ANSWERED };

/* Before an allowed request is recorded.  path is the one that will be sent.  WAIT: call again when
 * the flow is stepped next; AGAIN: now, with the head parsed anew.  ANSWERED: recorded and refused.
 * After OK the request may be written, with cv_cred_apply() first. */
enum cv_cred_step cv_cred_request(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path);

/* What was released for f's request is taken back: cv_cred_request() asks again, or refuses it. */
static inline bool cv_cred_is_taken_back(const struct cv_flow_cred *c)
{
	return c && c->state != CV_CRED_IDLE && c->state != CV_CRED_RELEASED;
}

/* A request in plain HTTP that passed cv_cred_is_without(): its body. */
enum cv_cred_step cv_cred_body(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r);

/* True while the body that was asked for comes: nothing else has to be done.  *ret_more: at once
 * again. */
bool cv_cred_body_comes(struct cv_proxy *p, struct cv_flow *f, bool *ret_more);
/* It did not come in time: the request is refused.  False: nobody waits for it. */
bool cv_cred_body_timeout(struct cv_proxy *p, struct cv_flow *f);

/* The same for a request in plain HTTP, where none may stand.  False: answered. */
CV_MUST bool cv_cred_is_without(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path);

/* Whether bytes may pass unseen to f's destination: a provider's endpoint must say so itself. */
CV_MUST bool cv_cred_may_tunnel(const struct cv_flow *f);

/* The keeper did not answer in time: the request is refused in the next step.  False: nobody waits. */
bool cv_cred_timeout(struct cv_proxy *p, struct cv_flow *f);

/* Puts the values into r's headers, path and query into e, and into *body if the request is held: it
 * is another text then, until cv_cred_forget().  False: answered. */
CV_MUST bool cv_cred_apply(struct cv_proxy *p, struct cv_flow *f, struct cv_h1_request *r,
	struct cv_h1_request_edit *e, struct cv_str *body);

/* The body that is about to be passed on must not have a placeholder in it. */
void cv_cred_watch(struct cv_proxy *p, struct cv_flow *f);
/* It has one: recorded, and the exchange ends before the upstream has the whole request. */
void cv_cred_body_refuse(struct cv_proxy *p, struct cv_flow *f);

/* A text message of a WebSocket, whole and allowed, on the connection whose upgrade had that path:
 * its placeholders become credentials if e, which allows it, says so; else it may have none.  WAIT as
 * above, with the same text.  ANSWERED: not to be sent; *ret_slug and *ret_why say why, and live as
 * long as f does. */
enum cv_cred_step cv_cred_message(struct cv_proxy *p, struct cv_flow *f, struct cv_str path,
	const struct cv_policy_endpoint *e, struct cv_buf *text, const char **ret_slug,
	const char **ret_why);

/* For protocols without requests of HTTP: the value in place of text, which is one placeholder and
 * nothing else, for method and path (canonical) at f's host and port, which e allows.  OK with
 * *ret_value empty (p NULL): text has no placeholder in it.  WAIT: call again when the flow is
 * stepped next.  ANSWERED: refused, for *ret_slug; nothing is recorded or said.  The value lives
 * until cv_cred_forget(). */
enum cv_cred_step cv_cred_exact(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_policy_endpoint *e, struct cv_str text, struct cv_str method,
	struct cv_str path, struct cv_str *ret_value, const char **ret_slug);

/* f's server answered 401: the keeper is told which values it refused. */
void cv_cred_rejected(struct cv_proxy *p, struct cv_flow *f);

/* The head is written, and is what p->head has: no value is held any more. */
void cv_cred_forget(struct cv_proxy *p, struct cv_flow *f);
void cv_cred_head_lost(struct cv_proxy *p); /* it could not be: what there is of it goes, too */
void cv_cred_end(struct cv_flow *f);        /* of the flow */
