/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jwt.c - see jwt.h
 *
 * OpenSSL's errors are dropped: what a stranger's token could not be read for is said in our own
 * words, without quoting it.
 */
#include "gateway/jwt.h"

#include "base/base64.h"
#include "wire/json_value.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <stdlib.h>

#define ED25519_BYTES  32
#define P256_BYTES     32
#define RSA_BYTES_MAX  1024 /* 8192 bits: OpenSSL would take seconds for larger ones */
#define RSA_BITS_MIN   2048
#define JWKS_ARENA_MAX (4u << 20)

static const struct {
	struct cv_str name;
	enum cv_jwt_alg alg;
} algs[] = {
	{ { "RS256", 5 }, CV_JWT_RS256 },
	{ { "ES256", 5 }, CV_JWT_ES256 },
	{ { "EdDSA", 5 }, CV_JWT_EDDSA },
};

static bool alg_of(struct cv_str name, enum cv_jwt_alg *ret)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(algs); i++)
		if (cv_str_eq(name, algs[i].name)) {
			*ret = algs[i].alg;
			return true;
		}
	return false;
}

/* ---- tokens ---- */

/* Decoded into the arena. */
static bool part_decode(struct cv_str text, struct cv_arena *arena, struct cv_str *ret)
{
	struct cv_buf b;
	bool is_fine;

	cv_buf_init(&b, CV_JWT_TOKEN_BYTES_MAX);
	is_fine = cv_base64_decode(text, CV_BASE64_URL, &b);
	*ret = is_fine ? cv_arena_str(arena, cv_buf_str(&b)) : CV_STR_NONE;
	cv_buf_fini(&b);
	return is_fine && !arena->is_overflown;
}

static bool object_read(struct cv_str text, struct cv_arena *arena, const struct cv_value **ret)
{
	struct cv_str json;

	return part_decode(text, arena, &json) &&
	       cv_json_value_read(json, arena, ret, NULL) == CV_JSON_PROBLEM_NONE &&
	       (*ret)->type == CV_VALUE_OBJECT;
}

cv_code cv_jwt_read(
	struct cv_str text, struct cv_arena *arena, struct cv_jwt *ret, struct cv_err *err)
{
	struct cv_str rest = text;
	const struct cv_str header = cv_str_cut(&rest, '.');
	const struct cv_str claims = rest.p ? cv_str_cut(&rest, '.') : CV_STR_NONE;
	struct cv_jwt t = { .header = NULL };

	if (text.n > CV_JWT_TOKEN_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "token is too long");
	if (!rest.p || cv_str_has_byte(rest, '.'))
		return cv_fail(err, CV_INVALID, "token is not a JWT");
	if (!object_read(header, arena, &t.header) || !object_read(claims, arena, &t.claims) ||
		!part_decode(rest, arena, &t.signature))
		return cv_fail(err, CV_INVALID, "token is not a JWT");
	if (!alg_of(cv_value_get_str(t.header, CV_STR("alg")), &t.alg))
		return cv_fail(err, CV_INVALID, "token is signed by no algorithm that is taken");
	if (cv_value_get(t.header, CV_STR("crit")))
		return cv_fail(err, CV_INVALID, "token has critical extensions");
	t.kid = cv_value_get_str(t.header, CV_STR("kid"));
	t.signed_part = cv_str_slice(text, 0, header.n + 1 + claims.n);
	*ret = t;
	return CV_OK;
}

/* r and s of 32 bytes each as ASN.1 (RFC 7518 section 3.4). */
static bool ecdsa_unflatten(struct cv_str flat, unsigned char **ret, size_t *ret_n)
{
	const unsigned char *p = (const unsigned char *)flat.p;
	ECDSA_SIG *pair = NULL;
	BIGNUM *r, *s;
	int n;

	if (flat.n != 2 * P256_BYTES || !(pair = ECDSA_SIG_new()))
		return false;
	r = BN_bin2bn(p, P256_BYTES, NULL);
	s = BN_bin2bn(p + P256_BYTES, P256_BYTES, NULL);
	if (!r || !s || ECDSA_SIG_set0(pair, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		ECDSA_SIG_free(pair);
		return false;
	}
	*ret = NULL;
	n = i2d_ECDSA_SIG(pair, ret);
	ECDSA_SIG_free(pair);
	*ret_n = (size_t)CV_MAX(n, 0);
	return n > 0;
}

bool cv_jwt_verify(const struct cv_jwt *t, const struct cv_jwt_key *key)
{
	const unsigned char *sig = (const unsigned char *)t->signature.p;
	size_t n = t->signature.n;
	unsigned char *der = NULL;
	EVP_MD_CTX *ctx;
	bool is_good;

	if (t->alg != key->alg || !n)
		return false;
	if (t->alg == CV_JWT_ES256) {
		if (!ecdsa_unflatten(t->signature, &der, &n))
			return false;
		sig = der;
	}
	ctx = EVP_MD_CTX_new();
	is_good = ctx &&
		  EVP_DigestVerifyInit(ctx, NULL, t->alg == CV_JWT_EDDSA ? NULL : EVP_sha256(),
			  NULL, key->pkey) == 1 &&
		  EVP_DigestVerify(ctx, sig, n, (const unsigned char *)t->signed_part.p,
			  t->signed_part.n) == 1;
	EVP_MD_CTX_free(ctx);
	OPENSSL_free(der);
	ERR_clear_error();
	return is_good;
}

/* A NumericDate: fractions are cut (RFC 7519 section 2).  False when there is no such number. */
static bool date_of(const struct cv_jwt *t, struct cv_str name, int64_t *ret)
{
	const struct cv_value *v = cv_value_get(t->claims, name);
	struct cv_value whole;

	if (!v || v->type != CV_VALUE_NUMBER)
		return false;
	if (cv_value_to_i64(v, ret))
		return true;
	whole = *v;
	whole.s.n = cv_str_find_byte(v->s, '.');
	return !cv_str_has_byte(v->s, 'e') && !cv_str_has_byte(v->s, 'E') &&
	       cv_value_to_i64(&whole, ret);
}

cv_code cv_jwt_check_times(const struct cv_jwt *t, int64_t now_s, bool may_last, struct cv_err *err)
{
	int64_t at;

	if (!date_of(t, CV_STR("exp"), &at)) {
		if (!may_last || cv_value_get(t->claims, CV_STR("exp")))
			return cv_fail(err, CV_DENIED, "token has no end");
	} else if (!(may_last && at == 0) && (at < 0 || now_s - CV_JWT_LEEWAY_S >= at)) {
		return cv_fail(err, CV_DENIED, "token has expired");
	}
	if (cv_value_get(t->claims, CV_STR("nbf")) &&
		(!date_of(t, CV_STR("nbf"), &at) || at - CV_JWT_LEEWAY_S > now_s))
		return cv_fail(err, CV_DENIED, "token is not valid yet");
	/* Ours were made before they are shown, whatever the clock says that was put back since. */
	if (!may_last && cv_value_get(t->claims, CV_STR("iat")) &&
		(!date_of(t, CV_STR("iat"), &at) || at - CV_JWT_LEEWAY_S > now_s))
		return cv_fail(err, CV_DENIED, "token was issued in the future");
	return CV_OK;
}

bool cv_jwt_has_audience(const struct cv_jwt *t, struct cv_str audience)
{
	const struct cv_value *aud = cv_value_get(t->claims, CV_STR("aud"));

	if (!aud)
		return false;
	if (aud->type == CV_VALUE_STRING)
		return cv_str_eq(aud->s, audience);
	for (size_t i = 0; aud->type == CV_VALUE_ARRAY && i < aud->n; i++)
		if (aud->v[i].type == CV_VALUE_STRING && cv_str_eq(aud->v[i].s, audience))
			return true;
	return false;
}

const struct cv_value *cv_jwt_claim_at(const struct cv_jwt *t, struct cv_str path)
{
	const struct cv_value *v = cv_value_get(t->claims, path);

	if (v)
		return v;
	v = t->claims;
	while (path.p && v)
		v = cv_value_get(v, cv_str_cut(&path, '.'));
	return v;
}

/* ---- keys ---- */

/* A member's base64url bytes, 1 to max. */
static bool bytes_of(const struct cv_value *o, struct cv_str name, size_t max, struct cv_buf *ret)
{
	cv_buf_init(ret, max);
	return cv_base64_decode(cv_value_get_str(o, name), CV_BASE64_URL, ret) && cv_buf_len(ret);
}

static const unsigned char *raw(const struct cv_buf *b)
{
	return (const unsigned char *)cv_buf_str(b).p;
}

static EVP_PKEY *pkey_from(const char *type, OSSL_PARAM_BLD *build)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

static EVP_PKEY *rsa_read(const struct cv_value *o)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *bn_n = NULL, *bn_e = NULL;
	EVP_PKEY *key = NULL;
	struct cv_buf n, e;
	const bool is_n = bytes_of(o, CV_STR("n"), RSA_BYTES_MAX, &n);
	const bool is_e = bytes_of(o, CV_STR("e"), 8, &e);

	if (build && is_n && is_e) {
		bn_n = BN_bin2bn(raw(&n), (int)cv_buf_len(&n), NULL);
		bn_e = BN_bin2bn(raw(&e), (int)cv_buf_len(&e), NULL);
		if (bn_n && bn_e && BN_num_bits(bn_n) >= RSA_BITS_MIN && BN_is_odd(bn_e) &&
			!BN_is_one(bn_e) &&
			OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn_n) == 1 &&
			OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, bn_e) == 1)
			key = pkey_from("RSA", build);
	}
	BN_free(bn_n);
	BN_free(bn_e);
	OSSL_PARAM_BLD_free(build);
	cv_buf_fini(&n);
	cv_buf_fini(&e);
	return key;
}

static EVP_PKEY *ec_read(const struct cv_value *o)
{
	unsigned char point[1 + 2 * P256_BYTES] = { 4 }; /* uncompressed: SEC 1 section 2.3.3 */
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;
	struct cv_buf x, y;
	const bool is_x = bytes_of(o, CV_STR("x"), P256_BYTES, &x);
	const bool is_y = bytes_of(o, CV_STR("y"), P256_BYTES, &y);

	if (build && is_x && is_y && cv_buf_len(&x) == P256_BYTES && cv_buf_len(&y) == P256_BYTES &&
		cv_str_eq(cv_value_get_str(o, CV_STR("crv")), CV_STR("P-256"))) {
		memcpy(point + 1, raw(&x), P256_BYTES);
		memcpy(point + 1 + P256_BYTES, raw(&y), P256_BYTES);
		if (OSSL_PARAM_BLD_push_utf8_string(
			    build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
			OSSL_PARAM_BLD_push_octet_string(
				build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) == 1)
			key = pkey_from("EC", build);
	}
	OSSL_PARAM_BLD_free(build);
	cv_buf_fini(&x);
	cv_buf_fini(&y);
	return key;
}

static EVP_PKEY *okp_read(const struct cv_value *o)
{
	EVP_PKEY *key = NULL;
	struct cv_buf x;

	if (bytes_of(o, CV_STR("x"), ED25519_BYTES, &x) && cv_buf_len(&x) == ED25519_BYTES &&
		cv_str_eq(cv_value_get_str(o, CV_STR("crv")), CV_STR("Ed25519")))
		key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw(&x), ED25519_BYTES);
	cv_buf_fini(&x);
	return key;
}

static const struct {
	struct cv_str kty;
	enum cv_jwt_alg alg;
	EVP_PKEY *(*read)(const struct cv_value *o);
} kinds[] = {
	{ { "RSA", 3 }, CV_JWT_RS256, rsa_read },
	{ { "EC", 2 }, CV_JWT_ES256, ec_read },
	{ { "OKP", 3 }, CV_JWT_EDDSA, okp_read },
};

/* False when it is none that we use: a key for encryption, another algorithm. */
static bool key_read(const struct cv_value *o, struct cv_jwt_key *ret)
{
	const struct cv_str use = cv_value_get_str(o, CV_STR("use"));
	const struct cv_str alg = cv_value_get_str(o, CV_STR("alg"));
	const struct cv_str kty = cv_value_get_str(o, CV_STR("kty"));

	if (o->type != CV_VALUE_OBJECT || (use.n && !cv_str_eq(use, CV_STR("sig"))) ||
		!cv_str_to_cstr(cv_value_get_str(o, CV_STR("kid")), ret->kid, sizeof(ret->kid)))
		return false;
	for (size_t i = 0; i < CV_ARRAY_LEN(kinds); i++) {
		if (!cv_str_eq(kty, kinds[i].kty) ||
			(alg.n && !cv_str_eq(alg, algs[kinds[i].alg].name)))
			continue;
		ret->alg = kinds[i].alg;
		ret->pkey = kinds[i].read(o);
		ERR_clear_error();
		return ret->pkey != NULL;
	}
	return false;
}

cv_code cv_jwks_read(struct cv_str text, struct cv_jwks *ret, struct cv_err *err)
{
	const struct cv_value *root, *keys;
	struct cv_arena arena;
	cv_code code = CV_OK;

	ret->n = 0;
	if (text.n > CV_JWKS_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "a set of keys of %zu bytes", text.n);
	cv_arena_init(&arena, JWKS_ARENA_MAX);
	if (cv_json_value_read(text, &arena, &root, NULL) != CV_JSON_PROBLEM_NONE ||
		!(keys = cv_value_get(root, CV_STR("keys"))) || keys->type != CV_VALUE_ARRAY)
		code = cv_fail(err, CV_INVALID, "no set of keys (RFC 7517)");
	else
		for (size_t i = 0; i < keys->n && ret->n < CV_JWKS_KEYS_MAX; i++)
			ret->n += key_read(&keys->v[i], &ret->key[ret->n]);
	cv_arena_fini(&arena);
	return code;
}

void cv_jwks_fini(struct cv_jwks *k)
{
	for (size_t i = 0; i < k->n; i++)
		EVP_PKEY_free(k->key[i].pkey);
	k->n = 0;
}

const struct cv_jwt_key *cv_jwks_find(
	const struct cv_jwks *k, struct cv_str kid, enum cv_jwt_alg alg)
{
	const struct cv_jwt_key *only = NULL;

	for (size_t i = 0; i < k->n; i++) {
		if (k->key[i].alg != alg)
			continue;
		if (kid.n && cv_str_eq(cv_str_of(k->key[i].kid), kid))
			return &k->key[i];
		if (only && !kid.n)
			return NULL; /* which one? */
		only = &k->key[i];
	}
	return kid.n ? NULL : only;
}

bool cv_jwk_write(struct cv_buf *out, const struct cv_jwt_key *key)
{
	unsigned char x[ED25519_BYTES];
	size_t n = sizeof(x);

	if (key->alg != CV_JWT_EDDSA || EVP_PKEY_get_raw_public_key(key->pkey, x, &n) != 1)
		return false;
	cv_buf_put(out, CV_STR("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\","
			       "\"use\":\"sig\","));
	cv_buf_put_json_member(out, "kid", cv_str_of(key->kid));
	cv_buf_put(out, CV_STR(",\"x\":\""));
	cv_buf_put_base64(out, (struct cv_str){ (char *)x, n }, CV_BASE64_URL);
	return cv_buf_put(out, CV_STR("\"}"));
}
