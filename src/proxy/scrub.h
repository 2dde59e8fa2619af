/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub.h - what an upstream sends back, without the credentials that it was given
 *
 * The keeper says, with each release, which values the destination has ever had.  From these a set
 * is compiled, kept for the requests that follow, and applied to head, body and trailers of the
 * response.  What can't be looked into is refused, unless the endpoint says scrub: off.
 */
#pragma once
#include "base/str.h"
#include "cred/placeholder.h"
#include "cred/scrub_set.h"
#include "wire/h1.h"
#include "wire/h1_write.h"

struct cv_proxy;
struct cv_flow;

#define CV_SCRUB_SETS_MAX 8 /* compiled ones kept: as many as hosts with credentials, mostly */

struct cv_scrub_key { /* which values: the same credentials in the same epoch have the same */
	uint64_t epoch;
	uint64_t creds[CV_PH_ENTRIES_MAX / 64]; /* bits */
};

struct cv_scrubs { /* of the run */
	struct {
		struct cv_scrub_key key;
		struct cv_scrub_set *set;
	} kept[CV_SCRUB_SETS_MAX];
	uint32_t next; /* to be replaced */
};

void cv_scrubs_fini(struct cv_scrubs *s);

/* f's responses will be scrubbed of these. */
void cv_scrub_use(struct cv_scrubs *s, struct cv_flow *f, const struct cv_scrub_key *key,
	const struct cv_str *values, size_t count);
void cv_scrub_drop(struct cv_flow *f);
/* f's too, of the same as from's: both have the same server.  For a WebSocket. */
void cv_scrub_share(struct cv_flow *f, const struct cv_flow *from);

/* Whether anything must be taken out of what f's server says. */
bool cv_scrub_is_due(const struct cv_flow *f);

/* What the request must say for its response to be one that can be scrubbed; into e.  False: no
 * memory, answered. */
CV_MUST bool cv_scrub_ask(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_h1_request_edit *e);

/* Scrubs the head r and, of a final response, prepares f->http.down, which was started for it.
 * NULL, or why the response can't be passed on. */
const char *cv_scrub_response(struct cv_proxy *p, struct cv_flow *f, struct cv_h1_response *r);
