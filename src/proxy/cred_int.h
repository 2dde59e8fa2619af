/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cred_int.h - what the parts of cred.h share
 */
#pragma once
#include "proxy/cred.h"

/* f->cred is there; false without memory. */
CV_MUST bool cred_flow_make(struct cv_flow *f);

/* The question: the request, and which credentials stand in it; body may be NULL.  The state is
 * ASKED then, or REFUSED without a keeper.  False: path has no canonical form, or too many. */
CV_MUST bool cred_release_ask(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path, const struct cv_rewrite_plan *head, const struct cv_rewrite_plan *body);

/* The policy of now still lets those credentials be used at e, which allows what is said. */
CV_MUST bool cred_is_bound_still(const struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_policy_endpoint *e, const struct cv_rewrite_plan *plan);
