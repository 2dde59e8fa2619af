/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.h - names that the proxy answers itself: never resolved, never a network route
 *
 *     policy.local:80      what may I do, why was I refused         local_policy.c, and
 *                          may I have this rule                     local_proposal.c
 *     inference.local:443  model calls, by the run's routes         local_inference.c
 *     metadata.google.internal:80, 169.254.169.254:80   Google's metadata server, and
 *     169.254.170.2:80     AWS's container credentials: only where the run has a provider that
 *                          they speak for                           local_metadata.c
 *
 * They are taken before policy.  On every other port these names are refused, whatever a policy
 * lists: an agent must be able to trust what stands behind them.
 *
 * A flow that is ours has .local; it stays in the state HTTP (after TLS, where there is TLS), has
 * no destination, and each answer ends it, so nothing behind a request is ever looked at.
 */
#pragma once
#include "proxy/proxy.h"

enum cv_local_kind { CV_LOCAL_POLICY, CV_LOCAL_INFERENCE, CV_LOCAL_GOOGLE, CV_LOCAL_AWS };

struct cv_local_call;     /* local_inference.c's own */
struct cv_local_proposal; /* local_proposal.c's */

struct cv_local {
	enum cv_local_kind kind;
	bool is_answering;
	struct cv_buf out;                  /* the answer, as far as it is not sent */
	size_t held;                        /* what of p->local_bytes is ours */
	size_t scanned;                     /* of the request's head */
	struct cv_local_call *call;         /* owned; NULL: none under way */
	struct cv_local_proposal *proposal; /* the same */
};

/* The name is ours, on whatever port; also those of tools.h. */
bool cv_local_is_ours(const struct cv_proxy *p, struct cv_str host);

/* A request on the explicit proxy, CONNECT or absolute; true: it is for us, and f goes its way. */
bool cv_local_explicit(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r);

/* A transparent connection to f->host and f->port; true: it is for us. */
bool cv_local_transparent(struct cv_proxy *p, struct cv_flow *f);

bool cv_local_step(struct cv_proxy *p, struct cv_flow *f);    /* state HTTP */
void cv_local_timeout(struct cv_proxy *p, struct cv_flow *f); /* the same */
void cv_local_end(struct cv_proxy *p, struct cv_flow *f);     /* frees what f->local is */

/* ---- for those who answer ---- */

/* The event of a request: what was asked, and the status that the sandbox got. */
void cv_local_record(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, int status);

/* Status, fields and body; after that the end.  is_head: the body is only counted. */
void cv_local_answer(struct cv_proxy *p, struct cv_flow *f, int status, struct cv_str type,
	struct cv_str body, bool is_head);
void cv_local_answer_with(struct cv_proxy *p, struct cv_flow *f, int status,
	const struct cv_h1_header *fields, size_t field_count, struct cv_str body, bool is_head);

/* n more bytes are about to be kept for f; false when all flows together keep too much. */
CV_MUST bool cv_local_hold(struct cv_proxy *p, struct cv_flow *f, size_t n);

/* The head leaves the buffer, where the body's room is; *ret is of a copy in the arena. */
CV_MUST bool cv_local_head_take(struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_arena *arena, struct cv_h1_request *ret);
void cv_local_body_start(struct cv_flow *f, const struct cv_h1_request *r, struct cv_body *ret);
/* The next piece of a body, taken from *in, until is_done: as cv_chunk_next(). */
CV_MUST enum cv_chunk_event cv_local_body_next(
	struct cv_body *b, struct cv_str *in, struct cv_str *ret);
/* The first value of a key in the query; CV_STR_NONE without it. */
struct cv_str cv_local_query(struct cv_proxy *p, const struct cv_h1_request *r, struct cv_str key);

/* local_proposal.c */
CV_MUST bool cv_local_proposal_is(const struct cv_h1_request *r);
bool cv_local_proposal_head(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r);
bool cv_local_proposal_step(struct cv_proxy *p, struct cv_flow *f);
void cv_local_proposal_timeout(struct cv_proxy *p, struct cv_flow *f);
CV_MUST bool cv_local_proposed(
	struct cv_proxy *p, struct cv_str body); /* false: it makes no sense */
void cv_local_proposal_end(struct cv_flow *f);

/* local_policy.c, local_metadata.c, local_inference.c */
bool cv_local_metadata_step(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r);
bool cv_local_policy_step(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r);
bool cv_local_inference_head(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r);
bool cv_local_inference_step(struct cv_proxy *p, struct cv_flow *f); /* with a call under way */
void cv_local_inference_timeout(struct cv_proxy *p, struct cv_flow *f);
/* The inner flow had an answer of its own for whoever asked: what was asked could not be had. */
void cv_local_inner_failed(struct cv_proxy *p, const struct cv_flow *inner);
void cv_local_inference_end(struct cv_proxy *p, struct cv_flow *f);
