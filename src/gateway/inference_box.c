/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inference_box.c - the route of a sandbox: when it starts, and while it runs
 *
 * Its proxy reads a text (plan/routes.h): from a file that is written before it starts, and from then
 * on whatever is pushed.  The file is also what is known of what a running sandbox has: one that has
 * none is told nothing.
 */
#include "gateway/inference_int.h"

#include "gateway/box_file.h"
#include "gateway/provider.h"
#include "gateway/sandbox.h"
#include "ipc/frame.h"

#include <unistd.h>

static struct cv_object *provider_of(const struct cv_gateway *g, const struct cv_object *sandbox,
	const struct cv_object **ret_route)
{
	*ret_route = cv_object_find(
		g->objects, CV_OBJECT_INFERENCE_ROUTE, sandbox->scope, CV_STR(CV_GW_ROUTE_USER));
	return *ret_route ? cv_object_find(g->objects, CV_OBJECT_PROVIDER, sandbox->scope,
				    cv_str_of(cv_gw_route_of(*ret_route)->config->provider_name))
			  : NULL;
}

struct cv_object *cv_gw_inference_provider(
	const struct cv_gateway *g, const struct cv_object *sandbox)
{
	const struct cv_object *route;
	struct cv_object *o = provider_of(g, sandbox, &route);

	return o && !cv_gw_is_attached(sandbox, o) ? o : NULL;
}

const struct cv_object *cv_gw_inference_route(
	const struct cv_gateway *g, const struct cv_object *sandbox)
{
	const struct cv_object *route;

	(void)provider_of(g, sandbox, &route);
	return route;
}

bool cv_gw_inference_is_by(
	const struct cv_gateway *g, const struct cv_object *sandbox, struct cv_str provider)
{
	const struct cv_object *route = cv_gw_inference_route(g, sandbox);

	return route &&
	       cv_str_eq(cv_str_of(cv_gw_route_of(route)->config->provider_name), provider);
}

/* What its proxy is to have; empty: nothing.  A route that can't be made any more is said and left
 * out: the sandbox itself can do without. */
static void text_make(struct cv_gw_box *b, struct cv_buf *ret)
{
	const struct cv_object *route;
	const struct cv_object *provider = provider_of(b->g, b->object, &route);
	struct cv_gw_resolved r;
	struct cv_err why;

	if (!route)
		return;
	if (!provider || cv_gw_route_resolve(b->g, provider, &r, &why) != CV_OK ||
		cv_gw_route_text(cv_gw_route_of(route)->config, &r, ret, &why) != CV_OK) {
		cv_buf_reset(ret);
		cv_gw_box_log(b, "WARN", "inference", "inference.local has no route: %s",
			provider ? why.msg : "its provider is gone");
		return;
	}
	cv_gw_box_log(b, "INFO", "inference", "inference.local: provider %.*s, model %s",
		CV_STR_ARG(provider->name), cv_gw_route_of(route)->config->model_id);
}

cv_code cv_gw_inference_prepare(struct cv_gw_box *b, struct cv_driver_sandbox *s,
	struct cv_arena *arena, struct cv_err *err)
{
	struct cv_buf text;
	cv_code code = CV_OK;

	cv_buf_init(&text, CV_GW_ROUTE_FILE_BYTES_MAX);
	text_make(b, &text);
	if (cv_buf_len(&text)) {
		char path[CV_GW_BOX_FILE_BYTES];

		code = cv_gw_box_file_write(
			b->g, CV_GW_BOX_ROUTES, b->object, cv_buf_str(&text), err);
		cv_gw_box_file_path(CV_GW_BOX_ROUTES, b->object, path);
		s->routes_file = cv_arena_printf(arena, "%s/%s", b->g->state_dir, path);
	} else {
		cv_gw_box_file_remove(b->g, CV_GW_BOX_ROUTES, b->object);
	}
	cv_buf_fini(&text);
	return code;
}

void cv_gw_inference_deleted(struct cv_gw_box *b)
{
	cv_gw_box_file_remove(b->g, CV_GW_BOX_ROUTES, b->object);
}

void cv_gw_inference_push(struct cv_gw_box *b)
{
	struct cv_buf text;
	struct cv_err err;
	bool is_changed;
	int fd;

	cv_buf_init(&text, CV_GW_ROUTE_FILE_BYTES_MAX);
	text_make(b, &text);
	is_changed = cv_buf_len(&text) || cv_gw_box_file_remove(b->g, CV_GW_BOX_ROUTES, b->object);
	/* The file first: who finds none has told his supervisor nothing. */
	cv_code code = cv_buf_len(&text) ? cv_gw_box_file_write(b->g, CV_GW_BOX_ROUTES, b->object,
						   cv_buf_str(&text), &err)
					 : CV_OK;
	if (code == CV_OK && is_changed)
		code = cv_ipc_memfd("cove-routes", cv_buf_str(&text), &fd, &err);
	if (code == CV_OK && is_changed) {
		(void)!cv_gw_box_send(b, CV_GATEWAY_REQ_ROUTES, CV_STR_NONE, &fd, 1);
		close(fd);
	}
	if (code != CV_OK)
		cv_gw_box_log(b, "ERROR", "inference",
			"the route of inference.local was not handed over: %s", err.msg);
	else if (is_changed && !cv_buf_len(&text))
		cv_gw_box_log(b, "INFO", "inference", "inference.local: no route any more");
	cv_buf_fini(&text);
}
