/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_inference.h - https://inference.local, a call at a time; see local_inference.c
 */
#pragma once
#include "proxy/local.h"
#include "proxy/routes.h"
#include "wire/infer.h"
#include "wire/infer_filter.h"
#include "wire/infer_usage.h"
#include "wire/path.h"

enum cv_call_phase {
	CV_CALL_BODY, /* the agent's body is coming */
	CV_CALL_WAIT, /* a route was asked: its response's head is coming */
	CV_CALL_PASS, /* the response passes */
};

struct cv_local_call {
	enum cv_call_phase phase;
	struct cv_arena arena;        /* of the head's copy */
	struct cv_h1_request request; /* of that copy */
	struct cv_path path;
	enum cv_infer_protocol protocol;
	struct cv_str path_model; /* borrowed from path */
	bool is_stream;           /* the body, or the path, asks for one */
	bool hides_usage;         /* ... of OpenAI, and did not ask for its usage */

	struct cv_body up; /* what is still to come of the agent's body */
	uint32_t chunks;
	struct cv_buf body;

	struct cv_call_routes *routes; /* referenced: those that were there when it began */
	uint8_t order[CV_ROUTES_MAX];  /* routes to try, as indices */
	size_t order_count, order_next;
	const struct cv_route *route; /* the one that was asked last */
	const struct cv_budget *over; /* a route was passed over, since this is used up */
	struct cv_ref inner;          /* the flow that asks it */
	bool is_broken;               /* it was connected to, and then failed */
	/* A kept connection ended with the request on it: nobody knows what became of it */
	bool is_lost;
	struct cv_buf wire; /* head and body for it, as far as it is not sent */

	size_t scanned; /* of the response's head */
	struct cv_body down;
	struct cv_infer_tap tap;
	struct cv_infer_filter filter; /* with hides_usage, of an event stream */
	bool is_tapped, is_sse, is_chunked;
	uint64_t passed;
};

/* ---- local_call.c: what a route is asked ---- */

/* The routes that can be asked, in the order in which they are. */
void cv_call_routes_order(struct cv_local_call *call);

/* Head and body for call->route into call->wire.  False: they do not fit. */
CV_MUST bool cv_call_wire_make(struct cv_local_call *call);

/* A flow of its own towards call->route, and f->server as its other side.  False: no room. */
CV_MUST bool cv_call_inner_start(struct cv_proxy *p, struct cv_flow *f);
