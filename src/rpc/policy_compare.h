/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_compare.h - what one rule of a canonical policy has of another
 *
 * Who folds one rule into another asks here whether that says more than either did.  "a covers b":
 * whatever b says, a says too.  Nothing is changed, and of two lists the order is no difference.
 * Pure.
 */
#pragma once
#include "rpc/policy_pb.h"

typedef Openshell__Sandbox__V1__NetworkEndpoint cv_endpoint_pb;
typedef Openshell__Sandbox__V1__NetworkPolicyRule cv_rule_pb;

/* ---- messages and lists ---- */

bool cv_pb_is_same(const void *a, const void *b); /* by their encoding; NULL is the same as NULL */
bool cv_pb_has(void *const *v, size_t n, const void *item);
bool cv_texts_have(char *const *v, size_t n, const char *item);

/* ---- endpoints: known by host (no case), path and port ---- */

bool cv_endpoint_has_port(const cv_endpoint_pb *e, uint32_t port);
bool cv_endpoint_ports_cover(const cv_endpoint_pb *a, const cv_endpoint_pb *b);
bool cv_endpoint_ports_meet(const cv_endpoint_pb *a, const cv_endpoint_pb *b);
bool cv_endpoint_is_host(const cv_endpoint_pb *e, const char *host);
bool cv_endpoint_is_same_place(const cv_endpoint_pb *a, const cv_endpoint_pb *b);
/* In all but host, ports, the lists that a fold unites, and what a merge may only add. */
bool cv_endpoint_has_same_settings(const cv_endpoint_pb *a, const cv_endpoint_pb *b);
/* What is allowed there: rules, addresses, credentials. */
bool cv_endpoint_rules_cover(const cv_endpoint_pb *a, const cv_endpoint_pb *b);

/* ---- rules ---- */

bool cv_rule_has_binary(const cv_rule_pb *r, const char *path);
/* One without binaries is for all of them, and is comparable to its like only. */
bool cv_rule_binaries_cover(const cv_rule_pb *a, const cv_rule_pb *b);
/* Everything that b's endpoints allow, some endpoint of a allows too. */
bool cv_rule_covers(const cv_rule_pb *a, const cv_rule_pb *b);
bool cv_rule_meets(const cv_rule_pb *a, const cv_rule_pb *b); /* have a place and port in common */
