/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh_aws.c - temporary keys of a role: AssumeRole of AWS STS
 *
 * A form that is signed with the long-lived keys (sigv4.h), answered in XML (sts_xml.h).
 */
#include "cred/refresh_int.h"

#include "base/time.h"
#include "cred/sigv4.h"
#include "cred/sts_xml.h"

#define DURATION_S     3600  /* every role allows it; STS's default */
#define DURATION_S_MIN 900   /* STS refuses less */
#define DURATION_S_MAX 43200 /* and more */

static int64_t duration_s(const struct cv_cred_refresh *refresh)
{
	const int64_t wanted = refresh->max_lifetime_s > 0 ? refresh->max_lifetime_s : DURATION_S;

	return CV_MIN(CV_MAX(wanted, DURATION_S_MIN), DURATION_S_MAX);
}

static void form_put(const struct cv_cred_refresh *refresh, struct cv_buf *form)
{
	const struct cv_str session = cv_refresh_material(refresh, "session_name");

	cv_buf_printf(form, "Action=AssumeRole&Version=2011-06-15&DurationSeconds=%d",
		(int)duration_s(refresh));
	cv_refresh_form_put(form, "RoleArn", cv_refresh_material(refresh, "role_arn"));
	cv_refresh_form_put(form, "RoleSessionName", session.n ? session : CV_STR("cove"));
	cv_refresh_form_put(form, "ExternalId", cv_refresh_material(refresh, "external_id"));
}

static cv_code request_sign(
	const struct cv_refresh_ask *ask, struct cv_refresh_request *ret, struct cv_err *err)
{
	const struct cv_sigv4_keys keys = {
		.id = cv_refresh_material(ask->refresh, "aws_access_key_id"),
		.secret = cv_refresh_material(ask->refresh, "aws_secret_access_key"),
		.session_token = cv_refresh_material(ask->refresh, "aws_session_token"),
	};
	struct cv_str host = ask->url;
	unsigned char sha256[CV_SHA256_BYTES];
	struct cv_sigv4_result signature;
	struct cv_sigv4_scope scope = { .service = CV_STR("sts"), .now_s = ask->now_s };
	struct cv_sha256 h;

	cv_str_cut(&host, '/'); /* https: */
	cv_str_cut(&host, '/');
	const struct cv_str name = cv_str_cut(&host, '/');
	const struct cv_str path = host.p ? (struct cv_str){ host.p - 1, host.n + 1 } : CV_STR("/");
	if (cv_str_has_byte(path, '?'))
		return cv_fail(err, CV_INVALID, "token_url of STS has a query");
	cv_code code = cv_sigv4_region(
		name, cv_refresh_material(ask->refresh, "aws_region"), &scope.region, err);
	if (code != CV_OK)
		return code;
	cv_sha256_init(&h);
	cv_sha256_update(&h, ret->body.p, ret->body.n);
	cv_sha256_final(&h, sha256);
	const struct cv_sigv4_request request = { .method = ret->method,
		.host = name,
		.path = path,
		.query = CV_STR_NONE,
		.headers = ret->headers,
		.header_count = ret->header_count };
	code = cv_sigv4_sign(&request, &keys, &scope, CV_SIGV4_PAYLOAD_HASH, sha256, ask->arena,
		&signature, err);
	for (size_t i = 0; code == CV_OK && i < signature.set_count; i++)
		cv_refresh_header_add(ret, signature.set[i].name, signature.set[i].value);
	return code;
}

cv_code cv_refresh_aws_write(
	const struct cv_refresh_ask *ask, struct cv_refresh_request *ret, struct cv_err *err)
{
	struct cv_buf form;

	cv_buf_init(&form, CV_REFRESH_BODY_BYTES_MAX);
	form_put(ask->refresh, &form);
	cv_refresh_header_add(
		ret, CV_STR("Content-Type"), CV_STR("application/x-www-form-urlencoded"));
	cv_code code = cv_refresh_buf_take(&form, ask->arena, &ret->body, err);
	if (code == CV_OK)
		code = request_sign(ask, ret, err);
	return code == CV_OK ? code : cv_wrap(err, "refresh");
}

/* Of STS's common errors and AssumeRole's own. */
static const struct cv_refresh_word words[] = {
	{ "AccessDenied", CV_REFRESH_REASON_FORBIDDEN },
	{ "RegionDisabledException", CV_REFRESH_REASON_FORBIDDEN },
	{ "ValidationError", CV_REFRESH_REASON_FORBIDDEN },
	{ "MalformedPolicyDocument", CV_REFRESH_REASON_FORBIDDEN },
	{ "OptInRequired", CV_REFRESH_REASON_FORBIDDEN },
	{ "InvalidClientTokenId", CV_REFRESH_REASON_CLIENT },
	{ "SignatureDoesNotMatch", CV_REFRESH_REASON_CLIENT },
	{ "IncompleteSignature", CV_REFRESH_REASON_CLIENT },
	{ "UnrecognizedClientException", CV_REFRESH_REASON_CLIENT },
	{ "ExpiredToken", CV_REFRESH_REASON_GRANT },
	{ "ExpiredTokenException", CV_REFRESH_REASON_GRANT },
	{ "Throttling", CV_REFRESH_REASON_LIMITED },
	{ "ThrottlingException", CV_REFRESH_REASON_LIMITED },
	{ "RequestLimitExceeded", CV_REFRESH_REASON_LIMITED },
	{ "ServiceUnavailable", CV_REFRESH_REASON_UNAVAILABLE },
	{ "InternalFailure", CV_REFRESH_REASON_UNAVAILABLE },
};

void cv_refresh_aws_read(const struct cv_cred_refresh *refresh,
	const struct cv_refresh_answer *answer, int64_t now_s, struct cv_arena *arena,
	struct cv_refresh_result *ret)
{
	struct cv_sts_answer a;
	struct cv_err ignored;
	int64_t expires_ms;

	if (cv_sts_xml_parse(answer->body, arena, &a, &ignored) != CV_OK) {
		cv_refresh_fail_status(ret, answer);
		return;
	}
	if (answer->status != 200) {
		const enum cv_refresh_reason reason =
			cv_refresh_word_find(words, CV_ARRAY_LEN(words), a.error_code);

		/* Unknown words of a 4xx are mostly new throttles: later. */
		if (reason == CV_REFRESH_REASON_COUNT || answer->status >= 500)
			cv_refresh_fail_status(ret, answer);
		else
			cv_refresh_fail(ret, reason);
		return;
	}
	if (!cv_time_parse(a.expiration, &expires_ms)) {
		cv_refresh_fail(ret, CV_REFRESH_REASON_ANSWER);
		return;
	}
	if (cv_refresh_output_add(ret, "access_key_id", a.key_id, arena) &&
		cv_refresh_output_add(ret, "secret_access_key", a.secret, arena) &&
		cv_refresh_output_add(ret, "session_token", a.session_token, arena))
		cv_refresh_renewed(ret, refresh, now_s, expires_ms / 1000);
}
