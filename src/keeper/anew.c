/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anew.c - another set of credentials in the life of a run
 *
 * The set comes from who made the first one and says all that holds from now on.  What was renewed
 * meanwhile is newer than what it says: a credential that is renewed as before keeps its value, and a
 * refresh token that an issuer put in the place of another stays the one to use.  Tokens that were
 * minted are forgotten.  A set that can't be used changes nothing.
 *
 * Every value counts as released, as after a keeper that died: who got it before may send it back.
 * What the proxy keeps of the former set's answers ends here.  It gets another link, on which the
 * catalog comes first, so that no question about the former set is answered from this one.
 */
#include "keeper/keeper.h"

#include "sys/clock.h"

#include <stdlib.h>

#define SECRETS_BYTES_MAX (16u << 20) /* as at the start */

static bool is_same_cred(const struct cv_cred_set *a, const struct cv_cred *x,
	const struct cv_cred_set *b, const struct cv_cred *y)
{
	return x->refresh != CV_CRED_NONE && y->refresh != CV_CRED_NONE &&
	       cv_str_eq(x->key, y->key) && cv_str_eq(x->output, y->output) &&
	       cv_str_eq(a->providers[x->provider].name, b->providers[y->provider].name) &&
	       keeper_refresh_is_same(&a->refreshes[x->refresh], &b->refreshes[y->refresh]);
}

static cv_code values_keep(const struct cv_vault *from, struct cv_vault *to, struct cv_err *err)
{
	const struct cv_cred_set *a = cv_vault_set(from), *b = cv_vault_set(to);
	cv_code code = CV_OK;

	for (uint32_t i = 0; i < b->cred_count && code == CV_OK; i++)
		for (uint32_t k = 0; k < cv_vault_minted_first(from) && code == CV_OK; k++)
			if (a->creds[k].value.n && is_same_cred(a, &a->creds[k], b, &b->creds[i]))
				code = cv_vault_renew(
					to, i, a->creds[k].value, a->creds[k].expires_s, err);
	return code;
}

static cv_code vault_read(int fd, struct cv_vault **ret, struct cv_err *err)
{
	char *text;
	size_t n;
	cv_code code = cv_ipc_fd_read_all(fd, SECRETS_BYTES_MAX, &text, &n, err);

	if (code != CV_OK)
		return cv_wrap(err, "read the credentials");
	code = cv_vault_new((struct cv_str){ text, n }, ret, err);
	explicit_bzero(text, n);
	free(text);
	return code;
}

cv_code keeper_secrets_anew(struct keeper *k, int fd, struct cv_err *err)
{
	struct keeper_renewals renewals = { .courier = -1 };
	struct cv_vault *vault = NULL;
	cv_code code = vault_read(fd, &vault, err);

	if (code == CV_OK && k->vault)
		code = values_keep(k->vault, vault, err);
	if (code == CV_OK)
		code = keeper_renewals_init(&renewals, vault, cv_clock_unix_s(), err);
	if (code == CV_OK)
		code = keeper_renewals_succeed(&renewals, &k->renewals, err);
	if (code != CV_OK) {
		keeper_renewals_fini(&renewals);
		cv_vault_free(vault);
		return code;
	}
	cv_vault_again(vault, k->vault);
	keeper_renewals_fini(&k->renewals);
	cv_vault_free(k->vault);
	k->vault = vault;
	k->renewals = renewals;
	return CV_OK;
}
