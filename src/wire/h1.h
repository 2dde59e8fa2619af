/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1.h - HTTP/1 heads, parsed so that they can mean one thing only
 *
 * Ownership: results borrow from the bytes that were parsed; nothing is allocated or copied except
 * the canonical authority.  Pure.  Limits: CV_H1_* in limits.h.
 *
 * Whatever two implementations could frame or route differently is refused with a typed reason
 * (RFC 9112 11.2): obs-fold, bare CR or LF, NUL, space before the colon, Content-Length with
 * Transfer-Encoding, repeated or listed or signed lengths, codings other than exactly `chunked`,
 * repeated or missing or disagreeing Host, user information, `_` for `-` in framing names.  The
 * parsed head is what is decided on, and h1_write.h writes from it; raw bytes never pass through.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"
#include "wire/host.h"
#include "wire/limits.h"

/* clang-format off */
/* OK: parsed.  MORE: the head has not ended yet.  The rest refuse; status is for a request's
 * answer (a refused response is a 502), slug for audit. */
#define CV_H1_RCS(X) /* name, status, slug, sentence */                                            \
	X(OK, 200, "ok", "ok")                                                                     \
	X(MORE, 0, "more", "head is incomplete")                                                   \
	X(HEAD_LONG, 431, "head_too_large", "head is too large")                                   \
	X(HEADERS_MANY, 431, "too_many_headers", "head has too many fields")                       \
	X(TARGET_LONG, 414, "target_too_long", "request target is too long")                       \
	X(BARE_LF, 400, "bare_lf", "line does not end with CR LF")                                 \
	X(START_LINE, 400, "bad_start_line", "start line is malformed")                            \
	X(METHOD, 400, "bad_method", "method is not a token")                                      \
	X(TARGET, 400, "bad_target", "request target is malformed")                                \
	X(SCHEME, 400, "bad_scheme", "target is neither http:// nor https://")                     \
	X(AUTHORITY, 400, "bad_authority", "host or port in the target is malformed")              \
	X(VERSION, 505, "bad_version", "version is neither HTTP/1.0 nor HTTP/1.1")                 \
	X(H2_PREFACE, 505, "h2_preface", "HTTP/2 without TLS negotiation")                         \
	X(STATUS, 400, "bad_status", "status code is not a number from 100 to 599")                \
	X(FOLD, 400, "obs_fold", "field continues on a second line")                               \
	X(NAME, 400, "bad_field_name", "field name is not a token directly before its colon")      \
	X(NAME_LONG, 431, "field_name_too_long", "field name is too long")                         \
	X(VALUE, 400, "bad_field_value", "field value has a control byte")                         \
	X(UNDERSCORE, 400, "underscore_name", "framing field is spelled with an underscore")       \
	X(HOST_MISSING, 400, "host_missing", "Host is missing")                                    \
	X(HOST_REPEATED, 400, "host_repeated", "Host is there twice")                              \
	X(HOST, 400, "bad_host", "Host is malformed")                                              \
	X(HOST_MISMATCH, 400, "host_mismatch", "Host differs from the target")                     \
	X(LENGTH, 400, "bad_length", "Content-Length is not one plain decimal number")             \
	X(LENGTH_REPEATED, 400, "length_repeated", "Content-Length is there twice")                \
	X(LENGTH_AND_CODING, 400, "length_and_coding", "Content-Length and Transfer-Encoding")     \
	X(CODING, 400, "bad_transfer_coding", "Transfer-Encoding is not exactly chunked")          \
	X(CODING_REPEATED, 400, "coding_repeated", "Transfer-Encoding is there twice")             \
	X(CODING_VERSION, 400, "coding_in_1_0", "Transfer-Encoding in HTTP/1.0")                   \
	X(BODY, 400, "body_not_allowed", "this message cannot have a body")                        \
	X(CONNECTION, 400, "bad_connection", "Connection is malformed or names a framing field")   \
	X(UPGRADE, 400, "bad_upgrade", "Upgrade is malformed or repeated")                         \
	X(EXPECT, 417, "bad_expect", "Expect is not 100-continue")
/* clang-format on */

#define CV_H1_RC_ENUM(name, status, slug, text) CV_H1_##name,
enum cv_h1_rc { CV_H1_RCS(CV_H1_RC_ENUM) CV_H1_RC_COUNT };
#undef CV_H1_RC_ENUM

struct cv_h1_rc_row {
	const char *slug, *text;
	int status;
};

const struct cv_h1_rc_row *cv_h1_rc_row(enum cv_h1_rc rc); /* static storage */

/* clang-format off */
/* Fields that somebody looks at.  HOP: says something about one connection, never forwarded.
 * FRAMING: ours to write.  OVERRIDE: asks the origin to do another thing than the start line
 * says, dropped.  REPLY_DROP: dropped from responses.  NO_TRAILER: refused after a chunked body. */
enum {
	CV_H1_HOP        = 1 << 0,
	CV_H1_FRAMING    = 1 << 1,
	CV_H1_OVERRIDE   = 1 << 2,
	CV_H1_REPLY_DROP = 1 << 3,
	CV_H1_NO_TRAILER = 1 << 4,
	CV_H1_NAMED      = 1 << 5, /* per message: Connection names it */
};

#define CV_H1_FIELDS(X) /* enum, name in lower case, flags; by length of name */                   \
	X(TE, "te", CV_H1_HOP | CV_H1_NO_TRAILER)                                                  \
	X(VIA, "via", CV_H1_NO_TRAILER)                                                            \
	X(HOST, "host", CV_H1_FRAMING | CV_H1_NO_TRAILER)                                          \
	X(DATE, "date", CV_H1_NO_TRAILER)                                                          \
	X(RANGE, "range", CV_H1_NO_TRAILER)                                                        \
	X(EXPECT, "expect", CV_H1_HOP | CV_H1_NO_TRAILER)                                          \
	X(COOKIE, "cookie", CV_H1_NO_TRAILER)                                                      \
	X(TRAILER, "trailer", CV_H1_HOP | CV_H1_NO_TRAILER)                                        \
	X(UPGRADE, "upgrade", CV_H1_HOP | CV_H1_NO_TRAILER)                                        \
	X(ALT_SVC, "alt-svc", CV_H1_REPLY_DROP | CV_H1_NO_TRAILER)                                 \
	X(LOCATION, "location", CV_H1_NO_TRAILER)                                                  \
	X(FORWARDED, "forwarded", CV_H1_NO_TRAILER)                                                \
	X(CONNECTION, "connection", CV_H1_HOP | CV_H1_NO_TRAILER)                                  \
	X(KEEP_ALIVE, "keep-alive", CV_H1_HOP | CV_H1_NO_TRAILER)                                  \
	X(SET_COOKIE, "set-cookie", CV_H1_NO_TRAILER)                                              \
	X(MAX_FORWARDS, "max-forwards", CV_H1_NO_TRAILER)                                          \
	X(CONTENT_TYPE, "content-type", CV_H1_NO_TRAILER)                                          \
	X(METHOD_OVERRIDE_2, "x-http-method", CV_H1_OVERRIDE | CV_H1_NO_TRAILER)                   \
	X(REWRITE_URL, "x-rewrite-url", CV_H1_OVERRIDE | CV_H1_NO_TRAILER)                         \
	X(AUTHORIZATION, "authorization", CV_H1_NO_TRAILER)                                        \
	X(CONTENT_RANGE, "content-range", CV_H1_NO_TRAILER)                                        \
	X(CACHE_CONTROL, "cache-control", CV_H1_NO_TRAILER)                                        \
	X(CONTENT_LENGTH, "content-length", CV_H1_FRAMING | CV_H1_NO_TRAILER)                      \
	X(HTTP2_SETTINGS, "http2-settings", CV_H1_HOP | CV_H1_NO_TRAILER)                          \
	X(ORIGINAL_URL, "x-original-url", CV_H1_OVERRIDE | CV_H1_NO_TRAILER)                       \
	X(FORWARDED_FOR, "x-forwarded-for", CV_H1_NO_TRAILER)                                      \
	X(PROXY_CONNECTION, "proxy-connection", CV_H1_HOP | CV_H1_NO_TRAILER)                      \
	X(FORWARDED_HOST, "x-forwarded-host", CV_H1_NO_TRAILER)                                    \
	X(WWW_AUTHENTICATE, "www-authenticate", CV_H1_NO_TRAILER)                                  \
	X(CONTENT_ENCODING, "content-encoding", CV_H1_NO_TRAILER)                                  \
	X(TRANSFER_ENCODING, "transfer-encoding", CV_H1_FRAMING | CV_H1_HOP | CV_H1_NO_TRAILER)    \
	X(METHOD_OVERRIDE_3, "x-method-override", CV_H1_OVERRIDE | CV_H1_NO_TRAILER)               \
	X(PROXY_AUTHENTICATE, "proxy-authenticate", CV_H1_HOP | CV_H1_NO_TRAILER)                  \
	X(PROXY_AUTHORIZATION, "proxy-authorization", CV_H1_HOP | CV_H1_NO_TRAILER)                \
	X(METHOD_OVERRIDE, "x-http-method-override", CV_H1_OVERRIDE | CV_H1_NO_TRAILER)
/* clang-format on */

#define CV_H1_FIELD_ENUM(name, text, flags) CV_H1_FIELD_##name,
enum cv_h1_field {
	CV_H1_FIELD_OTHER, /* none of the table */
	CV_H1_FIELDS(CV_H1_FIELD_ENUM) CV_H1_FIELD_COUNT
};
#undef CV_H1_FIELD_ENUM

struct cv_h1_header {
	struct cv_str name, value; /* name as it was written; value without outer blanks */
	uint8_t field;             /* enum cv_h1_field; `_` counts as `-` here */
	uint8_t flags;             /* CV_H1_HOP and so on */
};

enum cv_h1_body {
	CV_H1_BODY_NONE,
	CV_H1_BODY_LENGTH,
	CV_H1_BODY_CHUNKED,
	CV_H1_BODY_CLOSE, /* responses only: until the connection ends */
};

enum cv_h1_form {
	CV_H1_FORM_ORIGIN,    /* /path?query */
	CV_H1_FORM_ABSOLUTE,  /* http://host/path?query */
	CV_H1_FORM_AUTHORITY, /* host:port, with CONNECT only */
	CV_H1_FORM_ASTERISK,  /* *, with OPTIONS only */
};

struct cv_h1_request {
	struct cv_str method;
	struct cv_str target; /* as it came */
	enum cv_h1_form form;
	bool is_https; /* absolute form with https:// */

	struct cv_str path;  /* raw; "" without one, "*" for the asterisk form */
	struct cv_str query; /* raw, without ?; CV_STR_NONE when there is no ? */

	/* From the target if that names one, else from Host; they agree if both do.  The port is
	 * 0 if none was given and the form has no default.  host.n is 0 in HTTP/1.0 without Host. */
	struct cv_authority authority;

	uint8_t minor; /* of HTTP/1.minor: 0 or 1 */
	enum cv_h1_body body;
	uint64_t length;      /* of CV_H1_BODY_LENGTH */
	bool is_body_unusual; /* GET or HEAD with a body that is not empty */
	bool is_keep_alive;   /* another request may follow; never with HTTP/1.0 */
	bool is_expect_continue;
	bool is_upgrade;       /* Upgrade is there and Connection names it */
	bool is_overriding;    /* some header has CV_H1_OVERRIDE */
	struct cv_str upgrade; /* its value, a list of protocols, when is_upgrade */

	size_t head_bytes; /* of the input, up to where the body starts */
	size_t header_count;
	struct cv_h1_header header[CV_H1_HEADERS_MAX];
};

struct cv_h1_response {
	int status;
	struct cv_str reason; /* may be empty */
	uint8_t minor;
	enum cv_h1_body body;
	bool has_length; /* Content-Length is there and means something, also after HEAD */
	uint64_t length;
	bool is_keep_alive;
	bool is_upgrade; /* 101 with a well-formed Upgrade */
	struct cv_str upgrade;

	size_t head_bytes;
	size_t header_count;
	struct cv_h1_header header[CV_H1_HEADERS_MAX];
};

/* What the framing of a response depends on (RFC 9112 6.3). */
enum cv_h1_asked { CV_H1_ASKED_OTHER, CV_H1_ASKED_HEAD, CV_H1_ASKED_CONNECT };

static inline enum cv_h1_asked cv_h1_asked(struct cv_str method)
{
	return cv_str_eq(method, CV_STR("HEAD"))      ? CV_H1_ASKED_HEAD
	       : cv_str_eq(method, CV_STR("CONNECT")) ? CV_H1_ASKED_CONNECT
						      : CV_H1_ASKED_OTHER;
}

/* Parses the head that bytes starts with.  While the answer is MORE, call again with the same bytes
 * and more behind them (they may have moved); *scanned, 0 at first, remembers how far line
 * ends were sought, so that the sum of all calls is linear.  head_max is one of CV_H1_*_HEAD_
 * BYTES_MAX.  *ret is meaningful only after OK; it borrows from bytes. */
CV_MUST enum cv_h1_rc cv_h1_request_parse(
	struct cv_str bytes, size_t head_max, size_t *scanned, struct cv_h1_request *ret);
CV_MUST enum cv_h1_rc cv_h1_response_parse(struct cv_str bytes, size_t head_max, size_t *scanned,
	enum cv_h1_asked asked, struct cv_h1_response *ret);

/* Parses field lines up to and with the empty line (a trailer section).  Sets *ret_bytes to their
 * length and *ret_count.  MORE if the empty line is not there yet. */
CV_MUST enum cv_h1_rc cv_h1_fields_parse(struct cv_str bytes, struct cv_h1_header *ret_headers,
	size_t headers_max, size_t *ret_count, size_t *ret_bytes);

/* The field of that name (any case, `_` as `-`), CV_H1_FIELD_OTHER if the table has none. */
enum cv_h1_field cv_h1_field_of(struct cv_str name);
uint8_t cv_h1_flags_of(struct cv_str name); /* CV_H1_HOP and so on */

/* The same name for an origin that hands fields over as variables: any case, `_` as `-`. */
bool cv_h1_name_eq(struct cv_str a, struct cv_str b);

/* The first header of that field or name (as cv_h1_name_eq) at or after *at, which then moves
 * behind it; NULL when there is none.  Start with 0. */
const struct cv_h1_header *cv_h1_header_next(
	const struct cv_h1_header *headers, size_t count, enum cv_h1_field field, size_t *at);
const struct cv_h1_header *cv_h1_header_next_named(
	const struct cv_h1_header *headers, size_t count, struct cv_str name, size_t *at);

/* A comma-separated list of tokens (Connection, Upgrade, Sec-WebSocket-Protocol) has this one. */
bool cv_h1_list_has(struct cv_str list, struct cv_str token);

bool cv_h1_is_token(struct cv_str s);       /* 1 or more tchar */
bool cv_h1_is_target(struct cv_str s);      /* printable ASCII without space and #; or nothing */
bool cv_h1_is_field_value(struct cv_str s); /* no control bytes but tab; no outer blanks */
