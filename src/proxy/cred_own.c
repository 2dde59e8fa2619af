/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cred_own.c - credentials that the caller brought itself, where only the provider's may go (C5)
 */
#include "proxy/cred_int.h"

#include "proxy/proxy.h"
#include "proxy/sign.h"

/* Where a caller's credential stands, whoever the server is. */
static const char *const credential_header[] = { "authorization", "cookie", "x-api-key", "api-key",
	"apikey", "x-auth-token", "x-access-token", "private-token", "job-token", "x-goog-api-key",
	"x-amz-security-token", "x-github-token", "x-vault-token", "x-figma-token" };
static const char *const credential_query[] = { "access_token", "api_key", "apikey", "key", "token",
	"auth", "private_token", "client_secret", "sig", "signature", "x-amz-signature",
	"x-amz-credential", "x-goog-signature" };

static bool is_one_of(struct cv_str name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cv_h1_name_eq(name, cv_str_of(names[i])))
			return true;
	return false;
}

static bool has_own_header(
	const struct cv_flow *f, const struct cv_h1_request *r, const struct cv_rewrite_plan *plan)
{
	const bool is_signed = cv_sign_is_on(f);

	for (size_t i = 0; i < r->header_count; i++) {
		bool is_ours = is_signed && cv_sign_is_dropped(r->header[i].name);

		for (size_t k = 0; k < plan->count; k++)
			is_ours |= plan->use[k].place <= CV_REWRITE_IN_COOKIE &&
				   plan->use[k].header == i;
		if (!is_ours && is_one_of(r->header[i].name, credential_header,
					CV_ARRAY_LEN(credential_header)))
			return true;
	}
	return false;
}

static bool has_own_query(const struct cv_creds *c, const struct cv_h1_request *r)
{
	struct cv_str rest = r->query;

	while (rest.p) {
		const struct cv_str pair = cv_str_cut(&rest, '&');
		const size_t eq = cv_str_find_byte(pair, '=');

		if (is_one_of(cv_str_slice(pair, 0, eq), credential_query,
			    CV_ARRAY_LEN(credential_query)) &&
			!cv_ph_is_in(&c->set, cv_str_slice(pair, eq, pair.n)))
			return true;
	}
	return false;
}

bool cred_has_own(const struct cv_creds *c, const struct cv_flow *f, const struct cv_h1_request *r,
	const struct cv_rewrite_plan *plan)
{
	return has_own_header(f, r, plan) || has_own_query(c, r);
}
