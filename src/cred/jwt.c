/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jwt.c - see jwt.h
 *
 * The key is parsed, used once and freed: renewals are minutes apart, and nothing secret stays.
 * OpenSSL's own errors are dropped, because they may quote parts of what it could not read.
 */
#include "cred/jwt.h"

#include "base/base64.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#define SIGNATURE_BYTES_MAX 2048 /* RSA of 16384 bits */
#define P256_BYTES          32

struct alg_row {
	const char *name;
	const char *key_kind; /* as EVP_PKEY_is_a() knows it */
	bool has_digest;      /* SHA-256 before the signature; Ed25519 has its own */
};

static const struct alg_row algs[] = {
	[CV_JWT_RS256] = { "RS256", "RSA", true },
	[CV_JWT_ES256] = { "ES256", "EC", true },
	[CV_JWT_EDDSA] = { "EdDSA", "ED25519", false },
};

static void pkey_cleanup(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

static void md_ctx_cleanup(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}

/* No one is there to be asked: an encrypted key is not read. */
static int no_passphrase(char *buf, int size, int is_write, void *arg)
{
	(void)buf, (void)size, (void)is_write, (void)arg;
	return -1;
}

static size_t line_ends_restore(struct cv_str pem, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < pem.n; i++) {
		const bool is_escape = pem.p[i] == '\\' && i + 1 < pem.n && pem.p[i + 1] == 'n';

		out[n++] = is_escape ? '\n' : pem.p[i];
		i += is_escape;
	}
	return n;
}

static EVP_PKEY *key_read(struct cv_str pem)
{
	char text[CV_JWT_PEM_BYTES_MAX];
	const size_t n = line_ends_restore(pem, text);
	BIO *const bio = BIO_new_mem_buf(text, (int)n);
	EVP_PKEY *const key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	OPENSSL_cleanse(text, sizeof(text));
	ERR_clear_error();
	return key;
}

static cv_code key_check(EVP_PKEY *key, enum cv_jwt_alg alg, struct cv_err *err)
{
	char curve[32] = "";

	if (!EVP_PKEY_is_a(key, algs[alg].key_kind))
		return cv_fail(err, CV_INVALID, "%s needs a private key of kind %s", algs[alg].name,
			algs[alg].key_kind);
	if (alg == CV_JWT_RS256 && EVP_PKEY_get_bits(key) < CV_JWT_RSA_BITS_MIN)
		return cv_fail(
			err, CV_INVALID, "private key has fewer than %d bits", CV_JWT_RSA_BITS_MIN);
	if (alg == CV_JWT_ES256 && (!EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) ||
					   strcmp(curve, "prime256v1") != 0))
		return cv_fail(err, CV_INVALID, "ES256 needs a private key on the curve P-256");
	return CV_OK;
}

/* ECDSA's ASN.1 form as r and s of 32 bytes each (RFC 7518 section 3.4). */
static bool ecdsa_flatten(unsigned char *sig, size_t *n)
{
	const unsigned char *at = sig;
	ECDSA_SIG *const pair = d2i_ECDSA_SIG(NULL, &at, (long)*n);
	const bool is_done =
		pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, P256_BYTES) == P256_BYTES &&
		BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + P256_BYTES, P256_BYTES) == P256_BYTES;

	ECDSA_SIG_free(pair);
	*n = 2 * P256_BYTES;
	return is_done;
}

static bool sign(
	EVP_PKEY *key, enum cv_jwt_alg alg, struct cv_str text, unsigned char *sig, size_t *n)
{
	CV_AUTO(md_ctx_cleanup) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	return ctx &&
	       EVP_DigestSignInit(
		       ctx, NULL, algs[alg].has_digest ? EVP_sha256() : NULL, NULL, key) == 1 &&
	       EVP_DigestSign(ctx, sig, n, (const unsigned char *)text.p, text.n) == 1 &&
	       (alg != CV_JWT_ES256 || ecdsa_flatten(sig, n));
}

/* ---- the text ---- */

static void comma_put(struct cv_buf *b)
{
	cv_buf_put_byte(b, cv_buf_len(b) ? ',' : '{');
}

static void string_put(struct cv_buf *b, const char *name, struct cv_str text)
{
	comma_put(b);
	cv_buf_put_json_member(b, name, text);
}

static void claims_put(struct cv_buf *b, const struct cv_jwt_claim *claims, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (claims[i].is_number) {
			comma_put(b);
			cv_buf_printf(
				b, "\"%s\":%lld", claims[i].name, (long long)claims[i].number);
		} else if (claims[i].text.p) {
			string_put(b, claims[i].name, claims[i].text);
		}
	}
	cv_buf_put(b, cv_buf_len(b) ? CV_STR("}") : CV_STR("{}"));
}

cv_code cv_jwt_sign(enum cv_jwt_alg alg, struct cv_str pem, struct cv_str kid,
	const struct cv_jwt_claim *claims, size_t claim_count, struct cv_buf *ret,
	struct cv_err *err)
{
	unsigned char sig[SIGNATURE_BYTES_MAX];
	size_t sig_bytes = sizeof(sig);
	struct cv_buf json, text;

	if (pem.n > CV_JWT_PEM_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "private key is too large");
	CV_AUTO(pkey_cleanup) EVP_PKEY *key = key_read(pem);
	if (!key)
		return cv_fail(
			err, CV_INVALID, "private key is not PEM of an unencrypted private key");
	cv_code code = key_check(key, alg, err);
	if (code != CV_OK)
		return code;

	cv_buf_init(&json, CV_JWT_BYTES_MAX);
	cv_buf_init(&text, CV_JWT_BYTES_MAX);
	string_put(&json, "alg", cv_str_of(algs[alg].name));
	string_put(&json, "typ", CV_STR("JWT"));
	if (kid.n)
		string_put(&json, "kid", kid);
	cv_buf_put_byte(&json, '}');
	cv_buf_put_base64(&text, cv_buf_str(&json), CV_BASE64_URL);
	cv_buf_put_byte(&text, '.');
	const bool is_header_whole = !json.is_overflown;
	cv_buf_reset(&json);
	claims_put(&json, claims, claim_count);
	cv_buf_put_base64(&text, cv_buf_str(&json), CV_BASE64_URL);
	if (!is_header_whole || json.is_overflown || text.is_overflown) {
		code = cv_fail(err, CV_LIMIT, "assertion is too large");
	} else if (!sign(key, alg, cv_buf_str(&text), sig, &sig_bytes)) {
		ERR_clear_error();
		code = cv_fail(err, CV_INVALID, "private key cannot sign");
	} else {
		cv_buf_put(ret, cv_buf_str(&text));
		cv_buf_put_byte(ret, '.');
		cv_buf_put_base64(
			ret, (struct cv_str){ (const char *)sig, sig_bytes }, CV_BASE64_URL);
		if (ret->is_overflown)
			code = cv_fail(err, CV_LIMIT, "assertion is too large");
	}
	cv_buf_fini(&json);
	cv_buf_fini(&text);
	return code;
}
