/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errors.h - what the host-tools route answers when it does not do what was asked
 *
 * {"error": CODE, "detail": SENTENCE, ...} with the status; docs/decisions/host-tools.md says what
 * else each has.  One table for whoever writes them and for the documents that list them.
 */
#pragma once
#include "base/assert.h"
#include "base/attr.h"

/* clang-format off */
#define CV_TOOL_ERRORS(X) /* enum, status, code */                                   \
	X(INVALID_JSON, 400, "invalid_json")                                         \
	X(DUPLICATE_KEY, 400, "duplicate_key")                                       \
	X(TOO_DEEP, 400, "too_deep")                                                 \
	X(INVALID_ARGUMENTS, 400, "invalid_arguments")                               \
	X(TOKEN_MISSING, 401, "token_missing")                                       \
	X(TOKEN_INVALID, 401, "token_invalid")                                       \
	X(POLICY_DENIED, 403, "policy_denied")                                       \
	X(SANDBOX_MISMATCH, 403, "sandbox_mismatch")                                 \
	X(APPROVAL_DENIED, 403, "approval_denied")                                   \
	X(UNKNOWN_TOOL, 404, "unknown_tool")                                         \
	X(UNKNOWN_JOB, 404, "unknown_job")                                           \
	X(UNKNOWN_PATH, 404, "unknown_path")                                         \
	X(METHOD_NOT_ALLOWED, 405, "method_not_allowed")                             \
	X(IDEMPOTENCY_CONFLICT, 409, "idempotency_conflict")                         \
	X(JOB_ENDED, 409, "job_ended")                                               \
	X(BODY_TOO_LARGE, 413, "body_too_large")                                     \
	X(UNSUPPORTED_MEDIA_TYPE, 415, "unsupported_media_type")                     \
	X(TOO_MANY_CALLS, 429, "too_many_calls")                                     \
	X(TOO_MANY_AT_ONCE, 429, "too_many_at_once")                                 \
	X(TOO_MANY_HELD, 429, "too_many_held")                                       \
	X(TOOL_FAILED, 502, "tool_failed")                                           \
	X(BACKEND_FAILED, 502, "backend_failed")                                     \
	X(BROKER_UNAVAILABLE, 503, "broker_unavailable")                             \
	X(NO_TOOLS, 503, "no_tools")                                                 \
	X(TOOL_TIMEOUT, 504, "tool_timeout")                                         \
	X(APPROVAL_TIMEOUT, 504, "approval_timeout")                                 \
	X(BROKER_TIMEOUT, 504, "broker_timeout")                                     \
	X(WORKDIR_FULL, 507, "workdir_full")
/* clang-format on */

#define CV_TOOL_ERROR_ENUM(name, status, code) CV_TOOL_ERROR_##name,
enum cv_tool_error { CV_TOOL_ERRORS(CV_TOOL_ERROR_ENUM) CV_TOOL_ERROR_COUNT };
#undef CV_TOOL_ERROR_ENUM

struct cv_tool_error_row {
	const char *code;
	int status;
};

static inline const struct cv_tool_error_row *cv_tool_error_row(enum cv_tool_error e)
{
#define CV_TOOL_ERROR_ROW(name, status, code) { code, status },
	static const struct cv_tool_error_row rows[] = { CV_TOOL_ERRORS(CV_TOOL_ERROR_ROW) };
#undef CV_TOOL_ERROR_ROW

	cv_assert(e < CV_TOOL_ERROR_COUNT);
	return &rows[e];
}
