/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh.h - renewing a credential: a plan in, a request out; the answer in, new values out
 *
 * Pure.  Who renews (the keeper) knows when (schedule.h) and has somebody else carry the request
 * (the courier); this module writes the request and reads the answer.
 *
 *     plan --cv_refresh_request()--> request ~~courier~~> answer --cv_refresh_response()--> outputs
 *
 * Strategies and their materials (? may be missing):
 *
 *   oauth2_refresh_token       refresh_token client_id client_secret?
 *   oauth2_client_credentials  client_id client_secret or private_key (key_alg? private_key_id?)
 *                              tenant_id? for {tenant_id} in the URL
 *   google_service_account_jwt client_email and private_key (private_key_id? subject?), or
 *                              service_account_key: Google's JSON file with those
 *   aws_sts_assume_role        role_arn aws_access_key_id aws_secret_access_key
 *                              aws_session_token? session_name? external_id? aws_region?
 *   github_app_installation    app_id installation_id private_key repositories?
 *   command                    argv; env? names variables that it gets besides the usual
 *   probe_bearer, probe_key, probe_open   key, but for the last: no renewal, see refresh_probe.c
 *
 * Outputs, the token itself first: access_token (and id_token) of OAuth; access_key_id,
 * secret_access_key and session_token of AWS; token of the others.
 *
 * Ownership: requests and results are in the caller's arena or borrow from the inputs.  Both hold
 * secrets: the caller wipes.  Messages and reasons never do, whatever an issuer answers.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "cred/http.h"
#include "cred/limits_refresh.h"
#include "cred/set.h"

#define CV_REFRESH_RANDOM_BYTES 16 /* no two assertions are the same */
#define CV_REFRESH_HEADERS_MAX  8

struct cv_refresh_request {
	struct cv_str method, url, body;
	struct cv_cred_header headers[CV_REFRESH_HEADERS_MAX];
	size_t header_count;
	bool is_command; /* then only the plan's argv counts */
};

/* What came back.  Of a command: status is its exit status, body what it printed. */
struct cv_refresh_answer {
	int status;
	const struct cv_cred_header *headers; /* at least Retry-After */
	size_t header_count;
	struct cv_str body;
};

/* RENEWED: outputs are there.  DEAD: asking again is of no use until a person acts.  LATER: ask
 * again. */
enum cv_refresh_verdict { CV_REFRESH_RENEWED, CV_REFRESH_DEAD, CV_REFRESH_LATER };

/* clang-format off */
#define CV_REFRESH_REASONS(X) /* name, verdict, slug, sentence */                                \
	X(OK, RENEWED, "ok", "renewed")                                                          \
	X(GRANT, DEAD, "grant_rejected", "the issuer no longer accepts what the token is renewed with") \
	X(CLIENT, DEAD, "client_rejected", "the issuer does not accept the client's id, key or secret") \
	X(FORBIDDEN, DEAD, "forbidden", "the issuer denies this client, role, scope or installation") \
	X(LIMITED, LATER, "rate_limited", "the issuer asks to come back later")                  \
	X(UNAVAILABLE, LATER, "issuer_unavailable", "the issuer cannot answer now")              \
	X(ANSWER, LATER, "bad_answer", "the issuer's answer is not what its protocol says")      \
	X(EXPIRED, LATER, "already_expired", "the new token has expired already")                \
	X(COMMAND, LATER, "command_failed", "the command failed")                                \
	X(PROBE_KEY, DEAD, "unauthorized", "the upstream does not accept the credential")        \
	X(PROBE_DENIED, DEAD, "forbidden", "the upstream denies the credential this model")      \
	X(PROBE_MODEL, DEAD, "not_found", "the upstream knows no such address or model")         \
	X(PROBE_CALL, DEAD, "call_refused", "the upstream refuses a call of this model")
/* clang-format on */
#define CV_REFRESH_REASON_ENUM(name, verdict, slug, text) CV_REFRESH_REASON_##name,
enum cv_refresh_reason { CV_REFRESH_REASONS(CV_REFRESH_REASON_ENUM) CV_REFRESH_REASON_COUNT };
#undef CV_REFRESH_REASON_ENUM

struct cv_refresh_reason_row {
	enum cv_refresh_verdict verdict;
	const char *slug, *text;
};
const struct cv_refresh_reason_row *cv_refresh_reason_row(enum cv_refresh_reason reason);

struct cv_refresh_output {
	struct cv_str name, value;
};

struct cv_refresh_result {
	enum cv_refresh_verdict verdict;
	enum cv_refresh_reason reason;
	struct cv_refresh_output outputs[CV_REFRESH_OUTPUTS_MAX]; /* the token itself first */
	size_t output_count;
	int64_t expires_s;     /* of all outputs */
	struct cv_str rotated; /* a new refresh_token: replaces that material; empty: keep it */
	int64_t retry_s;       /* LATER: the issuer asks to wait so long; 0: it does not say */
};

/* Everything that can be said of a plan before its first use: strategy, materials, URL.
 * CV_INVALID with what is wrong; names of materials, never values. */
CV_MUST cv_code cv_refresh_check(const struct cv_cred_refresh *refresh, struct cv_err *err);

/* CV_INVALID as cv_refresh_check(), or a key that cannot sign; CV_LIMIT: too large. */
CV_MUST cv_code cv_refresh_request(const struct cv_cred_refresh *refresh, int64_t now_s,
	const unsigned char random[CV_REFRESH_RANDOM_BYTES], struct cv_arena *arena,
	struct cv_refresh_request *ret, struct cv_err *err);

/* Never fails: an answer that cannot be read is a reason. */
void cv_refresh_response(const struct cv_cred_refresh *refresh,
	const struct cv_refresh_answer *answer, int64_t now_s, struct cv_arena *arena,
	struct cv_refresh_result *ret);

/* The output that a credential asks for (struct cv_cred.output); empty: the token itself.
 * CV_STR_NONE if the result has none of that name. */
struct cv_str cv_refresh_output(const struct cv_refresh_result *result, struct cv_str name);
