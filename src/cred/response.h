/* SPDX-License-Identifier: Apache-2.0 */
/*
 * response.h - one response on an endpoint that was given a credential
 *
 *     plan = cv_response_plan(...)        from status and fields: what is to be done
 *     cv_response_head(...)               the head, scrubbed, without what is no longer true
 *     cv_response_body_feed(...)          the body, decoded if need be, and scrubbed
 *     cv_response_fields(...)             trailers
 *
 * What can't be read is refused, unless the endpoint says `scrub: off`: unknown content codings,
 * parts of a representation (a range, whose borders may cut a value in two), messages compressed
 * inside the body (gRPC, Connect), and character sets in which ASCII isn't ASCII.  So that origins
 * have no reason to send these, the request is edited: cv_response_request_drop and
 * cv_response_accept_encoding().
 *
 * Ownership: as said below; edited fields live in the caller's arena.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "cred/decode.h"
#include "cred/scrub.h"
#include "wire/h1.h"

/* ---- the request ---- */

/* Names of fields that don't go to an endpoint whose responses are scrubbed. */
extern const struct cv_str cv_response_request_drop[];
extern const size_t cv_response_request_drop_count;

/* Appends the value of Accept-Encoding to send: what the client takes and we can decode, else
 * "identity".  False: out is full. */
CV_MUST bool cv_response_accept_encoding(
	const struct cv_h1_header *headers, size_t count, struct cv_buf *out);

/* ---- the response ---- */

enum cv_response_action {
	CV_RESPONSE_REFUSE, /* 502; nothing of the response goes on */
	CV_RESPONSE_PASS,   /* as it is */
	CV_RESPONSE_SCRUB,  /* same length */
	CV_RESPONSE_DECODE, /* length unknown, then as SCRUB */
	CV_RESPONSE_ACTION_COUNT,
};

/* clang-format off */
#define CV_RESPONSE_REASONS(X) /* name, slug, sentence */                                              \
	X(NONE, "none", "nothing is refused")                                                          \
	X(CODING, "response_coding_unknown", "response has a content coding that can't be scrubbed")   \
	X(DEEP, "response_coding_deep", "response has too many content codings to be scrubbed")        \
	X(PARTIAL, "response_partial", "a part of a representation can't be scrubbed")                 \
	X(MESSAGES, "response_messages_coded", "response has compressed messages inside")              \
	X(CHARSET, "response_charset", "response has a character set that can't be scrubbed")
/* clang-format on */

#define CV_RESPONSE_REASON_ENUM(name, slug, text) CV_RESPONSE_REASON_##name,
enum cv_response_reason { CV_RESPONSE_REASONS(CV_RESPONSE_REASON_ENUM) CV_RESPONSE_REASON_COUNT };
#undef CV_RESPONSE_REASON_ENUM

struct cv_response_reason_row {
	const char *slug, *text;
};

const struct cv_response_reason_row *cv_response_reason_row(enum cv_response_reason r);

struct cv_response_plan {
	enum cv_response_action action;
	enum cv_response_reason reason; /* of REFUSE */
	enum cv_coding codings[CV_DECODE_CODINGS_MAX];
	size_t coding_count;
};

struct cv_response_asked {
	bool is_head;       /* the request was HEAD: fields speak of a body that isn't there */
	bool is_unscrubbed; /* the endpoint says scrub: off */
};

/* Every response before the final one (1xx) has a plan of its own; 101 is told to scrub its head, and
 * what follows belongs to the protocol that was switched to. */
CV_MUST struct cv_response_plan cv_response_plan(int status, const struct cv_h1_header *headers,
	size_t count, const struct cv_scrub_set *set, struct cv_response_asked asked);

/* Edits a head for SCRUB or DECODE: names, values and reason phrase scrubbed (in arena), fields
 * dropped.  After DECODE a body with a length becomes a chunked one; a client of HTTP/1.0 needs
 * CV_H1_BODY_CLOSE instead.  s holds nothing before and after.  False: no memory. */
CV_MUST bool cv_response_head(const struct cv_response_plan *plan, struct cv_scrub *s,
	struct cv_arena *arena, struct cv_h1_response *head);

/* Scrubs fields in place: trailers, or the fields of an HTTP/2 head. */
CV_MUST bool cv_response_fields(
	struct cv_scrub *s, struct cv_arena *arena, struct cv_h1_header *headers, size_t count);

/* Drops from fields what a plan makes untrue, and weakens the ETag; the new count.  For HTTP/2 heads;
 * cv_response_head() does it itself.  False: no memory. */
CV_MUST bool cv_response_fields_drop(const struct cv_response_plan *plan, struct cv_arena *arena,
	struct cv_h1_header *headers, size_t *count);

/* ---- the body ---- */

struct cv_response_body;

/* Takes s over (and frees it with the body; also on failure).  NULL: no memory. */
CV_MUST struct cv_response_body *cv_response_body_new(
	const struct cv_response_plan *plan, struct cv_scrub *s);
void cv_response_body_free(struct cv_response_body *b); /* NULL is fine */

/* As cv_decode_feed(); appends at most CV_DECODE_CALL_BYTES_MAX (DECODE) or in->n, and what was held.
 * A code other than OK and MORE is final: the connection to the client must be broken off, not ended,
 * lest a cut body look whole. */
CV_MUST enum cv_decode_rc cv_response_body_feed(
	struct cv_response_body *b, struct cv_str *in, struct cv_buf *out);

/* The body has ended: gives what was held.  OK, TRUNCATED, OUTPUT. */
CV_MUST enum cv_decode_rc cv_response_body_end(struct cv_response_body *b, struct cv_buf *out);

struct cv_scrub *cv_response_body_scrub(struct cv_response_body *b); /* for trailers, and hits */
