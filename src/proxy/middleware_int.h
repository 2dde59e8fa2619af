/* SPDX-License-Identifier: Apache-2.0 */
/*
 * middleware_int.h - shared by middleware.c (requests) and middleware_down.c (responses)
 */
#pragma once
#include "cred/detect.h"
#include "policy/limits.h"
#include "proxy/middleware.h"
#include "proxy/proxy.h"
#include "proxy/denial.h"

struct cv_engines { /* of a snapshot */
	uint32_t refs;
	struct cv_policy *policy; /* referenced */
	const struct cv_middleware *list;
	size_t count;
	struct cv_detect *v[CV_POLICY_MIDDLEWARE_COUNT_MAX];
};

struct cv_mw_refusal {
	const struct cv_middleware *middleware;
	const char *code; /* reason_code: what was found; NULL: none */
	const char *text;
};

struct cv_mw_filter {            /* of a response's body */
	struct cv_filter base;   /* first: the body knows only this */
	struct cv_filter *inner; /* what was there before; NULL: none */
	struct cv_proxy *p;
	struct cv_flow *f;
	struct cv_buf held, step;
	size_t scanned;  /* of held, for the end of an event */
	size_t redacted; /* so far */
	bool is_on, is_events, is_text, is_raw;
	struct cv_mw_refusal refusal; /* middleware NULL: none */
};

struct cv_flow_middleware {         /* of one request and its response */
	struct cv_engines *engines; /* referenced */
	uint32_t bits;
	bool is_done;   /* the request was looked at */
	bool is_unseen; /* ... but not its body */
	struct cv_arena arena;
	struct cv_str *header; /* new values; p NULL: as it was.  NULL: none */
	struct cv_mw_filter filter;
};

bool cv_mw_is_on(const struct cv_flow_middleware *m, size_t i, unsigned direction);
/* Why a message with these fields can't be looked into; NULL: it can. */
const char *cv_mw_unseen(const struct cv_h1_header *v, size_t n);
bool cv_mw_is_text(const struct cv_h1_header *v, size_t n);
void cv_mw_filter_fini(struct cv_flow_middleware *m);

/* An event of what was let pass, or changed. */
void cv_mw_note(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	const char *code, struct cv_str reason);
void cv_mw_refuse(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	enum cv_denial d, const struct cv_mw_refusal *why);
