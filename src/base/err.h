/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - expected failures: a code for the program, a sentence for the person
 *
 * A function that can fail returns cv_code and fills the caller's struct cv_err; the error lives
 * on the caller's stack and owns nothing.  Each layer adds what it knew with cv_wrap() on the
 * way up, so that the message reads from the outside in:
 *
 *     load policy: open /etc/x: Permission denied
 *
 * Outputs (ret_...) stay untouched when the code is not CV_OK.  Libraries return errors and never
 * log them.
 */
#pragma once
#include "base/attr.h"

#define CV_ERR_MSG_BYTES_MAX 512 /* a path of the usual length, its reason and what to do */

/* clang-format off */
/* One row per code: what a shell, an HTTP client and a gRPC client see of it. */
#define CV_CODES(X) /* name, exit, HTTP, gRPC */                                    \
	X(OK, 0, 200, 0)                                                            \
	X(INVALID, 2, 400, 3)       /* the caller's words are wrong; retrying won't help */ \
	X(DENIED, 125, 403, 7)      /* policy, or the kernel in its name, said no */  \
	X(NOT_FOUND, 125, 404, 5)   /* the named thing is not there */              \
	X(LIMIT, 125, 429, 8)       /* a named limit was reached */                 \
	X(PROTO, 125, 400, 3)       /* a peer broke its protocol */                 \
	X(UNAVAILABLE, 125, 503, 14) /* this host or a peer can't do it now */      \
	X(SYSTEM, 125, 500, 13)     /* a system call failed; sys holds errno */

/* clang-format on */

#define CV_CODE_ENUM(name, exit, http, grpc) CV_##name,
typedef enum cv_code { CV_CODES(CV_CODE_ENUM) CV_CODE_COUNT } cv_code;
#undef CV_CODE_ENUM

struct cv_err {
	cv_code code;
	int sys; /* errno of a failed system call, else 0 */
	char msg[CV_ERR_MSG_BYTES_MAX];
};

struct cv_code_row {
	const char *name; /* "NOT_FOUND" */
	int exit, http, grpc;
};

/* The row of a code; static storage. */
const struct cv_code_row *cv_code_row(cv_code code);

/* Fills err (if not NULL) and returns code, so that a caller writes `return cv_fail(...)`. */
CV_PRINTF(3, 4) cv_code cv_fail(struct cv_err *err, cv_code code, const char *fmt, ...);

/* CV_SYSTEM from the present errno; ": <strerror>" follows the formatted text. */
CV_PRINTF(2, 3) cv_code cv_fail_errno(struct cv_err *err, const char *fmt, ...);

/* Puts context before the message that err holds; returns err's code.  What does not fit is cut
 * at the end. */
CV_PRINTF(2, 3) cv_code cv_wrap(struct cv_err *err, const char *fmt, ...);
