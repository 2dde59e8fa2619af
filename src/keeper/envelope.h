/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envelope.h - one value under a key, bound to its context
 *
 * Each value has a random data key of its own; the data key is wrapped by the key-encryption key.
 * So another key-encryption key means to wrap 32 bytes again, and never to touch a value.  The key
 * is known by an id, which is in the envelope: with several keys at hand the right one is found.
 *
 * All functions work on memory of their caller; random bytes come from the crypto library.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "ipc/vault_link.h"

struct cv_seal_key {
	unsigned char key[CV_VAULT_KEY_BYTES];
	uint64_t id; /* of the key: its hash tells nothing of it */
};

void cv_seal_key_set(struct cv_seal_key *k, const unsigned char key[CV_VAULT_KEY_BYTES]);

/* Appends an envelope.  CV_LIMIT: value or context too large; CV_SYSTEM: the crypto library. */
CV_MUST cv_code cv_seal(const struct cv_seal_key *k, struct cv_str context, struct cv_str value,
	struct cv_buf *ret, struct cv_err *err);
/* Appends the value.  CV_INVALID: no envelope; CV_NOT_FOUND: under another key than these n;
 * CV_DENIED: it was changed, or belongs to another context. */
CV_MUST cv_code cv_unseal(const struct cv_seal_key *k, size_t n, struct cv_str context,
	struct cv_str envelope, struct cv_buf *ret, struct cv_err *err);
/* Appends the same envelope under the first of the keys; its value is not opened.  As above. */
CV_MUST cv_code cv_seal_rewrap(const struct cv_seal_key *k, size_t n, struct cv_str context,
	struct cv_str envelope, struct cv_buf *ret, struct cv_err *err);
