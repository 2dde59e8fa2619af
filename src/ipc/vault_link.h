/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault_link.h - the gateway and its vault: the process that holds the key of what the store keeps
 *
 * The vault is a cove-keeper whose first message is VAULT (keeper_link.h) with the keys; from then
 * on its control link speaks this table.  A value goes in once (SEAL) and comes out as an
 * envelope, which the store keeps.  When a sandbox starts, COMPOSE names envelopes; what is in them
 * goes to the descriptor that came with the message, for the sandbox's own keeper.  No reply holds a
 * value.
 *
 * An envelope is bound to its context, a text of the gateway's: workspace, provider id and key of
 * the credential.  In another context it can't be opened, so envelopes that were exchanged in the
 * store are refused and not used in each other's place.
 *
 * The set of COMPOSE is a cv_cred_set (cred/set.h) with references in the place of values (and of
 * a refresh's materials); cv_vault_ref_put() makes one.  What is no reference is refused, so that
 * nothing gets past the vault by mistake.
 *
 * RENEW asks an issuer, which may take a minute in which this vault answers nobody: the gateway has
 * one of its own for each.
 */
#pragma once
#include "ipc/frame.h"

#define CV_VAULT_KEY_BYTES 32
#define CV_VAULT_KEYS_MAX  8 /* the present one and those before it, until all is wrapped again */
/* A reference to a value of this size still fits where a value may be (64 KiB).  The largest secret
 * in use is a service account's JSON, 2.5 KiB. */
#define CV_VAULT_VALUE_BYTES_MAX    (32u << 10)
#define CV_VAULT_CONTEXT_BYTES_MAX  1024 /* two names of 253 bytes, an id, a variable */
#define CV_VAULT_ENVELOPE_BYTES_MAX (CV_VAULT_VALUE_BYTES_MAX + 256)

enum cv_vault_state { CV_VAULT_OPEN };

/* clang-format off */
/* gateway to vault */
#define CV_VAULT_REQS(X) /* message, body bytes, descriptors, states, flags */          \
	X(SEAL, 36864, 0, IN(OPEN), 0)   /* u32 tag, str context, str value */           \
	X(COMPOSE, 4, 2, IN(OPEN), 0)    /* u32 tag; memfd of a set with references; where to write one with values */ \
	X(REWRAP, 36864, 0, IN(OPEN), 0) /* u32 tag, str context, str envelope */       \
	X(COURIER, 0, 1, IN(OPEN), 0)    /* who carries this vault's renewals: a link (courier_link.h) */ \
	X(RENEW, 4, 2, IN(OPEN), 0)      /* u32 tag; memfd of a set with one renewal; where to write what \
					  * came of it (below) */

/* vault to gateway */
#define CV_VAULT_REPLIES(X)                                                             \
	X(STARTED, 16, 0, IN(OPEN), CV_IPC_ONCE) /* u32 keys, u64 id of the present one */ \
	X(FATAL, 4096, 0, IN(OPEN), CV_IPC_ONCE) /* text; then it ends */                \
	X(SEALED, 36864, 0, IN(OPEN), 0)         /* u32 tag, str envelope */             \
	X(COMPOSED, 4, 0, IN(OPEN), 0)           /* u32 tag: the set was written, whole */ \
	X(REWRAPPED, 36864, 0, IN(OPEN), 0)      /* u32 tag, str envelope, under the present key */ \
	X(REFUSED, 1024, 0, IN(OPEN), 0)         /* u32 tag, u32 cv_code, str why */     \
	X(RENEWAL, 1024, 0, IN(OPEN), 0)         /* u32 tag, u32 cv_refresh_verdict, u64 expires_s, u64 retry_s, \
						  * str slug, str text */
/* clang-format on */

#define CV_VAULT_REQ_ENUM(name, bytes, fds, states, flags)   CV_VAULT_REQ_##name,
#define CV_VAULT_REPLY_ENUM(name, bytes, fds, states, flags) CV_VAULT_REPLY_##name,
enum cv_vault_req { CV_VAULT_REQS(CV_VAULT_REQ_ENUM) CV_VAULT_REQ_COUNT };
enum cv_vault_reply { CV_VAULT_REPLIES(CV_VAULT_REPLY_ENUM) CV_VAULT_REPLY_COUNT };
#undef CV_VAULT_REQ_ENUM
#undef CV_VAULT_REPLY_ENUM

extern const struct cv_ipc_rule cv_vault_req_rule[CV_VAULT_REQ_COUNT];
extern const struct cv_ipc_rule cv_vault_reply_rule[CV_VAULT_REPLY_COUNT];

/* What RENEW wrote: u32 n; n x (str key, str envelope); str envelope of a new refresh token, or
 * empty. */

/* An envelope and its context as the text of a value. */
bool cv_vault_ref_put(struct cv_buf *b, struct cv_str context, struct cv_str envelope);
/* Appends both.  False: it is no reference. */
CV_MUST bool cv_vault_ref_get(
	struct cv_str text, struct cv_buf *ret_context, struct cv_buf *ret_envelope);
