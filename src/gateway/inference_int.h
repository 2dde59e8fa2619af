/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inference_int.h - between inference.c (the rpcs) and inference_box.c (what sandboxes have of it)
 */
#pragma once
#include "gateway/inference.h"
#include "gateway/sandbox.h"
#include "plan/routes.h"

#include "inference.pb-c.h"

#define INF(name)                  Openshell__Inference__V1__##name
#define CV_GW_ROUTE_FILE_BYTES_MAX 16384
#define CV_GW_RESOLVED_BYTES       2048

static inline const INF(InferenceRoute) * cv_gw_route_of(const struct cv_object *o)
{
	return (const void *)o->message;
}

/* What a provider means to a proxy. */
struct cv_gw_resolved {
	enum cv_route_type type;
	char base_url[CV_GW_RESOLVED_BYTES];
	const char *key; /* NULL: none is sent */
};

CV_MUST cv_code cv_gw_route_resolve(const struct cv_gateway *g, const struct cv_object *provider,
	struct cv_gw_resolved *ret, struct cv_err *err);
/* As plan/routes.h reads it, and read once. */
CV_MUST cv_code cv_gw_route_text(const INF(InferenceRouteConfig) * c,
	const struct cv_gw_resolved *r, struct cv_buf *ret, struct cv_err *err);

/* Hooks of sandboxes. */
cv_code cv_gw_inference_prepare(struct cv_gw_box *b, struct cv_driver_sandbox *s,
	struct cv_arena *arena, struct cv_err *err);
void cv_gw_inference_deleted(struct cv_gw_box *b);
