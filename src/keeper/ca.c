/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca.c - one run's certificate authority, on OpenSSL 3.0; see ca.h
 *
 * What a certificate says is a table (struct extension): the text forms are OpenSSL's
 * x509v3_config(5).  A name is judged byte by byte before it becomes part of such a text, because
 * commas and colons have a meaning there.
 */
#include "keeper/ca.h"

#include "base/assert.h"
#include "tls/fail.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#define BACKDATE_S     3600          /* the sandbox's clock is ours, but clients compare strictly */
#define LEAF_S         (24 * 3600)   /* a leaf outlives no working day; the proxy asks again */
#define CA_S           (30 * LEAF_S) /* a run may be long; browsers refuse no CA for its length */
#define SERIAL_BYTES   16  /* RFC 5280 section 4.1.2.2: at most 20, 64 random bits or more */
#define HOST_BYTES_MAX 253 /* RFC 1035 section 2.3.4, as text without the last dot */
#define CN_BYTES_MAX   64  /* ub-common-name, RFC 5280 appendix A */

struct cv_ca {
	EVP_PKEY *key;
	X509 *cert;
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

static bool serial_set(X509 *cert)
{
	unsigned char bytes[SERIAL_BYTES];
	bool is_set = false;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] &= 0x7f; /* positive */
	bytes[0] |= 0x40; /* and of full length */
	BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	if (n)
		is_set = BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
	BN_free(n);
	return is_set;
}

static bool subject_set(X509_NAME *name, struct cv_str cn)
{
	const struct cv_str cut = cv_str_slice(cn, 0, CN_BYTES_MAX);

	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cut.p,
		       (int)cut.n, -1, 0) == 1;
}

static bool validity_set(X509 *cert, int64_t from_s, int64_t to_s)
{
	return ASN1_TIME_set(X509_getm_notBefore(cert), from_s) &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), to_s);
}

cv_code cv_ca_new(struct cv_str run, int64_t now_s, struct cv_ca **ret, struct cv_err *err)
{
	static const struct extension ext[] = {
		{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
		{ NID_key_usage, "critical,keyCertSign" },
		{ NID_subject_key_identifier, "hash" },
	};
	CV_AUTO(pkey_cleanup) EVP_PKEY *key = EVP_EC_gen("P-256");
	CV_AUTO(x509_cleanup) X509 *cert = X509_new();
	char cn[CN_BYTES_MAX + 1];

	snprintf(cn, sizeof(cn), "cove run %.*s", CV_STR_ARG(run));
	if (!key || !cert || X509_set_version(cert, X509_VERSION_3) != 1 || !serial_set(cert) ||
		!subject_set(X509_get_subject_name(cert), cv_str_of(cn)) ||
		X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1 ||
		!validity_set(cert, now_s - BACKDATE_S, now_s + CA_S) ||
		X509_set_pubkey(cert, key) != 1 ||
		!extensions_add(cert, cert, ext, CV_ARRAY_LEN(ext)) ||
		!X509_sign(cert, key, EVP_sha256()))
		return cv_tls_fail(err, "make the run's CA");

	struct cv_ca *ca = calloc(1, sizeof(*ca));
	if (!ca)
		return cv_fail(err, CV_LIMIT, "make the run's CA: no memory");
	*ca = (struct cv_ca){ key, cert, now_s + CA_S };
	key = NULL;
	cert = NULL;
	*ret = ca;
	return CV_OK;
}

void cv_ca_free(struct cv_ca *ca)
{
	if (!ca)
		return;
	EVP_PKEY_free(ca->key); /* the library wipes private keys */
	X509_free(ca->cert);
	free(ca);
}

cv_code cv_ca_pem(const struct cv_ca *ca, struct cv_buf *ret, struct cv_err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	cv_code code = CV_OK;

	if (!bio || PEM_write_bio_X509(bio, ca->cert) != 1) {
		code = cv_tls_fail(err, "write the CA certificate");
	} else {
		const long n = BIO_get_mem_data(bio, &text);

		if (!cv_buf_put(ret, (struct cv_str){ text, (size_t)n }))
			code = cv_fail(err, CV_LIMIT, "write the CA certificate: no room");
	}
	BIO_free(bio);
	return code;
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

cv_code cv_ca_leaf_sign(const struct cv_ca *ca, struct cv_str host, struct cv_str spki,
	int64_t now_s, struct cv_buf *ret_der, int64_t *ret_not_after_s, struct cv_err *err)
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
	if (!cert || X509_set_version(cert, X509_VERSION_3) != 1 || !serial_set(cert) ||
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
