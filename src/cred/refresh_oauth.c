/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh_oauth.c - token endpoints of OAuth 2.0 (RFC 6749 sections 4.4, 5 and 6)
 *
 * A client proves itself with its secret in the form (client_secret_post), which is what the
 * issuers in question take; with the material client_auth_method client_secret_basic, in
 * Authorization; or with a signed assertion (RFC 7523 section 2.2) when it has a private_key.
 *
 * Some issuers put an error into an answer of 200 and quote their numbers; both are read.
 */
#include "cred/refresh_int.h"

#include "base/base64.h"
#include "base/hex.h"
#include "cred/answer_json.h"
#include "cred/jwt.h"

#include <openssl/crypto.h>

#define ASSERTION_S 300 /* issuers refuse long-lived ones; a clock may be off by a minute or two */

/* ---- requests ---- */

static bool alg_parse(struct cv_str text, enum cv_jwt_alg *ret)
{
	static const struct {
		const char *name;
		enum cv_jwt_alg alg;
	} algs[] = { { "", CV_JWT_RS256 }, { "RS256", CV_JWT_RS256 }, { "ES256", CV_JWT_ES256 },
		{ "EdDSA", CV_JWT_EDDSA } };

	for (size_t i = 0; i < CV_ARRAY_LEN(algs); i++)
		if (cv_str_eq(text, cv_str_of(algs[i].name))) {
			*ret = algs[i].alg;
			return true;
		}
	return false;
}

static cv_code assertion_put(
	const struct cv_refresh_ask *ask, struct cv_buf *form, struct cv_err *err)
{
	const struct cv_str client = cv_refresh_material(ask->refresh, "client_id");
	enum cv_jwt_alg alg;
	struct cv_buf jti, jwt;

	if (!alg_parse(cv_refresh_material(ask->refresh, "key_alg"), &alg))
		return cv_fail(err, CV_INVALID, "refresh: key_alg is not RS256, ES256 or EdDSA");
	cv_buf_init(&jti, 2 * CV_REFRESH_RANDOM_BYTES);
	cv_buf_init(&jwt, CV_JWT_BYTES_MAX);
	cv_buf_put_hex(&jti, (struct cv_str){ (const char *)ask->random, CV_REFRESH_RANDOM_BYTES });
	const struct cv_jwt_claim claims[] = {
		{ .name = "iss", .text = client },
		{ .name = "sub", .text = client },
		{ .name = "aud", .text = ask->url },
		{ .name = "jti", .text = cv_buf_str(&jti) },
		{ .name = "iat", .number = ask->now_s, .is_number = true },
		{ .name = "exp", .number = ask->now_s + ASSERTION_S, .is_number = true },
	};
	const cv_code code = cv_jwt_sign(alg, cv_refresh_material(ask->refresh, "private_key"),
		cv_refresh_material(ask->refresh, "private_key_id"), claims, CV_ARRAY_LEN(claims),
		&jwt, err);
	cv_refresh_form_put(form, "client_assertion_type",
		CV_STR("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
	cv_refresh_form_put(form, "client_assertion", cv_buf_str(&jwt));
	cv_buf_fini(&jti);
	cv_buf_fini(&jwt);
	return code;
}

/* Id and secret are form-encoded before they are joined (RFC 6749 section 2.3.1). */
static cv_code basic_add(const struct cv_refresh_ask *ask, struct cv_str client,
	struct cv_str secret, struct cv_refresh_request *ret, struct cv_err *err)
{
	struct cv_str header = CV_STR_NONE;
	struct cv_buf pair, value;

	cv_buf_init(&pair, CV_REFRESH_BODY_BYTES_MAX);
	cv_buf_init(&value, CV_REFRESH_BODY_BYTES_MAX);
	cv_buf_put_percent(&pair, client);
	cv_buf_put_byte(&pair, ':');
	cv_buf_put_percent(&pair, secret);
	cv_buf_put(&value, CV_STR("Basic "));
	cv_buf_put_base64(&value, cv_buf_str(&pair), CV_BASE64_STD);
	value.is_overflown |= pair.is_overflown;
	OPENSSL_cleanse(pair.data, pair.cap);
	cv_buf_fini(&pair);
	const cv_code code = cv_refresh_buf_take(&value, ask->arena, &header, err);
	cv_refresh_header_add(ret, CV_STR("Authorization"), header);
	return code;
}

/* How the client says who it is; secret may be missing for a public one. */
static cv_code client_put(const struct cv_refresh_ask *ask, struct cv_buf *form,
	struct cv_refresh_request *ret, struct cv_err *err)
{
	const struct cv_str client = cv_refresh_material(ask->refresh, "client_id");
	const struct cv_str secret = cv_refresh_material(ask->refresh, "client_secret");
	const struct cv_str method = cv_refresh_material(ask->refresh, "client_auth_method");

	if (secret.n && cv_str_eq(method, CV_STR("client_secret_basic")))
		return basic_add(ask, client, secret, ret, err);
	if (method.n && !cv_str_eq(method, CV_STR("client_secret_post")))
		return cv_fail(err, CV_INVALID,
			"refresh: client_auth_method is not client_secret_post or "
			"client_secret_basic");
	cv_refresh_form_put(form, "client_id", client);
	cv_refresh_form_put(form, "client_secret", secret);
	return secret.n || !cv_refresh_material(ask->refresh, "private_key").n
		       ? CV_OK
		       : assertion_put(ask, form, err);
}

static cv_code grant_post(const struct cv_refresh_ask *ask, struct cv_str grant,
	struct cv_str token, struct cv_refresh_request *ret, struct cv_err *err)
{
	struct cv_buf form;

	cv_buf_init(&form, CV_REFRESH_BODY_BYTES_MAX);
	cv_refresh_form_put(&form, "grant_type", grant);
	cv_refresh_form_put(&form, "refresh_token", token);
	cv_refresh_form_put(&form, "scope", ask->refresh->scopes);
	const cv_code code = client_put(ask, &form, ret, err);
	if (code == CV_OK)
		return cv_refresh_form_post(ask, &form, ret, err);
	cv_buf_fini(&form);
	return code;
}

cv_code cv_refresh_oauth_token_write(
	const struct cv_refresh_ask *ask, struct cv_refresh_request *ret, struct cv_err *err)
{
	return grant_post(ask, CV_STR("refresh_token"),
		cv_refresh_material(ask->refresh, "refresh_token"), ret, err);
}

cv_code cv_refresh_oauth_client_write(
	const struct cv_refresh_ask *ask, struct cv_refresh_request *ret, struct cv_err *err)
{
	if (!cv_refresh_material(ask->refresh, "client_secret").n &&
		!cv_refresh_material(ask->refresh, "private_key").n)
		return cv_fail(err, CV_INVALID,
			"refresh: oauth2_client_credentials needs the material client_secret or "
			"private_key");
	return grant_post(ask, CV_STR("client_credentials"), CV_STR_NONE, ret, err);
}

/* ---- answers ---- */

/* RFC 6749 section 5.2; the last rows are GitHub's and Slack's. */
static const struct cv_refresh_word words[] = {
	{ "invalid_grant", CV_REFRESH_REASON_GRANT },
	{ "invalid_client", CV_REFRESH_REASON_CLIENT },
	{ "unauthorized_client", CV_REFRESH_REASON_FORBIDDEN },
	{ "invalid_scope", CV_REFRESH_REASON_FORBIDDEN },
	{ "access_denied", CV_REFRESH_REASON_FORBIDDEN },
	{ "invalid_request", CV_REFRESH_REASON_FORBIDDEN },
	{ "unsupported_grant_type", CV_REFRESH_REASON_FORBIDDEN },
	{ "slow_down", CV_REFRESH_REASON_LIMITED },
	{ "temporarily_unavailable", CV_REFRESH_REASON_UNAVAILABLE },
	{ "server_error", CV_REFRESH_REASON_UNAVAILABLE },
	{ "bad_refresh_token", CV_REFRESH_REASON_GRANT },
	{ "invalid_refresh_token", CV_REFRESH_REASON_GRANT },
	{ "refresh_token_reused", CV_REFRESH_REASON_GRANT },
	{ "incorrect_client_credentials", CV_REFRESH_REASON_CLIENT },
};

static void error_read(
	const struct cv_refresh_answer *answer, struct cv_str word, struct cv_refresh_result *ret)
{
	const enum cv_refresh_reason reason =
		cv_refresh_word_find(words, CV_ARRAY_LEN(words), word);

	/* A server that fails or throttles may say anything in passing. */
	if (reason == CV_REFRESH_REASON_COUNT || answer->status >= 500 || answer->status == 429)
		cv_refresh_fail_status(ret, answer);
	else
		cv_refresh_fail(ret, reason);
}

static void token_read(const struct cv_cred_refresh *refresh, const struct cv_json_object *o,
	int64_t now_s, struct cv_arena *arena, struct cv_refresh_result *ret)
{
	const struct cv_json_member type = cv_json_get(o, CV_STR("token_type"));
	const struct cv_str id = cv_json_get_string(o, CV_STR("id_token"));
	const struct cv_str rotated = cv_json_get_string(o, CV_STR("refresh_token"));
	uint64_t lifetime_s = CV_REFRESH_LIFETIME_S;

	/* A token that must be bound to a key is of no use as a bearer token. */
	if (type.type != CV_JSON_END &&
		(type.type != CV_JSON_STRING || !cv_str_eq_nocase(type.text, CV_STR("bearer")))) {
		cv_refresh_fail(ret, CV_REFRESH_REASON_ANSWER);
		return;
	}
	if (cv_json_get(o, CV_STR("expires_in")).type != CV_JSON_END &&
		!cv_json_get_u64(o, CV_STR("expires_in"), INT32_MAX, &lifetime_s)) {
		cv_refresh_fail(ret, CV_REFRESH_REASON_ANSWER);
		return;
	}
	if (!cv_refresh_output_add(
		    ret, "access_token", cv_json_get_string(o, CV_STR("access_token")), arena) ||
		(id.n && !cv_refresh_output_add(ret, "id_token", id, arena)))
		return;
	/* Not sent in a header, but it replaces one that is as plain. */
	if (rotated.n <= CV_REFRESH_TOKEN_BYTES_MAX &&
		!cv_str_eq(rotated, cv_refresh_material(refresh, "refresh_token")))
		ret->rotated = rotated;
	cv_refresh_renewed(ret, refresh, now_s, now_s + (int64_t)lifetime_s);
}

void cv_refresh_oauth_read(const struct cv_cred_refresh *refresh,
	const struct cv_refresh_answer *answer, int64_t now_s, struct cv_arena *arena,
	struct cv_refresh_result *ret)
{
	struct cv_json_object o;
	struct cv_err ignored;

	if (cv_json_object_parse(answer->body, arena, &o, &ignored) != CV_OK) {
		cv_refresh_fail_status(ret, answer);
		return;
	}
	if (cv_json_get(&o, CV_STR("error")).type != CV_JSON_END)
		error_read(answer, cv_json_get_string(&o, CV_STR("error")), ret);
	else if (answer->status == 200)
		token_read(refresh, &o, now_s, arena, ret);
	else
		cv_refresh_fail_status(ret, answer);
}
