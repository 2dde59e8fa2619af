/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign.h - requests of endpoints with credential_signing, signed here
 *
 *     judged --check--> can it be signed? --(body, where its hash is signed)--> hold
 *            --ask----> key id, secret, session token, of the keeper
 *            --apply--> Authorization and what belongs to it, over the head as it will be sent
 *
 * What the sandbox's SDK signed with placeholders is looked at by nobody and not sent on (C12).  The
 * secret is in no byte of the request; key id and token are, and are wiped with the head.  Such a
 * request goes out signed or not at all, whatever stood in it.
 */
#pragma once
#include "ipc/keeper_link.h"
#include "proxy/cred.h"

struct cv_proxy;
struct cv_flow;

/* The request of f is to an endpoint that signs. */
bool cv_sign_is_on(const struct cv_flow *f);

/* Names of the client's own signature: left out of what is looked at, and of what is sent. */
extern const struct cv_str cv_sign_drop[];
extern const size_t cv_sign_drop_count;
bool cv_sign_is_dropped(struct cv_str name);

struct cv_sign_fault {
	const char *slug;
	char why[160];
	bool is_busy; /* might go later */
};

/* The body went on beyond what cv_sign_body_max() said. */
extern const struct cv_sign_fault cv_sign_fault_long;
/* Its credentials were not released when it was to be written. */
extern const struct cv_sign_fault cv_sign_fault_unasked;

/* Before anything is asked or held.  False: it can't be signed. */
CV_MUST bool cv_sign_check(const struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_h1_request *r, struct cv_sign_fault *ret);

/* Of r's body must be kept, for its hash; 0: nothing. */
size_t cv_sign_body_max(const struct cv_flow *f, const struct cv_h1_request *r);

/* Adds the credentials that it takes.  False: there are none, or too many. */
CV_MUST bool cv_sign_ask(const struct cv_proxy *p, struct cv_keeper_release *ask);

/* Last before the head is written: sets path, query and fields of e.  body is the held one.  What it
 * makes is in the scratch arena, token included: wiped by cv_cred_forget(), or here if it fails. */
CV_MUST bool cv_sign_apply(struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_h1_request *r, struct cv_h1_request_edit *e, struct cv_str body,
	struct cv_sign_fault *ret);
