/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cred_int.h - what the parts of cred.h share
 */
#pragma once
#include "proxy/cred.h"
#include "proxy/denial.h"

/* f->cred is there; false without memory. */
CV_MUST bool cred_flow_make(struct cv_flow *f);

/* The question: the request, and which credentials stand in it; body may be NULL.  The state is
 * ASKED then; without a keeper REFUSED, or AWAY.  False: path has no canonical form, or too many. */
CV_MUST bool cred_release_ask(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path, const struct cv_rewrite_plan *head, const struct cv_rewrite_plan *body);

/* None is under way, or the one that was is void. */
static inline bool cred_is_to_ask(const struct cv_flow_cred *c)
{
	return c->state == CV_CRED_IDLE || c->state == CV_CRED_ANEW;
}

/* The policy of now still lets those credentials be used at e, which allows what is said. */
CV_MUST bool cred_is_bound_still(const struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_policy_endpoint *e, const struct cv_rewrite_plan *plan);

/* ---- cred_keeper.c ---- */

/* The catalog was sent before anything in the sandbox could be: reads it if that was not done. */
void cred_catalog_await(struct cv_proxy *p);
/* The keeper said once that nobody is bound to f's destination. */
bool cred_is_unbound(const struct cv_creds *c, const struct cv_flow *f);
void cred_secrets_wipe(struct cv_flow_cred *c);

/* ---- cred.c: recorded and answered; ANSWERED ---- */

struct cv_sign_fault;
enum cv_cred_step cred_refuse(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	enum cv_denial d, const char *slug, struct cv_str why);
enum cv_cred_step cred_rewrite_refuse(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, enum cv_rewrite_rc rc);
enum cv_cred_step cred_sign_refuse(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, const struct cv_sign_fault *fault);

/* ---- cred_own.c, cred_body.c ---- */

bool cred_has_own(const struct cv_creds *c, const struct cv_flow *f, const struct cv_h1_request *r,
	const struct cv_rewrite_plan *plan);

/* Its body was asked for here: how that ended is to be heard, also when no credential is left. */
bool cred_is_held(const struct cv_flow *f);

/* The body, as far as it must be known before the head goes; has_credential: which will have one. */
enum cv_cred_step cred_body_look(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, bool has_credential, struct cv_rewrite_plan *ret);
