/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh_google.c - a token for a Google service account (RFC 7523 section 2.1)
 *
 * The account signs an assertion with its own key; Google's token endpoint answers as any other
 * (refresh_oauth.c).  Materials are the fields of the account's key file, or the file itself.
 */
#include "cred/refresh_int.h"

#include "cred/answer_json.h"
#include "cred/jwt.h"

#define ASSERTION_S 3600 /* Google's maximum, and the lifetime of the token */

struct account {
	struct cv_str email, key, key_id;
};

static cv_code account_read(
	const struct cv_refresh_ask *ask, struct account *ret, struct cv_err *err)
{
	const struct cv_str file = cv_refresh_material(ask->refresh, "service_account_key");
	struct cv_json_object o;

	ret->email = cv_refresh_material(ask->refresh, "client_email");
	ret->key = cv_refresh_material(ask->refresh, "private_key");
	ret->key_id = cv_refresh_material(ask->refresh, "private_key_id");
	if (file.n && (!ret->email.n || !ret->key.n)) {
		if (cv_json_object_parse(file, ask->arena, &o, err) != CV_OK)
			return cv_fail(err, CV_INVALID,
				"refresh: service_account_key is not a key file in JSON");
		ret->email = cv_json_get_string(&o, CV_STR("client_email"));
		ret->key = cv_json_get_string(&o, CV_STR("private_key"));
		ret->key_id = cv_json_get_string(&o, CV_STR("private_key_id"));
	}
	if (!ret->email.n || !ret->key.n)
		return cv_fail(err, CV_INVALID,
			"refresh: google_service_account_jwt needs the materials client_email and "
			"private_key, or service_account_key");
	return CV_OK;
}

cv_code cv_refresh_google_write(
	const struct cv_refresh_ask *ask, struct cv_refresh_request *ret, struct cv_err *err)
{
	struct account account;
	struct cv_buf jwt, form;

	if (account_read(ask, &account, err) != CV_OK)
		return err->code;
	const struct cv_jwt_claim claims[] = {
		{ .name = "iss", .text = account.email },
		{ .name = "sub", .text = cv_refresh_material(ask->refresh, "subject") },
		{ .name = "scope",
			.text = ask->refresh->scopes.n
					? ask->refresh->scopes
					: CV_STR("https://www.googleapis.com/auth/cloud-platform") },
		{ .name = "aud", .text = ask->url },
		{ .name = "iat", .number = ask->now_s, .is_number = true },
		{ .name = "exp", .number = ask->now_s + ASSERTION_S, .is_number = true },
	};
	cv_buf_init(&jwt, CV_JWT_BYTES_MAX);
	cv_buf_init(&form, CV_REFRESH_BODY_BYTES_MAX);
	cv_code code = cv_jwt_sign(
		CV_JWT_RS256, account.key, account.key_id, claims, CV_ARRAY_LEN(claims), &jwt, err);
	cv_refresh_form_put(
		&form, "grant_type", CV_STR("urn:ietf:params:oauth:grant-type:jwt-bearer"));
	cv_refresh_form_put(&form, "assertion", cv_buf_str(&jwt));
	cv_buf_fini(&jwt);
	if (code == CV_OK)
		return cv_refresh_form_post(ask, &form, ret, err);
	cv_buf_fini(&form);
	return cv_wrap(err, "refresh");
}
