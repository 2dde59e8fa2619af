/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh_github.c - a token for one installation of a GitHub App
 *
 * The App signs an assertion; GitHub answers with a token of an hour.  `scopes` ("contents:read
 * issues:write") and the material repositories ("a,b") ask for less than the installation has.
 */
#include "cred/refresh_int.h"

#include "base/time.h"
#include "cred/answer_json.h"
#include "cred/jwt.h"

#define BACKDATE_S  60  /* GitHub's advice against clocks that are ahead */
#define ASSERTION_S 540 /* at most ten minutes from iat */

/* "contents:read issues:write" as an object; a word without a level is refused. */
static cv_code permissions_put(struct cv_buf *b, struct cv_str scopes, struct cv_err *err)
{
	bool is_first = true;

	cv_buf_put(b, CV_STR("\"permissions\":{"));
	while (scopes.p) {
		struct cv_str level = cv_str_cut(&scopes, ' ');

		if (!level.n)
			continue;
		const struct cv_str name = cv_str_cut(&level, ':');
		if (!name.n || !level.n)
			return cv_fail(err, CV_INVALID,
				"refresh: scopes of a GitHub App are words like contents:read");
		if (!is_first)
			cv_buf_put_byte(b, ',');
		is_first = false;
		cv_buf_put_json_str(b, name);
		cv_buf_put_byte(b, ':');
		cv_buf_put_json_str(b, level);
	}
	cv_buf_put_byte(b, '}');
	return CV_OK;
}

static void repositories_put(struct cv_buf *b, struct cv_str names)
{
	bool is_first = true;

	cv_buf_put(b, CV_STR("\"repositories\":["));
	while (names.p) {
		const struct cv_str name = cv_str_trim(cv_str_cut(&names, ','));

		if (!name.n)
			continue;
		if (!is_first)
			cv_buf_put_byte(b, ',');
		is_first = false;
		cv_buf_put_json_str(b, name);
	}
	cv_buf_put_byte(b, ']');
}

static cv_code body_put(const struct cv_cred_refresh *refresh, struct cv_buf *b, struct cv_err *err)
{
	const struct cv_str repositories = cv_refresh_material(refresh, "repositories");

	cv_buf_put_byte(b, '{');
	if (refresh->scopes.n && permissions_put(b, refresh->scopes, err) != CV_OK)
		return err->code;
	if (refresh->scopes.n && repositories.n)
		cv_buf_put_byte(b, ',');
	if (repositories.n)
		repositories_put(b, repositories);
	cv_buf_put_byte(b, '}');
	return CV_OK;
}

cv_code cv_refresh_github_write(
	const struct cv_refresh_ask *ask, struct cv_refresh_request *ret, struct cv_err *err)
{
	const struct cv_jwt_claim claims[] = {
		{ .name = "iss", .text = cv_refresh_material(ask->refresh, "app_id") },
		{ .name = "iat", .number = ask->now_s - BACKDATE_S, .is_number = true },
		{ .name = "exp", .number = ask->now_s + ASSERTION_S, .is_number = true },
	};
	struct cv_str bearer = CV_STR_NONE;
	struct cv_buf b;

	cv_buf_init(&b, CV_JWT_BYTES_MAX);
	cv_buf_put(&b, CV_STR("Bearer "));
	cv_code code = cv_jwt_sign(CV_JWT_RS256, cv_refresh_material(ask->refresh, "private_key"),
		CV_STR_NONE, claims, CV_ARRAY_LEN(claims), &b, err);
	if (code != CV_OK) {
		cv_buf_fini(&b);
		return cv_wrap(err, "refresh");
	}
	code = cv_refresh_buf_take(&b, ask->arena, &bearer, err);
	if (code != CV_OK)
		return code;
	cv_refresh_header_add(ret, CV_STR("Authorization"), bearer);
	cv_refresh_header_add(ret, CV_STR("Accept"), CV_STR("application/vnd.github+json"));
	cv_refresh_header_add(ret, CV_STR("X-GitHub-Api-Version"), CV_STR("2022-11-28"));
	cv_refresh_header_add(ret, CV_STR("User-Agent"), CV_STR("cove")); /* required there */
	cv_refresh_header_add(ret, CV_STR("Content-Type"), CV_STR("application/json"));
	cv_buf_init(&b, CV_REFRESH_BODY_BYTES_MAX);
	code = body_put(ask->refresh, &b, err);
	if (code == CV_OK)
		return cv_refresh_buf_take(&b, ask->arena, &ret->body, err);
	cv_buf_fini(&b);
	return code;
}

static void failure_read(const struct cv_refresh_answer *answer, struct cv_refresh_result *ret)
{
	const struct cv_str left = cv_cred_header_get(
		answer->headers, answer->header_count, CV_STR("x-ratelimit-remaining"));

	cv_refresh_fail_status(ret, answer);
	if (ret->reason != CV_REFRESH_REASON_ANSWER)
		return;
	if (answer->status == 403 && cv_str_eq(left, CV_STR("0")))
		cv_refresh_fail(ret, CV_REFRESH_REASON_LIMITED);
	else if (answer->status == 403 || answer->status == 404 || answer->status == 422)
		cv_refresh_fail(ret,
			CV_REFRESH_REASON_FORBIDDEN); /* suspended, removed, or more than it has */
}

void cv_refresh_github_read(const struct cv_cred_refresh *refresh,
	const struct cv_refresh_answer *answer, int64_t now_s, struct cv_arena *arena,
	struct cv_refresh_result *ret)
{
	struct cv_json_object o;
	struct cv_err ignored;
	int64_t expires_ms;

	if (answer->status != 201) {
		failure_read(answer, ret);
	} else if (cv_json_object_parse(answer->body, arena, &o, &ignored) != CV_OK ||
		   !cv_time_parse(cv_json_get_string(&o, CV_STR("expires_at")), &expires_ms)) {
		cv_refresh_fail(ret, CV_REFRESH_REASON_ANSWER);
	} else if (cv_refresh_output_add(
			   ret, "token", cv_json_get_string(&o, CV_STR("token")), arena)) {
		cv_refresh_renewed(ret, refresh, now_s, expires_ms / 1000);
	}
}
