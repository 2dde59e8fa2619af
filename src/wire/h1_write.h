/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_write.h - heads written anew from what was parsed and decided
 *
 * Start line, Host, framing and Connection are always ours.  Of the parsed fields those pass that
 * belong end to end: not hop-by-hop ones, not those that Connection names, not Proxy-*, not
 * method or URL overrides, not Alt-Svc in responses.  Every byte written was checked: a value
 * with CR, LF or NUL (a credential, say) makes the call fail.
 *
 * All calls append one whole head to b, or return false and append nothing when something did not
 * fit (b is overflown then) or may not be written.
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"
#include "wire/h1.h"

/* Common to both directions.  Zero is: nothing set or dropped, close, no body. */
struct cv_h1_edit {
	/* Written instead of every field of the same name (any case, `_` as `-`). */
	const struct cv_h1_header *set; /* name and value suffice */
	size_t set_count;
	const struct cv_str *drop; /* names that do not pass either */
	size_t drop_count;
	struct cv_str via; /* appended as one Via line, e.g. "1.1 cove"; empty: none */

	enum cv_h1_body body; /* framing of the body as it will be sent */
	uint64_t length;
	bool is_keep_alive;    /* false writes Connection: close */
	struct cv_str upgrade; /* protocol to switch to; empty: Upgrade does not pass */
};

struct cv_h1_request_edit {
	struct cv_h1_edit common;
	const struct cv_authority *authority; /* decided destination, written as Host */
	uint16_t port_default;                /* of its scheme: 80 or 443 */
	struct cv_str path;                   /* canonical, or "*" */
	struct cv_str query;                  /* raw; p NULL: no ? */
	bool is_absolute;                     /* http://authority/path, for a parent proxy */
	bool is_expect_continue;
};

/* Framing, keep-alive and upgrade of common as they were parsed. */
void cv_h1_edit_of_request(struct cv_h1_edit *e, const struct cv_h1_request *r);
void cv_h1_edit_of_response(struct cv_h1_edit *e, const struct cv_h1_response *r);

CV_MUST bool cv_h1_write_request(
	struct cv_buf *b, const struct cv_h1_request *r, const struct cv_h1_request_edit *e);

/* has_length of r with body NONE (HEAD, 304) writes the Content-Length that r had. */
CV_MUST bool cv_h1_write_response(
	struct cv_buf *b, const struct cv_h1_response *r, const struct cv_h1_edit *e);

/* A response of our own.  e->set holds its fields. */
CV_MUST bool cv_h1_write_status(struct cv_buf *b, int status, const struct cv_h1_edit *e);

/* CONNECT to a parent proxy; e->set may hold Proxy-Authorization. */
CV_MUST bool cv_h1_write_connect(
	struct cv_buf *b, const struct cv_authority *a, const struct cv_h1_edit *e);
