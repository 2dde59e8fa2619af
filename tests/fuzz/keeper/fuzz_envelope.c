/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_envelope.c - an envelope and a reference as somebody might write them into the store
 *
 * The first byte says how many bytes are the context; the rest is taken as an envelope, as bytes to
 * flip in a good one, and as a reference.  Properties: nothing opens but what was sealed; what is
 * wrapped again opens to the same; a reference that is read is written the same way again.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "keeper/envelope.c"

static struct cv_seal_key key[2];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	for (size_t i = 0; i < 2; i++) {
		unsigned char bytes[CV_VAULT_KEY_BYTES];

		memset(bytes, (int)i + 1, sizeof(bytes));
		cv_seal_key_set(&key[i], bytes);
	}
	return 0;
}

static void reference(struct cv_str text)
{
	struct cv_buf context, envelope, again;

	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&again, 1 << 20);
	if (cv_vault_ref_get(text, &context, &envelope)) {
		cv_assert(cv_vault_ref_put(&again, cv_buf_str(&context), cv_buf_str(&envelope)));
		cv_assert(cv_str_eq(cv_buf_str(&again), text));
	}
	cv_buf_fini(&context);
	cv_buf_fini(&envelope);
	cv_buf_fini(&again);
}

/* A good envelope of these bytes; then one with them over its front. */
static void mutated(struct cv_str context, struct cv_str bytes)
{
	struct cv_buf e, out;

	cv_buf_init(&e, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&out, CV_VAULT_ENVELOPE_BYTES_MAX);
	if (cv_seal(&key[1], context, bytes, &e, NULL) == CV_OK) {
		cv_assert(cv_seal_rewrap(key, 2, context, cv_buf_str(&e), &out, NULL) == CV_OK);
		cv_buf_reset(&e);
		cv_assert(cv_unseal(key, 1, context, cv_buf_str(&out), &e, NULL) == CV_OK);
		cv_assert(cv_str_eq(cv_buf_str(&e), bytes));
		bool is_same = true;
		for (size_t i = 0; i < bytes.n && i < out.end; i++) {
			is_same &= bytes.p[i] == 0;
			out.data[i] ^= bytes.p[i];
		}
		cv_buf_reset(&e);
		cv_assert(is_same ==
			  (cv_unseal(key, 2, context, cv_buf_str(&out), &e, NULL) == CV_OK));
	}
	cv_buf_wipe(&e);
	cv_buf_wipe(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str all = { (const char *)data, size };
	const size_t n = size ? data[0] : 0;
	const struct cv_str context = cv_str_slice(all, 1, 1 + n),
			    rest = cv_str_slice(all, 1 + n, size);
	struct cv_buf out;

	cv_buf_init(&out, 1 << 20);
	cv_assert(cv_unseal(key, 2, context, rest, &out, NULL) != CV_OK);
	cv_assert(cv_buf_len(&out) == 0);
	cv_buf_fini(&out);
	mutated(context, rest);
	reference(rest);
	return 0;
}
