/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inference.h - where the model calls of a workspace's sandboxes go (https://inference.local)
 */
#pragma once
#include "gateway/gateway.h"

struct cv_gw_box;

#define CV_GW_ROUTE_USER    "inference.local" /* for the workload */
#define CV_GW_ROUTE_SYSTEM  "sandbox-system"  /* for functions of the platform */
#define CV_GW_ROUTE_TIMEOUT 60                /* seconds, where none is said */

/* The provider that a sandbox's route needs and that is not attached to it, or NULL.  Its credentials
 * are in the sandbox's keeper for the route alone: the sandbox gets no variable and no rule of it. */
struct cv_object *cv_gw_inference_provider(
	const struct cv_gateway *g, const struct cv_object *sandbox);

/* The route of a sandbox's workload, or NULL. */
const struct cv_object *cv_gw_inference_route(
	const struct cv_gateway *g, const struct cv_object *sandbox);

/* It names this provider, be it there or not. */
bool cv_gw_inference_is_by(
	const struct cv_gateway *g, const struct cv_object *sandbox, struct cv_str provider);

/* Hands it to a supervisor that runs, ahead of the credentials with which it takes effect; also that
 * there is none any more. */
void cv_gw_inference_push(struct cv_gw_box *b);
