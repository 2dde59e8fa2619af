/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_jwt.c - assertions that OpenSSL's verification accepts, and keys that are refused
 */
#include "unit/test.h"

#include "cred/jwt.c"

#include <stdlib.h>

static char *pem_of(EVP_PKEY *key)
{
	BIO *const bio = BIO_new(BIO_s_mem());
	char *text, *copy;

	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	const long n = BIO_get_mem_data(bio, &text);
	copy = calloc(1, (size_t)n + 1);
	memcpy(copy, text, (size_t)n);
	BIO_free(bio);
	return copy;
}

static void decode(struct cv_str text, struct cv_buf *b)
{
	cv_buf_reset(b);
	assert_true(cv_base64_decode(text, CV_BASE64_URL, b));
}

static bool verifies(EVP_PKEY *key, bool has_digest, struct cv_str text, struct cv_str sig)
{
	EVP_MD_CTX *const ctx = EVP_MD_CTX_new();
	const bool is_right =
		EVP_DigestVerifyInit(ctx, NULL, has_digest ? EVP_sha256() : NULL, NULL, key) == 1 &&
		EVP_DigestVerify(ctx, (const unsigned char *)sig.p, sig.n,
			(const unsigned char *)text.p, text.n) == 1;

	EVP_MD_CTX_free(ctx);
	return is_right;
}

/* r and s as the ASN.1 that verification wants. */
static size_t ecdsa_wrap(struct cv_str flat, unsigned char *out)
{
	ECDSA_SIG *const sig = ECDSA_SIG_new();

	assert_int_equal(flat.n, 64);
	ECDSA_SIG_set0(sig, BN_bin2bn((const unsigned char *)flat.p, 32, NULL),
		BN_bin2bn((const unsigned char *)flat.p + 32, 32, NULL));
	const int n = i2d_ECDSA_SIG(sig, &out);
	ECDSA_SIG_free(sig);
	return (size_t)n;
}

static void round_trip(enum cv_jwt_alg alg, EVP_PKEY *key, const char *header)
{
	const struct cv_jwt_claim claims[] = {
		{ .name = "iss", .text = CV_STR("a\"b") },
		{ .name = "sub", .text = CV_STR_NONE },
		{ .name = "iat", .number = 1700000000, .is_number = true },
	};
	char *const pem = pem_of(key);
	unsigned char der[128];
	struct cv_buf out, part;
	struct cv_err err;

	cv_buf_init(&out, CV_JWT_BYTES_MAX);
	cv_buf_init(&part, CV_JWT_BYTES_MAX);
	assert_int_equal(
		cv_jwt_sign(alg, cv_str_of(pem), CV_STR("k1"), claims, 3, &out, &err), CV_OK);
	const struct cv_str jwt = cv_buf_str(&out);
	const size_t dot = cv_str_rfind_byte(jwt, '.');
	const struct cv_str signed_text = cv_str_slice(jwt, 0, dot);
	struct cv_str claims_text = signed_text;
	decode(cv_str_cut(&claims_text, '.'), &part);
	assert_str(cv_buf_str(&part), header);
	decode(claims_text, &part);
	assert_str(cv_buf_str(&part), "{\"iss\":\"a\\\"b\",\"iat\":1700000000}");
	decode(cv_str_slice(jwt, dot + 1, jwt.n), &part);
	struct cv_str sig = cv_buf_str(&part);
	if (alg == CV_JWT_ES256)
		sig = (struct cv_str){ (char *)der, ecdsa_wrap(sig, der) };
	assert_true(verifies(key, alg != CV_JWT_EDDSA, signed_text, sig));
	assert_false(verifies(key, alg != CV_JWT_EDDSA, cv_str_slice(jwt, 0, dot - 1), sig));
	cv_buf_fini(&out);
	cv_buf_fini(&part);
	EVP_PKEY_free(key);
	free(pem);
}

static void signatures_verify(void **state)
{
	(void)state;
	round_trip(CV_JWT_RS256, EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048),
		"{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}");
	round_trip(CV_JWT_ES256, EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
		"{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"k1\"}");
	round_trip(CV_JWT_EDDSA, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
		"{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"k1\"}");
}

static cv_code sign_with(enum cv_jwt_alg alg, const char *pem, struct cv_err *err)
{
	struct cv_buf out;

	cv_buf_init(&out, CV_JWT_BYTES_MAX);
	const cv_code code = cv_jwt_sign(alg, cv_str_of(pem), CV_STR_NONE, NULL, 0, &out, err);
	cv_buf_fini(&out);
	return code;
}

static void keys_refused(void **state)
{
	EVP_PKEY *const small = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	EVP_PKEY *const p384 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
	char *const small_pem = pem_of(small), *const p384_pem = pem_of(p384);
	struct cv_err err;

	(void)state;
	assert_int_equal(sign_with(CV_JWT_RS256, small_pem, &err), CV_INVALID);
	assert_string_equal(err.msg, "private key has fewer than 2048 bits");
	assert_int_equal(sign_with(CV_JWT_ES256, p384_pem, &err), CV_INVALID);
	assert_int_equal(sign_with(CV_JWT_RS256, p384_pem, &err), CV_INVALID);
	assert_int_equal(sign_with(CV_JWT_RS256, "hunter2hunter2", &err), CV_INVALID);
	assert_null(strstr(err.msg, "hunter2"));
	EVP_PKEY_free(small);
	EVP_PKEY_free(p384);
	free(small_pem);
	free(p384_pem);
}

static void line_ends_of_the_environment(void **state)
{
	EVP_PKEY *const key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char *const pem = pem_of(key);
	struct cv_buf flat;
	struct cv_err err;

	(void)state;
	cv_buf_init(&flat, CV_JWT_PEM_BYTES_MAX);
	for (const char *p = pem; *p; p++)
		cv_buf_put(&flat, *p == '\n' ? CV_STR("\\n") : (struct cv_str){ p, 1 });
	cv_buf_put_byte(&flat, 0);
	assert_int_equal(sign_with(CV_JWT_EDDSA, cv_buf_str(&flat).p, &err), CV_OK);
	cv_buf_fini(&flat);
	EVP_PKEY_free(key);
	free(pem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signatures_verify),
		cmocka_unit_test(keys_refused),
		cmocka_unit_test(line_ends_of_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
