/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault.h - the credentials of a run, and who may have which for what
 *
 * A credential is released for one request: host, port, method and canonical path must be among
 * those that its provider is bound to.  The bindings of a provider are compiled like a policy and
 * asked like one (cv_policy_decide()), so a binding means what the same endpoint means in a policy.
 *
 * No I/O and no clock: the keeper's loop brings requests and time.
 */
#pragma once
#include "base/buf.h"
#include "cred/set.h"
#include "cred/shape.h"
#include "ipc/keeper_link.h"
#include "policy/policy.h"

#include <stdint.h>

struct cv_vault_answer {
	enum cv_release release; /* of the first that can't be released */
	uint32_t cred;           /* which that is */
	uint32_t flags;          /* CV_RELEASED_ */
};

struct cv_vault;

/* bytes is a cv_cred_set as written.  CV_INVALID, CV_LIMIT, CV_PROTO. */
CV_MUST cv_code cv_vault_new(struct cv_str bytes, struct cv_vault **ret, struct cv_err *err);
void cv_vault_free(struct cv_vault *v); /* wipes every value; NULL is fine */

const struct cv_cred_set *cv_vault_set(const struct cv_vault *v);

/* Judges ask.  With OK the values are marked as released to that host. */
void cv_vault_release(struct cv_vault *v, const struct cv_keeper_release *ask, int64_t now_s,
	struct cv_vault_answer *ret);

/* The credential that `who` was given under that name; false: none. */
CV_MUST bool cv_vault_grant_find(
	const struct cv_vault *v, struct cv_str who, struct cv_str name, uint32_t *ret);
/* Whether it can be had now; with OK its value is marked as released. */
CV_MUST enum cv_release cv_vault_release_tool(struct cv_vault *v, uint32_t cred, int64_t now_s);

/* Whether cred's value was ever released, and its provider is bound to host and port: what comes
 * back from there must be scrubbed of it. */
bool cv_vault_is_scrubbed(
	const struct cv_vault *v, uint32_t cred, const struct cv_keeper_release *ask);

/* The value that holds; the caller has judged that it may be used.  Borrowed until it is renewed. */
struct cv_str cv_vault_value(const struct cv_vault *v, uint32_t cred);

/* The value before the last renewal, if it was ever released: it must be scrubbed too.  Empty: none. */
struct cv_str cv_vault_former(const struct cv_vault *v, uint32_t cred);

/* How often any value has changed. */
uint64_t cv_vault_epoch(const struct cv_vault *v);
/* Another number when any answer is another than it was, whatever the reason but that time passed. */
uint64_t cv_vault_version(const struct cv_vault *v);
/* For how many seconds from now_s, when ask is released, the values that it asks for do not expire. */
int64_t cv_vault_lasts_s(
	const struct cv_vault *v, const struct cv_keeper_release *ask, int64_t now_s);
/* Whether cred's present value is the one that held in epoch, and was released. */
CV_MUST bool cv_vault_is_present(const struct cv_vault *v, uint32_t cred, uint64_t epoch);
/* A former vault, or NULL where it died with its keeper, had the same: each value may have been released,
 * and is scrubbed; and no answer of the former is one of this. */
void cv_vault_again(struct cv_vault *v, const struct cv_vault *former);

/* Puts a new value in place; the old one is wiped.  CV_INVALID for a value with CR, LF or NUL. */
CV_MUST cv_code cv_vault_renew(struct cv_vault *v, uint32_t cred, struct cv_str value,
	int64_t expires_s, struct cv_err *err);
/* The server refuses the value: not released until renewed, or until it may be after all. */
void cv_vault_refuse(struct cv_vault *v, uint32_t cred, bool is_refused);

/* ---- tokens that upstreams minted for the sandbox ---- */

#define CV_VAULT_MINTED_BYTES_MAX (32 << 10) /* all of a host have to fit a message, twice */

/* The provider whose token endpoint answered ask; CV_CRED_NONE: there is none. */
CV_MUST uint32_t cv_vault_token_provider(
	const struct cv_vault *v, const struct cv_keeper_release *ask);

/* A credential of provider with this value: one that is there, or a new one with a placeholder from
 * seed.  It is one of the set then, and counts as released.  Where CV_PH_MINTED_MAX are there
 * another one goes: of the expired that which expired first, else the oldest.  CV_CRED_NONE: no
 * memory, or too long. */
CV_MUST uint32_t cv_vault_mint(struct cv_vault *v, uint32_t provider, enum cv_keeper_token kind,
	struct cv_str value, int64_t expires_s, int64_t now_s,
	const unsigned char seed[CV_SHAPE_SEED_BYTES]);

/* Credentials from here on in the set were minted. */
uint32_t cv_vault_minted_first(const struct cv_vault *v);
