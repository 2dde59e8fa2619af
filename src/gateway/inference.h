/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inference.h - where the model calls of a workspace's sandboxes go (https://inference.local)
 */
#pragma once
#include "gateway/gateway.h"

#define CV_GW_ROUTE_USER    "inference.local" /* for the workload */
#define CV_GW_ROUTE_SYSTEM  "sandbox-system"  /* for functions of the platform */
#define CV_GW_ROUTE_TIMEOUT 60                /* seconds, where none is said */

/* The provider that a sandbox's route needs and that is not attached to it, or NULL.  Its credentials
 * are in the sandbox's keeper for the route alone: the sandbox gets no variable and no rule of it. */
struct cv_object *cv_gw_inference_provider(
	const struct cv_gateway *g, const struct cv_object *sandbox);
