/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault.h - the gateway's side of the vault (ipc/vault_link.h)
 *
 * The vault is started when it is first needed, and again when it has died.  Its keys
 * (vault_keys.h) are read for the start of a vault and wiped.
 *
 * Requests are answered within microseconds, by a process that does nothing else, so they are waited
 * for; one that does not answer in time is killed, and the call fails with CV_UNAVAILABLE.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "cred/refresh.h"

struct cv_gateway;
struct cv_gw_vault;
struct cv_cred_set;

/* exe: cove-keeper.  Nothing is started yet. */
CV_MUST cv_code cv_gw_vault_new(
	const char *exe, struct cv_gateway *g, struct cv_gw_vault **ret, struct cv_err *err);
/* A child of the gateway has ended: if it was the vault, it is waited for.  The next request starts
 * another. */
void cv_gw_vault_look(struct cv_gw_vault *v);
/* Its keys are others: the next request starts one that has them. */
void cv_gw_vault_restart(struct cv_gw_vault *v);
void cv_gw_vault_free(struct cv_gw_vault *v); /* NULL is fine; ends the process */

/* Appends the envelope of value.  context names its place (cv_gw_vault_context()). */
CV_MUST cv_code cv_gw_vault_seal(struct cv_gw_vault *v, struct cv_str context, struct cv_str value,
	struct cv_buf *ret_envelope, struct cv_err *err);
/* The same envelope under the present key. */
CV_MUST cv_code cv_gw_vault_rewrap(struct cv_gw_vault *v, struct cv_str context,
	struct cv_str envelope, struct cv_buf *ret_envelope, struct cv_err *err);
/* set has references in the place of values; *ret_fd is a sealed memfd of the set with values, for
 * the keeper of a sandbox. */
CV_MUST cv_code cv_gw_vault_compose(
	struct cv_gw_vault *v, const struct cv_cred_set *set, int *ret_fd, struct cv_err *err);

/* ---- renewals: a vault of their own, which waits for an issuer ---- */

/* set: one renewal, with references to its materials, and where its outputs go (keeper/seal_renew.c).
 * courier: the link of one that was started for this.  Returns at once; cv_gw_vault_fd() becomes
 * readable, and *ret_fd is what will be written. */
CV_MUST cv_code cv_gw_vault_renew(struct cv_gw_vault *v, const struct cv_cred_set *set, int courier,
	int *ret_fd, struct cv_err *err);
int cv_gw_vault_fd(const struct cv_gw_vault *v);

struct cv_gw_renewed {
	enum cv_refresh_verdict verdict;
	int64_t expires_s, retry_s;
	char slug[64], text[256];
};
/* What it said; the caller frees the vault. */
CV_MUST cv_code cv_gw_vault_renewed(
	struct cv_gw_vault *v, struct cv_gw_renewed *ret, struct cv_err *err);

/* "WORKSPACE/ID/KEY": the place of a credential. */
bool cv_gw_vault_context(
	struct cv_buf *b, struct cv_str workspace, struct cv_str provider_id, struct cv_str key);
