/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clienthello.h - what a connection speaks, from its first bytes, before anything is consumed
 *
 * The caller hands over all bytes that it holds from the start of the stream, as often as more
 * arrive.  Nothing is allocated and nothing is kept between calls; the hello may be spread over
 * several records (T4) and is read across their headers.
 */
#pragma once
#include "wire/limits_net.h"
#include "wire/name.h"

enum cv_peek {
	CV_PEEK_NEED_MORE,
	CV_PEEK_TLS,
	CV_PEEK_HTTP1, /* a method token and a space */
	CV_PEEK_HTTP2, /* the connection preface: prior knowledge, or after ALPN h2 */
	CV_PEEK_OTHER,
	CV_PEEK_COUNT
};

const char *cv_peek_name(enum cv_peek p); /* "http/1", ... */

/* NEED_MORE also for no bytes at all; then *ret_need is how many are needed in total.  A method in
 * lower case is one only with is_any_case, for where nothing but HTTP is spoken: any protocol may
 * begin with a word. */
CV_MUST enum cv_peek cv_peek_classify(struct cv_str bytes, bool is_any_case, size_t *ret_need);

enum cv_hello_status {
	CV_HELLO_NEED_MORE,
	CV_HELLO_OK,
	CV_HELLO_NOT_TLS,
	CV_HELLO_ERROR,
};

/* clang-format off */
#define CV_HELLO_PROBLEMS(X)                                                     \
	X(NONE,            "no problem")                                         \
	X(RECORD_TYPE,     "record is not a handshake record")                   \
	X(RECORD_VERSION,  "record version is not TLS")                          \
	X(RECORD_LENGTH,   "record is empty or above 16 KiB")                    \
	X(RECORD_COUNT,    "ClientHello is cut into too many records")           \
	X(MESSAGE_TYPE,    "first handshake message is not a ClientHello")       \
	X(TOO_LARGE,       "ClientHello is above 64 KiB")                        \
	X(TRAILING,        "bytes follow the ClientHello in its record")         \
	X(MALFORMED,       "ClientHello is malformed")                           \
	X(VERSION,         "ClientHello has an unknown legacy version")          \
	X(EXT_COUNT,       "ClientHello has too many extensions")                \
	X(EXT_DUPLICATE,   "ClientHello has an extension twice")                 \
	X(SNI_LIST,        "server name list is malformed")                      \
	X(SNI_COUNT,       "server name list has not exactly one name")          \
	X(SNI_TYPE,        "server name is of an unknown type")                  \
	X(SNI_ADDRESS,     "server name is an address")                          \
	X(SNI_NAME,        "server name is not a host name")                     \
	X(ALPN,            "protocol list is malformed or too long")             \
	X(VERSIONS,        "version list is malformed or too long")
/* clang-format on */

#define CV_HELLO_PROBLEM_ENUM(name, text) CV_HELLO_PROBLEM_##name,
enum cv_hello_problem { CV_HELLO_PROBLEMS(CV_HELLO_PROBLEM_ENUM) CV_HELLO_PROBLEM_COUNT };
#undef CV_HELLO_PROBLEM_ENUM

struct cv_hello {
	enum cv_hello_status status;
	enum cv_hello_problem problem; /* when ERROR */
	size_t need;                   /* when NEED_MORE: bytes in total, always more than given */
	size_t bytes;                  /* when OK: the stream's bytes that the hello takes */
	struct cv_name sni;            /* canonical; n is 0 when there is none */
	bool has_ech, has_session_id;
	bool has_alpn, offers_h2, offers_http11;
	uint8_t alpn[CV_HELLO_ALPN_BYTES_MAX]; /* length byte, name, ...; see cv_hello_alpn_next */
	size_t alpn_n;
	uint16_t legacy_version;
	uint16_t version[CV_HELLO_VERSIONS_MAX]; /* supported_versions, GREASE among them */
	size_t version_count;
};

const char *cv_hello_problem_name(enum cv_hello_problem p); /* "SNI_COUNT" */
const char *cv_hello_problem_text(enum cv_hello_problem p);

enum cv_hello_status cv_hello_parse(struct cv_str bytes, struct cv_hello *ret_hello);

/* The protocols one by one: start with *pos 0; CV_STR_NONE (p NULL) after the last.  A slice of
 * *h. */
struct cv_str cv_hello_alpn_next(const struct cv_hello *h, size_t *pos);

/* The newest version offered that is not GREASE; legacy_version without the extension. */
uint16_t cv_hello_version_max(const struct cv_hello *h);
