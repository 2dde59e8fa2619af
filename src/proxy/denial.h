/* SPDX-License-Identifier: Apache-2.0 */
/*
 * denial.h - the answers of our own, each a row: status, code, and what is said
 *
 * Statuses, codes and members are OpenShell's (openshell-behaviour 4.4), so that clients which
 * match them go on working; `allowed` is ours: what this host would accept from this caller.
 * Every byte that came from a stranger is escaped as JSON.  After a denial the connection is
 * closed, with whatever body was still coming unread (T11).
 */
#pragma once
#include "proxy/proxy.h"

/* clang-format off */
/* name, status, "error", member for the sentence, code in audit */
#define CV_DENIALS(X)                                                                          \
	X(POLICY,       403, "policy_denied", "detail", NULL)                                  \
	X(L7,           403, "policy_denied", "detail", NULL)                                  \
	X(SSRF,         403, "ssrf_denied", "detail", "ssrf_denied")                           \
	X(PROTOCOL,     403, "unsupported_l7_protocol", "detail", "unsupported_l7_protocol")   \
	X(AUTHORITY,    403, "request_authority_mismatch", "message", "request_authority_mismatch") \
	X(NO_TLS,       503, "tls_termination_unavailable", "detail", "tls_termination_unavailable") \
	X(AUDIT,        503, "audit_unavailable", "detail", "audit_unavailable")               \
	X(UNREACHABLE,  502, "upstream_unreachable", "detail", "upstream_unreachable")         \
	X(UPSTREAM_TLS, 502, "upstream_tls_failed", "detail", "upstream_tls_failed")           \
	X(UPSTREAM,     502, "upstream_protocol_error", "detail", "upstream_protocol_error")   \
	X(UPSTREAM_PROXY, 502, "upstream_proxy_failed", "detail", "upstream_proxy_failed")     \
	X(WEBSOCKET,    400, "invalid_websocket_upgrade", "detail", "invalid_websocket_upgrade") \
	X(TARGET,       400, "invalid_request_target", "detail", "invalid_request_target")     \
	X(TIMEOUT,      504, "upstream_timeout", "detail", "upstream_timeout")                 \
	X(MIDDLEWARE_DENIED, 403, "middleware_denied", "detail", "middleware_denied")          \
	X(MIDDLEWARE_FAILED, 403, "middleware_failed", "detail", "middleware_failed")          \
	X(MIDDLEWARE_REQUIRED, 403, "middleware_required", "detail", "middleware_required")    \
	X(UNINSPECTED, 403, "uninspected_credentials", "detail", "uninspected_credentials")    \
	X(APPROVAL_DENIED, 403, "approval_denied", "detail", "approval_denied")                \
	X(APPROVAL_TIMEOUT, 403, "approval_timeout", "detail", "approval_timeout")             \
	X(APPROVAL_FLOOD, 429, "too_many_held", "detail", "too_many_held")                     \
	X(BODY_LONG, 413, "request_body_too_large", "detail", "request_body_too_large")        \
	X(BODY_LATE, 408, "request_body_late", "detail", "request_body_late")                  \
	X(BODY_ROOM, 503, "request_body_not_held", "detail", "request_body_not_held")          \
	X(CREDENTIAL_PLACE, 403, "credential_endpoint_mismatch", "message", NULL)              \
	X(CREDENTIAL_OWN, 403, "own_credential_refused", "message", NULL)                      \
	X(CREDENTIAL_SIGNING, 403, "credential_signing_refused", "message", NULL)              \
	X(CREDENTIAL_UNAVAILABLE, 500, "credential_unavailable", "message", NULL)              \
	X(CREDENTIAL_EXPIRED, 502, "credential_expired", "message", NULL)                      \
	X(CREDENTIAL_RENEWAL, 502, "credential_refresh_failed", "message", NULL)               \
	X(CREDENTIAL_KEEPER, 503, "credential_keeper_unavailable", "message", NULL)            \
	X(CREDENTIAL_TOKENS, 502, "token_answer_refused", "message", "token_answer_refused")
/* clang-format on */

#define CV_DENIAL_ENUM(name, ...) CV_DENIAL_##name,
enum cv_denial { CV_DENIALS(CV_DENIAL_ENUM) CV_DENIAL_COUNT };
#undef CV_DENIAL_ENUM

int cv_denial_status(enum cv_denial d);
const char *cv_denial_code(enum cv_denial d); /* for audit; NULL: the verdict's */

struct cv_denial_text {
	const struct cv_h1_request *request;   /* NULL: for a connection */
	struct cv_str path;                    /* canonical, of request; empty: as it came */
	struct cv_str why;                     /* the sentence, or its end */
	const struct cv_verdict *verdict;      /* of the request, if that was denied */
	struct cv_str middleware, reason_code; /* of MIDDLEWARE_; empty: none */
};

/* Answers the sandbox and ends the flow.  Writes no event: cv_decide_record() came before, and the
 * text may still live in its arena. */
void cv_deny(
	struct cv_proxy *p, struct cv_flow *f, enum cv_denial d, const struct cv_denial_text *t);

/* A status and JSON. */
void cv_deny_json(
	struct cv_proxy *p, struct cv_flow *f, int status, struct cv_str body, bool is_head);

/* The same with these fields. */
void cv_deny_fields(struct cv_proxy *p, struct cv_flow *f, int status,
	const struct cv_h1_header *fields, size_t field_count, struct cv_str body, bool is_head);

/* A status and, where body is not empty, text. */
void cv_deny_bare(struct cv_proxy *p, struct cv_flow *f, int status, struct cv_str body);
