/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_head.h - header lists of HTTP/2 as the text of HTTP/1 heads, and back
 *
 * A stream's request is judged, recorded and written anew by the same code as a request of
 * HTTP/1; this is the bridge.  A list becomes text only if RFC 9113 8.2 and 8.3 allow it: names
 * lower-case tokens, values without control bytes, pseudo-header fields first, known, each
 * once, no fields of one connection, `te` only `trailers`, one plain content-length that can be
 * true, :authority and Host the same.  Whoever reads the text parses it with h1.h again, so what
 * passes here by mistake is refused there.
 *
 * Ownership: a list owns its bytes; text is appended to the caller's buffer.  Pure.
 * Limits:    CV_H2_* in limits.h.
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"
#include "wire/h1.h"

/* clang-format off */
#define CV_H2_RCS(X) /* name, slug, sentence */                                                \
	X(OK, "ok", "ok")                                                                      \
	X(LIST_LONG, "head_too_large", "header list is too large")                             \
	X(NAME, "bad_field_name", "field name is not a token in lower case")                   \
	X(VALUE, "bad_field_value", "field value has a control byte or outer blanks")          \
	X(PSEUDO_LATE, "pseudo_after_field", "pseudo-header field after a regular one")        \
	X(PSEUDO_UNKNOWN, "unknown_pseudo", "pseudo-header field is not known here")           \
	X(PSEUDO_REPEATED, "repeated_pseudo", "pseudo-header field is there twice")            \
	X(PSEUDO_MISSING, "missing_pseudo", "pseudo-header field is missing")                  \
	X(METHOD, "bad_method", ":method is not a token")                                      \
	X(SCHEME, "bad_scheme", ":scheme is not the connection's")                             \
	X(AUTHORITY, "bad_authority", "host or port of :authority is malformed")               \
	X(HOST, "host_mismatch", "Host differs from :authority or is there twice")             \
	X(PATH, "bad_target", ":path is malformed")                                            \
	X(CONNECTION, "connection_field", "field that belongs to one connection")              \
	X(TE, "bad_te", "te is not trailers")                                                  \
	X(LENGTH, "bad_length", "content-length is malformed, repeated or untrue")             \
	X(STATUS, "bad_status", ":status is not a number from 100 to 599, or 101")             \
	X(TRAILER, "bad_trailer", "trailer section has a pseudo-header field or does not end the stream")
/* clang-format on */

#define CV_H2_RC_ENUM(name, slug, text) CV_H2_##name,
enum cv_h2_rc { CV_H2_RCS(CV_H2_RC_ENUM) CV_H2_RC_COUNT };
#undef CV_H2_RC_ENUM

struct cv_h2_rc_row {
	const char *slug, *text;
};

const struct cv_h2_rc_row *cv_h2_rc_row(enum cv_h2_rc rc); /* static storage */

/* A header list as it comes from the decoder. */
struct cv_h2_fields {
	struct cv_buf bytes; /* per field: two lengths of 4 bytes, name, value */
	size_t count;
	size_t list_bytes; /* as RFC 9113 6.5.2 counts, also of what is not kept */
	bool is_long;      /* some field was not kept */
};

void cv_h2_fields_init(struct cv_h2_fields *f);
void cv_h2_fields_fini(struct cv_h2_fields *f); /* may be used again after init */
void cv_h2_fields_add(struct cv_h2_fields *f, struct cv_str name, struct cv_str value);

/* The field at *at (0 at first), which moves behind it; false behind the last. */
bool cv_h2_fields_next(const struct cv_h2_fields *f, size_t *at, struct cv_str *ret_name,
	struct cv_str *ret_value);

struct cv_h2_head { /* what the text says, for who frames the body */
	enum cv_h1_body body;
	uint64_t length;        /* of CV_H1_BODY_LENGTH */
	enum cv_h1_asked asked; /* of a request */
	bool is_grpc;           /* its content-type is gRPC's */
	bool wants_trailers;    /* it said te: trailers */
	int status;             /* of a response */
};

/* Appends the head as text, or nothing unless OK.  is_ended: no body follows; else it is framed by
 * content-length, or in chunks. */
CV_MUST enum cv_h2_rc cv_h2_request_text(const struct cv_h2_fields *f, bool is_tls, bool is_ended,
	struct cv_buf *out, struct cv_h2_head *ret);
CV_MUST enum cv_h2_rc cv_h2_response_text(const struct cv_h2_fields *f, enum cv_h1_asked asked,
	bool is_ended, struct cv_buf *out, struct cv_h2_head *ret);

/* Appends field lines without the empty one; what may not stand in a trailer section is left out. */
CV_MUST enum cv_h2_rc cv_h2_trailers_text(const struct cv_h2_fields *f, struct cv_buf *out);

/* ---- the other direction: fields for the encoder ---- */

struct cv_h2_pair {
	struct cv_str name, value;
};

#define CV_H2_PAIRS_MAX (CV_H1_HEADERS_MAX + 8) /* pseudo-header fields and framing beside them */

/* Fills ret and returns the count.  Names in lower case are put into names, which is reset: both
 * live as long as r's text and names stay.  0 when there is no memory. */
size_t cv_h2_of_request(const struct cv_h1_request *r, bool is_tls, bool wants_trailers,
	struct cv_buf *names, struct cv_h2_pair ret[static CV_H2_PAIRS_MAX]);
size_t cv_h2_of_response(const struct cv_h1_response *r, struct cv_buf *names,
	struct cv_h2_pair ret[static CV_H2_PAIRS_MAX]);
size_t cv_h2_of_trailers(const struct cv_h1_header *headers, size_t count, struct cv_buf *names,
	struct cv_h2_pair ret[static CV_H2_PAIRS_MAX]);
