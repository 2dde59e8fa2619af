/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_int.h - what policy.c, revisions.c and draft*.c share with each other and with nobody else
 */
#pragma once
#include "gateway/policy.h"

typedef Openshell__V1__StoredPolicyRevision stored_revision;

struct cv_gw_policies {
	cv_gw_layer_fn *layer;      /* NULL: no provider has one */
	cv_gw_policy_send_fn *send; /* NULL: nobody to tell */
};

struct cv_str cv_gw_revision_scope(const struct cv_object *sandbox); /* NULL: the gateway's */
const stored_revision *cv_gw_revision_of(const struct cv_object *o);
Openshell__V1__PolicyStatus cv_gw_revision_status(const stored_revision *r);
struct cv_object *cv_gw_revision_find(
	const struct cv_gateway *g, struct cv_str scope, uint32_t version);
struct cv_object *cv_gw_revision_latest(const struct cv_gateway *g, struct cv_str scope);
const cv_policy_pb *cv_gw_revision_policy(const struct cv_object *o, struct cv_arena *arena);
CV_MUST enum cv_rpc_status cv_gw_revision_add(struct cv_gateway *g, struct cv_str scope,
	const cv_policy_pb *policy, const void *annotations, size_t n,
	Openshell__V1__PolicyStatus status, struct cv_object **ret, struct cv_err *err);
/* Tells the supervisor what holds now. */

/* The sandbox that a request names, for a caller who may do what the method asks. */
CV_MUST enum cv_rpc_status cv_gw_policy_sandbox(const struct cv_rpc_call *c, const char *name,
	const char *workspace, bool is_change, struct cv_object **ret, struct cv_err *err);

void cv_gw_policy_link(struct cv_gateway *g); /* policy_link.c: from now on supervisors are told */
cv_gw_layer_fn cv_gw_policy_providers_layer;  /* policy_layer.c */
