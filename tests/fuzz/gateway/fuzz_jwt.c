/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a token, or a set of keys, that strangers wrote is read within bounds; whatever is read can
 * be judged; and no token verifies under a key that its writer does not hold.
 *
 * The first byte says which of the two the rest is.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "gateway/jwt.c"

static void token(struct cv_str text)
{
	static const unsigned char raw[32] = { 0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92,
		0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96,
		0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c }; /* RFC 8032 7.1 test 2 */
	struct cv_jwt_key key = { .alg = CV_JWT_EDDSA };
	struct cv_arena arena;
	struct cv_err err;
	struct cv_jwt t;

	cv_arena_init(&arena, 256u << 10);
	if (cv_jwt_read(text, &arena, &t, &err) == CV_OK) {
		key.pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
		cv_assert(key.pkey);
		cv_assert(!cv_jwt_verify(&t, &key));
		EVP_PKEY_free(key.pkey);
		(void)!cv_jwt_check_times(&t, 1700000000, false, &err);
		(void)!cv_jwt_check_times(&t, 0, true, &err);
		(void)!cv_jwt_has_audience(&t, CV_STR("openshell-cli"));
		(void)cv_jwt_claim_at(&t, CV_STR("realm_access.roles"));
		cv_assert(t.signed_part.n < text.n);
	}
	cv_arena_fini(&arena);
}

static void keys(struct cv_str text)
{
	static struct cv_jwks k;
	struct cv_err err;
	struct cv_buf b;

	if (cv_jwks_read(text, &k, &err) != CV_OK)
		return;
	cv_buf_init(&b, 1u << 20);
	for (size_t i = 0; i < k.n; i++) {
		cv_assert(k.key[i].pkey);
		cv_jwk_write(&b, &k.key[i]);
	}
	cv_buf_fini(&b);
	(void)cv_jwks_find(&k, CV_STR("a"), CV_JWT_RS256);
	cv_jwks_fini(&k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n && data[0] == 'K')
		keys((struct cv_str){ (const char *)data + 1, n - 1 });
	else if (n)
		token((struct cv_str){ (const char *)data + 1, n - 1 });
	return 0;
}
