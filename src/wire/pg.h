/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg.h - PostgreSQL's protocol, version 3: packets before the session, messages within it
 *
 * Parsers take bytes that are there and say how many belong to the packet; they copy nothing and
 * what they return borrows from the input.  A message is met by its head first (type and length),
 * so that those which nobody reads (rows, COPY data) can be passed on without being held.
 */
#pragma once
#include "base/buf.h"

#include <stdint.h>

#define CV_PG_STARTUP_BYTES_MAX 10000      /* MAX_STARTUP_PACKET_LENGTH of the server */
#define CV_PG_MESSAGE_BYTES_MAX 0x3fffffff /* 1 GiB: of a row or datum, the server's own limit */
#define CV_PG_HEAD_BYTES        5
#define CV_PG_PARAMETERS_MAX    64  /* of a startup packet: drivers send up to ten */
#define CV_PG_KEY_BYTES_MAX     256 /* of a cancellation, since protocol 3.2; 4 before */

enum cv_pg_rc { CV_PG_OK, CV_PG_MORE, CV_PG_ERROR };

/* ---- before the session ---- */

enum cv_pg_startup_kind { CV_PG_STARTUP, CV_PG_SSL, CV_PG_GSS, CV_PG_CANCEL };

struct cv_pg_parameter {
	struct cv_str name, value;
};

struct cv_pg_startup {
	enum cv_pg_startup_kind kind;
	size_t bytes; /* of the whole packet */
	/* STARTUP */
	uint16_t minor; /* of version 3 */
	struct cv_pg_parameter parameter[CV_PG_PARAMETERS_MAX];
	size_t parameter_count;
	struct cv_str user, database; /* database: the user's name when it was not given */
	/* CANCEL */
	uint32_t pid;
	struct cv_str key;
	const char *problem; /* of CV_PG_ERROR */
};

enum cv_pg_rc cv_pg_startup_parse(struct cv_str text, struct cv_pg_startup *ret);

/* ---- messages ---- */

struct cv_pg_head {
	char type;
	size_t body_bytes; /* behind the head */
};

/* ERROR: a length that can't be, or no message of that direction. */
enum cv_pg_rc cv_pg_head_parse(struct cv_str text, bool is_from_server, struct cv_pg_head *ret);

/* The body of Query: one text and its zero byte, which must be the only one. */
CV_MUST bool cv_pg_query_parse(struct cv_str body, struct cv_str *ret_text);

/* The body of Parse: a name, a text, and types. */
CV_MUST bool cv_pg_parse_parse(
	struct cv_str body, struct cv_str *ret_name, struct cv_str *ret_text);

/* Two texts: ParameterStatus. */
CV_MUST bool cv_pg_pair_parse(
	struct cv_str body, struct cv_str *ret_name, struct cv_str *ret_value);

/* The value of one field of an ErrorResponse or NoticeResponse ('M', 'C' ...); empty for none. */
struct cv_str cv_pg_error_field(struct cv_str body, char field);

/* ---- what we say ---- */

/* Each appends one whole packet; false when b is overflown. */
bool cv_pg_put_ssl_request(struct cv_buf *b);
bool cv_pg_put_cancel(struct cv_buf *b, uint32_t pid, struct cv_str key);
bool cv_pg_put_message(struct cv_buf *b, char type, struct cv_str body);
bool cv_pg_put_ready(struct cv_buf *b, char status); /* ReadyForQuery */
bool cv_pg_put_password(struct cv_buf *b, struct cv_str password);
bool cv_pg_put_sasl_first(struct cv_buf *b, struct cv_str mechanism, struct cv_str data);
/* Authentication with a code and what belongs to it. */
bool cv_pg_put_auth(struct cv_buf *b, uint32_t code, struct cv_str data);
/* severity "ERROR" or "FATAL"; hint may be empty.  Texts end at their first zero byte. */
bool cv_pg_put_error(struct cv_buf *b, const char *severity, const char *sqlstate,
	struct cv_str message, struct cv_str hint);

/* StartupMessage: begin, one or more parameters, end. */
bool cv_pg_startup_begin(struct cv_buf *b);
bool cv_pg_startup_add(struct cv_buf *b, struct cv_str name, struct cv_str value);
bool cv_pg_startup_end(struct cv_buf *b);
