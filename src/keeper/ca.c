/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca.c - one run's certificate authority, on OpenSSL 3.0; see ca.h
 *
 * Its own certificate is made at each start and by hand (ca_cert.h), leaves by the library.
 *
 * What a leaf says is a table (struct extension): the text forms are OpenSSL's
 * x509v3_config(5).  A name is judged byte by byte before it becomes part of such a text, because
 * commas and colons have a meaning there.
 */
#include "keeper/ca.h"

#include "base/assert.h"

#include "keeper/ca_cert.h"
#include "tls/fail.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#define BACKDATE_S          3600 /* the sandbox's clock is ours, but clients compare strictly */
#define LEAF_S              (24 * 3600) /* a leaf outlives no working day; the proxy asks again */
#define CA_S                (30 * LEAF_S) /* a run may be long; browsers refuse no CA for its length */
#define HOST_BYTES_MAX      253           /* RFC 1035 section 2.3.4, as text without the last dot */
#define SIGNATURE_BYTES_MAX 72 /* of P-256: two numbers of 33 bytes, RFC 3279 section 2.2.3 */
#define POINT_UNCOMPRESSED  4

struct cv_ca {
	EVP_PKEY *key;
	struct cv_buf der; /* the certificate */
	X509 *cert;        /* the same; NULL before the first leaf */
	int64_t not_after_s;
};

struct extension {
	int nid;
	const char *value;
};

static void x509_cleanup(X509 **x)
{
	X509_free(*x);
}

static void pkey_cleanup(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

static bool extensions_add(X509 *cert, X509 *issuer, const struct extension *ext, size_t count)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	for (size_t i = 0; i < count; i++) {
		X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &ctx, ext[i].nid, ext[i].value);
		const bool is_added = x && X509_add_ext(cert, x, -1) == 1;

		X509_EXTENSION_free(x);
		if (!is_added)
			return false;
	}
	return true;
}

static bool validity_set(X509 *cert, int64_t from_s, int64_t to_s)
{
	return ASN1_TIME_set(X509_getm_notBefore(cert), from_s) &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), to_s);
}

/* ---- the authority ---- */

static bool serial_random(unsigned char ret[CA_SERIAL_BYTES])
{
	if (RAND_bytes(ret, CA_SERIAL_BYTES) != 1)
		return false;
	ret[0] &= 0x7f; /* positive */
	ret[0] |= 0x40; /* and of full length */
	return true;
}

static bool text_sign(EVP_PKEY *key, struct cv_str text, unsigned char *ret, size_t *ret_n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const bool is_signed =
		ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(ctx, ret, ret_n, (const unsigned char *)text.p, text.n) == 1;

	EVP_MD_CTX_free(ctx);
	return is_signed;
}

static bool self_sign(EVP_PKEY *key, struct ca_cert *c, struct cv_buf *ret_der)
{
	unsigned char signature[SIGNATURE_BYTES_MAX];
	size_t n = 0, signed_n = sizeof(signature);
	struct cv_buf tbs;

	cv_buf_init(&tbs, CA_DER_BYTES);
	const bool is_made = EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, c->point,
				     sizeof(c->point), &n) == 1 &&
			     n == sizeof(c->point) && c->point[0] == POINT_UNCOMPRESSED &&
			     serial_random(c->serial) && ca_cert_tbs_put(&tbs, c) &&
			     text_sign(key, cv_buf_str(&tbs), signature, &signed_n) &&
			     ca_cert_put(ret_der, cv_buf_str(&tbs),
				     (struct cv_str){ (const char *)signature, signed_n });
	cv_buf_fini(&tbs);
	return is_made;
}

cv_code cv_ca_begin(struct cv_ca **ret, struct cv_err *err)
{
	struct cv_ca *ca = calloc(1, sizeof(*ca));

	if (!ca)
		return cv_fail(err, CV_LIMIT, "make the run's CA: no memory");
	cv_buf_init(&ca->der, CA_DER_BYTES);
	ca->key = EVP_EC_gen("P-256");
	if (!ca->key) {
		cv_ca_free(ca);
		return cv_tls_fail(err, "make the run's CA");
	}
	*ret = ca;
	return CV_OK;
}

cv_code cv_ca_name(struct cv_ca *ca, struct cv_str run, int64_t now_s, struct cv_err *err)
{
	char cn[CA_CN_BYTES_MAX + 1];

	cv_assert(!cv_buf_str(&ca->der).n);
	snprintf(cn, sizeof(cn), "cove run %.*s", CV_STR_ARG(run));
	ca->not_after_s = now_s + CA_S;
	struct ca_cert c = {
		.cn = cv_str_of(cn), .from_s = now_s - BACKDATE_S, .to_s = now_s + CA_S
	};
	return self_sign(ca->key, &c, &ca->der) ? CV_OK : cv_tls_fail(err, "make the run's CA");
}

cv_code cv_ca_new(struct cv_str run, int64_t now_s, struct cv_ca **ret, struct cv_err *err)
{
	struct cv_ca *ca;
	cv_code code = cv_ca_begin(&ca, err);

	if (code != CV_OK)
		return code;
	code = cv_ca_name(ca, run, now_s, err);
	if (code == CV_OK)
		*ret = ca;
	else
		cv_ca_free(ca);
	return code;
}

void cv_ca_free(struct cv_ca *ca)
{
	if (!ca)
		return;
	EVP_PKEY_free(ca->key); /* the library wipes private keys */
	X509_free(ca->cert);
	cv_buf_fini(&ca->der);
	free(ca);
}

cv_code cv_ca_pem(const struct cv_ca *ca, struct cv_buf *ret, struct cv_err *err)
{
	return ca_cert_pem_put(ret, cv_buf_str(&ca->der))
		       ? CV_OK
		       : cv_fail(err, CV_LIMIT, "write the CA certificate: no room");
}

/* As the library wants to see it, for leaves. */
static bool is_parsed(struct cv_ca *ca)
{
	const struct cv_str der = cv_buf_str(&ca->der);
	const unsigned char *at = (const unsigned char *)der.p;

	if (!ca->cert)
		ca->cert = d2i_X509(NULL, &at, (long)der.n);
	return ca->cert != NULL;
}

/* ---- leaves ---- */

static bool serial_set(X509 *cert)
{
	unsigned char bytes[CA_SERIAL_BYTES];
	BIGNUM *n = serial_random(bytes) ? BN_bin2bn(bytes, sizeof(bytes), NULL) : NULL;
	const bool is_set = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;

	BN_free(n);
	return is_set;
}

/* Letters, digits, hyphens and underscores in labels that are not empty. */
static bool is_dns_name(struct cv_str host)
{
	size_t label = 0;

	if (!host.n || host.n > HOST_BYTES_MAX)
		return false;
	for (size_t i = 0; i < host.n; i++) {
		const char c = host.p[i];

		if (c == '.') {
			if (!label)
				return false;
			label = 0;
		} else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
			   c == '_') {
			if (++label > 63)
				return false;
		} else {
			return false;
		}
	}
	return label > 0;
}

/* "critical,DNS:name" or "critical,IP:address" in text.  Critical, because the subject is empty
 * (RFC 5280 section 4.2.1.6). */
static bool san_text(struct cv_str host, char *text, size_t size)
{
	unsigned char address[sizeof(struct in6_addr)];
	char z[HOST_BYTES_MAX + 1];

	if (!cv_str_to_cstr(host, z, sizeof(z)))
		return false;
	if (inet_pton(AF_INET, z, address) == 1 || inet_pton(AF_INET6, z, address) == 1)
		snprintf(text, size, "critical,IP:%s", z);
	else if (is_dns_name(host))
		snprintf(text, size, "critical,DNS:%s", z);
	else
		return false;
	return true;
}

static EVP_PKEY *p256_from_der(struct cv_str spki)
{
	const unsigned char *at = (const unsigned char *)spki.p;
	char group[32] = "";
	size_t n = 0;

	if (!spki.n || spki.n > LONG_MAX)
		return NULL;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.n);
	if (key && at == (const unsigned char *)spki.p + spki.n && EVP_PKEY_is_a(key, "EC") &&
		EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1 &&
		strcmp(group, "prime256v1") == 0)
		return key;
	EVP_PKEY_free(key);
	ERR_clear_error();
	return NULL;
}

static cv_code der_put(X509 *cert, struct cv_buf *ret, struct cv_err *err)
{
	const int n = i2d_X509(cert, NULL);
	char *room = n > 0 ? cv_buf_reserve(ret, (size_t)n) : NULL;
	unsigned char *at = (unsigned char *)room;

	if (!room)
		return cv_fail(err, CV_LIMIT, "write the leaf: no room");
	if (i2d_X509(cert, &at) != n)
		return cv_tls_fail(err, "write the leaf");
	cv_buf_commit(ret, (size_t)n);
	return CV_OK;
}

cv_code cv_ca_leaf_sign(struct cv_ca *ca, struct cv_str host, struct cv_str spki, int64_t now_s,
	struct cv_buf *ret_der, int64_t *ret_not_after_s, struct cv_err *err)
{
	char san[HOST_BYTES_MAX + 32];
	const struct extension ext[] = {
		{ NID_basic_constraints, "critical,CA:FALSE" },
		{ NID_key_usage, "critical,digitalSignature" },
		{ NID_ext_key_usage, "serverAuth" },
		{ NID_subject_alt_name, san },
		{ NID_authority_key_identifier, "keyid:always" },
	};
	const int64_t not_after_s = CV_MIN(now_s + LEAF_S, ca->not_after_s);

	if (!san_text(host, san, sizeof(san)))
		return cv_fail(err, CV_INVALID, "not a host name or address");
	CV_AUTO(pkey_cleanup) EVP_PKEY *key = p256_from_der(spki);
	if (!key)
		return cv_fail(err, CV_INVALID, "not a P-256 public key");
	CV_AUTO(x509_cleanup) X509 *cert = X509_new();
	if (!cert || !is_parsed(ca) || X509_set_version(cert, X509_VERSION_3) != 1 ||
		!serial_set(cert) ||
		X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) != 1 ||
		!validity_set(cert, now_s - BACKDATE_S, not_after_s) ||
		X509_set_pubkey(cert, key) != 1 ||
		!extensions_add(cert, ca->cert, ext, CV_ARRAY_LEN(ext)) ||
		!X509_sign(cert, ca->key, EVP_sha256()))
		return cv_tls_fail(err, "sign a leaf");
	const cv_code code = der_put(cert, ret_der, err);
	if (code == CV_OK)
		*ret_not_after_s = not_after_s;
	return code;
}
