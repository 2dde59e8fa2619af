/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_jwt.c - tokens of three algorithms, made with fresh keys, read and verified; and the ways in
 * which a token may try to be taken for another
 */
#include "unit/test.h"

#include "gateway/jwt.c"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>

struct maker {
	struct cv_jwt_key key;
	char pem[4096];
};

static struct maker makers[3]; /* by algorithm */

static int setup(void **state)
{
	EVP_PKEY *const keys[] = { EVP_RSA_gen(2048), EVP_EC_gen("P-256"),
		EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		BIO *bio = BIO_new(BIO_s_mem());

		assert_int_equal(
			PEM_write_bio_PKCS8PrivateKey(bio, keys[i], NULL, NULL, 0, NULL, NULL), 1);
		assert_true(BIO_read(bio, makers[i].pem, sizeof(makers[i].pem) - 1) > 0);
		BIO_free(bio);
		makers[i].key.alg = (enum cv_jwt_alg)i;
		makers[i].key.pkey = keys[i];
		snprintf(makers[i].key.kid, sizeof(makers[i].key.kid), "key-%zu", i);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++)
		EVP_PKEY_free(makers[i].key.pkey);
	return 0;
}

static struct cv_arena arena;
static struct cv_buf text;
static struct cv_err err;

static struct cv_str token(enum cv_jwt_alg alg, int64_t exp)
{
	const struct cv_jwt_claim claims[] = { { .name = "aud", .text = CV_STR("us") },
		{ .name = "sub", .text = CV_STR("me") },
		{ .name = "exp", .number = exp, .is_number = true } };

	cv_buf_fini(&text);
	cv_buf_init(&text, CV_JWT_TOKEN_BYTES_MAX);
	assert_int_equal(cv_jwt_sign(alg, cv_str_of(makers[alg].pem),
				 cv_str_of(makers[alg].key.kid), claims, 3, &text, &err),
		CV_OK);
	return cv_buf_str(&text);
}

static cv_code read_token(struct cv_str t, struct cv_jwt *ret)
{
	cv_arena_fini(&arena);
	cv_arena_init(&arena, 1u << 18);
	return cv_jwt_read(t, &arena, ret, &err);
}

/* header.claims.signature from texts; the signature is given as bytes. */
static struct cv_str forged(const char *header, const char *claims, struct cv_str signature)
{
	cv_buf_fini(&text);
	cv_buf_init(&text, CV_JWT_TOKEN_BYTES_MAX * 2);
	cv_buf_put_base64(&text, cv_str_of(header), CV_BASE64_URL);
	cv_buf_put_byte(&text, '.');
	cv_buf_put_base64(&text, cv_str_of(claims), CV_BASE64_URL);
	cv_buf_put_byte(&text, '.');
	cv_buf_put_base64(&text, signature, CV_BASE64_URL);
	return cv_buf_str(&text);
}

static void test_good_tokens(void **state)
{
	struct cv_jwt t;

	(void)state;
	for (enum cv_jwt_alg a = 0; a < 3; a++) {
		assert_int_equal(read_token(token(a, 2000), &t), CV_OK);
		assert_int_equal(t.alg, a);
		assert_str(t.kid, makers[a].key.kid);
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(cv_jwt_verify(&t, &makers[i].key), i == (size_t)a);
		assert_true(cv_jwt_has_audience(&t, CV_STR("us")));
		assert_false(cv_jwt_has_audience(&t, CV_STR("u")));
	}
}

/* Each byte of a token counts. */
static void test_changed_tokens(void **state)
{
	char copy[2048];

	(void)state;
	for (enum cv_jwt_alg a = 0; a < 3; a++) {
		const struct cv_str good = token(a, 2000);

		for (size_t i = 0; i < good.n; i++) {
			const struct cv_str bad = { copy, good.n };
			struct cv_jwt t;

			memcpy(copy, good.p, good.n);
			copy[i] = copy[i] == 'A' ? 'B' : 'A';
			if (read_token(bad, &t) == CV_OK && cv_jwt_verify(&t, &makers[a].key))
				fail_msg("byte %zu does not count", i);
		}
	}
}

static void test_other_algorithms(void **state)
{
	static const char *const header[] = { "{\"alg\":\"none\"}", "{\"alg\":\"\"}", "{}",
		"{\"alg\":\"None\"}", "{\"alg\":\"HS256\",\"kid\":\"key-0\"}", "{\"alg\":null}",
		"{\"alg\":[\"EdDSA\"]}", "{\"alg\":\"EdDSA\",\"alg\":\"none\"}",
		"{\"alg\":\"EdDSA\",\"crit\":[\"x\"]}", "[]", "\"EdDSA\"" };
	struct cv_jwt t;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(header); i++)
		if (read_token(forged(header[i], "{\"sub\":\"x\"}", CV_STR("sig")), &t) !=
			CV_INVALID)
			fail_msg("%s is taken", header[i]);
	/* The header says one algorithm, the key is of another. */
	assert_int_equal(
		read_token(forged("{\"alg\":\"RS256\"}", "{\"sub\":\"x\"}", CV_STR("sig")), &t),
		CV_OK);
	assert_false(cv_jwt_verify(&t, &makers[CV_JWT_EDDSA].key));
	assert_false(cv_jwt_verify(&t, &makers[CV_JWT_RS256].key));
	/* No signature at all. */
	assert_int_equal(
		read_token(forged("{\"alg\":\"EdDSA\"}", "{\"sub\":\"x\"}", CV_STR("")), &t),
		CV_OK);
	assert_false(cv_jwt_verify(&t, &makers[CV_JWT_EDDSA].key));
	assert_int_equal(
		read_token(forged("{\"alg\":\"ES256\"}", "{\"sub\":\"x\"}", CV_STR("short")), &t),
		CV_OK);
	assert_false(cv_jwt_verify(&t, &makers[CV_JWT_ES256].key));
}

static void test_no_tokens(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a.b", "a.b.c", "a.b.c.d", "e30.e30.",
		"e30=.e30.x", "eyJhbGciOiJFZERTQSJ9.W10.AA" };
	char *large = malloc(CV_JWT_TOKEN_BYTES_MAX + 1);
	struct cv_jwt t;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		if (read_token(cv_str_of(bad[i]), &t) != CV_INVALID)
			fail_msg("'%s' is taken", bad[i]);
	assert_non_null(large);
	memset(large, 'a', CV_JWT_TOKEN_BYTES_MAX + 1);
	assert_int_equal(
		read_token((struct cv_str){ large, CV_JWT_TOKEN_BYTES_MAX + 1 }, &t), CV_INVALID);
	free(large);
}

static cv_code times(const char *claims, int64_t now, bool may_last)
{
	struct cv_jwt t;

	assert_int_equal(read_token(forged("{\"alg\":\"EdDSA\"}", claims, CV_STR("s")), &t), CV_OK);
	return cv_jwt_check_times(&t, now, may_last, &err);
}

static void test_times(void **state)
{
	(void)state;
	assert_int_equal(times("{\"exp\":1000}", 1000, false), CV_OK); /* leeway */
	assert_int_equal(times("{\"exp\":1000}", 1059, false), CV_OK);
	assert_int_equal(times("{\"exp\":1000}", 1060, false), CV_DENIED);
	assert_int_equal(times("{\"exp\":1000.9}", 1059, false), CV_OK);
	assert_int_equal(times("{\"exp\":0}", 1, false), CV_OK); /* a moment, and leeway */
	assert_int_equal(times("{\"exp\":0}", 100000, false), CV_DENIED);
	assert_int_equal(times("{\"exp\":0}", 100000, true), CV_OK);
	assert_int_equal(times("{\"exp\":-1}", 1, true), CV_DENIED);
	assert_int_equal(times("{}", 1, false), CV_DENIED);
	assert_int_equal(times("{}", 1, true), CV_OK);
	assert_int_equal(times("{\"exp\":\"9\"}", 1, true), CV_DENIED);
	assert_int_equal(times("{\"exp\":1e30}", 1, false), CV_DENIED);
	assert_int_equal(times("{\"exp\":9000,\"nbf\":1061}", 1000, false), CV_DENIED);
	assert_int_equal(times("{\"exp\":9000,\"nbf\":1060}", 1000, false), CV_OK);
	assert_int_equal(times("{\"exp\":9000,\"iat\":2000}", 1000, false), CV_DENIED);
	assert_int_equal(times("{\"exp\":9000,\"iat\":2000}", 1000, true), CV_OK);
	assert_int_equal(times("{\"exp\":9000,\"nbf\":\"x\"}", 1000, false), CV_DENIED);
}

static void test_claims(void **state)
{
	struct cv_jwt t;

	(void)state;
	assert_int_equal(read_token(forged("{\"alg\":\"EdDSA\"}",
					    "{\"aud\":[\"a\",7,\"b\"],\"r\":{\"s\":{\"t\":1}},"
					    "\"x.y\":\"dotted\",\"x\":{\"y\":\"nested\"}}",
					    CV_STR("s")),
				 &t),
		CV_OK);
	assert_true(cv_jwt_has_audience(&t, CV_STR("b")));
	assert_false(cv_jwt_has_audience(&t, CV_STR("7")));
	assert_str(cv_jwt_claim_at(&t, CV_STR("r.s.t"))->s, "1");
	assert_null(cv_jwt_claim_at(&t, CV_STR("r.s.u")));
	assert_null(cv_jwt_claim_at(&t, CV_STR("r..t")));
	assert_str(cv_jwt_claim_at(&t, CV_STR("x.y"))->s, "dotted");
}

static void test_jwks(void **state)
{
	static struct cv_jwks keys;
	struct cv_buf b;
	struct cv_jwt t;

	(void)state;
	cv_buf_init(&b, 4096);
	cv_buf_put(&b, CV_STR("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"},"
			      "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"kid\":\"weak\"},"
			      "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"},7,"));
	assert_true(cv_jwk_write(&b, &makers[CV_JWT_EDDSA].key));
	cv_buf_put(&b, CV_STR("]}"));
	assert_int_equal(cv_jwks_read(cv_buf_str(&b), &keys, &err), CV_OK);
	assert_int_equal(keys.n, 1);
	assert_int_equal(read_token(token(CV_JWT_EDDSA, 1), &t), CV_OK);
	assert_true(cv_jwt_verify(&t, cv_jwks_find(&keys, t.kid, t.alg)));
	assert_non_null(cv_jwks_find(&keys, CV_STR_NONE, CV_JWT_EDDSA));
	assert_null(cv_jwks_find(&keys, CV_STR("key-2"), CV_JWT_RS256));
	assert_null(cv_jwks_find(&keys, CV_STR("other"), CV_JWT_EDDSA));
	cv_jwks_fini(&keys);
	cv_buf_fini(&b);
	assert_int_equal(cv_jwks_read(CV_STR("{}"), &keys, &err), CV_INVALID);
	assert_int_equal(cv_jwks_read(CV_STR("[]"), &keys, &err), CV_INVALID);
	assert_int_equal(cv_jwks_read(CV_STR(""), &keys, &err), CV_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_tokens),
		cmocka_unit_test(test_changed_tokens),
		cmocka_unit_test(test_other_algorithms),
		cmocka_unit_test(test_no_tokens),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_jwks),
	};
	const int failed = cmocka_run_group_tests(tests, setup, teardown);

	cv_arena_fini(&arena);
	cv_buf_fini(&text);
	return failed;
}
